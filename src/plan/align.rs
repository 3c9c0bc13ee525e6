//! Sizes that share out key groups well, or the partitions of a source.
//!
//! Flink gives subtask i of p the key groups from ceil(i max / p) to ceil((i+1) max / p) - 1 (`KeyGroupRangeAssignment`), so
//! the fullest subtask has ceil(max / p) of them and the vertex is no faster than that one. A source's partitions go round its
//! subtasks one by one, so the same holds with them in the place of the key groups.

use crate::model::{Graph, Parallelism, Ship};
use crate::policy::Alignment;

/// The size to take instead of `size` for a vertex: the same where it has no partitions and its input is not by key.
pub(super) fn aligned(
    size: Parallelism,
    vertex: usize,
    graph: &Graph,
    partitions: Option<u32>,
    alignment: Alignment,
) -> Parallelism {
    let keyed = graph.inputs(vertex).iter().any(|&edge| graph.edges()[edge].ship == Ship::Hash);
    let key_groups = || keyed.then(|| graph.vertices()[vertex].max_parallelism.get());
    let Some(shares) = partitions.or_else(key_groups).filter(|&shares| size.get() < shares) else {
        return size;
    };
    let aligned = match alignment {
        Alignment::Off => size.get(),
        // The fewest subtasks with which the fullest has no more shares than with this size.
        Alignment::Balanced => shares.div_ceil(shares.div_ceil(size.get())),
        Alignment::Even => (size.get()..=shares).find(|p| shares.is_multiple_of(*p)).unwrap_or(shares),
    };
    Parallelism::clamped(u64::from(aligned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Edge, Vertex, VertexId};

    fn graph(max_parallelism: u64, ship: Ship) -> Graph {
        let vertex = |id| Vertex {
            id: VertexId::from_bits(id),
            name: String::new(),
            max_parallelism: Parallelism::clamped(max_parallelism),
            slot_sharing_group: None,
        };
        Graph::new(vec![vertex(0), vertex(1)], vec![Edge { from: 0, to: 1, ship }]).expect("two vertices")
    }

    #[test]
    fn aligns_keyed_inputs_only() {
        use Alignment::{Balanced, Even, Off};
        for (groups, size, alignment, ship, expected) in [
            (128, 9, Off, Ship::Hash, 9),
            (128, 9, Balanced, Ship::Hash, 9), // 15 of 128 at the most with 9, and no fewer subtasks do that
            (128, 12, Balanced, Ship::Hash, 12), // 11
            (128, 70, Balanced, Ship::Hash, 64), // 2 with 70 and with 64
            (128, 127, Balanced, Ship::Hash, 64),
            (128, 128, Balanced, Ship::Hash, 128),
            (128, 200, Balanced, Ship::Hash, 200),
            (128, 9, Even, Ship::Hash, 16),
            (128, 65, Even, Ship::Hash, 128),
            (97, 9, Even, Ship::Hash, 97), // a prime has no other divisor
            (97, 9, Balanced, Ship::Hash, 9),
            (128, 9, Even, Ship::Rebalance, 9),
            (128, 9, Even, Ship::Forward, 9),
        ] {
            let got = aligned(Parallelism::clamped(size), 1, &graph(groups, ship), None, alignment);
            assert_eq!(got.get(), expected, "{size} of {groups}, {alignment:?} by {ship:?}");
        }
    }

    #[test]
    fn aligns_partitions_whatever_reaches_the_vertex() {
        use Alignment::{Balanced, Even, Off};
        for (partitions, size, alignment, expected) in [
            (12, 5, Off, 5),
            (12, 5, Balanced, 4), // three each, as the fullest of five has
            (12, 7, Balanced, 6),
            (12, 5, Even, 6),
            (12, 7, Even, 12),
            (12, 12, Even, 12),
            (13, 5, Balanced, 5),
            (13, 8, Balanced, 7),
            (13, 5, Even, 13),
        ] {
            let size = Parallelism::clamped(size);
            let got = aligned(size, 0, &graph(128, Ship::Forward), Some(partitions), alignment);
            assert_eq!(got.get(), expected, "{size} of {partitions} partitions, {alignment:?}");
        }
    }

    #[test]
    fn balanced_never_fills_a_subtask_more() {
        for groups in 1..300_u32 {
            for size in 1..=groups {
                let graph = graph(u64::from(groups), Ship::Hash);
                let got =
                    aligned(Parallelism::clamped(u64::from(size)), 1, &graph, None, Alignment::Balanced)
                        .get();
                assert!(
                    got <= size && groups.div_ceil(got) <= groups.div_ceil(size),
                    "{size} of {groups}: {got}"
                );
            }
        }
    }
}
