//! Resource requirements: what is asked for, and Flink's checks of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Found;
use super::failure::Failure;
use crate::model::{JobId, VertexId};
use crate::simulate::simulation::Simulation;
use crate::simulate::{Refused, SchedulerKind};

#[derive(Deserialize)]
struct Requirement {
    parallelism: Bounds,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounds {
    lower_bound: i64,
    upper_bound: i64,
}

impl Simulation {
    pub(super) fn current_requirements(&self, id: JobId) -> Found {
        self.expect_rescalable(id)?;
        let requirement = |(vertex, bounds): (&crate::model::Vertex, &crate::simulate::slots::Bounds)| {
            let bounds = json!({"lowerBound": bounds.lower, "upperBound": bounds.upper});
            (vertex.id.to_string(), json!({ "parallelism": bounds }))
        };
        let all = self.graph.vertices().iter().zip(&self.scheduler.bounds);
        Ok(all.map(requirement).collect::<Map<_, _>>().into())
    }

    pub(super) fn put_requirements(&mut self, id: JobId, body: &[u8]) -> Found {
        let wanted = self.read_requirements(body)?;
        if wanted.is_empty() {
            return Err(Failure::bad_request("the body holds no resource requirements"));
        }
        self.expect_rescalable(id)?;
        let wanted: Vec<_> =
            wanted.iter().map(|(id, wanted)| self.bounds_of(*id, &wanted.parallelism)).collect();
        match self.requirements(&wanted) {
            Ok(()) => Ok(json!({})),
            Err(Refused::Invalid(problems)) => Err(Failure::bad_request(&problems.join("\n"))),
            Err(Refused::NoSuchJob(_)) => Err(Failure::no_such_job(&id.to_string())),
            Err(refused @ (Refused::Unsupported | Refused::Reactive)) => {
                Err(unsupported(&refused.to_string()))
            }
            // Ruled out by the route that led here.
            Err(refused @ (Refused::Unreachable | Refused::NotFound)) => {
                Err(Failure::not_found(&refused.to_string()))
            }
        }
    }

    fn read_requirements(&self, body: &[u8]) -> Result<BTreeMap<VertexId, Requirement>, Failure> {
        let form = |_| Failure::bad_request("the body does not have the form JobResourceRequirementsBody");
        if body.is_empty() {
            return Ok(BTreeMap::new());
        }
        // Of two entries for one vertex the last one counts, as in Flink.
        let body: Map<String, Value> = serde_json::from_slice(body).map_err(form)?;
        if !self.since(1, 20) && body.values().any(has_unknown_fields) {
            return Err(Failure::bad_request("the body has fields that JobResourceRequirementsBody has not"));
        }
        serde_json::from_value(body.into()).map_err(form)
    }

    /// Bounds as the model takes them: -1 stands for no bound, and what is below it for an impossible one.
    fn bounds_of(&self, id: VertexId, bounds: &Bounds) -> (VertexId, u32, u32) {
        let v = self.graph.index_of(id);
        let most = v.map_or(1, |v| self.graph.vertices()[v].max_parallelism.get());
        let bound = |asked: i64, unbounded: u32| match asked {
            -1 => unbounded,
            asked => u32::try_from(asked.max(0)).unwrap_or(u32::MAX),
        };
        (id, bound(bounds.lower_bound, 1), bound(bounds.upper_bound, most))
    }

    fn expect_rescalable(&self, id: JobId) -> Result<(), Failure> {
        if id != self.job {
            return Err(Failure::no_such_job(&id.to_string()));
        }
        match self.scenario().scheduler {
            SchedulerKind::Adaptive => Ok(()),
            SchedulerKind::Default => Err(unsupported("the default scheduler has no resource requirements")),
            SchedulerKind::Reactive => {
                Err(unsupported("Cannot change the parallelism of a job running in reactive mode."))
            }
        }
    }
}

fn unsupported(what: &str) -> Failure {
    Failure::internal("java.lang.UnsupportedOperationException", what)
}

fn has_unknown_fields(requirement: &Value) -> bool {
    let others = |value: &Value, known: &[&str]| {
        value.as_object().is_some_and(|map| map.keys().any(|key| !known.contains(&key.as_str())))
    };
    others(requirement, &["parallelism"])
        || others(&requirement["parallelism"], &["lowerBound", "upperBound"])
}
