//! How late the records of a source are, where nothing tells how many of them wait.

use std::collections::BTreeMap;

use super::{Lag, Sample};
use crate::model::Snapshot;

/// A source that waits for less than this share of its time for those after it is not held up (Flink's web page calls it "ok").
const FREE: f64 = 0.1;

/// A lag that grows or shrinks by less than this in a second stays as it is: a tenth, from which on a load has changed.
pub(crate) const STANDS: f64 = 0.1;

/// The lag that each source has while it keeps up, in seconds, by its index in the graph. Kept across restarts of the job, after
/// which it is behind.
pub(super) type UsualLags = BTreeMap<usize, f64>;

/// How late a source is over the samples from `start` on; `None` where two points in time are not known.
pub(super) fn lag(samples: &[Sample], start: usize, source: usize, usual: &UsualLags) -> Option<Lag> {
    let first = start.saturating_sub(1);
    let mut seconds = 0.0;
    // The first point, the last one, and the least of all.
    let mut seen: Option<((f64, f64), (f64, f64), f64)> = None;
    for sample in &samples[first..] {
        seconds += sample.seconds();
        let Some(lag) = sample.lag(source) else { continue };
        let point = (seconds, lag);
        seen = Some(seen.map_or((point, point, lag), |(first, _, least)| (first, point, lag.min(least))));
    }
    let ((from, lag_then), (to, now), least) = seen?;
    let growth = (to > from).then(|| (now - lag_then) / (to - from))?;
    Some(Lag { now, least, growth, usual: usual.get(&source).copied() })
}

/// Takes up what the newest sample tells of the lag that is usual: that of a source which is not held up, while it stays as it
/// is. (A source that is slow itself is not held up either, but then it grows.) What is less than that is usual at any time.
pub(super) fn learn(usual: &mut UsualLags, samples: &[Sample], snapshot: &Snapshot) {
    let Some(newest) = samples.last() else { return };
    for now in &newest.lags {
        let Some(Lag { now: lag, growth, .. }) = self::lag(samples, samples.len() - 1, now.vertex, usual)
        else {
            continue;
        };
        let vertex = &newest.vertices[now.vertex];
        let all = vertex.seconds() * snapshot.vertices[now.vertex].parallelism.as_f64();
        let is_free = vertex.back_pressured_seconds().is_some_and(|waits| waits < FREE * all);
        let keeps_up = is_free && growth.abs() < STANDS && vertex.written.is_some_and(|records| records > 0);
        let known = usual.get(&now.vertex).copied();
        if keeps_up || known.is_some_and(|known| lag < known) {
            usual.insert(now.vertex, lag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::History;
    use super::super::testing::{Doing, Job, doing};
    use super::*;

    /// A source that takes in 500/s, with these lags at its polls of 5 s and this share of back-pressure.
    fn watch(lags: &[Option<u64>], waits: f64) -> Option<Lag> {
        let (mut job, mut history) = (Job::chain(&[1, 2]), History::default());
        let source = Doing { waits, cost: 0.0001, ..doing(0.0, 500.0) };
        job.run(60.0, &[source, doing(500.0, 0.0)]);
        history.push(&job.seen());
        for lag in lags {
            job.run(5.0, &[source, doing(500.0, 0.0)]);
            job.snapshot.vertices[0].event_time_lag_ms = *lag;
            history.push(&job.seen());
        }
        history.signals().expect("there are samples").vertices[0].lag
    }

    #[test]
    fn how_late_it_is_how_it_grows_and_what_is_usual() {
        // What is seen, in milliseconds; the share of back-pressure; now, least, growth and usual.
        type Row<'a> = (&'a str, Vec<Option<u64>>, f64, Option<(f64, f64, f64, Option<f64>)>);
        let all = |lags: &[u64]| lags.iter().copied().map(Some).collect::<Vec<_>>();
        let rows: [Row; 8] = [
            ("nothing", vec![None, None], 0.0, None),
            ("one point", vec![None, Some(400)], 0.0, None),
            ("it keeps up", all(&[400, 450, 400]), 0.0, Some((0.4, 0.4, 0.0, Some(0.4)))),
            ("it takes in half", all(&[400, 400, 2900, 5400]), 0.9, Some((5.4, 0.4, 1.0 / 3.0, None))),
            ("it takes in half, after it kept up", all(&[400, 2900, 5400]), 0.0, Some((5.4, 0.4, 0.5, None))),
            ("late producers are usual", all(&[90_000; 4]), 0.0, Some((90.0, 90.0, 0.0, Some(90.0)))),
            ("held up, it stands", all(&[90_000; 4]), 0.9, Some((90.0, 90.0, 0.0, None))),
            ("one poll does not tell", vec![Some(1000), None, Some(3000)], 0.9, Some((3.0, 1.0, 0.2, None))),
        ];
        for (what, lags, waits, expected) in rows {
            let got = watch(&lags, waits).map(|lag| (lag.now, lag.least, lag.growth, lag.usual));
            let rounded =
                got.map(|(now, least, growth, usual)| (now, least, (growth * 1e6).round() / 1e6, usual));
            let expected = expected
                .map(|(now, least, growth, usual)| (now, least, (growth * 1e6_f64).round() / 1e6, usual));
            assert_eq!(rounded, expected, "{what}");
        }
    }

    #[test]
    fn what_is_usual_is_remembered_across_a_restart() {
        let (mut job, mut history) = (Job::chain(&[1, 2]), History::default());
        let mut poll = |job: &mut Job, lag: u64, waits: f64| {
            let source = Doing { waits, cost: 0.0001, ..doing(0.0, 500.0) };
            job.run(5.0, &[source, doing(500.0, 0.0)]);
            job.snapshot.vertices[0].event_time_lag_ms = Some(lag);
            history.push(&job.seen());
            history.signals().and_then(|signals| signals.vertices[0].lag)
        };
        for _ in 0..4 {
            poll(&mut job, 800, 0.0);
        }
        job.restart(&[1, 3]);
        // Until its tasks are warm, and twice.
        for _ in 0..3 {
            poll(&mut job, 20_000, 0.9);
        }
        let behind = poll(&mut job, 20_000, 0.9).expect("it is known");
        assert_eq!((behind.now, behind.usual), (20.0, Some(0.8)));
    }
}
