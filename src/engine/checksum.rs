//! What tells a ledger whose texts aren't those that were written: a CRC-32 beside each row.

/// The checksum of a row's columns, as they are rendered. What separates them occurs in no text of
/// PostgreSQL's.
pub(super) fn checksum(columns: &[&str]) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    for column in columns {
        hasher.update(column.as_bytes());
        hasher.update(b"\0");
    }
    i64::from(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_and_every_border_counts() {
        let whole = checksum(&["1", "data", "{}"]);
        for bit in 0..8 {
            let flipped = String::from_utf8(vec![b'{' ^ (1 << bit), b'}']);
            if let Ok(flipped) = flipped {
                assert_ne!(checksum(&["1", "data", &flipped]), whole, "{bit}");
            }
        }
        assert_ne!(checksum(&["1d", "ata", "{}"]), whole);
    }
}
