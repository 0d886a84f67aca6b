//! A server's error in its own words (documentation: "Error and Notice Message Fields").

use std::fmt;

/// The fields of an ErrorResponse that may be shown: DETAIL and CONTEXT can quote a row's values,
/// so only the parts of them that can't are kept by whoever builds this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The five characters of SQLSTATE.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
    /// The server's detail, where it is known to hold no row's values.
    pub detail: Option<String>,
    /// The server's own hint.
    pub hint: Option<String>,
    /// Where a COPY stopped, such as "COPY orders, line 12, column total": never the value there.
    pub context: Option<String>,
    /// The table the error is about, schema-qualified.
    pub table: Option<String>,
    /// The constraint the error is about.
    pub constraint: Option<String>,
}

impl ServerError {
    /// The class of the SQLSTATE: its first two characters.
    pub fn class(&self) -> &str {
        self.sqlstate.get(..2).unwrap_or("")
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate)?;
        for more in [&self.context, &self.detail, &self.hint].into_iter().flatten() {
            write!(f, "; {more}")?;
        }
        Ok(())
    }
}
