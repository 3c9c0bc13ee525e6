//! What can go wrong between Tidegate and Flink, one line each: what was asked, what came back, what to do.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::super::connection::SetupError;
use crate::model::{JobId, JobState, MissedWhy};

/// What was asked, for messages: a method and a URL. Settings with credentials in the URL are turned away at the start,
/// so there are none here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// GET, PUT, POST or PATCH.
    pub method: &'static str,
    /// The whole URL.
    pub url: Box<str>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// What Flink means when it answers with an error, as far as it matters to what is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not know the job.
    UnknownJob,
    /// The job's scheduler takes no resource requirements.
    NotAdaptive,
    /// The job runs in reactive mode, which takes no resource requirements.
    Reactive,
    /// Another change of the same thing was under way.
    Conflict,
    /// Who asks is not allowed to.
    NotAllowed,
    /// No such path in this version, or under this URL.
    NoSuchPath,
    /// It, or what stands before it, is not able to answer now.
    Unavailable,
    /// Anything else.
    Other,
}

/// Why a call to Flink brought no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FlinkError {
    /// What the settings say cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// No connection, or it broke.
    #[error("{asked}: {what}")]
    Unreachable {
        /// What was asked.
        asked: Asked,
        /// What happened.
        what: String,
    },
    /// There is no trust between the two ends.
    #[error("{asked}: {what}")]
    Tls {
        /// What was asked.
        asked: Asked,
        /// What happened, and which setting would mend it.
        what: String,
    },
    /// No answer in time.
    #[error("{asked}: no answer within {:.1} s", after.as_secs_f64())]
    TimedOut {
        /// What was asked.
        asked: Asked,
        /// The time that was given.
        after: Duration,
    },
    /// Something answered that is not Flink.
    #[error(
        "{asked}: {what}. This does not look like Flink's REST API: check flink.url, its port and its prefix"
    )]
    NotFlink {
        /// What was asked.
        asked: Asked,
        /// What came back.
        what: String,
    },
    /// Flink answered in a form that is not known.
    #[error("{asked}: the answer has a form that is not known here: {what}")]
    NotUnderstood {
        /// What was asked.
        asked: Asked,
        /// What is unexpected about it.
        what: String,
    },
    /// Another process may act: nothing was sent.
    #[error("{asked}: not sent, as the Lease is not held and another process may act")]
    NotLeading {
        /// What was to be asked.
        asked: Asked,
    },
    /// Flink answered with an error.
    #[error("{asked}: Flink answered {status}: {message}")]
    Refused {
        /// What was asked.
        asked: Asked,
        /// The HTTP status.
        status: u16,
        /// What it means.
        refusal: Refusal,
        /// The first line of what Flink said that says something.
        message: String,
    },
    /// No job of that name or id runs.
    #[error("{url}: no job {wanted} is running{}", last_of(last.as_ref()))]
    NoSuchJob {
        /// The cluster.
        url: String,
        /// What was looked for.
        wanted: String,
        /// The last one of that name, and how it ended.
        last: Option<(JobId, JobState)>,
    },
    /// More than one job of that name runs.
    #[error("{url}: more than one job {wanted} is running: {}. Name one by its id in flink.job", list(found))]
    AmbiguousJob {
        /// The cluster.
        url: String,
        /// What was looked for.
        wanted: String,
        /// Ids and names of those that were found.
        found: Vec<(JobId, String)>,
    },
    /// The JobManager never asks its TaskManagers for metrics.
    #[error(
        "{url}: metrics.fetcher.update-interval is 0, so Flink shows no counters of any job; set it to 10 s (its default) or \
         less, but not to 0, and restart the JobManager"
    )]
    NoMetrics {
        /// The cluster.
        url: String,
    },
    /// The job is there, but waits for the slots to start with.
    #[error("{url}: job {job} is {state:?}, and Flink has not laid out its graph yet")]
    NoGraph {
        /// The cluster.
        url: String,
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
    },
}

fn last_of(last: Option<&(JobId, JobState)>) -> String {
    last.map_or_else(String::new, |(id, state)| format!("; the last one, {id}, is {state:?}"))
}

fn list(found: &[(JobId, String)]) -> String {
    found.iter().map(|(id, name)| format!("{id} ({name})")).collect::<Vec<_>>().join(", ")
}

impl FlinkError {
    /// The kind of failure, as observations name it.
    pub fn why(&self) -> MissedWhy {
        match self {
            Self::Setup(_) | Self::Unreachable { .. } | Self::Tls { .. } => MissedWhy::Unreachable,
            Self::TimedOut { .. } => MissedWhy::TimedOut,
            Self::NotFlink { .. } | Self::NotUnderstood { .. } => MissedWhy::NotUnderstood,
            Self::Refused { refusal: Refusal::UnknownJob, .. } | Self::NoSuchJob { .. } => {
                MissedWhy::NoSuchJob
            }
            Self::Refused { .. } | Self::NotLeading { .. } => MissedWhy::Refused,
            Self::AmbiguousJob { .. } => MissedWhy::AmbiguousJob,
            Self::NoMetrics { .. } => MissedWhy::NoMetrics,
            Self::NoGraph { .. } => MissedWhy::NotStarted,
        }
    }

    /// What Flink's refusal means, if it was one.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        }
    }

    /// Whether asking the same once more a moment later may well work.
    pub(super) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::TimedOut { .. }
                | Self::Refused { refusal: Refusal::Unavailable, .. }
        )
    }

    /// Whether Flink may have carried out what it was asked to although no answer said so.
    pub(crate) fn may_have_worked(&self) -> bool {
        self.is_passing()
    }

    /// Whether the JobManager itself was away: what was known of the cluster may have changed since.
    pub(super) fn was_away(&self) -> bool {
        matches!(self.why(), MissedWhy::Unreachable | MissedWhy::TimedOut)
            || self.refusal() == Some(Refusal::Unavailable)
    }
}
