//! Several rules together: for each vertex the largest size that any of them asks for, as with several metrics of an HPA.
//! A rule that cannot speak could have asked for more, so nothing shrinks while one is silent.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::said::{Asked, Context, RuleSaid, Said, Silence};
use super::{Ceiling, Proposal, Rule, Throughput, Want, Why};
use super::{
    backlog, backpressure, clock, flink_autoscaler, prometheus, resource, restart, switch, throughput,
};
use crate::model::{Parallelism, Timestamp};

/// What the rules of a policy ask for.
pub(super) fn propose(context: &Context<'_>) -> Proposal {
    // What every vertex takes in and could, by which the sizes of all rules are judged afterwards.
    let default = Throughput::default();
    let basis = context.policy.throughput().unwrap_or(&default);
    let numbers = throughput::wants(basis, context);
    let mut wants: Vec<Want> = numbers
        .iter()
        .map(|want| if want.why == Why::Excluded { want.clone() } else { stays(want) })
        .collect();
    let mut reasons: Vec<Option<Want>> = vec![None; wants.len()];
    let mut rules = Vec::with_capacity(context.policy.spec.rules.len());
    let mut ceiling = Ceiling::default();
    for (index, rule) in context.policy.spec.rules.iter().enumerate() {
        let asked = match (switch::is_on(rule, &numbers, context), rule) {
            (Ok(false), _) => {
                rules.push(RuleSaid { rule: rule.name(), said: Said::Off });
                continue;
            }
            (Err(why), _) => Err(why),
            (Ok(true), Rule::Throughput(rule)) if std::ptr::eq(rule, basis) => {
                Ok((Cow::Borrowed(&numbers), None))
            }
            (Ok(true), Rule::Schedule(rule)) => {
                let force = rule.at(context.now);
                ceiling = ceiling.lower(clock::ceiling(&force));
                clock::propose(&force, context).map(|(wants, replicas)| (Cow::Owned(wants), replicas))
            }
            (Ok(true), _) => ask(rule, context).map(|(wants, replicas)| (Cow::Owned(wants), replicas)),
        };
        let said = match asked {
            Ok((asked, replicas)) => {
                take_largest(&mut wants, &mut reasons, &asked, &rules, rule.name());
                match (replicas, unknown(rule, &asked, context)) {
                    (Some(replicas), _) => Said::Replicas(replicas),
                    (None, Some(why)) => Said::Partly { why },
                    (None, None) => Said::Sizes,
                }
            }
            Err(why) => {
                let since = silent_since(context, index);
                match fallback(rule, context, since) {
                    Some(held) => {
                        take_largest(&mut wants, &mut reasons, &held, &rules, rule.name());
                        Said::FellBack { why, since }
                    }
                    None => Said::Silent { why, since },
                }
            }
        };
        rules.push(RuleSaid { rule: rule.name(), said });
    }
    give_reasons(&mut wants, reasons);
    let (load, backlog_standing) = throughput::sources(context);
    let restart_seconds = restart::seconds(basis, context.ledger);
    Proposal { rules, wants, ceiling, load, restart_seconds, backlog_standing }
}

fn ask(rule: &Rule, context: &Context<'_>) -> Asked {
    match rule {
        Rule::Throughput(rule) => Ok((throughput::wants(rule, context), None)),
        Rule::Resource(rule) => resource::propose(rule, context),
        Rule::Prometheus(rule) => prometheus::propose(rule, context),
        Rule::Backpressure(rule) => backpressure::propose(rule, context),
        Rule::Backlog(rule) => backlog::propose(rule, context),
        Rule::Schedule(rule) => clock::propose(&rule.at(context.now), context),
        Rule::FlinkAutoscaler(rule) => Ok((flink_autoscaler::propose(rule.options.options(), context), None)),
    }
}

/// What keeps a rule from speaking for every vertex. Those that look at the job as a whole, or at what is around it, do or do not
/// speak; the operator's algorithm has rules of its own for what is missing.
fn unknown(rule: &Rule, asked: &[Want], context: &Context<'_>) -> Option<Silence> {
    matches!(rule, Rule::Throughput(_)).then(|| throughput::unknown(asked, context)).flatten()
}

/// The numbers of a vertex that nobody has asked anything for.
fn stays(want: &Want) -> Want {
    Want { wanted: want.current, why: Why::NoSignal, rule: None, unlimited: None, ..want.clone() }
}

