//! How a rescale under way is seen to have ended.

use std::time::Duration;

use super::Outcome;
use crate::model::{Attempt, Expectation, Parallelism, Rescale, RescaleEnd, Seconds, Snapshot, Timestamp};

/// A job that runs at a size that was not asked for is given this long to go on to the one that was: the adaptive
/// scheduler starts with the slots it has and takes more as they come, 30 s apart at the least.
const SETTLES_WITHIN: Duration = Duration::from_secs(45);

/// What a rescale brought is looked at when the job has run this long: a warm JVM, and a backlog worked off in part.
const CHECKED_AFTER: Duration = Duration::from_secs(30);

/// How a rescale ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ended {
    pub(super) end: RescaleEnd,
    pub(super) downtime: Option<Seconds>,
}

impl Ended {
    fn without_downtime(end: RescaleEnd) -> Self {
        Self { end, downtime: None }
    }
}

/// Whether a rescale under way has ended, by what was just seen of the job.
pub(super) fn ended(attempt: &Attempt, snapshot: &Snapshot) -> Option<Ended> {
    if snapshot.job != attempt.job || snapshot.state.is_terminal() {
        return Some(Ended::without_downtime(RescaleEnd::Superseded));
    }
    if !snapshot.is_fully_running() {
        return None;
    }
    let size = |index: usize| (snapshot.graph.vertices()[index].id, snapshot.vertices[index].parallelism);
    let sizes = || (0..snapshot.graph.len()).map(size);
    let all_as = |wanted: &std::collections::BTreeMap<_, Parallelism>| {
        sizes().all(|(id, p)| wanted.get(&id) == Some(&p))
    };
    if all_as(&attempt.to) {
        return Some(Ended { end: RescaleEnd::Done, downtime: downtime(snapshot) });
    }
    let settled =
        snapshot.running_since.is_some_and(|since| snapshot.flink_now.since(since) > SETTLES_WITHIN);
    (!all_as(&attempt.from) && settled)
        .then(|| Ended { end: RescaleEnd::Partial, downtime: downtime(snapshot) })
}

/// For how long the job did not run when it last restarted, by the JobManager's clock.
fn downtime(snapshot: &Snapshot) -> Option<Seconds> {
    let (stopped, started) = (snapshot.restarting_since?, snapshot.running_since?);
    (started >= stopped).then(|| Seconds::new(started.since(stopped).as_secs_f64()).ok())?
}

/// What carrying a plan out says of the rescale; `None` when it is still under way.
pub(super) fn after(outcome: &Outcome) -> Option<Ended> {
    let end = match outcome {
        Outcome::Superseded { .. } | Outcome::Held { .. } => RescaleEnd::Superseded,
        Outcome::Failed { .. } => RescaleEnd::Failed,
        Outcome::RolledBack { .. } => RescaleEnd::TimedOut,
        Outcome::Applied | Outcome::Unobserved | Outcome::Unchanged | Outcome::Recommended => return None,
    };
    Some(Ended::without_downtime(end))
}

/// What is to be looked at later, when the rescale came about.
pub(super) fn expectation(attempt: &Attempt, ended: Ended, now: Timestamp) -> Option<Expectation> {
    let came_about = ended.end == RescaleEnd::Done && !attempt.expects.is_empty();
    came_about.then(|| Expectation { check_at: now + CHECKED_AFTER, capacity: attempt.expects.clone() })
}

/// The ended rescale.
pub(super) fn rescale(attempt: Attempt, ended: Ended, now: Timestamp) -> Rescale {
    let Attempt { job: _, at, deadline: _, from, to, load, expects: _ } = attempt;
    Rescale { at, ended: now, end: ended.end, from, to, downtime: ended.downtime, load, brought: None }
}
