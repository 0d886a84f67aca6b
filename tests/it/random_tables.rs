//! Random tables of random types, full of values at their types' edges, come out as they went in:
//! by fingerprints, and by PostgreSQL's own rendering of every row.
//!
//! `PGCONVOY_TEST_SEED` repeats a run, `PGCONVOY_TEST_TABLES` says how many tables a database has.

use pgconvoy::servers::Cluster;

use crate::migration::{moved, request};
use crate::random::{Random, from_environment, seed};
use crate::{kit, trial};

const TABLES: u64 = 24;

/// Types of which any server in these tests has all. Those in the second list came with 14.
const TYPES: &[&str] = &[
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "numeric(12,3)",
    "real",
    "double precision",
    "money",
    "text",
    "varchar(20)",
    "char(8)",
    "\"char\"",
    "name",
    "bytea",
    "date",
    "time",
    "time(2)",
    "timetz",
    "timestamp",
    "timestamptz",
    "timestamptz(3)",
    "interval",
    "interval day to second",
    "uuid",
    "json",
    "jsonb",
    "jsonpath",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "bit(7)",
    "bit varying",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "tsvector",
    "tsquery",
    "oid",
    "xid",
    "xid8",
    "cid",
    "tid",
    "pg_lsn",
    "oidvector",
    "int2vector",
    "regclass",
    "regtype",
    "regproc",
    "regprocedure",
    "regoper",
    "regoperator",
    "regrole",
    "regnamespace",
    "regconfig",
    "regdictionary",
    "regcollation",
    "aclitem",
    "pg_snapshot",
    "txid_snapshot",
    "refcursor",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "public.mood",
    "public.small",
    "public.moods",
    "public.pair",
    "public.floats",
];
const TYPES_OF_14: &[&str] = &["int4multirange", "tstzmultirange", "public.floats_multi"];

const MAKE_TYPES: &str = "
    CREATE TYPE public.mood AS ENUM ('calm', 'wild', 'a ''quoted'' one', 'ümläut');
    CREATE DOMAIN public.small AS integer CHECK (VALUE < 1000);
    CREATE DOMAIN public.moods AS public.mood[];
    CREATE TYPE public.pair AS (a integer, b text, c public.mood);
";

