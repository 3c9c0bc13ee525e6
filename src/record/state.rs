//! What is kept of a job between cycles: what was seen of it, and what was done to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Outcome;
use super::attempt::{self, After, Ended};
use crate::decide::{Decision, decide};
use crate::guard::Approved;
use crate::model::{
    Attempt, Event, Ledger, Observation, Pressure, RescaleEnd, Resubmission, Scaled, Sighting, Snapshot,
    Timestamp, Upgrade,
};
use crate::policy::{Policy, scale_down_window};
use crate::signals::History;

use super::{learn, scaling};

/// A rescale that has not come about after this long is taken back. Flink 2.x may wait out a cooldown of 30 s, a checkpoint
/// and 60 s for slots before it begins; what has not begun after five minutes (its own limit for slots at submission) will
/// not.
const GIVEN_UP_AFTER: Duration = Duration::from_mins(5);

/// The state of one job's scaling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// What was seen lately.
    pub history: History,
    /// What was done and learned.
    pub ledger: Ledger,
}

impl State {
    /// One cycle: takes in what was seen, decides, and remembers what is to be learned from it.
    ///
    /// Pure but for `self`: the same state, observation, policy and `now` give the same decision and the same next state.
    pub fn cycle(&mut self, observation: &Observation, policy: &Policy, now: Timestamp) -> Decision {
        let before = self.history.last().map(|snapshot| (snapshot.job, snapshot.graph.clone()));
        self.history.push(observation);
        if let Observation::Seen(snapshot) = observation {
            if before.is_some_and(|(_, graph)| graph != snapshot.graph) {
                learn::forget_graph(&mut self.ledger, snapshot);
            }
            self.follow_attempt(snapshot, now);
            scaling::follow(&mut self.ledger.scaling, snapshot, now);
            if let Some(memory) = &snapshot.around.memory {
                self.ledger.add_memory(**memory);
            }
        }
        let decision = decide(&self.history, policy, &self.ledger, now);
        if let Some(snapshot) = self.history.last() {
            learn::from_decision(&mut self.ledger, &decision, snapshot, policy);
            if snapshot.around.workload.is_some() {
                let window = scale_down_window(policy, &self.ledger);
                scaling::learn(&mut self.ledger.scaling, &decision, snapshot, window);
            }
        }
        decision
    }

    /// What was seen of the job, for the rescale that is under way.
    fn follow_attempt(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let Some(attempt) = &mut self.ledger.attempt else { return };
        if let Some(ended) = attempt::ended(attempt, snapshot) {
            self.conclude(ended, now);
        } else if attempt::runs_as_before(attempt, snapshot) {
            attempt.last_running = Some(snapshot.flink_now);
        }
    }

    /// Notes that an approved plan is about to be carried out. To be kept for good before anything is asked of Flink, or of
    /// Kubernetes.
    pub fn begin(&mut self, approved: &Approved, now: Timestamp) {
        let plan = approved.plan();
        if let Some(scale) = &plan.scale {
            let slots = self.history.last().and_then(|snapshot| snapshot.slots);
            scaling::begin(&mut self.ledger.scaling, scale, slots, now);
            if !plan.rescales_by_scale() {
                return;
            }
        } else {
            // The TaskManagers that it waited for are there.
            self.ledger.scaling.growth = None;
        }
        let sizes = |size: fn(&crate::plan::Change) -> crate::model::Parallelism| {
            plan.changes.iter().map(|change| (change.vertex, size(change))).collect()
        };
        let growing = plan.changed().filter(|change| change.to > change.from);
        self.ledger.attempt = Some(Attempt {
            job: plan.assumes.job,
            at: now,
            deadline: now + GIVEN_UP_AFTER,
            from: sizes(|change| change.from),
            to: sizes(|change| change.to),
            last_running: self.history.last().map(|snapshot| snapshot.flink_now),
            load: plan.load,
            expects: growing
                .filter_map(|change| Some((change.vertex, (change.capacity_before?, change.capacity_after?))))
                .collect(),
            resubmission: plan.way.runs_anew().then(|| Resubmission::new(plan.assumes.job, now)),
            scaled: plan.scale.as_ref().map(|scale| Scaled { at: now, from: scale.from, to: scale.to }),
            upgrade: plan
                .operator
                .clone()
                .map(|change| Upgrade::new(change, plan.assumes.running_since, now)),
        });
    }

    /// Notes what came of carrying a plan out, or of taking it back.
    pub fn end(&mut self, outcome: &Outcome, now: Timestamp) {
        if self.ledger.scaling.asked.is_some() {
            scaling::end(&mut self.ledger.scaling, outcome, now);
            if self.ledger.attempt.as_ref().is_none_or(|attempt| attempt.scaled.is_none()) {
                return;
            }
        }
        match attempt::after(outcome) {
            After::UnderWay => {}
            After::NeverBegun => self.ledger.attempt = None,
            After::Ended(ended) => self.conclude(ended, now),
        }
    }

    /// The rescale that has not come about in time, if there is one: it is to be taken back.
    pub fn overdue(&self, now: Timestamp) -> Option<&Attempt> {
        self.ledger.attempt.as_ref().filter(|attempt| attempt.is_in_place() && now >= attempt.deadline)
    }

    /// The job that is being stopped and run again, until nothing more is to be done about it.
    pub fn resubmitting(&self) -> Option<(&Attempt, &Resubmission)> {
        let attempt = self.ledger.attempt.as_ref()?;
        let resubmission = attempt.resubmission.as_ref()?;
        (!resubmission.stage().is_over()).then_some((attempt, resubmission))
    }

    /// Takes in what was seen of it; whether that is to be kept for good before the next step.
    pub fn resubmit(&mut self, event: &Event, now: Timestamp) -> bool {
        let resubmission = self.ledger.attempt.as_mut().and_then(|attempt| attempt.resubmission.as_mut());
        resubmission.is_some_and(|resubmission| resubmission.follow(event, now))
    }

    /// The job that its operator brings to another size, until nothing more is to be done about it.
    pub fn upgrading(&self) -> Option<(&Attempt, &Upgrade)> {
        let attempt = self.ledger.attempt.as_ref()?;
        let upgrade = attempt.upgrade.as_ref()?;
        (!upgrade.stage().is_over()).then_some((attempt, upgrade))
    }

    /// Takes in what was seen of it; whether that is to be kept for good before the next step.
    pub fn upgrade(&mut self, sighting: &Sighting, now: Timestamp) -> bool {
        let upgrade = self.ledger.attempt.as_mut().and_then(|attempt| attempt.upgrade.as_mut());
        upgrade.is_some_and(|upgrade| upgrade.follow(sighting, now))
    }

    fn conclude(&mut self, ended: Ended, now: Timestamp) {
        // Who waits for whom is another matter at another size.
        self.ledger.pressure = Pressure::default();
        if let Some(attempt) = self.ledger.attempt.take() {
            if attempt.scaled.is_some() && ended.end == RescaleEnd::Done {
                self.ledger.scaling.growth = None;
            }
            self.ledger.expectation = attempt::expectation(&attempt, ended, now);
            self.ledger.add_rescale(attempt::rescale(attempt, ended, now));
        }
    }
}
