//! One job's task: poll, decide, carry out, write down; over and over until it is told to stop.

use std::error::Error;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, error_span, info, info_span, warn};

use super::clock;
use super::journal_file::JournalFile;
use super::keep::{KeepError, Keeper};
use super::metrics::Metrics;
use super::operator::Operator;
use super::pace::Pace;
use super::report::{Report, Trouble};
use super::trace::TraceIds;
use super::workload::Workload;
use crate::act;
use crate::decide::Decision;
use crate::guard::{Approved, Hold};
use crate::model::{Attempt, Observation, Snapshot, Timestamp};
use crate::observe::flink::{FlinkClient, Poller};
use crate::observe::kubernetes::Target;
use crate::observe::prometheus::Queries;
use crate::plan::Step;
use crate::policy::{Mode, Policy};
use crate::record::journal::Cycle;
use crate::record::{Outcome, State, Summary};

/// One autoscaler at work.
pub(super) struct Job {
    pub(super) name: String,
    pub(super) policy: Policy,
    pub(super) poller: Poller,
    /// What the policy asks of Prometheus.
    pub(super) queries: Option<Queries>,
    /// The workload that gives the job its slots, where one is named.
    pub(super) workload: Option<Workload>,
    /// The resource by which an operator runs the job, where one does.
    pub(super) operator: Option<Operator>,
    /// Whether a rescale may have been cut off by the end of the program: looked at in the first cycle.
    pub(super) resumes: bool,
    pub(super) hastener: act::Hastener,
    /// How the job is run again from a savepoint, where that is known.
    pub(super) program: Option<act::Program>,
    /// What keeps a job from being run again, told once.
    pub(super) trouble: Trouble,
    pub(super) state: State,
    pub(super) keeper: Keeper,
    /// Where the process keeps its metrics.
    pub(super) metrics: Arc<Metrics>,
    /// Who is told of each cycle.
    pub(super) listener: Option<Listener>,
    pub(super) journal: Option<JournalFile>,
    /// Ids for its cycles.
    pub(super) traces: TraceIds,
    /// The first poll comes this long after the start, so that many jobs are not polled at one moment.
    pub(super) delay: Duration,
}

/// Somebody who is told of each cycle. Must not block.
pub(super) type Listener = Box<dyn FnMut(&Told<'_>) + Send>;

/// What a listener is told.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) policy: &'a Policy,
    pub(super) decision: &'a Decision,
    pub(super) outcome: &'a Outcome,
    /// The state after the cycle.
    pub(super) state: &'a State,
}

/// How a job's task ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// What was known at the end.
    pub(super) state: State,
    /// Where that is kept.
    pub(super) keeper: Keeper,
    /// Somebody else has written the state: what is known here is of no use.
    pub(super) fenced: bool,
}

/// What was done in a cycle beyond deciding.
pub(super) struct Done {
    pub(super) begun: Option<Timestamp>,
    pub(super) outcome: Outcome,
    pub(super) ended: Option<Timestamp>,
}