#[tokio::test(flavor = "multi_thread")]
async fn random_tables_move_from_15_into_an_rds_like_15() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    random_tables_move(&source, &target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_tables_move_from_13_to_18() {
    let (source, target) = tokio::join!(kit::bundled(13), kit::rds_like(18));
    random_tables_move(&source, &target).await;
}

async fn random_tables_move(source: &Cluster, target: &Cluster) {
    let seed = seed();
    let major = source.installation().major();
    eprintln!("random tables of {major}: PGCONVOY_TEST_SEED={seed}");
    let mut random = Random::of_seed(seed);
    let types = types(source, target).await;
    trial::make_database(source, "random", &make_types(source).await).await;
    for extension in ["citext", "hstore"].iter().filter(|name| types.iter().any(|t| t == *name)) {
        trial::change(source, "random", &format!("CREATE EXTENSION {extension}")).await;
    }
    let mut tables = Vec::new();
    for kind in &types {
        let (name, sql) = table_of(kind, &mut random);
        trial::change(source, "random", &format!("SET ROLE random; {sql}")).await;
        tables.push(name);
    }
    for number in 0..from_environment("PGCONVOY_TEST_TABLES").unwrap_or(TABLES) {
        let (name, sql) = table(number, &types, &mut random);
        trial::change(source, "random", &format!("SET ROLE random; {sql}")).await;
        tables.push(name);
    }
    let reports = moved(&request(source, target, &["random"])).await;
    assert_eq!(reports[0].verification.tables.len(), tables.len());
    for table in tables {
        let sql = format!("SELECT t::text FROM ONLY {table} t ORDER BY t::text COLLATE \"C\"");
        let (ours, theirs) = (lines(source, &sql).await, lines(target, &sql).await);
        assert_eq!(ours, theirs, "{table}, PGCONVOY_TEST_SEED={seed}");
    }
}

async fn lines(cluster: &Cluster, sql: &str) -> Vec<String> {
    let session = cluster.superuser_session("random").await.unwrap();
    let rows = session.query("reading all rows", sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The types that both servers have.
async fn types(source: &Cluster, target: &Cluster) -> Vec<String> {
    let mut types: Vec<String> = TYPES.iter().map(ToString::to_string).collect();
    if source.installation().major() >= 14 {
        types.extend(TYPES_OF_14.iter().map(ToString::to_string));
    }
    for extension in ["citext", "hstore"] {
        let sql = format!(
            "SELECT count(*)::text FROM pg_available_extensions WHERE name = '{extension}'"
        );
        let there = [
            trial::ask(source, "postgres", &sql).await,
            trial::ask(target, "postgres", &sql).await,
        ];
        if there == ["1", "1"] {
            types.push(extension.to_owned());
        }
    }
    let mut xml = Vec::new();
    for cluster in [source, target] {
        let session = cluster.superuser_session("postgres").await.unwrap();
        xml.push(session.execute("trying xml", "SELECT '<a/>'::xml").await.is_ok());
    }
    if xml == [true, true] {
        types.push("xml".to_owned());
    }
    eprintln!("{} types, the last of them {:?}", types.len(), &types[types.len() - 3..]);
    types
}

async fn make_types(source: &Cluster) -> String {
    let multirange = match source.installation().major() {
        14.. => ", multirange_type_name = public.floats_multi",
        _ => "",
    };
    format!(
        "{MAKE_TYPES} CREATE TYPE public.floats AS RANGE (subtype = double precision{multirange});"
    )
}

/// A table of one type: every type is there in every run, in the format that suits it.
fn table_of(kind: &str, random: &mut Random) -> (String, String) {
    let name = format!("public.\"only {}\"", kind.replace('"', "\"\""));
    let column = [("\"a column\"".to_owned(), kind.to_owned())];
    let mut sql = format!("CREATE TABLE {name} ({} {});\n", column[0].0, in_schema(kind));
    for _ in 0..20 {
        sql.push_str(&row(&name, &column, random));
    }
    (name, sql)
}

/// A table's name, and what makes and fills it.
fn table(number: u64, types: &[String], random: &mut Random) -> (String, String) {
    let names = ["t", "T {}", "t\"\"{}", "täble", "select"];
    let name = format!("public.\"{}{number}\"", random.one(&names));
    // One column is enough to make a whole table travel as text: every other table has none such.
    let types: Vec<&String> =
        types.iter().filter(|kind| number.is_multiple_of(2) || !makes_text(kind)).collect();
    let columns: Vec<(String, String)> = (0..random.below(9))
        .map(|column| {
            let names = ["c", "C C", "c\"\"c", "ünïcode", "order"];
            let kind = match random.below(4) {
                0 if number.is_multiple_of(2) => format!("{}[]", random.one(&types)),
                0 => format!("{}[]", random.one(&["integer", "text", "numeric", "timestamptz"])),
                _ => (*random.one(&types)).clone(),
            };
            (format!("\"{}{column}\"", random.one(&names)), kind)
        })
        .collect();
    let mut definitions: Vec<String> =
        columns.iter().map(|(name, kind)| format!("{name} {}", in_schema(kind))).collect();
    let mut after = String::new();
    if random.below(3) == 0 {
        definitions.insert(0, "gone integer DEFAULT 5".to_owned());
        after.push_str(&format!("ALTER TABLE {name} DROP COLUMN gone;\n"));
    }
    if random.below(3) == 0 {
        definitions.push("id integer GENERATED ALWAYS AS IDENTITY".to_owned());
        definitions.push("twice integer GENERATED ALWAYS AS (id * 2) STORED".to_owned());
    }
    let unlogged = if random.below(8) == 0 { "UNLOGGED " } else { "" };
    let mut sql = format!("CREATE {unlogged}TABLE {name} ({});\n", definitions.join(", "));
    for _ in 0..random.below(40) {
        sql.push_str(&row(&name, &columns, random));
    }
    (name, sql + &after)
}

fn makes_text(kind: &str) -> bool {
    let embeds_oids = ["public.pair", "public.moods"].contains(&kind);
    let refuses_empty = ["oidvector", "int2vector", "tsquery"].contains(&kind);
    embeds_oids || refuses_empty || kind.starts_with("reg") || kind == "aclitem"
}

fn row(table: &str, columns: &[(String, String)], random: &mut Random) -> String {
    if columns.is_empty() {
        return format!("INSERT INTO {table} DEFAULT VALUES;\n");
    }
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<String> = columns.iter().map(|(_, kind)| value(kind, random)).collect();
    format!("INSERT INTO {table} ({}) VALUES ({});\n", names.join(", "), values.join(", "))
}

/// The type's name; extensions are in public.
fn in_schema(kind: &str) -> String {
    match kind.strip_suffix("[]").unwrap_or(kind) {
        "citext" | "hstore" => format!("public.{kind}"),
        _ => kind.to_owned(),
    }
}

/// A value of a type, as an SQL expression; NULL every now and then.
fn value(kind: &str, random: &mut Random) -> String {
    if random.below(6) == 0 {
        return format!("NULL::{}", in_schema(kind));
    }
    if let Some(element) = kind.strip_suffix("[]") {
        return array(element, random);
    }
    let text = match kind {
        "public.pair" => {
            let parts = ["integer", "text", "public.mood"].map(|kind| value(kind, random));
            return format!("ROW({})::public.pair", parts.join(", "));
        }
        "public.moods" => return format!("{}::public.moods", array("public.mood", random)),
        _ => literal(kind, random),
    };
    format!("'{}'::{}", text.replace('\'', "''"), in_schema(kind))
}

fn array(element: &str, random: &mut Random) -> String {
    let list = |random: &mut Random| {
        let values: Vec<String> = (0..3).map(|_| value(element, random)).collect();
        format!("ARRAY[{}]", values.join(", "))
    };
    let kind = in_schema(element);
    match random.below(5) {
        0 => format!("'{{}}'::{kind}[]"),
        1 => format!("ARRAY[{}, {}]::{kind}[]", list(random), list(random)),
        2 if element == "integer" => "'[-2:0]={1,NULL,3}'::integer[]".to_owned(),
        _ => format!("{}::{kind}[]", list(random)),
    }
}

/// The text of a value: one at the type's edges, or any.
fn literal(kind: &str, random: &mut Random) -> String {
    let n = random.below(1_000_000);

    match kind {
        "boolean" => random.of(&["t", "f"]),
        "smallint" => random.or(&["-32768", "32767", "0"], format!("{}", n % 30_000)),
        "integer" => random.or(&["-2147483648", "2147483647", "0"], format!("-{n}")),
        "bigint" => {
            let edges = ["-9223372036854775808", "9223372036854775807", "0"];
            random.or(&edges, format!("{n}{n:06}"))
        }
        "numeric" => {
            let (big, small) = ("9".repeat(900), format!("0.{}1", "0".repeat(900)));
            let edges = ["NaN", "0", "0.000", "-0.50", big.as_str(), small.as_str()];
            random.or(&edges, format!("{n}.{n:06}"))
        }
        "numeric(12,3)" => random.or(&["NaN", "-999999999.999"], format!("{n}.{n}")),
        "real" | "double precision" => {
            let edges = ["NaN", "Infinity", "-Infinity", "-0", "1e-37", "3.4028234e38", "0.1"];
            random.or(&edges, format!("{n}e-3"))
        }
        "money" => random.or(&["-92233720368547758.08", "0"], format!("{n}.5")),
        "text" | "citext" | "varchar(20)" | "refcursor" => random.text(20),
        "char(8)" => random.text(8),
        "\"char\"" => random.of(&["", "a", "\\", "~"]),
        "name" => random.or(&["", "Ä name"], "n".repeat(63)),
        "bytea" => random.or(&["", "\\x00", "\\xff00ff"], format!("\\x{n:06x}{n:08x}")),
        "date" => {
            let edges = ["infinity", "-infinity", "4713-01-01 BC", "5874897-12-31"];
            random.or(&edges, format!("2{:03}-02-28", n % 1000))
        }
        "time" | "time(2)" => random.or(&["24:00", "00:00"], format!("12:34:56.{n:06}")),
        "timetz" => random.or(&["24:00+15:59", "00:00-15:59"], format!("01:02:03.{n:06}+05:30")),
        "timestamp" | "timestamptz" | "timestamptz(3)" => {
            let edges = [
                "infinity",
                "-infinity",
                "4713-01-02 BC",
                "294276-12-30",
                "2000-01-01",
                "1582-10-10",
            ];
            random.or(&edges, format!("1969-12-31 23:59:59.{n:06}"))
        }
        "interval" => {
            let edges =
                ["178000000 years", "-178000000 years", "0", "1 month -1 day 00:00:00.000001"];
            random.or(&edges, format!("{n} days -{n} seconds"))
        }
        "interval day to second" => format!("{} days 01:02:03.5", n % 100),
        "uuid" => {
            let edges = ["00000000-0000-0000-0000-000000000000"];
            random.or(&edges, format!("{n:08x}-{:04x}-4000-8000-{n:012x}", n % 65536))
        }
        "json" => {
            let edges = ["null", "{}", "[]", "{\"a\": 1, \"a\" : 2}", "\"\\u00e4\\n\"", " 1.10 "];
            random.or(&edges, format!("{{\"n\": [{n}, \"x\\\"y\", null, true]}}"))
        }
        "jsonb" => {
            let edges = ["null", "{}", "[]", "\"\\u00e4\\n\\\\\"", "1.10", "{\"b\": {\"a\": []}}"];
            random.or(&edges, format!("{{\"n\": [{n}, \"x\\\"y\", null, true]}}"))
        }
        "jsonpath" => random.or(&["$", "strict $.a[*] ? (@ > 1)"], format!("$[{n}]")),
        "xml" => {
            let edges = ["", "text only", "<?xml version=\"1.0\"?><a>&lt;ä</a>", "<a/><b/>"];
            random.or(&edges, format!("<n v=\"{n}\"/>"))
        }
        "inet" => {
            let edges = ["0.0.0.0/0", "::1", "fe80::1/10", "10.1.2.3/8", "::ffff:1.2.3.4"];
            random.or(&edges, format!("10.0.{}.{}", n % 256, n % 255))
        }
        "cidr" => random.or(&["0.0.0.0/0", "::/0", "2001:db8::/32"], "10.0.0.0/8".into()),
        "macaddr" => format!("08:00:2b:{:02x}:{:02x}:03", n % 256, n % 255),
        "macaddr8" => format!("08:00:2b:01:02:{:02x}:{:02x}:05", n % 256, n % 255),
        "bit(7)" => format!("{:07b}", n % 128),
        "bit varying" => random.or(&["", "0"], format!("{n:b}")),
        "point" => random.or(&["(NaN,Infinity)", "(-0,0)"], format!("({n},0.1)")),
        "line" => format!("{{1,-1,{n}}}"),
        "lseg" => format!("[(0,0),({n},1e-5)]"),
        "box" => format!("({n},2),(1,-1)"),
        "path" => random.or(&["[(0,0),(1,1)]"], format!("((0,0),(1,{n}),(2,2))")),
        "polygon" => format!("((0,0),(1,{n}),(2,2))"),
        "circle" => format!("<(1,2),{n}>"),
        "tsvector" => random.or(&["", "'a ''b':1A,2B c:16383"], format!("w{n}:3C x")),
        "tsquery" => random.or(&["", "!a & (b | 'c d':*AB) <-> e"], format!("w{n}:B")),
        "oid" | "xid" | "cid" => random.or(&["0", "4294967295"], format!("{n}")),
        "xid8" => random.or(&["0", "18446744073709551615"], format!("{n}")),
        "tid" => random.or(&["(0,0)", "(4294967295,65535)"], format!("({n},7)")),
        "pg_lsn" => random.or(&["0/0", "FFFFFFFF/FFFFFFFF"], format!("1/{n:X}")),
        "oidvector" => random.or(&["", "0"], format!("{n} 2 4294967295")),
        "int2vector" => random.or(&["", "0"], format!("{} 2 -3", n % 30_000)),
        "regclass" => random.of(&["pg_class", "information_schema.tables", "-"]),
        "regtype" => random.of(&["public.mood", "public.mood[]", "integer", "public.pair"]),
        "regproc" => random.of(&["now", "pg_catalog.pg_backend_pid", "-"]),
        "regprocedure" => random.of(&["abs(integer)", "now()", "-"]),
        "regoper" => random.of(&["pg_catalog.||/", "0"]),
        "regoperator" => random.of(&["+(integer,integer)", "-(none,integer)", "0"]),
        "regrole" => random.of(&["random", "pg_monitor", "-"]),
        "regnamespace" => random.of(&["public", "pg_catalog", "-"]),
        "regconfig" => random.of(&["english", "simple", "-"]),
        "regdictionary" => random.of(&["english_stem", "simple", "-"]),
        "regcollation" => random.of(&["pg_catalog.\"C\"", "pg_catalog.\"default\"", "-"]),
        "aclitem" => random.of(&["random=r*w/random", "=X/random", "pg_monitor=/random"]),
        "pg_snapshot" | "txid_snapshot" => random.of(&["10:20:10,14,15", "7:7:"]),
        "int4range" | "int8range" => {
            random.or(&["empty", "(,)", "[5,)", "(,7]"], format!("[{n},{})", n + 3))
        }
        "numrange" => random.or(&["empty", "(,)", "(1.10,1.2]"], format!("[{n},)")),
        "public.floats" => random.or(&["empty", "(,)", "[-Infinity,NaN]"], format!("(0.5,{n}.25]")),
        "tsrange" | "tstzrange" => {
            let edges = ["empty", "[-infinity,infinity]", "[2020-01-01 00:00,)"];
            random.or(&edges, format!("(1999-12-31,2000-01-01 01:01:01.{n:06}]"))
        }
        "daterange" => {
            random.or(&["empty", "(,)", "[2020-01-01,)"], "[1999-01-01,2000-01-01)".into())
        }
        "int4multirange" => random.of(&["{}", "{[1,3),[7,)}", "{(,)}"]),
        "tstzmultirange" => random.of(&["{}", "{[2020-01-01,2020-01-02),[2021-01-01,)}"]),
        "public.floats_multi" => random.of(&["{}", "{[0.1,0.2],(1,Infinity)}"]),
        "public.mood" => random.of(&["calm", "wild", "a 'quoted' one", "ümläut"]),
        "public.small" => random.or(&["-2147483648", "999"], format!("{}", n % 1000)),
        "hstore" => {
            random.or(&["", "a=>NULL", "\"\"=>\"\""], format!("n=>{n}, \"x y\"=>\"ä\\\"\""))
        }
        other => panic!("no values of {other} are known"),
    }
}
