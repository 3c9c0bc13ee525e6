//! Stories of TaskManagers that come before a job grows and go after it has shrunk, on the simulator.

use std::time::Duration;

use tidegate::guard::Hold;
use tidegate::model::RescaleEnd;
use tidegate::policy::{
    Behavior, Limits, Policy, PolicySpec, ReplicaBounds, Rule, ScalingPolicyType, ScalingRate, ScalingRules,
    Span, Throughput,
};
use tidegate::record::Outcome;
use tidegate::simulate::{
    Crash, Drive, Driven, EdgeScenario, Load, Scenario, SchedulerKind, Simulation, VertexScenario,
    WorkloadKind, WorkloadScenario, scenarios,
};

/// The throughput rule with its defaults, polled every 2 s, with windows as short as the stories are.
fn policy() -> Policy {
    let scale_down = ScalingRules { stabilization_window_seconds: Some(60), ..ScalingRules::default() };
    Policy {
        poll: Span::from_secs(2),
        replicas: ReplicaBounds { min: Some(1), max: Some(6) },
        spec: PolicySpec {
            rules: vec![Rule::Throughput(Throughput::default())],
            behavior: Behavior { scale_down, ..Behavior::default() },
            limits: Limits { cooldown: Span::from_secs(30), ..Limits::default() },
            ..PolicySpec::default()
        },
        ..Policy::default()
    }
}

/// A step of 4 ms a record on TaskManagers of four slots, one at the start.
fn scenario(load: Load, workload: WorkloadScenario) -> Scenario {
    Scenario {
        name: "replicas".to_owned(),
        taskmanagers: 1,
        slots_per_taskmanager: 4,
        workload: Some(workload),
        vertices: vec![
            VertexScenario::new("source", 0.01).with_load(load),
            VertexScenario::new("parse", 4.0).with_parallelism(3),
            VertexScenario::new("enrich", 1.0),
        ],
        edges: vec![EdgeScenario::new("source", "parse"), EdgeScenario::new("parse", "enrich")],
        ..scenarios::demo()
    }
}

fn threefold_and_back() -> Load {
    Load::steps(&[(0, 500.0), (60, 1500.0), (240, 400.0)])
}

/// What was asked for in a story: the second, and what.
#[derive(Debug, PartialEq)]
enum Asked {
    Replicas(u32, u32),
    Parse(u32),
}

/// A run whose daemon crashes when it acts for the time after `step` others.
fn crashing(mut drive: Drive, crash: Crash, step: usize, time: Duration) -> Story {
    let (mut acted, mut cycles) = (0, Vec::new());
    while drive.elapsed() < time {
        if acted == step {
            drive.crash_when_acting(crash);
        }
        let cycle = drive.cycle();
        acted += usize::from(cycle.begun.is_some());
        cycles.push(cycle);
    }
    Story { cycles, asked: Vec::new() }
}

struct Story {
    cycles: Vec<Driven>,
    asked: Vec<(u64, Asked)>,
}

impl Story {
    fn told(drive: &mut Drive, until: u64) -> Self {
        let mut cycles = Vec::new();
        while drive.elapsed() < Duration::from_secs(until) {
            cycles.push(drive.cycle());
        }
        let start = drive.start();
        let asked = cycles.iter().filter(|cycle| cycle.outcome == Outcome::Applied).map(|cycle| {
            let plan = cycle.decision.plan().expect("what was applied has a plan");
            let what = plan.scale.as_ref().map_or(Asked::Parse(plan.changes[1].to.get()), |scale| {
                Asked::Replicas(scale.from, scale.to)
            });
            (cycle.at.since(start).as_secs(), what)
        });
        let asked = asked.collect();
        Self { cycles, asked }
    }

    fn of(scenario: &Scenario, policy: Policy, until: u64) -> Self {
        Self::told(&mut drive(scenario, policy), until)
    }

    fn replicas(&self) -> Vec<(u32, u32)> {
        let replicas = self.asked.iter().filter_map(|(_, asked)| match asked {
            Asked::Replicas(from, to) => Some((*from, *to)),
            Asked::Parse(_) => None,
        });
        replicas.collect()
    }

