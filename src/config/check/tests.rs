//! What a file may get wrong, and how it is said.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::schema::json_schema;
use crate::config::yaml;

fn said(schema: &Json, text: &str) -> Vec<String> {
    let source = Source::new("f", text);
    let documents = yaml::parse(&source).expect("it is YAML");
    documents.iter().flat_map(|one| check(schema, &source, one)).map(|error| error.to_string()).collect()
}

/// What is said of an autoscaler whose spec has these lines, from line 5 on.
fn of_autoscaler(lines: &str) -> Vec<String> {
    let head = "apiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {name: a}\nspec:\n";
    let flink = if lines.contains("flink:") { "" } else { "  flink: {url: 'http://x'}\n" };
    said(json_schema(), &format!("{head}{lines}\n{flink}"))
}

/// What is said of a policy whose spec has these lines, from line 5 on.
fn of_policy(lines: &str) -> Vec<String> {
    let head = "apiVersion: tidegate.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: p}\nspec:\n";
    let rules = if lines.contains("rules:") { "" } else { "  rules: [throughput: {}]\n" };
    said(json_schema(), &format!("{head}{lines}\n{rules}"))
}

#[test]
fn names_the_mistakes_of_what_an_operator_runs() {
    for (lines, expected) in [
        (
            "  operator: {apiVersion: apps/v1, kind: Deployment, name: x}",
            "f:5:26: spec.operator.apiVersion: \"apps\" is no operator's own group: its kinds are not changed by field paths",
        ),
        (
            "  operator: {apiVersion: a.b/v1, kind: A, name: x, fields: {parallelism: job.p, state: status.s, stable: [R]}}",
            "f:5:74: spec.operator.fields.parallelism: expected a path below spec such as spec.job.parallelism, not \"job.p\"",
        ),
        (
            "  savepoint: {jar: a.jar}\n  operator: {apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, name: x}",
            "f:6:3: spec.operator: it and savepoint exclude each other; leave one of them out",
        ),
        (
            "  savepoint: {jar: a.jar, jobManager: {kind: Job, name: x}}",
            "f:5:27: spec.savepoint.jobManager: it and jar exclude each other; leave one of them out",
        ),
    ] {
        assert_eq!(of_autoscaler(lines).join("\n"), expected, "{lines}");
    }
}

