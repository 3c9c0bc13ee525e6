//! What a configuration says, and all that can be wrong between its documents.

use super::*;
use proptest::prelude::*;

use crate::config::builtin;
use crate::model::Parallelism;
use crate::policy::{Mode, Rule, Span};

const HEAD: &str = "apiVersion: tidegate.dev/v1alpha1\n";

fn autoscaler(name: &str, url: &str, rest: &str) -> String {
    format!(
        "{HEAD}kind: FlinkAutoscaler\nmetadata: {{name: {name}}}\nspec:\n  flink: {{url: \"{url}\"}}\n{rest}---\n"
    )
}

fn lines(result: Result<Config, ConfigErrors>) -> Vec<String> {
    result.map_or_else(|errors| errors.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

fn load_text(text: &str) -> Result<Config, ConfigErrors> {
    load(&[Source::new("f.yaml", text)], &Library::built_in())
}

/// The example of the design.
const DESIGN: &str = r#"
apiVersion: tidegate.dev/v1alpha1
kind: FlinkAutoscaler
metadata: {name: orders, namespace: streams}
spec:
  flink: {url: "http://orders-rest:8081", job: orders}
  workload: {apiVersion: apps/v1, kind: Deployment, name: orders-taskmanager}
  mode: Recommend
  parallelism: {min: 1, max: 48}
  replicas: {min: 3, max: 10}
  vertices: [{name: enrich, min: 2, max: 16}, {name: "Source: *", exclude: true}]
  policyRef: {name: mine}
---
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: mine, namespace: streams}
spec:
  rules:
    - throughput: {utilization: {target: 0.6}, catchUp: 10m, restart: 45s}
  limits: {cooldown: 3m, rescales: {max: 6, per: 12h}, alignment: even}
"#;

#[test]
fn reads_what_the_design_shows() {
    let config = load_text(DESIGN).expect("it is right");
    let [orders] = config.autoscalers.as_slice() else { panic!("one autoscaler") };
    assert_eq!((orders.name.as_str(), orders.namespace.as_deref()), ("orders", Some("streams")));
    assert_eq!(orders.spec.flink.job.as_deref(), Some("orders"));
    let policy = &orders.policy;
    assert_eq!((policy.mode, policy.parallelism.max), (Mode::Recommend, Parallelism::clamped(48)));
    assert_eq!((policy.replicas.min, policy.vertices.len()), (Some(3), 2));
    assert_eq!((policy.spec.limits.cooldown, policy.poll), (Span::from_secs(180), Span::from_secs(5)));
    let [Rule::Throughput(rule)] = policy.spec.rules.as_slice() else { panic!("one rule") };
    assert!((rule.utilization.target - 0.6).abs() < 1e-9);
    assert_eq!(rule.catch_up.0, Span::from_secs(600));
}

#[test]
fn takes_json_for_the_yaml_that_it_is() {
    let text = r#"{"apiVersion": "tidegate.dev/v1alpha1", "kind": "FlinkAutoscaler",
        "metadata": {"name": "orders"}, "spec": {"flink": {"url": "http://x"}}}"#;
    assert_eq!(lines(load_text(text)), Vec::<String>::new());
}

#[test]
fn the_least_that_can_be_said_is_enough() {
    let config = load_text(&autoscaler("orders", "http://x", "")).expect("it is right");
    let built_in = load_policy(&builtin::list()[0].source()).expect("it is right");
    let spec =
        AutoscalerSpec { flink: config.autoscalers[0].spec.flink.clone(), ..AutoscalerSpec::default() };
    assert_eq!(config.autoscalers[0].policy, Policy::new(&spec, built_in.spec));
}

#[test]
fn ten_mistakes_give_ten_lines() {
    let text = r#"apiVersion: tidegate.dev/v1
kind: FlinkAutoscaler
metadata: {name: Orders}
spec:
  flink: {url: orders-rest, pol: 5s}
  mode: automatic
  parallelism:
    min: 8
    max: 4
  replicas: {min: "3"}
  vertices: [{exclude: yes}]
  policyRef: {name: througput}
"#;
    assert_eq!(
        lines(load_text(text)),
        [
            "f.yaml:1:13: apiVersion: unknown apiVersion `tidegate.dev/v1`; did you mean `tidegate.dev/v1alpha1`?",
            "f.yaml:3:18: metadata.name: a name has lower-case letters, digits, `-` and `.`, with a letter or digit \
             at both ends, not \"Orders\"",
            "f.yaml:5:16: spec.flink.url: expected http:// or https:// and a host, not \"orders-rest\"",
            "f.yaml:5:29: spec.flink: unknown field `pol`; did you mean `poll`?",
            "f.yaml:6:9: spec.mode: unknown mode `automatic`; did you mean `Auto`?",
            "f.yaml:8:10: spec.parallelism.min: 8 is above max 4; lower min or raise max",
            "f.yaml:10:19: spec.replicas.min: expected a whole number, found the text \"3\"; write it without quotes",
            "f.yaml:11:14: spec.vertices[0]: `name` is missing: The vertex's name or id; `*` stands for any text, `?` \
             for one character",
            "f.yaml:11:24: spec.vertices[0].exclude: expected true or false, found the text \"yes\"",
            "f.yaml:12:21: spec.policyRef.name: unknown policy `througput`; did you mean `throughput`?",
        ]
    );
}

