//! A job that its operator brings to another size: how far it is, and what comes next.
//!
//! Comes in: what is so, and what was just seen of the operator's resource and of the job. Goes out: the next state. Each state is
//! written down before anything is done in it. The one thing that is done, a change of the resource, is known by the resource
//! itself: whoever reads the state after a crash sees whether it has been made, and whether somebody else has changed anything
//! since. Serialised in the state and in journals: the fields are a promise.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::resubmission::{LOST_AFTER, NotResumed, Reached, STILL_WANTED, Stage};
use super::{OperatorFields, OperatorSeen, OperatorState, Timestamp};

/// Another size by an operator: what of its resource is changed, and what that assumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorChange {
    /// The kind and name of the resource, for people.
    pub resource: String,
    /// What the resource says, which is assumed still to be so when it is changed.
    pub before: OperatorFields,
    /// What it is to say.
    pub after: OperatorFields,
    /// The digest of all else, which is assumed to stay as it is.
    pub rest: String,
    /// Seconds in which the job is to run at its new size; otherwise the change is taken back.
    pub within_seconds: u64,
}

/// A job on its way to another size by its operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// What is changed.
    pub change: OperatorChange,
    /// When the job last became RUNNING before, by the JobManager's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
    /// The states it was in, the present one last.
    pub reached: Vec<Reached>,
    /// What went wrong, in the words of whoever said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The job, as Flink shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSeen {
    /// It does not run with all of its subtasks, or nobody tells.
    Down,
    /// It runs as it has since before the change.
    AsBefore,
    /// It has started since, and runs with all of its subtasks.
    Anew,
}

/// What was just seen, or came of what was just done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// No word from the API server.
    Silence(String),
    /// It refuses the change, in its own words.
    Refused(String),
    /// There is no such resource any more.
    Gone,
    /// The resource, and the job.
    Seen(Box<OperatorSeen>, JobSeen),
}

/// Whose a resource's spec is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// As it was before.
    Before,
    /// As we have changed it.
    Ours,
    /// Somebody else has changed it.
    Others,
}

impl OperatorChange {
    /// Whose the spec is that was seen.
    pub fn whose(&self, seen: &OperatorSeen) -> Whose {
        if seen.rest != self.rest {
            Whose::Others
        } else if seen.fields == self.after {
            Whose::Ours
        } else if seen.fields == self.before {
            Whose::Before
        } else {
            Whose::Others
        }
    }

    fn within(&self) -> Duration {
        Duration::from_secs(self.within_seconds)
    }
}

impl Upgrade {
    /// One that begins now, of a job that has run since then.
    pub fn new(change: OperatorChange, running_since: Option<Timestamp>, at: Timestamp) -> Self {
        let reached = vec![Reached { stage: Stage::Planned, at }];
        Self { change, running_since, reached, detail: None }
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.reached.last().map_or(Stage::Planned, |reached| reached.stage)
    }

    /// Since when.
    pub fn since(&self) -> Timestamp {
        self.reached.last().map_or(Timestamp::from_millis(0), |reached| reached.at)
    }

    /// Goes on with one that has failed, once somebody has mended what was in the way: the resource is put back as it was.
    ///
    /// # Errors
    /// When it has not failed.
    pub fn resume(&mut self, now: Timestamp) -> Result<(), NotResumed> {
        match self.stage() {
            Stage::Failed => {
                self.detail = None;
                self.reach(Stage::RollingBack, now);
                Ok(())
            }
            stage => Err(NotResumed::NotFailed(stage)),
        }
    }

    /// Whether the size is still wanted that was decided on.
    pub fn may_ask(&self, now: Timestamp) -> bool {
        now.since(self.since()) <= STILL_WANTED
    }

    fn reach(&mut self, stage: Stage, now: Timestamp) {
        self.reached.push(Reached { stage, at: now });
    }

    /// Takes in what was seen in the present state; whether anything is to be written down before the next step.
    pub fn follow(&mut self, sighting: &Sighting, now: Timestamp) -> bool {
        let stage = self.next(sighting, now);
        if let Some(stage) = stage {
            self.reach(stage, now);
        }
        stage.is_some()
    }

