//! A job's graph without its sizes: vertices, edges, and an order in which inputs come first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Parallelism, VertexId};

/// One vertex of the graph; its parallelism is not here because a rescale changes it and the graph stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vertex {
    /// Flink's id of it, the same after every restart of an unchanged graph.
    pub id: VertexId,
    /// Flink's name of it, for people.
    pub name: String,
    /// The number of key groups: no parallelism may be above it.
    pub max_parallelism: Parallelism,
    /// Vertices of one group share slots; `None` before Flink 1.20, which does not say: then all share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_sharing_group: Option<String>,
}

/// How records travel along an edge (`ship_strategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Ship {
    /// One to one, between subtasks of the same number.
    Forward,
    /// By key: the receiver's parallelism should divide its key groups.
    Hash,
    /// Round robin to all.
    Rebalance,
    /// Round robin to a few.
    Rescale,
    /// Each record to every subtask.
    Broadcast,
    /// All to the first subtask.
    Global,
    /// A partitioner of the user's own, or one that is not known here.
    Custom,
}

/// An edge, by the indices of its ends in [`Graph::vertices`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Index of the vertex that sends.
    pub from: usize,
    /// Index of the vertex that receives.
    pub to: usize,
    /// How records travel.
    pub ship: Ship,
}

/// What cannot be a job's graph.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GraphError {
    /// An edge names a vertex that is not there.
    #[error("an edge names vertex number {0}, of {1}")]
    NoSuchVertex(usize, usize),
    /// Streaming jobs have no cycles.
    #[error("the graph has a cycle")]
    Cycle,
    /// Two vertices have one id.
    #[error("vertex {0} is there twice")]
    Twice(VertexId),
}

/// A directed acyclic graph of vertices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Raw", try_from = "Raw")]
pub struct Graph {
    vertices: Vec<Vertex>,
    edges: Vec<Edge>,
    order: Vec<usize>,
    inputs: Vec<Vec<usize>>,
    outputs: Vec<Vec<usize>>,
}

#[derive(Serialize, Deserialize)]
struct Raw {
    vertices: Vec<Vertex>,
    edges: Vec<Edge>,
}

impl Graph {
    /// Checks that the edges name vertices that are there, without a cycle.
    ///
    /// # Errors
    /// When an edge leads nowhere, a vertex is there twice, or there is a cycle.
    pub fn new(vertices: Vec<Vertex>, edges: Vec<Edge>) -> Result<Self, GraphError> {
        let n = vertices.len();
        let mut seen = std::collections::HashSet::with_capacity(n);
        if let Some(twice) = vertices.iter().find(|v| !seen.insert(v.id)) {
            return Err(GraphError::Twice(twice.id));
        }
        let (mut inputs, mut outputs) = (vec![Vec::new(); n], vec![Vec::new(); n]);
        for (index, edge) in edges.iter().enumerate() {
            if let Some(&missing) = [edge.from, edge.to].iter().find(|&&v| v >= n) {
                return Err(GraphError::NoSuchVertex(missing, n));
            }
            inputs[edge.to].push(index);
            outputs[edge.from].push(index);
        }
        // Kahn's algorithm.
        let mut waiting: Vec<usize> = inputs.iter().map(Vec::len).collect();
        let mut order: Vec<usize> = (0..n).filter(|&v| waiting[v] == 0).collect();
        let mut next = 0;
        while let Some(&v) = order.get(next) {
            next += 1;
            for &edge in &outputs[v] {
                let to = edges[edge].to;
                waiting[to] -= 1;
                if waiting[to] == 0 {
                    order.push(to);
                }
            }
        }
        if order.len() < n {
            return Err(GraphError::Cycle);
        }
        Ok(Self { vertices, edges, order, inputs, outputs })
    }

    /// All vertices, in Flink's order; everything else speaks of them by index.
    pub fn vertices(&self) -> &[Vertex] {
        &self.vertices
    }

    /// All edges; everything else speaks of them by index.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Indices of the vertices so that every vertex comes after its inputs.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Indices of the edges into a vertex.
    pub fn inputs(&self, vertex: usize) -> &[usize] {
        &self.inputs[vertex]
    }

