//! A job's graph with its sizes, as the operator knows it: at most one edge between two vertices, and ids as texts.

use thiserror::Error;

use crate::model::Ship;

/// One vertex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vertex {
    /// Its id: of `vertex.exclude.ids` and of overrides.
    pub id: String,
    /// Its subtasks.
    pub parallelism: u32,
    /// Its key groups.
    pub max_parallelism: u32,
    /// Partitions that it reads from, where that is known of a source.
    pub partitions: Option<u32>,
    /// The vertices that share slots with it have the same; `None` where Flink does not say.
    pub slot_sharing_group: Option<String>,
    /// Whether it has finished: it is not scaled any more.
    pub finished: bool,
    /// Indices of the vertices that it reads from, each once, and how.
    pub inputs: Vec<(usize, Ship)>,
}

impl Vertex {
    /// Whether records reach it by key.
    pub fn is_keyed(&self) -> bool {
        self.inputs.iter().any(|(_, ship)| *ship == Ship::Hash)
    }
}

/// A graph without cycles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    vertices: Vec<Vertex>,
    outputs: Vec<Vec<(usize, Ship)>>,
    order: Vec<usize>,
}

/// What cannot be a job's graph.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TopologyError {
    /// An input names a vertex that is not there.
    #[error("an input names vertex number {0}, of {1}")]
    NoSuchVertex(usize, usize),
    /// Streaming jobs have no cycles.
    #[error("the graph has a cycle")]
    Cycle,
}

impl Topology {
    /// Checks that inputs name vertices that are there, without a cycle.
    ///
    /// # Errors
    /// When an input leads nowhere, or there is a cycle.
    pub fn new(vertices: Vec<Vertex>) -> Result<Self, TopologyError> {
        let n = vertices.len();
        let mut outputs = vec![Vec::new(); n];
        for (to, vertex) in vertices.iter().enumerate() {
            for &(from, ship) in &vertex.inputs {
                outputs.get_mut(from).ok_or(TopologyError::NoSuchVertex(from, n))?.push((to, ship));
            }
        }
        // Kahn's algorithm.
        let mut waiting: Vec<usize> = vertices.iter().map(|vertex| vertex.inputs.len()).collect();
        let mut order: Vec<usize> = (0..n).filter(|&vertex| waiting[vertex] == 0).collect();
        let mut next = 0;
        while let Some(&vertex) = order.get(next) {
            next += 1;
            for &(to, _) in &outputs[vertex] {
                waiting[to] -= 1;
                if waiting[to] == 0 {
                    order.push(to);
                }
            }
        }
        if order.len() < n { Err(TopologyError::Cycle) } else { Ok(Self { vertices, outputs, order }) }
    }

    /// All vertices; everything else speaks of them by index.
    pub fn vertices(&self) -> &[Vertex] {
        &self.vertices
    }

    /// Indices of the vertices so that every vertex comes after its inputs.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Indices of the vertices that read from a vertex, and how.
    pub fn outputs(&self, vertex: usize) -> &[(usize, Ship)] {
        &self.outputs[vertex]
    }

    /// Whether a vertex reads from no other one.
    pub fn is_source(&self, vertex: usize) -> bool {
        self.vertices[vertex].inputs.is_empty()
    }

    /// The index of the vertex with this id.
    pub fn index_of(&self, id: &str) -> Option<usize> {
        self.vertices.iter().position(|vertex| vertex.id == id)
    }

    /// The parallelism of every vertex.
    pub fn parallelism(&self) -> Vec<u32> {
        self.vertices.iter().map(|vertex| vertex.parallelism).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(inputs: &[&[usize]]) -> Result<Topology, TopologyError> {
        let vertex = |(index, inputs): (usize, &&[usize])| Vertex {
            id: index.to_string(),
            parallelism: 1,
            max_parallelism: 128,
            partitions: None,
            slot_sharing_group: None,
            finished: false,
            inputs: inputs.iter().map(|&from| (from, Ship::Rebalance)).collect(),
        };
        Topology::new(inputs.iter().enumerate().map(vertex).collect())
    }

    #[test]
    fn orders_inputs_first_and_turns_away_what_is_no_graph() {
        let diamond = topology(&[&[1, 2], &[3], &[3], &[]]).expect("a diamond");
        assert_eq!(
            (diamond.order(), diamond.is_source(3), diamond.index_of("2")),
            (&[3, 1, 2, 0][..], true, Some(2))
        );
        assert_eq!(topology(&[&[1], &[0]]), Err(TopologyError::Cycle));
        assert_eq!(topology(&[&[7]]), Err(TopologyError::NoSuchVertex(7, 1)));
    }
}
