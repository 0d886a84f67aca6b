//! What every step works with: what was said, now or in an earlier step, and what has been done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::commands::{
    Beginning, Choice, Databases, PATIENCE, Request, RoleMap, Sequel, VerifyMode,
};
use crate::error::{Error, Kind, Result};
use crate::wire::{Conninfo, Environment};

use super::check::Endpoint;
use super::configuration::{Configuration, Named, PasswordRef};
use super::connecting::quoted;
use super::npgsql_version::NpgsqlVersion;
use super::record::{Record, Repointed};
use super::secrets::{Secrets, Variables, variable_of};

/// What the operator says; what is left out is taken from the plan file.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// The hosts' configurations.
    pub configurations: Vec<PathBuf>,
    /// The plan file.
    pub plan: Option<PathBuf>,
    /// The bundled instance.
    pub source: Option<String>,
    /// The managed one.
    pub target: Option<String>,
    /// The services' version of Npgsql.
    pub npgsql_version: Option<String>,
    /// Where their passwords are: `file:PATH` or `aws:PREFIX`.
    pub secrets: Option<String>,
    /// Where backups and reports go.
    pub out: Option<PathBuf>,
    /// Addresses of clients whose configurations are known.
    pub clients: Vec<String>,
}

/// What every step works with.
#[derive(Debug, Clone)]
pub struct Recipe {
    plan: PathBuf,
    /// The plan file's text, as it was read or written last.
    on_file: Option<String>,
    /// What was said and done.
    pub record: Record,
    /// The hosts' configurations.
    pub configurations: Vec<Configuration>,
    source: Option<Conninfo>,
    target: Option<Conninfo>,
    secrets: Option<Secrets>,
    environment: Environment,
}

impl Recipe {
    /// Joins what is said now with what the plan file remembers.
    pub fn open(said: Said, environment: &Environment) -> Result<Recipe> {
        let plan = Record::place(said.plan.as_deref(), &said.configurations)?;
        let on_file = Record::text(&plan)?;
        let mut record = Record::parse(&plan, on_file.as_deref())?;
        if !said.configurations.is_empty() {
            let full = said.configurations.iter().map(|path| full_path(path));
            record.configurations = full.collect::<Result<_>>()?;
        }
        let given = |name: &str, said: &Option<String>, known: &mut Option<String>| {
            let Some(said) = said else {
                return known
                    .as_deref()
                    .map(|known| conninfo(name, known, environment))
                    .transpose();
            };
            let parsed = conninfo(name, said, environment)?;
            *known = Some(without_secrets(said)?);
            Ok::<_, Error>(Some(parsed))
        };
        let source = given("--source", &said.source, &mut record.source)?;
        let target = given("--target", &said.target, &mut record.target)?;
        record.npgsql_version = said.npgsql_version.or(record.npgsql_version);
        let host = target.as_ref().and_then(Conninfo::host_and_port);
        let region = host.and_then(|(host, _)| Endpoint::of(&host).region);
        let secrets = said.secrets.as_ref().or(record.secrets.as_ref());
        let secrets = secrets.map(|text| Secrets::parse(text, region)).transpose()?;
        record.secrets = secrets.as_ref().map(Secrets::to_string);
        record.out = said.out.map(|out| full_path(&out)).transpose()?.or(record.out);
        record.known_clients.extend(said.clients);
        let read = |path: &PathBuf| {
            Configuration::read(path).map_err(|error| match record.done.repointed.get(path) {
                Some(Repointed { backup, .. }) => error.hint(format!(
                    "mend it there, or put back {}, which is what it was before it led to the \
                     target; then run again",
                    backup.display()
                )),
                None => error,
            })
        };
        let configurations = record.configurations.iter().map(read).collect::<Result<Vec<_>>>()?;
        let environment = environment.clone();
        let mut recipe =
            Recipe { plan, on_file, record, configurations, source, target, secrets, environment };
        recipe.find_source()?;
        Ok(recipe)
    }

    /// The bundled instance, unless it was said, is where the configurations led when the first step
    /// was taken, and `postgres` rules it.
    fn find_source(&mut self) -> Result<()> {
        if self.source.is_some() {
            return Ok(());
        }
        let named = self.databases()?;
        let first = &named[0];
        let text = format!("host={} port={} user=postgres", quoted(&first.host), first.port);
        self.source = Some(Conninfo::parse(&text, &self.environment)?);
        self.record.source = Some(text);
        Ok(())
    }

    /// Remembers what was said and done. What another run has put on record since, the way back above
    /// all, isn't written over.
    pub fn keep(&mut self) -> Result<()> {
        if Record::text(&self.plan)? != self.on_file {
            let doing = format!("writing the plan file {}", self.plan.display());
            return Err(Error::new(Kind::Refused, doing)
                .because("something else has written it since this run has read it")
                .hint(
                    "wait until every other run with this plan file has ended, then run the same \
                     again: it goes on from what is on record",
                ));
        }
        self.record.write(&self.plan)?;
        self.on_file = Record::text(&self.plan)?;
        Ok(())
    }

    /// The plan file.
    pub fn plan(&self) -> &Path {
        &self.plan
    }

    /// The databases that the configurations name, each once. Hosts that don't agree on a database's
    /// role are refused.
    pub fn databases(&self) -> Result<Vec<Named>> {
        let mut all: BTreeMap<String, Named> = BTreeMap::new();
        for configuration in &self.configurations {
            for named in configuration.named()? {
                let known = all.entry(named.database.clone()).or_insert_with(|| named.clone());
                if known.username != named.username {
                    let path = configuration.path().display();
                    return Err(Error::new(Kind::Refused, format!("reading {path}"))
                        .because(format!(
                            "database {} is {}'s there, and {}'s in another configuration",
                            named.database, named.username, known.username
                        ))
                        .hint("let all hosts use one role for a database"));
                }
            }
        }
        match all.is_empty() {
            true => Err(Error::usage("looking for the databases")
                .because("no configuration is known")
                .hint("give --config app.config.xml")),
            false => Ok(all.into_values().collect()),
        }
    }

