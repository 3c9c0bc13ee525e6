//! Runs a test: the engine at the wheel of its job, the diary read out beside it.

use std::time::Duration;

use serde::Serialize;

use super::judge::{Score, Since, judge};
use super::scenario;
use super::spec::{Test, TestJob};
use super::surroundings::Surroundings;
use crate::policy::{AutoscalerSpec, FlinkRef, Policy, PolicySpec, Span};
use crate::simulate::{Drive, ScenarioError, Simulation};

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TestRun {
    /// The test's name.
    pub test: String,
    /// Simulated time.
    pub simulated: Span,
    /// How many things were expected.
    pub expected: usize,
    /// Those that did not come about; none of a test that passed.
    pub unmet: Vec<Unmet>,
}

/// One thing that was expected and did not come about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unmet {
    /// Where it is written, from the test's own fields on: `steps[2].expect.parallelism.enrich`.
    pub path: String,
    /// Simulated time since the start.
    pub after: Span,
    /// What was expected.
    pub expected: String,
    /// What there was.
    pub got: String,
    /// How the decision came about that it is about, from what the rules asked for to what held it.
    pub trail: Vec<String>,
}

impl TestRun {
    /// Whether all came about that was expected.
    pub fn passed(&self) -> bool {
        self.unmet.is_empty()
    }
}

/// Runs a test of a policy.
///
/// # Errors
/// When its job cannot be simulated; never for a test without [mistakes](super::mistakes).
pub fn run(test: &Test, spec: &PolicySpec) -> Result<TestRun, ScenarioError> {
    let scenario = scenario::of(test)?;
    let simulation = match test.at {
        Some(at) => Simulation::starting_at(&scenario, at)?,
        None => Simulation::new(&scenario)?,
    };
    let pods = test.job.as_ref().and_then(TestJob::workload);
    let mut around = Surroundings::new(pods, test.bounds.replicas, scenario.slots_per_taskmanager);
    let mut drive = Drive::new(simulation, policy(test, spec));

    let (mut now, mut since) = (Duration::ZERO, Since::default());
    let mut run =
        TestRun { test: test.name.clone(), simulated: Span::default(), expected: 0, unmet: Vec::new() };
    for (index, step) in test.diary().iter().enumerate() {
        if let Some(signals) = &step.set {
            around.set(signals, drive.simulation.truth().slots_held);
        }
        now += scenario::whole_steps(step.after.unwrap_or_default().get());
        while drive.until_next() <= now {
            let at = drive.start() + drive.until_next();
            let held = drive.simulation.truth().slots_held;
            drive.simulation.set_around(around.seen(held, at));
            since.note(drive.cycle());
        }
        if let Some(expect) = &step.expect {
            let score = Score::of(&drive);
            let unmet = judge(expect, &since, score, &around);
            run.expected += unmet.compared;
            run.unmet.extend(unmet.differences.into_iter().map(|difference| Unmet {
                path: format!("{}.{}", test.path_of(index), difference.field),
                after: Span::from(now),
                expected: difference.expected,
                got: difference.got,
                trail: difference.trail,
            }));
            since = Since::beginning(score);
        }
    }
    run.simulated = Span::from(now);
    Ok(run)
}

/// The policy within the bounds of the test's job.
fn policy(test: &Test, spec: &PolicySpec) -> Policy {
    let autoscaler = AutoscalerSpec {
        flink: FlinkRef { poll: test.poll, ..FlinkRef::default() },
        parallelism: test.bounds.parallelism,
        replicas: test.bounds.replicas,
        vertices: test.bounds.vertices.clone(),
        ..AutoscalerSpec::default()
    };
    Policy { labels: test.labels.clone(), ..Policy::new(&autoscaler, spec.clone()) }
}
