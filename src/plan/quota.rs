//! What a quota of CPU and memory leaves for the job: as many slots as the TaskManagers have whose requests it allows together.

use serde::Serialize;

use super::slots;
use crate::model::{Amount, Container, Pod, Snapshot};
use crate::policy::{Quantity, Quota};

/// Slots that a quota allows, fewer than a plan needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OverQuota {
    /// So many slots, by what the TaskManagers request.
    Allows(u32),
    /// What a TaskManager requests, or how many slots it has, is not known: no more than so many, which are there.
    Unknown(u32),
}

impl OverQuota {
    /// The slots.
    pub(super) fn slots(self) -> u32 {
        match self {
            Self::Allows(slots) | Self::Unknown(slots) => slots,
        }
    }
}

/// The slots that a quota allows.
pub(super) fn slots(quota: Quota, snapshot: &Snapshot) -> OverQuota {
    let per = snapshot.slots.and_then(|slots| slots.per_taskmanager());
    if let Some((most, per)) = taskmanagers(quota, snapshot).zip(per) {
        return OverQuota::Allows(most.saturating_mul(per));
    }
    let own = slots::needed(&snapshot.graph, &snapshot.parallelism());
    OverQuota::Unknown(snapshot.slots.map_or(own, |slots| slots.total.max(own)))
}

/// The TaskManagers that a quota allows; `None` where it cannot be told.
fn taskmanagers(quota: Quota, snapshot: &Snapshot) -> Option<u32> {
    let pods = &snapshot.around.workload.as_ref()?.pods;
    let most = |quota: Option<Quantity>, amount: fn(&Container) -> Amount| {
        let Some(quota) = quota else { return Some(u32::MAX) };
        let most = quota.milli().max(0) / request(pods, amount)?;
        Some(u32::try_from(most).unwrap_or(u32::MAX))
    };
    Some(most(quota.cpu, |c| c.cpu)?.min(most(quota.memory, |c| c.memory)?))
}

/// What a TaskManager requests, in thousandths: the most that any pod does, as the new ones of a rollout may request more than
/// the old ones. `None` where a pod that counts requests nothing, which a quota cannot be held against.
fn request(pods: &[Pod], amount: fn(&Container) -> Amount) -> Option<i64> {
    let of_pod = |pod: &Pod| {
        let requests = pod.containers.iter().filter_map(|container| amount(container).request);
        requests.fold(0_i64, |sum, request| sum.saturating_add(request.max(0)))
    };
    let requests: Vec<i64> = pods.iter().filter(|pod| pod.is_alive()).map(of_pod).collect();
    requests.iter().all(|&request| request > 0).then(|| requests.into_iter().max())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Phase, Workload};
    use crate::policy::testing::{Job, START};

    /// A pod that requests so many thousandths of a core, and of MiB of memory.
    fn pod(cpu: Option<i64>, mebibytes: Option<i64>) -> Pod {
        let amount = |request| Amount { request, used: None };
        let container = Container {
            name: "taskmanager".to_owned(),
            cpu: amount(cpu),
            memory: amount(mebibytes.map(|mebibytes| mebibytes * 1024 * 1024 * 1000)),
        };
        // A sidecar that requests nothing changes nothing.
        let containers = vec![container, Container::default()];
        Pod { containers, ..Pod::default() }
    }

    fn quota(cpu: &str, memory: &str) -> Quota {
        let quantity = |text: &str| (!text.is_empty()).then(|| text.parse().expect("a quantity"));
        Quota { cpu: quantity(cpu), memory: quantity(memory) }
    }

    #[test]
    fn allows_as_many_taskmanagers_as_their_requests_go_into_it() {
        let plain = || pod(Some(500), Some(1024));
        let deleted = Pod { is_deleted: true, ..pod(Some(4000), None) };
        let failed = Pod { phase: Phase::Failed, ..pod(None, None) };
        // A job of 3 slots on 8 TaskManagers of 8 slots each.
        for (what, quota, pods, expected) in [
            ("by CPU", quota("2", ""), vec![plain()], OverQuota::Allows(32)),
            ("not a part of one", quota("2400m", ""), vec![plain()], OverQuota::Allows(32)),
            ("by memory", quota("", "3Gi"), vec![plain()], OverQuota::Allows(24)),
            ("by the smaller", quota("100", "3Gi"), vec![plain()], OverQuota::Allows(24)),
            (
                "by the largest pod",
                quota("2", ""),
                vec![plain(), pod(Some(1000), None)],
                OverQuota::Allows(16),
            ),
            ("only pods that stay", quota("2", ""), vec![plain(), deleted, failed], OverQuota::Allows(32)),
            ("nothing goes into it", quota("100m", ""), vec![plain()], OverQuota::Allows(0)),
            ("a negative one", quota("-1", ""), vec![plain()], OverQuota::Allows(0)),
            ("no pods", quota("2", ""), vec![], OverQuota::Unknown(64)),
            ("no request", quota("2", ""), vec![plain(), pod(None, Some(1))], OverQuota::Unknown(64)),
            ("a request of nothing", quota("2", ""), vec![pod(Some(0), None)], OverQuota::Unknown(64)),
            ("none of the other", quota("2", "1Gi"), vec![pod(Some(500), None)], OverQuota::Unknown(64)),
        ] {
            let mut job = Job::chain(&[(1, 0.0), (3, 0.004)]);
            job.snapshot.around.workload =
                Some(Workload { at: START, replicas: 8, observed: 8, pods, scalable: None });
            assert_eq!(slots(quota, &job.snapshot), expected, "{what}");
        }
    }

    #[test]
    fn without_slots_or_pods_what_is_there_is_all() {
        let mut job = Job::chain(&[(1, 0.0), (3, 0.004)]);
        assert_eq!(slots(quota("2", ""), &job.snapshot), OverQuota::Unknown(64));
        job.snapshot.slots = None;
        assert_eq!(slots(quota("2", ""), &job.snapshot), OverQuota::Unknown(3));
    }
}
