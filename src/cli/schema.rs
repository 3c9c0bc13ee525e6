//! `tidegate schema`

use std::io;

use super::exit::{Exit, Failure, OrExit as _};
use crate::config::schema::json_schema;

/// Print the JSON schema of configuration files, for editors and checks
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tidegate schema > tidegate.schema.json
  # then, as the first line of a file: # yaml-language-server: $schema=tidegate.schema.json")]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, json_schema()).map_err(io::Error::from).or_exit(Exit::Failed)?;
    io::Write::write_all(&mut out, b"\n").or_exit(Exit::Failed)?;
    Ok(Exit::Done)
}
