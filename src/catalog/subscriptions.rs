//! Subscriptions (documentation: SQL command CREATE SUBSCRIPTION). They are created without being
//! connected, as pg_dump does: what becomes of the publisher's slot is the operator's to decide, and
//! reported. The connection string holds a password, and an entry's SQL is kept in the ledger: it is
//! written without.

use crate::error::Result;
use crate::pg::{class, quote_ident, quote_literal};
use crate::toc::{Entry, Kind};
use crate::wire::{Conninfo, Session};

use super::builder::{Builder, ObjectId};

/// The parameters of a connection string that are secrets (documentation: "Parameter Key Words").
const SECRETS: [&str; 5] =
    ["oauth_client_secret", "password", "scram_client_key", "scram_server_key", "sslpassword"];

/// Adds an entry for each of the database's subscriptions. Connection strings are shown to
/// superusers only.
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<()> {
    let doing = "reading subscriptions";
    let sql = "select s.subname::text, pg_catalog.has_column_privilege( \
               'pg_catalog.pg_subscription'::pg_catalog.regclass, 'subconninfo', 'SELECT') \
               from pg_catalog.pg_subscription s \
               join pg_catalog.pg_database d on d.oid = s.subdbid \
               where d.datname = pg_catalog.current_database() order by s.subname";
    let rows = session.query(doing, sql, &[]).await?;
    if rows.is_empty() {
        return Ok(());
    }
    if !rows.iter().all(|row| row.get(1)) {
        for row in rows {
            out.left_out(
                format!("subscription {}", row.get::<_, &str>(0)),
                "only a superuser may read how it connects: create it on the target by hand, or \
                 read the source as a superuser",
            );
        }
        return Ok(());
    }
    let sql = query(session.version().major());
    for row in session.query(doing, &sql, &[]).await? {
        let subscription = Subscription {
            name: row.get("subname"),
            owner: row.get("owner"),
            connection: Connection::without_secrets(row.get("subconninfo")),
            publications: row.get("subpublications"),
            slot: row.get("slot"),
            options: row.get("options"),
        };
        subscription.report(out);
        let object = ObjectId::new(class::PG_SUBSCRIPTION, row.get("oid"));
        let id = out.add(object, subscription.entry());
        if let Some(comment) = row.get("comment") {
            let comment = out.add_part(subscription.comment(comment));
            out.comes_after(comment, id);
        }
    }
    Ok(())
}

/// Each option is given wherever it isn't what every version takes by itself. Two of which the
/// default changed are always given where there are such options, and last, so that a newer target's
/// entry can say what an older source does (see `toc/adapt/subscriptions.rs`).
fn query(major: u32) -> String {
    let mut options = vec!["'synchronous_commit = ' || nullif(s.subsynccommit, 'off')"];
    if major >= 14 {
        options.push("case when s.subbinary then 'binary = true' end");
    }
    if major >= 15 {
        options.push("case when s.subtwophasestate <> 'd' then 'two_phase = on' end");
        options.push("case when s.subdisableonerr then 'disable_on_error = true' end");
    }
    if major >= 16 {
        options.push("case when not s.subpasswordrequired then 'password_required = false' end");
        options.push("'origin = ' || nullif(s.suborigin, 'any')");
    }
    if major >= 17 {
        options.push("case when s.subfailover then 'failover = true' end");
    }
    match major {
        16.. => options.push(
            "case s.substream when 't' then 'streaming = on' \
             when 'p' then 'streaming = parallel' else 'streaming = off' end",
        ),
        14 | 15 => {
            options.push("case when s.substream then 'streaming = on' else 'streaming = off' end")
        }
        _ => {}
    }
    if major >= 16 {
        options.push("'run_as_owner = ' || case when s.subrunasowner then 'true' else 'false' end");
    }
    format!(
        "select s.oid, s.subname::text, pg_catalog.pg_get_userbyid(s.subowner)::text as owner, \
         s.subconninfo, s.subpublications, s.subslotname::text as slot, \
         pg_catalog.obj_description(s.oid, 'pg_subscription') as comment, \
         pg_catalog.array_remove(array[{}], null) as options \
         from pg_catalog.pg_subscription s \
         join pg_catalog.pg_database d on d.oid = s.subdbid \
         where d.datname = pg_catalog.current_database() order by s.subname",
        options.join(", ")
    )
}

#[derive(Debug)]
struct Subscription {
    name: String,
    owner: String,
    connection: Connection,
    publications: Vec<String>,
    slot: Option<String>,
    /// `name = value`, as WITH takes them.
    options: Vec<String>,
}

