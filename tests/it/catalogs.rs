//! Catalogs compared directly: what pg_dump doesn't show.

mod roles;

use std::collections::{BTreeMap, BTreeSet};

use crate::oracle::Side;
use crate::random::from_environment;

/// Catalogs whose rows are objects that have a name of their own.
const OF_OBJECTS: &[&str] = &[
    "pg_am",
    "pg_amop",
    "pg_amproc",
    "pg_cast",
    "pg_class",
    "pg_collation",
    "pg_constraint",
    "pg_conversion",
    "pg_event_trigger",
    "pg_extension",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_language",
    "pg_namespace",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_policy",
    "pg_proc",
    "pg_publication",
    "pg_publication_namespace",
    "pg_publication_rel",
    "pg_rewrite",
    "pg_statistic_ext",
    "pg_transform",
    "pg_trigger",
    "pg_ts_config",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_type",
    "pg_user_mapping",
];

/// Others: which object a row is about, by the columns that say so.
const ABOUT_OBJECTS: &[(&str, &str, &str)] = &[
    ("pg_attribute", "pg_class", "c.attrelid, c.attnum"),
    ("pg_enum", "pg_type", "c.enumtypid, 0"),
    ("pg_foreign_table", "pg_class", "c.ftrelid, 0"),
    ("pg_index", "pg_class", "c.indexrelid, 0"),
    ("pg_inherits", "pg_class", "c.inhrelid, 0"),
    ("pg_partitioned_table", "pg_class", "c.partrelid, 0"),
    ("pg_range", "pg_type", "c.rngtypid, 0"),
    ("pg_sequence", "pg_class", "c.seqrelid, 0"),
    ("pg_ts_config_map", "pg_ts_config", "c.mapcfg, 0"),
];

/// Columns that are hints or counts, not definitions; and options of columns, among which servers
/// keep stamps of their own, and which pg_dump shows.
const PASSING: &[&str] = &[
    "attcacheoff",
    "attoptions",
    "indcheckxmin",
    "relallfrozen",
    "relallvisible",
    "relhasindex",
    "relhasrules",
    "relhassubclass",
    "relhastriggers",
    "relpages",
    "reltuples",
];

/// What differs between the control and the copy: every column of the catalogs that doesn't hold an
/// OID or a number made from one, and every recorded dependency. What PostgreSQL's own restore got
/// wrong, and the copy has as the original does, is no difference; nor is what it couldn't restore.
pub(crate) async fn differences(
    original: Side<'_>,
    control: Side<'_>,
    control_is_whole: bool,
    copy: Side<'_>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (what, query) in queries() {
        let mut controls = by_object(query.lines(what, control).await);
        let mut theirs = by_object(query.lines(what, copy).await);
        if !control_is_whole {
            // Of a view it may have a stand-in only.
            let is_there = |object: &String| {
                controls.contains_key(object) && !object.starts_with("rule \"_RETURN\"")
            };
            theirs.retain(|object, _| is_there(object));
            let gone: Vec<String> =
                controls.keys().filter(|o| o.starts_with("rule \"_RETURN\"")).cloned().collect();
            gone.iter().for_each(|object| {
                controls.remove(object);
            });
        }
        if controls != theirs {
            let ours = by_object(query.lines(what, original).await);
            let is_the_originals = |object: &String| {
                let at = |side: &Lines| side.get(object).cloned().unwrap_or_default();
                is_as(&at(&ours), &at(&controls), &at(&theirs))
            };
            let objects = controls.keys().chain(theirs.keys());
            let fine: BTreeSet<String> = objects.filter(|o| is_the_originals(o)).cloned().collect();
            controls.retain(|object, _| !fine.contains(object));
            theirs.retain(|object, _| !fine.contains(object));
        }
        let all = |side: Lines| -> Vec<String> { side.into_values().flatten().collect() };
        found.extend(compared(what, "PostgreSQL's own copy", &all(controls), &all(theirs)));
    }
    found
}

