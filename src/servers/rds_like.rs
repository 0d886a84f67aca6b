//! What makes a cluster behave like Amazon RDS: its roles.
//!
//! Left stricter than RDS, where RDS patches the server: the master can't create untrusted
//! extensions, event triggers or set session_replication_role. What passes here passes there.

use crate::pg::quote_literal;

/// The real superuser. On RDS nobody but Amazon has it; here the kit has.
pub(super) const SUPERUSER: &str = "rdsadmin";

/// The most powerful user that a customer gets.
pub(super) const MASTER: &str = "master";

/// The statements that make the roles, to be run one by one.
pub(super) fn roles(major: u32, master_password: &str) -> Vec<String> {
    let mut granted = vec!["pg_monitor", "pg_signal_backend", "rds_replication", "rds_password"];
    for (since, role) in [
        (15, "pg_checkpoint"),
        (16, "pg_use_reserved_connections"),
        (16, "pg_create_subscription"),
        (17, "pg_maintain"),
        (18, "pg_signal_autovacuum_worker"),
    ] {
        if major >= since {
            granted.push(role);
        }
    }
    // Since 16 CREATEROLE alone no longer allows granting a role that one didn't create.
    let admin = if major >= 16 { " WITH ADMIN OPTION" } else { "" };
    vec![
        "CREATE ROLE rds_superuser".to_owned(),
        "CREATE ROLE rds_replication REPLICATION".to_owned(),
        "CREATE ROLE rds_password".to_owned(),
        format!("GRANT {} TO rds_superuser WITH ADMIN OPTION", granted.join(", ")),
        format!(
            "CREATE ROLE {MASTER} LOGIN CREATEROLE CREATEDB PASSWORD {} VALID UNTIL 'infinity'",
            quote_literal(master_password)
        ),
        format!("GRANT rds_superuser TO {MASTER}{admin}"),
        format!("ALTER DATABASE postgres OWNER TO {MASTER}"),
        format!("CREATE DATABASE {SUPERUSER}"),
        format!("REVOKE ALL ON DATABASE {SUPERUSER} FROM PUBLIC"),
    ]
}
