//! What only the provider's API tells, and the lines that ask it.

use serde::Serialize;

use super::endpoint::Endpoint;

/// What stands for groups that aren't known yet.
pub(super) const GROUPS: &str = "GROUPS-FROM-ABOVE";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// The instances: whether they are public, Multi-AZ, and what they have.
    Instances,
    /// Backups, and the windows for them and for maintenance.
    Windows,
    /// Whom the security groups let in.
    SecurityGroups,
    /// How much storage is free.
    FreeStorage,
}

/// A question, and the line that asks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LookUp {
    /// What it is about.
    pub topic: Topic,
    /// What it tells, and what to look for.
    pub what: String,
    /// The line, for a shell.
    pub command: String,
    /// What AWS answers; none where it wasn't asked, or refused.
    pub answer: Option<String>,
}

/// The look-ups for a target. Names come from the endpoint, which has only letters, digits and hyphens
/// in them; where it tells none, the reader fills them in. `hour` is the one that measurements are taken
/// from: shells don't agree on how to reckon with times.
pub(super) fn for_target(endpoint: &Endpoint, hour: (&str, &str)) -> Vec<LookUp> {
    let region = endpoint.region.as_deref().unwrap_or("REGION");
    let name = endpoint.identifier.as_deref().unwrap_or("IDENTIFIER");
    let is_cluster = endpoint.kind.is_clusters();
    let look_up = |topic, what: &str, command: String| LookUp {
        topic,
        what: what.to_owned(),
        command,
        answer: None,
    };
    let rds = |topic, what: &str, rest: String| {
        look_up(topic, what, format!("aws rds {rest} --region {region} --output table"))
    };
    let which = match is_cluster {
        true => format!("--filters Name=db-cluster-id,Values={name}"),
        false => format!("--db-instance-identifier {name}"),
    };
    let mut all = vec![rds(
        Topic::Instances,
        "whether it is public (must be False), Multi-AZ, its storage, IOPS and security groups",
        format!(
            "describe-db-instances {which} --query 'DBInstances[].{{Instance:DBInstanceIdentifier,\
             Public:PubliclyAccessible,MultiAZ:MultiAZ,GiB:AllocatedStorage,\
             GrowsTo:MaxAllocatedStorage,IOPS:Iops,Class:DBInstanceClass,\
             Groups:join(`,`,VpcSecurityGroups[].VpcSecurityGroupId)}}'"
        ),
    )];
    let windows = "backups kept (at least 7 days), and windows that the move must not fall into";
    let what = "Days:BackupRetentionPeriod,BackupWindow:PreferredBackupWindow,\
                Maintenance:PreferredMaintenanceWindow";
    all.push(rds(
        Topic::Windows,
        windows,
        match is_cluster {
            true => format!(
                "describe-db-clusters --db-cluster-identifier {name} --query \
                 'DBClusters[].{{{what},MultiAZ:MultiAZ}}'"
            ),
            false => format!("describe-db-instances {which} --query 'DBInstances[].{{{what}}}'"),
        },
    ));
    all.push(look_up(
        Topic::SecurityGroups,
        "which addresses the security groups let in: the services' hosts only, never 0.0.0.0/0",
        format!(
            "aws ec2 describe-security-groups --region {region} --group-ids {GROUPS} \
             --query 'SecurityGroups[].IpPermissions[]' --output table"
        ),
    ));
    if !is_cluster {
        // Aurora's storage grows by itself.
        let (from, to) = hour;
        all.push(look_up(
            Topic::FreeStorage,
            "free storage of the last hour, in bytes",
            format!(
                "aws cloudwatch get-metric-statistics --region {region} --namespace AWS/RDS \
                 --metric-name FreeStorageSpace --dimensions Name=DBInstanceIdentifier,Value={name} \
                 --statistics Minimum --period 3600 --start-time {from} --end-time {to}"
            ),
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(host: &str) -> String {
        let all = for_target(&Endpoint::of(host), ("2027-01-15T07:00:00Z", "2027-01-15T08:00:00Z"));
        all.into_iter().map(|look_up| look_up.command + "\n").collect()
    }

    #[test]
    fn a_clusters_instances_are_looked_up_by_the_cluster() {
        let lines = lines("ws.cluster-c1abc.eu-west-2.rds.amazonaws.com");
        assert!(lines.contains("Name=db-cluster-id,Values=ws "), "{lines}");
        assert!(lines.contains("describe-db-clusters --db-cluster-identifier ws "), "{lines}");
        assert!(!lines.contains("FreeStorageSpace") && lines.contains("--region eu-west-2"));
    }

    #[test]
    fn an_unknown_host_leaves_its_names_to_the_reader() {
        let lines = lines("$(reboot)");
        assert!(lines.contains("--db-instance-identifier IDENTIFIER "), "{lines}");
        assert!(lines.contains("--region REGION") && !lines.contains("reboot"), "{lines}");
    }
}
