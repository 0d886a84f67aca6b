//! The arguments that choose a part of a database.

use clap::Args as ClapArgs;

const HEADING: &str = "A part of each database (patterns as pg_dump's; repeatable)";

/// Which part of them: the same on each run of one job.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = HEADING)]
pub(in crate::cli) struct Part {
    #[command(flatten)]
    pub(in crate::cli) patterns: Patterns,
    /// Of tables that match only rows that meet an SQL condition, as the source judges it
    #[arg(long = "where", value_name = "PATTERN=CONDITION")]
    pub(in crate::cli) rows: Vec<String>,
}

/// What names choose.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = HEADING)]
pub(in crate::cli) struct Patterns {
    /// Only schemas that match, with all in them and what that needs
    #[arg(short = 'n', long = "schema", value_name = "PATTERN")]
    pub(in crate::cli) schemas: Vec<String>,
    /// No schema that matches
    #[arg(short = 'N', long = "exclude-schema", value_name = "PATTERN")]
    pub(in crate::cli) exclude_schemas: Vec<String>,
    /// Only tables (with their partitions), views, sequences that match, and what they need;
    /// -n and -N then choose nothing
    #[arg(short = 't', long = "table", value_name = "PATTERN")]
    pub(in crate::cli) tables: Vec<String>,
    /// Tables, views and sequences that match, beside what -n or -t choose
    #[arg(long, value_name = "PATTERN")]
    pub(in crate::cli) include: Vec<String>,
    /// No table, view or sequence that matches
    #[arg(short = 'T', long = "exclude-table", visible_alias = "exclude", value_name = "PATTERN")]
    pub(in crate::cli) exclude_tables: Vec<String>,
    /// No rows of tables, sequences and materialized views that match
    #[arg(long = "exclude-table-data", value_name = "PATTERN")]
    pub(in crate::cli) exclude_table_data: Vec<String>,
    /// Only extensions that match
    #[arg(short = 'e', long = "extension", value_name = "PATTERN")]
    pub(in crate::cli) extensions: Vec<String>,
    /// No extension that matches
    #[arg(long = "exclude-extension", value_name = "PATTERN")]
    pub(in crate::cli) exclude_extensions: Vec<String>,
}
