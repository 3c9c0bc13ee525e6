//! What is legal and unwise: settings that contradict what they are for, each with its place and what would be better.

use std::collections::BTreeSet;
use std::time::Duration;

use thiserror::Error;

use crate::model::Timestamp;
use crate::policy::hpa::SelectPolicy;
use crate::policy::{
    AutoscalerSpec, Fallback, ObservedOr, PolicySpec, Rule, ScalingRules, Schedule, Span, Throughput,
    Variable,
};

/// One thing that is unwise.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Advice {
    /// A new size is nearly too full from the start.
    #[error(
        "a new size is {target} full, and too full at {max}: noise in the load asks for the next; lower the target or raise max"
    )]
    NoRoomAboveTarget {
        /// How full a new size is.
        target: f64,
        /// Where it is too full.
        max: f64,
    },
    /// A new size is nearly too empty from the start.
    #[error(
        "a new size is {target} full, and too empty below {min}: noise in the load asks for a smaller one; lower min or raise the target"
    )]
    NoRoomBelowTarget {
        /// Where it is too empty.
        min: f64,
        /// How full a new size is.
        target: f64,
    },
    /// A time within which nothing is seen.
    #[error("{length} is shorter than a poll ({poll}): no two samples fall into it, so it has no effect")]
    ShorterThanPoll {
        /// The time.
        length: Span,
        /// From one poll to the next.
        poll: Span,
    },
    /// The cooldown alone allows fewer rescales than the budget.
    #[error(
        "{max} rescales with a cooldown of {cooldown} between them do not fit into {per}: the budget is never spent; lower max or the cooldown"
    )]
    BudgetNeverSpent {
        /// Rescales that the budget allows.
        max: u32,
        /// In this time.
        per: Span,
        /// The least time between two of them.
        cooldown: Span,
    },
    /// A size that cannot change.
    #[error("min and max are both {size}: nothing is ever scaled; {mend}")]
    NoChoice {
        /// The size.
        size: u32,
        /// What to do.
        mend: &'static str,
    },
    /// Restarts that take a good part of the time.
    #[error(
        "scaling down after {window} spends more than a tenth of the time on restarts of {restart}; make it {least} or more, or leave it out"
    )]
    RestartNotRepaid {
        /// The scale-down window.
        window: Span,
        /// How long a restart takes.
        restart: Span,
        /// What would be long enough.
        least: Span,
    },
    /// A backlog that has grown by as much as it was to shrink.
    #[error(
        "a backlog is to be gone within {within}, and a restart takes {restart}: a rescale alone breaks it; make it longer"
    )]
    CatchUpWithinRestart {
        /// The time.
        within: Span,
        /// How long a restart takes.
        restart: Span,
    },
    /// Two windows of a schedule that are open at once.
    #[error(
        "it is open together with windows[{other}], as at {at}: the highest floor and the lowest ceiling of both count then; keep them apart if that is not meant"
    )]
    WindowsOverlap {
        /// The window before it.
        other: usize,
        /// When both are open.
        at: Timestamp,
    },
    /// A fallback that changes nothing.
    #[error(
        "without parallelism or minParallelism it has no effect: everything stays as it is anyway; add one, or leave the fallback out"
    )]
    FallbackWithoutEffect,
    /// Two sizes to fall back to.
    #[error("parallelism is the size that counts, so minParallelism has no effect; leave one out")]
    FallbackTwice,
    /// A limit of the memory that every job is above.
    #[error("{limit} is what any healthy JVM has: nothing is ever scaled down; make it {least} or more")]
    MemoryAlwaysPresses {
        /// The limit.
        limit: f64,
        /// What would be high enough.
        least: f64,
    },
    /// Rules that nobody answers.
    #[error(
        "the policy asks Prometheus, and no server is named: those rules are silent, and hold shrinking; add spec.prometheus, or give --prometheus to the command"
    )]
    NobodyToAsk,
    /// A variable that stands for nothing.
    #[error(
        "a query of the policy asks for {variable}, and {missing} is not given: the rule is silent; add it"
    )]
    NothingToFillIn {
        /// The variable.
        variable: Variable,
        /// What would say it.
        missing: &'static str,
    },
    /// A policy that never does anything.
    #[error(
        "both directions are Disabled: nothing is ever scaled; `mode: Recommend` in the FlinkAutoscaler says what would be done"
    )]
    NeverScales,
}

/// The least that is to be between the target and the ends of the band: what a load's noise makes of a utilization.
const ROOM: f64 = 0.05;

