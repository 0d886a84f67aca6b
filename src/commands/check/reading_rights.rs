//! What the source's user lacks for reading everything, with the grants that mend it.

use crate::catalog::Scope;
use crate::commands::survey::ChosenNames;
use crate::error::Result;
use crate::pg::{QualifiedName, quote_ident};
use crate::toc::{Finding, counted};
use crate::wire::Session;

use super::gathered::named;
use super::sides::Sides;

/// What can't be read as things are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Missing {
    /// Schemas that can't be looked into.
    schemas: Vec<String>,
    /// Tables that can't be read or locked.
    tables: Vec<QualifiedName>,
    /// Sequences whose value can't be read.
    sequences: Vec<QualifiedName>,
    /// Tables some of whose rows a policy hides.
    hidden: Vec<QualifiedName>,
    /// Large objects that can't be read: the first of them.
    large_objects: Vec<String>,
    /// How many there are.
    large_objects_count: i64,
    /// Whether the snapshot can't be handed to the workers.
    no_snapshot: bool,
}

/// Names what the source's user may not read.
/// Where a part is `chosen`, nothing else needs to be read.
pub(super) async fn findings(
    sides: &Sides<'_>,
    chosen: Option<&ChosenNames>,
) -> Result<Vec<Finding>> {
    let mut missing = read(&sides.source).await?;
    if let Some(chosen) = chosen {
        missing.schemas.retain(|schema| chosen.schemas.contains(schema));
        for relations in [&mut missing.tables, &mut missing.sequences, &mut missing.hidden] {
            relations.retain(|name| chosen.relations.contains(name));
        }
    }
    Ok(judge(&missing, sides.pair.source.user()))
}

async fn read(source: &Session) -> Result<Missing> {
    let doing = "looking for privileges that are missing on the source";
    let scope = Scope::default();
    let schemas = format!(
        "SELECT n.nspname::text FROM pg_catalog.pg_namespace n WHERE {} \
         AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') ORDER BY 1",
        scope.schemas("n.nspname")
    );
    // A policy hides nothing that row_security = off, which our sessions have, wouldn't turn into
    // an error: this asks whether it would.
    let relations = format!(
        "SELECT n.nspname::text, c.relname::text, c.relkind::text, \
         pg_catalog.has_table_privilege(c.oid, 'SELECT'), \
         pg_catalog.row_security_active(c.oid) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'S') AND {} ORDER BY 1, 2",
        scope.schemas("n.nspname")
    );
    let snapshot = "SELECT pg_catalog.has_function_privilege(\
                    'pg_catalog.pg_export_snapshot()', 'EXECUTE')";
    let mut missing = Missing {
        no_snapshot: !source.query_one(doing, snapshot, &[]).await?.get::<_, bool>(0),
        ..Missing::default()
    };
    for row in source.query(doing, &schemas, &[]).await? {
        missing.schemas.push(row.get(0));
    }
    for row in source.query(doing, &large_objects_sql(source.version().major()), &[]).await? {
        missing.large_objects.push(row.get(0));
        missing.large_objects_count = row.get(1);
    }
    for row in source.query(doing, &relations, &[]).await? {
        let relation = QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
        let is_sequence = row.get::<_, &str>(2) == "S";
        match (row.get(3), row.get(4)) {
            (false, _) if is_sequence => missing.sequences.push(relation),
            (false, _) => missing.tables.push(relation),
            (true, true) => missing.hidden.push(relation),
            (true, false) => {}
        }
    }
    Ok(missing)
}

/// The first large objects that may not be read, and how many there are. Servers before 18 have no
/// function for it: who may is told by the grants, and by a setting that makes them void.
fn large_objects_sql(major: u32) -> String {
    let readable = match major {
        18.. => "pg_catalog.has_largeobject_privilege(m.oid, 'SELECT')",
        _ => {
            "EXISTS (SELECT FROM pg_catalog.aclexplode(\
             coalesce(m.lomacl, pg_catalog.acldefault('L', m.lomowner))) a \
             WHERE a.privilege_type = 'SELECT' \
             AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE'))) \
             OR pg_catalog.current_setting('lo_compat_privileges') = 'on' \
             OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER)"
        }
    };
    format!(
        "SELECT m.oid::text, pg_catalog.count(*) OVER () \
         FROM pg_catalog.pg_largeobject_metadata m WHERE NOT ({readable}) ORDER BY m.oid LIMIT 3"
    )
}

