//! When it is worth priming Flink's metric store.
//!
//! The JobManager fetches metrics from the TaskManagers only when a request finds its store older than
//! `metrics.fetcher.update-interval`, and answers that request from the old store (`MetricFetcherImpl.update`). A cheap
//! request before the real one therefore makes the data a second old instead of a poll; while the store is younger than
//! the interval it changes nothing.

use std::time::Duration;

use tokio::time::Instant;

/// Flink compares whole milliseconds and wants strictly more than the interval; the rest is for two clocks.
const MARGIN: Duration = Duration::from_millis(20);

/// How old the metric store of one JobManager can be.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    interval: Option<Duration>,
    /// By when the last fetch that a request of ours must have started was under way.
    fetched: Option<Instant>,
}

/// What to do before the real request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prime {
    /// Send the cheap request now.
    Now,
    /// Send it after this long: until then it would do nothing.
    After(Duration),
    /// Do not: no fetch is due for longer than is worth waiting for.
    No,
}

impl Freshness {
    /// Sets `metrics.fetcher.update-interval`; without it every poll primes.
    pub(super) fn set_interval(&mut self, interval: Option<Duration>) {
        self.interval = interval;
    }

    /// Forgets what was there: the JobManager has been away.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// What to do now, when waiting for up to `patience` is acceptable.
    pub(super) fn advice(&self, now: Instant, patience: Duration) -> Prime {
        match (self.interval, self.fetched) {
            // 0 turns fetching off.
            (Some(Duration::ZERO), _) => Prime::No,
            (Some(interval), Some(fetched)) => {
                match (fetched + interval + MARGIN).saturating_duration_since(now) {
                    Duration::ZERO => Prime::Now,
                    wait if wait <= patience => Prime::After(wait),
                    _ => Prime::No,
                }
            }
            _ => Prime::Now,
        }
    }

    /// Whether the store is known to have been fetched within one interval and `slack`. What it holds otherwise may be of
    /// long ago, when somebody last looked at a web page.
    pub(super) fn is_known(&self, now: Instant, slack: Duration) -> bool {
        let most = self.interval.unwrap_or_default() + slack;
        self.fetched.is_some_and(|fetched| now.saturating_duration_since(fetched) <= most)
    }

    /// A request for metrics was sent at `sent` and answered at `answered`. Had another client's request started a fetch
    /// since ours, this one may have started none, and the next is due earlier than thought: the data is then at most one
    /// interval older, never wrong.
    pub(super) fn asked(&mut self, sent: Instant, answered: Instant) {
        if self.advice(sent, Duration::ZERO) == Prime::Now {
            self.fetched = Some(answered);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn primes_when_a_fetch_is_due_and_not_before() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut freshness = Freshness::default();
        assert_eq!(freshness.advice(at(0), SECOND), Prime::Now, "nothing is known yet");
        assert!(!freshness.is_known(at(0), SECOND));

        freshness.asked(at(0), at(10));
        assert_eq!(freshness.advice(at(20), SECOND), Prime::Now, "the interval is not known");

        freshness.set_interval(Some(Duration::from_secs(10)));
        assert_eq!(freshness.advice(at(5_000), SECOND), Prime::No);
        assert!(freshness.is_known(at(11_010), SECOND) && !freshness.is_known(at(11_011), SECOND));
        freshness.asked(at(5_000), at(5_010));
        assert_eq!(freshness.advice(at(9_500), SECOND), Prime::After(Duration::from_millis(530)));
        assert_eq!(freshness.advice(at(10_030), SECOND), Prime::Now);

        freshness.asked(at(10_030), at(10_040));
        assert_eq!(freshness.advice(at(15_000), SECOND), Prime::No);

        freshness.forget();
        assert_eq!(freshness.advice(at(15_001), SECOND), Prime::Now);

        freshness.set_interval(Some(Duration::ZERO));
        assert_eq!(freshness.advice(at(15_002), SECOND), Prime::No, "fetching is turned off");
    }
}
