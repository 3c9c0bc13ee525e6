//! Slots: how many a size needs, how many there are, and the best that can be made of too few.

use crate::model::{Graph, Parallelism, Slots, Snapshot};

/// Slots that a job of these sizes holds.
pub(crate) fn needed(graph: &Graph, sizes: &[Parallelism]) -> u32 {
    graph.slots_needed(sizes)
}

/// Slots that the job can have: its own and the free ones, within the most TaskManagers; `None` when they are not known.
pub(super) fn usable(snapshot: &Snapshot, most_replicas: Option<u32>) -> Option<u32> {
    let slots = snapshot.slots?;
    let own = needed(&snapshot.graph, &snapshot.parallelism());
    let there = if slots.jobs_running <= 1 {
        // The free ones are counted too few for slot.idle.timeout after a scale-down (facts, section 2.2): the job still
        // holds them. With no other job, all are this one's.
        slots.total
    } else {
        slots.total.min(own.saturating_add(slots.available))
    };
    let most = most_replicas.zip(slots.per_taskmanager()).map(|(max, per)| max.saturating_mul(per));
    Some(most.map_or(there, |most| there.min(most)))
}

/// Slots of the cluster that this job cannot have: other jobs hold them.
pub(super) fn of_others(slots: Slots, own: u32) -> u32 {
    if slots.jobs_running <= 1 { 0 } else { slots.total.saturating_sub(own.saturating_add(slots.available)) }
}

/// What is wished of every vertex, and what it has at the least.
pub(super) struct Demand<'a> {
    pub(super) least: &'a [Parallelism],
    pub(super) wished: &'a [Parallelism],
}

/// The sizes that make the smallest ratio of a vertex's size to its wish as large as the slots allow; `None` when not
/// even the least fits.
pub(super) fn fit(graph: &Graph, demand: &Demand<'_>, have: u32) -> Option<Vec<Parallelism>> {
    if needed(graph, demand.least) > have {
        return None;
    }
    let at = |ratio: f64| -> Vec<Parallelism> {
        let size = |(&least, &wished): (&Parallelism, &Parallelism)| {
            Parallelism::ceil(wished.as_f64() * ratio).max(least).min(wished.max(least))
        };
        demand.least.iter().zip(demand.wished).map(size).collect()
    };
    // Slots rise with the ratio: halve the interval until no size can lie between its ends (32768 < 2^15, and some to spare).
    let (mut fits, mut too_many) = (0.0, 1.0);
    for _ in 0..24 {
        let middle = f64::midpoint(fits, too_many);
        if needed(graph, &at(middle)) <= have { fits = middle } else { too_many = middle }
    }
    Some(at(fits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Edge, Ship, Vertex, VertexId};
    use crate::policy::testing::{Job, START};

    fn graph(groups: &[&str]) -> Graph {
        let vertices = groups.iter().enumerate().map(|(id, group)| Vertex {
            id: VertexId::from_bits(id as u128),
            name: String::new(),
            max_parallelism: Parallelism::clamped(128),
            slot_sharing_group: Some((*group).to_owned()),
        });
        let edges = (1..groups.len()).map(|to| Edge { from: to - 1, to, ship: Ship::Hash });
        Graph::new(vertices.collect(), edges.collect()).expect("a chain")
    }

    fn sizes(of: &[u64]) -> Vec<Parallelism> {
        of.iter().map(|&p| Parallelism::clamped(p)).collect()
    }

    #[test]
    fn a_group_needs_as_many_slots_as_its_largest_vertex() {
        for (groups, p, slots) in [
            (&["a", "a", "a"][..], [1, 9, 3], 9),
            (&["a", "b", "b"], [1, 9, 3], 10),
            (&["a", "b", "a"], [4, 9, 3], 13),
        ] {
            assert_eq!(needed(&graph(groups), &sizes(&p)), slots, "{groups:?} {p:?}");
        }
    }

    #[test]
    fn shares_out_too_few_slots_by_the_smallest_ratio() {
        for (groups, least, wished, have, expected) in [
            (&["a", "a"][..], [1, 1], [16, 4], 8, Some([8, 2])),
            (&["a", "b"], [1, 1], [16, 8], 12, Some([8, 4])),
            (&["a", "b"], [6, 1], [16, 8], 8, Some([6, 2])),
            (&["a", "b"], [6, 3], [16, 8], 8, None),
            (&["a", "b"], [1, 1], [2, 2], 100, Some([2, 2])),
        ] {
            let demand = Demand { least: &sizes(&least), wished: &sizes(&wished) };
            assert_eq!(
                fit(&graph(groups), &demand, have),
                expected.map(|p| sizes(&p)),
                "{wished:?} in {have}"
            );
        }
    }

    #[test]
    fn counts_what_the_job_can_have() {
        for (total, available, jobs, max, expected) in [
            (16, 0, 1, None, 16), // the rest is held for a while after a scale-down
            (16, 4, 2, None, 7),  // three of its own, four free
            (16, 0, 1, Some(1), 8),
            (16, 0, 1, Some(4), 16),
        ] {
            let mut job = Job::chain(&[(1, 0.0), (3, 0.004)]);
            job.snapshot.slots =
                Some(Slots { at: START, total, available, taskmanagers: 2, jobs_running: jobs });
            assert_eq!(usable(&job.snapshot, max), Some(expected), "{total} {available} {jobs} {max:?}");
        }
    }
}
