//! Sizes that share out key groups well.
//!
//! Flink gives subtask i of p the key groups from ceil(i max / p) to ceil((i+1) max / p) - 1 (`KeyGroupRangeAssignment`), so
//! the fullest subtask has ceil(max / p) of them and the vertex is no faster than that one.

use crate::model::{Graph, Parallelism, Ship};
use crate::policy::Alignment;

/// The size to take instead of `size` for a vertex: the same where its input is not by key.
pub(super) fn aligned(size: Parallelism, vertex: usize, graph: &Graph, alignment: Alignment) -> Parallelism {
    let keyed = graph.inputs(vertex).iter().any(|&edge| graph.edges()[edge].ship == Ship::Hash);
    let groups = graph.vertices()[vertex].max_parallelism.get();
    if !keyed || size.get() >= groups {
        return size;
    }
    let aligned = match alignment {
        Alignment::Off => size.get(),
        // The fewest subtasks with which the fullest has no more key groups than with this size.
        Alignment::Balanced => groups.div_ceil(groups.div_ceil(size.get())),
        Alignment::Even => (size.get()..=groups).find(|p| groups.is_multiple_of(*p)).unwrap_or(groups),
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
            let got = aligned(Parallelism::clamped(size), 1, &graph(groups, ship), alignment);
            assert_eq!(got.get(), expected, "{size} of {groups}, {alignment:?} by {ship:?}");
        }
    }

    #[test]
    fn balanced_never_fills_a_subtask_more() {
        for groups in 1..300_u32 {
            for size in 1..=groups {
                let graph = graph(u64::from(groups), Ship::Hash);
                let got =
                    aligned(Parallelism::clamped(u64::from(size)), 1, &graph, Alignment::Balanced).get();
                assert!(
                    got <= size && groups.div_ceil(got) <= groups.div_ceil(size),
                    "{size} of {groups}: {got}"
                );
            }
        }
    }
}
