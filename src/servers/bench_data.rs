//! The benchmark's data sets, the same every time.

use std::str::FromStr;

use crate::error::{Error, Result};

use super::cluster::Cluster;
use super::demo_data::{DEMO_DATABASES, DemoSize, make_demo_databases};

/// A data set: each is hard on another part of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BenchData {
    /// pgbench's tables: one is big, and its rows are narrow.
    Narrow,
    /// Thousands of small tables, with a key and an index each.
    Many,
    /// One table of forty columns, with jsonb, arrays and values that are stored apart.
    Wide,
    /// Large objects between 256 B and 1 MB.
    LargeObjects,
    /// The demo's three databases.
    Demo,
}

impl BenchData {
    /// All of them.
    pub const ALL: [BenchData; 5] = [
        BenchData::Narrow,
        BenchData::Many,
        BenchData::Wide,
        BenchData::LargeObjects,
        BenchData::Demo,
    ];

    /// The name on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            BenchData::Narrow => "narrow",
            BenchData::Many => "many",
            BenchData::Wide => "wide",
            BenchData::LargeObjects => "large-objects",
            BenchData::Demo => "demo",
        }
    }

    /// The databases it makes.
    pub fn databases(self) -> Vec<String> {
        match self {
            BenchData::Demo => DEMO_DATABASES.map(str::to_owned).to_vec(),
            other => vec![format!("bench_{}", other.name().replace('-', "_"))],
        }
    }

    /// Makes it. At scale 1 it takes 1.5 GB (narrow), 0.2 GB (many), 0.9 GB (wide), 2.5 GB (large
    /// objects) or 1 GB (demo) on disk.
    pub async fn make(self, cluster: &Cluster, scale: f64) -> Result<()> {
        let statements = match self {
            BenchData::Narrow => narrow(scale),
            BenchData::Many => many(scale),
            BenchData::Wide => wide(scale),
            BenchData::LargeObjects => large_objects(scale),
            BenchData::Demo => {
                let size = DemoSize(times(1_000_000_000, scale));
                return make_demo_databases(cluster, size).await.map(|_logins| ());
            }
        };
        let [database] = self.databases().try_into().map_err(|_| {
            Error::step("making a data set").because("it has more databases than one")
        })?;
        let doing = format!("making the data set {}", self.name());
        let server = cluster.superuser_session("postgres").await?;
        server.execute(&doing, &format!("CREATE DATABASE {database}")).await?;
        let session = cluster.superuser_session(&database).await?;
        for statement in statements {
            session.execute(&doing, &statement).await?;
        }
        session.execute(&doing, "VACUUM (ANALYZE, FREEZE)").await?;
        session.execute(&doing, "CHECKPOINT").await
    }
}

impl FromStr for BenchData {
    type Err = Error;

    fn from_str(text: &str) -> Result<BenchData> {
        BenchData::ALL.into_iter().find(|data| data.name() == text).ok_or_else(|| {
            let names = BenchData::ALL.map(BenchData::name).join(", ");
            Error::usage(format!("reading the data set {text:?}"))
                .hint(format!("give one of {names}"))
        })
    }
}

/// `number` scaled, one at least.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "sizes of samples, far below the limits"
)]
fn times(number: u64, scale: f64) -> u64 {
    ((number as f64 * scale) as u64).max(1)
}

/// As `pgbench -i -s 100` makes them.
fn narrow(scale: f64) -> Vec<String> {
    let branches = times(100, scale);
    vec![
        "CREATE TABLE public.pgbench_branches (bid integer NOT NULL, bbalance integer, \
         filler character(88)) WITH (fillfactor = 100)"
            .to_owned(),
        "CREATE TABLE public.pgbench_tellers (tid integer NOT NULL, bid integer, \
         tbalance integer, filler character(84)) WITH (fillfactor = 100)"
            .to_owned(),
        "CREATE TABLE public.pgbench_accounts (aid integer NOT NULL, bid integer, \
         abalance integer, filler character(84)) WITH (fillfactor = 100)"
            .to_owned(),
        "CREATE TABLE public.pgbench_history (tid integer, bid integer, aid integer, \
         delta integer, mtime timestamp, filler character(22))"
            .to_owned(),
        format!(
            "INSERT INTO public.pgbench_branches \
             SELECT n, 0, NULL FROM pg_catalog.generate_series(1, {branches}) n"
        ),
        format!(
            "INSERT INTO public.pgbench_tellers SELECT n, (n - 1) / 10 + 1, 0, NULL \
             FROM pg_catalog.generate_series(1, {branches} * 10) n"
        ),
        format!(
            "INSERT INTO public.pgbench_accounts SELECT n, (n - 1) / 100000 + 1, 0, '' \
             FROM pg_catalog.generate_series(1, {branches} * 100000) n"
        ),
        "ALTER TABLE public.pgbench_branches ADD PRIMARY KEY (bid)".to_owned(),
        "ALTER TABLE public.pgbench_tellers ADD PRIMARY KEY (tid)".to_owned(),
        "ALTER TABLE public.pgbench_accounts ADD PRIMARY KEY (aid)".to_owned(),
    ]
}

