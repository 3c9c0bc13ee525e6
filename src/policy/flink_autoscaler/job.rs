//! The decision for a whole job: every vertex that would change does, if one of them is outside its band.

use std::time::Duration;

use crate::model::Timestamp;

use super::Options;
use super::delay::DelayedScaleDown;
use super::evaluate::{Evaluated, EvaluatedGlobal};
use super::history::{Scaling, ScalingHistory};
use super::topology::Topology;
use super::vertex::{VertexDecision, decide_vertex};

/// What is decided for a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobDecision {
    /// Too little memory is left to decide anything.
    pub memory_pressure: Option<MemoryPressure>,
    /// One for each vertex, in the topology's order; `None` for one that is left alone.
    pub vertices: Vec<Option<VertexDecision>>,
    /// Whether a vertex that changes is outside its band: then all changes are made, else none.
    pub triggered: bool,
}

impl JobDecision {
    /// The new size of every vertex that changes.
    pub fn changes(&self) -> Vec<Option<u32>> {
        let change = |decision: &Option<VertexDecision>| decision.and_then(|d| d.change()).map(|(to, _)| to);
        self.vertices.iter().map(change).map(|to| to.filter(|_| self.triggered)).collect()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        !self.triggered
    }

    /// The decisions that are made, for the history.
    pub fn scalings<'a>(
        &'a self,
        topology: &'a Topology,
        evaluated: &'a Evaluated,
        at: Timestamp,
    ) -> impl Iterator<Item = (&'a str, Scaling)> {
        let made = self.changes().into_iter().zip(&self.vertices).zip(topology.vertices());
        made.zip(&evaluated.vertices).filter_map(move |(((to, decision), vertex), evaluated)| {
            let scaling = Scaling {
                at,
                from: vertex.parallelism,
                to: to?,
                true_processing_rate: evaluated.true_processing_rate,
                expected_rate: decision.map_or(f64::NAN, |decision| decision.expected_rate),
            };
            Some((vertex.id.as_str(), scaling))
        })
    }
}

/// Which memory is short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryPressure {
    /// This share of the time is spent collecting garbage.
    Gc(f64),
    /// This share of the heap is in use.
    Heap(f64),
}

/// Whether too little memory is left to scale anything. What is not known is no pressure.
pub fn memory_pressure(options: &Options, global: &EvaluatedGlobal) -> Option<MemoryPressure> {
    let (gc, heap) = (global.gc_pressure, global.heap_usage_ratio.average);
    if gc > options.gc_pressure_threshold {
        Some(MemoryPressure::Gc(gc))
    } else if heap > options.heap_usage_threshold {
        Some(MemoryPressure::Heap(heap))
    } else {
        None
    }
}

/// What is needed to decide besides the options and what was evaluated.
#[derive(Debug)]
pub struct Memory<'a> {
    /// Past decisions.
    pub history: &'a ScalingHistory,
    /// The time that a restart is expected to take.
    pub restart_time: Duration,
    /// The vertices that wait to be scaled down.
    pub delayed: &'a mut DelayedScaleDown,
}

/// Decides for a job. `is_excluded` are vertices that are left alone for another reason than the options.
pub fn decide_job(
    options: &Options,
    topology: &Topology,
    evaluated: &Evaluated,
    memory: Memory<'_>,
    now: Timestamp,
    is_excluded: impl Fn(usize) -> bool,
) -> JobDecision {
    let memory_pressure = memory_pressure(options, &evaluated.global);
    if memory_pressure.is_some() {
        let vertices = vec![None; topology.vertices().len()];
        return JobDecision { memory_pressure, vertices, triggered: false };
    }
    let Memory { history, restart_time, delayed } = memory;
    let mut triggered = false;
    let mut vertices = Vec::with_capacity(topology.vertices().len());
    for (index, (vertex, evaluated)) in topology.vertices().iter().zip(&evaluated.vertices).enumerate() {
        let excluded =
            vertex.finished || is_excluded(index) || options.excluded_vertices.contains(&vertex.id);
        let decision = (!excluded).then(|| {
            let history = history.of(&vertex.id);
            decide_vertex(options, vertex, evaluated, history, restart_time, delayed, now)
        });
        triggered |= decision.as_ref().and_then(VertexDecision::change).is_some_and(|(_, outside)| outside);
        vertices.push(decision);
    }
    JobDecision { memory_pressure: None, vertices, triggered }
}
