//! How a rescale under way is seen to have ended.

use std::time::Duration;

use super::Outcome;
use crate::model::{
    Attempt, Expectation, OperatorState, Parallelism, Reached, Reading, Rescale, RescaleEnd, Resubmission,
    Seconds, Snapshot, Timestamp, Upgrade, Whose,
};

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
    if let Some(resubmission) = &attempt.resubmission {
        return ended_anew(attempt, resubmission, snapshot);
    }
    if let Some(upgrade) = &attempt.upgrade {
        return ended_by_operator(attempt, upgrade, snapshot);
    }
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
        return Some(Ended { end: RescaleEnd::Done, downtime: downtime(attempt, snapshot) });
    }
    // TaskManagers come one after the other, minutes apart where nodes have to be made for them, and the job takes each.
    let all_came = match attempt.scaled {
        Some(scaled) => {
            snapshot.at >= attempt.deadline
                || snapshot.slots.is_some_and(|slots| slots.taskmanagers == scaled.to)
        }
        None => true,
    };
    let settled = all_came
        && snapshot.running_since.is_some_and(|since| snapshot.flink_now.since(since) > SETTLES_WITHIN);
    (!all_as(&attempt.from) && settled)
        .then(|| Ended { end: RescaleEnd::Partial, downtime: downtime(attempt, snapshot) })
}

/// The same, where the job is stopped for it and run again under another id. While its old run is seen, or none that runs, who
/// carries it out knows how far it is.
fn ended_anew(attempt: &Attempt, resubmission: &Resubmission, snapshot: &Snapshot) -> Option<Ended> {
    if snapshot.job == attempt.job {
        return None;
    }
    if ![resubmission.target, resubmission.fallback].contains(&snapshot.job) {
        return Some(Ended::without_downtime(RescaleEnd::Superseded));
    }
    if !snapshot.is_fully_running() {
        return None;
    }
    let mut vertices = snapshot.graph.vertices().iter().zip(&snapshot.vertices);
    let end = if snapshot.job == resubmission.fallback {
        RescaleEnd::TimedOut
    } else if vertices.all(|(vertex, reading)| attempt.to.get(&vertex.id) == Some(&reading.parallelism)) {
        RescaleEnd::Done
    } else {
        RescaleEnd::Partial
    };
    Some(Ended { end, downtime: downtime(attempt, snapshot) })
}

/// The same, where an operator is asked: it says itself when it is done, and the job shows what has come of it.
fn ended_by_operator(attempt: &Attempt, upgrade: &Upgrade, snapshot: &Snapshot) -> Option<Ended> {
    let seen = snapshot.around.operator.as_deref()?;
    match upgrade.change.whose(seen) {
        Whose::Others => return Some(Ended::without_downtime(RescaleEnd::Superseded)),
        // Not changed yet, or put back: who carries it out knows.
        Whose::Before => return None,
        Whose::Ours => {}
    }
    let is_anew = snapshot.job != attempt.job || snapshot.running_since != upgrade.running_since;
    if seen.state != OperatorState::Stable || !is_anew || !snapshot.is_fully_running() {
        return None;
    }
    let mut vertices = snapshot.graph.vertices().iter().zip(&snapshot.vertices);
    let is_as_asked =
        vertices.all(|(vertex, reading)| attempt.to.get(&vertex.id) == Some(&reading.parallelism));
    let settled =
        snapshot.running_since.is_some_and(|since| snapshot.flink_now.since(since) > SETTLES_WITHIN);
    let end = if is_as_asked { RescaleEnd::Done } else { RescaleEnd::Partial };
    (is_as_asked || settled).then(|| Ended { end, downtime: downtime(attempt, snapshot) })
}

/// For how long the job worked on nothing, by the JobManager's clock.
///
/// From when it stopped, as far as Flink remembers, or when it was last seen to run: at most a poll too long. Flink says when
/// it began to deploy the new subtasks, not when they had loaded their state and ran; their counters do, for they cover just
/// the time since. They are a second or so older than the answer, which errs on the long side too.
fn downtime(attempt: &Attempt, snapshot: &Snapshot) -> Option<Seconds> {
    let deployed = snapshot.running_since?;
    // What was last seen may have been up to 3 s old (Flink's cache): what Flink remembers comes first.
    let stopped =
        snapshot.restarting_since.or(attempt.last_running).filter(|stopped| *stopped <= deployed)?;
    let clocks = snapshot.vertices.iter().map(clock).collect::<Option<Vec<_>>>();
    // Without counters it did not run for longer than until now.
    let counted = clocks.and_then(|clocks| clocks.into_iter().min()).unwrap_or_default();
    let started = (snapshot.flink_now - counted).max(deployed);
    Seconds::new(started.since(stopped).as_secs_f64()).ok()
}

