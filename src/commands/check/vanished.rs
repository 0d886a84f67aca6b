//! What definitions use of the system's own functions, operators, relations and columns that the
//! target's version hasn't got any more. The system's objects are pinned, so that pg_depend doesn't
//! know of such uses: they are read from the parsed trees (source: nodes/outfuncs.c).

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Row;

use crate::commands::survey::Source;
use crate::error::Result;
use crate::toc::{Entry, Finding};
use crate::wire::{Session, TypedValue};

use super::gathered::named;
use super::sides::Sides;

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

/// The name of an operand's type. Polymorphic ones are one: 14 made anyarray anycompatiblearray.
fn operand(oid: &str) -> String {
    format!(
        "coalesce((SELECT CASE WHEN t.typname ~ '^any' THEN 'any' ELSE t.typname::text END \
         FROM pg_catalog.pg_type t WHERE t.oid = {oid}), '')"
    )
}

/// The expressions of user objects, and from them the system's objects that they use (`uses`).
fn uses_sql(major: u32) -> String {
    let mut trees: Vec<String> = Vec::new();
    let of_relation = |part: &str, tree: &str, from: &str| {
        format!(
            "SELECT c.relnamespace, c.relname::text, {part}, {tree} FROM {from} \
             WHERE c.oid >= 16384 AND {tree} IS NOT NULL"
        )
    };
    let class = |key: &str| format!("JOIN pg_catalog.pg_class c ON c.oid = {key}");
    for (part, tree, table, key) in [
        (
            "CASE WHEN x.rulename = '_RETURN' THEN '' ELSE 'rule ' || x.rulename END",
            "x.ev_action::text || x.ev_qual::text",
            "pg_rewrite",
            "x.ev_class",
        ),
        ("'constraint ' || x.conname", "x.conbin::text", "pg_constraint", "x.conrelid"),
        ("'policy ' || x.polname", "x.polqual::text", "pg_policy", "x.polrelid"),
        ("'policy ' || x.polname", "x.polwithcheck::text", "pg_policy", "x.polrelid"),
        ("'trigger ' || x.tgname", "x.tgqual::text", "pg_trigger", "x.tgrelid"),
        ("'partition key'", "x.partexprs::text", "pg_partitioned_table", "x.partrelid"),
    ] {
        trees.push(of_relation(part, tree, &format!("pg_catalog.{table} x {}", class(key))));
    }
    trees.push(of_relation(
        "'default of column ' || a.attname",
        "x.adbin::text",
        &format!(
            "pg_catalog.pg_attrdef x {} JOIN pg_catalog.pg_attribute a \
             ON a.attrelid = x.adrelid AND a.attnum = x.adnum",
            class("x.adrelid")
        ),
    ));
    for tree in ["x.indexprs::text", "x.indpred::text"] {
        let from = format!(
            "pg_catalog.pg_index x {} JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid",
            class("x.indrelid")
        );
        trees.push(of_relation("'index ' || i.relname", tree, &from));
    }
    if major >= 14 {
        let from = format!("pg_catalog.pg_statistic_ext x {}", class("x.stxrelid"));
        trees.push(of_relation("'statistics ' || x.stxname", "x.stxexprs::text", &from));
    }
    trees.push(
        "SELECT t.typnamespace, t.typname::text, 'constraint ' || x.conname, x.conbin::text \
         FROM pg_catalog.pg_constraint x JOIN pg_catalog.pg_type t ON t.oid = x.contypid \
         WHERE x.conbin IS NOT NULL AND t.oid >= 16384"
            .to_owned(),
    );
    trees.push(
        "SELECT t.typnamespace, t.typname::text, 'default', t.typdefaultbin::text \
         FROM pg_catalog.pg_type t WHERE t.typdefaultbin IS NOT NULL AND t.oid >= 16384"
            .to_owned(),
    );
    let tag = "p.proname || '(' || coalesce((SELECT pg_catalog.string_agg( \
         pg_catalog.format_type(a.type, null), ', ' ORDER BY a.place) \
         FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY a(type, place)), '') || ')'";
    let body = ("'body'", "p.prosqlbody::text");
    let defaults = ("'default arguments'", "p.proargdefaults::text");
    for (part, tree) in [Some(defaults), (major >= 14).then_some(body)].into_iter().flatten() {
        trees.push(format!(
            "SELECT p.pronamespace, {tag}, {part}, {tree} FROM pg_catalog.pg_proc p \
             WHERE p.oid >= 16384 AND {tree} IS NOT NULL"
        ));
    }
    let (left, right) = (operand("o.oprleft"), operand("o.oprright"));
    format!(
        "WITH trees(of_namespace, of_name, part, tree) AS MATERIALIZED ({}), \
         system AS (SELECT oid, nspname::text AS schema FROM pg_catalog.pg_namespace \
             WHERE nspname IN ('pg_catalog', 'information_schema')), \
         calls AS (SELECT DISTINCT t.of_namespace, t.of_name, t.part, m[1] = 'opno' AS operates, \
             m[2]::oid AS called FROM trees t, pg_catalog.regexp_matches(t.tree, {CALL}, 'g') m \
             WHERE m[3] IS NULL OR m[3] = '0'), \
         reads AS (SELECT DISTINCT t.of_namespace, t.of_name, t.part, m[1]::oid AS relation, \
             coalesce(m[2], '') AS bits \
             FROM trees t, pg_catalog.regexp_matches(t.tree, {RELATION}, 'g') m), \
         found AS ( \
             SELECT u.of_namespace, u.of_name, u.part, 'function' AS what, s.schema, \
                 p.proname::text AS name, (p.pronargs - p.pronargdefaults)::text AS first, \
                 p.pronargs::text AS second \
             FROM calls u JOIN pg_catalog.pg_proc p ON p.oid = u.called \
             JOIN system s ON s.oid = p.pronamespace WHERE NOT u.operates \
             UNION ALL \
             SELECT u.of_namespace, u.of_name, u.part, 'operator', s.schema, o.oprname::text, \
                 {left}, {right} \
             FROM calls u JOIN pg_catalog.pg_operator o ON o.oid = u.called \
             JOIN system s ON s.oid = o.oprnamespace WHERE u.operates \
             UNION ALL \
             SELECT u.of_namespace, u.of_name, u.part, 'relation', s.schema, c.relname::text, \
                 '', '' \
             FROM reads u JOIN pg_catalog.pg_class c ON c.oid = u.relation \
             JOIN system s ON s.oid = c.relnamespace \
             UNION ALL \
             SELECT u.of_namespace, u.of_name, u.part, 'column', s.schema, c.relname::text, \
                 a.attname::text, '' \
             FROM reads u JOIN pg_catalog.pg_class c ON c.oid = u.relation \
             JOIN system s ON s.oid = c.relnamespace \
             CROSS JOIN pg_catalog.regexp_split_to_table(pg_catalog.btrim(u.bits), ' ') bit \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
                 AND bit <> '' AND a.attnum::text = (nullif(bit, '')::int - 7)::text), \
         uses AS (SELECT n.nspname::text AS of_schema, f.* FROM found f \
             JOIN pg_catalog.pg_namespace n ON n.oid = f.of_namespace)",
        trees.join(" UNION ALL ")
    )
}

/// What is called by a name. Casts are rendered as such, whatever function they go through: only
/// format 0, COERCE_EXPLICIT_CALL, counts (source: nodes/primnodes.h).
const CALL: &str = "':(funcid|opno|aggfnoid|winfnoid) (\\d+)\
     (?: :funcresulttype \\d+ :funcretset \\w+ :funcvariadic \\w+ :funcformat (\\d))?'";

/// A relation that is read, and its columns: bits, counted from the lowest system column on
/// (source: access/sysattr.h).
const RELATION: &str = "':relid (\\d+)(?: [^{}]*:selectedCols \\(b([ \\d]*)\\))?'";

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