fn judge(missing: &Missing, user: &str) -> Vec<Finding> {
    let ident = quote_ident(user);
    let mut found = Vec::new();
    let mut refuse = |object: &str, what: String, remedy: String| {
        found.push(Finding::refusal(object, what).mend(remedy));
    };
    if !missing.schemas.is_empty() {
        let all: Vec<String> = missing.schemas.iter().map(|name| quote_ident(name)).collect();
        refuse(
            "source schemas",
            format!(
                "{user} may not use {}: {}",
                counted(all.len(), "schema"),
                named(&missing.schemas)
            ),
            format!("on the source: GRANT USAGE ON SCHEMA {} TO {ident};", all.join(", ")),
        );
    }
    for (relations, one, kind) in
        [(&missing.tables, "table", "TABLE"), (&missing.sequences, "sequence", "SEQUENCE")]
    {
        if !relations.is_empty() {
            refuse(
                &format!("source {one}s"),
                format!(
                    "{user} may not read {}: {}",
                    counted(relations.len(), one),
                    names(relations)
                ),
                grants(relations, kind, &ident),
            );
        }
    }
    if !missing.hidden.is_empty() {
        refuse(
            "source tables",
            format!(
                "policies hide rows of {} from {user}: {}",
                counted(missing.hidden.len(), "table"),
                names(&missing.hidden)
            ),
            format!(
                "on the source, as a superuser: ALTER ROLE {ident} BYPASSRLS; or connect as a \
                 superuser"
            ),
        );
    }
    if let Some(first) = missing.large_objects.first() {
        let named = missing.large_objects.join(", ");
        let what = match missing.large_objects_count {
            1 => format!("{user} may not read large object {named}"),
            n if n > missing.large_objects.len() as i64 => {
                format!("{user} may not read {n} large objects: {named}, …")
            }
            n => format!("{user} may not read {n} large objects: {named}"),
        };
        let remedy = format!(
            "on the source: GRANT SELECT ON LARGE OBJECT {first} TO {ident}; and so for each, or \
             make {user} a member of their owners"
        );
        refuse("source large objects", what, remedy);
    }
    if missing.no_snapshot {
        refuse(
            "source server",
            format!("{user} may not export snapshots, which the workers share"),
            format!(
                "on the source: GRANT EXECUTE ON FUNCTION pg_catalog.pg_export_snapshot() TO \
                 {ident};"
            ),
        );
    }
    found
}

/// The statements for a few; a statement per schema where there are many.
fn grants(relations: &[QualifiedName], kind: &str, user: &str) -> String {
    const FEW: usize = 10;
    if relations.len() <= FEW {
        let names: Vec<String> = relations.iter().map(QualifiedName::sql).collect();
        return format!("on the source: GRANT SELECT ON {kind} {} TO {user};", names.join(", "));
    }
    let mut schemas: Vec<&str> = relations.iter().map(|name| name.schema.as_str()).collect();
    schemas.dedup();
    let schemas: Vec<String> = schemas.into_iter().map(quote_ident).collect();
    format!(
        "on the source: GRANT SELECT ON ALL {kind}S IN SCHEMA {} TO {user};",
        schemas.join(", ")
    )
}

fn names(relations: &[QualifiedName]) -> String {
    let names: Vec<String> = relations.iter().map(QualifiedName::to_string).collect();
    named(&names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(count: usize) -> Vec<QualifiedName> {
        (0..count).map(|n| QualifiedName::new("s", format!("t{n}"))).collect()
    }

    #[test]
    fn nothing_missing_is_no_finding() {
        assert!(judge(&Missing::default(), "me").is_empty());
    }

    #[test]
    fn a_few_tables_are_granted_by_name() {
        let missing = Missing { tables: tables(2), ..Missing::default() };
        let found = judge(&missing, "me");
        assert_eq!(found[0].what, "me may not read 2 tables: s.t0, s.t1");
        assert_eq!(
            found[0].remedy.as_deref(),
            Some("on the source: GRANT SELECT ON TABLE \"s\".\"t0\", \"s\".\"t1\" TO \"me\";")
        );
    }

    #[test]
    fn many_tables_are_granted_by_schema() {
        let missing = Missing { tables: tables(12), ..Missing::default() };
        let found = judge(&missing, "me");
        assert!(found[0].what.ends_with("s.t9 and 2 more"), "{}", found[0].what);
        assert_eq!(
            found[0].remedy.as_deref(),
            Some("on the source: GRANT SELECT ON ALL TABLES IN SCHEMA \"s\" TO \"me\";")
        );
    }
}
