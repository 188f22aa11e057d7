//! Runs one command; see `dbproxy::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dbproxy::cli::main()
}
