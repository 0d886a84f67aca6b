//! The arguments of `pgconvoy webstream`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::Output;

/// A step of the recipe.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Webstream {
    /// Look at everything that would stop the move, or spoil what comes after it
    Check(WebstreamCheck),
    /// Make the owners' roles and the databases on the target, and keep the passwords
    Provision(Step),
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
    /// Close the bundled databases for good
    Retire(Step),
    /// Open the bundled databases again
    Unretire(Step),
}

impl Webstream {
    /// What all steps take.
    pub(in crate::cli) fn step(&self) -> &Step {
        match self {
            Webstream::Provision(step)
            | Webstream::Backup(step)
            | Webstream::Verify(step)
            | Webstream::Status(step)
            | Webstream::Retire(step)
            | Webstream::Unretire(step) => step,
            Webstream::Migrate(args) => &args.step,
            Webstream::Repoint(args) => &args.step,
            Webstream::Rollback(args) => &args.step,
            Webstream::Check(args) => &args.step,
        }
    }
}

/// What is said once: the plan file remembers it for the steps that follow.
#[derive(Debug, ClapArgs)]
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
    /// Where the services' passwords are: file:PATH, lines of NAME=value that a shell can source
    #[arg(long, value_name = "WHERE")]
    pub(in crate::cli) secrets: Option<String>,
    /// The folder for backups and reports [default: that of the plan file]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct WebstreamMigrate {
    /// End the sessions of services that are still connected, rather than refuse
    #[arg(long)]
    pub(in crate::cli) despite_sessions: bool,
    #[command(flatten)]
    pub(in crate::cli) step: Step,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct WebstreamRepoint {
    /// The authorities' certificates as the services will find them: SSL Mode=VerifyFull; without it
    /// the services encrypt, and verify nobody
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) root_certificate: Option<String>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    #[command(flatten)]
    pub(in crate::cli) step: Step,
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
    /// The address of a host whose configuration is given: services there aren't forgotten ones; may
    /// be given several times
    #[arg(long = "client", value_name = "ADDRESS")]
    pub(in crate::cli) clients: Vec<IpAddr>,
    #[command(flatten)]
    pub(in crate::cli) step: Step,
}
