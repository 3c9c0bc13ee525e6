//! What each pool of a `TaskManager` should have.

use super::super::Options;
use super::super::resources::slots_after_rescale;
use super::super::scalability::ceil_decimal;
use super::super::topology::Topology;
use super::network::{self, Buffers};
use super::{Budget, Pools};

/// The memory in use, in bytes, each a mean over the window of the `TaskManager` that uses most; NaN counts as nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Heap.
    pub heap: f64,
    /// Managed memory.
    pub managed: f64,
    /// Metaspace.
    pub metaspace: f64,
}

/// What memory is tuned for.
#[derive(Clone, Copy, Debug)]
pub struct Tuning<'a> {
    /// The job.
    pub topology: &'a Topology,
    /// The new parallelism of every vertex that changes.
    pub changes: &'a [Option<u32>],
    /// The pools as they were given.
    pub pools: Pools,
    /// Slots of one `TaskManager`.
    pub slots: u32,
    /// Slots that the job takes now.
    pub slots_used: u32,
    /// What is in use.
    pub usage: Usage,
    /// Flink's settings of network buffers.
    pub buffers: Buffers,
}

/// What memory tuning recommends: Flink's settings, in bytes and shares. `taskmanager.memory.framework.heap.size` is 0, as
/// the heap is given by what is left; `taskmanager.memory.flink.size`, `.task.heap.size` and `.managed.size` are to go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuned {
    /// `taskmanager.memory.process.size`.
    pub process: u64,
    /// `taskmanager.memory.managed.fraction`.
    pub managed_fraction: f64,
    /// `taskmanager.memory.network.min` and `.max`.
    pub network: u64,
    /// `taskmanager.memory.jvm-metaspace.size`.
    pub metaspace: u64,
    /// `taskmanager.memory.jvm-overhead.fraction`.
    pub overhead_fraction: f64,
    /// The heap that this leaves.
    pub heap: u64,
    /// The managed memory that this leaves.
    pub managed: u64,
}

/// Tunes the memory of a job's `TaskManagers`; `None` when nothing would be left of it. The recommendation is made whether
/// tuning is enabled or not; it is applied only if it is.
pub fn tune(options: &Options, tuning: &Tuning<'_>) -> Option<Tuned> {
    let pools = tuning.pools;
    let mut budget = Budget::new(pools.process);
    // What is kept comes first, then what a job cannot do without, and last what can take any size.
    let off_heap = budget.take(pools.framework_off_heap) + budget.take(pools.task_off_heap);
    let overhead = budget.take(pools.overhead);
    let before = tuning.topology.parallelism();
    let after: Vec<u32> = before
        .iter()
        .enumerate()
        .map(|(vertex, before)| tuning.changes.get(vertex).copied().flatten().unwrap_or(*before))
        .collect();
    let network = budget.take(network::bytes(tuning.topology, &after, tuning.slots, tuning.buffers));
    let with_overhead = |used: f64| bytes(used.trunc() * (1.0 + options.memory_tuning_overhead));
    let metaspace = budget.take(with_overhead(tuning.usage.metaspace));
    let heap = budget.take(with_overhead(tuning.usage.heap));
    let managed = if bytes(tuning.usage.managed) == 0 {
        0
    } else {
        budget.take(if options.maximize_managed_memory { u64::MAX } else { pools.managed })
    };
    let slots_after = slots_after_rescale(&before, tuning.changes, tuning.slots_used);
    let heap = compensated_heap(options, heap, &mut budget, tuning.slots, tuning.slots_used, slots_after);
    let process = pools.process - budget.remaining();
    (process > 0).then(|| Tuned {
        process,
        managed_fraction: fraction(managed, heap + managed + network + off_heap),
        network,
        metaspace,
        overhead_fraction: fraction(overhead, process),
        heap,
        managed,
    })
}

/// The heap that makes up for fewer `TaskManagers`: all of them together keep as much, as far as the budget goes.
pub fn compensated_heap(
    options: &Options,
    heap: u64,
    budget: &mut Budget,
    slots: u32,
    slots_before: u32,
    slots_after: u64,
) -> u64 {
    if !options.memory_scale_down_compensation {
        return heap;
    }
    let slots = u64::from(slots.max(1));
    let (before, after) = (u64::from(slots_before).div_ceil(slots), slots_after.div_ceil(slots));
    let factor = (before as f64 / after.max(1) as f64).max(1.0);
    heap + budget.take(bytes(factor * heap as f64).saturating_sub(heap))
}

/// A share, rounded up to three decimals so that a little is not nothing.
fn fraction(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { ceil_decimal(part as f64 / whole as f64, 3) }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a float saturates; NaN gives 0"
)]
fn bytes(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_never_exceeded_whatever_is_in_use() {
        let options = Options::default();
        let topology = Topology::default();
        let pools = Pools::of_process(4 << 30).expect("large enough");
        for heap in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e9, 1e30] {
            for managed in [f64::NAN, 0.0, 1e9] {
                let usage = Usage { heap, managed, metaspace: f64::NAN };
                let tuning = Tuning {
                    topology: &topology,
                    changes: &[],
                    pools,
                    slots: 0,
                    slots_used: 0,
                    usage,
                    buffers: Buffers::default(),
                };
                let tuned = tune(&options, &tuning).expect("the overhead is kept");
                assert!(tuned.process <= pools.process, "{heap} {managed}");
                assert!((0.0..=1.0).contains(&tuned.managed_fraction), "{heap} {managed}");
            }
        }
    }

    #[test]
    fn a_process_that_is_too_small_has_no_pools() {
        assert_eq!(Pools::of_process(300 << 20), None);
        assert_eq!(Pools::of_process(u64::MAX).map(|pools| pools.overhead), Some(1 << 30));
    }
}
