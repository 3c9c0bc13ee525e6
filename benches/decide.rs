//! What a decision costs for a job of 20 vertices, with the throughput rule and with one rule of each kind: [`decide`] alone,
//! and with it what a cycle adds to the job's state.
//!
//! The job is two chains side by side that are joined twice. It is driven by the engine itself for 25 minutes in which its
//! load goes up twice, so that history, curves, needs and past rescales are those of a job that has been watched for a while.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use tidegate::config::{Source, load_policy};
use tidegate::decide::{Decision, Verdict, decide};
use tidegate::model::{
    Amount, Answer, Around, Container, Observation, Phase, Pod, Ready, ReadyStatus, Timestamp, Workload,
};
use tidegate::policy::{Policy, PolicySpec, Rule, RuleSaid, Said, Span, Throughput};
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
    for (rules, policy) in [("throughput", throughput()), ("seven rules", seven_rules())] {
        let (unchanged, approved) = cycles(&policy);
        for (name, cycle) in [("unchanged", &unchanged), ("approved", &approved)] {
            let mut state = cycle.state.clone();
            check(&state.cycle(&cycle.observation, &policy, cycle.at), policy.spec.rules.len());
            criterion.bench_function(&format!("decide/{VERTICES} vertices/{rules}/{name}"), |bencher| {
                bencher.iter(|| decide(black_box(&state.history), &policy, &state.ledger, cycle.at));
            });
            criterion.bench_function(&format!("cycle/{VERTICES} vertices/{rules}/{name}"), |bencher| {
                bencher.iter_batched_ref(
                    || cycle.state.clone(),
                    |state| state.cycle(black_box(&cycle.observation), &policy, cycle.at),
                    BatchSize::LargeInput,
                );
            });
        }
    }
    criterion.final_summary();
}

fn throughput() -> Policy {
    let rules = vec![Rule::Throughput(Throughput::default())];
    policy(PolicySpec { rules, ..PolicySpec::default() })
}

fn seven_rules() -> Policy {
    let file = Source::new("seven-rules.yaml", include_str!("seven-rules.yaml"));
    policy(load_policy(&file).expect("a sound policy").spec)
}

fn policy(spec: PolicySpec) -> Policy {
    Policy { poll: Span::from_secs(5), spec, ..Policy::default() }
}

/// What the rules look at outside of Flink: eight pods at 70 % of the CPU that they request, and a backlog of 10,000 records
/// for each, which is what the rules want.
fn around(at: Timestamp) -> Around {
    let amount = |request, used| Amount { request: Some(request), used: Some(used) };
    let container = Container {
        name: "flink-main-container".to_owned(),
        cpu: amount(2_000, 1_400),
        memory: amount(4_000_000_000_000, 3_000_000_000_000),
    };
    let since = at - Duration::from_hours(1);
    let pod = Pod {
        phase: Phase::Running,
        is_deleted: false,
        ready: Some(Ready { status: ReadyStatus::True, since }),
        started: Some(since),
        measured: Some((at, Duration::from_secs(15))),
        containers: vec![container],
        ..Pod::default()
    };
    let workload = Workload { at, replicas: 8, observed: 8, pods: vec![pod; 8], scalable: None };
    let answer = Answer { at, values: Ok(vec![50_000.0, 30_000.0]) };
    let queries = [("sum(kafka_consumergroup_lag)".to_owned(), answer)].into();
    Around { workload: Some(workload), queries, ..Around::default() }
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
        *last = Some(Cycle { state, observation: driven.observation, at: driven.at });
    }
    let (mut unchanged, mut approved) = unchanged.zip(approved).expect("the load goes up, and stays there");
    for cycle in [&mut unchanged, &mut approved] {
        // The simulator has no pods and no Prometheus.
        if let Observation::Seen(snapshot) = &mut cycle.observation {
            snapshot.around = around(cycle.at);
        }
        let ledger = &cycle.state.ledger;
        assert!(cycle.state.history.epoch_samples() >= 40, "{}", cycle.state.history.epoch_samples());
        assert!(ledger.needs.len() >= usize::from(VERTICES - SOURCES));
        let learned = ledger.curves.values().filter(|points| points.len() > 1).count();
        assert!(learned > usize::from(VERTICES) / 2, "{learned} vertices were seen at two sizes");
    }
    (unchanged, approved)
}

/// A decision on nothing would be made in no time.
fn check(decision: &Decision, rules: usize) {
    let signals = decision.signals.as_ref().map_or(0, |signals| signals.vertices.len());
    let proposal = decision.proposal.as_ref().expect("there are samples");
    let sized = proposal.wants.iter().filter(|want| want.target_rate.is_some() && want.capacity.is_some());
    let (all, steps) = (usize::from(VERTICES), usize::from(VERTICES - SOURCES));
    assert!((signals, proposal.wants.len()) == (all, all) && sized.count() >= steps, "{decision:?}");
    let spoke = |rule: &&RuleSaid| matches!(rule.said, Said::Sizes | Said::Replicas(_));
    assert_eq!(proposal.rules.iter().filter(spoke).count(), rules, "{:?}", proposal.rules);
}
