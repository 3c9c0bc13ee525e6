//! `tidegate demo`

use super::exit::{Exit, Failure};
use super::play::{PlayArgs, play};
use crate::simulate::scenarios;

/// Watch a simulated job whose load changes being scaled; needs nothing but this binary
///
/// A chain of four vertices on a simulated Flink whose load triples and falls again, scaled by the engine that scales real
/// jobs. On a terminal: a live picture; otherwise a line for each decision that changes something; with -o json an object for
/// each decision, and a summary as the last line.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate demo
  tidegate demo --for 10m --speed 600 -o json | tail -1
  tidegate demo --speed max --journal demo.jsonl && tidegate explain demo --journal demo.jsonl")]
pub(super) struct Args {
    #[command(flatten)]
    play: PlayArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    play(&args.play.seeded(scenarios::demo()), &args.play)
}
