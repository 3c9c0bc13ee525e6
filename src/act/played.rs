//! What the seeded schedules of tests have in common.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::model::{JobId, Observation, Parallelism, RescaleEnd, Stage, Timestamp, VertexId};
use crate::policy::Policy;
use crate::policy::testing::Job;
use crate::record::State;

pub(super) mod api;
pub(super) mod cut;
pub(super) mod dice;
pub(super) mod run;

/// When a schedule begins.
pub(super) const START: Timestamp = Timestamp::from_millis(1_000_000_000);

/// An attempt that is not over by then never will be: half an hour for each of its states, and then some.
pub(super) const OVER_WITHIN: Duration = Duration::from_hours(6);

/// The sizes of a job of two vertices.
pub(super) fn sizes(of: [u64; 2]) -> BTreeMap<VertexId, Parallelism> {
    (0..2).map(VertexId::from_bits).zip(of.map(Parallelism::clamped)).collect()
}

/// The same as plain numbers.
pub(super) fn numbers(sizes: &BTreeMap<VertexId, Parallelism>) -> BTreeMap<VertexId, u32> {
    sizes.iter().map(|(vertex, size)| (*vertex, size.get())).collect()
}

/// The schedules to be played: so many, unless `SEED` names one alone, or `SCHEDULES` how many.
#[expect(clippy::disallowed_methods, reason = "who looks into a failure names its seed outside")]
pub(super) fn seeds(usual: u64) -> Range<u64> {
    let named = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    match named("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..named("SCHEDULES").unwrap_or(usual),
    }
}

/// As the daemon does when a job is not stopped and run again any more: a look at the run of it, if there is one. How the rescale is
/// recorded.
pub(super) fn conclude(
    state: &mut State,
    running: Option<(JobId, BTreeMap<VertexId, u32>)>,
    now: Timestamp,
) -> Result<Option<RescaleEnd>, String> {
    if let Some(outcome) = state.resubmission_outcome() {
        state.end(&outcome, now);
    } else if let Some((id, sizes)) = running {
        let of: Vec<_> = sizes.values().map(|&size| (u64::from(size), 0.001)).collect();
        let mut snapshot = Job::chain(&of).snapshot;
        (snapshot.job, snapshot.at, snapshot.flink_now) = (id, now, now);
        state.cycle(&Observation::Seen(snapshot), &Policy::default(), now);
    }
    match (&state.ledger.attempt, state.ledger.rescales.len()) {
        (Some(attempt), 0) if attempt.needs_a_person() => Ok(None),
        (None, 0) => Ok(None),
        (None, 1) => Ok(state.ledger.rescales.back().map(|rescale| rescale.end)),
        (attempt, records) => Err(format!("{records} records, and the attempt is {attempt:?}")),
    }
}

/// How the schedules ended.
#[derive(Default)]
pub(super) struct Ends {
    played: usize,
    stages: BTreeMap<String, u32>,
    failed: Vec<String>,
}

impl Ends {
    /// Takes in the state that one ended in, or what was wrong.
    pub(super) fn take(&mut self, end: Result<Stage, String>) {
        self.played += 1;
        match end {
            Ok(stage) => *self.stages.entry(format!("{stage:?}")).or_default() += 1,
            Err(why) => self.failed.push(why),
        }
    }

    /// None is wrong, and of more than one each end was seen so often: schedules that all end alike would show nothing.
    pub(super) fn are_as_they_should(&self, times: u32) {
        let Self { played, stages, failed } = self;
        let shortest = failed.iter().min_by_key(|why| why.len());
        let all: Vec<_> = failed.iter().filter_map(|why| why.lines().next()).take(20).collect();
        assert!(
            failed.is_empty(),
            "{} of them fail, such as\n{}\n\n{}",
            failed.len(),
            all.join("\n"),
            shortest.expect("one")
        );
        let seen: Vec<_> = stages.keys().map(String::as_str).collect();
        let all = ["Done", "Failed", "NotStopped", "RolledBack", "Superseded"];
        assert!(*played == 1 || seen == all && stages.values().all(|&seen| seen >= times), "{stages:?}");
    }
}
