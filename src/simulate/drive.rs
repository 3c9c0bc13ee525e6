//! The engine at the wheel of a simulated job: polls, decides, carries out, all under the virtual clock.
//!
//! The demo, `simulate`, scenario tests and benches drive this. What decides is [`State::cycle`], as everywhere.

use std::time::Duration;

use super::{Simulation, Truth};
use crate::decide::Decision;
use crate::guard::{Approved, Hold};
use crate::model::{Observation, Timestamp};
use crate::policy::{Mode, Policy};
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
    /// What was so, whatever Flink said of it.
    pub truth: Truth,
}

/// A simulated job with the engine at the wheel.
#[derive(Debug)]
pub struct Drive {
    /// The job.
    pub simulation: Simulation,
    /// What the engine knows of it.
    pub state: State,
    policy: Policy,
    next: Timestamp,
}

impl Drive {
    /// The engine with this policy, at the wheel of a job at its beginning.
    pub fn new(simulation: Simulation, policy: Policy) -> Self {
        let next = simulation.now() + policy.poll.get();
        Self { simulation, state: State::default(), policy, next }
    }

    /// The policy that decides.
    pub fn policy(&self) -> &Policy {
        &self.policy
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
        let (begun, outcome) = self.carry_out(&decision, at);
        Driven { at, observation, decision, begun, outcome, truth: self.simulation.truth() }
    }

    fn carry_out(&mut self, decision: &Decision, at: Timestamp) -> (Option<Timestamp>, Outcome) {
        let outcome = match decision.approved() {
            Some(_) if self.policy.mode != Mode::Auto => return (None, Outcome::Recommended),
            Some(plan) => {
                self.state.begin(plan, at);
                let outcome = self.ask(plan);
                self.state.end(&outcome, at);
                return (Some(at), outcome);
            }
            None => self.roll_back(at).unwrap_or_else(|| Outcome::without_acting(&decision.verdict)),
        };
        (None, outcome)
    }

    fn ask(&mut self, approved: &Approved) -> Outcome {
        let plan = approved.plan();
        let have = self.simulation.slots().total;
        if plan.assumes.slots > have {
            return Outcome::Held { found: Some(Hold::SlotsMissing { needed: plan.assumes.slots, have }) };
        }
        let wanted: Vec<_> = plan.changes.iter().map(|change| (change.vertex, 1, change.to.get())).collect();
        match self.simulation.requirements(&wanted) {
            Ok(()) => Outcome::Applied,
            Err(refused) => Outcome::Failed { detail: refused.to_string() },
        }
    }

    fn roll_back(&mut self, at: Timestamp) -> Option<Outcome> {
        let before: Vec<_> =
            self.state.overdue(at)?.from.iter().map(|(&vertex, p)| (vertex, 1, p.get())).collect();
        let outcome = match self.simulation.requirements(&before) {
            Ok(()) => Outcome::RolledBack { detail: "the job did not reach its new size in time".to_owned() },
            Err(refused) => Outcome::Failed { detail: refused.to_string() },
        };
        self.state.end(&outcome, at);
        Some(outcome)
    }
}
