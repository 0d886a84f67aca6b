//! Default privileges: what objects get that a role will create
//! (documentation: SQL command ALTER DEFAULT PRIVILEGES).

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::{class, quote_ident};
use crate::toc::{Entry, Kind, StandingDefaults};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::grants::{self, Grantable, Target};
use super::scope::Scope;

/// Adds an entry for each role, schema and kind of object whose default privileges were changed.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let sql = query(&format!("n.nspname is null or {}", scope.schemas("n.nspname")));
    for row in session.query("reading default privileges", &sql, &[]).await? {
        let defaults = Defaults::of(&row);
        let object = ObjectId::new(class::PG_DEFAULT_ACL, row.get("oid"));
        match defaults.entry() {
            Some(entry) if entry.create.is_empty() => out.needs_no_entry(object),
            Some(entry) => {
                let id = out.add(object, entry);
                if defaults.schema.is_some() {
                    out.needs(id, ObjectId::new(class::PG_NAMESPACE, row.get("schema_oid")));
                }
            }
            None => out.unsupported(
                format!("default privileges of role {}", defaults.role),
                format!("objects of type \"{}\" are not known", defaults.kind),
            ),
        }
    }
    Ok(())
}

/// The default privileges of whom the session is: what it creates gets them.
pub(super) async fn of_this_user(session: &Session) -> Result<Vec<StandingDefaults>> {
    let sql = query("r.rolname = CURRENT_USER");
    let rows = session.query("reading the target's default privileges", &sql, &[]).await?;
    // Of a kind that isn't known nothing is created.
    Ok(rows.iter().filter_map(|row| Defaults::of(row).standing()).collect())
}

/// The privileges of one schema come on top of the global ones, so they start from nothing.
fn query(condition: &str) -> String {
    format!(
        "select a.oid, r.rolname::text, n.nspname::text, coalesce(n.oid, 0) as schema_oid, \
         a.defaclobjtype::text, a.defaclacl::text[] as acl, \
         case when a.defaclnamespace = 0 then pg_catalog.acldefault( \
         case a.defaclobjtype when 'S' then 's'::\"char\" else a.defaclobjtype end, \
         a.defaclrole)::text[] else '{{}}' end as base \
         from pg_catalog.pg_default_acl a \
         join pg_catalog.pg_roles r on r.oid = a.defaclrole \
         left join pg_catalog.pg_namespace n on n.oid = a.defaclnamespace \
         where {condition} \
         order by n.nspname nulls first, a.defaclobjtype, r.rolname"
    )
}

#[derive(Debug)]
struct Defaults {
    role: String,
    schema: Option<String>,
    kind: String,
    base: Vec<String>,
    acl: Vec<String>,
}

impl Defaults {
    fn of(row: &Row) -> Defaults {
        Defaults {
            role: row.get("rolname"),
            schema: row.get("nspname"),
            kind: row.get("defaclobjtype"),
            base: row.get("base"),
            acl: row.get("acl"),
        }
    }

    /// None for a kind of object that isn't known.
    fn target(&self) -> Option<Target<'_>> {
        let (kind, objects) = match self.kind.as_str() {
            "r" => (Grantable::Table, "TABLES"),
            "S" => (Grantable::Sequence, "SEQUENCES"),
            "f" => (Grantable::Function, "FUNCTIONS"),
            "T" => (Grantable::Type, "TYPES"),
            "n" => (Grantable::Schema, "SCHEMAS"),
            "L" => (Grantable::LargeObject, "LARGE OBJECTS"),
            _ => return None,
        };
        let mut prefix = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {} ", quote_ident(&self.role));
        if let Some(schema) = &self.schema {
            prefix.push_str(&format!("IN SCHEMA {} ", quote_ident(schema)));
        }
        Some(Target { kind, object: objects.to_owned(), column: None, owner: &self.role, prefix })
    }

    /// A server keeps them in the order of the roles' OIDs (source: aclchk.c, SetDefaultACL), which
    /// is another on each.
    fn sql(&self, target: &Target<'_>) -> Option<String> {
        let mut acl = self.acl.clone();
        acl.sort();
        grants::statements(target, &self.base, &acl)
    }

    fn entry(&self) -> Option<Entry> {
        let target = self.target()?;
        Some(Entry {
            owner: Some(self.role.clone()),
            create: self.sql(&target)?,
            ..Entry::new(Kind::DefaultAcl, self.schema.as_deref(), name_of(&target))
        })
    }

    fn standing(&self) -> Option<StandingDefaults> {
        let target = self.target()?;
        Some(StandingDefaults {
            name: name_of(&target),
            schema: self.schema.clone(),
            set_aside: grants::statements(&target, &self.acl, &self.base)?,
            restore: self.sql(&target)?,
        })
    }
}

fn name_of(target: &Target<'_>) -> String {
    format!("DEFAULT PRIVILEGES FOR {}", target.object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schemas_default_privileges_are_granted_on_top_of_nothing() {
        let defaults = Defaults {
            role: "o".to_owned(),
            schema: Some("s".to_owned()),
            kind: "r".to_owned(),
            base: Vec::new(),
            acl: vec!["a=r/o".to_owned()],
        };
        let entry = defaults.entry().unwrap();
        assert_eq!(entry.title(), "DEFAULT ACL s.DEFAULT PRIVILEGES FOR TABLES");
        assert_eq!(
            entry.create,
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"o\" IN SCHEMA \"s\" \
             GRANT SELECT ON TABLES TO \"a\";\n"
        );
    }

    #[test]
    fn default_privileges_are_told_in_the_same_order_whatever_the_roles_oids() {
        let told = |acl: [&str; 2]| {
            let defaults = Defaults {
                role: "o".to_owned(),
                schema: Some("s".to_owned()),
                kind: "r".to_owned(),
                base: Vec::new(),
                acl: acl.map(str::to_owned).to_vec(),
            };
            defaults.entry().unwrap().create
        };
        assert_eq!(told(["a=r/o", "b=r/o"]), told(["b=r/o", "a=r/o"]));
    }

    #[test]
    fn what_public_may_by_default_can_be_revoked_globally() {
        let defaults = Defaults {
            role: "o".to_owned(),
            schema: None,
            kind: "f".to_owned(),
            base: vec!["=X/o".to_owned(), "o=X/o".to_owned()],
            acl: vec!["o=X/o".to_owned()],
        };
        assert_eq!(
            defaults.entry().unwrap().create,
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"o\" REVOKE ALL ON FUNCTIONS FROM PUBLIC;\n"
        );
        let standing = defaults.standing().unwrap();
        assert_eq!(standing.restore, defaults.entry().unwrap().create);
        assert_eq!(
            standing.set_aside,
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"o\" GRANT ALL ON FUNCTIONS TO PUBLIC;\n"
        );
    }
}
