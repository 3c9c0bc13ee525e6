//! What no single field can get wrong: documents that contradict each other, fields that contradict each other across a
//! document. Looks at the trees, so that it says its part also of documents in which other things are wrong.

use std::collections::{BTreeMap, HashMap};

use super::error::{ConfigError, Problem};
use super::load::{AUTOSCALER, Document, POLICY};
use super::yaml::{Node, Value};
use crate::model::JobId;
use crate::policy::Rule;

/// All that does not go together.
pub(super) fn check(documents: &[Document<'_>]) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    names(documents, &mut errors);
    jobs(documents, &mut errors);
    for document in documents {
        vertex_bounds(document, &mut errors);
        rules(document, &mut errors);
        prometheus(document, &mut errors);
        savepoint(document, &mut errors);
        operator(document, &mut errors);
    }
    errors
}

/// A name is there once for its kind and namespace.
fn names(documents: &[Document<'_>], errors: &mut Vec<ConfigError>) {
    let mut seen: HashMap<_, &Document<'_>> = HashMap::new();
    for document in documents {
        let kind = [AUTOSCALER, POLICY].into_iter().find(|kind| document.kind() == Some(kind));
        let (Some(kind), Some(name)) = (kind, document.name()) else { continue };
        match seen.get(&(kind, document.namespace(), name)) {
            Some(first) => errors.push(document.error(
                &["metadata", "name"],
                Problem::DuplicateName { kind, name: name.to_owned(), other: first.place() },
            )),
            None => {
                seen.insert((kind, document.namespace(), name), document);
            }
        }
    }
}

/// A job has one autoscaler: two would undo each other's work.
fn jobs(documents: &[Document<'_>], errors: &mut Vec<ConfigError>) {
    let path = ["spec", "flink", "job"];
    let mut clusters: BTreeMap<&str, Vec<&Document<'_>>> = BTreeMap::new();
    for document in documents.iter().filter(|document| document.kind() == Some(AUTOSCALER)) {
        if let Some(url) = document.text(&["spec", "flink", "url"]) {
            clusters.entry(url.trim_end_matches('/')).or_default().push(document);
        }
    }
    let who = |document: &Document<'_>| (document.name().unwrap_or("?").to_owned(), document.place());
    for cluster in clusters.values() {
        let mut seen: HashMap<Option<&str>, &Document<'_>> = HashMap::new();
        for &document in cluster {
            let first = *seen.entry(document.text(&path)).or_insert(document);
            if !std::ptr::eq(first, document) {
                let (name, other) = who(first);
                errors.push(document.error(&path, Problem::SameJob { name, other }));
            }
        }
        // Without a name, a job is its cluster's only one: the same as any that has a name.
        let named = cluster.iter().find(|document| document.text(&path).is_some());
        if let (Some(nameless), Some(named)) = (seen.get(&None), named) {
            let (name, other) = who(named);
            errors.push(nameless.error(&path, Problem::OnlyJob { name, other }));
        }
    }
}

/// A vertex without a bound of its own has the job's, which must not contradict the one that it has.
fn vertex_bounds(document: &Document<'_>, errors: &mut Vec<ConfigError>) {
    let own = |node: &Node, field: &str| Some((whole(node.get(field)?)?, node.get(field)?.at));
    let general = |field| whole(document.find(&["spec", "parallelism", field])?);
    let vertices = document.find(&["spec", "vertices"]).map(Node::items).unwrap_or_default();
    for (index, vertex) in vertices.iter().enumerate() {
        let mut clash = |field: &str, value: i128, relation, other: &str, bound: i128, mend: &str, at| {
            errors.push(document.source.error(
                at,
                format!("spec.vertices[{index}].{field}"),
                Problem::Order {
                    value: value.to_string(),
                    relation,
                    other: format!("spec.parallelism.{other}"),
                    other_value: bound.to_string(),
                    mend: mend.to_owned(),
                },
            ));
        };
        match (own(vertex, "min"), own(vertex, "max")) {
            (Some((min, at)), None) => {
                if let Some(max) = general("max").filter(|max| min > *max) {
                    clash("min", min, "above", "max", max, "lower it or give this vertex a max", at);
                }
            }
            (None, Some((max, at))) => {
                if let Some(min) = general("min").filter(|min| max < *min) {
                    clash("max", max, "below", "min", min, "raise it or give this vertex a min", at);
                }
            }
            _ => {}
        }
    }
}

fn whole(node: &Node) -> Option<i128> {
    match &node.value {
        Value::Number(number) => number.whole,
        _ => None,
    }
}

/// Who asks is said in one way, and by files.
fn prometheus(document: &Document<'_>, errors: &mut Vec<ConfigError>) {
    let at = |field| ["spec", "prometheus", field];
    if document.find(&at("tokenFile")).is_some() && document.find(&at("basicAuthFile")).is_some() {
        let what = "there is a tokenFile already: a request says in one way who asks; leave one out";
        errors.push(document.error(&at("basicAuthFile"), Problem::Format(what.to_owned())));
    }
    let Some(Value::Map(headers)) = document.find(&at("headers")).map(|headers| &headers.value) else {
        return;
    };
    for header in headers {
        let path = format!("spec.prometheus.headers.{}", header.key);
        let is_name = !header.key.is_empty()
            && header.key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let what = if header.key.eq_ignore_ascii_case("authorization") {
            "credentials belong into a file; name it in tokenFile or basicAuthFile"
        } else if !is_name {
            "expected the name of a header, such as X-Scope-OrgID"
        } else {
            continue;
        };
        errors.push(document.source.error(header.at, path, Problem::Format(what.to_owned())));
    }
}

/// What runs a job again has to say how, and finds it by its name: every run has another id.
fn savepoint(document: &Document<'_>, errors: &mut Vec<ConfigError>) {
    let (mechanism, job) = (["spec", "mechanism"], ["spec", "flink", "job"]);
    let says_how = document.find(&["spec", "savepoint"]).is_some();
    if document.text(&mechanism) == Some("Savepoint") && !says_how {
        let what = "Savepoint needs spec.savepoint, which says how the job is run again: `savepoint: {jar: NAME.jar}`";
        errors.push(document.error(&mechanism, Problem::Format(what.to_owned())));
    }
    if document.find(&["spec", "savepoint", "jobManager"]).is_some() {
        for field in ["entryClass", "args"] {
            let path = ["spec", "savepoint", field];
            if document.find(&path).is_some() {
                let what = "with jobManager it is in the manifest that runs it: leave the field out";
                errors.push(document.error(&path, Problem::Format(what.to_owned())));
            }
        }
    }
    let is_id = document.text(&job).is_some_and(|job| job.parse::<JobId>().is_ok());
    if says_how && is_id {
        let what = "a job that is run again from a savepoint gets another id: name it by its name";
        errors.push(document.error(&job, Problem::Format(what.to_owned())));
    }
}

/// Whoever asks an operator has to say which resource, and of a kind that is not known also what in it means what. A job that its
/// operator may run under another id is found by its name.
fn operator(document: &Document<'_>, errors: &mut Vec<ConfigError>) {
    let (mechanism, job) = (["spec", "mechanism"], ["spec", "flink", "job"]);
    let Some(operator) = document.find(&["spec", "operator"]) else {
        if document.text(&mechanism) == Some("Operator") {
            let what = "Operator needs spec.operator, which names its resource: `operator: {apiVersion: flink.apache.org/v1beta1, \
                        kind: FlinkDeployment, name: NAME}`";
            errors.push(document.error(&mechanism, Problem::Format(what.to_owned())));
        }
        return;
    };
    if document.text(&mechanism) == Some("Savepoint") {
        let what =
            "a job that an operator runs is not stopped beside it: leave the mechanism out, or say Operator";
        errors.push(document.error(&mechanism, Problem::Format(what.to_owned())));
    }
    if document.text(&job).is_some_and(|job| job.parse::<JobId>().is_ok()) {
        let what = "a job that its operator runs again may get another id: name it by its name";
        errors.push(document.error(&job, Problem::Format(what.to_owned())));
    }
    let text = |field| operator.get(field).and_then(Node::text).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    let is_apaches =
        group == "flink.apache.org" && ["FlinkDeployment", "FlinkSessionJob"].contains(&text("kind"));
    match (is_apaches, operator.get("fields").is_some()) {
        (true, true) => {
            let what = "what is in Apache's resources is known: leave it out";
            errors.push(document.error(&["spec", "operator", "fields"], Problem::Format(what.to_owned())));
        }
        (false, false) if !group.is_empty() => {
            let what = "only Apache's FlinkDeployment and FlinkSessionJob are known: say in `fields` where parallelism and state are";
            errors.push(document.error(&["spec", "operator", "kind"], Problem::Format(what.to_owned())));
        }
        (true, false) | (false, _) => {}
    }
}

/// Of some rules a policy has one.
fn rules(document: &Document<'_>, errors: &mut Vec<ConfigError>) {
    let rules = document.find(&["spec", "rules"]).map(Node::items).unwrap_or_default();
    for name in Rule::SINGLE {
        let mut named = rules.iter().enumerate().filter(|(_, rule)| rule.get(name).is_some());
        let Some((_, first)) = named.next() else { continue };
        errors.extend(named.map(|(index, rule)| {
            let problem = Problem::RepeatedRule { rule: name, first: first.at.line };
            document.source.error(rule.at, format!("spec.rules[{index}]"), problem)
        }));
    }
}
