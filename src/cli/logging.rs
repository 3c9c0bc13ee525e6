//! Logs: on stderr, as text or JSON, as much as is asked for. Stdout is for results only.

use std::io::{self, IsTerminal as _};

use clap::{ArgAction, ValueEnum};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{JsonFields, debug_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, registry};

use super::exit::{Exit, Failure, OrExit as _};
use crate::daemon::TRACE_ID;

mod json;
mod otlp;

pub(super) use otlp::TracesArgs;

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

/// Starts logging, and sending traces, which goes on until what is returned is dropped. `daemon` are the arguments of a command
/// that is watched by its log.
pub(super) fn start(
    args: &LoggingArgs,
    daemon: Option<&TracesArgs>,
) -> Result<Option<otlp::Sending>, Failure> {
    let (traces, sending) = daemon.map(otlp::start).transpose()?.flatten().unzip();
    let logs = fmt::layer().with_writer(io::stderr).with_target(args.verbose > 0);
    let logs = match args.log_format {
        // A trace id is for programs.
        LogFormat::Text => {
            let fields = debug_fn(|writer, field, value| match field.name() {
                TRACE_ID => Ok(()),
                "message" => write!(writer, "{value:?}"),
                name => write!(writer, "{name}={value:?}"),
            });
            logs.fmt_fields(fields.delimited(" ")).with_ansi(io::stderr().is_terminal()).boxed()
        }
        LogFormat::Json => logs
            .fmt_fields(JsonFields::new())
            .event_format(json::OneObject { with_target: args.verbose > 0 })
            .boxed(),
    };
    registry().with(filter(args, daemon.is_some())?).with(logs).with(traces).init();
    Ok(sending)
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
