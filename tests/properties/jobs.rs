//! Jobs: a graph with sizes, what is known of it, what is around it, and what was done before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidegate::decide::Verdict;
use tidegate::guard::{self, Hold};
use tidegate::model::{
    Amount, Answer, Around, Cluster, Container, CurvePoint, Edge, FlinkVersion, Graph, JobId, JobState,
    Ledger, Need, NeedWindow, Parallelism, Phase, Pod, Reading, Ready, ReadyStatus, Removes, Rescale,
    RescaleEnd, Scalable, Scheduler, Seconds, Ship, Slots, Snapshot, Timestamp, Vertex, VertexId, Workload,
};
use tidegate::plan::{self, Limit, Made};
use tidegate::policy::{self, Policy, Proposal};
use tidegate::signals::{EdgeSignals, Estimate, Signals, Trend, VertexSignals};

/// A Wednesday, 11:06:40 UTC.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

/// The queries that policies ask.
pub(crate) const QUERIES: [&str; 2] = ["lag", "load"];

/// A job, and all that a decision on it rests on.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) snapshot: Snapshot,
    pub(crate) signals: Signals,
    pub(crate) ledger: Ledger,
}

/// What comes of a job and a policy.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) proposal: Proposal,
    pub(crate) made: Option<Made>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) verdict: Verdict,
    pub(crate) holds: Vec<Hold>,
}

impl Job {
    /// As `decide` does it once a job has been seen.
    pub(crate) fn decide(&self, policy: &Policy) -> Decided {
        let Self { snapshot, signals, ledger } = self;
        let proposal = policy::propose(signals, snapshot, policy, ledger, NOW);
        let (made, limits) = plan::make(&proposal, snapshot, policy, ledger, NOW);
        let context = guard::Context { snapshot, signals, proposal: &proposal, policy, ledger, now: NOW };
        let (verdict, holds) = match made.clone().map(|made| guard::judge(made, &context)) {
            None => (Verdict::Unchanged, Vec::new()),
            Some(Ok(plan)) => (Verdict::Approved { plan }, Vec::new()),
            Some(Err((plan, holds))) => (Verdict::Held { plan: Some(plan) }, holds),
        };
        Decided { proposal, made, limits, verdict, holds }
    }

    pub(crate) fn sizes(&self) -> Vec<u32> {
        self.snapshot.vertices.iter().map(|reading| reading.parallelism.get()).collect()
    }
}

impl Decided {
    /// The sizes that are to be, if now is the time.
    pub(crate) fn approved(&self) -> Option<Vec<u32>> {
        match &self.verdict {
            Verdict::Approved { plan } => {
                Some(plan.plan().changes.iter().map(|change| change.to.get()).collect())
            }
            _ => None,
        }
    }

    /// The sizes that are to be, whether now or not.
    pub(crate) fn planned(&self) -> Option<Vec<u32>> {
        let plan = &self.made.as_ref()?.plan;
        Some(plan.changes.iter().map(|change| change.to.get()).collect())
    }
}

fn size(p: u64) -> Parallelism {
    Parallelism::clamped(p)
}

/// A number with its interval around it.
fn estimate(mean: impl Strategy<Value = f64>) -> impl Strategy<Value = Estimate> {
    (mean, prop_oneof![2 => Just(0.0), 1 => 0.0..0.5_f64], 1..6_u32).prop_map(|(mean, part, samples)| {
        Estimate { mean, low: mean * (1.0 - part), high: mean * (1.0 + part), samples }
    })
}

fn maybe<T: std::fmt::Debug + Clone>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.9, value)
}

/// Up to seven vertices, each fed by one or two before it, or a source.
fn graph() -> impl Strategy<Value = Graph> {
    let ship =
        prop::sample::select(vec![Ship::Hash, Ship::Hash, Ship::Forward, Ship::Rebalance, Ship::Rescale]);
    let vertex = (
        prop::sample::select(vec![1_u64, 7, 12, 128, 128, 720, 32_768]),
        prop::sample::select(vec!["a", "a", "a", "b"]),
        any::<prop::sample::Index>(),
        prop::option::weighted(0.2, any::<prop::sample::Index>()),
        ship,
        prop::bool::weighted(0.1),
    );
    prop::collection::vec(vertex, 1..8).prop_map(|vertices| {
        let mut edges = Vec::new();
        for (to, (_, _, first, second, ship, is_source)) in vertices.iter().enumerate().skip(1) {
            if *is_source {
                continue;
            }
            let from = first.index(to);
            edges.push(Edge { from, to, ship: *ship });
            if let Some(second) = second.map(|second| second.index(to)).filter(|second| *second != from) {
                edges.push(Edge { from: second, to, ship: Ship::Hash });
            }
        }
        let vertices = vertices.iter().enumerate().map(|(index, (most, group, ..))| Vertex {
            id: VertexId::from_bits(index as u128),
            name: format!("v{index}"),
            max_parallelism: size(*most),
            slot_sharing_group: Some((*group).to_owned()),
        });
        Graph::new(vertices.collect(), edges).expect("every edge leads onward")
    })
}