    fn sizes(&self) -> Vec<u32> {
        let sizes = self.asked.iter().filter_map(|(_, asked)| match asked {
            Asked::Parse(size) => Some(*size),
            Asked::Replicas(..) => None,
        });
        sizes.collect()
    }

    fn last(&self) -> &Driven {
        self.cycles.last().expect("a story has cycles")
    }

    fn held(&self, kind: &str) -> usize {
        let holds = |cycle: &&Driven| cycle.decision.holds.iter().any(|hold| hold.kind() == kind);
        self.cycles.iter().filter(holds).count()
    }

    /// Every change of what was chosen, for a test that fails.
    fn diary(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        let mut last = String::new();
        for cycle in &self.cycles {
            let kinds: Vec<_> = cycle.decision.holds.iter().map(Hold::kind).collect();
            let plan = cycle.decision.plan().map(|plan| {
                (plan.changes.iter().map(|c| c.to.get()).collect::<Vec<_>>(), plan.scale.clone())
            });
            let truth = &cycle.truth;
            let line = format!(
                "{:?} {}/{:?} {} {kinds:?} {plan:?}",
                truth.parallelism,
                truth.taskmanagers,
                truth.replicas,
                cycle.outcome.kind()
            );
            if line != last {
                lines.push(format!("{} {line}", cycle.at));
                last = line;
            }
        }
        lines.join("\n")
    }
}

fn drive(scenario: &Scenario, policy: Policy) -> Drive {
    Drive::new(Simulation::new(scenario).expect("the scenario can be simulated"), policy)
}

#[test]
fn taskmanagers_come_first_and_go_last() {
    for kind in [WorkloadKind::Deployment, WorkloadKind::StatefulSet] {
        for seed in 0..5 {
            let workload = WorkloadScenario { kind, ..WorkloadScenario::default() };
            let load = Load { noise: 0.03, ..threefold_and_back() };
            let story = Story::of(&Scenario { seed, ..scenario(load, workload) }, policy(), 500);
            let [
                (grew, Asked::Replicas(1, 3)),
                (_, Asked::Parse(up)),
                (_, Asked::Parse(down)),
                (shrank, Asked::Replicas(3, 1)),
            ] = &story.asked[..]
            else {
                panic!("{kind:?}, seed {seed}: {:?}\n{}", story.asked, story.diary())
            };
            assert!((60..68).contains(grew) && up.abs_diff(9) <= 1 && *down <= 4, "{:?}", story.asked);
            // The window for scaling down, and the time for which Flink keeps slots.
            assert!((300..420).contains(shrank), "{:?}", story.asked);
            let last = &story.last().truth;
            assert_eq!((last.replicas, last.taskmanagers), (Some(1), 1));
            assert_eq!(last.restarts, 2, "one for each rescale, none for a TaskManager that went");
        }
    }
}

#[test]
fn a_busy_taskmanager_never_goes() {
    // In a session cluster a job's slots may be spread: four slots of three TaskManagers are two, one and one.
    let workload = WorkloadScenario { spread: true, ..WorkloadScenario::default() };
    let story = Story::of(&scenario(threefold_and_back(), workload), policy(), 700);
    let last = story.last();
    assert_eq!((last.truth.replicas, last.truth.restarts), (Some(3), 2), "{}", story.diary());
    let kinds: Vec<_> = last.decision.holds.iter().map(Hold::kind).collect();
    assert_eq!(kinds, ["NoIdleTaskManager"], "{}", story.diary());
}