#[test]
fn names_the_mistakes_of_an_autoscaler() {
    for (lines, expected) in [
        ("  mode: Paused", ""),
        ("  workload: ~", ""),
        ("  mode: paused", "f:5:9: spec.mode: unknown mode `paused`; did you mean `Paused`?"),
        ("  mode: dry", "f:5:9: spec.mode: unknown mode `dry`; expected `Auto`, `Recommend` or `Paused`"),
        ("  mode: 1", "f:5:9: spec.mode: expected `Auto`, `Recommend` or `Paused`, found the number 1"),
        (
            "  mode:",
            "f:5:3: spec.mode: has no value; expected `Auto`, `Recommend` or `Paused`, or leave the field out",
        ),
        (
            "  mechanism: [InPlace]",
            "f:5:14: spec.mechanism: expected `Auto`, `InPlace`, `Savepoint`, `Reactive` or `Operator`, found a list",
        ),
        ("  policy: cautious", "f:5:3: spec: unknown field `policy`; did you mean `policyRef`?"),
        (
            "  colour: red",
            "f:5:3: spec: unknown field `colour`; expected `flink`, `prometheus`, `workload`, `mode`, `mechanism`, `savepoint`, \
             `operator`, `parallelism`, `replicas`, `vertices` or `policyRef`",
        ),
        ("  parallelism: {min: 0}", "f:5:22: spec.parallelism.min: 0 is below the minimum 1"),
        ("  parallelism: {max: 40000}", "f:5:22: spec.parallelism.max: 40000 is above the maximum 32768"),
        ("  parallelism: {min: -3}", "f:5:22: spec.parallelism.min: -3 is below the minimum 1"),
        (
            "  parallelism: {min: 1.5}",
            "f:5:22: spec.parallelism.min: expected a whole number, found the number 1.5",
        ),
        (
            "  parallelism: {min: '2'}",
            "f:5:22: spec.parallelism.min: expected a whole number, found the text \"2\"; write it without quotes",
        ),
        (
            "  parallelism: {min: two}",
            "f:5:22: spec.parallelism.min: expected a whole number, found the text \"two\"",
        ),
        ("  parallelism: 4", "f:5:16: spec.parallelism: expected fields such as `min:`, found the number 4"),
        (
            "  parallelism:",
            "f:5:3: spec.parallelism: has no value; expected fields such as `min:`, or leave the field out",
        ),
        (
            "  parallelism: {min: 8, max: 4}",
            "f:5:22: spec.parallelism.min: 8 is above max 4; lower min or raise max",
        ),
        ("  replicas: {min: 8, max: ~}", ""),
        (
            "  replicas: {max: 99999999999}",
            "f:5:19: spec.replicas.max: 99999999999 is above the maximum 4294967295",
        ),
        (
            "  replicas: {max: 3, min: 4}",
            "f:5:27: spec.replicas.min: 4 is above max 3; lower min or raise max",
        ),
        (
            "  vertices: {name: x}",
            "f:5:13: spec.vertices: expected a list, found fields; begin each item with `- `",
        ),
        (
            "  vertices:\n  - min: 2",
            "f:6:5: spec.vertices[0]: `name` is missing: The vertex's name or id; `*` stands for any text, `?` for one character",
        ),
        (
            "  vertices: [{name: x}, {name: y, min: 3, max: 2}]",
            "f:5:40: spec.vertices[1].min: 3 is above max 2; lower min or raise max",
        ),
        (
            "  vertices: [{name: '', exclude: 1}]",
            "f:5:21: spec.vertices[0].name: expected at least 1 character, found 0\nf:5:34: spec.vertices[0].exclude: expected true or false, found the number 1",
        ),
        (
            "  vertices: [{name: x, exclude: 'true'}]",
            "f:5:33: spec.vertices[0].exclude: expected true or false, found the text \"true\"; write it without quotes",
        ),
        (
            "  flink: {url: 'http://x', poll: 5}",
            "f:5:34: spec.flink.poll: expected a length of time such as 90s, 5m or 1h30m, found the number 5; give it a unit, as in 5s",
        ),
        (
            "  flink: {url: 'http://x', poll: 5x}",
            "f:5:34: spec.flink.poll: expected a length of time such as 90s, 5m or 1h30m, not \"5x\"",
        ),
        (
            "  flink: {url: 'http://x', poll: 200ms}",
            "f:5:34: spec.flink.poll: 200ms is below the minimum 1s; more often is load for the JobManager and tells nothing new",
        ),
        (
            "  flink: {url: 'http://x', job: ''}",
            "f:5:33: spec.flink.job: expected at least 1 character, found 0",
        ),
        (
            "  flink: {url: 'http://x', job: 7}",
            "f:5:33: spec.flink.job: expected text, found the number 7; put it in quotes",
        ),
        (
            "  flink: {}",
            "f:5:10: spec.flink: `url` is missing: Flink's REST endpoint, with any URL prefix: `http://orders-rest:8081`",
        ),
        (
            "  flink: {service: {name: orders}}",
            "f:5:11: spec.flink.service: only a FlinkAutoscaler in Kubernetes can have it; write the URL of its REST port into url",
        ),
        (
            "  flink: {url: 'http://x', service: {name: orders}}",
            "f:5:28: spec.flink.service: only a FlinkAutoscaler in Kubernetes can have it; write the URL of its REST port into url",
        ),
        (
            "  flink: http://x",
            "f:5:10: spec.flink: expected fields such as `url:`, found the text \"http://x\"",
        ),
        (
            "  flink: [url]",
            "f:5:10: spec.flink: expected fields such as `url:`, found a list; leave out the `- `",
        ),
        (
            "  workload: {kind: Deployment, name: x}",
            "f:5:13: spec.workload: `apiVersion` is missing: The API version, such as apps/v1",
        ),
    ] {
        assert_eq!(of_autoscaler(lines).join("\n"), expected, "{lines}");
    }
}

/// All rules, as a message lists them.
const RULES: &str =
    "`throughput`, `resource`, `prometheus`, `backpressure`, `backlog`, `schedule` or `flinkAutoscaler`";

