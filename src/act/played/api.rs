//! An API server that is a model of one, behind a real client of Kubernetes.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use kube::Client;
use serde_json::{Value, json};

/// What is asked.
#[derive(Clone, Debug)]
pub(in crate::act) struct Asked {
    pub(in crate::act) method: String,
    pub(in crate::act) path: String,
    pub(in crate::act) query: String,
    pub(in crate::act) body: Vec<u8>,
}

/// What comes of a request.
pub(in crate::act) enum Reply {
    Status(u16, Value),
    /// The connection is cut, or no answer comes in time.
    Nothing,
    /// Nobody is there any more to hear it.
    Never,
}

type Answers = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// A client of something that answers at once.
pub(in crate::act) fn client(namespace: &str, answers: Answers) -> Client {
    async fn answer(State(answers): State<Answers>, request: Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let asked = Asked {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: to_bytes(body, 1 << 20).await.expect("a body").to_vec(),
        };
        match answers(&asked) {
            Reply::Status(status, body) => {
                (StatusCode::from_u16(status).expect("a status"), axum::Json(body)).into_response()
            }
            Reply::Nothing => StatusCode::GATEWAY_TIMEOUT.into_response(),
            Reply::Never => std::future::pending().await,
        }
    }
    Client::new(Router::new().fallback(answer).with_state(answers), namespace)
}

/// How the API server says no.
pub(in crate::act) fn status_of(status: u16, what: &str) -> Value {
    let reason = match status {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        _ => "Invalid",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": what, "reason": reason,
        "code": status,
    })
}
