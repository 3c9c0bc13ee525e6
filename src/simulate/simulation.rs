//! The model put together: a job on a cluster under a virtual clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::check::{Checked, ScenarioError, check};
use super::checkpoints::Checkpoints;
use super::flow::{Flow, Positions, STEP_MS};
use super::lag::{Arrivals, LastRead};
use super::random;
use super::refused::Refused;
use super::rest::{Archived, Asked};
use super::scenario::{Fault, FaultKind, Scenario, SchedulerKind, Waiting};
use super::scheduler::{Family, RestartTimes, Scheduler, Turn};
use super::session::{RunFault, Session, StopFault};
use super::slots::Groups;
use super::station::whole;
use super::store::{Known, Store};
use super::view::Cached;
use super::workload::Pods;
use crate::model::{Around, Graph, JobId, JobState, Timestamp, VertexId};
use crate::policy::Span;

/// 2026-01-01T00:00:00Z, when a simulation begins unless told otherwise.
const EPOCH: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// `slot.idle.timeout`: slots that a job has given up stay with it for so long.
const SLOT_IDLE_MS: u64 = 50_000;

/// A simulated Flink: one job on one cluster, from its start to the moment it was last advanced to.
///
/// How often it is advanced, and how far, changes nothing of what happens: only the seed and what is asked of it do.
#[derive(Clone, Debug)]
pub struct Simulation {
    pub(super) scenario: Scenario,
    pub(super) start: Timestamp,
    pub(super) graph: Arc<Graph>,
    /// The virtual clock, in milliseconds since the start.
    pub(super) now: u64,
    /// How far the model has been worked out: the clock, rounded down to whole steps.
    pub(super) done: u64,
    pub(super) flow: Flow,
    pub(super) scheduler: Scheduler,
    pub(super) checkpoints: Checkpoints,
    pub(super) store: Store,
    pub(super) cached: Option<Cached>,
    pub(super) job: JobId,
    /// Jobs that have ended before this one.
    pub(super) ended: Vec<Archived>,
    /// Checkpoints that somebody asked for over REST.
    pub(super) asked: Vec<Asked>,
    /// What the cluster keeps of stops and runs; its savepoints keep where the job was.
    pub(super) session: Session<Positions>,
    /// How the next stops and runs go wrong.
    pub(super) stop_faults: VecDeque<StopFault>,
    pub(super) run_faults: VecDeque<RunFault>,
    /// How often the vertices were started; tells the counters of one start from those of another.
    pub(super) attempt: u32,
    /// When the vertices last started; `None` while they do not run.
    pub(super) started: Option<u64>,
    /// What the counters said when the vertices stopped, if they had run.
    pub(super) last_words: Option<Vec<Known>>,
    pub(super) taskmanagers: u32,
    /// Those of them whose slots are not there yet, and until when.
    slotless: (u32, u64),
    /// The workload that makes them, where there is one.
    pub(super) pods: Option<Pods>,
    /// Whether an observer asks for the registered TaskManagers.
    pub(super) with_taskmanagers: bool,
    /// Slots that the job has given up and until when they stay with it.
    pub(super) lingering: (u32, u64),
    /// Indices of the faults that are still to come, the next one last.
    to_come: Vec<usize>,
    /// When the JobManager comes back.
    jobmanager_back: Option<u64>,
    pub(super) arrivals: Vec<Arrivals>,
    last_reads: Vec<LastRead>,
    /// How often the job was stopped, in all of its submissions.
    pub(super) restarts: u32,
    pub(super) slot_ms: f64,
    pub(super) late_ms: u64,
    /// What there is around the job, for whoever observes it.
    pub(super) around: Around,
}

impl Simulation {
    /// A scenario at its beginning, the job running.
    ///
    /// # Errors
    /// When the scenario cannot be simulated: says everything that is wrong with it.
    pub fn new(scenario: &Scenario) -> Result<Self, ScenarioError> {
        Self::starting_at(scenario, EPOCH)
    }