#[test]
fn names_the_mistakes_of_a_policy() {
    for (lines, expected) in [
        ("  limits: {}", ""),
        ("  rules: []", "f:5:10: spec.rules: expected at least 1 item, found 0"),
        ("  rules:", "f:5:3: spec.rules: has no value; expected a list"),
        (
            "  rules:\n  - troughput: {}",
            "f:6:5: spec.rules[0]: unknown rule `troughput`; did you mean `throughput`?",
        ),
        ("  rules:\n  - cpu: {}", "f:6:5: spec.rules[0]: unknown rule `cpu`; expected RULES"),
        (
            "  rules:\n  - throughput",
            "f:6:5: spec.rules[0]: expected `throughput: {}` with its fields, found only the name",
        ),
        (
            "  rules:\n  - throughput:",
            "f:6:5: spec.rules[0].throughput: has no value; expected fields such as `utilization:`; write `{}` for the defaults",
        ),
        (
            "  rules:\n  - throughput:\n    catchUp: 5m",
            "f:6:5: spec.rules[0]: a rule has one key, found throughput, catchUp; make each an item of its own, or indent \
             what belongs to the first",
        ),
        ("  rules: [{}]", "f:5:11: spec.rules[0]: has no value; expected RULES"),
        ("  rules: [5]", "f:5:11: spec.rules[0]: expected RULES, found the number 5"),
        (
            "  rules: [throughput: {utilization: {target: 1.5}}]",
            "f:5:46: spec.rules[0].throughput.utilization.target: 1.5 is above the maximum 1.0",
        ),
        (
            "  rules: [throughput: {utilization: {target: .nan}}]",
            "f:5:46: spec.rules[0].throughput.utilization.target: expected a finite number, found .nan",
        ),
        (
            "  rules: [throughput: {utilization: {min: 0.7}}]",
            "f:5:43: spec.rules[0].throughput.utilization.min: 0.7 is not below target 0.7 (the default); lower min or raise \
             target",
        ),
        (
            "  rules: [throughput: {utilization: {target: 0.3}}]",
            "f:5:46: spec.rules[0].throughput.utilization.target: 0.3 is not above min 0.4 (the default); lower min or \
             raise target",
        ),
        (
            "  rules: [throughput: {utilization: {max: 0.6}}]",
            "f:5:43: spec.rules[0].throughput.utilization.max: 0.6 is below target 0.7 (the default); lower target or \
             raise max",
        ),
        (
            "  rules: [throughput: {restart: often}]",
            "f:5:33: spec.rules[0].throughput.restart: expected `observed` or a length of time such as 90s, 5m or 1h30m, not \
             \"often\"",
        ),
        (
            "  rules: [throughput: {catchUp: ~}]",
            "f:5:24: spec.rules[0].throughput.catchUp: has no value; expected a length of time such as 90s, 5m or 1h30m, or \
             leave the field out",
        ),
        (
            "  rules: [throughput: {catch_up: 0s}]",
            "f:5:24: spec.rules[0].throughput: unknown field `catch_up`; did you mean `catchUp`?",
        ),
        (
            "  rules: [throughput: {catchUp: 0s}]",
            "f:5:33: spec.rules[0].throughput.catchUp: 0s is below the minimum 1s; no size works a backlog off in no time",
        ),
        (
            "  behavior: {scaleDown: {stabilizationWindowSeconds: 1h}}",
            "f:5:54: spec.behavior.scaleDown.stabilizationWindowSeconds: expected a whole number, found the text \"1h\"",
        ),
        (
            "  limits: {alignment: Off}",
            "f:5:23: spec.limits.alignment: unknown alignment `Off`; did you mean `off`?",
        ),
        ("  limits: {rescales: {max: 0}}", "f:5:28: spec.limits.rescales.max: 0 is below the minimum 1"),
    ] {
        assert_eq!(of_policy(lines).join("\n"), expected.replace("RULES", RULES), "{lines}");
    }
}

