//! A session cluster's side of stopping a job with a savepoint and running its jar again: what it keeps of that, and what it answers.
//!
//! Comes in: bodies of requests, and when they come. Goes out: answers in Flink's words, and what becomes of the job. How a job runs is
//! not known here: the simulated job and the schedules that the mechanism is tested with have jobs of their own kinds, of which a
//! savepoint keeps a `P`. Times are milliseconds since some start.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::{JobId, TriggerId, VertexId};

/// What has ended is told of for this long (`rest.async.store-duration`).
const TOLD_FOR_MS: u64 = 300_000;

/// That a stop has failed at its end is told so long after the job has failed by it (140 ms on 1.20.5).
const TOLD_LATE_MS: u64 = 150;

/// A savepoint that does not get through is given up after this long (`execution.checkpointing.timeout`).
const GIVEN_UP_AFTER_MS: u64 = 600_000;

/// How a stop with a savepoint goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StopFault {
    /// It is not taken, as where no directory for savepoints is known.
    Refused,
    /// The savepoint cannot be written: the job runs on.
    CannotWrite,
    /// The savepoint does not get through under back-pressure, and is given up after ten minutes: the job runs on.
    TimesOut,
    /// The savepoint is complete, tasks fail while they finish, and Flink starts the job again.
    FailsFinishing,
    /// The same, where the job has no restart left.
    FailsForGood,
}

/// How a run of the jar goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RunFault {
    /// It is not taken.
    Refused,
    /// The job fails before all of it runs.
    Fails,
    /// Its slots are not there: it waits for them, and fails after five minutes.
    NoSlots,
    /// Half of its slots are not there: under the adaptive scheduler it runs on the others.
    FewerSlots,
    /// It restarts again and again, and never runs.
    NeverUp,
}

/// What Flink does not do, and what it says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declined {
    pub(crate) status: u16,
    pub(crate) errors: Vec<String>,
}

impl Declined {
    fn bad_request(what: &str) -> Self {
        let class = "org.apache.flink.runtime.rest.handler.RestHandlerException";
        Self { status: 400, errors: vec![format!("{class}: {what}")] }
    }

    /// Whatever goes wrong while the program's `main` runs, or its job is taken in.
    pub(crate) fn not_executed(cause: &str) -> Self {
        Self::bad_request(&format!("Could not execute application.\nCaused by: {cause}"))
    }

    fn no_jar(id: &str) -> Self {
        let what = format!(
            "<Exception on server side:\nJar file {id} does not exist\nEnd of exception on server side>"
        );
        Self { status: 500, errors: vec!["Internal server error.".to_owned(), what] }
    }
}

/// A stop with a savepoint that was asked for.
#[derive(Clone, Debug)]
struct Operation {
    job: JobId,
    ends: u64,
    how: Option<StopFault>,
    result: Option<Result<String, String>>,
}

impl Operation {
    fn is_known(&self, now: u64) -> bool {
        self.result.is_none() || now < self.ends + TOLD_FOR_MS
    }
}

/// What becomes of a job at the end of its stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It was not stopped.
    RunsOn,
    /// It comes to its end.
    Finishes,
    /// It has failed, and Flink starts it again.
    StartsAgain,
    /// It has failed for good.
    Fails,
}

/// A run of the jar that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Wanted {
    /// The job's id.
    pub(crate) job_id: Option<JobId>,
    /// The savepoint that it begins from.
    pub(crate) savepoint_path: Option<String>,
    /// The parallelism of what sets none of its own.
    pub(crate) parallelism: Option<u32>,
    flink_configuration: BTreeMap<String, String>,
}

