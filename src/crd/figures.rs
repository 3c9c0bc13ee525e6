//! What a status says in numbers: sizes, and what a decision rests on.

use std::collections::BTreeMap;

use super::{LimitSeen, Numbers, Size};
use crate::decide::{Decision, Verdict};
use crate::model::{Graph, Parallelism, Snapshot, Vertex, VertexId};
use crate::plan;
use crate::record::State;

/// Vertices by the names under which a status lists them.
pub(super) struct Names(BTreeMap<VertexId, String>);

impl Names {
    /// Of two vertices with one name, each has its id behind it.
    pub(super) fn of(graph: &Graph) -> Self {
        let vertices = graph.vertices();
        let is_unique = |name: &str| vertices.iter().filter(|vertex| vertex.name == name).count() == 1;
        let named = vertices.iter().map(|vertex| {
            let Vertex { id, name, .. } = vertex;
            (*id, if is_unique(name) { name.clone() } else { format!("{name} ({id})") })
        });
        Self(named.collect())
    }

    fn get(&self, id: VertexId) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }
}

/// The size that a job has.
pub(super) fn current(snapshot: &Snapshot, names: &Names) -> Size {
    let sizes = snapshot.parallelism();
    let ids = snapshot.graph.vertices().iter().map(|vertex| vertex.id);
    let replicas = match &snapshot.around.workload {
        Some(workload) => Some(workload.observed),
        None => snapshot.slots.map(|slots| slots.taskmanagers),
    };
    Size {
        replicas,
        slots: Some(plan::slots_needed(&snapshot.graph, &sizes)),
        parallelism: ids.zip(&sizes).map(|(id, size)| (names.get(id), size.get())).collect(),
    }
}

/// The size that a job is to have after a decision; `None` where the decision does not say.
pub(super) fn recommended(
    decision: &Decision,
    state: &State,
    snapshot: &Snapshot,
    names: &Names,
) -> Option<Size> {
    match &decision.verdict {
        Verdict::Unchanged => Some(current(snapshot, names)),
        Verdict::Held { plan: Some(_) } | Verdict::Approved { .. } => {
            let plan = decision.plan()?;
            Some(Size {
                replicas: plan.replicas.or(current(snapshot, names).replicas),
                slots: Some(plan.slots_after),
                parallelism: plan.changes.iter().map(|c| (names.get(c.vertex), c.to.get())).collect(),
            })
        }
        // On its way there.
        Verdict::Held { plan: None } => {
            let to = &state.ledger.attempt.as_ref()?.to;
            let slots = snapshot.graph.slots_needed_by(to)?;
            let per = snapshot.slots.and_then(|slots| slots.per_taskmanager()).filter(|per| *per > 0);
            Some(Size {
                replicas: per.map(|per| slots.div_ceil(per)),
                slots: Some(slots),
                parallelism: to.iter().map(|(id, size)| (names.get(*id), size.get())).collect(),
            })
        }
        Verdict::Unobserved => None,
    }
}

/// The rule that asked for the size: that of the vertex whose size it changes most, in proportion.
pub(super) fn rule(decision: &Decision) -> Option<&'static str> {
    let proposal = decision.proposal.as_ref()?;
    let share = |a: Parallelism, b: Parallelism| a.as_f64().max(b.as_f64()) / a.as_f64().min(b.as_f64());
    let asked = proposal.wants.iter().filter_map(|want| Some((share(want.current, want.wanted), want.rule?)));
    let (_, rule) = asked.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some(proposal.rules.get(rule)?.rule)
}

/// What limited a decision's sizes.
pub(super) fn limits(decision: &Decision, names: &Names) -> Vec<LimitSeen> {
    let seen = decision.limits.iter().map(|limit| LimitSeen {
        vertex: names.get(limit.vertex),
        by: format!("{:?}", limit.by),
        before: limit.before.get(),
        after: limit.after.get(),
    });
    seen.collect()
}

/// What a decision rests on.
pub(super) fn numbers(decision: &Decision) -> Option<Numbers> {
    let proposal = decision.proposal.as_ref()?;
    let vertices = decision.signals.iter().flat_map(|signals| &signals.vertices);
    let backlog = vertices.filter_map(|vertex| vertex.backlog).reduce(|a, b| a + b);
    Some(Numbers {
        load_per_second: Some(whole(proposal.load)),
        backlog: backlog.map(whole),
        restart_seconds: Some(whole(proposal.restart_seconds.ceil())),
    })
}

/// A count of records without its fraction.
fn whole(number: f64) -> i64 {
    // Far above any rate there is, and exact as a float.
    const MOST: f64 = 9.0e15;
    #[expect(clippy::cast_possible_truncation, reason = "within what both types hold, as clamped")]
    let whole = number.round().clamp(-MOST, MOST) as i64;
    whole
}
