//! The series of the original DS2 controller: recorded rates of each operator, and the target rates and parallelism that it computes.
//!
//! An operator's rates are sums over its subtasks, so that of one of them is the mean. The whole output of an operator goes along
//! each of its edges. A source puts out its entry in `source_rates`, or what was recorded as its true output where it has none.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidegate::model::{Edge, Graph, Parallelism, Ship, Vertex, VertexId};
use tidegate::policy::ds2;

use crate::frame::{Fault, Suite, Vector};

pub(crate) const SUITE: Suite = Suite { name: "ds2", judge, differences: &[] };

/// Rates that differ by no more are the same: the controller adds the same numbers in another order.
const SAME: f64 = 1e-9;

/// One decision.
#[derive(Deserialize)]
struct Epoch {
    #[serde(rename = "epoch")]
    number: u32,
    input: BTreeMap<String, Rates>,
    expected: BTreeMap<String, Chosen>,
}

/// Records/s of all subtasks of an operator, while it is busy.
#[derive(Deserialize)]
struct Rates {
    true_processing_rate: f64,
    true_output_rate: f64,
}

/// What comes out for one operator.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    target_rate: f64,
    agg_true_processing_rate: f64,
    current: u32,
    pi_exact: f64,
    pi: u32,
}

/// The operators in the graph's order, by name.
struct Job {
    names: Vec<String>,
    graph: Graph,
    parallelism: BTreeMap<String, u32>,
    source_rates: BTreeMap<String, f64>,
}

fn judge(vector: &Vector) -> Result<(), Fault> {
    let job = Job::of(vector)?;
    let epochs: Vec<Epoch> = vector.part("epochs")?;
    if epochs.is_empty() {
        return Err(Fault::Unreadable("it has no epochs".to_owned()));
    }
    let mut wrong = Vec::new();
    for epoch in &epochs {
        job.decide(epoch, &mut wrong)?;
    }
    if wrong.is_empty() { Ok(()) } else { Err(Fault::Differs(wrong.join(", "))) }
}

impl Job {
    fn of(vector: &Vector) -> Result<Self, Fault> {
        let parallelism: BTreeMap<String, u32> = vector.part("parallelism")?;
        let names: Vec<String> = parallelism.keys().cloned().collect();
        let vertex = |(index, name): (u64, &String)| Vertex {
            id: VertexId::from_bits(u128::from(index)),
            name: name.clone(),
            max_parallelism: Parallelism::clamped(u64::MAX),
            slot_sharing_group: None,
        };
        let edge = |(from, to): &(String, String)| {
            Ok(Edge { from: index(&names, from)?, to: index(&names, to)?, ship: Ship::Hash })
        };
        let edges: Vec<(String, String)> = vector.part("edges")?;
        let edges = edges.iter().map(edge).collect::<Result<Vec<_>, Fault>>()?;
        let graph = Graph::new((0..).zip(&names).map(vertex).collect(), edges)
            .map_err(|error| Fault::Unreadable(error.to_string()))?;
        Ok(Self { names, graph, parallelism, source_rates: vector.part("source_rates")? })
    }

    /// Notes what is not as expected in one decision.
    fn decide(&self, epoch: &Epoch, wrong: &mut Vec<String>) -> Result<(), Fault> {
        let rates = |vertex: usize| epoch.input.get(&self.names[vertex]);
        let source = |vertex: usize| {
            let given = self.source_rates.get(&self.names[vertex]).copied();
            given.or_else(|| rates(vertex).map(|rates| rates.true_output_rate))
        };
        let along = |edge: usize, rate: f64| {
            let from = self.graph.edges()[edge].from;
            if self.graph.is_source(from) {
                return Some(rate);
            }
            let rates = rates(from)?;
            Some(rate * rates.true_output_rate / rates.true_processing_rate)
        };
        let targets = ds2::spread(&self.graph, source, along);
        for (name, expected) in &epoch.expected {
            let vertex = index(&self.names, name)?;
            let missing =
                |what: &str| Fault::Unreadable(format!("epoch {}: no {what} of {name}", epoch.number));
            let target = targets[vertex].ok_or_else(|| missing("target rate"))?;
            let rates = rates(vertex).ok_or_else(|| missing("rates"))?;
            let current = *self.parallelism.get(name).ok_or_else(|| missing("parallelism"))?;
            let true_rate = rates.true_processing_rate / f64::from(current);
            let needed = ds2::needed(target, true_rate).map(Parallelism::get);
            let mut note = |what: &str, got: String, want: String| {
                wrong.push(format!("epoch {}: {what} of {name} is {got} and not {want}", epoch.number));
            };
            for (what, got, want) in [
                ("the target rate", target, expected.target_rate),
                ("the true rate", rates.true_processing_rate, expected.agg_true_processing_rate),
                ("the exact parallelism", target / true_rate, expected.pi_exact),
            ] {
                if (got - want).abs() > SAME * want.abs() {
                    note(what, got.to_string(), want.to_string());
                }
            }
            // Of what nothing flows through DS2 wants none; Flink has no vertex without a subtask.
            if (needed, current) != (Some(expected.pi.max(1)), expected.current) {
                note(
                    "the parallelism",
                    format!("{needed:?} from {current}"),
                    format!("{} from {}", expected.pi, expected.current),
                );
            }
        }
        Ok(())
    }
}

fn index(names: &[String], name: &str) -> Result<usize, Fault> {
    names
        .binary_search_by(|known| known.as_str().cmp(name))
        .map_err(|_| Fault::Unreadable(format!("{name} has no parallelism")))
}
