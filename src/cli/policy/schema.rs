//! `dbproxy policy schema`

use super::args::Schema;
use crate::access::policy::set::SCHEMA;
use crate::cli::args::Format;
use crate::cli::exit::Failure;
use crate::cli::output;
use cedar_policy::SchemaFragment;
use std::process::ExitCode;

pub fn run(flags: &Schema) -> Result<ExitCode, Failure> {
    match flags.output {
        // Byte for byte, so that it can be written to the file that editors read.
        Format::Text => output::line(SCHEMA.strip_suffix('\n').unwrap_or(SCHEMA)),
        Format::Json => {
            let (schema, _warnings) = SchemaFragment::from_cedarschema_str(SCHEMA).map_err(Failure::usage)?;
            output::line(&schema.to_json_string().map_err(Failure::usage)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
