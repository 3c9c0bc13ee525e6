//! What is watched before an API server that forgets, refuses and comes back.

use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

#[test]
fn pauses_grow_to_a_limit_and_begin_again() {
    let mut pauses = Pauses::default();
    let seconds: Vec<f64> = pauses.by_ref().take(6).map(|pause| pause.as_secs_f64()).collect();
    assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]);
    pauses.reset();
    assert_eq!(pauses.next(), Some(FIRST_PAUSE));
}

/// An API server that has forgotten what a watch wants to go on from.
#[derive(Default)]
struct Forgetful {
    /// How often autoscalers were listed.
    lists: Mutex<u64>,
}

async fn answer(State(server): State<Arc<Forgetful>>, request: Request) -> Response {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let is_watch = query.contains("watch=true");
    if path.contains("horizontalpodautoscalers") {
        let status = json!({
            "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "it is forbidden",
        });
        return (StatusCode::FORBIDDEN, status.to_string()).into_response();
    }
    let is_old = query.split('&').any(|parameter| parameter == "resourceVersion=1");
    if is_watch && is_old && path.contains("flinkautoscalers") {
        let gone = json!({"type": "ERROR", "object": {
            "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired",
            "message": "too old resource version: 1 (7)",
        }});
        return format!("{gone}\n").into_response();
    }
    if is_watch {
        return Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>()).into_response();
    }
    let names: &[&str] = if path.contains("flinkautoscalers") {
        let mut lists = server.lists.lock().expect("nobody panicked");
        *lists += 1;
        if *lists == 1 { &["one"] } else { &["one", "two"] }
    } else {
        &[]
    };
    let version = names.len().max(1).to_string();
    let item = |name: &&str| {
        json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "FlinkAutoscaler",
            "metadata": {"name": name, "namespace": "s", "resourceVersion": version},
            // Of another form than any that is known.
            "spec": [name],
        })
    };
    let items: Vec<Value> = names.iter().map(item).collect();
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items})
        .to_string()
        .into_response()
}

#[tokio::test]
async fn lists_anew_when_a_watch_has_expired_and_goes_on_without_what_it_may_not_read() {
    let server = Arc::new(Forgetful::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(answer).with_state(Arc::clone(&server));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = kube::Config::new(url.parse().expect("a URL"));
    let client = Client::try_from(config).expect("a client");
    let world = World::watch(&client, &Scope::Namespaces(vec!["s".to_owned()]));
    let both = async {
        while !(world.is_synced() && world.objects().autoscalers.len() == 2) {
            world.changed().await;
        }
    };
    timeout(Duration::from_secs(30), both).await.expect("both autoscalers are seen");
    assert_eq!(*server.lists.lock().expect("nobody panicked"), 2);
    assert!(world.objects().hpas.is_empty());
}
