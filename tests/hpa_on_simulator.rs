//! An HPA that is brought along by `tidegate import` sizes a job on the simulator as the HPA itself does.

use std::time::Duration;

use tidegate::config::{Library, Source, load};
use tidegate::import::{Fill, Translation, import};
use tidegate::model::{Phase, Ready, ReadyStatus, Timestamp};
use tidegate::policy::hpa::{
    Ask, History, Metric, Observed, Pod, PodMetrics, Sample, Settings, Source as From, Timing, step,
};
use tidegate::policy::{Policy, Span};
use tidegate::record::Outcome;
use tidegate::simulate::{
    Drive, EdgeScenario, Load, Scenario, Simulation, VertexScenario, WorkloadScenario, scenarios,
};

const HPA: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: flink-taskmanager}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: flink-taskmanager}
  minReplicas: 3
  maxReplicas: 10
  metrics:
    - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}
";

/// What each pod requests, in thousandths of a core: the simulator's.
const REQUEST: i64 = 1000;

/// How often the HPA's controller looks, and Tidegate with the imported policy here.
const EVERY: Duration = Duration::from_secs(15);

/// From a pod's start until it serves: the simulator's.
const STARTS_WITHIN: Duration = Duration::from_secs(7);

/// What the TaskManagers use of CPU together, in thousandths of a core: from which second, and how much.
const COURSE: [(u64, i64); 5] = [(0, 1450), (1200, 2700), (3600, 9000), (6000, 3200), (9000, 900)];

/// The size that each part of the course comes to: CPU over half a core, within 3 and 10.
const SIZES: [u32; 5] = [3, 6, 10, 7, 3];

fn used(second: u64) -> i64 {
    COURSE.iter().rev().find(|(from, _)| *from <= second).map_or(0, |(_, used)| *used)
}

/// Where each part of the course ends.
fn ends() -> impl Iterator<Item = u64> {
    COURSE.iter().skip(1).map(|(from, _)| *from).chain([12_000])
}

fn imported() -> Policy {
    let imported = import(&[Source::new("hpa.yaml", HPA)], &Fill::default()).expect("it is sound");
    let documents: Vec<String> =
        imported.translations.iter().flat_map(Translation::documents).map(|one| one.to_string()).collect();
    let config = load(&[Source::new("imported.yaml", documents.join("\n---\n"))], &Library::built_in())
        .unwrap_or_else(|errors| panic!("{errors}"));
    let [autoscaler] = &config.autoscalers[..] else { panic!("one autoscaler") };
    Policy { poll: Span::from(EVERY), ..autoscaler.policy.clone() }
}

/// The replicas of the workload at the end of each part, with Tidegate at the wheel; and how often the job was restarted.
fn by_tidegate() -> (Vec<u32>, u32) {
    let scenario = Scenario {
        name: "hpa".to_owned(),
        taskmanagers: 3,
        slots_per_taskmanager: 2,
        workload: Some(WorkloadScenario::default()),
        vertices: vec![
            VertexScenario::new("source", 0.01).with_load(Load::constant(100.0)).with_parallelism(6),
            VertexScenario::new("work", 1.0).with_parallelism(6),
        ],
        edges: vec![EdgeScenario::new("source", "work")],
        ..scenarios::demo()
    };
    let mut drive = Drive::new(Simulation::new(&scenario).expect("it is sound"), imported());
    let mut sizes = Vec::new();
    for end in ends() {
        while drive.until_next() < Duration::from_secs(end) {
            drive.simulation.use_cpu(used(drive.until_next().as_secs()));
            let cycle = drive.cycle();
            assert!(!matches!(cycle.outcome, Outcome::Failed { .. }), "{:?}", cycle.outcome);
        }
        sizes.push(drive.simulation.truth().replicas.expect("there is a workload"));
    }
    (sizes, drive.simulation.truth().restarts)
}

/// The same by the HPA's own rules, as its controller would have it: the size is set at once.
fn by_the_hpa() -> Vec<u32> {
    let settings = Settings { min: 3, max: 10, ..Settings::default() };
    let (mut history, mut started) = (History::default(), vec![Timestamp::default(); 3]);
    let mut sizes = Vec::new();
    let mut second = EVERY.as_secs();
    for end in ends() {
        while second < end {
            let now = Timestamp::default() + Duration::from_secs(second);
            let serving = started.iter().filter(|at| now.since(**at) >= STARTS_WITHIN).count();
            let each = used(second) / i64::try_from(serving).expect("a few");
            let pods: Vec<Pod> = started.iter().map(|at| pod(*at, each, now)).collect();
            let pods = PodMetrics {
                source: From::Resource,
                pods: &pods,
                strangers: &[],
                cpu: Some(Timing::default()),
                now,
            };
            let metric =
                Metric::Measured { source: From::Resource, ask: Ask::Utilization { pods, percent: 50 } };
            let current = u32::try_from(started.len()).expect("a few");
            let observed = Observed { current, existing: current, metrics: &[metric] };
            let stepped = step(&settings, &observed, &history, now);
            history = stepped.history;
            if stepped.size != current {
                history.rescaled(None, current, stepped.size, now);
            }
            started.resize(stepped.size as usize, now);
            second += EVERY.as_secs();
        }
        sizes.push(u32::try_from(started.len()).expect("a few"));
    }
    sizes
}

fn pod(started: Timestamp, used: i64, now: Timestamp) -> Pod {
    let serves = now.since(started) >= STARTS_WITHIN;
    Pod {
        phase: Phase::Running,
        is_deleted: false,
        ready: Some(Ready {
            status: if serves { ReadyStatus::True } else { ReadyStatus::False },
            since: if serves { started + STARTS_WITHIN } else { started },
        }),
        started: Some(started),
        request: Some(REQUEST),
        sample: serves.then_some(Sample { value: used, at: now, window: EVERY }),
    }
}

/// The same size in every part of the course. How it gets there differs on purpose: Tidegate gives the job the new slots in a
/// rescale, shrinks the job first, and lets only idle TaskManagers go.
#[test]
fn an_imported_hpa_comes_to_the_sizes_that_the_hpa_comes_to() {
    assert_eq!(by_the_hpa(), SIZES, "the HPA's own rules");
    let (sizes, restarts) = by_tidegate();
    assert_eq!(sizes, SIZES, "the imported policy on the simulator");
    assert!(restarts <= 6, "{restarts} restarts for four changes of the load");
}
