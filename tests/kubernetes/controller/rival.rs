//! The API server with a rival in front of it, who writes to a Deployment just when its scale is about to be changed.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::kubernetes::Namespace;

/// A way to the API server with all rights, and what the rival does on it; dropping it closes it.
pub struct Rival {
    shared: Arc<Shared>,
    folder: TempDir,
    server: JoinHandle<()>,
}

struct Shared {
    client: Client,
    deployments: Api<Deployment>,
    /// What is still to be written, last first.
    writes: Mutex<Vec<Value>>,
    answers: Mutex<Vec<u16>>,
}

impl Rival {
    /// One who writes these patches to the Deployment, one before each of the first changes of its scale.
    pub async fn of(namespace: &Namespace, writes: &[Value]) -> Result<Self> {
        let shared = Arc::new(Shared {
            client: namespace.client(),
            deployments: namespace.api(),
            writes: Mutex::new(writes.iter().rev().cloned().collect()),
            answers: Mutex::default(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(pass_on).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // It serves until it is aborted.
            axum::serve(listener, router).await.ok();
        });
        let folder = tempfile::Builder::new().prefix("tidegate-").tempdir()?;
        let context = json!({"cluster": "rival", "user": "nobody", "namespace": namespace.name()});
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "rival", "cluster": {"server": url}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "rival", "context": context}],
            "current-context": "rival",
        });
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string())?;
        Ok(Self { shared, folder, server })
    }

    /// The kubeconfig that leads through it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// How each change of a scale was answered, by the API server itself.
    pub fn answers(&self) -> Vec<u16> {
        self.shared.answers.lock().expect("no holder panics").clone()
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let answer = forward(&shared, request).await;
    answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response())
}

async fn forward(shared: &Shared, request: Request) -> Result<Response> {
    let path = request.uri().path().to_owned();
    let is_change = request.method() == Method::PATCH && path.ends_with("/scale");
    if is_change {
        let write = shared.writes.lock().expect("no holder panics").pop();
        if let Some(write) = write {
            let name = path.split('/').nth_back(1).context("a scale of something")?;
            shared.deployments.patch(name, &PatchParams::default(), &Patch::Merge(write)).await?;
        }
    }
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(HOST);
    parts.headers.remove(AUTHORIZATION);
    let body = kube::client::Body::from(to_bytes(body, usize::MAX).await?);
    let answer = shared.client.send(Request::from_parts(parts, body)).await?;
    if is_change {
        shared.answers.lock().expect("no holder panics").push(answer.status().as_u16());
    }
    Ok(answer.map(Body::new))
}
