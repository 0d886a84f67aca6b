//! What the engine says while it works. Presenting it is somebody else's job.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::copy::Progress;
use crate::plan::{Phase, StepId};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Work on a database begins.
    Database {
        /// Its name.
        name: String,
    },
    /// There is a plan, new or continued.
    Planned {
        /// How many steps it has, and how many of them are done.
        steps: (usize, usize),
        /// How many tables' rows move.
        tables: usize,
        /// The bytes of rows to copy, estimated, and how many of them are there.
        bytes: (u64, u64),
        /// What all steps cost, and what those that are done do, in bytes moved or read.
        cost: (u64, u64),
    },
    /// Both sides' rows are read and compared: nothing is planned or changed.
    Reading {
        /// How many tables.
        tables: usize,
        /// The bytes of one side's rows, estimated.
        bytes: u64,
    },
    /// A worker takes up a step.
    StepStarted {
        /// Which worker.
        worker: usize,
        /// Which step.
        step: StepId,
        /// The step's part of the job.
        phase: Phase,
        /// The step's title.
        title: String,
        /// What it costs, in bytes moved or read.
        cost: u64,
    },
    /// A worker has done a step: effect and receipt are committed, where the target didn't refuse
    /// what the job can end without.
    StepFinished {
        /// Which worker.
        worker: usize,
        /// Which step.
        step: StepId,
        /// The step's part of the job.
        phase: Phase,
        /// The step's title.
        title: String,
        /// What it was expected to cost, in bytes moved or read.
        cost: u64,
        /// The rows it moved or read.
        rows: u64,
        /// The bytes it moved or read.
        bytes: u64,
        /// How long it took.
        took: Duration,
    },
    /// Something worth telling.
    Note(String),
}

/// Where events go. The channel is bounded: a presenter that doesn't keep up slows the work down
/// rather than filling memory.
#[derive(Debug, Clone)]
pub struct Events {
    sender: mpsc::Sender<Event>,
    /// What moves on the way from source to target.
    pub copied: Arc<Progress>,
    /// What is read back for verification.
    pub verified: Arc<Progress>,
}

impl Events {
    /// Both ends.
    pub fn new() -> (Events, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(256);
        (Events { sender, copied: Arc::default(), verified: Arc::default() }, receiver)
    }

    /// Says that something happened. A presenter that is gone misses it, and the work goes on.
    pub async fn say(&self, event: Event) {
        let _ = self.sender.send(event).await;
    }
}
