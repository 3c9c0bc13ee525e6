//! A job for tests: counters that go on as told, and polls that read them.

use std::sync::Arc;
use std::time::Duration;

use super::History;
use crate::model::{
    Around, Cluster, Edge, FlinkVersion, Graph, JobId, JobState, Missed, MissedWhy, Observation, Parallelism,
    Reading, Scheduler, Ship, Snapshot, Timestamp, Vertex, VertexId,
};

/// When the job of a test became RUNNING.
pub(super) const START: Timestamp = Timestamp::from_millis(1_795_370_400_000);

/// What one vertex does for a while.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doing {
    /// Records/s taken in.
    pub(super) reads: f64,
    /// Records/s put out.
    pub(super) writes: f64,
    /// Busy seconds per record taken in; for a source, put out.
    pub(super) cost: f64,
    /// Share of the time that it is back-pressured.
    pub(super) waits: f64,
    /// Records/s by which its pending records grow, if it reports them.
    pub(super) pending_grows: Option<f64>,
}

/// A vertex that takes in and puts out so many records/s, at one millisecond each.
pub(super) fn doing(reads: f64, writes: f64) -> Doing {
    Doing { reads, writes, cost: 0.001, ..Doing::default() }
}

#[derive(Clone, Copy, Default)]
struct Counters {
    read: f64,
    written: f64,
    busy_ms: f64,
    idle_ms: f64,
    back_pressured_ms: f64,
    pending: Option<f64>,
}

/// A job whose counters are exact.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) snapshot: Snapshot,
    counters: Vec<Counters>,
}

impl Job {
    /// A job of vertices with these parallelisms and these edges, that has just become RUNNING.
    pub(super) fn new(parallelism: &[u64], edges: &[(usize, usize)]) -> Self {
        let vertex = |v: usize| Vertex {
            id: VertexId::from_bits(v as u128),
            name: format!("v{v}"),
            max_parallelism: Parallelism::clamped(128),
            slot_sharing_group: None,
        };
        let edges = edges.iter().map(|&(from, to)| Edge { from, to, ship: Ship::Hash }).collect();
        let graph = Graph::new((0..parallelism.len()).map(vertex).collect(), edges).expect("no cycle");
        let snapshot = Snapshot {
            at: START,
            job: JobId::from_bits(1),
            name: "orders".to_owned(),
            state: JobState::Running,
            running_since: Some(START),
            restarting_since: None,
            flink_now: START,
            cluster: Cluster {
                version: FlinkVersion { major: 2, minor: 3, patch: 0 },
                scheduler: Scheduler::Adaptive,
                takes_no_jars: false,
            },
            slots: None,
            graph: Arc::new(graph),
            vertices: parallelism.iter().map(|&p| Reading::fresh(Parallelism::clamped(p))).collect(),
            around: Around::default(),
        };
        Self { counters: vec![Counters::default(); parallelism.len()], snapshot }
    }

    /// A chain of vertices with these parallelisms.
    pub(super) fn chain(parallelism: &[u64]) -> Self {
        let edges: Vec<_> = (1..parallelism.len()).map(|to| (to - 1, to)).collect();
        Self::new(parallelism, &edges)
    }

    /// Time goes on, for the wall clock and the counters.
    pub(super) fn run(&mut self, seconds: f64, doing: &[Doing]) {
        self.wait(seconds);
        for (v, doing) in doing.iter().enumerate() {
            self.run_one(v, seconds, *doing);
        }
        self.fetch();
    }

    /// Time goes on for the wall clock alone.
    pub(super) fn wait(&mut self, seconds: f64) {
        let by = Duration::from_secs_f64(seconds);
        self.snapshot.at = self.snapshot.at + by;
        self.snapshot.flink_now = self.snapshot.flink_now + by;
    }

    /// Time goes on for one vertex's counters.
    pub(super) fn run_one(&mut self, v: usize, seconds: f64, doing: Doing) {
        let counters = &mut self.counters[v];
        let all = seconds * 1e3 * self.snapshot.vertices[v].parallelism.as_f64();
        let records = if doing.reads > 0.0 { doing.reads } else { doing.writes };
        let busy = (records * seconds * doing.cost * 1e3).min(all);
        let waits = (doing.waits * all).min(all - busy);
        counters.read += doing.reads * seconds;
        counters.written += doing.writes * seconds;
        counters.busy_ms += busy;
        counters.back_pressured_ms += waits;
        counters.idle_ms += all - busy - waits;
        if let Some(growth) = doing.pending_grows {
            counters.pending = Some((counters.pending.unwrap_or(0.0) + growth * seconds).max(0.0));
        }
    }

    /// The counters become those that a poll reads.
    pub(super) fn fetch(&mut self) {
        for (reading, counters) in self.snapshot.vertices.iter_mut().zip(&self.counters) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counters of tests are small and positive"
            )]
            let whole = |count: f64| count.round() as u64;
            reading.read_records = Some(whole(counters.read));
            reading.write_records = Some(whole(counters.written));
            reading.busy_ms = Some(whole(counters.busy_ms));
            reading.idle_ms = Some(whole(counters.idle_ms));
            reading.back_pressured_ms = Some(whole(counters.back_pressured_ms));
            reading.pending_records = counters.pending.map(whole);
        }
    }

    /// The job stops and starts again at other sizes: everything is counted anew.
    pub(super) fn restart(&mut self, parallelism: &[u64]) {
        self.snapshot.running_since = Some(self.snapshot.flink_now);
        for (v, &p) in parallelism.iter().enumerate() {
            self.snapshot.vertices[v].parallelism = Parallelism::clamped(p);
            self.snapshot.vertices[v].running = u32::try_from(p).unwrap_or(u32::MAX);
            let pending = self.counters[v].pending;
            self.counters[v] = Counters { pending, ..Counters::default() };
        }
        self.fetch();
    }

    /// What a poll sees now.
    pub(super) fn seen(&self) -> Observation {
        Observation::Seen(self.snapshot.clone())
    }

    /// A poll that fails now.
    pub(super) fn missed(&self) -> Observation {
        let detail = "no answer".to_owned();
        Observation::Missed(Missed { at: self.snapshot.at, why: MissedWhy::TimedOut, detail })
    }

    /// Runs for so many polls, each after so many seconds, and pushes them.
    pub(super) fn polls(&mut self, history: &mut History, polls: usize, seconds: f64, doing: &[Doing]) {
        for _ in 0..polls {
            self.run(seconds, doing);
            history.push(&self.seen());
        }
    }
}
