//! What waits at the sources is to be worked off within a time, or to stay under a number of records. Where a source does not
//! say how many wait, how late its records are tells.

use super::capacity::PUSHES_BACK;
use super::said::{Asked, Context, Silence};
use super::{Backlog, CatchUp, Throughput, throughput};
use crate::signals::{Estimate, STANDS, Signals, VertexSignals};

/// The slowest event time that tells of a load: a fifth of the clock, five times as much as is taken in, which is also as far as
/// back-pressure is believed. Slower is a subtask for which nothing comes: its lag grows by a second in a second.
const SLOWEST: f64 = 0.2;

/// What the rule asks for: the sizes that work off what waits within the target time, beside what arrives. It is what the
/// throughput rule asks for with that time for its catch-up.
pub(super) fn propose(rule: &Backlog, context: &Context<'_>) -> Asked {
    let sources = || context.snapshot.graph.sources().map(|v| &context.signals.vertices[v]);
    if sources().all(|source| source.backlog.is_none() && source.lag.is_none()) {
        return Err(Silence::NoBacklog);
    }
    let catch_up = Throughput { catch_up: CatchUp(rule.target), ..Throughput::default() };
    let is_late = |source: &VertexSignals| source.backlog.is_none() && source.lag.is_some();
    if rule.records.is_none() && !sources().any(is_late) {
        return Ok((throughput::wants(&catch_up, context), None));
    }
    let Context { snapshot, policy, ledger, now, .. } = *context;
    let signals = with_what_matters(rule, context);
    let context = Context::new(&signals, snapshot, policy, ledger, now);
    Ok((throughput::wants(&catch_up, &context), None))
}

/// The signals with a backlog also where it has to be told from a lag, and without what may wait.
fn with_what_matters(rule: &Backlog, context: &Context<'_>) -> Signals {
    let mut signals = context.signals.clone();
    for v in context.snapshot.graph.sources() {
        let source = &mut signals.vertices[v];
        if source.backlog.is_none()
            && let Some(late) = late(source, rule.target.as_secs())
        {
            source.arrival = source.arrival.map(|arrival| Estimate {
                mean: late.arrival,
                low: late.arrival.min(arrival.low),
                high: late.arrival.max(arrival.high),
                ..arrival
            });
            source.backlog = Some(late.records);
        }
        if let Some(allowed) = rule.records {
            // What may wait need not be worked off.
            source.backlog = source.backlog.map(|records| (records - allowed.as_f64()).max(0.0));
        }
    }
    signals
}

/// What a lag says of a source that is behind.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Late {
    /// Records/s that come to exist.
    arrival: f64,
    /// Records that it is behind.
    records: f64,
}

