//! The order in which a workload's pods go when it is to have fewer, and how many of the first of them run nothing.

use std::cmp::Reverse;

use super::Clinging;
use crate::model::{Phase, Pod, Registered, Removes, Scalable, Workload};

/// What is lost with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Nothing has ever run in it.
    Absent,
    /// Its TaskManager holds no slot, or it has none.
    Idle,
    /// The TaskManagers were not asked for.
    Unseen,
    /// Slots, or that cannot be told.
    Busy,
}

/// Pods in the order in which they go.
pub(super) struct Order<'a> {
    /// Replicas for which there is no pod: they go first, whoever removes them.
    missing: u32,
    pods: Vec<(&'a Pod, Use)>,
}

impl<'a> Order<'a> {
    pub(super) fn of(workload: &'a Workload, scalable: &Scalable) -> Self {
        let alive = workload.pods.iter().filter(|pod| pod.is_alive());
        let mut pods: Vec<_> = alive.map(|pod| (pod, usage(pod, scalable.registered))).collect();
        match scalable.removes {
            // A ReplicaSet's order (`ActivePodsWithRanks`): pending before running, unready before ready, then by cost; the
            // idle ones get the lowest just before they go.
            Removes::LowestCost => pods.sort_by_key(|(pod, usage)| {
                (
                    pod.phase != Phase::Pending,
                    pod.phase == Phase::Running,
                    pod.is_ready(),
                    *usage == Use::Busy,
                )
            }),
            Removes::HighestOrdinal => pods.sort_by_key(|(pod, _)| Reverse(ordinal(&pod.name))),
        }
        let count = u32::try_from(pods.len()).unwrap_or(u32::MAX);
        Self { missing: workload.replicas.saturating_sub(count), pods }
    }

    /// Of `surplus` replicas, how many can go with nothing lost; what keeps the next one, if that is fewer.
    pub(super) fn free(&self, surplus: u32) -> (u32, Option<Clinging>) {
        let free =
            self.missing.saturating_add(self.leading(|usage| matches!(usage, Use::Absent | Use::Idle)));
        if free >= surplus {
            return (surplus, None);
        }
        let clinging = match self.pods.get((free - self.missing) as usize) {
            Some((_, Use::Unseen)) => Clinging::Unseen,
            // One that would go before those that are idle.
            Some((pod, _)) if self.pods.iter().any(|(_, usage)| *usage == Use::Idle) => {
                Clinging::Busy { pod: pod.name.clone() }
            }
            _ => Clinging::NoneIdle,
        };
        (free, Some(clinging))
    }

    /// Replicas that have never run anything, and that go before all others.
    pub(super) fn absent(&self) -> u32 {
        self.missing.saturating_add(self.leading(|usage| usage == Use::Absent))
    }

    /// Names of the pods that go when so many replicas do.
    pub(super) fn names(&self, going: u32) -> Vec<String> {
        let named = self.pods.iter().take(going.saturating_sub(self.missing) as usize);
        named.map(|(pod, _)| pod.name.clone()).collect()
    }

    fn leading(&self, is_free: impl Fn(Use) -> bool) -> u32 {
        let free = self.pods.iter().take_while(|(_, usage)| is_free(*usage)).count();
        u32::try_from(free).unwrap_or(u32::MAX)
    }
}

fn usage(pod: &Pod, registered: Option<Registered>) -> Use {
    match (pod.taskmanager, registered) {
        // Its containers have not started.
        _ if pod.phase == Phase::Pending => Use::Absent,
        (_, None) => Use::Unseen,
        (Some(taskmanager), Some(_)) if taskmanager.is_idle() => Use::Idle,
        (Some(_), Some(_)) => Use::Busy,
        // It has not registered yet, unless it is one of those whose pod is not known.
        (None, Some(registered)) if registered.unmatched == 0 => Use::Idle,
        (None, Some(_)) => Use::Busy,
    }
}

/// The number at the end of a StatefulSet's pod's name.
fn ordinal(name: &str) -> Option<u32> {
    name.rsplit('-').next()?.parse().ok()
}
