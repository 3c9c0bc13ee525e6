//! Ids of cycles, by which logs and traces are put together: 32 hexadecimal digits, as W3C and OpenTelemetry have them.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// The field of a span that begins a trace.
pub(crate) const TRACE_ID: &str = "trace_id";

/// An endless row of ids that no other process, and no other row, has.
#[derive(Debug, Default)]
pub(super) struct TraceIds {
    // Seeded by the system; a hash of a count is as good as a number of its own.
    seeds: (RandomState, RandomState),
    count: AtomicU64,
}

/// The id of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceId(u128);

impl TraceIds {
    /// One that was not there before.
    pub(super) fn next(&self) -> TraceId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let half = |seed: &RandomState| u128::from(seed.hash_one(count));
        // None is all zeros.
        TraceId(((half(&self.seeds.0) << 64) | half(&self.seeds.1)).max(1))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_are_the_same() {
        let rows = [TraceIds::default(), TraceIds::default()];
        let ids: BTreeSet<String> =
            rows.iter().flat_map(|row| (0..1000).map(|_| row.next().to_string())).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }
}