fn vertex_signals() -> impl Strategy<Value = VertexSignals> {
    (
        maybe(estimate(1e-4..0.05_f64)),
        maybe(estimate(prop_oneof![1 => Just(0.0), 6 => 0.0..5_000.0_f64])),
        maybe(prop_oneof![3 => Just(0.0), 1 => 0.0..50_000.0_f64]),
        maybe(0.0..=1.0_f64),
        maybe(prop_oneof![2 => Just(0.0), 1 => 0.0..=1.0_f64]),
        maybe(estimate(0.0..5_000.0_f64)),
    )
        .prop_map(|(service_time, arrival, backlog, busy, back_pressured, rate)| VertexSignals {
            parallelism: Parallelism::ONE,
            rate_in: rate,
            rate_out: rate,
            service_time,
            busy,
            back_pressured,
            arrival,
            backlog,
            backlog_growth: None,
            lag: None,
            records: 1e4,
        })
}

fn pods() -> impl Strategy<Value = Workload> {
    let used = prop::option::weighted(0.95, 0..4_000_i64);
    let pod = (used, prop::bool::weighted(0.95), prop::bool::weighted(0.03)).prop_map(
        |(used, ready, is_deleted)| Pod {
            phase: Phase::Running,
            is_deleted,
            ready: Some(Ready {
                status: if ready { ReadyStatus::True } else { ReadyStatus::False },
                since: NOW - Duration::from_hours(1),
            }),
            started: Some(NOW - Duration::from_hours(1)),
            measured: Some((NOW, Duration::from_secs(15))),
            containers: vec![Container {
                name: "taskmanager".to_owned(),
                cpu: Amount { request: Some(1_000), used },
                memory: Amount { request: Some(1 << 40), used: used.map(|used| used << 28) },
            }],
            ..Pod::default()
        },
    );
    (prop::collection::vec(pod, 1..12), any::<bool>()).prop_map(|(pods, scalable)| {
        let replicas = u32::try_from(pods.len()).expect("a dozen at the most");
        Workload {
            at: NOW,
            replicas,
            observed: replicas,
            pods,
            scalable: scalable.then_some(Scalable {
                removes: Removes::LowestCost,
                refused: None,
                registered: None,
            }),
        }
    })
}

fn around() -> impl Strategy<Value = Around> {
    let answer = prop_oneof![
        8 => (0.0..40.0_f64).prop_map(|value| Ok(vec![value])),
        1 => Just(Ok(Vec::new())),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -1.0]).prop_map(|value| Ok(vec![value])),
        1 => Just(Err("refused".to_owned())),
    ];
    let answer = maybe((answer, prop_oneof![9 => Just(0_u64), 1 => 0..1_000_u64]));
    (prop::option::weighted(0.7, pods()), prop::array::uniform2(answer)).prop_map(|(workload, answers)| {
        Around {
            workload,
            queries: QUERIES
                .iter()
                .zip(answers)
                .filter_map(|(query, answer)| {
                    let (values, ago) = answer?;
                    Some(((*query).to_owned(), Answer { at: NOW - Duration::from_secs(ago), values }))
                })
                .collect(),
            ..Around::default()
        }
    })
}

/// What vertices needed over the last minutes, oldest first: (seconds ago, size of every vertex).
type Needs = Vec<(u64, Vec<u64>)>;

fn ledger(vertices: usize) -> impl Strategy<Value = Ledger> {
    let sizes = || prop::collection::vec(1..40_u64, vertices);
    let needs = prop_oneof![
        // The same all the while: the window has passed.
        2 => sizes().prop_map(|sizes| (0..14).rev().map(|turn| (turn * 10, sizes.clone())).collect()),
        1 => prop::collection::vec(sizes(), 0..14).prop_map(|all| {
            let turns = all.len() as u64;
            (0..).zip(all).map(|(turn, sizes)| ((turns - 1 - turn) * 10, sizes)).collect::<Needs>()
        }),
    ];
    let point = (1..64_u64, 1e-4..0.05_f64, 1.0..1e6_f64);
    let curves = prop::collection::vec(prop::collection::vec(point, 0..4), vertices);
    let skews = prop::collection::vec(prop::option::weighted(0.2, 1.0..4.0_f64), vertices);
    let rescales = prop::collection::vec((300..100_000_u64, sizes(), sizes(), 1.0..100.0_f64), 0..3);
    (needs, curves, skews, rescales).prop_map(|(needs, curves, skews, rescales)| {
        let ids = || (0..).map(VertexId::from_bits);
        let mut ledger = Ledger::default();
        for (ago, sizes) in needs {
            for (id, wanted) in ids().zip(sizes) {
                let need = Need { at: NOW - Duration::from_secs(ago), wanted: size(wanted) };
                let hour = Duration::from_hours(1);
                let add = |window: &mut NeedWindow| window.add(need, hour, hour);
                ledger.needs.entry(id).and_modify(add).or_insert_with(|| NeedWindow::new(need));
            }
        }
        for (id, points) in ids().zip(curves) {
            let points = points.into_iter().map(|(p, seconds, records)| CurvePoint {
                parallelism: size(p),
                service_time: Seconds::new(seconds).expect("finite"),
                records,
                at: NOW - Duration::from_hours(1),
            });
            let points: Vec<_> = points.collect();
            if !points.is_empty() {
                ledger.curves.insert(id, points);
            }
        }
        ledger.skews = ids().zip(skews).filter_map(|(id, skew)| Some((id, skew?))).collect();
        let mut rescales = rescales;
        rescales.sort_by_key(|(ago, ..)| std::cmp::Reverse(*ago));
        for (ago, from, to, seconds) in rescales {
            let at = NOW - Duration::from_secs(ago);
            let of = |sizes: Vec<u64>| ids().zip(sizes.into_iter().map(size)).collect::<BTreeMap<_, _>>();
            ledger.add_rescale(Rescale {
                at,
                ended: at + Duration::from_secs(5),
                end: RescaleEnd::Done,
                from: of(from),
                to: of(to),
                downtime: Seconds::new(seconds).ok(),
                load: 0.0,
                brought: None,
                reached: Vec::new(),
            });
        }
        ledger
    })
}

