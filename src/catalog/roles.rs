//! The roles that the database's objects name, and their memberships. Roles are the cluster's: the
//! target gets those that it lacks, without passwords.

use std::collections::{BTreeMap, HashMap};

use crate::error::{Error, Result};
use crate::pg::{Oid, class, quote_ident, quote_literal};
use crate::toc::{Entry, EntryId, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::settings::assignment;

/// The superuser that initdb makes: never created elsewhere, whatever its name
/// (source: catalog/pg_authid.h, BOOTSTRAP_SUPERUSERID).
const BOOTSTRAP_SUPERUSER: u32 = 10;

/// A role of our own on a source that is fenced: those are members of it that could log in before, and
/// do so where the source moves to. It stays behind, as do these memberships. Since 16 who makes a
/// role is a member of it, too, with the ADMIN option.
pub const FENCE_ROLE: &str = "pgconvoy_fenced";

/// The roles that are fenced, as a query for their OIDs.
pub const FENCED: &str = "SELECT f.member FROM pg_catalog.pg_auth_members f \
     JOIN pg_catalog.pg_roles g ON g.oid = f.roleid AND g.rolname = 'pgconvoy_fenced' \
     WHERE NOT f.admin_option";

/// The members of the common table expression `wanted`: the roles that pg_shdepend, where owners,
/// grantees, grantors and policies' roles are kept, or a setting names; recursively, the members of
/// those, as an application often logs in as a member of who owns; and, recursively again, the
/// roles all these are members of, with who granted that: the bootstrap superuser isn't followed, as
/// it stays behind and may all without them. Predefined roles are everywhere, so none
/// is wanted, nor followed to its members.
fn wanted(major: u32) -> String {
    let upwards = if major >= 16 {
        "cross join lateral (values (m.roleid), (m.grantor)) up(role)"
    } else {
        "cross join lateral (values (m.roleid)) up(role)"
    };
    format!(
        "with recursive members as (select m.* from pg_catalog.pg_auth_members m \
         where m.roleid not in (select r.oid from pg_catalog.pg_roles r \
         where r.rolname = '{FENCE_ROLE}')), \
         here as (select d.oid, d.datdba from pg_catalog.pg_database d \
         where d.datname = pg_catalog.current_database()), \
         named(role) as (select s.refobjid from here, pg_catalog.pg_shdepend s \
         where s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
         and (s.dbid = here.oid or s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass \
         and s.objid = here.oid) \
         union select here.datdba from here \
         union select s.subowner from here join pg_catalog.pg_subscription s on s.subdbid = here.oid \
         union select s.setrole from here, pg_catalog.pg_db_role_setting s \
         where s.setdatabase = here.oid), \
         joined(role) as (select named.role from named union select m.member from joined \
         join members m on m.roleid = joined.role where joined.role >= {}), \
         closed(role) as (select joined.role from joined \
         union select up.role from closed \
         join members m on m.member = closed.role \
         and closed.role <> {BOOTSTRAP_SUPERUSER} {upwards}), \
         wanted as (select r.* from closed join pg_catalog.pg_roles r on r.oid = closed.role \
         where r.oid >= {} and r.rolname !~ '^pg_') ",
        Oid::FIRST_NORMAL,
        Oid::FIRST_NORMAL
    )
}

/// Adds an entry for each role that the database names, and for each membership of theirs; returns
/// the roles' names.
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<Vec<String>> {
    let major = session.version().major();
    let sql = format!("{} select {} from wanted w order by w.rolname", wanted(major), columns());
    let mut names = Vec::new();
    for row in session.query("reading roles", &sql, &[]).await? {
        let role = Role::of(&row);
        out.add(ObjectId::new(class::PG_AUTHID, row.get("oid")), role.entry());
        names.push(role.name);
    }
    read_memberships(session, major, out).await?;
    Ok(names)
}

/// What a role is made of, as columns of pg_roles under the alias `w`.
fn columns() -> String {
    format!(
        "w.oid, w.rolname::text, w.rolsuper, w.rolinherit, w.rolcreaterole, w.rolcreatedb, \
         w.rolcanlogin or w.oid in ({FENCED}) as rolcanlogin, w.rolreplication, w.rolbypassrls, \
         w.rolconnlimit, w.rolvaliduntil::text, coalesce(w.rolconfig, '{{}}') as rolconfig"
    )
}

