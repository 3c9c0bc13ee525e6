//! The calls that Tidegate makes, one function each.

use std::fmt::Write as _;

use reqwest::Method;
use tokio::time::{Duration, Instant, sleep};

use super::client::FlinkClient;
use super::error::FlinkError;
use super::wire::{
    CheckpointStatus, Checkpoints, Config, Jars, JobView, Listed, Metric, NO_REASON, Overview, Pools,
    Requirements, RunRequest, SavepointOutcome, SavepointStatus, Settings, Status, StopRequest,
    TaskManagerListed, TaskManagersAnswer, Triggered, longest_lag, sum_of,
};
use crate::model::{JobId, JobState, TriggerId, VertexId};

/// How often it is looked whether a savepoint is gone: its files are deleted one by one, on a store that may be far away.
const DISPOSAL_LOOKED_AT_EVERY: Duration = Duration::from_millis(500);

impl FlinkClient {
    /// `GET /config`: the first call, so what cannot be read is not Flink.
    pub(super) async fn config(&self, until: Instant) -> Result<Config, FlinkError> {
        self.get("/config", until).await?.read_first()
    }

    /// `GET /jobmanager/config`.
    pub(crate) async fn settings(&self, until: Instant) -> Result<Settings, FlinkError> {
        self.get("/jobmanager/config", until).await?.read()
    }

    /// `GET /overview`.
    pub(crate) async fn overview(&self, until: Instant) -> Result<Overview, FlinkError> {
        self.get("/overview", until).await?.read()
    }

    /// `GET /taskmanagers`.
    pub(crate) async fn taskmanagers(&self, until: Instant) -> Result<Vec<TaskManagerListed>, FlinkError> {
        let answer: TaskManagersAnswer = self.get("/taskmanagers", until).await?.read()?;
        Ok(answer.taskmanagers)
    }

    /// `GET /jobs/overview`.
    pub(crate) async fn jobs(&self, until: Instant) -> Result<Vec<Listed>, FlinkError> {
        self.get("/jobs/overview", until).await?.read()
    }

    /// `GET /jobs/:id`: state and sizes up to 3 s old.
    pub(crate) async fn job(&self, job: JobId, until: Instant) -> Result<JobView, FlinkError> {
        self.metrics(&format!("/jobs/{job}"), until).await?.read()
    }

    /// `GET /jobs/:id/status`: the state as it is now.
    pub(crate) async fn job_state(&self, job: JobId, until: Instant) -> Result<JobState, FlinkError> {
        let status: Status = self.get(&format!("/jobs/{job}/status"), until).await?.read()?;
        Ok(status.status)
    }

    /// The cheapest request that makes the JobManager fetch metrics. What it answers does not matter.
    pub(super) async fn prime(&self, job: JobId, until: Instant) -> Result<(), FlinkError> {
        self.metrics(&format!("/jobs/{job}/metrics?get=numRestarts"), until).await.map(drop)
    }

