//! Errors in the form in which Flink answers with them: `{"errors": [..]}`, exception classes included.
//!
//! The classes are Flink's, because clients tell errors apart by them; the stack traces below them are left out.

use serde_json::json;

use super::Answer;

/// An answer that says what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    status: u16,
    errors: Vec<String>,
}

impl Failure {
    fn new(status: u16, class: &str, what: &str) -> Self {
        Self { status, errors: vec![format!("{class}: {what}")] }
    }

    /// Whatever a part of the cluster says.
    pub(super) fn of(status: u16, errors: Vec<String>) -> Self {
        Self { status, errors }
    }

    /// 400: what was asked makes no sense.
    pub(super) fn bad_request(what: &str) -> Self {
        Self::new(400, "org.apache.flink.runtime.rest.handler.RestHandlerException", what)
    }

    /// 400: a parameter that cannot be read.
    pub(super) fn parameter(kind: &str, name: &str, value: &str) -> Self {
        Self::bad_request(&format!("{kind} parameter ({name}) cannot be {value:?}"))
    }

    /// 409: it is too late for that.
    pub(super) fn conflict(what: &str) -> Self {
        Self::new(409, "org.apache.flink.runtime.rest.handler.RestHandlerException", what)
    }

    /// 404: something that is not there.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(404, "org.apache.flink.runtime.rest.NotFoundException", what)
    }

    /// 404: a result that is not there.
    pub(super) fn no_result(what: &str) -> Self {
        Self::new(404, "org.apache.flink.runtime.rest.handler.RestHandlerException", what)
    }

    /// 404: a path that is not there, which depends on the method.
    pub(super) fn no_route(method: &str, path: &str) -> Self {
        let what = match method {
            "GET" => format!("Unable to load requested file {path}."),
            _ => format!("Not found: {path}"),
        };
        Self { status: 404, errors: vec![what] }
    }

    /// 500: Flink had not thought of that.
    pub(super) fn internal(class: &str, what: &str) -> Self {
        let errors = vec![
            "Internal server error.".to_owned(),
            format!("<Exception on server side:\n{class}: {what}\nEnd of exception on server side>"),
        ];
        Self { status: 500, errors }
    }

    /// 500: a URL that Flink's server cannot take apart.
    pub(super) fn broken_url(text: &str) -> Self {
        let what = format!("Internal server error: broken escape sequence in {text:?}");
        Self { status: 500, errors: vec![what] }
    }

    /// 500: how some endpoints say that there is no such job.
    pub(super) fn no_such_job(id: &str) -> Self {
        Self::internal("org.apache.flink.runtime.messages.FlinkJobNotFoundException", &format!("no job {id}"))
    }

    /// 503: nobody leads.
    pub(super) fn no_leader() -> Self {
        let what = "Service temporarily unavailable: an election of a leader is under way.";
        Self { status: 503, errors: vec![what.to_owned()] }
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self { status: failure.status, body: json!({ "errors": failure.errors }) }
    }
}
