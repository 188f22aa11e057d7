//! Flags of `dbproxy verify` as typed.

use crate::cli::args::Format;
use crate::cli::provision::args::Places;
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum Verify {
    /// Show who can reach what in a cluster, and what breaks the walls between its tenants
    Isolation(Isolation),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Every managed database user against every database: by the privilege functions of the server, and by \
                  logging in as that user. Exit code 0: as the manifest says, and nothing breaks it; 5: not so; 1: it \
                  could not look."
)]
pub struct Isolation {
    /// A cluster of the manifest [default: the only one]
    pub cluster: Option<String>,
    #[command(flatten)]
    pub places: Places,
    /// Ask the privilege functions alone, and log in as nobody but the provisioner
    #[arg(long)]
    pub no_login: bool,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}
