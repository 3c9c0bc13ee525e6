//! Vertices that change together: those that records go straight through, subtask by subtask.
//!
//! A forward edge between two vertices that are not chained connects each subtask with the one of the same number as long as
//! both sides have equally many. Flink takes requirements that differ across it and does not say a word: the edge stays
//! pointwise, as in a rescale, and what happens on it depends on the version. From 1.17 on (FLINK-30213) the sender becomes a
//! round robin over the subtasks that it is connected with; up to 2.2 only where their number is not by chance the sender's own
//! parallelism (FLINK-33123), so that from two to four subtasks every record still goes along the first connection and two
//! subtasks get none. At best the order of records and a key's place, which `reinterpretAsKeyedStream` relies on, are lost.
//! So the two ends are kept at one size. Ends that already differ have nothing left to keep.
//!
//! Slot sharing groups need no such care: of each, as many slots are held as its largest vertex has subtasks, and the smaller
//! ones fit into those.

use crate::model::{Graph, Parallelism, Ship};

/// The groups of two vertices or more that forward edges join and that have one size now, in the graph's order.
pub(super) fn groups(graph: &Graph, current: &[Parallelism]) -> Vec<Vec<usize>> {
    let joins = graph.edges().iter().filter(|edge| {
        edge.ship == Ship::Forward && current.get(edge.from).is_some_and(|p| current.get(edge.to) == Some(p))
    });
    let mut joins = joins.peekable();
    if joins.peek().is_none() {
        // As in most jobs: what can be chained is.
        return Vec::new();
    }
    let mut first: Vec<usize> = (0..graph.len()).collect();
    for edge in joins {
        let (from, to) = (first_of(&mut first, edge.from), first_of(&mut first, edge.to));
        first[from.max(to)] = from.min(to);
    }
    let mut members = vec![Vec::new(); graph.len()];
    for vertex in 0..graph.len() {
        members[first_of(&mut first, vertex)].push(vertex);
    }
    members.retain(|members| members.len() > 1);
    members
}

/// The vertex that stands for the group of another; halves the way to it, so that long chains stay cheap.
fn first_of(first: &mut [usize], mut vertex: usize) -> usize {
    while first[vertex] != vertex {
        first[vertex] = first[first[vertex]];
        vertex = first[vertex];
    }
    vertex
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Edge, Vertex, VertexId};

    #[test]
    fn forward_edges_join_equal_sizes() {
        use Ship::{Forward, Hash, Rescale};
        type Row<'a> = (&'a [(usize, usize, Ship)], [u64; 5], &'a [&'a [usize]]);
        let rows: [Row<'_>; 6] = [
            (&[(0, 1, Hash), (1, 2, Rescale)], [2; 5], &[]),
            (&[(0, 1, Forward), (1, 2, Hash)], [2; 5], &[&[0, 1]]),
            (&[(0, 1, Forward)], [2, 3, 2, 2, 2], &[]),
            (&[(3, 4, Forward), (2, 3, Forward), (0, 1, Forward)], [2; 5], &[&[0, 1], &[2, 3, 4]]),
            (
                &[(0, 2, Forward), (1, 3, Forward), (2, 4, Forward), (3, 4, Forward)],
                [2; 5],
                &[&[0, 1, 2, 3, 4]],
            ),
            (&[(0, 1, Forward), (1, 2, Forward)], [2, 2, 5, 5, 5], &[&[0, 1]]),
        ];
        for (edges, sizes, expected) in rows {
            let vertex = |id| Vertex {
                id: VertexId::from_bits(id),
                name: String::new(),
                max_parallelism: Parallelism::clamped(128),
                slot_sharing_group: None,
            };
            let edges: Vec<_> = edges.iter().map(|&(from, to, ship)| Edge { from, to, ship }).collect();
            let graph = Graph::new((0..5).map(vertex).collect(), edges.clone()).expect("no cycle");
            assert_eq!(groups(&graph, &sizes.map(Parallelism::clamped)), expected, "{edges:?} {sizes:?}");
        }
    }
}
