//! The engine at work on a simulated Flink: the daemon's loop under a virtual clock.
//!
//! Comes in: a [`Simulation`] and a policy. Goes out: one [`Turn`] per poll, with what was seen, decided and done, and a
//! [`Score`]. This module must never decide or model anything itself: it only brings the two together, in the order in
//! which the daemon does it.

use std::time::Duration;

use serde::Serialize;

use crate::decide::Decision;
use crate::guard::Approved;
use crate::model::{Observation, Parallelism, Timestamp, VertexId};
use crate::plan::Direction;
use crate::policy::{Mode, Policy};
use crate::record::journal::Cycle;
use crate::record::{Outcome, State};
use crate::simulate::Simulation;

/// The poller primes the metric store this long before it asks, or a quarter of a short interval, so that what it sees is
/// as fresh as that.
const FETCH_TIME: Duration = Duration::from_secs(1);

/// An engine and the job it scales.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    simulation: Simulation,
    policy: Policy,
    state: State,
    start: Timestamp,
    next: Timestamp,
    score: Score,
}

/// One poll, and what came of it.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The `now` of the decision.
    pub at: Timestamp,
    /// What was seen.
    pub observation: Observation,
    /// What was chosen.
    pub decision: Decision,
    /// When the approved plan was begun, if it was.
    pub begun: Option<Timestamp>,
    /// What came of it.
    pub outcome: Outcome,
    /// When the state was told of the outcome, if it was.
    pub ended: Option<Timestamp>,
}

impl Turn {
    /// The turn as it is written to a journal.
    pub fn as_cycle(&self) -> Cycle<'_> {
        let Self { at, observation, decision, begun, outcome, ended } = self;
        Cycle { at: *at, observation, decision, begun: *begun, outcome, ended: *ended }
    }
}

/// How well the job was served, and at what cost.
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

impl Rehearsal {
    /// An engine without any memory before a job that has just been started.
    pub fn new(simulation: Simulation, policy: Policy) -> Self {
        let start = simulation.now();
        Self { simulation, policy, state: State::default(), start, next: start, score: Score::default() }
    }

