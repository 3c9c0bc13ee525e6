//! Which jobs are looked after: what there is, against what runs.
//!
//! Comes in: the objects that there are, and who leads. Goes out: one task per job, begun, ended, or begun anew with what it knew
//! when its spec or its policy has changed. This module must never do anything to a job itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::core::DynamicObject;
use kube::{Api, Client, Resource as _};
use serde::Deserialize as _;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::{Instrument as _, error_span, info, warn};

use super::election::Standing;
use super::events::Events;
use super::found::Found;
use super::key::Key;
use super::listener::{Ears, listener};
use super::news::News;
use super::publish::{Board, Publisher, put};
use super::wanted::{Checked, Refused, Setup, Wanted};
use super::work::{Begin, Place};
use super::world::{Objects, autoscalers};
use crate::act::Program;
use crate::config::Library;
use crate::crd::{self, FlinkAutoscalerStatus};
use crate::daemon::clients::Clients;
use crate::daemon::clock;
use crate::daemon::job::Ended;
use crate::daemon::journal_file::{JournalFile, Keep};
use crate::daemon::keep::Keeper;
use crate::daemon::metrics::Metrics;
use crate::daemon::operator::Operator;
use crate::daemon::pace;
use crate::daemon::workload::Workload;
use crate::model::ManagerKind;
use crate::observe::flink::Poller;
use crate::observe::prometheus::{Servers, Whose};
use crate::observe::{Gate, Within};
use crate::policy::{AutoscalerSpec, PrometheusRef};
use crate::record::State;

/// A task whose state was written by somebody else begins anew after this long: two that do not know of each other, each with
/// a Lease of its own, must not do so in turns without a pause.
const PAUSE_WHEN_FENCED: Duration = Duration::from_secs(5);

/// What the controller works with.
pub(super) struct Means {
    pub(super) client: Client,
    pub(super) gate: Gate,
    pub(super) events: Events,
    /// The name of this process.
    pub(super) me: String,
    pub(super) library: Library,
    /// The one autoscaler that is looked after; all, without it.
    pub(super) only: Option<String>,
    pub(super) dry_run: bool,
    pub(super) journals: Option<(PathBuf, Keep)>,
    pub(super) found: Found,
    pub(super) metrics: Arc<Metrics>,
    /// Where the files lie that objects name.
    pub(super) files: Within,
    /// The Prometheus of those objects that name none.
    pub(super) prometheus: Option<PrometheusRef>,
}

/// The jobs that are looked after.
pub(super) struct Controller {
    means: Means,
    clients: Clients,
    servers: Servers,
    checked: Checked,
    wanted: BTreeMap<Key, Wanted>,
    running: BTreeMap<Key, Running>,
    tasks: JoinSet<(Key, Option<Ended>)>,
    boards: BTreeMap<Key, Shown>,
    publishers: JoinSet<()>,
    standing: Standing,
    /// How often another has been seen to lead: what was known before is of no use after.
    term: u64,
}

/// A job's task.
struct Running {
    uid: String,
    setup: Arc<Setup>,
    term: u64,
    stop: watch::Sender<bool>,
    gone: Arc<AtomicBool>,
}

/// What is shown of an autoscaler.
struct Shown {
    uid: String,
    board: Board,
    refused: Option<Refused>,
}

/// What a task that has ended leaves to the next one.
struct Left {
    carried: Option<(Keeper, State)>,
    delay: Duration,
}

impl Controller {
    /// Nothing is looked after yet.
    pub(super) fn new(means: Means) -> Self {
        Self {
            clients: Clients::new(means.gate.clone(), means.files.clone()),
            servers: Servers::within(means.files.clone()),
            means,
            checked: Checked::default(),
            wanted: BTreeMap::new(),
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            boards: BTreeMap::new(),
            publishers: JoinSet::new(),
            standing: Standing::Unknown,
            term: 0,
        }
    }

    /// Takes in who leads.
    pub(super) fn stands(&mut self, standing: Standing) {
        if let Standing::Following { .. } = standing
            && !matches!(self.standing, Standing::Following { .. })
        {
            self.term += 1;
            for running in self.running.values() {
                running.stop();
            }
            self.boards.clear();
        }
        self.standing = standing;
    }

