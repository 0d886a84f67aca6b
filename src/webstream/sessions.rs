//! Who is connected to the bundled instance, and from where.

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::wire::Session;

use super::recipe::Recipe;

/// The bundled host itself, which has a configuration in any case.
const OWN: [&str; 2] = ["127.0.0.1", "::1"];

/// Sessions of a role from one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connected {
    /// The database.
    pub database: String,
    /// The role.
    pub role: String,
    /// The client's address; none for a socket.
    pub address: Option<String>,
    /// What they call themselves.
    pub application: String,
    /// How many.
    pub sessions: i64,
}

impl Connected {
    /// Who it is, for people.
    pub(super) fn described(&self) -> String {
        let Connected { database, role, address, application, sessions } = self;
        let count =
            if *sessions == 1 { "1 session".to_owned() } else { format!("{sessions} sessions") };
        let from = match address {
            Some(address) => format!("from {address}"),
            None => "through the local socket".to_owned(),
        };
        let called = match application.is_empty() {
            true => String::new(),
            false => format!(", called {application}"),
        };
        format!("{role} in {database}, {from}: {count}{called}")
    }
}

/// Others' sessions in the recipe's databases, or of their roles. Where they come from is remembered.
pub(super) async fn connected(recipe: &mut Recipe, source: &Session) -> Result<Vec<Connected>> {
    let all = sessions(recipe, source).await?;
    for Connected { address, role, .. } in &all {
        let Some(address) = address.as_ref().filter(|address| !OWN.contains(&address.as_str()))
        else {
            continue;
        };
        recipe.record.clients.entry(address.clone()).or_default().insert(role.clone());
    }
    Ok(all)
}

/// The services' own sessions on a server: a master user may look around there meanwhile.
pub(super) async fn services_of(recipe: &Recipe, server: &Session) -> Result<Vec<Connected>> {
    let roles = recipe.roles()?;
    let all = sessions(recipe, server).await?;
    Ok(all.into_iter().filter(|connected| roles.contains(&connected.role)).collect())
}

/// Who isn't told what the others are takes all for clients.
async fn sessions(recipe: &Recipe, source: &Session) -> Result<Vec<Connected>> {
    let named = recipe.databases()?;
    let databases: Vec<&str> = named.iter().map(|named| named.database.as_str()).collect();
    let roles: Vec<&str> = named.iter().map(|named| named.username.as_str()).collect();
    let sql = "SELECT datname::text, usename::text, pg_catalog.host(client_addr), \
                      application_name, pg_catalog.count(*) \
               FROM pg_catalog.pg_stat_activity \
               WHERE usename IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend' \
                 AND pid <> pg_catalog.pg_backend_pid() \
                 AND application_name NOT LIKE 'pgconvoy%' \
                 AND (datname::text = ANY ($1) OR usename::text = ANY ($2)) \
               GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";
    let rows = source.query("asking who is connected", sql, &[&databases, &roles]).await?;
    Ok(rows
        .iter()
        .map(|row| Connected {
            database: row.get::<_, Option<String>>(0).unwrap_or_default(),
            role: row.get::<_, Option<String>>(1).unwrap_or_default(),
            address: row.get(2),
            application: row.get(3),
            sessions: row.get(4),
        })
        .collect())
}

/// A host that connected and whose configuration nobody has named would go on with the old address.
pub(super) fn refuse_unknown_clients(recipe: &Recipe) -> Result<()> {
    let record = &recipe.record;
    let unknown =
        record.clients.iter().filter(|(address, _)| !record.known_clients.contains(*address));
    let lines: Vec<String> = unknown
        .map(|(address, roles)| {
            let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
            format!("{address} ({})", roles.join(", "))
        })
        .collect();
    match lines.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::Refused, "leading the services to the target")
            .because(format!(
                "services were connected from hosts that aren't accounted for: {}",
                lines.join("; ")
            ))
            .hint(
                "give those hosts' files with --config, together with the others, and each address \
                 with --client ADDRESS to say that its file is among them; nothing was written",
            )),
    }
}
