//! Whole stories on the simulator: a load, and what the engine makes of it, as a diary.

use std::time::Duration;

use tidegate::model::FlinkVersion;
use tidegate::policy::{Backlog, Behavior, Limits, Policy, PolicySpec, Rule, ScalingRules, Span, Throughput};
use tidegate::record::Outcome;
use tidegate::simulate::{
    Drive, Driven, EdgeScenario, Load, Scenario, Simulation, VertexScenario, Waiting, scenarios,
};

/// The throughput rule with its defaults, polled every 2 s, with windows as short as the stories are.
fn policy() -> Policy {
    Policy {
        poll: Span::from_secs(2),
        spec: PolicySpec {
            rules: vec![Rule::Throughput(Throughput::default())],
            behavior: Behavior {
                scale_down: ScalingRules {
                    stabilization_window_seconds: Some(60),
                    ..ScalingRules::default()
                },
                ..Behavior::default()
            },
            limits: Limits { cooldown: Span::from_secs(30), ..Limits::default() },
            ..PolicySpec::default()
        },
        ..Policy::default()
    }
}

/// The chain of the brief: 4 ms and 1 ms a record.
fn chain(load: Load, noise: f64) -> Scenario {
    let load = Load { noise, ..load };
    Scenario {
        name: "chain".to_owned(),
        vertices: vec![
            VertexScenario::new("source", 0.01).with_load(load),
            VertexScenario::new("parse", 4.0).with_parallelism(3),
            VertexScenario::new("enrich", 1.0),
        ],
        edges: vec![EdgeScenario::new("source", "parse"), EdgeScenario::new("parse", "enrich")],
        ..scenarios::demo()
    }
}

/// A rescale of the story: the second, and the sizes asked for.
type Asked = (f64, Vec<u32>);

fn drive(scenario: &Scenario, policy: Policy, until: u64) -> (Vec<Driven>, Vec<Asked>) {
    let simulation = Simulation::new(scenario).expect("the scenario can be simulated");
    let start = simulation.now();
    let mut drive = Drive::new(simulation, policy);
    let mut cycles = Vec::new();
    while drive.simulation.now() < start + Duration::from_secs(until) {
        cycles.push(drive.cycle());
    }
    let asked = cycles
        .iter()
        .filter(|cycle| cycle.outcome == Outcome::Applied)
        .map(|cycle| {
            let plan = cycle.decision.plan().expect("what was applied has a plan");
            (cycle.at.since(start).as_secs_f64(), plan.changes.iter().map(|change| change.to.get()).collect())
        })
        .collect();
    (cycles, asked)
}