#[test]
fn documents_must_not_contradict_each_other() {
    let job = |name: &str, job: &str| {
        let job = format!("\"http://x\", job: {job}}}\n").replace(", job: }", "}");
        autoscaler(name, "http://x", "").replace("\"http://x\"}\n", &job)
    };
    for (text, expected) in [
        (job("a", "j") + &job("b", "k"), vec![]),
        (
            job("a", "j") + &job("a", "k"),
            vec!["f.yaml:9:18: metadata.name: there is a FlinkAutoscaler `a` already, at f.yaml:1"],
        ),
        (
            job("a", "j") + &job("b", "j"),
            vec![
                "f.yaml:11:33: spec.flink.job: the job is scaled by `a` already, at f.yaml:1; two would work against \
                 each other",
            ],
        ),
        (
            job("a", "") + &job("b", "j"),
            vec![
                "f.yaml:5:10: spec.flink.job: without a job this is the cluster's only job, which `b` scales already, \
                 at f.yaml:7; name the job",
            ],
        ),
        (
            autoscaler("a", "http://x", "") + &autoscaler("b", "http://x/", ""),
            vec![
                "f.yaml:11:10: spec.flink.job: the job is scaled by `a` already, at f.yaml:1; two would work against \
                 each other",
            ],
        ),
        (
            autoscaler(
                "a",
                "http://x",
                "  parallelism: {min: 2, max: 4}\n  vertices:\n  - {name: v, min: 8}\n  - {name: w, max: 1}\n  - {name: z, min: 8, max: 9}\n",
            ),
            vec![
                "f.yaml:8:20: spec.vertices[0].min: 8 is above spec.parallelism.max 4; lower it or give this vertex a max",
                "f.yaml:9:20: spec.vertices[1].max: 1 is below spec.parallelism.min 2; raise it or give this vertex a min",
            ],
        ),
        ("# nothing\n---\n---\n".to_owned(), vec!["f.yaml:1:1: there is no FlinkAutoscaler in it"]),
        (
            format!(
                "{HEAD}kind: ScalingPolicy\nmetadata: {{name: p}}\nspec:\n  rules:\n  - throughput: {{}}\n  - throughput: {{}}\n"
            ),
            vec![
                "f.yaml:7:5: spec.rules[1]: a policy has one throughput rule, which is on line 6 already: put both into one, or give the second job a policy of its own; \
                 what changes with the time of day is said by a schedule rule",
            ],
        ),
        (
            format!(
                "{HEAD}kind: ScalingPolicy\nmetadata: {{name: p}}\nspec:\n  rules:\n  - backpressure: {{}}\n  - backlog: {{}}\n  \
                 - backlog: {{}}\n  - backpressure: {{}}\n"
            ),
            vec![
                "f.yaml:9:5: spec.rules[3]: a policy has one backpressure rule, which is on line 6 already: put both into one, or give the second job a policy of its own; \
                 what changes with the time of day is said by a schedule rule",
            ],
        ),
    ] {
        assert_eq!(lines(load_text(&text)), expected, "{text}");
    }
}

#[test]
fn whoever_asks_an_operator_says_which_and_what_is_where() {
    let fields = "fields: {parallelism: spec.p, state: status.s, stable: [R]}";
    let apaches = "apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, name: x";
    let other = "apiVersion: flink.k8s.io/v1beta1, kind: FlinkApplication, name: x";
    for (rest, expected) in [
        (format!("  operator: {{{apaches}}}\n"), ""),
        (format!("  operator: {{{other}, {fields}}}\n"), ""),
        ("  mechanism: Operator\n".to_owned(), "spec.mechanism: Operator needs spec.operator"),
        (
            format!("  operator: {{{apaches}}}\n  mechanism: Savepoint\n"),
            "spec.mechanism: a job that an operator runs is not stopped beside it",
        ),
        (format!("  operator: {{{apaches}, {fields}}}\n"), "spec.operator.fields: what is in Apache's"),
        (format!("  operator: {{{other}}}\n"), "spec.operator.kind: only Apache's FlinkDeployment"),
    ] {
        let said = lines(load_text(&autoscaler("a", "http://x", &rest))).join("\n");
        assert_eq!(said.is_empty(), expected.is_empty(), "{rest}{said}");
        assert!(said.contains(expected), "{rest}{said}");
    }
}

