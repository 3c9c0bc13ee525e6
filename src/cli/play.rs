//! A simulated job that is watched while the engine is at the wheel: what `demo` and `simulate` do.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::args::{OutputArgs, span};
use super::exit::{Exit, Failure, OrExit as _};
use super::files;
use super::live::Live;
use super::output::{Output, Show};
use super::run::{Signals, runtime};
use crate::policy::{AutoscalerSpec, FlinkRef, Policy, Span};
use crate::record::Summary;
use crate::record::journal::{Header, Writer};
use crate::record::summary::Count;
use crate::simulate::{Drive, Driven, Scenario, Score, Simulation};

/// How a simulated job is driven and shown.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct PlayArgs {
    /// How much simulated time to run [default: 10m]
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub(super) length: Option<Span>,
    /// Simulated seconds in a second, or `max` [default: 20]
    #[arg(long, value_name = "FACTOR", value_parser = speed)]
    pub(super) speed: Option<Speed>,
    /// A policy: the name of a built-in one, or a file
    #[arg(long, default_value = "throughput")]
    policy: String,
    /// How often the job is polled, in simulated time
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = poll)]
    poll: Span,
    /// Another seed than the scenario's: other noise, the same load
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Write a journal, for `tidegate explain` and `tidegate replay`
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// Long enough for the demo's load to go up and down once.
const LENGTH: Span = Span::from_secs(600);

/// So that ten minutes take half of one.
const SPEED: Speed = Speed::Times(20.0);

impl PlayArgs {
    /// The scenario, with the seed that was asked for.
    pub(super) fn seeded(&self, scenario: Scenario) -> Scenario {
        Scenario { seed: self.seed.unwrap_or(scenario.seed), ..scenario }
    }

    fn length(&self) -> Duration {
        self.length.unwrap_or(LENGTH).get()
    }
}

/// How much faster than a clock on the wall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Speed {
    /// As fast as it goes.
    Max,
    /// So many simulated seconds in a second.
    Times(f64),
}

/// Beyond these a length of time in one clock may be none in the other.
const SPEEDS: RangeInclusive<f64> = 0.001..=1e6;

fn speed(text: &str) -> Result<Speed, String> {
    match text.parse::<f64>() {
        Ok(factor) if SPEEDS.contains(&factor) => Ok(Speed::Times(factor)),
        _ if text == "max" => Ok(Speed::Max),
        _ => Err("expected a number from 0.001 to 1000000, or max".to_owned()),
    }
}

fn poll(text: &str) -> Result<Span, String> {
    // Flink keeps the states in its answers for three seconds, and no poll sees more than one of them.
    match span(text)? {
        poll if (1.0..=600.0).contains(&poll.as_secs()) => Ok(poll),
        _ => Err("expected from 1s to 10m".to_owned()),
    }
}

impl Speed {
    /// How long so much simulated time takes.
    pub(super) fn takes(self, simulated: Duration) -> Duration {
        match self {
            Self::Max => Duration::ZERO,
            // A factor near 0 would take longer than a Duration holds.
            Self::Times(factor) => {
                Duration::try_from_secs_f64(simulated.as_secs_f64() / factor).unwrap_or(Duration::MAX / 4)
            }
        }
    }
}

/// Runs the engine on a scenario, shows each decision, and sums up at the end.
pub(super) fn play(scenario: &Scenario, args: &PlayArgs) -> Result<Exit, Failure> {
    let policy = {
        let flink = FlinkRef { poll: args.poll, ..FlinkRef::default() };
        let autoscaler = AutoscalerSpec { flink, ..AutoscalerSpec::default() };
        Policy::new(&autoscaler, files::policy(&args.policy)?)
    };
    let simulation = Simulation::new(scenario).or_exit(Exit::Usage)?;
    let drive = Drive::new(simulation, policy);
    let journal =
        args.journal.as_deref().map(|path| Journal::create(path, &scenario.name, &drive)).transpose()?;
    let mut stage = Stage { drive, journal, view: View::new(args) };
    runtime()?.block_on(stage.run(args))?;
    Ok(Exit::Done)
}

struct Stage {
    drive: Drive,
    journal: Option<Journal>,
    view: View,
}

impl Stage {
    async fn run(&mut self, args: &PlayArgs) -> Result<(), Failure> {
        let mut signals = Signals::new().context("cannot listen to signals").or_exit(Exit::Failed)?;
        let (start, speed) = (Instant::now(), args.speed.unwrap_or(SPEED));
        while self.drive.elapsed() < args.length() {
            let due = start + speed.takes(self.drive.elapsed());
            // Also at full speed a signal is heard between two cycles.
            tokio::select! {
                biased;
                () = signals.next() => break,
                () = async { sleep_until(due).await; tokio::task::yield_now().await } => {}
            }
            let driven = self.drive.cycle();
            if let Some(journal) = &mut self.journal {
                journal.append(&driven)?;
            }
            self.view.show(&self.drive, &driven).or_exit(Exit::Failed)?;
        }
        if let Some(journal) = &mut self.journal {
            journal.finish()?;
        }
        self.view.sum_up(&self.drive).or_exit(Exit::Failed)
    }
}

/// The journal of a simulated job.
struct Journal {
    path: PathBuf,
    file: BufWriter<File>,
    writer: Writer,
}

