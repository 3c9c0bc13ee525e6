//! Whether what a plan assumes is still so, from what Flink says at the last moment.

use std::fmt;

use crate::guard::Hold;
use crate::model::{JobState, Ledger, Parallelism, Slots, Timestamp, Vertex, VertexId};
use crate::observe::flink::{JobView, Requirements};
use crate::plan::Plan;

/// What Flink says of the job at the last moment.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The job's state as it is now.
    pub(super) state: JobState,
    /// The job, up to 3 s old.
    pub(super) view: JobView,
    /// What its vertices may have, as it is now.
    pub(super) requirements: Requirements,
    /// The cluster's slots as they are now.
    pub(super) slots: Slots,
}

/// Why a plan is not carried out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Objection {
    /// The world is another than the plan assumes.
    Superseded(Change),
    /// The world is as the plan assumes, but it cannot be done now.
    Held(Hold),
}

/// What is no longer as the plan assumes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// The job does not run.
    State(JobState),
    /// It has started again since.
    Restarted(Option<Timestamp>),
    /// It has other vertices.
    Graph,
    /// A vertex has another size.
    Resized { name: String, assumed: Parallelism, found: Parallelism },
    /// Somebody else has asked for another size, and it is about to come about.
    AskedFor { name: String, upper: i64 },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => write!(f, "the job is {state:?}"),
            Self::Restarted(Some(at)) => write!(f, "the job has started again at {at}"),
            Self::Restarted(None) => f.write_str("the job has not run yet"),
            Self::Graph => f.write_str("the job has other vertices"),
            Self::Resized { name, assumed, found } => write!(f, "{name} has {found} subtasks, not {assumed}"),
            Self::AskedFor { name, upper } => {
                write!(
                    f,
                    "somebody else has asked for {upper} subtasks of {name}, and Flink is about to change it"
                )
            }
        }
    }
}

/// The first thing that speaks against carrying `plan` out.
pub(super) fn objection(plan: &Plan, ledger: &Ledger, found: &Found) -> Option<Objection> {
    changed(plan, found)
        .or_else(|| asked_for_by_others(plan, ledger, found))
        .map(Objection::Superseded)
        .or_else(|| slots_missing(plan, found).map(Objection::Held))
}

fn changed(plan: &Plan, found: &Found) -> Option<Change> {
    let view = &found.view;
    if found.state != JobState::Running {
        return Some(Change::State(found.state));
    }
    if view.state != JobState::Running {
        return Some(Change::State(view.state));
    }
    if view.running_since != plan.assumes.running_since {
        return Some(Change::Restarted(view.running_since));
    }
    let (vertices, requirements) = (view.readings.len(), found.requirements.len());
    if view.graph.is_none() || vertices != plan.changes.len() || requirements != plan.changes.len() {
        return Some(Change::Graph);
    }
    plan.changes.iter().find_map(|change| {
        match view.readings.iter().find(|(vertex, _)| *vertex == change.vertex) {
            None => Some(Change::Graph),
            Some((_, reading)) if reading.parallelism != change.from => Some(Change::Resized {
                name: change.name.clone(),
                assumed: change.from,
                found: reading.parallelism,
            }),
            Some(_) => None,
        }
    })
}

/// A requirement that is neither what the job has, nor what it is to have, nor what we asked for last time, is somebody
/// else's. Where there are slots for it, Flink is about to grant it. Where there are none, nothing will come of it (a job
/// that was submitted larger than its cluster is like that for good), and the plan takes its place.
fn asked_for_by_others(plan: &Plan, ledger: &Ledger, found: &Found) -> Option<Change> {
    let last = ledger.rescales.back();
    let ours = |vertex: VertexId, upper: i64| {
        last.is_some_and(|last| {
            [&last.from, &last.to].into_iter().any(|sizes| sizes.get(&vertex).is_some_and(|&p| is(p, upper)))
        })
    };
    let graph = found.view.graph.as_ref()?;
    let upper = |vertex: &Vertex| {
        let most = i64::from(vertex.max_parallelism.get());
        found.requirements.upper(vertex.id).map_or(0, |upper| if upper < 1 { most } else { upper })
    };
    let foreign = plan.changes.iter().find_map(|change| {
        let upper = upper(&graph.vertices()[graph.index_of(change.vertex)?]);
        let is_known = is(change.from, upper) || is(change.to, upper) || ours(change.vertex, upper);
        (!is_known).then(|| Change::AskedFor { name: change.name.clone(), upper })
    })?;
    let slots_of = |group: &[usize]| group.iter().map(|&v| upper(&graph.vertices()[v])).max().unwrap_or(0);
    let groups = graph.slot_sharing_groups();
    let needed = groups.iter().map(|(_, group)| slots_of(group)).fold(0, i64::saturating_add);
    (needed <= i64::from(usable(plan, found))).then_some(foreign)
}

fn is(parallelism: Parallelism, bound: i64) -> bool {
    i64::from(parallelism.get()) == bound
}

/// Flink up to 1.20 leaves the job down for ten seconds when it cannot have what is asked for, and 2.x waits a minute for it:
/// nothing is asked for that is not there.
fn slots_missing(plan: &Plan, found: &Found) -> Option<Hold> {
    let (needed, have) = (plan.assumes.slots, usable(plan, found));
    (needed > have).then_some(Hold::SlotsMissing { needed, have })
}

/// Slots that this job has or can have. Those that it let go of stay its own for `slot.idle.timeout` (50 s) and are not
/// called available, so where it is alone all are counted.
fn usable(plan: &Plan, found: &Found) -> u32 {
    let Slots { total, available, jobs_running, .. } = found.slots;
    if jobs_running <= 1 { total } else { total.min(plan.slots_before.saturating_add(available)) }
}
