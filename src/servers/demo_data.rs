//! The demo's databases: WebStream's three, made by the SQL in fixtures/, the same every time.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::pg::{quote_ident, quote_literal};

use super::cluster::Cluster;
use super::login::random_password;

/// The databases. Each belongs to a login role of the same name.
pub const DEMO_DATABASES: [&str; 3] = ["webstream_iam", "webstream_metrics", "webstream_activity"];

const FIXTURES: [&str; 3] = [
    include_str!("../../fixtures/webstream_iam.sql"),
    include_str!("../../fixtures/webstream_metrics.sql"),
    include_str!("../../fixtures/webstream_activity.sql"),
];

/// What the three databases take with next to no rows, in bytes, and what scale 1 adds. Measured
/// on PostgreSQL 15; the other versions are within a few percent.
const EMPTY: f64 = 31e6;
const PER_SCALE: f64 = 216e6;

/// How much data the demo makes, in bytes: what the three databases take on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoSize(pub u64);

impl Default for DemoSize {
    fn default() -> Self {
        DemoSize(200_000_000)
    }
}

impl DemoSize {
    /// The fixtures' `pgconvoy.scale` that comes to about this size.
    fn scale(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let bytes = self.0 as f64;
        ((bytes - EMPTY) / PER_SCALE).max(0.001)
    }
}

/// Reads `50MB` or `2GB`: decimal units, as disks are sold.
impl FromStr for DemoSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<DemoSize> {
        let upper = text.trim().to_ascii_uppercase();
        let digits = upper.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match upper[digits.len()..].trim() {
            "KB" => Some(1_000),
            "MB" => Some(1_000_000),
            "GB" => Some(1_000_000_000),
            _ => None,
        };
        let number: Option<u64> = digits.parse().ok();
        unit.zip(number)
            .and_then(|(unit, number)| number.checked_mul(unit))
            .map(DemoSize)
            .ok_or_else(|| {
                Error::usage(format!("reading the size {text:?}"))
                    .hint("give a whole number and a unit, such as 50MB or 2GB")
            })
    }
}

/// A login role of the demo, and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DemoLogin {
    /// The role, which owns the database of the same name.
    pub role: &'static str,
    /// Its password on this cluster.
    pub password: String,
}

impl fmt::Debug for DemoLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DemoLogin({})", self.role)
    }
}

/// Makes the demo's roles and databases on a fresh cluster and fills them, all at once.
pub async fn make_demo_databases(cluster: &Cluster, size: DemoSize) -> Result<Vec<DemoLogin>> {
    let logins = make_roles_and_databases(cluster).await?;
    let scale = size.scale();
    let filled = DEMO_DATABASES
        .iter()
        .zip(FIXTURES)
        .map(|(database, fixture)| fill(cluster, database, fixture, scale));
    futures::future::try_join_all(filled).await?;
    Ok(logins)
}

async fn make_roles_and_databases(cluster: &Cluster) -> Result<Vec<DemoLogin>> {
    let session = cluster.superuser_session("postgres").await?;
    let mut logins = Vec::new();
    let mut roles = String::new();
    for role in DEMO_DATABASES {
        let password = random_password()?;
        let secret = quote_literal(&password);
        roles.push_str(&format!("CREATE ROLE {} LOGIN PASSWORD {secret};", quote_ident(role)));
        logins.push(DemoLogin { role, password });
    }
    roles.push_str(SHARED_ROLES);
    session.execute("making the demo's roles", &roles).await?;
    for database in DEMO_DATABASES {
        let name = quote_ident(database);
        let sql = format!("CREATE DATABASE {name} OWNER {name}");
        session.execute(&format!("creating {database}"), &sql).await?;
    }
    session.execute("setting the demo's databases up", SETTINGS).await?;
    Ok(logins)
}

async fn fill(cluster: &Cluster, database: &str, fixture: &str, scale: f64) -> Result<()> {
    let doing = format!("filling {database}");
    let owner = quote_ident(database);
    let as_owner = format!(
        "SET SESSION AUTHORIZATION {owner}; SET pgconvoy.scale = '{scale}'; \
         SET check_function_bodies = on"
    );
    let session = cluster.superuser_session(database).await?;
    for step in [&as_owner, fixture, "RESET SESSION AUTHORIZATION", "VACUUM ANALYZE"] {
        session.execute(&doing, step).await?;
    }
    Ok(())
}

const SHARED_ROLES: &str = "
    CREATE ROLE webstream_readonly;
    CREATE ROLE webstream_support CONNECTION LIMIT 10;
    CREATE ROLE webstream_reporting LOGIN IN ROLE webstream_readonly;
    COMMENT ON ROLE webstream_readonly IS 'Reads what isn''t secret';
    ALTER ROLE webstream_reporting SET default_transaction_read_only = on;
    ALTER ROLE webstream_support SET statement_timeout = '30s';
";

const SETTINGS: &str = "
    COMMENT ON DATABASE webstream_iam IS 'Identities; Identitäten';
    ALTER DATABASE webstream_iam SET \"TimeZone\" = 'Europe/Berlin';
    ALTER DATABASE webstream_metrics SET search_path = public, rollup;
    ALTER DATABASE webstream_activity SET default_text_search_config = 'pg_catalog.german';
    ALTER DATABASE webstream_metrics CONNECTION LIMIT 200;
    ALTER ROLE webstream_iam IN DATABASE webstream_iam SET work_mem = '16MB';
    ALTER ROLE webstream_metrics SET \"DateStyle\" = 'ISO, DMY';
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        assert_eq!("50MB".parse::<DemoSize>().unwrap(), DemoSize(50_000_000));
        assert_eq!("2 gb".parse::<DemoSize>().unwrap(), DemoSize(2_000_000_000));
        for nonsense in ["", "MB", "-1MB", "1.5GB", "50", "99999999999999999999GB"] {
            assert!(nonsense.parse::<DemoSize>().is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_larger_size_is_a_larger_scale_and_the_smallest_is_not_nothing() {
        assert!(DemoSize(2_000_000_000).scale() > 10.0 * DemoSize::default().scale());
        assert!(DemoSize(1).scale() > 0.0);
    }
}
