//! What the cluster says of itself.

use serde_json::{Value, json};

use crate::model::JobState;
use crate::simulate::SchedulerKind;
use crate::simulate::simulation::{Simulation, millis};

/// A commit of no meaning, in the length of Flink's own.
const COMMIT: &str = "5157e11";

const MIB: u64 = 1 << 20;
/// Task heap and network memory of one slot, in MiB.
const SLOT_HEAP_MIB: u64 = 256;
const SLOT_NETWORK_MIB: u64 = 64;

impl Simulation {
    pub(super) fn config(&self) -> Value {
        let mut features = json!({"web-submit": true, "web-cancel": true, "web-history": false});
        if self.since(1, 18) {
            features["web-rescale"] = (self.scenario().scheduler == SchedulerKind::Adaptive).into();
        }
        json!({
            "refresh-interval": millis(self.scenario().metrics.refresh_interval),
            "timezone-name": "Coordinated Universal Time",
            "timezone-offset": 0,
            "flink-version": self.scenario().flink_version,
            "flink-revision": format!("{COMMIT} @ {}", self.moment(0)),
            "features": features,
        })
    }

    pub(super) fn overview(&self) -> Value {
        let count = |counted: &[JobState]| {
            self.all_jobs().iter().filter(|(_, state)| counted.contains(state)).count()
        };
        let finished = count(&[JobState::Finished]);
        let (cancelled, failed) = (count(&[JobState::Canceled]), count(&[JobState::Failed]));
        json!({
            "taskmanagers": self.taskmanagers,
            "slots-total": self.total_slots(),
            "slots-available": self.available_slots(),
            "jobs-running": self.all_jobs().len() - finished - cancelled - failed,
            "jobs-finished": finished,
            "jobs-cancelled": cancelled,
            "jobs-failed": failed,
            "flink-version": self.scenario().flink_version,
            "flink-commit": COMMIT,
        })
    }

    pub(super) fn jobmanager_config(&self) -> Value {
        let scenario = self.scenario();
        let scheduler = match scenario.scheduler {
            SchedulerKind::Adaptive | SchedulerKind::Reactive => "adaptive",
            SchedulerKind::Default => "default",
        };
        let mut settings = vec![
            ("jobmanager.scheduler", scheduler.to_owned()),
            ("metrics.fetcher.update-interval", millis(scenario.metrics.update_interval).to_string()),
            ("web.refresh-interval", millis(scenario.metrics.refresh_interval).to_string()),
            ("taskmanager.numberOfTaskSlots", scenario.slots_per_taskmanager.to_string()),
        ];
        if scenario.scheduler == SchedulerKind::Reactive {
            settings.push(("scheduler-mode", "REACTIVE".to_owned()));
        }
        if let Some(checkpoints) = scenario.checkpoints {
            settings
                .push(("execution.checkpointing.interval", format!("{} ms", millis(checkpoints.interval))));
        }
        settings.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
    }

    /// The TaskManagers; the job's slots are taken from as few of them as possible.
    pub(super) fn all_taskmanagers(&self) -> Value {
        let slots = self.scenario().slots_per_taskmanager;
        let mut held = self.total_slots() - self.available_slots();
        let one = |index| {
            let taken = held.min(slots);
            held -= taken;
            self.taskmanager(index, slots, taken)
        };
        let all: Vec<Value> = (0..self.taskmanagers).map(one).collect();
        json!({ "taskmanagers": all })
    }

    fn taskmanager(&self, index: u32, slots: u32, taken: u32) -> Value {
        let resource = |slots: u32| {
            json!({
                "cpuCores": f64::from(slots),
                "taskHeapMemory": u64::from(slots) * SLOT_HEAP_MIB,
                "taskOffHeapMemory": 0,
                "managedMemory": 0,
                "networkMemory": u64::from(slots) * SLOT_NETWORK_MIB,
                "extendedResources": {},
            })
        };
        let (heap, network) =
            (u64::from(slots) * SLOT_HEAP_MIB * MIB, u64::from(slots) * SLOT_NETWORK_MIB * MIB);
        let (framework, overhead) = (64 * MIB, 128 * MIB);
        let flink = heap + network + 2 * framework;
        let mut taskmanager = json!({
            "id": format!("taskmanager-{index}"),
            "path": format!("pekko.tcp://flink@127.0.0.1:{}/user/rpc/taskmanager_0", 41_000 + index),
            "dataPort": 42_000 + index,
            "jmxPort": -1,
            "timeSinceLastHeartbeat": self.flink_moment(self.now).as_millis(),
            "slotsNumber": slots,
            "freeSlots": slots - taken,
            "totalResource": resource(slots),
            "freeResource": resource(slots - taken),
            "hardware": {
                "cpuCores": slots,
                "physicalMemory": flink + 4 * overhead,
                "freeMemory": heap / 2,
                "managedMemory": 0,
            },
            "memoryConfiguration": {
                "frameworkHeap": framework,
                "taskHeap": heap,
                "frameworkOffHeap": framework,
                "taskOffHeap": 0,
                "networkMemory": network,
                "managedMemory": 0,
                "jvmMetaspace": overhead,
                "jvmOverhead": overhead,
                "totalFlinkMemory": flink,
                "totalProcessMemory": flink + 2 * overhead,
            },
        });
        if self.since(2, 3) {
            // A subtask of each number sits in the slot of that number.
            let tasks = |p: &u32| p.saturating_sub(index * slots).min(slots);
            let tasks = if taken > 0 { self.scheduler.parallelism.iter().map(tasks).sum() } else { 0_u32 };
            taskmanager["assignedTasks"] = tasks.into();
        }
        taskmanager
    }
}
