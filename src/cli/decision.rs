//! A decision as it is shown to people: what each vertex does and needs, and why it gets that, or not.

use std::fmt::Write as _;

use serde::Serialize;

use super::output::{Column, Show, Table};
use crate::decide::{Decision, Verdict};
use crate::model::{Graph, Parallelism};
use crate::plan::{self, Direction};
use crate::policy::{
    MemoryAdvice, MemoryJob, MemoryNeed, MemorySizes, Policy, Replicas, RuleSaid, Said, Want, advise,
};
use crate::record::summary::{Count, expected, limited, sentence, vertex_name};
use crate::record::{State, Summary};

/// A decision with what it is to be shown with.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told<'a> {
    /// The job, by the name that the user knows it by.
    pub(super) name: &'a str,
    /// The decision in a few words.
    pub(super) summary: Summary,
    /// All of it.
    pub(super) decision: &'a Decision,
    /// What the memory of each TaskManager should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<MemoryAdvice>,
    /// For the names of the vertices.
    #[serde(skip)]
    graph: Option<&'a Graph>,
}

impl<'a> Told<'a> {
    pub(super) fn new(name: &'a str, decision: &'a Decision, graph: Option<&'a Graph>) -> Self {
        Self { name, summary: Summary::of(decision, graph), decision, memory: None, graph }
    }

    /// The same with what is advised of the memory.
    pub(super) fn with_memory(self, memory: Option<MemoryAdvice>) -> Self {
        Self { memory, ..self }
    }
}

impl Show for Told<'_> {
    fn show(&self) -> String {
        self.show_with(Vec::new())
    }
}

/// A line of what is said of a decision, and its title.
pub(super) type Note = (&'static str, String);

impl Told<'_> {
    /// The form for people, with more notes at the end.
    pub(super) fn show_with(&self, more: Vec<Note>) -> String {
        let mut text = format!("{} at {}: {}\n\n", self.name, self.summary.at, headline(self.decision));
        if let Some(vertices) = vertices(self.decision, self.graph) {
            let _ = write!(text, "{vertices}\n\n");
        }
        let notes = self.notes().into_iter().chain(more);
        for (title, note) in notes {
            let _ = writeln!(text, "{title:<9} {note}");
        }
        text
    }

    fn notes(&self) -> Vec<Note> {
        let Self { name: _, summary, decision, memory, graph } = self;
        let mut notes = Vec::new();
        if let Some(proposal) = &decision.proposal {
            let waiting =
                summary.backlog.map_or_else(|| "an unknown number".to_owned(), |b| Count(b).to_string());
            notes.push(("load", format!("{} records/s arrive, {waiting} wait", Count(proposal.load))));
            // With one rule that speaks, the vertices say all that it does.
            if !matches!(proposal.rules[..], [RuleSaid { said: Said::Sizes, .. }]) {
                let said = proposal.rules.iter().map(|rule| ("rule", rule_said(rule)));
                notes.extend(said);
            }
            for (index, want) in proposal.wants.iter().enumerate() {
                let decider =
                    want.rule.filter(|_| proposal.rules.len() > 1).map(|rule| proposal.rules[rule].rule);
                let by = decider.map_or_else(String::new, |rule| format!(" ({rule})"));
                notes.push(("vertex", sentence(&vertex_at(*graph, index), want) + &by));
            }
        }
        for limit in &decision.limits {
            let name = vertex_name(*graph, limit.vertex);
            notes.push((
                "limit",
                format!("{name}: {} -> {}: {}", limit.before, limit.after, limited(limit.by)),
            ));
        }
        for hold in &decision.holds {
            notes.push(("not now", hold.to_string()));
        }
        if let Some(plan) = decision.plan() {
            let replicas = match (&plan.scale, plan.replicas) {
                (Some(scale), _) => format!(", TaskManagers: {} -> {}", scale.from, scale.to),
                (None, Some(replicas)) => format!(", TaskManagers: {replicas}"),
                (None, None) => String::new(),
            };
            notes.push(("slots", format!("{} -> {}{replicas}", plan.slots_before, plan.slots_after)));
            for change in plan.changed() {
                let (from, to) = (change.from, change.to);
                let expected =
                    expected(change).map_or_else(String::new, |rates| format!(", capacity {rates}"));
                notes.push(("expects", format!("{}: {from} -> {to} subtasks{expected}", change.name)));
            }
        }
        if let Some(proposal) = decision.proposal.as_ref().filter(|_| decision.plan().is_some()) {
            notes.push(("restart", format!("about {:.1} s without the job", proposal.restart_seconds)));
        }
        if let Some(advice) = memory {
            notes.push(("memory", advised(advice)));
        }
        notes
    }
}

