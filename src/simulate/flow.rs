//! Records as a fluid: how they run from the sources through bounded buffers to the sinks within one short step.
//!
//! A step has two passes. Against the stream, each vertex works out how much its outputs can take: their free room and
//! what the receiver can work off within the step. With the stream, each vertex takes in what it may. So a record passes the
//! whole graph within a step when nothing holds it back, and a full buffer is felt at the sources within the same step.

use std::sync::Arc;

use super::load::Curve;
use super::scenario::{EdgeScenario, Scenario};
use super::station::{Station, UNLIMITED, whole};
use super::store::Known;
use crate::model::{Graph, Ship};

/// Milliseconds of one step. Longer is faster and coarser: bursts, restarts and faults fall on its grid.
pub(super) const STEP_MS: u64 = 200;

/// What the records of one edge wait in.
#[derive(Clone, Debug)]
struct Channel {
    selectivity: f64,
    /// Records that the buffers of one receiving subtask hold.
    per_subtask: f64,
    /// Records that all its buffers hold.
    bound: f64,
    /// Records in its buffers.
    queued: f64,
    /// Records that came in in this step (or the last, before the second pass).
    inflow: f64,
    /// The most records that may come in in this step.
    accepts: f64,
}

impl Channel {
    /// Records that its receiver could take in: in the first pass those of the step before stand for those to come.
    fn wanted(&self) -> f64 {
        self.queued + self.inflow
    }
}

/// What exists outside for one source.
#[derive(Clone, Debug)]
pub(super) struct Outside {
    curve: Curve,
    /// Index of the source.
    pub(super) vertex: usize,
    /// Records that ever came to exist.
    pub(super) arrived: f64,
    /// Records that were read; a restart takes it back to the last checkpoint.
    pub(super) taken: f64,
}

impl Outside {
    /// Records that wait to be read.
    pub(super) fn pending(&self) -> f64 {
        (self.arrived - self.taken).max(0.0)
    }

    /// Records/s that come to exist at this many milliseconds after the start of the scenario, without noise.
    pub(super) fn load(&self, at: u64) -> f64 {
        self.curve.mean(at)
    }
}

/// What a checkpoint keeps of the flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Positions {
    pub(super) taken: Vec<f64>,
    collected: Vec<f64>,
}

/// All vertices and edges of a job.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    graph: Arc<Graph>,
    pub(super) stations: Vec<Station>,
    channels: Vec<Channel>,
    pub(super) outside: Vec<Outside>,
    /// For each vertex, the index in `outside` of what it reads.
    source_of: Vec<Option<usize>>,
}

impl Flow {
    pub(super) fn new(scenario: &Scenario, graph: Arc<Graph>, loads: Vec<Option<Curve>>) -> Self {
        let keyed = |v: usize| graph.inputs(v).iter().any(|&e| graph.edges()[e].ship == Ship::Hash);
        let version = scenario.flink_version;
        let station = |(v, spec)| Station::new(spec, keyed(v), version);
        let stations = scenario.vertices.iter().enumerate().map(station).collect();
        let channel = |edge: &EdgeScenario| Channel {
            selectivity: edge.selectivity,
            per_subtask: edge.buffer,
            bound: edge.buffer,
            queued: 0.0,
            inflow: 0.0,
            accepts: 0.0,
        };
        let channels = scenario.edges.iter().map(channel).collect();
        let (mut outside, mut source_of) = (Vec::new(), Vec::new());
        for (vertex, load) in loads.into_iter().enumerate() {
            source_of.push(load.is_some().then_some(outside.len()));
            outside.extend(load.map(|curve| Outside { curve, vertex, arrived: 0.0, taken: 0.0 }));
        }
        Self { graph, stations, channels, outside, source_of }
    }

    /// What a fetch of metrics finds of a vertex that started so many milliseconds ago.
    pub(super) fn known(&self, v: usize, attempt: u32, since_start: u64) -> Known {
        let station = &self.stations[v];
        let source = self.source_of[v].filter(|_| station.reports_pending);
        Known {
            attempt: Some(attempt),
            parallelism: station.parallelism,
            uneven: station.uneven,
            counters: station.counters(since_start),
            pending: source.map(|source| whole(self.outside[source].pending())),
            lag: None,
        }
    }

