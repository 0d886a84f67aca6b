//! The arguments of `pgconvoy webstream`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use crate::webstream::PasswordPlace;

use super::Output;

/// A step of the recipe.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Webstream {
    /// Look at everything that would stop the move, or spoil what comes after it
    Check(WebstreamCheck),
    /// Take all steps that are left, and ask before each that changes something
    Run(WebstreamRun),
    /// Make the owners' roles and the databases on the target, and keep the passwords
    Provision(WebstreamProvision),
    /// Do the whole job into databases that are dropped again, while the services work, to tell how long
    /// it takes and what it finds; after `provision`, whose roles own them
    Rehearse(Step),
    /// Dump each database into a custom archive, and read it to its end
    Backup(Step),
    /// Move all databases behind a fence, which stays until `retire` or `rollback`
    Migrate(WebstreamMigrate),
    /// Compare every row and definition of both sides
    Verify(Step),
    /// Lead the configurations to the target
    Repoint(WebstreamRepoint),
    /// Put the configurations back, and let the services into the bundled instance again
    Rollback(WebstreamRollback),
    /// Try every connection string as a service would that starts now
    Status(Step),
    /// Close the bundled databases for good, and with --execute stop and disable their service
    Retire(WebstreamRetire),
    /// Open the bundled databases again
    Unretire(WebstreamUnretire),
}

impl Webstream {
    /// What all steps take.
    pub(in crate::cli) fn step(&self) -> &Step {
        match self {
            Webstream::Rehearse(step)
            | Webstream::Backup(step)
            | Webstream::Verify(step)
            | Webstream::Status(step) => step,
            Webstream::Retire(args) => &args.step,
            Webstream::Unretire(args) => &args.step,
            Webstream::Run(args) => &args.step,
            Webstream::Provision(args) => &args.step,
            Webstream::Migrate(args) => &args.step,
            Webstream::Repoint(args) => &args.step,
            Webstream::Rollback(args) => &args.step,
            Webstream::Check(args) => &args.step,
        }
    }
}

/// What is said once: the plan file remembers it for the steps that follow.
#[derive(Debug, Clone, ClapArgs)]
pub(in crate::cli) struct Step {
    /// A host's app.config.xml; may be given several times
    #[arg(long = "config", value_name = "FILE")]
    pub(in crate::cli) configurations: Vec<PathBuf>,
    /// Where it is remembered what was said and done [default: beside the first --config]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) plan: Option<PathBuf>,
    /// The bundled instance [default: where the configuration leads, as postgres]
    #[arg(long, value_name = "C")]
    pub(in crate::cli) source: Option<String>,
    /// The managed instance, as its master user
    #[arg(long, value_name = "C")]
    pub(in crate::cli) target: Option<String>,
    /// The services' version of Npgsql [default: that of the Npgsql.dll beside the first --config]
    #[arg(long, value_name = "VERSION")]
    pub(in crate::cli) npgsql_version: Option<String>,
    /// Where the services' passwords are: file:PATH, lines of NAME=value that a shell can source; or
    /// aws:PREFIX, secrets called PREFIXNAME in AWS Secrets Manager (in a build with the feature aws)
    #[arg(long, value_name = "WHERE")]
    pub(in crate::cli) secrets: Option<String>,
    /// The folder for backups and reports [default: that of the plan file]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// The address of a host from which services connect, and whose file is among the --config or that
    /// needs none; may be given several times
    #[arg(long = "client", value_name = "ADDRESS")]
    pub(in crate::cli) clients: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct WebstreamRun {
    /// Ask nothing. The sign-in to the admin console stays a person's: without --signed-in it stops
    /// there
    #[arg(long)]
    pub(in crate::cli) yes: bool,
    /// Who has signed in to the admin console since the configurations lead to the target
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) signed_in: Option<String>,
    /// As `repoint` takes it
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) root_certificate: Option<String>,
    /// As `repoint` takes it
    #[arg(long, value_enum, value_name = "WHERE", default_value = "env")]
    pub(in crate::cli) password_ref: PasswordReference,
    /// As `provision` takes it
    #[arg(long = "locale", value_name = "FROM=TO", value_parser = mapping)]
    pub(in crate::cli) locales: Vec<(String, String)>,
    /// As `provision` takes it
    #[arg(long = "encoding", value_name = "FROM=TO", value_parser = mapping)]
    pub(in crate::cli) encodings: Vec<(String, String)>,
    #[command(flatten)]
    pub(in crate::cli) step: Step,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct WebstreamProvision {
    /// The target's locale that stands for one of the source's; may be given several times
    #[arg(long = "locale", value_name = "FROM=TO", value_parser = mapping)]
    pub(in crate::cli) locales: Vec<(String, String)>,
    /// The target's encoding that stands for one of the source's
    #[arg(long = "encoding", value_name = "FROM=TO", value_parser = mapping)]
    pub(in crate::cli) encodings: Vec<(String, String)>,
    #[command(flatten)]
    pub(in crate::cli) step: Step,
}