    /// The same, beginning at another moment than 2026-01-01T00:00:00Z.
    ///
    /// # Errors
    /// When the scenario cannot be simulated: says everything that is wrong with it.
    pub fn starting_at(scenario: &Scenario, start: Timestamp) -> Result<Self, ScenarioError> {
        let Checked { graph, loads } = check(scenario)?;
        let graph = Arc::new(graph);
        let flow = Flow::new(scenario, Arc::clone(&graph), loads);
        let mut to_come: Vec<usize> = (0..scenario.faults.len()).collect();
        to_come.sort_by_key(|&fault| std::cmp::Reverse((scenario.faults[fault].at, fault)));
        let mut simulation = Self {
            start,
            now: 0,
            done: 0,
            scheduler: submit(scenario, &graph, first_sizes(scenario), 0),
            checkpoints: Checkpoints::new(scenario.checkpoints, flow.positions()),
            store: Store::new(millis(scenario.metrics.update_interval), graph.len()),
            cached: None,
            job: job_id(scenario, 0),
            ended: Vec::new(),
            asked: Vec::new(),
            session: Session::new(&format!("{}.jar", scenario.name), job_id(scenario, 0)),
            stop_faults: VecDeque::new(),
            run_faults: VecDeque::new(),
            attempt: 0,
            started: None,
            last_words: None,
            taskmanagers: scenario.taskmanagers,
            pods: scenario
                .workload
                .map(|workload| Pods::new(workload, scenario.taskmanagers, scenario.slots_per_taskmanager)),
            with_taskmanagers: false,
            lingering: (0, 0),
            slotless: (0, 0),
            to_come,
            jobmanager_back: None,
            arrivals: flow.outside.iter().map(|_| Arrivals::new(0)).collect(),
            last_reads: vec![LastRead::default(); flow.outside.len()],
            restarts: 0,
            slot_ms: 0.0,
            late_ms: 0,
            around: Around::default(),
            scenario: scenario.clone(),
            graph,
            flow,
        };
        let turn = simulation.scheduler.skip_deployment(0, simulation.total_slots());
        simulation.follow(turn, 0);
        simulation.events_due();
        Ok(simulation)
    }

    /// The scenario that this is a run of.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The job's graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// From now on the workload's pods use so much of CPU together, in thousandths of a core; nothing where there is no workload.
    pub fn use_cpu(&mut self, together: i64) {
        if let Some(pods) = &mut self.pods {
            pods.use_cpu(together);
        }
    }

    /// From now on, an observer sees this around the job: pods and answers to queries, which the model knows nothing of.
    pub fn set_around(&mut self, around: Around) {
        self.around = around;
    }

    /// The virtual clock.
    pub fn now(&self) -> Timestamp {
        self.moment(self.now)
    }

    /// Lets the virtual clock run to `until`; it never runs back.
    pub fn advance_to(&mut self, until: Timestamp) {
        let until = u64::try_from(until.since(self.start).as_millis()).unwrap_or(u64::MAX);
        self.now = self.now.max(until);
        while self.done + STEP_MS <= self.now {
            self.step();
        }
    }

    /// Asks for other sizes: for every vertex the fewest and the most subtasks that it may have.
    ///
    /// That it is accepted does not mean that it is done: the scheduler may wait, and may find too few slots.
    ///
    /// # Errors
    /// When Flink would refuse it.
    pub fn requirements(&mut self, wanted: &[(VertexId, u32, u32)]) -> Result<(), Refused> {
        let now = self.now;
        if self.is_unreachable() {
            return Err(Refused::Unreachable);
        }
        if !self.takes_requirements() {
            return Err(Refused::NotFound);
        }
        if self.scenario.scheduler == SchedulerKind::Default {
            return Err(Refused::Unsupported);
        }
        if self.scenario.scheduler == SchedulerKind::Reactive {
            return Err(Refused::Reactive);
        }
        if self.scheduler.state().is_terminal() {
            return Err(Refused::NoSuchJob(self.job));
        }
        let bounds = Refused::check(&self.graph, wanted)?;
        self.scheduler.require(bounds, now);
        Ok(())
    }

