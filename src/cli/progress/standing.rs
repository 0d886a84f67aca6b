//! How far the work is: events and counters added up, so that whoever shows it only has to show.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::commands::{Event, Phase};

/// The rate is that of so long a time.
const WINDOW: Duration = Duration::from_secs(20);

/// Samples closer together than this are one.
const SAMPLE: Duration = Duration::from_millis(500);

/// Rows and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Amount {
    fn since(self, start: Amount) -> Amount {
        Amount {
            rows: self.rows.saturating_sub(start.rows),
            bytes: self.bytes.saturating_sub(start.bytes),
        }
    }
}

/// What a worker does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) phase: Phase,
    pub(super) title: String,
    pub(super) since: Instant,
    cost: u64,
}

/// How far the work on a database is.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// The database.
    pub(super) database: Option<String>,
    /// Steps that are done, of how many; none where nothing is planned.
    pub(super) steps: Option<(usize, usize)>,
    /// What the workers do.
    pub(super) tasks: BTreeMap<usize, Task>,
    /// Copied in this run; of the source's side where both are read.
    pub(super) copied: Amount,
    /// Read back in this run; of the target's side where both are read.
    pub(super) verified: Amount,
    /// Where the counters stood when the work on this database began.
    start: (Amount, Amount),
    /// The counters as last seen.
    seen: (Amount, Amount),
    /// Costs, in bytes moved or read: of all, of what is done.
    cost: (u64, u64),
    /// Whether there are no steps, and what is read is all that is done.
    only_reads: bool,
    copying: Measure,
    reading: Measure,
    samples: VecDeque<Sample>,
}

/// What steps of one sort were expected to move, and what they did move.
#[derive(Debug, Default)]
struct Measure {
    running: u64,
    expected: u64,
    moved: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    moved: u64,
    position: u64,
}

impl Standing {
    /// Takes an event in.
    pub(super) fn observe(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Database { name } => {
                *self = Standing {
                    database: Some(name.clone()),
                    start: self.seen,
                    seen: self.seen,
                    ..Standing::default()
                };
            }
            Event::Planned { steps: (all, done), cost, .. } => {
                self.steps = Some((*done, *all));
                self.cost = *cost;
                // What was read before that was read to see what still holds.
                self.start = self.seen;
                self.samples.clear();
                // What was under way when the run was begun again is begun again, too.
                self.tasks.clear();
                (self.copying, self.reading) = (Measure::default(), Measure::default());
            }
            Event::Reading { bytes, .. } => {
                self.cost = (bytes.saturating_mul(2), 0);
                self.only_reads = true;
            }
            Event::StepStarted { worker, phase, title, cost, .. } => {
                if let Some(measure) = self.measure(*phase) {
                    measure.running += cost;
                }
                let task = Task { phase: *phase, title: title.clone(), since: now, cost: *cost };
                self.tasks.insert(*worker, task);
            }
            Event::StepFinished { worker, phase, cost, bytes, .. } => {
                self.tasks.remove(worker);
                if let Some((done, _)) = &mut self.steps {
                    *done += 1;
                }
                self.cost.1 += cost;
                let counted = match phase {
                    Phase::Data => self.copied.bytes,
                    _ => self.verified.bytes,
                };
                if let Some(measure) = self.measure(*phase) {
                    measure.finish(*cost, *bytes, counted);
                }
            }
            Event::Note(_) => {}
        }
    }

    /// Takes the counters in.
    pub(super) fn sample(&mut self, copied: Amount, verified: Amount, now: Instant) {
        self.seen = (copied, verified);
        self.copied = copied.since(self.start.0);
        self.verified = verified.since(self.start.1);
        if self.samples.back().is_some_and(|last| now.duration_since(last.at) < SAMPLE) {
            return;
        }
        let moved = self.copied.bytes + self.verified.bytes;
        self.samples.push_back(Sample { at: now, moved, position: self.position() });
        while self.samples.len() > 2
            && self.samples.front().is_some_and(|first| now.duration_since(first.at) > WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// Whether every step that is owed is done.
    pub(super) fn is_through(&self) -> bool {
        self.tasks.is_empty() && self.steps.is_some_and(|(done, all)| done == all)
    }

    /// How much of the work is done, between 0 and 1; none while that isn't known.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn share(&self) -> Option<f64> {
        (self.cost.0 > 0).then(|| (self.position() as f64 / self.cost.0 as f64).min(1.0))
    }

    /// Bytes copied and read a second, of late.
    pub(super) fn rate(&self) -> Option<u64> {
        self.speed(|sample| sample.moved).map(|speed| speed as u64)
    }

    /// How long it will go on at the pace of late.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn remaining(&self) -> Option<Duration> {
        let left = self.cost.0.saturating_sub(self.position()) as f64;
        let speed = self.speed(|sample| sample.position).filter(|speed| *speed > 0.0)?;
        Duration::try_from_secs_f64(left / speed).ok()
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn speed(&self, of: impl Fn(&Sample) -> u64) -> Option<f64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let time = last.at.duration_since(first.at).as_secs_f64();
        let gained = of(last).saturating_sub(of(first));
        (time > 0.9).then(|| gained as f64 / time)
    }

    /// What is done, measured as the plan measures cost: finished steps, and of those under way
    /// the part that the counters tell of.
    fn position(&self) -> u64 {
        if self.only_reads {
            return self.copied.bytes + self.verified.bytes;
        }
        let under_way =
            self.copying.under_way(self.copied.bytes) + self.reading.under_way(self.verified.bytes);
        self.cost.1 + under_way
    }

    fn measure(&mut self, phase: Phase) -> Option<&mut Measure> {
        match phase {
            Phase::Data => Some(&mut self.copying),
            Phase::Verification => Some(&mut self.reading),
            _ => None,
        }
    }
}

