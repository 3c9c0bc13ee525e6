//! What the TaskManagers' memory says: whether it is too full for fewer of them, and what each of its pools should have.
//!
//! The advice follows the operator's memory tuning (`flink_autoscaler::memory`), and goes beyond the memory that is given where
//! that is too little: then more of it helps, and more slots would not. It is only ever advice.

use std::time::Duration;

use serde::Serialize;

use super::flink_autoscaler::memory::{Buffers, Pools, Tuning, Usage, tune};
use super::flink_autoscaler::{Options, topology};
use super::{MemoryPressure, Policy, Rule};
use crate::model::{Ledger, Memory, Parallelism, Snapshot, Timestamp};
use crate::signals::Signals;

/// Memory is read once a minute: what is older was not read again, and says nothing of now.
const FRESH: Duration = Duration::from_mins(5);

/// The least that was in use within this time is what a garbage collection left: even a quiet heap is collected in it.
const WINDOW: Duration = Duration::from_mins(10);

/// Fewer readings may all be of just before a collection.
const LEAST_READINGS: usize = 3;

/// The heap is not advised to become more than this many times as large at once: what it then takes is seen first.
const MOST_GROWTH: f64 = 2.0;

/// How full the memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct MemoryState {
    /// Share of the time that goes into garbage collection.
    pub(crate) gc_share: Option<f64>,
    /// Share of the heap that a garbage collection leaves in use.
    pub(crate) heap_share: Option<f64>,
}

impl MemoryState {
    /// As the readings since the last rescale show it: what was before was shared out otherwise.
    pub(crate) fn of(ledger: &Ledger, now: Timestamp) -> Self {
        let readings = || readings(ledger, now);
        let share = |memory: &Memory| memory.heap_used as f64 / memory.heap_max as f64;
        let shares = readings().filter(|memory| memory.heap_max > 0).map(share);
        let heap_share = if readings().count() < LEAST_READINGS { None } else { shares.reduce(f64::min) };
        Self { gc_share: readings().last().and_then(|memory| memory.gc_share), heap_share }
    }

    /// The share of time that goes into garbage collection, where that is too much.
    pub(crate) fn gc_pressure(&self, most: &MemoryPressure) -> Option<f64> {
        self.gc_share.filter(|share| *share > most.gc_time)
    }

    /// The share of the heap that stays in use, where that is too much.
    pub(crate) fn heap_pressure(&self, most: &MemoryPressure) -> Option<f64> {
        self.heap_share.filter(|share| *share > most.heap)
    }
}

/// The readings that tell of now, oldest first; none when the last one is old.
fn readings(ledger: &Ledger, now: Timestamp) -> impl Iterator<Item = &Memory> {
    let since = ledger.last_applied().map_or(now - WINDOW, |rescale| rescale.ended.max(now - WINDOW));
    let is_fresh = ledger.memory.back().is_some_and(|last| now.since(last.at) <= FRESH);
    ledger.memory.iter().filter(move |memory| is_fresh && memory.at > since)
}

/// A job whose memory is advised on.
#[derive(Clone, Copy, Debug)]
pub struct MemoryJob<'a> {
    /// As it was last seen.
    pub snapshot: &'a Snapshot,
    /// What it was doing.
    pub signals: &'a Signals,
    /// Its policy.
    pub policy: &'a Policy,
    /// What was seen of its memory.
    pub ledger: &'a Ledger,
    /// The sizes that it is to have, in the graph's order; as it is, without.
    pub sizes: Option<&'a [Parallelism]>,
    /// Slots that it holds now.
    pub slots: u32,
    /// When.
    pub now: Timestamp,
}

/// What the memory of each TaskManager should be. Only advice: Flink takes no such change while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryAdvice {
    /// What it follows from.
    pub need: MemoryNeed,
    /// Readings that it rests on.
    pub readings: usize,
    /// What there is.
    pub now: MemorySizes,
    /// What there should be.
    pub recommended: MemorySizes,
}

/// What an advice follows from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all_fields = "camelCase")]
pub enum MemoryNeed {
    /// What is in use, and something to spare.
    InUse,
    /// Too much of the heap stays in use after a garbage collection.
    HeapPressure {
        /// The share.
        share: f64,
        /// The most that it may be.
        most: f64,
    },
    /// Too much time goes into garbage collection.
    GcPressure {
        /// The share.
        share: f64,
        /// The most that it may be.
        most: f64,
    },
}

