//! Sequences: standing alone, owned by a column (serial), or a column's identity; and their values.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::{ONLY_STORED, quote_ident, quote_literal};
use crate::toc::{Entry, EntryId, Kind};
use crate::wire::Session;

use super::builder::Builder;
use super::columns::Columns;
use super::locks::LockTable;
use super::relations::{Relation, RelationKind, Relations};
use super::tables::Parts;

/// How many sequences are asked for their value in one query, where there is room for their locks.
const VALUES_PER_QUERY: usize = 200;

/// A sequence's properties.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    pub(super) oid: u32,
    type_name: String,
    start: i64,
    increment: i64,
    min: i64,
    max: i64,
    cache: i64,
    cycle: bool,
    owner: Option<OwningColumn>,
}

#[derive(Debug, Clone)]
struct OwningColumn {
    table: u32,
    number: i16,
    /// `ALWAYS` or `BY DEFAULT`, where the sequence is the column's identity.
    identity: Option<&'static str>,
}

/// All sequences, by oid.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    by_oid: BTreeMap<u32, Sequence>,
    identities: HashMap<u32, Vec<u32>>,
    /// Sequences can be unlogged, each for itself (15 and later).
    have_persistence: bool,
}

/// What makes columns of a table identities.
pub(super) struct Identities {
    /// The statements.
    pub(super) sql: String,
    /// What versions from 15 on must be told besides: before, sequences of unlogged tables are logged.
    pub(super) since_15: String,
    /// The sequences that the statements create.
    pub(super) sequences: Vec<u32>,
}

impl Sequences {
    pub(super) async fn read(session: &Session) -> Result<Self> {
        let rows = session.query("reading sequences", SEQUENCES_SQL, &[]).await?;
        Ok(Sequences {
            have_persistence: session.version().major() >= 15,
            ..Sequences::new(rows.iter().map(from_row))
        })
    }

    fn new(sequences: impl IntoIterator<Item = Sequence>) -> Self {
        let mut all = Sequences::default();
        for sequence in sequences {
            if let Some(owner) = sequence.owner.as_ref().filter(|o| o.identity.is_some()) {
                let of_table = all.identities.entry(owner.table).or_default();
                of_table.push(sequence.oid);
            }
            all.by_oid.insert(sequence.oid, sequence);
        }
        all
    }

    /// The identities among the columns of `table`.
    pub(super) fn identities(
        &self,
        table: &Relation,
        columns: &Columns,
        relations: &Relations,
    ) -> Identities {
        let (mut sql, mut otherwise) = (String::new(), String::new());
        let oids = self.identities.get(&table.oid).cloned().unwrap_or_default();
        for oid in &oids {
            let sequence = &self.by_oid[oid];
            if let Some(owner) = &sequence.owner
                && let Some(identity) = owner.identity
                && let Some(column) = columns.numbered(table.oid, owner.number)
                && let Some(relation) = relations.own(*oid)
            {
                sql.push_str(&format!(
                    "ALTER TABLE {} ALTER COLUMN {} ADD GENERATED {identity} AS IDENTITY (\n    \
                     SEQUENCE NAME {}\n    {}\n);\n",
                    table.sql(),
                    quote_ident(&column.name),
                    relation.sql(),
                    sequence.properties(),
                ));
                if relation.unlogged != table.unlogged {
                    otherwise.push_str(&persistence(relation));
                }
            }
        }
        let since_15 = match self.have_persistence {
            true => {
                sql.push_str(&otherwise);
                String::new()
            }
            false => otherwise,
        };
        Identities { sql, since_15, sequences: oids }
    }

    fn is_identity(&self, oid: u32) -> bool {
        self.by_oid
            .get(&oid)
            .and_then(|sequence| sequence.owner.as_ref())
            .is_some_and(|owner| owner.identity.is_some())
    }
}

impl Sequence {
    fn properties(&self) -> String {
        format!(
            "START WITH {}\n    INCREMENT BY {}\n    MINVALUE {}\n    MAXVALUE {}\n    CACHE {}{}",
            self.start,
            self.increment,
            self.min,
            self.max,
            self.cache,
            if self.cycle { "\n    CYCLE" } else { "" },
        )
    }

    fn create(&self, relation: &Relation) -> String {
        format!(
            "CREATE {}SEQUENCE {}\n    AS {}\n    {};\n",
            if relation.unlogged { "UNLOGGED " } else { "" },
            relation.sql(),
            self.type_name,
            self.properties(),
        )
    }
}

fn persistence(relation: &Relation) -> String {
    let wanted = if relation.unlogged { "UNLOGGED" } else { "LOGGED" };
    format!("ALTER SEQUENCE {} SET {wanted};\n", relation.sql())
}