impl Subscription {
    /// Unconnected, so that it can be created in a transaction.
    fn entry(&self) -> Entry {
        let name = quote_ident(&self.name);
        let publications: Vec<String> = self.publications.iter().map(|p| quote_ident(p)).collect();
        let slot = match &self.slot {
            Some(slot) => quote_literal(slot),
            None => "NONE".to_owned(),
        };
        let mut options = vec!["connect = false".to_owned(), format!("slot_name = {slot}")];
        options.extend(self.options.iter().cloned());
        Entry {
            owner: Some(self.owner.clone()),
            create: format!(
                "CREATE SUBSCRIPTION {name} CONNECTION {} PUBLICATION {} WITH ({});\n",
                quote_literal(&self.connection.text),
                publications.join(", "),
                options.join(", ")
            ),
            drop: format!("DROP SUBSCRIPTION {name};\n"),
            ..Entry::new(Kind::Subscription, None, self.name.as_str())
        }
    }

    fn comment(&self, comment: &str) -> Entry {
        Entry {
            owner: Some(self.owner.clone()),
            create: format!(
                "COMMENT ON SUBSCRIPTION {} IS {};\n",
                quote_ident(&self.name),
                quote_literal(comment)
            ),
            ..Entry::new(Kind::Comment, None, format!("SUBSCRIPTION {}", self.name))
        }
    }

    fn report(&self, out: &mut Builder) {
        let name = quote_ident(&self.name);
        let slot = match &self.slot {
            Some(slot) => format!(
                "disable it on the source before the job, so that slot {slot} keeps what comes \
                 after; once the job is done, take the slot from it there (ALTER SUBSCRIPTION \
                 {name} SET (slot_name = NONE)), and on the target"
            ),
            None => "it has no slot; on the target, once it is given one".to_owned(),
        };
        out.left_out(
            format!("state of subscription {}", self.name),
            format!(
                "it is created disabled, and subscribed to no table yet: {slot}, run ALTER \
                 SUBSCRIPTION {name} ENABLE; ALTER SUBSCRIPTION {name} REFRESH PUBLICATION WITH \
                 (copy_data = false);"
            ),
        );
        if !self.connection.left_out.is_empty() {
            out.left_out(
                format!("connection of subscription {}", self.name),
                format!(
                    "{}, as the ledger holds no secrets: on the target, ALTER SUBSCRIPTION {name} \
                     CONNECTION '…' with it, before it is enabled",
                    self.connection.left_out.join(", ")
                ),
            );
        }
    }
}

/// A connection string that may be written down.
#[derive(Debug, PartialEq, Eq)]
struct Connection {
    text: String,
    /// What it lacks, by name.
    left_out: Vec<String>,
}

impl Connection {
    fn without_secrets(text: &str) -> Connection {
        let Ok(settings) = Conninfo::settings(text) else {
            let left_out = vec!["all of it, as it isn't understood".to_owned()];
            return Connection { text: String::new(), left_out };
        };
        let (secret, harmless): (Vec<_>, Vec<_>) =
            settings.into_iter().partition(|(name, _)| SECRETS.contains(&name.as_str()));
        if secret.is_empty() {
            return Connection { text: text.to_owned(), left_out: Vec::new() };
        }
        let pair = |(name, value): &(String, String)| {
            format!("{name}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
        };
        Connection {
            text: harmless.iter().map(pair).collect::<Vec<_>>().join(" "),
            left_out: secret.into_iter().map(|(name, _)| name).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_created_unconnected_and_in_a_transaction() {
        let mut subscription = Subscription {
            name: "S".to_owned(),
            owner: "o".to_owned(),
            connection: Connection::without_secrets("host=h dbname=d"),
            publications: vec!["a".to_owned(), "B".to_owned()],
            slot: Some("s'1".to_owned()),
            options: vec!["binary = true".to_owned()],
        };
        assert_eq!(
            subscription.entry().create,
            "CREATE SUBSCRIPTION \"S\" CONNECTION 'host=h dbname=d' PUBLICATION \"a\", \"B\" \
             WITH (connect = false, slot_name = 's''1', binary = true);\n"
        );
        subscription.slot = None;
        assert!(subscription.entry().create.contains("slot_name = NONE"));
    }

    #[test]
    fn a_connection_loses_its_secrets_whichever_way_it_is_written() {
        for text in [
            "host='a b' password = 'hun\\'ter2' user=\\\\u",
            "postgresql://%5Cu:hun%27ter2@a%20b",
            "postgres://%5Cu@a%20b?pass%77ord=hun%27ter2",
        ] {
            let connection = Connection::without_secrets(text);
            assert_eq!(connection.left_out, ["password"], "{text}");
            let settings = Conninfo::settings(&connection.text).unwrap();
            let mut settings: Vec<_> = settings.iter().map(|(n, v)| (&**n, &**v)).collect();
            settings.sort_unstable();
            assert_eq!(settings, [("host", "a b"), ("user", "\\u")], "{text}");
        }
    }

    #[test]
    fn a_connection_without_secrets_is_left_as_it_is_and_a_riddle_is_not_kept() {
        let text = "postgresql://u@h/d?sslmode=require";
        assert_eq!(Connection::without_secrets(text).text, text);
        let riddle = Connection::without_secrets("host=h pass word=x");
        assert_eq!((riddle.text.as_str(), riddle.left_out.len()), ("", 1));
    }
}
