//! What the target's user lacks for the job, with the grants that mend it. Roles that it can't
//! create or become, adapting the table of contents tells.

use crate::commands::survey::Source;
use crate::error::Result;
use crate::pg::quote_ident;
use crate::toc::{Entry, Finding, Kind, TargetFacts, Toc};

use super::sides::Sides;

/// What the target's user may do.
#[derive(Debug, Clone, Copy)]
struct May {
    create_databases: bool,
    /// In the target database, where it is there.
    create_schemas: bool,
    /// In schema `public`, where it is there.
    create_in_public: bool,
}

/// Names what the target's user may not do, but would have to.
pub(super) async fn findings(
    sides: &Sides<'_>,
    source: &Source,
    facts: &TargetFacts,
) -> Result<Vec<Finding>> {
    let may = read(sides).await?;
    if sides.target_is_missing() {
        let found = judge_server(may, facts, sides.target_name(), sides.clears);
        return Ok(found.into_iter().collect());
    }
    Ok(judge_database(may, facts, &source.toc, sides.target_name()))
}

async fn read(sides: &Sides<'_>) -> Result<May> {
    let sql = "SELECT r.rolcreatedb OR r.rolsuper, \
         pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'), \
         coalesce((SELECT pg_catalog.has_schema_privilege(n.oid, 'CREATE') \
         AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
         FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public'), true) \
         FROM pg_catalog.pg_roles r WHERE r.rolname = CURRENT_USER";
    let row = sides.target().query_one("asking what the target user may do", sql, &[]).await?;
    Ok(May {
        create_databases: row.get(0),
        create_schemas: row.get(1),
        create_in_public: row.get(2),
    })
}

fn judge_server(may: May, facts: &TargetFacts, database: &str, clears: bool) -> Option<Finding> {
    let user = &facts.user;
    let what = format!("has to be made, and {user} may not create databases");
    let ident = quote_ident(user);
    let or_make_it = match clears {
        true => String::new(),
        false => format!(" or CREATE DATABASE {} OWNER {ident};", quote_ident(database)),
    };
    let remedy =
        format!("as an administrator of the target: ALTER ROLE {ident} CREATEDB;{or_make_it}");
    (!may.create_databases).then(|| Finding::refusal("target database", what).mend(remedy))
}

fn judge_database(may: May, facts: &TargetFacts, toc: &Toc, database: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let (user, ident) = (&facts.user, quote_ident(&facts.user));
    if !may.create_schemas {
        let what = format!("{user} may not create schemas in it, the ledger's among them");
        let remedy = format!(
            "as {}, its owner: GRANT CREATE ON DATABASE {} TO {ident};",
            facts.database_owner,
            quote_ident(database)
        );
        found.push(Finding::refusal("target database", what).mend(remedy));
    }
    let will_act_as_owner = facts.acts_as(&facts.database_owner)
        || owns_something(toc, &facts.database_owner) && facts.can_join(&facts.database_owner);
    let in_public =
        |entry: &&Entry| entry.schema.as_deref() == Some("public") && !entry.drop.is_empty();
    if !may.create_in_public && !will_act_as_owner && toc.entries.iter().any(|e| in_public(&e)) {
        let what = format!("{user} may not create objects in it");
        let remedy = format!(
            "in the target database, as its owner: GRANT USAGE, CREATE ON SCHEMA public TO {ident};"
        );
        found.push(Finding::refusal("SCHEMA public", what).mend(remedy));
    }
    let is_set = |e: &Entry| e.kind == Kind::DatabaseProperties && !e.create.is_empty();
    let has_properties = toc.entries.iter().any(is_set);
    if has_properties && !will_act_as_owner {
        let what = format!(
            "{user} isn't its owner, {}, so the source database's settings can't be set on it",
            facts.database_owner
        );
        let remedy = format!(
            "as an administrator of the target: GRANT {} TO {ident};",
            quote_ident(&facts.database_owner)
        );
        found.push(Finding::refusal("target database", what).mend(remedy));
    }
    found
}

/// The job makes its user a member of every role that owns something.
fn owns_something(toc: &Toc, role: &str) -> bool {
    toc.entries.iter().any(|entry| entry.owner.as_deref() == Some(role))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::ServerVersion;

    const ALL: May = May { create_databases: true, create_schemas: true, create_in_public: true };

    fn facts() -> TargetFacts {
        TargetFacts {
            version: ServerVersion(150_000),
            user: "me".to_owned(),
            superuser: false,
            create_role: false,
            create_database: false,
            database: "shop".to_owned(),
            database_owner: "app".to_owned(),
            roles: Default::default(),
            extensions: Default::default(),
            superuser_settings: Default::default(),
            known_settings: Default::default(),
            holds: Default::default(),
        }
    }

    fn toc() -> Toc {
        let table = Entry {
            drop: "DROP TABLE \"public\".\"t\";".to_owned(),
            ..Entry::new(Kind::Table, Some("public"), "t")
        };
        let properties = Entry {
            create: "ALTER DATABASE \"shop\" CONNECTION LIMIT 7;\n".to_owned(),
            ..Entry::new(Kind::DatabaseProperties, None, "shop")
        };
        Toc { entries: vec![properties, table] }
    }

    #[test]
    fn every_missing_right_is_told_with_its_grant() {
        let none = May { create_schemas: false, create_in_public: false, ..ALL };
        let found = judge_database(
            none,
            &TargetFacts { roles: [("app".to_owned(), Default::default())].into(), ..facts() },
            &toc(),
            "shop",
        );
        let remedies: Vec<&str> = found.iter().filter_map(|f| f.remedy.as_deref()).collect();
        assert_eq!(
            remedies,
            [
                "as app, its owner: GRANT CREATE ON DATABASE \"shop\" TO \"me\";",
                "in the target database, as its owner: GRANT USAGE, CREATE ON SCHEMA public TO \
                 \"me\";",
                "as an administrator of the target: GRANT \"app\" TO \"me\";",
            ]
        );
    }

    #[test]
    fn the_owner_lacks_nothing() {
        let facts = TargetFacts { database_owner: "me".to_owned(), ..facts() };
        assert!(judge_database(ALL, &facts, &toc(), "shop").is_empty());
    }

    #[test]
    fn a_missing_database_takes_createdb() {
        assert_eq!(judge_server(ALL, &facts(), "shop", false), None);
        let finding = judge_server(May { create_databases: false, ..ALL }, &facts(), "shop", false);
        assert!(
            finding
                .unwrap()
                .remedy
                .unwrap()
                .starts_with("as an administrator of the target: ALTER ROLE \"me\" CREATEDB;")
        );
    }
}
