//! The job: its state, its graph, its counters.

use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::query::Query;
use super::subtask::bytes;
use super::{Answer, Found, names, number};
use crate::model::{Graph, JobId, JobState};
use crate::simulate::SchedulerKind;
use crate::simulate::scheduler::{Phase, StateTimes};
use crate::simulate::simulation::Simulation;
use crate::simulate::store::Known;
use crate::simulate::view::Cached;

/// Flink's `ExecutionState`s, in which subtasks and vertices are.
const TASK_STATES: [&str; 10] = [
    "CREATED",
    "SCHEDULED",
    "DEPLOYING",
    "INITIALIZING",
    "RUNNING",
    "FINISHED",
    "CANCELING",
    "CANCELED",
    "FAILED",
    "RECONCILING",
];

/// Flink's `JobStatus`es that have a timestamp.
const JOB_STATES: [JobState; 11] = [
    JobState::Initializing,
    JobState::Created,
    JobState::Running,
    JobState::Failing,
    JobState::Failed,
    JobState::Cancelling,
    JobState::Canceled,
    JobState::Finished,
    JobState::Restarting,
    JobState::Suspended,
    JobState::Reconciling,
];

/// A job that has ended and was followed by another: what is still told of it.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct Archived {
    id: JobId,
    state: JobState,
    details: Value,
    overview: Value,
}

impl Simulation {
    /// What will be told of the job when it is not the current one any more.
    pub(in crate::simulate) fn archive(&self) -> Archived {
        let cached = self.fresh_look();
        Archived {
            id: self.job,
            state: cached.state,
            details: self.details_of(&cached),
            overview: self.overview_of(&cached),
        }
    }

    /// All jobs the JobManager knows, the current one last.
    pub(super) fn all_jobs(&self) -> Vec<(JobId, JobState)> {
        let ended = self.ended.iter().map(|job| (job.id, job.state));
        ended.chain([(self.job, self.scheduler.state())]).collect()
    }

    pub(super) fn jobs(&self) -> Value {
        let job = |(id, status): (JobId, JobState)| json!({"id": id, "status": status});
        json!({"jobs": self.all_jobs().into_iter().map(job).collect::<Vec<_>>()})
    }

    pub(super) fn jobs_overview(&self) -> Value {
        // Not from the cache.
        let current = self.overview_of(&self.fresh_look());
        let jobs = self.ended.iter().map(|job| job.overview.clone()).chain([current]);
        json!({"jobs": jobs.collect::<Vec<_>>()})
    }

    pub(super) fn job_status(&self, id: JobId) -> Found {
        let job = self.all_jobs().into_iter().find(|(job, _)| *job == id);
        let (_, state) = job.ok_or_else(|| Failure::no_such_job(&id.to_string()))?;
        Ok(json!({ "status": state }))
    }

    pub(super) fn job_details(&mut self, id: JobId) -> Found {
        if let Some(job) = self.ended.iter().find(|job| job.id == id) {
            return Ok(job.details.clone());
        }
        self.expect_job(id)?;
        let cached = self.take_cached();
        let details = self.details_of(&cached);
        self.cached = Some(cached);
        self.touch_store();
        Ok(details)
    }

    pub(super) fn job_plan(&mut self, id: JobId) -> Found {
        self.expect_job(id)?;
        let cached = self.take_cached();
        let plan = self.plan_of(&cached);
        self.cached = Some(cached);
        Ok(json!({ "plan": plan }))
    }

    pub(super) fn job_config(&self, id: JobId) -> Found {
        self.expect_job(id)?;
        let mut config = json!({
            "restart-strategy": "Restart with exponential backoff.",
            "job-parallelism": 1,
            "object-reuse-mode": false,
            "user-config": {},
        });
        if !self.since(2, 0) {
            config["execution-mode"] = "PIPELINED".into();
        }
        Ok(json!({"jid": id, "name": self.scenario().name, "execution-config": config}))
    }

    /// Restarts by the adaptive scheduler leave nothing here.
    pub(super) fn job_exceptions(&self, id: JobId) -> Found {
        self.expect_job(id)?;
        let history = json!({"entries": [], "truncated": false});
        Ok(if self.since(2, 0) {
            json!({ "exceptionHistory": history })
        } else {
            json!({
                "root-exception": null,
                "timestamp": null,
                "all-exceptions": [],
                "truncated": false,
                "exceptionHistory": history,
            })
        })
    }

