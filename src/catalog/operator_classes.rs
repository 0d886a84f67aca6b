//! Operator classes (documentation: SQL command CREATE OPERATOR CLASS).

use crate::error::Result;
use crate::pg::{QualifiedName, class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{qualified, quoted, stands_alone};
use super::operator_members::{Member, Members};
use super::scope::Scope;

/// Adds an entry for each of the user's operator classes.
pub(super) async fn read(
    session: &Session,
    scope: &Scope,
    members: &Members,
    out: &mut Builder,
) -> Result<()> {
    for row in session.query("reading operator classes", &query(scope), &[]).await? {
        let oid: u32 = row.get("oid");
        let operator_class = OperatorClass {
            name: qualified(&row, "opcname"),
            owner: row.get("owner"),
            method: row.get("amname"),
            default: row.get("opcdefault"),
            input: row.get("input"),
            storage: row.get("storage"),
            family: row.get("family"),
        };
        let own = members.of_class(oid);
        let id = out.add(ObjectId::new(class::PG_OPCLASS, oid), operator_class.entry(own));
        for member in own {
            out.also_creates(id, member.row);
        }
    }
    Ok(())
}

fn query(scope: &Scope) -> String {
    format!(
        "select o.oid, n.nspname::text, o.opcname::text, \
         pg_catalog.pg_get_userbyid(o.opcowner)::text as owner, a.amname::text, o.opcdefault, \
         pg_catalog.format_type(o.opcintype, null) as input, \
         case when o.opckeytype <> 0 then pg_catalog.format_type(o.opckeytype, null) end \
         as storage, {family} as family \
         from pg_catalog.pg_opclass o \
         join pg_catalog.pg_namespace n on n.oid = o.opcnamespace \
         join pg_catalog.pg_am a on a.oid = o.opcmethod \
         join pg_catalog.pg_opfamily f on f.oid = o.opcfamily \
         join pg_catalog.pg_namespace fn on fn.oid = f.opfnamespace \
         where {schema} and {alone} order by n.nspname, o.opcname, a.amname",
        family = quoted("fn.nspname", "f.opfname"),
        schema = scope.schemas("n.nspname"),
        alone = stands_alone("pg_opclass", "o.oid"),
    )
}

/// An operator class; its types and its family are SQL.
#[derive(Debug)]
struct OperatorClass {
    name: QualifiedName,
    owner: String,
    method: String,
    default: bool,
    input: String,
    /// Where it isn't the input's own type.
    storage: Option<String>,
    family: String,
}

impl OperatorClass {
    /// A class that has nothing stores what it takes: a list must not be empty, and that is how
    /// it is anyway (source: DefineOpClass in commands/opclasscmds.c).
    fn entry(&self, members: &[Member]) -> Entry {
        let name = format!("{} USING {}", self.name.sql(), quote_ident(&self.method));
        let storage = match (&self.storage, members) {
            (None, []) => Some(&self.input),
            (storage, _) => storage.as_ref(),
        };
        let parts: Vec<String> = storage
            .map(|storage| format!("STORAGE {storage}"))
            .into_iter()
            .chain(members.iter().map(|member| member.sql.clone()))
            .collect();
        Entry {
            owner: Some(self.owner.clone()),
            create: format!(
                "CREATE OPERATOR CLASS {}\n\t{}FOR TYPE {} USING {} FAMILY {} AS\n\t{};\n",
                self.name.sql(),
                if self.default { "DEFAULT " } else { "" },
                self.input,
                quote_ident(&self.method),
                self.family,
                parts.join(",\n\t")
            ),
            drop: format!("DROP OPERATOR CLASS {name};"),
            ..Entry::new(Kind::OperatorClass, Some(&self.name.schema), self.name.name.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator_class() -> OperatorClass {
        OperatorClass {
            name: QualifiedName::new("s", "C"),
            owner: "o".to_owned(),
            method: "gist".to_owned(),
            default: true,
            input: "s.t".to_owned(),
            storage: Some("box".to_owned()),
            family: "\"s\".\"F\"".to_owned(),
        }
    }

    #[test]
    fn a_class_tells_its_storage_and_its_members() {
        let member = Member {
            row: ObjectId::new(class::PG_AMOP, 1),
            parts: [ObjectId::new(class::PG_OPERATOR, 2); 3],
            sql: "OPERATOR 1 s.<<(s.t,s.t)".to_owned(),
        };
        let entry = operator_class().entry(&[member]);
        assert_eq!(
            entry.create,
            "CREATE OPERATOR CLASS \"s\".\"C\"\n\tDEFAULT FOR TYPE s.t USING \"gist\" \
             FAMILY \"s\".\"F\" AS\n\tSTORAGE box,\n\tOPERATOR 1 s.<<(s.t,s.t);\n"
        );
        assert_eq!(entry.drop, "DROP OPERATOR CLASS \"s\".\"C\" USING \"gist\";");
    }

    #[test]
    fn a_class_without_anything_stores_what_it_takes() {
        let bare = OperatorClass { storage: None, default: false, ..operator_class() };
        assert!(bare.entry(&[]).create.ends_with("AS\n\tSTORAGE s.t;\n"));
    }
}
