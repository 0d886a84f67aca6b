//! What stands in a fence's way: found before anything is changed, with what mends it.

use crate::catalog::{FENCED, LockTable};
use crate::error::{Error, Kind, Result};
use crate::pg::quote_ident;
use crate::toc::{Finding, named};
use crate::wire::Session;

use super::super::databases::Pair;
use super::locks::Tables;

/// What keeps a fence from being raised around the database that `source` is connected to.
pub(in crate::commands) async fn findings(
    source: &Session,
    name: &str,
    roles: &[String],
) -> Result<Vec<Finding>> {
    let mut found = standby(source).await?;
    if found.is_empty() {
        found.extend(self::roles(source, roles).await?);
        found.extend(database(name, source).await?);
    }
    Ok(found)
}

/// Refuses a fence that can't be raised: what `check` finds, once more.
pub(super) async fn refuse(names: &[String], pairs: &[Pair]) -> Result<()> {
    let mut found = std::collections::BTreeSet::new();
    for pair in pairs {
        let source = Session::connect(&pair.source).await?;
        found.extend(findings(&source, pair.source.database(), names).await?);
        source.close().await;
    }
    if found.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = found.iter().map(|finding| format!("\n  {finding}")).collect();
    Err(Error::new(Kind::Refused, "raising the fence on the source")
        .because(all.concat())
        .hint("mend these and run again; nothing was changed on the source"))
}

async fn standby(source: &Session) -> Result<Vec<Finding>> {
    let sql = "SELECT pg_catalog.pg_is_in_recovery()";
    let is_standby = source.query_one("asking whether the source is a standby", sql, &[]).await?;
    let finding = || {
        let what = "is a standby, which can't be fenced: what it replays is written elsewhere";
        Finding::refusal("source server", what).mend("name its primary in --source")
    };
    Ok(is_standby.get::<_, bool>(0).then(finding).into_iter().collect())
}

/// What a role is, and what may be done to it. Who may: since 16 who has CREATEROLE and the role's
/// ADMIN option, before that who has CREATEROLE, and only a superuser alters those of that kind, and
/// those for replication (source: commands/user.c, AlterRole). Its sessions may be ended by its
/// members and those of pg_signal_backend (source: storage/ipc/signalfuncs.c).
struct Role {
    name: String,
    is_there: bool,
    is_us: bool,
    may_log_in: bool,
    members: Vec<String>,
    may_alter: bool,
    may_signal: bool,
}

async fn roles(source: &Session, names: &[String]) -> Result<Vec<Finding>> {
    let may_alter = match source.version().major() {
        16.. => "pg_catalog.pg_has_role(me.oid, r.oid, 'MEMBER WITH ADMIN OPTION')",
        _ => "NOT r.rolreplication",
    };
    let sql = format!(
        "SELECT wanted.name, r.oid IS NOT NULL, \
         wanted.name IN (CURRENT_USER::text, SESSION_USER::text), \
         coalesce(r.rolcanlogin OR r.oid IN ({FENCED}), false), \
         ARRAY(SELECT m.rolname::text FROM pg_catalog.pg_roles m WHERE m.rolcanlogin \
               AND pg_catalog.pg_has_role(m.oid, r.oid, 'MEMBER') AND NOT m.rolsuper ORDER BY 1), \
         coalesce(me.rolsuper OR me.rolcreaterole AND NOT r.rolsuper AND {may_alter}, false), \
         coalesce(me.rolsuper OR NOT r.rolsuper AND (pg_catalog.pg_has_role(me.oid, r.oid, 'USAGE') \
             OR pg_catalog.pg_has_role(me.oid, 'pg_signal_backend', 'USAGE')), false), \
         CURRENT_USER::text, coalesce(r.rolsuper, false) \
         FROM pg_catalog.unnest($1::pg_catalog.text[]) wanted (name) \
         JOIN pg_catalog.pg_roles me ON me.rolname = CURRENT_USER \
         LEFT JOIN pg_catalog.pg_roles r ON r.rolname::text = wanted.name ORDER BY 1"
    );
    let rows = source.query("asking who may be fenced", &sql, &[&names]).await?;
    let finding = |row: &tokio_postgres::Row| {
        let role = Role {
            name: row.get(0),
            is_there: row.get(1),
            is_us: row.get(2),
            may_log_in: row.get(3),
            members: row.get(4),
            may_alter: row.get(5),
            may_signal: row.get(6),
        };
        judge(&role, row.get(7), row.get(8), source.version().major())
    };
    Ok(rows.iter().filter_map(finding).collect())
}

