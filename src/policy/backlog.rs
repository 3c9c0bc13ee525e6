//! What waits at the sources is to be worked off within a time, or to stay under a number of records.

use super::said::{Asked, Context, Silence};
use super::{Backlog, CatchUp, Throughput, throughput};

/// What the rule asks for: the sizes that work off what waits within the target time, beside what arrives. It is what the
/// throughput rule asks for with that time for its catch-up.
pub(super) fn propose(rule: &Backlog, context: &Context<'_>) -> Asked {
    let sources = || context.snapshot.graph.sources().map(|v| &context.signals.vertices[v]);
    if sources().all(|source| source.backlog.is_none()) {
        return Err(Silence::NoBacklog);
    }
    let catch_up = Throughput { catch_up: CatchUp(rule.target), ..Throughput::default() };
    let Some(allowed) = rule.records else {
        return Ok((throughput::wants(&catch_up, context), None));
    };
    // What may wait need not be worked off.
    let Context { snapshot, policy, ledger, now, .. } = *context;
    let mut signals = context.signals.clone();
    for vertex in &mut signals.vertices {
        vertex.backlog = vertex.backlog.map(|records| (records - allowed.as_f64()).max(0.0));
    }
    let context = Context::new(&signals, snapshot, policy, ledger, now);
    Ok((throughput::wants(&catch_up, &context), None))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Job;
    use super::super::{Policy, Span, Why};
    use super::*;

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
    fn is_silent_where_no_source_tells() {
        let mut job = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(500.0);
        job.signals.vertices[0].backlog = None;
        assert_eq!(asked(&job, &Backlog::default()), Err(Silence::NoBacklog));
    }
}
