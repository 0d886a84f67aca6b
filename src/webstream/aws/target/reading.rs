//! AWS's answers in XML. One that isn't, or that lacks what is asked for, tells nothing.

use roxmltree::{Document, Node};

use super::super::xml::{is, items, text_of};
use super::{Backups, Cluster, Instance, Source, Storage};

/// The instances of DescribeDBInstances.
pub(super) fn instances(text: &str) -> Vec<Instance> {
    read(text, |all| elements(all, "DBInstance").map(instance).collect())
}

/// The cluster of DescribeDBClusters.
pub(super) fn cluster(text: &str) -> Option<Cluster> {
    read(text, |all| {
        elements(all, "DBCluster").next().map(|node| Cluster {
            is_multi_az: is_true(node, "MultiAZ"),
            backups: backups(node),
            maintenance: said(node, "PreferredMaintenanceWindow"),
        })
    })
}

/// Whom the groups of DescribeSecurityGroups let in to a port.
pub(super) fn sources(text: &str, port: u16) -> Vec<Source> {
    read(text, |all| {
        let groups = all.descendants().flat_map(|node| items(node, "securityGroupInfo"));
        groups.flat_map(|group| sources_of(group, port)).collect()
    })
}

/// The last measurement of GetMetricStatistics.
pub(super) fn newest_minimum(text: &str) -> Option<i64> {
    read(text, |all| {
        let points = all.descendants().flat_map(|node| items(node, "Datapoints"));
        // Times are all written alike, in UTC.
        let newest = points.max_by_key(|point| text_of(*point, "Timestamp"))?;
        let bytes: f64 = text_of(newest, "Minimum")?.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "bytes of a disk")]
        Some(bytes as i64)
    })
}

fn read<T: Default>(text: &str, tell: impl FnOnce(Node<'_, '_>) -> T) -> T {
    Document::parse(text).map(|document| tell(document.root())).unwrap_or_default()
}

fn elements<'a, 'i>(all: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    all.descendants().filter(move |node| is(*node, name))
}

fn instance(node: Node<'_, '_>) -> Instance {
    let groups = items(node, "VpcSecurityGroups");
    Instance {
        name: said(node, "DBInstanceIdentifier"),
        class: said(node, "DBInstanceClass"),
        is_public: is_true(node, "PubliclyAccessible"),
        is_multi_az: is_true(node, "MultiAZ"),
        storage: Storage {
            kind: said(node, "StorageType"),
            gib: number(node, "AllocatedStorage").unwrap_or_default(),
            grows_to_gib: number(node, "MaxAllocatedStorage"),
            iops: number(node, "Iops"),
        },
        backups: backups(node),
        maintenance: said(node, "PreferredMaintenanceWindow"),
        groups: groups
            .filter_map(|group| text_of(group, "VpcSecurityGroupId"))
            .map(str::to_owned)
            .collect(),
    }
}

fn backups(node: Node<'_, '_>) -> Backups {
    Backups {
        days: number(node, "BackupRetentionPeriod").unwrap_or_default(),
        window: said(node, "PreferredBackupWindow"),
    }
}

fn sources_of(group: Node<'_, '_>, port: u16) -> Vec<Source> {
    let name = said(group, "groupId");
    let rules = items(group, "ipPermissions").filter(|rule| {
        let ports = (number(*rule, "fromPort"), number(*rule, "toPort"));
        match text_of(*rule, "ipProtocol") {
            Some("-1") => true,
            Some("tcp" | "6") => match ports {
                (Some(first), Some(last)) => (first..=last).contains(&i64::from(port)),
                _ => true,
            },
            _ => false,
        }
    });
    let lists = [
        ("ipRanges", "cidrIp"),
        ("ipv6Ranges", "cidrIpv6"),
        ("groups", "groupId"),
        ("prefixListIds", "prefixListId"),
    ];
    let from = rules.flat_map(|rule| {
        lists.into_iter().flat_map(move |(list, what)| {
            items(rule, list).filter_map(move |item| text_of(item, what))
        })
    });
    from.map(|from| Source { group: name.clone(), from: from.to_owned() }).collect()
}

fn said(node: Node<'_, '_>, name: &str) -> String {
    text_of(node, name).unwrap_or_default().to_owned()
}

fn is_true(node: Node<'_, '_>, name: &str) -> bool {
    text_of(node, name) == Some("true")
}

fn number(node: Node<'_, '_>, name: &str) -> Option<i64> {
    text_of(node, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_group_lets_in_is_told_for_the_port() {
        let rule = |protocol: &str, ports: &str, from: &str| {
            format!("<item><ipProtocol>{protocol}</ipProtocol>{ports}{from}</item>")
        };
        let ports =
            |from: u16, to: u16| format!("<fromPort>{from}</fromPort><toPort>{to}</toPort>");
        let v4 = "<ipRanges><item><cidrIp>10.0.0.0/8</cidrIp></item></ipRanges><ipv6Ranges/>";
        let v6 = "<ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6></item></ipv6Ranges>";
        let group = "<groups><item><userId>1</userId><groupId>sg-app</groupId></item></groups>";
        let text = format!(
            "<DescribeSecurityGroupsResponse xmlns='http://ec2.amazonaws.com/doc/2016-11-15/'>\
             <securityGroupInfo><item><groupId>sg-db</groupId><ipPermissions>{}{}{}{}</ipPermissions>\
             <ipPermissionsEgress>{}</ipPermissionsEgress></item></securityGroupInfo>\
             </DescribeSecurityGroupsResponse>",
            rule("tcp", &ports(5400, 5500), v4),
            rule(
                "tcp",
                &ports(22, 22),
                "<ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges>"
            ),
            rule("udp", &ports(5432, 5432), v6),
            rule("-1", "", &format!("{v6}{group}")),
            rule("-1", "", "<ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges>"),
        );
        let from: Vec<String> =
            sources(&text, 5432).into_iter().map(|source| source.from).collect();
        assert_eq!(from, ["10.0.0.0/8", "::/0", "sg-app"]);
    }

    #[test]
    fn a_cluster_is_read_and_what_is_no_answer_tells_nothing() {
        let text = "<R xmlns='http://rds.amazonaws.com/doc/2014-10-31/'><DBClusters><DBCluster>\
                    <MultiAZ>true</MultiAZ><BackupRetentionPeriod>7</BackupRetentionPeriod>\
                    <PreferredMaintenanceWindow>sun:05:00-sun:05:30</PreferredMaintenanceWindow>\
                    </DBCluster></DBClusters></R>";
        let cluster = cluster(text).unwrap();
        assert!(cluster.is_multi_az && cluster.backups.days == 7);
        assert_eq!(cluster.maintenance, "sun:05:00-sun:05:30");
        assert_eq!((instances(text), instances("{}"), newest_minimum("")), (vec![], vec![], None));
    }
}
