//! What the model promises, seen from outside: through observations, requests and the truth.

use std::time::Duration;

use super::*;
use crate::model::{Observation, Reading, Snapshot};
use crate::policy::Span;

pub(super) fn chain(load: Load, steps: &[(f64, u32)]) -> Scenario {
    let mut scenario = scenarios::demo();
    scenario.vertices = vec![VertexScenario::new("source", 0.05).with_load(load)];
    for (i, &(service_ms, parallelism)) in steps.iter().enumerate() {
        let step = VertexScenario::new(&format!("step {i}"), service_ms).with_parallelism(parallelism);
        scenario.vertices.push(step);
    }
    let names: Vec<_> = scenario.vertices.iter().map(|v| v.name.clone()).collect();
    scenario.edges = names.windows(2).map(|pair| EdgeScenario::new(&pair[0], &pair[1])).collect();
    scenario
}

pub(super) fn start(scenario: &Scenario) -> Simulation {
    Simulation::new(scenario).expect("a scenario that can be simulated")
}

pub(super) fn run(flink: &mut Simulation, seconds: f64) {
    flink.advance_to(flink.now() + Duration::from_secs_f64(seconds));
}

/// What is so now, by priming the metric store and reading a second later.
pub(super) fn see(flink: &mut Simulation) -> Snapshot {
    run(flink, 10.0);
    flink.prime();
    run(flink, 1.0);
    match flink.observe() {
        Observation::Seen(snapshot) => snapshot,
        Observation::Missed(missed) => panic!("{missed:?}"),
    }
}

/// Sets the most subtasks of one vertex, and leaves the others as they are.
pub(super) fn grow(flink: &mut Simulation, name: &str, upper: u32) -> Result<(), Refused> {
    let now = flink.truth().parallelism;
    let wanted = |(vertex, p): (&crate::model::Vertex, u32)| {
        (vertex.id, 1, if vertex.name == name { upper } else { p })
    };
    let wanted: Vec<_> = flink.graph().vertices().iter().zip(now).map(wanted).collect();
    flink.requirements(&wanted)
}

/// Differences of two readings of one vertex over its own clock.
struct Rates {
    read: f64,
    written: f64,
    service_ms: f64,
    busy: f64,
    idle: f64,
    back_pressured: f64,
}

fn rates(before: &Reading, after: &Reading) -> Rates {
    let diff = |of: fn(&Reading) -> Option<u64>| {
        of(after).zip(of(before)).map_or(f64::NAN, |(after, before)| (after - before) as f64)
    };
    let (busy, idle) = (diff(|r| r.busy_ms), diff(|r| r.idle_ms));
    let back_pressured = diff(|r| r.back_pressured_ms);
    let all = busy + idle + back_pressured;
    let seconds = all / 1000.0 / after.parallelism.as_f64();
    let read = diff(|r| r.read_records);
    Rates {
        read: read / seconds,
        written: diff(|r| r.write_records) / seconds,
        service_ms: busy / read,
        busy: busy / all,
        idle: idle / all,
        back_pressured: back_pressured / all,
    }
}

fn measure(flink: &mut Simulation) -> Vec<Rates> {
    let (before, after) = (see(flink), see(flink));
    before.vertices.iter().zip(&after.vertices).map(|(before, after)| rates(before, after)).collect()
}

pub(super) fn near(got: f64, expected: f64, share: f64) {
    assert!((got - expected).abs() <= expected.abs() * share, "{got} is not {expected}");
}

#[test]
fn a_steady_load_is_read_exactly() {
    let mut flink = start(&chain(Load::constant(500.0), &[(4.0, 3), (1.0, 1), (0.1, 1)]));
    let rates = measure(&mut flink);
    near(rates[0].written, 500.0, 0.001);
    for (step, service_ms, busy) in [(1, 4.0, 2.0 / 3.0), (2, 1.0, 0.5), (3, 0.1, 0.05)] {
        near(rates[step].read, 500.0, 0.001);
        near(rates[step].service_ms, service_ms, 0.01);
        near(rates[step].busy, busy, 0.01);
        near(rates[step].back_pressured, 0.0, 0.0);
    }
    near(flink.truth().backlog(), 0.0, 0.0);
}

