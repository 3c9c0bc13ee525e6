//! What is known of a source's `pendingRecords`: under which ids to ask for it, or when to look for them again.
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
    empty_answers: u32,
    next_list: Instant,
    pause: Duration,
}

/// What to ask for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nothing: the source does not report it.
    Nothing,
    /// The list of metrics.
    List,
    /// The sum of these.
    Sum(Vec<String>),
}

impl Pending {
    /// Nothing is known yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { ids: Vec::new(), empty_answers: 0, next_list: now, pause: FIRST_PAUSE }
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
            (true, false) => Ask::Nothing,
        }
    }

    /// The ids in the answer to [`Ask::List`], one for each source operator of the vertex. `None` for the empty list of a
    /// metric store before its first fetch, which says nothing.
    pub(super) fn ids_in(metrics: &[Metric<'_>]) -> Option<Vec<String>> {
        let is_pending = |id: &&str| id.starts_with("Source__") && id.ends_with(".pendingRecords");
        let ids = metrics.iter().map(|metric| &*metric.id).filter(is_pending).map(str::to_owned).collect();
        (!metrics.is_empty()).then_some(ids)
    }

    /// Takes up the answer to [`Ask::List`].
    pub(super) fn listed(&mut self, ids: Option<Vec<String>>, now: Instant) {
        let Some(ids) = ids else { return };
        if ids.is_empty() {
            self.next_list = now + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        self.ids = ids;
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

    fn ids_in(ids: &[&'static str]) -> Option<Vec<String>> {
        let metric = |&id: &&'static str| Metric { id: id.into(), sum: Number::None };
        Pending::ids_in(&ids.iter().map(metric).collect::<Vec<_>>())
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
            ids_in(&["numRecordsIn", ids[0], "map.pendingRecords", "Source__a.pendingBytes", ids[1]]),
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
