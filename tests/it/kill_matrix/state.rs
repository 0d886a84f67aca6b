//! All that a database is, to be compared: rows, definitions, sequences, large objects, and what
//! the cluster has of it.

use std::collections::BTreeMap;

use pgconvoy::servers::Cluster;

use crate::pg_dump;

/// Rows of a relation: how many, and the sum of a hash of each as text.
type Rows = (i64, String);

/// A database at rest.
#[derive(Clone)]
pub(super) struct State {
    rows: BTreeMap<String, Rows>,
    schema: String,
    /// What is neither, by its name.
    others: BTreeMap<&'static str, String>,
}

/// In what a database differs from what it is to be.
#[derive(Default)]
pub(super) struct Difference {
    pub(super) lost_rows: i64,
    pub(super) doubled_rows: i64,
    pub(super) words: Vec<String>,
}

const PASSWORDS: &str = "passwords";

/// What there is beside rows and definitions. Of a cluster's roles those that jobs make or join.
const OTHERS: [(&str, &str); 5] = [
    (
        "sequences",
        "SELECT string_agg(concat_ws(' ', schemaname, sequencename, last_value), ', ' \
         ORDER BY schemaname, sequencename) FROM pg_sequences",
    ),
    (
        "large objects",
        "SELECT string_agg(concat_ws(' ', o.oid, md5(lo_get(o.oid)), o.lomowner::regrole, \
         o.lomacl), ', ' ORDER BY o.oid) FROM pg_largeobject_metadata o",
    ),
    (
        "roles",
        "SELECT string_agg(concat_ws(' ', a.rolname, a.rolcanlogin, (SELECT string_agg(m.member::regrole::text, '+' ORDER BY 1) \
         FROM pg_auth_members m WHERE m.roleid = a.oid)), ', ' ORDER BY a.rolname) \
         FROM pg_authid a WHERE a.rolname IN ('shop', 'clerk', 'readers')",
    ),
    (
        PASSWORDS,
        "SELECT string_agg(concat_ws(' ', a.rolname, md5(a.rolpassword)), ', ' \
         ORDER BY a.rolname) FROM pg_authid a WHERE a.rolname IN ('shop', 'clerk', 'readers')",
    ),
    (
        "the database",
        "SELECT concat_ws(' ', d.datdba::regrole, d.datacl, d.datconnlimit, s.setconfig, \
         (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = d.oid)) \
         FROM pg_database d LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid \
         WHERE d.datname = current_database()",
    ),
];

impl State {
    pub(super) async fn of(cluster: &Cluster, database: &str) -> State {
        let mut others = BTreeMap::new();
        let session = cluster.superuser_session(database).await.unwrap();
        for (name, sql) in OTHERS {
            let row = session.query_one("asking", sql, &[]).await.unwrap();
            others.insert(name, row.get::<_, Option<String>>(0).unwrap_or_default());
        }
        session.close().await;
        let schema = pg_dump::schema(cluster, database);
        State { rows: rows(cluster, database).await, schema, others }
    }

    /// The rows, sequences and large objects of another database, and all the rest of this one.
    pub(super) fn with_contents_of(mut self, other: State) -> State {
        self.rows = other.rows;
        for name in ["sequences", "large objects"] {
            self.others.insert(name, other.others[name].clone());
        }
        self
    }

    /// The same, whatever the roles' passwords are.
    pub(super) fn but_for_passwords(mut self) -> State {
        self.others.remove(PASSWORDS);
        self
    }

    /// In what `found` isn't this.
    pub(super) fn differs_from(&self, found: &State) -> Difference {
        let mut difference = Difference::default();
        let names: Vec<&String> = self.rows.keys().chain(found.rows.keys()).collect();
        for name in names {
            let (ours, theirs) = (self.rows.get(name), found.rows.get(name));
            if ours == theirs {
                continue;
            }
            let count = |rows: Option<&Rows>| rows.map_or(0, |rows| rows.0);
            let more = count(theirs) - count(ours);
            difference.lost_rows += (-more).max(0);
            difference.doubled_rows += more.max(0);
            difference.words.push(format!("{name}: {ours:?}, found {theirs:?}"));
        }
        for (name, ours) in &self.others {
            if *ours != found.others[name] {
                difference.words.push(format!("{name}: {ours}, found {}", found.others[name]));
            }
        }
        let lines = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let (ours, theirs) = (lines(&self.schema), lines(&found.schema));
        let only = |a: &[String], b: &[String]| -> Vec<String> {
            a.iter().filter(|line| !b.contains(line)).cloned().collect()
        };
        if ours != theirs {
            let (missing, more) = (only(&ours, &theirs), only(&theirs, &ours));
            difference.words.push(format!("pg_dump: missing {missing:?}, more {more:?}"));
        }
        difference
    }
}

async fn rows(cluster: &Cluster, database: &str) -> BTreeMap<String, Rows> {
    let session = cluster.superuser_session(database).await.unwrap();
    let relations = "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'm') \
         AND c.relnamespace::regnamespace::text IN ('public', 'back')";
    let relations = session.query("looking for tables", relations, &[]).await.unwrap();
    let asked: Vec<String> = relations
        .iter()
        .map(|row| {
            let name: String = row.get(0);
            format!(
                "SELECT '{name}', count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text \
                 FROM ONLY {name} t"
            )
        })
        .collect();
    let found = session.query("reading rows", &asked.join(" UNION ALL "), &[]).await.unwrap();
    session.close().await;
    found.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect()
}