    /// So many TaskManagers more register now. Flink counts them before their slots, here by so much, as was seen on 2.3.0.
    pub fn register(&mut self, taskmanagers: u32, slots_after: Duration) {
        self.taskmanagers = self.taskmanagers.saturating_add(taskmanagers);
        let slots_after = u64::try_from(slots_after.as_millis()).unwrap_or(u64::MAX);
        self.slotless = (taskmanagers, self.done.saturating_add(slots_after));
    }

    /// From now on, an observer asks for the registered TaskManagers, or no longer does.
    pub fn look_at_taskmanagers(&mut self, with_taskmanagers: bool) {
        self.with_taskmanagers = with_taskmanagers;
    }

    /// Asks for another number of replicas, with these pods marked to go first, where `from` are asked for now. TaskManagers that
    /// go with slots on them take the job down.
    ///
    /// # Errors
    /// Where there is no workload, or another number is asked for now.
    pub fn scale(&mut self, from: u32, to: u32, going: &[String]) -> Result<(), String> {
        let now = self.now;
        let pods = self.pods.as_mut().ok_or("the scenario has no workload")?;
        if pods.replicas() != from {
            return Err(format!("{} replicas are asked for, not {from}", pods.replicas()));
        }
        pods.mark(going);
        let killed = pods.scale(to, now);
        self.taskmanagers = pods.registered();
        if killed > 0 {
            let turn = self.scheduler.fail(now);
            self.follow(turn, now);
        }
        Ok(())
    }

    /// One step of the model: the records move, and then what is due by its end happens.
    fn step(&mut self) {
        let at = self.done;
        self.flow.arrive(at);
        if let Some(started) = self.started {
            self.flow.run(at, at - started);
        }
        self.done += STEP_MS;
        self.events_due();
        self.keep_score();
    }

    fn events_due(&mut self) {
        let now = self.done;
        self.faults_due(now);
        if self.slotless.0 > 0 && now >= self.slotless.1 {
            self.slotless = (0, 0);
            self.scheduler.slots_added(now);
        }
        if let Some(pods) = &mut self.pods
            && pods.advance(now) > 0
        {
            self.taskmanagers = pods.registered();
            self.scheduler.slots_added(now);
        }
        if self.started.is_some() {
            self.checkpoints.advance(now, || self.flow.positions());
        }
        self.stops_due(now);
        let turn = self.scheduler.advance(now, self.total_slots(), &self.checkpoints);
        self.follow(turn, now);
    }

    /// Does to the flow what the scheduler did to the job.
    pub(super) fn follow(&mut self, turn: Option<Turn>, at: u64) {
        match turn {
            Some(Turn::Started) => {
                self.started = Some(at);
                self.attempt += 1;
                self.flow.start(&self.scheduler.parallelism);
                self.checkpoints.start(at);
                let held = self.scheduler.held(self.total_slots());
                if let Some(pods) = &mut self.pods {
                    pods.hold(held);
                }
            }
            Some(Turn::Stopped) => {
                let (flow, attempt) = (&self.flow, self.attempt);
                let known =
                    |started| (0..flow.stations.len()).map(move |v| flow.known(v, attempt, at - started));
                self.last_words = self.started.take().map(|started| known(started).collect());
                if self.last_words.is_some() {
                    self.lingering = (self.scheduler.held(u32::MAX), at + SLOT_IDLE_MS);
                }
                if let Some(pods) = &mut self.pods {
                    pods.release(at + SLOT_IDLE_MS);
                }
                self.restarts += 1;
                self.checkpoints.stop(at);
                self.flow.rewind(self.checkpoints.restore_point());
            }
            None => {}
        }
    }

