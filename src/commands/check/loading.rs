//! What on the target would speed the load up for its duration, with what puts it back.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::toc::{Finding, TargetFacts};
use crate::wire::Session;

use super::disk;
use super::sides::Sides;

/// Smaller databases are there before anybody has changed a setting.
const WORTHWHILE: i64 = 1 << 30;
/// WAL between two checkpoints of a load, in MB. More brings little, and takes disk.
const MAX_WAL_MB: i64 = 16 << 10;
/// Seconds between two checkpoints of a load.
const CHECKPOINT_SECONDS: i64 = 1800;

/// How a server's settings are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Administration {
    /// By ALTER SYSTEM.
    Own,
    /// By a parameter group.
    Rds,
    /// By a parameter group; its storage writes no checkpoints.
    Aurora,
}

/// A setting that is better otherwise while rows come in.
#[derive(Debug, PartialEq, Eq)]
struct Better {
    name: &'static str,
    now: String,
    value: i64,
    unit: &'static str,
}

/// Tells what would make a big load faster.
pub(super) async fn findings(sides: &Sides<'_>, facts: &TargetFacts) -> Result<Vec<Finding>> {
    let size = disk::source_size(sides).await?.bytes;
    if size < WORTHWHILE {
        return Ok(Vec::new());
    }
    let target = sides.target();
    let administration = administration(target, facts).await?;
    Ok(judge(&settings(target).await?, administration, size))
}

async fn settings(target: &Session) -> Result<BTreeMap<String, String>> {
    let names = ["max_wal_size", "checkpoint_timeout", "autovacuum", "synchronous_standby_names"];
    let names: &[&str] = &names;
    let sql = "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY ($1)";
    let rows = target.query("reading the target's settings", sql, &[&names]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn administration(target: &Session, facts: &TargetFacts) -> Result<Administration> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = 'aurora_version')";
    let row = target.query_one("asking who administers the target", sql, &[]).await?;
    Ok(match row.get(0) {
        true => Administration::Aurora,
        false if facts.is_managed() => Administration::Rds,
        false => Administration::Own,
    })
}

fn judge(
    settings: &BTreeMap<String, String>,
    administration: Administration,
    size: i64,
) -> Vec<Finding> {
    let better = better(settings, administration, size);
    let mut found = Vec::new();
    if !better.is_empty() {
        let now: Vec<String> = better.iter().map(Better::told).collect();
        let what = format!("would load faster with other settings: {}", now.join("; "));
        found.push(Finding::note("target server", what).mend(remedy(&better, administration)));
    }
    let waits = settings.get("synchronous_standby_names").is_some_and(|names| !names.is_empty());
    if waits {
        let what = "every commit waits for a synchronous standby (synchronous_standby_names)";
        let mend = "attach the standby after the load";
        found.push(Finding::note("target server", what).mend(mend));
    }
    if administration == Administration::Rds {
        let what = "a bigger instance class, more provisioned IOPS and a single zone load faster, \
                    and can be changed afterwards";
        let mend = "after the load: aws rds modify-db-instance --db-instance-identifier NAME \
                    --multi-az --apply-immediately";
        found.push(Finding::note("target server", what).mend(mend));
    }
    found
}

fn better(
    settings: &BTreeMap<String, String>,
    administration: Administration,
    size: i64,
) -> Vec<Better> {
    let mut found = Vec::new();
    let mut wish = |name: &'static str, value: i64, unit: &'static str| {
        let now = settings.get(name).and_then(|now| now.parse::<i64>().ok());
        if let Some(now) = now.filter(|now| *now < value) {
            found.push(Better { name, now: now.to_string(), value, unit });
        }
    };
    if administration != Administration::Aurora {
        wish("max_wal_size", MAX_WAL_MB.min(2 * (size >> 20)), "MB");
        wish("checkpoint_timeout", CHECKPOINT_SECONDS, "s");
    }
    if settings.get("autovacuum").is_some_and(|now| now == "on") {
        found.push(Better { name: "autovacuum", now: "on".to_owned(), value: 0, unit: "" });
    }
    found
}