#[test]
fn without_room_the_job_takes_what_there_is_and_more_is_asked_for_later() {
    for (what, workload, gives_up) in [
        ("no node", WorkloadScenario { room: Some(2), ..WorkloadScenario::default() }, 360..372),
        ("a quota", WorkloadScenario { quota: Some(2), ..WorkloadScenario::default() }, 90..102),
        (
            "a quota of a StatefulSet",
            WorkloadScenario {
                quota: Some(2),
                kind: WorkloadKind::StatefulSet,
                ..WorkloadScenario::default()
            },
            90..120,
        ),
    ] {
        // Twice as much as what there is room for can take in.
        let load = Load::steps(&[(0, 500.0), (60, 2400.0)]);
        let story = Story::of(&scenario(load, workload), policy(), 1100);
        let first: Vec<_> = story.asked.iter().take(3).collect();
        let [(_, Asked::Replicas(1, 4..)), (fitted, Asked::Parse(8)), (back, Asked::Replicas(4.., 2))] =
            &first[..]
        else {
            panic!("{what}: {:?}\n{}", story.asked, story.diary())
        };
        assert!(gives_up.contains(fitted), "{what}: {:?}", story.asked);
        assert!(*back < gives_up.end + 120, "{what}: {:?}\n{}", story.asked, story.diary());
        // Ten minutes later.
        let again = story
            .asked
            .iter()
            .skip(3)
            .find(|(_, asked)| matches!(asked, Asked::Replicas(2, more) if *more > 2));
        let (again, _) = again.unwrap_or_else(|| panic!("{what}: {:?}\n{}", story.asked, story.diary()));
        assert!((fitted + 590..fitted + 660).contains(again), "{what}: {:?}", story.asked);
        // The job's restarts are those by which it takes what there is: in between, others of its vertices may.
        let (last, sizes) = (&story.last().truth, story.sizes());
        assert!(
            sizes.iter().all(|&size| size == 8) && last.restarts as usize == sizes.len(),
            "{what}: {sizes:?}"
        );
        assert_eq!(last.taskmanagers, 2, "{what}");
    }
}

#[test]
fn a_load_that_falls_while_slots_are_awaited_gives_the_taskmanagers_back() {
    let workload = WorkloadScenario { starts_within: Span::from_secs(120), ..WorkloadScenario::default() };
    let load = Load::steps(&[(0, 500.0), (60, 1500.0), (90, 450.0)]);
    let story = Story::of(&scenario(load, workload), policy(), 400);
    let last = &story.last().truth;
    assert_eq!((last.replicas, last.taskmanagers), (Some(1), 1), "{:?}\n{}", story.asked, story.diary());
    assert_eq!(story.replicas().first(), Some(&(1, 3)), "{:?}", story.asked);
    assert!(story.held("SlotsAwaited") > 5, "{}", story.diary());
}

#[test]
fn a_load_that_rises_further_while_slots_are_awaited_takes_one_rescale() {
    let workload = WorkloadScenario { starts_within: Span::from_secs(40), ..WorkloadScenario::default() };
    let load = Load::steps(&[(0, 500.0), (60, 1500.0), (80, 2400.0)]);
    let story = Story::of(&scenario(load, workload), policy(), 150);
    assert_eq!(story.sizes().len(), 1, "{:?}\n{}", story.asked, story.diary());
    assert!(story.sizes()[0] >= 14, "{:?}", story.asked);
    assert!(story.replicas().len() >= 2, "{:?}", story.asked);
}