#[test]
fn an_overload_pushes_back_upstream_and_starves_downstream() {
    // The second step can do 1000/s of 1500/s.
    let mut flink = start(&chain(Load::constant(1500.0), &[(1.0, 2), (4.0, 4), (0.1, 1)]));
    run(&mut flink, 60.0);
    let rates = measure(&mut flink);
    near(rates[0].written, 1000.0, 0.001);
    near(rates[0].back_pressured, 0.95, 0.01);
    near(rates[1].back_pressured, 0.5, 0.01);
    near(rates[1].idle, 0.0, 0.0);
    near(rates[2].busy, 1.0, 0.001);
    near(rates[2].service_ms, 4.0, 0.01);
    near(rates[3].idle, 0.9, 0.01);
    // What does not get through waits outside, but for what the buffers hold: 500 for each of six subtasks.
    near(flink.truth().backlog(), 82.0 * 500.0 - 3000.0, 0.001);
}

#[test]
fn a_step_is_first_swallowed_by_the_buffers() {
    let mut flink = start(&chain(Load::steps(&[(0, 100.0), (60, 1000.0)]), &[(2.0, 1)]));
    run(&mut flink, 60.9);
    // 500/s more than the step can do, and its buffer holds 500.
    near(flink.truth().backlog(), 0.0, 0.0);
    run(&mut flink, 1.1);
    near(flink.truth().backlog(), 500.0, 0.01);
}

#[test]
fn contention_skew_and_key_groups_are_part_of_capacity() {
    let plain = VertexScenario::new("step 0", 4.0);
    for (vertex, p, capacity, service_ms) in [
        (plain.clone(), 4, 1000.0, 4.0),
        // s(p) = a (1 + b (p - 1) + c p (p - 1)).
        (VertexScenario { contention: 0.1, ..plain.clone() }, 4, 4.0 / 5.2e-3, 5.2),
        (VertexScenario { contention: 0.1, coherency: 0.01, ..plain.clone() }, 4, 4.0 / 5.68e-3, 5.68),
        (VertexScenario { skew: 2.0, ..plain.clone() }, 4, 500.0, 4.0),
        (VertexScenario { skew: 2.0, ..plain.clone() }, 1, 250.0, 4.0),
        // 128 key groups on 100 subtasks: some have two, so 64 would do as much.
        (plain.clone(), 100, 16_000.0, 4.0),
        (VertexScenario { max_parallelism: 3, ..plain }, 2, 375.0, 4.0),
    ] {
        let mut scenario = chain(Load::constant(50_000.0), &[(1.0, 1)]);
        scenario.taskmanagers = 20;
        scenario.vertices[0].service_ms = 0.001;
        scenario.vertices[1] = VertexScenario { parallelism: p, ..vertex };
        let mut flink = start(&scenario);
        run(&mut flink, 10.0);
        let rates = measure(&mut flink);
        near(rates[1].read, capacity, 0.001);
        near(rates[1].service_ms, service_ms, 0.01);
    }
}

#[test]
fn a_cold_start_wears_off() {
    let mut scenario = chain(Load::constant(100.0), &[(2.0, 1)]);
    scenario.vertices[1].cold_start = Some(ColdStart { factor: 3.0, lasts: Span::from_secs(20) });
    let mut flink = start(&scenario);
    let (first, later) = (measure(&mut flink), measure(&mut flink));
    // From second 10 to second 21, in the mean over it: 2 x (1 + 2 x (20 - 15) / 20 x 10 / 11).
    near(first[1].service_ms, 2.0 * (1.0 + 0.5 * 10.0 / 11.0), 0.02);
    near(later[1].service_ms, 2.0, 0.01);
}

#[test]
fn a_window_emits_in_bursts_that_do_not_grow_with_its_input() {
    let mut scenario = chain(Load::steps(&[(0, 100.0), (200, 1000.0)]), &[(0.5, 1), (1.0, 1)]);
    scenario.vertices[1].window = Some(Window { every: Span::from_secs(5), keys: 200.0 });
    let mut flink = start(&scenario);
    let mut emitted = Vec::new();
    for _ in 0..100 {
        run(&mut flink, 0.2);
        emitted.push(flink.truth().throughput[2]);
    }
    assert!(emitted.contains(&0.0) && emitted.iter().any(|&rate| rate > 500.0), "{emitted:?}");
    run(&mut flink, 30.0);
    let (before, after) = {
        let before = see(&mut flink);
        run(&mut flink, 89.0);
        (before, see(&mut flink))
    };
    near(rates(&before.vertices[2], &after.vertices[2]).read, 40.0, 0.01);
    run(&mut flink, 60.0);
    let before = see(&mut flink);
    run(&mut flink, 89.0);
    near(rates(&before.vertices[2], &see(&mut flink).vertices[2]).read, 40.0, 0.01);
}

