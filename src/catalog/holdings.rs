//! What a target has before a job: languages, foreign data wrappers, roles and their memberships,
//! the schema `public`.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::pg::quote_ident;
use crate::toc::{MembershipOptions, OwnGrant, PublicSchema, StandingSchema, TargetHoldings};
use crate::wire::Session;

use super::scope::Scope;
use super::{default_acls, roles};

/// Reads what the target holds.
pub(super) async fn read(session: &Session) -> Result<TargetHoldings> {
    let sql = "SELECT rolreplication, rolbypassrls FROM pg_catalog.pg_roles \
               WHERE rolname = CURRENT_USER";
    let (
        me,
        languages,
        wrappers,
        role_definitions,
        memberships,
        own_grants,
        members_of_user,
        public_schema,
        schemas,
        database_creators,
        lacks_lz4,
        default_privileges,
    ) = tokio::try_join!(
        session.query_one("reading the target user's attributes", sql, &[]),
        languages(session),
        wrappers(session),
        roles::definitions(session),
        memberships(session),
        own_grants(session),
        members_of_user(session),
        public_schema(session),
        schemas(session),
        database_creators(session),
        lacks_lz4(session),
        default_acls::of_this_user(session),
    )?;
    Ok(TargetHoldings {
        replication: me.get(0),
        bypass_rls: me.get(1),
        languages,
        wrappers,
        role_definitions,
        memberships,
        own_grants,
        members_of_user,
        public_schema,
        schemas,
        database_creators,
        lacks_lz4,
        default_privileges,
    })
}

async fn languages(session: &Session) -> Result<BTreeMap<String, bool>> {
    let sql = "SELECT l.lanname::text, l.lanpltrusted \
               AND pg_catalog.has_language_privilege(l.oid, 'USAGE') FROM pg_catalog.pg_language l";
    let rows = session.query("reading the target's languages", sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn wrappers(session: &Session) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let sql = "SELECT w.fdwname::text, ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles r \
               WHERE pg_catalog.has_foreign_data_wrapper_privilege(r.oid, w.oid, 'USAGE')) \
               FROM pg_catalog.pg_foreign_data_wrapper w";
    let rows = session.query("reading the target's foreign data wrappers", sql, &[]).await?;
    let roles = |row: &tokio_postgres::Row| row.get::<_, Vec<String>>(1).into_iter().collect();
    Ok(rows.iter().map(|row| (row.get(0), roles(row))).collect())
}

/// One membership may have been granted by several roles since 16: the member has what any gives.
async fn memberships(session: &Session) -> Result<BTreeMap<(String, String), MembershipOptions>> {
    let options = match session.version().major() {
        16.. => "pg_catalog.bool_or(m.inherit_option), pg_catalog.bool_or(m.set_option)",
        _ => "NULL::boolean, NULL::boolean",
    };
    let sql = format!(
        "SELECT r.rolname::text, u.rolname::text, pg_catalog.bool_or(m.admin_option), {options} \
         FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.roleid \
         JOIN pg_catalog.pg_roles u ON u.oid = m.member GROUP BY 1, 2"
    );
    let rows = session.query("reading the target's memberships", &sql, &[]).await?;
    let options = |row: &tokio_postgres::Row| MembershipOptions {
        admin: row.get(2),
        inherit: row.get(3),
        set: row.get(4),
    };
    Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), options(row))).collect())
}

/// A role may have several grantors, of which the target user itself comes first.
async fn own_grants(session: &Session) -> Result<BTreeMap<String, OwnGrant>> {
    if session.version().major() < 16 {
        return Ok(BTreeMap::new());
    }
    let sql = "SELECT DISTINCT ON (m.roleid) r.rolname::text, g.rolname::text, m.inherit_option, \
               m.set_option FROM pg_catalog.pg_auth_members m \
               JOIN pg_catalog.pg_roles r ON r.oid = m.roleid \
               JOIN pg_catalog.pg_roles u ON u.oid = m.member AND u.rolname = CURRENT_USER \
               JOIN pg_catalog.pg_roles g ON g.oid = m.grantor \
               WHERE pg_catalog.pg_has_role(g.oid, 'USAGE') \
               ORDER BY m.roleid, g.oid <> u.oid, g.oid";
    let rows = session.query("reading the target user's own memberships", sql, &[]).await?;
    let grant = |row: &tokio_postgres::Row| OwnGrant {
        grantor: row.get(1),
        inherit: row.get(2),
        set: row.get(3),
    };
    Ok(rows.iter().map(|row| (row.get(0), grant(row))).collect())
}

async fn members_of_user(session: &Session) -> Result<BTreeSet<String>> {
    let sql = "WITH RECURSIVE below(role) AS (SELECT r.oid FROM pg_catalog.pg_roles r \
               WHERE r.rolname = CURRENT_USER UNION SELECT m.member FROM below \
               JOIN pg_catalog.pg_auth_members m ON m.roleid = below.role) \
               SELECT r.rolname::text FROM below JOIN pg_catalog.pg_roles r ON r.oid = below.role \
               WHERE r.rolname <> CURRENT_USER";
    let rows = session.query("reading the target user's members", sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Whatever lies in a schema depends on it (documentation: "pg_depend").
async fn public_schema(session: &Session) -> Result<Option<PublicSchema>> {
    let sql = "SELECT pg_catalog.pg_get_userbyid(n.nspowner)::text, \
               NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
               WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass \
               AND d.refobjid = n.oid) FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public'";
    let rows = session.query("reading the target's schema public", sql, &[]).await?;
    Ok(rows.first().map(|row| PublicSchema { owner: row.get(0), is_empty: row.get(1) }))
}

/// Only what the owner granted is taken back by name: what others passed on goes with it.
async fn schemas(session: &Session) -> Result<BTreeMap<String, StandingSchema>> {
    let sql = format!(
        "SELECT n.nspname::text, o.rolname::text, ARRAY(SELECT DISTINCT coalesce(g.rolname::text, '') \
         FROM pg_catalog.aclexplode(n.nspacl) a LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantee \
         WHERE a.grantor = n.nspowner AND a.grantee <> n.nspowner ORDER BY 1), \
         pg_catalog.obj_description(n.oid, 'pg_namespace') IS NOT NULL \
         FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles o ON o.oid = n.nspowner \
         WHERE n.nspname <> 'public' AND {}",
        Scope::default().schemas("n.nspname")
    );
    let rows = session.query("reading the target's schemas", &sql, &[]).await?;
    let schema = |row: &tokio_postgres::Row| {
        let name = quote_ident(row.get(0));
        let revoked = row.get::<_, Vec<String>>(2).into_iter().map(|role| {
            let role = if role.is_empty() { "PUBLIC".to_owned() } else { quote_ident(&role) };
            format!("REVOKE ALL ON SCHEMA {name} FROM {role} CASCADE;\n")
        });
        let uncommented =
            row.get::<_, bool>(3).then(|| format!("COMMENT ON SCHEMA {name} IS NULL;\n"));
        StandingSchema { owner: row.get(1), as_new: revoked.chain(uncommented).collect() }
    };
    Ok(rows.iter().map(|row| (row.get(0), schema(row))).collect())
}

async fn database_creators(session: &Session) -> Result<BTreeSet<String>> {
    let sql = "SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE \
               pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CREATE')";
    let rows = session.query("asking who may create in the target database", sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Before 14 no column has a compression method of its own to be brought.
async fn lacks_lz4(session: &Session) -> Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_settings \
               WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals))";
    Ok(session.query_one("asking for the target's ways to compress", sql, &[]).await?.get(0))
}
