//! Slots and `TaskManagers` before and after a rescale, and whether they stay within the quota.

use std::collections::BTreeMap;

use super::Options;
use super::topology::Topology;

/// A `TaskManager` of the job's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskManager {
    /// Its slots.
    pub slots: u32,
    /// Its CPUs; `None` where they are not known, as in the standalone autoscaler: then a quota of them never bites.
    pub cpu: Option<f64>,
    /// Its memory in bytes.
    pub memory: u64,
}

/// What of the quota would be used up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QuotaReached {
    /// So many CPUs would be needed.
    Cpu(f64),
    /// So many bytes would be needed.
    Memory(u128),
}

/// Whether the changes would exceed the quota. Two oddities of the operator's are kept: only vertices that change count, and
/// `TaskManagers` are rounded down.
pub fn quota_reached(
    options: &Options,
    topology: &Topology,
    changes: &[Option<u32>],
    taskmanager: TaskManager,
) -> Option<QuotaReached> {
    let mut groups: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for (vertex, change) in topology.vertices().iter().zip(changes) {
        if let (Some(group), Some(to)) = (&vertex.slot_sharing_group, *change) {
            let (before, after) = groups.entry(group).or_default();
            *before = (*before).max(vertex.parallelism);
            *after = (*after).max(to);
        }
    }
    let slots = |side: fn(&(u32, u32)) -> u32| groups.values().map(side).map(u64::from).sum::<u64>();
    let per_taskmanager = u64::from(taskmanager.slots.max(1));
    let before = slots(|(before, _)| *before) / per_taskmanager;
    let after = slots(|(_, after)| *after) / per_taskmanager;
    if after <= before {
        return None;
    }
    let cpu = taskmanager.cpu.unwrap_or(0.0) * after as f64;
    if options.cpu_quota.is_some_and(|quota| cpu > quota) {
        return Some(QuotaReached::Cpu(cpu));
    }
    let memory = u128::from(taskmanager.memory) * u128::from(after);
    options.memory_quota.filter(|quota| memory > u128::from(quota.0)).map(|_| QuotaReached::Memory(memory))
}

/// The slots that a job takes after a rescale. If it takes as many as its largest vertex has subtasks, all vertices share
/// their slots; else none is taken to.
pub fn slots_after_rescale(parallelism: &[u32], changes: &[Option<u32>], slots_used: u32) -> u64 {
    let after = parallelism
        .iter()
        .enumerate()
        .map(|(vertex, before)| u64::from(changes.get(vertex).copied().flatten().unwrap_or(*before)));
    if parallelism.iter().max() == Some(&slots_used) { after.max().unwrap_or(0) } else { after.sum() }
}
