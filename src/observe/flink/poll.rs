//! One poll of one job.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::join::join_all;
use super::client::FlinkClient;
use super::discover::{Unclear, Wanted};
use super::error::{FlinkError, Refusal};
use super::freshness::{Freshness, Prime};
use super::memory::{Ask, MemoryWatch};
use super::watch::Watched;
use super::wire::{Config, JobView, Metric, Settings, TaskManagers, cluster};
use crate::model::{Around, JobId, Missed, Observation, Reading, Slots, Snapshot, Timestamp};
use crate::policy::FlinkRef;

/// Time between the request that primes the metric store and the real one. Two TaskManagers have answered the JobManager
/// after 20 to 50 ms (2.3.0 and 1.20.5, 24 of 24 times); ten times that is for large and busy clusters. Longer, and the
/// data is no fresher, only later.
const FETCH_TIME: Duration = Duration::from_millis(500);

/// Watches one job, from one poll to the next.
pub struct Poller {
    client: FlinkClient,
    wanted: Wanted,
    /// How long the answer of a fetch is waited for, and a fetch that is about to be due.
    patience: Duration,
    /// A metric store that was fetched longer ago, beyond its interval, tells of another time.
    slack: Duration,
    /// Time that one cycle may take.
    budget: Duration,
    /// What the cluster is; `None` before the first contact, and after it was away.
    contact: Option<Contact>,
    slots: Option<Slots>,
    slots_wanted: bool,
    /// Whether they were read in the cycle before.
    slots_read: bool,
    /// The registered TaskManagers, where they were asked for in this cycle.
    taskmanagers: Option<TaskManagers>,
    taskmanagers_wanted: bool,
    job: Option<Watched>,
    /// The memory of the TaskManagers, where it is watched.
    memory: Option<MemoryWatch>,
}

/// What was learned when the cluster was first reached.
#[derive(Clone, Copy)]
struct Contact {
    config: Config,
    settings: Option<Settings>,
}

impl Poller {
    /// A poller of the job that `flink` names, over `client`. Pollers of one endpoint should share one client.
    pub fn new(client: FlinkClient, flink: &FlinkRef) -> Self {
        let poll = flink.poll.get();
        Self {
            wanted: Wanted::new(flink.job.as_deref()),
            patience: FETCH_TIME.min(poll / 4),
            // Two polls may be lost, and one may read the slots instead of priming.
            slack: poll * 3,
            budget: poll.max(client.timeout()),
            client,
            contact: None,
            slots: None,
            slots_wanted: true,
            slots_read: false,
            taskmanagers: None,
            taskmanagers_wanted: false,
            job: None,
            memory: None,
        }
    }

    /// The same, which also reads the memory of the TaskManagers once a minute. That takes no further call: it takes the place of
    /// the one that primes the metric store, and does the same.
    #[must_use]
    pub fn watching_memory(self) -> Self {
        Self { memory: Some(MemoryWatch::new(Instant::now())), ..self }
    }

    /// The client that this poller uses.
    pub fn client(&self) -> &FlinkClient {
        &self.client
    }

    /// Reads the slots again in the next cycle.
    pub fn refresh_slots(&mut self) {
        self.slots_wanted = true;
    }

    /// Looks for the job anew in the next cycle: it was run again under another id.
    pub fn forget_job(&mut self) {
        if self.may_run_again() {
            self.job = None;
        }
    }

    /// Whether the registered TaskManagers are read in the next cycle, with the slots: one call more.
    pub fn want_taskmanagers(&mut self, wanted: bool) {
        self.taskmanagers_wanted = wanted;
    }

    /// The registered TaskManagers, where they were read in this cycle.
    pub(crate) fn taskmanagers(&self) -> Option<&TaskManagers> {
        self.taskmanagers.as_ref()
    }

    /// One cycle: at most two calls and one per source.
    ///
    /// More only where something has to be found out first: two calls when the cluster is reached for the first time or
    /// again, and one or two when the job has to be found (again).
    pub async fn observe(&mut self, now: impl Fn() -> Timestamp) -> Observation {
        let until = Instant::now() + self.budget;
        match self.cycle(until, &now).await {
            Ok(snapshot) => Observation::Seen(snapshot),
            Err(error) => {
                if error.was_away() {
                    self.forget_cluster();
                }
                Observation::Missed(Missed { at: now(), why: error.why(), detail: error.to_string() })
            }
        }
    }

