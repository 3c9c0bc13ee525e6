//! What is known of a source's `pendingRecords`: under which ids to ask for it, or when to look for them again. Where it does
//! not report it, how late its records are stands in for it (`currentEmitEventTimeLag`, which every source of FLIP-27 has).
//! One or the other is asked for, never both: of several metrics one that is missing empties the whole answer, and a count
//! must not be lost for a lag that nobody needs beside it.
//!
//! The ids hold the operators' names, so they have to be found in a list of the vertex's metrics. A connector adds the
//! gauge when it has fetched for the first time, or never; the list is looked at again at growing intervals. In a cycle
//! in which it is looked at, that call takes the place of the one for the value.

use std::time::Duration;

use tokio::time::Instant;

use super::wire::Metric;

/// After the first list without the gauge. A connector that has it adds it within seconds of its start.
const FIRST_PAUSE: Duration = Duration::from_secs(15);

/// The longest time between two lists without the gauge: a connector that has shown none so far has none.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// Answers without the gauge after which its ids are looked for again, in case its operator has another name now. A
/// restart brings a few of them: the gauge is gone until the connector adds it again.
const EMPTY_ANSWERS: u32 = 12;

/// What is known of one source.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    ids: Vec<String>,
    lags: Vec<String>,
    empty_answers: u32,
    next_list: Instant,
    pause: Duration,
}

/// What to ask for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nothing: the source reports neither.
    Nothing,
    /// The list of metrics.
    List,
    /// The sum of these.
    Sum(Vec<String>),
    /// The longest of these lags.
    Lag(Vec<String>),
}

/// The ids of a vertex's metrics, one for each of its source operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    pending: Vec<String>,
    lags: Vec<String>,
}

impl Pending {
    /// Nothing is known yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { ids: Vec::new(), lags: Vec::new(), empty_answers: 0, next_list: now, pause: FIRST_PAUSE }
    }

    /// The job has started again: a source that did not report it may do so now.
    pub(super) fn restarted(&mut self, now: Instant) {
        if self.ids.is_empty() {
            *self = Self::new(now);
        }
    }

    /// What to ask for now.
    pub(super) fn ask(&self, now: Instant) -> Ask {
        match (self.ids.is_empty(), now >= self.next_list) {
            (false, _) => Ask::Sum(self.ids.clone()),
            (true, true) => Ask::List,
            (true, false) if !self.lags.is_empty() => Ask::Lag(self.lags.clone()),
            (true, false) => Ask::Nothing,
        }
    }

    /// The ids in the answer to [`Ask::List`]. `None` for the empty list of a metric store before its first fetch, which says
    /// nothing.
    pub(super) fn ids_in(metrics: &[Metric<'_>]) -> Option<Ids> {
        let of = |metric: &str| -> Vec<String> {
            let ids = metrics.iter().map(|metric| &*metric.id);
            ids.filter(|id| id.starts_with("Source__") && id.ends_with(metric)).map(str::to_owned).collect()
        };
        (!metrics.is_empty())
            .then(|| Ids { pending: of(".pendingRecords"), lags: of(".currentEmitEventTimeLag") })
    }

    /// Takes up the answer to [`Ask::List`].
    pub(super) fn listed(&mut self, ids: Option<Ids>, now: Instant) {
        let Some(Ids { pending, lags }) = ids else { return };
        if pending.is_empty() {
            self.next_list = now + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        self.ids = pending;
        self.lags = lags;
        self.empty_answers = 0;
    }

    /// Takes up the answer to [`Ask::Sum`].
    pub(super) fn summed(&mut self, sum: Option<u64>, now: Instant) {
        self.empty_answers = if sum.is_some() { 0 } else { self.empty_answers + 1 };
        if self.empty_answers >= EMPTY_ANSWERS {
            *self = Self::new(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Number;
    use super::*;

    fn ids_in(ids: &[&'static str]) -> Option<Ids> {
        let metric = |&id: &&'static str| Metric { id: id.into(), sum: Number::None, max: Number::None };
        Pending::ids_in(&ids.iter().map(metric).collect::<Vec<_>>())
    }

    const LAG: &str = "Source__a.currentEmitEventTimeLag";

    #[tokio::test]
    async fn asks_how_late_it_is_where_nothing_tells_how_many_wait() {
        let start = Instant::now();
        let mut pending = Pending::new(start);
        pending.listed(ids_in(&["map.currentEmitEventTimeLag", LAG, "Source__a.sourceIdleTime"]), start);
        let lag = Ask::Lag(vec![LAG.to_owned()]);
        let later = start + FIRST_PAUSE;
        assert_eq!((pending.ask(start), pending.ask(later)), (lag, Ask::List), "the gauge may come yet");
        pending.listed(ids_in(&[LAG, "Source__a.pendingRecords"]), later);
        assert_eq!(pending.ask(later), Ask::Sum(vec!["Source__a.pendingRecords".to_owned()]));
    }

    #[tokio::test]
    async fn finds_the_ids_and_keeps_to_them() {
        let now = Instant::now();
        let mut pending = Pending::new(now);
        assert_eq!(pending.ask(now), Ask::List);

        pending.listed(ids_in(&[]), now);
        assert_eq!(pending.ask(now), Ask::List, "the store was empty");

        let ids = ["Source__a.pendingRecords", "Source__b_(1).pendingRecords"];
        pending.listed(
            ids_in(&["numRecordsIn", ids[0], "map.pendingRecords", "Source__a.pendingBytes", ids[1], LAG]),
            now,
        );
        let sum = Ask::Sum(ids.map(str::to_owned).to_vec());
        assert_eq!(pending.ask(now), sum);

        // A restart: the gauge is away for a while.
        pending.restarted(now);
        for _ in 1..EMPTY_ANSWERS {
            pending.summed(None, now);
            assert_eq!(pending.ask(now), sum);
        }
        pending.summed(Some(0), now);
        pending.summed(None, now);
        assert_eq!(pending.ask(now), sum, "empty answers are counted in a row");

        for _ in 1..EMPTY_ANSWERS {
            pending.summed(None, now);
        }
        assert_eq!(pending.ask(now), Ask::List, "it may have another name now");
    }

    #[tokio::test]
    async fn looks_less_and_less_often_for_what_is_not_there() {
        let mut now = Instant::now();
        let mut pending = Pending::new(now);
        for pause in [15, 30, 60, 120, 240, 480, 600, 600] {
            assert_eq!(pending.ask(now), Ask::List);
            pending.listed(ids_in(&["numRecordsIn"]), now);
            let pause = Duration::from_secs(pause);
            assert_eq!(pending.ask(now + pause - Duration::from_millis(1)), Ask::Nothing);
            now += pause;
        }
        pending.listed(ids_in(&["numRecordsIn"]), now);
        assert_eq!(pending.ask(now), Ask::Nothing);
        pending.restarted(now);
        assert_eq!(pending.ask(now), Ask::List, "a restart begins anew");
    }
}