    /// Takes in what there is: ends, begins and changes tasks accordingly.
    pub(super) fn sees(&mut self, objects: &Objects) {
        let Means { library, only, dry_run, found, .. } = &self.means;
        let found = found.of(|key| self.running.contains_key(key));
        self.wanted = self.checked.wanted(objects, &found, library, only.as_deref(), *dry_run);
        for (key, running) in &self.running {
            let wanted = self.wanted.get(key).filter(|wanted| wanted.uid == running.uid);
            if wanted.is_none() {
                running.gone.store(true, Ordering::Release);
            }
            let setup = wanted.and_then(|wanted| wanted.what.as_ref().ok());
            if setup.is_none_or(|setup| *setup != running.setup) {
                running.stop();
            }
        }
        self.boards.retain(|key, shown| self.wanted.get(key).is_some_and(|wanted| wanted.uid == shown.uid));
        if self.standing == Standing::Leading {
            let keys: Vec<Key> = self.wanted.keys().cloned().collect();
            for key in keys {
                self.look_after(&key, None);
            }
        }
        let used = self.wanted.values().filter_map(|wanted| Some(&wanted.what.as_ref().ok()?.spec.flink));
        self.clients.keep(used);
        let specs = self.wanted.values().filter_map(|wanted| Some(&wanted.what.as_ref().ok()?.spec));
        let named = specs.filter_map(|spec| spec.prometheus.as_ref());
        self.servers.keep(named.chain(&self.means.prometheus));
    }

    /// Waits for the end of a task, and begins its successor, if there is to be one.
    ///
    /// # Errors
    /// When a task has met a fault of the program.
    pub(super) async fn task_ended(&mut self) -> Result<(), JoinError> {
        let Some(ended) = self.tasks.join_next().await else { return std::future::pending().await };
        let (key, ended) = ended?;
        let running = self.running.remove(&key);
        let same = |running: &Running| {
            running.term == self.term && self.wanted.get(&key).is_some_and(|w| w.uid == running.uid)
        };
        let left = match ended {
            Some(Ended { fenced: true, .. }) => Left { carried: None, delay: PAUSE_WHEN_FENCED },
            Some(Ended { state, keeper, fenced: false }) if running.as_ref().is_some_and(same) => {
                Left { carried: Some((keeper, state)), delay: Duration::ZERO }
            }
            _ => Left { carried: None, delay: Duration::ZERO },
        };
        // What is known outlives a moment in which it is not known who leads.
        if self.standing.keeps_jobs() && self.wanted.contains_key(&key) {
            self.look_after(&key, Some(left));
        } else {
            // Who leads instead tells of it; what was last known here would only seem old.
            self.means.metrics.forget(&key.to_string());
        }
        Ok(())
    }

