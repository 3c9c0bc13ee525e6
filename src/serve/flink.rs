//! The simulated Flink on a real port: whatever speaks to Flink's REST API can speak to it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Router, serve};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::model::Timestamp;
use crate::simulate::Simulation;
use crate::simulate::rest::{self, Answer};

/// A body larger than this is none that Flink's API knows a use for.
const LARGEST_BODY: usize = 1 << 20;

/// While nothing gets through to the simulated JobManager, it is looked this often whether something does again.
const PATIENCE: Duration = Duration::from_millis(20);

/// How the virtual clock goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// By the clock on the wall, so many times as fast. Must be finite and above 0.
    Times(f64),
    /// Only as far as somebody advances it.
    Manual,
}

/// A simulated Flink that is served; shared by those who answer requests and those who watch.
#[derive(Debug)]
pub struct FlinkServer {
    simulation: Mutex<Simulation>,
    pace: Pace,
    /// Where the two clocks met.
    origin: (Instant, Timestamp),
    closing: AtomicBool,
}

impl FlinkServer {
    /// Takes a simulation as it is now.
    pub fn new(simulation: Simulation, pace: Pace) -> Arc<Self> {
        let origin = (Instant::now(), simulation.now());
        Arc::new(Self { simulation: Mutex::new(simulation), pace, origin, closing: AtomicBool::new(false) })
    }

    /// Looks at the simulation, or does something to it, brought up to the present first.
    pub fn with<T>(&self, what: impl FnOnce(&mut Simulation) -> T) -> T {
        // Whoever panicked while holding it left a simulation that is still consistent: steps are not interrupted halfway
        // by anything but a bug in the model itself.
        let mut simulation = self.simulation.lock().unwrap_or_else(PoisonError::into_inner);
        if let Pace::Times(factor) = self.pace {
            let (began, start) = self.origin;
            simulation.advance_to(start + began.elapsed().mul_f64(factor));
        }
        what(&mut simulation)
    }

    /// Answers requests on this socket until `until` is ready.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        until: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let router = Router::new().fallback(answer).with_state(Arc::clone(&self));
        let closed = async move {
            until.await;
            // Requests that wait for a fault to pass must not keep the server.
            self.closing.store(true, Ordering::Relaxed);
        };
        serve(listener, router).with_graceful_shutdown(closed).await
    }

    /// What Flink would answer, and when: it waits while nothing gets through, and as long as a slow one takes.
    async fn answer(&self, request: rest::Request<'_>) -> Option<Answer> {
        loop {
            let (answer, delay) = self.with(|flink| (flink.answer(request), flink.delay_ms()));
            match answer {
                Some(answer) => {
                    if let Pace::Times(factor) = self.pace {
                        sleep(Duration::from_millis(delay).div_f64(factor)).await;
                    }
                    return Some(answer);
                }
                None if self.closing.load(Ordering::Relaxed) => return None,
                None => sleep(PATIENCE).await,
            }
        }
    }
}

async fn answer(State(flink): State<Arc<FlinkServer>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let request = rest::Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        body: &body,
    };
    let Some(Answer { status, body }) = flink.answer(request).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, "application/json; charset=UTF-8")], Body::from(body.to_string()))
        .into_response()
}