    async fn cycle(&mut self, until: Instant, now: &impl Fn() -> Timestamp) -> Result<Snapshot, FlinkError> {
        let contact = self.contact(until).await?;
        if contact.settings.is_some_and(|settings| settings.fetch_interval == Some(Duration::ZERO)) {
            // Asked anew in the next cycle: another JobManager may have been set otherwise.
            self.contact = None;
            return Err(FlinkError::NoMetrics { url: self.client.url().to_owned() });
        }
        let job = self.find(until).await?;
        self.freshen(job, until, now).await?;
        let is_known = self.client.freshness(|freshness| freshness.is_known(Instant::now(), self.slack));
        let (view, at) = match self.read(job, until, now).await {
            Err(error) if error.refusal() == Some(Refusal::UnknownJob) && self.may_run_again() => {
                self.job = None;
                let job = self.find(until).await?;
                self.read(job, until, now).await?
            }
            read => read?,
        };
        let mut snapshot = self.take_up(contact, view, at)?;
        if !is_known {
            // The read itself has started a fetch; the next cycle has its counters.
            snapshot.vertices.iter_mut().for_each(forget_counters);
        }
        Ok(snapshot)
    }

    /// What the cluster is: asked for when it is not known.
    async fn contact(&mut self, until: Instant) -> Result<Contact, FlinkError> {
        if let Some(contact) = self.contact {
            return Ok(contact);
        }
        let (config, settings) = tokio::join!(self.client.config(until), self.client.settings(until));
        let config = config?;
        let settings = match settings {
            Ok(settings) => Some(settings),
            Err(error) if error.was_away() => return Err(error),
            // A proxy may keep the settings from us: then less is known, and that is all.
            Err(error) => {
                tracing::debug!(%error, "the cluster's settings are not known");
                None
            }
        };
        let interval = settings.and_then(|settings| settings.fetch_interval);
        self.client.freshness(|freshness| freshness.set_interval(interval));
        Ok(*self.contact.insert(Contact { config, settings }))
    }

    /// What was known of the cluster may be wrong by now.
    fn forget_cluster(&mut self) {
        self.contact = None;
        self.slots_wanted = true;
        self.client.freshness(Freshness::forget);
    }

    /// The job: looked for when it is not known, and when it has ended, for another run of it may have begun.
    async fn find(&mut self, until: Instant) -> Result<JobId, FlinkError> {
        let known = self.job.as_ref().map(|job| job.id);
        let still_runs = known.filter(|_| !self.job.as_ref().is_some_and(Watched::has_ended));
        let id = match (&self.wanted, still_runs) {
            (Wanted::Id(id), _) => *id,
            (Wanted::Name(_) | Wanted::Only, Some(id)) => id,
            (wanted, None) => match (wanted.find(&self.client.jobs(until).await?), known) {
                // Where nothing has come in its place, how the last one ended is still worth telling.
                (Ok(id), _) | (Err(Unclear::None(_)), Some(id)) => id,
                (Err(unclear), _) => return Err(self.unclear(unclear)),
            },
        };
        if known != Some(id) {
            self.job = Some(Watched::new(id));
            self.slots_wanted = true;
        }
        Ok(id)
    }

    /// Whether the job may come back under another id.
    fn may_run_again(&self) -> bool {
        !matches!(self.wanted, Wanted::Id(_))
    }

    fn unclear(&self, unclear: Unclear) -> FlinkError {
        let (url, wanted) = (self.client.url().to_owned(), self.wanted.to_string());
        match unclear {
            Unclear::None(last) => FlinkError::NoSuchJob { url, wanted, last },
            Unclear::Many(found) => FlinkError::AmbiguousJob { url, wanted, found },
        }
    }

    /// The one call that comes before the real ones: the slots when they are wanted, otherwise a request that primes the
    /// metric store when that is worth it.
    async fn freshen(
        &mut self,
        job: JobId,
        until: Instant,
        now: &impl Fn() -> Timestamp,
    ) -> Result<(), FlinkError> {
        self.taskmanagers = None;
        let was_read = std::mem::replace(&mut self.slots_read, self.slots_wanted || self.taskmanagers_wanted);
        if self.taskmanagers_wanted {
            let (overview, listed) =
                tokio::try_join!(self.client.overview(until), self.client.taskmanagers(until))?;
            self.slots = Some(overview.slots(now()));
            self.taskmanagers = Some(TaskManagers { at: now(), listed });
        } else if self.slots_wanted {
            let overview = self.client.overview(until).await?;
            self.slots = Some(overview.slots(now()));
        }
        self.slots_wanted = false;
        // Once, they are read instead of priming. While they are wanted all the time, the metrics have to stay fresh.
        if self.slots_read && !was_read {
            if let Some(memory) = &mut self.memory {
                memory.changed(Instant::now());
            }
            return Ok(());
        }
        if !self.job.as_ref().is_some_and(Watched::is_running) {
            return Ok(());
        }
        let asks = self.memory.as_ref().and_then(|memory| memory.ask(Instant::now()));
        // Not beside the slots and the registered TaskManagers: that would be one call more.
        let asks = asks.filter(|asks| *asks == Ask::Use || !self.slots_read);
        if asks == Some(Ask::Pools) {
            return self.read_pools(until).await;
        }
        let advice = self.client.freshness(|freshness| freshness.advice(Instant::now(), self.patience));
        match advice {
            Prime::No if asks.is_none() => return Ok(()),
            Prime::After(wait) => sleep(wait).await,
            Prime::No | Prime::Now => {}
        }
        match asks {
            Some(_) => self.read_memory(until, now).await?,
            None => self.client.prime(job, until).await?,
        }
        if advice != Prime::No {
            sleep(self.patience).await;
        }
        Ok(())
    }

