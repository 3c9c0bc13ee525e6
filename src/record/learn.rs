//! What a cycle teaches: needs for the scale-down window, points of the capacity curve, skew, and whether the last rescale
//! brought what was expected of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decide::Decision;
use crate::model::{CurvePoint, Ledger, Need, NeedWindow, Seconds, Snapshot, Timestamp};
use crate::policy::{self, Policy, Proposal, Rule, Said, Why, scale_down_window};
use crate::signals::{self, Signals, Trend};

/// Needs are kept for the longest window that can be set, an hour, and a little: a window that is lengthened is full at once.
const NEEDS_KEPT: Duration = Duration::from_mins(65);

/// With nothing seen for longer, the window begins anew. A rescale in place of Flink 2.x may take 30 s of cooldown and 60 s
/// of waiting for slots, and what was needed meanwhile is what was needed before.
const NEEDS_GAP: Duration = Duration::from_mins(2);

/// Fewer records say little about the time of one.
const RECORDS_TO_LEARN_FROM: f64 = 100.0;

/// Forgets what was learned of a graph that is no more.
pub(super) fn forget_graph(ledger: &mut Ledger, snapshot: &Snapshot) {
    let is_there = |id: &_| snapshot.graph.index_of(*id).is_some();
    ledger.needs.retain(|id, _| is_there(id));
    ledger.curves.clear();
    ledger.skews.clear();
    ledger.expectation = None;
}

/// Learns what can be learned of a cycle.
pub(super) fn from_decision(ledger: &mut Ledger, decision: &Decision, snapshot: &Snapshot, policy: &Policy) {
    let (Some(signals), Some(proposal)) = (&decision.signals, &decision.proposal) else {
        return;
    };
    ledger.silent = silences(proposal);
    let pressure = policy.spec.rules.iter().find_map(|rule| match rule {
        Rule::Backpressure(rule) => {
            Some(policy::pressure(rule, signals, &snapshot.graph, &ledger.pressure, decision.at))
        }
        _ => None,
    });
    ledger.pressure = pressure.unwrap_or_default();
    // A load that has just changed may be a mixture of before and after: no need, and no cost of a record.
    // Nor is what cold tasks do.
    if signals.trend == Trend::Changing || !signals.warm {
        return;
    }
    needs(ledger, decision, proposal, snapshot, policy);
    costs(ledger, signals, proposal, snapshot);
    check_expectation(ledger, decision, proposal, snapshot);
}

/// Since when each rule has been silent that is.
fn silences(proposal: &Proposal) -> BTreeMap<usize, Timestamp> {
    let since = |said: &Said| match said {
        Said::Silent { since, .. } | Said::FellBack { since, .. } => Some(*since),
        Said::Sizes | Said::Partly { .. } | Said::Replicas(_) | Said::Off => None,
    };
    let rules = proposal.rules.iter().enumerate();
    rules.filter_map(|(index, rule)| Some((index, since(&rule.said)?))).collect()
}

fn needs(
    ledger: &mut Ledger,
    decision: &Decision,
    proposal: &Proposal,
    snapshot: &Snapshot,
    policy: &Policy,
) {
    let keep = NEEDS_KEPT.max(scale_down_window(policy, ledger));
    for (vertex, want) in snapshot.graph.vertices().iter().zip(&proposal.wants) {
        if matches!(want.why, Why::NoSignal | Why::Excluded) {
            continue;
        }
        let need = Need { at: decision.at, wanted: want.needed() };
        ledger
            .needs
            .entry(vertex.id)
            .and_modify(|window| window.add(need, keep, NEEDS_GAP))
            .or_insert_with(|| NeedWindow::new(need));
    }
}

fn costs(ledger: &mut Ledger, signals: &Signals, proposal: &Proposal, snapshot: &Snapshot) {
    for (index, (vertex, want)) in snapshot.graph.vertices().iter().zip(&proposal.wants).enumerate() {
        let seen = &signals.vertices[index];
        let Some(found) = want.found else { continue };
        if seen.records < RECORDS_TO_LEARN_FROM {
            continue;
        }
        if found.is_full && !snapshot.graph.is_source(index) {
            ledger.skews.insert(vertex.id, found.skew);
        }
        if let (true, Ok(service_time)) = (found.is_measured, Seconds::new(found.service_time)) {
            let point =
                CurvePoint { parallelism: want.current, service_time, records: seen.records, at: signals.at };
            signals::learn(ledger.curves.entry(vertex.id).or_default(), point);
        }
    }
}

fn check_expectation(ledger: &mut Ledger, decision: &Decision, proposal: &Proposal, snapshot: &Snapshot) {
    let Some(expected) = ledger.expectation.take_if(|expected| decision.at >= expected.check_at) else {
        return;
    };
    // The share of the expected gain that came true; of several vertices that grew, the one that gained the least.
    let brought = expected.capacity.iter().filter_map(|(id, &(before, after))| {
        let now = proposal.wants[snapshot.graph.index_of(*id)?].capacity?;
        (after > before).then(|| (now - before) / (after - before))
    });
    if let (Some(share), Some(last)) = (brought.reduce(f64::min), ledger.rescales.back_mut()) {
        last.brought = Some(share);
    }
}