    /// Indices of the edges out of a vertex.
    pub fn outputs(&self, vertex: usize) -> &[usize] {
        &self.outputs[vertex]
    }

    /// Whether nothing flows into a vertex from another one.
    pub fn is_source(&self, vertex: usize) -> bool {
        self.inputs[vertex].is_empty()
    }

    /// Indices of the sources.
    pub fn sources(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.vertices.len()).filter(|&v| self.is_source(v))
    }

    /// The number of vertices.
    pub fn len(&self) -> usize {
        self.vertices.len()
    }

    /// Whether there is no vertex at all.
    pub fn is_empty(&self) -> bool {
        self.vertices.is_empty()
    }

    /// The index of the vertex with this id.
    pub fn index_of(&self, id: VertexId) -> Option<usize> {
        self.vertices.iter().position(|v| v.id == id)
    }

    /// The groups of vertices that share slots, each with the indices of its vertices.
    pub fn slot_sharing_groups(&self) -> Vec<(Option<&str>, Vec<usize>)> {
        let mut groups: Vec<(Option<&str>, Vec<usize>)> = Vec::new();
        for (index, vertex) in self.vertices.iter().enumerate() {
            let name = vertex.slot_sharing_group.as_deref();
            match groups.iter_mut().find(|(group, _)| *group == name) {
                Some((_, members)) => members.push(index),
                None => groups.push((name, vec![index])),
            }
        }
        groups
    }

    /// Slots that a job of these sizes holds, one size per vertex: of each slot sharing group, as many as its largest vertex has
    /// subtasks.
    pub fn slots_needed(&self, sizes: &[Parallelism]) -> u32 {
        let largest = |members: Vec<usize>| members.into_iter().map(|v| sizes[v].get()).max().unwrap_or(0);
        self.slot_sharing_groups().into_iter().map(|(_, members)| largest(members)).sum()
    }

    /// The same of sizes by vertex; `None` where one has no size.
    pub fn slots_needed_by(&self, sizes: &BTreeMap<VertexId, Parallelism>) -> Option<u32> {
        let sizes: Option<Vec<_>> =
            self.vertices.iter().map(|vertex| sizes.get(&vertex.id).copied()).collect();
        Some(self.slots_needed(&sizes?))
    }
}

impl From<Graph> for Raw {
    fn from(graph: Graph) -> Self {
        Self { vertices: graph.vertices, edges: graph.edges }
    }
}

impl TryFrom<Raw> for Graph {
    type Error = GraphError;
    fn try_from(raw: Raw) -> Result<Self, GraphError> {
        Self::new(raw.vertices, raw.edges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vertices(n: u128) -> Vec<Vertex> {
        (0..n)
            .map(|i| Vertex {
                id: VertexId::from_bits(i),
                name: i.to_string(),
                max_parallelism: Parallelism::clamped(128),
                slot_sharing_group: None,
            })
            .collect()
    }

    fn edges(pairs: &[(usize, usize)]) -> Vec<Edge> {
        pairs.iter().map(|&(from, to)| Edge { from, to, ship: Ship::Hash }).collect()
    }

    #[test]
    fn orders_inputs_first() {
        let graph = Graph::new(vertices(4), edges(&[(3, 1), (1, 0), (3, 2), (2, 0)])).expect("a diamond");
        assert_eq!(graph.order(), [3, 1, 2, 0]);
        assert_eq!(graph.sources().collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn turns_away_what_is_no_graph() {
        for (n, pairs, why) in [
            (2, vec![(0, 1), (1, 0)], GraphError::Cycle),
            (1, vec![(0, 0)], GraphError::Cycle),
            (2, vec![(0, 2)], GraphError::NoSuchVertex(2, 2)),
        ] {
            assert_eq!(Graph::new(vertices(n), edges(&pairs)).err(), Some(why));
        }
        let twice = [vertices(1), vertices(1)].concat();
        assert_eq!(Graph::new(twice, Vec::new()).err(), Some(GraphError::Twice(VertexId::from_bits(0))));
    }
}
