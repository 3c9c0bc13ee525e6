//! What holds for any job, any policy and any readings: thousands of cases of each.
//!
//! [`sizes`] goes through the pure middle of `decide` (rules, plan, guard) with signals as they may be, [`cycles`] through
//! `State::cycle` with polls as they may be, mad ones too. `PROPTEST_CASES` sets how many cases each property is given.

mod cycles;
mod jobs;
mod policies;
mod sizes;

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

/// The same cases in every run, so that a change is what makes a difference; `PROPTEST_RNG_SEED` gives others.
const SEED: u64 = 1;

/// As many cases as `PROPTEST_CASES` says, where it is set, or else so many. A case that fails is shrunk for no longer than a
/// reader waits.
#[expect(clippy::disallowed_methods, reason = "how proptest itself is told of it")]
fn cases(most: u32) -> ProptestConfig {
    let given = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = given.unwrap_or(most);
    let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    let rng_seed = RngSeed::Fixed(seed);
    ProptestConfig {
        cases,
        rng_seed,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    }
}
