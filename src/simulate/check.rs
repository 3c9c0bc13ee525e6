//! What cannot be simulated, all of it at once, each with the path of its field.

use std::collections::HashMap;
use std::fmt;

use thiserror::Error;

use super::load::Curve;
use super::scenario::{FaultKind, Scenario, VertexScenario, Window};
use crate::model::{Edge, Graph, Parallelism, Vertex, VertexId};
use crate::policy::Span;
use crate::simulate::random;

/// One thing that is wrong with a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `vertices[2].parallelism`.
    pub path: String,
    /// What, one line.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

/// A scenario that cannot be simulated; one line for each of its problems.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ScenarioError {
    /// All of them, at least one.
    pub problems: Vec<Problem>,
}

/// The graph and the loads of a scenario that can be simulated.
pub(super) struct Checked {
    pub(super) graph: Graph,
    /// One for each vertex; `None` for those that are no sources.
    pub(super) loads: Vec<Option<Curve>>,
}

/// Checks everything that the types of a scenario do not.
pub(super) fn check(scenario: &Scenario) -> Result<Checked, ScenarioError> {
    let mut notes = Notes(Vec::new());
    notes.add(scenario.taskmanagers >= 1, "taskmanagers", || "at least one is needed".to_owned());
    notes.add(scenario.slots_per_taskmanager >= 1, "slotsPerTaskmanager", || {
        "at least one is needed".to_owned()
    });
    let restart = scenario.restart;
    notes.number(restart.state_mib, 0.0, "restart.stateMib");
    notes.number(restart.mib_per_second, 0.001, "restart.mibPerSecond");
    if let Some(checkpoints) = scenario.checkpoints {
        notes.longer_than_nothing(checkpoints.interval, "checkpoints.interval");
    }
    let loads =
        scenario.vertices.iter().enumerate().map(|(i, v)| check_vertex(scenario, i, v, &mut notes)).collect();
    let graph = check_graph(scenario, &mut notes);
    for (i, fault) in scenario.faults.iter().enumerate() {
        if let FaultKind::PartialMetrics { vertex, .. } = &fault.what {
            let known = scenario.vertices.iter().any(|v| v.name == *vertex);
            notes.add(known, &format!("faults[{i}].what.partialMetrics.vertex"), || no_vertex(vertex));
        }
    }
    match graph {
        Some(graph) if notes.0.is_empty() => Ok(Checked { graph, loads }),
        _ => Err(ScenarioError { problems: notes.0 }),
    }
}

struct Notes(Vec<Problem>);

impl Notes {
    fn add(&mut self, fine: bool, path: &str, what: impl FnOnce() -> String) {
        if !fine {
            self.0.push(Problem { path: path.to_owned(), what: what() });
        }
    }

    fn number(&mut self, value: f64, least: f64, path: &str) {
        self.add(value.is_finite() && value >= least, path, || {
            format!("expected a finite number that is at least {least}, not {value}")
        });
    }

    fn longer_than_nothing(&mut self, span: Span, path: &str) {
        self.add(span > Span::default(), path, || "must be longer than nothing".to_owned());
    }
}

fn no_vertex(name: &str) -> String {
    format!("there is no vertex named {name:?}")
}

fn check_vertex(
    scenario: &Scenario,
    index: usize,
    vertex: &VertexScenario,
    notes: &mut Notes,
) -> Option<Curve> {
    let path = |field: &str| format!("vertices[{index}].{field}");
    let most = vertex.max_parallelism;
    notes.add(Parallelism::new(most.into()).is_ok(), &path("maxParallelism"), || {
        format!("expected 1 to {}, not {most}", Parallelism::MOST)
    });
    notes.add((1..=most).contains(&vertex.parallelism), &path("parallelism"), || {
        format!("expected 1 to maxParallelism ({most}), not {}", vertex.parallelism)
    });
    notes.number(vertex.service_ms, 0.0, &path("serviceMs"));
    notes.number(vertex.contention, 0.0, &path("contention"));
    notes.number(vertex.coherency, 0.0, &path("coherency"));
    notes.number(vertex.skew, 1.0, &path("skew"));
    if let Some(cold) = vertex.cold_start {
        notes.number(cold.factor, 1.0, &path("coldStart.factor"));
        notes.longer_than_nothing(cold.lasts, &path("coldStart.lasts"));
    }
    if let Some(Window { every, keys }) = vertex.window {
        notes.longer_than_nothing(every, &path("window.every"));
        notes.number(keys, 1.0, &path("window.keys"));
    }
    let fed = scenario.edges.iter().any(|edge| edge.to == vertex.name);
    notes.add(!fed || vertex.source.is_none(), &path("source"), || {
        "an edge leads here, so it is no source".to_owned()
    });
    notes.add(fed || vertex.source.is_some(), &path("source"), || {
        "no edge leads here, so it needs a load of its own".to_owned()
    });
    let source = vertex.source.as_ref()?;
    if let Some(rate) = source.max_rate_per_subtask {
        notes.number(rate, 0.001, &path("source.maxRatePerSubtask"));
    }
    match Curve::new(&source.load, scenario.seed ^ random::mix(index as u64)) {
        Ok(curve) => Some(curve),
        Err(what) => {
            notes.add(false, &path("source.load"), || what);
            None
        }
    }
}

