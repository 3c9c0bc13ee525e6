//! The memory pools of a `TaskManager` that was given a size of its process and nothing else.

const MIB: u64 = 1 << 20;

/// Flink 1.20's defaults: shares and bounds. It keeps shares in single precision, and 0.4 in that is a little more: on 30 GB
/// it makes 184 bytes. In parts of 10^17, as Flink writes such a share down before it multiplies by it.
const OVERHEAD_SHARE: u128 = 10_000_000_149_011_612;
const OVERHEAD_LEAST: u64 = 192 * MIB;
const OVERHEAD_MOST: u64 = 1024 * MIB;
const METASPACE: u64 = 256 * MIB;
const MANAGED_SHARE: u128 = 40_000_000_596_046_450;
const FRAMEWORK_OFF_HEAP: u64 = 128 * MIB;

/// The pools that memory tuning keeps as they are, and managed memory, which it may give up. In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pools {
    /// All of the process.
    pub process: u64,
    /// What the JVM needs beside heap and metaspace.
    pub overhead: u64,
    /// Managed memory.
    pub managed: u64,
    /// Off-heap memory of Flink itself.
    pub framework_off_heap: u64,
    /// Off-heap memory of tasks.
    pub task_off_heap: u64,
}

impl Pools {
    /// The pools of a process of so many bytes, as Flink 1.20 derives them; `None` when it is too small for any.
    pub fn of_process(process: u64) -> Option<Self> {
        let overhead = share(process, OVERHEAD_SHARE).clamp(OVERHEAD_LEAST, OVERHEAD_MOST);
        let flink = process.checked_sub(overhead)?.checked_sub(METASPACE)?;
        let managed = share(flink, MANAGED_SHARE);
        let off_heap = FRAMEWORK_OFF_HEAP;
        (flink > managed + off_heap).then_some(Self {
            process,
            overhead,
            managed,
            framework_off_heap: off_heap,
            task_off_heap: 0,
        })
    }
}

/// A share, in parts of 10^17, of some bytes, rounded down.
fn share(bytes: u64, share: u128) -> u64 {
    u64::try_from(u128::from(bytes) * share / 10_u128.pow(17)).unwrap_or(u64::MAX)
}
