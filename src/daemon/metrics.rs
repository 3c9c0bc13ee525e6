//! What Tidegate says of itself to Prometheus.
//!
//! One definition for each metric, with its help; labels are of closed lists, and the names of autoscalers and vertices, of
//! which there are as many as there is work. What is known of an autoscaler goes with it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::job::Told;
use crate::decide::Decision;
use crate::model::{Observation, Snapshot, Timestamp};
use crate::observe;
use crate::policy::{Proposal, Said};
use crate::record::Outcome;

/// From a poll that finds everything ready to one that waits for all of its time limit.
const SECONDS: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

type Number = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfJob {
    autoscaler: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfOutcome {
    autoscaler: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfReason {
    autoscaler: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfRule {
    autoscaler: String,
    rule: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfVertex {
    autoscaler: String,
    vertex: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfVersion {
    version: &'static str,
}

/// All metrics of the process.
pub(super) struct Metrics {
    registry: Registry,
    cycles: Family<OfOutcome, Counter>,
    holds: Family<OfReason, Counter>,
    missed: Family<OfReason, Counter>,
    silent: Family<OfRule, Gauge>,
    seen: Family<OfJob, Number>,
    rescaled: Family<OfJob, Number>,
    load: Family<OfJob, Number>,
    backlog: Family<OfJob, Number>,
    taskmanagers: Family<OfJob, Gauge>,
    current: Family<OfVertex, Gauge>,
    wanted: Family<OfVertex, Gauge>,
    planned: Family<OfVertex, Gauge>,
    applied: Family<OfVertex, Gauge>,
    target: Family<OfVertex, Number>,
    capacity: Family<OfVertex, Number>,
    utilization: Family<OfVertex, Number>,
    durations: Histogram,
    leader: Gauge,
    /// What there is of each autoscaler, so that it can be taken away again.
    known: Mutex<HashMap<String, Known>>,
}

/// What there is of an autoscaler.
#[derive(Default)]
struct Known {
    vertices: Vec<String>,
    rules: Vec<&'static str>,
    holds: Vec<&'static str>,
    missed: Vec<&'static str>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(super) fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("tidegate");
        let build = Family::<OfVersion, Gauge>::default();
        build.get_or_create(&OfVersion { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "The version that runs", build);
        registry.register_collector(Box::new(Traffic));
        macro_rules! metric {
            ($name:literal, $help:literal) => {{
                let metric = Family::default();
                registry.register($name, $help, metric.clone());
                metric
            }};
        }
        let cycles = metric!("cycles", "Cycles of each autoscaler, by how they ended");
        let holds =
            metric!("holds", "Reasons for which nothing was done in a cycle, each counted for itself");
        let missed =
            metric!("missed_polls", "Polls that brought nothing usable from Flink, by kind of failure");
        let silent =
            metric!("rule_silent", "Whether a rule of the policy cannot speak now, which holds shrinking");
        let seen = metric!("last_observation_timestamp_seconds", "When the job was last seen");
        let rescaled =
            metric!("last_rescale_timestamp_seconds", "When Flink was last asked for another size");
        let load = metric!("load_records_per_second", "Records that arrive at the sources of the job");
        let backlog = metric!("backlog_records", "Records that wait at the sources of the job");
        let taskmanagers = metric!("taskmanagers", "TaskManagers of the cluster that runs the job");
        let current = metric!("vertex_parallelism", "Subtasks of a vertex");
        let wanted =
            metric!("vertex_wanted_parallelism", "Subtasks that the policy asks for, before any limit");
        let planned =
            metric!("vertex_planned_parallelism", "Subtasks that the limits leave of those asked for");
        let applied = metric!("vertex_applied_parallelism", "Subtasks that Flink was last asked for");
        let target = metric!("vertex_target_records_per_second", "Records that a vertex has to take in");
        let capacity = metric!("vertex_capacity_records_per_second", "Records that a vertex can take in");
        let utilization = metric!("vertex_utilization_ratio", "Load of a vertex over its capacity");
        let durations = Histogram::new(SECONDS);
        registry.register(
            "poll_duration_seconds",
            "Time from the beginning of a poll to its end",
            durations.clone(),
        );
        let leader = Gauge::default();
        registry.register("leader", "Whether this process is the one that acts", leader.clone());
        Arc::new(Self {
            registry,
            cycles,
            holds,
            missed,
            silent,
            seen,
            rescaled,
            load,
            backlog,
            taskmanagers,
            current,
            wanted,
            planned,
            applied,
            target,
            capacity,
            utilization,
            durations,
            leader,
            known: Mutex::default(),
        })
    }

    /// The text that Prometheus reads.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry).expect("a string takes all");
        text
    }

    /// Whether this process acts.
    pub(super) fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// A poll has taken so long.
    pub(super) fn polled(&self, took: Duration) {
        self.durations.observe(took.as_secs_f64());
    }

    /// Takes up what a cycle brought.
    pub(super) fn cycle(&self, name: &str, observation: &Observation, told: &Told<'_>) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let autoscaler = || name.to_owned();
        let known = all.entry(name.to_owned()).or_insert_with(|| {
            // From the start, so that the first of its kind is an increase.
            for outcome in Outcome::KINDS {
                self.cycles.get_or_create(&OfOutcome { autoscaler: autoscaler(), outcome }).inc_by(0);
            }
            Known::default()
        });
        let outcome = told.outcome.kind();
        self.cycles.get_or_create(&OfOutcome { autoscaler: autoscaler(), outcome }).inc();
        for hold in &told.decision.holds {
            let reason = hold.kind();
            note(&mut known.holds, reason);
            self.holds.get_or_create(&OfReason { autoscaler: autoscaler(), reason }).inc();
        }
        match observation {
            Observation::Missed(missed) => {
                let reason = missed.why.kind();
                note(&mut known.missed, reason);
                self.missed.get_or_create(&OfReason { autoscaler: autoscaler(), reason }).inc();
            }
            Observation::Seen(snapshot) => self.job(name, known, snapshot, told.decision),
        }
        if matches!(told.outcome, Outcome::Applied) {
            let rescaled = self.rescaled.get_or_create(&OfJob { autoscaler: autoscaler() });
            rescaled.set(seconds(told.decision.at));
            for change in told.decision.plan().into_iter().flat_map(|plan| &plan.changes) {
                let vertex = OfVertex { autoscaler: autoscaler(), vertex: change.name.clone() };
                self.applied.get_or_create(&vertex).set(change.to.get().into());
            }
        }
    }

    fn job(&self, name: &str, known: &mut Known, snapshot: &Snapshot, decision: &Decision) {
        let job = OfJob { autoscaler: name.to_owned() };
        self.seen.get_or_create(&job).set(seconds(snapshot.at));
        if let Some(slots) = snapshot.slots {
            self.taskmanagers.get_or_create(&job).set(slots.taskmanagers.into());
        }
        let names: Vec<String> = snapshot.graph.vertices().iter().map(|vertex| vertex.name.clone()).collect();
        if known.vertices != names {
            self.forget_vertices(name, &known.vertices);
            known.vertices.clone_from(&names);
        }
        for (vertex, reading) in names.iter().zip(&snapshot.vertices) {
            let vertex = OfVertex { autoscaler: name.to_owned(), vertex: vertex.clone() };
            self.current.get_or_create(&vertex).set(reading.parallelism.get().into());
        }
        if let Some(signals) = &decision.signals {
            let backlogs: Vec<f64> = signals.vertices.iter().filter_map(|vertex| vertex.backlog).collect();
            if !backlogs.is_empty() {
                self.backlog.get_or_create(&job).set(backlogs.iter().sum());
            }
        }
        let Some(proposal) = &decision.proposal else { return };
        self.load.get_or_create(&job).set(proposal.load);
        self.rules(name, known, proposal);
        let plan = decision.plan();
        for (index, (vertex, want)) in names.into_iter().zip(&proposal.wants).enumerate() {
            let vertex = OfVertex { autoscaler: name.to_owned(), vertex };
            self.wanted.get_or_create(&vertex).set(want.wanted.get().into());
            let planned =
                plan.and_then(|plan| plan.changes.get(index)).map_or(want.current, |change| change.to);
            self.planned.get_or_create(&vertex).set(planned.get().into());
            for (family, value) in [
                (&self.target, want.target_rate),
                (&self.capacity, want.capacity),
                (&self.utilization, want.utilization),
            ] {
                match value {
                    Some(value) => {
                        family.get_or_create(&vertex).set(value);
                    }
                    // What is not known is not there.
                    None => {
                        family.remove(&vertex);
                    }
                }
            }
        }
    }

    fn rules(&self, name: &str, known: &mut Known, proposal: &Proposal) {
        let of = |rule| OfRule { autoscaler: name.to_owned(), rule };
        let mut silent: Vec<(&'static str, bool)> = Vec::new();
        for rule in &proposal.rules {
            let is_silent = matches!(rule.said, Said::Silent { .. } | Said::FellBack { .. });
            // A policy may have several of one kind: one that is silent is enough.
            match silent.iter_mut().find(|(seen, _)| *seen == rule.rule) {
                Some((_, seen)) => *seen |= is_silent,
                None => silent.push((rule.rule, is_silent)),
            }
        }
        known.rules.retain(|rule| {
            let is_there = silent.iter().any(|(seen, _)| seen == rule);
            if !is_there {
                self.silent.remove(&of(rule));
            }
            is_there
        });
        for (rule, is_silent) in silent {
            note(&mut known.rules, rule);
            self.silent.get_or_create(&of(rule)).set(is_silent.into());
        }
    }

    /// An autoscaler is gone, and what is known of it with it.
    pub(super) fn forget(&self, name: &str) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        let Some(Known { vertices, rules, holds, missed }) = known else { return };
        let autoscaler = || name.to_owned();
        self.forget_vertices(name, &vertices);
        for rule in rules {
            self.silent.remove(&OfRule { autoscaler: autoscaler(), rule });
        }
        for outcome in Outcome::KINDS {
            self.cycles.remove(&OfOutcome { autoscaler: autoscaler(), outcome });
        }
        for reason in holds {
            self.holds.remove(&OfReason { autoscaler: autoscaler(), reason });
        }
        for reason in missed {
            self.missed.remove(&OfReason { autoscaler: autoscaler(), reason });
        }
        let job = OfJob { autoscaler: autoscaler() };
        for family in [&self.seen, &self.rescaled, &self.load, &self.backlog] {
            family.remove(&job);
        }
        self.taskmanagers.remove(&job);
    }

    fn forget_vertices(&self, name: &str, vertices: &[String]) {
        for vertex in vertices {
            let vertex = OfVertex { autoscaler: name.to_owned(), vertex: vertex.clone() };
            for family in [&self.current, &self.wanted, &self.planned, &self.applied] {
                family.remove(&vertex);
            }
            for family in [&self.target, &self.capacity, &self.utilization] {
                family.remove(&vertex);
            }
        }
    }
}

fn note(known: &mut Vec<&'static str>, word: &'static str) {
    if !known.contains(&word) {
        known.push(word);
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1e3
}

/// Requests of the process, counted where they are sent.
#[derive(Debug)]
struct Traffic;

impl Collector for Traffic {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, traffic) in [
            ("flink_requests", "Requests to Flink, by whether they were answered well", &observe::FLINK),
            (
                "prometheus_queries",
                "Queries to Prometheus, by whether they brought numbers",
                &observe::PROMETHEUS,
            ),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (result, count) in [("ok", traffic.good()), ("failed", traffic.bad())] {
                ConstCounter::new(count).encode(family.encode_family(&[("result", result)])?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decide;
    use crate::model::{Ledger, Missed, MissedWhy};
    use crate::policy::testing::{Job, policy};
    use crate::record::State;
    use crate::signals::History;

    /// What is said after a cycle of this.
    fn after(metrics: &Metrics, observation: &Observation, outcome: &Outcome) -> String {
        let mut history = History::default();
        history.push(observation);
        let (policy, state) = (policy(), State::default());
        let decision = decide(&history, &policy, &Ledger::default(), observation.at());
        let told = Told { policy: &policy, decision: &decision, outcome, state: &state };
        metrics.cycle("streams/orders", observation, &told);
        metrics.text()
    }

    #[test]
    fn says_what_a_cycle_brought_and_forgets_it_with_the_autoscaler() {
        let metrics = Metrics::new();
        let job = Job::chain(&[(1, 0.0), (4, 0.004)]);
        let at = job.snapshot.at;
        let seen = Observation::Seen(job.snapshot);
        let text = after(&metrics, &seen, &Outcome::Unchanged);
        for line in [
            "# TYPE tidegate_cycles_total counter",
            "tidegate_cycles_total{autoscaler=\"streams/orders\",outcome=\"Unchanged\"} 1",
            "tidegate_cycles_total{autoscaler=\"streams/orders\",outcome=\"RolledBack\"} 0",
            "# TYPE tidegate_flink_requests_total counter",
            "# TYPE tidegate_poll_duration_seconds histogram",
        ] {
            assert!(text.lines().any(|said| said == line), "{line} in\n{text}");
        }
        assert!(text.contains("tidegate_vertex_parallelism{autoscaler=\"streams/orders\""), "{text}");

        let why = MissedWhy::TimedOut;
        let missed = Observation::Missed(Missed { at, why, detail: String::new() });
        let text = after(&metrics, &missed, &Outcome::Unobserved);
        let line = "tidegate_missed_polls_total{autoscaler=\"streams/orders\",reason=\"TimedOut\"} 1";
        assert!(text.lines().any(|said| said == line), "{text}");

        metrics.forget("streams/orders");
        assert!(!metrics.text().contains("streams/orders"), "{}", metrics.text());
    }
}
