//! `tidegate explain`

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::args::{OutputArgs, StateArgs};
use super::decision::{Told, memory};
use super::exit::{Exit, Failure, OrExit as _};
use super::files;
use super::output::Show;
use crate::daemon::journal_file::{older, path};
use crate::model::{Attempt, Graph, Reached, Rerun, Rescale, Timestamp};
use crate::policy::{MemoryAdvice, Span};
use crate::record::journal::{Replayer, Step};
use crate::record::{Outcome, State};

/// Say why a decision was made, from the journal: who asked for what, from which numbers, and what came of it
///
/// Without --at: the last decision to change the job, carried out or not; if there is none, the last one of all.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate explain orders
  tidegate explain orders --journal demo.jsonl --at 2026-11-22T18:00:00Z -o yaml")]
pub(super) struct Args {
    /// The FlinkAutoscaler, as NAME or NAMESPACE/NAME
    job: String,
    /// The journal; found in the journal directory by the job's name otherwise
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
    /// The last decision made at or before this time, such as 2026-11-22T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    at: Option<Timestamp>,
    #[command(flatten)]
    output: OutputArgs,
}

fn timestamp(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "expected a time such as 2026-11-22T18:00:00Z".to_owned())
}

/// The decision that is explained, and what it rests on.
struct Found {
    step: Step,
    graph: Option<std::sync::Arc<Graph>>,
    memory: Option<MemoryAdvice>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation<'a> {
    journal: String,
    line: u64,
    #[serde(flatten)]
    told: Told<'a>,
    outcome: &'a Outcome,
    /// How the rescale ended, if one was begun and has.
    rescale: Option<&'a Rescale>,
    /// How the job is brought back by hand, where the rescale has left it without a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    rerun: Option<&'a Rerun>,
}

impl Show for Explanation<'_> {
    fn show(&self) -> String {
        let mut notes = vec![("outcome", outcome(self.outcome))];
        if let Some(rescale) = self.rescale {
            let Rescale { at, ended, end, from: _, to: _, downtime, load: _, brought, reached } = rescale;
            notes.push(("ended", format!("{end:?} after {}", Span::from(ended.since(*at)))));
            if let Some(downtime) = downtime {
                notes.push(("downtime", format!("{:.1} s", downtime.get())));
            }
            if let Some(share) = brought {
                notes.push(("brought", format!("{:.0} % of the capacity that was expected", share * 100.0)));
            }
            if !reached.is_empty() {
                let after =
                    |step: &Reached| format!("{:?} after {}", step.stage, Span::from(step.at.since(*at)));
                notes.push(("states", reached.iter().map(after).collect::<Vec<_>>().join(", ")));
            }
        }
        if let Some(rerun) = self.rerun {
            notes.push(("by hand", rerun.command()));
        }
        notes.push(("journal", format!("{}:{}", self.journal, self.line)));
        self.told.show_with(notes)
    }
}

fn rerun(attempt: &Attempt) -> Option<&Rerun> {
    attempt.resubmission.as_ref()?.rerun.as_deref()
}

fn outcome(outcome: &Outcome) -> String {
    let kind = outcome.kind();
    match outcome {
        Outcome::Superseded { detail } | Outcome::Failed { detail } | Outcome::RolledBack { detail } => {
            format!("{kind}: {detail}")
        }
        Outcome::Held { found: Some(hold) } => format!("{kind}: {hold}"),
        Outcome::Held { found: None }
        | Outcome::Unobserved
        | Outcome::Unchanged
        | Outcome::Recommended
        | Outcome::Applied => kind.to_owned(),
    }
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let newest = args.journal.clone().unwrap_or_else(|| path(&args.state.journals(), &args.job));
    let mut latest: Option<State> = None;
    let mut fallback = None;
    for age in 0.. {
        let file = if age == 0 { newest.clone() } else { older(&newest, age) };
        if age > 0 && !file.exists() {
            break;
        }
        let (found, is_it, state) = search(&file, args)?;
        // The newest file knows best how a rescale ended that began in an older one.
        let latest = latest.get_or_insert(state);
        match found {
            Some(found) if is_it => return explain(args, &file, &found, latest),
            Some(found) if fallback.is_none() => fallback = Some((file, found)),
            Some(_) | None => {}
        }
    }
    match (fallback, latest, args.at) {
        (Some((file, found)), Some(latest), None) => explain(args, &file, &found, &latest),
        (_, _, Some(at)) => {
            Err(anyhow!("{}: no decision at or before {at}", newest.display())).or_exit(Exit::Failed)
        }
        _ => Err(anyhow!("{}: no decision yet", newest.display())).or_exit(Exit::Failed),
    }
}

/// The decision that is asked for, or the last one of the file and that it is not it; and the state at the file's end.
fn search(file: &Path, args: &Args) -> Result<(Option<Found>, bool, State), Failure> {
    let name = file.display().to_string();
    let mut replayer = Replayer::new(files::journal(file)?);
    let (mut last, mut wanted) = (None, None);
    while let Some(step) = replayer.next_step().with_context(|| name.clone()).or_exit(Exit::Usage)? {
        let graph = replayer.state().history.last().map(|snapshot| snapshot.graph.clone());
        let is_wanted = args.at.map_or(step.decision.plan().is_some(), |at| step.recorded.at <= at);
        let memory = memory(&step.decision, replayer.state(), replayer.policy());
        let found = Found { step, graph, memory };
        if is_wanted { wanted = Some(found) } else { last = Some(found) }
    }
    let (job, found) = (&args.job, replayer.autoscaler());
    if !found.is_empty() && found != job && !found.ends_with(&format!("/{job}")) {
        return Err(anyhow!("{name} is the journal of {found:?}, not of {job:?}")).or_exit(Exit::Usage);
    }
    let is_it = wanted.is_some();
    Ok((wanted.or(last), is_it, replayer.state().clone()))
}

fn explain(args: &Args, file: &Path, found: &Found, latest: &State) -> Result<Exit, Failure> {
    let Found { step, graph, memory } = found;
    if let Some(difference) = &step.difference {
        tracing::warn!(
            field = difference.field,
            recorded = difference.recorded,
            got = difference.got,
            "this version of Tidegate decides otherwise than the one that wrote the journal; shown is what this one decides"
        );
    }
    let begun = step.recorded.begun;
    let explanation = Explanation {
        journal: file.display().to_string(),
        line: step.line,
        told: Told::new(&args.job, &step.decision, graph.as_deref()).with_memory(*memory),
        outcome: &step.recorded.outcome,
        rescale: begun
            .and_then(|begun| latest.ledger.rescales.iter().rev().find(|rescale| rescale.at == begun)),
        rerun: latest.ledger.attempt.as_ref().filter(|attempt| begun == Some(attempt.at)).and_then(rerun),
    };
    args.output.output.print(&mut io::stdout().lock(), &explanation).or_exit(Exit::Failed)?;
    Ok(Exit::Done)
}