/// The time that a vertex's counters cover: each subtask is busy, idle or back-pressured at any moment.
fn clock(reading: &Reading) -> Option<Duration> {
    let millis = reading.busy_ms?.checked_add(reading.idle_ms?)?.checked_add(reading.back_pressured_ms?)?;
    Some(Duration::from_millis(millis / u64::from(reading.parallelism.get())))
}

/// Whether the job still runs as it did before the rescale.
pub(super) fn runs_as_before(attempt: &Attempt, snapshot: &Snapshot) -> bool {
    let size = |index: usize| attempt.from.get(&snapshot.graph.vertices()[index].id).copied();
    snapshot.is_fully_running()
        && (0..snapshot.graph.len()).all(|index| size(index) == Some(snapshot.vertices[index].parallelism))
}

/// What carrying a plan out says of the rescale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum After {
    /// It is under way: what is seen of the job tells how it ends.
    UnderWay,
    /// Nothing was asked of Flink: there is no rescale, and no cooldown after it.
    NeverBegun,
    /// It is over.
    Ended(Ended),
}

/// What carrying a plan out, or taking it back, says of the rescale.
pub(super) fn after(outcome: &Outcome) -> After {
    match outcome {
        Outcome::Superseded { .. } | Outcome::Held { .. } => After::NeverBegun,
        Outcome::Failed { .. } => After::Ended(Ended::without_downtime(RescaleEnd::Failed)),
        Outcome::RolledBack { .. } => After::Ended(Ended::without_downtime(RescaleEnd::TimedOut)),
        Outcome::Applied | Outcome::Unobserved | Outcome::Unchanged | Outcome::Recommended => After::UnderWay,
    }
}

/// What is to be looked at later, when the rescale came about.
pub(super) fn expectation(attempt: &Attempt, ended: Ended, now: Timestamp) -> Option<Expectation> {
    let came_about = ended.end == RescaleEnd::Done && !attempt.expects.is_empty();
    came_about.then(|| Expectation { check_at: now + CHECKED_AFTER, capacity: attempt.expects.clone() })
}

