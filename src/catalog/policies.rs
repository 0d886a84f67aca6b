//! Row security: the policies, and whether a table heeds them.

use crate::error::Result;
use crate::pg::{class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::relations::{Relation, Relations};
use super::rendered::rendered_if;
use super::scope::Scope;

/// A policy of a table.
#[derive(Debug, Clone)]
struct Policy {
    name: String,
    permissive: bool,
    /// `polcmd`: r, a, w, d or * for all.
    command: String,
    /// None at all stands for everybody.
    roles: Vec<String>,
    using: Option<String>,
    check: Option<String>,
}

/// Adds POLICY and ROW SECURITY entries.
pub(super) async fn read(
    session: &Session,
    scope: &Scope,
    relations: &Relations,
    out: &mut Builder,
) -> Result<()> {
    for table in relations.iter().filter(|table| table.row_security) {
        let id = out.add_part(Entry {
            create: format!("ALTER TABLE {} ENABLE ROW LEVEL SECURITY;\n", table.sql()),
            drop: format!("ALTER TABLE {} DISABLE ROW LEVEL SECURITY;\n", table.sql()),
            ..Entry::new(Kind::RowSecurity, Some(&table.name.schema), &table.name.name)
        });
        out.needs(id, table.object());
    }
    let sql = policies_sql(scope);
    let rows = session.query("reading policies", &sql, &[]).await?;
    for row in &rows {
        let Some(table) = relations.own(row.get("polrelid")) else {
            continue;
        };
        let named = || format!("policy {} of {}", row.get::<_, &str>("polname"), table.name);
        let policy = Policy {
            name: row.get("polname"),
            permissive: row.get("polpermissive"),
            command: row.get("command"),
            roles: row.get("roles"),
            using: rendered_if(row, row.get("has_using"), "using_sql", named)?,
            check: rendered_if(row, row.get("has_check"), "check_sql", named)?,
        };
        let object = ObjectId::new(class::PG_POLICY, row.get("oid"));
        let id = out.add(object, entry(table, &policy));
        out.needs(id, table.object());
        for role in row.get::<_, Vec<u32>>("polroles") {
            out.needs(id, ObjectId::new(class::PG_AUTHID, role));
        }
    }
    Ok(())
}

fn entry(table: &Relation, policy: &Policy) -> Entry {
    let name = quote_ident(&policy.name);
    let mut sql = format!("CREATE POLICY {name} ON {}", table.sql());
    if !policy.permissive {
        sql.push_str(" AS RESTRICTIVE");
    }
    if let Some(command) = command(&policy.command) {
        sql.push_str(&format!(" FOR {command}"));
    }
    if !policy.roles.is_empty() {
        let roles: Vec<String> = policy.roles.iter().map(|role| quote_ident(role)).collect();
        sql.push_str(&format!(" TO {}", roles.join(", ")));
    }
    if let Some(using) = &policy.using {
        sql.push_str(&format!(" USING ({using})"));
    }
    if let Some(check) = &policy.check {
        sql.push_str(&format!(" WITH CHECK ({check})"));
    }
    sql.push_str(";\n");
    Entry {
        create: sql,
        drop: format!("DROP POLICY {name} ON {};\n", table.sql()),
        ..Entry::new(Kind::Policy, Some(&table.name.schema), table.tag_of(&policy.name))
    }
}

fn command(code: &str) -> Option<&'static str> {
    Some(match code {
        "r" => "SELECT",
        "a" => "INSERT",
        "w" => "UPDATE",
        "d" => "DELETE",
        _ => return None,
    })
}

fn policies_sql(scope: &Scope) -> String {
    format!(
        "SELECT p.oid, p.polrelid, p.polname, p.polpermissive, p.polcmd::text AS command, \
                p.polroles, p.polqual IS NOT NULL AS has_using, \
                p.polwithcheck IS NOT NULL AS has_check, \
                ARRAY(SELECT pg_catalog.pg_get_userbyid(r)::text \
                      FROM pg_catalog.unnest(p.polroles) r WHERE r <> 0) AS roles, \
                pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS using_sql, \
                pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS check_sql \
         FROM pg_catalog.pg_policy p \
         JOIN pg_catalog.pg_class c ON c.oid = p.polrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE {}",
        scope.schemas("n.nspname")
    )
}

#[cfg(test)]
mod tests {
    use super::super::relations::sample;
    use super::*;

    #[test]
    fn a_policy_says_only_what_differs_from_the_default() {
        let table = sample::table(1, "t");
        let open = Policy {
            name: "p".to_owned(),
            permissive: true,
            command: "*".to_owned(),
            roles: Vec::new(),
            using: Some("true".to_owned()),
            check: None,
        };
        assert_eq!(
            entry(&table, &open).create,
            "CREATE POLICY \"p\" ON \"s\".\"t\" USING (true);\n"
        );
        let strict = Policy {
            permissive: false,
            command: "w".to_owned(),
            roles: vec!["a".to_owned(), "B".to_owned()],
            check: Some("(x > 0)".to_owned()),
            ..open
        };
        assert_eq!(
            entry(&table, &strict).create,
            "CREATE POLICY \"p\" ON \"s\".\"t\" AS RESTRICTIVE FOR UPDATE TO \"a\", \"B\" \
             USING (true) WITH CHECK ((x > 0));\n"
        );
    }
}
