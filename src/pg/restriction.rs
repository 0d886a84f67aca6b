//! What keeps a relation's name from running its owner's code.

/// Has the transaction refuse to read views and foreign tables of users, on servers that can (all
/// majors since August 2024; source: rewrite/rewriteHandler.c, restrict_nonsystem_relation_kind). What
/// was a sequence or a table when the catalog was read may be a view by now, whose functions would
/// run as whoever reads it: pg_dump takes the same care (CVE-2024-7348).
pub const ONLY_STORED: &str = "SELECT pg_catalog.set_config(s.name, 'view, foreign-table', true) \
    FROM pg_catalog.pg_settings s WHERE s.name = 'restrict_nonsystem_relation_kind'";
