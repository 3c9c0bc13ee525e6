//! Scenarios that come with the program.

use super::load::{Load, Point, Shape};
use super::scenario::{
    CheckpointScenario, EdgeScenario, MetricScenario, RestartScenario, Scenario, SchedulerKind, Slo,
    VertexScenario, Window,
};
use crate::model::FlinkVersion;
use crate::policy::Span;

/// The names of all of them.
pub const NAMES: [&str; 4] = ["demo", "session", "diamond", "burn"];

/// The scenario of this name.
pub fn named(name: &str) -> Option<Scenario> {
    match name {
        "demo" => Some(demo()),
        "session" => Some(session()),
        "diamond" => Some(diamond()),
        "burn" => Some(burn()),
        _ => None,
    }
}

/// A chain whose load goes up threefold and comes down again every ten minutes.
pub fn demo() -> Scenario {
    // Up at once, as when another system has caught up; down slowly, as when people go home. It stays down for longer
    // than a scale-down window of two minutes and the restart that follows.
    let points = [(0, 800.0), (90, 800.0), (92, 2400.0), (240, 2400.0), (300, 640.0), (600, 640.0)];
    let points = points.map(|(at, rate)| Point { at: Span::from_secs(at), rate }).to_vec();
    let load = Load { shape: Shape::Linear(points), noise: 0.03, repeat: Some(Span::from_secs(600)) };
    let vertices = vec![
        VertexScenario::new("Source: orders", 0.05).with_load(load),
        VertexScenario { skew: 1.05, ..VertexScenario::new("parse", 4.0).with_parallelism(5) },
        VertexScenario::new("enrich", 1.0).with_parallelism(2),
        VertexScenario::new("sink", 0.1),
    ];
    let edges = vec![
        EdgeScenario::new("Source: orders", "parse"),
        EdgeScenario::new("parse", "enrich"),
        EdgeScenario::new("enrich", "sink"),
    ];
    Scenario { taskmanagers: 3, slots_per_taskmanager: 8, ..scenario("demo", vertices, edges) }
}

/// The job of [`demo`] under the default scheduler, which cannot rescale it in place: it is stopped with a savepoint, and its jar,
/// `session.jar`, is run again.
pub fn session() -> Scenario {
    Scenario {
        name: "session".to_owned(),
        scheduler: SchedulerKind::Default,
        flink_version: FlinkVersion { major: 1, minor: 20, patch: 0 },
        ..demo()
    }
}

/// Two sources, one of which does not say what waits for it, a join, a window that fires by the clock, a slow report.
pub fn diamond() -> Scenario {
    let load = Load { noise: 0.02, ..Load::steps(&[(0, 300.0), (120, 900.0), (420, 250.0)]) };
    let mut clicks = VertexScenario::new("Source: clicks", 0.05).with_load(load.clone());
    if let Some(source) = &mut clicks.source {
        source.reports_pending = false;
    }
    let vertices = vec![
        VertexScenario::new("Source: orders", 0.05).with_load(load),
        clicks,
        VertexScenario::new("orders by key", 1.0),
        VertexScenario::new("clicks by key", 1.0),
        VertexScenario::new("join", 1.5).with_parallelism(3),
        VertexScenario {
            window: Some(Window { every: Span::from_secs(5), keys: 200.0 }),
            ..VertexScenario::new("window", 0.2)
        },
        VertexScenario::new("report", 5.0),
        VertexScenario::new("sink", 0.05),
    ];
    let edges = [
        ("Source: orders", "orders by key"),
        ("Source: clicks", "clicks by key"),
        ("orders by key", "join"),
        ("clicks by key", "join"),
        ("join", "window"),
        ("join", "sink"),
        ("window", "report"),
    ];
    let edges = edges.map(|(from, to)| EdgeScenario::new(from, to)).to_vec();
    Scenario { taskmanagers: 2, slots_per_taskmanager: 8, ..scenario("diamond", vertices, edges) }
}

/// A step that burns as much CPU per record as there is, whatever its size: more subtasks bring nothing.
pub fn burn() -> Scenario {
    let load = Load::steps(&[(0, 3000.0), (120, 8000.0), (420, 2500.0)]);
    let vertices = vec![
        VertexScenario::new("Source: events", 0.01).with_load(load),
        // Subtasks on two cores: busy time per record grows with their number, and capacity stays at 4,700/s.
        VertexScenario { contention: 1.0, ..VertexScenario::new("burn", 0.2125).with_parallelism(2) },
        VertexScenario::new("sink", 0.01),
    ];
    let edges = vec![EdgeScenario::new("Source: events", "burn"), EdgeScenario::new("burn", "sink")];
    Scenario { taskmanagers: 2, slots_per_taskmanager: 8, ..scenario("burn", vertices, edges) }
}

fn scenario(name: &str, vertices: Vec<VertexScenario>, edges: Vec<EdgeScenario>) -> Scenario {
    Scenario {
        name: name.to_owned(),
        seed: 1,
        flink_version: FlinkVersion { major: 2, minor: 3, patch: 0 },
        scheduler: SchedulerKind::Adaptive,
        taskmanagers: 1,
        workload: None,
        slots_per_taskmanager: 1,
        vertices,
        edges,
        checkpoints: Some(CheckpointScenario {
            interval: Span::from_secs(5),
            duration: Span::from_millis(200),
        }),
        restart: RestartScenario::default(),
        metrics: MetricScenario { update_interval: Span::from_secs(1), ..MetricScenario::default() },
        slo: Slo::default(),
        faults: Vec::new(),
    }
}
