//! The role that owns a database: as on the source, but for its password.

use crate::error::Result;
use crate::pg::{quote_ident, quote_literal};
use crate::wire::Session;

use super::target::is_role;

/// Makes a role, unless it was made for a database before; whether it was made now.
pub(super) async fn make_owner(
    (source, target): (&Session, &Session),
    owner: &str,
    password: &str,
) -> Result<bool> {
    if is_role(target, owner).await? {
        return Ok(false);
    }
    let doing = format!("making the role {owner}");
    let sql = "SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = $1";
    let limit = source.query(&doing, sql, &[&owner]).await?;
    let limit: i32 = limit.first().map_or(-1, |row| row.get(0));
    let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
    let (role, verifier) = (quote_ident(owner), quote_literal(&verifier));
    let sql = format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT {limit} PASSWORD {verifier}");
    target.execute(&doing, &sql).await?;
    copy_settings(source, target, owner).await?;
    Ok(true)
}

/// Gives a role the settings that it has in all databases. Those that the target doesn't let us set
/// are left: `migrate` compares roles, and reports each that stays otherwise.
async fn copy_settings(source: &Session, target: &Session, owner: &str) -> Result<()> {
    let doing = format!("giving {owner} its settings");
    let sql = "SELECT pg_catalog.split_part(c.text, '=', 1), \
                      pg_catalog.substr(c.text, pg_catalog.strpos(c.text, '=') + 1) \
               FROM pg_catalog.pg_db_role_setting s \
               JOIN pg_catalog.pg_roles r ON r.oid = s.setrole \
               CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) c(text) \
               WHERE s.setdatabase = 0 AND r.rolname = $1 \
                 AND c.text NOT LIKE 'role=%' AND c.text NOT LIKE 'session\\_authorization=%'";
    for row in source.query(&doing, sql, &[&owner]).await? {
        let (name, value): (String, String) = (row.get(0), row.get(1));
        // The server itself writes the value down, lists of names too.
        let sql = format!(
            "BEGIN; SELECT pg_catalog.set_config({}, {}, true); \
             ALTER ROLE {} SET {} FROM CURRENT; COMMIT",
            quote_literal(&name),
            quote_literal(&value),
            quote_ident(owner),
            quote_ident(&name),
        );
        match target.execute(&doing, &sql).await {
            Ok(()) => {}
            Err(error) if error.server_error().is_some() => {
                target.execute(&doing, "ROLLBACK").await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Who isn't a superuser must be able to become a role to give it databases: since 16 membership alone
/// doesn't say so (documentation: "Role Membership").
pub(super) async fn become_member(target: &Session, owner: &str) -> Result<()> {
    let right = if target.version().major() >= 16 { "SET" } else { "MEMBER" };
    let doing = format!("becoming a member of {owner}");
    let sql = "SELECT pg_catalog.pg_has_role($1::text, $2::text)";
    let row = target.query_one(&doing, sql, &[&owner, &right]).await?;
    if row.get::<_, bool>(0) {
        return Ok(());
    }
    let sql = format!("GRANT {} TO CURRENT_USER", quote_ident(owner));
    target.execute(&doing, &sql).await
}