/// Adds SEQUENCE, SEQUENCE OWNED BY and SEQUENCE SET entries. `config` names sequences that
/// extensions bring but whose values are the users'.
pub(super) async fn read(
    session: &Session,
    parts: Parts<'_>,
    config: &[u32],
    out: &mut Builder,
) -> Result<()> {
    let Parts { relations, columns, sequences, .. } = parts;
    for relation in own_sequences(relations) {
        if let Some(sequence) = sequences.by_oid.get(&relation.oid)
            && !sequences.is_identity(relation.oid)
        {
            add_sequence(relation, sequence, relations, columns, out);
        }
    }
    let valued: Vec<&Relation> = own_sequences(relations)
        .chain(config.iter().filter_map(|&oid| relations.any(oid)))
        .filter(|relation| relation.kind == RelationKind::Sequence)
        .collect();
    let hidden = hidden(session, &valued).await?;
    let borrows = !hidden.is_empty() && may_write(session).await?;
    let (hidden, valued): (Vec<&Relation>, Vec<&Relation>) =
        valued.into_iter().partition(|relation| !borrows && hidden.contains(&relation.oid));
    for relation in hidden {
        let why = "its value can't be read: the user has no SELECT on it";
        out.unsupported(format!("sequence {}", relation.name), why);
    }
    for batch in valued.chunks(at_a_time(LockTable::of(session).await?)) {
        for row in &read_values(session, batch, borrows).await? {
            if let Some(relation) = relations.any(row.get(0)) {
                add_value(relation, row.get(1), row.get(2), out);
            }
        }
    }
    Ok(())
}

/// The lock table is everybody's, and our own tables may hold half of it.
fn at_a_time(table: LockTable) -> usize {
    let some = usize::try_from(table.room() / 8).unwrap_or(VALUES_PER_QUERY);
    some.clamp(1, VALUES_PER_QUERY)
}

/// Reading a sequence locks it to the transaction's end, and there are only so many locks: those
/// taken after a savepoint go when it is rolled back to.
/// Likewise the right to read them, which an owner can give itself back.
async fn read_values(session: &Session, batch: &[&Relation], borrow: bool) -> Result<Vec<Row>> {
    let doing = "reading sequence values";
    session.execute(doing, &format!("SAVEPOINT sequence_values; {ONLY_STORED}")).await?;
    if borrow {
        let names: Vec<String> = batch.iter().map(|relation| relation.sql()).collect();
        let sql = format!("GRANT SELECT ON SEQUENCE {} TO CURRENT_USER", names.join(", "));
        session.execute(doing, &sql).await?;
    }
    let rows = session.query(doing, &values_sql(batch), &[]).await?;
    session
        .execute(doing, "ROLLBACK TO SAVEPOINT sequence_values; RELEASE SAVEPOINT sequence_values")
        .await?;
    Ok(rows)
}

