//! Operators (documentation: SQL command CREATE OPERATOR).

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::{QualifiedName, class, quote_ident};
use crate::toc::{Entry, Kind, Retired};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{function_name, operator_name, qualified, stands_alone};
use super::scope::Scope;
use super::types::listed;

/// Adds an entry for each of the user's operators.
///
/// One that was only named, as another's commutator or negator, comes into being again as soon as
/// the other names it; nothing does that for one whose namer is gone, and nobody can use it.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let mut links = HashMap::new();
    for row in session.query("reading operators", &query(scope), &[]).await? {
        let operator = Operator::of(&row);
        let oid: u32 = row.get("oid");
        if operator.function.is_some() {
            out.add(ObjectId::new(class::PG_OPERATOR, oid), operator.entry());
            links.insert(oid, [row.get("oprcom"), row.get("oprnegate")]);
        } else if !row.get::<_, bool>("named") {
            let object = format!("operator {} {}", operator.name, operator.arguments());
            out.left_out(object, "it has no function, and no operator names it any more");
            out.needs_no_entry(ObjectId::new(class::PG_OPERATOR, oid));
        } else {
            // The operator that names it makes it, too.
            out.needs_no_entry(ObjectId::new(class::PG_OPERATOR, oid));
        }
    }
    let order = Order::of(&links);
    for (first, later) in order.pairs {
        if let Some(id) = out.creator(ObjectId::new(class::PG_OPERATOR, later)) {
            out.needs(id, ObjectId::new(class::PG_OPERATOR, first));
        }
    }
    for refused in order.refused {
        if let Some(id) = out.creator(ObjectId::new(class::PG_OPERATOR, refused)) {
            out.entries[id.0 as usize].retired = Some(Retired {
                since: 17,
                why: "since 17 its commutator or negator can't be one that belongs to another \
                      operator already"
                    .to_owned(),
                mend: "create it anew without that commutator or negator".to_owned(),
            });
        }
    }
    Ok(())
}

/// In which order operators are created that name another which doesn't name them.
#[derive(Debug, Default)]
struct Order {
    /// The one that comes first, and the one that comes later.
    pairs: Vec<(u32, u32)>,
    /// Those that no order gets past a server of 17 or later.
    refused: Vec<u32>,
}

impl Order {
    /// `links` holds each operator's commutator and negator. The one that is named comes after its
    /// namer: before it, the naming would be made mutual, or since 17 be refused where it has a
    /// partner of its own. That one comes last, as what was only named so far belongs to its namer
    /// (source: OperatorUpd in catalog/pg_operator.c).
    fn of(links: &HashMap<u32, [u32; 2]>) -> Order {
        let mut namers: Vec<&u32> = links.keys().collect();
        namers.sort_unstable();
        let mut order = Order::default();
        let mut taken = HashSet::new();
        for &namer in namers {
            for side in 0..2 {
                let named = links[&namer][side];
                let Some(partner) = links.get(&named).map(|back| back[side]) else { continue };
                if partner == namer {
                    continue;
                }
                let is_first = taken.insert((named, side));
                let is_placed = (is_first || partner == 0) && order.put(namer, named);
                if !is_first || !is_placed {
                    order.refused.push(namer);
                }
                let is_mutual = links.get(&partner).is_some_and(|back| back[side] == named);
                if is_mutual && partner != named && !order.put(named, partner) {
                    order.refused.push(partner);
                }
            }
        }
        order
    }

    /// Lets `later` come after `first`, unless it has to come before it.
    fn put(&mut self, first: u32, later: u32) -> bool {
        let fits = !follows(&self.pairs, first, later);
        if fits && !self.pairs.contains(&(first, later)) {
            self.pairs.push((first, later));
        }
        fits
    }
}

/// Whether `later` already comes after `first`, by way of any of the `pairs` (first, later).
fn follows(pairs: &[(u32, u32)], later: u32, first: u32) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![first];
    while let Some(at) = open.pop() {
        if at == later {
            return true;
        }
        if seen.insert(at) {
            open.extend(pairs.iter().filter(|(from, _)| *from == at).map(|(_, to)| *to));
        }
    }
    false
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
         where o.oid in (namer.oprcom, namer.oprnegate)) as named \
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
struct Operator {
    name: QualifiedName,
    owner: String,
    left: Option<String>,
    right: Option<String>,
    function: Option<String>,
    commutator: Option<String>,
    negator: Option<String>,
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

    /// Its operands' types, as DROP takes them.
    fn arguments(&self) -> String {
        let operand = |name: &Option<String>| name.clone().unwrap_or_else(|| "NONE".to_owned());
        format!("({}, {})", operand(&self.left), operand(&self.right))
    }

    /// An operator's name isn't quoted: it consists of signs.
    fn entry(&self) -> Entry {
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
    fn an_operator_that_does_not_name_its_namer_comes_after_it() {
        let order = |links: &[(u32, [u32; 2])]| {
            let order = Order::of(&links.iter().copied().collect());
            (order.pairs, order.refused)
        };
        let nothing = (vec![], vec![]);
        assert_eq!(order(&[(1, [1, 2]), (2, [2, 1])]), nothing);
        let shell = [(1, [9, 0])];
        assert_eq!(order(&shell), nothing);
        assert_eq!(order(&[(1, [0, 0]), (2, [0, 1])]), (vec![(2, 1)], vec![]));
        let circle = [(1, [2, 0]), (2, [3, 0]), (3, [1, 0])];
        assert_eq!(order(&circle), (vec![(1, 2), (2, 3)], vec![3]));
    }

    #[test]
    fn the_partner_of_an_operator_that_others_name_comes_last_and_one_of_them_is_kept() {
        let links = [(1, [2, 0]), (2, [1, 0]), (3, [1, 0]), (4, [1, 0])];
        let order = Order::of(&links.into());
        assert_eq!(order.pairs, [(3, 1), (1, 2)]);
        assert_eq!(order.refused, [4]);
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
