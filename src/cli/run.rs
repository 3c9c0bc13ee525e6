//! `tidegate run`

use std::io;
use std::path::PathBuf;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::args::StateArgs;
use super::exit::{Exit, Failure, OrExit as _};
use super::files;
use crate::daemon::journal_file::Keep;
use crate::daemon::store::StoreError;
use crate::daemon::{Options, RunError, run as daemon};

/// Scale the jobs of configuration files until told to stop
///
/// Stops on SIGTERM and SIGINT, when what has been begun is finished; a second signal stops at once. Either way nothing is
/// lost: it takes up where it stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate run --config orders.yaml --dry-run
  tidegate run --config /etc/tidegate --state-dir /var/lib/tidegate")]
pub(super) struct Args {
    /// Files with FlinkAutoscalers and ScalingPolicies, or directories of such files
    #[arg(short, long, required = true, num_args = 1.., value_name = "FILE")]
    config: Vec<PathBuf>,
    /// A directory of policies: NAME.yaml holds the policy NAME
    #[arg(long, value_name = "DIR")]
    policy_dir: Option<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
    /// Write no journals
    #[arg(long, conflicts_with = "journal_dir")]
    no_journal: bool,
    /// Size at which a journal is complete, and a new one begun, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    journal_size: u64,
    /// Complete journals that are kept of each job
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    journal_files: u32,
    /// Decide and say so only, whatever the files say
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    let config = files::config(&args.config, args.policy_dir.as_deref())?;
    let options = Options {
        journal_dir: (!args.no_journal).then(|| args.state.journals()),
        state_dir: args.state.state_dir,
        keep: Keep { bytes: args.journal_size << 20, files: args.journal_files },
        dry_run: args.dry_run,
    };
    runtime()?.block_on(async {
        let mut signals = Signals::new().context("cannot listen to signals").or_exit(Exit::Failed)?;
        let mut again = Signals::new().context("cannot listen to signals").or_exit(Exit::Failed)?;
        let hurried = async {
            again.next().await;
            again.next().await;
        };
        tokio::select! {
            ended = daemon(config, &options, signals.next()) => {
                ended.map_err(|error| Failure { exit: exit_of(&error), error: error.into() })?;
                Ok(Exit::Done)
            }
            () = hurried => Err(anyhow::anyhow!("stopped at once, by a second signal")).or_exit(Exit::Failed),
        }
    })
}

fn exit_of(error: &RunError) -> Exit {
    match error {
        RunError::Task(_) | RunError::Store(StoreError::Write { .. }) => Exit::Failed,
        RunError::Store(_) | RunError::Journal { .. } | RunError::Flink { .. } => Exit::Usage,
    }
}

/// The one thread on which everything that waits does so.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start").or_exit(Exit::Failed)
}

/// The signals that ask the program to stop.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
