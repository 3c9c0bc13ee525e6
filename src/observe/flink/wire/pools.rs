//! How the TaskManagers share out their memory: `/taskmanagers`.

use serde::Deserialize;

use super::{Answer, WireError};
use crate::model::MemoryPools;

/// How one TaskManager shares out its memory, in bytes; what was not given to it is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Pools {
    framework_heap: Option<u64>,
    task_heap: Option<u64>,
    framework_off_heap: Option<u64>,
    task_off_heap: Option<u64>,
    network_memory: Option<u64>,
    managed_memory: Option<u64>,
    jvm_metaspace: Option<u64>,
    jvm_overhead: Option<u64>,
    total_process_memory: Option<u64>,
}

impl Pools {
    /// All of it; `None` when a part is not known.
    pub(crate) fn all(&self) -> Option<MemoryPools> {
        Some(MemoryPools {
            process: self.total_process_memory?,
            heap: self.framework_heap?.checked_add(self.task_heap?)?,
            managed: self.managed_memory?,
            network: self.network_memory?,
            metaspace: self.jvm_metaspace?,
            overhead: self.jvm_overhead?,
            framework_off_heap: self.framework_off_heap?,
            task_off_heap: self.task_off_heap?,
        })
    }
}

#[derive(Deserialize)]
struct Raw {
    taskmanagers: Vec<TaskManager>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TaskManager {
    #[serde(default)]
    memory_configuration: Option<Pools>,
}

impl Answer<'_> for Vec<Pools> {
    fn read(body: &[u8]) -> Result<Self, WireError> {
        let raw: Raw = serde_json::from_slice(body)?;
        Ok(raw.taskmanagers.into_iter().filter_map(|taskmanager| taskmanager.memory_configuration).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_parts_or_none_of_them() {
        let body = r#"{"taskmanagers":[{"id":"a","slotsNumber":2,"memoryConfiguration":{"frameworkHeap":134217728,
            "taskHeap":402653174,"frameworkOffHeap":134217728,"taskOffHeap":0,"networkMemory":134217730,
            "managedMemory":536870920,"jvmMetaspace":268435456,"jvmOverhead":201326592,"totalFlinkMemory":1342177280,
            "totalProcessMemory":1811939328}},{"id":"b","memoryConfiguration":{"taskHeap":1,"jvmMetaspace":null}},{"id":"c"}]}"#;
        let pools = <Vec<Pools>>::read(body.as_bytes()).expect("two of three");
        let all: Vec<Option<u64>> = pools.iter().map(|pools| pools.all().map(|all| all.heap)).collect();
        assert_eq!(all, [Some(536_870_902), None]);
        assert!(<Vec<Pools>>::read(b"{}").is_err());
    }
}
