//! What definitions use of the system's own functions, operators, relations and columns that the
//! target's version hasn't got any more. The system's objects are pinned, so that pg_depend doesn't
//! know of such uses.

mod uses;

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Row;

use crate::commands::survey::Source;
use crate::error::Result;
use crate::toc::{Entry, Finding};
use crate::wire::{Session, TypedValue};

use super::gathered::named;
use super::sides::Sides;
use uses::{operand, uses_sql};

/// A use as the servers are asked of it: what it is, its schema, its name, and of a function the
/// fewest and most arguments, of an operator its operands' types, of a relation the column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    what: String,
    schema: String,
    name: String,
    first: String,
    second: String,
}

impl Use {
    fn of(row: &Row) -> Use {
        let text = |column| row.get::<_, String>(column);
        Use {
            what: text("what"),
            schema: text("schema"),
            name: text("name"),
            first: text("first"),
            second: text("second"),
        }
    }

    /// As people name it.
    fn title(&self) -> String {
        let Use { schema, name, first, second, .. } = self;
        match self.what.as_str() {
            "function" => format!("{schema}.{name}()"),
            "operator" => {
                let operands = [first.as_str(), name.as_str(), second.as_str()];
                let shown: Vec<&str> =
                    operands.into_iter().filter(|part| !part.is_empty()).collect();
                format!("the operator {}", shown.join(" "))
            }
            "column" => format!("{schema}.{name}.{first}"),
            _ => format!("{schema}.{name}"),
        }
    }
}

/// Refuses, by its name, each definition that the target couldn't read.
pub(super) async fn findings(sides: &Sides<'_>, source: &Source) -> Result<Vec<Finding>> {
    let (older, newer) = (sides.source.version().major(), sides.target().version().major());
    if older >= newer {
        return Ok(Vec::new());
    }
    let uses = uses_sql(older);
    let all = format!("{uses} SELECT DISTINCT what, schema, name, first, second FROM uses");
    let rows = sides.source.query("reading what definitions use of the system", &all, &[]).await?;
    let gone = gone(sides.target(), &rows.iter().map(Use::of).collect::<Vec<_>>()).await?;
    if gone.is_empty() {
        return Ok(Vec::new());
    }
    let users = format!(
        "{uses} SELECT DISTINCT of_schema, of_name, part, what, schema, name, first, second \
         FROM uses JOIN ({ASKED}) asked USING (what, schema, name, first, second) \
         ORDER BY 1, 2, 3, 4, 5, 6, 7, 8"
    );
    let [what, schema, name, first, second] = columns(&gone);
    let parameters: [&dyn TypedValue; 5] = [&what, &schema, &name, &first, &second];
    let rows = sides.source.query("reading who uses what is gone", &users, &parameters).await?;
    let moving: HashMap<(Option<&str>, &str), &Entry> = source
        .toc
        .entries
        .iter()
        .rev()
        .filter(|entry| !entry.drop.is_empty())
        .map(|entry| ((entry.schema.as_deref(), entry.name.as_str()), entry))
        .collect();
    let mut found: BTreeMap<(String, &str), Vec<String>> = BTreeMap::new();
    for row in &rows {
        let (schema, name): (&str, &str) = (row.get("of_schema"), row.get("of_name"));
        if let Some(entry) = moving.get(&(Some(schema), name)) {
            let used = found.entry((entry.title(), row.get("part"))).or_default();
            used.push(Use::of(row).title());
        }
    }
    let each = found.iter().map(|((title, part), used)| refusal(title, part, used, newer));
    Ok(each.collect())
}

fn refusal(title: &str, part: &str, gone: &[String], target: u32) -> Finding {
    let within = if part.is_empty() { String::new() } else { format!(" in its {part}") };
    let what = format!("uses {}{within}, which PostgreSQL {target} doesn't have", named(gone));
    Finding::refusal(title, what)
        .mend("on the source, drop it or make it do without; pg_dump's output fails on it, too")
}

/// Five arrays as rows.
const ASKED: &str = "SELECT * FROM ROWS FROM (pg_catalog.unnest($1::text[]), \
     pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[]), \
     pg_catalog.unnest($5::text[])) AS u(what, schema, name, first, second)";

fn columns(uses: &[Use]) -> [Vec<&str>; 5] {
    let each = |part: fn(&Use) -> &str| uses.iter().map(part).collect();
    [
        each(|u| &u.what),
        each(|u| &u.schema),
        each(|u| &u.name),
        each(|u| &u.first),
        each(|u| &u.second),
    ]
}

/// Those that the target hasn't got. A function is there if one of its name takes as many arguments:
/// types of arguments were often widened, and casts are rendered as such.
async fn gone(target: &Session, uses: &[Use]) -> Result<Vec<Use>> {
    let (left, right) = (operand("o.oprleft"), operand("o.oprright"));
    let sql = format!(
        "SELECT u.* FROM ({ASKED}) u \
         LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = u.schema \
         WHERE NOT CASE u.what \
         WHEN 'function' THEN EXISTS (SELECT FROM pg_catalog.pg_proc p \
             WHERE p.pronamespace = n.oid AND p.proname = u.name AND (p.provariadic <> 0 \
             OR p.pronargs >= u.first::int AND p.pronargs - p.pronargdefaults <= u.second::int)) \
         WHEN 'operator' THEN EXISTS (SELECT FROM pg_catalog.pg_operator o \
             WHERE o.oprnamespace = n.oid AND o.oprname = u.name \
             AND {left} = u.first AND {right} = u.second) \
         WHEN 'column' THEN EXISTS (SELECT FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
             WHERE c.relnamespace = n.oid AND c.relname = u.name AND a.attname = u.first) \
         ELSE EXISTS (SELECT FROM pg_catalog.pg_class c \
             WHERE c.relnamespace = n.oid AND c.relname = u.name) END"
    );
    let [what, schema, name, first, second] = columns(uses);
    let parameters: [&dyn TypedValue; 5] = [&what, &schema, &name, &first, &second];
    let rows = target.query("asking what the target's version has", &sql, &parameters).await?;
    Ok(rows.iter().map(Use::of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(what: &str, name: &str, first: &str, second: &str) -> Use {
        Use {
            what: what.to_owned(),
            schema: "pg_catalog".to_owned(),
            name: name.to_owned(),
            first: first.to_owned(),
            second: second.to_owned(),
        }
    }

    #[test]
    fn a_use_is_told_as_people_write_it() {
        assert_eq!(used("function", "f", "0", "1").title(), "pg_catalog.f()");
        assert_eq!(used("column", "t", "a", "").title(), "pg_catalog.t.a");
        assert_eq!(used("relation", "t", "", "").title(), "pg_catalog.t");
        assert_eq!(used("operator", "!", "int8", "").title(), "the operator int8 !");
    }

    #[test]
    fn a_refusal_names_the_object_and_the_part_of_it() {
        let gone = ["pg_catalog.f()".to_owned(), "pg_catalog.t.a".to_owned()];
        let finding = refusal("TABLE s.t", "index i", &gone, 18);
        assert_eq!(finding.object, "TABLE s.t");
        assert_eq!(
            finding.what,
            "uses pg_catalog.f(), pg_catalog.t.a in its index i, which PostgreSQL 18 doesn't have"
        );
    }
}