    /// Reads how the TaskManagers share out their memory. Who keeps it from us must not blind us to the job.
    async fn read_pools(&mut self, until: Instant) -> Result<(), FlinkError> {
        let pools = unless_away(self.client.pools(until).await)?;
        if let Some(memory) = &mut self.memory {
            memory.took_pools(pools.as_deref());
        }
        Ok(())
    }

    /// Reads what the TaskManagers use of their memory.
    async fn read_memory(&mut self, until: Instant, now: &impl Fn() -> Timestamp) -> Result<(), FlinkError> {
        let (Some(memory), Some(contact)) = (&mut self.memory, self.contact) else { return Ok(()) };
        let ids = MemoryWatch::ids(contact.config.version);
        let took = |metrics: &[Metric<'_>]| memory.took_use(Some(metrics), now(), Instant::now());
        let answer = self.client.memory(&ids, until, took).await;
        if unless_away(answer)?.is_none() {
            memory.took_use(None, now(), Instant::now());
        }
        Ok(())
    }

    /// The real calls, all at once, so that they are of one fetch.
    async fn read(
        &mut self,
        job: JobId,
        until: Instant,
        now: &impl Fn() -> Timestamp,
    ) -> Result<(JobView, Timestamp), FlinkError> {
        let client = &self.client;
        let sources = self.job.as_mut().map_or(&mut [][..], Watched::sources_to_ask);
        let pending = join_all(sources.iter_mut().map(|source| source.read(client, job, until)));
        let view = async { client.job(job, until).await.map(|view| (view, now())) };
        let (view, pending) = tokio::join!(view, pending);
        let view = view?;
        // A backlog that is not known because a call failed must not look like one that is never reported.
        pending.into_iter().collect::<Result<(), _>>()?;
        Ok(view)
    }

    /// Puts the answers together, and remembers what the next cycle needs.
    fn take_up(&mut self, contact: Contact, view: JobView, at: Timestamp) -> Result<Snapshot, FlinkError> {
        let job = self.job.get_or_insert_with(|| Watched::new(view.id));
        let Some(taken) = job.take_up(&view, Instant::now()) else {
            let url = self.client.url().to_owned();
            return Err(FlinkError::NoGraph { url, job: view.id, state: view.state });
        };
        self.slots_wanted |= taken.has_changed;
        Ok(Snapshot {
            at,
            job: view.id,
            name: view.name,
            state: view.state,
            running_since: view.running_since,
            restarting_since: view.restarting_since,
            flink_now: view.now,
            cluster: cluster(contact.config, contact.settings, view.scheduler),
            slots: self.slots,
            graph: taken.graph,
            vertices: taken.readings,
            around: Around {
                memory: self.memory.as_ref().and_then(MemoryWatch::last).map(Box::new),
                ..Around::default()
            },
        })
    }
}

/// What was answered; nothing where Flink is there and will not say.
fn unless_away<T>(answer: Result<T, FlinkError>) -> Result<Option<T>, FlinkError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.was_away() => Err(error),
        Err(error) => {
            tracing::debug!(%error, "the memory of the TaskManagers is not known");
            Ok(None)
        }
    }
}

/// A difference to counters of long ago would be an average over all that time.
fn forget_counters(reading: &mut Reading) {
    let Reading {
        parallelism: _,
        running: _,
        read_records,
        write_records,
        busy_ms,
        idle_ms,
        back_pressured_ms,
        pending_records,
        event_time_lag_ms,
    } = reading;
    for counter in
        [read_records, write_records, busy_ms, idle_ms, back_pressured_ms, pending_records, event_time_lag_ms]
    {
        *counter = None;
    }
}

#[cfg(test)]
mod tests;
