//! What went wrong: what was being done, to which object, in whose words, and what to do now.
//!
//! An error never holds a row's values or a secret. It is shown once, where it is handled.

use std::any::Any;
use std::fmt;

use crate::pg::ServerError;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it is: the only thing exit codes look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request itself makes no sense: a bad flag, a malformed connection string.
    Usage,
    /// The preflight refuses: going on would fail or destroy something.
    Refused,
    /// A server could not be reached, or would not let us in.
    Connect,
    /// Something failed while the work was under way; the same command goes on from there.
    Step,
    /// A connection broke, or its server fell silent.
    Lost,
    /// What a run stands on is gone: the source's snapshot, or the claim on the target.
    Stale,
    /// The operator, or another failure, stopped the work.
    Interrupted,
}

/// A failure with its story.
#[derive(Debug)]
pub struct Error(Box<Story>);

#[derive(Debug)]
struct Story {
    kind: Kind,
    doing: String,
    cause: Option<Cause>,
    hint: Option<String>,
}

#[derive(Debug)]
enum Cause {
    Server(ServerError),
    Io(std::io::Error),
    Words(String),
}

impl Error {
    /// A failure of `kind` while `doing` something: a phrase such as "copying public.orders".
    pub fn new(kind: Kind, doing: impl Into<String>) -> Self {
        Error(Box::new(Story { kind, doing: doing.into(), cause: None, hint: None }))
    }

    /// A malformed request.
    pub fn usage(doing: impl Into<String>) -> Self {
        Error::new(Kind::Usage, doing)
    }

    /// A failed step.
    pub fn step(doing: impl Into<String>) -> Self {
        Error::new(Kind::Step, doing)
    }

    /// A panic in the midst of something: a defect of ours, or an answer that no PostgreSQL server
    /// gives.
    pub(crate) fn panicked(doing: impl Into<String>, panic: &(dyn Any + Send)) -> Self {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or(panic.downcast_ref::<&str>().copied());
        let words = words.unwrap_or("it doesn't say what");
        Error::step(doing).because(format!("something went wrong that shouldn't: {words}")).hint(
            "check that both servers are PostgreSQL's own; then run the same command again, and if \
             this is said again, report it with the servers' versions",
        )
    }

    /// Says why, in plain words.
    #[must_use]
    pub fn because(mut self, words: impl Into<String>) -> Self {
        self.0.cause = Some(Cause::Words(words.into()));
        self
    }

    /// Says why, in the server's own words.
    #[must_use]
    pub fn server(mut self, error: ServerError) -> Self {
        self.0.cause = Some(Cause::Server(error));
        self
    }

    /// Says why, in the operating system's words.
    #[must_use]
    pub fn io(mut self, error: std::io::Error) -> Self {
        self.0.cause = Some(Cause::Io(error));
        self
    }

    /// Says what to do: a hint ends in an action.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same failure, told from further out: "migrating shop: copying public.orders".
    #[must_use]
    pub fn within(mut self, doing: impl fmt::Display) -> Self {
        self.0.doing = format!("{doing}: {}", self.0.doing);
        self
    }

    /// The same failure under another kind.
    #[must_use]
    pub fn as_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The server's error, where a server's word was the cause.
    pub fn server_error(&self) -> Option<&ServerError> {
        match &self.0.cause {
            Some(Cause::Server(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether the operating system's word was the cause.
    pub fn is_io(&self) -> bool {
        matches!(self.0.cause, Some(Cause::Io(_)))
    }

    /// What was being done and why it failed, without the hint.
    pub fn message(&self) -> String {
        let doing = &self.0.doing;
        match &self.0.cause {
            Some(Cause::Server(error)) => format!("{doing}: {error}"),
            Some(Cause::Io(error)) => format!("{doing}: {error}"),
            Some(Cause::Words(words)) => format!("{doing}: {words}"),
            None => doing.clone(),
        }
    }

    /// The action to take, if one is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        match &self.0.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Some(Cause::Io(error)) => Some(error),
            _ => None,
        }
    }
}
