//! A decision in a few words: what a table row, a log line and a live view show of it.

use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::decide::{Decision, Verdict};
use crate::guard::Hold;
use crate::model::{Graph, Timestamp, VertexId};
use crate::plan::{Change, Direction, LimitedBy, Plan, Scale};
use crate::policy::{Want, Why};

/// Sizes of more vertices than this are not listed one by one.
const VERTICES_LISTED: usize = 8;

/// A decision in a few words.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// When it was made.
    pub at: Timestamp,
    /// What was chosen; of a closed list.
    pub verdict: &'static str,
    /// Why not otherwise: the kinds of the holds.
    pub holds: Vec<&'static str>,
    /// Records/s that arrive, as far as they are known.
    pub load: Option<f64>,
    /// Records that wait at the sources, as far as they are known.
    pub backlog: Option<f64>,
    /// Subtasks of each vertex now, in the graph's order; empty when the job was not looked into.
    pub current: Vec<u32>,
    /// Subtasks of each vertex as they are, or would be, asked for; empty when nothing is.
    pub planned: Vec<u32>,
    /// TaskManagers as they are, and as they are, or would be, asked for; `None` where their number stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<(u32, u32)>,
    /// The reason, for people.
    pub because: String,
}

impl Summary {
    /// The summary of a decision on a job with this graph.
    pub fn of(decision: &Decision, graph: Option<&Graph>) -> Self {
        let changes = decision.plan().map_or(&[][..], |plan| &plan.changes);
        let wants = decision.proposal.as_ref().map_or(&[][..], |proposal| &proposal.wants);
        Self {
            at: decision.at,
            verdict: decision.verdict.kind(),
            holds: decision.holds.iter().map(Hold::kind).collect(),
            load: decision.proposal.as_ref().map(|proposal| proposal.load),
            backlog: backlog(decision),
            current: wants.iter().map(|want| want.current.get()).collect(),
            planned: changes.iter().map(|change| change.to.get()).collect(),
            replicas: decision
                .plan()
                .and_then(|plan| plan.scale.as_ref())
                .map(|scale| (scale.from, scale.to)),
            because: because(decision, graph),
        }
    }

    /// Whether this says something else than `last` did. Numbers alone do not: they change with every cycle.
    pub fn is_news_after(&self, last: &Self) -> bool {
        let said = |summary: &Self| {
            (summary.verdict, summary.holds.clone(), summary.planned.clone(), summary.replicas)
        };
        said(self) != said(last)
    }

