//! Plain lines, for logs: what begins, what took long, and a sign of life now and then.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::commands::{Event, Phase};

use super::super::messages::Messages;
use super::super::units;
use super::Show;
use super::standing::Standing;

/// Between signs of life.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// After so long a silence there is a sign of life even if it can't say how far the work is.
const SILENCE: Duration = Duration::from_secs(30);

/// A step that took at least so long has a line of its own.
const LONG: Duration = Duration::from_secs(5);

/// Lines on standard error, each with the time since the start.
pub(super) struct Lines {
    messages: Messages,
    start: Instant,
    begun: BTreeSet<Phase>,
    last_said: Instant,
}

impl Lines {
    pub(super) fn new(messages: Messages) -> Lines {
        let now = Instant::now();
        Lines { messages, start: now, begun: BTreeSet::new(), last_said: now }
    }

    fn say(&mut self, text: &str) {
        self.last_said = Instant::now();
        let seconds = self.start.elapsed().as_secs();
        self.messages.say(&format!("{:02}:{:02} {text}", seconds / 60, seconds % 60));
    }
}

impl Show for Lines {
    fn pace(&self) -> Duration {
        HEARTBEAT
    }

    fn event(&mut self, event: &Event, _: &Standing) {
        match event {
            Event::StepStarted { phase, .. } => {
                if self.begun.insert(*phase) {
                    self.say(&format!("{phase}: begun"));
                }
            }
            Event::StepFinished { title, rows, bytes, took, .. } if *took >= LONG => {
                self.say(&finished(title, *rows, *bytes, *took));
            }
            Event::StepFinished { .. } => {}
            Event::Database { .. } => {
                self.begun.clear();
                self.say(&announcement(event));
            }
            _ => self.say(&announcement(event)),
        }
    }

    fn tick(&mut self, standing: &Standing) {
        if standing.share().is_some() {
            self.say(&heartbeat(standing));
        } else if self.last_said.elapsed() >= SILENCE {
            self.say("still at it");
        }
    }

    fn end(&mut self) {}
}

/// What an event that isn't a step's says.
pub(super) fn announcement(event: &Event) -> String {
    match event {
        Event::Database { name } => format!("database {name}"),
        Event::Planned { steps: (all, done), tables, bytes, .. } => {
            let begun = match done {
                0 => String::new(),
                done => format!(
                    " ({}, {} done before)",
                    units::counted(*done as u64, "step", "steps"),
                    units::bytes(bytes.1)
                ),
            };
            let (all, tables) = (*all as u64, *tables as u64);
            format!(
                "{}, about {} of rows in {}{begun}",
                units::counted(all, "step", "steps"),
                units::bytes(bytes.0),
                units::counted(tables, "table", "tables"),
            )
        }
        Event::Reading { tables, bytes } => format!(
            "reading about {} of rows in {} on both sides",
            units::bytes(*bytes),
            units::counted(*tables as u64, "table", "tables")
        ),
        Event::StepStarted { title, .. } | Event::StepFinished { title, .. } => title.clone(),
        Event::Note(text) => text.clone(),
    }
}

fn finished(title: &str, rows: u64, bytes: u64, took: Duration) -> String {
    match rows {
        0 => format!("done: {title} ({})", units::duration(took)),
        _ => format!(
            "done: {title} ({}, {}, {})",
            units::counted(rows, "row", "rows"),
            units::bytes(bytes),
            units::duration(took)
        ),
    }
}

/// How far the work is, in one line.
pub(super) fn heartbeat(standing: &Standing) -> String {
    let mut parts = Vec::new();
    parts.extend(standing.share().map(units::percent));
    parts.extend(times(standing));
    parts.extend(amounts(standing));
    let tasks: Vec<&str> = standing.tasks.values().map(|task| task.title.as_str()).collect();
    if !tasks.is_empty() {
        parts.push(format!("now: {}", tasks.join("; ")));
    }
    parts.join(" · ")
}

/// How many steps are done, and how long the others will take.
pub(super) fn times(standing: &Standing) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some((done, all)) = standing.steps {
        parts.push(format!("{done}/{all} steps"));
    }
    parts.extend(standing.remaining().map(|time| format!("{} left", units::duration(time))));
    parts
}

/// What moved, and how fast.
pub(super) fn amounts(standing: &Standing) -> Vec<String> {
    let mut parts = Vec::new();
    let sides = match standing.steps {
        Some(_) => [("copied", standing.copied), ("read back", standing.verified)],
        None => [("source", standing.copied), ("target", standing.verified)],
    };
    for (what, amount) in sides.into_iter().filter(|(_, amount)| amount.rows > 0) {
        let rows = units::counted(amount.rows, "row", "rows");
        parts.push(format!("{what} {}, {rows}", units::bytes(amount.bytes)));
    }
    let rate = standing.rate().filter(|_| !parts.is_empty());
    parts.extend(rate.map(|rate| format!("{}/s", units::bytes(rate))));
    parts
}

#[cfg(test)]
mod tests {
    use super::super::standing::Amount;
    use super::*;
    use crate::commands::StepId;

    #[test]
    fn a_sign_of_life_says_how_far_how_fast_and_what_is_done_now() {
        let start = Instant::now();
        let mut standing = Standing::default();
        let planned = Event::Planned {
            steps: (100, 20),
            tables: 3,
            bytes: (50_000_000, 0),
            cost: (100_000_000, 20_000_000),
        };
        standing.observe(&planned, start);
        let (step, phase, title) = (StepId(3), Phase::Data, "public.orders".to_owned());
        let step = Event::StepStarted { worker: 0, step, phase, title, cost: 50_000_000 };
        standing.observe(&step, start);
        let amount = |rows, bytes| Amount { rows, bytes };
        standing.sample(amount(0, 0), amount(0, 0), start);
        standing.sample(amount(1234, 10_000_000), amount(0, 0), start + Duration::from_secs(2));
        assert_eq!(
            heartbeat(&standing),
            "30 % · 20/100 steps · 14.0 s left · copied 10.0 MB, 1,234 rows · 5.00 MB/s · \
             now: public.orders"
        );
        assert_eq!(
            announcement(&planned),
            "100 steps, about 50.0 MB of rows in 3 tables (20 steps, 0 B done before)"
        );
    }
}