impl Better {
    fn told(&self) -> String {
        format!("{} is {}{}, better {}", self.name, self.now, self.unit, self.sql_value())
    }

    fn sql_value(&self) -> String {
        match self.unit {
            "" => "off".to_owned(),
            unit => format!("{}{unit}", self.value),
        }
    }

    /// A parameter group takes bare numbers in the setting's own unit.
    fn parameter_value(&self) -> String {
        self.value.to_string()
    }
}

fn remedy(better: &[Better], administration: Administration) -> String {
    if administration == Administration::Own {
        let set =
            better.iter().map(|b| format!("ALTER SYSTEM SET {} = '{}';", b.name, b.sql_value()));
        let reset = better.iter().map(|b| format!("ALTER SYSTEM RESET {};", b.name));
        let reload = "SELECT pg_reload_conf();".to_owned();
        let set: Vec<String> = set.chain([reload.clone()]).collect();
        let reset: Vec<String> = reset.chain([reload]).collect();
        return format!("before the load: {}\nafter it: {}", set.join(" "), reset.join(" "));
    }
    let set = better.iter().map(|b| {
        let value = b.parameter_value();
        format!("\"ParameterName={},ParameterValue={value},ApplyMethod=immediate\"", b.name)
    });
    let reset =
        better.iter().map(|b| format!("\"ParameterName={},ApplyMethod=immediate\"", b.name));
    let (set, reset): (Vec<String>, Vec<String>) = (set.collect(), reset.collect());
    format!(
        "in the instance's own parameter group, before the load: aws rds \
         modify-db-parameter-group --db-parameter-group-name GROUP --parameters {}\n\
         after it: aws rds reset-db-parameter-group --db-parameter-group-name GROUP --parameters {}",
        set.join(" "),
        reset.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn usual() -> BTreeMap<String, String> {
        settings(&[
            ("max_wal_size", "1024"),
            ("checkpoint_timeout", "300"),
            ("autovacuum", "on"),
            ("synchronous_standby_names", ""),
        ])
    }

    #[test]
    fn what_speeds_a_load_up_is_told_with_what_puts_it_back() {
        let found = judge(&usual(), Administration::Own, 100 << 30);
        let remedies: Vec<&str> = found.iter().filter_map(|f| f.remedy.as_deref()).collect();
        assert_eq!(
            remedies,
            ["before the load: ALTER SYSTEM SET max_wal_size = '16384MB'; ALTER SYSTEM SET \
              checkpoint_timeout = '1800s'; ALTER SYSTEM SET autovacuum = 'off'; SELECT \
              pg_reload_conf();\nafter it: ALTER SYSTEM RESET max_wal_size; ALTER SYSTEM RESET \
              checkpoint_timeout; ALTER SYSTEM RESET autovacuum; SELECT pg_reload_conf();"]
        );
    }

    #[test]
    fn a_managed_server_is_told_its_parameter_group() {
        let found = judge(&usual(), Administration::Rds, 100 << 30);
        let remedy = found[0].remedy.as_deref().unwrap();
        assert!(remedy.contains("ParameterName=max_wal_size,ParameterValue=16384,"), "{remedy}");
        assert!(remedy.contains("ParameterName=autovacuum,ParameterValue=0,"), "{remedy}");
        assert!(remedy.contains("reset-db-parameter-group"), "{remedy}");
    }

    #[test]
    fn storage_without_checkpoints_needs_no_room_for_wal() {
        let found = better(&usual(), Administration::Aurora, 100 << 30);
        assert_eq!(found.iter().map(|b| b.name).collect::<Vec<_>>(), ["autovacuum"]);
    }

    #[test]
    fn a_server_that_is_ready_needs_nothing() {
        let ready = settings(&[
            ("max_wal_size", "65536"),
            ("checkpoint_timeout", "3600"),
            ("autovacuum", "off"),
        ]);
        assert!(judge(&ready, Administration::Own, 100 << 30).is_empty());
    }
}