#[test]
fn idle_taskmanagers_go_no_faster_than_the_behavior_lets_them() {
    let mut policy = policy();
    policy.spec.behavior.scale_down.policies =
        vec![ScalingRate { kind: ScalingPolicyType::Pods, value: 1, period_seconds: 60 }];
    let scenario =
        Scenario { taskmanagers: 4, ..scenario(Load::steps(&[(0, 500.0)]), WorkloadScenario::default()) };
    let story = Story::of(&scenario, policy, 400);
    assert_eq!(story.replicas(), [(4, 3), (3, 2), (2, 1)], "{}", story.diary());
    let seconds: Vec<_> = story.asked.iter().map(|(second, _)| *second).collect();
    assert!(seconds.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{seconds:?}");
}

#[test]
fn there_are_never_fewer_taskmanagers_than_the_least() {
    let policy = Policy { replicas: ReplicaBounds { min: Some(2), max: Some(6) }, ..policy() };
    let story = Story::of(&scenario(threefold_and_back(), WorkloadScenario::default()), policy, 600);
    assert_eq!(story.replicas(), [(1, 2), (2, 3), (3, 2)], "{}", story.diary());
}

#[test]
fn a_crash_at_any_step_changes_nothing_of_how_it_ends() {
    let scenario = scenario(threefold_and_back(), WorkloadScenario::default());
    for crash in [Crash::BeforeAsking, Crash::AfterAsking] {
        // The steps of the story: replicas up, sizes up, sizes down, replicas down.
        for step in 0..4 {
            let story = crashing(drive(&scenario, policy()), crash, step, Duration::from_mins(15));
            let last = &story.last().truth;
            let what = format!("{crash:?} at step {step}\n{}", story.diary());
            assert_eq!((last.replicas, last.taskmanagers, last.running), (Some(1), 1, true), "{what}");
            assert!(last.parallelism[1] <= 4 && last.restarts == 2, "{what}");
            assert!(last.backlog() < 100.0, "{what}");
        }
    }
}

/// Stories of a job in reactive mode: TaskManagers of two slots, three at the start.
fn reactive(load: Load, workload: WorkloadScenario) -> Scenario {
    Scenario {
        scheduler: SchedulerKind::Reactive,
        taskmanagers: 3,
        slots_per_taskmanager: 2,
        ..scenario(load, workload)
    }
}

fn of_reactive() -> Policy {
    Policy { has_workload: true, replicas: ReplicaBounds { min: Some(1), max: Some(8) }, ..policy() }
}

#[test]
fn in_reactive_mode_the_size_follows_the_taskmanagers() {
    for version in ["1.18.1", "1.20.5", "2.3.0"] {
        for seed in 0..3 {
            let scenario = reactive(threefold_and_back(), WorkloadScenario::default());
            let scenario = Scenario { seed, flink_version: version.parse().expect("a version"), ..scenario };
            let mut drive = drive(&scenario, of_reactive());
            let story = Story::told(&mut drive, 600);
            let what = format!("{version}, seed {seed}: {:?}\n{}", story.asked, story.diary());
            let replicas = story.replicas();
            assert_eq!(replicas.len(), story.asked.len(), "nothing else is asked for: {what}");
            // 500/s need three subtasks, 1500/s nine or ten, 400/s three.
            let (most, last) = (replicas.iter().map(|(_, to)| *to).max(), &story.last().truth);
            assert!(matches!(most, Some(5 | 6)), "{what}");
            assert_eq!(
                (last.replicas, last.taskmanagers, &last.parallelism[..]),
                (Some(2), 2, &[4; 3][..]),
                "{what}"
            );
            let ends: Vec<_> = drive.state.ledger.rescales.iter().map(|rescale| rescale.end).collect();
            assert_eq!(ends, vec![RescaleEnd::Done; replicas.len()], "{what}");
            assert_eq!(last.restarts as usize, replicas.len(), "one restart for each: {what}");
            assert!(last.backlog() < 100.0, "{what}");
        }
    }
}

#[test]
fn in_reactive_mode_too_the_job_takes_what_there_is_room_for() {
    let workload = WorkloadScenario { room: Some(4), ..WorkloadScenario::default() };
    let load = Load::steps(&[(0, 700.0), (60, 2400.0)]);
    let story = Story::of(&reactive(load, workload), of_reactive(), 800);
    let last = &story.last().truth;
    let what = format!("{:?}\n{}", story.asked, story.diary());
    assert_eq!(
        (last.replicas, last.taskmanagers, &last.parallelism[..]),
        (Some(4), 4, &[8; 3][..]),
        "{what}"
    );
    assert_eq!(last.restarts, 1, "{what}");
}

#[test]
fn a_crash_in_reactive_mode_changes_nothing_of_how_it_ends() {
    for crash in [Crash::BeforeAsking, Crash::AfterAsking] {
        for step in 0..3 {
            let scenario = reactive(threefold_and_back(), WorkloadScenario::default());
            let story = crashing(drive(&scenario, of_reactive()), crash, step, Duration::from_mins(12));
            let last = &story.last().truth;
            let what = format!("{crash:?} at step {step}\n{}", story.diary());
            assert_eq!(
                (last.replicas, last.taskmanagers, &last.parallelism[..]),
                (Some(2), 2, &[4; 3][..]),
                "{what}"
            );
        }
    }
}