impl Wanted {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Declined> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(body)
            .map_err(|_| Declined::bad_request("the body does not have the form JarRunRequestBody"))
    }

    /// What is asked for vertex by vertex.
    pub(crate) fn overrides(&self) -> BTreeMap<VertexId, u32> {
        let text = self.flink_configuration.get("pipeline.jobvertex-parallelism-overrides");
        let pairs = text.map(String::as_str).unwrap_or_default().split(',');
        let read = |pair: &str| {
            let (vertex, size) = pair.split_once(':')?;
            Some((vertex.parse().ok()?, size.parse().ok()?))
        };
        pairs.filter_map(read).collect()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StopWish {
    trigger_id: Option<TriggerId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DisposalWish {
    savepoint_path: String,
}

/// What a cluster keeps.
#[derive(Clone, Debug)]
pub(crate) struct Session<P> {
    /// The name of its one jar, while it is there.
    jar: Option<String>,
    operations: BTreeMap<TriggerId, Operation>,
    /// Disposals of savepoints: whether there was one.
    disposals: BTreeMap<TriggerId, bool>,
    savepoints: BTreeMap<String, P>,
    /// The ids that runs were taken under, each of which is taken once.
    taken: BTreeSet<JobId>,
}

impl<P: Clone> Session<P> {
    /// A cluster with a jar, on which this job runs.
    pub(crate) fn new(jar: &str, job: JobId) -> Self {
        Self {
            jar: Some(jar.to_owned()),
            operations: BTreeMap::new(),
            disposals: BTreeMap::new(),
            savepoints: BTreeMap::new(),
            taken: [job].into(),
        }
    }

    /// `GET /jars`, the jar having been uploaded at that time.
    pub(crate) fn jars(&self, uploaded: i64) -> Value {
        let file =
            |name: &String| json!({"id": jar_id(name), "name": name, "uploaded": uploaded, "entry": []});
        json!({"address": "http://127.0.0.1:8081", "files": self.jar.iter().map(file).collect::<Vec<_>>()})
    }

    pub(crate) fn lose_jar(&mut self) {
        self.jar = None;
    }

    /// `POST /jobs/:id/stop`: the id by which it is asked for how it goes, and whether it is a new one. The same id again asks for
    /// nothing new.
    pub(crate) fn stop(
        &mut self,
        job: JobId,
        body: &[u8],
        now: u64,
        how: Option<StopFault>,
        takes: u64,
    ) -> Result<(TriggerId, bool), Declined> {
        let wish: StopWish =
            if body.is_empty() { Ok(StopWish::default()) } else { serde_json::from_slice(body) }.map_err(
                |_| Declined::bad_request("the body does not have the form StopWithSavepointRequestBody"),
            )?;
        if how == Some(StopFault::Refused) {
            return Err(Declined::bad_request("Config key [state.savepoints.dir] is not set"));
        }
        self.operations.retain(|_, operation| operation.is_known(now));
        let trigger = wish.trigger_id.unwrap_or_else(|| self.free_trigger());
        let is_new = !self.operations.contains_key(&trigger);
        let takes = if how == Some(StopFault::TimesOut) { GIVEN_UP_AFTER_MS } else { takes };
        self.operations.entry(trigger).or_insert(Operation { job, ends: now + takes, how, result: None });
        Ok((trigger, is_new))
    }

    fn free_trigger(&self) -> TriggerId {
        let count = (self.operations.len() + self.disposals.len()) as u128;
        TriggerId::from_bits(0x5a5a << 64 | count)
    }

    /// A stop that ends by now, and its job.
    pub(crate) fn ending(&self, now: u64) -> Option<(TriggerId, JobId)> {
        let mut due = self
            .operations
            .iter()
            .filter(|(_, operation)| operation.result.is_none() && operation.ends <= now);
        due.next().map(|(trigger, operation)| (*trigger, operation.job))
    }

    /// Ends it: `keeps` is what a savepoint of the job keeps, if all of it runs. What becomes of the job, and the savepoint, if there is
    /// one.
    pub(crate) fn end(&mut self, trigger: TriggerId, keeps: Option<P>) -> (Then, Option<String>) {
        let Some(operation) = self.operations.get_mut(&trigger) else { return (Then::RunsOn, None) };
        let Operation { job, how, .. } = *operation;
        let failed = |what: &str| (Then::RunsOn, Err(what.to_owned()));
        let path = format!("file:/savepoints/savepoint-{:.6}-{trigger}", job.to_string());
        let after_it = |then| {
            let class =
                "org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException";
            let what = format!(
                "{class}: A savepoint has been created at: {path}, but the corresponding job {job} failed during stopping."
            );
            (then, Err(what))
        };
        let (then, result) = match (&keeps, how) {
            (None, _) => failed(
                "org.apache.flink.runtime.checkpoint.CheckpointException: Checkpoint triggering task is not running. \
                 Not all required tasks are currently running.",
            ),
            (_, Some(StopFault::CannotWrite)) => {
                failed("java.io.IOException: Failed to create the directory for the savepoint")
            }
            (_, Some(StopFault::TimesOut)) => failed(
                "org.apache.flink.runtime.checkpoint.CheckpointException: Checkpoint expired before completing.",
            ),
            (_, Some(StopFault::FailsFinishing)) => after_it(Then::StartsAgain),
            (_, Some(StopFault::FailsForGood)) => after_it(Then::Fails),
            (_, None | Some(StopFault::Refused)) => (Then::Finishes, Ok(path.clone())),
        };
        operation.result = Some(result);
        let saved = keeps.filter(|_| then != Then::RunsOn);
        let saved = saved.map(|keeps| {
            self.keep(path.clone(), keeps);
            path
        });
        (then, saved)
    }

    /// Keeps a savepoint.
    pub(crate) fn keep(&mut self, path: String, keeps: P) {
        self.savepoints.insert(path, keeps);
    }

    /// `GET /jobs/:id/savepoints/:trigger`; `None` where it is not known.
    pub(crate) fn status(&self, trigger: TriggerId, now: u64) -> Option<Value> {
        let operation = self.operations.get(&trigger).filter(|operation| operation.is_known(now))?;
        let is_told_late = matches!(operation.how, Some(StopFault::FailsFinishing | StopFault::FailsForGood));
        let is_told = !is_told_late || now >= operation.ends + TOLD_LATE_MS;
        Some(match operation.result.as_ref().filter(|_| is_told) {
            None => json!({"status": {"id": "IN_PROGRESS"}, "operation": null}),
            Some(Ok(path)) => completed(&json!({ "location": path })),
            Some(Err(why)) => completed(&failure(why)),
        })
    }

    /// `POST /jars/:id/run`: what the job begins with, where that is a savepoint. From then on its id is taken.
    pub(crate) fn run(
        &mut self,
        jar: &str,
        id: JobId,
        wanted: &Wanted,
        how: Option<RunFault>,
    ) -> Result<Option<P>, Declined> {
        if self.jar.as_deref().is_none_or(|name| jar_id(name) != jar) {
            return Err(Declined::no_jar(jar));
        }
        if self.taken.contains(&id) {
            return Err(Declined::not_executed(
                "org.apache.flink.runtime.client.DuplicateJobSubmissionException: Job has already been submitted.",
            ));
        }
        if how == Some(RunFault::Refused) {
            return Err(Declined::not_executed("java.lang.IllegalStateException: told to refuse the job"));
        }
        let kept = match &wanted.savepoint_path {
            None => None,
            Some(path) => Some(self.savepoints.get(path).cloned().ok_or_else(|| {
                Declined::not_executed(&format!(
                    "java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory '{path}'"
                ))
            })?),
        };
        self.taken.insert(id);
        Ok(kept)
    }

    /// `POST /savepoint-disposal`.
    pub(crate) fn dispose(&mut self, body: &[u8]) -> Result<TriggerId, Declined> {
        let wish: DisposalWish = serde_json::from_slice(body)
            .map_err(|_| Declined::bad_request("the body does not have the form SavepointDisposalRequest"))?;
        let trigger = self.free_trigger();
        self.disposals.insert(trigger, self.savepoints.remove(&wish.savepoint_path).is_some());
        Ok(trigger)
    }

    /// `GET /savepoint-disposal/:trigger`; `None` where it is not known.
    pub(crate) fn disposal(&self, trigger: TriggerId) -> Option<Value> {
        let operation = match self.disposals.get(&trigger)? {
            true => json!({}),
            false => {
                failure("java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory")
            }
        };
        Some(completed(&operation))
    }

    /// A JobManager goes: what it was asked is known to nobody.
    pub(crate) fn forget(&mut self) {
        self.operations.clear();
        self.disposals.clear();
    }
}

/// What only the schedules of tests have to know.
#[cfg(test)]
impl<P> Session<P> {
    /// The savepoints that there are.
    pub(crate) fn savepoints(&self) -> impl Iterator<Item = &str> {
        self.savepoints.keys().map(String::as_str)
    }

    /// What a savepoint keeps.
    pub(crate) fn kept(&self, path: &str) -> Option<&P> {
        self.savepoints.get(path)
    }

    pub(crate) fn has_jar(&self) -> bool {
        self.jar.is_some()
    }

    /// Whether a stop of the job is under way.
    pub(crate) fn is_stopping(&self, job: JobId) -> bool {
        self.operations.values().any(|operation| operation.job == job && operation.result.is_none())
    }

    /// Whether it could tell somebody of a savepoint who asks how a stop has ended.
    pub(crate) fn tells_of_a_savepoint(&self) -> bool {
        self.operations.values().any(|operation| matches!(operation.result, Some(Ok(_))))
    }

    /// When the next stop ends.
    pub(crate) fn next_end(&self) -> Option<u64> {
        let under_way = self.operations.values().filter(|operation| operation.result.is_none());
        under_way.map(|operation| operation.ends).min()
    }

    /// Whether a run was taken in under this id.
    pub(crate) fn is_taken(&self, id: JobId) -> bool {
        self.taken.contains(&id)
    }

    /// A JobManager goes and takes its jobs along.
    pub(crate) fn forget_jobs(&mut self) {
        self.taken.clear();
    }
}

fn jar_id(name: &str) -> String {
    format!("5e551011-0000-4000-8000-000000000000_{name}")
}

fn completed(operation: &Value) -> Value {
    json!({"status": {"id": "COMPLETED"}, "operation": operation})
}

fn failure(why: &str) -> Value {
    let class = why.split_once(':').map_or(why, |(class, _)| class);
    json!({"failure-cause": {"class": class, "stack-trace": why, "serialized-throwable": ""}})
}