fn mapping(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').filter(|(from, to)| !from.is_empty() && !to.is_empty());
    let (from, to) = split.ok_or("give FROM=TO")?;
    Ok((from.to_owned(), to.to_owned()))
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct WebstreamMigrate {
    /// End the sessions of services that are still connected, rather than refuse
    #[arg(long)]
    pub(in crate::cli) despite_sessions: bool,
    /// Drop what an earlier run has made on the target, and begin anew: where the source was written to
    /// since; refused where the target holds rows that it didn't write. To go on with what this begins,
    /// leave it out
    #[arg(long)]
    pub(in crate::cli) restart: bool,
    #[command(flatten)]
    pub(in crate::cli) step: Step,
}

#[derive(Debug, Clone, ClapArgs)]
pub(in crate::cli) struct WebstreamRepoint {
    /// The authorities' certificates as the services will find them: SSL Mode=VerifyFull; without it
    /// the services encrypt, and verify nobody
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) root_certificate: Option<String>,
    /// Where the services are to find their passwords: `env`, in variables, or `dpapi`, in the
    /// configurations, encrypted for this Windows host. Give only this host's --config then, and do so
    /// on every host, with the plan file as it was after `verify`
    #[arg(long, value_enum, value_name = "WHERE", default_value = "env")]
    pub(in crate::cli) password_ref: PasswordReference,
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    #[command(flatten)]
    pub(in crate::cli) step: Step,
}

/// What passwordRef says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PasswordReference {
    Env,
    Dpapi,
}

impl From<PasswordReference> for PasswordPlace {
    fn from(said: PasswordReference) -> PasswordPlace {
        match said {
            PasswordReference::Env => PasswordPlace::Variables,
            PasswordReference::Dpapi => PasswordPlace::Tokens,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct WebstreamRollback {
    /// Leave behind what was written on the target since
    #[arg(long)]
    pub(in crate::cli) accept_loss: bool,
    #[command(flatten)]
    pub(in crate::cli) step: Step,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct WebstreamCheck {
    /// The authorities' certificates by which the target is to be verified
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) root_certificate: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) step: Step,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct WebstreamRetire {
    /// Run what stops the bundled service and keeps it from starting, rather than print it; on the
    /// bundled host, as its administrator
    #[arg(long)]
    pub(in crate::cli) execute: bool,
    /// The bundled service [default: on Windows Webstream-Postgres, on Linux the unit of its process]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) service: Option<String>,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    #[command(flatten)]
    pub(in crate::cli) step: Step,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct WebstreamUnretire {
    /// Start the service that `retire --execute` has stopped, first; on the bundled host, as its
    /// administrator
    #[arg(long)]
    pub(in crate::cli) execute: bool,
    #[command(flatten)]
    pub(in crate::cli) step: Step,
}
