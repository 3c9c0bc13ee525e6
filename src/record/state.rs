//! What is kept of a job between cycles: what was seen of it, and what was done to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Outcome;
use super::attempt::{self, After, Ended};
use crate::decide::{Decision, decide};
use crate::guard::Approved;
use crate::model::{
    Attempt, Event, Ledger, Observation, OperatorState, Pressure, Rerun, RescaleEnd, Resubmission, Scaled,
    Sighting, Snapshot, Stage, Timestamp, Upgrade, Whose,
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

    /// The end of one that no run of the job shows.
    pub fn resubmission_outcome(&self) -> Option<Outcome> {
        let resubmission = self.ledger.attempt.as_ref()?.resubmission.as_ref()?;
        let detail = resubmission.detail.clone().unwrap_or_default();
        match resubmission.stage() {
            Stage::NotStopped => Some(Outcome::Failed { detail }),
            Stage::Superseded => Some(Outcome::Superseded { detail }),
            // Seen by the job's new run; or not over, or not without a person.
            Stage::Done
            | Stage::RolledBack
            | Stage::Failed
            | Stage::Planned
            | Stage::StopRequested
            | Stage::SavepointDone
            | Stage::Stopped
            | Stage::Submitted
            | Stage::Confirming
            | Stage::Cancelling
            | Stage::RollingBack => None,
        }
    }

    /// Goes on with what somebody else, or an earlier process, has looked after until now.
    pub fn take_up(&mut self, now: Timestamp) {
        let attempt = self.ledger.attempt.as_mut();
        if let Some(resubmission) = attempt.and_then(|attempt| attempt.resubmission.as_mut()) {
            resubmission.take_up(now);
        }
    }

    /// Takes in what was seen of it; whether that is to be kept for good before the next step.
    pub fn resubmit(&mut self, event: &Event, now: Timestamp) -> bool {
        let resubmission = self.ledger.attempt.as_mut().and_then(|attempt| attempt.resubmission.as_mut());
        let Some(resubmission) = resubmission else { return false };
        let is_news = resubmission.follow(event, now);
        if let Some(savepoint) = resubmission.location.as_ref().filter(|_| is_news) {
            let (stage, savepoint) = (resubmission.stage(), savepoint.clone());
            match stage {
                Stage::SavepointDone | Stage::Done => self.ledger.keep_savepoint(savepoint),
                Stage::Failed | Stage::Superseded => self.ledger.leave_savepoint(&savepoint),
                _ => {}
            }
        }
        is_news
    }

    /// Whether a job does not run as it is to, and only a person can bring it back.
    pub fn needs_a_person(&self) -> bool {
        self.ledger.attempt.as_ref().is_some_and(Attempt::needs_a_person)
    }

    /// Notes how a job that does not run is brought back by hand. To be kept for good with the state that asks for it.
    pub fn keep_rerun(&mut self, rerun: Rerun) {
        let resubmission = self.ledger.attempt.as_mut().and_then(|attempt| attempt.resubmission.as_mut());
        if let Some(resubmission) = resubmission {
            resubmission.rerun = Some(Box::new(rerun));
        }
    }

    /// The savepoints that are no longer to be kept, the newest `kept` being so; forgotten by this. None before the job was seen to run
    /// from the newest of them.
    pub fn surplus_savepoints(&mut self, kept: usize) -> Vec<String> {
        let ledger = &mut self.ledger;
        let is_done =
            |rescale: &crate::model::Rescale| rescale.end == RescaleEnd::Done && !rescale.reached.is_empty();
        if ledger.attempt.is_some() || !ledger.rescales.back().is_some_and(is_done) {
            return Vec::new();
        }
        let surplus = ledger.savepoints.len().saturating_sub(kept);
        ledger.savepoints.drain(..surplus).collect()
    }

    /// The job that its operator brings to another size, until nothing more is to be done about it.
    pub fn upgrading(&self) -> Option<(&Attempt, &Upgrade)> {
        let attempt = self.ledger.attempt.as_ref()?;
        let upgrade = attempt.upgrade.as_ref()?;
        (!upgrade.stage().is_over()).then_some((attempt, upgrade))
    }

    /// The end of one that the job itself does not show. One that has failed has ended when what was last seen (`seen`) is as it was
    /// before: somebody has put it back by hand.
    pub fn upgrade_outcome(&self, seen: Option<&Snapshot>) -> Option<Outcome> {
        let upgrade = self.ledger.attempt.as_ref()?.upgrade.as_ref()?;
        let detail = upgrade.detail.clone().unwrap_or_default();
        match upgrade.stage() {
            Stage::NotStopped => Some(Outcome::Failed { detail }),
            Stage::Superseded => Some(Outcome::Superseded { detail }),
            Stage::RolledBack => Some(Outcome::RolledBack { detail }),
            Stage::Failed => {
                let snapshot = seen?;
                let resource = snapshot.around.operator.as_deref()?;
                let is_back = upgrade.change.whose(resource) == Whose::Before
                    && resource.state == OperatorState::Stable
                    && snapshot.is_fully_running();
                is_back.then_some(Outcome::RolledBack { detail })
            }
            // Seen by the job and the resource; or not over; or of a job that is stopped and run again.
            Stage::Done
            | Stage::Planned
            | Stage::StopRequested
            | Stage::SavepointDone
            | Stage::Stopped
            | Stage::Submitted
            | Stage::Confirming
            | Stage::Cancelling
            | Stage::RollingBack => None,
        }
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
            let location =
                attempt.resubmission.as_ref().and_then(|resubmission| resubmission.location.as_ref());
            if let Some(location) = location.filter(|_| ended.end == RescaleEnd::Superseded) {
                self.ledger.leave_savepoint(location);
            }
            self.ledger.expectation = attempt::expectation(&attempt, ended, now);
            self.ledger.add_rescale(attempt::rescale(attempt, ended, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobId, Rescale};
    use crate::policy::testing::{START, rescale};

    /// A job on its way from one run to the next, with a savepoint.
    fn stopped(savepoint: &str, reached: Stage) -> (State, Event) {
        let mut resubmission = Resubmission::new(JobId::from_bits(7), START);
        resubmission.location = Some(savepoint.to_owned());
        resubmission.reach(reached, START);
        let mut state = State::default();
        let sizes = std::collections::BTreeMap::new;
        let attempt = Attempt::new(JobId::from_bits(7), START, START, sizes(), sizes());
        state.ledger.attempt = Some(Attempt { resubmission: Some(resubmission), ..attempt });
        (state, Event::Silence("away".to_owned()))
    }

    #[test]
    fn only_older_savepoints_of_a_job_that_runs_from_the_newest_are_disposed_of() {
        let paths = |state: &State| state.ledger.savepoints.iter().cloned().collect::<Vec<_>>();
        let anew = |end| {
            let reached = vec![crate::model::Reached { stage: Stage::Planned, at: START }];
            Rescale { end, reached, ..rescale(0, None) }
        };
        for (end, kept, gone) in [
            (Some(anew(RescaleEnd::Done)), 2, &["a"][..]),
            (Some(anew(RescaleEnd::Done)), 1, &["a", "b"]),
            (Some(anew(RescaleEnd::Done)), 3, &[]),
            // The job runs from one of them at its old size, or has not been stopped.
            (Some(anew(RescaleEnd::TimedOut)), 1, &[]),
            (Some(anew(RescaleEnd::Failed)), 1, &[]),
            // In place.
            (Some(rescale(0, None)), 1, &[]),
            (None, 1, &[]),
        ] {
            let mut state = State::default();
            state.ledger.savepoints = ["a", "b", "c"].map(str::to_owned).into();
            state.ledger.rescales.extend(end.clone());
            assert_eq!(state.surplus_savepoints(kept), gone, "{end:?}, {kept} kept");
            assert_eq!(state.ledger.savepoints.len(), 3 - gone.len());
        }
        let (mut state, _) = stopped("c", Stage::Confirming);
        state.ledger.savepoints = ["a", "b", "c"].map(str::to_owned).into();
        state.ledger.rescales.push_back(anew(RescaleEnd::Done));
        assert_eq!((state.surplus_savepoints(1), paths(&state).len()), (Vec::new(), 3), "one is under way");
    }

    #[test]
    fn a_savepoint_that_somebody_else_may_go_on_from_is_no_longer_ours() {
        for (end, ours) in [(RescaleEnd::Done, 1), (RescaleEnd::TimedOut, 1), (RescaleEnd::Superseded, 0)] {
            let (mut state, _) = stopped("a", Stage::Confirming);
            state.ledger.savepoints.push_back("a".to_owned());
            state.conclude(Ended { end, downtime: None }, START);
            assert_eq!(state.ledger.savepoints.len(), ours, "{end:?}");
        }
    }

    #[test]
    fn a_savepoint_that_a_person_may_need_is_no_longer_ours() {
        let (mut state, silence) = stopped("a", Stage::Stopped);
        state.ledger.savepoints.push_back("a".to_owned());
        state.resubmit(&silence, START);
        assert_eq!(state.ledger.savepoints.len(), 1);
        assert!(state.resubmit(&silence, START + Duration::from_hours(1)), "nothing was heard for an hour");
        assert_eq!(state.resubmitting().map(|(_, r)| r.stage()), None);
        assert_eq!(state.ledger.savepoints.len(), 0);
    }
}
