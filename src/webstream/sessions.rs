//! Who is connected to the bundled instance.

use serde::Serialize;

use crate::error::Result;
use crate::wire::Session;

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

/// Others' sessions in these databases, or of these roles.
pub(super) async fn connected(
    source: &Session,
    databases: &[String],
    roles: &[String],
) -> Result<Vec<Connected>> {
    let sql = "SELECT datname::text, usename::text, pg_catalog.host(client_addr), \
                      application_name, pg_catalog.count(*) \
               FROM pg_catalog.pg_stat_activity \
               WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid() \
                 AND application_name NOT LIKE 'pgconvoy%' \
                 AND (datname = ANY ($1) OR usename = ANY ($2)) \
               GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";
    let rows = source.query("asking who is connected", sql, &[&databases, &roles]).await?;
    Ok(rows
        .iter()
        .map(|row| Connected {
            database: row.get::<_, Option<String>>(0).unwrap_or_default(),
            role: row.get(1),
            address: row.get(2),
            application: row.get(3),
            sessions: row.get(4),
        })
        .collect())
}
