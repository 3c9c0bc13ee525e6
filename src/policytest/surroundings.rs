//! What is around a test's job: the pods of its TaskManagers, and what Prometheus would answer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::spec::{Gone, TestPods, TestSignals};
use super::units::Percent;
use crate::model::{
    Amount, Answer, Around, Container, Memory, Phase, Pod, Ready, ReadyStatus, Timestamp, Workload,
};
use crate::policy::{Quantity, ReplicaBounds};

/// metrics-server's own: use is measured over so long.
const MEASURED_OVER: Duration = Duration::from_secs(15);

/// The pods have served for so long: longer than any time for which an HPA distrusts a new one.
const SERVED_FOR: Duration = Duration::from_hours(1);

/// The heap of a TaskManager: any size would do.
const HEAP: u64 = 1 << 30;

/// The pods of a job, and what is known of their use.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pods: Option<TestPods>,
    bounds: ReplicaBounds,
    slots_per_pod: u32,
    /// What all pods use together, in thousandths.
    cpu: Option<f64>,
    memory: Option<f64>,
    /// Shares of the heap that stays in use, and of the time in garbage collection.
    heap: Option<f64>,
    gc: Option<f64>,
    queries: BTreeMap<String, Option<f64>>,
}

impl Surroundings {
    pub(super) fn new(pods: Option<TestPods>, bounds: ReplicaBounds, slots_per_pod: u32) -> Self {
        Self {
            pods,
            bounds,
            slots_per_pod,
            cpu: None,
            memory: None,
            heap: None,
            gc: None,
            queries: BTreeMap::new(),
        }
    }

    /// TaskManagers that give so many slots, within their bounds.
    pub(super) fn replicas(&self, slots: u32) -> u32 {
        let needed = slots.div_ceil(self.slots_per_pod.max(1)).max(self.bounds.min.unwrap_or(1));
        self.bounds.max.map_or(needed, |most| needed.min(most))
    }

    /// What is set, while the job holds so many slots.
    pub(super) fn set(&mut self, signals: &TestSignals, slots: u32) {
        let pods = f64::from(self.replicas(slots));
        let used = |share: Option<Percent>, request: fn(TestPods) -> Quantity| {
            Some(share?.share() * request(self.pods?).milli() as f64 * pods)
        };
        let (cpu, memory) = (used(signals.cpu, |pods| pods.cpu), used(signals.memory, |pods| pods.memory));
        (self.cpu, self.memory) = (cpu.or(self.cpu), memory.or(self.memory));
        self.heap = signals.heap.map(Percent::share).or(self.heap);
        self.gc = signals.gc_time.map(Percent::share).or(self.gc);
        for gone in &signals.gone {
            match gone {
                Gone::Cpu => self.cpu = None,
                Gone::Memory => self.memory = None,
                Gone::Queries => self.queries.values_mut().for_each(|answer| *answer = None),
            }
        }
        self.queries.extend(signals.queries.iter().map(|(query, value)| (query.clone(), *value)));
    }

    /// What a poll at `now` sees while the job holds so many slots.
    pub(super) fn seen(&self, slots: u32, now: Timestamp) -> Around {
        let answer = |value: Option<f64>| Answer { at: now, values: Ok(value.into_iter().collect()) };
        Around {
            workload: self.pods.map(|pods| self.workload(pods, self.replicas(slots), now)),
            workload_unseen: None,
            operator: None,
            operator_unseen: None,
            room: None,
            memory: (self.heap.is_some() || self.gc.is_some())
                .then(|| Box::new(self.taskmanager_memory(now))),
            cpu: None,
            queries: self.queries.iter().map(|(query, value)| (query.clone(), answer(*value))).collect(),
        }
    }

    /// A test has no time to wait for a reading a minute: every poll has one.
    fn taskmanager_memory(&self, now: Timestamp) -> Memory {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a gibibyte")]
        let heap_used = (self.heap.unwrap_or(0.0) * HEAP as f64) as u64;
        Memory {
            at: now,
            heap_used,
            heap_max: HEAP,
            metaspace_used: None,
            managed_used: None,
            gc_share: self.gc,
            pools: None,
        }
    }

    fn workload(&self, pods: TestPods, replicas: u32, now: Timestamp) -> Workload {
        let since = now - SERVED_FOR;
        let amount = |request: Quantity, used: Option<f64>| Amount {
            request: Some(request.milli()),
            #[expect(clippy::cast_possible_truncation, reason = "as saturates, and no node is that large")]
            used: used.map(|used| (used / f64::from(replicas)).round() as i64),
        };
        let pod = Pod {
            phase: Phase::Running,
            is_deleted: false,
            ready: Some(Ready { status: ReadyStatus::True, since }),
            started: Some(since),
            measured: (self.cpu.is_some() || self.memory.is_some()).then_some((now, MEASURED_OVER)),
            containers: vec![Container {
                name: "taskmanager".to_owned(),
                cpu: amount(pods.cpu, self.cpu),
                memory: amount(pods.memory, self.memory),
            }],
            ..Pod::default()
        };
        let pods = vec![pod; replicas as usize];
        Workload { at: now, replicas, observed: replicas, pods, scalable: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_numbers_of_pods_share_the_same_work() {
        let mut around = Surroundings::new(Some(TestPods::default()), ReplicaBounds::default(), 2);
        let cpu = TestSignals { cpu: "80%".parse().ok(), ..TestSignals::default() };
        around.set(&cpu, 8);
        for (slots, pods, each) in [(8, 4, 800), (14, 7, 457), (1, 1, 3200)] {
            let seen = around.seen(slots, Timestamp::default()).workload.expect("there is one");
            assert_eq!((seen.pods.len(), seen.pods[0].containers[0].cpu.used), (pods, Some(each)), "{slots}");
        }
        around.set(&TestSignals { gone: vec![Gone::Cpu], ..TestSignals::default() }, 8);
        let seen = around.seen(8, Timestamp::default()).workload.expect("there is one");
        assert_eq!((seen.pods[0].measured, seen.pods[0].containers[0].cpu.used), (None, None));
    }
}