    fn faults_due(&mut self, at: u64) {
        if self.jobmanager_back.is_some_and(|back| back <= at) {
            self.jobmanager_back = None;
            self.scheduler.adopt(at);
            self.store.clear();
            self.cached = None;
        }
        while let Some(&next) = self.to_come.last() {
            let Fault { at: due, what } = self.scenario.faults[next].clone();
            if millis(due) > at {
                break;
            }
            self.to_come.pop();
            self.strike(&what, at);
        }
    }

    /// What a fault does to the job; what it does to the answers is looked up when one is given.
    fn strike(&mut self, what: &FaultKind, at: u64) {
        match *what {
            FaultKind::TaskmanagersLost { count } => {
                self.taskmanagers = self.taskmanagers.saturating_sub(count);
                self.lingering = (0, 0);
                let turn = self.scheduler.fail(at);
                self.follow(turn, at);
            }
            FaultKind::TaskmanagersAdded { count } => {
                self.taskmanagers = self.taskmanagers.saturating_add(count);
                self.scheduler.slots_added(at);
            }
            FaultKind::JobmanagerLost { lasts } => {
                let turn = self.scheduler.orphan();
                self.follow(turn, at);
                self.jobmanager_back = Some(at.saturating_add(millis(lasts)));
                self.session.forget();
            }
            FaultKind::Cancelled => self.cancel(at),
            FaultKind::Resubmitted => self.resubmit(at),
            FaultKind::StopFails { how, times } => self.stop_faults.extend((0..times).map(|_| how)),
            FaultKind::RunFails { how, times } => self.run_faults.extend((0..times).map(|_| how)),
            FaultKind::JarLost => self.session.lose_jar(),
            FaultKind::Unreachable { .. }
            | FaultKind::SlowAnswers { .. }
            | FaultKind::StaleMetrics { .. }
            | FaultKind::PartialMetrics { .. }
            | FaultKind::ClockAhead { .. }
            | FaultKind::ClockBehind { .. } => {}
        }
    }

    /// Cancels the job now.
    pub(super) fn cancel(&mut self, at: u64) {
        // What was read before is not read again by whoever submits it anew: that is done from a savepoint.
        let positions = self.flow.positions();
        let turn = self.scheduler.end(JobState::Canceled, at);
        self.follow(turn, at);
        self.flow.rewind(Some(&positions));
    }

    fn resubmit(&mut self, at: u64) {
        self.cancel(at);
        let archived = self.archive();
        self.ended.push(archived);
        self.job = job_id(&self.scenario, self.ended.len());
        self.scheduler = submit(&self.scenario, &self.graph, first_sizes(&self.scenario), at);
        self.checkpoints = Checkpoints::new(self.scenario.checkpoints, self.flow.positions());
        self.cached = None;
    }

    fn keep_score(&mut self) {
        let now = self.done;
        self.slot_ms += f64::from(self.scheduler.held(self.total_slots())) * STEP_MS as f64;
        let mut late = false;
        let restore = self.checkpoints.restore_point();
        for (index, (arrivals, source)) in self.arrivals.iter_mut().zip(&self.flow.outside).enumerate() {
            arrivals.note(now, source.arrived, restore.map_or(source.taken, |p| p.taken[index]));
            // Less than one record is no record.
            let age = if source.pending() >= 1.0 { arrivals.age(now, source.taken) } else { 0.0 };
            self.last_reads[index].note(now, source.taken, age);
            late |= age > millis(self.scenario.slo.lag) as f64;
        }
        self.late_ms += if late { STEP_MS } else { 0 };
    }