impl Measure {
    /// A step has ended. One that only read doesn't say how many bytes: of those counted since it
    /// has the part that it has in the cost of all that were under way.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn finish(&mut self, cost: u64, bytes: u64, counted: u64) {
        let part = cost as f64 / self.running.max(1) as f64;
        let unclaimed = counted.saturating_sub(self.moved) as f64;
        self.moved += if bytes > 0 { bytes } else { (unclaimed * part) as u64 };
        self.expected += cost;
        self.running = self.running.saturating_sub(cost);
    }

    /// The cost that the steps under way have behind them. Costs are estimated from files, and
    /// COPY's bytes are more or fewer: what finished steps came to is the scale.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn under_way(&self, counted: u64) -> u64 {
        let moved = counted.saturating_sub(self.moved);
        let scale = match (self.expected, self.moved) {
            (0, _) | (_, 0) => 1.0,
            (expected, moved) => expected as f64 / moved as f64,
        };
        ((moved as f64 * scale) as u64).min(self.running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::StepId;

    fn started(worker: usize, cost: u64) -> Event {
        let (step, phase, title) = (StepId(0), Phase::Data, "public.t".to_owned());
        Event::StepStarted { worker, step, phase, title, cost }
    }

    fn finished(worker: usize, cost: u64, bytes: u64) -> Event {
        let (step, phase, title) = (StepId(0), Phase::Data, "public.t".to_owned());
        let took = Duration::ZERO;
        Event::StepFinished { worker, step, phase, title, cost, rows: 1, bytes, took }
    }

    fn planned(all: u64, done: u64) -> Event {
        Event::Planned { steps: (10, 2), tables: 1, bytes: (all, done), cost: (all, done) }
    }

    fn bytes(bytes: u64) -> Amount {
        Amount { rows: 0, bytes }
    }

    #[test]
    fn steps_under_way_count_by_what_they_moved_on_the_scale_of_finished_ones() {
        let now = Instant::now();
        let mut standing = Standing::default();
        standing.observe(&planned(1000, 200), now);
        assert_eq!(standing.share(), Some(0.2));
        standing.observe(&started(0, 400), now);
        standing.sample(bytes(100), bytes(0), now);
        assert_eq!(standing.share(), Some(0.3));
        standing.observe(&finished(0, 400, 200), now);
        standing.sample(bytes(200), bytes(0), now);
        assert_eq!(standing.share(), Some(0.6));
        standing.observe(&started(0, 400), now);
        standing.sample(bytes(300), bytes(0), now);
        assert_eq!(standing.share(), Some(0.8));
        standing.sample(bytes(9000), bytes(0), now);
        assert_eq!(standing.share(), Some(1.0));
        assert_eq!(standing.steps, Some((3, 10)));
    }

    #[test]
    fn steps_that_only_read_share_what_was_counted_by_their_cost() {
        let mut reading = Measure { running: 300, ..Measure::default() };
        reading.finish(200, 0, 600);
        assert_eq!((reading.moved, reading.expected, reading.running), (400, 200, 100));
        assert_eq!(reading.under_way(600), 100);
        reading.finish(100, 0, 700);
        assert_eq!((reading.moved, reading.expected, reading.running), (700, 300, 0));
        assert_eq!(reading.under_way(700), 0);
    }

    #[test]
    fn rate_and_remaining_time_are_those_of_late() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut standing = Standing::default();
        standing.observe(&planned(1000, 0), start);
        standing.observe(&started(0, 1000), start);
        standing.sample(bytes(0), bytes(0), start);
        assert_eq!((standing.rate(), standing.remaining()), (None, None));
        standing.sample(bytes(100), bytes(0), at(2));
        assert_eq!(standing.rate(), Some(50));
        assert_eq!(standing.remaining(), Some(Duration::from_secs(18)));
        // A standstill shows.
        standing.sample(bytes(100), bytes(0), at(30));
        standing.sample(bytes(100), bytes(0), at(40));
        assert_eq!((standing.rate(), standing.remaining()), (Some(0), None));
    }

    #[test]
    fn the_next_database_begins_at_nothing() {
        let now = Instant::now();
        let mut standing = Standing::default();
        standing.observe(&planned(1000, 0), now);
        standing.observe(&started(0, 400), now);
        standing.sample(bytes(400), bytes(70), now);
        standing.observe(&Event::Database { name: "two".into() }, now);
        standing.sample(bytes(410), bytes(70), now);
        assert_eq!((standing.copied.bytes, standing.verified.bytes), (10, 0));
        assert!(standing.tasks.is_empty());
        assert_eq!(standing.share(), None);
    }

    #[test]
    fn what_is_begun_again_counts_once() {
        let now = Instant::now();
        let mut standing = Standing::default();
        standing.observe(&planned(1000, 0), now);
        standing.observe(&started(0, 400), now);
        standing.sample(bytes(300), bytes(0), now);
        standing.observe(&planned(1000, 200), now);
        assert!(standing.tasks.is_empty());
        standing.observe(&started(0, 400), now);
        standing.sample(bytes(400), bytes(0), now);
        assert_eq!(standing.copied.bytes, 100);
        assert_eq!(standing.share(), Some(0.3));
        standing.observe(&finished(0, 400, 400), now);
        standing.sample(bytes(700), bytes(0), now);
        assert_eq!(standing.share(), Some(0.6));
        standing.observe(&started(0, 400), now);
        assert_eq!(standing.share(), Some(0.6));
    }

    #[test]
    fn a_comparison_is_both_sides_bytes() {
        let now = Instant::now();
        let mut standing = Standing::default();
        standing.observe(&Event::Reading { tables: 1, bytes: 500 }, now);
        standing.sample(bytes(300), bytes(200), now);
        assert_eq!(standing.share(), Some(0.5));
    }
}
