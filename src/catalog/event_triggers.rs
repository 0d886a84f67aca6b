//! Event triggers (documentation: SQL command CREATE EVENT TRIGGER).

use crate::error::Result;
use crate::pg::{Oid, class, quote_ident, quote_literal};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{function_name, stands_alone};
use super::rendered::rendered;
use super::rules::state;

/// Adds an entry for each of the user's event triggers.
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<()> {
    let sql = format!(
        "select e.oid, e.evtname::text, e.evtevent::text, e.evtenabled::text as enabled, \
         pg_catalog.pg_get_userbyid(e.evtowner)::text as owner, {} as function, \
         coalesce(e.evttags, '{{}}') as tags \
         from pg_catalog.pg_event_trigger e where e.oid >= {} and {} order by e.evtname",
        function_name("e.evtfoid"),
        Oid::FIRST_NORMAL,
        stands_alone("pg_event_trigger", "e.oid")
    );
    for row in session.query("reading event triggers", &sql, &[]).await? {
        let name: &str = row.get("evtname");
        let trigger = EventTrigger {
            name: name.to_owned(),
            owner: row.get("owner"),
            event: row.get("evtevent"),
            tags: row.get("tags"),
            function: rendered(&row, "function", || format!("event trigger {name}"))?.to_owned(),
            state: state(row.get("enabled")),
        };
        out.add(ObjectId::new(class::PG_EVENT_TRIGGER, row.get("oid")), trigger.entry());
    }
    Ok(())
}

#[derive(Debug)]
struct EventTrigger {
    name: String,
    owner: String,
    event: String,
    /// None at all: it fires on every command.
    tags: Vec<String>,
    /// As SQL reads it.
    function: String,
    /// None for the state that CREATE gives.
    state: Option<&'static str>,
}

impl EventTrigger {
    fn entry(&self) -> Entry {
        let name = quote_ident(&self.name);
        let mut create = format!("CREATE EVENT TRIGGER {name} ON {}", quote_ident(&self.event));
        if !self.tags.is_empty() {
            let tags: Vec<String> = self.tags.iter().map(|tag| quote_literal(tag)).collect();
            create.push_str(&format!(" WHEN TAG IN ({})", tags.join(", ")));
        }
        create.push_str(&format!(" EXECUTE FUNCTION {}();\n", self.function));
        if let Some(state) = self.state {
            create.push_str(&format!("ALTER EVENT TRIGGER {name} {state};\n"));
        }
        Entry {
            owner: Some(self.owner.clone()),
            create,
            drop: format!("DROP EVENT TRIGGER {name};\n"),
            ..Entry::new(Kind::EventTrigger, None, self.name.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_trigger_names_its_tags_and_its_state() {
        let trigger = EventTrigger {
            name: "e".to_owned(),
            owner: "o".to_owned(),
            event: "ddl_command_end".to_owned(),
            tags: vec!["CREATE TABLE".to_owned(), "DROP TABLE".to_owned()],
            function: "\"s\".\"f\"".to_owned(),
            state: state("A"),
        };
        assert_eq!(
            trigger.entry().create,
            "CREATE EVENT TRIGGER \"e\" ON \"ddl_command_end\" \
             WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION \"s\".\"f\"();\n\
             ALTER EVENT TRIGGER \"e\" ENABLE ALWAYS;\n"
        );
    }
}
