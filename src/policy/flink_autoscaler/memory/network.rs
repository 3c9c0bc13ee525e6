//! The network memory that the gates of a job's tasks need.

use super::super::topology::Topology;
use crate::model::Ship;

/// Flink's settings of network buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// `taskmanager.network.memory.buffers-per-channel`.
    pub per_channel: u32,
    /// `taskmanager.network.memory.floating-buffers-per-gate`.
    pub floating: u32,
    /// `taskmanager.memory.segment-size`, in bytes.
    pub segment_bytes: u64,
}

impl Default for Buffers {
    /// Flink's own.
    fn default() -> Self {
        Self { per_channel: 2, floating: 8, segment_bytes: 32 << 10 }
    }
}

/// The segments of one gate of a vertex towards another one.
pub fn segments(parallelism: u32, connected: u32, ship: Ship, buffers: Buffers) -> u64 {
    let channels = match ship {
        Ship::Forward if parallelism == connected => 1,
        Ship::Forward | Ship::Rescale => connected.div_ceil(parallelism.max(1)),
        Ship::Hash | Ship::Rebalance | Ship::Broadcast | Ship::Global | Ship::Custom => connected,
    };
    u64::from(channels) * u64::from(buffers.per_channel) + u64::from(buffers.floating)
}

/// The bytes that all gates of all vertices need in a `TaskManager`, each of whose slots may hold one task of each.
pub(super) fn bytes(topology: &Topology, parallelism: &[u32], slots: u32, buffers: Buffers) -> u64 {
    let of = |vertex: usize| parallelism.get(vertex).copied().unwrap_or(1);
    let per_slot: u64 = topology
        .vertices()
        .iter()
        .enumerate()
        .flat_map(|(index, vertex)| {
            let gates = vertex.inputs.iter().chain(topology.outputs(index));
            gates.map(move |&(other, ship)| segments(of(index), of(other), ship, buffers))
        })
        .sum();
    per_slot.saturating_mul(buffers.segment_bytes).saturating_mul(u64::from(slots))
}
