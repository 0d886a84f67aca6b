//! Stopping: the operator's Ctrl-C, seen by everything that runs.

use tokio::sync::watch;

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
