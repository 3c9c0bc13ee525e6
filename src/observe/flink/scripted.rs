//! A server of scripted answers, for the tests of what a real Flink does not do on demand.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::policy::{FlinkRef, Span};

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// This status and body.
    Status(u16, String),
    /// A redirection to this place.
    Redirect(&'static str),
    /// These bytes, whatever they are, and the end of the connection.
    Bytes(Vec<u8>),
    /// The same, but later.
    Late(Duration, Box<Reply>),
    /// One after the other, the last one again and again.
    Turns(Vec<Reply>),
}

impl Reply {
    /// 200 with this body.
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self::Status(200, body.into())
    }

    /// An error in Flink's own form.
    pub(crate) fn error(status: u16, texts: &[&str]) -> Self {
        Self::Status(status, serde_json::json!({ "errors": texts }).to_string())
    }

    /// The end of the connection, in place of an answer.
    pub(crate) fn cut() -> Self {
        Self::Bytes(Vec::new())
    }

    fn next(&mut self) -> Self {
        match self {
            Self::Turns(turns) if turns.len() > 1 => turns.remove(0),
            Self::Turns(turns) => turns[0].clone(),
            other => other.clone(),
        }
    }
}

/// A request as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// Method, path and query.
    pub(crate) line: String,
    /// The header.
    pub(crate) authorization: Option<String>,
    /// The header `X-Scope-OrgID`.
    pub(crate) tenant: Option<String>,
    /// The body.
    pub(crate) body: String,
}

/// A server whose answers a test sets, by `METHOD /path?query`.
pub(crate) struct Scripted {
    url: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    replies: Mutex<BTreeMap<String, Reply>>,
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
}

impl Scripted {
    /// A server without answers: 404 as Flink says it.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same over TLS.
    pub(crate) async fn start_tls(tls: rustls::ServerConfig) -> Self {
        Self::start_with(Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    /// A server that answers as a recorded Flink of this version, with the job of `job-running.json`.
    pub(crate) async fn recorded(version: &str) -> Self {
        let server = Self::start().await;
        let job = recorded_job(version);
        for (path, file) in [
            ("/config", "config"),
            ("/overview", "overview"),
            ("/jobs/overview", "jobs-overview"),
            (&format!("/jobs/{job}"), "job-running"),
            (&format!("/jobs/{job}/status"), "job-status"),
            (&format!("/jobs/{job}/metrics?get=numRestarts"), "job-metrics"),
        ] {
            server.set(&format!("GET {path}"), Reply::ok(fixture(version, file)));
        }
        let source = format!("GET /jobs/{job}/vertices/{}/subtasks/metrics", recorded_source(version));
        server.set(&source, Reply::ok(fixture(version, "source-metrics")));
        let sum = format!("{source}?get=Source__source.pendingRecords&agg=sum");
        server.set(&sum, Reply::ok(fixture(version, "source-pending-sum")));
        let settings = r#"[{"key":"jobmanager.scheduler","value":"adaptive"},{"key":"metrics.fetcher.update-interval","value":"1 ms"}]"#;
        server.set("GET /jobmanager/config", Reply::ok(settings));
        server
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let state = Arc::new(State::default());
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&state)));
        Self { url: format!("{scheme}://localhost:{port}"), state, task }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Settings that name it, with a poll and a time limit that suit tests.
    pub(crate) fn flink(&self) -> FlinkRef {
        FlinkRef {
            url: self.url.clone(),
            poll: Span::from_millis(40),
            timeout: Span::from_millis(2000),
            ..FlinkRef::default()
        }
    }

    /// Sets the answer to `METHOD /path?query`.
    pub(crate) fn set(&self, line: &str, reply: Reply) {
        lock(&self.state.replies).insert(line.to_owned(), reply);
    }

    /// Sets the answer to everything.
    pub(crate) fn set_all(&self, reply: Reply) {
        lock(&self.state.replies).clear();
        self.set("", reply);
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut lock(&self.state.requests))
    }

    /// Their first lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.line).collect()
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer that a real Flink of this version gave.
pub(crate) fn fixture(version: &str, name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/flink").join(version);
    let path = folder.join(format!("{name}.json"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The versions of which there are recordings.
pub(crate) const VERSIONS: [&str; 8] =
    ["1.17.2", "1.18.1", "1.19.3", "1.20.5", "2.0.2", "2.1.3", "2.2.1", "2.3.0"];

/// The id of the recorded job.
pub(crate) fn recorded_job(version: &str) -> String {
    value(version)["jid"].as_str().expect("an id").to_owned()
}

fn recorded_source(version: &str) -> String {
    let job = value(version);
    let vertices = job["vertices"].as_array().expect("vertices");
    let source = vertices.iter().find(|vertex| vertex["name"] == "Source: source").expect("a source");
    source["id"].as_str().expect("an id").to_owned()
}

fn value(version: &str) -> serde_json::Value {
    serde_json::from_str(&fixture(version, "job-running")).expect("json")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        state.connections.fetch_add(1, Ordering::Relaxed);
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            // A client that goes away, or is sent away, is a part of the test.
            let _ended: io::Result<()> = match tls {
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream, &state).await,
                    Err(error) => Err(error),
                },
                None => serve(stream, &state).await,
            };
        });
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &State) -> io::Result<()> {
    while let Some(request) = read(&mut stream).await? {
        let mut reply = {
            let mut replies = lock(&state.replies);
            let exact = replies.contains_key(&request.line);
            match replies.get_mut(if exact { &*request.line } else { "" }) {
                Some(reply) => reply.next(),
                None => Reply::error(404, &["Unable to load requested file."]),
            }
        };
        lock(&state.requests).push(request);
        while let Reply::Late(delay, then) = reply {
            tokio::time::sleep(delay).await;
            reply = *then;
        }
        let (status, header, body) = match reply {
            Reply::Bytes(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Reply::Redirect(to) => (302, format!("location: {to}\r\n"), String::new()),
            Reply::Status(status, body) => (status, String::new(), body),
            Reply::Late(..) | Reply::Turns(_) => unreachable!("unwrapped above"),
        };
        // In one piece: in two, the second would wait for the acknowledgement of the first.
        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{header}\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        // Not HTTP at all, but the beginning of TLS.
        if bytes[0] == 0x16 {
            return Ok(Some(Request::default()));
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let header = |name: &str| {
        let mut headers = head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(Request { line, authorization: header("authorization"), tenant: header("x-scope-orgid"), body }))
}
