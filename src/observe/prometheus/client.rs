//! One query: bounded in time, in size and in how many are under way.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};
use prometheus_http_query::Client as Api;
use prometheus_http_query::Error as ApiError;
use reqwest::header::{AUTHORIZATION, DATE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode, Url};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::connection::{Connection, Credentials, Files, SetupError, base_url};
use super::super::traffic::PROMETHEUS;
use super::answer::{self, MOST_SERIES, Numbers, Series};
use super::error::PrometheusError;
use super::fault::{self, Sends};
use crate::model::Timestamp;
use crate::observe::Within;
use crate::policy::PrometheusRef;

/// Queries a second to one server: 1,000 jobs of one query at the default poll. It is there to bound what a fault of ours
/// could do.
const QUERIES_PER_SECOND: NonZeroU32 = NonZeroU32::new(200).expect("not zero");

/// Queries under way at once: half of what Prometheus carries out at a time (`--query.max-concurrency`, 20), so that
/// others get their turn too.
const AT_ONCE: usize = 10;

/// The largest answer that is read: a thousand series of labels of 2 KiB.
const MOST_BYTES: usize = 2 << 20;

/// A client of one server.
pub(super) struct Client {
    /// Without a slash at its end.
    url: String,
    timeout: Duration,
    sends: Sends,
    headers: HeaderMap,
    connection: Connection,
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
    turns: Semaphore,
}

/// An answer, and how old it was when it came.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answered {
    pub(super) series: Vec<Series>,
    pub(super) age: Duration,
}

impl Client {
    /// Reads the files that `server` names, which lie `within` a folder; connects to nothing yet.
    pub(super) fn new(server: &PrometheusRef, within: &Within) -> Result<Self, SetupError> {
        let (credentials, sends) = match (&server.token_file, &server.basic_auth_file) {
            (Some(token), _) => (Some(Credentials::Token(token)), Sends::Token),
            (None, Some(basic)) => (Some(Credentials::Basic(basic)), Sends::Password),
            (None, None) => (None, Sends::Nothing),
        };
        let files = Files {
            part: "prometheus",
            within,
            ca: server.ca_file.as_ref(),
            client_cert: server.client_cert_file.as_ref(),
            credentials,
        };
        let (url, https) = base_url("prometheus", &server.url, "http://HOST:PORT or https://HOST:PORT")?;
        let headers = server.headers.iter().map(|(name, value)| header(name, value));
        Ok(Self {
            url,
            timeout: server.timeout.get(),
            sends,
            headers: headers.collect::<Result<_, _>>()?,
            connection: Connection::new(&files, https, Duration::ZERO)?,
            limiter: DefaultDirectRateLimiter::direct(Quota::per_second(QUERIES_PER_SECOND)),
            clock: DefaultClock::default(),
            turns: Semaphore::new(AT_ONCE),
        })
    }

