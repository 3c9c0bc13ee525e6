//! The memory of the TaskManagers: when to ask for it, and what was answered.
//!
//! The question for what is in use takes the place of the one that primes the metric store, for it does the same; so a cycle takes no
//! more calls. How the memory is shared out is asked for once, and again when the TaskManagers may be others: not at once, as that
//! cycle goes without priming, and right after a restart fresh counters are worth more.

use std::time::Duration;

use tokio::time::Instant;

use super::wire::{Metric, Number, Pools};
use crate::model::{FlinkVersion, Memory, MemoryPools, Timestamp};

/// Memory fills and empties over minutes, and Flink's share of time in garbage collection is that of the last minute.
const EVERY: Duration = Duration::from_mins(1);

/// After it was refused: whoever stands before Flink and keeps it from us will do so again, and that cycle goes without priming.
const EVERY_WHEN_REFUSED: Duration = Duration::from_mins(10);

const HEAP_USED: &str = "Status.JVM.Memory.Heap.Used";
const HEAP_MAX: &str = "Status.JVM.Memory.Heap.Max";
const METASPACE_USED: &str = "Status.JVM.Memory.Metaspace.Used";
const MANAGED_USED: &str = "Status.Flink.Memory.Managed.Used";

/// Of all collectors together; since [`GC_TIME_SINCE`].
const GC_TIME: &str = "Status.JVM.GarbageCollector.All.TimeMsPerSecond";

/// Before, to ask for it would empty the whole answer.
const GC_TIME_SINCE: FlinkVersion = FlinkVersion { major: 1, minor: 19, patch: 0 };

/// What is known of the memory.
#[derive(Clone, Debug)]
pub(super) struct MemoryWatch {
    /// When to ask for what is in use.
    next: Instant,
    /// When to ask for how it is shared out, if it has to be.
    pools_at: Option<Instant>,
    pools: Option<MemoryPools>,
    last: Option<Memory>,
}

/// What to ask for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// What is in use.
    Use,
    /// How it is shared out.
    Pools,
}

impl MemoryWatch {
    /// Nothing is known yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, pools_at: Some(now), pools: None, last: None }
    }

    /// The TaskManagers may be others.
    pub(super) fn changed(&mut self, now: Instant) {
        self.pools_at = self.pools_at.or(Some(now + EVERY));
    }

    /// What to ask for now.
    pub(super) fn ask(&self, now: Instant) -> Option<Ask> {
        if now >= self.next {
            Some(Ask::Use)
        } else {
            self.pools_at.filter(|at| now >= *at).map(|_| Ask::Pools)
        }
    }

    /// The metrics of a TaskManager that tell what is in use.
    pub(super) fn ids(version: FlinkVersion) -> Vec<&'static str> {
        let gc = (version >= GC_TIME_SINCE).then_some(GC_TIME);
        [HEAP_USED, HEAP_MAX, METASPACE_USED, MANAGED_USED].into_iter().chain(gc).collect()
    }

    /// Takes up what is in use: the largest of each metric; `None` when it could not be had. Until it is asked for again, the last
    /// one stands, with its time.
    pub(super) fn took_use(&mut self, metrics: Option<&[Metric<'_>]>, at: Timestamp, now: Instant) {
        self.next = now + if metrics.is_some() { EVERY } else { EVERY_WHEN_REFUSED };
        let most = |id: &str| {
            let found = metrics.into_iter().flatten().find(|metric| metric.id == id);
            found.map_or(Number::None, |metric| metric.max).count()
        };
        if let (Some(heap_used), Some(heap_max)) = (most(HEAP_USED), most(HEAP_MAX)) {
            self.last = Some(Memory {
                at,
                heap_used,
                heap_max,
                metaspace_used: most(METASPACE_USED),
                managed_used: most(MANAGED_USED),
                gc_share: most(GC_TIME).map(|millis| (millis as f64 / 1000.0).min(1.0)),
                pools: self.pools,
            });
        }
    }

    /// Takes up how it is shared out, of each TaskManager; the largest one counts. Without an answer it is asked for again when the
    /// TaskManagers may be others.
    pub(super) fn took_pools(&mut self, pools: Option<&[Pools]>) {
        self.pools_at = None;
        let all = pools.into_iter().flatten().filter_map(Pools::all);
        self.pools = all.max_by_key(|pools| pools.process).or(self.pools);
        if let Some(last) = &mut self.last {
            last.pools = self.pools;
        }
    }

    /// As it was last read.
    pub(super) fn last(&self) -> Option<Memory> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn asks_once_a_minute_and_for_the_pools_when_they_may_be_others() {
        let start = Instant::now();
        let mut watch = MemoryWatch::new(start);
        assert_eq!(watch.ask(start), Some(Ask::Use));
        watch.took_use(Some(&[]), Timestamp::default(), start);
        assert_eq!((watch.ask(start), watch.last()), (Some(Ask::Pools), None), "nothing was fetched yet");
        watch.took_pools(None);
        assert_eq!(watch.ask(start + EVERY - Duration::from_millis(1)), None);
        assert_eq!(watch.ask(start + EVERY), Some(Ask::Use));
        watch.took_use(None, Timestamp::default(), start);
        assert_eq!(watch.ask(start + EVERY), None, "it is refused");
        assert_eq!(watch.ask(start + EVERY_WHEN_REFUSED), Some(Ask::Use));
        watch.changed(start);
        assert_eq!((watch.ask(start), watch.ask(start + EVERY)), (None, Some(Ask::Pools)));
    }

    #[tokio::test]
    async fn takes_the_largest_of_each() {
        let (now, at) = (Instant::now(), Timestamp::from_millis(7));
        let mut watch = MemoryWatch::new(now);
        let json = r#"[{"id":"Status.JVM.Memory.Heap.Used","max":5.0e8},{"id":"Status.JVM.Memory.Heap.Max","max":1.0e9},
            {"id":"Status.JVM.Memory.Metaspace.Used","max":-1.0},{"id":"Status.Flink.Memory.Managed.Used","max":0.0},
            {"id":"Status.JVM.GarbageCollector.All.TimeMsPerSecond","max":45.0}]"#;
        let metrics: Vec<Metric<'_>> = serde_json::from_str(json).expect("json");
        watch.took_use(Some(&metrics), at, now);
        let memory = watch.last().expect("it was read");
        assert_eq!((memory.at, memory.heap_used, memory.heap_max), (at, 500_000_000, 1_000_000_000));
        assert_eq!((memory.metaspace_used, memory.managed_used), (None, Some(0)));
        assert_eq!((memory.gc_share, memory.pools), (Some(0.045), None));
        watch.took_use(Some(&[]), Timestamp::from_millis(8), now);
        assert_eq!(watch.last(), Some(memory), "with its own time, until it is read again");
    }

    #[test]
    fn asks_old_versions_for_nothing_that_they_do_not_have() {
        for (version, count) in [("1.17.2", 4), ("1.18.1", 4), ("1.19.0", 5), ("2.3.0", 5)] {
            assert_eq!(MemoryWatch::ids(version.parse().expect("a version")).len(), count, "{version}");
        }
    }
}