    pub(super) fn cancel_job(&mut self, id: JobId, query: &Query) -> Result<Answer, Failure> {
        match query.get("mode").unwrap_or("cancel") {
            "cancel" => {}
            mode => return Err(Failure::parameter("Query", "mode", mode)),
        }
        let state = self.all_jobs().into_iter().find(|(job, _)| *job == id).map(|(_, state)| state);
        match state {
            None => Err(Failure::not_found(&format!("Job {id} not found"))),
            Some(state) if state.is_terminal() => {
                Err(Failure::conflict(&format!("the job has ended: {state:?}")))
            }
            Some(_) => {
                self.cancel(self.done);
                Ok(Answer::accepted(json!({})))
            }
        }
    }

    /// Most endpoints answer 404 for a job that is not there.
    pub(super) fn expect_job(&self, id: JobId) -> Result<(), Failure> {
        let found = id == self.job;
        found.then_some(()).ok_or_else(|| Failure::not_found(&format!("Job {id} not found")))
    }

    fn overview_of(&self, cached: &Cached) -> Value {
        let mut tasks: Map<String, Value> =
            TASK_STATES.iter().map(|state| (state.to_lowercase(), 0.into())).collect();
        let total: u32 = cached.parallelism.iter().map(|p| p.get()).sum();
        tasks.insert(task_state(cached.phase).to_lowercase(), total.into());
        tasks.insert("total".to_owned(), total.into());
        let times = cached.times;
        let last = [Some(times.created), times.running, times.restarting, times.ended];
        let last = last.into_iter().flatten().max().unwrap_or(times.submitted);
        let mut job = json!({
            "jid": self.job,
            "name": self.scenario().name,
            "last-modification": self.flink_moment(last).as_millis(),
            "state": cached.state,
            "tasks": tasks,
        });
        self.add_span(&mut job, Some(times.submitted), times.ended);
        if self.since(2, 0) {
            job["pending-operators"] = 0.into();
        }
        if self.since(2, 3) {
            job["jobType"] = "STREAMING".into();
            job["schedulerType"] = self.scheduler_type().into();
        }
        job
    }

    fn details_of(&self, cached: &Cached) -> Value {
        let vertices: Vec<Value> = (0..self.graph.len()).map(|v| self.vertex_of(cached, v)).collect();
        let state = task_state(cached.phase);
        let mut job = json!({
            "jid": self.job,
            "name": self.scenario().name,
            "isStoppable": false,
            "state": cached.state,
            "maxParallelism": self.graph.vertices().iter().map(|v| v.max_parallelism.get()).max(),
            "now": self.flink_moment(self.now).as_millis(),
            "timestamps": self.timestamps(&cached.times, cached.state),
            "vertices": vertices,
            "status-counts": counts(state, vertices.len()),
            "plan": self.plan_of(cached),
        });
        self.add_span(&mut job, Some(cached.times.submitted), cached.times.ended);
        if self.since(1, 20) {
            job["job-type"] = "STREAMING".into();
        }
        if self.since(2, 0) {
            job["pending-operators"] = 0.into();
        }
        if self.since(2, 3) {
            job["schedulerType"] = self.scheduler_type().into();
            job["application-id"] = json!(self.job);
        }
        job
    }

    fn vertex_of(&self, cached: &Cached, v: usize) -> Value {
        let vertex = &self.graph.vertices()[v];
        let state = task_state(cached.phase);
        let mut answer = json!({
            "id": vertex.id,
            "name": vertex.name,
            "maxParallelism": vertex.max_parallelism,
            "parallelism": cached.parallelism[v],
            "status": state,
            "tasks": counts(state, cached.parallelism[v].get() as usize),
            "metrics": io_metrics(&self.known(cached, v)),
        });
        // A vertex begins when its first subtask is deployed.
        self.add_span(&mut answer, cached.deployed(), cached.stopped());
        if let Some(group) = &vertex.slot_sharing_group {
            answer["slotSharingGroupId"] = names::group_id(group).into();
        }
        answer
    }