    /// The server's URL, without a slash at its end.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Asks for the numbers of a query.
    pub(super) async fn ask(&self, query: &str) -> Result<Answered, PrometheusError> {
        let deadline = Instant::now() + self.timeout;
        let timed_out = || PrometheusError::TimedOut { url: self.url.clone(), after: self.timeout };
        let answered = timeout_at(deadline, async {
            let _turn = self.turns.acquire().await.map_err(|_| timed_out())?;
            while let Err(not_yet) = self.limiter.check() {
                sleep(not_yet.wait_time_from(self.clock.now())).await;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            self.read(self.send(query, left).await?).await
        });
        PROMETHEUS.count(answered.await.unwrap_or_else(|_| Err(timed_out())))
    }

    /// Whether the server's parser takes a query. Prometheus has a path of its own for that; others carry the query out.
    pub(super) async fn parses(&self, query: &str) -> Result<(), PrometheusError> {
        let url = format!("{}/api/v1/format_query", self.url);
        let mut url = Url::parse(&url)
            .map_err(|error| PrometheusError::Unreachable { url, what: error.to_string() })?;
        url.query_pairs_mut().append_pair("query", query);
        let way = self.connection.way();
        let mut ask = way.http.get(url).headers(self.headers.clone()).timeout(self.timeout);
        if let Some(authorization) = way.authorization {
            ask = ask.header(AUTHORIZATION, authorization);
        }
        let failed = |error: &reqwest::Error| fault::transport(&self.url, self.timeout, error);
        let mut response = ask.send().await.map_err(|error| failed(&error))?;
        let (status, body) = (response.status(), self.body(&mut response).await?);
        if status.is_success() {
            return Ok(());
        }
        match answer::error(&body) {
            Some(said) if status == StatusCode::BAD_REQUEST => {
                Err(PrometheusError::Refused { url: self.url.clone(), said })
            }
            _ => match self.ask(query).await {
                // What cannot be carried out has been understood.
                Err(PrometheusError::Refused { said, .. }) if !said.contains("pars") => Ok(()),
                Err(
                    PrometheusError::Warned { .. }
                    | PrometheusError::TooManySeries { .. }
                    | PrometheusError::NotANumber { .. },
                ) => Ok(()),
                answered => answered.map(drop),
            },
        }
    }

    /// Sends it, with the time that the server may take for it, and with no more series than are read.
    async fn send(&self, query: &str, left: Duration) -> Result<Response, PrometheusError> {
        let way = self.connection.way();
        let failed = |error: ApiError| match &error {
            ApiError::Client(client) => {
                let source = std::error::Error::source(client).and_then(|source| source.downcast_ref());
                source.map_or_else(
                    || PrometheusError::Unreachable { url: self.url.clone(), what: error.to_string() },
                    |source| fault::transport(&self.url, self.timeout, source),
                )
            }
            other => PrometheusError::Unreachable { url: self.url.clone(), what: other.to_string() },
        };
        let api = Api::from(way.http, &self.url).map_err(failed)?;
        let mut ask = api
            .query(query)
            .timeout(i64::try_from(left.as_millis()).unwrap_or(i64::MAX).max(1))
            .query("limit", MOST_SERIES + 1);
        for (name, value) in &self.headers {
            ask = ask.header(name.clone(), value.clone());
        }
        if let Some(authorization) = way.authorization {
            ask = ask.header(AUTHORIZATION, authorization);
        }
        // As a form: a query may be longer than a URL.
        ask.post_raw().await.map_err(failed)
    }

    async fn read(&self, mut response: Response) -> Result<Answered, PrometheusError> {
        let status = response.status();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).and_then(moment);
        let bytes = self.body(&mut response).await?;
        if !status.is_success() {
            return Err(fault::status(&self.url, status, &bytes, self.sends));
        }
        let Numbers { series, evaluated } = answer::read(&self.url, &bytes)?;
        Ok(Answered { series, age: age(date, evaluated) })
    }

    async fn body(&self, response: &mut Response) -> Result<Vec<u8>, PrometheusError> {
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > MOST_BYTES => {
                    let what = format!(
                        "the answer has more than {} MiB; aggregate, as in sum(...)",
                        MOST_BYTES >> 20
                    );
                    return Err(PrometheusError::NotUnderstood { url: self.url.clone(), what });
                }
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(bytes),
                Err(error) => return Err(fault::transport(&self.url, self.timeout, &error)),
            }
        }
    }
}

/// A cache on the way answers with what it has. How old that is both clocks of the server's side tell; ours may differ.
fn age(date: Option<Timestamp>, evaluated: Option<f64>) -> Duration {
    // The header has whole seconds.
    const COARSE: Duration = Duration::from_secs(2);
    let Some((date, evaluated)) = date.zip(evaluated) else { return Duration::ZERO };
    let seconds = date.as_millis() as f64 / 1e3 - evaluated;
    Duration::try_from_secs_f64(seconds).ok().filter(|age| *age > COARSE).unwrap_or_default()
}

/// A date as HTTP writes it, such as `Fri, 27 Nov 2026 01:24:15 GMT`.
fn moment(text: &str) -> Option<Timestamp> {
    let parsed = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::from_millis(parsed.timestamp().as_millisecond()))
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), SetupError> {
    let wrong =
        |what: &str| SetupError::Header { part: "prometheus", name: name.to_owned(), what: what.to_owned() };
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("this is no name of a header"))?;
    if parsed == AUTHORIZATION {
        return Err(wrong(
            "credentials belong into a file: prometheus.tokenFile or prometheus.basicAuthFile",
        ));
    }
    let value = HeaderValue::from_str(value)
        .map_err(|_| wrong("the value holds characters that no header may hold"))?;
    Ok((parsed, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_old_as_the_servers_own_clocks_say() {
        let date = moment("Fri, 27 Nov 2026 01:24:15 GMT");
        assert_eq!(date.map(|date| date.to_string()).as_deref(), Some("2026-11-27T01:24:15.000Z"));
        let seconds = date.map_or(0.0, |date| date.as_millis() as f64 / 1e3);
        for (date, evaluated, age_in_seconds) in [
            (date, Some(seconds - 0.9), 0),
            (date, Some(seconds + 5.0), 0),
            (date, Some(seconds - 300.0), 300),
            (date, Some(f64::NAN), 0),
            (date, None, 0),
            (None, Some(seconds - 300.0), 0),
        ] {
            assert_eq!(age(date, evaluated).as_secs(), age_in_seconds, "{date:?} {evaluated:?}");
        }
    }
}
