//! All jobs at once, until they are told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Duration, MissedTickBehavior, interval};
use tracing::{Instrument as _, error_span, info, warn};

use super::clients::Clients;
use super::clock;
use super::health::Health;
use super::job::Job;
use super::journal_file::{JournalFile, Keep};
use super::keep::Keeper;
use super::kubernetes::connect;
use super::metrics::Metrics;
use super::operator::Operator;
use super::report::Trouble;
use super::store::{Store, StoreError};
use super::trace::TraceIds;
use super::workload::{Reach, Workload};
use crate::act;
use crate::config::{Autoscaler, Config};
use crate::observe::flink::{FlinkError, Poller};
use crate::observe::prometheus::{PrometheusError, Servers, Whose};
use crate::policy::{AutoscalerSpec, Mode, PrometheusRef};

/// States that nothing depends on at once are written this often, all that there are in one transaction.
const COMMIT_EVERY: Duration = Duration::from_secs(10);

/// How the daemon works, apart from its configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where states are kept.
    pub state_dir: PathBuf,
    /// Where journals are kept; `None` for none.
    pub journal_dir: Option<PathBuf>,
    /// How much of the journals is kept.
    pub keep: Keep,
    /// The Prometheus of those autoscalers that name none.
    pub prometheus: Option<PrometheusRef>,
    /// Where `/healthz`, `/readyz` and `/metrics` are answered; `None` for nowhere.
    pub listen: Option<SocketAddr>,
    /// Decide and say so only, whatever the files say.
    pub dry_run: bool,
}

/// Why the daemon does not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The state directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A journal cannot be written.
    #[error("the journal {} cannot be written", path.display())]
    Journal {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What the configuration says of a cluster cannot be used.
    #[error("FlinkAutoscaler {autoscaler}")]
    Flink {
        /// Of which autoscaler.
        autoscaler: String,
        /// What is wrong.
        #[source]
        source: FlinkError,
    },
    /// What the configuration says of a Prometheus cannot be used.
    #[error("FlinkAutoscaler {autoscaler}")]
    Prometheus {
        /// Of which autoscaler.
        autoscaler: String,
        /// What is wrong.
        #[source]
        source: PrometheusError,
    },
    /// The address for probes and metrics cannot be listened on.
    #[error("cannot listen on {address}: name another address with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A job's task ended by a fault of the program.
    #[error("a task ended unexpectedly")]
    Task(#[from] JoinError),
}

/// The name under which an autoscaler's state and journal are kept.
pub fn full_name(autoscaler: &Autoscaler) -> String {
    match &autoscaler.namespace {
        Some(namespace) => format!("{namespace}/{}", autoscaler.name),
        None => autoscaler.name.clone(),
    }
}

/// Scales all jobs of the configuration until `stop` resolves; then finishes what has been begun, and keeps the states.
///
/// # Errors
/// At the start, when a directory or a setting cannot be used; at the end, when the states cannot be kept.
pub async fn run(config: Config, options: &Options, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let store = Arc::new(Store::open(&options.state_dir)?);
    let metrics = Metrics::new();
    // There is nobody else.
    metrics.leads(true);
    let health = Health::new(Arc::clone(&metrics));
    if let Some(address) = options.listen {
        let listen = Arc::clone(&health).listen(address).await;
        let (address, serve) = listen.map_err(|source| RunError::Listen { address, source })?;
        info!(%address, "answering /healthz, /readyz and /metrics");
        tokio::spawn(serve);
    }
    let reach = reach(&config).await;
    let (stopping, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for job in jobs(config, options, &store, &metrics, &reach)? {
        let span = error_span!("job", autoscaler = job.name);
        tasks.spawn(job.run(stopped.clone()).instrument(span));
    }
    health.ready();
    info!(jobs = tasks.len(), state_dir = %options.state_dir.display(), dry_run = options.dry_run, "started");

    tokio::pin!(stop);
    let (mut commits, mut trouble) = (interval(COMMIT_EVERY), Trouble::default());
    commits.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = commits.tick() => {
                health.beat();
                commit(&store, &mut trouble);
            }
            // No task ends before it is told to; one that does has met a fault, and the others must not hide it.
            Some(ended) = tasks.join_next() => drop(ended?),
        }
    }
    info!("stopping: what has been begun is finished first");
    // There may be no job left to tell.
    let _ = stopping.send(true);
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(store.commit()?)
}

