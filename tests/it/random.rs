//! Random choices that a seed repeats. A test prints its seed; `PGCONVOY_TEST_SEED` gives it back.

use std::time::{SystemTime, UNIX_EPOCH};

/// The seed asked for, or one of this moment.
pub(crate) fn seed() -> u64 {
    from_environment("PGCONVOY_TEST_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now.as_nanos() as u64 % 1_000_000_000
    })
}

/// A number that an environment variable holds.
pub(crate) fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
pub(crate) struct Random(u64);

impl Random {
    /// The same numbers for the same seed.
    pub(crate) fn of_seed(seed: u64) -> Random {
        Random(seed)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// Any of these.
    pub(crate) fn one<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    /// Any of these texts.
    pub(crate) fn of(&mut self, all: &[&str]) -> String {
        (*self.one(all)).to_owned()
    }

    /// One of the edges, or `other`, half the time each.
    pub(crate) fn or(&mut self, edges: &[&str], other: String) -> String {
        if self.below(2) == 0 { other } else { self.of(edges) }
    }

    /// Text of up to `length` characters, with all that COPY escapes.
    pub(crate) fn text(&mut self, length: u64) -> String {
        let characters = [
            'a', 'B', ' ', '\t', '\n', '\r', '\\', '\'', '"', '.', 'N', 'ä', '€', '😀', '\u{1}',
            '\u{7f}',
        ];
        (0..self.below(length + 1)).map(|_| *self.one(&characters)).collect()
    }
}
