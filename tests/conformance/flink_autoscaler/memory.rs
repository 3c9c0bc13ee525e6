//! The kinds about memory.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use tidegate::model::Ship;
use tidegate::policy::flink_autoscaler::Options;
use tidegate::policy::flink_autoscaler::memory::{
    self, Budget, Buffers, Pools, Tuning, Usage, compensated_heap, tune,
};
use tidegate::policy::flink_autoscaler::resources::slots_after_rescale;

use super::Computed;
use super::job::{VertexInput, topology};
use super::value::{Float, Size, fields};
use crate::frame::{Fault, Vector};

pub(crate) fn segments(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        current_parallelism: u32,
        connected_parallelism: u32,
        ship_strategy: String,
        buffers_per_channel: u32,
        floating_buffers: u32,
    }
    let inputs: Inputs = vector.part("inputs")?;
    // What the operator calls unknown.
    let ship = serde_json::from_value(json!(inputs.ship_strategy)).unwrap_or(Ship::Custom);
    let buffers = Buffers {
        per_channel: inputs.buffers_per_channel,
        floating: inputs.floating_buffers,
        ..Buffers::default()
    };
    let segments = memory::segments(inputs.current_parallelism, inputs.connected_parallelism, ship, buffers);
    Ok(fields([("segments", json!(segments))]))
}

/// Who has how many subtasks, and who will have.
#[derive(Deserialize)]
struct Sizes {
    parallelism: BTreeMap<String, u32>,
    changes: BTreeMap<String, u32>,
    task_slots_used: u32,
    task_slots_per_tm: u32,
}

impl Sizes {
    fn changes(&self) -> Vec<Option<u32>> {
        self.parallelism.keys().map(|id| self.changes.get(id).copied()).collect()
    }
}

pub(crate) fn compensation(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        heap: Size,
        remaining_budget: Size,
    }
    let (inputs, sizes): (Inputs, Sizes) = (vector.part("inputs")?, vector.part("inputs")?);
    let before: Vec<u32> = sizes.parallelism.values().copied().collect();
    let after = slots_after_rescale(&before, &sizes.changes(), sizes.task_slots_used);
    let heap = compensated_heap(
        options,
        inputs.heap.0,
        &mut Budget::new(inputs.remaining_budget.0),
        sizes.task_slots_per_tm,
        sizes.task_slots_used,
        after,
    );
    // In whole gigabytes, as the vectors write it.
    let heap = if heap.is_multiple_of(1 << 30) { json!(format!("{}g", heap >> 30)) } else { json!(heap) };
    Ok(fields([("heap", heap)]))
}

pub(crate) fn tuning(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        tm_total_process_memory: Size,
        edges: Vec<(String, String, Ship)>,
        heap_used_avg_bytes: Float,
        managed_used_avg_bytes: Float,
        metaspace_used_avg_bytes: Float,
        network_buffers_per_channel: u32,
        network_extra_buffers_per_gate: u32,
        memory_segment_bytes: u64,
    }
    let (inputs, sizes): (Inputs, Sizes) = (vector.part("inputs")?, vector.part("inputs")?);
    let mut graph: BTreeMap<String, VertexInput> = BTreeMap::new();
    for (id, parallelism) in &sizes.parallelism {
        let into = inputs.edges.iter().filter(|(_, to, _)| to == id);
        let vertex = VertexInput {
            inputs: into.map(|(from, _, ship)| (from.clone(), *ship)).collect(),
            parallelism: *parallelism,
            max_parallelism: *parallelism,
            num_source_partitions: 0,
            slot_sharing_group: None,
            finished: false,
        };
        graph.insert(id.clone(), vertex);
    }
    let pools = Pools::of_process(inputs.tm_total_process_memory.0);
    let tuning = Tuning {
        topology: &topology(&graph)?,
        changes: &sizes.changes(),
        pools: pools.ok_or_else(|| Fault::Unreadable("a process that is too small".to_owned()))?,
        slots: sizes.task_slots_per_tm,
        slots_used: sizes.task_slots_used,
        usage: Usage {
            heap: inputs.heap_used_avg_bytes.0,
            managed: inputs.managed_used_avg_bytes.0,
            metaspace: inputs.metaspace_used_avg_bytes.0,
        },
        buffers: Buffers {
            per_channel: inputs.network_buffers_per_channel,
            floating: inputs.network_extra_buffers_per_gate,
            segment_bytes: inputs.memory_segment_bytes,
        },
    };
    let tuned = tune(options, &tuning).filter(|_| options.memory_tuning);
    let Some(tuned) = tuned else {
        return Ok(fields([("overrides", json!({}))]));
    };
    Ok(fields([
        ("total_process_bytes", json!(tuned.process)),
        ("managed_fraction", json!(tuned.managed_fraction)),
        ("network_bytes", json!(tuned.network)),
        ("metaspace_bytes", json!(tuned.metaspace)),
        ("jvm_overhead_fraction", json!(tuned.overhead_fraction)),
        ("framework_heap_bytes", json!(0)),
    ]))
}