fn judge(role: &Role, user: &str, is_superuser: bool, major: u32) -> Option<Finding> {
    let (name, us) = (quote_ident(&role.name), quote_ident(user));
    let refusal = |what: &str, remedy: String| {
        Some(Finding::refusal(format!("role {}", role.name), what).mend(remedy))
    };
    if !role.is_there {
        return refusal("isn't there", "name roles of the source in --fence".to_owned());
    }
    if role.is_us {
        let what = "is the one that pgconvoy itself is logged in as";
        return refusal(what, "log in as another one, in --source".to_owned());
    }
    if !role.may_log_in {
        let who = match role.members.is_empty() {
            true => "leave it out".to_owned(),
            false => format!("name the roles that log in: {}", role.members.join(",")),
        };
        return refusal("can't log in anyway", who);
    }
    if is_superuser && !(role.may_alter && role.may_signal) {
        let what = format!("is a superuser, whom {user} can't keep out");
        return refusal(&what, "log in as a superuser, in --source".to_owned());
    }
    let admin = match major {
        16.. => format!("ALTER ROLE {us} CREATEROLE; GRANT {name} TO {us} WITH ADMIN OPTION;"),
        _ => format!("ALTER ROLE {us} CREATEROLE;"),
    };
    let signal = format!("GRANT pg_signal_backend TO {us};");
    match (role.may_alter, role.may_signal) {
        (true, true) => None,
        (false, true) => refusal(&format!("{user} may not keep it from logging in"), admin),
        (true, false) => refusal(&format!("{user} may not end its sessions"), signal),
        (false, false) => refusal(
            &format!("{user} may neither keep it from logging in nor end its sessions"),
            format!("{admin} {signal}"),
        ),
    }
}

/// What keeps the tables of a database from being locked.
async fn database(name: &str, source: &Session) -> Result<Vec<Finding>> {
    let object = format!("database {name}");
    let mut found = Vec::new();
    let sql = "SELECT x.gid FROM pg_catalog.pg_prepared_xacts x \
               WHERE x.database = pg_catalog.current_database() ORDER BY 1";
    let rows = source.query("looking for prepared transactions", sql, &[]).await?;
    let prepared: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if !prepared.is_empty() {
        let what = format!("prepared transactions have written to it: {}", named(&prepared));
        let remedy = "COMMIT PREPARED or ROLLBACK PREPARED each of them, in that database";
        found.push(Finding::refusal(&object, what).mend(remedy));
    }
    let tables = Tables::of(source).await?;
    if !tables.denied.is_empty() {
        let what =
            format!("its user may not lock these tables against writes: {}", named(&tables.denied));
        let remedy = "connect as their owner, or grant it UPDATE on them";
        found.push(Finding::refusal(&object, what).mend(remedy));
    }
    if !tables.fit(source).await? {
        let table = LockTable::of(source).await?;
        let what = format!(
            "its {} tables can't all be locked, once against writes and once to be copied: there is \
             room for {} locks of all sessions together",
            tables.all.len(),
            table.room()
        );
        let remedy = "raise max_locks_per_transaction on the source and restart it; or stop what \
                      writes to it yourself, and leave --fence out";
        found.push(Finding::refusal(&object, what).mend(remedy));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(change: impl FnOnce(&mut Role)) -> Role {
        let mut role = Role {
            name: "app".to_owned(),
            is_there: true,
            is_us: false,
            may_log_in: true,
            members: Vec::new(),
            may_alter: true,
            may_signal: true,
        };
        change(&mut role);
        role
    }

    fn remedy(role: &Role, major: u32) -> String {
        judge(role, "mover", false, major).unwrap().remedy.unwrap()
    }

    #[test]
    fn a_role_that_can_be_kept_out_is_no_finding() {
        assert_eq!(judge(&role(|_| ()), "mover", false, 15), None);
    }

    #[test]
    fn what_is_missing_is_told_with_the_grant_that_mends_it() {
        let neither = role(|role| (role.may_alter, role.may_signal) = (false, false));
        assert_eq!(
            remedy(&neither, 15),
            "ALTER ROLE \"mover\" CREATEROLE; GRANT pg_signal_backend TO \"mover\";"
        );
        let other = role(|role| role.may_alter = false);
        assert!(remedy(&other, 16).contains("GRANT \"app\" TO \"mover\" WITH ADMIN OPTION;"));
    }

    #[test]
    fn a_group_s_members_are_named_in_its_place() {
        let group = role(|role| {
            role.may_log_in = false;
            role.members = vec!["a".to_owned(), "b".to_owned()];
        });
        assert_eq!(remedy(&group, 15), "name the roles that log in: a,b");
    }
}
