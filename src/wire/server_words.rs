//! A server's error or notice, cut down to what may be shown: never a row's values.
//!
//! Which field quotes values is known by class of SQLSTATE (documentation: "PostgreSQL Error
//! Codes"). Class 22 (data exception) quotes the offending value in the primary message itself;
//! class 23 (constraint violation) quotes the key or the row in DETAIL; CONTEXT of a COPY ends in
//! the line or the column's value.

use std::io;

use bytes::{Buf, Bytes};

use crate::pg::ServerError;

use super::message::{malformed, take_string};

/// The classes whose DETAIL speaks of objects, sessions or the server, never of rows.
const CLASSES_WITH_A_CLEAN_DETAIL: [&str; 16] = [
    "08", "0A", "0L", "0P", "25", "28", "2B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58",
];

/// What a quoted word in a class 22 message may follow and still be a name, not a value.
const NAMES_FOLLOW: [&str; 12] = [
    "column ",
    "constraint ",
    "domain ",
    "encoding ",
    "enum ",
    "extension ",
    "function ",
    "parameter ",
    "relation ",
    "sequence ",
    "table ",
    "type ",
];

/// The quotes that messages in other languages (lc_messages) put around values.
const FOREIGN_QUOTES: [char; 11] = ['«', '»', '„', '“', '”', '‹', '›', '「', '」', '『', '』'];

/// The fields of an ErrorResponse or NoticeResponse, as sent.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) severity: String,
    pub(super) sqlstate: String,
    pub(super) message: String,
    pub(super) detail: Option<String>,
    pub(super) hint: Option<String>,
    pub(super) context: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) table: Option<String>,
    pub(super) constraint: Option<String>,
}

impl Fields {
    /// Reads a message's body.
    pub(super) fn read(mut body: Bytes) -> io::Result<Fields> {
        let mut fields = Fields::default();
        loop {
            let kind = body
                .try_get_u8()
                .map_err(|_| malformed("an error message without its end".into()))?;
            if kind == 0 {
                return Ok(fields);
            }
            let text = take_string(&mut body)?;
            match kind {
                b'V' => fields.severity = text,
                b'S' if fields.severity.is_empty() => fields.severity = text,
                b'C' => fields.sqlstate = text,
                b'M' => fields.message = text,
                b'D' => fields.detail = Some(text),
                b'H' => fields.hint = Some(text),
                b'W' => fields.context = Some(text),
                b's' => fields.schema = Some(text),
                b't' => fields.table = Some(text),
                b'n' => fields.constraint = Some(text),
                _ => {}
            }
        }
    }

    /// The fields as tokio-postgres read them.
    pub(super) fn of(error: &tokio_postgres::error::DbError) -> Fields {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Fields {
            severity: error.severity().to_owned(),
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: owned(error.detail()),
            hint: owned(error.hint()),
            context: owned(error.where_()),
            schema: owned(error.schema()),
            table: owned(error.table()),
            constraint: owned(error.constraint()),
        }
    }

    /// What may be shown.
    pub(super) fn shown(self) -> ServerError {
        let class = self.sqlstate.get(..2).unwrap_or("");
        let detail_is_clean = CLASSES_WITH_A_CLEAN_DETAIL.contains(&class);
        let message = if class == "22" { without_values(&self.message) } else { self.message };
        let table = self.table.map(|table| match self.schema {
            Some(schema) => format!("{schema}.{table}"),
            None => table,
        });
        ServerError {
            message,
            detail: self.detail.filter(|_| detail_is_clean),
            hint: self.hint,
            context: self.context.as_deref().and_then(copy_position),
            table,
            constraint: self.constraint,
            sqlstate: self.sqlstate,
        }
    }
}

