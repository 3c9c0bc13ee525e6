//! One job's task in Kubernetes: its state is taken over first, then it is the same loop as anywhere.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use super::key::Key;
use super::state::ClusterState;
use crate::act::{Hastener, Program};
use crate::daemon::clock;
use crate::daemon::job::{Ended, Job, Listener};
use crate::daemon::journal_file::JournalFile;
use crate::daemon::keep::Keeper;
use crate::daemon::metrics::Metrics;
use crate::daemon::operator::Operator;
use crate::daemon::report::Trouble;
use crate::daemon::trace::TraceIds;
use crate::daemon::workload::Workload;
use crate::observe::Gate;
use crate::observe::flink::Poller;
use crate::observe::prometheus::Queries;
use crate::policy::Policy;
use crate::record::State;

/// The pause before a state is asked for again that could not be had.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What a job's task begins with.
pub(super) struct Begin {
    pub(super) key: Key,
    pub(super) policy: Policy,
    pub(super) poller: Poller,
    pub(super) workload: Option<Workload>,
    /// The resource by which an operator runs the job.
    pub(super) operator: Option<Operator>,
    pub(super) queries: Option<Queries>,
    /// How the job is run again from a savepoint, where that is known.
    pub(super) program: Option<Program>,
    /// What an earlier task of the same job knew; otherwise it is taken over.
    pub(super) carried: Option<(Keeper, State)>,
    pub(super) place: Place,
    pub(super) metrics: Arc<Metrics>,
    pub(super) listener: Listener,
    pub(super) journal: Option<JournalFile>,
    pub(super) delay: Duration,
}

/// Where a job's state is.
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) owner: OwnerReference,
    pub(super) writer: String,
    pub(super) gate: Gate,
    /// The autoscaler is gone, and nothing of it is kept.
    pub(super) gone: Arc<AtomicBool>,
}

impl Begin {
    /// Works until `stop` is true; `None` when that came before there was a state.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) -> Option<Ended> {
        let Self {
            key,
            policy,
            poller,
            workload,
            operator,
            queries,
            program,
            carried,
            place,
            metrics,
            listener,
            mut journal,
            delay,
        } = self;
        let (keeper, state) = if let Some(carried) = carried {
            carried
        } else {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return None,
                taken = place.take_over(&key) => taken,
            }
        };
        if let Some(journal) = &mut journal
            && let Err(error) = journal.begin(clock::now(), &policy, &state)
        {
            let path = journal.path().display();
            warn!(%path, %error, "the journal cannot be written; the job is scaled all the same");
        }
        let job = Job {
            name: key.to_string(),
            policy,
            poller,
            workload,
            operator,
            resumes: state.ledger.attempt.is_some(),
            queries,
            hastener: Hastener::default(),
            program,
            trouble: Trouble::default(),
            traces: TraceIds::default(),
            state,
            keeper,
            metrics,
            listener: Some(listener),
            journal,
            delay,
        };
        Some(Box::pin(job.run(stop)).await)
    }
}

impl Place {
    /// The state, as soon as it can be had.
    async fn take_over(&self, key: &Key) -> (Keeper, State) {
        let mut trouble = Trouble::default();
        loop {
            let api = Api::namespaced(self.client.clone(), &key.namespace);
            let (owner, gate) = (self.owner.clone(), self.gate.clone());
            match ClusterState::take_over(api, owner, &self.writer, gate, Arc::clone(&self.gone)).await {
                Ok((map, state)) => {
                    if let Some(since) = trouble.ends() {
                        info!(%since, "the state can be read and written");
                    }
                    return (Keeper::Cluster(Box::new(map)), state);
                }
                Err(error) => {
                    if trouble.begins(clock::now()) {
                        let error = &error as &dyn std::error::Error;
                        warn!(error, "the job is not scaled: its state cannot be read and written");
                    }
                }
            }
            sleep(AGAIN_AFTER).await;
        }
    }
}
