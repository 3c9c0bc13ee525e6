//! What can go wrong between Tidegate and the API server when a workload is looked at or changed, one line each.

use std::future::Future;
use std::time::Duration;

use kube::runtime::watcher;
use thiserror::Error;
use tokio::time::timeout;

/// An API server answers in milliseconds; one that takes this long is as good as gone, and will be asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a call brought no usable answer.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// No answer in time.
    #[error("no answer from the API server within {} s", PATIENCE.as_secs())]
    TimedOut,
    /// It answered with an error.
    #[error("the API server refuses: {} ({})", .0.message, .0.code)]
    Refused(Box<kube::core::Status>),
    /// It has no such kind.
    #[error(
        "the API server has no kind {kind} in {api_version}, or it cannot be scaled; name what has a scale subresource"
    )]
    NoSuchKind {
        /// The API version that was asked for.
        api_version: String,
        /// The kind that was asked for.
        kind: String,
    },
    /// A workload that does not say which pods are its own.
    #[error("the scale of {0} has no selector, so its pods cannot be told")]
    NoSelector(String),
    /// Anything else.
    #[error("the API server cannot be reached: {}", innermost(.0))]
    Other(#[source] kube::Error),
}

impl Fault {
    /// The status code of a refusal.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(status) => Some(status.code),
            Self::TimedOut | Self::NoSuchKind { .. } | Self::NoSelector(_) | Self::Other(_) => None,
        }
    }
}

impl From<kube::Error> for Fault {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused(status),
            other => Self::Other(other),
        }
    }
}

/// What a watch stumbled over, in one line.
pub(super) fn of_watch(error: watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Fault::from(error).to_string(),
        watcher::Error::WatchError(status) => Fault::Refused(status).to_string(),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

/// A call's answer, in time.
pub(crate) async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Fault> {
    match timeout(PATIENCE, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Fault::TimedOut),
    }
}

fn innermost(error: &kube::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(next) = source.source() {
        source = next;
    }
    source.to_string()
}
