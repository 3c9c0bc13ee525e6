//! Jobs for tests, as rows of data: a chain of vertices with given sizes and service times, fed at a given rate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    Amount, Around, Cluster, Container, CurvePoint, Edge, FlinkVersion, Graph, JobId, JobState, Ledger, Need,
    NeedWindow, Parallelism, Pod, Reading, Rescale, RescaleEnd, Scheduler, Seconds, Ship, Slots, Snapshot,
    Timestamp, Vertex, VertexId, Workload,
};
use crate::policy::said::Context;
use crate::policy::{
    ExternalTarget, Policy, Prometheus, Proposal, Quantity, Rule, Span, Throughput, propose,
};
use crate::signals::{EdgeSignals, Estimate, Signals, Trend, VertexSignals};

/// The moment at which tests begin.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);

/// An estimate without any doubt.
pub(crate) fn estimate(mean: f64) -> Estimate {
    Estimate { mean, low: mean, high: mean, samples: 3 }
}

/// A rescale that ended well, the `nth` of a day's, hour by hour.
pub(crate) fn rescale(nth: usize, downtime: Option<f64>) -> Rescale {
    let at = START + Duration::from_hours(u64::try_from(nth).unwrap_or(0));
    Rescale {
        at,
        ended: at + Duration::from_secs(5),
        end: RescaleEnd::Done,
        from: BTreeMap::new(),
        to: BTreeMap::new(),
        downtime: downtime.and_then(|seconds| Seconds::new(seconds).ok()),
        load: 0.0,
        brought: None,
        reached: Vec::new(),
    }
}

/// So many TaskManagers, each of which requests so many thousandths of a core.
pub(crate) fn workload(replicas: u32, cpu: i64) -> Workload {
    let container = Container { cpu: Amount { request: Some(cpu), used: None }, ..Container::default() };
    let pods = (0..replicas).map(|_| Pod { containers: vec![container.clone()], ..Pod::default() }).collect();
    Workload { at: START, replicas, observed: replicas, pods, scalable: None }
}

/// A query that nobody has answered.
pub(crate) fn unanswered() -> Rule {
    let target = ExternalTarget::Value { value: Quantity::default() };
    Rule::Prometheus(Prometheus { query: "up".parse().expect("a query"), target, when: None, fallback: None })
}

/// A job with what is known of it.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) snapshot: Snapshot,
    pub(crate) signals: Signals,
    pub(crate) ledger: Ledger,
    pub(crate) now: Timestamp,
}

impl Job {
    /// A chain of vertices, each (parallelism, seconds per record); the first is a source. 128 key groups, 64 slots.
    pub(crate) fn chain(vertices: &[(u64, f64)]) -> Self {
        let graph = Graph::new(
            (0..vertices.len())
                .map(|v| Vertex {
                    id: VertexId::from_bits(v as u128),
                    name: format!("v{v}"),
                    max_parallelism: Parallelism::clamped(128),
                    slot_sharing_group: None,
                })
                .collect(),
            (1..vertices.len()).map(|to| Edge { from: to - 1, to, ship: Ship::Hash }).collect(),
        )
        .expect("a chain is a graph");
        let signals = Signals {
            at: START,
            window: Seconds::new(15.0).expect("finite"),
            samples: 3,
            trend: Trend::Steady,
            warm: true,
            vertices: vertices
                .iter()
                .map(|&(p, seconds)| VertexSignals {
                    parallelism: Parallelism::clamped(p),
                    rate_in: None,
                    rate_out: None,
                    service_time: (seconds > 0.0).then(|| estimate(seconds)),
                    busy: None,
                    back_pressured: Some(0.0),
                    arrival: None,
                    backlog: None,
                    backlog_growth: None,
                    lag: None,
                    records: 10_000.0,
                })
                .collect(),
            edges: graph
                .edges()
                .iter()
                .map(|_| EdgeSignals { flow: None, selectivity: Some(estimate(1.0)), flow_bound: None })
                .collect(),
        };
        let snapshot = Snapshot {
            at: START,
            job: JobId::from_bits(1),
            name: "orders".to_owned(),
            state: JobState::Running,
            running_since: Some(START - Duration::from_mins(10)),
            restarting_since: None,
            flink_now: START,
            cluster: Cluster {
                version: FlinkVersion { major: 2, minor: 3, patch: 0 },
                scheduler: Scheduler::Adaptive,
                takes_no_jars: false,
            },
            slots: Some(Slots { at: START, total: 64, available: 60, taskmanagers: 8, jobs_running: 1 }),
            vertices: vertices.iter().map(|&(p, _)| Reading::fresh(Parallelism::clamped(p))).collect(),
            around: Around::default(),
            graph: Arc::new(graph),
        };
        Self { snapshot, signals, ledger: Ledger::default(), now: START }
    }

