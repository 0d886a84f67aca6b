//! Publications of all tables, or of all in a schema, are a superuser's: for anybody else the
//! tables that there are now are listed one by one (documentation: CREATE PUBLICATION).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::pg::QualifiedName;
use crate::toc::clauses::{around, name_after, quoted_names};
use crate::toc::finding::Finding;
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, EntryId, Kind, Toc};

/// The table of contents with lists of tables instead, where the target user needs that.
pub(super) fn spelled_out<'t>(
    toc: &'t Toc,
    target: &TargetFacts,
    findings: &mut Vec<Finding>,
) -> Cow<'t, Toc> {
    let of_many = |kind| matches!(kind, Kind::Publication | Kind::PublicationSchema);
    let none = !toc.entries.iter().any(|entry| of_many(entry.kind));
    if none || target.superuser || target.is_managed_administrator() {
        return Cow::Borrowed(toc);
    }
    let tables = publishable(toc);
    let partitions = partitions(toc);
    let mut listed = already_listed(toc);
    let mut spelled = Toc::default();
    // What a former entry became, to depend on.
    let mut became: Vec<Vec<EntryId>> = Vec::with_capacity(toc.entries.len());
    for entry in &toc.entries {
        let mut entry = entry.clone();
        entry.depends_on = entry
            .depends_on
            .iter()
            .flat_map(|id| became.get(id.0 as usize).cloned().unwrap_or_default())
            .collect();
        let mut additions = Vec::new();
        let first = EntryId(spelled.entries.len() as u32);
        let mut stands = vec![first];
        match entry.kind {
            Kind::Publication => {
                if let Some(create) = without_all_tables(&entry.create) {
                    findings.push(degraded(&entry.title(), "all tables"));
                    entry.create = create;
                    for (name, table) in tables.iter().filter(|(n, _)| !partitions.contains(n)) {
                        additions.push(addition(&entry.name, name, first, on(&became, *table)));
                    }
                }
                spelled.entries.push(entry);
            }
            Kind::PublicationSchema => {
                let Some((publication, schema)) = published_schema(&entry.create) else {
                    spelled.entries.push(entry);
                    became.push(stands);
                    continue;
                };
                findings.push(degraded(&entry.title(), &format!("all tables of schema {schema}")));
                let needs = entry.depends_on.first().copied().unwrap_or(first);
                for (name, table) in tables.iter().filter(|(name, _)| name.schema == schema) {
                    if listed.insert((publication.clone(), name.clone())) {
                        additions.push(addition(&publication, name, needs, on(&became, *table)));
                    }
                }
                stands = entry.depends_on.clone();
            }
            _ => spelled.entries.push(entry),
        }
        spelled.entries.extend(additions);
        became.push(stands);
    }
    Cow::Owned(spelled)
}

fn degraded(title: &str, of: &str) -> Finding {
    let what = format!(
        "is of {of}, which takes a superuser: it is created for the list of those that there are, \
         and tables made later must be added to it"
    );
    Finding::change(title, what).mend("ALTER PUBLICATION … ADD TABLE …; for each table made later")
}

/// What a former entry became.
fn on(became: &[Vec<EntryId>], id: EntryId) -> &[EntryId] {
    became.get(id.0 as usize).map_or(&[], Vec::as_slice)
}

fn name_of(entry: &Entry) -> QualifiedName {
    QualifiedName::new(entry.schema.clone().unwrap_or_default(), entry.name.as_str())
}

/// The tables that such publications hold: permanent ones (documentation: CREATE PUBLICATION).
fn publishable(toc: &Toc) -> BTreeMap<QualifiedName, EntryId> {
    let tables = toc.iter().filter(|(_, entry)| {
        entry.kind == Kind::Table && !entry.create.starts_with("CREATE UNLOGGED")
    });
    tables.map(|(id, entry)| (name_of(entry), id)).collect()
}

/// A partitioned table stands for its partitions, also for those that are made later.
fn partitions(toc: &Toc) -> BTreeSet<QualifiedName> {
    let attached = toc.entries.iter().filter(|entry| entry.kind == Kind::TableAttach);
    attached.map(name_of).collect()
}

/// The tables that publications name themselves.
fn already_listed(toc: &Toc) -> BTreeSet<(String, QualifiedName)> {
    let entries = toc.entries.iter().filter(|entry| entry.kind == Kind::PublicationTable);
    let listed = entries.filter_map(|entry| match quoted_names(&entry.create).as_slice() {
        [publication, schema, table, ..] => {
            Some((publication.clone(), QualifiedName::new(schema.as_str(), table.as_str())))
        }
        _ => None,
    });
    listed.collect()
}

/// `CREATE PUBLICATION … WITH (…)` from one FOR ALL TABLES; none for any other.
fn without_all_tables(create: &str) -> Option<String> {
    let (before, behind) = around(create, "FOR ALL TABLES")?;
    Some(format!("{}{behind}", before.trim_end()))
}

/// The publication and the schema of `ALTER PUBLICATION p ADD TABLES IN SCHEMA s`.
fn published_schema(create: &str) -> Option<(String, String)> {
    Some((name_after(create, "PUBLICATION")?, name_after(create, "SCHEMA")?))
}

fn addition(publication: &str, table: &QualifiedName, created: EntryId, on: &[EntryId]) -> Entry {
    let ident = crate::pg::quote_ident(publication);
    Entry {
        create: format!("ALTER PUBLICATION {ident} ADD TABLE ONLY {};\n", table.sql()),
        depends_on: on.iter().copied().chain([created]).collect(),
        ..Entry::new(
            Kind::PublicationTable,
            Some(&table.schema),
            format!("{publication} {}", table.name),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_all_tables_goes_and_the_rest_of_the_statement_stays() {
        let with = "CREATE PUBLICATION \"p\" FOR ALL TABLES WITH (publish = 'insert');\n";
        assert_eq!(
            without_all_tables(with).unwrap(),
            "CREATE PUBLICATION \"p\" WITH (publish = 'insert');\n"
        );
        let plain = "CREATE PUBLICATION \"p\" FOR ALL TABLES;\n";
        assert_eq!(without_all_tables(plain).unwrap(), "CREATE PUBLICATION \"p\";\n");
        assert_eq!(without_all_tables("CREATE PUBLICATION \"FOR ALL TABLES\";\n"), None);
    }

    #[test]
    fn a_schema_of_a_publication_is_read_from_the_statement() {
        let sql = "ALTER PUBLICATION \"p\" ADD TABLES IN SCHEMA \"S\";\n";
        assert_eq!(published_schema(sql), Some(("p".to_owned(), "S".to_owned())));
    }
}
