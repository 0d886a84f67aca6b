//! How long, and how often, one tries again without getting any further.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// How long one goes on trying without getting any further.
#[derive(Debug, Clone, Copy)]
pub struct Persistence {
    patience: Duration,
    waited: Duration,
    tries: u32,
}

impl Persistence {
    /// The first pause; each is twice the one before, up to [`Persistence::LONGEST`].
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(15);

    /// For so long in all.
    pub fn new(patience: Duration) -> Persistence {
        Persistence { patience, waited: Duration::ZERO, tries: 0 }
    }

    /// Something went well: the patience is whole again.
    pub fn renew(&mut self) {
        *self = Persistence::new(self.patience);
    }

    /// How long to pause before the next try; none once it is enough. Those who failed together
    /// don't come back together.
    pub fn pause(&mut self) -> Option<Duration> {
        self.pause_of(self.patience, chance())
    }

    /// The same for what isn't worth more than so much of the patience.
    pub(super) fn pause_within(&mut self, most: Duration) -> Option<Duration> {
        self.pause_of(self.patience.min(most), chance())
    }

    fn pause_of(&mut self, patience: Duration, chance: f64) -> Option<Duration> {
        if self.waited >= patience {
            return None;
        }
        let whole = (Self::FIRST * 2_u32.saturating_pow(self.tries.min(16))).min(Self::LONGEST);
        let pause = whole.mul_f64(f64::midpoint(1.0, chance));
        self.tries += 1;
        self.waited += pause;
        Some(pause)
    }
}

/// From 0 to 1: the standard library's hashes start at random.
fn chance() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_come_to_an_end() {
        const MINUTE: Duration = Duration::from_secs(60);
        let mut persistence = Persistence::new(MINUTE);
        let pauses: Vec<Duration> =
            std::iter::from_fn(|| persistence.pause_of(MINUTE, 1.0)).collect();
        assert_eq!(pauses[..3], [500, 1000, 2000].map(Duration::from_millis));
        assert_eq!(pauses.last(), Some(&Persistence::LONGEST));
        assert!(pauses.len() < 12, "{pauses:?}");
        persistence.renew();
        assert_eq!(persistence.pause_of(MINUTE, 0.0), Some(Duration::from_millis(250)));
        assert_eq!(persistence.pause_within(Duration::from_millis(200)), None);
        assert_eq!(Persistence::new(Duration::ZERO).pause(), None);
    }
}