/// The API server, where a workload or an operator's resource is named; it is by its absence that a job goes without.
async fn reach(config: &Config) -> Reach {
    let by_manifest =
        |spec: &AutoscalerSpec| spec.savepoint.as_ref().is_some_and(|spec| spec.job_manager.is_some());
    let needs_none =
        |spec: &AutoscalerSpec| spec.workload.is_none() && spec.operator.is_none() && !by_manifest(spec);
    if config.autoscalers.iter().all(|autoscaler| needs_none(&autoscaler.spec)) {
        return Err("no workload is named".to_owned());
    }
    let how = "run within the cluster, or set KUBECONFIG";
    let found = connect::config().await.map_err(|error| format!("no API server is known: {error}; {how}"))?;
    let namespace = found.default_namespace.clone();
    let client = connect::client(found)
        .map_err(|error| format!("the API server's settings cannot be used: {error}"))?;
    Ok((client, namespace))
}

fn commit(store: &Store, trouble: &mut Trouble) {
    match store.commit() {
        Ok(()) => {
            if let Some(since) = trouble.ends() {
                info!(%since, "states are kept again");
            }
        }
        Err(error) => {
            if trouble.begins(clock::now()) {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "states cannot be kept: nothing is rescaled until they can be"
                );
            }
        }
    }
}

fn jobs(
    config: Config,
    options: &Options,
    store: &Arc<Store>,
    metrics: &Arc<Metrics>,
    reach: &Reach,
) -> Result<Vec<Job>, RunError> {
    let mut clients = Clients::default();
    let count = u32::try_from(config.autoscalers.len()).unwrap_or(u32::MAX).max(1);
    let mut jobs = Vec::new();
    let mut servers = Servers::default();
    for (index, autoscaler) in (0u32..).zip(config.autoscalers) {
        let name = full_name(&autoscaler);
        let Autoscaler { name: own_name, namespace, spec, mut policy } = autoscaler;
        if options.dry_run && policy.mode == Mode::Auto {
            policy.mode = Mode::Recommend;
        }
        let state = store.load(&name)?.unwrap_or_default();
        let client =
            clients.of(&spec.flink).map_err(|source| RunError::Flink { autoscaler: name.clone(), source })?;
        let queries = servers
            .queries(
                spec.prometheus.as_ref().or(options.prometheus.as_ref()),
                &policy,
                Whose::of(&spec, &own_name, namespace.as_deref()),
            )
            .map_err(|source| RunError::Prometheus { autoscaler: name.clone(), source })?;
        let journal = options.journal_dir.as_ref().map(|dir| JournalFile::new(dir, &name, options.keep));
        jobs.push(Job {
            poller: Poller::new(client, &spec.flink).watching_memory(),
            workload: Workload::of(&spec, &policy, namespace.as_deref(), reach),
            operator: Operator::of(&spec, namespace.as_deref(), reach),
            resumes: state.ledger.attempt.is_some(),
            queries,
            hastener: act::Hastener::default(),
            program: act::Program::of(&spec, namespace.as_deref(), reach),
            trouble: Trouble::default(),
            traces: TraceIds::default(),
            keeper: Keeper::Directory(Arc::clone(store)),
            metrics: Arc::clone(metrics),
            listener: None,
            delay: policy.poll.get() * index / count,
            name,
            policy,
            state,
            journal,
        });
    }
    // Only now, so that a mistake in the last autoscaler leaves no journal of the first behind.
    for job in &mut jobs {
        if let Some(journal) = &mut job.journal {
            journal
                .begin(clock::now(), &job.policy, &job.state)
                .map_err(|source| RunError::Journal { path: journal.path().to_owned(), source })?;
        }
    }
    Ok(jobs)
}
