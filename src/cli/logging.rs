//! Logs: on stderr, as text or JSON, as much as is asked for. Stdout is for results only.

use std::io::{self, IsTerminal as _};

use clap::{ArgAction, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use super::exit::{Exit, Failure, OrExit as _};

/// What is logged, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Logging (on stderr)")]
pub(super) struct LoggingArgs {
    /// Log more: -v every cycle, -vv every request
    #[arg(short, long, action = ArgAction::Count, global = true, display_order = 900)]
    verbose: u8,
    /// What to log, such as `warn` or `tidegate::observe=debug`; instead of -v
    #[arg(long, value_name = "FILTER", env = "TIDEGATE_LOG", global = true, display_order = 901)]
    log: Option<String>,
    /// The form of the log
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        env = "TIDEGATE_LOG_FORMAT",
        global = true,
        display_order = 902
    )]
    log_format: LogFormat,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One object a line, for programs
    Json,
}

/// Starts logging; `stays` for a command that is watched by its log.
pub(super) fn start(args: &LoggingArgs, stays: bool) -> Result<(), Failure> {
    let builder = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_env_filter(filter(args, stays)?)
        .with_span_events(FmtSpan::NONE)
        .with_target(args.verbose > 0);
    match args.log_format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
        }
    }
    Ok(())
}

fn filter(args: &LoggingArgs, stays: bool) -> Result<EnvFilter, Failure> {
    let level = match (args.verbose, stays) {
        // What does not work is told once, in the end.
        (0, false) => "warn,kube_client=off",
        // Of watches that fail, what is said here is said once.
        (0, true) => "warn,kube_runtime=error,kube_client=error,tidegate=info",
        (1, _) => "info,tidegate=debug",
        _ => "debug,tidegate=trace",
    };
    let filter = match &args.log {
        Some(filter) => EnvFilter::try_new(filter),
        // RUST_LOG, where it is set and nothing was said on the command line.
        None if args.verbose == 0 => {
            return Ok(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level)));
        }
        None => EnvFilter::try_new(level),
    };
    filter
        .map_err(|error| anyhow::anyhow!("--log {:?}: {error}", args.log.as_deref().unwrap_or(level)))
        .or_exit(Exit::Usage)
}
