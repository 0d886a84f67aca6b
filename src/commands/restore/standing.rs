//! What a part of an archive leans on: what it needs and doesn't bring has to be on the target, tables
//! that are to be filled have to be empty and fit, and whatever would change or hold up their rows is
//! told before anything is touched.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::Need;
use crate::error::Result;
use crate::pg::{QualifiedName, quote_ident};
use crate::toc::{Entry, EntryId, Finding, Kind, TableData, TargetFacts, Toc, counted, named};
use crate::wire::Session;

/// So many tables are asked for rows by one statement, which locks them all.
const ASKED: usize = 100;

/// What is there of what a part leans on.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// What speaks against the job, or is worth knowing.
    pub(super) findings: Vec<Finding>,
    /// The tables between which foreign keys stand, each behind those that it refers to.
    bound: Vec<QualifiedName>,
}

/// Looks at a target.
pub(super) async fn look(
    toc: &Toc,
    needs: &[Need],
    facts: &TargetFacts,
    target: &Session,
) -> Result<Standing> {
    let mut standing = Standing::default();
    standing.findings.extend(missing(needs, target).await?);
    standing.findings.extend(made_already(toc, target).await?);
    let filled: Vec<&TableData> =
        toc.entries.iter().filter_map(|e| e.table.as_deref()).filter(|t| t.stands).collect();
    let there = tables(&filled, target).await?;
    let mut asked = Vec::new();
    for (number, table) in &there {
        let wanted = filled[*number];
        let title = format!("TABLE {}", wanted.relation);
        standing.findings.extend(
            table
                .refusal(wanted, facts)
                .map(|(what, mend)| Finding::refusal(title.clone(), what).mend(mend)),
        );
        if table.may_have_rows && table.readable {
            asked.push(wanted);
        }
    }
    standing.findings.extend(with_rows(&asked, target).await?);
    standing.bind(&filled, &there, target).await?;
    if toc.entries.iter().any(|entry| entry.kind == Kind::LargeObjectData) {
        standing.findings.extend(large_objects(target).await?);
    }
    Ok(standing)
}

/// The owners of what is needed, and of the schemas it lies in.
pub(super) async fn owners(needs: &[Need], target: &Session) -> Result<BTreeSet<String>> {
    let sql = "SELECT pg_catalog.pg_get_userbyid(c.relowner)::text, \
         pg_catalog.pg_get_userbyid(n.nspowner)::text \
         FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), \
         pg_catalog.unnest($2::pg_catalog.text[])) wanted (schema, name) \
         JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema \
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name";
    let relations = needs.iter().filter(|need| class(need.kind) == Some("relation"));
    let (schemas, names): (Vec<&str>, Vec<&str>) = relations
        .map(|need| (need.schema.as_deref().unwrap_or_default(), need.name.as_str()))
        .unzip();
    let rows = target.query("asking who owns what is there", sql, &[&schemas, &names]).await?;
    Ok(rows.iter().flat_map(|row| [row.get(0), row.get(1)]).collect())
}

/// The statements that make the target user a member of `owners`, and undo that.
pub(super) fn joining(
    owners: &BTreeSet<String>,
    facts: &TargetFacts,
) -> (Vec<String>, Vec<String>) {
    let joined = owners.iter().filter(|owner| !facts.acts_as(owner) && facts.can_join(owner));
    joined.map(|owner| facts.joining(owner)).unzip()
}

/// By what a kind of object is looked up; none where the server itself says that it isn't there.
fn class(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Schema => Some("schema"),
        Kind::Extension => Some("extension"),
        Kind::Table
        | Kind::ForeignTable
        | Kind::View
        | Kind::MaterializedView
        | Kind::Sequence
        | Kind::Index => Some("relation"),
        Kind::Type | Kind::Domain => Some("type"),
        Kind::Function | Kind::Procedure | Kind::Aggregate => Some("routine"),
        _ => None,
    }
}