    /// On so many TaskManagers of one slot, all of which it fills.
    pub(crate) fn filling(mut self, taskmanagers: u32) -> Self {
        self.snapshot.slots =
            Some(Slots { at: START, total: taskmanagers, available: 0, taskmanagers, jobs_running: 1 });
        self
    }

    /// Records arrive at the source at this rate, and every vertex takes in what comes.
    pub(crate) fn arriving(mut self, rate: f64) -> Self {
        for (v, vertex) in self.signals.vertices.iter_mut().enumerate() {
            vertex.rate_in = Some(estimate(rate));
            vertex.rate_out = Some(estimate(rate));
            vertex.arrival = (v == 0).then(|| estimate(rate));
        }
        self
    }

    /// So many records wait at the source.
    pub(crate) fn backlog(mut self, records: f64) -> Self {
        self.signals.vertices[0].backlog = Some(records);
        self
    }

    /// So many records leave along an edge for each that comes in.
    pub(crate) fn selectivity(mut self, edge: usize, selectivity: f64) -> Self {
        self.signals.edges[edge].selectivity = Some(estimate(selectivity));
        self
    }

    /// Records travel along an edge in another way.
    pub(crate) fn shipped(mut self, edge: usize, ship: Ship) -> Self {
        let graph = &self.snapshot.graph;
        let mut edges = graph.edges().to_vec();
        edges[edge].ship = ship;
        self.snapshot.graph = Arc::new(Graph::new(graph.vertices().to_vec(), edges).expect("the same edges"));
        self
    }

    /// Every vertex has needed what these say since as long before now.
    pub(crate) fn needed(mut self, seconds_ago: u64, sizes: &[u64]) -> Self {
        for (vertex, &size) in self.snapshot.graph.vertices().iter().zip(sizes) {
            let need =
                Need { at: self.now - Duration::from_secs(seconds_ago), wanted: Parallelism::clamped(size) };
            self.ledger
                .needs
                .entry(vertex.id)
                .and_modify(|window| window.add(need, Duration::from_hours(1), Duration::from_hours(1)))
                .or_insert_with(|| NeedWindow::new(need));
        }
        self
    }

    /// A record of a vertex was seen to cost so many milliseconds at these sizes, just now.
    pub(crate) fn learned(&mut self, vertex: usize, costs: &[(u64, f64)]) {
        let point = |&(size, milliseconds): &(u64, f64)| CurvePoint {
            parallelism: Parallelism::clamped(size),
            service_time: Seconds::new(milliseconds / 1e3).expect("finite"),
            records: 1e5,
            at: self.now,
        };
        let id = self.snapshot.graph.vertices()[vertex].id;
        self.ledger.curves.insert(id, costs.iter().map(point).collect());
    }

    /// What a rule looks at.
    pub(super) fn context<'a>(&'a self, policy: &'a Policy) -> Context<'a> {
        Context::new(&self.signals, &self.snapshot, policy, &self.ledger, self.now)
    }

    /// What the rules of a policy ask for this job.
    pub(crate) fn proposal(&self, policy: &Policy) -> Proposal {
        propose(&self.signals, &self.snapshot, policy, &self.ledger, self.now)
    }
}

/// The throughput rule with its defaults, polled every 5 s, with a scale-down window of one minute.
pub(crate) fn policy() -> Policy {
    let mut policy = Policy { poll: Span::from_secs(5), ..Policy::default() };
    policy.spec.rules.push(Rule::Throughput(Throughput::default()));
    policy.spec.behavior.scale_down.stabilization_window_seconds = Some(60);
    policy
}
