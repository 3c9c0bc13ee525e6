//! How Flink's adaptive scheduler shares slots out among the vertices of a job.

use crate::model::Graph;

/// The least and the most subtasks that one vertex may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) lower: u32,
    pub(super) upper: u32,
}

/// The slot sharing groups of a job, each with the indices of its vertices.
#[derive(Clone, Debug)]
pub(super) struct Groups(Vec<Vec<usize>>);

impl Groups {
    pub(super) fn new(graph: &Graph) -> Self {
        Self(graph.slot_sharing_groups().into_iter().map(|(_, members)| members).collect())
    }

    /// Slots that a job of these sizes holds: in each group one vertex's subtask of every number fits into a slot.
    pub(super) fn held(&self, parallelism: &[u32]) -> u32 {
        self.0.iter().map(|members| members.iter().map(|&v| parallelism[v]).max().unwrap_or(0)).sum()
    }

    /// The sizes that so many slots allow: as near to the upper bounds as they reach, small groups served first.
    /// `None` when they do not reach for the lower bounds.
    pub(super) fn share_out(&self, bounds: &[Bounds], slots: u32) -> Option<Vec<u32>> {
        let most = |members: &[usize], of: fn(&Bounds) -> u32| {
            members.iter().map(|&v| of(&bounds[v])).max().unwrap_or(0)
        };
        let mut groups: Vec<(&[usize], u32, u32)> = self
            .0
            .iter()
            .map(|members| (members.as_slice(), most(members, |b| b.lower), most(members, |b| b.upper)))
            .collect();
        groups.sort_by_key(|&(_, _, upper)| upper);
        let mut spare = slots.checked_sub(groups.iter().map(|&(_, lower, _)| lower).sum())?;
        let mut parallelism = vec![0; bounds.len()];
        let mut waiting = u32::try_from(groups.len()).unwrap_or(u32::MAX);
        for (members, lower, upper) in groups {
            let extra = (upper - lower).min(spare.div_ceil(waiting));
            (spare, waiting) = (spare - extra, waiting - 1);
            for &v in members {
                parallelism[v] = bounds[v].upper.min(lower + extra);
            }
        }
        Some(parallelism)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_the_slots_allow() {
        for (groups, bounds, slots, sizes) in [
            // One group: a slot holds a subtask of each vertex.
            (vec![vec![0, 1, 2]], vec![(1, 2), (1, 6), (1, 3)], 8, Some(vec![2, 6, 3])),
            (vec![vec![0, 1, 2]], vec![(1, 2), (1, 6), (1, 3)], 4, Some(vec![2, 4, 3])),
            (vec![vec![0, 1]], vec![(1, 4), (6, 6)], 4, None),
            // Several: the small one gets all it wants, the others share the rest.
            (vec![vec![0], vec![1]], vec![(1, 2), (1, 9)], 8, Some(vec![2, 6])),
            (vec![vec![0], vec![1]], vec![(1, 9), (1, 9)], 9, Some(vec![5, 4])),
            (vec![vec![0], vec![1]], vec![(3, 4), (4, 9)], 6, None),
        ] {
            let bounds: Vec<_> = bounds.into_iter().map(|(lower, upper)| Bounds { lower, upper }).collect();
            let groups = Groups(groups);
            let got = groups.share_out(&bounds, slots);
            assert_eq!(got, sizes, "{bounds:?} on {slots} slots");
            assert!(got.is_none_or(|sizes| groups.held(&sizes) <= slots));
        }
    }
}
