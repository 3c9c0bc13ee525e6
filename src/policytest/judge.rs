//! Compares what was expected with what came about.

use std::fmt::Display;

use serde::Serialize;

use super::names::HeldFor;
use super::spec::{Action, Expect, Range};
use super::surroundings::Surroundings;
use super::trail::trail;
use crate::decide::Decision;
use crate::model::{Observation, Parallelism, Snapshot};
use crate::plan::{Direction, LimitedBy};
use crate::policy::Want;
use crate::record::Outcome;
use crate::record::summary::vertex_name;
use crate::simulate::{Drive, Driven};

/// What is counted from the start of a test on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Score {
    rescales: u64,
    seconds_over_slo: f64,
}

impl Score {
    pub(super) fn of(drive: &Drive) -> Self {
        let score = drive.score();
        Self { rescales: score.rescales, seconds_over_slo: score.seconds_over_slo }
    }
}

/// What came about since the expectation before.
#[derive(Clone, Debug, Default)]
pub(super) struct Since {
    before: Score,
    acted: Option<Driven>,
    last: Option<Driven>,
}

impl Since {
    /// From here on.
    pub(super) fn beginning(before: Score) -> Self {
        Self { before, ..Self::default() }
    }

    /// Takes note of a cycle.
    pub(super) fn note(&mut self, driven: Driven) {
        if driven.outcome == Outcome::Applied {
            self.acted = Some(driven.clone());
        }
        self.last = Some(driven);
    }
}

/// How many things were compared, and those that differ.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) compared: usize,
    pub(super) differences: Vec<Difference>,
}

/// One thing that is not as it was expected to be.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) field: String,
    pub(super) expected: String,
    pub(super) got: String,
    pub(super) trail: Vec<String>,
}

/// Compares everything that is expected.
pub(super) fn judge(expect: &Expect, since: &Since, score: Score, around: &Surroundings) -> Verdict {
    let mut bench = Bench { about: About::of(since), last: since.last.as_ref(), verdict: Verdict::default() };
    let Expect {
        parallelism,
        min_parallelism,
        max_parallelism,
        replicas,
        action,
        reason,
        decided_by,
        limited_by,
        held,
        rescales,
        seconds_over_slo,
    } = expect;
    for (name, &size) in parallelism {
        bench.size("parallelism", name, size, "", |got| got == size);
    }
    for (name, &size) in min_parallelism {
        bench.size("minParallelism", name, size, "at least ", |got| got >= size);
    }
    for (name, &size) in max_parallelism {
        bench.size("maxParallelism", name, size, "at most ", |got| got <= size);
    }
    if let Some(replicas) = replicas {
        let got = bench.about.as_ref().and_then(|about| Some(around.replicas(about.slots()?)));
        bench.same("replicas", replicas, got.as_ref());
    }
    if let Some(action) = action {
        let done = since.acted.as_ref().and_then(|acted| acted.decision.plan());
        let got = done.map_or(Action::None, |plan| match plan.direction {
            Direction::Up => Action::Up,
            Direction::Down => Action::Down,
        });
        bench.compare("action", got == *action, name_of(action), || name_of(&got));
    }
    let named: Vec<&String> = expect.vertices().collect();
    if let Some(reason) = reason {
        bench.one_of("reason", reason, &named, |_, want| Some(want.why));
    }
    if let Some(rule) = decided_by {
        let asked = |decision: &Decision, want: &Want| {
            Some(decision.proposal.as_ref()?.rules.get(want.rule?)?.rule.to_owned())
        };
        bench.one_of("decidedBy", &rule.as_str().to_owned(), &named, asked);
    }
    if let Some(limit) = limited_by {
        bench.limited_by(*limit, &named);
    }
    if let Some(held) = held {
        let holds: Vec<HeldFor> =
            since.last.iter().flat_map(|last| &last.decision.holds).map(HeldFor::from).collect();
        bench.compare("held", holds.contains(held), name_of(held), || list(holds.iter().map(name_of)));
    }
    if let Some(range) = rescales {
        bench.within("rescales", *range, (score.rescales - since.before.rescales) as f64);
    }
    if let Some(range) = seconds_over_slo {
        bench.within("secondsOverSlo", *range, score.seconds_over_slo - since.before.seconds_over_slo);
    }
    bench.verdict
}

/// The decision that expectations are about, and the job as it was seen for it.
struct About<'a> {
    decision: &'a Decision,
    snapshot: &'a Snapshot,
}

impl<'a> About<'a> {
    fn of(since: &'a Since) -> Option<Self> {
        let driven = since.acted.as_ref().or(since.last.as_ref())?;
        match &driven.observation {
            Observation::Seen(snapshot) => Some(Self { decision: &driven.decision, snapshot }),
            Observation::Missed(_) => None,
        }
    }

