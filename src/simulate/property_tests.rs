//! What holds for every scenario.

use proptest::prelude::*;

use super::model_tests::{grow, run, start};
use super::*;
use crate::model::Observation;
use crate::policy::Span;

prop_compose! {
    fn a_load()(
        rates in prop::collection::vec(0.0..5000.0, 1..5),
        noise in 0.0..0.25,
        repeat in prop::option::of(20_u64..200),
    ) -> Load {
        let points = rates.iter().zip(0_u64..).map(|(&rate, i)| (i * 30, rate)).collect::<Vec<_>>();
        Load { noise, repeat: repeat.map(Span::from_secs), ..Load::steps(&points) }
    }
}

prop_compose! {
    fn a_vertex(name: String)(
        service_ms in 0.0..5.0,
        parallelism in 1_u32..6,
        (contention, coherency, skew) in (0.0..0.5, 0.0..0.1, 1.0..3.0),
        cold in prop::option::of((1.0..5.0, 1_u64..60)),
        window in prop::option::weighted(0.2, (1_u64..20, 1.0..500.0)),
        group in 0..2,
    ) -> VertexScenario {
        VertexScenario {
            contention,
            coherency,
            skew,
            cold_start: cold.map(|(factor, lasts)| ColdStart { factor, lasts: Span::from_secs(lasts) }),
            window: window.map(|(every, keys)| Window { every: Span::from_secs(every), keys }),
            slot_sharing_group: format!("group {group}"),
            ..VertexScenario::new(&name, service_ms).with_parallelism(parallelism)
        }
    }
}

fn a_fault() -> impl Strategy<Value = FaultKind> {
    let lasts = (1_u64..60).prop_map(Span::from_secs);
    prop_oneof![
        (1_u32..3).prop_map(|count| FaultKind::TaskmanagersLost { count }),
        (1_u32..3).prop_map(|count| FaultKind::TaskmanagersAdded { count }),
        lasts.clone().prop_map(|lasts| FaultKind::JobmanagerLost { lasts }),
        lasts.clone().prop_map(|lasts| FaultKind::Unreachable { lasts }),
        lasts.clone().prop_map(|lasts| FaultKind::SlowAnswers { lasts, delay: lasts }),
        lasts.prop_map(|lasts| FaultKind::StaleMetrics { lasts }),
        Just(FaultKind::Cancelled),
        Just(FaultKind::Resubmitted),
        Just(FaultKind::ClockAhead { by: Span::from_secs(7) }),
    ]
}

prop_compose! {
    /// A random graph: every vertex but the first may have edges from any before it.
    fn a_scenario()(count in 1_usize..6)(
        vertices in (0..count).map(|i| a_vertex(format!("v{i}"))).collect::<Vec<_>>(),
        loads in prop::collection::vec(a_load(), count),
        links in prop::collection::vec(prop::collection::vec(any::<bool>(), count), count),
        selectivity in prop::collection::vec(0.0..3.0, count),
        version in prop::sample::select(vec!["1.17.2", "1.18.1", "1.20.5", "2.3.0"]),
        faults in prop::collection::vec((0_u64..300, a_fault()), 0..5),
        checkpoints in prop::option::of(1_u64..40),
        seed in any::<u64>(),
    ) -> Scenario {
        let mut scenario = scenarios::demo();
        scenario.edges.clear();
        for to in 0..vertices.len() {
            for from in (0..to).filter(|&from| links[to][from]) {
                let edge = EdgeScenario::new(&vertices[from].name, &vertices[to].name);
                scenario.edges.push(EdgeScenario { selectivity: selectivity[to], ..edge });
            }
        }
        let fed = |name: &str| scenario.edges.iter().any(|edge| edge.to == name);
        scenario.vertices = vertices
            .into_iter()
            .zip(loads)
            .map(|(vertex, load)| if fed(&vertex.name) { vertex } else { vertex.with_load(load) })
            .collect();
        scenario.flink_version = version.parse().expect("a version");
        scenario.seed = seed;
        scenario.checkpoints = checkpoints.map(|interval| CheckpointScenario {
            interval: Span::from_secs(interval),
            duration: Span::from_millis(500),
        });
        scenario.faults = faults.into_iter().map(|(at, what)| Fault { at: Span::from_secs(at), what }).collect();
        scenario
    }
}

/// Runs a scenario for five minutes in rounds of 15 s, each in so many parts, with a rescale now and then.
fn journal(scenario: &Scenario, looks: u32) -> (Vec<Observation>, Vec<Truth>) {
    let mut flink = start(scenario);
    let (mut seen, mut truths) = (Vec::new(), Vec::new());
    for round in 0..20 {
        for _ in 0..looks {
            run(&mut flink, 15.0 / f64::from(looks));
        }
        if round % 4 == 1 {
            // Refusals are part of it.
            let _ = grow(&mut flink, "v1", round / 2 + 1);
        }
        flink.prime();
        seen.push(flink.observe());
        truths.push(flink.truth());
    }
    (seen, truths)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_scenario_keeps_records_and_time(scenario in a_scenario()) {
        let (seen, truths) = journal(&scenario, 1);
        for truth in &truths {
            for source in &truth.sources {
                prop_assert!(source.backlog.is_finite() && source.backlog >= 0.0, "{source:?}");
                prop_assert!(source.backlog <= source.arrived + 1e-6, "{source:?}");
                prop_assert!(source.lag.get() <= 300.0, "{source:?}");
            }
            prop_assert!(truth.throughput.iter().all(|rate| rate.is_finite() && *rate >= 0.0), "{truth:?}");
            prop_assert!(truth.slot_seconds.get() <= 300.0 * 100.0);
        }
        for observation in seen {
            let Observation::Seen(snapshot) = observation else { continue };
            for reading in &snapshot.vertices {
                let times = [reading.busy_ms, reading.idle_ms, reading.back_pressured_ms];
                let Some(clock) = times.into_iter().sum::<Option<u64>>() else { continue };
                // Subtasks start together, so their clocks agree: to the millisecond.
                prop_assert_eq!(clock % u64::from(reading.parallelism.get()), 0, "{:?}", reading);
            }
        }
    }

    #[test]
    fn every_scenario_gives_the_same_run_again_in_however_small_parts(scenario in a_scenario()) {
        let once = journal(&scenario, 1);
        prop_assert_eq!(&once, &journal(&scenario, 1));
        prop_assert_eq!(&once, &journal(&scenario, 30));
    }
}
