//! One run of the job in the simulated session: how it goes on, and what Flink says of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::START;
use crate::model::{JobId, JobState, VertexId};

/// The job's name, under which it is found.
pub(in crate::act) const NAME: &str = "orders";

/// A run of the job.
#[derive(Clone, Debug)]
pub(in crate::act) struct Run {
    pub(in crate::act) id: JobId,
    pub(in crate::act) sizes: BTreeMap<VertexId, u32>,
    pub(in crate::act) state: JobState,
    /// When it changes its state by itself, and to what.
    pub(in crate::act) next: Option<(u64, JobState)>,
    pub(in crate::act) started: u64,
    /// When all of it last began to run, and what had been worked off by then, in milliseconds of work.
    pub(in crate::act) up: Option<u64>,
    pub(in crate::act) done: u64,
    pub(in crate::act) restored: Option<String>,
    /// Whether it never gets beyond restarting.
    pub(in crate::act) never_up: bool,
    pub(in crate::act) savepoint: Option<(u64, String)>,
    pub(in crate::act) is_ours: bool,
}

impl Run {
    /// The one that runs when a schedule begins.
    pub(in crate::act) fn running(id: JobId, sizes: BTreeMap<VertexId, u32>) -> Self {
        Self {
            id,
            sizes,
            state: JobState::Running,
            next: None,
            started: 0,
            up: Some(0),
            done: 0,
            restored: None,
            never_up: false,
            savepoint: None,
            is_ours: true,
        }
    }

    pub(in crate::act) fn work(&self, now: u64) -> u64 {
        self.done + self.up.map_or(0, |since| now - since)
    }

    pub(in crate::act) fn rest(&mut self, now: u64) {
        self.done = self.work(now);
        self.up = None;
    }

    pub(in crate::act) fn end(&mut self, state: JobState, now: u64) {
        self.rest(now);
        (self.state, self.next) = (state, None);
    }

    /// It has a savepoint, by Flink's clock, which is off by so much.
    pub(in crate::act) fn saved(&mut self, now: u64, skew: i64, path: String) {
        let at = START.as_millis() + i64::try_from(now).unwrap_or(0) + skew;
        self.savepoint = Some((u64::try_from(at).unwrap_or(0), path));
    }

    pub(in crate::act) fn starts(&mut self, at: u64) {
        (self.state, self.next) = (JobState::Created, Some((at, JobState::Running)));
    }

    pub(in crate::act) fn details(&self, now: u64) -> Value {
        let is_up = self.state == JobState::Running && self.up.is_some();
        let vertex = |(id, size): (&VertexId, &u32)| {
            json!({
                "id": id, "name": "v", "maxParallelism": 128, "parallelism": size,
                "tasks": {"RUNNING": if is_up { *size } else { 0 }},
                "metrics": {
                    "read-records": 0, "read-records-complete": true, "write-records": 0, "write-records-complete": true,
                },
            })
        };
        let nodes: Vec<_> = self.sizes.keys().map(|id| json!({"id": id})).collect();
        json!({
            "jid": self.id, "name": NAME, "state": self.state, "now": now, "timestamps": {"RUNNING": self.started},
            "vertices": self.sizes.iter().map(vertex).collect::<Vec<_>>(),
            "plan": {"nodes": nodes},
        })
    }

    pub(in crate::act) fn checkpoints(&self) -> Value {
        let restored = self.restored.as_ref().filter(|_| self.state != JobState::Created);
        let restored = restored.map(|path| json!({"is_savepoint": true, "external_path": path}));
        let savepoint = self.savepoint.as_ref();
        let savepoint = savepoint
            .map(|(at, path)| json!({"status": "COMPLETED", "trigger_timestamp": at, "external_path": path}));
        json!({"latest": {"savepoint": savepoint, "restored": restored, "completed": null}})
    }
}