    /// The sizes on one line: `1/3/1`, or `1/3/1 -> 1/7/2` where they are to change.
    pub fn sizes(&self) -> String {
        match (&self.current[..], &self.planned[..]) {
            ([], _) => "-".to_owned(),
            (current, []) => list(current),
            (current, planned) => format!("{} -> {}", list(current), list(planned)),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(load) = self.load {
            write!(f, "load {}/s, ", Count(load))?;
        }
        if let Some(backlog) = self.backlog {
            write!(f, "{} waiting, ", Count(backlog))?;
        }
        if !self.current.is_empty() {
            write!(f, "{}, ", self.sizes())?;
        }
        write!(f, "{}: {}", self.verdict, self.because)
    }
}

fn list(sizes: &[u32]) -> String {
    if sizes.len() > VERTICES_LISTED {
        let most = sizes.iter().max().copied().unwrap_or(0);
        return format!("{} vertices of up to {most}", sizes.len());
    }
    sizes.iter().map(u32::to_string).collect::<Vec<_>>().join("/")
}

fn backlog(decision: &Decision) -> Option<f64> {
    let vertices = &decision.signals.as_ref()?.vertices;
    vertices.iter().filter_map(|vertex| vertex.backlog).reduce(|a, b| a + b)
}

/// The one reason that matters most.
fn because(decision: &Decision, graph: Option<&Graph>) -> String {
    let holds = || decision.holds.iter().map(Hold::to_string).collect::<Vec<_>>().join("; ");
    match &decision.verdict {
        Verdict::Unchanged => why_nothing(decision, graph),
        Verdict::Unobserved | Verdict::Held { plan: None } => holds(),
        Verdict::Held { plan: Some(plan) } => {
            format!("{}; not now: {}", why_changed(decision, plan), holds())
        }
        Verdict::Approved { plan } => why_changed(decision, plan.plan()),
    }
}

/// Of the vertices that change, the one that is furthest from where it should be.
fn why_changed(decision: &Decision, plan: &Plan) -> String {
    let wants = decision.proposal.as_ref().map_or(&[][..], |proposal| &proposal.wants);
    let changed = || plan.changes.iter().zip(wants).filter(|(change, _)| change.from != change.to);
    let fullness = |want: &Want| want.utilization.unwrap_or(0.0);
    let far = match plan.direction {
        Direction::Up => changed().max_by(|(_, a), (_, b)| fullness(a).total_cmp(&fullness(b))),
        Direction::Down => changed().min_by(|(_, a), (_, b)| fullness(a).total_cmp(&fullness(b))),
    };
    let Some((change, want)) = far else { return plan.scale.as_ref().map_or_else(String::new, why_scaled) };
    let mut text = sentence(&change.name, want);
    if change.to != want.needed() {
        let limit = decision.limits.iter().rev().find(|limit| limit.vertex == change.vertex);
        let by = limit.map_or_else(String::new, |limit| format!(": {}", limited(limit.by)));
        let _ = write!(text, ", gets {}{by}", change.to);
    }
    let others = changed().count() - 1;
    if others > 0 {
        let _ = write!(text, ", and {others} more");
    }
    if let Some(Scale { from, to, .. }) = plan.scale {
        let _ = write!(text, "; TaskManagers first: {to} instead of {from}");
    }
    text
}

/// Why TaskManagers come or go while the job keeps its size.
fn why_scaled(scale: &Scale) -> String {
    let Scale { from, to, pods, .. } = scale;
    if to > from {
        return format!("there are to be {to} TaskManagers at the least, not {from}");
    }
    let going = if pods.is_empty() { String::new() } else { format!(": {} can go", pods.join(", ")) };
    format!("{to} of {from} TaskManagers are enough{going}")
}

/// Why a job stays as it is: what it would need and cannot have, or that all is well.
fn why_nothing(decision: &Decision, graph: Option<&Graph>) -> String {
    let Some(proposal) = &decision.proposal else { return String::new() };
    let name = |index: usize| {
        graph.and_then(|graph| graph.vertices().get(index)).map_or("a vertex", |vertex| &vertex.name)
    };
    let telling = |want: &Want| match want.why {
        Why::Unscalable => 3,
        why if why.is_short() && want.wanted > want.current => 2,
        why if why.is_large() && want.wanted < want.current => 1,
        _ => 0,
    };
    let most = proposal.wants.iter().enumerate().rev().max_by_key(|(_, want)| telling(want));
    match most {
        Some((index, want)) if telling(want) > 0 => {
            let limit = graph.and_then(|graph| {
                let id = graph.vertices().get(index)?.id;
                decision.limits.iter().rev().find(|limit| limit.vertex == id)
            });
            let held = limit.map_or_else(String::new, |limit| format!("; {}", limited(limit.by)));
            sentence(name(index), want) + &held
        }
        _ if proposal.wants.iter().any(|want| want.why == Why::WithinBand) => {
            "every vertex whose load is known is within its band".to_owned()
        }
        _ => "no load is known of any vertex".to_owned(),
    }
}

/// Why one vertex is wanted at its size, with the numbers.
pub fn sentence(name: &str, want: &Want) -> String {
    let mut text = format!("{name} ");
    let (current, wanted) = (want.current, want.needed());
    let _ = match want.why {
        Why::TargetRateAboveCapacity => write!(text, "is short{} and needs {wanted}", numbers(want)),
        Why::BacklogStands => write!(text, "has a backlog{} and needs {wanted}", numbers(want)),
        Why::UtilizationBelowBand => {
            write!(text, "has more than it needs{}; {wanted} will do", numbers(want))
        }
        Why::WithinBand => write!(text, "is within its band{}", numbers(want)),
        Why::MetricAboveTarget => write!(text, "has a metric above its target and needs {wanted}"),
        Why::MetricBelowTarget => write!(text, "has a metric below its target; {wanted} would be enough"),
        Why::PushesBack => write!(text, "makes those before it wait and needs {wanted}"),
        Why::PushesNothingBack => write!(text, "makes nobody wait; {wanted} would be enough"),
        Why::ScheduledMore => write!(text, "is to be {wanted} by the schedule"),
        Why::ScheduledLess => write!(text, "needs no more than {wanted} by the schedule"),
        Why::FellBack => write!(text, "is held to {wanted}: what a rule looks at is gone"),
        Why::Unscalable => write!(text, "needs more than any size gives{}", numbers(want)),
        Why::NoSignal => write!(text, "stays at {current}: its load or its cost per record is not known"),
        Why::Excluded => write!(text, "stays at {current}: the policy leaves it alone"),
    };
    text
}

/// What must come in against what can, as far as both are known.
fn numbers(want: &Want) -> String {
    match (want.target_rate, want.capacity) {
        (Some(target), Some(capacity)) => {
            format!(" ({}/s to take in, {}/s possible with {})", Count(target), Count(capacity), want.current)
        }
        (Some(target), None) => format!(" ({}/s to take in)", Count(target)),
        (None, _) => String::new(),
    }
}

/// What limited a size, in words.
pub fn limited(by: LimitedBy) -> &'static str {
    match by {
        LimitedBy::MinParallelism => "the policy's least parallelism",
        LimitedBy::MaxParallelism => "the policy's most parallelism",
        LimitedBy::KeyGroups => "it has no more key groups",
        LimitedBy::Partitions => "it has no more partitions to read from",
        LimitedBy::Alignment => "alignment with its key groups or partitions",
        LimitedBy::OneSize => "this Flink runs a job again with one size for all of its vertices",
        LimitedBy::Together => "a forward edge keeps both its ends at one size",
        LimitedBy::MaxScaleUpFactor => "the rule's largest factor for scaling up",
        LimitedBy::MaxScaleDownFactor => "the rule's largest factor for scaling down",
        LimitedBy::Slots => "the slots that there are",
        LimitedBy::NoRoom => "there was no room for more TaskManagers lately",
        LimitedBy::ClusterCapacity => "what the nodes have room for",
        LimitedBy::Quota => "the quota of CPU and memory",
        LimitedBy::ScaleDownWindow => "what it needed within the scale-down window",
        LimitedBy::RuleSilent => "a rule that cannot speak and might ask for more",
        LimitedBy::Backlog => "the backlog that stands",
        LimitedBy::ScheduleCeiling => "the schedule's ceiling",
        LimitedBy::ScaleUpWindow => "what it needed within the window for scaling up",
        LimitedBy::ScaleUpLimit => "the behavior's policies for scaling up",
        LimitedBy::ScaleDownLimit => "the behavior's policies for scaling down",
        LimitedBy::Direction => "a rescale goes one way",
    }
}

