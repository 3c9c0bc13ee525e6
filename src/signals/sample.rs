//! What happened to a job between two polls: the difference of their counters, on the counters' own clock.

use serde::{Deserialize, Serialize};

use crate::model::{Reading, Snapshot, Timestamp};

/// A difference over less time is no news: milliseconds of rounding and the hidden idle time (see [`HIDDEN_SECONDS`]) would
/// be much of it. Flink fetches metrics every 10 s unless told otherwise; who tells it half a second still gets samples.
const SHORTEST_SECONDS: f64 = 0.5;

/// How much the clocks of two vertices may disagree: the TaskManagers answer one fetch within milliseconds of each other,
/// a garbage collection on one delays it by a tenth of a second or two. A TaskManager that the fetch left out is behind by
/// a whole fetch interval. Each rate is divided by its own vertex's clock, so what is let through costs no exactness there.
const DISAGREEMENT_SECONDS: f64 = 0.25;
const DISAGREEMENT_SHARE: f64 = 0.05;

/// A sample that began when the tasks were younger is cold: classes are loaded and compiled, state is read back. The first
/// epoch of ten seconds in the recorded runs of DS2 reads 22 % too high a cost, the later ones are even.
const WARM_SECONDS: f64 = 10.0;

/// How much older than the job's run its counters may seem: the RUNNING timestamp is set while tasks are deployed.
const OUTLIVED_SECONDS: f64 = 5.0;

/// Flink adds up idle and back-pressured time when it ends, or every 5 s when it lasts (`View.UPDATE_INTERVAL_SECONDS`), and
/// calls busy what remains of the clock: until then, waiting counts as busy, and afterwards busy time goes down by as much.
pub(super) const HIDDEN_SECONDS: f64 = 5.0;

/// The difference between two polls of one epoch, or several such differences in a row added up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// When the later poll ended, by Tidegate's clock.
    pub at: Timestamp,
    /// Microseconds that it covers, by the median vertex's clock.
    pub micros: u64,
    /// Whether the tasks had warmed up when it began.
    pub warm: bool,
    /// One for each vertex, in the graph's order.
    pub vertices: Vec<VertexSample>,
    /// How late sources were at its end, of those that say so. Not in their vertices: most have none, and a thousand jobs are to be
    /// remembered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lags: Vec<SourceLag>,
}

/// How late the records of a source were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceLag {
    /// Index of the source in the graph.
    pub vertex: usize,
    /// Milliseconds between the time of the record that was last put out and then, of the subtask that is furthest behind.
    pub ms: u64,
}

/// One vertex's part of a sample. Whole numbers, so that a restart of Tidegate from its state changes none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VertexSample {
    /// Microseconds that it covers by the vertex's own clock; by the median clock for a vertex that has none.
    pub micros: u64,
    /// Records taken in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<u64>,
    /// Records put out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<u64>,
    /// Milliseconds of subtasks spent busy; negative when idle time came to light that had counted as busy before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy_ms: Option<i64>,
    /// Milliseconds of subtasks spent waiting for those after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_pressured_ms: Option<u64>,
    /// By how much the records that wait at a source have grown in number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_change: Option<i64>,
}

impl Sample {
    /// Seconds that it covers, by the median vertex's clock.
    pub fn seconds(&self) -> f64 {
        float(self.micros) * 1e-6
    }

    /// How late a source was at its end, in seconds.
    pub(super) fn lag(&self, vertex: usize) -> Option<f64> {
        self.lags.iter().find(|lag| lag.vertex == vertex).map(|lag| lag.ms as f64 / 1e3)
    }

    /// Adds the sample that follows this one.
    pub(super) fn append(&mut self, later: &Self) {
        self.at = later.at;
        self.micros = self.micros.saturating_add(later.micros);
        self.warm &= later.warm;
        self.lags.clone_from(&later.lags);
        for (vertex, later) in self.vertices.iter_mut().zip(&later.vertices) {
            *vertex = vertex.plus(later);
        }
    }
}

impl VertexSample {
    /// Seconds that it covers.
    pub fn seconds(&self) -> f64 {
        float(self.micros) * 1e-6
    }

    /// Records/s taken in.
    pub fn rate_in(&self) -> Option<f64> {
        self.per_second(float(self.read?))
    }

    /// Records/s put out.
    pub fn rate_out(&self) -> Option<f64> {
        self.per_second(float(self.written?))
    }

