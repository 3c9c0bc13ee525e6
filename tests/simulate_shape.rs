//! The simulated Flink answers in the form in which real ones do: the same statuses and, field by field, the same names,
//! types and nesting as recorded from real servers of each version, errors included.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::model::Ship;
use tidegate::policy::Span;
use tidegate::simulate::rest::{Answer, Request};
use tidegate::simulate::{
    CheckpointScenario, EdgeScenario, Load, MetricScenario, Scenario, Simulation, VertexScenario, scenarios,
};

const VERSIONS: [&str; 8] = ["1.17.2", "1.18.1", "1.19.3", "1.20.5", "2.0.2", "2.1.3", "2.2.1", "2.3.0"];

/// Recorded answers and what was asked for them; `:job` and the like stand for the ids of the run.
const RECORDED: [(&str, &str); 17] = [
    ("config", "/config"),
    ("overview", "/overview"),
    ("jobs", "/jobs"),
    ("jobs-overview", "/jobs/overview"),
    ("job-fresh", "/jobs/:job"),
    ("job-running", "/jobs/:job"),
    ("job-status", "/jobs/:job/status"),
    ("job-metrics", "/jobs/:job/metrics?get=numRestarts,uptime"),
    ("source-metrics", "/jobs/:job/vertices/:source/subtasks/metrics"),
    ("source-pending", "/jobs/:job/vertices/:source/subtasks/metrics?get=Source__source.pendingRecords"),
    (
        "source-pending-sum",
        "/jobs/:job/vertices/:source/subtasks/metrics?get=Source__source.pendingRecords&agg=sum",
    ),
    (
        "source-missing",
        "/jobs/:job/vertices/:source/subtasks/metrics?get=Source__source.pendingRecords,no.such.metric",
    ),
    ("checkpoints", "/jobs/:job/checkpoints"),
    ("taskmanagers", "/taskmanagers"),
    ("resource-requirements", "/jobs/:job/resource-requirements"),
    ("resource-requirements-asked", "/jobs/:job/resource-requirements"),
    ("job-rescaled", "/jobs/:job"),
];

/// The same of what is not there.
const ERRORS: [(&str, &str); 8] = [
    ("unknown-job", "/jobs/:none"),
    ("unknown-status", "/jobs/:none/status"),
    ("unknown-metrics", "/jobs/:none/metrics?get=numRestarts"),
    ("unknown-requirements", "/jobs/:none/resource-requirements"),
    ("unknown-checkpoints", "/jobs/:none/checkpoints"),
    ("unknown-pending", "/jobs/:none/vertices/:none/subtasks/metrics?get=Source__source.pendingRecords"),
    ("unknown-vertex", "/jobs/:job/vertices/:none/subtasks/metrics?get=numRecordsOut"),
    ("unknown-route", "/no/such/route"),
];

fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/flink").join(version)
}

/// The job that was recorded, on the simulated Flink of a version.
struct Simulated {
    flink: Simulation,
    ids: BTreeMap<&'static str, String>,
}

impl Simulated {
    fn chain(version: &str) -> Self {
        let vertices = vec![
            VertexScenario::new("Source: source", 0.1).with_parallelism(2).with_load(Load::constant(500.0)),
            VertexScenario::new("parse", 4.0).with_parallelism(3),
            VertexScenario::new("enrich", 1.0),
            VertexScenario::new("sink", 0.05),
        ];
        let last = EdgeScenario { ship: Ship::Rebalance, ..EdgeScenario::new("enrich", "sink") };
        let edges =
            vec![EdgeScenario::new("Source: source", "parse"), EdgeScenario::new("parse", "enrich"), last];
        Self::start(version, vertices, edges)
    }

    fn diamond(version: &str) -> Self {
        let scenario = scenarios::diamond();
        Self::start(version, scenario.vertices, scenario.edges)
    }