/// The ended rescale.
pub(super) fn rescale(attempt: Attempt, ended: Ended, now: Timestamp) -> Rescale {
    let mut reached = attempt.reached().to_vec();
    // The job may show its end before who carries it out has looked once more.
    let is_cut_short = reached.last().is_some_and(|reached| !reached.stage.is_over());
    reached.extend(is_cut_short.then_some(Reached { stage: ended.end.stage(), at: now }));
    let Attempt {
        job: _,
        at,
        deadline: _,
        from,
        to,
        last_running: _,
        load,
        expects: _,
        resubmission: _,
        scaled: _,
        upgrade: _,
    } = attempt;
    Rescale {
        at,
        ended: now,
        end: ended.end,
        from,
        to,
        downtime: ended.downtime,
        load,
        brought: None,
        reached,
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::model::{JobId, JobState, OperatorChange, OperatorFields, OperatorSeen, Overrides, Stage};
    use crate::policy::testing::{Job, START};

    /// From 3 to 9 subtasks of `v1`, asked for at the start, when the job was last seen to run.
    fn attempt(job: &Job) -> Attempt {
        let ids = || job.snapshot.graph.vertices().iter().map(|vertex| vertex.id);
        let sizes = |of: [u64; 2]| ids().zip(of.map(Parallelism::clamped)).collect();
        let deadline = START + Duration::from_mins(5);
        let attempt = Attempt::new(job.snapshot.job, START, deadline, sizes([1, 3]), sizes([1, 9]));
        Attempt { last_running: Some(START), ..attempt }
    }

    #[test]
    fn ends_as_what_is_seen_of_the_job_says() {
        use RescaleEnd::{Done, Partial, Superseded};
        type Change = fn(&mut Snapshot);
        let rows: [(&str, u64, Change, Option<RescaleEnd>); 8] = [
            ("as before", 3, |_| {}, None),
            ("the new size", 9, |_| {}, Some(Done)),
            ("the new size, not all up yet", 9, |s| s.vertices[1].running = 8, None),
            ("another size, just started", 6, |_| {}, None),
            (
                "another size, for a minute",
                6,
                |s| s.flink_now = START + Duration::from_secs(63),
                Some(Partial),
            ),
            ("another job", 3, |s| s.job = JobId::from_bits(9), Some(Superseded)),
            ("stopped", 3, |s| s.state = JobState::Canceled, Some(Superseded)),
            ("restarting", 9, |s| s.state = JobState::Restarting, None),
        ];
        for (what, size, change, expected) in rows {
            let attempt = attempt(&Job::chain(&[(1, 0.0), (3, 0.004)]));
            let mut snapshot = Job::chain(&[(1, 0.0), (size, 0.004)]).snapshot;
            snapshot.running_since = Some(START + Duration::from_secs(2));
            change(&mut snapshot);
            assert_eq!(ended(&attempt, &snapshot).map(|ended| ended.end), expected, "{what}");
        }
    }

    #[test]
    fn by_an_operator_it_ends_when_both_it_and_the_job_say_so() {
        use OperatorState::Stable;
        use RescaleEnd::{Done, Partial, Superseded};
        let fields =
            |parallelism| OperatorFields { parallelism: Some(parallelism), ..OperatorFields::default() };
        let (before, after) = (fields(3), fields(9));
        let change = OperatorChange {
            resource: "FlinkDeployment orders".to_owned(),
            before: before.clone(),
            after: after.clone(),
            rest: "r".to_owned(),
            within_seconds: 900,
        };
        let busy = || OperatorState::InProgress { says: "UPGRADING".to_owned() };
        // What the resource says, all else of it, the operator, the size and the seconds that the job runs at it.
        for (fields, rest, state, size, seconds, expected) in [
            (&before, "r", Stable, 3, -60, None),
            (&after, "r", busy(), 3, -60, None),
            // Its operator has not looked yet.
            (&after, "r", Stable, 3, -60, None),
            (&after, "r", busy(), 9, 3, None),
            (&after, "r", Stable, 9, 3, Some(Done)),
            (&after, "r", Stable, 6, 3, None),
            (&after, "r", Stable, 6, 60, Some(Partial)),
            (&after, "another image", Stable, 9, 3, Some(Superseded)),
            (&fields(5), "r", busy(), 3, -60, Some(Superseded)),
            // Taken back.
            (&before, "r", Stable, 3, 3, None),
        ] {
            let mut attempt = attempt(&Job::chain(&[(1, 0.0), (3, 0.004)]));
            let since = START - Duration::from_mins(1);
            attempt.upgrade = Some(Upgrade::new(change.clone(), Some(since), START));
            let mut snapshot = Job::chain(&[(1, 0.0), (size, 0.004)]).snapshot;
            let now = START + Duration::from_secs(90);
            snapshot.flink_now = now;
            let ran = u64::try_from(seconds).ok();
            snapshot.running_since = Some(ran.map_or(since, |seconds| now - Duration::from_secs(seconds)));
            let what = format!("{fields} {rest} {state:?} {size} {seconds}");
            snapshot.around.operator = Some(Box::new(OperatorSeen {
                at: now,
                name: change.resource.clone(),
                fields: fields.clone(),
                rest: rest.to_owned(),
                state,
                overrides: Overrides::Never,
                takes_replicas: false,
                hindrance: None,
            }));
            assert_eq!(ended(&attempt, &snapshot).map(|ended| ended.end), expected, "{what}");
            snapshot.around.operator = None;
            assert_eq!(ended(&attempt, &snapshot), None, "{what}: unseen");
        }
    }

    #[test]
    fn what_was_not_begun_is_no_rescale_and_leaves_no_cooldown() {
        let detail = || "a word".to_owned();
        for (outcome, is_under_way, ended) in [
            (Outcome::Applied, true, None),
            (Outcome::Held { found: None }, false, None),
            (Outcome::Superseded { detail: detail() }, false, None),
            (Outcome::Failed { detail: detail() }, false, Some(RescaleEnd::Failed)),
            (Outcome::RolledBack { detail: detail() }, false, Some(RescaleEnd::TimedOut)),
        ] {
            let mut state = State::default();
            state.ledger.attempt = Some(attempt(&Job::chain(&[(1, 0.0), (3, 0.004)])));
            state.end(&outcome, START);
            let last = state.ledger.rescales.back().map(|rescale| rescale.end);
            assert_eq!((state.ledger.attempt.is_some(), last), (is_under_way, ended), "{outcome:?}");
        }
    }

    #[test]
    fn one_with_states_of_its_own_ends_in_one_that_says_how() {
        for (reached, end, expected) in [
            (Stage::Confirming, RescaleEnd::Done, &[Stage::Confirming, Stage::Done][..]),
            (Stage::Submitted, RescaleEnd::Partial, &[Stage::Submitted, Stage::Done]),
            (Stage::RollingBack, RescaleEnd::TimedOut, &[Stage::RollingBack, Stage::RolledBack]),
            (Stage::StopRequested, RescaleEnd::Superseded, &[Stage::StopRequested, Stage::Superseded]),
            // It was there already.
            (Stage::Done, RescaleEnd::Done, &[Stage::Done]),
            (Stage::NotStopped, RescaleEnd::Failed, &[Stage::NotStopped]),
        ] {
            let mut attempt = attempt(&Job::chain(&[(1, 0.0), (3, 0.004)]));
            let mut resubmission = Resubmission::new(attempt.job, START);
            resubmission.reached = vec![Reached { stage: reached, at: START }];
            attempt.resubmission = Some(resubmission);
            let rescale = rescale(attempt, Ended::without_downtime(end), START);
            let stages: Vec<Stage> = rescale.reached.iter().map(|reached| reached.stage).collect();
            assert_eq!(stages, expected, "{end:?}");
        }
    }

    #[test]
    fn the_downtime_is_from_when_it_was_last_seen_to_run() {
        let attempt = attempt(&Job::chain(&[(1, 0.0), (3, 0.004)]));
        for (running_since, restarting_since, seconds) in
            [(2_500, None, Some(2.5)), (2_500, Some(2_000), Some(0.5)), (-1_000, None, None)]
        {
            let at = |millis| Timestamp::from_millis(START.as_millis() + millis);
            let mut snapshot = Job::chain(&[(1, 0.0), (9, 0.004)]).snapshot;
            snapshot.running_since = Some(at(running_since));
            snapshot.restarting_since = restarting_since.map(at);
            let got = ended(&attempt, &snapshot).expect("it is done").downtime.map(Seconds::get);
            assert_eq!(got, seconds, "{running_since} {restarting_since:?}");
        }
    }

    #[test]
    fn the_downtime_ends_when_the_counters_begin() {
        let attempt = attempt(&Job::chain(&[(1, 0.0), (3, 0.004)]));
        let at = |seconds| START + Duration::from_secs(seconds);
        for (stopped, deployed, counters, seconds) in [
            // Deployed at once, loading state for 20 s, counting for 30 s.
            (50, 50, Some(30), 20.0),
            // No counters yet: as long as it was not seen to run.
            (96, 97, None, 4.0),
            // Counters that are older than the job are of no use.
            (90, 91, Some(300), 1.0),
        ] {
            let mut snapshot = Job::chain(&[(1, 0.0), (9, 0.004)]).snapshot;
            snapshot.flink_now = at(100);
            snapshot.restarting_since = Some(at(stopped));
            snapshot.running_since = Some(at(deployed));
            for reading in &mut snapshot.vertices {
                let all = counters.map(|seconds| seconds * 1000 * u64::from(reading.parallelism.get()));
                (reading.busy_ms, reading.idle_ms) = (all.map(|ms| ms / 4), all.map(|ms| ms - ms / 4));
                reading.back_pressured_ms = all.map(|_| 0);
            }
            let got = ended(&attempt, &snapshot).expect("it is done").downtime.map(Seconds::get);
            assert_eq!(got, Some(seconds), "{stopped} {deployed} {counters:?}");
        }
    }
}
