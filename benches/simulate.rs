//! How much faster than time itself the simulator is: an hour of a job of 5 vertices with the engine at the wheel, which
//! polls and decides every 5 s. The throughput is in simulated seconds, so it is the multiple of real time.

use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use tidegate::policy::{self, Policy, PolicySpec, Rule, Span};
use tidegate::simulate::{Drive, EdgeScenario, Scenario, Simulation, VertexScenario, scenarios};

const HOUR: Duration = Duration::from_hours(1);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let (scenario, policy) = (scenario(), policy());
    let drive = || Drive::new(Simulation::new(&scenario).expect("a sound scenario"), policy.clone());

    let mut once = drive();
    drive_for_an_hour(&mut once);
    let score = once.score();
    assert_eq!((score.decisions, once.simulation.truth().parallelism.len()), (720, 5));
    assert!(score.scale_ups > 0 && score.scale_downs > 0, "the load goes up and down: {score:?}");

    let mut group = criterion.benchmark_group("simulate");
    group.throughput(Throughput::Elements(HOUR.as_secs()));
    group.bench_function("an hour of 5 vertices", |bencher| {
        bencher.iter_batched_ref(drive, drive_for_an_hour, BatchSize::PerIteration);
    });
    group.finish();
    criterion.final_summary();
}

fn drive_for_an_hour(drive: &mut Drive) {
    while drive.elapsed() < HOUR {
        drive.cycle();
    }
}

/// The chain of the demo with one more step.
fn scenario() -> Scenario {
    let mut scenario = scenarios::demo();
    let [.., last] = &mut scenario.edges[..] else { panic!("the demo is a chain") };
    "format".clone_into(&mut last.to);
    scenario.edges.push(EdgeScenario::new("format", "sink"));
    scenario.vertices.push(VertexScenario::new("format", 0.5));
    scenario
}

fn policy() -> Policy {
    let rules = vec![Rule::Throughput(policy::Throughput::default())];
    Policy {
        poll: Span::from_secs(5),
        spec: PolicySpec { rules, ..PolicySpec::default() },
        ..Policy::default()
    }
}
