//! The engine at the wheel of a simulated job: polls, decides, carries out, all under the virtual clock.
//!
//! The demo, `simulate`, scenario tests and benches drive this. What decides is [`State::cycle`], as everywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{Simulation, Truth};
use crate::decide::Decision;
use crate::guard::{Approved, Hold};
use crate::model::{Attempt, Observation, Parallelism, Scaled, Timestamp, VertexId};
use crate::plan::{Direction, Scale, Step};
use crate::policy::{Mode, Policy};
use crate::record::journal::Cycle;
use crate::record::{Outcome, State};

/// The poller's wait between priming Flink's metrics and reading them.
const FETCH_TIME: Duration = Duration::from_secs(1);

/// One cycle of a driven job.
#[derive(Clone, Debug)]
pub struct Driven {
    /// When it was decided.
    pub at: Timestamp,
    /// What was seen.
    pub observation: Observation,
    /// What was chosen.
    pub decision: Decision,
    /// When an approved plan was begun, if it was.
    pub begun: Option<Timestamp>,
    /// What came of it.
    pub outcome: Outcome,
    /// When the state was told of the outcome, if it was.
    pub ended: Option<Timestamp>,
    /// What was so, whatever Flink said of it.
    pub truth: Truth,
}

impl Driven {
    /// The cycle as it is written to a journal.
    pub fn as_cycle(&self) -> Cycle<'_> {
        let Self { at, observation, decision, begun, outcome, ended, truth: _ } = self;
        Cycle { at: *at, observation, stepped: None, decision, begun: *begun, outcome, ended: *ended }
    }
}

/// How well a job was served, and at what cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// Simulated seconds.
    pub seconds: f64,
    /// Decisions made.
    pub decisions: u64,
    /// Rescales asked for.
    pub rescales: u64,
    /// Those that asked for more.
    pub scale_ups: u64,
    /// Those that asked for less.
    pub scale_downs: u64,
    /// How often the job was restarted, for whatever reason.
    pub restarts: u32,
    /// Slots held, summed over time.
    pub slot_seconds: f64,
    /// Seconds for which a record waited longer than the scenario's limit.
    pub seconds_over_slo: f64,
    /// The most records that waited at any poll.
    pub peak_backlog: f64,
}

/// Where the engine is cut off, the next time that it acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// When what it is about to do is written down, and nothing is done.
    BeforeAsking,
    /// When it is done, and nobody has taken note of the answer.
    AfterAsking,
}

/// A simulated job with the engine at the wheel.
#[derive(Debug)]
pub struct Drive {
    /// The job.
    pub simulation: Simulation,
    /// What the engine knows of it.
    pub state: State,
    policy: Policy,
    start: Timestamp,
    next: Timestamp,
    score: Score,
    crash: Option<Crash>,
}

impl Drive {
    /// The engine with this policy, at the wheel of a job at its beginning.
    pub fn new(simulation: Simulation, policy: Policy) -> Self {
        let start = simulation.now();
        let next = start + policy.poll.get();
        Self {
            simulation,
            state: State::default(),
            policy,
            start,
            next,
            score: Score::default(),
            crash: None,
        }
    }

    /// The policy that decides.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// When the simulation began.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Simulated time from the start to the next poll.
    pub fn until_next(&self) -> Duration {
        self.next.since(self.start)
    }

    /// Simulated time since the start.
    pub fn elapsed(&self) -> Duration {
        self.simulation.now().since(self.start)
    }

    /// How well it went so far.
    pub fn score(&self) -> Score {
        let truth = self.simulation.truth();
        Score {
            seconds: self.elapsed().as_secs_f64(),
            restarts: truth.restarts,
            slot_seconds: truth.slot_seconds.get(),
            seconds_over_slo: truth.late.get(),
            ..self.score
        }
    }

    /// Cuts the engine off the next time that it acts; it goes on with what it had written down.
    pub fn crash_when_acting(&mut self, crash: Crash) {
        self.crash = Some(crash);
    }

