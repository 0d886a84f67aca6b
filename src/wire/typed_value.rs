//! What a query may be given, with the type under which the server takes it.

use tokio_postgres::types::{ToSql, Type};

/// A value for a query.
pub trait TypedValue: Sync {
    /// The value, and its type.
    fn typed(&self) -> (&(dyn ToSql + Sync), Type);
}

macro_rules! typed_values {
    ($($name:ident: $($rust:ty),+;)+) => {
        $($(impl TypedValue for $rust {
            fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
                (self, Type::$name)
            }
        })+)+
    };
}

typed_values! {
    TEXT: &str, Option<&str>, String;
    TEXT_ARRAY: &[&str], Vec<&str>, &[String], Vec<String>;
    BOOL: bool;
    OID: u32;
    OID_ARRAY: Vec<u32>;
}