    fn next(&mut self, sighting: &Sighting, now: Timestamp) -> Option<Stage> {
        let (stage, age) = (self.stage(), now.since(self.since()));
        if stage.is_over() {
            return None;
        }
        match (stage, sighting) {
            (Stage::Planned, Sighting::Seen(seen, _)) => Some(self.last_look(seen, age)),
            (Stage::Planned, Sighting::Silence(why) | Sighting::Refused(why)) => {
                (age > STILL_WANTED).then(|| self.superseded(why))
            }
            (_, Sighting::Gone) => Some(self.superseded("the operator's resource is gone")),

            (Stage::Submitted, Sighting::Refused(why)) => {
                self.add_detail(why);
                Some(Stage::NotStopped)
            }
            (Stage::Submitted, Sighting::Seen(seen, _)) => match self.change.whose(seen) {
                Whose::Ours => Some(Stage::Confirming),
                Whose::Before => {
                    (!self.may_ask(now)).then(|| self.superseded("it could not be asked for within a minute"))
                }
                Whose::Others => Some(self.others()),
            },
            (Stage::Confirming, Sighting::Seen(seen, job)) => self.confirming(seen, *job, age),
            (Stage::RollingBack, Sighting::Seen(seen, job)) => self.rolling_back(seen, *job, age),
            // Whether the change has been made the resource tells; and where it has, the operator goes on by itself.
            (Stage::Submitted | Stage::Confirming, Sighting::Silence(_))
            | (Stage::Confirming, Sighting::Refused(_)) => None,
            (Stage::RollingBack, Sighting::Refused(why)) => Some(self.failed(why)),
            (Stage::RollingBack, Sighting::Silence(why)) => (age > LOST_AFTER).then(|| self.failed(why)),
            // States that only a job has that is stopped and run again.
            _ => Some(self.superseded("it was in a state that no operator's change has")),
        }
    }

    fn last_look(&mut self, seen: &OperatorSeen, age: Duration) -> Stage {
        if age > STILL_WANTED {
            return self.superseded("it was planned for more than a minute ago");
        }
        match (self.change.whose(seen), &seen.state, seen.hindrance) {
            (Whose::Before, OperatorState::Stable, None) => Stage::Submitted,
            (_, _, Some(hindrance)) => self.superseded(&hindrance.to_string()),
            (Whose::Before, OperatorState::InProgress { says } | OperatorState::Failed { says }, None) => {
                self.superseded(&format!("{} is not stable any more: {says}", seen.name))
            }
            (Whose::Ours | Whose::Others, _, None) => self.others(),
        }
    }

    fn confirming(&mut self, seen: &OperatorSeen, job: JobSeen, age: Duration) -> Option<Stage> {
        if self.change.whose(seen) != Whose::Ours {
            return Some(self.others());
        }
        match &seen.state {
            OperatorState::Stable if job == JobSeen::Anew => Some(Stage::Done),
            OperatorState::Failed { says } => {
                self.add_detail(&format!("the operator could not bring the job to its new size: {says}"));
                Some(Stage::RollingBack)
            }
            state @ (OperatorState::Stable | OperatorState::InProgress { .. }) => {
                (age > self.change.within()).then(|| {
                    let says = match state {
                        OperatorState::InProgress { says } => says,
                        _ => "its operator calls it stable, and it does not run with all of its subtasks",
                    };
                    self.add_detail(&format!(
                        "the job was not at its new size after {} s: {says}",
                        age.as_secs()
                    ));
                    Stage::RollingBack
                })
            }
        }
    }

    fn rolling_back(&mut self, seen: &OperatorSeen, job: JobSeen, age: Duration) -> Option<Stage> {
        let is_late = age > self.change.within().max(LOST_AFTER);
        match (self.change.whose(seen), &seen.state) {
            (Whose::Others, _) => Some(self.others()),
            (Whose::Before, OperatorState::Stable) if job != JobSeen::Down => Some(Stage::RolledBack),
            (Whose::Before, OperatorState::Failed { says } | OperatorState::InProgress { says }) => {
                is_late.then(|| self.failed(&format!("the job does not come back at its old size: {says}")))
            }
            (Whose::Before, OperatorState::Stable) => {
                is_late.then(|| self.failed("the job does not come back at its old size"))
            }
            (Whose::Ours, _) => is_late.then(|| self.failed("the resource could not be put back as it was")),
        }
    }

