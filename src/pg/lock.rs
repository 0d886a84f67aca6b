//! Table lock modes and which of them conflict (documentation: "Explicit Locking", table 13.2).

use serde::{Deserialize, Serialize};

/// A table-level lock mode, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockMode {
    /// SELECT, COPY TO.
    AccessShare,
    /// SELECT FOR UPDATE; foreign key checks.
    RowShare,
    /// INSERT, COPY FROM.
    RowExclusive,
    /// VACUUM, ANALYZE, VALIDATE CONSTRAINT, ATTACH PARTITION (parent).
    ShareUpdateExclusive,
    /// CREATE INDEX.
    Share,
    /// ADD FOREIGN KEY (both sides), CREATE TRIGGER.
    ShareRowExclusive,
    /// REFRESH MATERIALIZED VIEW CONCURRENTLY.
    Exclusive,
    /// Most of ALTER TABLE, TRUNCATE, DROP, REFRESH MATERIALIZED VIEW.
    AccessExclusive,
}

impl LockMode {
    /// Whether two sessions can't hold these modes on one relation at the same time.
    pub fn conflicts_with(self, other: LockMode) -> bool {
        use LockMode::*;
        let (weak, strong) = if self <= other { (self, other) } else { (other, self) };
        match weak {
            AccessShare => strong == AccessExclusive,
            RowShare => strong >= Exclusive,
            RowExclusive => strong >= Share,
            ShareUpdateExclusive => true,
            Share => strong != Share,
            ShareRowExclusive | Exclusive | AccessExclusive => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LockMode::{self, *};

    const ALL: [LockMode; 8] = [
        AccessShare,
        RowShare,
        RowExclusive,
        ShareUpdateExclusive,
        Share,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ];

    #[test]
    fn conflicts_are_those_of_the_documentation_table() {
        let rows = [
            ".......X", "......XX", "....XXXX", "...XXXXX", "..XX.XXX", "..XXXXXX", ".XXXXXXX",
            "XXXXXXXX",
        ];
        for (held, row) in ALL.iter().zip(rows) {
            for (asked, mark) in ALL.iter().zip(row.chars()) {
                assert_eq!(held.conflicts_with(*asked), mark == 'X', "{held:?} and {asked:?}");
            }
        }
    }
}