    /// Lets the clock run to the next poll, and goes through one cycle.
    pub fn cycle(&mut self) -> Driven {
        let wait = FETCH_TIME.min(self.policy.poll.get() / 4);
        self.simulation.advance_to(self.next - wait);
        self.simulation.prime();
        self.simulation.advance_to(self.next);
        let at = self.simulation.now();
        self.next = at + self.policy.poll.get();

        let observation = self.simulation.observe();
        let decision = self.state.cycle(&observation, &self.policy, at);
        self.simulation.look_at_taskmanagers(decision.wants_taskmanagers());
        let Acted { begun, outcome, ended } = self.act(&decision, at);
        let truth = self.simulation.truth();
        self.keep_score(&decision, &outcome, &truth);
        Driven { at, observation, decision, begun, outcome, ended, truth }
    }

    fn act(&mut self, decision: &Decision, at: Timestamp) -> Acted {
        if let Some(attempt) = self.state.overdue(at).cloned() {
            return self.take_back(&attempt, at);
        }
        match decision.approved() {
            Some(plan) if self.policy.mode == Mode::Auto => {
                self.state.begin(plan, at);
                let crash = self.crash.take();
                if crash == Some(Crash::BeforeAsking) {
                    return self.restarted(at);
                }
                let outcome = match plan.plan().step() {
                    Step::Rescale => self.ask(plan),
                    Step::AddTaskManagers | Step::RemoveTaskManagers => self.scale(plan),
                };
                if crash == Some(Crash::AfterAsking) {
                    return self.restarted(at);
                }
                self.state.end(&outcome, at);
                Acted { begun: Some(at), outcome, ended: Some(at) }
            }
            _ => Acted { begun: None, outcome: Outcome::without_acting(&decision.verdict), ended: None },
        }
    }

    fn ask(&mut self, approved: &Approved) -> Outcome {
        let plan = approved.plan();
        let have = self.simulation.slots().total;
        if plan.assumes.slots > have {
            return Outcome::Held { found: Some(Hold::SlotsMissing { needed: plan.assumes.slots, have }) };
        }
        match self.require(&plan.changes.iter().map(|change| (change.vertex, change.to)).collect()) {
            Ok(()) => Outcome::Applied,
            Err(detail) => Outcome::Failed { detail },
        }
    }

    fn scale(&mut self, approved: &Approved) -> Outcome {
        let Some(Scale { from, to, pods, .. }) = &approved.plan().scale else { return Outcome::Unchanged };
        match self.simulation.scale(*from, *to, pods) {
            Ok(()) => Outcome::Applied,
            Err(detail) => Outcome::Superseded { detail },
        }
    }

    /// The program starts again with what it had written down before it asked for anything.
    fn restarted(&mut self, at: Timestamp) -> Acted {
        let written = serde_json::to_string(&self.state).ok();
        self.state = written.and_then(|state| serde_json::from_str(&state).ok()).unwrap_or_default();
        // A rescale that had been written down is asked for when it had not been, which asking again does not tell from asking.
        if let Some(attempt) = self.state.ledger.attempt.clone() {
            match attempt.scaled {
                Some(Scaled { from, .. }) if self.simulation.truth().replicas == Some(from) => {
                    let detail = "the replicas were not asked for".to_owned();
                    self.state.end(&Outcome::Superseded { detail }, at);
                }
                Some(_) => {}
                None => drop(self.require(&attempt.to)),
            }
        }
        Acted { begun: Some(at), outcome: Outcome::Unobserved, ended: None }
    }

    fn take_back(&mut self, attempt: &Attempt, at: Timestamp) -> Acted {
        let taken_back = match attempt.scaled {
            Some(Scaled { from, to, .. }) => self.simulation.scale(to, from, &[]),
            None => self.require(&attempt.from),
        };
        match taken_back {
            Ok(()) => {
                let outcome =
                    Outcome::RolledBack { detail: "the job did not reach its new size in time".to_owned() };
                self.state.end(&outcome, at);
                Acted { begun: None, outcome, ended: Some(at) }
            }
            // It is still in force: the next cycle tries again.
            Err(detail) => Acted { begun: None, outcome: Outcome::Failed { detail }, ended: None },
        }
    }

