//! Whether the daemon lives, and whether it is ready, for the probes of its own pod; and its metrics, on the same port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use axum::{Router, serve};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::metrics::Metrics;

/// The loop turns at least once a second; one that has not for so long never will.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// What probes ask for.
#[derive(Debug)]
pub(super) struct Health {
    metrics: Arc<Metrics>,
    turned: Mutex<Instant>,
    ready: AtomicBool,
}

impl Health {
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { metrics, turned: Mutex::new(Instant::now()), ready: AtomicBool::new(false) })
    }

    /// The loop has turned.
    pub(super) fn beat(&self) {
        *self.turned.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// What there is has been seen.
    pub(super) fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    fn is_alive(&self) -> bool {
        self.turned.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < DEAD_AFTER
    }

    /// Listens; answers are given by what this returns.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub(super) async fn listen(
        self: Arc<Self>,
        address: SocketAddr,
    ) -> io::Result<(SocketAddr, impl Future<Output = io::Result<()>> + Send + 'static)> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self);
        Ok((address, serve(listener, router).into_future()))
    }
}

async fn healthz(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    answer(health.is_alive(), "the loop has not turned for 30 s\n")
}

async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    let what = "what there is to be looked after has not been seen yet\n";
    answer(health.ready.load(Ordering::Acquire) && health.is_alive(), what)
}

async fn metrics(State(health): State<Arc<Health>>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], health.metrics.text())
}

fn answer(is_well: bool, what: &'static str) -> (StatusCode, &'static str) {
    if is_well { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, what) }
}
