//! Whether what a plan assumes is still so, from what Flink says at the last moment.

use std::fmt;

use crate::guard::Hold;
use crate::model::{Attempt, JobState, Ledger, Parallelism, Slots, Timestamp, Vertex, VertexId};
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

/// The first thing that speaks against asking for what was written down before the program was stopped, and not asked for then.
/// The job may have started again since, which changes nothing about the size that it needs.
pub(super) fn objection_to_old(attempt: &Attempt, found: &Found) -> Option<Objection> {
    let before = attempt.from.iter().map(|(&vertex, &size)| (vertex, size));
    if let Some(change) = stopped(found).or_else(|| resized(before, found)) {
        return Some(Objection::Superseded(change));
    }
    let graph = found.view.graph.as_ref()?;
    let slots = [&attempt.from, &attempt.to].map(|sizes| graph.slots_needed_by(sizes));
    let [Some(own), Some(needed)] = slots else {
        return Some(Objection::Superseded(Change::Graph));
    };
    missing(needed, usable(found.slots, own)).map(Objection::Held)
}

fn changed(plan: &Plan, found: &Found) -> Option<Change> {
    let restarted = || {
        let since = found.view.running_since;
        (since != plan.assumes.running_since).then_some(Change::Restarted(since))
    };
    let before = plan.changes.iter().map(|change| (change.vertex, change.from));
    stopped(found).or_else(restarted).or_else(|| resized(before, found))
}

fn stopped(found: &Found) -> Option<Change> {
    [found.state, found.view.state].into_iter().find(|&state| state != JobState::Running).map(Change::State)
}

/// Whether the job has other vertices than these, or one of them another size.
fn resized(assumed: impl ExactSizeIterator<Item = (VertexId, Parallelism)>, found: &Found) -> Option<Change> {
    let (readings, count) = (&found.view.readings, assumed.len());
    let Some(graph) = found.view.graph.as_ref() else { return Some(Change::Graph) };
    if readings.len() != count || found.requirements.len() != count {
        return Some(Change::Graph);
    }
    assumed.into_iter().find_map(|(vertex, assumed)| {
        let Some((_, reading)) = readings.iter().find(|(id, _)| *id == vertex) else {
            return Some(Change::Graph);
        };
        let name = || graph.index_of(vertex).map(|index| graph.vertices()[index].name.clone());
        (reading.parallelism != assumed).then(|| Change::Resized {
            name: name().unwrap_or_else(|| vertex.to_string()),
            assumed,
            found: reading.parallelism,
        })
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
    (needed <= i64::from(usable(found.slots, plan.slots_before))).then_some(foreign)
}

fn is(parallelism: Parallelism, bound: i64) -> bool {
    i64::from(parallelism.get()) == bound
}

/// Flink up to 1.20 leaves the job down for ten seconds when it cannot have what is asked for, and 2.x waits a minute for it:
/// nothing is asked for that is not there.
fn slots_missing(plan: &Plan, found: &Found) -> Option<Hold> {
    missing(plan.assumes.slots, usable(found.slots, plan.slots_before))
}

fn missing(needed: u32, have: u32) -> Option<Hold> {
    (needed > have).then_some(Hold::SlotsMissing { needed, have })
}

/// Slots that this job, which has `own`, has or can have. Those that it let go of stay its own for `slot.idle.timeout` (50 s) and are not
/// called available, so where it is alone all are counted.
fn usable(slots: Slots, own: u32) -> u32 {
    let Slots { total, available, jobs_running, .. } = slots;
    if jobs_running <= 1 { total } else { total.min(own.saturating_add(available)) }
}
