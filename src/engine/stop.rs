//! Stopping: the operator's Ctrl-C, seen by everything that runs.

use tokio::sync::watch;

use crate::error::{Error, Kind, Result};

/// The end that stops.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// The end that is stopped; cloned to whoever waits.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Both ends.
    pub fn new() -> (Stopper, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Stopper(sender), Stop(receiver))
    }

    /// Returns once the work is to stop; never, if nobody can stop it any more.
    pub async fn stopped(&mut self) {
        if self.0.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Does `work`, unless it is to stop first: then the work is dropped where it stands, so it
    /// must be such that nothing half-done is left by that.
    pub async fn or<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.stopped() => Err(Stop::error()),
            result = work => result,
        }
    }

    /// What stopped work ends with.
    pub(super) fn error() -> Error {
        Error::new(Kind::Interrupted, "stopped on request")
            .hint("run the same command again: it goes on from here")
    }

    /// Whether the work is to stop.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }
}

impl Stopper {
    /// Stops everything that holds the other end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}