fn story(cycles: &[Driven]) -> String {
    let line = |cycle: &Driven| {
        let holds: Vec<_> = cycle.decision.holds.iter().map(ToString::to_string).collect();
        let wants: Vec<_> = cycle
            .decision
            .proposal
            .iter()
            .flat_map(|p| &p.wants)
            .map(|w| {
                format!("{}>{} {:?} {:.2}", w.current, w.wanted, w.why, w.utilization.unwrap_or(f64::NAN))
            })
            .collect();
        format!(
            "{} load {:.0} backlog {:.0} {:?} {} {:?} {:?}",
            cycle.at,
            cycle.truth.load(),
            cycle.truth.backlog(),
            cycle.truth.parallelism,
            cycle.outcome.kind(),
            wants,
            holds
        )
    };
    cycles[..cycles.len().min(40)].iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_step_takes_one_rescale_up_and_one_down() {
    for version in
        [FlinkVersion { major: 2, minor: 3, patch: 0 }, FlinkVersion { major: 1, minor: 20, patch: 5 }]
    {
        for seed in 0..20 {
            for noise in [0.0, 0.05] {
                let load = Load::steps(&[(0, 500.0), (60, 1500.0), (180, 400.0)]);
                let scenario = Scenario { seed, flink_version: version, ..chain(load, noise) };
                let (cycles, asked) = drive(&scenario, policy(), 320);
                let what = format!("Flink {version}, seed {seed}, noise {noise}: {asked:?}");
                let [(up, grown), (down, shrunk)] = &asked[..] else {
                    panic!("{what}\n{}", story(&cycles));
                };
                assert!((60.0..66.0).contains(up), "up within 6 s; {what}");
                assert!((240.0..250.0).contains(down), "down within the window and 10 s; {what}");
                assert!(grown[1].abs_diff(9) <= 1 && grown[2].abs_diff(3) <= 1, "{what}");
                assert!(shrunk[1].abs_diff(3) <= 1 && shrunk[2].abs_diff(1) <= 1, "{what}");
            }
        }
    }
}

#[test]
fn what_comes_at_once_is_caught_up_with_and_is_no_load() {
    for seed in 0..10 {
        for noise in [0.0, 0.05] {
            // Within one poll: 120,000 records beside 500/s, to be gone within five minutes.
            let load = Load::steps(&[(0, 500.0), (60, 120_500.0), (61, 500.0)]);
            let scenario = Scenario { seed, ..chain(load, noise) };
            let (cycles, asked) = drive(&scenario, policy(), 600);
            let what = format!("seed {seed}, noise {noise}: {asked:?}");
            let [(up, grown), downs @ ..] = &asked[..] else { panic!("{what}\n{}", story(&cycles)) };
            assert!((60.0..70.0).contains(up), "{what}\n{}", story(&cycles[28..]));
            // 500/s and 400/s for what waits, 0.7 of 250/s for each subtask: 5.1; for a load of 2500/s it would be 16.
            assert!((5..=7).contains(&grown[1]), "{what}\n{}", story(&cycles[28..]));
            assert!(downs.iter().all(|(_, sizes)| sizes[1] < grown[1]), "{what}");
            assert!(cycles.last().is_some_and(|last| last.truth.backlog() < 2000.0), "{what}");
        }
    }
}

#[test]
fn a_steady_load_with_noise_is_left_alone() {
    for seed in 0..10 {
        let scenario = Scenario { seed, ..chain(Load::steps(&[(0, 500.0)]), 0.15) };
        let (cycles, asked) = drive(&scenario, policy(), 3600);
        assert!(asked.is_empty(), "seed {seed}: {asked:?}\n{}", story(&cycles[..60]));
    }
}

/// The chain with a source that does not count what waits for it, but says how late its records are; the rule `backlog` alone.
fn late(load: Load, waiting: Waiting) -> (Scenario, Policy) {
    let mut scenario = chain(load, 0.02);
    let source = scenario.vertices[0].source.as_mut().expect("a source");
    (source.reports_pending, source.reports_lag, source.waiting) = (false, true, waiting);
    let mut policy = policy();
    policy.spec.rules = vec![Rule::Backlog(Backlog { target: Span::from_secs(30), ..Backlog::default() })];
    (scenario, policy)
}

#[test]
fn a_lag_is_worked_off_where_nothing_counts_what_waits() {
    for waiting in [Waiting::Idle, Waiting::Busy] {
        let load = Load::steps(&[(0, 500.0), (60, 1500.0)]);
        let (scenario, policy) = late(load, waiting);
        let (cycles, asked) = drive(&scenario, policy, 300);
        let what = format!("{waiting:?}: {asked:?}");
        let Some((up, grown)) = asked.first() else { panic!("{what}\n{}", story(&cycles[28..])) };
        assert!((60.0..90.0).contains(up) && grown[1] >= 8, "{what}\n{}", story(&cycles[28..]));
        assert!(asked.len() <= 3, "{what}\n{}", story(&cycles[28..]));
        let last = cycles.last().expect("it ran");
        assert!(last.truth.lag().get() < 2.0, "{what}: {:?} behind", last.truth.lag());
        assert!(last.truth.parallelism[1] >= 8, "{what}: {:?}", last.truth.parallelism);
    }
}

#[test]
fn a_topic_that_falls_quiet_is_no_backlog_however_long_its_lag_grows() {
    for waiting in [Waiting::Idle, Waiting::Busy] {
        // Silence; and a few records now and then.
        for (trickle, what) in [(0.0, "nothing"), (3.0, "a few")] {
            let mut points = vec![(0, 500.0), (120, 0.0)];
            points.extend((1..20).flat_map(|n| [(120 + 90 * n, trickle), (121 + 90 * n, 0.0)]));
            let (scenario, policy) = late(Load::steps(&points), waiting);
            let (cycles, asked) = drive(&scenario, policy, 1800);
            let grew = asked.iter().find(|(_, sizes)| sizes[1] > 3 || sizes[2] > 1);
            assert_eq!(grew, None, "{waiting:?}, {what}: {asked:?}\n{}", story(&cycles[58..]));
        }
    }
}

#[test]
fn more_subtasks_than_cores_are_learned_and_not_added_to() {
    let (cycles, asked) = drive(&scenarios::burn(), policy(), 420);
    let ups: Vec<_> = asked.iter().filter(|(at, _)| *at > 120.0).collect();
    assert!(ups.len() <= 1, "{asked:?}\n{}", story(&cycles[55..120]));
}

#[test]
fn two_sources_a_join_and_a_window() {
    let (cycles, mut asked) = drive(&scenarios::diamond(), policy(), 560);
    // It begins with one subtask more than its load needs.
    asked.retain(|(at, _)| *at > 120.0);
    assert_eq!(asked.len(), 2, "{asked:?}\n{}", story(&cycles[55..110]));
}