fn check_graph(scenario: &Scenario, notes: &mut Notes) -> Option<Graph> {
    let mut index = HashMap::new();
    for (i, vertex) in scenario.vertices.iter().enumerate() {
        let twice = index.insert(vertex.name.as_str(), i).is_some();
        notes.add(!twice, &format!("vertices[{i}].name"), || format!("{:?} is there twice", vertex.name));
    }
    notes.add(!index.is_empty(), "vertices", || "at least one is needed".to_owned());
    let mut edges = Vec::new();
    for (i, edge) in scenario.edges.iter().enumerate() {
        notes.number(edge.selectivity, 0.0, &format!("edges[{i}].selectivity"));
        notes.number(edge.buffer, 1.0, &format!("edges[{i}].buffer"));
        let (from, to) = (index.get(edge.from.as_str()), index.get(edge.to.as_str()));
        notes.add(from.is_some(), &format!("edges[{i}].from"), || no_vertex(&edge.from));
        notes.add(to.is_some(), &format!("edges[{i}].to"), || no_vertex(&edge.to));
        if let (Some(&from), Some(&to)) = (from, to) {
            edges.push(Edge { from, to, ship: edge.ship });
        }
    }
    if !notes.0.is_empty() {
        return None;
    }
    // Flink tells the groups from 1.20 on.
    let tells_groups = (scenario.flink_version.major, scenario.flink_version.minor) >= (1, 20);
    let vertices = scenario.vertices.iter().map(|vertex| Vertex {
        id: vertex_id(&scenario.name, &vertex.name),
        name: vertex.name.clone(),
        max_parallelism: Parallelism::clamped(vertex.max_parallelism.into()),
        slot_sharing_group: tells_groups.then(|| vertex.slot_sharing_group.clone()),
    });
    Graph::new(vertices.collect(), edges)
        .map_err(|error| notes.add(false, "edges", || error.to_string()))
        .ok()
}

fn vertex_id(job: &str, vertex: &str) -> VertexId {
    VertexId::from_bits(random::fingerprint(&format!("{job}/{vertex}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{EdgeScenario, Load, scenarios};

    #[test]
    fn reports_every_problem_with_its_path() {
        let mut scenario = scenarios::demo();
        scenario.taskmanagers = 0;
        scenario.vertices[1].service_ms = f64::NAN;
        scenario.vertices[2].parallelism = 999;
        scenario.vertices[2] = scenario.vertices[2].clone().with_load(Load::constant(-5.0));
        scenario.edges.push(EdgeScenario::new("nowhere", "sink"));
        let error = check(&scenario).err().expect("not a scenario");
        let paths: Vec<&str> = error.problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "taskmanagers",
                "vertices[1].serviceMs",
                "vertices[2].parallelism",
                "vertices[2].source",
                "vertices[2].source.load",
                "edges[3].from"
            ],
            "{error}"
        );
    }

    #[test]
    fn turns_away_what_is_no_job() {
        let mut cycle = scenarios::demo();
        cycle.edges.push(EdgeScenario::new("sink", "parse"));
        let mut orphan = scenarios::demo();
        orphan.edges.pop();
        let mut twins = scenarios::demo();
        twins.vertices[3].name = "parse".to_owned();
        let mut empty = scenarios::demo();
        (empty.vertices, empty.edges) = (Vec::new(), Vec::new());
        for (scenario, words) in [
            (cycle, "edges: the graph has a cycle"),
            (orphan, "vertices[3].source: no edge leads here"),
            (twins, "vertices[3].name: \"parse\" is there twice"),
            (empty, "vertices: at least one is needed"),
        ] {
            let error = check(&scenario).err().expect("not a job").to_string();
            assert!(error.contains(words), "{error:?} does not say {words:?}");
        }
    }
}
