//! One server, shared by all jobs: a query that several of them ask is asked once, and its trouble is said once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, info, warn};

use super::answer::Series;
use super::client::{Answered, Client};
use super::error::PrometheusError;
use super::queries::{Queries, Whose};
use crate::model::{Answer, Timestamp};
use crate::observe::Within;
use crate::policy::{Policy, PrometheusRef};

/// What nobody has asked for so long is forgotten: longer than any poll.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// One Prometheus; clones share what it answered.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    queries: HashMap<String, Asked>,
    /// What is the matter with the server itself, once it was said.
    trouble: Option<&'static str>,
}

struct Asked {
    /// When the last attempt began.
    begun: Instant,
    is_under_way: bool,
    wanted: Instant,
    answer: watch::Sender<Option<Reply>>,
    trouble: Option<&'static str>,
}

/// What came of a query, with what tells its series apart.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// As [`Answer::at`].
    pub(super) at: Timestamp,
    pub(super) series: Result<Arc<[Series]>, String>,
}

impl From<Reply> for Answer {
    fn from(Reply { at, series }: Reply) -> Self {
        Self { at, values: series.map(|series| series.iter().map(|series| series.value).collect()) }
    }
}

impl Server {
    /// Reads the files that `server` names; connects to nothing yet.
    ///
    /// # Errors
    /// When the URL, a header or one of the files cannot be used.
    pub fn new(server: &PrometheusRef) -> Result<Self, PrometheusError> {
        Self::within(server, &Within::default())
    }

    fn within(server: &PrometheusRef, within: &Within) -> Result<Self, PrometheusError> {
        let client = Client::new(server, within)?;
        Ok(Self { inner: Arc::new(Inner { client, known: Mutex::default() }) })
    }

    /// The server's URL, without a slash at its end.
    pub fn url(&self) -> &str {
        self.inner.client.url()
    }

    /// How many series answer a query, asked just for this.
    pub(super) async fn answers(&self, query: &str) -> Result<usize, PrometheusError> {
        self.inner.client.ask(query).await.map(|answered| answered.series.len())
    }

    /// Whether the server's parser takes a query.
    ///
    /// # Errors
    /// What it says, or why it says nothing.
    pub async fn parses(&self, query: &str) -> Result<(), PrometheusError> {
        self.inner.client.parses(query).await
    }

    /// The answer to a query: one that is younger than `window`, or a new one, which is waited for no longer than
    /// `patience`. What comes later is there for who asks next; until then the one before it is given. `None` when there has
    /// been none.
    pub(super) async fn reply(
        &self,
        query: &str,
        window: Duration,
        patience: Duration,
        now: fn() -> Timestamp,
    ) -> Option<Reply> {
        let (mut answer, is_under_way) = self.begin(query, window, now);
        if is_under_way {
            // Its end is what is waited for; without it, what there was before is all there is.
            let _ = timeout(patience, answer.changed()).await;
        }
        answer.borrow().clone()
    }

    /// Begins an attempt where one is due; whether one is under way.
    fn begin(
        &self,
        query: &str,
        window: Duration,
        now: fn() -> Timestamp,
    ) -> (watch::Receiver<Option<Reply>>, bool) {
        let mut known = self.known();
        let at = Instant::now();
        known.queries.retain(|_, asked| asked.is_under_way || at - asked.wanted < FORGOTTEN_AFTER);
        let asked = known.queries.get_mut(query);
        let is_due = asked.as_ref().is_none_or(|asked| !asked.is_under_way && at - asked.begun >= window);
        let asked = match asked {
            Some(asked) => asked,
            None => known.queries.entry(query.to_owned()).or_insert_with(|| Asked {
                begun: at,
                is_under_way: false,
                wanted: at,
                answer: watch::Sender::new(None),
                trouble: None,
            }),
        };
        asked.wanted = at;
        let answer = asked.answer.subscribe();
        if is_due {
            (asked.begun, asked.is_under_way) = (at, true);
            let (server, query) = (self.clone(), query.to_owned());
            // Within the cycle that asks, whoever else may wait for it.
            tokio::spawn(
                async move {
                    let answered = server.inner.client.ask(&query).await;
                    server.finish(&query, answered, now());
                }
                .in_current_span(),
            );
        }
        (answer, asked.is_under_way)
    }

    fn finish(&self, query: &str, answered: Result<Answered, PrometheusError>, now: Timestamp) {
        let mut known = self.known();
        self.say(&mut known, query, answered.as_ref().err());
        let Some(asked) = known.queries.get_mut(query) else { return };
        asked.is_under_way = false;
        let answer = match answered {
            Ok(Answered { series, age }) => Reply { at: now - age, series: Ok(series.into()) },
            Err(error) => Reply { at: now, series: Err(error.to_string()) },
        };
        asked.answer.send_replace(Some(answer));
    }

    /// Each trouble is said once when it begins, and once when it is over.
    fn say(&self, known: &mut Known, query: &str, error: Option<&PrometheusError>) {
        let server = self.url();
        let Known { queries, trouble } = known;
        let of_the_query = &mut queries.get_mut(query).map(|asked| &mut asked.trouble);
        match error {
            Some(error) if error.is_of_the_server() => {
                if trouble.replace(error.kind()) != Some(error.kind()) {
                    warn!(server, "no numbers from Prometheus: {error}; rules that ask it are silent");
                }
            }
            error => {
                if trouble.take().is_some() {
                    info!(server, "Prometheus answers again");
                }
                let Some(of_the_query) = of_the_query else { return };
                let before = std::mem::replace(*of_the_query, error.map(PrometheusError::kind));
                match error {
                    Some(error) if before != Some(error.kind()) => {
                        warn!(
                            server,
                            query, "no number from a query: {error}; the rule that asks it is silent"
                        );
                    }
                    None if before.is_some() => info!(server, query, "the query is answered again"),
                    _ => {}
                }
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One [`Server`] for each that is named, however many jobs ask it.
#[derive(Default)]
pub struct Servers {
    within: Within,
    made: Vec<(PrometheusRef, Server)>,
}

impl Servers {
    /// None yet; the files that they name lie `within` a folder.
    pub fn within(within: Within) -> Self {
        Self { within, made: Vec::new() }
    }

    /// The server that is named so.
    ///
    /// # Errors
    /// As [`Server::new`].
    pub fn of(&mut self, named: &PrometheusRef) -> Result<Server, PrometheusError> {
        if let Some((_, server)) = self.made.iter().find(|(made, _)| made == named) {
            return Ok(server.clone());
        }
        let server = Server::within(named, &self.within)?;
        self.made.push((named.clone(), server.clone()));
        Ok(server)
    }

    /// The queries of a policy to the server that is named, if there are any.
    ///
    /// # Errors
    /// As [`Server::new`].
    pub fn queries(
        &mut self,
        named: Option<&PrometheusRef>,
        policy: &Policy,
        whose: Whose,
    ) -> Result<Option<Queries>, PrometheusError> {
        let server = named.map(|named| self.of(named)).transpose()?;
        Ok(server.and_then(|server| Queries::new(server, policy, whose)))
    }

    /// Forgets the servers that nobody names any more.
    pub fn keep<'a>(&mut self, used: impl Iterator<Item = &'a PrometheusRef>) {
        let used: Vec<&PrometheusRef> = used.collect();
        self.made.retain(|(made, _)| used.contains(&made));
    }
}
