//! `tidegate schema`

use std::io::{self, Write as _};

use super::exit::{Exit, Failure, OrExit as _};
use crate::config::schema::to_text;

/// Print the JSON schema of configuration files, for editors and checks
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tidegate schema > tidegate.schema.json
  # then, as the first line of a file: # yaml-language-server: $schema=tidegate.schema.json")]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<Exit, Failure> {
    io::stdout().lock().write_all(to_text().as_bytes()).or_exit(Exit::Failed)?;
    Ok(Exit::Done)
}