/// The statements that would create each role of the server as it is, by role.
pub(super) async fn definitions(session: &Session) -> Result<BTreeMap<String, String>> {
    let sql = format!(
        "select {} from pg_catalog.pg_roles w where w.oid >= {}",
        columns(),
        Oid::FIRST_NORMAL
    );
    let rows = session.query("reading the target's roles", &sql, &[]).await?;
    let definition = |role: Role| (role.name.clone(), role.entry().create);
    Ok(rows.iter().map(|row| definition(Role::of(row))).collect())
}

async fn read_memberships(session: &Session, major: u32, out: &mut Builder) -> Result<()> {
    // A grant of a membership has a grantor that counts, and options, since 16.
    let options = if major >= 16 {
        "m.inherit_option, m.set_option, true as optional"
    } else {
        "true as inherit_option, true as set_option, false as optional"
    };
    let sql = format!(
        "{} select m.roleid, m.member, m.grantor, r.rolname::text as role, \
         w.rolname::text as member_name, g.rolname::text as grantor_name, \
         m.admin_option, {options} \
         from wanted w join members m on m.member = w.oid \
         join pg_catalog.pg_roles r on r.oid = m.roleid \
         left join pg_catalog.pg_roles g on g.oid = m.grantor \
         order by role, member_name, grantor_name nulls first",
        wanted(major)
    );
    let mut added: Vec<(EntryId, u32, u32)> = Vec::new();
    let mut administrators: HashMap<(u32, u32), EntryId> = HashMap::new();
    for row in session.query("reading memberships", &sql, &[]).await? {
        let (role, member, grantor): (u32, u32, u32) =
            (row.get("roleid"), row.get("member"), row.get("grantor"));
        let optional: bool = row.get("optional");
        let membership = Membership {
            role: row.get("role"),
            member: row.get("member_name"),
            grantor: row
                .get::<_, Option<String>>("grantor_name")
                .filter(|_| optional && grantor != BOOTSTRAP_SUPERUSER),
            admin: row.get("admin_option"),
            options: optional.then(|| (row.get("inherit_option"), row.get("set_option"))),
        };
        let mut entry = membership.entry();
        entry.depends_on = [role, member, grantor]
            .into_iter()
            .filter_map(|oid| out.creator(ObjectId::new(class::PG_AUTHID, oid)))
            .collect();
        entry.depends_on.sort();
        entry.depends_on.dedup();
        let id = out.add_part(entry);
        if membership.admin {
            administrators.entry((role, member)).or_insert(id);
        }
        added.push((id, role, grantor));
    }
    // Who grants a role must have been granted it with ADMIN OPTION before.
    for (id, role, grantor) in added {
        if let Some(&earlier) = administrators.get(&(role, grantor))
            && earlier != id
        {
            out.entries[id.0 as usize].depends_on.push(earlier);
        }
    }
    Ok(())
}

/// The SCRAM verifiers of these roles, by role, as far as they have one: only a superuser may.
pub async fn passwords(session: &Session, roles: &[String]) -> Result<Vec<(String, String)>> {
    let rows = session
        .query(
            "reading the roles' password verifiers",
            "select a.rolname::text, a.rolpassword from pg_catalog.pg_authid a \
             where a.rolname::text = any($1) and a.rolpassword like 'SCRAM-SHA-256$%' \
             order by a.rolname",
            &[&roles],
        )
        .await
        .map_err(refused)?;
    Ok(rows.into_iter().map(|row| (row.get("rolname"), row.get("rolpassword"))).collect())
}

fn refused(error: Error) -> Error {
    match error.server_error() {
        Some(server) if server.sqlstate == "42501" => error.hint(
            "pg_authid is the superuser's: connect to the source as one, \
             or leave --carry-passwords out and set the passwords on the target",
        ),
        _ => error,
    }
}

#[derive(Debug)]
struct Role {
    name: String,
    superuser: bool,
    inherit: bool,
    create_role: bool,
    create_db: bool,
    login: bool,
    replication: bool,
    bypass_rls: bool,
    connection_limit: i32,
    valid_until: Option<String>,
    settings: Vec<String>,
}

impl Role {
    fn of(row: &tokio_postgres::Row) -> Role {
        Role {
            name: row.get("rolname"),
            superuser: row.get("rolsuper"),
            inherit: row.get("rolinherit"),
            create_role: row.get("rolcreaterole"),
            create_db: row.get("rolcreatedb"),
            login: row.get("rolcanlogin"),
            replication: row.get("rolreplication"),
            bypass_rls: row.get("rolbypassrls"),
            connection_limit: row.get("rolconnlimit"),
            valid_until: row.get("rolvaliduntil"),
            settings: row.get("rolconfig"),
        }
    }

