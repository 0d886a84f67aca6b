//! Pure PostgreSQL knowledge: names and quoting, versions, lock modes, COPY formats, errors.
//! Nothing here does I/O, and every room may use it.

mod copy_format;
mod ident;
mod lock;
mod oid;
mod restriction;
mod server_error;
mod toast_compression;
mod version;

pub use copy_format::RowFormat;
pub use ident::{QualifiedName, dollar_quote, quote_ident, quote_literal};
pub use lock::LockMode;
pub use oid::{Oid, class};
pub use restriction::ONLY_STORED;
pub use server_error::ServerError;
pub use toast_compression::ToastCompression;
pub use version::ServerVersion;