/// Takes for each vertex the larger of what was asked for by the `rules` until now and by the next one, `name`; and beside it,
/// of those that are a reason to act, the one that counts for most.
fn take_largest(
    wants: &mut [Want],
    reasons: &mut [Option<Want>],
    asked: &[Want],
    rules: &[RuleSaid],
    name: &str,
) {
    for ((want, reason), asked) in wants.iter_mut().zip(reasons).zip(asked) {
        // What the policy leaves alone is no rule's; what one rule leaves alone is still the others'.
        if want.why == Why::Excluded && want.rule.is_none() {
            continue;
        }
        let is_more = |than: &Want| match than.rule {
            None => true,
            Some(rule) => rank(asked, name) > rank(than, rules[rule].rule),
        };
        let is_reason = acts(asked) && reason.as_ref().is_none_or(is_more);
        if is_reason {
            *reason = Some(Want { rule: Some(rules.len()), ..asked.clone() });
        }
        if is_more(want) {
            (want.wanted, want.why, want.rule) = (asked.wanted, asked.why, Some(rules.len()));
            want.unlimited = asked.unlimited;
        }
    }
}

/// A rule that would only join in asks for more than one that acts: it joins in, and what acts is the reason.
fn give_reasons(wants: &mut [Want], reasons: Vec<Option<Want>>) {
    for (want, reason) in wants.iter_mut().zip(reasons) {
        if let Some(reason) = reason.filter(|_| !acts(want)) {
            (want.why, want.rule) = (reason.why, reason.rule);
        }
    }
}

/// Whether it is a reason to act, and to grow.
fn acts(want: &Want) -> bool {
    want.why.is_short() && want.wanted > want.current
}

