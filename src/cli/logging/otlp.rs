//! Traces by OTLP, as JSON over HTTP: each cycle with what was done in it, to the collector that is named.
//!
//! Comes in: spans, as they end. Goes out: batches of them, from a thread of their own. This must never hold up a cycle: what a
//! collector does not take in time is dropped, and that is said. The form is written here (it is one object of a dozen fields,
//! and stable): the SDK brings some forty crates for it, gRPC's and protobuf's among them.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tracing::span::{Attributes, Id, Record};
use tracing::{Subscriber, info, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::json::Fields;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::run::runtime;
use crate::daemon::{TRACE_ID, clock};

/// Spans that wait to be sent: those of some seconds of a thousand jobs.
const WAITING: usize = 16_384;

/// Spans of one request; the SDKs' own.
const BATCH: usize = 512;

/// A batch that is not full goes after this long; the SDKs' own.
const EVERY: Duration = Duration::from_secs(5);

/// The time of one request, and for sending the rest at the end; the SDKs' own for a request is 10 s.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where traces go.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Traces")]
pub(in crate::cli) struct TracesArgs {
    /// Where traces of the cycles are sent, by OTLP as JSON over HTTP: a collector's port 4318, as in `http://collector:4318`
    #[arg(long = "otlp-endpoint", value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    endpoint: Option<String>,
    /// Headers of those requests, NAME=VALUE, separated by commas
    #[arg(
        long = "otlp-headers",
        value_name = "HEADERS",
        env = "OTEL_EXPORTER_OTLP_HEADERS",
        hide_env_values = true
    )]
    headers: Option<String>,
    /// The name of this service in traces
    #[arg(long = "otlp-service", value_name = "NAME", env = "OTEL_SERVICE_NAME", default_value = "tidegate")]
    service: String,
}

/// Begins, where a collector is named.
pub(super) fn start(args: &TracesArgs) -> Result<Option<(Traces, Sending)>, Failure> {
    let Some(endpoint) = args.endpoint.as_ref().filter(|endpoint| !endpoint.is_empty()) else {
        return Ok(None);
    };
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let url: Url =
        url.parse().with_context(|| format!("--otlp-endpoint {endpoint:?}")).or_exit(Exit::Usage)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(anyhow!("--otlp-endpoint {endpoint:?}: expected http://HOST:PORT")).or_exit(Exit::Usage);
    }
    let headers = headers(args.headers.as_deref().unwrap_or_default()).or_exit(Exit::Usage)?;
    rustls::crypto::ring::default_provider().install_default().ok();
    let http = Client::builder().timeout(TIMEOUT).default_headers(headers).build();
    let http = http.context("traces cannot be sent").or_exit(Exit::Failed)?;
    let runtime = runtime()?;
    let (sender, receiver) = mpsc::sync_channel(WAITING);
    let collector = Collector { url, http, service: args.service.clone(), is_away: false };
    thread::Builder::new()
        .name("otlp".to_owned())
        .spawn(move || runtime.block_on(collector.send_all(&receiver)))
        .context("traces cannot be sent")
        .or_exit(Exit::Failed)?;
    let traces = Traces {
        sender: sender.clone(),
        seed: RandomState::new(),
        count: AtomicU64::new(0),
        lost: AtomicU64::new(0),
    };
    Ok(Some((traces, Sending(Mutex::new(sender)))))
}

fn headers(text: &str) -> Result<HeaderMap, anyhow::Error> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let header = |pair: &str| {
        // Never its value: it may be a key.
        let (name, value) =
            pair.split_once('=').context("OTEL_EXPORTER_OTLP_HEADERS: expected NAME=VALUE")?;
        let name: HeaderName = name.trim().parse().with_context(|| format!("OTLP header {name:?}"))?;
        let value = HeaderValue::from_str(value.trim())
            .with_context(|| format!("the value of the OTLP header {name}"))?;
        Ok((name, value))
    };
    pairs.map(header).collect()
}

/// What goes to the thread that sends.
enum Message {
    Span(Value),
    /// All that is there is to be sent now.
    Flush(SyncSender<()>),
}

/// As long as it is there, traces are sent; when it is dropped, the last of them are.
pub(in crate::cli) struct Sending(Mutex<SyncSender<Message>>);

impl Drop for Sending {
    fn drop(&mut self) {
        let (done, is_done) = mpsc::sync_channel(1);
        if let Ok(sender) = self.0.lock()
            && sender.try_send(Message::Flush(done)).is_ok()
        {
            // A collector that does not answer keeps nobody.
            let _ = is_done.recv_timeout(TIMEOUT);
        }
    }
}

/// Hands over each span of a trace when it ends.
pub(super) struct Traces {
    sender: SyncSender<Message>,
    seed: RandomState,
    count: AtomicU64,
    lost: AtomicU64,
}

