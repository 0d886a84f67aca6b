//! The database itself: its properties, and the settings that hold in it.

use crate::error::Result;
use crate::pg::{class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::settings::assignment;

/// What CREATE DATABASE is told, and what a target's database must resemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// Its OID.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: String,
    /// The encoding, by its name: `UTF8`.
    pub encoding: String,
    /// Who provides its locale: `c` for libc, `i` for ICU, `b` for PostgreSQL itself.
    pub locale_provider: String,
    /// LC_COLLATE.
    pub collate: String,
    /// LC_CTYPE.
    pub ctype: String,
    /// The provider's locale, where it isn't libc.
    pub locale: Option<String>,
    /// ICU's additional rules.
    pub icu_rules: Option<String>,
    /// How many may connect; -1 is any number.
    pub connection_limit: i32,
    /// Whether anybody with CREATEDB may copy it.
    pub is_template: bool,
    /// The default tablespace.
    pub tablespace: String,
}

/// Where a database lies that says nothing of it.
pub(crate) const DEFAULT_TABLESPACE: &str = "pg_default";

/// Reads the facts of the database that the session is connected to.
pub async fn database_facts(session: &Session) -> Result<DatabaseFacts> {
    facts(session, None).await
}

/// Reads the facts of another database of the same server.
pub async fn database_facts_of(session: &Session, database: &str) -> Result<DatabaseFacts> {
    facts(session, Some(database)).await
}

async fn facts(session: &Session, database: Option<&str>) -> Result<DatabaseFacts> {
    let sql = facts_query(session.version().major());
    let row = session.query_one("reading the database's properties", &sql, &[&database]).await?;
    Ok(DatabaseFacts {
        oid: row.get("oid"),
        name: row.get("datname"),
        owner: row.get("owner"),
        encoding: row.get("encoding"),
        locale_provider: row.get("provider"),
        collate: row.get("datcollate"),
        ctype: row.get("datctype"),
        locale: row.get("locale"),
        icu_rules: row.get("rules"),
        connection_limit: row.get("datconnlimit"),
        is_template: row.get("datistemplate"),
        tablespace: row.get("spcname"),
    })
}

/// Providers other than libc came with 15, rules with 16; 17 renamed the locale.
fn facts_query(major: u32) -> String {
    let provider = if major >= 15 { "d.datlocprovider::text" } else { "'c'::text" };
    let locale = match major {
        17.. => "d.datlocale",
        15 | 16 => "d.daticulocale",
        _ => "null::text",
    };
    let rules = if major >= 16 { "d.daticurules" } else { "null::text" };
    format!(
        "select d.oid, d.datname::text, pg_catalog.pg_get_userbyid(d.datdba)::text as owner, \
         pg_catalog.pg_encoding_to_char(d.encoding)::text as encoding, {provider} as provider, \
         d.datcollate::text, d.datctype::text, {locale} as locale, {rules} as rules, \
         d.datconnlimit, d.datistemplate, s.spcname::text \
         from pg_catalog.pg_database d \
         join pg_catalog.pg_tablespace s on s.oid = d.dattablespace \
         where d.datname = coalesce($1::pg_catalog.text, pg_catalog.current_database())"
    )
}

