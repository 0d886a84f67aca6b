//! How long, and how often, one tries again without getting any further.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

/// How long one goes on trying without getting any further.
#[derive(Debug, Clone, Copy)]
pub struct Persistence {
    patience: Duration,
    /// When it failed first, and how often since.
    failed: Option<(Instant, u32)>,
}

impl Persistence {
    /// The first pause; each is twice the one before, up to [`Persistence::LONGEST`].
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(15);

    /// So often it is tried again however long that takes: one build of an index may outlast all
    /// the patience there is.
    const LEAST_TRIES: u32 = 2;

    /// For so long from the first failure; not at all where that is nothing.
    pub fn new(patience: Duration) -> Persistence {
        Persistence { patience, failed: None }
    }

    /// Something went well: the patience is whole again.
    pub fn renew(&mut self) {
        self.failed = None;
    }

    /// How long to pause before the next try; none once it is enough. Those who failed together
    /// don't come back together.
    pub fn pause(&mut self) -> Option<Duration> {
        self.pause_at(Instant::now(), self.patience)
    }

    /// The same for what isn't worth more than so much of the patience.
    pub(super) fn pause_within(&mut self, most: Duration) -> Option<Duration> {
        self.pause_at(Instant::now(), self.patience.min(most))
    }

    fn pause_at(&mut self, now: Instant, patience: Duration) -> Option<Duration> {
        let (first, tries) = self.failed.get_or_insert((now, 0));
        let is_enough = now.duration_since(*first) >= patience && *tries >= Self::LEAST_TRIES;
        if is_enough || patience.is_zero() {
            return None;
        }
        let whole = (Self::FIRST * 2_u32.saturating_pow((*tries).min(16))).min(Self::LONGEST);
        *tries += 1;
        Some(whole.mul_f64(f64::midpoint(1.0, chance())))
    }
}

/// From 0 to 1: the standard library's hashes start at random.
fn chance() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn pauses_grow_to_a_bound() {
        let (mut persistence, now) = (Persistence::new(MINUTE), Instant::now());
        for whole in [500, 1000, 2000, 4000, 8000, 15_000, 15_000].map(Duration::from_millis) {
            let pause = persistence.pause_at(now, MINUTE).unwrap();
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?}");
        }
        persistence.renew();
        assert!(persistence.pause().unwrap() <= Persistence::FIRST);
    }

    #[test]
    fn patience_is_measured_from_the_first_failure_to_the_last() {
        let (mut persistence, now) = (Persistence::new(MINUTE), Instant::now());
        assert!(persistence.pause_at(now, MINUTE).is_some());
        assert!(persistence.pause_at(now + MINUTE / 3, MINUTE).is_some());
        assert!(persistence.pause_at(now + MINUTE / 2, MINUTE).is_some());
        assert_eq!(persistence.pause_at(now + MINUTE, MINUTE), None);
    }

    #[test]
    fn what_outlasts_all_patience_is_tried_again_all_the_same() {
        let (mut persistence, now) = (Persistence::new(MINUTE), Instant::now());
        assert!(persistence.pause_at(now, MINUTE).is_some());
        assert!(persistence.pause_at(now + 100 * MINUTE, MINUTE).is_some());
        assert_eq!(persistence.pause_at(now + 200 * MINUTE, MINUTE), None);
        assert_eq!(Persistence::new(Duration::ZERO).pause(), None, "none was asked for");
    }
}