/// The name of a vertex; its id where the graph does not know it.
pub fn vertex_name(graph: Option<&Graph>, id: VertexId) -> String {
    let vertex = graph.and_then(|graph| Some(&graph.vertices()[graph.index_of(id)?]));
    vertex.map_or_else(|| id.to_string(), |vertex| vertex.name.clone())
}

/// What a change is expected to bring, as far as both ends are known: `748/s -> 1745/s`.
pub fn expected(change: &Change) -> Option<String> {
    let (before, after) = (change.capacity_before?, change.capacity_after?);
    Some(format!("{}/s -> {}/s", Count(before), Count(after)))
}

/// A number of records, or a rate of them, with as many digits as mean something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count(pub f64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.0 != 0.0 && self.0.abs() < 9.95);
        let text = format!("{:.digits$}", self.0);
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Parallelism;

    fn want(why: Why) -> Want {
        Want {
            current: Parallelism::clamped(3),
            wanted: Parallelism::clamped(7),
            target_rate: Some(1590.4),
            capacity: Some(748.2),
            curve: None,
            found: None,
            utilization: Some(2.1),
            why,
            rule: None,
            unlimited: None,
        }
    }

    #[test]
    fn says_why_with_the_numbers() {
        for (why, text) in [
            (
                Why::TargetRateAboveCapacity,
                "parse is short (1590/s to take in, 748/s possible with 3) and needs 7",
            ),
            (Why::NoSignal, "parse stays at 3: its load or its cost per record is not known"),
        ] {
            assert_eq!(sentence("parse", &want(why)), text);
        }
        let unknown = Want { target_rate: None, capacity: None, ..want(Why::BacklogStands) };
        assert_eq!(sentence("parse", &unknown), "parse has a backlog and needs 7");
    }

    #[test]
    fn counts_with_as_many_digits_as_mean_something() {
        for (number, text) in [(0.0, "0"), (0.04, "0.0"), (9.94, "9.9"), (9.96, "10"), (1590.4, "1590")] {
            assert_eq!(Count(number).to_string(), text);
        }
    }

    #[test]
    fn lists_sizes_as_long_as_they_fit() {
        let summary = |current: &[u32], planned: &[u32]| Summary {
            at: Timestamp::default(),
            verdict: "Unchanged",
            holds: Vec::new(),
            load: None,
            backlog: None,
            current: current.to_vec(),
            planned: planned.to_vec(),
            replicas: None,
            because: String::new(),
        };
        for (current, planned, text) in [
            (&[][..], &[][..], "-"),
            (&[1, 3, 1], &[], "1/3/1"),
            (&[1, 3, 1], &[1, 7, 2], "1/3/1 -> 1/7/2"),
            (&[4; 9], &[], "9 vertices of up to 4"),
        ] {
            assert_eq!(summary(current, planned).sizes(), text);
        }
    }
}