    fn plan_of(&self, cached: &Cached) -> Value {
        let node = |(v, vertex): (usize, &crate::model::Vertex)| {
            let mut node = json!({
                "id": vertex.id,
                "parallelism": cached.parallelism[v],
                "operator": "",
                "operator_strategy": "",
                "description": format!("{}<br/>", vertex.name),
                "optimizer_properties": {},
            });
            if !self.graph.is_source(v) {
                node["inputs"] = inputs(&self.graph, v);
            }
            node
        };
        json!({
            "jid": self.job,
            "name": self.scenario().name,
            "type": "STREAMING",
            "nodes": self.graph.vertices().iter().enumerate().map(node).collect::<Vec<_>>(),
        })
    }

    fn timestamps(&self, times: &StateTimes, state: JobState) -> Value {
        let entered = |of: JobState| match of {
            JobState::Initializing => Some(times.submitted),
            JobState::Created => Some(times.created),
            JobState::Running => times.running,
            JobState::Restarting => times.restarting,
            ended if ended == state => times.ended,
            _ => None,
        };
        let entry = |of: JobState| {
            let at = entered(of).map_or(0, |at| self.flink_moment(at).as_millis());
            (state_name(of), at.into())
        };
        Value::Object(JOB_STATES.into_iter().map(entry).collect())
    }

    /// Adds `start-time`, `end-time` and `duration`.
    pub(super) fn add_span(&self, answer: &mut Value, from: Option<u64>, to: Option<u64>) {
        let moment = |at: Option<u64>| at.map_or(-1, |at| self.flink_moment(at).as_millis());
        answer["start-time"] = moment(from).into();
        answer["end-time"] = moment(to).into();
        answer["duration"] = match from {
            Some(from) => to.unwrap_or(self.now).saturating_sub(from).into(),
            None => (-1).into(),
        };
    }

    fn scheduler_type(&self) -> &'static str {
        match self.scenario().scheduler {
            SchedulerKind::Adaptive | SchedulerKind::Reactive => "Adaptive",
            SchedulerKind::Default => "Default",
        }
    }
}

/// The state that all subtasks are in: they start and stop together.
pub(super) fn task_state(phase: Phase) -> &'static str {
    match phase {
        Phase::Stopping { .. } | Phase::Ended(JobState::Canceled) => "CANCELED",
        Phase::Waiting { .. } | Phase::Orphaned => "CREATED",
        Phase::Deploying { .. } => "INITIALIZING",
        Phase::Running => "RUNNING",
        Phase::Ended(JobState::Finished) => "FINISHED",
        Phase::Ended(_) => "FAILED",
    }
}

fn state_name(state: JobState) -> String {
    match json!(state) {
        Value::String(name) => name,
        _ => String::new(),
    }
}

fn counts(state: &str, count: usize) -> Value {
    let count = |of: &&str| ((*of).to_owned(), if *of == state { count } else { 0 }.into());
    Value::Object(TASK_STATES.iter().map(count).collect())
}

fn inputs(graph: &Graph, v: usize) -> Value {
    let input = |(number, &edge): (usize, &usize)| {
        let edge = graph.edges()[edge];
        json!({
            "num": number,
            "id": graph.vertices()[edge.from].id,
            "ship_strategy": edge.ship,
            "exchange": "pipelined_bounded",
        })
    };
    graph.inputs(v).iter().enumerate().map(input).collect()
}

/// The `metrics` of a vertex or a subtask. What is not known is 0, and said not to be complete.
pub(super) fn io_metrics(known: &Known) -> Value {
    let (complete, counters) = (known.attempt.is_some(), known.counters);
    let busy = counters.busy_ms.filter(|_| complete);
    json!({
        "read-bytes": bytes(counters.read),
        "read-bytes-complete": complete,
        "write-bytes": bytes(counters.written),
        "write-bytes-complete": complete,
        "read-records": counters.read,
        "read-records-complete": complete,
        "write-records": counters.written,
        "write-records-complete": complete,
        "accumulated-backpressured-time": counters.back_pressured_ms,
        "accumulated-idle-time": counters.idle_ms,
        "accumulated-busy-time": match busy {
            Some(busy) => number(busy as f64),
            None if complete => number(f64::NAN),
            None => number(0.0),
        },
    })
}
