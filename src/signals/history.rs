//! What was seen of a job lately: the last snapshot, and the differences of its counters since it last started.

use serde::{Deserialize, Serialize};

use super::derive;
use super::flow::{Edge, FlowMemory};
use super::lag::{self, UsualLags};
use super::sample::{self, Difference};
use super::{Sample, Signals};
use crate::model::{Missed, MissedWhy, Observation, Reading, Snapshot, Timestamp};

/// Samples kept as they are: what a window may hold and what it is compared with.
const FINE_SAMPLES: usize = 20;

/// Samples kept in all. Older ones are added up pairwise, which is exact, so that the same memory reaches further back; with
/// 32, a thousand jobs of ten vertices take some 30 MB.
const MOST_SAMPLES: usize = 32;

/// Samples are kept for no longer: several bursts of a window of minutes, and short enough to follow a job that changes.
const MOST_SECONDS: f64 = 900.0;

/// A poll whose clocks disagree is waited out once, then used without the vertices that are behind: a TaskManager that hangs, or
/// subtasks that have finished, must not blind us to the rest of the job.
const PATIENCE: u32 = 1;

/// What was seen of one job. Recorded in the state and in journals: the fields are a promise.
///
/// An epoch is the time for which one run of a job (id, start, graph, sizes) has counted without a break. No difference ever
/// spans two epochs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    last: Option<Snapshot>,
    missed: Option<Misses>,
    /// The counters that the next difference is taken to; of a poll at which the job was fully running.
    base: Option<Vec<Reading>>,
    /// Polls in a row since then whose clocks disagreed.
    torn: u32,
    samples: Vec<Sample>,
    /// Samples since the epoch began, also those that were added up or forgotten.
    epoch_samples: u32,
    /// One for each edge of the graph.
    flows: Vec<FlowMemory>,
    #[serde(default, skip_serializing_if = "UsualLags::is_empty")]
    usual_lags: UsualLags,
}

/// Polls in a row that brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Misses {
    since: Timestamp,
    last: Missed,
}

impl History {
    /// Takes in what came of one poll. The same again changes nothing.
    pub fn push(&mut self, observation: &Observation) {
        match observation {
            Observation::Missed(missed) => self.miss(missed.clone()),
            Observation::Seen(snapshot) if snapshot.vertices.len() != snapshot.graph.len() => {
                let (vertices, readings) = (snapshot.graph.len(), snapshot.vertices.len());
                let detail = format!("{readings} readings for {vertices} vertices");
                self.miss(Missed { at: snapshot.at, why: MissedWhy::NotUnderstood, detail });
            }
            Observation::Seen(snapshot) => self.see(snapshot),
        }
    }

    fn miss(&mut self, missed: Missed) {
        let since = self.missed.as_ref().map_or(missed.at, |misses| misses.since);
        self.missed = Some(Misses { since, last: missed });
    }

    fn see(&mut self, snapshot: &Snapshot) {
        self.missed = None;
        if self.last.as_ref().is_none_or(|last| last.job != snapshot.job || last.graph != snapshot.graph) {
            self.flows = vec![FlowMemory::default(); snapshot.graph.edges().len()];
            self.usual_lags.clear();
        }
        if !self.last.as_ref().is_some_and(|last| is_same_run(last, snapshot)) {
            self.begin_epoch(None);
        }
        // Counters of a job that is starting or stopping may be those of the run before.
        if snapshot.is_fully_running() && !sample::is_outlived(snapshot) {
            self.compare(snapshot);
        }
        self.last = Some(snapshot.clone());
    }

