//! Operators (documentation: SQL command CREATE OPERATOR).

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::{QualifiedName, class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{function_name, operator_name, qualified, stands_alone};
use super::operator_links;
use super::scope::Scope;
use super::types::listed;

/// Adds an entry for each of the user's operators.
///
/// One that was only named, as another's commutator or negator, comes into being again as soon as
/// the other names it; nothing does that for one whose namer is gone, and nobody can use it.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let mut operators = BTreeMap::new();
    let mut links = HashMap::new();
    let mut partners = HashMap::new();
    for row in session.query("reading operators", &query(scope), &[]).await? {
        let operator = Operator::of(&row);
        let oid: u32 = row.get("oid");
        if operator.function.is_some() {
            out.add(ObjectId::new(class::PG_OPERATOR, oid), operator.entry());
            links.insert(oid, [row.get("oprcom"), row.get("oprnegate")]);
            partners.insert(oid, [row.get("commutes_with"), row.get("negates")]);
            operators.insert(oid, operator);
        } else if !row.get::<_, bool>("named") {
            let object = format!("operator {} {}", operator.name, operator.arguments());
            out.left_out(object, "it has no function, and no operator names it any more");
            out.needs_no_entry(ObjectId::new(class::PG_OPERATOR, oid));
        } else {
            // The operator that names it makes it, too.
            out.needs_no_entry(ObjectId::new(class::PG_OPERATOR, oid));
        }
    }
    operator_links::settle(operators, &links, &partners, out);
    Ok(())
}

fn query(scope: &Scope) -> String {
    format!(
        "select o.oid, n.nspname::text, o.oprname::text, \
         pg_catalog.pg_get_userbyid(o.oprowner)::text as owner, \
         case when o.oprleft <> 0 then pg_catalog.format_type(o.oprleft, null) end as left, \
         case when o.oprright <> 0 then pg_catalog.format_type(o.oprright, null) end as right, \
         {function} as function, {commutator} as commutator, {negator} as negator, \
         o.oprcom, o.oprnegate, o.oprcanmerge, o.oprcanhash, {restrict} as restrict, {join} as join, \
         exists (select from pg_catalog.pg_operator namer \
         where o.oid in (namer.oprcom, namer.oprnegate)) as named, \
         (select other.oprcom from pg_catalog.pg_operator other where other.oid = o.oprcom) \
         as commutes_with, \
         (select other.oprnegate from pg_catalog.pg_operator other where other.oid = o.oprnegate) \
         as negates \
         from pg_catalog.pg_operator o \
         join pg_catalog.pg_namespace n on n.oid = o.oprnamespace \
         where {schema} and {alone} order by n.nspname, o.oprname, 5, 6",
        function = function_name("o.oprcode"),
        commutator = operator_name("o.oprcom"),
        negator = operator_name("o.oprnegate"),
        restrict = function_name("o.oprrest"),
        join = function_name("o.oprjoin"),
        schema = scope.schemas("n.nspname"),
        alone = stands_alone("pg_operator", "o.oid"),
    )
}

/// An operator; what it names is SQL.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    name: QualifiedName,
    owner: String,
    left: Option<String>,
    right: Option<String>,
    function: Option<String>,
    pub(super) commutator: Option<String>,
    pub(super) negator: Option<String>,
    merges: bool,
    hashes: bool,
    restrict: Option<String>,
    join: Option<String>,
}

impl Operator {
    fn of(row: &Row) -> Operator {
        Operator {
            name: qualified(row, "oprname"),
            owner: row.get("owner"),
            left: row.get("left"),
            right: row.get("right"),
            function: row.get("function"),
            commutator: row.get("commutator"),
            negator: row.get("negator"),
            merges: row.get("oprcanmerge"),
            hashes: row.get("oprcanhash"),
            restrict: row.get("restrict"),
            join: row.get("join"),
        }
    }

    /// As an option of another operator names it.
    pub(super) fn in_an_option(&self) -> String {
        format!("OPERATOR({}.{})", quote_ident(&self.name.schema), self.name.name)
    }

    /// Its operands' types, as DROP takes them.
    fn arguments(&self) -> String {
        let operand = |name: &Option<String>| name.clone().unwrap_or_else(|| "NONE".to_owned());
        format!("({}, {})", operand(&self.left), operand(&self.right))
    }

    /// An operator's name isn't quoted: it consists of signs.
    pub(super) fn entry(&self) -> Entry {
        let name = format!("{}.{}", quote_ident(&self.name.schema), self.name.name);
        let values = [
            ("FUNCTION", &self.function),
            ("LEFTARG", &self.left),
            ("RIGHTARG", &self.right),
            ("COMMUTATOR", &self.commutator),
            ("NEGATOR", &self.negator),
            ("RESTRICT", &self.restrict),
            ("JOIN", &self.join),
        ];
        let flags = [("HASHES", self.hashes), ("MERGES", self.merges)];
        let values = values
            .into_iter()
            .filter_map(|(option, value)| Some(format!("{option} = {}", value.as_ref()?)));
        let flags = flags.into_iter().filter(|(_, set)| *set).map(|(option, _)| option.to_owned());
        Entry {
            owner: Some(self.owner.clone()),
            create: format!("CREATE OPERATOR {name} ({});\n", listed(values.chain(flags))),
            drop: format!("DROP OPERATOR {name} {};", self.arguments()),
            ..Entry::new(Kind::Operator, Some(&self.name.schema), self.name.name.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator() -> Operator {
        Operator {
            name: QualifiedName::new("S", "==="),
            owner: "o".to_owned(),
            left: Some("integer".to_owned()),
            right: Some("s.t".to_owned()),
            function: Some("s.eq".to_owned()),
            commutator: None,
            negator: None,
            merges: false,
            hashes: false,
            restrict: None,
            join: None,
        }
    }

    #[test]
    fn an_operator_is_named_by_its_signs_and_operands() {
        let entry = operator().entry();
        assert_eq!(
            entry.create,
            "CREATE OPERATOR \"S\".=== (\n\tFUNCTION = s.eq,\n\tLEFTARG = integer,\n\
             \tRIGHTARG = s.t\n);\n"
        );
        assert_eq!(
            entry.owner_sql("x").as_deref(),
            Some("ALTER OPERATOR \"S\".=== (integer, s.t) OWNER TO \"x\";\n")
        );
        let prefix = Operator { left: None, ..operator() };
        assert_eq!(prefix.entry().drop, "DROP OPERATOR \"S\".=== (NONE, s.t);");
    }

    #[test]
    fn every_property_of_an_operator_is_told() {
        let all = Operator {
            commutator: Some("OPERATOR(s.===)".to_owned()),
            negator: Some("OPERATOR(s.!==)".to_owned()),
            merges: true,
            hashes: true,
            restrict: Some("eqsel".to_owned()),
            join: Some("eqjoinsel".to_owned()),
            ..operator()
        };
        assert!(all.entry().create.ends_with(
            "\tCOMMUTATOR = OPERATOR(s.===),\n\tNEGATOR = OPERATOR(s.!==),\n\
             \tRESTRICT = eqsel,\n\tJOIN = eqjoinsel,\n\tHASHES,\n\tMERGES\n);\n"
        ));
    }
}
