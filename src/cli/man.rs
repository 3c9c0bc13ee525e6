//! `tidegate man`

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::CommandFactory as _;
use clap_mangen::Man;

use super::Cli;
use super::exit::{Exit, Failure, OrExit as _};

/// Print a manual page, or write all of them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate man run | man -l -
  tidegate man --dir /usr/local/share/man/man1")]
pub(super) struct Args {
    /// The command whose page to print; tidegate's own without it
    command: Option<String>,
    /// Write the pages of all commands to this directory
    #[arg(long, conflicts_with = "command")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut root = Cli::command();
    root.build();
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(root, dir))
            .with_context(|| format!("cannot write to {}", dir.display()))
            .or_exit(Exit::Failed)?;
        return Ok(Exit::Done);
    }
    let command = match &args.command {
        None => root,
        Some(name) => root
            .find_subcommand(name)
            .ok_or_else(|| anyhow!("no command {name:?} (see tidegate --help)"))
            .or_exit(Exit::Usage)?
            .clone(),
    };
    let mut page = Vec::new();
    Man::new(command).render(&mut page).or_exit(Exit::Failed)?;
    io::stdout().lock().write_all(&page).or_exit(Exit::Failed)?;
    Ok(Exit::Done)
}