fn slots() -> impl Strategy<Value = Slots> {
    (1..100_u32, 1..9_u32, 0..400_u32, 1..4_u32).prop_map(|(taskmanagers, per, available, jobs_running)| {
        Slots {
            at: NOW,
            total: taskmanagers * per,
            available: available.min(taskmanagers * per),
            taskmanagers,
            jobs_running,
        }
    })
}

/// Any job that runs, with what may be known of it.
pub(crate) fn job() -> impl Strategy<Value = Job> {
    graph()
        .prop_flat_map(|graph| {
            let vertices = graph.len();
            let sizes = prop::collection::vec(prop_oneof![Just(4_u64), 1..40_u64], vertices);
            let selectivity = maybe(estimate(prop_oneof![Just(1.0), 0.0..4.0_f64]));
            let edges = prop::collection::vec(
                (selectivity, prop::option::weighted(0.1, 0.0..5_000.0_f64)),
                graph.edges().len(),
            );
            let known = (prop::collection::vec(vertex_signals(), vertices), edges);
            (Just(graph), sizes, known, ledger(vertices), around(), prop::option::weighted(0.9, slots()))
        })
        .prop_map(|(graph, sizes, (mut vertices, edges), ledger, around, slots)| {
            let sizes: Vec<_> = graph
                .vertices()
                .iter()
                .zip(sizes)
                .map(|(vertex, p)| size(p).min(vertex.max_parallelism))
                .collect();
            for (index, (signals, p)) in vertices.iter_mut().zip(&sizes).enumerate() {
                signals.parallelism = *p;
                if graph.is_source(index) {
                    signals.service_time = None;
                } else {
                    (signals.arrival, signals.backlog) = (None, None);
                }
            }
            let edges = edges.into_iter().map(|(selectivity, flow_bound)| EdgeSignals {
                flow: None,
                selectivity,
                flow_bound,
            });
            let signals = Signals {
                at: NOW,
                window: Seconds::new(30.0).expect("finite"),
                samples: 4,
                trend: Trend::Steady,
                warm: true,
                vertices,
                edges: edges.collect(),
            };
            // The TaskManagers are the workload's pods, where there is one.
            let slots = match (&around.workload, slots) {
                (Some(workload), Some(slots)) => {
                    let per = slots.total / slots.taskmanagers;
                    let taskmanagers = workload.replicas;
                    Some(Slots { total: taskmanagers * per, taskmanagers, jobs_running: 1, ..slots })
                }
                (_, slots) => slots,
            };
            let snapshot = snapshot(graph, &sizes, slots, around);
            Job { snapshot, signals, ledger }
        })
}

/// A job as it runs, with counters that have not moved.
pub(crate) fn snapshot(
    graph: Graph,
    sizes: &[Parallelism],
    slots: Option<Slots>,
    around: Around,
) -> Snapshot {
    let reading = |&parallelism: &Parallelism| Reading {
        parallelism,
        running: parallelism.get(),
        read_records: Some(0),
        write_records: Some(0),
        busy_ms: Some(0),
        idle_ms: Some(0),
        back_pressured_ms: Some(0),
        pending_records: None,
        event_time_lag_ms: None,
    };
    Snapshot {
        at: NOW,
        job: JobId::from_bits(1),
        name: "orders".to_owned(),
        state: JobState::Running,
        running_since: Some(NOW - Duration::from_hours(1)),
        restarting_since: None,
        flink_now: NOW,
        cluster: Cluster {
            version: FlinkVersion { major: 2, minor: 3, patch: 0 },
            scheduler: Scheduler::Adaptive,
            takes_no_jars: false,
        },
        slots,
        vertices: sizes.iter().map(reading).collect(),
        graph: Arc::new(graph),
        around,
    }
}
