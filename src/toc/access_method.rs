//! How a statement says by which access method a table is stored.

use crate::pg::quote_ident;

/// A statement of pg_dump's, which leaves that to the session's default.
pub(crate) fn stored_by(create: &str, method: &str) -> String {
    format!("{}{create}{}", default_is(method), default_is("heap"))
}

/// The statement without, whoever has put it into words.
pub(super) fn stored_as_heap(create: &str, method: &str) -> String {
    let using = format!("\nUSING {}", quote_ident(method));
    create.replacen(&using, "", 1).replacen(&default_is(method), "", 1)
}

fn default_is(method: &str) -> String {
    format!("SET LOCAL default_table_access_method TO {};\n", quote_ident(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_becomes_a_heap_whoever_said_otherwise() {
        let theirs = stored_by("CREATE TABLE s.t (\n);\n", "My am");
        assert!(theirs.starts_with("SET LOCAL default_table_access_method TO \"My am\";\nCREATE"));
        let heap = default_is("heap");
        assert_eq!(stored_as_heap(&theirs, "My am"), format!("CREATE TABLE s.t (\n);\n{heap}"));
        assert_eq!(
            stored_as_heap("CREATE TABLE t ()\nUSING \"My am\";\n", "My am"),
            "CREATE TABLE t ();\n"
        );
    }
}