    /// What only a superuser may give stands in statements of its own, so that it can be left out
    /// where the target's user is none.
    fn entry(&self) -> Entry {
        let name = quote_ident(&self.name);
        let attribute = |has: bool, word: &str| format!(" {}{word}", if has { "" } else { "NO" });
        let mut create = format!("CREATE ROLE {name} WITH");
        create.push_str(&attribute(self.login, "LOGIN"));
        create.push_str(&attribute(self.inherit, "INHERIT"));
        create.push_str(&attribute(self.create_db, "CREATEDB"));
        create.push_str(&attribute(self.create_role, "CREATEROLE"));
        if self.connection_limit != -1 {
            create.push_str(&format!(" CONNECTION LIMIT {}", self.connection_limit));
        }
        if let Some(until) = &self.valid_until {
            create.push_str(&format!(" VALID UNTIL {}", quote_literal(until)));
        }
        create.push_str(";\n");
        for (has, word) in [
            (self.superuser, "SUPERUSER"),
            (self.replication, "REPLICATION"),
            (self.bypass_rls, "BYPASSRLS"),
        ] {
            if has {
                create.push_str(&format!("ALTER ROLE {name} WITH {word};\n"));
            }
        }
        for setting in &self.settings {
            create.push_str(&format!("ALTER ROLE {name} SET {};\n", assignment(setting)));
        }
        Entry {
            create,
            drop: format!("DROP ROLE {name};"),
            ..Entry::new(Kind::Role, None, self.name.as_str())
        }
    }
}

#[derive(Debug)]
struct Membership {
    role: String,
    member: String,
    /// Who granted it, where that is told.
    grantor: Option<String>,
    admin: bool,
    /// INHERIT and SET, where the source has such options.
    options: Option<(bool, bool)>,
}

impl Membership {
    fn entry(&self) -> Entry {
        let mut tag = format!("{} TO {}", self.role, self.member);
        let (role, member) = (quote_ident(&self.role), quote_ident(&self.member));
        let mut create = format!("GRANT {role} TO {member}");
        let mut drop = format!("REVOKE {role} FROM {member}");
        match self.options {
            Some((inherit, set)) => create
                .push_str(&format!(" WITH ADMIN {}, INHERIT {inherit}, SET {set}", self.admin)),
            None if self.admin => create.push_str(" WITH ADMIN OPTION"),
            None => {}
        }
        if let Some(grantor) = &self.grantor {
            tag.push_str(&format!(" GRANTED BY {grantor}"));
            for sql in [&mut create, &mut drop] {
                sql.push_str(&format!(" GRANTED BY {}", quote_ident(grantor)));
            }
        }
        Entry {
            create: create + ";\n",
            drop: drop + ";",
            ..Entry::new(Kind::RoleMembership, None, tag)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superusers_attributes_are_statements_of_their_own() {
        let role = Role {
            name: "App".to_owned(),
            superuser: false,
            inherit: true,
            create_role: false,
            create_db: true,
            login: true,
            replication: true,
            bypass_rls: true,
            connection_limit: 5,
            valid_until: Some("2030-01-01 00:00:00+00".to_owned()),
            settings: vec!["work_mem=64MB".to_owned()],
        };
        let entry = role.entry();
        assert_eq!(
            entry.create,
            "CREATE ROLE \"App\" WITH LOGIN INHERIT CREATEDB NOCREATEROLE CONNECTION LIMIT 5 \
             VALID UNTIL '2030-01-01 00:00:00+00';\n\
             ALTER ROLE \"App\" WITH REPLICATION;\n\
             ALTER ROLE \"App\" WITH BYPASSRLS;\n\
             ALTER ROLE \"App\" SET \"work_mem\" TO '64MB';\n"
        );
        assert_eq!(entry.owner_sql("x"), None);
    }

    #[test]
    fn a_membership_tells_its_options_where_the_source_has_them() {
        let old = Membership {
            role: "a".to_owned(),
            member: "b".to_owned(),
            grantor: None,
            admin: true,
            options: None,
        };
        assert_eq!(old.entry().create, "GRANT \"a\" TO \"b\" WITH ADMIN OPTION;\n");
        let new = Membership {
            grantor: Some("g".to_owned()),
            admin: false,
            options: Some((false, true)),
            ..old
        };
        let entry = new.entry();
        assert_eq!(
            entry.create,
            "GRANT \"a\" TO \"b\" WITH ADMIN false, INHERIT false, SET true GRANTED BY \"g\";\n"
        );
        assert_eq!(entry.drop, "REVOKE \"a\" FROM \"b\" GRANTED BY \"g\";");
        assert_eq!(entry.title(), "ROLE MEMBERSHIP a TO b GRANTED BY g");
    }
}
