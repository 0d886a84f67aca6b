//! Whether either server has enough connections left for the job.

use crate::error::Result;
use crate::pg::quote_ident;
use crate::toc::Finding;
use crate::wire::Session;

use super::sides::Sides;

/// Beside a worker's, the sessions of a side: the leader's, and one that reads passwords or
/// sequences.
const BESIDE_WORKERS: i64 = 2;

/// A limit, what it is spent on, and who raises it.
#[derive(Debug, Clone)]
struct Limit {
    what: String,
    left: i64,
    remedy: String,
}

/// Compares what the job needs with what is left.
pub(super) async fn findings(sides: &Sides<'_>) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let source = limits(&sides.source, sides.pair.source.database()).await?;
    found.extend(judge("source server", &source, sides.jobs));
    let target = limits(sides.target(), sides.target_name()).await?;
    found.extend(judge("target server", &target, sides.jobs));
    Ok(found)
}

fn judge(side: &str, limits: &[Limit], jobs: usize) -> Vec<Finding> {
    let needed = i64::try_from(jobs).unwrap_or(i64::MAX).saturating_add(BESIDE_WORKERS);
    let short = limits.iter().filter(|limit| limit.left < needed);
    short
        .map(|limit| {
            let left = limit.left.max(0);
            let what = format!("{} leaves {left} connections; the job needs {needed}", limit.what);
            let jobs = left - BESIDE_WORKERS;
            let fewer = match jobs {
                1.. => format!("run with --jobs {jobs}; or "),
                _ => String::new(),
            };
            Finding::refusal(side, what).mend(format!("{fewer}{}", limit.remedy))
        })
        .collect()
}

async fn limits(session: &Session, database: &str) -> Result<Vec<Limit>> {
    let reserved = match session.version().major() {
        16.. => "pg_catalog.current_setting('reserved_connections')::pg_catalog.int4",
        _ => "0",
    };
    // A session's kind is hidden from ordinary users, its database isn't: background processes
    // have none. This session is one of those that will be free.
    let sql = format!(
        "WITH used AS (SELECT a.usename, a.datname FROM pg_catalog.pg_stat_activity a \
         WHERE a.datname IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()) \
         SELECT pg_catalog.current_setting('max_connections')::pg_catalog.int4 \
         - CASE WHEN r.rolsuper THEN 0 ELSE {reserved} + \
         pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int4 END, \
         (SELECT pg_catalog.count(*) FROM used), \
         r.rolname::text, r.rolconnlimit, \
         (SELECT pg_catalog.count(*) FROM used WHERE usename = r.rolname), \
         coalesce((SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = $1), -1), \
         (SELECT pg_catalog.count(*) FROM used WHERE datname = $1), r.rolsuper \
         FROM pg_catalog.pg_roles r WHERE r.rolname = CURRENT_USER"
    );
    let row = session.query_one("counting connections", &sql, &[&database]).await?;
    let (server, role_limit, database_limit): (i32, i32, i32) =
        (row.get(0), row.get(3), row.get(5));
    let role: String = row.get(2);
    let superuser: bool = row.get(7);
    let mut limits = vec![Limit {
        what: format!("max_connections ({server} for {role})"),
        left: i64::from(server) - row.get::<_, i64>(1),
        remedy: "close idle clients or raise max_connections".to_owned(),
    }];
    // Neither limit holds for superusers (documentation: CREATE ROLE, CREATE DATABASE).
    if role_limit >= 0 && !superuser {
        limits.push(Limit {
            what: format!("role {role}'s limit of {role_limit}"),
            left: i64::from(role_limit) - row.get::<_, i64>(4),
            remedy: format!("ALTER ROLE {} CONNECTION LIMIT -1;", quote_ident(&role)),
        });
    }
    if database_limit >= 0 && !superuser {
        limits.push(Limit {
            what: format!("database {database}'s limit of {database_limit}"),
            left: i64::from(database_limit) - row.get::<_, i64>(6),
            remedy: format!("ALTER DATABASE {} CONNECTION LIMIT -1;", quote_ident(database)),
        });
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(left: i64) -> Limit {
        Limit { what: "max_connections".to_owned(), left, remedy: "raise it".to_owned() }
    }

    #[test]
    fn enough_connections_are_no_finding() {
        assert!(judge("source server", &[limit(6)], 4).is_empty());
    }

    #[test]
    fn too_few_are_refused_with_the_number_of_jobs_that_fit() {
        let found = judge("source server", &[limit(5), limit(100), limit(2)], 4);
        let remedies: Vec<_> = found.iter().filter_map(|f| f.remedy.as_deref()).collect();
        assert_eq!(remedies, ["run with --jobs 3; or raise it", "raise it"]);
    }
}