/// Adds one entry with the database's owner and all that is set on it.
pub(super) async fn read(
    session: &Session,
    facts: &DatabaseFacts,
    out: &mut Builder,
) -> Result<()> {
    // A setting for all roles in all databases (neither a role nor a database named) belongs to
    // the cluster. For this database it means the same as one of its own, where it has none of
    // that name: roles' settings outrank both.
    let sql = "select r.rolname::text, setting.text \
         from pg_catalog.pg_db_role_setting s \
         left join pg_catalog.pg_roles r on r.oid = s.setrole \
         cross join lateral pg_catalog.unnest(s.setconfig) with ordinality setting(text, place) \
         where s.setdatabase = $1 or s.setdatabase = 0 and s.setrole = 0 and not exists \
         (select from pg_catalog.pg_db_role_setting own, pg_catalog.unnest(own.setconfig) o(text) \
         where own.setdatabase = $1 and own.setrole = 0 \
         and pg_catalog.split_part(o.text, '=', 1) = pg_catalog.split_part(setting.text, '=', 1)) \
         order by r.rolname nulls first, s.setdatabase desc, setting.place";
    let settings: Vec<Setting> = session
        .query("reading the database's settings", sql, &[&facts.oid])
        .await?
        .into_iter()
        .map(|row| Setting { role: row.get("rolname"), text: row.get("text") })
        .collect();
    out.add(ObjectId::new(class::PG_DATABASE, facts.oid), entry(facts, &settings));
    if facts.tablespace != DEFAULT_TABLESPACE {
        out.left_out(
            format!("tablespace of database {}", facts.name),
            format!(
                "its default is {}; it moves to the target's default tablespace",
                facts.tablespace
            ),
        );
    }
    Ok(())
}

/// A setting `name=value`, for all roles or for one, in the database.
#[derive(Debug)]
struct Setting {
    role: Option<String>,
    text: String,
}

fn entry(facts: &DatabaseFacts, settings: &[Setting]) -> Entry {
    let database = quote_ident(&facts.name);
    let mut create = String::new();
    if facts.connection_limit != -1 {
        create.push_str(&format!(
            "ALTER DATABASE {database} CONNECTION LIMIT {};\n",
            facts.connection_limit
        ));
    }
    if facts.is_template {
        create.push_str(&format!("ALTER DATABASE {database} IS_TEMPLATE true;\n"));
    }
    for setting in settings {
        let assignment = assignment(&setting.text);
        create.push_str(&match &setting.role {
            Some(role) => format!(
                "ALTER ROLE {} IN DATABASE {database} SET {assignment};\n",
                quote_ident(role)
            ),
            None => format!("ALTER DATABASE {database} SET {assignment};\n"),
        });
    }
    Entry {
        owner: Some(facts.owner.clone()),
        create,
        drop: format!("DROP DATABASE {database};"),
        ..Entry::new(Kind::DatabaseProperties, None, facts.name.as_str())
    }
}

#[cfg(test)]
impl DatabaseFacts {
    /// A database like any other, for tests.
    pub(crate) fn example() -> DatabaseFacts {
        DatabaseFacts {
            oid: 5,
            name: "My db".to_owned(),
            owner: "o".to_owned(),
            encoding: "UTF8".to_owned(),
            locale_provider: "c".to_owned(),
            collate: "C".to_owned(),
            ctype: "C".to_owned(),
            locale: None,
            icu_rules: None,
            connection_limit: -1,
            is_template: false,
            tablespace: "pg_default".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_like_any_other_has_an_owner_and_nothing_else() {
        let entry = entry(&DatabaseFacts::example(), &[]);
        assert_eq!(entry.create, "");
        assert_eq!(entry.owner_sql("x").unwrap(), "ALTER DATABASE \"My db\" OWNER TO \"x\";\n");
    }

    #[test]
    fn limits_and_settings_are_told_for_all_roles_and_for_one() {
        let facts =
            DatabaseFacts { connection_limit: 7, is_template: true, ..DatabaseFacts::example() };
        let settings = [
            Setting { role: None, text: "TimeZone=UTC".to_owned() },
            Setting { role: Some("app".to_owned()), text: "search_path=a, b".to_owned() },
        ];
        assert_eq!(
            entry(&facts, &settings).create,
            "ALTER DATABASE \"My db\" CONNECTION LIMIT 7;\n\
             ALTER DATABASE \"My db\" IS_TEMPLATE true;\n\
             ALTER DATABASE \"My db\" SET \"TimeZone\" TO 'UTC';\n\
             ALTER ROLE \"app\" IN DATABASE \"My db\" SET \"search_path\" TO 'a', 'b';\n"
        );
    }
}
