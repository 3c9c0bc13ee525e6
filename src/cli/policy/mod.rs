//! `tidegate policy`: checks policies, runs the tests in them, prints those that come with the program.

mod junit;
mod lint;
mod promql;
mod show;
mod test;

use clap::Subcommand;

use super::exit::{Exit, Failure};

/// Check policies, run the tests in them, or print a built-in one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate policy lint policies/
  tidegate policy test my-policy.yaml
  tidegate policy show throughput > my-policy.yaml")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Lint(lint::Args),
    Test(test::Args),
    Show(show::Args),
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    match &args.command {
        Command::Lint(args) => lint::run(args),
        Command::Test(args) => test::run(args),
        Command::Show(args) => show::run(args),
    }
}