    /// Ends all tasks, which finish what they have begun, and shows what is to be shown last.
    ///
    /// # Errors
    /// As [`task_ended`](Self::task_ended).
    pub(super) async fn end(mut self) -> Result<(), JoinError> {
        for running in self.running.values() {
            running.stop();
        }
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        self.boards.clear();
        while let Some(ended) = self.publishers.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// How many jobs are looked after.
    pub(super) fn jobs(&self) -> usize {
        self.running.len()
    }

    /// Begins the task of an autoscaler, or shows why there is none.
    fn look_after(&mut self, key: &Key, left: Option<Left>) {
        // Publishers end when their boards go.
        while self.publishers.try_join_next().is_some() {}
        if self.running.contains_key(key) {
            return;
        }
        let Some(wanted) = self.wanted.get(key).cloned() else { return };
        self.show(key, &wanted);
        let begun = wanted.what.clone().and_then(|setup| self.begin(key, &wanted, setup, left));
        let refused = begun.err();
        let Some(shown) = self.boards.get_mut(key) else { return };
        if let Some(refused) = &refused
            && shown.refused.as_ref() != Some(refused)
        {
            warn!(autoscaler = %key, reason = refused.reason, "not scaled: {}", refused.message);
            let object = &wanted.object;
            let (generation, Refused { reason, message }) = (object.meta().generation, refused);
            let last = last_status(&shown.board, object);
            put(&shown.board, &crd::refused(&last, generation, reason, message, clock::now()));
            let about = object.object_ref(&autoscalers());
            self.means.events.tell(&about, News::new(true, refused.reason, "Check", &*refused.message));
        }
        shown.refused = refused;
    }

    /// There is a board for the autoscaler.
    fn show(&mut self, key: &Key, wanted: &Wanted) {
        if self.boards.contains_key(key) {
            return;
        }
        let kind = autoscalers();
        let api: Api<DynamicObject> = Api::namespaced_with(self.means.client.clone(), &key.namespace, &kind);
        let (board, publisher) = Publisher::new(api, key.name.clone(), kind.kind, self.means.gate.clone());
        self.publishers.spawn(publisher.run().instrument(error_span!("job", autoscaler = %key)));
        self.boards.insert(key.clone(), Shown { uid: wanted.uid.clone(), board, refused: None });
    }

    fn begin(
        &mut self,
        key: &Key,
        wanted: &Wanted,
        setup: Arc<Setup>,
        left: Option<Left>,
    ) -> Result<(), Refused> {
        let refused = |message: String| Refused { reason: "InvalidSpec", message };
        if let Some(why) = ends_with_its_job(&setup.spec, &self.means.me) {
            return Err(refused(why));
        }
        let client = self.clients.of(&setup.spec.flink).map_err(|error| refused(error.to_string()))?;
        let named = setup.spec.prometheus.as_ref().or(self.means.prometheus.as_ref());
        let whose = Whose::of(&setup.spec, &key.name, Some(&key.namespace));
        let queries = self.servers.queries(named, &setup.policy, whose);
        let queries = queries.map_err(|error| refused(error.to_string()))?;
        let object = &wanted.object;
        let Some(owner) = object.owner_ref(&autoscalers()) else {
            return Err(refused("the object has no uid".to_owned()));
        };
        let Some(shown) = self.boards.get(key) else { return Ok(()) };
        let means = &self.means;
        let last = last_status(&shown.board, object);
        let about = object.object_ref(&autoscalers());
        let (board, events) = (shown.board.clone(), means.events.clone());
        // Many jobs that begin together are spread over their first interval.
        let Left { carried, delay } = left.unwrap_or_else(|| Left {
            carried: None,
            delay: setup.policy.poll.get().mul_f64(pace::random()),
        });
        let journals = means.journals.as_ref();
        let gone = Arc::<AtomicBool>::default();
        let reach = Ok((means.client.clone(), key.namespace.clone()));
        let begin = Begin {
            key: key.clone(),
            policy: setup.policy.clone(),
            poller: Poller::new(client, &setup.spec.flink).watching_memory(),
            workload: Workload::of(&setup.spec, &setup.policy, Some(&key.namespace), &reach),
            operator: Operator::of(&setup.spec, Some(&key.namespace), &reach),
            queries,
            program: Program::of(&setup.spec, Some(&key.namespace), &reach),
            carried,
            place: Place {
                client: means.client.clone(),
                owner,
                writer: means.me.clone(),
                gate: means.gate.clone(),
                gone: Arc::clone(&gone),
            },
            metrics: Arc::clone(&means.metrics),
            listener: listener(
                key.clone(),
                about,
                setup.generation,
                last,
                Ears { board, events, found: means.found.clone() },
            ),
            journal: journals.map(|(dir, keep)| JournalFile::new(dir, &key.to_string(), *keep)),
            delay,
        };
        let (stop, stopped) = watch::channel(false);
        let (name, span) = (key.clone(), error_span!("job", autoscaler = %key));
        let task = async move {
            info!("looked after");
            (name, Box::pin(begin.run(stopped)).await)
        };
        self.tasks.spawn(task.instrument(span));
        let (uid, term) = (wanted.uid.clone(), self.term);
        self.running.insert(key.clone(), Running { uid, setup, term, stop, gone });
        Ok(())
    }
}

/// Why a process in a pod of the Job that is to be deleted and created again cannot be the one that does it.
fn ends_with_its_job(spec: &AutoscalerSpec, me: &str) -> Option<String> {
    let manager = spec.savepoint.as_ref()?.job_manager.as_ref()?;
    let is_of_it = me.strip_prefix(&*manager.name).is_some_and(|rest| rest.starts_with('-'));
    (manager.kind == ManagerKind::Job && is_of_it).then(|| {
        format!(
            "spec.savepoint.jobManager: this process ({me}) runs in a pod of Job {}, and would end with it before it is created again: \
             run the JobManager by a Deployment, or Tidegate as a daemon of its own",
            manager.name
        )
    })
}

/// The status that was shown last: by this process, or by another.
fn last_status(board: &Board, object: &DynamicObject) -> FlinkAutoscalerStatus {
    let shown = board.borrow().clone();
    // One that is not understood is written anew.
    shown.unwrap_or_else(|| FlinkAutoscalerStatus::deserialize(&object.data["status"]).unwrap_or_default())
}

impl Running {
    fn stop(&self) {
        // A task that has ended already hears nothing, and need not.
        let _ = self.stop.send(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{JobManagerRef, SavepointSpec};

    #[test]
    fn nobody_deletes_the_job_in_whose_pod_it_runs() {
        for (kind, me, is_refused) in [
            (ManagerKind::Job, "orders-jm-x7k2p_5f3a", true),
            (ManagerKind::Job, "tidegate-5c9d8f-abcde_5f3a", false),
            (ManagerKind::Job, "orders-jmx-x7k2p_5f3a", false),
            // The next pod's goes on.
            (ManagerKind::Deployment, "orders-jm-5c9d8f-abcde_5f3a", false),
        ] {
            let job_manager = Some(JobManagerRef { kind, name: "orders-jm".to_owned() });
            let savepoint = Some(SavepointSpec { job_manager, ..SavepointSpec::default() });
            let spec = AutoscalerSpec { savepoint, ..AutoscalerSpec::default() };
            let refused = ends_with_its_job(&spec, me).is_some();
            assert_eq!(refused, is_refused, "{kind:?} {me}");
        }
        assert_eq!(ends_with_its_job(&AutoscalerSpec::default(), "orders-jm-x7k2p"), None);
    }
}
