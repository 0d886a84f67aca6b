//! The WebStream recipe: its configuration file, its databases, its steps.

mod configuration;

pub use configuration::{Configuration, ConnectionString, Keyword, Moved, Named, PasswordRef};
