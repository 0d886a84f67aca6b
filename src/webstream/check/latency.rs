//! How far away the target is, and what that means for signing in.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::commands::Finding;
use crate::error::{Error, Result};
use crate::wire::Session;

/// So many round trips are timed, and no longer than this.
const TRIPS: u64 = 300;
const LONGEST: Duration = Duration::from_secs(5);
/// Up to here the way is not felt: hosts of one region.
const NEAR_MS: f64 = 2.0;
/// Beyond this the hosts are in different regions, or something slow is between them.
const FAR_MS: f64 = 10.0;
/// So much slower than the median one in a hundred may be before it is worth a word.
const OUTLIER_MS: f64 = 50.0;
/// A sign-in asks for entitlements several times, one look-up after the other.
const LOOK_UPS: f64 = 10.0;

/// Round trips from this host to the target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RoundTrips {
    /// How many were timed.
    pub trips: u64,
    /// Half of them took this many milliseconds at most.
    pub p50_ms: f64,
    /// Ninety-nine in a hundred.
    pub p99_ms: f64,
    /// What that means for signing in.
    pub distance: Distance,
}

/// How a median is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// Signing in is as quick as before.
    Near,
    /// Signing in takes noticeably longer.
    Noticeable,
    /// Too far for the login path.
    Far,
}

/// Times round trips.
pub(super) async fn measure(target: &Session) -> Result<RoundTrips> {
    let doing = "timing round trips";
    let mut times =
        Histogram::<u64>::new(3).map_err(|error| Error::step(doing).because(error.to_string()))?;
    let begun = Instant::now();
    while times.len() < TRIPS && begun.elapsed() < LONGEST {
        let started = Instant::now();
        target.execute(doing, "SELECT 1").await?;
        times.saturating_record(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    Ok(summed(&times))
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
fn summed(micros: &Histogram<u64>) -> RoundTrips {
    let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1000.0;
    let (p50_ms, p99_ms) = (at(0.5), at(0.99));
    RoundTrips { trips: micros.len(), p50_ms, p99_ms, distance: Distance::of(p50_ms) }
}

impl Distance {
    fn of(median_ms: f64) -> Distance {
        match median_ms {
            ..=NEAR_MS => Distance::Near,
            ..=FAR_MS => Distance::Noticeable,
            _ => Distance::Far,
        }
    }
}

/// What to do about it, if anything.
pub(super) fn judge(trips: &RoundTrips) -> Vec<Finding> {
    let mut found = Vec::new();
    let RoundTrips { p50_ms, p99_ms, distance, .. } = trips;
    let wait = p50_ms * LOOK_UPS;
    let what = format!(
        "a round trip from this host takes {p50_ms:.1} ms: a sign-in that looks up ten entitlements \
         one after the other waits {wait:.0} ms for the way alone"
    );
    match distance {
        Distance::Near => {}
        Distance::Noticeable => found.push(Finding::note("latency", what).mend(
            "run check on a host that the services are on; if it is the same there, move them into \
             the target's region and, if it can be, its availability zone",
        )),
        Distance::Far => found.push(Finding::note("latency", format!("{what}: too far")).mend(
            "don't put the login path on this connection: move the services into the target's \
             region first, or choose a target in theirs",
        )),
    }
    if p99_ms - p50_ms > OUTLIER_MS {
        let what = format!("one round trip in a hundred takes {p99_ms:.0} ms or more");
        found.push(Finding::note("latency", what).mend(
            "look at the network between (VPN, packet loss), and at the target's load, then check \
             again",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trips(median: u64, slowest: u64) -> RoundTrips {
        let mut micros = Histogram::new(3).unwrap();
        micros.record_n(median, 97).unwrap();
        micros.record_n(slowest, 3).unwrap();
        summed(&micros)
    }

    #[test]
    fn hosts_of_one_region_are_near_and_continents_are_far() {
        assert_eq!(trips(600, 900).distance, Distance::Near);
        assert_eq!(trips(5_000, 6_000).distance, Distance::Noticeable);
        assert_eq!(trips(90_000, 91_000).distance, Distance::Far);
        assert!(judge(&trips(600, 900)).is_empty());
        let far = judge(&trips(90_000, 91_000));
        assert_eq!(far.len(), 1);
        assert!(far[0].what.contains("waits 9"), "{}", far[0]);
    }

    #[test]
    fn outliers_are_told_however_near_the_target_is() {
        let shaky = trips(600, 200_000);
        assert!((shaky.p50_ms - 0.6).abs() < 0.01 && (shaky.p99_ms - 200.0).abs() < 1.0);
        assert_eq!(shaky.distance, Distance::Near);
        assert!(judge(&shaky)[0].what.contains("one round trip in a hundred takes 200 ms"));
    }
}