    fn compare(&mut self, snapshot: &Snapshot) {
        let Some(base) = &self.base else {
            self.base = Some(snapshot.vertices.clone());
            return;
        };
        if self.last.as_ref().is_some_and(|last| sample::is_same_fetch(&last.vertices, &snapshot.vertices)) {
            return;
        }
        // Connectors report what waits from some moment on, not from the first: a difference without it would say that nothing
        // was waiting, and what a restarted source works off would look like a load.
        if base
            .iter()
            .zip(&snapshot.vertices)
            .any(|(a, b)| a.pending_records.is_some() != b.pending_records.is_some())
        {
            self.base = Some(snapshot.vertices.clone());
            return;
        }
        match sample::difference(base, snapshot) {
            Difference::Whole(sample) => self.add(sample, snapshot),
            Difference::Torn(sample) if self.torn >= PATIENCE => self.add(sample, snapshot),
            // The older poll stays the base: a difference over a longer time is as exact, and the next fetch may be whole.
            Difference::Torn(_) => self.torn += 1,
            // A base that has no clock never would be compared with.
            Difference::NoNews if !sample::has_clock(base) => self.base = Some(snapshot.vertices.clone()),
            Difference::NoNews => {}
            Difference::Reset => self.begin_epoch(Some(snapshot.vertices.clone())),
        }
    }

    fn begin_epoch(&mut self, base: Option<Vec<Reading>>) {
        self.base = base;
        self.torn = 0;
        self.samples.clear();
        self.epoch_samples = 0;
    }

    fn add(&mut self, sample: Sample, snapshot: &Snapshot) {
        for (edge, memory) in self.flows.iter_mut().enumerate() {
            if let Some((flow, drive)) = Edge::new(&snapshot.graph, edge).rates(&sample) {
                memory.add(sample.seconds(), drive, flow);
            }
        }
        self.samples.push(sample);
        lag::learn(&mut self.usual_lags, &self.samples, snapshot);
        self.epoch_samples = self.epoch_samples.saturating_add(1);
        self.base = Some(snapshot.vertices.clone());
        self.torn = 0;
        self.forget();
    }

    fn forget(&mut self) {
        if self.samples.len() > MOST_SAMPLES {
            let coarse = self.samples.len() - FINE_SAMPLES;
            let together = |i: &usize| self.samples[*i].micros.saturating_add(self.samples[i + 1].micros);
            if let Some(first) = (0..coarse.saturating_sub(1)).min_by_key(together) {
                let second = self.samples.remove(first + 1);
                self.samples[first].append(&second);
            }
        }
        let mut kept: f64 = self.samples.iter().map(Sample::seconds).sum();
        let too_old = self.samples.iter().take_while(|sample| {
            kept -= sample.seconds();
            kept >= MOST_SECONDS
        });
        let too_old = too_old.count().min(self.samples.len().saturating_sub(1));
        self.samples.drain(..too_old);
    }

    /// The last snapshot; what was missed since does not change it.
    pub fn last(&self) -> Option<&Snapshot> {
        self.last.as_ref()
    }

    /// The last miss and when the polls began to miss, while they do.
    pub fn missed(&self) -> Option<(&Missed, Timestamp)> {
        self.missed.as_ref().map(|misses| (&misses.last, misses.since))
    }

    /// The samples of this epoch that are kept, oldest first; old ones are several added up.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Samples since this epoch began.
    pub fn epoch_samples(&self) -> u32 {
        self.epoch_samples
    }

    /// What the job is doing; `None` before the first sample of an epoch.
    pub fn signals(&self) -> Option<Signals> {
        derive::signals(&self.samples, self.last.as_ref()?, &self.flows, &self.usual_lags)
    }
}

