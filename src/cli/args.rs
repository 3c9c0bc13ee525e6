//! Arguments that several commands take, defined once.

use std::path::PathBuf;

use super::output::Output;
use crate::policy::{PrometheusRef, Span};

/// The form of what is printed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct OutputArgs {
    /// The form of what is printed
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    pub(super) output: Output,
}

/// Where states are kept.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct StateDir {
    /// The directory in which what must survive a restart is kept
    #[arg(long, value_name = "DIR", default_value = "tidegate-state", env = "TIDEGATE_STATE_DIR")]
    pub(super) state_dir: PathBuf,
}

/// Where states and journals are kept.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct StateArgs {
    #[command(flatten)]
    pub(super) state: StateDir,
    /// The directory of the journals; `journal` in the state directory unless told otherwise
    #[arg(long, value_name = "DIR", env = "TIDEGATE_JOURNAL_DIR")]
    pub(super) journal_dir: Option<PathBuf>,
}

impl StateArgs {
    /// The directory of the journals.
    pub(super) fn journals(&self) -> PathBuf {
        self.journal_dir.clone().unwrap_or_else(|| self.state.state_dir.join("journal"))
    }
}

/// The Prometheus of those who name none.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct PrometheusArgs {
    /// The Prometheus that `prometheus` rules ask, where a FlinkAutoscaler has no `spec.prometheus` of its own
    #[arg(long, value_name = "URL", env = "TIDEGATE_PROMETHEUS")]
    prometheus: Option<String>,
}

impl PrometheusArgs {
    /// Where it is; whether it can be used is seen when it is first asked for.
    pub(super) fn server(&self) -> Option<PrometheusRef> {
        self.prometheus.as_ref().map(PrometheusRef::at)
    }
}

/// A length of time, as files write it.
pub(super) fn span(text: &str) -> Result<Span, String> {
    text.parse().map_err(|error: crate::policy::SpanError| error.to_string())
}
