//! Flink's metric store: what a request is told is what an earlier one had fetched.

use super::station::Counters;

/// What the store knows of one vertex.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Known {
    /// The start of the vertex that it is of; `None` when nothing was ever fetched.
    pub(super) attempt: Option<u32>,
    /// Its subtasks then.
    pub(super) parallelism: u32,
    /// Load of the busiest of them over their mean.
    pub(super) uneven: f64,
    pub(super) counters: Counters,
    /// Records that wait for a source, where it says so.
    pub(super) pending: Option<u64>,
    /// Milliseconds by which its last record was late, where its records have times.
    pub(super) lag: Option<u64>,
}

#[derive(Clone, Debug)]
struct Fetch {
    /// When it was made; `None` when never.
    at: Option<u64>,
    vertices: Vec<Known>,
}

/// The store: a fetch is begun by a request that finds the last one older than the update interval, and is there for
/// requests after that one.
#[derive(Clone, Debug)]
pub(super) struct Store {
    update_interval: u64,
    old: Fetch,
    new: Fetch,
}

impl Store {
    pub(super) fn new(update_interval: u64, vertices: usize) -> Self {
        let never = Fetch { at: None, vertices: vec![Known::default(); vertices] };
        Self { update_interval, old: never.clone(), new: never }
    }

    /// What a request at `now` is told.
    pub(super) fn answer(&self, now: u64) -> &[Known] {
        if self.new.at.is_some_and(|at| at < now) { &self.new.vertices } else { &self.old.vertices }
    }

    /// What was fetched before what a request at `now` is told; `None` when nothing was, or it is not kept any more.
    pub(super) fn before(&self, now: u64) -> Option<&[Known]> {
        let kept = self.old.at.is_some() && self.new.at.is_some_and(|at| at < now);
        kept.then_some(self.old.vertices.as_slice())
    }

    /// Whether anything was fetched that a request at `now` could be told.
    pub(super) fn has_answer(&self, now: u64) -> bool {
        self.old.at.is_some() || self.new.at.is_some_and(|at| at < now)
    }

    /// Whether a request at `now` begins a fetch.
    pub(super) fn is_due(&self, now: u64) -> bool {
        self.new.at.is_none_or(|at| now.saturating_sub(at) > self.update_interval)
    }

    /// Fetches: `read` says what each vertex has now, or `None` where that cannot be read and stays as it was.
    pub(super) fn fetch(&mut self, now: u64, read: impl Fn(usize) -> Option<Known>) {
        std::mem::swap(&mut self.old, &mut self.new);
        self.new.at = Some(now);
        for (v, known) in self.new.vertices.iter_mut().enumerate() {
            *known = read(v).unwrap_or(self.old.vertices[v]);
        }
    }

    /// Forgets everything, as a new JobManager has.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.update_interval, self.new.vertices.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(read: u64) -> Known {
        Known { attempt: Some(1), counters: Counters { read, ..Counters::default() }, ..Known::default() }
    }

    #[test]
    fn tells_a_request_what_an_earlier_one_fetched() {
        let mut store = Store::new(10_000, 1);
        let read = |store: &Store, now| store.answer(now)[0].counters.read;
        assert!(store.is_due(0));
        store.fetch(0, |_| Some(known(7)));
        assert_eq!(read(&store, 0), 0, "not the request that began it");
        assert_eq!((read(&store, 1000), store.before(1000)), (7, None));
        assert!(!store.is_due(10_000));
        assert!(store.is_due(10_001));
        store.fetch(12_000, |_| Some(known(9)));
        assert_eq!(read(&store, 12_000), 7);
        assert_eq!(read(&store, 12_001), 9);
        assert_eq!(store.before(12_001).map(|known| known[0].counters.read), Some(7));
        store.fetch(30_000, |_| None);
        assert_eq!(read(&store, 30_001), 9, "what cannot be read stays as it was");
        store.clear();
        assert_eq!(store.answer(40_000)[0], Known::default());
    }
}