#[test]
fn names_the_mistakes_of_a_document() {
    for (text, expected) in [
        ("x", "f:1:1: expected fields such as `apiVersion:`, found the text \"x\""),
        ("[]", "f:1:1: expected fields such as `apiVersion:`, found an empty list; leave out the `- `"),
        ("{}", "f:1:1: `kind` is missing: expected `FlinkAutoscaler` or `ScalingPolicy`"),
        (
            "kin: ScalingPolicy\napiVersion: tidegate.dev/v1alpha1\nmetdata: {name: p}\nspec: {rules: [throughput: {}]}",
            "f:1:1: unknown field `kin`; did you mean `kind`?\nf:3:1: unknown field `metdata`; did you mean `metadata`?",
        ),
        (
            "kind: HorizontalPodAutoscaler",
            "f:1:7: kind: unknown kind `HorizontalPodAutoscaler`; expected `FlinkAutoscaler` or `ScalingPolicy`",
        ),
        (
            "kind: ScalingPolcy\nmetadata: {name: p, labels: {version: 1}}\nspec: {rules: [throughput: {}]}",
            "f:1:1: `apiVersion` is missing: expected `tidegate.dev/v1alpha1`\n\
             f:1:7: kind: unknown kind `ScalingPolcy`; did you mean `ScalingPolicy`?\n\
             f:2:39: metadata.labels.version: expected text, found the number 1; put it in quotes",
        ),
    ] {
        let mut lines = said(json_schema(), text);
        lines.sort();
        assert_eq!(lines.join("\n"), expected, "{text}");
    }
}

/// Shapes that later rules will have: words beside keys, kinds told apart by a field, words without descriptions.
#[test]
fn tells_variants_apart_by_their_shape() {
    let key = |name: &str, value: Json| json!({"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": false});
    let kind = |word: &str, field: &str| {
        json!({
            "type": "object", "additionalProperties": false, "required": ["type", field],
            "properties": {"type": {"const": word}, field: {"type": "integer"}},
        })
    };
    let schema = json!({
        "type": "object",
        "properties": {
            "when": {"oneOf": [{"enum": ["always", "never"]}, key("cron", json!({"type": "string"}))]},
            "target": {"oneOf": [kind("Utilization", "percent"), kind("Value", "value")]},
        },
    });
    for (text, expected) in [
        ("when: never", ""),
        ("when: {cron: x}", ""),
        ("when: nver", "f:1:7: when: unknown when `nver`; did you mean `never`?"),
        ("when: {crom: x}", "f:1:8: when: unknown when `crom`; did you mean `cron`?"),
        ("when: cron", "f:1:7: when: expected `cron: {}` with its fields, found only the name"),
        ("target: {type: Value, value: 3}", ""),
        (
            "target: {type: Valu, value: x}",
            "f:1:16: target.type: unknown type `Valu`; did you mean `Value`?\nf:1:29: target.value: expected a whole number, found the text \"x\"",
        ),
        (
            "target: {type: Value, percent: 3}",
            "f:1:23: target: unknown field `percent`; expected `type` or `value`\nf:1:9: target: `value` is missing: ",
        ),
        ("target: {percent: 3}", "f:1:9: target: `type` is missing: expected `Utilization` or `Value`"),
    ] {
        let mut lines = said(&schema, text);
        lines.sort();
        assert_eq!(lines.join("\n"), expected, "{text}");
    }
}