/// What counts for more: a larger size; of the same size, a reason to act on, then a larger need behind it; and then any
/// fixed order, so that the order of the rules makes no difference.
fn rank<'a>(want: &Want, rule: &'a str) -> (Parallelism, bool, Parallelism, Reverse<(Why, &'a str)>) {
    (want.wanted, acts(want), want.needed(), Reverse((want.why, rule)))
}

/// Since when a rule has been silent: as it was written down in the cycles before, or since now.
fn silent_since(context: &Context<'_>, index: usize) -> Timestamp {
    context.ledger.silent.get(&index).copied().unwrap_or(context.now).min(context.now)
}

/// What a rule's fallback holds to, once the rule has been silent for long enough.
fn fallback(rule: &Rule, context: &Context<'_>, since: Timestamp) -> Option<Vec<Want>> {
    let fallback = rule.fallback()?;
    if context.now.since(since) < fallback.after.get() {
        return None;
    }
    let size = |now: Parallelism| match (fallback.parallelism, fallback.min_parallelism) {
        (Some(size), _) => Some(size),
        (None, Some(least)) => Some(now.max(least)),
        (None, None) => None,
    };
    let vertices = &context.snapshot.vertices;
    vertices
        .iter()
        .map(|v| {
            let wanted = size(v.parallelism)?;
            Some(Want { wanted, ..Want::unchanged(v.parallelism, Why::FellBack) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::model::{Answer, VertexId};
    use crate::policy::testing::{Job, policy};
    use crate::policy::{ExternalTarget, Fallback, Policy, Prometheus, Span, UtilizationBand};

    /// A query that wants so many TaskManagers of eight.
    fn query(name: &str, fallback: Option<Fallback>) -> Rule {
        let target = ExternalTarget::AverageValue { average_value: "1".parse().expect("a quantity") };
        Rule::Prometheus(Prometheus { query: name.parse().expect("a query"), target, when: None, fallback })
    }

    /// Eight subtasks at 4 ms, fed with so much; throughput and two queries that ask for so many TaskManagers of eight.
    fn job(rate: f64, asks: [Option<f64>; 2]) -> (Job, Policy) {
        let mut job = Job::chain(&[(8, 0.0), (8, 0.004)]).filling(8).arriving(rate);
        for (name, asks) in ["a", "b"].into_iter().zip(asks) {
            if let Some(asks) = asks {
                let answer = Answer { at: job.now, values: Ok(vec![asks]) };
                job.snapshot.around.queries.insert(name.to_owned(), answer);
            }
        }
        let mut policy = policy();
        policy.spec.rules.extend([query("a", None), query("b", None)]);
        (job, policy)
    }

    /// (wanted, the rule that asked for it) of the step.
    fn step(job: &Job, policy: &Policy) -> (u32, &'static str) {
        let proposal = job.proposal(policy);
        let want = &proposal.wants[1];
        (want.wanted.get(), want.rule.map_or("none", |rule| proposal.rules[rule].rule))
    }

    #[test]
    fn the_largest_wins_whatever_the_order() {
        for (rate, asks, expected) in [
            (1300.0, [Some(8.0), Some(8.0)], (8, "prometheus")),
            (3000.0, [Some(4.0), Some(12.0)], (18, "throughput")),
            (3000.0, [Some(4.0), Some(24.0)], (24, "prometheus")),
            (100.0, [Some(4.0), Some(6.0)], (6, "prometheus")),
            (100.0, [Some(4.0), None], (4, "prometheus")),
            // Within its band the one would only join in; what the other asks for is a reason to grow.
            (1700.0, [Some(9.0), Some(8.0)], (11, "prometheus")),
            (1700.0, [Some(8.0), Some(8.0)], (11, "throughput")),
        ] {
            let (job, mut policy) = job(rate, asks);
            for turn in 0..3 {
                policy.spec.rules.rotate_left(1);
                assert_eq!(step(&job, &policy), expected, "{rate} {asks:?}, turned {turn}");
                let proposal = job.proposal(&policy);
                assert_eq!(proposal.silent().count(), asks.iter().filter(|asks| asks.is_none()).count());
            }
        }
    }

    #[test]
    fn of_two_rules_that_ask_the_same_the_one_with_the_larger_need_counts_whatever_the_order() {
        // 3000/s need eighteen of eight; one rule doubles at the most, for the other two thirds of eighteen are enough.
        let limited = Throughput { max_scale_up_factor: Some(1.5), ..Throughput::default() };
        let (job, mut policy) = job(3000.0, [None, None]);
        let eased = UtilizationBand { target: 1.0, ..UtilizationBand::default() };
        let other = Throughput { utilization: eased, ..limited.clone() };
        policy.spec.rules = vec![Rule::Throughput(limited), Rule::Throughput(other)];
        for turn in 0..2 {
            policy.spec.rules.rotate_left(turn);
            let want = &job.proposal(&policy).wants[1];
            assert_eq!((want.wanted.get(), want.needed().get()), (12, 18), "turned {turn}");
        }
    }

    #[test]
    fn what_one_rule_leaves_alone_is_still_the_others() {
        let options = json!({"job.autoscaler.vertex.exclude.ids": VertexId::from_bits(1).to_string()});
        let operators = serde_json::from_value(json!({"flinkAutoscaler": {"options": options}}));
        let (job, mut policy) = job(3000.0, [None, None]);
        policy.spec.rules.truncate(1);
        policy.spec.rules.push(operators.expect("a rule"));
        for turn in 0..2 {
            policy.spec.rules.rotate_left(turn);
            assert_eq!(step(&job, &policy), (18, "throughput"), "turned {turn}");
        }
    }

    #[test]
    fn a_fallback_holds_once_its_time_has_come() {
        let hold = Fallback { after: Span::from_secs(300), min_parallelism: None, parallelism: None };
        let size = |p| Some(Parallelism::clamped(p));
        for (fallback, silent_for, expected, is_silent) in [
            (hold, 600, (1, "throughput"), true),
            (Fallback { min_parallelism: size(6), ..hold }, 299, (1, "throughput"), true),
            (Fallback { min_parallelism: size(6), ..hold }, 300, (8, "prometheus"), false),
            (Fallback { min_parallelism: size(12), ..hold }, 300, (12, "prometheus"), false),
            (Fallback { parallelism: size(5), ..hold }, 300, (5, "prometheus"), false),
        ] {
            let (mut job, mut policy) = job(100.0, [None, None]);
            policy.spec.rules.truncate(1);
            policy.spec.rules.push(query("a", Some(fallback)));
            job.ledger.silent.insert(1, job.now - Duration::from_secs(silent_for));
            assert_eq!(step(&job, &policy), expected, "{fallback:?} after {silent_for} s");
            assert_eq!(job.proposal(&policy).silent().count() > 0, is_silent, "{fallback:?}");
        }
    }
}
