//! The simulated Flink behind Flink's own REST paths: a request in, an answer in the form of the scenario's version out.
//!
//! Comes in: the method, path, query and body of a request. Goes out: a status and a JSON body, with the fields, the errors and
//! the oddities of real answers (recorded ones are in `tests/fixtures/flink`). This module must never look at a
//! clock or a socket: `serve` puts it on a port.

mod anew;
mod checkpoints;
mod cluster;
mod failure;
mod job;
mod metrics;
mod names;
mod query;
mod requirements;
mod subtask;
#[cfg(test)]
mod tests;
mod vertex;

use serde_json::Value;

use self::failure::Failure;
use self::query::Query;
use super::simulation::Simulation;
use crate::model::JobId;

pub(super) use self::checkpoints::Asked;
pub(super) use self::job::Archived;

/// A request to Flink's REST API.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// GET, PUT, POST, PATCH or DELETE.
    pub method: &'a str,
    /// The path, with or without `/v1`.
    pub path: &'a str,
    /// What follows the `?`, or nothing.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A GET of a path with its query.
    pub fn get(target: &'a str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { method: "GET", path, query, body: b"" }
    }
}

/// What Flink answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Answer {
    fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    fn accepted(body: Value) -> Self {
        Self { status: 202, body }
    }
}

/// What most handlers return: the body of an answer with status 200.
type Found = Result<Value, Failure>;

impl Simulation {
    /// Answers a request as Flink would now; `None` while nothing gets through to it.
    pub fn answer(&mut self, request: Request<'_>) -> Option<Answer> {
        if self.is_cut_off() {
            return None;
        }
        Some(self.route(request).unwrap_or_else(Answer::from))
    }

    fn route(&mut self, request: Request<'_>) -> Result<Answer, Failure> {
        let Request { method, path, query, body } = request;
        if self.is_leaderless() {
            return Err(Failure::no_leader());
        }
        let query = Query::new(query)?;
        let unversioned = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let segments: Vec<&str> = unversioned.trim_start_matches('/').split('/').collect();
        let no_route = || Failure::no_route(method, path);
        let body = match (method, segments.as_slice()) {
            ("GET", ["config"]) => self.config(),
            ("GET", ["overview"]) => self.overview(),
            ("GET", ["taskmanagers"]) => self.all_taskmanagers(),
            ("GET", ["jobmanager", "config"]) => self.jobmanager_config(),
            ("GET", ["jobs"]) => self.jobs(),
            ("GET", ["jobs", "overview"]) => self.jobs_overview(),
            ("GET", ["jobs", id]) => self.job_details(job(id)?)?,
            ("PATCH", ["jobs", id]) => return self.cancel_job(job(id)?, &query),
            ("GET", ["jobs", id, "status"]) => self.job_status(job(id)?)?,
            ("POST", ["jobs", id, "stop"]) => return self.stop_job(job(id)?, body).map(Answer::accepted),
            ("GET", ["jobs", id, "savepoints", trigger]) => {
                self.stop_status(job(id)?, hex("triggerid", trigger)?)?
            }
            ("GET", ["jars"]) => self.all_jars(),
            ("POST", ["jars", jar, "run"]) => self.run_of(jar, body)?,
            ("POST", ["savepoint-disposal"]) => return self.dispose(body).map(Answer::accepted),
            ("GET", ["savepoint-disposal", trigger]) => self.disposal(hex("triggerid", trigger)?)?,
            ("GET", ["jobs", id, "plan"]) => self.job_plan(job(id)?)?,
            ("GET", ["jobs", id, "config"]) => self.job_config(job(id)?)?,
            ("GET", ["jobs", id, "exceptions"]) => self.job_exceptions(job(id)?)?,
            ("GET", ["jobs", id, "metrics"]) => self.job_metrics(job(id)?, &query),
            ("GET", ["jobs", id, "checkpoints"]) => self.all_checkpoints(job(id)?)?,
            ("POST", ["jobs", id, "checkpoints"]) => {
                return self.trigger_checkpoint(job(id)?, body).map(Answer::accepted);
            }
            ("GET", ["jobs", id, "checkpoints", "config"]) => self.checkpoint_config(job(id)?)?,
            ("GET", ["jobs", id, "checkpoints", request]) => {
                self.triggered_checkpoint(job(id)?, hex("triggerid", request)?)?
            }
            ("GET" | "PUT", ["jobs", _, "resource-requirements"]) if !self.takes_requirements() => {
                return Err(no_route());
            }
            ("GET", ["jobs", id, "resource-requirements"]) => self.current_requirements(job(id)?)?,
            ("PUT", ["jobs", id, "resource-requirements"]) => self.put_requirements(job(id)?, body)?,
            ("GET", ["jobs", id, "vertices", vertex]) => {
                self.vertex_details(job(id)?, hex("vertexid", vertex)?)?
            }
            ("GET", ["jobs", id, "vertices", vertex, "metrics"]) => {
                self.vertex_metrics(job(id)?, hex("vertexid", vertex)?, &query)
            }
            ("GET", ["jobs", id, "vertices", vertex, "subtasks", "metrics"]) => {
                self.subtask_metrics(job(id)?, hex("vertexid", vertex)?, &query)?
            }
            _ => return Err(no_route()),
        };
        Ok(Answer::ok(body))
    }

    /// Whether the scenario's version is at least this one: fields come and go with versions.
    fn since(&self, major: u16, minor: u16) -> bool {
        let version = self.scenario().flink_version;
        (version.major, version.minor) >= (major, minor)
    }
}

/// A job's id in a path.
fn job(text: &str) -> Result<JobId, Failure> {
    hex("jobid", text)
}

/// An id in a path.
fn hex<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::parameter("Path", name, text))
}

/// A number that may be none: Flink writes those as text.
fn number(value: f64) -> Value {
    if value.is_finite() { value.into() } else { value.to_string().into() }
}
