//! What holds for any options and any metrics, however mad.

use std::time::Duration;

use proptest::prelude::*;

use super::align::{Alignment, AlignmentMode};
use super::cycle::{Autoscaler, Cycle, Look};
use super::excluded::Period;
use super::job::JobDecision;
use super::memory::{Buffers, Pools, Tuning, Usage, tune};
use super::options::{AdjustMode, BusyTime, Options};
use super::reading::{Aggregate, TaskManagerMetrics, VertexReading};
use super::resources::{TaskManager, quota_reached};
use super::topology::{Topology, Vertex};
use crate::model::{Ship, Timestamp};

const VERTICES: usize = 4;

/// Often a usual number, often one that is none. (A union of strategies would take most of the test's time.)
fn any_float() -> impl Strategy<Value = f64> {
    (0..16_u8, 0.0..1e4).prop_map(|(pick, usual)| match pick {
        0..=2 => 0.0,
        3 => f64::NAN,
        4 => f64::INFINITY,
        5 => f64::NEG_INFINITY,
        6 => -1.0,
        7 => usual * 1e300,
        8 => usual * f64::MIN_POSITIVE,
        _ => usual,
    })
}

fn options() -> impl Strategy<Value = Options> {
    let floats = prop::collection::vec(any_float(), 9);
    let seconds = prop::collection::vec(prop_oneof![Just(0), 0..100_u64, Just(u64::MAX / 4)], 6);
    let counts = prop::collection::vec(prop_oneof![0..4_u32, Just(u32::MAX)], 4);
    let modes = (0..3_u8, 0..6_u8, any::<[bool; 6]>());
    (floats, seconds, counts, modes).prop_map(|(floats, seconds, counts, (busy, alignment, on))| {
        let time = |nth: usize| Duration::from_secs(seconds[nth]);
        let names = ["BALANCED", "EVENLY_SPREAD", "OFF", "a plugin"];
        Options {
            utilization_target: floats[0],
            utilization_max: on[4].then_some(floats[1]),
            utilization_min: on[5].then_some(floats[2]),
            utilization_boundary: floats[3],
            scale_down_max_factor: floats[4],
            scale_up_max_factor: floats[5],
            observed_rate_switch_threshold: floats[6],
            effectiveness_threshold: floats[7],
            observed_scalability_coefficient_min: floats[8],
            metrics_window: time(0),
            stabilization_interval: time(1),
            scale_down_interval: time(2),
            catch_up_duration: time(3),
            restart_time: time(4),
            history_max_age: time(5),
            vertex_min_parallelism: counts[0],
            vertex_max_parallelism: counts[1].saturating_add(20),
            history_max_count: counts[2],
            observed_scalability_min_observations: counts[3],
            effectiveness_detection: on[0],
            observed_scalability: on[1],
            restart_time_tracking: on[2],
            maximize_managed_memory: on[3],
            busy_time: [BusyTime::Max, BusyTime::Min, BusyTime::Avg][usize::from(busy)],
            alignment_mode: names.get(usize::from(alignment)).map(|name| (*name).to_owned()),
            adjust_mode: (alignment > 4).then_some(AdjustMode::MaximizeUtilisation),
            ..Options::default()
        }
    })
}

fn reading() -> impl Strategy<Value = VertexReading> {
    let floats: [_; 11] = std::array::from_fn(|_| any_float());
    (floats, any::<[bool; 4]>()).prop_map(|(float, known)| VertexReading {
        read_records: float[0],
        write_records: float[1],
        accumulated_busy_ms: float[2],
        busy_ms_per_second: Aggregate { min: float[3], max: float[4], avg: float[5] },
        back_pressured_ms_per_second: float[6],
        pending_records: known[0].then_some(float[7]),
        records_in_per_second: known[1].then_some(float[8]),
        source_records_in: known[2].then_some(float[9]),
        source_records_out: known[3].then_some(float[10]),
    })
}

/// A graph of any shape: each vertex reads from some of those before it.
fn topology() -> impl Strategy<Value = Topology> {
    let size = || prop_oneof![1..40_u32, Just(32_768)];
    let vertex = (size(), size(), prop::option::of(0..200_u32), any::<[bool; VERTICES]>(), any::<bool>());
    prop::collection::vec(vertex, VERTICES).prop_map(|vertices| {
        let make = |(index, (parallelism, max, partitions, reads, keyed)): (usize, _)| {
            let (reads, ship): ([bool; VERTICES], _) =
                (reads, if keyed { Ship::Hash } else { Ship::Forward });
            Vertex {
                id: index.to_string(),
                parallelism,
                max_parallelism: parallelism.max(max),
                partitions,
                slot_sharing_group: keyed.then(|| "keyed".to_owned()),
                finished: false,
                inputs: (0..index).filter(|from| reads[*from]).map(|from| (from, ship)).collect(),
            }
        };
        Topology::new(vertices.into_iter().enumerate().map(make).collect()).expect("inputs come first")
    })
}

