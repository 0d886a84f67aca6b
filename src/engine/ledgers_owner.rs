//! Whose a ledger is. Its steps are run, its tables written and its triggers fired as whoever goes on
//! with the job: what another role could have written there would be run with our rights.

use crate::error::{Error, Kind, Result};

use super::ledger::{Ledger, READING, field};

impl Ledger<'_> {
    /// Refuses a ledger in which anything belongs to another role than this one. A superuser's needs
    /// no rights of ours, so what belongs to one is let through.
    pub(super) async fn refuse_others(&self) -> Result<()> {
        let sql = "SELECT DISTINCT pg_catalog.pg_get_userbyid(o.owner)::text \
             FROM pg_catalog.pg_namespace n, LATERAL (SELECT n.nspowner \
               UNION ALL SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid \
               UNION ALL SELECT p.proowner FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid) \
               o (owner) \
             WHERE n.nspname = 'pgconvoy' AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r \
               WHERE r.oid = o.owner AND (r.rolsuper OR r.rolname = CURRENT_USER)) ORDER BY 1";
        let rows = self.target.query(READING, sql, &[]).await?;
        let owners = rows.iter().map(|row| field(row, 0)).collect::<Result<Vec<&str>>>()?;
        if owners.is_empty() {
            return Ok(());
        }
        let owners = owners.join(", ");
        Err(Error::new(Kind::Refused, READING)
            .because(format!(
                "it belongs to {owners}, who could have this user run whatever they wrote there"
            ))
            .hint(format!(
                "connect as {owners}, if that is who ran the migration; if nobody of yours did, \
                 look at what schema pgconvoy holds, and DROP SCHEMA pgconvoy CASCADE;"
            )))
    }
}