    /// The job.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// The policy that decides.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The engine's memory.
    pub fn state(&self) -> &State {
        &self.state
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

    /// Lets the clock run to the next poll, decides, and does what was decided.
    pub fn turn(&mut self) -> Turn {
        let poll = self.policy.poll.get();
        self.simulation.advance_to(self.next);
        self.simulation.prime();
        self.simulation.advance_to(self.next + FETCH_TIME.min(poll / 4));
        self.next = self.next + poll;

        let observation = self.simulation.observe();
        // A poll that gets no answer takes its time, and the clock has moved on.
        self.simulation.advance_to(observation.at());
        let at = self.simulation.now();
        let decision = self.state.cycle(&observation, &self.policy, at);
        let (begun, outcome, ended) = self.act(&decision, at);
        self.keep_score(&decision, &outcome);
        Turn { at, observation, decision, begun, outcome, ended }
    }

    fn act(&mut self, decision: &Decision, at: Timestamp) -> (Option<Timestamp>, Outcome, Option<Timestamp>) {
        if let Some(attempt) = self.state.overdue(at) {
            let before: Vec<_> = attempt.from.iter().map(|(&vertex, &size)| (vertex, size)).collect();
            let outcome = match self.ask(before) {
                Ok(()) => {
                    Outcome::RolledBack { detail: "the job did not reach its new size in time".to_owned() }
                }
                Err(detail) => return (None, Outcome::Failed { detail }, None),
            };
            self.state.end(&outcome, at);
            return (None, outcome, Some(at));
        }
        match decision.approved() {
            Some(plan) if self.policy.mode == Mode::Auto => {
                let outcome = self.carry_out(plan, at);
                (Some(at), outcome, Some(at))
            }
            _ => (None, Outcome::without_acting(&decision.verdict), None),
        }
    }

    fn carry_out(&mut self, approved: &Approved, at: Timestamp) -> Outcome {
        self.state.begin(approved, at);
        let sizes = approved.plan().changes.iter().map(|change| (change.vertex, change.to)).collect();
        let outcome = match self.ask(sizes) {
            Ok(()) => Outcome::Applied,
            Err(detail) => Outcome::Failed { detail },
        };
        self.state.end(&outcome, at);
        outcome
    }

    fn ask(&mut self, sizes: Vec<(VertexId, Parallelism)>) -> Result<(), String> {
        let wanted: Vec<_> = sizes.into_iter().map(|(vertex, size)| (vertex, 1, size.get())).collect();
        self.simulation.requirements(&wanted).map_err(|refused| refused.to_string())
    }

    fn keep_score(&mut self, decision: &Decision, outcome: &Outcome) {
        let score = &mut self.score;
        score.decisions += 1;
        score.peak_backlog = score.peak_backlog.max(self.simulation.truth().backlog());
        if let (Outcome::Applied, Some(plan)) = (outcome, decision.plan()) {
            score.rescales += 1;
            match plan.direction {
                Direction::Up => score.scale_ups += 1,
                Direction::Down => score.scale_downs += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{AutoscalerSpec, PolicySpec, Rule, Span, Throughput};
    use crate::record::journal::{Header, Writer, replay};
    use crate::simulate::scenarios;

    fn rehearsal(scenario: &crate::simulate::Scenario, mode: Mode) -> Rehearsal {
        let spec =
            PolicySpec { rules: vec![Rule::Throughput(Throughput::default())], ..PolicySpec::default() };
        let policy =
            Policy { mode, poll: Span::from_secs(5), ..Policy::new(&AutoscalerSpec::default(), spec) };
        Rehearsal::new(Simulation::new(scenario).expect("a sound scenario"), policy)
    }

    #[test]
    fn follows_the_demo_up_and_down() {
        let mut rehearsal = rehearsal(&scenarios::demo(), Mode::Auto);
        while rehearsal.elapsed() < Duration::from_mins(10) {
            rehearsal.turn();
        }
        let Score { rescales, scale_ups, scale_downs, .. } = rehearsal.score();
        assert!(scale_ups >= 1 && scale_downs >= 1 && rescales <= 4, "{:?}", rehearsal.score());
    }

    #[test]
    fn changes_nothing_unless_the_mode_says_so() {
        for (mode, kind) in [(Mode::Recommend, "Recommended"), (Mode::Paused, "Unobserved")] {
            let mut rehearsal = rehearsal(&scenarios::demo(), mode);
            let before = rehearsal.simulation().truth().parallelism;
            let mut kinds = std::collections::BTreeSet::new();
            while rehearsal.elapsed() < Duration::from_mins(5) {
                kinds.insert(rehearsal.turn().outcome.kind());
            }
            assert_eq!((rehearsal.score().rescales, rehearsal.simulation().truth().restarts), (0, 0));
            assert_eq!(rehearsal.simulation().truth().parallelism, before);
            assert!(kinds.contains(kind) && !kinds.contains("Applied"), "{kinds:?}");
        }
    }

    #[test]
    fn every_scenario_replays_from_its_journal() {
        for name in scenarios::NAMES {
            let scenario = scenarios::named(name).expect("it is in the list");
            let mut rehearsal = rehearsal(&scenario, Mode::Auto);
            let mut writer = Writer::default();
            let header = Header::new(rehearsal.start, name, rehearsal.policy(), rehearsal.state());
            let mut journal = writer.header(&header).expect("a header");
            let mut decisions = 0;
            while rehearsal.elapsed() < Duration::from_mins(12) {
                journal.extend(writer.cycle(&rehearsal.turn().as_cycle()).expect("a line"));
                decisions += 1;
                if decisions % 50 == 0 {
                    // As after a restart, or in a new file: the state goes through its written form.
                    let header = Header::new(rehearsal.next, name, rehearsal.policy(), rehearsal.state());
                    journal.extend(writer.header(&header).expect("a header"));
                }
            }
            let replay = replay(journal.as_slice()).expect("readable");
            assert_eq!((replay.cycles, replay.differences), (decisions, Vec::new()), "{name}");
        }
    }
}
