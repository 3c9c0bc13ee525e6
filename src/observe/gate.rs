//! Whether this process may change anything at present: looked at right before each request that does.
//!
//! Where several processes could act for the same jobs, only the one that holds the Lease may, and only until a moment that
//! it knows by its own monotonic clock: whatever held it up since, a request that comes too late is not sent.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// Open for good, or until a moment that is put off again and again; clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Gate(Option<Arc<Mutex<Option<Instant>>>>);

impl Gate {
    /// One that never shuts: there is no other process.
    pub const OPEN: Self = Self(None);

    /// One that is shut until somebody opens it.
    pub fn shut() -> Self {
        Self(Some(Arc::default()))
    }

    /// Opens it until `until`, instead of what was said before. Does nothing to one that never shuts.
    pub fn open_until(&self, until: Instant) {
        self.set(Some(until));
    }

    /// Shuts it.
    pub fn close(&self) {
        self.set(None);
    }

    /// Whether it is open now.
    pub fn is_open(&self) -> bool {
        self.is_open_at(Instant::now())
    }

    fn is_open_at(&self, now: Instant) -> bool {
        let Some(until) = &self.0 else { return true };
        until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }

    fn set(&self, until: Option<Instant>) {
        if let Some(current) = &self.0 {
            *current.lock().unwrap_or_else(PoisonError::into_inner) = until;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn shuts_by_itself_when_nobody_puts_it_off() {
        let (gate, second, now) = (Gate::shut(), Duration::from_secs(1), Instant::now());
        let other = gate.clone();
        assert!(!gate.is_open_at(now));
        other.open_until(now + 2 * second);
        for (after, is_open) in [(0, true), (1, true), (2, false), (9, false)] {
            assert_eq!(gate.is_open_at(now + after * second), is_open, "after {after} s");
        }
        other.open_until(now + 9 * second);
        assert!(gate.is_open_at(now + 8 * second));
        other.close();
        assert!(!gate.is_open_at(now));
        Gate::OPEN.close();
        assert!(Gate::OPEN.is_open());
    }
}