#[test]
fn a_policy_comes_from_the_nearest_place_that_has_it() {
    let policy = |name: &str, cooldown: &str| {
        format!(
            "{HEAD}kind: ScalingPolicy\nmetadata: {{name: {name}}}\nspec:\n  rules: [throughput: {{}}]\n  limits: {{cooldown: {cooldown}}}\n"
        )
    };
    let library = Library::with_files(vec![
        Source::new("dir/throughput.yaml", policy("throughput", "2s")),
        Source::new("dir/own.yaml", policy("own", "3s")),
        Source::new("dir/other.yaml", policy("misnamed", "4s")),
        Source::new("dir/broken.yaml", policy("broken", "4x")),
    ]);
    let cooldown = |name: &str, beside: &str| {
        let text = autoscaler("a", "http://x", &format!("  policyRef: {{name: {name}}}\n")) + beside;
        let config = load(&[Source::new("f.yaml", text)], &library);
        config
            .map(|config| config.autoscalers[0].policy.spec.limits.cooldown.to_string())
            .map_err(|e| e.to_string())
    };
    assert_eq!(cooldown("throughput", &policy("throughput", "1s")), Ok("1s".to_owned()));
    assert_eq!(cooldown("throughput", ""), Ok("2s".to_owned()));
    assert_eq!(cooldown("own", ""), Ok("3s".to_owned()));
    for (name, error) in [
        (
            "other",
            "dir/other.yaml:1:1: metadata.name: there is no ScalingPolicy `other` in this file, which is named after it",
        ),
        (
            "broken",
            "dir/broken.yaml:6:22: spec.limits.cooldown: expected a length of time such as 90s, 5m or 1h30m, not \"4x\"",
        ),
        (
            "latency",
            "f.yaml:6:21: spec.policyRef.name: unknown policy `latency`; expected `throughput`, `own`, `other`, `broken`, \
             `backlog`, `business-hours`, `cautious`, `cpu` or `flink-autoscaler`",
        ),
    ] {
        assert_eq!(cooldown(name, ""), Err(error.to_owned()));
    }
}

#[test]
fn a_broken_file_is_said_once_for_all_who_name_it() {
    let library = Library::with_files(vec![Source::new("p/own.yaml", "kind: [")]);
    let own = "  policyRef: {name: own}\n";
    let text = autoscaler("a", "http://x", own) + &autoscaler("b", "http://y", own);
    assert_eq!(lines(load(&[Source::new("f.yaml", text)], &library)).len(), 1);
}

#[test]
fn a_policy_file_holds_one_policy() {
    let text = builtin::list()[0].text;
    for (text, error) in [
        (text.to_owned(), None),
        (String::new(), Some("p.yaml:1:1: there is no ScalingPolicy in it")),
        (
            format!("{text}---\n{}", text.replace("name: throughput", "name: other")),
            Some("a second ScalingPolicy; expected one"),
        ),
    ] {
        let result = load_policy(&Source::new("p.yaml", text));
        let said = result.err().map(|errors| errors.to_string());
        assert_eq!(said.is_some(), error.is_some());
        assert!(said.unwrap_or_default().ends_with(error.unwrap_or_default()), "{error:?}");
    }
}

/// What the check lets pass, the types take: the schema is theirs.
fn nothing_is_rejected(text: &str) -> Result<(), TestCaseError> {
    if let Err(errors) = load_text(text) {
        for error in &errors {
            prop_assert!(!matches!(error.problem, Problem::Rejected(_)), "{error}\n{text}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(source) = Source::from_bytes("f", bytes) {
            let _ = load(&[source], &Library::built_in());
        }
    }

    #[test]
    fn no_slip_of_the_hand_causes_a_panic(
        slips in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, "[-a-z0-9:,{}\\[\\]\"' \n.]"), 1..6)
    ) {
        let mut text: Vec<char> = DESIGN.chars().collect();
        for (at, cut, new) in slips {
            let at = at.index(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, new.chars());
        }
        nothing_is_rejected(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn no_wrong_value_reaches_the_types(
        line in any::<prop::sample::Index>(),
        value in prop_oneof![
            Just("~".to_owned()), Just("[]".to_owned()), Just("{}".to_owned()), Just("''".to_owned()),
            any::<i64>().prop_map(|n| n.to_string()), any::<f64>().prop_map(|n| n.to_string()),
            "[0-9]{1,12}(ms|s|m|h|d)?", "[a-zA-Z]{0,9}", Just("observed".to_owned()), Just(".inf".to_owned()),
        ],
    ) {
        // Each value of the example in turn becomes another one.
        let starts: Vec<usize> = DESIGN.match_indices(": ").map(|(at, _)| at + 2).collect();
        let start = starts[line.index(starts.len())];
        let end = start + DESIGN[start..].find([',', '}', '\n']).unwrap_or(0);
        nothing_is_rejected(&format!("{}{value}{}", &DESIGN[..start], &DESIGN[end..]))?;
    }
}