/// What differs between two databases of one major version, which PostgreSQL's own copy has no part
/// in: every column but the numbers of columns, which leave out those that were dropped.
pub(crate) async fn differences_of_same_major(original: Side<'_>, copy: Side<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut by_age = lines(original, SHARES).await;
    by_age.extend(lines(copy, SHARES).await);
    for (what, query) in queries() {
        let by_definition = |line: &String| !by_age.iter().any(|share| line.contains(share));
        let mut ours = once(without_numbers(query.lines(what, original).await));
        let mut theirs = once(without_numbers(query.lines(what, copy).await));
        ours.retain(by_definition);
        theirs.retain(by_definition);
        found.extend(compared(what, "the original", &ours, &theirs));
    }
    found
}

/// What 12 to 14 make of a foreign key for the partitions, and by which triggers: that depends on what
/// was created, attached or detached first (a table that was detached lacks them). The
/// keys themselves are compared.
const SHARES: &str = r#"
    select o.type || ' ' || o.identity
    from pg_catalog.pg_constraint c,
         pg_catalog.pg_identify_object('pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid, 0) o
    where c.contype = 'f' and c.conparentid <> 0
    and pg_catalog.current_setting('server_version_num')::int < 150000
    union all
    select 'trigger "RI_ConstraintTrigger_'
    where pg_catalog.current_setting('server_version_num')::int < 150000"#;

/// Columns that hold numbers of columns, or how many there are; whether what is declared of a parent
/// too is inherited, which a dump turns into one or the other; an order of enum values in which only
/// the sequence counts; whether a key is inherited, which attaching sets; dimensions, which the server
/// ignores; and a domain's default in words of the time when it was made.
const NUMBERS: [&str; 16] = [
    "attislocal",
    "attinhcount",
    "attndims",
    "attnum",
    "conkey",
    "confkey",
    "connoinherit",
    "enumsortorder",
    "indkey",
    "partattrs",
    "prattrs",
    "relnatts",
    "stxkeys",
    "tgattr",
    "typdefault",
    "typndims",
];

fn without_numbers(lines: Vec<String>) -> Vec<String> {
    let without = |line: String| {
        let Some((object, columns)) = line.split_once(": {") else { return line };
        let Ok(mut columns) = serde_json::from_str(&format!("{{{columns}")) else { return line };
        let serde_json::Value::Object(map) = &mut columns else { return line };
        NUMBERS.iter().for_each(|number| {
            map.remove(*number);
        });
        format!("{object}: {columns}")
    };
    // An index's column is called as the table's was at first. A schema that was public has its OID
    // among the system's.
    let is_of_both = |line: &String| {
        !line.contains("........pg.dropped.")
            && !line.starts_with("index column ")
            && !line.starts_with("schema ")
    };
    lines.into_iter().filter(is_of_both).map(without).collect()
}

/// How often one type needs another says nothing, as dropping is refused all the same: a domain takes
/// its base's default over silently, and a dump says it, so that the base is recorded for the default,
/// too. Whether they have that default is told by pg_dump's items.
fn once(mut lines: Vec<String>) -> Vec<String> {
    lines.dedup_by(|a, b| a == b && a.starts_with("type ") && a.contains(" -> type "));
    lines
}

fn queries() -> Vec<(&'static str, Query)> {
    let mut queries = vec![
        ("dependency", Query::InSameWords(DEPENDENCIES)),
        ("owner or grant", Query::InSameWords(SHARED)),
    ];
    for catalog in OF_OBJECTS {
        let object = format!("('pg_catalog.{catalog}'::pg_catalog.regclass, c.oid, 0)");
        queries.push((catalog, Query::Rows(object)));
    }
    for (catalog, of, columns) in ABOUT_OBJECTS {
        let object = format!("('pg_catalog.{of}'::pg_catalog.regclass, {columns})");
        queries.push((catalog, Query::Rows(object)));
    }
    queries
}

enum Query {
    /// Which every version answers in the same words.
    InSameWords(&'static str),
    /// The rows of a catalog, about the objects that an expression gives.
    Rows(String),
}

impl Query {
    async fn lines(&self, catalog: &str, side: Side<'_>) -> Vec<String> {
        let sql = match self {
            Query::InSameWords(sql) => (*sql).to_owned(),
            Query::Rows(object) => rows_of(side, catalog, object).await,
        };
        if sql.is_empty() { Vec::new() } else { lines(side, &sql).await }
    }
}

/// Lines, by what they are about.
type Lines = BTreeMap<String, Vec<String>>;

fn by_object(lines: Vec<String>) -> Lines {
    let mut by_object = Lines::new();
    for line in lines {
        by_object.entry(object(&line).to_owned()).or_default().push(line);
    }
    by_object.values_mut().for_each(|lines| lines.sort());
    by_object
}

/// What a line is about.
fn object(line: &str) -> &str {
    let ends = [" -> ", ": "].map(|end| line.find(end).unwrap_or(line.len()));
    &line[..ends.into_iter().min().unwrap_or(line.len())]
}

/// Whether the copy's lines on an object are the original's, column by column, or the control's
/// where versions say a column in other words or have it only lately.
fn is_as(original: &[String], control: &[String], copy: &[String]) -> bool {
    let columns = |line: &String| -> Option<serde_json::Map<String, serde_json::Value>> {
        serde_json::from_str(&line[line.find(": {")? + 2..]).ok()
    };
    original.len() == copy.len()
        && original.iter().zip(copy).enumerate().all(|(at, (ours, theirs))| {
            let (Some(ours), Some(theirs)) = (columns(ours), columns(theirs)) else {
                return ours == theirs;
            };
            let controls = control.get(at).and_then(columns).unwrap_or_default();
            theirs.iter().all(|(name, value)| {
                [&ours, &controls].iter().any(|side| side.get(name) == Some(value))
            })
        })
}

/// What differs between two databases of any two servers, in what every version says in the same
/// words: roles, settings, extensions' versions, rows and large objects.
pub(crate) async fn differences_between_clusters(
    original: Side<'_>,
    copy: Side<'_>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (what, sql) in [("setting", SETTINGS), ("large object", LARGE_OBJECTS)] {
        let (ours, theirs) = (lines(original, sql).await, lines(copy, sql).await);
        found.extend(compared(what, "the original", &ours, &theirs));
    }
    let (ours, theirs) = roles::of_both(original, copy);
    found.extend(compared("role", "the original", &ours, &theirs));
    let (ours, theirs) = (rows(original).await, rows(copy).await);
    found.extend(compared("rows", "the original", &ours, &theirs));
    found
}

/// Flags that differ from the original's and aren't as PostgreSQL's own copy has them either: that
/// makes a child's constraint invalid like its parent's, from which it comes, though the child's
/// own may have become valid. Of a control that isn't whole only the objects that it has count: which
/// parts of a foreign key of or to partitioned tables a server makes depends on its version (12 leaves
/// some out of a table that was a partition).
pub(crate) async fn different_flags(
    original: Side<'_>,
    control: Side<'_>,
    control_is_whole: bool,
    copy: Side<'_>,
) -> Vec<String> {
    let (mut ours, mut theirs) = (lines(original, FLAGS).await, lines(copy, FLAGS).await);
    let of_control = by_object(lines(control, FLAGS).await);
    let of_copy = by_object(theirs.clone());
    let as_controls = |line: &String| {
        let flags = of_control.get(object(line));
        (control_is_whole || flags.is_some()) && flags == of_copy.get(object(line))
    };
    let major = |side: Side<'_>| side.cluster.installation().major();
    let are_made_alike = major(original) == major(copy) && major(copy) >= 15;
    let is_the_servers =
        |line: &str| line.starts_with("constraint of ") || line.contains("RI_ConstraintTrigger_");
    let is_judged = |line: &String| {
        !as_controls(line) && (control_is_whole || are_made_alike || !is_the_servers(line))
    };
    ours.retain(is_judged);
    theirs.retain(is_judged);
    compared("flag", "the original", &ours, &theirs)
}

/// Dependencies, by the names of both ends.
const DEPENDENCIES: &str = r"
    select pg_catalog.format('%s %s -> %s %s (%s)', a.type, a.identity,
                             b.type, b.identity, d.deptype)
    from pg_catalog.pg_depend d,
         pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) a,
         pg_catalog.pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) b
    where d.objid >= 16384
    order by 1";

