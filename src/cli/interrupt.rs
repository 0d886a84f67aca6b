//! Ctrl-C, and SIGTERM where that exists: the first stops the work cleanly, the second one ends the
//! process where it stands. Either way the same command goes on from there. A terminal that closes
//! stops the work as well, unless the program was started to outlive it.

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
        asked.first().await;
        stopper.stop();
        messages.say(on_first);
        asked.again().await;
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
    /// None where a terminal that closes is no matter.
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Asked {
    fn new() -> std::io::Result<Asked> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Asked {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: match outlives_its_terminal() {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    async fn first(&mut self) {
        let hangs_up = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hangs_up => {}
        }
    }

    /// A terminal that closes may say so twice: by the shell, and by the system.
    async fn again(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Whether SIGHUP is ignored, as nohup has it: to listen would undo that. Where the system doesn't
/// tell, it is left as it is.
#[cfg(unix)]
fn outlives_its_terminal() -> bool {
    const SIGHUP: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask & SIGHUP != 0)
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

    async fn first(&mut self) {
        self.again().await;
    }

    async fn again(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.ctrl_break.recv() => {}
        }
    }
}
