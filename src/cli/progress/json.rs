//! Events as JSON, one object a line, for programs.

use std::time::Duration;

use serde::Serialize;

use crate::commands::{Event, Phase};

use super::super::output::Output;
use super::Show;
use super::standing::Standing;

/// An event. Names and fields are an interface: they are added to, not changed.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    Database {
        name: &'a str,
    },
    Planned {
        steps: usize,
        steps_done: usize,
        tables: usize,
        bytes: u64,
        bytes_done: u64,
    },
    Reading {
        tables: usize,
        bytes: u64,
    },
    StepStarted {
        worker: usize,
        step: u32,
        phase: Phase,
        title: &'a str,
    },
    StepFinished {
        worker: usize,
        step: u32,
        phase: Phase,
        title: &'a str,
        rows: u64,
        bytes: u64,
        seconds: f64,
    },
    Note {
        text: &'a str,
    },
    Progress {
        database: &'a str,
        steps_done: Option<usize>,
        share: Option<f64>,
        copied_rows: u64,
        copied_bytes: u64,
        verified_rows: u64,
        verified_bytes: u64,
        remaining_seconds: Option<u64>,
    },
}

impl<'a> From<&'a Event> for Line<'a> {
    fn from(event: &'a Event) -> Line<'a> {
        match event {
            Event::Database { name } => Line::Database { name },
            Event::Planned { steps, tables, bytes, .. } => Line::Planned {
                steps: steps.0,
                steps_done: steps.1,
                tables: *tables,
                bytes: bytes.0,
                bytes_done: bytes.1,
            },
            Event::Reading { tables, bytes } => Line::Reading { tables: *tables, bytes: *bytes },
            Event::StepStarted { worker, step, phase, title, .. } => {
                Line::StepStarted { worker: *worker, step: step.0, phase: *phase, title }
            }
            Event::StepFinished { worker, step, phase, title, rows, bytes, took, .. } => {
                Line::StepFinished {
                    worker: *worker,
                    step: step.0,
                    phase: *phase,
                    title,
                    rows: *rows,
                    bytes: *bytes,
                    seconds: took.as_secs_f64(),
                }
            }
            Event::Note(text) => Line::Note { text },
        }
    }
}

/// Prints events, and how far the work is every few seconds.
pub(super) struct JsonEvents(Output);

impl JsonEvents {
    pub(super) fn new(output: Output) -> JsonEvents {
        JsonEvents(output)
    }
}

impl Show for JsonEvents {
    fn pace(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn event(&mut self, event: &Event, _: &Standing) {
        self.0.line(&Line::from(event));
    }

    fn tick(&mut self, standing: &Standing) {
        let Some(database) = &standing.database else {
            return;
        };
        self.0.line(&Line::Progress {
            database,
            steps_done: standing.steps.map(|(done, _)| done),
            share: standing.share(),
            copied_rows: standing.copied.rows,
            copied_bytes: standing.copied.bytes,
            verified_rows: standing.verified.rows,
            verified_bytes: standing.verified.bytes,
            remaining_seconds: standing.remaining().map(|time| time.as_secs()),
        });
    }

    fn end(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::StepId;

    #[test]
    fn the_fields_of_an_event_stay_as_they_are() {
        let finished = Event::StepFinished {
            worker: 1,
            step: StepId(7),
            phase: Phase::ForeignKeys,
            title: "t".into(),
            cost: 9,
            rows: 2,
            bytes: 3,
            took: Duration::from_millis(1500),
        };
        let lines = [
            Event::Database { name: "shop".into() },
            Event::Planned { steps: (9, 1), tables: 2, bytes: (30, 10), cost: (40, 10) },
            Event::Note("so".into()),
            finished,
        ];
        let lines = lines.iter().map(|e| serde_json::to_string(&Line::from(e)).unwrap());
        let expected = [
            r#"{"event":"database","name":"shop"}"#,
            r#"{"event":"planned","steps":9,"steps_done":1,"tables":2,"bytes":30,"bytes_done":10}"#,
            r#"{"event":"note","text":"so"}"#,
            r#"{"event":"step_finished","worker":1,"step":7,"phase":"foreign-keys","title":"t","rows":2,"bytes":3,"seconds":1.5}"#,
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }
}