fn many(scale: f64) -> Vec<String> {
    const AT_ONCE: u64 = 200;
    let tables = times(2_000, scale);
    let from = (1..=tables).step_by(200);
    from.map(|from| {
        let to = (from + AT_ONCE - 1).min(tables);
        format!(
            "DO $$ BEGIN FOR t IN {from}..{to} LOOP \
             EXECUTE pg_catalog.format('CREATE TABLE public.t%s (id integer NOT NULL, \
             name text NOT NULL, amount numeric(12,2), at timestamptz)', t); \
             EXECUTE pg_catalog.format('INSERT INTO public.t%s SELECT n, ''name '' || n, n * 1.25, \
             ''2026-01-01Z''::timestamptz + n * ''1 minute''::interval \
             FROM pg_catalog.generate_series(1, 500) n', t); \
             EXECUTE pg_catalog.format('ALTER TABLE public.t%s ADD PRIMARY KEY (id)', t); \
             EXECUTE pg_catalog.format('CREATE INDEX ON public.t%s (name)', t); \
             END LOOP; END $$"
        )
    })
    .collect()
}

fn wide(scale: f64) -> Vec<String> {
    let kinds = [
        ("integer", "n * {i}"),
        ("bigint", "n::bigint * 1000003 * {i}"),
        ("numeric(14,4)", "n * 1.0001 / {i}"),
        ("double precision", "n / (7.0 + {i})"),
        ("text", "pg_catalog.md5((n * {i})::text)"),
        ("timestamptz", "'2026-01-01Z'::timestamptz + n * '{i} seconds'::interval"),
        ("date", "'2020-01-01'::date + (n % 3000) + {i}"),
        ("boolean", "n % ({i} + 1) = 0"),
        ("uuid", "pg_catalog.md5((n + {i})::text)::uuid"),
    ];
    let mut columns = vec!["id bigint NOT NULL".to_owned()];
    let mut values = vec!["n".to_owned()];
    for (index, (kind, value)) in kinds.iter().cycle().take(36).enumerate() {
        columns.push(format!("c{} {kind}", index + 1));
        values.push(value.replace("{i}", &(index + 1).to_string()));
    }
    columns.push("tags text[]".to_owned());
    values.push(
        "ARRAY['tag ' || n % 97, 'tag ' || n % 89, pg_catalog.md5((n % 83)::text)]".to_owned(),
    );
    columns.push("document jsonb".to_owned());
    values.push(
        "pg_catalog.jsonb_build_object('n', n, 'name', 'name ' || n, 'list', ARRAY[n, n + 1], \
         'text', pg_catalog.repeat(pg_catalog.md5(n::text), 8))"
            .to_owned(),
    );
    columns.push("blob bytea".to_owned());
    let parts: Vec<String> =
        (0..32).map(|part| format!("pg_catalog.sha256((n::text || '-{part}')::bytea)")).collect();
    values.push(parts.join(" || "));
    vec![
        format!("CREATE TABLE public.wide ({})", columns.join(", ")),
        format!(
            "INSERT INTO public.wide SELECT {} FROM pg_catalog.generate_series(1, {}) n",
            values.join(", "),
            times(300_000, scale)
        ),
        "ALTER TABLE public.wide ADD PRIMARY KEY (id)".to_owned(),
        "CREATE INDEX ON public.wide (c5)".to_owned(),
    ]
}

/// Sizes are spread evenly over the powers of two.
fn large_objects(scale: f64) -> Vec<String> {
    const AT_ONCE: u64 = 500;
    let objects = times(20_000, scale);
    let from = (1..=objects).step_by(500);
    from.map(|from| {
        let to = (from + AT_ONCE - 1).min(objects);
        format!(
            "SELECT pg_catalog.count(pg_catalog.lo_from_bytea(0, pg_catalog.substring(\
             pg_catalog.decode(pg_catalog.repeat(pg_catalog.md5(n::text), 65536), 'hex'), 1, \
             (256 * pg_catalog.power(4096, (n * 7919 % 10007) / 10007.0))::integer))) \
             FROM pg_catalog.generate_series({from}, {to}) n"
        )
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_is_known_by_its_name() {
        for data in BenchData::ALL {
            assert_eq!(data.name().parse::<BenchData>().unwrap(), data);
        }
        assert!("other".parse::<BenchData>().unwrap_err().hint_text().unwrap().contains("narrow"));
    }
}