impl Journal {
    fn create(path: &Path, name: &str, drive: &Drive) -> Result<Self, Failure> {
        let file = File::create(path).with_context(|| cannot_write(path)).or_exit(Exit::Usage)?;
        let mut journal =
            Self { path: path.to_owned(), file: BufWriter::new(file), writer: Writer::default() };
        let at = drive.simulation.now();
        let header = journal.writer.header(&Header::new(at, name, drive.policy(), &drive.state));
        journal.write(header)?;
        Ok(journal)
    }

    fn append(&mut self, driven: &Driven) -> Result<(), Failure> {
        let line = self.writer.cycle(&driven.as_cycle());
        self.write(line)
    }

    fn write(&mut self, line: serde_json::Result<Vec<u8>>) -> Result<(), Failure> {
        let written = line.map_err(io::Error::from).and_then(|line| self.file.write_all(&line));
        written.with_context(|| cannot_write(&self.path)).or_exit(Exit::Failed)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.file.flush().with_context(|| cannot_write(&self.path)).or_exit(Exit::Failed)
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// What is seen of it.
enum View {
    /// Every decision, for programs.
    Every(Output),
    /// What changes, and once in a while that nothing does; for people who read it later.
    News { last: Option<(Summary, Duration)> },
    /// A picture that changes in place.
    Live(Box<Live>),
}

/// So much simulated time passes at the most without a line.
const QUIET: Duration = Duration::from_mins(1);

impl View {
    fn new(args: &PlayArgs) -> Self {
        match args.output.output {
            Output::Table if io::stdout().is_terminal() => Self::Live(Box::new(Live::new(args.length()))),
            Output::Table => Self::News { last: None },
            output @ (Output::Json | Output::Yaml) => Self::Every(output),
        }
    }

    fn show(&mut self, drive: &Drive, driven: &Driven) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let graph = drive.state.history.last().map(|snapshot| &*snapshot.graph);
        let told = Played {
            elapsed: drive.elapsed(),
            summary: Summary::of(&driven.decision, graph),
            outcome: driven.outcome.kind(),
        };
        match self {
            Self::Every(output) => output.print_next(&mut out, &told),
            Self::News { last } => {
                if last.is_none() {
                    writeln!(out, "{HEADER}")?;
                }
                let is_quiet = |(said, at): &(Summary, Duration)| {
                    !told.summary.is_news_after(said) && told.elapsed.saturating_sub(*at) < QUIET
                };
                if last.as_ref().is_some_and(is_quiet) {
                    return Ok(());
                }
                writeln!(out, "{}", told.show())?;
                *last = Some((told.summary, told.elapsed));
                out.flush()
            }
            Self::Live(live) => live.show(&mut out, drive, driven, &told),
        }
    }

    fn sum_up(&mut self, drive: &Drive) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let summed = Summed { summary: drive.score() };
        match self {
            Self::Every(output) => output.print_next(&mut out, &summed),
            Self::News { .. } => writeln!(out, "\n{}", summed.show()),
            Self::Live(live) => {
                live.end(&mut out)?;
                writeln!(out, "{}", summed.show())
            }
        }
    }
}

/// One decision on a simulated job.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Played {
    /// Simulated time since the start.
    #[serde(skip)]
    pub(super) elapsed: Duration,
    /// What was decided.
    #[serde(flatten)]
    pub(super) summary: Summary,
    /// What came of it.
    pub(super) outcome: &'static str,
}

/// The titles of [`Played::show`].
pub(super) const HEADER: &str = "TIME    LOAD/S  WAITING  SUBTASKS              DECISION    WHY";

impl Show for Played {
    fn show(&self) -> String {
        let Self { elapsed, summary, outcome } = self;
        let count =
            |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| Count(number).to_string());
        format!(
            "{}  {:>6}  {:>7}  {:<20}  {:<10}  {}",
            clock(*elapsed),
            count(summary.load),
            count(summary.backlog),
            summary.sizes(),
            outcome,
            summary.because
        )
    }
}

/// `04:35`, or `1:04:35`.
pub(super) fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

/// The last line.
#[derive(Debug, Serialize)]
struct Summed {
    summary: Score,
}

impl Show for Summed {
    fn show(&self) -> String {
        let Score {
            seconds,
            decisions,
            rescales,
            scale_ups,
            scale_downs,
            restarts,
            slot_seconds,
            seconds_over_slo,
            peak_backlog,
        } = self.summary;
        format!(
            "{decisions} decisions in {}: {rescales} rescales ({scale_ups} up, {scale_downs} down), {restarts} restarts.\n\
             {} slot-seconds, that is {:.1} slots on average; at most {} records waited; late for {seconds_over_slo:.0} s.",
            clock(Duration::try_from_secs_f64(seconds).unwrap_or_default()),
            Count(slot_seconds),
            if seconds > 0.0 { slot_seconds / seconds } else { 0.0 },
            Count(peak_backlog),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_speeds_that_mean_something() {
        for (text, expected) in [
            ("20", Some(Speed::Times(20.0))),
            ("0.5", Some(Speed::Times(0.5))),
            ("max", Some(Speed::Max)),
            ("0", None),
            ("1e300", None),
            ("1e-300", None),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("fast", None),
        ] {
            assert_eq!(speed(text).ok(), expected, "{text}");
        }
        assert_eq!(Speed::Times(600.0).takes(Duration::from_mins(10)), Duration::from_secs(1));
    }

    #[test]
    fn writes_times_as_people_do() {
        for (seconds, text) in [(0, "00:00"), (275, "04:35"), (3875, "1:04:35")] {
            assert_eq!(clock(Duration::from_secs(seconds)), text);
        }
    }
}