/// Which of some objects are there: their places.
async fn present(
    objects: &[(&'static str, &str, &str)],
    target: &Session,
) -> Result<BTreeSet<usize>> {
    let sql = "SELECT wanted.number FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), \
         pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text[])) \
         WITH ORDINALITY wanted (class, schema, name, number) \
         LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema \
         WHERE CASE wanted.class \
         WHEN 'schema' THEN EXISTS (SELECT FROM pg_catalog.pg_namespace o \
         WHERE o.nspname = wanted.name) \
         WHEN 'extension' THEN EXISTS (SELECT FROM pg_catalog.pg_extension o \
         WHERE o.extname = wanted.name) \
         WHEN 'relation' THEN EXISTS (SELECT FROM pg_catalog.pg_class o \
         WHERE o.relnamespace = n.oid AND o.relname = wanted.name) \
         WHEN 'type' THEN EXISTS (SELECT FROM pg_catalog.pg_type o \
         WHERE o.typnamespace = n.oid AND o.typname = wanted.name) \
         ELSE EXISTS (SELECT FROM pg_catalog.pg_proc o \
         WHERE o.pronamespace = n.oid AND o.proname = wanted.name) END";
    let of = |part: fn(&(&'static str, &str, &str)) -> String| -> Vec<String> {
        objects.iter().map(part).collect()
    };
    let (classes, schemas, names) =
        (of(|o| o.0.to_owned()), of(|o| o.1.to_owned()), of(|o| o.2.to_owned()));
    let doing = "looking for what is needed on the target";
    let rows = target.query(doing, sql, &[&classes, &schemas, &names]).await?;
    Ok(rows.iter().map(|row| (row.get::<_, i64>(0) - 1) as usize).collect())
}

async fn missing(needs: &[Need], target: &Session) -> Result<Vec<Finding>> {
    let known: Vec<(&Need, &'static str)> =
        needs.iter().filter_map(|need| Some((need, class(need.kind)?))).collect();
    let asked: Vec<(&'static str, &str, &str)> = known
        .iter()
        .map(|(need, class)| {
            // A routine's name has its arguments with it.
            let name = need.name.split('(').next().filter(|_| *class == "routine");
            (*class, need.schema.as_deref().unwrap_or_default(), name.unwrap_or(&need.name))
        })
        .collect();
    let there = present(&asked, target).await?;
    let lacks = known.iter().enumerate().filter(|(at, _)| !there.contains(at));
    let finding = |(_, (need, _)): (usize, &(&Need, &'static str))| {
        let what = format!("isn't on the target, isn't restored, and is needed by {}", need.by);
        Finding::refusal(need.title(), what)
            .mend("restore what makes it, too, or before; or make it by hand")
    };
    Ok(lacks.map(finding).collect())
}

/// What the job would make, and is there already.
async fn made_already(toc: &Toc, target: &Session) -> Result<Option<Finding>> {
    let made: Vec<&Entry> = toc
        .entries
        .iter()
        .filter(|entry| !entry.stands && class(entry.kind) == Some("relation"))
        .collect();
    let asked: Vec<(&'static str, &str, &str)> = made
        .iter()
        .map(|e| ("relation", e.schema.as_deref().unwrap_or_default(), e.name.as_str()))
        .collect();
    let there = present(&asked, target).await?;
    let titles: Vec<String> = there.iter().map(|at| made[*at].title()).collect();
    let what = format!("holds already what is to be made: {}", named(&titles));
    let mend = "drop these there, if nobody needs them; or leave them out";
    Ok((!titles.is_empty()).then(|| Finding::refusal("target database", what).mend(mend)))
}

/// A table on the target that is to be filled.
struct Table {
    oid: u32,
    relkind: String,
    owner: String,
    may_have_rows: bool,
    readable: bool,
    writable: bool,
    /// Whether its owner may read and fill it.
    owner_may: bool,
    /// The columns that rows may have values for.
    takes: Vec<String>,
    /// Those that rows must have values for.
    must: Vec<String>,
    /// The triggers that rows would fire.
    triggers: Vec<String>,
}

impl Table {
    /// Why rows can't come, and what mends that.
    fn refusal(&self, wanted: &TableData, facts: &TargetFacts) -> Option<(String, String)> {
        let name = wanted.relation.sql();
        if !matches!(self.relkind.as_str(), "r" | "p") {
            let what = "is no table on the target, so that no rows go there".to_owned();
            return Some((what, "drop what has its name there, and make the table".to_owned()));
        }
        let by_owner = self.owner_may && facts.can_join(&self.owner);
        if !(self.readable && self.writable) && (!by_owner || self.may_have_rows) {
            let user = &facts.user;
            let what =
                format!("is {}'s on the target, and {user} may not read and fill it", self.owner);
            return Some((
                what,
                format!("GRANT SELECT, INSERT ON {name} TO {};", quote_ident(user)),
            ));
        }
        let lacks: Vec<&String> =
            wanted.columns.iter().filter(|column| !self.takes.contains(column)).collect();
        if !lacks.is_empty() {
            let what = format!("has no column on the target that takes {}", named(&lacks));
            return Some((what, "make the table as the archive has it".to_owned()));
        }
        let owed: Vec<&String> =
            self.must.iter().filter(|column| !wanted.columns.contains(column)).collect();
        if !owed.is_empty() {
            let what =
                format!("must have values on the target that the archive lacks: {}", named(&owed));
            return Some((what, format!("ALTER TABLE {name} ALTER COLUMN … SET DEFAULT …;")));
        }
        (!self.triggers.is_empty()).then(|| {
            let what = format!(
                "has triggers on the target, which its rows would fire: {}",
                named(&self.triggers)
            );
            let mend = format!(
                "ALTER TABLE {name} DISABLE TRIGGER USER; and, when all is done: ALTER TABLE {name} \
                 ENABLE TRIGGER USER;"
            );
            (what, mend)
        })
    }
}

/// The tables that are there, by their places.
async fn tables(filled: &[&TableData], target: &Session) -> Result<Vec<(usize, Table)>> {
    let columns = |which: &str| {
        format!(
            "ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid \
             AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''{which})"
        )
    };
    let sql = format!(
        "SELECT wanted.number, c.oid, c.relkind::text, \
         pg_catalog.pg_get_userbyid(c.relowner)::text, \
         c.relkind <> 'r' OR pg_catalog.pg_relation_size(c.oid) > 0, \
         pg_catalog.has_table_privilege(c.oid, 'SELECT') \
         AND NOT pg_catalog.row_security_active(c.oid), \
         pg_catalog.has_table_privilege(c.oid, 'INSERT'), \
         pg_catalog.has_table_privilege(c.relowner, c.oid, 'SELECT') \
         AND pg_catalog.has_table_privilege(c.relowner, c.oid, 'INSERT'), {}, {}, \
         ARRAY(SELECT t.tgname::text FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid \
         AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') ORDER BY 1) \
         FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), \
         pg_catalog.unnest($2::pg_catalog.text[])) \
         WITH ORDINALITY wanted (schema, name, number) \
         JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema \
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name \
         ORDER BY wanted.number",
        columns(""),
        columns(" AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''")
    );
    let (schemas, names): (Vec<&str>, Vec<&str>) = filled
        .iter()
        .map(|table| (table.relation.schema.as_str(), table.relation.name.as_str()))
        .unzip();
    let doing = "looking for the tables on the target";
    let rows = target.query(doing, &sql, &[&schemas, &names]).await?;
    let table = |row: &tokio_postgres::Row| {
        let table = Table {
            oid: row.get(1),
            relkind: row.get(2),
            owner: row.get(3),
            may_have_rows: row.get(4),
            readable: row.get(5),
            writable: row.get(6),
            owner_may: row.get(7),
            takes: row.get(8),
            must: row.get(9),
            triggers: row.get(10),
        };
        ((row.get::<_, i64>(0) - 1) as usize, table)
    };
    Ok(rows.iter().map(table).collect())
}

/// Those of `tables` that hold a row.
async fn with_rows(tables: &[&TableData], target: &Session) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for some in tables.chunks(ASKED) {
        let asked: Vec<String> = (0..)
            .zip(some)
            .map(|(at, table)| {
                let rows = table.counted_sql();
                format!("SELECT {at}::pg_catalog.int4 WHERE EXISTS (SELECT FROM {rows})")
            })
            .collect();
        let doing = "looking for rows in the target's tables";
        for row in target.query(doing, &asked.join(" UNION ALL "), &[]).await? {
            let table = &some[row.get::<_, i32>(0) as usize].relation;
            let mend = format!("if nobody needs them: TRUNCATE {};", table.sql());
            let finding = Finding::refusal(format!("TABLE {table}"), "holds rows on the target");
            found.push(finding.mend(mend));
        }
    }
    Ok(found)
}

async fn large_objects(target: &Session) -> Result<Option<Finding>> {
    let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata";
    let rows = target.query("counting large objects", sql, &[]).await?;
    let count: i64 = rows.first().map_or(0, |row| row.get(0));
    let finding = || {
        let what = format!("holds {} already", counted(count as usize, "large object"));
        let mend = "if nobody needs them: SELECT lo_unlink(oid) FROM pg_largeobject_metadata;";
        Finding::refusal("target database", what).mend(mend)
    };
    Ok((count > 0).then(finding))
}

impl Standing {
    /// Rows that refer to others come after those.
    async fn bind(
        &mut self,
        filled: &[&TableData],
        there: &[(usize, Table)],
        target: &Session,
    ) -> Result<()> {
        let by_oid: BTreeMap<u32, usize> =
            there.iter().map(|(number, table)| (table.oid, *number)).collect();
        let oids: Vec<u32> = by_oid.keys().copied().collect();
        let sql = "SELECT DISTINCT k.conname::text, k.conrelid, k.confrelid \
             FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' \
             AND k.conrelid = ANY ($1::pg_catalog.oid[]) \
             AND k.confrelid = ANY ($1::pg_catalog.oid[]) ORDER BY 1";
        let rows = target.query("looking for foreign keys", sql, &[&oids]).await?;
        let mut refers: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        let mut names: BTreeMap<(usize, usize), String> = BTreeMap::new();
        for row in &rows {
            let (from, to) = (by_oid[&row.get::<_, u32>(1)], by_oid[&row.get::<_, u32>(2)]);
            names.insert((from, to), row.get(0));
            refers.entry(to).or_default();
            // A table's rows come all by one statement, at whose end they are looked at.
            let others = refers.entry(from).or_default();
            others.extend((from != to).then_some(to));
        }
        while let Some(next) =
            refers.iter().find(|(_, others)| others.is_empty()).map(|(next, _)| *next)
        {
            refers.remove(&next);
            refers.values_mut().for_each(|others| {
                others.remove(&next);
            });
            self.bound.push(filled[next].relation.clone());
        }
        let circular = names.iter().filter(|((from, to), _)| {
            from != to && refers.contains_key(from) && refers.contains_key(to)
        });
        let keys: Vec<String> = circular
            .map(|((from, _), name)| format!("{name} of {}", filled[*from].relation))
            .collect();
        if !keys.is_empty() {
            let what = format!(
                "refer to each other in a circle, so that no rows can come first: {}",
                named(&keys)
            );
            self.findings.push(Finding::refusal("foreign keys on the target", what).mend(
                "drop one of them, and make it anew when all is done; or restore into an empty \
                 database: --section pre-data, then data, then post-data",
            ));
        } else if !self.bound.is_empty() {
            let what = format!(
                "{} come one after another, in one transaction, as foreign keys stand between them \
                 on the target; --section pre-data, then data, then post-data is quicker",
                counted(self.bound.len(), "table")
            );
            self.findings.push(Finding::note("rows", what));
        }
        Ok(())
    }

    /// Puts the rows in the order in which the target can take them.
    pub(super) fn order(&self, toc: &mut Toc) {
        let ranks: BTreeMap<&QualifiedName, usize> = self.bound.iter().zip(0..).collect();
        let mut ranked: Vec<(usize, usize)> = Vec::new();
        for (at, entry) in toc.entries.iter_mut().enumerate() {
            let Some(table) = &mut entry.table else { continue };
            if let Some(rank) = ranks.get(&table.relation) {
                table.in_foreign_keys = true;
                ranked.push((*rank, at));
            }
        }
        let places: Vec<usize> = ranked.iter().map(|(_, at)| *at).collect();
        ranked.sort_unstable();
        let in_order: Vec<Entry> =
            ranked.iter().map(|(_, from)| toc.entries[*from].clone()).collect();
        let mut moved: BTreeMap<EntryId, EntryId> = BTreeMap::new();
        for ((to, (_, from)), entry) in places.iter().zip(&ranked).zip(in_order) {
            toc.entries[*to] = entry;
            moved.insert(EntryId(*from as u32), EntryId(*to as u32));
        }
        for entry in &mut toc.entries {
            for id in &mut entry.depends_on {
                *id = moved.get(id).copied().unwrap_or(*id);
            }
        }
    }
}