/// What the memory of each TaskManager should be for what the decision asks for, as far as it was read.
pub(super) fn memory(decision: &Decision, state: &State, policy: &Policy) -> Option<MemoryAdvice> {
    let (snapshot, signals) = (state.history.last()?, decision.signals.as_ref()?);
    let sizes: Option<Vec<Parallelism>> =
        decision.plan().map(|plan| plan.changes.iter().map(|change| change.to).collect());
    let slots = plan::slots_needed(&snapshot.graph, &snapshot.parallelism());
    advise(&MemoryJob {
        snapshot,
        signals,
        policy,
        ledger: &state.ledger,
        sizes: sizes.as_deref(),
        slots,
        now: decision.at,
    })
}

/// An advice on one line.
fn advised(advice: &MemoryAdvice) -> String {
    let MemoryAdvice { need, readings, now, recommended } = advice;
    let mib = |bytes: u64| bytes >> 20;
    let part = |name: &str, of: fn(&MemorySizes) -> u64| {
        let (before, after) = (mib(of(now)), mib(of(recommended)));
        if before == after { format!("{name} {after}") } else { format!("{name} {before} -> {after}") }
    };
    let parts = [
        part("process", |sizes| sizes.process),
        part("heap", |sizes| sizes.heap),
        part("managed", |sizes| sizes.managed),
        part("network", |sizes| sizes.network),
        part("metaspace", |sizes| sizes.metaspace),
    ];
    let why = match need {
        MemoryNeed::InUse => "what is in use".to_owned(),
        MemoryNeed::HeapPressure { share, .. } => {
            format!("{:.0} % of the heap stays in use after garbage collection", share * 100.0)
        }
        MemoryNeed::GcPressure { share, .. } => {
            format!("{:.0} % of the time goes into garbage collection", share * 100.0)
        }
    };
    let readings = if *readings == 1 { "one reading".to_owned() } else { format!("{readings} readings") };
    format!("{} MiB for each TaskManager; {why}, by {readings}. Only advice", parts.join(", "))
}

/// What a rule said, on one line.
fn rule_said(RuleSaid { rule, said }: &RuleSaid) -> String {
    match said {
        Said::Sizes => format!("{rule} has a size for every vertex"),
        Said::Replicas(Replicas { current, wanted, ratio, reading: _, measured_by, limits }) => {
            let by = measured_by.map_or_else(String::new, |by| format!(", by {by}"));
            let ratio = ratio
                .map_or_else(String::new, |ratio| format!(", its metric is at {ratio:.2} of the target{by}"));
            let limits = limits.iter().fold(String::new(), |said, limit| {
                said + &format!(", {:?}: {} -> {}", limit.by, limit.before, limit.after)
            });
            format!("{rule} wants {wanted} TaskManagers of {current}{ratio}{limits}")
        }
        Said::Off => format!("{rule} is off"),
        Said::Partly { why } => format!("{rule} does not know all: {why}; nothing shrinks"),
        Said::Silent { why, since } => format!("{rule} is silent since {since}: {why}; nothing shrinks"),
        Said::FellBack { why, since } => format!("{rule} holds to its fallback, silent since {since}: {why}"),
    }
}