/// What a span knows of itself until it ends.
struct Open {
    trace: Option<String>,
    id: u64,
    parent: Option<u64>,
    /// Nanoseconds since 1970.
    began: u64,
    begun: Instant,
    fields: Map<String, Value>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Traces {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Map::new();
        attributes.record(&mut Fields(&mut fields));
        let own = fields.remove(TRACE_ID).and_then(|id| id.as_str().map(str::to_owned));
        let mut around = None;
        if let Some(parent) = span.parent()
            && let Some(open) = parent.extensions().get::<Open>()
        {
            match (&own, &open.trace) {
                // It begins a trace: what it is within, which does not end, has its fields there.
                (Some(_), None) => {
                    let outer = open.fields.clone();
                    fields = outer.into_iter().chain(std::mem::take(&mut fields)).collect();
                }
                _ => around = Some((open.trace.clone(), open.id)),
            }
        }
        let (outer, parent) = around.map_or((None, None), |(trace, id)| (trace, Some(id)));
        let id = self.seed.hash_one(self.count.fetch_add(1, Ordering::Relaxed)).max(1);
        let began = u64::try_from(clock::now().as_millis()).unwrap_or(0) * 1_000_000;
        let open = Open { trace: own.or(outer), id, parent, began, begun: Instant::now(), fields };
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(&mut Fields(&mut open.fields));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let Some(object) = object(span.name(), open) else { return };
        if self.sender.try_send(Message::Span(object)).is_err() {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                warn!(lost, "traces are lost: the collector takes them too slowly");
            }
        }
    }
}

/// A span in OTLP's form; `None` of one that is in no trace.
fn object(name: &str, open: Open) -> Option<Value> {
    let Open { trace, id, parent, began, begun, fields } = open;
    let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(0);
    let is_bad = matches!(fields.get("outcome").and_then(Value::as_str), Some("Failed" | "RolledBack"));
    let mut object = json!({
        "traceId": trace?,
        "spanId": format!("{id:016x}"),
        "name": name,
        // INTERNAL
        "kind": 1,
        "startTimeUnixNano": began.to_string(),
        "endTimeUnixNano": (began + took).to_string(),
        "attributes": attributes(&fields),
        // OK is nobody's to say but the user's: unset, or an error.
        "status": {"code": if is_bad { 2 } else { 0 }},
    });
    if let Some(parent) = parent {
        object["parentSpanId"] = format!("{parent:016x}").into();
    }
    Some(object)
}

fn attributes(fields: &Map<String, Value>) -> Vec<Value> {
    let value = |value: &Value| match value {
        Value::Bool(value) => json!({"boolValue": value}),
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        // 64 bits are written as text, as protobuf's JSON has them.
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::String(text) => json!({"stringValue": text}),
        other => json!({"stringValue": other.to_string()}),
    };
    fields.iter().map(|(key, of)| json!({"key": key, "value": value(of)})).collect()
}

struct Collector {
    url: Url,
    http: Client,
    service: String,
    is_away: bool,
}

impl Collector {
    /// Sends what comes until nothing can come any more.
    async fn send_all(mut self, receiver: &Receiver<Message>) {
        let mut batch = Vec::new();
        let mut due = Instant::now() + EVERY;
        loop {
            let left = due.saturating_duration_since(Instant::now());
            let flushed = match receiver.recv_timeout(left) {
                Ok(Message::Span(span)) => {
                    batch.push(span);
                    if batch.len() < BATCH {
                        continue;
                    }
                    None
                }
                Ok(Message::Flush(done)) => Some(done),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if !batch.is_empty() {
                self.send(std::mem::take(&mut batch)).await;
            }
            due = Instant::now() + EVERY;
            if let Some(done) = flushed {
                let _ = done.try_send(());
            }
        }
    }

    /// Its trouble is said once when it begins, and once when it is over; what was to be sent is lost.
    async fn send(&mut self, spans: Vec<Value>) {
        let scope = json!({"name": "tidegate", "version": env!("CARGO_PKG_VERSION")});
        let name = json!([{"key": "service.name", "value": {"stringValue": self.service}}]);
        let body = json!({"resourceSpans": [{
            "resource": {"attributes": name},
            "scopeSpans": [{"scope": scope, "spans": spans}],
        }]});
        let ask =
            self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body.to_string());
        let trouble = match ask.send().await {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(response.status().to_string()),
            Err(error) => Some(anyhow!(error).root_cause().to_string()),
        };
        let collector = self.url.as_str();
        let was_away = std::mem::replace(&mut self.is_away, trouble.is_some());
        match trouble {
            Some(trouble) if !was_away => {
                warn!(collector, "traces are lost: the collector does not take them: {trouble}");
            }
            None if was_away => info!(collector, "the collector takes traces again"),
            _ => {}
        }
    }
}
