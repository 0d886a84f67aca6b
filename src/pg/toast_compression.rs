//! How values that are stored apart are compressed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A compression method (documentation: default_toast_compression, PostgreSQL 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToastCompression {
    /// PostgreSQL's own.
    Pglz,
    /// LZ4, where the server was built with it.
    Lz4,
}

impl ToastCompression {
    /// The statement that makes it a session's.
    pub fn set(self) -> String {
        format!("SET default_toast_compression = '{self}'")
    }
}

impl fmt::Display for ToastCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ToastCompression::Pglz => "pglz",
            ToastCompression::Lz4 => "lz4",
        })
    }
}
