//! A test's job as a scenario: since the diary is known from the start, what it sets of the load is the load's course.

use std::collections::BTreeMap;
use std::time::Duration;

use super::spec::{Step, Test, TestJob, TestSignals, TestVertex};
use crate::model::{FlinkVersion, Ship};
use crate::policy::{ReplicaBounds, Span};
use crate::simulate::{
    CheckpointScenario, EdgeScenario, Load, MetricScenario, Point, Problem, RestartScenario, Scenario,
    ScenarioError, SchedulerKind, Shape, Slo, VertexScenario, scenarios,
};

/// The simulator's step: what comes at once comes within one of these.
const AT_ONCE: Duration = Duration::from_millis(200);

/// The version whose scheduler is followed.
const FLINK: FlinkVersion = FlinkVersion { major: 2, minor: 3, patch: 0 };

/// What a test is run on.
///
/// # Errors
/// When the test names nothing that there is.
pub(super) fn of(test: &Test) -> Result<Scenario, ScenarioError> {
    let built_in = || scenarios::named(test.scenario.as_ref()?.as_str());
    let own = || test.simulation.clone();
    let job = test.job.as_ref().map(|job| small(job, test));
    job.or_else(own).or_else(built_in).ok_or_else(|| {
        let what = "expected a job, a scenario or a simulation".to_owned();
        ScenarioError { problems: vec![Problem { path: String::new(), what }] }
    })
}

/// The vertices that a vertex takes records from: none for a source, else the one before it unless told otherwise.
pub(super) fn inputs(job: &TestJob, v: usize) -> Vec<&str> {
    let vertex = &job.vertices[v];
    match (&vertex.inputs, v.checked_sub(1)) {
        (Some(inputs), _) => inputs.iter().map(String::as_str).collect(),
        (None, Some(before)) if vertex.rate.is_none() => vec![&job.vertices[before].name],
        (None, _) => Vec::new(),
    }
}

/// As many pods as a workload without bounds may have: more than any test needs.
const MOST_PODS: u32 = 1000;

/// TaskManagers whose slots the job can have.
fn taskmanagers(job: &TestJob, replicas: ReplicaBounds) -> u32 {
    job.taskmanagers.or(replicas.max).unwrap_or(MOST_PODS)
}

fn small(job: &TestJob, test: &Test) -> Scenario {
    let vertex = |v: &TestVertex| {
        let scenario = VertexScenario {
            parallelism: v.parallelism,
            max_parallelism: v.max_parallelism,
            slot_sharing_group: v.slot_sharing_group.clone(),
            ..VertexScenario::new(&v.name, v.service_time.as_millis())
        };
        let Some(rate) = v.rate else { return scenario };
        let mut scenario = scenario.with_load(load(&v.name, rate, &test.diary()));
        if let Some(source) = &mut scenario.source {
            source.reports_pending = v.reports_backlog;
            source.reports_lag = v.reports_lag;
        }
        scenario
    };
    let edges = (0..job.vertices.len()).flat_map(|v| {
        let (to, ship) = (&job.vertices[v], if job.vertices[v].keyed { Ship::Hash } else { Ship::Rebalance });
        inputs(job, v).into_iter().map(move |from| {
            let sender = job.vertices.iter().find(|sender| sender.name == from);
            let selectivity = sender.map_or(1.0, |sender| sender.selectivity);
            EdgeScenario { ship, selectivity, ..EdgeScenario::new(from, &to.name) }
        })
    });
    Scenario {
        name: job.name.clone(),
        seed: 1,
        flink_version: FLINK,
        scheduler: SchedulerKind::Adaptive,
        taskmanagers: taskmanagers(job, test.bounds.replicas),
        slots_per_taskmanager: job.slots_per_taskmanager,
        workload: None,
        vertices: job.vertices.iter().map(vertex).collect(),
        edges: edges.collect(),
        checkpoints: Some(CheckpointScenario {
            interval: Span::from_secs(5),
            duration: Span::from_millis(200),
        }),
        restart: RestartScenario { time: job.restart, ..RestartScenario::default() },
        // What is polled is as new as it can be: a test is about the policy, not about how old Flink's answers are.
        metrics: MetricScenario { update_interval: Span::from_secs(1), ..MetricScenario::default() },
        slo: Slo::default(),
        faults: Vec::new(),
    }
}

/// The load of a source as the diary sets it.
fn load(source: &str, rate: f64, diary: &[Step]) -> Load {
    let (mut now, mut rate) = (Duration::ZERO, rate);
    let mut points = BTreeMap::from([(Duration::ZERO, rate)]);
    for step in diary {
        if let Some(TestSignals { rate: one, rates, backlog, backlogs, .. }) = &step.set {
            rate = one.or(rates.get(source).copied()).unwrap_or(rate);
            let at_once = backlog.or(backlogs.get(source).copied()).unwrap_or(0.0);
            points.insert(now, rate + at_once / AT_ONCE.as_secs_f64());
            points.insert(now + AT_ONCE, rate);
        }
        now += whole_steps(step.after.unwrap_or_default().get());
    }
    let points = points.into_iter().map(|(at, rate)| Point { at: Span::from(at), rate }).collect();
    Load { shape: Shape::Steps(points), noise: 0.0, repeat: None }
}

/// A length of time, rounded up to the simulator's steps.
pub(super) fn whole_steps(length: Duration) -> Duration {
    let steps = length.as_millis().div_ceil(AT_ONCE.as_millis());
    AT_ONCE * u32::try_from(steps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_diary_is_the_course_of_the_load() {
        let set = |rate, backlog| Step {
            set: Some(TestSignals { rate, backlog, ..TestSignals::default() }),
            after: Some(Span::from_secs(60)),
            expect: None,
        };
        let Shape::Steps(points) = load("a", 10.0, &[set(None, None), set(Some(20.0), Some(500.0))]).shape
        else {
            panic!("it is made of steps");
        };
        let points: Vec<(u128, f64)> = points.iter().map(|p| (p.at.get().as_millis(), p.rate)).collect();
        assert_eq!(points, [(0, 10.0), (200, 10.0), (60_000, 2520.0), (60_200, 20.0)]);
    }
}