    /// Starts all vertices at these sizes.
    pub(super) fn start(&mut self, parallelism: &[u32]) {
        for (station, &p) in self.stations.iter_mut().zip(parallelism) {
            station.start(p);
        }
        for (channel, edge) in self.channels.iter_mut().zip(self.graph.edges()) {
            channel.bound = channel.per_subtask * f64::from(parallelism[edge.to]);
        }
    }

    /// What a checkpoint that is made now keeps.
    pub(super) fn positions(&self) -> Positions {
        Positions {
            taken: self.outside.iter().map(|source| source.taken).collect(),
            collected: self.stations.iter().map(|s| s.window.as_ref().map_or(0.0, |w| w.collected)).collect(),
        }
    }

    /// Throws away all that is in the buffers and goes back to a checkpoint; without one, nothing is read again.
    pub(super) fn rewind(&mut self, checkpoint: Option<&Positions>) {
        for channel in &mut self.channels {
            (channel.queued, channel.inflow) = (0.0, 0.0);
        }
        for (v, station) in self.stations.iter_mut().enumerate() {
            station.rate = 0.0;
            if let Some(window) = &mut station.window {
                window.outbox = 0.0;
                window.collected = checkpoint.map_or(0.0, |c| c.collected[v]);
            }
        }
        if let Some(checkpoint) = checkpoint {
            for (source, &taken) in self.outside.iter_mut().zip(&checkpoint.taken) {
                source.taken = taken;
            }
        }
    }

    /// Lets the records come to exist that the step from `at` on brings, whether the job runs or not.
    pub(super) fn arrive(&mut self, at: u64) {
        for source in &mut self.outside {
            source.arrived += source.curve.rate(at + STEP_MS / 2) * (STEP_MS as f64 / 1000.0);
        }
    }

    /// Lets the job run through the step from `at` on; it started `since_start` milliseconds before that.
    pub(super) fn run(&mut self, at: u64, since_start: u64) {
        let (dt, since_start) = (STEP_MS as f64 / 1000.0, since_start as f64 / 1000.0);
        let graph = Arc::clone(&self.graph);
        for &v in graph.order().iter().rev() {
            self.offer(&graph, v, dt, since_start);
        }
        for &v in graph.order() {
            let available = self.available(&graph, v);
            let taken = available.min(self.stations[v].room());
            self.take(&graph, v, taken);
            self.emit(&graph, v, taken);
            let station = &mut self.stations[v];
            station.book(taken, station.limit(taken, available), dt, since_start);
            if let Some(window) = &mut station.window {
                window.fire(at + STEP_MS);
            }
        }
    }

    /// Against the stream: what a vertex's outputs can take from it, and what it can take from each input.
    fn offer(&mut self, graph: &Graph, v: usize, dt: f64, since_start: f64) {
        let station = &mut self.stations[v];
        station.prepare(dt, since_start);
        station.outlet = UNLIMITED;
        for &e in graph.outputs(v) {
            let channel = &self.channels[e];
            if channel.selectivity > 0.0 {
                station.outlet = station.outlet.min(channel.accepts / channel.selectivity);
            }
        }
        let room = station.room();
        let inputs = graph.inputs(v);
        let wanted: f64 = inputs.iter().map(|&e| self.channels[e].wanted()).sum();
        for &e in inputs {
            let channel = &mut self.channels[e];
            let share = if wanted > 0.0 { channel.wanted() / wanted } else { 1.0 / inputs.len() as f64 };
            channel.accepts = (channel.bound - channel.queued).max(0.0) + share * room;
        }
    }

    /// Records that a vertex could take in.
    fn available(&self, graph: &Graph, v: usize) -> f64 {
        match self.source_of[v] {
            Some(source) => self.outside[source].pending(),
            None => graph.inputs(v).iter().map(|&e| self.channels[e].wanted()).sum(),
        }
    }

    /// Takes records from a vertex's inputs: first what does not fit into a buffer, then evenly from all that is there.
    fn take(&mut self, graph: &Graph, v: usize, taken: f64) {
        if let Some(source) = self.source_of[v] {
            self.outside[source].taken += taken;
            return;
        }
        let inputs = graph.inputs(v);
        let (mut over, mut fits) = (0.0, 0.0);
        for &e in inputs {
            let channel = &mut self.channels[e];
            channel.queued += channel.inflow;
            let within = channel.queued.min(channel.bound);
            over += channel.queued - within;
            fits += within;
        }
        let left = if fits > 0.0 { (1.0 - (taken - over) / fits).clamp(0.0, 1.0) } else { 0.0 };
        for &e in inputs {
            let channel = &mut self.channels[e];
            channel.queued = channel.queued.min(channel.bound) * left;
        }
    }