#[test]
fn says_what_a_form_expects() {
    let schema = json!({"type": "object", "properties": {
        "quantity": {"type": ["string", "number"], "x-form": "quantity"},
        "cron": {"type": "string", "x-form": "cron"},
        "zone": {"type": "string", "x-form": "time-zone"},
        "when": {"type": "string", "x-form": "cel"},
    }});
    for (text, expected) in [
        ("quantity: 1.5Gi", ""),
        ("quantity: 2", ""),
        ("quantity: -0.5", ""),
        (
            "quantity: 512MB",
            "f:1:11: quantity: expected a quantity such as 500m, 2 or 1.5Gi (n, u, m, k, M, G, T, P, E are decimal, Ki, Mi, \
             Gi, Ti, Pi, Ei binary), not \"512MB\"",
        ),
        (
            "quantity: true",
            "f:1:11: quantity: expected a quantity such as 500m, 2 or 1.5Gi, found true; put it in quotes",
        ),
        ("cron: 0 7 * * 1-5", ""),
        ("cron: 0 25 * * *", "f:1:7: cron: hour: expected 0 to 23, not \"25\""),
        (
            "cron: 7",
            "f:1:7: cron: expected a cron expression such as 0 7 * * 1-5, found the number 7; put it in quotes",
        ),
        ("when: hour >= 7", ""),
        ("when: hours >= 7", "f:1:7: when: column 1: there is no variable `hours`; did you mean `hour`?"),
        (
            "when: true",
            "f:1:7: when: expected a CEL expression such as hour >= 7 && signals.load > 1000, found true; put it in quotes",
        ),
        ("zone: America/New_York", ""),
        (
            "zone: Europe/Pariss",
            "f:1:7: zone: expected a time zone of the IANA database such as Europe/Paris, America/New_York or UTC, not \
             \"Europe/Pariss\"; did you mean Europe/Paris?",
        ),
        (
            "zone: Atlantis",
            "f:1:7: zone: expected a time zone of the IANA database such as Europe/Paris, America/New_York or UTC, not \
             \"Atlantis\"",
        ),
        ("quantity: .nan", "f:1:11: quantity: expected a finite number, found .nan"),
    ] {
        assert_eq!(said(&schema, text).join("\n"), expected, "{text}");
    }
}

#[test]
fn one_of_several_fields_must_be_there() {
    let schema = json!({"type": "object", "x-any-of": ["for", "end"], "additionalProperties": false, "properties": {
        "cron": {"type": "string"}, "for": {"type": "string"}, "end": {"type": "string"},
    }});
    for (text, expected) in [
        ("for: 1h", ""),
        ("end: x", ""),
        ("{for: 1h, end: x}", ""),
        ("cron: x", "f:1:1: `for` is missing: expected `for` or `end`"),
        ("ends: x", "f:1:1: unknown field `ends`; did you mean `end`?"),
    ] {
        assert_eq!(said(&schema, text).join("\n"), expected, "{text}");
    }
}

/// A keyword that the check does not know would be a rule that nobody keeps.
#[test]
fn knows_every_word_of_the_schema() {
    const KNOWN: [&str; 26] = [
        "$ref",
        "$defs",
        "$schema",
        "$id",
        "title",
        "description",
        "default",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "const",
        "enum",
        "oneOf",
        "anyOf",
        "minimum",
        "maximum",
        "minItems",
        "minLength",
        "x-order",
        "x-any-of",
        "x-at-most-one",
        "x-only-in-kubernetes",
        "x-minimum",
        "x-why",
    ];
    fn walk(schema: &Json, unknown: &mut BTreeSet<String>) {
        let Some(fields) = schema.as_object() else { return };
        for (word, value) in fields {
            #[expect(clippy::match_same_arms, reason = "each is known for a reason of its own")]
            match word.as_str() {
                "properties" | "$defs" => {
                    value.as_object().into_iter().flatten().for_each(|(_, v)| walk(v, unknown));
                }
                "items" | "additionalProperties" => walk(value, unknown),
                "oneOf" | "anyOf" => value.as_array().into_iter().flatten().for_each(|v| walk(v, unknown)),
                "format" if format::range(fields).is_some() => {}
                "x-form" if format::of(fields).is_some() => {}
                // For other readers: our own form says the same.
                "pattern" | "maxLength" if format::of(fields).is_some() => {}
                word if KNOWN.contains(&word) => {}
                word => {
                    unknown.insert(format!("{word}: {value}"));
                }
            }
        }
    }
    let mut unknown = BTreeSet::new();
    walk(json_schema(), &mut unknown);
    assert_eq!(unknown, BTreeSet::new());
}

proptest! {
    #[test]
    fn has_no_panic_for_any_tree(text in "(kind: (FlinkAutoscaler|ScalingPolicy)\n)?([ a-z]{0,6}(spec|flink|rules|min|max|- |[a-z]{1,3}): ?[-0-9a-z{\\[.\"]{0,4}\n){0,8}") {
        let source = Source::new("f", text);
        for one in yaml::parse(&source).unwrap_or_default() {
            let _ = check(json_schema(), &source, &one);
        }
    }
}
