//! Past decisions: how a vertex answered to another size, and how long restarts took.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::Timestamp;

use super::Options;

/// A vertex that was rescaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// When that was decided.
    pub at: Timestamp,
    /// Its subtasks before.
    pub from: u32,
    /// Its subtasks after.
    pub to: u32,
    /// Records/s that it could take in before.
    pub true_processing_rate: f64,
    /// Records/s that it was expected to take in after; NaN where that was not noted.
    pub expected_rate: f64,
}

/// The past decisions of a job, per vertex, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScalingHistory {
    vertices: BTreeMap<String, Vec<Scaling>>,
}

impl ScalingHistory {
    /// Those of one vertex.
    pub fn of(&self, vertex: &str) -> &[Scaling] {
        self.vertices.get(vertex).map_or(&[], Vec::as_slice)
    }

    /// Adds one; the oldest goes when there are more than are kept.
    pub fn add(&mut self, options: &Options, vertex: &str, scaling: Scaling) {
        let past = match self.vertices.get_mut(vertex) {
            Some(past) => past,
            None => self.vertices.entry(vertex.to_owned()).or_default(),
        };
        past.push(scaling);
        let most = usize::try_from(options.history_max_count).unwrap_or(usize::MAX);
        past.drain(..past.len().saturating_sub(most));
    }

    /// Forgets what is too old, and vertices that are not there any more.
    pub fn forget(&mut self, options: &Options, now: Timestamp, is_there: impl Fn(&str) -> bool) {
        let oldest = now - options.history_max_age;
        self.vertices.retain(|vertex, past| {
            past.retain(|scaling| scaling.at >= oldest);
            !past.is_empty() && is_there(vertex)
        });
    }
}

/// How long the restarts of past rescales took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestartTracking {
    rescales: BTreeMap<Timestamp, Option<Duration>>,
}

impl RestartTracking {
    /// A tracking that has seen restarts of these durations, an hour from one to the next.
    pub fn of_durations(durations: &[Duration]) -> Self {
        let hours = (0..).map(|hour| Timestamp::default() + Duration::from_hours(hour));
        Self { rescales: hours.zip(durations.iter().copied().map(Some)).collect() }
    }

    /// Notes that a rescale has been decided.
    pub fn begin(&mut self, at: Timestamp) {
        self.rescales.insert(at, None);
    }

    /// Notes that the job runs since `running_since` at the size that was last decided on.
    pub fn end(&mut self, running_since: Timestamp) {
        if let Some(mut last) = self.rescales.last_entry()
            && last.get().is_none()
        {
            let took = running_since.since(*last.key());
            last.insert(Some(took));
        }
    }

    /// When a rescale was last decided, if its end has not been seen.
    pub fn under_way(&self) -> Option<Timestamp> {
        self.rescales.last_key_value().filter(|(_, took)| took.is_none()).map(|(at, _)| *at)
    }

    /// Forgets what is too old or too much, but never the last.
    pub fn forget(&mut self, options: &Options, now: Timestamp) {
        let oldest = now - options.history_max_age;
        let most = usize::try_from(options.history_max_count).unwrap_or(usize::MAX).max(1);
        while self.rescales.len() > 1
            && (self.rescales.len() > most || self.rescales.keys().next().is_some_and(|at| *at < oldest))
        {
            self.rescales.pop_first();
        }
    }

    /// The time that a restart is expected to take: as given, or the longest that was seen, where that is asked for.
    pub fn restart_time(&self, options: &Options) -> Duration {
        let seen = self.rescales.values().flatten().map(Duration::as_secs).max();
        match seen.filter(|_| options.restart_time_tracking) {
            Some(seconds) => Duration::from_secs(seconds.min(options.restart_time_tracking_limit.as_secs())),
            None => options.restart_time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    #[test]
    fn keeps_the_last_few_of_each_vertex() {
        let options = Options { history_max_age: Duration::from_secs(100), ..Options::default() };
        let mut history = ScalingHistory::default();
        for second in [0, 10, 20, 30] {
            let scaling =
                Scaling { at: at(second), from: 1, to: 2, true_processing_rate: 1.0, expected_rate: 2.0 };
            history.add(&options, "v", scaling);
        }
        let times = |history: &ScalingHistory| history.of("v").iter().map(|s| s.at).collect::<Vec<_>>();
        assert_eq!(times(&history), [at(10), at(20), at(30)]);
        history.forget(&options, at(120), |_| true);
        assert_eq!(times(&history), [at(20), at(30)]);
        history.forget(&options, at(120), |vertex| vertex != "v");
        assert_eq!(times(&history), []);
    }

    #[test]
    fn a_restart_is_timed_once() {
        let options = Options { restart_time_tracking: true, ..Options::default() };
        let mut tracking = RestartTracking::default();
        tracking.end(at(7));
        assert_eq!(tracking.restart_time(&options), Duration::from_mins(5));
        tracking.begin(at(10));
        assert_eq!(
            (tracking.under_way(), tracking.restart_time(&options)),
            (Some(at(10)), Duration::from_mins(5))
        );
        tracking.end(at(40));
        tracking.end(at(99));
        assert_eq!((tracking.under_way(), tracking.restart_time(&options)), (None, Duration::from_secs(30)));
        tracking.begin(at(100));
        tracking.forget(&Options { history_max_count: 0, ..options.clone() }, at(200));
        assert_eq!(
            (tracking.under_way(), tracking.restart_time(&options)),
            (Some(at(100)), Duration::from_mins(5))
        );
    }
}
