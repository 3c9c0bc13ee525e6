//! How many requests were sent, for the metrics of the process.

use std::sync::atomic::{AtomicU64, Ordering};

/// Requests of one kind since the process has begun.
#[derive(Debug, Default)]
pub struct Traffic {
    good: AtomicU64,
    bad: AtomicU64,
}

/// Requests to Flink, of all clients.
pub static FLINK: Traffic = Traffic::new();

/// Queries to Prometheus, of all clients.
pub static PROMETHEUS: Traffic = Traffic::new();

impl Traffic {
    const fn new() -> Self {
        Self { good: AtomicU64::new(0), bad: AtomicU64::new(0) }
    }

    /// One more.
    pub(super) fn count<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        let counter = if result.is_ok() { &self.good } else { &self.bad };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// Those that were answered well.
    pub fn good(&self) -> u64 {
        self.good.load(Ordering::Relaxed)
    }

    /// The others.
    pub fn bad(&self) -> u64 {
        self.bad.load(Ordering::Relaxed)
    }
}