const SHARED: &str = r"
    select pg_catalog.format('%s %s -> %s (%s)', a.type, a.identity,
                             pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0), d.deptype)
    from pg_catalog.pg_shdepend d,
         pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) a
    where d.dbid = (select oid from pg_catalog.pg_database
                    where datname = pg_catalog.current_database())
    order by 1";

/// Settings of roles, of databases, and of all roles.
const SETTINGS: &str = r"
    select pg_catalog.format('%s in %s: %s', coalesce(r.rolname, 'all roles'),
                             coalesce(d.datname, 'all databases'), s.setconfig)
    from pg_catalog.pg_db_role_setting s
    left join pg_catalog.pg_roles r on r.oid = s.setrole
    left join pg_catalog.pg_database d on d.oid = s.setdatabase
    where s.setdatabase in (0, (select oid from pg_catalog.pg_database
                                where datname = pg_catalog.current_database()))
    order by 1";

/// What is valid, enabled, ready. How the server names the parts of a foreign key of or to partitioned
/// tables depends on its version.
const FLAGS: &str = r"
    select pg_catalog.format('constraint %s: valid %s, %s %s',
                             case when c.contype = 'f' and c.conparentid <> 0
                             then pg_catalog.format('of %s to %s by %s', c.conrelid::regclass,
                                                    c.confrelid::regclass,
                                                    array(select a.attname
                                                          from pg_catalog.pg_attribute a
                                                          where a.attrelid = c.conrelid
                                                          and a.attnum = any (c.conkey)
                                                          order by a.attname))
                             else o.identity end,
                             c.convalidated, c.condeferrable, c.condeferred)
    from pg_catalog.pg_constraint c,
         pg_catalog.pg_identify_object('pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid, 0) o
    where c.oid >= 16384 and c.contype <> 'n'
    union all
    select pg_catalog.format('index %s: valid %s, ready %s, live %s, identity %s, clustered %s',
                             o.identity, i.indisvalid, i.indisready, i.indislive,
                             i.indisreplident, i.indisclustered)
    from pg_catalog.pg_index i,
         pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass,
                                       i.indexrelid, 0) o
    where i.indexrelid >= 16384
    union all
    select pg_catalog.format('trigger %s: %s', o.identity, t.tgenabled)
    from pg_catalog.pg_trigger t,
         pg_catalog.pg_identify_object('pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, 0) o
    where t.oid >= 16384
    order by 1";

const LARGE_OBJECTS: &str = r"
    select m.oid || ' ' || pg_catalog.md5(pg_catalog.lo_get(m.oid))
    from pg_catalog.pg_largeobject_metadata m
    order by m.oid";

/// A query for what a catalog says of the objects it is about; empty where this version has none.
async fn rows_of(side: Side<'_>, catalog: &str, object: &str) -> String {
    let sql = format!(
        "select a.attname::text from pg_catalog.pg_attribute a \
         join pg_catalog.pg_type t on t.oid = a.atttypid \
         where a.attrelid = pg_catalog.to_regclass('pg_catalog.{catalog}') and a.attnum > 0 \
         and t.typname in ('bool', 'int2', 'int4', 'int8', 'float4', 'char', 'name', 'text', \
                           '_text', '_char', 'int2vector', '_int2') order by a.attnum"
    );
    let columns: Vec<String> = lines(side, &sql)
        .await
        .into_iter()
        .filter(|column| !PASSING.contains(&column.as_str()))
        .map(|column| format!("'{column}', c.{column}"))
        .collect();
    if columns.is_empty() {
        return String::new();
    }
    let oid = object.split(", ").nth(1).unwrap();
    format!(
        "select o.type || ' ' || o.identity || ': ' \
                || pg_catalog.jsonb_build_object({})::text \
         from pg_catalog.{catalog} c, \
              pg_catalog.pg_identify_object{object} o \
         where o.identity is not null and {oid} >= 16384 {} order by 1",
        columns.join(", "),
        if catalog == "pg_attribute" { "and c.attnum > 0" } else { "" }
    )
}

/// A query's rows, without what is about the ledger or toast tables.
pub(crate) async fn lines(side: Side<'_>, sql: &str) -> Vec<String> {
    let session = side.cluster.superuser_session(side.database).await.unwrap();
    let rows = session.query("reading a catalog", sql, &[]).await.unwrap();
    let lines = rows.iter().filter_map(|row| row.get::<_, Option<String>>(0));
    let others = ["pgconvoy", "pg_temp", "pg_toast"];
    lines.filter(|line| !others.iter().any(|name| line.contains(name))).map(nameless).collect()
}

/// A text without the numbers that a server puts into the names of constraints' triggers.
fn nameless(mut text: String) -> String {
    const MARK: &str = "_ConstraintTrigger_";
    let mut from = 0;
    while let Some(at) = text[from..].find(MARK) {
        from += at + MARK.len();
        let rest = text[from..].trim_start_matches(['a', 'c', '_']);
        let start = text.len() - rest.len();
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        text.replace_range(start..start + digits, "");
    }
    text
}

/// Every table's rows, as a count and a sum of hashes; materialized views are refreshed, so theirs
/// may be newer. The columns are taken by name: children of tables have theirs in another order on
/// the other side. Tables that are partitioned by the hash of an enum, which is made of its OIDs, are
/// counted from their roots on.
async fn rows(side: Side<'_>) -> Vec<String> {
    let sql = r"
        with hashed as (
            select distinct pg_catalog.pg_partition_root(p.partrelid) as root
            from pg_catalog.pg_partitioned_table p
            join pg_catalog.pg_attribute a
                on a.attrelid = p.partrelid and a.attnum = any (p.partattrs::int2[])
            join pg_catalog.pg_type t on t.oid = a.atttypid
            left join pg_catalog.pg_type e on e.oid = t.typelem
            where p.partstrat = 'h' and 'e' in (t.typtype, e.typtype)
        )
        select pg_catalog.format(
            'select %L || count(*) || '' rows, '' || coalesce(sum(pg_catalog.hashtextextended(
                row(%s)::text, 0)), 0) from %s %I.%I t',
            pg_catalog.format('%I.%I: ', n.nspname, c.relname),
            (select pg_catalog.string_agg(pg_catalog.format('t.%I', a.attname), ', '
                                          order by a.attname)
             from pg_catalog.pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
            case c.relkind when 'r' then 'only' else '' end, n.nspname, c.relname)
        from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.oid >= 16384
        and (c.oid in (select root from hashed)
             or c.relkind = 'r'
             and coalesce(pg_catalog.pg_partition_root(c.oid), 0) not in (select root from hashed))
        and n.nspname !~ '^pg_' and n.nspname <> 'pgconvoy'
        order by n.nspname, c.relname";
    let queries = lines(side, sql).await;
    let session = side.cluster.superuser_session(side.database).await.unwrap();
    let mut all = Vec::new();
    for queries in queries.chunks(50) {
        let rows = session.query("reading rows", &queries.join(" union all "), &[]).await.unwrap();
        all.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    }
    all
}

/// The lines that only one of two has, in few words where they are many.
fn compared(what: &str, whose: &str, ours: &[String], theirs: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for line in ours {
        *counts.entry(line.trim_end()).or_default() -= 1;
    }
    for line in theirs {
        *counts.entry(line.trim_end()).or_default() += 1;
    }
    let most = from_environment("PGCONVOY_TEST_LINES").unwrap_or(20) as usize;
    let all: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count != 0)
        .map(|(line, count)| match count {
            ..0 => format!("{what}: only {whose} has {line}"),
            _ => format!("{what}: {whose} has no {line}"),
        })
        .collect();
    let more = all.len().saturating_sub(most);
    let mut few: Vec<String> = all.into_iter().take(most).collect();
    if more > 0 {
        few.push(format!("{what}: and {more} more differences"));
    }
    few
}
