//! What a decision costs for a job of 20 vertices: [`decide`] alone, and with it what a cycle adds to the job's state.
//!
//! The job is two chains side by side that are joined twice. It is driven by the engine itself for 25 minutes in which its
//! load goes up twice, so that history, curves, needs and past rescales are those of a job that has been watched for a while.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use tidegate::decide::{Decision, Verdict, decide};
use tidegate::model::{Observation, Timestamp};
use tidegate::policy::{Policy, PolicySpec, Rule, Span, Throughput};
use tidegate::record::State;
use tidegate::simulate::{Drive, EdgeScenario, Load, Scenario, Simulation, VertexScenario, scenarios};

const VERTICES: u8 = 20;

/// What a source needs is not known until it cannot keep up, which these two always can.
const SOURCES: u8 = 2;

/// One cycle, from what was known before it.
struct Cycle {
    state: State,
    observation: Observation,
    at: Timestamp,
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let policy = policy();
    let (unchanged, approved) = cycles(&policy);
    for (name, cycle) in [("unchanged", &unchanged), ("approved", &approved)] {
        let mut state = cycle.state.clone();
        state.cycle(&cycle.observation, &policy, cycle.at);
        criterion.bench_function(&format!("decide/{VERTICES} vertices/{name}"), |bencher| {
            bencher.iter(|| decide(black_box(&state.history), &policy, &state.ledger, cycle.at));
        });
        criterion.bench_function(&format!("cycle/{VERTICES} vertices/{name}"), |bencher| {
            bencher.iter_batched_ref(
                || cycle.state.clone(),
                |state| state.cycle(black_box(&cycle.observation), &policy, cycle.at),
                BatchSize::LargeInput,
            );
        });
    }
    criterion.final_summary();
}

fn policy() -> Policy {
    let rules = vec![Rule::Throughput(Throughput::default())];
    Policy {
        poll: Span::from_secs(5),
        spec: PolicySpec { rules, ..PolicySpec::default() },
        ..Policy::default()
    }
}

fn scenario() -> Scenario {
    let load = Load { noise: 0.03, ..Load::steps(&[(0, 600.0), (300, 1_400.0), (900, 2_800.0)]) };
    let name = |vertex: u8| format!("step {vertex}");
    let vertices = (0..VERTICES).map(|vertex| match (name(vertex), vertex) {
        (name, ..SOURCES) => VertexScenario::new(&name, 0.05).with_load(load.clone()),
        (name, _) => VertexScenario {
            contention: 0.02,
            ..VertexScenario::new(&name, 1.0 + 0.2 * f64::from(vertex % 7))
        },
    });
    let chains = (2..VERTICES).map(|to| (to - 2, to));
    let edges = chains.chain([(8, 11), (13, 16)]).map(|(from, to)| EdgeScenario {
        selectivity: if to == 11 || to == 16 { 0.5 } else { 1.0 },
        ..EdgeScenario::new(&name(from), &name(to))
    });
    Scenario {
        name: "two chains".to_owned(),
        taskmanagers: 8,
        slots_per_taskmanager: 8,
        vertices: vertices.collect(),
        edges: edges.collect(),
        ..scenarios::demo()
    }
}

/// The last cycle that changed nothing, and the last that approved a rescale, both on a full history.
fn cycles(policy: &Policy) -> (Cycle, Cycle) {
    let mut drive = Drive::new(Simulation::new(&scenario()).expect("a sound scenario"), policy.clone());
    let (mut unchanged, mut approved) = (None, None);
    while drive.elapsed() < Duration::from_mins(25) {
        let state = drive.state.clone();
        let driven = drive.cycle();
        let last = match driven.decision.verdict {
            Verdict::Unchanged => &mut unchanged,
            Verdict::Approved { .. } => &mut approved,
            Verdict::Unobserved | Verdict::Held { .. } => continue,
        };
        check(&driven.decision);
        *last = Some(Cycle { state, observation: driven.observation, at: driven.at });
    }
    let (unchanged, approved) = unchanged.zip(approved).expect("the load goes up, and stays there");
    for cycle in [&unchanged, &approved] {
        let ledger = &cycle.state.ledger;
        assert!(cycle.state.history.epoch_samples() >= 40, "{}", cycle.state.history.epoch_samples());
        assert_eq!(ledger.needs.len(), usize::from(VERTICES - SOURCES));
        let learned = ledger.curves.values().filter(|points| points.len() > 1).count();
        assert!(learned > usize::from(VERTICES) / 2, "{learned} vertices were seen at two sizes");
    }
    (unchanged, approved)
}

/// A decision on nothing would be made in no time.
fn check(decision: &Decision) {
    let signals = decision.signals.as_ref().map_or(0, |signals| signals.vertices.len());
    let wants = || decision.proposal.iter().flat_map(|proposal| &proposal.wants);
    let sized = wants().filter(|want| want.target_rate.is_some() && want.capacity.is_some()).count();
    let (all, steps) = (usize::from(VERTICES), usize::from(VERTICES - SOURCES));
    assert!((signals, wants().count()) == (all, all) && sized >= steps, "{decision:?}");
}
