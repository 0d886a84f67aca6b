//! Foreign data wrappers and the servers reached through them (documentation: SQL commands CREATE
//! FOREIGN DATA WRAPPER, CREATE SERVER).
//!
//! A wrapper's validator is set when all that has options is there: it may have been set after them
//! on the source, too, and would refuse them now. ALTER FOREIGN DATA WRAPPER doesn't ask it about
//! options that are there (source: foreigncmds.c, AlterForeignDataWrapper).

use crate::error::Result;
use crate::pg::{Oid, class, quote_ident, quote_literal};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{function_name, stands_alone};
use super::generic_options;

/// Adds an entry for each of the user's wrappers and servers.
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<()> {
    let sql = format!(
        "select w.oid, w.fdwname::text, pg_catalog.pg_get_userbyid(w.fdwowner)::text as owner, \
         {} as handler, {} as validator, coalesce(w.fdwoptions, '{{}}') as options \
         from pg_catalog.pg_foreign_data_wrapper w where w.oid >= {} and {} order by w.fdwname",
        function_name("w.fdwhandler"),
        function_name("w.fdwvalidator"),
        Oid::FIRST_NORMAL,
        stands_alone("pg_foreign_data_wrapper", "w.oid")
    );
    for row in session.query("reading foreign data wrappers", &sql, &[]).await? {
        let (name, owner): (&str, String) = (row.get("fdwname"), row.get("owner"));
        let (handler, validator): (Option<&str>, Option<&str>) =
            (row.get("handler"), row.get("validator"));
        let object = ObjectId::new(class::PG_FOREIGN_DATA_WRAPPER, row.get("oid"));
        let options: Vec<String> = row.get("options");
        out.add(object, wrapper(name, owner, handler, &options));
        if let Some(validator) = validator {
            let id = out.add_part(set_validator(name, handler, validator));
            out.needs(id, object);
        }
    }
    let sql = format!(
        "select s.oid, s.srvname::text, pg_catalog.pg_get_userbyid(s.srvowner)::text as owner, \
         w.fdwname::text, s.srvtype, s.srvversion, coalesce(s.srvoptions, '{{}}') as options \
         from pg_catalog.pg_foreign_server s \
         join pg_catalog.pg_foreign_data_wrapper w on w.oid = s.srvfdw \
         where s.oid >= {} and {} order by s.srvname",
        Oid::FIRST_NORMAL,
        stands_alone("pg_foreign_server", "s.oid")
    );
    for row in session.query("reading foreign servers", &sql, &[]).await? {
        let server = Server {
            name: row.get("srvname"),
            owner: row.get("owner"),
            wrapper: row.get("fdwname"),
            kind: row.get("srvtype"),
            version: row.get("srvversion"),
            options: row.get("options"),
        };
        out.add(ObjectId::new(class::PG_FOREIGN_SERVER, row.get("oid")), server.entry());
    }
    Ok(())
}

/// The function is named as SQL reads it.
fn wrapper(name: &str, owner: String, handler: Option<&str>, options: &[String]) -> Entry {
    let quoted = quote_ident(name);
    let mut create = format!("CREATE FOREIGN DATA WRAPPER {quoted}");
    if let Some(handler) = handler {
        create.push_str(&format!(" HANDLER {handler}"));
    }
    create.push_str(&format!("{};\n", generic_options::clause(options)));
    Entry {
        owner: Some(owner),
        create,
        drop: format!("DROP FOREIGN DATA WRAPPER {quoted};\n"),
        ..Entry::new(Kind::ForeignDataWrapper, None, name)
    }
}

/// A handler is named again: before 14 the server forgets its dependency on one that isn't.
fn set_validator(name: &str, handler: Option<&str>, validator: &str) -> Entry {
    let handler = handler.map_or_else(String::new, |handler| format!(" HANDLER {handler}"));
    let quoted = quote_ident(name);
    Entry {
        create: format!("ALTER FOREIGN DATA WRAPPER {quoted}{handler} VALIDATOR {validator};\n"),
        ..Entry::new(Kind::WrapperValidator, None, name)
    }
}

#[derive(Debug)]
struct Server {
    name: String,
    owner: String,
    wrapper: String,
    kind: Option<String>,
    version: Option<String>,
    options: Vec<String>,
}

impl Server {
    fn entry(&self) -> Entry {
        let name = quote_ident(&self.name);
        let mut create = format!("CREATE SERVER {name}");
        for (word, value) in [("TYPE", &self.kind), ("VERSION", &self.version)] {
            if let Some(value) = value {
                create.push_str(&format!(" {word} {}", quote_literal(value)));
            }
        }
        create.push_str(&format!(
            " FOREIGN DATA WRAPPER {}{};\n",
            quote_ident(&self.wrapper),
            generic_options::clause(&self.options)
        ));
        Entry {
            owner: Some(self.owner.clone()),
            create,
            drop: format!("DROP SERVER {name};\n"),
            ..Entry::new(Kind::ForeignServer, None, self.name.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_and_a_server_say_what_they_have() {
        let options = ["debug=true".to_owned()];
        let wrapper = wrapper("W", "o".to_owned(), Some("\"s\".\"h\""), &options);
        assert_eq!(
            wrapper.create,
            "CREATE FOREIGN DATA WRAPPER \"W\" HANDLER \"s\".\"h\" \
             OPTIONS (\"debug\" 'true');\n"
        );
        assert_eq!(
            set_validator("W", Some("s.h"), "s.v").create,
            "ALTER FOREIGN DATA WRAPPER \"W\" HANDLER s.h VALIDATOR s.v;\n"
        );
        let server = Server {
            name: "s".to_owned(),
            owner: "o".to_owned(),
            wrapper: "W".to_owned(),
            kind: Some("ora'cle".to_owned()),
            version: None,
            options: Vec::new(),
        };
        let entry = server.entry();
        assert_eq!(
            entry.create,
            "CREATE SERVER \"s\" TYPE 'ora''cle' FOREIGN DATA WRAPPER \"W\";\n"
        );
        assert_eq!(entry.owner_sql("x").as_deref(), Some("ALTER SERVER \"s\" OWNER TO \"x\";\n"));
    }
}
