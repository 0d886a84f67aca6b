//! What AWS tells of an instance, or of an Aurora cluster and its instances.

mod reading;

use crate::error::Result;

use super::call::{Failure, Question};
use super::{Aws, Prefer, Service};

/// An instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::webstream) struct Instance {
    pub(in crate::webstream) name: String,
    pub(in crate::webstream) class: String,
    pub(in crate::webstream) is_public: bool,
    pub(in crate::webstream) is_multi_az: bool,
    pub(in crate::webstream) storage: Storage,
    pub(in crate::webstream) backups: Backups,
    pub(in crate::webstream) maintenance: String,
    pub(in crate::webstream) groups: Vec<String>,
}

/// What an instance's rows lie on. A cluster's storage grows by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::webstream) struct Storage {
    pub(in crate::webstream) kind: String,
    pub(in crate::webstream) gib: i64,
    /// None where it doesn't grow.
    pub(in crate::webstream) grows_to_gib: Option<i64>,
    pub(in crate::webstream) iops: Option<i64>,
}

impl Storage {
    pub(in crate::webstream) fn is_aurora(&self) -> bool {
        self.kind.starts_with("aurora")
    }
}

/// Automated backups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::webstream) struct Backups {
    /// For how many days they are kept; none are made at zero.
    pub(in crate::webstream) days: i64,
    /// `07:00-08:00`, in UTC.
    pub(in crate::webstream) window: String,
}

/// A cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::webstream) struct Cluster {
    pub(in crate::webstream) is_multi_az: bool,
    pub(in crate::webstream) backups: Backups,
    /// `sun:05:00-sun:06:00`, in UTC.
    pub(in crate::webstream) maintenance: String,
}

/// Whom a security group lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::webstream) struct Source {
    pub(in crate::webstream) group: String,
    /// Addresses, another group, or a list of prefixes.
    pub(in crate::webstream) from: String,
}

/// Asks for the target's facts.
pub(in crate::webstream) struct Provider(Aws);

impl Provider {
    /// `region` is where the target lies, where its name says so.
    pub(in crate::webstream) async fn open(region: Option<&str>) -> Result<Provider> {
        Ok(Provider(Aws::open(Prefer::Named(region)).await?))
    }

    /// An instance, or those of a cluster.
    pub(in crate::webstream) async fn instances(
        &self,
        name: &str,
        is_cluster: bool,
    ) -> Result<Vec<Instance>> {
        let which: &[_] = match is_cluster {
            true => &[
                ("Filters.Filter.1.Name", "db-cluster-id"),
                ("Filters.Filter.1.Values.Value.1", name),
            ],
            false => &[("DBInstanceIdentifier", name)],
        };
        let text = self.ask(Service::Rds, "DescribeDBInstances", which).await?;
        Ok(reading::instances(&text))
    }

    /// A cluster.
    pub(in crate::webstream) async fn cluster(&self, name: &str) -> Result<Option<Cluster>> {
        let which = [("DBClusterIdentifier", name)];
        let text = self.ask(Service::Rds, "DescribeDBClusters", &which).await?;
        Ok(reading::cluster(&text))
    }

    /// Whom security groups let in to a port.
    pub(in crate::webstream) async fn sources(
        &self,
        groups: &[String],
        port: u16,
    ) -> Result<Vec<Source>> {
        let names: Vec<String> = (1..=groups.len()).map(|n| format!("GroupId.{n}")).collect();
        let which: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(groups.iter().map(String::as_str)).collect();
        let text = self.ask(Service::Ec2, "DescribeSecurityGroups", &which).await?;
        Ok(reading::sources(&text, port))
    }

    /// The least space that was free on an instance in the last measurement between two times; none
    /// where nothing was measured.
    pub(in crate::webstream) async fn free_bytes(
        &self,
        name: &str,
        (from, to): (&str, &str),
    ) -> Result<Option<i64>> {
        let which = [
            ("Namespace", "AWS/RDS"),
            ("MetricName", "FreeStorageSpace"),
            ("Dimensions.member.1.Name", "DBInstanceIdentifier"),
            ("Dimensions.member.1.Value", name),
            ("Statistics.member.1", "Minimum"),
            ("Period", "300"),
            ("StartTime", from),
            ("EndTime", to),
        ];
        let text = self.ask(Service::CloudWatch, "GetMetricStatistics", &which).await?;
        Ok(reading::newest_minimum(&text))
    }

    async fn ask(&self, service: Service, action: &str, which: &[(&str, &str)]) -> Result<String> {
        // Versions of the interfaces: each service has had one for years.
        let version = match service {
            Service::Rds => "2014-10-31",
            Service::CloudWatch => "2010-08-01",
            Service::Ec2 | Service::SecretsManager => "2016-11-15",
        };
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("Action", action).append_pair("Version", version).extend_pairs(which);
        let doing = format!("asking AWS ({action})");
        let question = Question {
            service,
            target: None,
            content_type: "application/x-www-form-urlencoded; charset=utf-8",
            body: body.finish(),
        };
        self.0.ask(&doing, &question).await.map_err(|failure| {
            let hint = match &failure {
                Failure::Refused(refusal) => {
                    let service =
                        if service == Service::CloudWatch { "cloudwatch" } else { service.name() };
                    refusal.hint(&format!("{service}:{action}"))
                }
                Failure::Unreached(_) => String::new(),
            };
            failure.into_error(&doing, hint)
        })
    }
}