    fn start(version: &str, vertices: Vec<VertexScenario>, edges: Vec<EdgeScenario>) -> Self {
        let scenario = Scenario {
            flink_version: version.parse().expect("a version"),
            taskmanagers: 2,
            slots_per_taskmanager: 8,
            vertices,
            edges,
            checkpoints: Some(CheckpointScenario {
                interval: Span::from_secs(5),
                duration: Span::from_millis(700),
            }),
            metrics: MetricScenario { update_interval: Span::from_secs(1), ..MetricScenario::default() },
            ..scenarios::demo()
        };
        let mut flink = Simulation::new(&scenario).expect("a scenario");
        let jobs = flink.answer(Request::get("/jobs")).expect("an answer").body;
        let mut ids = BTreeMap::from([(":none", "0".repeat(32))]);
        ids.insert(":job", jobs["jobs"][0]["id"].as_str().expect("an id").to_owned());
        let names = [":source", ":parse", ":enrich", ":sink"];
        for (name, vertex) in names.into_iter().zip(flink.graph().vertices()) {
            ids.insert(name, vertex.id.to_string());
        }
        Self { flink, ids }
    }

    fn run(&mut self, seconds: f64) {
        self.flink.advance_to(self.flink.now() + Duration::from_secs_f64(seconds));
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let fill = |text: &str| self.ids.iter().fold(text.to_owned(), |text, (id, is)| text.replace(id, is));
        let (path, body) = (fill(path), fill(body));
        let request = Request { method, body: body.as_bytes(), ..Request::get(&path) };
        self.flink.answer(request).expect("an answer")
    }
}

/// Every path in a JSON value with the type of what is there. The elements of a list share one path; so do the fields of a
/// map whose keys are ids.
fn shape(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(number) if number.is_f64() => "number with a fraction",
            Value::Number(_) => "whole number",
            Value::String(_) => "text",
            Value::Array(_) => "list",
            Value::Object(_) => "map",
        };
        found.insert(format!("{path}: {kind}"));
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, &format!("{path}[]"), found)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    let is_id = name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
                    walk(value, &format!("{path}.{}", if is_id { "*" } else { name }), found);
                }
            }
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    walk(value, "", &mut found);
    found
}

/// Errors are lists whose lengths tell kinds of them apart.
fn error_count(answer: &Value) -> Option<usize> {
    Some(answer.get("errors")?.as_array()?.len())
}

/// What two answers do not have in common, a line for each.
fn differences(what: &str, real: &Value, simulated: &Value) -> Vec<String> {
    let (real_shape, simulated_shape) = (shape(real), shape(simulated));
    let only_real = real_shape.difference(&simulated_shape).map(|line| format!("{what}: only real: {line}"));
    let only_simulated =
        simulated_shape.difference(&real_shape).map(|line| format!("{what}: only simulated: {line}"));
    let counts = (error_count(real), error_count(simulated));
    let errors = (counts.0 != counts.1).then(|| format!("{what}: {counts:?} errors"));
    only_real.chain(only_simulated).chain(errors).collect()
}