    /// Brings the metric store up to date if a request now would.
    pub(super) fn touch_store(&mut self) {
        let now = self.now;
        if !self.store.is_due(now) {
            return;
        }
        let mut unread = None;
        for fault in &self.scenario.faults {
            match &fault.what {
                FaultKind::StaleMetrics { lasts } if is_on(fault.at, *lasts, now) => return,
                FaultKind::PartialMetrics { lasts, vertex } if is_on(fault.at, *lasts, now) => {
                    unread = self.graph.vertices().iter().position(|v| v.name == *vertex);
                }
                _ => {}
            }
        }
        let lags: Vec<_> = (0..self.graph.len()).map(|v| self.lag(v)).collect();
        let (flow, done, attempt) = (&self.flow, self.done, self.attempt);
        self.store.fetch(now, |v| match self.started {
            _ if unread == Some(v) => None,
            None => Some(Known::default()),
            Some(started) => Some(Known { lag: lags[v], ..flow.known(v, attempt, done - started) }),
        });
    }

    /// How late the records of a source are, where they have times.
    fn lag(&self, vertex: usize) -> Option<u64> {
        let source = self.scenario.vertices[vertex].source.as_ref().filter(|source| source.reports_lag)?;
        let index = self.flow.outside.iter().position(|outside| outside.vertex == vertex)?;
        let lag = self.last_reads[index].lag(self.done, source.waiting == Waiting::Idle)?;
        Some(whole(lag))
    }

    /// Whether no observation and no request has success now.
    pub(super) fn is_unreachable(&self) -> bool {
        self.is_leaderless() || self.is_cut_off()
    }

    /// Whether there is no JobManager now.
    pub(super) fn is_leaderless(&self) -> bool {
        self.jobmanager_back.is_some()
    }

    /// Whether no request gets through to the JobManager now.
    pub(super) fn is_cut_off(&self) -> bool {
        let now = self.now;
        let cut = |fault: &Fault| match fault.what {
            FaultKind::Unreachable { lasts } => is_on(fault.at, lasts, now),
            _ => false,
        };
        self.scenario.faults.iter().any(cut)
    }

    /// Whether this version knows resource requirements.
    pub(super) fn takes_requirements(&self) -> bool {
        Family::from(self.scenario.flink_version) != Family::NoRequirements
    }

    pub(super) fn total_slots(&self) -> u32 {
        self.taskmanagers.saturating_sub(self.slotless.0).saturating_mul(self.scenario.slots_per_taskmanager)
    }

    /// Slots that no job holds, nor has just given up.
    pub(super) fn available_slots(&self) -> u32 {
        let (lingering, until) = self.lingering;
        let lingering = if self.now < until { lingering } else { 0 };
        let total = self.total_slots();
        total.saturating_sub(self.scheduler.held(total).max(lingering))
    }

    /// A moment of the virtual clock as the observer's clock shows it.
    pub(super) fn moment(&self, at: u64) -> Timestamp {
        self.start + std::time::Duration::from_millis(at)
    }
}

/// Whether a fault that began at `at` and lasts so long is on now.
pub(super) fn is_on(at: Span, lasts: Span, now: u64) -> bool {
    millis(at) <= now && now < millis(at).saturating_add(millis(lasts))
}

/// A length of time in the model's own unit.
pub(super) fn millis(span: Span) -> u64 {
    u64::try_from(span.get().as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn job_id(scenario: &Scenario, submission: usize) -> JobId {
    JobId::from_bits(random::fingerprint(&format!("{}/{}/{submission}", scenario.name, scenario.seed)))
}

fn first_sizes(scenario: &Scenario) -> Vec<u32> {
    scenario.vertices.iter().map(|vertex| vertex.parallelism).collect()
}

pub(super) fn submit(scenario: &Scenario, graph: &Graph, sizes: Vec<u32>, now: u64) -> Scheduler {
    let restart = scenario.restart;
    let restart = RestartTimes {
        time_ms: restart.time.as_secs() * 1000.0,
        state_slot_ms: restart.state_mib / restart.mib_per_second * 1000.0,
    };
    let scheduler =
        Scheduler::new(Family::from(scenario.flink_version), Groups::new(graph), restart, sizes, now);
    match scenario.scheduler {
        SchedulerKind::Reactive => scheduler.taking_all(graph),
        SchedulerKind::Default => scheduler.keeping_its_size(),
        SchedulerKind::Adaptive => scheduler,
    }
}
