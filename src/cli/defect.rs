//! A panic, told as other failures are.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use crate::error::{Error, Result};

use super::escape;

/// What `run` yields; a panic in it as an error.
pub(super) fn told<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    panic::set_hook(Box::new(show_backtrace));
    let ended = panic::catch_unwind(AssertUnwindSafe(run));
    ended.unwrap_or_else(|panic| Err(Error::panicked("running the command", &*panic)))
}

/// Whoever sets RUST_BACKTRACE is told where it was; the error says the rest.
fn show_backtrace(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let all = format!("{place}\n{backtrace}\n");
        // There is nobody to tell that standard error is gone.
        let _ = std::io::stderr().write_all(escape::block(&all).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_panic_is_told_as_a_step_that_failed() {
        let hook = panic::take_hook();
        let error = told::<()>(|| panic!("column {} is of another type", 7)).unwrap_err();
        panic::set_hook(hook);
        assert_eq!(error.kind(), Kind::Step);
        let text = error.to_string();
        assert!(text.contains("column 7 is of another type\nhint: "), "{text}");
    }
}
