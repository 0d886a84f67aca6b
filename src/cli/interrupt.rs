//! Ctrl-C, and SIGTERM where that exists: the first stops the work cleanly, the second one ends the
//! process where it stands. Either way the same command goes on from there.

use tokio::task::JoinHandle;

use crate::commands::Stopper;

use super::exit::Exit;
use super::messages::Messages;

/// Listens until it is dropped.
#[derive(Debug)]
pub(super) struct Listening(JoinHandle<()>);

/// Starts to listen. `on_first` is what people are told when the work is asked to stop.
pub(super) fn listen(stopper: Stopper, messages: Messages, on_first: &'static str) -> Listening {
    Listening(tokio::spawn(async move {
        let mut asked = match Asked::new() {
            Ok(asked) => asked,
            Err(error) => {
                messages.warn(&format!("Ctrl-C won't stop the work cleanly: {error}"));
                return std::future::pending().await;
            }
        };
        asked.next().await;
        stopper.stop();
        messages.say(on_first);
        asked.next().await;
        std::process::exit(i32::from(Exit::Interrupted.code()));
    }))
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(unix)]
struct Asked {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Asked {
    fn new() -> std::io::Result<Asked> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Asked {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Asked {
    interrupt: tokio::signal::windows::CtrlC,
    ctrl_break: tokio::signal::windows::CtrlBreak,
}

#[cfg(windows)]
impl Asked {
    fn new() -> std::io::Result<Asked> {
        Ok(Asked {
            interrupt: tokio::signal::windows::ctrl_c()?,
            ctrl_break: tokio::signal::windows::ctrl_break()?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.ctrl_break.recv() => {}
        }
    }
}