/// What the lag of a source says of its load; `None` where it says nothing.
///
/// While the lag L grows by g seconds in a second, the records that are put out carry event times that go on by 1 - g seconds in
/// a second. In so much event time there came to exist as many records as are put out now, so
///
/// ```text
/// arrival = rate out / (1 - g)        records behind = arrival x (L - the usual L)
/// ```
///
/// (Little's law, L = lambda W, with the time beyond the usual for W). A source that takes in half of what arrives has g = 1/2; one
/// that stands at 40 s and is held up takes in just what arrives, 40 s of it behind; one that catches up has g < 0.
///
/// A lag grows also without any backlog, by a second in a second, while no record comes: for a topic that is quiet, and for
/// one partition of many that is (the lag is that of the subtask that is furthest behind). So it is believed only while event
/// time goes on, it is the least of the window that counts (a record that comes now and then brings it down again), and the
/// source must be held up; or, where it is slow itself, the lag must grow beyond the target, and not only be long: that is what
/// producers which are late make it.
fn late(source: &VertexSignals, target_seconds: f64) -> Option<Late> {
    let lag = source.lag?;
    let put_out = source.rate_out?.mean;
    let goes_on = 1.0 - lag.growth;
    let behind = (lag.least - lag.usual.unwrap_or(0.0)).max(0.0);
    let is_held_up = source.back_pressured.is_some_and(|share| share > PUSHES_BACK);
    let falls_behind = lag.growth > STANDS && behind > target_seconds;
    if goes_on < SLOWEST || !(is_held_up || falls_behind) {
        return None;
    }
    let arrival = put_out / goes_on;
    Some(Late { arrival, records: arrival * behind })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Job, estimate};
    use super::super::{Policy, Span, Why};
    use super::*;
    use crate::signals::Lag;

    fn asked(job: &Job, rule: &Backlog) -> Result<(u32, Why), Silence> {
        let policy = Policy::default();
        propose(rule, &job.context(&policy)).map(|(wants, _)| (wants[1].wanted.get(), wants[1].why))
    }

    #[test]
    fn works_off_what_waits_within_the_target() {
        // 500/s of 1000/s: 500/s are left over for what waits.
        let seconds = |seconds| Backlog { target: Span::from_secs(seconds), ..Backlog::default() };
        let quantity = |text: &str| text.parse().expect("a quantity");
        let records = |records| Backlog { records: Some(quantity(records)), ..seconds(30) };
        for (backlog, rule, expected) in [
            (0.0, seconds(30), (4, Why::WithinBand)),
            (14_000.0, seconds(30), (4, Why::WithinBand)),
            (30_000.0, seconds(30), (10, Why::BacklogStands)),
            (30_000.0, seconds(120), (4, Why::WithinBand)),
            (30_000.0, records("50k"), (4, Why::WithinBand)),
            (60_000.0, records("30k"), (10, Why::BacklogStands)),
        ] {
            let job = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(500.0).backlog(backlog);
            let got = asked(&job, &rule).expect("the backlog is known");
            assert_eq!(got.1, expected.1, "{backlog} {rule:?}: {got:?}");
            assert!(expected.1 == Why::WithinBand || got.0 >= expected.0, "{backlog} {rule:?}: {got:?}");
        }
    }

    #[test]
    fn a_lag_tells_what_arrives_and_what_is_behind_and_of_a_quiet_topic_nothing() {
        // Least lag and its growth, what is usual, the share held up; what 500/s put out then tell.
        type Row = (&'static str, (f64, f64), Option<f64>, f64, Option<(f64, f64)>);
        let rows: [Row; 13] = [
            ("takes in half", (60.0, 0.5), Some(0.0), 0.9, Some((1000.0, 60_000.0))),
            ("stands", (40.0, 0.0), Some(0.0), 0.9, Some((500.0, 20_000.0))),
            ("stands, with what is usual", (40.0, 0.0), Some(10.0), 0.9, Some((500.0, 15_000.0))),
            ("less than usual", (4.0, 0.0), Some(10.0), 0.9, Some((500.0, 0.0))),
            ("what is usual is not known", (40.0, 0.0), None, 0.9, Some((500.0, 20_000.0))),
            ("catches up", (40.0, -1.0), Some(0.0), 0.9, Some((250.0, 10_000.0))),
            ("slow itself", (40.0, 0.5), Some(0.0), 0.0, Some((1000.0, 40_000.0))),
            ("slow itself, not yet late", (20.0, 0.5), Some(0.0), 0.0, None),
            ("late producers", (90.0, 0.0), None, 0.0, None),
            ("producers that are in time again", (90.0, -0.9), None, 0.0, None),
            ("a quiet topic", (3600.0, 1.0), Some(0.0), 0.0, None),
            ("a quiet partition of a job that is held up", (3600.0, 1.0), Some(0.0), 0.9, None),
            ("a record now and then", (0.2, 0.3), Some(0.1), 0.0, None),
        ];
        for (what, (least, growth), usual, waits, expected) in rows {
            let mut source = Job::chain(&[(1, 0.0)]).arriving(500.0).signals.vertices.swap_remove(0);
            source.lag = Some(Lag { now: least, least, growth, usual });
            source.back_pressured = Some(waits);
            let expected = expected.map(|(arrival, records)| Late { arrival, records });
            assert_eq!(late(&source, 30.0), expected, "{what}");
        }
    }

    #[test]
    fn works_off_by_a_lag_what_it_would_by_a_count() {
        let rule = Backlog { target: Span::from_secs(30), ..Backlog::default() };
        // It takes in all of what it can, 1000/s, of the 1500/s that arrive; 20 s of that are behind.
        let mut by_lag = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(1000.0);
        by_lag.signals.vertices[0].lag =
            Some(Lag { now: 21.0, least: 20.0, growth: 1.0 / 3.0, usual: Some(0.0) });
        by_lag.signals.vertices[0].back_pressured = Some(0.9);
        // A guess from back-pressure.
        by_lag.signals.vertices[0].arrival = Some(estimate(5000.0));
        let by_count = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(1500.0).backlog(30_000.0);
        let (lag, count) = (asked(&by_lag, &rule), asked(&by_count, &rule));
        assert_eq!(lag, count);
        assert_eq!(lag.map(|(wanted, _)| wanted), Ok(18), "2500/s, and 500/s for a restart, at 0.7 of 250/s");
    }

    #[test]
    fn is_silent_where_no_source_tells() {
        let mut job = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(500.0);
        job.signals.vertices[0].backlog = None;
        assert_eq!(asked(&job, &Backlog::default()), Err(Silence::NoBacklog));
        job.signals.vertices[0].lag = Some(Lag { now: 0.1, least: 0.1, growth: 0.0, usual: None });
        assert_eq!(asked(&job, &Backlog::default()).map(|(_, why)| why), Ok(Why::WithinBand));
    }
}
