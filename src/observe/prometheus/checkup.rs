//! Whether a Prometheus is of use to a policy: each of its queries is asked once, and what comes back is a finding.

use super::super::finding::{Finding, Weight};
use super::super::join::join_all;
use super::error::PrometheusError;
use super::queries::{Whose, of};
use super::server::Server;
use crate::policy::{Policy, PrometheusRef, QueryFacts};

/// Every server answers it, and it costs nothing.
const CHEAPEST: &str = "vector(1)";

const SILENT: &str = "the rule is silent: nothing shrinks";

/// What gets in the way of the `prometheus` rules of a policy; of all of them, without one. `job` is its name, where it is
/// known.
pub async fn findings(
    named: Option<&PrometheusRef>,
    policy: Option<&Policy>,
    whose: &Whose,
    job: Option<&str>,
) -> Vec<Finding> {
    let queries: Vec<_> = policy.into_iter().flat_map(of).collect();
    let Some(named) = named else {
        let none = Finding {
            weight: Weight::Hinders,
            what: "NoPrometheus",
            about: None,
            found: "the policy has queries, and no Prometheus is named".to_owned(),
            costs: SILENT,
            mend: "prometheus: {url: \"http://prometheus:9090\"} in spec, or --prometheus URL".to_owned(),
        };
        return if queries.is_empty() { Vec::new() } else { vec![none] };
    };
    let server = match Server::new(named) {
        Ok(server) => server,
        Err(error) => return vec![unusable(&error)],
    };
    if let Err(error) = server.answers(CHEAPEST).await {
        return vec![unusable(&error)];
    }
    let facts = QueryFacts {
        namespace: whose.namespace.as_deref(),
        autoscaler: whose.autoscaler.as_deref(),
        workload: whose.workload.as_deref(),
        job,
        job_id: None,
    };
    // What asks for the job's id cannot be asked without it.
    let filled = queries.iter().filter_map(|query| query.fill(&facts).ok());
    let asked = join_all(filled.map(async |query| {
        let answered = server.answers(&query).await;
        (query, answered)
    }));
    asked.await.into_iter().filter_map(|(query, answered)| judged(query, answered)).collect()
}

fn unusable(error: &PrometheusError) -> Finding {
    Finding {
        weight: Weight::Hinders,
        what: "PrometheusUnusable",
        about: None,
        found: error.to_string(),
        costs: "every `prometheus` rule is silent: nothing shrinks",
        mend: "prometheus: {url: ..., caFile: ..., tokenFile: ...} in spec".to_owned(),
    }
}

fn judged(query: String, answered: Result<usize, PrometheusError>) -> Option<Finding> {
    let (what, found) = match answered {
        Ok(0) => ("EmptyQuery", "no series answers it".to_owned()),
        Ok(_) => return None,
        Err(error) => ("QueryRefused", error.to_string()),
    };
    let mend = "mend the query in the policy, or have scraped what it asks for".to_owned();
    Some(Finding { weight: Weight::Hinders, what, about: Some(query), found, costs: SILENT, mend })
}
