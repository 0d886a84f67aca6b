//! What an archive's entry may say. Its SQL is code, which the target runs with the rights of whoever
//! restores it; but nothing of it may come between a step's effect and its receipt, or outlive its
//! step, as nothing does that pg_dump writes.

use crate::error::{Error, Result};
use crate::pg::QualifiedName;
use crate::toc::{Token, statements, tokens};

use super::contents::Item;
use super::damage::about;
use super::spelling::copied;

/// The schema of our own ledger.
const LEDGER: &str = "pgconvoy";

/// Whether an entry belongs to the ledger of a job that has filled the database which was dumped: its
/// target gets one of its own.
pub(super) fn is_of_a_ledger(item: &Item) -> bool {
    match item.desc.as_str() {
        "SCHEMA" => item.tag == LEDGER,
        "ACL" | "COMMENT" if item.tag == format!("SCHEMA {LEDGER}") => true,
        _ => item.schema.as_deref() == Some(LEDGER),
    }
}

/// Refuses an entry that says what pg_dump never does.
pub(super) fn refuse_odd(item: &Item) -> Result<()> {
    if matches!(item.desc.as_str(), "ROLE" | "ROLE MEMBERSHIP") {
        return Err(odd(item, "no archive brings roles".to_owned()));
    }
    let (mut role_is_set, mut path_is_set) = (false, false);
    for statement in statements(&item.create) {
        match act(statement) {
            Act::Usual => {}
            Act::SetsRole(is_set) => role_is_set = is_set,
            Act::SetsPath(is_set) => path_is_set = is_set,
            Act::Odd(word) => {
                return Err(odd(
                    item,
                    format!("a statement of it is {word}, which pg_dump's never is"),
                ));
            }
        }
    }
    if role_is_set || path_is_set {
        let what = if role_is_set { "role" } else { "search_path" };
        return Err(odd(item, format!("it leaves another {what} to what comes after it")));
    }
    let Some(copy) = item.copy.as_deref() else { return Ok(()) };
    match copied(copy) {
        None => Err(odd(item, "its COPY statement isn't one that pg_dump writes".to_owned())),
        Some((relation, _)) if relation.schema == LEDGER => {
            Err(odd(item, format!("its rows go into {relation}, which is of our own ledger")))
        }
        Some(_) => Ok(()),
    }
}

/// Whether a table isn't a user's. Rows that pg_dump has of one are an extension's.
pub(super) fn is_the_systems(relation: &QualifiedName) -> bool {
    relation.schema.starts_with("pg_") || relation.schema == "information_schema"
}

/// What a statement does to the session or its transaction.
enum Act {
    Usual,
    /// Grants are made by others so; whether another than ours is set.
    SetsRole(bool),
    /// A name may be found in no other way, so our own dumps do this; whether it isn't empty.
    SetsPath(bool),
    Odd(String),
}

fn act(statement: &str) -> Act {
    let mut words = tokens(statement).map(|(_, token)| match token {
        Token::Word(word) => word.to_ascii_uppercase(),
        _ => String::new(),
    });
    let mut next = || words.next().unwrap_or_default();
    let (first, second, third) = (next(), next(), next());
    let is_role = second == "ROLE" || second == "SESSION" && third == "AUTHORIZATION";
    match first.as_str() {
        "SET" if second == "LOCAL" => Act::Usual,
        "SET" if is_role => Act::SetsRole(true),
        "RESET" if is_role => Act::SetsRole(false),
        "SET" if second == "SEARCH_PATH" => Act::SetsPath(statement != NO_PATH),
        "SET" | "RESET" => Act::Odd(format!("{first} {second}")),
        "ABORT" | "BEGIN" | "COMMIT" | "COPY" | "DISCARD" | "END" | "PREPARE" | "RELEASE"
        | "ROLLBACK" | "SAVEPOINT" | "START" => Act::Odd(first),
        _ => Act::Usual,
    }
}

/// What takes a search_path back.
const NO_PATH: &str = "SET search_path = '';";

fn odd(item: &Item, because: String) -> Error {
    about(item).because(because).hint(
        "don't trust this archive: look at what it does with pg_restore -f -, or make it anew",
    )
}

