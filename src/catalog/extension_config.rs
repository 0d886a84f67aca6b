//! Extensions' configuration tables and sequences: the extension brings them, but what they hold
//! is the users' (documentation: "Extension Configuration Tables").

use std::collections::BTreeMap;

use crate::error::Result;
use crate::wire::Session;

/// What extensions have marked by pg_extension_config_dump().
#[derive(Debug, Default)]
pub(super) struct ExtensionConfig {
    /// By relation, the condition on the rows that are the users': `WHERE …`, or empty for all.
    conditions: BTreeMap<u32, String>,
    /// Foreign keys with one of them at either end: (the one that refers, the one referred to).
    references: Vec<(u32, u32)>,
}

impl ExtensionConfig {
    pub(super) async fn read(session: &Session) -> Result<Self> {
        let sql = "SELECT c.relation, c.condition \
                   FROM pg_catalog.pg_extension e, \
                        ROWS FROM (pg_catalog.unnest(e.extconfig), \
                                   pg_catalog.unnest(e.extcondition)) AS c(relation, condition)";
        let rows = session.query("reading extensions' configuration tables", sql, &[]).await?;
        let conditions: BTreeMap<u32, String> = rows
            .iter()
            .map(|row| {
                let condition: Option<String> = row.get("condition");
                (row.get("relation"), bare(condition.as_deref().unwrap_or_default()))
            })
            .collect();
        let mut config = ExtensionConfig { conditions, references: Vec::new() };
        if !config.conditions.is_empty() {
            config.references = config.read_references(session).await?;
        }
        Ok(config)
    }

    /// Their foreign keys stand when the rows arrive: the extension has brought them already.
    async fn read_references(&self, session: &Session) -> Result<Vec<(u32, u32)>> {
        let relations: Vec<u32> = self.conditions.keys().copied().collect();
        let sql = "SELECT conrelid, confrelid FROM pg_catalog.pg_constraint \
                   WHERE contype = 'f' AND (conrelid = ANY ($1) OR confrelid = ANY ($1))";
        let rows = session
            .query("reading foreign keys of configuration tables", sql, &[&relations])
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// The relations (tables and sequences) with their conditions, by oid.
    pub(super) fn tables(&self) -> impl Iterator<Item = (u32, &str)> {
        self.conditions.iter().map(|(&relation, condition)| (relation, condition.as_str()))
    }

    /// The relations, by oid.
    pub(super) fn relations(&self) -> Vec<u32> {
        self.conditions.keys().copied().collect()
    }

    /// Whether a foreign key refers to this table, or from it.
    pub(super) fn is_in_foreign_keys(&self, relation: u32) -> bool {
        let ends = self.references.iter().any(|&(from, to)| from == relation || to == relation);
        ends && self.conditions.contains_key(&relation)
    }

    /// Foreign keys from or to them: (the one that refers, the one referred to).
    pub(super) fn references(&self) -> impl Iterator<Item = (u32, u32)> {
        self.references.iter().copied()
    }
}

/// The condition without the WHERE that extensions write it with (documentation:
/// pg_extension_config_dump).
fn bare(condition: &str) -> String {
    let condition = condition.trim();
    match condition.get(..5) {
        Some(word) if word.eq_ignore_ascii_case("where") => condition[5..].trim().to_owned(),
        _ => condition.to_owned(),
    }
}
