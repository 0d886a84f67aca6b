//! How COPY renders rows (documentation: SQL command COPY, "File Formats").

use serde::{Deserialize, Serialize};

/// The format in which a table's rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowFormat {
    /// Each type's send and receive functions: the default, and the cheaper one.
    Binary,
    /// Each type's output and input functions, for tables where binary would lie or fail.
    Text,
}

impl RowFormat {
    /// The name COPY's FORMAT option takes.
    pub fn sql(self) -> &'static str {
        match self {
            RowFormat::Binary => "binary",
            RowFormat::Text => "text",
        }
    }
}