    fn require(&mut self, sizes: &BTreeMap<VertexId, Parallelism>) -> Result<(), String> {
        let wanted: Vec<_> = sizes.iter().map(|(&vertex, size)| (vertex, 1, size.get())).collect();
        self.simulation.requirements(&wanted).map_err(|refused| refused.to_string())
    }

    fn keep_score(&mut self, decision: &Decision, outcome: &Outcome, truth: &Truth) {
        let score = &mut self.score;
        score.decisions += 1;
        score.peak_backlog = score.peak_backlog.max(truth.backlog());
        let rescale = decision.plan().filter(|plan| plan.step() == Step::Rescale || plan.rescales_by_scale());
        if let (Outcome::Applied, Some(plan)) = (outcome, rescale) {
            score.rescales += 1;
            match plan.direction {
                Direction::Up => score.scale_ups += 1,
                Direction::Down => score.scale_downs += 1,
            }
        }
    }
}

/// What was done in a cycle beyond deciding.
struct Acted {
    begun: Option<Timestamp>,
    outcome: Outcome,
    ended: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{AutoscalerSpec, PolicySpec, Rule, Span, Throughput};
    use crate::record::journal::{Header, Writer, replay};
    use crate::simulate::{Scenario, scenarios};

    fn drive(scenario: &Scenario, mode: Mode) -> Drive {
        let spec =
            PolicySpec { rules: vec![Rule::Throughput(Throughput::default())], ..PolicySpec::default() };
        let policy =
            Policy { mode, poll: Span::from_secs(5), ..Policy::new(&AutoscalerSpec::default(), spec) };
        Drive::new(Simulation::new(scenario).expect("a sound scenario"), policy)
    }

    #[test]
    fn follows_the_demo_up_and_down() {
        let mut drive = drive(&scenarios::demo(), Mode::Auto);
        while drive.elapsed() < Duration::from_mins(10) {
            drive.cycle();
        }
        let Score { rescales, scale_ups, scale_downs, .. } = drive.score();
        assert!(scale_ups >= 1 && scale_downs >= 1 && rescales <= 4, "{:?}", drive.score());
    }

    #[test]
    fn changes_nothing_unless_the_mode_says_so() {
        for (mode, kind) in [(Mode::Recommend, "Recommended"), (Mode::Paused, "Unobserved")] {
            let mut drive = drive(&scenarios::demo(), mode);
            let before = drive.simulation.truth().parallelism;
            let mut kinds = std::collections::BTreeSet::new();
            while drive.elapsed() < Duration::from_mins(5) {
                kinds.insert(drive.cycle().outcome.kind());
            }
            assert_eq!((drive.score().rescales, drive.simulation.truth().restarts), (0, 0));
            assert_eq!(drive.simulation.truth().parallelism, before);
            assert!(kinds.contains(kind) && !kinds.contains("Applied"), "{kinds:?}");
        }
    }

    #[test]
    fn every_scenario_replays_from_its_journal() {
        for name in scenarios::NAMES {
            let scenario = scenarios::named(name).expect("it is in the list");
            let mut drive = drive(&scenario, Mode::Auto);
            let mut writer = Writer::default();
            let header = Header::new(drive.start, name, drive.policy(), &drive.state);
            let mut journal = writer.header(&header).expect("a header");
            let mut decisions = 0;
            while drive.elapsed() < Duration::from_mins(12) {
                journal.extend(writer.cycle(&drive.cycle().as_cycle()).expect("a line"));
                decisions += 1;
                if decisions % 50 == 0 {
                    // As after a restart, or in a new file: the state goes through its written form.
                    let header = Header::new(drive.next, name, drive.policy(), &drive.state);
                    journal.extend(writer.header(&header).expect("a header"));
                }
            }
            let replay = replay(journal.as_slice()).expect("readable");
            assert_eq!((replay.cycles, replay.differences), (decisions, Vec::new()), "{name}");
        }
    }
}
