//! The pods of a workload, as Kubernetes makes and removes them, and the slots of the TaskManagers in them.

use std::cmp::Reverse;
use std::time::Duration;

use super::scenario::{WorkloadKind, WorkloadScenario};
use super::simulation::millis;
use crate::model::{
    Amount, Container, Phase, Pod, Ready, ReadyStatus, Registered, Removes, Scalable, TaskManager, Timestamp,
    Workload,
};

/// metrics-server's own: use is measured over so long.
const MEASURED_OVER: Duration = Duration::from_secs(15);

/// What each pod requests: a core, in thousandths.
const REQUESTED_CPU: i64 = 1000;

/// The pods of a workload; times are milliseconds since the start of the scenario.
#[derive(Clone, Debug)]
pub(super) struct Pods {
    scenario: WorkloadScenario,
    slots: u32,
    replicas: u32,
    alive: Vec<SimulatedPod>,
    /// Pods that were ever made: the number of the next one of a Deployment.
    made: u32,
    /// What the TaskManagers use of CPU together, in thousandths of a core, where it is measured.
    cpu: Option<i64>,
}

#[derive(Clone, Debug)]
struct SimulatedPod {
    number: u32,
    /// When its TaskManager registers, or has; `None` while no node has room for it.
    registers: Option<u64>,
    is_registered: bool,
    cost: i32,
    /// Slots that the job holds.
    holds: u32,
    /// Slots that the job held until it last stopped, and until when they stay with it.
    lingers: (u32, u64),
}

impl SimulatedPod {
    fn held(&self, now: u64) -> u32 {
        let (slots, until) = self.lingers;
        self.holds.max(if now < until { slots } else { 0 })
    }
}

impl Pods {
    /// So many pods that run.
    pub(super) fn new(scenario: WorkloadScenario, replicas: u32, slots: u32) -> Self {
        let mut pods = Self { scenario, slots, replicas, alive: Vec::new(), made: 0, cpu: None };
        for _ in 0..replicas {
            pods.make();
        }
        for pod in &mut pods.alive {
            (pod.registers, pod.is_registered) = (Some(0), true);
        }
        pods
    }

    /// From now on the TaskManagers are measured to use so much of CPU together, in thousandths of a core.
    pub(super) fn use_cpu(&mut self, together: i64) {
        self.cpu = Some(together);
    }

    /// Replicas asked for.
    pub(super) fn replicas(&self) -> u32 {
        self.replicas
    }

    /// TaskManagers that are registered.
    pub(super) fn registered(&self) -> u32 {
        count(self.alive.iter().filter(|pod| pod.is_registered).count())
    }

    /// Sets the replicas; how many TaskManagers went with slots of the job on them.
    pub(super) fn scale(&mut self, replicas: u32, now: u64) -> u32 {
        self.replicas = replicas;
        let mut killed = 0;
        while count(self.alive.len()) > replicas {
            let first = self.first_to_go();
            killed += u32::from(self.alive.remove(first).holds > 0);
        }
        self.advance(now);
        killed
    }

    /// Makes the pods that are missing, places those that there is room for, and registers those whose time has come; how many
    /// have registered.
    pub(super) fn advance(&mut self, now: u64) -> u32 {
        let most = self.replicas.min(self.scenario.quota.unwrap_or(u32::MAX));
        while count(self.alive.len()) < most {
            self.make();
        }
        let room = self.scenario.room.unwrap_or(u32::MAX) as usize;
        let placed = self.alive.iter().filter(|pod| pod.registers.is_some()).count();
        let starts = now.saturating_add(millis(self.scenario.starts_within));
        let waiting = self.alive.iter_mut().filter(|pod| pod.registers.is_none());
        waiting.take(room.saturating_sub(placed)).for_each(|pod| pod.registers = Some(starts));
        let mut registered = 0;
        for pod in &mut self.alive {
            if !pod.is_registered && pod.registers.is_some_and(|at| at <= now) {
                pod.is_registered = true;
                registered += 1;
            }
        }
        registered
    }

    /// The job has stopped: what it held stays with it until then.
    pub(super) fn release(&mut self, until: u64) {
        for pod in &mut self.alive {
            if pod.holds > 0 {
                pod.lingers = (pod.holds, until);
            }
            pod.holds = 0;
        }
    }

