//! `pgconvoy webstream provision`: the roles that own the databases, with passwords that the services
//! will find, and the databases themselves, empty.
//!
//! Whatever stands in the way is said before anything is changed. A password is kept where
//! `--secrets` says before it is set, and is set as a verifier, so that no log of the server holds it.

mod locale;
mod owner;
mod target;

use serde::Serialize;

use crate::commands::Stop;
use crate::error::{Error, Kind, Result};
use crate::pg::quote_ident;
use crate::wire::{Conninfo, Session};

use super::clock;
use super::configuration::Named;
use super::recipe::Recipe;
use super::record;
use super::secrets::{Variables, generated, variable_of};
use super::sessions::connected;
use locale::Locale;
use owner::{become_member, make_owner};
use target::{is_role, refuse_older, standing};

/// A database on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provisioned {
    /// The database.
    pub database: String,
    /// Whether it was made now.
    pub was_made: bool,
    /// Who owns it.
    pub owner: String,
    /// Whether that role was made now.
    pub owner_was_made: bool,
    /// The variable that holds its password.
    pub variable: String,
}

/// What is to be made for one database.
struct Wanted {
    named: Named,
    locale: Locale,
    /// None where it is to be generated.
    password: Option<String>,
    has_role: bool,
    has_database: bool,
}

/// Makes what isn't there yet. `locales` and `encodings` say which of the target's stand for those of
/// the source that it hasn't got: they are remembered.
pub async fn provision(
    recipe: &mut Recipe,
    locales: Vec<(String, String)>,
    encodings: Vec<(String, String)>,
    stop: &mut Stop,
) -> Result<Vec<Provisioned>> {
    let place = recipe.secrets().cloned().ok_or_else(|| {
        Error::usage("provisioning the target")
            .because("there is nowhere to keep the roles' passwords")
            .hint("give --secrets file:PATH: a file that only you can read is made there")
    })?;
    recipe.record.locales.extend(locales);
    recipe.record.encodings.extend(encodings);
    let mut secrets = stop.or(place.open()).await?;
    let known = stop.or(recipe.variables()).await?;
    let source = stop.or(Session::connect(&recipe.source()?.with_database("postgres"))).await?;
    let target = stop.or(Session::connect(&recipe.target()?.with_database("postgres"))).await?;
    refuse_older(&source, &target)?;
    stop.or(connected(recipe, &source)).await?;
    let wanted = stop.or(wanted(recipe, &known, &source, &target)).await?;
    recipe.keep()?;
    let mut generated_for: Vec<(String, String)> = Vec::new();
    let mut all = Vec::new();
    for Wanted { named, locale, password, has_role, has_database } in wanted {
        let before = generated_for.iter().find(|(owner, _)| *owner == named.username);
        // One role may own several databases: it has one password.
        let password = match (password, before) {
            (Some(password), _) => password,
            (None, Some((_, password))) => password.clone(),
            (None, None) => generated()?,
        };
        generated_for.push((named.username.clone(), password.clone()));
        let variable = variable_of(&named.database);
        secrets.keep(&variable, &password).await?;
        let owner_was_made = !has_role
            && stop.or(make_owner((&source, &target), &named.username, &password)).await?;
        stop.or(become_member(&target, &named.username)).await?;
        if !has_database {
            stop.or(make_database(&target, &named, &locale)).await?;
        }
        let at = recipe.target()?.with_database(&named.database);
        stop.or(try_login(&at, &named, &password)).await?;
        let (database, owner) = (named.database, named.username);
        let done = record::Provisioned {
            at: clock::now(),
            owner: owner.clone(),
            variable: variable.clone(),
        };
        recipe.record.done.provisioned.insert(database.clone(), done);
        recipe.keep()?;
        let was_made = !has_database;
        all.push(Provisioned { database, was_made, owner, owner_was_made, variable });
    }
    Ok(all)
}

/// What is to be made; or all that stands in the way.
async fn wanted(
    recipe: &Recipe,
    known: &Variables,
    source: &Session,
    target: &Session,
) -> Result<Vec<Wanted>> {
    let mut all: Vec<Wanted> = Vec::new();
    let mut problems: Vec<String> = Vec::new();
    let databases = recipe.databases()?;
    for named in &databases {
        let (database, owner) = (&named.database, &named.username);
        let theirs = databases.iter().filter(|other| other.username == *owner);
        let mut passwords: Vec<&str> =
            theirs.filter_map(|other| known.get(&variable_of(&other.database))).collect();
        passwords.dedup();
        if passwords.len() > 1 {
            problems.push(format!("{owner} owns several databases, and their variables differ"));
        }
        let password = passwords.first().map(|password| (*password).to_owned());
        let has_role = is_role(target, owner).await?;
        if has_role {
            problems.extend(refused_login(recipe, named, password.as_deref()).await?);
        }
        let Some(locale) = Locale::of(source, database).await? else {
            problems.push(format!("the bundled instance has no database {database}"));
            continue;
        };
        let locale = locale.mapped(&recipe.record.locales, &recipe.record.encodings);
        let standing = standing(target, database).await?;
        problems.extend(match &standing {
            Some(standing) => standing.differences(owner, &locale),
            None => Vec::from_iter(locale.unknown_to(target, database).await?),
        });
        let has_database = standing.is_some();
        all.push(Wanted { named: named.clone(), locale, password, has_role, has_database });
    }
    problems.dedup();
    match problems.is_empty() {
        true => Ok(all),
        false => Err(Error::new(Kind::Refused, "provisioning the target")
            .because(problems.join("\n"))
            .hint("mend these and run again; nothing was changed")),
    }
}

/// Why the password of a role that is there can't be used. It isn't changed: somebody uses it.
async fn refused_login(
    recipe: &Recipe,
    named: &Named,
    password: Option<&str>,
) -> Result<Option<String>> {
    let (owner, variable) = (&named.username, variable_of(&named.database));
    let Some(password) = password else {
        return Ok(Some(format!(
            "the role {owner} is there already, and its password isn't known: put it where \
             --secrets says, as {}, or set a new one yourself",
            recipe.secrets().map_or(variable.clone(), |place| place.holder(&variable))
        )));
    };
    let at = recipe.target()?.with_database("postgres").with_login(owner, password);
    match Session::connect(&at).await {
        Ok(session) => session.close().await,
        Err(error) if error.server_error().is_some() => {
            return Ok(Some(format!(
                "the role {owner} is there already, and {variable} doesn't let it in: {}",
                error.message()
            )));
        }
        Err(error) => return Err(error),
    }
    Ok(None)
}

async fn make_database(target: &Session, named: &Named, locale: &Locale) -> Result<()> {
    let doing = format!("making the database {}", named.database);
    let sql = format!(
        "CREATE DATABASE {} OWNER {} TEMPLATE template0 {}",
        quote_ident(&named.database),
        quote_ident(&named.username),
        locale.sql(),
    );
    let hint = "make it by hand with a locale that the target has, then run again";
    target.execute(&doing, &sql).await.map_err(|error| error.hint(hint))
}

/// The password must be the one that the services will find.
async fn try_login(at: &Conninfo, named: &Named, password: &str) -> Result<()> {
    let session = Session::connect(&at.with_login(&named.username, password)).await;
    let session = session.map_err(|error| error.within(format!("trying {}", named.username)))?;
    session.close().await;
    Ok(())
}
