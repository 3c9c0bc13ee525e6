//! What can go wrong between Tidegate and Prometheus, one line each: who was asked, what came back, what to do.

use std::time::Duration;

use thiserror::Error;

use super::super::connection::SetupError;

/// Why a query brought no number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrometheusError {
    /// What the settings say cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// No connection, or it broke.
    #[error("Prometheus {url}: {what}")]
    Unreachable {
        /// The server.
        url: String,
        /// What happened.
        what: String,
    },
    /// There is no trust between the two ends.
    #[error("Prometheus {url}: {what}")]
    Tls {
        /// The server.
        url: String,
        /// What happened, and which setting would mend it.
        what: String,
    },
    /// No answer in time.
    #[error("Prometheus {url}: no answer within {:.1} s", after.as_secs_f64())]
    TimedOut {
        /// The server.
        url: String,
        /// The time that was given.
        after: Duration,
    },
    /// The credentials are missing, wrong or expired.
    #[error("Prometheus {url}: {status}, not allowed{said}; {mend}")]
    NotAllowed {
        /// The server.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it says to that.
        said: String,
        /// What to do.
        mend: &'static str,
    },
    /// Something answered that is not Prometheus.
    #[error(
        "{url}: {what}. This does not look like Prometheus: check prometheus.url, its port and its prefix"
    )]
    NotPrometheus {
        /// Where.
        url: String,
        /// What came back.
        what: String,
    },
    /// It answered in a form that is not known, or with too much.
    #[error("Prometheus {url}: {what}")]
    NotUnderstood {
        /// The server.
        url: String,
        /// What is unexpected.
        what: String,
    },
    /// It does not take the query, or could not carry it out.
    #[error("Prometheus {url} says: {said}")]
    Refused {
        /// The server.
        url: String,
        /// The kind of error and its text, in the server's words.
        said: String,
    },
    /// It answered, and says itself that the answer is not to be relied upon: a part of the data could not be read.
    #[error("Prometheus {url} warns: {said}")]
    Warned {
        /// The server.
        url: String,
        /// In its words.
        said: String,
    },
    /// Far more series than a number has.
    #[error("the query gives more than {most} series; aggregate them, as in sum(...)")]
    TooManySeries {
        /// As many as are read.
        most: usize,
    },
    /// Not one number of each series.
    #[error("{what}")]
    NotANumber {
        /// What it is instead, and what to do.
        what: &'static str,
    },
}

impl PrometheusError {
    /// The kind of failure; a closed list, fit for a metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Setup(_) => "Setup",
            Self::Unreachable { .. } => "Unreachable",
            Self::Tls { .. } => "Tls",
            Self::TimedOut { .. } => "TimedOut",
            Self::NotAllowed { .. } => "NotAllowed",
            Self::NotPrometheus { .. } => "NotPrometheus",
            Self::NotUnderstood { .. } => "NotUnderstood",
            Self::Refused { .. } => "Refused",
            Self::Warned { .. } => "Warned",
            Self::TooManySeries { .. } => "TooManySeries",
            Self::NotANumber { .. } => "NotANumber",
        }
    }

    /// Whether the same is the matter with every query of the server.
    pub(super) fn is_of_the_server(&self) -> bool {
        match self {
            Self::Setup(_)
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::NotAllowed { .. }
            | Self::NotPrometheus { .. } => true,
            Self::TimedOut { .. }
            | Self::NotUnderstood { .. }
            | Self::Refused { .. }
            | Self::Warned { .. }
            | Self::TooManySeries { .. }
            | Self::NotANumber { .. } => false,
        }
    }
}