/// The sizes that a cycle asks for, and what is known when it is asked.
fn run(options: &Options, topology: &Topology, polls: &[(u32, Vec<VertexReading>)]) -> Vec<Cycle> {
    let mut autoscaler = Autoscaler::default();
    let mut now = Timestamp::default();
    let cycle = |(seconds, readings): &(u32, Vec<VertexReading>)| {
        now = now + Duration::from_secs(u64::from(*seconds));
        let look = Look {
            topology,
            readings,
            global: TaskManagerMetrics::default().to_sample(),
            running_since: Timestamp::default(),
            now,
            blocked: false,
        };
        autoscaler.cycle(options, &look).ok()
    };
    polls.iter().filter_map(cycle).collect()
}

fn decision(cycle: &Cycle) -> Option<&JobDecision> {
    match cycle {
        Cycle::Balanced(_, decision) | Cycle::Blocked(_, decision) | Cycle::Scaled(_, decision) => {
            Some(decision)
        }
        Cycle::TooFewSamples | Cycle::Filling(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn sizes_are_possible_and_the_same_twice(
        options in options(),
        topology in topology(),
        polls in prop::collection::vec((0..40_u32, prop::collection::vec(reading(), VERTICES)), 1..6),
    ) {
        let cycles = run(&options, &topology, &polls);
        let again = run(&options, &topology, &polls);
        prop_assert_eq!(cycles.len(), again.len());
        for (cycle, again) in cycles.iter().zip(&again) {
            let (Some(decision), Some(again)) = (decision(cycle), decision(again)) else { continue };
            let outcomes = |decision: &JobDecision| -> Vec<_> {
                decision.vertices.iter().map(|decided| decided.map(|decided| decided.outcome)).collect()
            };
            prop_assert_eq!(outcomes(decision), outcomes(again));
            let changes = decision.changes();
            for (vertex, to) in topology.vertices().iter().zip(&changes) {
                let most = vertex.max_parallelism.min(vertex.parallelism.max(options.vertex_max_parallelism));
                prop_assert!(to.is_none_or(|to| (1..=most).contains(&to)), "{:?} to {:?}", vertex, to);
            }
            let taskmanager = TaskManager { slots: 0, cpu: Some(f64::NAN), memory: u64::MAX };
            let _ = quota_reached(&options, &topology, &changes, taskmanager);
        }
    }

    #[test]
    fn alignment_never_turns_a_scaling_around(
        current in 1..200_u32,
        target in 0..200_u32,
        partitions in prop::option::of(0..300_u32),
        max_parallelism in 0..300_u32,
        lower in 0..200_u32,
        upper in 0..400_u32,
    ) {
        let alignment = Alignment { current, target, partitions, max_parallelism, lower, upper, keyed: true };
        let modes = [
            AlignmentMode::Balanced,
            AlignmentMode::EvenlySpread,
            AlignmentMode::Off,
            AlignmentMode::Legacy(AdjustMode::EvenlySpread),
            AlignmentMode::Legacy(AdjustMode::MaximizeUtilisation),
        ];
        for mode in modes {
            let got = alignment.align(mode).parallelism;
            let is_kept = (target >= current && got >= current) || (target <= current && got <= current);
            prop_assert!(is_kept, "{:?} {:?}: {}", alignment, mode, got);
        }
    }

    #[test]
    fn memory_is_never_more_than_was_given(
        options in options(),
        overhead in any_float(),
        topology in topology(),
        process in 1_u64 << 29..1 << 50,
        used in (any_float(), any_float(), any_float()),
        slots in any::<(u32, u32)>(),
    ) {
        let options = Options { memory_tuning_overhead: overhead, ..options };
        let pools = Pools::of_process(process);
        let tuned = pools.and_then(|pools| {
            let tuning = Tuning {
                topology: &topology,
                changes: &[Some(1), None],
                pools,
                slots: slots.0,
                slots_used: slots.1,
                usage: Usage { heap: used.0 * 1e6, managed: used.1 * 1e6, metaspace: used.2 * 1e6 },
                buffers: Buffers::default(),
            };
            tune(&options, &tuning)
        });
        prop_assert!(tuned.is_none_or(|tuned| tuned.process <= process));
    }

    #[test]
    fn any_text_is_a_period_or_an_error(text in "[0-9*?LW#/,:& -]{0,30}|\\PC{0,20}", day in 1..29_i8, hour in 0..24_i8) {
        let at = jiff::civil::date(2024, 2, day).at(hour, 59, 59, 0);
        let _ = Period::parse(&text).map(|period| period.contains(at));
    }
}