    /// Subtasks of a vertex as decided, or as they are where nothing is to change.
    fn size(&self, v: usize) -> Option<Parallelism> {
        let planned = self.decision.plan().and_then(|plan| plan.changes.get(v)).map(|change| change.to);
        planned.or_else(|| self.snapshot.vertices.get(v).map(|vertex| vertex.parallelism))
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.snapshot.graph.vertices().iter().position(|vertex| vertex.name == name)
    }

    /// Slots that the sizes take.
    fn slots(&self) -> Option<u32> {
        if let Some(plan) = self.decision.plan() {
            return Some(plan.slots_after);
        }
        let graph = &self.snapshot.graph;
        let sizes: Option<Vec<Parallelism>> = (0..graph.len()).map(|v| self.size(v)).collect();
        Some(graph.slots_needed(&sizes?))
    }
}

struct Bench<'a> {
    about: Option<About<'a>>,
    last: Option<&'a Driven>,
    verdict: Verdict,
}

impl Bench<'_> {
    fn compare(&mut self, field: &str, met: bool, expected: String, got: impl FnOnce() -> String) {
        self.verdict.compared += 1;
        if met {
            return;
        }
        let decision = self.about.as_ref().map(|about| (about.decision, Some(&*about.snapshot.graph)));
        let decision = decision.or_else(|| self.last.map(|last| (&last.decision, None)));
        let trail = decision.map(|(decision, graph)| trail(decision, graph)).unwrap_or_default();
        let difference = Difference { field: field.to_owned(), expected, got: got(), trail };
        self.verdict.differences.push(difference);
    }

    fn same<T: PartialEq + Display>(&mut self, field: &str, expected: &T, got: Option<&T>) {
        let met = got.is_some_and(|got| got == expected);
        self.compare(field, met, expected.to_string(), || {
            got.map_or_else(|| "nothing, as the job was not seen".to_owned(), T::to_string)
        });
    }

    fn size(&mut self, field: &str, name: &str, size: u32, bound: &str, fits: impl Fn(u32) -> bool) {
        let got = self.about.as_ref().and_then(|about| about.size(about.index(name)?)).map(Parallelism::get);
        self.compare(&format!("{field}.{name}"), got.is_some_and(fits), format!("{bound}{size}"), || {
            got.map_or_else(|| "nothing, as the job was not seen".to_owned(), |got| got.to_string())
        });
    }

    /// Whether `of` gives what is expected for one of the vertices that are named, or for any if none is.
    fn one_of<T: PartialEq + Serialize>(
        &mut self,
        field: &str,
        expected: &T,
        named: &[&String],
        of: impl Fn(&Decision, &Want) -> Option<T>,
    ) {
        let mut found = Vec::new();
        if let Some(About { decision, snapshot }) = &self.about {
            let wants = decision.proposal.as_ref().map_or(&[][..], |proposal| &proposal.wants);
            for (vertex, want) in snapshot.graph.vertices().iter().zip(wants) {
                if named.is_empty() || named.contains(&&vertex.name) {
                    found.push((vertex.name.clone(), of(decision, want)));
                }
            }
        }
        let met = found.iter().any(|(_, got)| got.as_ref() == Some(expected));
        self.compare(field, met, name_of(expected), || {
            list(found.iter().map(|(name, got)| {
                format!("{} ({name})", got.as_ref().map_or_else(|| "none".to_owned(), name_of))
            }))
        });
    }

    /// Whether a limit changed the size of one of the vertices that are named, or of any if none is.
    fn limited_by(&mut self, expected: LimitedBy, named: &[&String]) {
        let mut found = Vec::new();
        if let Some(About { decision, snapshot }) = &self.about {
            let vertex = |id| vertex_name(Some(&snapshot.graph), id);
            let limits = decision.limits.iter().map(|limit| (vertex(limit.vertex), limit.by));
            found.extend(limits.filter(|(name, _)| named.is_empty() || named.contains(&name)));
        }
        let met = found.iter().any(|(_, by)| *by == expected);
        self.compare("limitedBy", met, name_of(&expected), || {
            list(found.iter().map(|(name, by)| format!("{} ({name})", name_of(by))))
        });
    }

    fn within(&mut self, field: &str, range: Range, got: f64) {
        let met = range.min.is_none_or(|min| got >= min) && range.max.is_none_or(|max| got <= max);
        let expected = match (range.min, range.max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "any number".to_owned(),
        };
        self.compare(field, met, expected, || format!("{}", (got * 10.0).round() / 10.0));
    }
}

/// A name as it is written in the file.
fn name_of<T: Serialize>(name: &T) -> String {
    match serde_json::to_value(name) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
