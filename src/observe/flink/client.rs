//! A client of one Flink REST endpoint that is gentle with it: kept-alive connections, limits of rate, time and size,
//! and retries of reads only.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Jitter, Quota};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::{Method, Response};
use tokio::time::{Instant, sleep, timeout_at};

use super::super::connection::{Connection, Credentials, Files, base_url};
use super::super::traffic::FLINK;
use super::error::{Asked, FlinkError};
use super::fault::{self, Sent};
use super::freshness::Freshness;
use super::wire::Answer;
use crate::observe::{Gate, Within};
use crate::policy::FlinkRef;

/// Requests a second to one endpoint. A JobManager answers several thousand; 1,500 jobs of one source at the default poll
/// send 450. It is there to bound what a fault of ours could do.
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(500).expect("not zero");

/// How often a read is asked again. A leader election or a pod that is being replaced takes longer than any retry would;
/// these are for the one connection that broke.
const RETRIES: u32 = 2;

/// Pause before the first retry; three times as long before the second. Up to as much again is added at random, so that
/// many jobs do not come back at once.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The largest answer that is read. `/jobs/:id` has about 1 KiB per vertex, a list of metrics 50 bytes per metric.
const MOST_BYTES: usize = 32 << 20;

/// A client of one Flink REST endpoint; clones share its connections and limits.
#[derive(Clone)]
pub struct FlinkClient {
    inner: Arc<Inner>,
}

struct Inner {
    /// Without a slash at its end.
    base: String,
    timeout: Duration,
    connection: Connection,
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
    freshness: Mutex<Freshness>,
    /// What is to be open before anything is changed.
    gate: Gate,
    /// What answers in place of a server.
    #[cfg(test)]
    played: Option<played::Played>,
}

impl FlinkClient {
    /// A client of the endpoint that `flink` names. Reads the files that it names; connects to nothing yet.
    ///
    /// # Errors
    /// When the URL or one of the files cannot be used.
    pub fn new(flink: &FlinkRef) -> Result<Self, FlinkError> {
        Self::gated(flink, Gate::OPEN, &Within::default())
    }

    /// The same, where nothing may be changed unless `gate` is open, and files lie `within` a folder.
    ///
    /// # Errors
    /// As for [`FlinkClient::new`].
    pub fn gated(flink: &FlinkRef, gate: Gate, within: &Within) -> Result<Self, FlinkError> {
        let files = Files {
            part: "flink",
            within,
            ca: flink.ca_file.as_ref(),
            client_cert: flink.client_cert_file.as_ref(),
            credentials: flink.token_file.as_ref().map(Credentials::Token),
        };
        let (base, https) = base_url("flink", &flink.url, "http://HOST:PORT or https://HOST:PORT")?;
        Ok(Self {
            inner: Arc::new(Inner {
                base,
                timeout: flink.timeout.get(),
                connection: Connection::new(&files, https, flink.poll.get() * 3)?,
                limiter: DefaultDirectRateLimiter::direct(Quota::per_second(REQUESTS_PER_SECOND)),
                clock: DefaultClock::default(),
                freshness: Mutex::new(Freshness::default()),
                gate,
                #[cfg(test)]
                played: None,
            }),
        })
    }

