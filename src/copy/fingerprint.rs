//! A multiset of rows as one number: two tables with the same rows have the same fingerprint,
//! whatever the order their rows arrive in and however they were cut into chunks.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The way fingerprints are computed; it changes when the same rows would yield another one.
const VERSION: &str = "1";

/// How many rows, and the wrapping sum of their hashes (XXH3, 128 bits, of a row's bytes as COPY
/// renders it).
///
/// A sum and not XOR: under XOR a row and its double cancel, so one doubled row would look like
/// two missing ones, and a table copied twice on top of an odd loss like an empty one. The sum is
/// not proof against somebody who makes up rows to fool it; it is against accidents, which is what
/// a copy suffers.
///
/// It is comparable only to one of the same format and the same columns in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Fingerprint {
    /// The number of rows.
    pub rows: u64,
    /// The sum of the rows' hashes, modulo 2^128.
    pub sum: u128,
}

impl Fingerprint {
    /// Takes in a whole row.
    #[inline]
    pub fn add_row(&mut self, row: &[u8]) {
        self.add_hash(xxh3_128(row));
    }

    /// Takes in a row whose hash is known.
    #[inline]
    pub(super) fn add_hash(&mut self, hash: u128) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }
}

/// The rows of both. Fingerprints are also read from ledgers, which may say anything of their rows.
impl Add for Fingerprint {
    type Output = Fingerprint;

    fn add(self, other: Fingerprint) -> Fingerprint {
        let rows = self.rows.saturating_add(other.rows);
        Fingerprint { rows, sum: self.sum.wrapping_add(other.sum) }
    }
}

impl AddAssign for Fingerprint {
    fn add_assign(&mut self, other: Fingerprint) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Fingerprint {
    fn sum<I: Iterator<Item = Fingerprint>>(parts: I) -> Fingerprint {
        parts.fold(Fingerprint::default(), Add::add)
    }
}

/// `version:rows:sum`, the sum as 32 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}:{}:{:032x}", self.rows, self.sum)
    }
}

/// A text that isn't a fingerprint, or one that another version of the program computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAFingerprint(String);

impl fmt::Display for NotAFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a fingerprint of version {VERSION}: {}", self.0.escape_debug())
    }
}

impl std::error::Error for NotAFingerprint {}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let parse = || {
            let rest = text.strip_prefix(VERSION)?.strip_prefix(':')?;
            let (rows, sum) = rest.split_once(':')?;
            let fingerprint =
                Fingerprint { rows: rows.parse().ok()?, sum: u128::from_str_radix(sum, 16).ok()? };
            // What isn't exactly what was written was written by something else.
            (fingerprint.to_string() == text).then_some(fingerprint)
        };
        parse().ok_or_else(|| NotAFingerprint(text.chars().take(80).collect()))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The hash of a row that arrives in parts: the same as if it had arrived whole.
pub(super) struct RowHash(Box<Xxh3>);

impl RowHash {
    pub(super) fn new() -> Self {
        RowHash(Box::new(Xxh3::new()))
    }

    pub(super) fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The row's hash; the next row starts afresh.
    pub(super) fn finish(&mut self) -> u128 {
        let hash = self.0.digest128();
        self.0.reset();
        hash
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_claims_more_rows_than_can_be_counted_is_added_up_all_the_same() {
        let all = Fingerprint { rows: u64::MAX, sum: u128::MAX };
        assert_eq!(all + of(&[b"a"]), Fingerprint { rows: u64::MAX, sum: of(&[b"a"]).sum - 1 });
    }

    fn of(rows: &[&[u8]]) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        for row in rows {
            fingerprint.add_row(row);
        }
        fingerprint
    }

    #[test]
    fn the_order_of_rows_makes_no_difference() {
        assert_eq!(of(&[b"a", b"b", b"c"]), of(&[b"c", b"a", b"b"]));
    }

    #[test]
    fn a_changed_a_missing_and_a_doubled_row_are_seen() {
        let whole = of(&[b"a", b"b", b"c"]);
        assert_ne!(whole, of(&[b"a", b"b", b"x"]));
        assert_ne!(whole, of(&[b"a", b"b"]));
        assert_ne!(whole, of(&[b"a", b"b", b"c", b"c"]));
        assert_ne!(whole, of(&[b"a", b"b", b"b"]));
        assert_ne!(whole, of(&[b"a", b"bc", b""]));
    }

    #[test]
    fn two_doubled_rows_do_not_cancel() {
        let twice = of(&[b"a", b"a", b"b", b"b"]);
        assert_ne!(twice.sum, 0);
        assert_ne!(twice.sum, of(&[b"c", b"c", b"d", b"d"]).sum);
    }

    #[test]
    fn chunks_add_up_to_their_table() {
        let parts = [of(&[b"b"]), of(&[]), of(&[b"c", b"a"])];
        assert_eq!(parts.into_iter().sum::<Fingerprint>(), of(&[b"a", b"b", b"c"]));
    }

    #[test]
    fn the_hash_is_the_published_xxh3() {
        let nothing = of(&[b""]);
        assert_eq!(
            nothing.to_string(),
            "1:1:99aa06d3014798d86001c324468d497f",
            "XXH3-128 of no bytes"
        );
    }

    #[test]
    fn the_text_form_reads_back_and_nothing_else_does() {
        let fingerprint = of(&[b"a", b"b"]);
        let text = fingerprint.to_string();
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(Fingerprint::default().to_string(), format!("1:0:{:032}", 0), "an empty table");
        for end in 0..text.len() {
            assert!(text[..end].parse::<Fingerprint>().is_err(), "{end}");
        }
        for bad in [
            text.replacen("1:", "2:", 1),
            text.to_uppercase() + " ",
            format!("{text}0"),
            "1:+2:00000000000000000000000000000000".to_owned(),
        ] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
        let json = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), fingerprint);
    }

    proptest! {
        #[test]
        fn a_row_in_parts_hashes_as_a_whole_one(
            row in prop::collection::vec(any::<u8>(), 0..2000),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(row.len() + 1)).collect();
            cuts.extend([0, row.len()]);
            cuts.sort_unstable();
            let mut hash = RowHash::new();
            hash.update(b"a row before");
            hash.finish();
            for window in cuts.windows(2) {
                hash.update(&row[window[0]..window[1]]);
            }
            prop_assert_eq!(hash.finish(), xxh3_128(&row));
        }
    }
}
