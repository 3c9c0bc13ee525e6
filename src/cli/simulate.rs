//! `tidegate simulate`

use std::io::{self, Write as _};
use std::path::Path;

use super::exit::{Exit, Failure, OrExit as _};
use super::files;
use super::play::{PlayArgs, play};
use super::yaml;
use crate::config::load_as;
use crate::simulate::{Scenario, Simulation, scenarios};

/// Scale a job of your own on the simulated Flink, or serve it as a Flink REST endpoint
///
/// A scenario says what the job is made of, what load it gets, and what goes wrong when. The same scenario and seed give
/// the same run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate simulate diamond --for 20m --speed max
  tidegate simulate my-job.yaml --policy slow.yaml -o json | tail -1
  tidegate simulate demo --show > my-job.yaml")]
pub(super) struct Args {
    /// A scenario: the name of a built-in one (demo, diamond, burn), or a file
    scenario: String,
    /// Print the scenario, with everything that has a default, and do no more
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    play: PlayArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let scenario = scenario(&args.scenario)?;
    if args.show {
        let value = serde_json::to_value(&scenario).or_exit(Exit::Failed)?;
        io::stdout().lock().write_all(yaml::to_string(&value).as_bytes()).or_exit(Exit::Failed)?;
        return Ok(Exit::Done);
    }
    play(scenario, &args.play)
}

/// Finds a scenario by its name, or reads it from a file.
fn scenario(name: &str) -> Result<Scenario, Failure> {
    if let Some(scenario) = scenarios::named(name) {
        return Ok(scenario);
    }
    let file = files::source_or(Path::new(name), "scenario", &scenarios::NAMES)?;
    load_as(&file, problems).or_exit(Exit::Usage)
}

/// What is wrong with a scenario beyond the form of its fields.
fn problems(scenario: &Scenario) -> Vec<(String, String)> {
    match Simulation::new(scenario) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems.into_iter().map(|problem| (problem.path, problem.what)).collect(),
    }
}
