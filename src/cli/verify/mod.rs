//! `dbproxy verify`: one file a subcommand.

pub mod args;
mod isolation;

use super::exit::Failure;
use args::Verify;
use std::process::ExitCode;

/// Not what the manifest says.
const BROKEN: u8 = 5;

pub fn run(verify: &Verify) -> Result<ExitCode, Failure> {
    match verify {
        Verify::Isolation(flags) => isolation::run(flags),
    }
}
