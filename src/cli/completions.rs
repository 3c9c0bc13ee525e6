//! `tidegate completions`

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::Cli;
use super::exit::{Exit, Failure, OrExit as _};

/// Print what makes a shell complete tidegate's commands and flags
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tidegate completions bash > ~/.local/share/bash-completion/completions/tidegate")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    // Into memory first: clap_complete panics when its writer fails, as stdout does behind `| head`.
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "tidegate", &mut script);
    io::stdout().lock().write_all(&script).or_exit(Exit::Failed)?;
    Ok(Exit::Done)
}
