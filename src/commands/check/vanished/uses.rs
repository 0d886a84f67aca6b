//! The query for what definitions use of the system's own objects, by the parsed trees in which
//! catalogs keep them (source: nodes/outfuncs.c).

use crate::commands::check::routine_names::NAME;

/// The expressions of user objects, and from them the system's objects that they use (`uses`).
pub(super) fn uses_sql(major: u32) -> String {
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
    let body = ("'body'", "p.prosqlbody::text");
    let defaults = ("'default arguments'", "p.proargdefaults::text");
    for (part, tree) in [Some(defaults), (major >= 14).then_some(body)].into_iter().flatten() {
        trees.push(format!(
            "SELECT p.pronamespace, {NAME}, {part}, {tree} FROM pg_catalog.pg_proc p \
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

/// The name of an operand's type. Polymorphic ones are one: 14 made anyarray anycompatiblearray.
pub(super) fn operand(oid: &str) -> String {
    format!(
        "coalesce((SELECT CASE WHEN t.typname ~ '^any' THEN 'any' ELSE t.typname::text END \
         FROM pg_catalog.pg_type t WHERE t.oid = {oid}), '')"
    )
}

/// What is called by a name. Casts are rendered as such, whatever function they go through: only
/// format 0, COERCE_EXPLICIT_CALL, counts (source: nodes/primnodes.h).
const CALL: &str = "':(funcid|opno|aggfnoid|winfnoid) (\\d+)\
     (?: :funcresulttype \\d+ :funcretset \\w+ :funcvariadic \\w+ :funcformat (\\d))?'";

/// A relation that is read, and its columns: bits, counted from the lowest system column on
/// (source: access/sysattr.h).
const RELATION: &str = "':relid (\\d+)(?: [^{}]*:selectedCols \\(b([ \\d]*)\\))?'";
