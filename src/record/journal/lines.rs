//! The lines as they are written.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::VERSION;
use crate::decide::Decision;
use crate::model::{
    Around, Attempt, Cluster, Graph, JobId, JobState, Missed, Observation, Reading, Slots, Snapshot,
    Timestamp,
};
use crate::policy::Policy;
use crate::record::{Outcome, State};

/// What is true from here on: the first line of every file, and wherever a writer took up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// The version of the form of the lines; first, so that a reader knows it before anything else.
    pub journal: u32,
    /// The Tidegate that wrote it.
    pub tidegate: String,
    /// When it was written.
    pub at: Timestamp,
    /// The autoscaler whose cycles follow.
    pub autoscaler: String,
    /// The policy that decided.
    pub policy: Policy,
    /// The state before the cycle that follows.
    pub state: State,
}

impl Header {
    /// A header by this version of Tidegate.
    pub fn new(at: Timestamp, autoscaler: &str, policy: &Policy, state: &State) -> Self {
        Self {
            journal: VERSION,
            tidegate: env!("CARGO_PKG_VERSION").to_owned(),
            at,
            autoscaler: autoscaler.to_owned(),
            policy: policy.clone(),
            state: state.clone(),
        }
    }
}

/// One cycle, to be written.
#[derive(Clone, Copy, Debug)]
pub struct Cycle<'a> {
    /// The `now` of the decision.
    pub at: Timestamp,
    /// What was seen.
    pub observation: &'a Observation,
    /// The rescale under way as it was before the cycle, where it goes step by step: the steps between two cycles are in none.
    pub stepped: Option<&'a Attempt>,
    /// What was chosen.
    pub decision: &'a Decision,
    /// When the approved plan was begun, if it was: the `now` given to [`State::begin`].
    pub begun: Option<Timestamp>,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// When the outcome was handed to [`State::end`], if it was.
    pub ended: Option<Timestamp>,
}

/// Turns headers and cycles into lines; remembers which graph the reader already knows, and which steps of a rescale.
#[derive(Debug, Default)]
pub struct Writer {
    graph: Option<Arc<Graph>>,
    attempt: Option<Attempt>,
}

impl Writer {
    /// A header as a line.
    ///
    /// # Errors
    /// When a value cannot be written as JSON; the types do not allow such a value.
    pub fn header(&mut self, header: &Header) -> serde_json::Result<Vec<u8>> {
        // A reader may begin here, so the next cycle brings its graph again.
        self.graph = None;
        self.attempt.clone_from(&header.state.ledger.attempt);
        line(header)
    }

    /// A cycle as a line.
    ///
    /// # Errors
    /// As [`Writer::header`].
    pub fn cycle(&mut self, cycle: &Cycle<'_>) -> serde_json::Result<Vec<u8>> {
        let Cycle { at, observation, stepped, decision, begun, outcome, ended } = *cycle;
        let observation = match observation {
            Observation::Missed(missed) => ObservationLine::Missed(missed.clone()),
            Observation::Seen(snapshot) => {
                let known = self.graph.as_ref() == Some(&snapshot.graph);
                self.graph = Some(Arc::clone(&snapshot.graph));
                ObservationLine::Seen(SnapshotLine::new(snapshot, known))
            }
        };
        let stepped = stepped.filter(|attempt| self.attempt.as_ref() != Some(attempt));
        if let Some(attempt) = stepped {
            self.attempt = Some(attempt.clone());
        }
        line(&CycleLine { at, observation, stepped, begun, outcome, ended, decision })
    }
}

fn line(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// The decision comes last: it is the longest part, and what follows from the rest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CycleLine<'a> {
    at: Timestamp,
    observation: ObservationLine,
    #[serde(skip_serializing_if = "Option::is_none")]
    stepped: Option<&'a Attempt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    begun: Option<Timestamp>,
    outcome: &'a Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
    decision: &'a Decision,
}

/// An [`Observation`] whose graph may have been left out.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and there is one at a time")]
pub(super) enum ObservationLine {
    Seen(SnapshotLine),
    Missed(Missed),
}

/// A [`Snapshot`] without its graph where that is the same as in the cycle before.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SnapshotLine {
    at: Timestamp,
    job: JobId,
    name: String,
    state: JobState,
    running_since: Option<Timestamp>,
    restarting_since: Option<Timestamp>,
    flink_now: Timestamp,
    cluster: Cluster,
    slots: Option<Slots>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    graph: Option<Arc<Graph>>,
    vertices: Vec<Reading>,
    #[serde(default, skip_serializing_if = "Around::is_empty")]
    around: Around,
}

impl SnapshotLine {
    fn new(snapshot: &Snapshot, graph_known: bool) -> Self {
        let Snapshot {
            at,
            job,
            name,
            state,
            running_since,
            restarting_since,
            flink_now,
            cluster,
            slots,
            graph,
            vertices,
            around,
        } = snapshot;
        Self {
            at: *at,
            job: *job,
            name: name.clone(),
            state: *state,
            running_since: *running_since,
            restarting_since: *restarting_since,
            flink_now: *flink_now,
            cluster: *cluster,
            slots: *slots,
            graph: (!graph_known).then(|| Arc::clone(graph)),
            vertices: vertices.clone(),
            around: around.clone(),
        }
    }

    /// The snapshot; `None` when its graph was left out and none is known.
    pub(super) fn snapshot(self, known: &mut Option<Arc<Graph>>) -> Option<Snapshot> {
        let Self {
            at,
            job,
            name,
            state,
            running_since,
            restarting_since,
            flink_now,
            cluster,
            slots,
            graph,
            vertices,
            around,
        } = self;
        if let Some(graph) = graph {
            *known = Some(graph);
        }
        let graph = Arc::clone(known.as_ref()?);
        Some(Snapshot {
            at,
            job,
            name,
            state,
            running_since,
            restarting_since,
            flink_now,
            cluster,
            slots,
            graph,
            vertices,
            around,
        })
    }
}