    /// The roles that own them, each once.
    pub fn roles(&self) -> Result<Vec<String>> {
        let all: BTreeSet<String> =
            self.databases()?.into_iter().map(|named| named.username).collect();
        Ok(all.into_iter().collect())
    }

    /// Of the configurations, those that lead to the target, every pair of them.
    pub fn led_to_target(&self) -> Result<Vec<&Configuration>> {
        let target = self.target()?.host_and_port();
        let mut led = Vec::new();
        for configuration in &self.configurations {
            let is_there = |named: &Named| {
                target.as_ref().is_some_and(|(host, port)| {
                    host.eq_ignore_ascii_case(&named.host) && *port == named.port
                })
            };
            if configuration.named()?.iter().all(is_there) {
                led.push(configuration);
            }
        }
        Ok(led)
    }

    /// Reads the configurations again, which were written.
    pub(super) fn read_again(&mut self) -> Result<()> {
        let paths = self.record.configurations.iter();
        self.configurations = paths.map(|path| Configuration::read(path)).collect::<Result<_>>()?;
        Ok(())
    }

    /// The bundled instance.
    pub fn source(&self) -> Result<&Conninfo> {
        self.source.as_ref().ok_or_else(|| missing("--source"))
    }

    /// The managed one.
    pub fn target(&self) -> Result<&Conninfo> {
        self.target.as_ref().ok_or_else(|| missing("--target"))
    }

    /// The services' version of Npgsql.
    pub fn npgsql_version(&self) -> Result<NpgsqlVersion> {
        let beside = self.configurations.first().map_or(Path::new(""), Configuration::path);
        NpgsqlVersion::of(self.record.npgsql_version.as_deref(), beside)
    }

    /// Where the services' passwords are kept.
    pub fn secrets(&self) -> Option<&Secrets> {
        self.secrets.as_ref()
    }

    /// The services' passwords.
    pub async fn variables(&self) -> Result<Variables> {
        let mut wanted = BTreeSet::new();
        for configuration in &self.configurations {
            for Named { database, password_ref, .. } in configuration.named()? {
                wanted.insert(variable_of(&database));
                if let PasswordRef::Env(name) = password_ref {
                    wanted.insert(name);
                }
            }
        }
        Variables::gather(self.secrets(), &wanted).await
    }

    /// The variables in which services look for their passwords, by what the configurations say.
    pub fn service_variables(&self) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        for configuration in &self.configurations {
            names.extend(configuration.named()?.into_iter().filter_map(|named| {
                match named.password_ref {
                    PasswordRef::Env(name) => Some(name),
                    PasswordRef::Dpapi(_) => None,
                }
            }));
        }
        Ok(names.into_iter().collect())
    }

    /// Where backups and reports go: as said, or beside the plan file.
    pub fn out(&self) -> PathBuf {
        match (&self.record.out, self.plan.parent()) {
            (Some(out), _) => out.clone(),
            (None, Some(folder)) => folder.to_owned(),
            (None, None) => PathBuf::new(),
        }
    }

    /// How long the move of all databases took when it was rehearsed, in whole minutes.
    #[cfg(feature = "aws")]
    pub(super) fn rehearsed_minutes(&self) -> Result<Option<i64>> {
        let rehearsed = &self.record.done.rehearsed;
        let databases = self.databases()?;
        let seconds = |named: &Named| Some(rehearsed.get(&named.database)?.window_seconds);
        let all: Option<u64> = databases.iter().map(seconds).sum();
        Ok(all.map(|seconds| seconds.div_ceil(60).cast_signed()))
    }

    /// The engine's job: all databases from the bundled instance to the managed one.
    pub fn job(&self) -> Result<Request> {
        let names = self.databases()?.into_iter().map(|named| named.database);
        Ok(Request {
            source: self.source()?.clone(),
            target: self.target()?.clone(),
            databases: Databases::Named(names.collect()),
            choice: Choice::default(),
            roles: RoleMap::default(),
            beginning: Beginning::GoOn,
            jobs: None,
            verify: VerifyMode::Full,
            deep: false,
            patience: PATIENCE,
            analyze: true,
            strict: false,
            carry_passwords: false,
            warm: false,
            fence: Vec::new(),
            toast_compression: None,
            sequel: Sequel::OF_WEBSTREAM,
        })
    }
}

fn full_path(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| {
        Error::new(Kind::Refused, format!("looking for {}", path.display())).io(error)
    })
}

fn conninfo(flag: &str, text: &str, environment: &Environment) -> Result<Conninfo> {
    Conninfo::parse(text, environment).map_err(|error| error.within(flag))
}

/// A connection string as the plan file may hold it.
fn without_secrets(text: &str) -> Result<String> {
    let settings = Conninfo::settings(text)?;
    let open =
        settings.iter().filter(|(name, _)| !matches!(name.as_str(), "password" | "sslpassword"));
    Ok(open.map(|(name, value)| format!("{name}={}", quoted(value))).collect::<Vec<_>>().join(" "))
}

fn missing(flag: &str) -> Error {
    Error::usage("reading the command line")
        .because(format!("{flag} was given neither now nor in an earlier step"))
        .hint(format!("give {flag} 'host=… user=…'"))
}
