//! What can go wrong between Tidegate and the API server, one line each.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use kube::runtime::watcher;
use thiserror::Error;
use tokio::time::timeout;

/// An API server answers in milliseconds; one that takes this long is as good as gone, and will be asked again.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Why a call brought no usable answer.
#[derive(Debug, Error)]
pub(in crate::daemon) enum Fault {
    /// No answer in time.
    #[error("no answer from the API server within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It answered with an error.
    #[error("{}", refusal(.0))]
    Refused(Box<kube::core::Status>),
    /// Anything else.
    #[error("the API server cannot be reached: {}", innermost(.0))]
    Other(#[source] kube::Error),
}

impl From<kube::Error> for Fault {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused(status),
            other => Self::Other(other),
        }
    }
}

impl From<watcher::Error> for Fault {
    fn from(error: watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => error.into(),
            watcher::Error::WatchError(status) => Self::Refused(status),
            watcher::Error::NoResourceVersion => Self::Refused(Box::new(kube::core::Status {
                message: "a list without a resourceVersion: the resource cannot be watched".to_owned(),
                ..kube::core::Status::default()
            })),
        }
    }
}

impl Fault {
    /// The HTTP status that it was answered with.
    fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(status) => Some(status.code),
            Self::TimedOut(_) | Self::Other(_) => None,
        }
    }

    /// Somebody else has written it since, or made it first.
    pub(super) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// There is no such object, or no such resource.
    pub(super) fn is_missing(&self) -> bool {
        self.code() == Some(404)
    }

    /// It is not allowed.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(self.code(), Some(401 | 403))
    }

    /// What a watch went on from is too old: everything is listed anew, and nothing is lost.
    pub(super) fn is_expired(&self) -> bool {
        self.code() == Some(410)
    }
}

fn refusal(status: &kube::core::Status) -> String {
    let message = if status.message.is_empty() { &status.reason } else { &status.message };
    match status.code {
        0 => message.clone(),
        code => format!("the API server answered {code}: {message}"),
    }
}

/// What happened, without what every layer above it adds.
fn innermost(error: &kube::Error) -> String {
    let mut inner: &dyn Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// Calls the API server, and waits no longer than [`PATIENCE`].
pub(super) async fn call<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Fault> {
    call_within(PATIENCE, call).await
}

/// The same with another patience.
pub(super) async fn call_within<T>(
    patience: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, Fault> {
    match timeout(patience, call).await {
        Ok(answer) => answer.map_err(Fault::from),
        Err(_) => Err(Fault::TimedOut(patience)),
    }
}
