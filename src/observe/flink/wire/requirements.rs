//! `/jobs/:id/resource-requirements` (1.18+): what the adaptive scheduler may give each vertex.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Parallelism, VertexId};

/// The bounds of every vertex; Flink wants them all in every request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Requirements(BTreeMap<VertexId, Requirement>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Requirement {
    parallelism: Bounds,
}

/// From how few to how many subtasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounds {
    /// The job does not run with fewer.
    lower_bound: i64,
    /// It gets as many where there are slots for them; -1 stands for the vertex's max parallelism.
    upper_bound: i64,
}

impl Requirements {
    /// Requirements that ask for these sizes. The lower bound stays 1: with a higher one the job could not run at all
    /// after a TaskManager was lost, and would fail when none came in its place.
    pub(crate) fn of(sizes: impl IntoIterator<Item = (VertexId, Parallelism)>) -> Self {
        let of = |p: Parallelism| Bounds { lower_bound: 1, upper_bound: i64::from(p.get()) };
        Self(sizes.into_iter().map(|(id, p)| (id, Requirement { parallelism: of(p) })).collect())
    }

    /// The most subtasks that a vertex may have; -1 stands for its max parallelism.
    pub(crate) fn upper(&self, vertex: VertexId) -> Option<i64> {
        self.0.get(&vertex).map(|requirement| requirement.parallelism.upper_bound)
    }

    /// The number of vertices.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_flink_reads_it() {
        let sizes = [(VertexId::from_bits(0xab), Parallelism::clamped(7))];
        let json = serde_json::to_string(&Requirements::of(sizes)).expect("json");
        let expected =
            r#"{"000000000000000000000000000000ab":{"parallelism":{"lowerBound":1,"upperBound":7}}}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Requirements>(&json).expect("back"), Requirements::of(sizes));
    }
}