/// The memory of one TaskManager, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemorySizes {
    /// All of the process: `taskmanager.memory.process.size`.
    pub process: u64,
    /// Heap.
    pub heap: u64,
    /// Managed memory: `taskmanager.memory.managed.size`.
    pub managed: u64,
    /// Network buffers: `taskmanager.memory.network.min` and `.max`.
    pub network: u64,
    /// Metaspace: `taskmanager.memory.jvm-metaspace.size`.
    pub metaspace: u64,
}

/// What the memory of each TaskManager should be, as far as it is known what it is and what of it is in use.
pub fn advise(job: &MemoryJob<'_>) -> Option<MemoryAdvice> {
    let count = readings(job.ledger, job.now).count();
    let latest = readings(job.ledger, job.now).last()?;
    let pools = latest.pools?;
    let now = MemorySizes {
        process: pools.process,
        heap: pools.heap,
        managed: pools.managed,
        network: pools.network,
        metaspace: pools.metaspace,
    };
    let default = Options::default();
    let options = job.policy.spec.rules.iter().find_map(|rule| match rule {
        Rule::FlinkAutoscaler(rule) => Some(rule.options.options()),
        _ => None,
    });
    let options = options.unwrap_or(&default);
    let most = job.policy.spec.limits.memory_pressure;
    let state = MemoryState::of(job.ledger, job.now);
    let (need, recommended) = match more_heap(now.heap, state, &most, options.memory_tuning_overhead) {
        Some((need, heap)) => {
            (need, MemorySizes { process: now.process + heap.saturating_sub(now.heap), heap, ..now })
        }
        None => (MemoryNeed::InUse, tuned(job, options)?),
    };
    Some(MemoryAdvice { need, readings: count, now, recommended })
}

/// The heap that relieves what presses, where something does.
///
/// What stays in use is to take the share of the heap that it may, with some to spare. Time in garbage collection goes with
/// how often it has to be done, and so against the room that is left beside what stays in use (Appel, "Garbage collection can be
/// faster than stack allocation", 1987): twice the room, half the time.
fn more_heap(heap: u64, state: MemoryState, most: &MemoryPressure, spare: f64) -> Option<(MemoryNeed, u64)> {
    let now = heap as f64;
    let live = state.heap_share.unwrap_or(0.5) * now;
    let for_live = state
        .heap_pressure(most)
        .map(|share| (MemoryNeed::HeapPressure { share, most: most.heap }, live * (1.0 + spare) / most.heap));
    let for_room = state.gc_pressure(most).map(|share| {
        (MemoryNeed::GcPressure { share, most: most.gc_time }, live + (now - live) * share / most.gc_time)
    });
    let (need, wanted) = for_live.into_iter().chain(for_room).max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between one and two heaps")]
    let wanted = wanted.clamp(now, now * MOST_GROWTH) as u64;
    Some((need, wanted))
}