/// A hundredth of the time in garbage collection is the goal of the JVM's parallel collector (`GCTimeRatio` = 99), which spares none.
const LEAST_GC: f64 = 0.01;

/// G1 lets the heap fill up to 0.45 before it looks for what can be freed at all (`InitiatingHeapOccupancyPercent`).
const LEAST_HEAP: f64 = 0.45;

/// A restart is repaid when it takes no more than a tenth of the time between two.
const REPAID: u32 = 10;

/// A restart that was never seen takes about so long: published in-place rescales of real jobs took 6.5 to 9 s.
const RESTART: Duration = Duration::from_secs(10);

/// Paths with what is unwise there.
pub(super) type Found = Vec<(String, Advice)>;

/// What is unwise in a policy whose jobs are polled so often.
pub(super) fn on_policy(spec: &PolicySpec, poll: Span) -> Found {
    let mut found = Found::new();
    for (index, rule) in spec.rules.iter().enumerate() {
        let path = format!("spec.rules[{index}].{}", rule.name());
        on_rule(rule, &path, poll, &mut found);
        if let Some(fallback) = rule.fallback() {
            on_fallback(&fallback, &format!("{path}.fallback"), &mut found);
        }
    }
    on_behavior(spec, poll, &mut found);
    on_limits(spec, &mut found);
    found
}

fn on_rule(rule: &Rule, path: &str, poll: Span, found: &mut Found) {
    match rule {
        Rule::Throughput(rule) => on_throughput(rule, path, found),
        Rule::Backpressure(rule) => {
            found.extend(shorter_than_poll(format!("{path}.for"), rule.lasts, poll));
        }
        Rule::Schedule(schedule) => on_schedule(schedule, path, found),
        _ => {}
    }
}

fn on_throughput(rule: &Throughput, path: &str, found: &mut Found) {
    let band = rule.utilization;
    // Of numbers such as 0.7 - 0.65 the last bits are no difference.
    let narrow = |room: f64| room < ROOM - 1e-9;
    let at = format!("{path}.utilization.target");
    if narrow(band.max - band.target) {
        found.push((at.clone(), Advice::NoRoomAboveTarget { target: band.target, max: band.max }));
    }
    if narrow(band.target - band.min) {
        found.push((at, Advice::NoRoomBelowTarget { min: band.min, target: band.target }));
    }
    if let ObservedOr::Fixed(restart) = rule.restart
        && rule.catch_up.0 <= restart
    {
        let advice = Advice::CatchUpWithinRestart { within: rule.catch_up.0, restart };
        found.push((format!("{path}.catchUp"), advice));
    }
}

/// Windows that open while another is open: so many openings are looked at, which is a year of one each day.
const OPENINGS: usize = 366;

/// A year is looked at from here on; which one makes no difference to windows that overlap every year.
const YEAR: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn on_schedule(schedule: &Schedule, path: &str, found: &mut Found) {
    let mut now = YEAR;
    let mut seen = BTreeSet::new();
    for _ in 0..OPENINGS {
        let Some(start) = schedule.next_start(now) else { break };
        let open = schedule.at(start).open;
        for second in open.iter().filter(|window| window.since == start) {
            for first in open.iter().filter(|window| window.window != second.window) {
                let pair = (first.window.min(second.window), first.window.max(second.window));
                if seen.insert(pair) {
                    let advice = Advice::WindowsOverlap { other: pair.0, at: start };
                    found.push((format!("{path}.windows[{}]", pair.1), advice));
                }
            }
        }
        now = start;
    }
}

fn on_fallback(fallback: &Fallback, path: &str, found: &mut Found) {
    match (fallback.parallelism, fallback.min_parallelism) {
        (None, None) => found.push((path.to_owned(), Advice::FallbackWithoutEffect)),
        (Some(_), Some(_)) => found.push((format!("{path}.minParallelism"), Advice::FallbackTwice)),
        (Some(_), None) | (None, Some(_)) => {}
    }
}