fn headline(decision: &Decision) -> String {
    let way = |direction| match direction {
        Direction::Up => "up",
        Direction::Down => "down",
    };
    match &decision.verdict {
        Verdict::Unobserved => "nothing to decide on".to_owned(),
        Verdict::Unchanged => "stays as it is".to_owned(),
        Verdict::Held { plan: None } => "a rescale is under way".to_owned(),
        Verdict::Held { plan: Some(plan) } => format!("would scale {}, but not now", way(plan.direction)),
        Verdict::Approved { plan } => format!("scale {} now", way(plan.plan().direction)),
    }
}

fn vertex_at(graph: Option<&Graph>, index: usize) -> String {
    let vertex = graph.and_then(|graph| graph.vertices().get(index));
    vertex.map_or_else(|| format!("vertex {index}"), |vertex| vertex.name.clone())
}

/// A row for each vertex: from which numbers it was decided.
fn vertices(decision: &Decision, graph: Option<&Graph>) -> Option<Table> {
    let proposal = decision.proposal.as_ref()?;
    let mut table = Table::new(&[
        Column::Left("VERTEX"),
        Column::Right("NOW"),
        Column::Right("NEEDS"),
        Column::Right("GETS"),
        Column::Right("IN/S"),
        Column::Right("TO TAKE IN/S"),
        Column::Right("CAPACITY/S"),
        Column::Right("FULL"),
        Column::Right("MS/RECORD"),
        Column::Right("SKEW"),
    ]);
    let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    for (index, want) in proposal.wants.iter().enumerate() {
        let Want {
            current,
            wanted,
            target_rate,
            capacity,
            curve: _,
            found,
            utilization,
            why: _,
            rule: _,
            unlimited: _,
        } = want;
        let planned = decision.plan().and_then(|plan| plan.changes.get(index)).map(|change| change.to);
        let seen = decision.signals.as_ref().and_then(|signals| signals.vertices.get(index));
        let rate = seen.and_then(|seen| seen.rate_in.as_ref());
        table.row([
            vertex_at(graph, index),
            current.to_string(),
            wanted.to_string(),
            planned.unwrap_or(*current).to_string(),
            known(rate.map(|rate| Count(rate.mean).to_string())),
            known(target_rate.map(|rate| Count(rate).to_string())),
            known(capacity.map(|rate| Count(rate).to_string())),
            known(utilization.map(|share| format!("{:.0}%", share * 100.0))),
            known(found.map(|found| format!("{:.3}", found.service_time * 1000.0))),
            known(found.map(|found| format!("{:.2}", found.skew))),
        ]);
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advice_on_memory_is_one_line_with_its_reason() {
        let mib = 1 << 20;
        let now = MemorySizes {
            process: 1728 * mib,
            heap: 512 * mib,
            managed: 512 * mib,
            network: 128 * mib,
            metaspace: 256 * mib,
        };
        for (need, readings, recommended, line) in [
            (
                MemoryNeed::InUse,
                1,
                MemorySizes { process: 1200 * mib, heap: 400 * mib, managed: 0, ..now },
                "process 1728 -> 1200, heap 512 -> 400, managed 512 -> 0, network 128, metaspace 256 MiB for each \
                 TaskManager; what is in use, by one reading. Only advice",
            ),
            (
                MemoryNeed::HeapPressure { share: 0.9, most: 0.8 },
                10,
                MemorySizes { process: 1907 * mib, heap: 691 * mib, ..now },
                "process 1728 -> 1907, heap 512 -> 691, managed 512, network 128, metaspace 256 MiB for each \
                 TaskManager; 90 % of the heap stays in use after garbage collection, by 10 readings. Only advice",
            ),
        ] {
            assert_eq!(advised(&MemoryAdvice { need, readings, now, recommended }), line);
        }
    }
}
