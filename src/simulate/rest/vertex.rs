//! One vertex with its subtasks.

use serde_json::{Map, Value, json};

use super::Found;
use super::failure::Failure;
use super::job::{io_metrics, task_state};
use super::subtask::{Subtask, subtasks};
use crate::model::{JobId, VertexId};
use crate::simulate::simulation::Simulation;
use crate::simulate::store::Known;
use crate::simulate::view::Cached;

/// The counters of `metrics` that are summed up over subtasks.
const SUMMED: [&str; 7] = [
    "read-bytes",
    "write-bytes",
    "read-records",
    "write-records",
    "accumulated-backpressured-time",
    "accumulated-idle-time",
    "accumulated-busy-time",
];

impl Simulation {
    pub(super) fn vertex_details(&mut self, id: JobId, vertex: VertexId) -> Found {
        self.expect_job(id)?;
        let Some(v) = self.graph.index_of(vertex) else {
            return Err(Failure::not_found(&format!("JobVertex {vertex} not found")));
        };
        let cached = self.take_cached();
        let details = self.subtasks_of(&cached, v);
        self.cached = Some(cached);
        self.touch_store();
        Ok(details)
    }

    fn subtasks_of(&self, cached: &Cached, v: usize) -> Value {
        let vertex = &self.graph.vertices()[v];
        let known = self.known(cached, v);
        let parts = subtasks(&known);
        let one = |index: u32| self.subtask_of(cached, &known, parts.get(index as usize), index);
        let subtasks: Vec<Value> = (0..cached.parallelism[v].get()).map(one).collect();
        let of_metrics = |name: &str| {
            let values = subtasks.iter().map(|subtask| &subtask["metrics"][name]);
            (name.to_owned(), summary(values.filter_map(Value::as_f64).collect()))
        };
        let durations = self.status_durations(cached);
        let of_durations = |(state, lasted): (&String, &Value)| {
            let lasted = lasted.as_f64().unwrap_or(0.0);
            (state.clone(), summary(vec![lasted; subtasks.len()]))
        };
        json!({
            "id": vertex.id,
            "name": vertex.name,
            "parallelism": cached.parallelism[v],
            "maxParallelism": vertex.max_parallelism,
            "now": self.flink_moment(self.now).as_millis(),
            "aggregated": {
                "metrics": SUMMED.iter().map(|name| of_metrics(name)).collect::<Map<_, _>>(),
                "status-duration": durations.iter().map(of_durations).collect::<Map<_, _>>(),
            },
            "subtasks": subtasks,
        })
    }

    fn subtask_of(&self, cached: &Cached, known: &Known, part: Option<&Subtask>, index: u32) -> Value {
        let slots = self.scenario().slots_per_taskmanager;
        // The JobManager packs the slots of a job onto as few TaskManagers as possible.
        let taskmanager = index / slots;
        let counters = part.map(|part| Known { counters: part.counters, ..*known });
        let mut subtask = json!({
            "subtask": index,
            "status": task_state(cached.phase),
            "attempt": cached.attempt.saturating_sub(1),
            "metrics": io_metrics(&counters.unwrap_or_default()),
            "taskmanager-id": format!("taskmanager-{taskmanager}"),
            "status-duration": self.status_durations(cached),
        });
        self.add_span(&mut subtask, cached.deployed(), cached.stopped());
        subtask["start_time"] = subtask["start-time"].clone();
        if self.since(1, 19) {
            subtask["endpoint"] = format!("localhost:{}", 42_000 + taskmanager).into();
        }
        if !self.since(2, 0) {
            subtask["host"] = "localhost".into();
        }
        subtask
    }

    /// Milliseconds that the subtasks were in each state.
    fn status_durations(&self, cached: &Cached) -> Map<String, Value> {
        let until = cached.stopped().unwrap_or(self.now);
        let initializing = cached.deployed().map(|from| cached.started.unwrap_or(until).saturating_sub(from));
        let running = cached.started.map(|from| until.saturating_sub(from));
        let lasted = |lasted: Option<u64>| lasted.map_or(Value::from(-1), Value::from);
        let durations = [
            ("CREATED", Some(0)),
            ("SCHEDULED", Some(0)),
            ("DEPLOYING", Some(0)),
            ("INITIALIZING", initializing),
            ("RUNNING", running),
        ];
        durations.map(|(state, time)| (state.to_owned(), lasted(time))).into_iter().collect()
    }
}

/// Flink's summary over subtasks, in whole numbers.
fn summary(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let sum: f64 = values.iter().sum();
    let count = values.len().max(1);
    let at = |percent: usize| values.get((count * percent).div_ceil(100).max(1) - 1).copied().unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let whole = |value: f64| value as i64;
    json!({
        "min": whole(at(0)),
        "max": whole(at(100)),
        "avg": whole(sum / count as f64),
        "sum": whole(sum),
        "median": whole(at(50)),
        "p25": whole(at(25)),
        "p75": whole(at(75)),
        "p95": whole(at(95)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summarises_as_flink_does() {
        // Recorded from a real 2.3.
        let recorded = json!({
            "p25": 749, "min": 749, "avg": 753, "median": 755, "max": 756, "sum": 2260, "p95": 756, "p75": 756,
        });
        assert_eq!(summary(vec![756.0, 755.0, 749.0]), recorded);
        assert_eq!(summary(Vec::new())["max"], 0);
    }
}