fn on_behavior(spec: &PolicySpec, poll: Span, found: &mut Found) {
    let behavior = &spec.behavior;
    for (direction, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
        let path = format!("spec.behavior.{direction}");
        // Nothing is the HPA's own way to say: at once.
        if let Some(seconds) = rules.stabilization_window_seconds.filter(|&seconds| seconds > 0) {
            let length = Span::from_secs(seconds.into());
            found.extend(shorter_than_poll(format!("{path}.stabilizationWindowSeconds"), length, poll));
        }
        for (index, policy) in rules.policies.iter().enumerate() {
            let length = Span::from_secs(policy.period_seconds.into());
            found.extend(shorter_than_poll(format!("{path}.policies[{index}].periodSeconds"), length, poll));
        }
    }
    let is_off = |rules: &ScalingRules| rules.select_policy == SelectPolicy::Disabled;
    if is_off(&behavior.scale_up) && is_off(&behavior.scale_down) {
        found.push(("spec.behavior.scaleDown.selectPolicy".to_owned(), Advice::NeverScales));
    }
    if let Some(seconds) = behavior.scale_down.stabilization_window_seconds
        && !is_off(&behavior.scale_down)
    {
        let (window, restart) = (Span::from_secs(seconds.into()), restart(spec));
        let least = Span::from(restart.get().saturating_mul(REPAID));
        if window < least {
            let path = "spec.behavior.scaleDown.stabilizationWindowSeconds".to_owned();
            found.push((path, Advice::RestartNotRepaid { window, restart, least }));
        }
    }
}

/// How long a restart takes, as far as the policy says.
fn restart(spec: &PolicySpec) -> Span {
    let fixed = spec.rules.iter().find_map(|rule| match rule {
        Rule::Throughput(Throughput { restart: ObservedOr::Fixed(span), .. }) => Some(*span),
        _ => None,
    });
    fixed.unwrap_or(Span::from(RESTART))
}

fn on_limits(spec: &PolicySpec, found: &mut Found) {
    let limits = &spec.limits;
    let up = limits.scale_up_cooldown.unwrap_or(limits.cooldown);
    let cooldown = up.min(limits.scale_down_cooldown.unwrap_or(limits.cooldown));
    let (max, per) = (limits.rescales.max, limits.rescales.per);
    if cooldown.get().saturating_mul(max) > per.get() {
        let advice = Advice::BudgetNeverSpent { max, per, cooldown };
        found.push(("spec.limits.rescales.max".to_owned(), advice));
    }
    let memory = limits.memory_pressure;
    for (field, limit, least) in [("gcTime", memory.gc_time, LEAST_GC), ("heap", memory.heap, LEAST_HEAP)] {
        if limit < least {
            let advice = Advice::MemoryAlwaysPresses { limit, least };
            found.push((format!("spec.limits.memoryPressure.{field}"), advice));
        }
    }
}

fn shorter_than_poll(path: String, length: Span, poll: Span) -> Option<(String, Advice)> {
    (length < poll).then_some((path, Advice::ShorterThanPoll { length, poll }))
}

/// What the queries of a job's policy lack.
pub(super) fn on_queries(spec: &AutoscalerSpec, policy: &PolicySpec, has_namespace: bool) -> Found {
    let queries = policy.rules.iter().filter_map(|rule| match rule {
        Rule::Prometheus(rule) => Some(&rule.query),
        _ => None,
    });
    let queries: Vec<_> = queries.collect();
    let mut found = Found::new();
    if !queries.is_empty() && spec.prometheus.is_none() {
        found.push(("spec.policyRef".to_owned(), Advice::NobodyToAsk));
    }
    for (variable, is_given, missing) in [
        (Variable::Namespace, has_namespace, "metadata.namespace"),
        (Variable::Workload, spec.workload.is_some(), "spec.workload"),
    ] {
        if !is_given && queries.iter().any(|query| query.variables().any(|one| one == variable)) {
            found.push(("spec.policyRef".to_owned(), Advice::NothingToFillIn { variable, missing }));
        }
    }
    found
}

/// What is unwise in what is said of a job.
pub(super) fn on_autoscaler(spec: &AutoscalerSpec) -> Found {
    const SAME_REPLICAS: &str = "leave more room between them";
    const SAME_SIZE: &str = "leave more room between them, or set `mode: Paused`";
    const SAME_VERTEX: &str = "leave more room between them, or write `exclude: true`";
    let mut found = Found::new();
    if spec.parallelism.min == spec.parallelism.max {
        let advice = Advice::NoChoice { size: spec.parallelism.min.get(), mend: SAME_SIZE };
        found.push(("spec.parallelism.max".to_owned(), advice));
    }
    if let (Some(size), true) = (spec.replicas.min, spec.replicas.min == spec.replicas.max) {
        found.push(("spec.replicas.max".to_owned(), Advice::NoChoice { size, mend: SAME_REPLICAS }));
    }
    for (index, vertex) in spec.vertices.iter().enumerate().filter(|(_, vertex)| !vertex.exclude) {
        if let (Some(size), true) = (vertex.min, vertex.min == vertex.max) {
            let advice = Advice::NoChoice { size: size.get(), mend: SAME_VERTEX };
            found.push((format!("spec.vertices[{index}].max"), advice));
        }
    }
    found
}