#[test]
fn a_source_says_what_its_connector_lets_it_say() {
    let mut scenario = chain(Load::constant(100.0), &[(1.0, 1)]);
    let reading = |scenario: &Scenario| see(&mut start(scenario)).vertices.swap_remove(0);
    let said = reading(&scenario);
    assert_eq!((said.read_records, said.pending_records), (Some(1000), Some(0)));
    assert!(said.idle_ms > said.busy_ms);
    let old = Scenario { flink_version: "1.20.5".parse().expect("a version"), ..scenario.clone() };
    assert_eq!(reading(&old).read_records, Some(0), "not before 2.0");
    let source = |scenario: &mut Scenario, change: fn(&mut SourceScenario)| {
        change(scenario.vertices[0].source.as_mut().expect("a source"));
    };
    source(&mut scenario, |s| (s.reports_pending, s.waiting) = (false, Waiting::Busy));
    let said = reading(&scenario);
    assert_eq!((said.pending_records, said.idle_ms), (None, Some(0)));
    assert_eq!(said.busy_ms, Some(10_000));
    source(&mut scenario, |s| s.waiting = Waiting::Unknown);
    let said = reading(&scenario);
    assert_eq!((said.busy_ms, said.idle_ms), (None, Some(0)));
    source(&mut scenario, |s| s.max_rate_per_subtask = Some(60.0));
    let mut flink = start(&scenario);
    run(&mut flink, 10.0);
    near(flink.truth().throughput[0], 60.0, 0.001);
    near(flink.truth().backlog(), 400.0, 0.001);
}

#[test]
fn answers_are_as_old_as_the_metric_store() {
    let mut scenario = chain(Load::constant(100.0), &[(1.0, 1)]);
    scenario.metrics = MetricScenario::default();
    let mut flink = start(&scenario);
    let mut diary = Vec::new();
    for second in [5, 6, 10, 16, 17, 26, 60, 61] {
        flink.advance_to(start(&scenario).now() + Duration::from_secs(second));
        let Observation::Seen(seen) = flink.observe() else { panic!("not seen at {second}") };
        diary.push((second, seen.vertices[1].read_records));
    }
    let expected = [
        (5, None),
        (6, Some(500)),
        (10, Some(500)),
        (16, Some(500)),
        (17, Some(1600)),
        (26, Some(1600)),
        (60, Some(1600)),
        (61, Some(6000)),
    ];
    // The poll at 16 finds the fetch of 5 older than 10 s, begins another, and is told the old one.
    assert_eq!(diary, expected);
}

#[test]
fn the_score_counts_slots_and_lateness() {
    // 100/s too many from second 100 on; 500 of them are in the buffers, so the first is 10 s old at about 115 s.
    let mut flink = start(&chain(Load::steps(&[(0, 900.0), (100, 1100.0)]), &[(2.0, 2)]));
    run(&mut flink, 100.0);
    near(flink.truth().slot_seconds.get(), 200.0, 1e-9);
    near(flink.truth().late.get(), 0.0, 0.0);
    run(&mut flink, 200.0);
    let truth = flink.truth();
    near(truth.slot_seconds.get(), 600.0, 0.001);
    near(truth.lag().get(), (truth.backlog() / 1000.0) * 1000.0 / 1100.0, 0.05);
    let late_from = 300.0 - truth.late.get();
    assert!((200.0..=225.0).contains(&late_from), "late from second {late_from} on");
}

#[test]
fn the_scenarios_that_come_along_run() {
    for name in scenarios::NAMES {
        let scenario = scenarios::named(name).expect("it is one of them");
        assert_eq!(scenario.name, name);
        let text = serde_json::to_string(&scenario).expect("it can be written");
        assert_eq!(serde_json::from_str::<Scenario>(&text).ok().as_ref(), Some(&scenario));
        let mut flink = start(&scenario);
        assert!(see(&mut flink).is_fully_running(), "{name}");
    }
    assert!(scenarios::named("nothing").is_none());
}
