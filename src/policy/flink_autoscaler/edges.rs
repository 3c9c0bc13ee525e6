//! How many records go along an edge for each that its sender takes in. Flink counts per vertex, so it must be inferred.

use super::processing_rate::{input_rate, values};
use super::sample::Sample;
use super::topology::Topology;
use super::window::rate;

/// Records sent from one vertex to another per record that the first takes in; 0 when it takes in nothing.
pub fn output_ratio(topology: &Topology, window: &[Sample], from: usize, to: usize) -> f64 {
    let input = input_rate(window, from);
    let along = data_rate(topology, window, from, to);
    // A rate that is not known is not above zero, and counts for nothing.
    if input > 0.0 && along > 0.0 { along / input } else { 0.0 }
}

/// Records/s along an edge, by the surest of three ways.
fn data_rate(topology: &Topology, window: &[Sample], from: usize, to: usize) -> f64 {
    let inputs = &topology.vertices()[to].inputs;
    if inputs.len() == 1 {
        return input_rate(window, to);
    }
    let output = |vertex| rate(values(window, vertex, |sample| sample.records_out));
    let others: f64 = inputs
        .iter()
        .filter(|(other, _)| *other != from)
        // All that a vertex with one output puts out goes there; of any other it cannot be told.
        .map(|(other, _)| if topology.outputs(*other).len() == 1 { output(*other) } else { f64::NAN })
        .sum();
    if others.is_nan() { output(from) } else { input_rate(window, to) - others }
}
