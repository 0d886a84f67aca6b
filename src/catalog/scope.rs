//! Which part of a database is read.

use super::pattern::Pattern;

/// Which schemas and objects belong to a reading: the users' own, never the system's, a session's
/// temporary ones, or pgconvoy's ledger. What an extension brings is the extension's entry.
///
/// Patterns choose among tables, views and sequences; schemas, types and routines are read all the
/// same, so that what is chosen has what it needs.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only relations that match one of these; any at all where there is none.
    pub include: Vec<Pattern>,
    /// No relation that matches one of these.
    pub exclude: Vec<Pattern>,
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

    /// The condition, in SQL, on the columns of a relation's schema and name.
    pub(super) fn relations(&self, schema: &str, name: &str) -> String {
        let any = |patterns: &[Pattern]| {
            let conditions: Vec<String> = patterns
                .iter()
                .map(|pattern| format!("({})", pattern.condition(schema, name)))
                .collect();
            conditions.join(" OR ")
        };
        let included = match self.include.as_slice() {
            [] => "true".to_owned(),
            patterns => format!("({})", any(patterns)),
        };
        match self.exclude.as_slice() {
            [] => included,
            patterns => format!("({included} AND NOT ({}))", any(patterns)),
        }
    }

    /// The schema that pgconvoy keeps its ledger in, in each target database.
    pub const LEDGER_SCHEMA: &str = "pgconvoy";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_excluded_is_out_even_where_it_is_included() {
        let pattern = |text: &str| Pattern::parse(text).unwrap();
        let scope =
            Scope { include: vec![pattern("a"), pattern("b")], exclude: vec![pattern("c")] };
        assert_eq!(
            scope.relations("s", "r"),
            "(((r ~ '^(a)$') OR (r ~ '^(b)$')) AND NOT ((r ~ '^(c)$')))"
        );
        assert_eq!(Scope::default().relations("s", "r"), "true");
    }
}