    /// The endpoint's URL, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.inner.base
    }

    /// The time limit of one request.
    pub fn timeout(&self) -> Duration {
        self.inner.timeout
    }

    /// Looks at, or changes, what is known of the age of Flink's metrics. Shared by all jobs of the endpoint, for they
    /// share its metric store.
    pub(super) fn freshness<T>(&self, with: impl FnOnce(&mut Freshness) -> T) -> T {
        with(&mut self.inner.freshness.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for something, and once or twice more when that is likely to help and there is time for it.
    pub(super) async fn get(&self, path: &str, until: Instant) -> Result<Body, FlinkError> {
        let started = Instant::now();
        // The pauses before a retry are on a real clock.
        #[cfg(test)]
        if self.inner.played.is_some() {
            return self.send(Method::GET, path, None, started, until).await;
        }
        let mut pause = RETRY_PAUSE;
        for _ in 0..RETRIES {
            match self.send(Method::GET, path, None, started, until).await {
                Err(error) if error.is_passing() => {
                    let pause_now = Jitter::up_to(pause) + pause;
                    if Instant::now() + pause_now >= until {
                        return Err(error);
                    }
                    tracing::debug!(%error, "asking again");
                    sleep(pause_now).await;
                    pause *= 3;
                }
                done => return done,
            }
        }
        self.send(Method::GET, path, None, started, until).await
    }

    /// Asks Flink to change something: once, whatever comes of it.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        until: Instant,
    ) -> Result<Body, FlinkError> {
        self.send(method, path, Some(body), Instant::now(), until).await
    }

    /// Whether something may be changed at present.
    pub fn may_change(&self) -> bool {
        self.inner.gate.is_open()
    }

    /// Waits, between two looks at the same.
    pub(crate) async fn pause(&self, length: Duration) {
        #[cfg(test)]
        if let Some(with) = &self.inner.played {
            return played::pause(with, length).await;
        }
        sleep(length).await;
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        started: Instant,
        until: Instant,
    ) -> Result<Body, FlinkError> {
        let asked = self.asked(&method, path);
        let deadline = until.min(Instant::now() + self.inner.timeout);
        // From the first time on that the same was asked.
        let after = deadline.saturating_duration_since(started);
        let has_certificate = self.inner.connection.has_certificate();
        let sent = Sent { asked, after, has_certificate };
        #[cfg(test)]
        if let Some(with) = &self.inner.played {
            return played::answer(with, sent, &method, body.as_deref()).await;
        }
        if !self.admitted(deadline).await {
            return Err(sent.timed_out());
        }
        let way = self.inner.connection.way();
        let mut request = way.http.request(method, &*sent.asked.url);
        if let Some(authorization) = way.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(body) = body {
            // After the rate limit, so that nothing comes between this look and the request.
            if !self.may_change() {
                return Err(FlinkError::NotLeading { asked: sent.asked });
            }
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let answer = async {
            match request.send().await {
                Ok(response) => read(sent.clone(), response).await,
                Err(error) => Err(fault::transport(sent.clone(), &error)),
            }
        };
        FLINK.count(timeout_at(deadline, answer).await.unwrap_or_else(|_| Err(sent.clone().timed_out())))
    }

    /// Waits for the rate limit; not beyond `deadline`.
    async fn admitted(&self, deadline: Instant) -> bool {
        while let Err(not_yet) = self.inner.limiter.check() {
            let wait = not_yet.wait_time_from(self.inner.clock.now());
            if Instant::now() + wait >= deadline {
                return false;
            }
            sleep(wait).await;
        }
        true
    }

    fn asked(&self, method: &Method, path: &str) -> Asked {
        let method = match *method {
            Method::PUT => "PUT",
            Method::POST => "POST",
            Method::PATCH => "PATCH",
            _ => "GET",
        };
        Asked { method, url: format!("{}{path}", self.inner.base).into() }
    }
}

/// The body of a successful answer.
#[derive(Debug)]
pub(super) struct Body {
    asked: Asked,
    bytes: Vec<u8>,
}

impl Body {
    /// What it says.
    pub(super) fn read<'a, T: Answer<'a>>(&'a self) -> Result<T, FlinkError> {
        T::read(&self.bytes)
            .map_err(|error| fault::unreadable(self.asked.clone(), &self.bytes, &error.to_string()))
    }

    /// An answer that says that something has not come about.
    pub(super) fn says(&self, what: String) -> FlinkError {
        FlinkError::NotUnderstood { asked: self.asked.clone(), what }
    }

    /// What it says, where anything else than that is not Flink.
    pub(super) fn read_first<'a, T: Answer<'a>>(&'a self) -> Result<T, FlinkError> {
        T::read(&self.bytes)
            .map_err(|error| fault::not_flink(self.asked.clone(), &self.bytes, &error.to_string()))
    }
}

async fn read(sent: Sent, mut response: Response) -> Result<Body, FlinkError> {
    let status = response.status();
    let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > MOST_BYTES => {
                let what = format!("more than {} MiB", MOST_BYTES >> 20);
                return Err(FlinkError::NotUnderstood { asked: sent.asked, what });
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) if status.is_success() => return Ok(Body { asked: sent.asked, bytes }),
            Ok(None) => return Err(fault::status(sent.asked, status, &bytes, location.as_deref())),
            Err(error) => return Err(fault::transport(sent, &error)),
        }
    }
}

#[cfg(test)]
pub(crate) mod played;
#[cfg(test)]
mod tests;
