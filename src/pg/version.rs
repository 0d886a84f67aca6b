//! Server versions, compared as `server_version_num` is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A server's `server_version_num`, such as 150018.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServerVersion(pub u32);

impl ServerVersion {
    /// The major version, such as 15.
    pub fn major(self) -> u32 {
        self.0 / 10_000
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.0 % 10_000)
    }
}