fn check(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn answers_have_the_form_of_real_ones() {
    let mut faults = Vec::new();
    for version in VERSIONS {
        let mut compared = 0;
        let mut chain = Simulated::chain(version);
        for (name, path) in RECORDED {
            let Ok(real) = fs::read_to_string(folder(version).join(format!("{name}.json"))) else { continue };
            match name {
                // A checkpoint is there by then, and the metrics of one that was fetched before.
                "job-running" => chain.run(6.0),
                "resource-requirements-asked" => {
                    let mut all = chain.ask("GET", path, "").body;
                    all[&chain.ids[":parse"]]["parallelism"]["upperBound"] = 6.into();
                    let answer = chain.ask("PUT", path, &all.to_string());
                    assert_eq!(answer, Answer { status: 200, body: json!({}) }, "{version}");
                }
                "job-rescaled" => {
                    chain.run(45.0);
                    chain.ask("GET", path, "");
                }
                _ => {}
            }
            chain.run(1.5);
            let answer = chain.ask("GET", path, "");
            let what = format!("{version} {name}");
            assert_eq!(answer.status, 200, "{what}: {}", answer.body);
            faults.extend(differences(&what, &serde_json::from_str(&real).expect("json"), &answer.body));
            compared += 1;
        }
        assert!(compared >= 14, "{version}: only {compared} recorded answers");
    }
    check(&faults);
}

#[test]
fn a_graph_with_branches_has_the_form_of_a_real_one() {
    let mut faults = Vec::new();
    for version in VERSIONS {
        let mut diamond = Simulated::diamond(version);
        diamond.ask("GET", "/jobs/:job", "");
        diamond.run(5.0);
        let answer = diamond.ask("GET", "/jobs/:job", "");
        let real = fs::read_to_string(folder(version).join("job-diamond.json")).expect("it was recorded");
        let what = format!("{version} diamond");
        faults.extend(differences(&what, &serde_json::from_str(&real).expect("json"), &answer.body));
    }
    check(&faults);
}

#[test]
fn errors_have_the_form_of_real_ones() {
    let mut faults = Vec::new();
    for version in VERSIONS {
        let mut chain = Simulated::chain(version);
        chain.ask("GET", "/jobs/:job", "");
        chain.run(1.0);
        for (name, path) in ERRORS {
            let what = format!("{version} {name}");
            let answer = chain.ask("GET", path, "");
            let file = folder(version).join(format!("error-{name}-{}.json", answer.status));
            match fs::read_to_string(file) {
                Ok(real) => {
                    let real = serde_json::from_str(&real).expect("json");
                    faults.extend(differences(&what, &real, &answer.body));
                }
                Err(_) => faults.push(format!("{what}: not answered with {} by a real one", answer.status)),
            }
        }
    }
    check(&faults);
}

/// `rest.jsonl` holds requests that Tidegate does not make, those that must be refused above all.
#[test]
fn the_rest_of_the_api_has_the_form_of_the_real_one() {
    let mut faults = Vec::new();
    for version in VERSIONS {
        let lines = fs::read_to_string(folder(version).join("rest.jsonl")).expect("it was recorded");
        let mut chain = Simulated::chain(version);
        chain.ask("GET", "/jobs/:job", "");
        chain.run(6.0);
        let mut compared = 0;
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).expect("json");
            let text = |field: &str| line[field].as_str().unwrap_or_default();
            let what = format!("{version} {} {} {}", text("method"), text("path"), text("body"));
            let answer = chain.ask(text("method"), text("path"), text("body"));
            if let Some(id) = answer.body["request-id"].as_str() {
                chain.ids.insert(":request", id.to_owned());
                chain.run(2.0);
            }
            if answer.status == line["status"] {
                faults.extend(differences(&what, &line["answer"], &answer.body));
            } else {
                faults.push(format!(
                    "{what}: {} instead of {}: {}",
                    answer.status, line["status"], answer.body
                ));
            }
            compared += 1;
        }
        assert!(compared >= 39, "{version}: only {compared} recorded answers");
    }
    check(&faults);
}

#[test]
fn the_comparison_finds_what_differs() {
    let real = json!({"a": [{"b": 1}, {"c": null}], "0123456789abcdef0123456789abcdef": 1.5});
    assert_eq!(differences("same", &real, &real), Vec::<String>::new());
    for other in [
        json!({"a": [{"b": 1}], "0123456789abcdef0123456789abcdef": 1.5}),
        json!({"a": [{"b": 1.0}, {"c": null}], "0123456789abcdef0123456789abcdef": 1.5}),
        json!({"a": [{"b": 1}, {"c": null}], "d": {}, "0123456789abcdef0123456789abcdef": 1.5}),
        json!({"a": {"b": 1, "c": null}, "0123456789abcdef0123456789abcdef": 1.5}),
    ] {
        assert_ne!(differences("other", &real, &other), Vec::<String>::new(), "{other}");
    }
    let errors = |errors: &[&str]| json!({ "errors": errors });
    assert_eq!(differences("errors", &errors(&["a"]), &errors(&["a", "b"])).len(), 1);
}