fn is_same_run(a: &Snapshot, b: &Snapshot) -> bool {
    a.job == b.job
        && a.running_since == b.running_since
        && a.graph == b.graph
        && a.vertices.iter().map(|v| v.parallelism).eq(b.vertices.iter().map(|v| v.parallelism))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::{Doing, Job};
    use super::*;
    use crate::model::{Graph, JobId, JobState};

    const STEADY: [Doing; 2] = [
        Doing { reads: 0.0, writes: 700.0, cost: 0.0, waits: 0.0, pending_grows: Some(0.0) },
        Doing { reads: 700.0, writes: 0.0, cost: 0.001, waits: 0.0, pending_grows: None },
    ];

    fn watched() -> (Job, History) {
        let (mut job, mut history) = (Job::chain(&[1, 2]), History::default());
        job.polls(&mut history, 4, 5.0, &STEADY);
        (job, history)
    }

    fn arrival(history: &History) -> Option<f64> {
        history.signals()?.vertices[0].arrival.map(|arrival| arrival.mean)
    }

    #[test]
    fn a_sample_needs_two_polls() {
        let (mut job, mut history) = (Job::chain(&[1, 2]), History::default());
        assert_eq!((history.last(), history.missed(), history.signals()), (None, None, None));
        job.polls(&mut history, 1, 5.0, &STEADY);
        assert_eq!(history.signals(), None);
        job.polls(&mut history, 1, 5.0, &STEADY);
        assert_eq!((history.samples().len(), history.epoch_samples()), (1, 1));
        assert_eq!(arrival(&history), Some(700.0));
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let (mut job, mut history) = watched();
        for observation in [job.seen(), job.missed()] {
            history.push(&observation);
            let once = history.clone();
            history.push(&observation);
            assert_eq!(history, once);
        }
        // Nor does a fetch that left a vertex out, however often it is read.
        job.run_one(0, 5.0, STEADY[0]);
        job.run_one(1, 1.0, STEADY[1]);
        job.fetch();
        history.push(&job.seen());
        let once = history.clone();
        for _ in 0..5 {
            history.push(&job.seen());
        }
        assert_eq!(history, once);
    }

    #[test]
    fn a_poll_without_news_keeps_the_base_and_takes_in_the_rest() {
        let (mut job, mut history) = watched();
        let before = history.signals();
        job.wait(5.0);
        job.snapshot.vertices[0].pending_records = Some(123);
        history.push(&job.seen());
        let after = history.signals();
        assert_eq!(after.as_ref().and_then(|s| s.vertices[0].backlog), Some(123.0));
        assert_eq!(after.map(|s| (s.at, s.samples)), before.map(|s| (s.at, s.samples)));
        // The next fetch covers the time of both.
        job.snapshot.vertices[0].pending_records = Some(0);
        job.polls(&mut history, 1, 10.0, &STEADY);
        assert_eq!(history.samples().last().map(Sample::seconds), Some(10.0));
    }

    #[test]
    fn misses_are_told_from_the_first_to_the_last_and_leave_the_base() {
        let (mut job, mut history) = watched();
        let mut first = None;
        for _ in 0..3 {
            job.run(5.0, &STEADY);
            history.push(&job.missed());
            let since = *first.get_or_insert(job.snapshot.at);
            assert_eq!(
                history.missed().map(|(last, since)| (last.at, since)),
                Some((job.snapshot.at, since))
            );
        }
        assert!(history.last().is_some_and(|last| Some(last.at) < first));
        job.polls(&mut history, 1, 5.0, &STEADY);
        assert_eq!(history.missed(), None);
        assert_eq!(history.samples().last().map(Sample::seconds), Some(20.0));
    }

    #[test]
    fn a_snapshot_that_does_not_fit_its_graph_is_a_miss() {
        let (job, mut history) = watched();
        let last = history.last().cloned();
        let mut broken = job.snapshot.clone();
        broken.vertices.pop();
        history.push(&Observation::Seen(broken));
        assert_eq!(history.missed().map(|(missed, _)| missed.why), Some(MissedWhy::NotUnderstood));
        assert_eq!(history.last().cloned(), last);
    }

    #[test]
    fn no_difference_spans_two_epochs() {
        type Change = fn(&mut Job);
        let rows: [(&str, Change); 6] = [
            ("another size", |job| job.snapshot.vertices[1].parallelism = crate::model::Parallelism::ONE),
            ("another job", |job| job.snapshot.job = JobId::from_bits(2)),
            ("another start", |job| job.snapshot.running_since = Some(job.snapshot.at)),
            ("a counter that went down", |job| job.snapshot.vertices[0].write_records = Some(5)),
            ("an empty graph", |job| {
                job.snapshot.graph = Arc::new(Graph::new(Vec::new(), Vec::new()).expect("no cycle"));
                job.snapshot.vertices.clear();
            }),
            ("a restart", |job| job.restart(&[1, 2])),
        ];
        for (what, change) in rows {
            let (mut job, mut history) = watched();
            job.run(5.0, &STEADY);
            change(&mut job);
            history.push(&job.seen());
            assert_eq!((history.signals(), history.epoch_samples()), (None, 0), "{what}");
        }
    }

    #[test]
    fn counters_of_the_run_before_are_not_taken_for_this_one() {
        let (mut job, mut history) = watched();
        let before = job.snapshot.vertices.clone();
        job.restart(&[1, 2]);
        job.wait(1.0);
        // Flink answers from its old store, with all subtasks up; soon after, the new run has counted more than the old.
        let mut stale = job.snapshot.clone();
        stale.vertices = before;
        history.push(&Observation::Seen(stale));
        job.polls(&mut history, 1, 30.0, &STEADY);
        assert_eq!(history.epoch_samples(), 0, "the first poll of the new run is the base");
        job.polls(&mut history, 1, 5.0, &STEADY);
        assert_eq!((history.epoch_samples(), arrival(&history)), (1, Some(700.0)));
    }

    #[test]
    fn a_job_that_is_not_fully_running_is_not_sampled() {
        let (mut job, mut history) = watched();
        let samples = history.epoch_samples();
        job.snapshot.state = JobState::Restarting;
        job.polls(&mut history, 2, 5.0, &STEADY);
        assert_eq!(history.epoch_samples(), samples);
        assert_eq!(history.last().map(|last| last.state), Some(JobState::Restarting));
        job.snapshot.state = JobState::Running;
        job.snapshot.vertices[1].running = 1;
        job.polls(&mut history, 2, 5.0, &STEADY);
        assert_eq!(history.epoch_samples(), samples);
    }

    #[test]
    fn a_torn_fetch_is_waited_out_once() {
        let (mut job, mut history) = watched();
        let samples = history.epoch_samples();
        // One TaskManager was left out of this fetch, and is in the next.
        job.wait(5.0);
        job.run_one(0, 5.0, STEADY[0]);
        job.fetch();
        history.push(&job.seen());
        assert_eq!(history.epoch_samples(), samples);
        job.run_one(1, 5.0, STEADY[1]);
        job.polls(&mut history, 1, 5.0, &STEADY);
        assert_eq!(history.epoch_samples(), samples + 1);
        assert_eq!(history.samples().last().and_then(|s| s.vertices[1].rate_in()), Some(700.0));
    }

    #[test]
    fn a_taskmanager_that_hangs_leaves_its_vertices_unknown() {
        let (mut job, mut history) = watched();
        for _ in 0..2 {
            job.wait(5.0);
            job.run_one(0, 5.0, STEADY[0]);
            job.fetch();
            history.push(&job.seen());
        }
        let last = history.samples().last().map(|s| (s.vertices[0].rate_out(), s.vertices[1].rate_in()));
        assert_eq!(last, Some((Some(700.0), None)));
    }

    #[test]
    fn remembers_a_bounded_time_in_bounded_memory() {
        for seconds in [1.0, 5.0, 20.0, 400.0] {
            let (mut job, mut history) = (Job::chain(&[1, 2]), History::default());
            job.polls(&mut history, 500, seconds, &STEADY);
            let covered: f64 = history.samples().iter().map(Sample::seconds).sum();
            assert!(history.samples().len() <= MOST_SAMPLES);
            assert!(covered <= MOST_SECONDS + 400.0, "{covered}");
            assert!(covered >= (500.0 * seconds * 0.9).min(MOST_SECONDS * 0.9).min(32.0 * seconds * 2.0));
            let read: u64 = history.samples().iter().filter_map(|s| s.vertices[1].read).sum();
            assert!((read as f64 / covered - 700.0).abs() < 1e-6, "added up exactly");
            assert_eq!(history.epoch_samples(), 499);
        }
    }

    #[test]
    fn reads_back_what_it_writes() {
        let (mut job, mut history) = watched();
        job.run(5.0, &STEADY);
        history.push(&job.missed());
        let text = serde_json::to_string(&history).expect("it can be written");
        assert_eq!(serde_json::from_str::<History>(&text).expect("it can be read"), history);
    }
}
