//! Checkpoints: their history, their settings, and those that somebody asks for.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Found;
use super::failure::Failure;
use crate::model::JobId;
use crate::simulate::CheckpointRecord;
use crate::simulate::random;
use crate::simulate::simulation::{Simulation, millis};

/// A checkpoint that somebody asked for.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct Asked {
    /// The id of the request.
    request: String,
    job: JobId,
    /// The checkpoint; `None` when the job could not make one.
    checkpoint: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wish {
    trigger_id: Option<String>,
}

impl Simulation {
    pub(super) fn all_checkpoints(&mut self, id: JobId) -> Found {
        self.expect_job(id)?;
        let checkpoints = &self.checkpoints;
        let counts = checkpoints.counts;
        let some = |record: Option<CheckpointRecord>| {
            record.map_or(Value::Null, |record| self.checkpoint_of(record))
        };
        let completed: Vec<CheckpointRecord> = checkpoints
            .history
            .iter()
            .filter(|record| record.ended.is_some() && !record.failed)
            .copied()
            .collect();
        let of_completed =
            |of: &dyn Fn(&CheckpointRecord) -> u64| statistics(completed.iter().map(of).collect());
        let (size, none) = (self.state_bytes(), 0);
        let begun_from = checkpoints.begun_from.as_ref().and_then(|(path, at)| Some((path, (*at)?)));
        let of_savepoint = begun_from.map(|(path, at)| {
            json!({
                "id": 1,
                "restore_timestamp": self.flink_moment(at).as_millis(),
                "is_savepoint": true,
                "external_path": path,
            })
        });
        let savepoint = checkpoints.savepoint.as_ref().map(|(path, at)| {
            json!({
                "className": "completed",
                "id": counts.completed + counts.failed + 1,
                "status": "COMPLETED",
                "is_savepoint": true,
                "savepointFormat": "CANONICAL",
                "trigger_timestamp": self.flink_moment(*at).as_millis(),
                "latest_ack_timestamp": self.flink_moment(*at).as_millis(),
                "checkpointed_size": size,
                "state_size": size,
                "end_to_end_duration": 0,
                "checkpoint_type": "SYNC_SAVEPOINT",
                "external_path": path,
                "discarded": false,
            })
        });
        let restored = checkpoints.last_restored.map(|(checkpoint, at)| {
            json!({
                "id": checkpoint,
                "restore_timestamp": self.flink_moment(at).as_millis(),
                "is_savepoint": false,
                "external_path": self.path_of(checkpoint),
            })
        });
        Ok(json!({
            "counts": {
                "restored": counts.restored,
                "total": counts.completed + counts.failed + counts.in_progress,
                "in_progress": counts.in_progress,
                "completed": counts.completed,
                "failed": counts.failed,
            },
            "summary": {
                "checkpointed_size": of_completed(&|_| size),
                "state_size": of_completed(&|_| size),
                "end_to_end_duration": of_completed(&duration),
                "alignment_buffered": of_completed(&|_| none),
                "processed_data": of_completed(&|_| none),
                "persisted_data": of_completed(&|_| none),
            },
            "latest": {
                "completed": some(checkpoints.last_completed),
                "savepoint": savepoint,
                "failed": some(checkpoints.last_failed),
                "restored": restored.or(of_savepoint),
            },
            "history": checkpoints.history.iter().rev().map(|&c| self.checkpoint_of(c)).collect::<Vec<_>>(),
        }))
    }

    pub(super) fn checkpoint_config(&self, id: JobId) -> Found {
        self.expect_job(id)?;
        let interval = self.scenario().checkpoints.map_or(i64::MAX.unsigned_abs(), |c| millis(c.interval));
        Ok(json!({
            "mode": "exactly_once",
            "interval": interval,
            "timeout": 600_000,
            "min_pause": 0,
            "max_concurrent": 1,
            "externalization": {"enabled": false, "delete_on_cancellation": true},
            "state_backend": "HashMapStateBackend",
            "checkpoint_storage": "FileSystemCheckpointStorage",
            "unaligned_checkpoints": false,
            "tolerable_failed_checkpoints": 0,
            "aligned_checkpoint_timeout": 0,
            "checkpoints_after_tasks_finish": true,
            "state_changelog_enabled": false,
            "changelog_periodic_materialization_interval": 600_000,
            "changelog_storage": "memory",
        }))
    }

    pub(super) fn trigger_checkpoint(&mut self, job: JobId, body: &[u8]) -> Found {
        let wish: Wish = match body {
            b"" => Wish::default(),
            body => serde_json::from_slice(body).map_err(|_| {
                Failure::bad_request("the body does not have the form CheckpointTriggerRequestBody")
            })?,
        };
        let request = wish.trigger_id.unwrap_or_else(|| {
            let number = self.asked.len();
            format!("{:032x}", random::fingerprint(&format!("{}/request/{number}", self.job)))
        });
        // The same id again asks for nothing new.
        if !self.asked.iter().any(|asked| asked.request == request && asked.job == job) {
            let able = job == self.job && self.started.is_some() && self.checkpoints.interval().is_some();
            let checkpoint = able.then(|| self.checkpoints.trigger(self.done, self.flow.positions()));
            self.asked.push(Asked { request: request.clone(), job, checkpoint });
        }
        Ok(json!({ "request-id": request }))
    }

