//! What the seeded schedules of tests have in common.

use std::ops::Range;

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
