//! Memory tuning: `TaskManagers` with as much memory as the job uses, and never more than was given to them.

mod network;
mod pools;
mod tune;

pub use network::{Buffers, segments};
pub use pools::Pools;
pub use tune::{Tuned, Tuning, Usage, compensated_heap, tune};

/// What is left of a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(u64);

impl Budget {
    /// A budget of so many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Takes as much of `bytes` as is left.
    pub fn take(&mut self, bytes: u64) -> u64 {
        let taken = bytes.min(self.0);
        self.0 -= taken;
        taken
    }

    /// What is left.
    pub const fn remaining(self) -> u64 {
        self.0
    }
}