/// What the operator's memory tuning makes of what is in use: the mean over the readings, and something to spare.
fn tuned(job: &MemoryJob<'_>, options: &Options) -> Option<MemorySizes> {
    let pools = readings(job.ledger, job.now).last()?.pools?;
    let mean = |of: fn(&Memory) -> Option<u64>| {
        let (sum, count) = readings(job.ledger, job.now)
            .filter_map(of)
            .fold((0.0, 0.0), |(sum, count), bytes| (sum + bytes as f64, count + 1.0));
        sum / count
    };
    let usage = Usage {
        heap: mean(|memory| Some(memory.heap_used)),
        managed: mean(|memory| memory.managed_used),
        metaspace: mean(|memory| memory.metaspace_used),
    };
    let topology = topology(&job.snapshot.graph, job.signals, job.policy)?;
    let changes: Vec<Option<u32>> =
        job.sizes.unwrap_or_default().iter().map(|size| Some(size.get())).collect();
    let tuning = Tuning {
        topology: &topology,
        changes: &changes,
        pools: Pools {
            process: pools.process,
            overhead: pools.overhead,
            managed: pools.managed,
            framework_off_heap: pools.framework_off_heap,
            task_off_heap: pools.task_off_heap,
        },
        slots: job.snapshot.slots?.per_taskmanager()?,
        slots_used: job.slots,
        usage,
        buffers: Buffers::default(),
    };
    let tuned = tune(options, &tuning)?;
    // Nobody would give a metaspace of nothing because it could not be read.
    let is_known = usage.metaspace > 0.0;
    is_known.then_some(MemorySizes {
        process: tuned.process,
        heap: tuned.heap,
        managed: tuned.managed,
        network: tuned.network,
        metaspace: tuned.metaspace,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Job, policy, rescale};
    use super::*;
    use crate::model::{MemoryPools, Rescale, RescaleEnd};

    const MIB: u64 = 1 << 20;

    /// A job of which these (seconds ago, heap in use of 1000 MiB, share of time in garbage collection) were read.
    fn job(readings: &[(u64, u64, f64)]) -> Job {
        let mut job = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(500.0);
        for &(seconds_ago, used, gc) in readings {
            job.ledger.add_memory(Memory {
                at: job.now - Duration::from_secs(seconds_ago),
                heap_used: used * MIB,
                heap_max: 1000 * MIB,
                metaspace_used: Some(100 * MIB),
                managed_used: Some(0),
                gc_share: Some(gc),
                pools: Some(MemoryPools {
                    process: 2048 * MIB,
                    heap: 1000 * MIB,
                    managed: 400 * MIB,
                    network: 100 * MIB,
                    metaspace: 256 * MIB,
                    overhead: 164 * MIB,
                    framework_off_heap: 128 * MIB,
                    task_off_heap: 0,
                }),
            });
        }
        job
    }

    #[test]
    fn what_a_collection_leaves_and_how_long_it_takes() {
        type Row<'a> = (&'a str, &'a [(u64, u64, f64)], Option<u64>, (Option<f64>, Option<f64>));
        let rows: [Row; 6] = [
            ("nothing was read", &[], None, (None, None)),
            (
                "two may both be before a collection",
                &[(60, 900, 0.2), (0, 950, 0.2)],
                None,
                (Some(0.2), None),
            ),
            (
                "the least of some",
                &[(120, 900, 0.1), (60, 500, 0.3), (0, 950, 0.2)],
                None,
                (Some(0.2), Some(0.5)),
            ),
            ("long ago", &[(500, 900, 0.1), (400, 500, 0.3), (301, 950, 0.2)], None, (None, None)),
            (
                "beyond ten minutes",
                &[(700, 100, 0.1), (120, 900, 0.1), (60, 850, 0.3), (0, 950, 0.2)],
                None,
                (Some(0.2), Some(0.85)),
            ),
            (
                "before the last rescale",
                &[(300, 100, 0.1), (120, 900, 0.1), (60, 850, 0.3), (0, 950, 0.2)],
                Some(200),
                (Some(0.2), Some(0.85)),
            ),
        ];
        for (what, readings, rescaled, expected) in rows {
            let mut job = job(readings);
            if let Some(seconds_ago) = rescaled {
                let ended = job.now - Duration::from_secs(seconds_ago);
                job.ledger.add_rescale(Rescale { ended, end: RescaleEnd::Done, ..rescale(0, None) });
            }
            let MemoryState { gc_share, heap_share } = MemoryState::of(&job.ledger, job.now);
            assert_eq!((gc_share, heap_share), expected, "{what}");
        }
    }

    #[test]
    fn advises_what_is_in_use_or_more_where_that_presses() {
        let policy = policy();
        let advised = |job: &Job| {
            advise(&MemoryJob {
                snapshot: &job.snapshot,
                signals: &job.signals,
                policy: &policy,
                ledger: &job.ledger,
                sizes: None,
                slots: 4,
                now: job.now,
            })
        };
        let rows = |used, gc| [(120, used, gc), (60, used, gc), (0, used, gc)];
        // 500 MiB of heap and 100 of metaspace, and a fifth more of each; managed memory is not used at all.
        let small = advised(&job(&rows(500, 0.01))).expect("it was read");
        assert_eq!((small.need, small.readings), (MemoryNeed::InUse, 3));
        let MemorySizes { process, heap, managed, metaspace, network } = small.recommended;
        assert_eq!((heap / MIB, managed, metaspace / MIB), (600, 0, 120));
        assert!(process < small.now.process && process > heap + metaspace + network, "{small:?}");
        // 900 of 1000 MiB stay: a fifth more, and that is to be 0.8 of it.
        let heap = advised(&job(&rows(900, 0.01))).expect("it was read");
        assert_eq!(heap.need, MemoryNeed::HeapPressure { share: 0.9, most: 0.8 });
        let more = heap.recommended.heap / MIB - 1000;
        assert_eq!((more, heap.recommended.process / MIB), (350, 2048 + 350));
        // Three times too much time: three times the room beside the 700 MiB that stay.
        let gc = advised(&job(&rows(700, 0.3))).expect("it was read");
        assert!(matches!(gc.need, MemoryNeed::GcPressure { .. }), "{gc:?}");
        assert!(gc.recommended.heap.abs_diff(1600 * MIB) < MIB, "{gc:?}");
        let most = advised(&job(&rows(100, 0.9))).expect("it was read");
        assert_eq!(most.recommended.heap, 2000 * MIB, "not more than twice as much");
        assert_eq!(advised(&job(&[])), None);
    }
}