/// A class 22 message up to the value it quotes; quoted words elsewhere in it go too, unless they
/// are names.
fn without_values(message: &str) -> String {
    if let Some((before, _value)) = message.split_once(FOREIGN_QUOTES) {
        return format!("{}…", before.split('"').next().unwrap_or(before));
    }
    let mut rest = message.split_once(": \"").map_or(message, |(before, _value)| before);
    let mut shown = String::new();
    while let Some((before, quoted)) = rest.split_once('"') {
        shown.push_str(before);
        let (word, after) = quoted.split_once('"').unwrap_or((quoted, ""));
        if NAMES_FOLLOW.iter().any(|words| before.ends_with(words)) {
            shown.push_str(&format!("\"{word}\""));
        } else {
            shown.push('…');
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// "COPY orders, line 12, column total" of a COPY's CONTEXT (source: commands/copyfromparse.c),
/// without the value behind it. Any other context may quote anything, so none of it is kept.
fn copy_position(context: &str) -> Option<String> {
    let first = context.lines().next()?;
    let at = first.starts_with("COPY ").then(|| first.find(", line ")).flatten()?;
    let number = at + ", line ".len();
    let digits =
        first[number..].find(|c: char| !c.is_ascii_digit()).map_or(first.len(), |end| number + end);
    let column = match first[digits..].strip_prefix(", column ") {
        Some(column) => column.split(": ").next().unwrap_or(column),
        None => return Some(first[..digits].to_owned()),
    };
    Some(format!("{}, column {column}", &first[..digits]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sqlstate: &str, message: &str, detail: &str, context: &str) -> String {
        let fields = Fields {
            sqlstate: sqlstate.into(),
            message: message.into(),
            detail: Some(detail.into()),
            context: Some(context.into()),
            ..Fields::default()
        };
        fields.shown().to_string()
    }

    #[test]
    fn no_field_that_quotes_a_value_is_shown() {
        let table = [
            (
                "22P02",
                "invalid input syntax for type integer: \"secret\"",
                "COPY orders, line 12, column total: \"secret\"",
                "invalid input syntax for type integer (SQLSTATE 22P02); \
                 COPY orders, line 12, column total",
            ),
            (
                "22003",
                "value \"secret\" is out of range for type integer",
                "COPY orders, line 1, column x",
                "value … is out of range for type integer (SQLSTATE 22003); \
                 COPY orders, line 1, column x",
            ),
            (
                "22023",
                "invalid value for parameter \"TimeZone\": \"secret\"",
                "",
                "invalid value for parameter \"TimeZone\" (SQLSTATE 22023)",
            ),
            (
                "22P02",
                "ungültige Eingabesyntax für Typ integer: »secret«",
                "COPY orders, Zeile 12, Spalte total: »secret«",
                "ungültige Eingabesyntax für Typ integer: … (SQLSTATE 22P02)",
            ),
            (
                "22021",
                "invalid byte sequence for encoding \"UTF8\": 0x00",
                "COPY a, line 3",
                "invalid byte sequence for encoding \"UTF8\": 0x00 (SQLSTATE 22021); COPY a, line 3",
            ),
            (
                "23505",
                "duplicate key value violates unique constraint \"orders_pkey\"",
                "COPY orders, line 7: \"1\tsecret\"",
                "duplicate key value violates unique constraint \"orders_pkey\" (SQLSTATE 23505); \
                 COPY orders, line 7",
            ),
            (
                "P0001",
                "refused by a trigger",
                "SQL statement \"SELECT secret\"\nCOPY orders, line 7: \"secret\"",
                "refused by a trigger (SQLSTATE P0001)",
            ),
        ];
        for (sqlstate, message, context, expected) in table {
            assert_eq!(shown(sqlstate, message, "Key (a)=(secret).", context), expected);
        }
    }

    #[test]
    fn the_detail_of_errors_about_objects_is_shown() {
        let text = shown("2BP01", "cannot drop type x", "table t depends on type x", "");
        assert_eq!(text, "cannot drop type x (SQLSTATE 2BP01); table t depends on type x");
    }

    #[test]
    fn an_error_message_cut_short_anywhere_is_an_error() {
        let body = b"SFATAL\0VFATAL\0C28P01\0Mno\0\0";
        for end in 0..body.len() {
            assert!(Fields::read(Bytes::copy_from_slice(&body[..end])).is_err());
        }
        let fields = Fields::read(Bytes::from_static(body)).unwrap();
        assert_eq!((&*fields.severity, &*fields.sqlstate), ("FATAL", "28P01"));
    }
}