    fn others(&mut self) -> Stage {
        let detail = format!("somebody else has changed {}", self.change.resource);
        self.superseded(&detail)
    }

    fn superseded(&mut self, why: &str) -> Stage {
        self.add_detail(why);
        Stage::Superseded
    }

    fn failed(&mut self, why: &str) -> Stage {
        self.add_detail(why);
        Stage::Failed
    }

    fn add_detail(&mut self, why: &str) {
        self.detail = Some(match self.detail.take() {
            Some(before) if before != why => format!("{before}; then: {why}"),
            Some(_) | None => why.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Hindrance, Overrides};

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn fields(parallelism: u32) -> OperatorFields {
        OperatorFields { parallelism: Some(parallelism), ..OperatorFields::default() }
    }

    fn change() -> OperatorChange {
        let (before, after) = (fields(2), fields(4));
        let resource = "FlinkDeployment orders".to_owned();
        OperatorChange { resource, before, after, rest: "r".to_owned(), within_seconds: 600 }
    }

    /// One that is in a state.
    fn at(stage: Stage) -> Upgrade {
        let mut upgrade = Upgrade::new(change(), Some(START), START);
        upgrade.reach(stage, START);
        upgrade
    }

    fn resource(parallelism: u32, state: OperatorState) -> OperatorSeen {
        OperatorSeen {
            at: START,
            name: "FlinkDeployment orders".to_owned(),
            fields: fields(parallelism),
            rest: "r".to_owned(),
            state,
            overrides: Overrides::Never,
            takes_replicas: false,
            hindrance: None,
        }
    }

    fn seen(parallelism: u32, state: OperatorState, job: JobSeen) -> Sighting {
        Sighting::Seen(Box::new(resource(parallelism, state)), job)
    }

    fn busy() -> OperatorState {
        OperatorState::InProgress { says: "UPGRADING".to_owned() }
    }

    fn broken() -> OperatorState {
        OperatorState::Failed { says: "FAILED".to_owned() }
    }

    fn edited(parallelism: u32) -> Sighting {
        let rest = "an image of somebody's".to_owned();
        let resource = OperatorSeen { rest, ..resource(parallelism, OperatorState::Stable) };
        Sighting::Seen(Box::new(resource), JobSeen::Anew)
    }

    fn silence() -> Sighting {
        Sighting::Silence("away".to_owned())
    }

    fn refused() -> Sighting {
        Sighting::Refused("forbidden".to_owned())
    }

    fn check(rows: Vec<(Stage, u64, Sighting, Stage)>) {
        for (stage, seconds, sighting, expected) in rows {
            let mut upgrade = at(stage);
            let is_new = upgrade.follow(&sighting, START + Duration::from_secs(seconds));
            assert_eq!(upgrade.stage(), expected, "{stage:?} after {seconds} s: {sighting:?}");
            assert_eq!(is_new, stage != expected, "{stage:?} {sighting:?}: to be kept");
        }
    }

    #[test]
    fn nothing_is_asked_of_a_resource_that_is_another_by_then() {
        use JobSeen::AsBefore;
        use OperatorState::Stable;
        use Stage::{Planned, Submitted, Superseded};
        let hindered = OperatorSeen { hindrance: Some(Hindrance::Autoscaler), ..resource(2, Stable) };
        check(vec![
            (Planned, 1, seen(2, Stable, AsBefore), Submitted),
            (Planned, 61, seen(2, Stable, AsBefore), Superseded),
            (Planned, 1, seen(2, busy(), AsBefore), Superseded),
            (Planned, 1, seen(2, broken(), AsBefore), Superseded),
            (Planned, 1, seen(3, Stable, AsBefore), Superseded),
            (Planned, 1, edited(2), Superseded),
            (Planned, 1, Sighting::Seen(Box::new(hindered), AsBefore), Superseded),
            (Planned, 1, Sighting::Gone, Superseded),
            (Planned, 1, silence(), Planned),
            (Planned, 61, silence(), Superseded),
        ]);
    }

    #[test]
    fn a_change_that_may_have_been_made_is_known_by_the_resource() {
        use JobSeen::AsBefore;
        use OperatorState::Stable;
        use Stage::{Confirming, NotStopped, Submitted, Superseded};
        check(vec![
            (Submitted, 1, seen(2, Stable, AsBefore), Submitted),
            (Submitted, 61, seen(2, Stable, AsBefore), Superseded),
            (Submitted, 61, seen(4, Stable, AsBefore), Confirming),
            (Submitted, 1, seen(4, Stable, AsBefore), Confirming),
            (Submitted, 1, seen(4, busy(), AsBefore), Confirming),
            (Submitted, 1, seen(3, Stable, AsBefore), Superseded),
            (Submitted, 1, edited(4), Superseded),
            (Submitted, 1, refused(), NotStopped),
            (Submitted, 7200, silence(), Submitted),
            (Submitted, 1, Sighting::Gone, Superseded),
        ]);
    }

    #[test]
    fn it_is_done_when_the_operator_and_the_job_say_so_and_else_taken_back() {
        use JobSeen::{Anew, AsBefore, Down};
        use OperatorState::Stable;
        use Stage::{Confirming, Done, RollingBack, Superseded};
        check(vec![
            (Confirming, 1, seen(4, Stable, Anew), Done),
            // The operator has not looked yet, or the job is about to start.
            (Confirming, 1, seen(4, Stable, AsBefore), Confirming),
            (Confirming, 1, seen(4, Stable, Down), Confirming),
            (Confirming, 599, seen(4, busy(), Anew), Confirming),
            (Confirming, 601, seen(4, busy(), Down), RollingBack),
            (Confirming, 601, seen(4, Stable, Down), RollingBack),
            (Confirming, 1, seen(4, broken(), Down), RollingBack),
            (Confirming, 7200, silence(), Confirming),
            // Whoever upgrades in between wins.
            (Confirming, 1, seen(2, Stable, Anew), Superseded),
            (Confirming, 1, seen(6, busy(), Down), Superseded),
            (Confirming, 1, edited(4), Superseded),
            (Confirming, 1, Sighting::Gone, Superseded),
        ]);
    }

    #[test]
    fn what_is_taken_back_is_only_what_is_still_ours() {
        use JobSeen::{Anew, AsBefore, Down};
        use OperatorState::Stable;
        use Stage::{Failed, RolledBack, RollingBack, Superseded};
        check(vec![
            (RollingBack, 1, seen(4, broken(), Down), RollingBack),
            (RollingBack, 1801, seen(4, broken(), Down), Failed),
            (RollingBack, 1, seen(2, busy(), Down), RollingBack),
            (RollingBack, 1, seen(2, Stable, Down), RollingBack),
            (RollingBack, 1, seen(2, Stable, Anew), RolledBack),
            // The operator had not even begun.
            (RollingBack, 1, seen(2, Stable, AsBefore), RolledBack),
            (RollingBack, 1, seen(2, broken(), Down), RollingBack),
            (RollingBack, 1801, seen(2, broken(), Down), Failed),
            (RollingBack, 1801, seen(2, Stable, Down), Failed),
            (RollingBack, 1, edited(4), Superseded),
            (RollingBack, 1, refused(), Failed),
            (RollingBack, 1799, silence(), RollingBack),
            (RollingBack, 1801, silence(), Failed),
        ]);
    }

    #[test]
    fn what_is_over_stays_as_it_is_and_what_has_failed_goes_on_when_somebody_says_so() {
        use Stage::{Done, Failed, NotStopped, RolledBack, Superseded};
        for stage in [Done, RolledBack, NotStopped, Superseded, Failed] {
            let mut upgrade = at(stage);
            for sighting in [silence(), refused(), Sighting::Gone, edited(4)] {
                assert!(
                    !upgrade.follow(&sighting, START + Duration::from_hours(9)),
                    "{stage:?} {sighting:?}"
                );
            }
            let resumed = upgrade.resume(START);
            assert_eq!(resumed.is_ok(), stage == Failed, "{stage:?}");
        }
    }
}
