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

    /// Whether nothing is lost with the pod of this name.
    pub(super) fn is_free(&self, name: &str) -> bool {
        let is_it = |(pod, usage): &(&Pod, Use)| pod.name == name && matches!(usage, Use::Absent | Use::Idle);
        self.pods.iter().any(is_it)
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
        // It has not registered yet, unless it is one of those whose pod is not known.
        (None, Some(registered)) if registered.unmatched == 0 => Use::Idle,
        (Some(_) | None, Some(_)) => Use::Busy,
    }
}

/// The number at the end of a `StatefulSet`'s pod's name.
fn ordinal(name: &str) -> Option<u32> {
    name.rsplit('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ready, ReadyStatus, TaskManager, Timestamp};

    const AT: Timestamp = Timestamp::from_millis(0);

    /// A pod by what is said of it: `p`ending, `n`ot ready, running otherwise; then the slots that its TaskManager holds of
    /// four, or `-` where none is registered.
    fn pod(index: usize, said: &str) -> Pod {
        let is_ready = !said.starts_with(['p', 'n']);
        let status = if is_ready { ReadyStatus::True } else { ReadyStatus::False };
        let held: Option<u32> = said.trim_start_matches(['p', 'n', 'd']).parse().ok();
        Pod {
            name: format!("tm-{index}"),
            phase: if said.starts_with('p') { Phase::Pending } else { Phase::Running },
            is_deleted: said.starts_with('d'),
            ready: Some(Ready { status, since: AT }),
            taskmanager: held.map(|held| TaskManager { slots: 4, free: 4 - held }),
            ..Pod::default()
        }
    }

    /// How many of `surplus` may go, their names, and what keeps the next.
    fn going(
        removes: Removes,
        replicas: u32,
        pods: &[&str],
        unmatched: Option<u32>,
        surplus: u32,
    ) -> (u32, Vec<String>, Option<Clinging>) {
        let registered = unmatched.map(|unmatched| Registered { at: AT, unmatched });
        let scalable = Scalable { removes, refused: None, registered };
        let pods = pods.iter().enumerate().map(|(index, said)| pod(index, said)).collect();
        let workload = Workload { at: AT, replicas, observed: replicas, pods, scalable: None };
        let order = Order::of(&workload, &scalable);
        let (free, clinging) = order.free(surplus);
        (free, order.names(free), clinging)
    }

    #[test]
    fn only_what_runs_nothing_goes() {
        use Removes::{HighestOrdinal, LowestCost};
        type Row<'a> =
            (&'a str, Removes, u32, &'a [&'a str], Option<u32>, u32, &'a [&'a str], Option<Clinging>);
        let busy = |pod: &str| Some(Clinging::Busy { pod: pod.to_owned() });
        let rows: [Row<'_>; 14] = [
            ("an idle one", LowestCost, 2, &["4", "0"], Some(0), 1, &["tm-1"], None),
            ("wherever it is", LowestCost, 3, &["0", "4", "1"], Some(0), 1, &["tm-0"], None),
            ("no more than are idle", LowestCost, 3, &["0", "4", "1"], Some(0), 2, &["tm-0"], busy("tm-1")),
            ("none is idle", LowestCost, 2, &["1", "1"], Some(0), 1, &[], Some(Clinging::NoneIdle)),
            ("nobody has looked", LowestCost, 2, &["4", "-"], None, 1, &[], Some(Clinging::Unseen)),
            ("pending ones are known all the same", LowestCost, 2, &["4", "p-"], None, 1, &["tm-1"], None),
            ("pending before idle", LowestCost, 3, &["0", "4", "p-"], Some(0), 1, &["tm-2"], None),
            // Kubernetes takes an unready one before an idle one, whatever they are marked with.
            ("a busy one that is not ready", LowestCost, 3, &["0", "n4", "4"], Some(0), 1, &[], busy("tm-1")),
            ("not registered yet", LowestCost, 2, &["4", "n-"], Some(0), 1, &["tm-1"], None),
            ("perhaps registered", LowestCost, 2, &["4", "-"], Some(1), 1, &[], Some(Clinging::NoneIdle)),
            ("on its way out", LowestCost, 1, &["4", "d0"], Some(0), 1, &[], Some(Clinging::NoneIdle)),
            ("the idle tail", HighestOrdinal, 3, &["0", "4", "0"], Some(0), 1, &["tm-2"], None),
            ("not the head", HighestOrdinal, 3, &["0", "4", "4"], Some(0), 1, &[], busy("tm-2")),
            ("two of the tail", HighestOrdinal, 3, &["4", "0", "p-"], Some(0), 2, &["tm-2", "tm-1"], None),
        ];
        for (what, removes, replicas, pods, unmatched, surplus, expected, clinging) in rows {
            let got = going(removes, replicas, pods, unmatched, surplus);
            let expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
            let count = u32::try_from(expected.len()).expect("few");
            assert_eq!(got, (count, expected, clinging), "{what}");
        }
    }

    #[test]
    fn replicas_that_were_never_made_go_first() {
        // Five asked for, three there: as when a quota refuses the rest.
        let got = going(Removes::LowestCost, 5, &["4", "4", "0"], Some(0), 3);
        assert_eq!(got, (3, vec!["tm-2".to_owned()], None));
        assert_eq!(going(Removes::LowestCost, 5, &["4", "4", "4"], None, 2), (2, Vec::new(), None));
    }

    #[test]
    fn ten_comes_after_nine() {
        assert!(ordinal("tm-10") > ordinal("tm-9") && ordinal("tm-x").is_none());
    }
}