impl Job {
    /// Works until `stop` is true, or until somebody else has written the state. A cycle that has begun to act is finished
    /// first.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Ended {
        self.state.take_up(clock::now());
        let mut pace = Pace::new(self.policy.poll.get());
        let (mut report, mut journal_trouble) = (Report::default(), Trouble::default());
        let mut next = Instant::now() + self.delay;
        let (mut staged, mut fenced) = (next, false);
        while !fenced {
            // Between two runs of the job there is nothing to observe, and every second counts.
            if self.state.resubmitting().is_some() {
                let span = self.span();
                if let Some(went_on) = self.resubmit(&mut stop).instrument(span).await {
                    let Some(synced) = went_on else { break };
                    (fenced, next) = (synced, Instant::now());
                    continue;
                }
            }
            // The same while an operator stops the job and starts it.
            if self.state.upgrading().is_some() {
                let span = self.span();
                if let Some(went_on) = self.upgrade(&mut stop).instrument(span).await {
                    let Some(synced) = went_on else { break };
                    (fenced, next) = (synced, Instant::now());
                    continue;
                }
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = sleep_until(next) => next = Instant::now(),
            }
            let span = self.span();
            let observation = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                observation = self.observe().instrument(info_span!(parent: &span, "observe")) => observation,
            };
            self.metrics.polled(next.elapsed());
            next += pace.after(&observation);
            let rest = async {
                let was_under_way = self.state.ledger.attempt.is_some();
                let acted = self.cycle(&observation, &mut report, &mut journal_trouble).await;
                self.tidy_up();
                // A person may have said that it may go on.
                if self.state.needs_a_person() && self.keeper.is_overwritten().await {
                    return true;
                }
                if acted || was_under_way != self.state.ledger.attempt.is_some() {
                    self.sync().await
                } else if staged.elapsed() >= self.keeper.every() {
                    staged = Instant::now();
                    self.stage().await
                } else {
                    false
                }
            };
            fenced = rest.instrument(span).await;
        }
        // In a directory, the states of all jobs are committed when all have stopped.
        if !fenced {
            fenced = self.stage().await;
        }
        info!("stopped");
        Ended { state: self.state, keeper: self.keeper, fenced }
    }

    /// What all that is said and done in one cycle is within. No log is too terse for it: a warning is to be told apart, too.
    fn span(&self) -> Span {
        let job = self.state.history.last().map(|snapshot| snapshot.name.as_str());
        error_span!("cycle", job, trace_id = %self.traces.next(), outcome = Empty)
    }

    /// The job, and beside it what its policy asks elsewhere.
    async fn observe(&mut self) -> Observation {
        let Self { poller, queries, operator, .. } = self;
        let poll = poller.observe(clock::now);
        let polled = async {
            match queries {
                Some(queries) => queries.beside(poll, clock::now).await,
                None => poll.await,
            }
        };
        let looked = async {
            match operator {
                Some(operator) => Some(operator.look().await),
                None => None,
            }
        };
        let (mut observation, looked) = tokio::join!(polled, looked);
        if let Some(workload) = &mut self.workload {
            workload.look(&mut observation, &mut self.poller);
        }
        if let (Some(operator), Some(looked)) = (&mut self.operator, looked) {
            operator.add(looked, &mut observation);
        }
        if let Some(queries) = &mut self.queries {
            queries.heed(&observation);
        }
        observation
    }

    /// Has the savepoints disposed of that are no longer to be kept.
    fn tidy_up(&mut self) {
        let Some(program) = &self.program else { return };
        if self.policy.mode != Mode::Auto || !self.poller.client().may_change() {
            return;
        }
        let old = self.state.surplus_savepoints(program.savepoint.kept());
        if !old.is_empty() {
            tokio::spawn(act::dispose(self.poller.client().clone(), old));
        }
    }

    /// Decides and does; true when Flink was asked for something.
    async fn cycle(&mut self, observation: &Observation, report: &mut Report, trouble: &mut Trouble) -> bool {
        let at = clock::now();
        let stepped = self.state.ledger.attempt.as_ref().filter(|attempt| attempt.stage().is_some()).cloned();
        let decision = self.state.cycle(observation, &self.policy, at);
        self.poller.want_taskmanagers(decision.wants_taskmanagers());
        if decision.awaits_slots() {
            self.poller.refresh_slots();
        }
        let acting = info_span!("act");
        let Done { begun, outcome, ended } = self.act(&decision, observation).instrument(acting).await;
        Span::current().record("outcome", outcome.kind());
        let graph = self.state.history.last().map(|snapshot| &*snapshot.graph);
        report.cycle(observation, &Summary::of(&decision, graph), &outcome);
        let (decision, outcome, stepped) = (&decision, &outcome, stepped.as_ref());
        let cycle = Cycle { at, observation, stepped, decision, begun, outcome, ended };
        self.write_down(&cycle, trouble);
        let (policy, state) = (&self.policy, &self.state);
        let told = Told { policy, decision, outcome, state };
        self.metrics.cycle(&self.name, observation, &told);
        if let Some(listener) = &mut self.listener {
            listener(&told);
        }
        begun.is_some() || ended.is_some()
    }

    /// Carries out what was approved, or takes back what has not come about.
    async fn act(&mut self, decision: &Decision, observation: &Observation) -> Done {
        if let Some(done) = self.conclude_resubmission().or_else(|| self.conclude_upgrade(observation)) {
            return done;
        }
        if let Some(done) = self.take_up(observation).await {
            return done;
        }
        if let Some(done) = self.take_back(observation).await {
            return done;
        }
        match decision.approved() {
            Some(_) if self.policy.mode == Mode::Auto && !self.poller.client().may_change() => {
                Done { begun: None, outcome: Outcome::Held { found: Some(Hold::NotLeading) }, ended: None }
            }
            Some(plan) if self.policy.mode == Mode::Auto => self.carry_out(plan).await,
            _ => {
                self.hasten(observation).await;
                Done { begun: None, outcome: Outcome::without_acting(&decision.verdict), ended: None }
            }
        }
    }

    /// A rescale under way may wait for a checkpoint.
    async fn hasten(&mut self, observation: &Observation) {
        if let (Some(attempt), Observation::Seen(seen), Mode::Auto) =
            (&self.state.ledger.attempt, observation, self.policy.mode)
            && attempt.is_in_place()
            && has_come(attempt, seen)
        {
            self.hastener.step(self.poller.client(), attempt, seen).await;
        }
    }

    async fn carry_out(&mut self, plan: &Approved) -> Done {
        let begun = clock::now();
        self.state.begin(plan, begun);
        let outcome = match self.save().await {
            // It goes on from there, step by step.
            Ok(()) if self.state.resubmitting().is_some() || self.state.upgrading().is_some() => {
                Outcome::Applied
            }
            Ok(()) => self.ask(plan, begun).await,
            // A rescale that a restart would not know of could be asked for twice, or never be taken back.
            Err(error) => {
                let why = error.source().map_or_else(String::new, |source| format!(": {source}"));
                Outcome::Failed {
                    detail: format!("not asked for, as the attempt cannot be kept: {error}{why}"),
                }
            }
        };
        self.poller.refresh_slots();
        let ended = clock::now();
        self.state.end(&outcome, ended);
        Done { begun: Some(begun), outcome, ended: Some(ended) }
    }

    async fn ask(&mut self, plan: &Approved, now: Timestamp) -> Outcome {
        let flink = self.poller.client();
        match (plan.plan().step(), self.workload.as_ref().and_then(Workload::target)) {
            (Step::Rescale, _) => act::rescale(flink, plan, &self.state.ledger, now).await,
            (Step::AddTaskManagers | Step::RemoveTaskManagers, Some(target)) => {
                act::scale(target, flink, plan, now).await
            }
            (Step::AddTaskManagers | Step::RemoveTaskManagers, None) => {
                Outcome::Superseded { detail: "there is no workload to scale any more".to_owned() }
            }
        }
    }

    /// In the first cycle: takes up a rescale that may have been cut off before it was asked for.
    async fn take_up(&mut self, observation: &Observation) -> Option<Done> {
        if !self.resumes || !matches!(observation, Observation::Seen(_)) {
            return None;
        }
        self.resumes = false;
        let attempt = self.state.ledger.attempt.as_ref().filter(|attempt| attempt.is_in_place())?;
        let acts = self.policy.mode == Mode::Auto && self.policy.rivals.is_empty();
        if !acts || !self.poller.client().may_change() {
            return None;
        }
        let outcome = match attempt.scaled {
            // It was not asked for: the next cycle decides anew.
            Some(scaled) if replicas(observation)? == scaled.from => Outcome::Superseded {
                detail: format!(
                    "{} TaskManagers were not asked for before the program was stopped",
                    scaled.to
                ),
            },
            Some(_) => return None,
            None => act::take_up(self.poller.client(), attempt, clock::now()).await?,
        };
        let ended = clock::now();
        self.state.end(&outcome, ended);
        Some(Done { begun: None, outcome, ended: Some(ended) })
    }

    /// Takes back a rescale that has not come about in time, when Flink can be heard.
    async fn take_back(&mut self, observation: &Observation) -> Option<Done> {
        let attempt = self.state.overdue(clock::now())?;
        if !matches!(observation, Observation::Seen(_)) || !self.poller.client().may_change() {
            return None;
        }
        let outcome = match self.policy.mode {
            Mode::Auto if !self.policy.rivals.is_empty() => Outcome::Superseded {
                detail: format!("the rescale of {} did not come about, and others scale the job", attempt.at),
            },
            Mode::Auto => {
                let target = self.workload.as_ref().and_then(Workload::target);
                roll_back(self.poller.client(), target, attempt).await
            }
            // It was begun under another mode; this one changes nothing, and no longer waits for it.
            mode @ (Mode::Recommend | Mode::Paused) => Outcome::Superseded {
                detail: format!("the rescale of {} did not come about; mode {mode:?} leaves it", attempt.at),
            },
        };
        if let Outcome::Failed { .. } = outcome {
            // It is still in force: the next cycle tries again.
            return Some(Done { begun: None, outcome, ended: None });
        }
        self.poller.refresh_slots();
        let ended = clock::now();
        self.state.end(&outcome, ended);
        Some(Done { begun: None, outcome, ended: Some(ended) })
    }

    fn write_down(&mut self, cycle: &Cycle<'_>, trouble: &mut Trouble) {
        let Some(journal) = &mut self.journal else { return };
        match journal.append(cycle, &self.policy, &self.state) {
            Ok(()) => {
                if let Some(since) = trouble.ends() {
                    info!(%since, "the journal is written again; the cycles since then are missing in it");
                }
            }
            Err(error) => {
                if trouble.begins(cycle.at) {
                    let path = journal.path().display();
                    warn!(%path, %error, "the journal cannot be written; the job is scaled all the same");
                }
            }
        }
    }

    /// Leaves the state to be written when it suits; true when somebody else has written it.
    async fn stage(&mut self) -> bool {
        is_fenced(self.keeper.stage(&self.name, &self.state).await)
    }

    async fn save(&mut self) -> Result<(), KeepError> {
        self.keeper.save(&self.name, &self.state).await
    }

    /// When a rescale has begun or ended: what is known of it is kept for good before anything else happens. True when
    /// somebody else has written the state.
    pub(super) async fn sync(&mut self) -> bool {
        let fenced = is_fenced(self.save().await);
        if let Some(Err(error)) = self.journal.as_mut().map(JournalFile::sync) {
            warn!(%error, "the journal is not forced to the disk");
        }
        fenced
    }
}

async fn roll_back(flink: &FlinkClient, target: Option<&Target>, attempt: &Attempt) -> Outcome {
    match (attempt.scaled, target) {
        (None, _) => act::roll_back(flink, attempt).await,
        (Some(scaled), Some(target)) => act::scale_back(target, flink, scaled).await,
        (Some(_), None) => {
            Outcome::Superseded { detail: "there is no workload to scale back any more".to_owned() }
        }
    }
}

/// Replicas asked for, where they were seen.
fn replicas(observation: &Observation) -> Option<u32> {
    let Observation::Seen(seen) = observation else { return None };
    seen.around.workload.as_ref().map(|workload| workload.replicas)
}

/// Whether nothing but the job is waited for: all TaskManagers have come that it is to take.
fn has_come(attempt: &Attempt, seen: &Snapshot) -> bool {
    let registered = seen.slots.map_or(0, |slots| slots.taskmanagers);
    attempt.scaled.is_none_or(|scaled| registered >= scaled.to)
}

fn is_fenced(kept: Result<(), KeepError>) -> bool {
    let Err(error) = kept else { return false };
    if error.is_not_leading() {
        return false;
    }
    warn!(error = &error as &dyn Error, "the state is not kept");
    error.is_fenced()
}
