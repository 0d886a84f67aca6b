//! The settings every session starts with, whatever the server's, the database's or the role's
//! defaults are (pg_dump does the same; source: bin/pg_dump/pg_dump.c, setup_connection).

use crate::pg::{ServerVersion, quote_literal};

use super::Conninfo;

/// Name, value, and the first major version that has the setting.
const SETTINGS: [(&str, &str, u32); 23] = [
    ("search_path", "", 0),
    ("standard_conforming_strings", "on", 0),
    ("DateStyle", "ISO", 0),
    ("IntervalStyle", "postgres", 0),
    // Text renderings of one instant must be equal on both sides.
    ("TimeZone", "UTC", 0),
    ("extra_float_digits", "3", 0),
    ("bytea_output", "hex", 0),
    ("xmloption", "content", 0),
    ("quote_all_identifiers", "off", 0),
    // A long copy, or a worker that waits for its next step, is no reason to end the session.
    ("statement_timeout", "0", 0),
    ("lock_timeout", "0", 0),
    ("idle_in_transaction_session_timeout", "0", 0),
    ("idle_session_timeout", "0", 14),
    ("transaction_timeout", "0", 17),
    // Rows hidden by a policy would be rows lost: with off, hiding any is an error instead.
    ("row_security", "off", 0),
    ("synchronize_seqscans", "off", 0),
    ("check_function_bodies", "off", 0),
    ("default_tablespace", "", 0),
    ("default_table_access_method", "heap", 0),
    // A query over a big catalog would be compiled for longer than it runs.
    ("jit", "off", 0),
    // What text means must not depend on whom we are connected as.
    ("array_nulls", "on", 0),
    ("transform_null_equals", "off", 0),
    ("default_transaction_isolation", "read committed", 0),
];

/// The statements that set a session up, for one round trip.
pub(super) fn statements(version: ServerVersion, conninfo: &Conninfo) -> String {
    let encoding = ("client_encoding", conninfo.client_encoding(), 0);
    let money = conninfo.lc_monetary().map(|locale| ("lc_monetary", locale, 0));
    SETTINGS
        .iter()
        .chain(&money)
        .chain([&encoding])
        .filter(|(_, _, since)| version.major() >= *since)
        .map(|(name, value, _)| format!("SET {name} = {};", quote_literal(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::scripted::conninfo;

    #[test]
    fn settings_that_a_server_does_not_have_yet_are_left_out() {
        let set = |version| statements(ServerVersion(version), &conninfo("user=ann"));
        assert!(!set(130_000).contains("idle_session_timeout"));
        assert!(set(140_000).contains("SET idle_session_timeout = '0';"));
        assert!(!set(160_000).contains("SET transaction_timeout"));
        assert!(set(170_000).contains("SET transaction_timeout = '0';"));
        assert!(set(130_000).ends_with("SET client_encoding = 'UTF8';"));
    }
}
