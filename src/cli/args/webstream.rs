//! The arguments of `pgconvoy webstream`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::Output;

/// A step of the recipe.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Webstream {
    /// Try every connection string of the configurations as a service would that starts now
    Status(WebstreamStatus),
}

impl Webstream {
    /// Whether the output is for programs.
    pub(in crate::cli) fn json(&self) -> bool {
        match self {
            Webstream::Status(args) => args.output.json,
        }
    }
}

/// The hosts' configurations, and what it takes to understand them.
#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Hosts {
    /// A host's app.config.xml; may be given several times
    #[arg(long = "config", value_name = "FILE", required = true)]
    pub(in crate::cli) configurations: Vec<PathBuf>,
    /// The services' version of Npgsql [default: that of the Npgsql.dll beside the first --config]
    #[arg(long, value_name = "VERSION")]
    pub(in crate::cli) npgsql_version: Option<String>,
    /// Where the services' passwords are: file:PATH, lines of NAME=value that a shell can source
    #[arg(long, value_name = "WHERE")]
    pub(in crate::cli) secrets: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct WebstreamStatus {
    #[command(flatten)]
    pub(in crate::cli) hosts: Hosts,
    #[command(flatten)]
    pub(in crate::cli) output: Output,
}
