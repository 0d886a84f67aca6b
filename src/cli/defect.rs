//! A panic: a defect of ours, or an answer that no PostgreSQL server gives. It is told as other
//! failures are.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Where the last panic was, and what the operator's RUST_BACKTRACE wants to know of it.
static LAST: Mutex<String> = Mutex::new(String::new());

/// What `run` yields; a panic in it as an error.
pub(super) fn told<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    panic::set_hook(Box::new(note));
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(failure(&*panic)))
}

fn note(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(String::new, |place| format!(" ({place})"));
    let backtrace = Backtrace::capture();
    let more = match backtrace.status() {
        BacktraceStatus::Captured => format!("\n{backtrace}"),
        _ => String::new(),
    };
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = place + &more;
}

fn failure(panic: &(dyn Any + Send)) -> Error {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it doesn't say what");
    let place = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    Error::step("something went wrong that shouldn't").because(format!("{words}{place}")).hint(
        "check that both servers are PostgreSQL's own; then run the same command again, and if this \
         is said again, report it with the servers' versions",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_panic_is_told_with_its_place_as_a_step_that_failed() {
        let hook = panic::take_hook();
        let error = told::<()>(|| panic!("column {} is of another type", 7)).unwrap_err();
        panic::set_hook(hook);
        assert_eq!(error.kind(), Kind::Step);
        let text = error.to_string();
        assert!(text.contains("column 7 is of another type (src/cli/defect.rs:"), "{text}");
        assert!(text.contains("\nhint: "), "{text}");
    }
}
