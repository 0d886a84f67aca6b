//! User mappings (documentation: SQL command CREATE USER MAPPING). Their options hold passwords, and
//! an entry's SQL is kept in the ledger: only options that are known to be harmless are written,
//! the others are named so that they can be set by hand.

use crate::error::Result;
use crate::pg::{class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::generic_options;

/// Options that name or tune, and never hold a secret. A wrapper may call its secrets whatever it
/// likes, so nothing else is taken to be harmless.
const HARMLESS: [&str; 9] = [
    "gssdelegation",
    "krbsrvname",
    "password_required",
    "remote_user",
    "sslcert",
    "sslkey",
    "use_scram_passthrough",
    "user",
    "username",
];

/// Adds an entry for each user mapping. Its options are shown to superusers, to the role itself
/// while it may use the server, and those of PUBLIC to the server's owner (source:
/// system_views.sql, pg_user_mappings).
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<()> {
    let sql = "select m.umid, m.srvid, m.umuser, m.srvname::text, \
               case when m.umuser <> 0 then m.usename::text end as role, \
               coalesce(m.umoptions, '{}') as options, \
               (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) \
               or case when m.umuser = 0 then pg_catalog.pg_has_role(s.srvowner, 'USAGE') \
               else m.usename = current_user and (pg_catalog.pg_has_role(s.srvowner, 'USAGE') \
               or pg_catalog.has_server_privilege(s.oid, 'USAGE')) end as shown \
               from pg_catalog.pg_user_mappings m \
               join pg_catalog.pg_foreign_server s on s.oid = m.srvid \
               order by m.srvname, m.usename";
    for row in session.query("reading user mappings", sql, &[]).await? {
        let mapping = Mapping {
            role: row.get("role"),
            server: row.get("srvname"),
            options: row.get("options"),
            shown: row.get("shown"),
        };
        if !mapping.shown {
            out.left_out(
                mapping.title(),
                "its options are shown to superusers only: it is created without any; set them on \
                 the target with ALTER USER MAPPING, or read the source as a superuser",
            );
        }
        if let Some(why) = mapping.without_secrets() {
            out.left_out(mapping.title(), why);
        }
        let object = ObjectId::new(class::PG_USER_MAPPING, row.get("umid"));
        let id = out.add(object, mapping.entry());
        out.needs(id, ObjectId::new(class::PG_FOREIGN_SERVER, row.get("srvid")));
        out.needs(id, ObjectId::new(class::PG_AUTHID, row.get("umuser")));
    }
    Ok(())
}

#[derive(Debug)]
struct Mapping {
    /// None stands for PUBLIC.
    role: Option<String>,
    server: String,
    options: Vec<String>,
    /// There may be others.
    shown: bool,
}

impl Mapping {
    fn entry(&self) -> Entry {
        let harmless: Vec<String> =
            self.options.iter().filter(|option| is_harmless(option)).cloned().collect();
        Entry {
            create: format!(
                "CREATE USER MAPPING {}{};\n{}",
                self.sql(),
                generic_options::clause(&harmless),
                if self.shown { "" } else { Entry::UNSHOWN }
            ),
            drop: format!("DROP USER MAPPING {};\n", self.sql()),
            ..Entry::new(
                Kind::UserMapping,
                None,
                format!("USER MAPPING {} SERVER {}", self.user(), self.server),
            )
        }
    }

    /// What to do about the options that may be secrets, where there are any: by name only.
    fn without_secrets(&self) -> Option<String> {
        let names: Vec<&str> = self
            .options
            .iter()
            .filter(|option| !is_harmless(option))
            .map(|option| generic_options::split(option).0)
            .collect();
        let added: Vec<String> =
            names.iter().map(|name| format!("ADD {} '…'", quote_ident(name))).collect();
        (!names.is_empty()).then(|| {
            format!(
                "{}, as the ledger holds no secrets: on the target, ALTER USER MAPPING {} \
                 OPTIONS ({});",
                names.join(", "),
                self.sql(),
                added.join(", ")
            )
        })
    }

    fn sql(&self) -> String {
        let role = match &self.role {
            Some(role) => quote_ident(role),
            None => "PUBLIC".to_owned(),
        };
        format!("FOR {role} SERVER {}", quote_ident(&self.server))
    }

    fn user(&self) -> &str {
        self.role.as_deref().unwrap_or("public")
    }

    fn title(&self) -> String {
        format!("options of the user mapping for {} on server {}", self.user(), self.server)
    }
}

fn is_harmless(option: &str) -> bool {
    HARMLESS.contains(&generic_options::split(option).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_options_are_written_and_the_others_are_named_without_their_values() {
        let mapping = Mapping {
            role: Some("app".to_owned()),
            server: "S".to_owned(),
            options: vec!["user=bob".to_owned(), "password=hunter2".into(), "Token=t0p".into()],
            shown: true,
        };
        assert_eq!(
            mapping.entry().create,
            "CREATE USER MAPPING FOR \"app\" SERVER \"S\" OPTIONS (\"user\" 'bob');\n"
        );
        let why = mapping.without_secrets().unwrap();
        assert!(why.contains("OPTIONS (ADD \"password\" '…', ADD \"Token\" '…');"), "{why}");
        assert!(!why.contains("hunter2") && !why.contains("t0p"), "{why}");
    }

    #[test]
    fn a_mapping_for_everybody_names_no_role() {
        let mapping =
            Mapping { role: None, server: "s".to_owned(), options: Vec::new(), shown: true };
        let entry = mapping.entry();
        assert_eq!(entry.create, "CREATE USER MAPPING FOR PUBLIC SERVER \"s\";\n");
        assert_eq!(entry.name, "USER MAPPING public SERVER s");
        assert_eq!((entry.owner_sql("x"), mapping.without_secrets()), (None, None));
        assert!(entry.is_shown());
        assert!(!Mapping { shown: false, ..mapping }.entry().is_shown());
    }
}
