//! In place of a connection, for tests whose time is their own: answers that a model gives, at once.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};

use super::super::error::FlinkError;
use super::super::fault::{self, Sent};
use super::{Body, FlinkClient};
use crate::observe::Gate;
use crate::policy::FlinkRef;

/// What comes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// This status and body.
    Status(u16, String),
    /// No answer within the time limit.
    Nothing,
    /// Nobody is there any more to hear it: the request is never over.
    Never,
}

/// What answers: method, path and body in. Told of a pause, too: by the method [`PAUSE`], and its milliseconds in place of a path.
pub(crate) type Played = Arc<dyn Fn(&str, &str, &[u8]) -> Reply + Send + Sync>;

/// No method of HTTP.
pub(crate) const PAUSE: &str = "PAUSE";

impl FlinkClient {
    /// A client of something that answers at once.
    pub(crate) fn played(with: Played) -> Self {
        let flink = FlinkRef { url: "http://played".to_owned(), ..FlinkRef::default() };
        let client = Self::gated(&flink, Gate::OPEN, &crate::observe::Within::default()).expect("a URL");
        let mut inner = Arc::into_inner(client.inner).expect("nobody else has it");
        inner.played = Some(with);
        Self { inner: Arc::new(inner) }
    }
}

pub(super) async fn pause(with: &Played, length: Duration) {
    if let Reply::Never = with(PAUSE, &length.as_millis().to_string(), &[]) {
        std::future::pending::<()>().await;
    }
}

pub(super) async fn answer(
    with: &Played,
    sent: Sent,
    method: &Method,
    body: Option<&[u8]>,
) -> Result<Body, FlinkError> {
    let path = sent.asked.url.trim_start_matches("http://played").to_owned();
    match with(method.as_str(), &path, body.unwrap_or_default()) {
        Reply::Never => std::future::pending().await,
        Reply::Nothing => Err(sent.timed_out()),
        Reply::Status(status, text) => {
            let status = StatusCode::from_u16(status).expect("a status");
            if status.is_success() {
                Ok(Body { asked: sent.asked, bytes: text.into_bytes() })
            } else {
                Err(fault::status(sent.asked, status, text.as_bytes(), None))
            }
        }
    }
}