/// The sequences whose values this user may not read.
async fn hidden(session: &Session, sequences: &[&Relation]) -> Result<HashSet<u32>> {
    let oids: Vec<u32> = sequences.iter().map(|relation| relation.oid).collect();
    let sql = "SELECT oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) oid \
               WHERE NOT pg_catalog.has_sequence_privilege(oid, 'SELECT')";
    let rows = session.query("asking which sequences may be read", sql, &[&oids]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Whether the transaction is one that may be written in: a source's isn't.
async fn may_write(session: &Session) -> Result<bool> {
    let sql = "SELECT pg_catalog.current_setting('transaction_read_only') = 'off'";
    let row = session.query_one("asking how the transaction was begun", sql, &[]).await?;
    Ok(row.get(0))
}

fn own_sequences(relations: &Relations) -> impl Iterator<Item = &Relation> {
    relations.iter().filter(|relation| relation.kind == RelationKind::Sequence)
}

fn add_sequence(
    relation: &Relation,
    sequence: &Sequence,
    relations: &Relations,
    columns: &Columns,
    out: &mut Builder,
) {
    let id = out.add(
        relation.object(),
        Entry {
            owner: Some(relation.owner.clone()),
            create: sequence.create(relation),
            drop: format!("DROP SEQUENCE {};\n", relation.sql()),
            ..Entry::new(Kind::Sequence, Some(&relation.name.schema), &relation.name.name)
        },
    );
    if let Some(owner) = &sequence.owner
        && let Some(table) = relations.any(owner.table)
        && let Some(column) = columns.numbered(owner.table, owner.number)
    {
        let owned_by = out.add_part(owned_by_entry(relation, table, &column.name));
        out.comes_after(owned_by, id);
        out.needs(owned_by, table.object());
    }
}

fn owned_by_entry(sequence: &Relation, table: &Relation, column: &str) -> Entry {
    Entry {
        create: format!(
            "ALTER SEQUENCE {} OWNED BY {}.{};\n",
            sequence.sql(),
            table.sql(),
            quote_ident(column),
        ),
        ..Entry::new(Kind::SequenceOwnedBy, Some(&sequence.name.schema), &sequence.name.name)
    }
}

fn add_value(relation: &Relation, last_value: i64, is_called: bool, out: &mut Builder) -> EntryId {
    let id = out.add_part(Entry {
        create: format!(
            "SELECT pg_catalog.setval({}::pg_catalog.regclass, {last_value}, {is_called});\n",
            quote_literal(&relation.sql()),
        ),
        ..Entry::new(Kind::SequenceSet, Some(&relation.name.schema), &relation.name.name)
    });
    out.needs(id, relation.object());
    id
}

/// A sequence's value is a row of the sequence itself: one branch for each.
fn values_sql(sequences: &[&Relation]) -> String {
    let branches: Vec<String> = sequences
        .iter()
        .map(|relation| {
            format!(
                "SELECT {}::pg_catalog.oid, last_value, is_called FROM {}",
                relation.oid,
                relation.sql()
            )
        })
        .collect();
    branches.join(" UNION ALL ")
}

const SEQUENCES_SQL: &str = "\
    SELECT s.seqrelid, pg_catalog.format_type(s.seqtypid, NULL) AS type_name, s.seqstart, \
           s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle, \
           d.refobjid AS owning_table, a.attnum AS owning_column, \
           CASE WHEN d.deptype = 'i' THEN a.attidentity::text END AS identity \
    FROM pg_catalog.pg_sequence s \
    LEFT JOIN pg_catalog.pg_depend d \
           ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.seqrelid \
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 \
          AND d.deptype IN ('a', 'i') \
    LEFT JOIN pg_catalog.pg_attribute a \
           ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
    ORDER BY s.seqrelid";

fn from_row(row: &Row) -> Sequence {
    let table: Option<u32> = row.get("owning_table");
    let number: Option<i16> = row.get("owning_column");
    Sequence {
        oid: row.get("seqrelid"),
        type_name: row.get("type_name"),
        start: row.get("seqstart"),
        increment: row.get("seqincrement"),
        min: row.get("seqmin"),
        max: row.get("seqmax"),
        cache: row.get("seqcache"),
        cycle: row.get("seqcycle"),
        owner: table.zip(number).map(|(table, number)| OwningColumn {
            table,
            number,
            identity: match row.get("identity") {
                Some("a") => Some("ALWAYS"),
                Some("d") => Some("BY DEFAULT"),
                _ => None,
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::Column;
    use super::super::relations::sample;
    use super::*;

    fn sequence(oid: u32, identity: Option<&'static str>) -> Sequence {
        Sequence {
            oid,
            type_name: "integer".to_owned(),
            start: 1,
            increment: -2,
            min: -100,
            max: 5,
            cache: 3,
            cycle: true,
            owner: Some(OwningColumn { table: 1, number: 1, identity }),
        }
    }

    fn world() -> (Relations, Columns) {
        let q = Relation { kind: RelationKind::Sequence, ..sample::table(9, "q") };
        let id = Column { number: 1, name: "id".to_owned(), ..Column::default() };
        let relations = Relations::new([sample::table(1, "t"), q], []);
        (relations, Columns::new([(1, id)]))
    }

    #[test]
    fn a_serial_sequence_is_created_valued_and_owned_by_separate_entries() {
        let (relations, columns) = world();
        let mut out = Builder::default();
        let q = relations.own(9).unwrap();
        add_sequence(q, &sequence(9, None), &relations, &columns, &mut out);
        add_value(q, 7, true, &mut out);
        let sql: Vec<&str> = out.entries.iter().map(|e| e.create.as_str()).collect();
        assert_eq!(
            sql,
            [
                "CREATE SEQUENCE \"s\".\"q\"\n    AS integer\n    START WITH 1\n    \
                 INCREMENT BY -2\n    MINVALUE -100\n    MAXVALUE 5\n    CACHE 3\n    CYCLE;\n",
                "ALTER SEQUENCE \"s\".\"q\" OWNED BY \"s\".\"t\".\"id\";\n",
                "SELECT pg_catalog.setval('\"s\".\"q\"'::pg_catalog.regclass, 7, true);\n",
            ]
        );
    }

    #[test]
    fn an_identity_column_creates_its_sequence() {
        let (relations, columns) = world();
        let sequences = Sequences::new([sequence(9, Some("ALWAYS"))]);
        let table = relations.own(1).unwrap();
        let identities = sequences.identities(table, &columns, &relations);
        assert_eq!(identities.sequences, [9]);
        assert!(identities.sql.starts_with(
            "ALTER TABLE \"s\".\"t\" ALTER COLUMN \"id\" ADD GENERATED ALWAYS AS IDENTITY (\n    \
             SEQUENCE NAME \"s\".\"q\"\n    START WITH 1\n"
        ));
    }
}
