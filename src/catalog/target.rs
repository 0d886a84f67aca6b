//! What a target allows and has, read from its catalog.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::toc::{TargetExtension, TargetFacts, TargetRole};
use crate::wire::Session;

use super::holdings;

/// Reads what adapting a table of contents to this target works from: in one round trip.
pub async fn target_facts(session: &Session) -> Result<TargetFacts> {
    let doing = "reading what the target user may do";
    let me = "SELECT rolname::text, rolsuper, rolcreaterole, rolcreatedb, \
              pg_catalog.current_database()::text FROM pg_catalog.pg_roles \
              WHERE rolname = CURRENT_USER";
    let (me, settings, database_owner, roles, extensions, holds) = tokio::try_join!(
        session.query_one(doing, me, &[]),
        settings(session),
        database_owner(session),
        roles(session),
        extensions(session),
        holdings::read(session),
    )?;
    let (superuser_settings, known_settings) = settings;
    Ok(TargetFacts {
        version: session.version(),
        user: me.get(0),
        superuser: me.get(1),
        create_role: me.get(2),
        create_database: me.get(3),
        database: me.get(4),
        database_owner,
        roles,
        extensions,
        superuser_settings,
        known_settings,
        holds,
    })
}

async fn database_owner(session: &Session) -> Result<String> {
    let sql = "SELECT pg_catalog.pg_get_userbyid(datdba)::text FROM pg_catalog.pg_database \
               WHERE datname = pg_catalog.current_database()";
    Ok(session.query_one("reading the target database's owner", sql, &[]).await?.get(0))
}

/// Before 16 a member inherits unless it is NOINHERIT itself, and may always SET ROLE; from 16 on
/// each membership says (source: acl.c, roles_is_member_of).
async fn roles(session: &Session) -> Result<BTreeMap<String, TargetRole>> {
    let (can_set, can_grant) = match session.version().major() {
        16.. => (
            "pg_catalog.pg_has_role(CURRENT_USER, r.oid, 'SET')",
            "pg_catalog.pg_has_role(CURRENT_USER, r.oid, 'MEMBER WITH ADMIN OPTION')",
        ),
        _ => (
            "pg_catalog.pg_has_role(CURRENT_USER, r.oid, 'MEMBER')",
            "pg_catalog.pg_has_role(CURRENT_USER, r.oid, 'MEMBER WITH ADMIN OPTION')",
        ),
    };
    let sql = format!(
        "SELECT r.rolname::text, r.rolsuper, {can_set}, \
         pg_catalog.pg_has_role(CURRENT_USER, r.oid, 'USAGE'), {can_grant} \
         FROM pg_catalog.pg_roles r"
    );
    let rows = session.query("reading the target's roles", &sql, &[]).await?;
    let role = |row: &tokio_postgres::Row| TargetRole {
        superuser: row.get(1),
        can_set: row.get(2),
        inherits: row.get(3),
        can_grant: row.get(4),
    };
    Ok(rows.iter().map(|row| (row.get(0), role(row))).collect())
}

async fn extensions(session: &Session) -> Result<BTreeMap<String, TargetExtension>> {
    let trusted = match session.version().major() {
        13.. => "v.trusted",
        _ => "NOT v.superuser",
    };
    let sql = format!(
        "SELECT e.name::text, e.default_version, e.installed_version, \
         coalesce(v.trusted, false) AS trusted, \
         coalesce(pg_catalog.pg_has_role(CURRENT_USER, x.extowner, 'USAGE'), true) AS ours, \
         coalesce(NOT v.superuser, false) AS plain, \
         coalesce(pg_catalog.obj_description(x.oid, 'pg_extension'), e.comment) AS comment, \
         e.comment AS own_comment \
         FROM pg_catalog.pg_available_extensions e \
         LEFT JOIN pg_catalog.pg_extension x ON x.extname = e.name \
         CROSS JOIN LATERAL (SELECT pg_catalog.bool_or({trusted} OR NOT v.superuser) AS trusted, \
         pg_catalog.bool_or(v.superuser) AS superuser \
         FROM pg_catalog.pg_available_extension_versions v \
         WHERE v.name = e.name AND v.version = e.default_version) v"
    );
    let rows = session.query("reading the target's extensions", &sql, &[]).await?;
    let extension = |row: &tokio_postgres::Row| TargetExtension {
        default_version: row.get::<_, Option<String>>(1).unwrap_or_default(),
        installed: row.get(2),
        trusted: row.get("trusted"),
        is_ours: row.get("ours"),
        members_are_ours: row.get::<_, bool>("ours") && row.get::<_, bool>("plain"),
        comment: row.get("comment"),
        own_comment: row.get("own_comment"),
    };
    Ok(rows.iter().map(|row| (row.get(0), extension(row))).collect())
}

/// From 15 on a privilege on a parameter may have been granted, also on one that isn't known.
async fn settings(session: &Session) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let sql = match session.version().major() {
        15.. => {
            "SELECT pg_catalog.lower(name), context = 'superuser' \
             AND NOT pg_catalog.has_parameter_privilege(name, 'SET') FROM pg_catalog.pg_settings \
             UNION ALL SELECT parname, false FROM pg_catalog.pg_parameter_acl \
             WHERE pg_catalog.has_parameter_privilege(parname, 'SET')"
        }
        _ => "SELECT pg_catalog.lower(name), context = 'superuser' FROM pg_catalog.pg_settings",
    };
    let rows = session.query("reading the target's settings", sql, &[]).await?;
    let superusers = rows.iter().filter(|row| row.get(1)).map(|row| row.get(0)).collect();
    Ok((superusers, rows.iter().map(|row| row.get(0)).collect()))
}