    pub(super) fn triggered_checkpoint(&self, job: JobId, request: JobId) -> Found {
        let request = request.to_string();
        let asked = self.asked.iter().find(|asked| asked.request == request && asked.job == job);
        let Some(asked) = asked else {
            return Err(Failure::no_result(&format!(
                "no checkpoint was asked for as {request} of job {job}"
            )));
        };
        let in_history = |id: u64| self.checkpoints.history.iter().find(|record| record.id == id);
        let failure = |what: &str| {
            let class = "org.apache.flink.runtime.checkpoint.CheckpointException";
            let told = format!("{class}: {what}");
            json!({"failureCause": {"class": class, "stack-trace": told, "serialized-throwable": ""}})
        };
        let operation = match asked.checkpoint {
            None => failure("the job does not run"),
            Some(id) => match in_history(id) {
                Some(record) if record.failed => failure("the job was stopped"),
                Some(record) if record.ended.is_none() => {
                    return Ok(json!({"status": {"id": "IN_PROGRESS"}, "operation": null}));
                }
                _ => json!({ "checkpointId": id }),
            },
        };
        Ok(json!({"status": {"id": "COMPLETED"}, "operation": operation}))
    }

    /// What the job's metrics say of checkpoints.
    pub(super) fn checkpoint_metrics(&self) -> Vec<(&'static str, String)> {
        let checkpoints = &self.checkpoints;
        let (counts, last) = (checkpoints.counts, checkpoints.last_completed);
        let size = last.map_or(-1, |_| i64::try_from(self.state_bytes()).unwrap_or(i64::MAX)).to_string();
        let moment = |at: Option<u64>| at.map_or(-1, |at| self.flink_moment(at).as_millis()).to_string();
        let mut metrics = vec![
            ("lastCheckpointDuration", last.map_or("-1".to_owned(), |last| duration(&last).to_string())),
            ("lastCheckpointSize", size.clone()),
            ("lastCheckpointFullSize", size),
            ("lastCheckpointProcessedData", "0".to_owned()),
            ("lastCheckpointPersistedData", "0".to_owned()),
            ("lastCompletedCheckpointId", last.map_or("-1".to_owned(), |last| last.id.to_string())),
            ("lastCheckpointExternalPath", last.map_or("n/a".to_owned(), |last| self.path_of(last.id))),
            ("lastCheckpointRestoreTimestamp", moment(checkpoints.last_restored.map(|(_, at)| at))),
            ("numberOfCompletedCheckpoints", counts.completed.to_string()),
            ("numberOfFailedCheckpoints", counts.failed.to_string()),
            ("numberOfInProgressCheckpoints", counts.in_progress.to_string()),
            ("totalNumberOfCheckpoints", (counts.completed + counts.failed + counts.in_progress).to_string()),
        ];
        if self.since(2, 0) {
            metrics.push(("lastCheckpointCompletedTimestamp", moment(last.and_then(|last| last.ended))));
        }
        if self.since(2, 3) {
            metrics.push(("lastCheckpointMetadataSize", "0".to_owned()));
        }
        metrics
    }

    fn checkpoint_of(&self, record: CheckpointRecord) -> Value {
        let (class, status) = match record {
            CheckpointRecord { ended: None, .. } => ("in_progress", "IN_PROGRESS"),
            CheckpointRecord { failed: true, .. } => ("failed", "FAILED"),
            CheckpointRecord { .. } => ("completed", "COMPLETED"),
        };
        let size = if class == "completed" { self.state_bytes() } else { 0 };
        let subtasks: u32 = self.scheduler.parallelism.iter().sum();
        let moment = |at: u64| self.flink_moment(at).as_millis();
        let mut checkpoint = json!({
            "className": class,
            "id": record.id,
            "status": status,
            "is_savepoint": false,
            "savepointFormat": null,
            "trigger_timestamp": moment(record.triggered),
            "latest_ack_timestamp": moment(record.ended.unwrap_or(record.triggered)),
            "checkpointed_size": size,
            "state_size": size,
            "end_to_end_duration": duration(&record),
            "alignment_buffered": 0,
            "processed_data": 0,
            "persisted_data": 0,
            "num_subtasks": subtasks,
            "num_acknowledged_subtasks": if class == "completed" { subtasks } else { 0 },
            "checkpoint_type": "CHECKPOINT",
            "tasks": {},
        });
        match (class, record.ended) {
            ("completed", _) => {
                checkpoint["external_path"] = self.path_of(record.id).into();
                checkpoint["discarded"] = false.into();
            }
            ("failed", Some(at)) => {
                checkpoint["failure_timestamp"] = moment(at).into();
                checkpoint["failure_message"] = "The job was stopped.".into();
            }
            _ => {}
        }
        checkpoint
    }

    fn path_of(&self, checkpoint: u64) -> String {
        format!("file:/checkpoints/{}/chk-{checkpoint}", self.job)
    }

    fn state_bytes(&self) -> u64 {
        crate::simulate::station::whole(self.scenario().restart.state_mib * 1_048_576.0)
    }
}

fn duration(record: &CheckpointRecord) -> u64 {
    record.ended.map_or(0, |ended| ended.saturating_sub(record.triggered))
}

/// Flink's statistics over checkpoints; without any, the percentiles are none.
fn statistics(mut values: Vec<u64>) -> Value {
    values.sort_unstable();
    let count = values.len();
    let at = |permille: usize| match count {
        0 => f64::NAN,
        _ => values[(count * permille).div_ceil(1000).clamp(1, count) - 1] as f64,
    };
    let percentile = |permille| super::number(at(permille));
    json!({
        "min": values.first().copied().unwrap_or(0),
        "max": values.last().copied().unwrap_or(0),
        "avg": values.iter().sum::<u64>() / count.max(1) as u64,
        "p50": percentile(500),
        "p90": percentile(900),
        "p95": percentile(950),
        "p99": percentile(990),
        "p999": percentile(999),
    })
}