    /// Sends on what became of the records that a vertex took in.
    fn emit(&mut self, graph: &Graph, v: usize, taken: f64) {
        let station = &mut self.stations[v];
        let sent = match &mut station.window {
            Some(window) => {
                window.collected += taken;
                let sent = window.outbox.min(station.outlet);
                window.outbox -= sent;
                sent
            }
            None => taken,
        };
        for &e in graph.outputs(v) {
            let channel = &mut self.channels[e];
            channel.inflow = sent * channel.selectivity;
            station.written += channel.inflow;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simulate::check::check;
    use crate::simulate::{Load, VertexScenario, scenarios};

    /// A source that feeds two steps, which feed a join.
    fn diamond(rate: f64, service_ms: &[f64], selectivity: &[f64], buffer: &[f64]) -> Flow {
        let mut scenario = scenarios::demo();
        let names = ["source", "left", "right", "join"];
        let vertex = |(name, &ms): (&&str, &f64)| VertexScenario::new(name, ms);
        scenario.vertices = names.iter().zip(service_ms).map(vertex).collect();
        scenario.vertices[0] = scenario.vertices[0].clone().with_load(Load::constant(rate));
        let pairs = [(0, 1), (0, 2), (1, 3), (2, 3)];
        let edge = |((&(from, to), &selectivity), &buffer): ((&(usize, usize), &f64), &f64)| EdgeScenario {
            selectivity,
            buffer,
            ..EdgeScenario::new(names[from], names[to])
        };
        scenario.edges = pairs.iter().zip(selectivity).zip(buffer).map(edge).collect();
        let checked = check(&scenario).expect("a scenario");
        let mut flow = Flow::new(&scenario, Arc::new(checked.graph), checked.loads);
        flow.start(&[1; 4]);
        flow
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_record_is_lost_or_made_and_no_buffer_runs_over(
            rate in 0.0..3000.0,
            service_ms in prop::collection::vec(0.0..3.0, 4),
            selectivity in prop::collection::vec(0.0..3.0, 4),
            buffer in prop::collection::vec(1.0..2000.0, 4),
        ) {
            let mut flow = diamond(rate, &service_ms, &selectivity, &buffer);
            for step in 0..200 {
                flow.arrive(step * STEP_MS);
                flow.run(step * STEP_MS, step * STEP_MS);
                let outside = &flow.outside[0];
                let source = &flow.stations[0];
                prop_assert!((outside.taken - source.read).abs() < 1e-6);
                for (channel, most) in flow.channels.iter().zip(&buffer) {
                    prop_assert!((0.0..=most + 1e-6).contains(&channel.queued), "{:?}", channel);
                }
                for (v, inputs) in [(1, vec![0]), (2, vec![1]), (3, vec![2, 3])] {
                    let graph = Arc::clone(&flow.graph);
                    let came = |&e: &usize| {
                        flow.stations[graph.edges()[e].from].read * flow.channels[e].selectivity
                            - flow.channels[e].queued
                    };
                    let came: f64 = inputs.iter().map(came).sum();
                    let read = flow.stations[v].read;
                    prop_assert!((came - read).abs() <= 1e-6 * (1.0 + read), "{} came, {} read", came, read);
                }
            }
        }
    }

    #[test]
    fn a_slow_branch_holds_back_the_other_through_their_source() {
        // The left step does 100/s, the right one 1000/s; the source sends both every record.
        let mut flow = diamond(1000.0, &[0.0, 10.0, 1.0, 0.0], &[1.0; 4], &[100.0; 4]);
        for step in 0..100 {
            flow.arrive(step * STEP_MS);
            flow.run(step * STEP_MS, step * STEP_MS);
        }
        for station in &flow.stations[..3] {
            assert!((station.rate - 100.0).abs() < 1e-6, "{}", station.rate);
        }
        assert!((flow.stations[3].rate - 200.0).abs() < 1e-6);
        let counters = flow.stations[0].counters(20_000);
        assert!(counters.back_pressured_ms > 18_500, "{counters:?}");
    }
}