    /// Records/s by which the records that wait at a source grow in number.
    pub fn growth(&self) -> Option<f64> {
        self.per_second(self.pending_change? as f64)
    }

    /// Busy seconds, over all subtasks.
    pub fn busy_seconds(&self) -> Option<f64> {
        self.busy_ms.map(|ms| ms as f64 * 1e-3)
    }

    /// Back-pressured seconds, over all subtasks.
    pub fn back_pressured_seconds(&self) -> Option<f64> {
        self.back_pressured_ms.map(|ms| ms as f64 * 1e-3)
    }

    /// With the count as the last factor, so that two rates of one sample share a division.
    #[inline]
    fn per_second(&self, count: f64) -> Option<f64> {
        (self.micros > 0).then(|| 1e6 / float(self.micros) * count)
    }

    fn plus(&self, later: &Self) -> Self {
        Self {
            micros: self.micros.saturating_add(later.micros),
            read: both(self.read, later.read, u64::saturating_add),
            written: both(self.written, later.written, u64::saturating_add),
            busy_ms: both(self.busy_ms, later.busy_ms, i64::saturating_add),
            back_pressured_ms: both(self.back_pressured_ms, later.back_pressured_ms, u64::saturating_add),
            pending_change: both(self.pending_change, later.pending_change, i64::saturating_add),
        }
    }
}

/// A count as a number. Processors convert only signed integers in one step; no counter comes near their end.
#[inline]
pub(super) fn float(count: u64) -> f64 {
    i64::try_from(count).unwrap_or(i64::MAX) as f64
}

fn both<T, U>(a: Option<T>, b: Option<T>, f: impl Fn(T, T) -> U) -> Option<U> {
    Some(f(a?, b?))
}

/// What a poll tells against an older one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// What happened between them.
    Whole(Sample),
    /// Some vertices' clocks disagree with the others': of those nothing is in the sample.
    Torn(Sample),
    /// The counters have not moved, or none of them has a clock.
    NoNews,
    /// A counter went down: the counting has begun anew.
    Reset,
}

/// Compares a poll with an older one of the same job, run and sizes.
pub(super) fn difference(older: &[Reading], now: &Snapshot) -> Difference {
    let pairs = || older.iter().zip(&now.vertices);
    if pairs().any(|(a, b)| has_gone_down(a, b)) {
        return Difference::Reset;
    }
    let clocks: Vec<Option<u64>> = pairs().map(|(a, b)| clock(a, b)).collect();
    let Some(typical) = median(clocks.iter().flatten().copied()) else {
        return Difference::NoNews;
    };
    let seconds = typical as f64 / 1e6;
    if seconds < SHORTEST_SECONDS {
        return Difference::NoNews;
    }
    let tolerated = DISAGREEMENT_SECONDS + DISAGREEMENT_SHARE * seconds;
    let agrees = |micros: u64| micros.abs_diff(typical) as f64 / 1e6 <= tolerated;
    let sample = Sample {
        at: now.at,
        micros: typical,
        warm: age(older).is_none_or(|age| age >= WARM_SECONDS),
        vertices: pairs()
            .zip(&clocks)
            .map(|((a, b), clock)| match clock {
                Some(micros) if agrees(*micros) => vertex(a, b, *micros),
                Some(_) => VertexSample::default(),
                // A legacy source does not know its busy time: it ran for as long as the others did.
                None => vertex(a, b, typical),
            })
            .collect(),
        lags: lags(&now.vertices).collect(),
    };
    if clocks.iter().flatten().all(|&micros| agrees(micros)) {
        Difference::Whole(sample)
    } else {
        Difference::Torn(sample)
    }
}

fn lags(readings: &[Reading]) -> impl Iterator<Item = SourceLag> {
    let of =
        |(vertex, reading): (usize, &Reading)| Some(SourceLag { vertex, ms: reading.event_time_lag_ms? });
    readings.iter().enumerate().filter_map(of)
}

fn vertex(a: &Reading, b: &Reading, micros: u64) -> VertexSample {
    VertexSample {
        micros,
        read: both(a.read_records, b.read_records, |a, b| b.saturating_sub(a)),
        written: both(a.write_records, b.write_records, |a, b| b.saturating_sub(a)),
        busy_ms: both(a.busy_ms, b.busy_ms, change).flatten(),
        back_pressured_ms: both(a.back_pressured_ms, b.back_pressured_ms, |a, b| b.saturating_sub(a)),
        pending_change: both(a.pending_records, b.pending_records, change).flatten(),
    }
}

