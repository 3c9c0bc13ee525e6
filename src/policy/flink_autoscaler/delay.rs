//! The delay before a vertex is scaled down: only what has been wanted for the whole interval is done, and the most of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use thiserror::Error;

use crate::model::Timestamp;

/// A smaller parallelism that was wanted at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recommendation {
    /// When.
    pub at: Timestamp,
    /// The parallelism.
    pub parallelism: u32,
    /// Whether the vertex was outside its band.
    pub outside: bool,
}

/// All recommendations were older than what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no scale-down was wanted at or after {0}")]
pub struct EmptyWindow(pub Timestamp);

/// The recommendations of one vertex. One that a later one reaches or passes is dropped, so they fall from first to last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayedVertex {
    first: Timestamp,
    falling: VecDeque<Recommendation>,
}

impl DelayedVertex {
    /// Begins with a first recommendation.
    pub fn new(first: Recommendation) -> Self {
        Self { first: first.at, falling: VecDeque::from([first]) }
    }

    /// When a smaller size was first wanted.
    pub fn first(&self) -> Timestamp {
        self.first
    }

    /// Adds a later recommendation.
    pub fn add(&mut self, recommendation: Recommendation) {
        while self.falling.back().is_some_and(|last| last.parallelism <= recommendation.parallelism) {
            self.falling.pop_back();
        }
        self.falling.push_back(recommendation);
    }

    /// The most that was recommended at or after `from`. Forgets what is older.
    ///
    /// # Errors
    /// When nothing was.
    pub fn most_since(&mut self, from: Timestamp) -> Result<Recommendation, EmptyWindow> {
        while self.falling.front().is_some_and(|first| first.at < from) {
            self.falling.pop_front();
        }
        self.falling.front().copied().ok_or(EmptyWindow(from))
    }
}

/// The vertices of a job that are waiting to be scaled down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DelayedScaleDown {
    vertices: BTreeMap<String, DelayedVertex>,
}

impl DelayedScaleDown {
    /// Notes that a vertex would be scaled down, and says to what it may be now; `None` while it has to wait.
    pub fn recommend(
        &mut self,
        vertex: &str,
        recommendation: Recommendation,
        interval: Duration,
    ) -> Option<Recommendation> {
        // The operator counts whole milliseconds.
        if interval.as_millis() == 0 {
            return Some(recommendation);
        }
        let delayed = match self.vertices.get_mut(vertex) {
            Some(delayed) => {
                delayed.add(recommendation);
                delayed
            }
            None => self.vertices.entry(vertex.to_owned()).or_insert(DelayedVertex::new(recommendation)),
        };
        let from = recommendation.at - interval;
        if from < delayed.first { None } else { delayed.most_since(from).ok() }
    }

    /// Forgets a vertex: it is not to be scaled down any more.
    pub fn clear_vertex(&mut self, vertex: &str) {
        self.vertices.remove(vertex);
    }

    /// Forgets all: the job was rescaled.
    pub fn clear(&mut self) {
        self.vertices.clear();
    }

    /// The vertices that wait.
    pub fn waiting(&self) -> impl Iterator<Item = &str> {
        self.vertices.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_out_the_interval_and_then_takes_the_most_of_it() {
        let mut delayed = DelayedScaleDown::default();
        let mut diary = |second: i64, parallelism| {
            let at = Timestamp::from_millis(second * 1000);
            let wanted = Recommendation { at, parallelism, outside: true };
            delayed.recommend("v", wanted, Duration::from_mins(1)).map(|r| r.parallelism)
        };
        assert_eq!(diary(0, 3), None);
        assert_eq!(diary(30, 8), None);
        assert_eq!(diary(59, 2), None);
        assert_eq!(diary(60, 2), Some(8));
        assert_eq!(diary(90, 2), Some(8));
        assert_eq!(diary(91, 2), Some(2));
        // A clock that jumped back far has to wait again.
        assert_eq!(diary(-100, 9), None);
        delayed.clear_vertex("v");
        assert_eq!(delayed.waiting().count(), 0);
    }
}
