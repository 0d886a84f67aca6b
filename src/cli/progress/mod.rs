//! Progress while the work goes on: bars on a terminal, plain lines elsewhere, JSON for programs.

mod bars;
mod json;
mod lines;
mod standing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::commands::{Event, Events, Progress};

use super::messages::Messages;
use super::output::Output;
use bars::Bars;
use json::JsonEvents;
use lines::Lines;
use standing::{Amount, Standing};

/// A way of showing progress.
trait Show: Send {
    /// How often it wants to be asked.
    fn pace(&self) -> Duration;
    /// Something happened; `standing` has taken it in.
    fn event(&mut self, event: &Event, standing: &Standing);
    /// Some time has passed.
    fn tick(&mut self, standing: &Standing);
    /// Nothing more will happen.
    fn end(&mut self);
}

/// Does `work` and shows its events until it has ended.
pub(super) async fn shown<T>(
    messages: &Messages,
    output: &Output,
    work: impl AsyncFnOnce(&Events) -> T,
) -> T {
    let (events, heard) = Events::new();
    let counters = (Arc::clone(&events.copied), Arc::clone(&events.verified));
    let show: Box<dyn Show> = match messages.bars() {
        _ if output.is_json() => Box::new(JsonEvents::new(output.clone())),
        Some(bars) => Box::new(Bars::new(bars.clone(), messages.clone())),
        None => Box::new(Lines::new(messages.clone())),
    };
    let presenter = tokio::spawn(present(show, heard, counters));
    let result = work(&events).await;
    drop(events);
    // A presenter that panicked has said so, and the work is done all the same.
    let _ = presenter.await;
    result
}

async fn present(
    mut show: Box<dyn Show>,
    mut heard: mpsc::Receiver<Event>,
    counters: (Arc<Progress>, Arc<Progress>),
) {
    let amount = |progress: &Progress| Amount { rows: progress.rows(), bytes: progress.bytes() };
    let mut standing = Standing::default();
    let mut clock = tokio::time::interval(show.pace());
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let event = tokio::select! {
            event = heard.recv() => match event {
                None => break,
                event => event,
            },
            _ = clock.tick() => None,
        };
        standing.sample(amount(&counters.0), amount(&counters.1), Instant::now());
        match event {
            Some(event) => {
                standing.observe(&event, Instant::now());
                show.event(&event, &standing);
            }
            None => show.tick(&standing),
        }
    }
    show.end();
}