fn change(from: u64, to: u64) -> Option<i64> {
    to.checked_signed_diff(from)
}

/// Busy time is not asked: it may go down, see [`HIDDEN_SECONDS`]. The clock, of which it is a part, may not.
fn has_gone_down(a: &Reading, b: &Reading) -> bool {
    let down = |a: Option<u64>, b: Option<u64>| both(a, b, |a, b| b < a).unwrap_or(false);
    down(a.read_records, b.read_records)
        || down(a.write_records, b.write_records)
        || down(a.idle_ms, b.idle_ms)
        || down(a.back_pressured_ms, b.back_pressured_ms)
        || down(run_ms(a), run_ms(b))
}

/// Microseconds by which a vertex's own clock went on.
fn clock(a: &Reading, b: &Reading) -> Option<u64> {
    let ms = run_ms(b)?.saturating_sub(run_ms(a)?);
    Some(ms.saturating_mul(1000) / u64::from(b.parallelism.get()))
}

/// Milliseconds for which a vertex's subtasks have run: each is always busy, idle or back-pressured.
fn run_ms(reading: &Reading) -> Option<u64> {
    Some(reading.busy_ms?.saturating_add(reading.idle_ms?).saturating_add(reading.back_pressured_ms?))
}

/// Seconds for which the tasks have run, by their own clocks; `None` when no vertex has one.
fn age(readings: &[Reading]) -> Option<f64> {
    let ages = readings
        .iter()
        .filter_map(|r| Some(run_ms(r)?.saturating_mul(1000) / u64::from(r.parallelism.get())));
    median(ages).map(|micros| micros as f64 / 1e6)
}

/// Whether two polls were answered from one fetch of the metrics: no counter has moved. (The pending records are asked for
/// after the counters, so a fetch may come in between.)
pub(super) fn is_same_fetch(a: &[Reading], b: &[Reading]) -> bool {
    a.iter().zip(b).all(|(a, b)| {
        run_ms(a) == run_ms(b) && a.read_records == b.read_records && a.write_records == b.write_records
    })
}

/// Whether any vertex of a poll has a clock.
pub(super) fn has_clock(readings: &[Reading]) -> bool {
    readings.iter().any(|reading| run_ms(reading).is_some())
}

/// Whether the counters are older than the job's run: Flink goes on to show those of the run before until it has fetched anew.
pub(super) fn is_outlived(snapshot: &Snapshot) -> bool {
    let Some((age, since)) = age(&snapshot.vertices).zip(snapshot.running_since) else { return false };
    age > snapshot.flink_now.since(since).as_secs_f64() + OUTLIVED_SECONDS
}

fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Job, doing};
    use super::*;
    use crate::model::JobState;

    /// A chain of a source and a step of two subtasks, ten seconds old, and what one does with it.
    fn after(change: impl Fn(&mut Job)) -> Difference {
        let mut job = Job::chain(&[1, 2]);
        job.run(10.0, &[doing(0.0, 100.0), doing(100.0, 0.0)]);
        let older = job.snapshot.vertices.clone();
        change(&mut job);
        difference(&older, &job.snapshot)
    }

    #[test]
    fn a_difference_is_divided_by_its_own_clock() {
        for wall in [0.0, 1.0, 7.0, 60.0] {
            let got = after(|job| {
                job.run(3.0, &[doing(0.0, 700.0), doing(700.0, 0.0)]);
                job.wait(wall);
            });
            let Difference::Whole(sample) = got else { panic!("{got:?}") };
            assert_eq!(sample.vertices[0].rate_out(), Some(700.0), "whenever the answer came");
            assert_eq!(sample.vertices[1].rate_in(), Some(700.0));
            assert_eq!(sample.vertices[1].busy_ms, Some(2100));
        }
    }

    #[test]
    fn what_cannot_be_compared_is_not() {
        type Row<'a> = (&'a str, &'a dyn Fn(&mut Job), &'a str);
        let run = |job: &mut Job| job.run(3.0, &[doing(0.0, 700.0), doing(700.0, 0.0)]);
        let rows: [Row; 10] = [
            ("the store was not fetched anew", &|job| job.wait(5.0), "NoNews"),
            ("a moment later", &|job| job.run(0.4, &[doing(0.0, 700.0), doing(700.0, 0.0)]), "NoNews"),
            ("later", &run, "Whole"),
            (
                "one vertex is half a second behind",
                &|job| {
                    job.run_one(0, 0.5, doing(0.0, 700.0));
                    run(job);
                },
                "Torn",
            ),
            (
                "one vertex is a little behind",
                &|job| {
                    job.run_one(0, 0.2, doing(0.0, 700.0));
                    run(job);
                },
                "Whole",
            ),
            (
                "a restart",
                &|job| {
                    job.restart(&[1, 2]);
                    run(job);
                },
                "Reset",
            ),
            (
                "one vertex began anew and has counted more",
                &|job| {
                    run(job);
                    job.snapshot.vertices[1].idle_ms = Some(0);
                },
                "Reset",
            ),
            (
                "idle time came to light that had counted as busy",
                &|job| {
                    run(job);
                    let reading = &mut job.snapshot.vertices[1];
                    (reading.busy_ms, reading.idle_ms) = (Some(0), Some(26_000));
                },
                "Whole",
            ),
            (
                "a legacy source has no busy time",
                &|job| {
                    run(job);
                    job.snapshot.vertices[0].busy_ms = None;
                },
                "Whole",
            ),
            (
                "nothing has a clock",
                &|job| {
                    run(job);
                    for reading in &mut job.snapshot.vertices {
                        reading.busy_ms = None;
                    }
                },
                "NoNews",
            ),
        ];
        for (what, change, kind) in rows {
            let got = format!("{:?}", after(change));
            assert!(got.starts_with(kind), "{what}: {got}");
        }
    }

    #[test]
    fn a_vertex_without_a_clock_runs_as_long_as_the_others() {
        let got = after(|job| {
            job.run(3.0, &[doing(0.0, 700.0), doing(700.0, 0.0)]);
            job.snapshot.vertices[0].busy_ms = None;
        });
        let Difference::Whole(sample) = got else { panic!("{got:?}") };
        assert_eq!((sample.vertices[0].rate_out(), sample.vertices[0].busy_ms), (Some(700.0), None));
    }

    #[test]
    fn a_torn_fetch_leaves_out_what_is_behind() {
        let got = after(|job| {
            job.run_one(1, 9.0, doing(100.0, 0.0));
            job.fetch();
        });
        let Difference::Torn(sample) = got else { panic!("{got:?}") };
        assert_eq!(sample.vertices[0], VertexSample::default());
        assert_eq!(sample.vertices[1].rate_in(), Some(100.0));
    }

    #[test]
    fn a_job_is_warm_when_its_tasks_have_run_for_a_while() {
        for (seconds, warm) in [(9.0, false), (11.0, true)] {
            let mut job = Job::chain(&[1]);
            job.run(seconds, &[doing(0.0, 100.0)]);
            let older = job.snapshot.vertices.clone();
            job.run(5.0, &[doing(0.0, 100.0)]);
            let Difference::Whole(sample) = difference(&older, &job.snapshot) else { panic!("a sample") };
            assert_eq!(sample.warm, warm, "after {seconds} s");
        }
    }

    #[test]
    fn counters_that_are_older_than_the_run_are_told() {
        let mut job = Job::chain(&[1]);
        job.run(60.0, &[doing(0.0, 100.0)]);
        assert!(!is_outlived(&job.snapshot));
        job.snapshot.running_since = Some(job.snapshot.flink_now);
        assert!(is_outlived(&job.snapshot));
        job.snapshot.state = JobState::Restarting;
        job.snapshot.running_since = None;
        assert!(!is_outlived(&job.snapshot), "nothing is known");
    }

    #[test]
    fn samples_in_a_row_add_up_to_the_sample_over_all_of_them() {
        let mut job = Job::chain(&[1, 2]);
        let first = job.snapshot.vertices.clone();
        let mut sum: Option<Sample> = None;
        for i in 0..5 {
            let older = job.snapshot.vertices.clone();
            job.run(2.0 + f64::from(i), &[doing(0.0, 700.0), doing(690.0, 0.0)]);
            let Difference::Whole(sample) = difference(&older, &job.snapshot) else { panic!("a sample") };
            match &mut sum {
                Some(sum) => sum.append(&sample),
                None => sum = Some(sample),
            }
        }
        let Difference::Whole(all) = difference(&first, &job.snapshot) else { panic!("a sample") };
        assert_eq!(sum, Some(all));
    }
}