#[cfg(test)]
mod tests {
    use super::super::contents::{ItemId, ItemSection};
    use super::*;

    fn item(desc: &str, tag: &str, create: &str) -> Item {
        Item { create: create.into(), ..Item::new(ItemId(7), desc, tag, ItemSection::PreData) }
    }

    #[test]
    fn what_ends_a_transaction_or_outlives_a_step_is_refused() {
        for create in [
            "CREATE TABLE public.t ();\nCOMMIT;\nCREATE TABLE public.u ();\n",
            "commit and chain",
            "/* a comment */ End;",
            "CREATE VIEW public.v AS SELECT ';' AS a; -- ;\n ROLLBACK;",
            "SET search_path = evil;\nCREATE TABLE public.t ();\n",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;",
            "SET session_replication_role = replica;",
            "RESET ALL;",
            "COPY public.t FROM PROGRAM 'id';",
            "SET ROLE boss;\nGRANT SELECT ON TABLE public.t TO a;\n",
            "SET SESSION AUTHORIZATION boss;\n",
        ] {
            let error = refuse_odd(&item("TABLE", "t", create)).unwrap_err().to_string();
            assert!(error.contains("entry 7, TABLE t"), "{create}: {error}");
        }
        assert!(refuse_odd(&item("ROLE", "boss", "CREATE ROLE boss;")).is_err());
    }

    #[test]
    fn what_pg_dump_writes_is_taken() {
        for create in [
            "",
            "1\n2\n",
            "-- COMMIT;\n",
            "CREATE FUNCTION public.f() RETURNS void LANGUAGE sql BEGIN ATOMIC\n SELECT 1;\nEND;\n",
            "CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql SET search_path TO 'a' AS \
             $_$ BEGIN COMMIT; END $_$;\n",
            "SET SESSION AUTHORIZATION a;\nGRANT SELECT ON TABLE t TO b;\nRESET SESSION AUTHORIZATION;\n",
            "SET ROLE a;\nGRANT SELECT ON TABLE t TO b;\nRESET ROLE;\n",
            "SET LOCAL default_table_access_method TO heap;\n",
            "SET search_path = public;\nCREATE RULE r AS …;\nSET search_path = '';\n",
            "SELECT pg_catalog.setval('public.s', 5, true);\n",
        ] {
            assert!(refuse_odd(&item("ACL", "t", create)).is_ok(), "{create}");
        }
    }

    #[test]
    fn rows_come_as_pg_dump_sends_them_and_never_into_a_ledger() {
        for copy in [
            "COPY public.t (a) FROM PROGRAM 'id';\n",
            "COPY public.t (a) FROM '/etc/passwd';\n",
            "COPY public.t (a) TO stdout;\n",
            "COPY public.t (a) FROM stdin WITH (FORMAT csv);\n",
            "COPY public.t (a) FROM stdin; DROP TABLE public.t;\n",
            "COPY t (a) FROM stdin;\n",
            "INSERT INTO t VALUES (1);\n",
            "COPY pgconvoy.receipt (a) FROM stdin;\n",
            "COPY \"pgconvoy\".receipt FROM stdin;\n",
        ] {
            let rows = Item { copy: Some(copy.to_owned()), ..item("TABLE DATA", "t", "") };
            assert!(refuse_odd(&rows).is_err(), "{copy}");
        }
        let copy = Some("COPY public.t (a, \"B\") FROM stdin;\n".to_owned());
        assert!(refuse_odd(&Item { copy, ..item("TABLE DATA", "t", "") }).is_ok());
    }

    #[test]
    fn a_ledger_is_told_by_its_schema() {
        let of = |schema: &str| Item { schema: Some(schema.into()), ..item("TABLE", "job", "") };
        assert!(is_of_a_ledger(&of("pgconvoy")) && !is_of_a_ledger(&of("shop")));
        assert!(is_of_a_ledger(&item("SCHEMA", "pgconvoy", "")));
        assert!(is_of_a_ledger(&item("ACL", "SCHEMA pgconvoy", "")));
        assert!(!is_of_a_ledger(&item("ACL", "TABLE pgconvoy", "")));
    }
}
