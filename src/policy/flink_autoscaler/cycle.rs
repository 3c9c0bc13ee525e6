//! One whole cycle of the operator's autoscaler, and what it remembers from one to the next.
//!
//! Comes in: what Flink says of each vertex, and when. Goes out: what was evaluated and decided. Nothing is applied: the
//! caller sees the overrides and does what it likes.

use std::time::Duration;

use crate::model::Timestamp;

use super::Options;
use super::delay::DelayedScaleDown;
use super::evaluate::{Evaluated, NoIngestionRate, evaluate};
use super::history::{RestartTracking, ScalingHistory};
use super::job::{JobDecision, Memory, decide_job};
use super::overrides::Overrides;
use super::reading::VertexReading;
use super::sample::{GlobalSample, Sample};
use super::topology::Topology;
use super::window::{Filled, MetricWindow};

/// What one cycle looks at.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    /// The job's graph with its sizes.
    pub topology: &'a Topology,
    /// What Flink says of each vertex, in the topology's order.
    pub readings: &'a [VertexReading],
    /// The metrics of the `TaskManagers`.
    pub global: GlobalSample,
    /// When the job became RUNNING.
    pub running_since: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// Whether scaling is held back: an excluded period, or a quota that would be exceeded.
    pub blocked: bool,
}

/// How a cycle ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Cycle {
    /// One sample says nothing yet.
    TooFewSamples,
    /// Metrics were evaluated, for those who watch; it is too early to decide.
    Filling(Evaluated),
    /// All vertices have the size they should have, or must wait.
    Balanced(Evaluated, JobDecision),
    /// A decision was made and may not be carried out.
    Blocked(Evaluated, JobDecision),
    /// A decision was made.
    Scaled(Evaluated, JobDecision),
}

impl Cycle {
    /// What was evaluated.
    pub fn evaluated(&self) -> Option<&Evaluated> {
        match self {
            Self::TooFewSamples => None,
            Self::Filling(evaluated)
            | Self::Balanced(evaluated, _)
            | Self::Blocked(evaluated, _)
            | Self::Scaled(evaluated, _) => Some(evaluated),
        }
    }
}

/// What the autoscaler remembers of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Autoscaler {
    window: MetricWindow,
    history: ScalingHistory,
    tracking: RestartTracking,
    delayed: DelayedScaleDown,
    overrides: Overrides,
}

impl Autoscaler {
    /// The samples that are kept.
    pub fn samples(&self) -> &[Sample] {
        self.window.samples()
    }

    /// The parallelism of every vertex, once a decision has been made.
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// The vertices that wait to be scaled down.
    pub fn delayed(&self) -> &DelayedScaleDown {
        &self.delayed
    }

    /// Runs one cycle: collect, evaluate, decide, remember.
    ///
    /// # Errors
    /// When the ingestion rate of a source is not known.
    pub fn cycle(&mut self, options: &Options, look: &Look<'_>) -> Result<Cycle, NoIngestionRate> {
        let Look { topology, now, .. } = *look;
        let filled =
            self.window.collect(options, look.running_since, now, |before| sample(options, look, before));
        self.history.forget(options, now, |vertex| topology.index_of(vertex).is_some());
        self.tracking.forget(options, now);
        self.time_restart(look);
        if self.window.samples().len() < 2 {
            return Ok(Cycle::TooFewSamples);
        }
        let restart_time = self.tracking.restart_time(options);
        let evaluated = evaluate(options, topology, self.window.samples(), restart_time)?;
        if filled != Filled::Full {
            return Ok(Cycle::Filling(evaluated));
        }
        let decision = self.decide(options, look, &evaluated, restart_time);
        if decision.is_empty() {
            return Ok(Cycle::Balanced(evaluated, decision));
        }
        if look.blocked || !options.scaling_enabled {
            return Ok(Cycle::Blocked(evaluated, decision));
        }
        self.remember(options, look, &evaluated, &decision);
        Ok(Cycle::Scaled(evaluated, decision))
    }

    /// A rescale has ended when the job has the size that was decided on.
    fn time_restart(&mut self, look: &Look<'_>) {
        let Some(decided) = self.tracking.under_way() else { return };
        let is_reached = look.topology.vertices().iter().all(|vertex| {
            let last = self.history.of(&vertex.id).last().filter(|last| last.at == decided);
            last.is_none_or(|last| last.to == vertex.parallelism)
        });
        if is_reached {
            self.tracking.end(look.running_since);
        }
    }

    fn decide(
        &mut self,
        options: &Options,
        look: &Look<'_>,
        evaluated: &Evaluated,
        restart_time: Duration,
    ) -> JobDecision {
        let last = self.window.samples().last();
        // A legacy source does not say how busy it is.
        let is_silent =
            |vertex: usize| last.and_then(|last| last.vertices.get(vertex)).is_none_or(|v| v.load.is_nan());
        let memory = Memory { history: &self.history, restart_time, delayed: &mut self.delayed };
        decide_job(options, look.topology, evaluated, memory, look.now, is_silent)
    }

    fn remember(
        &mut self,
        options: &Options,
        look: &Look<'_>,
        evaluated: &Evaluated,
        decision: &JobDecision,
    ) {
        for (vertex, scaling) in decision.scalings(look.topology, evaluated, look.now) {
            self.history.add(options, vertex, scaling);
        }
        self.tracking.begin(look.now);
        let sizes = look.topology.vertices().iter().zip(decision.changes());
        self.overrides = sizes.map(|(v, to)| (v.id.clone(), to.unwrap_or(v.parallelism))).collect();
        self.delayed.clear();
    }
}

fn sample(options: &Options, look: &Look<'_>, before: &[Sample]) -> Sample {
    let vertex = |(index, reading): (usize, &VertexReading)| {
        let observed = before
            .iter()
            .map(|sample| sample.vertices.get(index).map_or(f64::NAN, |vertex| vertex.observed_rate));
        reading.to_sample(options, look.topology.is_source(index), observed)
    };
    let vertices =
        look.readings.iter().enumerate().take(look.topology.vertices().len()).map(vertex).collect();
    Sample { at: look.now, vertices, global: look.global.clone() }
}
