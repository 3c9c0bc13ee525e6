//! The command line. Each command turns arguments into calls of the library and prints what comes of them; it must never
//! decide anything itself.

mod args;
mod attempts;
mod completions;
pub mod crd;
mod decision;
mod demo;
mod doctor;
pub mod exit;
mod explain;
mod files;
mod import;
mod live;
mod logging;
mod man;
pub mod output;
mod play;
mod policy;
mod recommend;
mod replay;
mod run;
mod schema;
mod simulate;
mod usage;
pub mod yaml;

use std::io;

use clap::{Parser, Subcommand};

use exit::{Exit, Failure};

/// Scales Apache Flink jobs: measures what each vertex needs, and makes it so, or only says so.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, after_help = AFTER_HELP, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    logging: logging::LoggingArgs,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 what was asked for failed; 2 bad usage or configuration; 3 Flink unreachable.

Examples:
  tidegate demo
  tidegate recommend --flink http://localhost:8081";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Simulate(simulate::Args),
    Recommend(recommend::Args),
    Run(run::Args),
    Doctor(doctor::Args),
    Explain(explain::Args),
    Attempts(attempts::Args),
    Replay(replay::Args),
    Policy(policy::Args),
    Import(import::Args),
    Schema(schema::Args),
    Crd(crd::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs the command that the arguments of the process name.
pub fn main() -> Exit {
    let result = match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(error) => usage::explain(&error),
    };
    exit::end(result, &mut io::stderr().lock())
}

impl Cli {
    fn run(self) -> Result<Exit, Failure> {
        let _sending = logging::start(&self.logging, self.command.stays())?;
        match self.command {
            Command::Demo(args) => demo::run(&args),
            Command::Simulate(args) => simulate::run(&args),
            Command::Recommend(args) => recommend::run(args),
            Command::Run(args) => run::run(args),
            Command::Doctor(args) => doctor::run(args),
            Command::Explain(args) => explain::run(&args),
            Command::Attempts(args) => attempts::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Policy(args) => policy::run(&args),
            Command::Import(args) => import::run(&args),
            Command::Schema(args) => schema::run(&args),
            Command::Crd(args) => crd::run(&args),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(&args),
        }
    }
}

impl Command {
    /// Where it stays and is watched by its log and its traces; the others only print their result.
    fn stays(&self) -> Option<&logging::TracesArgs> {
        if let Self::Run(args) = self { Some(&args.traces) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_flag_is_defined_once() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example") && help.contains(&format!("tidegate {name}")), "{name}: {help}");
        }
    }
}
