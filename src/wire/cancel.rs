//! Cancelling.

/// What cancels a statement.
#[derive(Debug, Clone)]
pub struct CancelHandle {}
