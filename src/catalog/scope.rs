//! Which part of a database is read.

use super::choice::Choice;

/// Which schemas and objects belong to a reading: the users' own, never the system's, a session's
/// temporary ones, or pgconvoy's ledger. What an extension brings is the extension's entry.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Which of all these are kept once they are read: families needn't know it.
    pub choice: Choice,
    /// The search_path under which names without a schema are matched; none for the default of
    /// the reading session's own user.
    pub search_path: Option<String>,
}

impl Scope {
    /// The condition, in SQL, on a column of schema names. Names that begin with `pg_` are
    /// reserved, so no user's schema has one (documentation: "Schemas").
    ///
    /// Inequalities let a planner without statistics expect nearly all schemas. Of a regular
    /// expression it expects next to none, and reads pg_class over and over, once for each schema.
    pub(crate) fn schemas(&self, column: &str) -> String {
        format!(
            "(pg_catalog.left({column}::text, 3) <> 'pg_' AND {column} <> 'information_schema' \
             AND {column} <> '{}')",
            Scope::LEDGER_SCHEMA
        )
    }

    /// The schema that pgconvoy keeps its ledger in, in each target database.
    pub const LEDGER_SCHEMA: &str = "pgconvoy";
}
