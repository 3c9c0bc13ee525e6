//! How a decision came about, for whoever expected another: what each rule said, what limited it, and what held it.

use crate::decide::Decision;
use crate::model::Graph;
use crate::policy::{Said, Why};
use crate::record::Summary;
use crate::record::summary::{limited, sentence, vertex_name};

/// The trail of a decision, a line for each of its parts.
pub(super) fn trail(decision: &Decision, graph: Option<&Graph>) -> Vec<String> {
    let mut lines = vec![format!("decided at {}: {}", decision.at, Summary::of(decision, graph))];
    let Some(proposal) = &decision.proposal else { return lines };
    lines.extend(proposal.rules.iter().filter_map(|rule| {
        let said = match &rule.said {
            // Which ones is said of the vertices.
            Said::Sizes => return None,
            Said::Off => "nothing: its `when` switches it off".to_owned(),
            Said::Replicas(asked) => format!("{} TaskManagers of {}", asked.wanted, asked.current),
            Said::Partly { why } => format!("not all: {why}"),
            Said::Silent { why, .. } => format!("nothing: {why}"),
            Said::FellBack { why, .. } => format!("its fallback: {why}"),
        };
        Some(format!("rule {}: {said}", rule.rule))
    }));
    let names = graph.map(Graph::vertices).unwrap_or_default().iter().map(|vertex| vertex.name.as_str());
    for (name, want) in names.zip(&proposal.wants) {
        let by = want
            .rule
            .and_then(|rule| proposal.rules.get(rule))
            .filter(|_| !matches!(want.why, Why::WithinBand | Why::NoSignal));
        let by = by.map_or_else(String::new, |rule| format!(" ({})", rule.rule));
        lines.push(format!("vertex {}{by}", sentence(name, want)));
    }
    for limit in &decision.limits {
        let name = vertex_name(graph, limit.vertex);
        lines.push(format!("limit {name}: {} -> {}: {}", limit.before, limit.after, limited(limit.by)));
    }
    lines.extend(decision.holds.iter().map(|hold| format!("not now: {hold}")));
    lines
}
