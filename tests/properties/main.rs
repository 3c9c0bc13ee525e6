//! What holds for any job, any policy and any readings: thousands of cases of each.
//!
//! [`sizes`] goes through the pure middle of `decide` (rules, plan, guard) with signals as they may be, [`cycles`] through
//! `State::cycle` with polls as they may be, mad ones too. `PROPTEST_CASES` sets how many cases each property is given.

mod cycles;
mod jobs;
mod policies;
mod sizes;

use proptest::prelude::ProptestConfig;

/// As many cases as `PROPTEST_CASES` says, where it is set, or else so many. A case that fails is shrunk for no longer than a
/// reader waits.
#[expect(clippy::disallowed_methods, reason = "how proptest itself is told of it")]
fn cases(most: u32) -> ProptestConfig {
    let given = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = given.unwrap_or(most);
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() }
}
