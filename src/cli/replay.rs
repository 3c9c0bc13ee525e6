//! `tidegate replay`

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use super::args::OutputArgs;
use super::exit::{Exit, Failure, OrExit as _};
use super::files;
use super::output::Show;
use crate::record::journal::{Replay, replay};

/// Decide again from recorded inputs, and say where the result differs
///
/// Ends with 1 when any decision differs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tidegate replay tidegate-state/journal/orders.jsonl")]
pub(super) struct Args {
    /// Journals, as `tidegate run` and `tidegate demo --journal` write them
    #[arg(required = true, value_name = "JOURNAL")]
    journals: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Replayed {
    journal: String,
    #[serde(flatten)]
    replay: Replay,
}

impl Show for Replayed {
    fn show(&self) -> String {
        let Self { journal, replay: Replay { cycles, cut_off, differences } } = self;
        let mut text = format!("{journal}: {cycles} decisions, {} differ", differences.len());
        if *cut_off {
            text.push_str("; the last line was cut off, and is left out");
        }
        for difference in differences {
            let _ = write!(
                text,
                "\n{journal}:{}: {}: {} was {}, and is now {}",
                difference.line,
                difference.at,
                if difference.field.is_empty() { "the form" } else { &difference.field },
                difference.recorded,
                difference.got
            );
        }
        text
    }
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    for path in &args.journals {
        let journal = path.display().to_string();
        let replay = replay(files::journal(path)?).with_context(|| journal.clone()).or_exit(Exit::Usage)?;
        if !replay.differences.is_empty() {
            exit = Exit::Failed;
        }
        args.output
            .output
            .print_next(&mut io::stdout().lock(), &Replayed { journal, replay })
            .or_exit(Exit::Failed)?;
    }
    Ok(exit)
}