    /// The metrics that a vertex has, handed to `with`.
    pub(super) async fn list<T>(
        &self,
        job: JobId,
        vertex: VertexId,
        until: Instant,
        with: impl FnOnce(&[Metric<'_>]) -> T,
    ) -> Result<T, FlinkError> {
        let body = self.metrics(&format!("/jobs/{job}/vertices/{vertex}/subtasks/metrics"), until).await?;
        Ok(with(&body.read::<Vec<Metric<'_>>>()?))
    }

    /// The sum of metrics of a vertex over all of its subtasks; `None` when one of them is not there.
    pub(super) async fn sum(
        &self,
        job: JobId,
        vertex: VertexId,
        ids: &[String],
        until: Instant,
    ) -> Result<Option<u64>, FlinkError> {
        let get = ids.iter().map(|id| encoded(id)).collect::<Vec<_>>().join(",");
        let path = format!("/jobs/{job}/vertices/{vertex}/subtasks/metrics?get={get}&agg=sum");
        let body = self.metrics(&path, until).await?;
        Ok(sum_of(&body.read::<Vec<Metric<'_>>>()?, ids))
    }

    /// The longest of the lags of a vertex, over all of its subtasks; `None` when one of them is not there, or none can be.
    pub(super) async fn longest_lag(
        &self,
        job: JobId,
        vertex: VertexId,
        ids: &[String],
        until: Instant,
    ) -> Result<Option<u64>, FlinkError> {
        let get = ids.iter().map(|id| encoded(id)).collect::<Vec<_>>().join(",");
        let path = format!("/jobs/{job}/vertices/{vertex}/subtasks/metrics?get={get}&agg=max");
        let body = self.metrics(&path, until).await?;
        Ok(longest_lag(&body.read::<Vec<Metric<'_>>>()?, ids))
    }

    /// What the TaskManagers use of their memory, handed to `with`: the largest of each metric. It makes the JobManager fetch
    /// metrics as [`Self::prime`] does.
    pub(super) async fn memory<T>(
        &self,
        ids: &[&str],
        until: Instant,
        with: impl FnOnce(&[Metric<'_>]) -> T,
    ) -> Result<T, FlinkError> {
        let path = format!("/taskmanagers/metrics?get={}&agg=max", ids.join(","));
        let body = self.metrics(&path, until).await?;
        Ok(with(&body.read::<Vec<Metric<'_>>>()?))
    }

    /// `GET /taskmanagers`: how they share out their memory.
    pub(super) async fn pools(&self, until: Instant) -> Result<Vec<Pools>, FlinkError> {
        self.get("/taskmanagers", until).await?.read()
    }

    /// `GET /jobs/:id/resource-requirements`.
    pub(crate) async fn requirements(&self, job: JobId, until: Instant) -> Result<Requirements, FlinkError> {
        self.get(&format!("/jobs/{job}/resource-requirements"), until).await?.read()
    }

    /// `PUT /jobs/:id/resource-requirements`. Flink answers when it has taken them, not when they have taken effect.
    pub(crate) async fn set_requirements(
        &self,
        job: JobId,
        requirements: &Requirements,
        until: Instant,
    ) -> Result<(), FlinkError> {
        let body = serde_json::to_vec(requirements).expect("a map of numbers by id");
        let path = format!("/jobs/{job}/resource-requirements");
        self.change(Method::PUT, &path, body, until).await.map(drop)
    }

    /// `POST /jobs/:id/checkpoints`: has a checkpoint taken, and returns what it is known by.
    pub(crate) async fn trigger_checkpoint(&self, job: JobId, until: Instant) -> Result<String, FlinkError> {
        let body = br#"{"checkpointType":"CONFIGURED"}"#.to_vec();
        let path = format!("/jobs/{job}/checkpoints");
        let triggered: Triggered = self.change(Method::POST, &path, body, until).await?.read()?;
        Ok(triggered.request_id)
    }

    /// `GET /jobs/:id/checkpoints/:trigger`: whether it has ended, well or not.
    pub(crate) async fn checkpoint_has_ended(
        &self,
        job: JobId,
        trigger: &str,
        until: Instant,
    ) -> Result<bool, FlinkError> {
        let path = format!("/jobs/{job}/checkpoints/{}", encoded(trigger));
        let status: CheckpointStatus = self.get(&path, until).await?.read()?;
        Ok(status.has_ended())
    }

    /// `POST /jobs/:id/stop`: has the job stopped with a savepoint. Asked for again under the same trigger id it is the same stop.
    pub(crate) async fn stop(
        &self,
        job: JobId,
        request: &StopRequest<'_>,
        until: Instant,
    ) -> Result<(), FlinkError> {
        let body = serde_json::to_vec(request).expect("texts and a flag");
        self.change(Method::POST, &format!("/jobs/{job}/stop"), body, until).await.map(drop)
    }

    /// `GET /jobs/:id/savepoints/:trigger`: how a stop goes.
    pub(crate) async fn savepoint_status(
        &self,
        job: JobId,
        trigger: TriggerId,
        until: Instant,
    ) -> Result<SavepointStatus, FlinkError> {
        self.get(&format!("/jobs/{job}/savepoints/{trigger}"), until).await?.read()
    }

    /// `GET /jobs/:id/checkpoints`: up to 3 s old.
    pub(crate) async fn checkpoints(&self, job: JobId, until: Instant) -> Result<Checkpoints, FlinkError> {
        self.get(&format!("/jobs/{job}/checkpoints"), until).await?.read()
    }

    /// `POST /savepoint-disposal`, and how it ends, as far as that is told in time.
    pub(crate) async fn dispose(&self, savepoint: &str, until: Instant) -> Result<(), FlinkError> {
        let body = serde_json::json!({ "savepoint-path": savepoint }).to_string().into_bytes();
        let triggered: Triggered =
            self.change(Method::POST, "/savepoint-disposal", body, until).await?.read()?;
        let path = format!("/savepoint-disposal/{}", encoded(&triggered.request_id));
        loop {
            let answer = self.get(&path, until).await?;
            match answer.read::<SavepointStatus>()?.outcome() {
                SavepointOutcome::UnderWay if Instant::now() + DISPOSAL_LOOKED_AT_EVERY < until => {
                    sleep(DISPOSAL_LOOKED_AT_EVERY).await;
                }
                SavepointOutcome::Failed(what, _) if what != NO_REASON => {
                    return Err(answer.says(what));
                }
                // What has gone well says nothing.
                _ => return Ok(()),
            }
        }
    }

    /// `GET /jars`.
    pub(crate) async fn jars(&self, until: Instant) -> Result<Jars, FlinkError> {
        self.get("/jars", until).await?.read()
    }

    /// `POST /jars/:id/run`: answered when the job has been taken in.
    pub(crate) async fn run_jar(
        &self,
        jar: &str,
        request: &RunRequest<'_>,
        until: Instant,
    ) -> Result<(), FlinkError> {
        let body = serde_json::to_vec(request).expect("texts, numbers and flags");
        self.change(Method::POST, &format!("/jars/{}/run", encoded(jar)), body, until).await.map(drop)
    }

    /// `PATCH /jobs/:id?mode=cancel`.
    pub(crate) async fn cancel(&self, job: JobId, until: Instant) -> Result<(), FlinkError> {
        self.change(Method::PATCH, &format!("/jobs/{job}?mode=cancel"), Vec::new(), until).await.map(drop)
    }

    /// A GET that makes the JobManager fetch metrics when its store is old enough.
    async fn metrics(&self, path: &str, until: Instant) -> Result<super::client::Body, FlinkError> {
        let sent = Instant::now();
        let answer = self.get(path, until).await;
        if answer.is_ok() {
            self.freshness(|freshness| freshness.asked(sent, Instant::now()));
        }
        answer
    }
}

/// A metric's id as a part of a query. Operators' names may hold anything but space, dot, colon and comma.
fn encoded(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("a string takes all");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_what_has_a_meaning_in_a_query() {
        let id = "Source__a/b%20+&(v2)é.pendingRecords";
        assert_eq!(encoded(id), "Source__a%2Fb%2520%2B%26%28v2%29%C3%A9.pendingRecords");
    }
}
