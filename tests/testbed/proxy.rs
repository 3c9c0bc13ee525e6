//! A proxy in front of Flink that counts what passes and can get in its way.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, net::Ipv4Addr, net::SocketAddr};

use anyhow::Result;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::ports;

/// What the proxy does to the requests that come from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it passes them on.
    None,
    /// Passes them on, and holds the answers back for so long.
    Delay(Duration),
    /// Answers with this status and an error text of Flink's shape.
    Status(u16),
    /// Answers those that would change something with this status, and passes the others on.
    Refusal(u16),
    /// Passes them on and closes the connection instead of answering: whoever asked cannot know whether it was done.
    Cut,
    /// Does not listen, and cuts the connections that are open.
    Refuse,
}

/// The proxy; dropping it ends it.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
    server: Option<JoinHandle<()>>,
}

struct Shared {
    upstream: String,
    http: reqwest::Client,
    fault: Mutex<Fault>,
    requests: Mutex<Vec<(Method, String)>>,
    connections: AtomicUsize,
}

impl Shared {
    fn fault(&self) -> Fault {
        *self.fault.lock().expect("no holder panics")
    }
}

impl Proxy {
    /// Starts a proxy to the server at `upstream`.
    pub async fn start(upstream: &str) -> Result<Self> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            http: reqwest::Client::new(),
            fault: Mutex::new(Fault::None),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let mut proxy = Self { shared, port: ports::free()?, server: None };
        proxy.listen().await?;
        Ok(proxy)
    }

    /// Where it listens, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes what it does from now on.
    pub async fn set(&mut self, fault: Fault) -> Result<()> {
        *self.shared.fault.lock().expect("no holder panics") = fault;
        if fault == Fault::Refuse {
            if let Some(server) = self.server.take() {
                server.abort();
                // It was told to end: that it did not end by itself is no error.
                server.await.ok();
            }
            Ok(())
        } else {
            self.listen().await
        }
    }

    /// The requests so far, in order: method, and path with its query. Those that it did not pass on count too.
    pub fn requests(&self) -> Vec<(Method, String)> {
        self.shared.requests.lock().expect("no holder panics").clone()
    }

    /// How many connections clients have opened so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Forgets what was counted.
    pub fn reset(&self) {
        self.shared.requests.lock().expect("no holder panics").clear();
        self.shared.connections.store(0, Ordering::Relaxed);
    }

    async fn listen(&mut self) -> Result<()> {
        if self.server.is_none() {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
            let counted = Counted { listener, shared: Arc::clone(&self.shared) };
            let router = Router::new().fallback(pass_on).with_state(Arc::clone(&self.shared));
            self.server = Some(tokio::spawn(async move {
                // It serves until it is aborted.
                axum::serve(counted, router).await.ok();
            }));
        }
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    shared.requests.lock().expect("no holder panics").push((request.method().clone(), path.clone()));
    let status = match shared.fault() {
        Fault::Status(status) => Some(status),
        Fault::Refusal(status) if request.method() != Method::GET => Some(status),
        _ => None,
    };
    if let Some(status) = status {
        let status = StatusCode::from_u16(status).expect("tests give statuses that exist");
        return (status, r#"{"errors":["Service temporarily unavailable."]}"#).into_response();
    }
    let answer = forward(&shared, &path, request).await;
    if let Fault::Delay(delay) = shared.fault() {
        tokio::time::sleep(delay).await;
    }
    answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response())
}

async fn forward(shared: &Shared, path: &str, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await?;
    let mut upstream = shared.http.request(parts.method, format!("{}{path}", shared.upstream)).body(body);
    if let Some(kind) = parts.headers.get("content-type") {
        upstream = upstream.header("content-type", kind);
    }
    let answer = upstream.send().await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    if let Some(kind) = answer.headers().get("content-type") {
        response.headers_mut().insert("content-type", kind.clone());
    }
    *response.body_mut() = Body::from(answer.bytes().await?);
    Ok(response)
}

/// A listener that counts the connections it takes in.
struct Counted {
    listener: TcpListener,
    shared: Arc<Shared>,
}

impl Listener for Counted {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
        (Wire { stream, shared: Arc::clone(&self.shared) }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A client's connection, which breaks as the fault says: where an answer would be written, or at once.
struct Wire {
    stream: TcpStream,
    shared: Arc<Shared>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.shared.fault() == Fault::Refuse {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if matches!(self.shared.fault(), Fault::Cut | Fault::Refuse) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
