//! What the seeded schedules of tests have in common.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::Stage;

pub(super) mod dice;
pub(super) mod run;

/// The schedules to be played: so many, unless `SEED` names one alone, or `SCHEDULES` how many.
#[expect(clippy::disallowed_methods, reason = "who looks into a failure names its seed outside")]
pub(super) fn seeds(usual: u64) -> Range<u64> {
    let named = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    match named("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..named("SCHEDULES").unwrap_or(usual),
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
        let first = failed.iter().min_by_key(|why| why.len());
        assert!(failed.is_empty(), "{} of them fail, such as\n{}", failed.len(), first.expect("one"));
        let seen: Vec<_> = stages.keys().map(String::as_str).collect();
        let all = ["Done", "Failed", "NotStopped", "RolledBack", "Superseded"];
        assert!(*played == 1 || seen == all && stages.values().all(|&seen| seen >= times), "{stages:?}");
    }
}
