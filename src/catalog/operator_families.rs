//! Operator families, with the members that belong to no class (documentation: SQL commands CREATE
//! and ALTER OPERATOR FAMILY).

use crate::error::Result;
use crate::pg::{QualifiedName, class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{qualified, stands_alone};
use super::operator_members::{Member, Members};
use super::scope::Scope;

/// Adds an entry for each of the user's operator families, and one for what users added to the
/// system's or an extension's, which pg_dump loses.
pub(super) async fn read(
    session: &Session,
    scope: &Scope,
    members: &Members,
    out: &mut Builder,
) -> Result<()> {
    let sql = query(scope);
    let with_loose: Vec<u32> = members.families_with_loose().into_iter().collect();
    for row in session.query("reading operator families", &sql, &[&with_loose]).await? {
        let oid: u32 = row.get("oid");
        let object = ObjectId::new(class::PG_OPFAMILY, oid);
        let family = Family {
            name: qualified(&row, "opfname"),
            owner: row.get("owner"),
            method: row.get("amname"),
        };
        let loose: Vec<&Member> = members.loose(oid).iter().collect();
        let (id, told) = if row.get("own") {
            (out.add(object, family.entry(&loose)), loose)
        } else {
            let of_extension = out.is_extension_member(object);
            let added: Vec<&Member> = loose
                .into_iter()
                .filter(|member| {
                    let users = member.parts.iter().any(|part| out.creator(*part).is_some());
                    let brought = member.parts.iter().any(|part| out.is_extension_member(*part));
                    users || !(of_extension || brought)
                })
                .collect();
            if added.is_empty() {
                continue;
            }
            let id = out.add_part(family.additions(&added));
            out.needs(id, object);
            (id, added)
        };
        for member in told {
            out.also_creates(id, member.row);
        }
    }
    Ok(())
}

fn query(scope: &Scope) -> String {
    format!(
        "select * from (select o.oid, n.nspname::text, o.opfname::text, \
         pg_catalog.pg_get_userbyid(o.opfowner)::text as owner, a.amname::text, \
         {} and {} as own \
         from pg_catalog.pg_opfamily o \
         join pg_catalog.pg_namespace n on n.oid = o.opfnamespace \
         join pg_catalog.pg_am a on a.oid = o.opfmethod) families \
         where own or oid = any ($1) order by nspname, opfname, amname",
        scope.schemas("n.nspname"),
        stands_alone("pg_opfamily", "o.oid"),
    )
}

#[derive(Debug)]
struct Family {
    name: QualifiedName,
    owner: String,
    method: String,
}

impl Family {
    fn entry(&self, loose: &[&Member]) -> Entry {
        let name = self.sql();
        let mut create = format!("CREATE OPERATOR FAMILY {name};\n");
        if !loose.is_empty() {
            create.push_str(&self.additions(loose).create);
        }
        Entry {
            owner: Some(self.owner.clone()),
            create,
            drop: format!("DROP OPERATOR FAMILY {name};"),
            ..self.bare()
        }
    }

    /// The entry that adds `members` to a family that is there.
    fn additions(&self, members: &[&Member]) -> Entry {
        let members: Vec<&str> = members.iter().map(|member| member.sql.as_str()).collect();
        let (name, members) = (self.sql(), members.join(",\n\t"));
        Entry { create: format!("ALTER OPERATOR FAMILY {name} ADD\n\t{members};\n"), ..self.bare() }
    }

    fn sql(&self) -> String {
        format!("{} USING {}", self.name.sql(), quote_ident(&self.method))
    }

    fn bare(&self) -> Entry {
        Entry::new(Kind::OperatorFamily, Some(&self.name.schema), self.name.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family() -> Family {
        Family {
            name: QualifiedName::new("s", "F"),
            owner: "o".to_owned(),
            method: "btree".to_owned(),
        }
    }

    #[test]
    fn a_family_has_the_members_that_no_class_has() {
        let member = |sql: &str| Member {
            row: ObjectId::new(class::PG_AMOP, 1),
            parts: [ObjectId::new(class::PG_OPERATOR, 2); 3],
            sql: sql.to_owned(),
        };
        let (a, b) = (member("OPERATOR 1 s.<(a,b)"), member("FUNCTION 1 (a, b) s.f(a,b)"));
        let entry = family().entry(&[&a, &b]);
        assert_eq!(
            entry.create,
            "CREATE OPERATOR FAMILY \"s\".\"F\" USING \"btree\";\n\
             ALTER OPERATOR FAMILY \"s\".\"F\" USING \"btree\" ADD\n\
             \tOPERATOR 1 s.<(a,b),\n\tFUNCTION 1 (a, b) s.f(a,b);\n"
        );
        assert_eq!(
            entry.owner_sql("x").as_deref(),
            Some("ALTER OPERATOR FAMILY \"s\".\"F\" USING \"btree\" OWNER TO \"x\";\n")
        );
        assert_eq!(family().additions(&[&a]).owner_sql("x"), None);
    }

    #[test]
    fn a_family_may_be_empty() {
        assert_eq!(
            family().entry(&[]).create,
            "CREATE OPERATOR FAMILY \"s\".\"F\" USING \"btree\";\n"
        );
    }
}