    /// The job holds so many slots.
    pub(super) fn hold(&mut self, mut slots: u32) {
        let most = self.slots;
        let running: Vec<&mut SimulatedPod> = self.alive.iter_mut().filter(|pod| pod.is_registered).collect();
        let share = if self.scenario.spread { slots.div_ceil(count(running.len()).max(1)) } else { most };
        for pod in running {
            pod.holds = slots.min(share);
            slots -= pod.holds;
        }
    }

    /// Marks pods to go first, and takes the mark from all others.
    pub(super) fn mark(&mut self, names: &[String]) {
        for index in 0..self.alive.len() {
            let marked = names.contains(&self.name(&self.alive[index]));
            self.alive[index].cost = if marked { i32::MIN } else { 0 };
        }
    }

    /// The workload as an observer sees it.
    pub(super) fn view(&self, with_taskmanagers: bool, now: u64, at: Timestamp) -> Workload {
        let each = self.cpu.map(|together| together / i64::from(self.registered().max(1)));
        let of_pod = |pod: &SimulatedPod| {
            let used = each.filter(|_| pod.is_registered);
            let is_placed = pod.registers.is_some();
            let since = at - Duration::from_millis(now.saturating_sub(pod.registers.unwrap_or(now)));
            let status = if pod.is_registered { ReadyStatus::True } else { ReadyStatus::False };
            let cpu = Amount { request: Some(REQUESTED_CPU), used };
            Pod {
                name: self.name(pod),
                phase: if is_placed { Phase::Running } else { Phase::Pending },
                ready: Some(Ready { status, since }),
                started: is_placed.then_some(since),
                measured: used.map(|_| (at, MEASURED_OVER)),
                unschedulable: (!is_placed)
                    .then(|| "0/3 nodes are available: 3 Insufficient cpu.".to_owned()),
                containers: vec![Container { name: "taskmanager".to_owned(), cpu, ..Container::default() }],
                deletion_cost: (pod.cost != 0).then_some(pod.cost),
                taskmanager: (with_taskmanagers && pod.is_registered)
                    .then(|| TaskManager { slots: self.slots, free: self.slots - pod.held(now) }),
                ..Pod::default()
            }
        };
        // A StatefulSet does not say it of itself.
        let says_so = self.scenario.kind == WorkloadKind::Deployment;
        let refused = says_so && self.scenario.quota.is_some_and(|quota| self.replicas > quota);
        Workload {
            at,
            replicas: self.replicas,
            observed: count(self.alive.len()),
            pods: self.alive.iter().map(of_pod).collect(),
            scalable: Some(Scalable {
                removes: match self.scenario.kind {
                    WorkloadKind::Deployment => Removes::LowestCost,
                    WorkloadKind::StatefulSet => Removes::HighestOrdinal,
                },
                refused: refused.then(|| "exceeded quota: cpu".to_owned()),
                registered: with_taskmanagers.then_some(Registered { at, unmatched: 0 }),
            }),
        }
    }

    fn make(&mut self) {
        let number = match self.scenario.kind {
            WorkloadKind::Deployment => self.made,
            WorkloadKind::StatefulSet => count(self.alive.len()),
        };
        self.made += 1;
        let pod = SimulatedPod {
            number,
            registers: None,
            is_registered: false,
            cost: 0,
            holds: 0,
            lingers: (0, 0),
        };
        self.alive.push(pod);
    }

    fn name(&self, pod: &SimulatedPod) -> String {
        match self.scenario.kind {
            // As a ReplicaSet's: nothing can be told from it.
            WorkloadKind::Deployment => {
                format!("taskmanager-6d4cf56db6-{:05x}", pod.number.wrapping_mul(48_271))
            }
            WorkloadKind::StatefulSet => format!("taskmanager-{}", pod.number),
        }
    }

    /// The index of the pod that goes first.
    fn first_to_go(&self) -> usize {
        let pods = self.alive.iter().enumerate();
        let first = match self.scenario.kind {
            // `ActivePodsWithRanks`: not placed, not ready, lowest cost, newest.
            WorkloadKind::Deployment => pods.min_by_key(|(_, pod)| {
                let newest = (Reverse(pod.registers), Reverse(pod.number));
                (pod.registers.is_some(), pod.is_registered, pod.cost, newest)
            }),
            WorkloadKind::StatefulSet => pods.max_by_key(|(_, pod)| pod.number),
        };
        first.map_or(0, |(index, _)| index)
    }
}

fn count(pods: usize) -> u32 {
    u32::try_from(pods).unwrap_or(u32::MAX)
}
