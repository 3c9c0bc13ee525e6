//! Whole tests, run: each kind of expectation is met where it should be, and fails where it should not.

use super::*;
use crate::policy::PolicySpec;

fn policy(rules: &str) -> PolicySpec {
    serde_json::from_str(&format!(r#"{{"rules": {rules}}}"#))
        .unwrap_or_else(|error| panic!("{error}: {rules}"))
}

/// What was expected and did not come about: the field, what was expected, what there was.
fn unmet(rules: &str, test: &str) -> Vec<(String, String, String)> {
    let test: Test = serde_json::from_str(test).unwrap_or_else(|error| panic!("{error}: {test}"));
    assert_eq!(mistakes(&test), [], "{test:?}");
    let run = run(&test, &policy(rules)).expect("it has no mistakes");
    run.unmet.into_iter().map(|unmet| (unmet.path, unmet.expected, unmet.got)).collect()
}

const THROUGHPUT: &str = r#"[{"throughput": {}}]"#;

/// Three subtasks that take in 750 records/s, six at the most; the load goes from 500 to 1,500 records/s, and down to 200
/// within the cooldown.
fn grows(expect: &str, then: &str) -> Vec<(String, String, String)> {
    let test = format!(
        r#"{{"name": "grows", "bounds": {{"parallelism": {{"max": 6}}}},
            "job": {{"vertices": [{{"name": "orders", "rate": 500}}, {{"name": "enrich", "parallelism": 3, "serviceTime": "4ms"}}]}},
            "steps": [
                {{"after": "2m", "expect": {{"action": "none", "rescales": {{"max": 0}}}}}},
                {{"set": {{"rate": 1500}}, "after": "40s", "expect": {expect}}},
                {{"set": {{"rate": 200}}, "after": "30s", "expect": {then}}}
            ]}}"#
    );
    unmet(THROUGHPUT, &test)
}

#[test]
fn every_kind_of_expectation_can_be_met_and_can_fail() {
    const ANY: &str = r#"{"rescales": {"max": 0}}"#;
    for (met, failing, field, expected, got) in [
        (
            r#"{"parallelism": {"enrich": 6}}"#,
            r#"{"parallelism": {"enrich": 7}}"#,
            "parallelism.enrich",
            "7",
            "6",
        ),
        (
            r#"{"minParallelism": {"enrich": 6}}"#,
            r#"{"minParallelism": {"enrich": 7}}"#,
            "minParallelism.enrich",
            "at least 7",
            "6",
        ),
        (
            r#"{"maxParallelism": {"enrich": 6}}"#,
            r#"{"maxParallelism": {"enrich": 5}}"#,
            "maxParallelism.enrich",
            "at most 5",
            "6",
        ),
        (r#"{"replicas": 2}"#, r#"{"replicas": 6}"#, "replicas", "6", "2"),
        (r#"{"action": "up"}"#, r#"{"action": "none"}"#, "action", "none", "up"),
        (
            r#"{"reason": "TargetRateAboveCapacity"}"#,
            r#"{"reason": "BacklogStands", "parallelism": {"enrich": 6}}"#,
            "reason",
            "BacklogStands",
            "TargetRateAboveCapacity (enrich)",
        ),
        (
            r#"{"decidedBy": "throughput"}"#,
            r#"{"decidedBy": "backlog", "parallelism": {"enrich": 6}}"#,
            "decidedBy",
            "backlog",
            "throughput (enrich)",
        ),
        (
            r#"{"limitedBy": "MaxParallelism"}"#,
            r#"{"limitedBy": "Slots"}"#,
            "limitedBy",
            "Slots",
            "MaxParallelism (enrich)",
        ),
        (
            r#"{"rescales": {"min": 1, "max": 1}}"#,
            r#"{"rescales": {"min": 2}}"#,
            "rescales",
            "at least 2",
            "1",
        ),
        (
            r#"{"secondsOverSlo": {"max": 40}}"#,
            r#"{"secondsOverSlo": {"min": 50}}"#,
            "secondsOverSlo",
            "at least 50",
            "",
        ),
    ] {
        assert_eq!(grows(met, ANY), [], "{met}");
        let failed = grows(failing, ANY);
        let [(path, wanted, there)] = &failed[..] else { panic!("{failing}: {failed:?}") };
        assert_eq!((path.as_str(), wanted.as_str()), (&*format!("steps[1].expect.{field}"), expected));
        assert!(there.ends_with(got), "{failing}: {there}");
    }
}

#[test]
fn what_is_held_is_that_of_the_last_decision() {
    const UP: &str = r#"{"action": "up"}"#;
    assert_eq!(grows(UP, r#"{"action": "none", "held": "Cooldown"}"#), []);
    let failed = grows(UP, r#"{"held": "BudgetSpent"}"#);
    assert_eq!((failed.len(), failed[0].0.as_str()), (1, "steps[2].expect.held"), "{failed:?}");
    assert!(failed[0].2.contains("Cooldown"), "{failed:?}");
}

#[test]
fn answers_of_prometheus_can_be_set_and_lost() {
    let rules = r#"[{"prometheus": {"query": "lag", "target": {"type": "AverageValue", "averageValue": "1k"},
        "fallback": {"after": "1m", "parallelism": 12}}}]"#;
    let test = r#"{"name": "asks", "job": {
            "slotsPerTaskmanager": 2,
            "vertices": [{"name": "orders", "rate": 100, "parallelism": 8}, {"name": "count", "parallelism": 8, "keyed": false}]},
        "steps": [
            {"set": {"queries": {"lag": 4000}}, "after": "1m", "expect": {"action": "none", "reason": "WithinBand"}},
            {"set": {"queries": {"lag": 6000}}, "after": "1m",
             "expect": {"action": "up", "replicas": 6, "parallelism": {"count": 12}, "decidedBy": "prometheus"}},
            {"set": {"queries": {"lag": null}}, "after": "30s", "expect": {"action": "none"}},
            {"set": {"queries": {"lag": 5000}}, "after": "5s"},
            {"set": {"gone": ["queries"]}, "after": "5m", "expect": {"reason": "FellBack", "parallelism": {"count": 12}}}
        ]}"#;
    assert_eq!(unmet(rules, test), []);
}

#[test]
fn a_cluster_of_so_many_taskmanagers_has_no_more_slots() {
    let test = r#"{"name": "full", "job": {
            "taskmanagers": 1, "slotsPerTaskmanager": 3,
            "vertices": [{"name": "orders", "rate": 1500}, {"name": "enrich", "parallelism": 3, "serviceTime": "4ms"}]},
        "expect": {"action": "none", "held": "SlotsMissing"}}"#;
    assert_eq!(unmet(THROUGHPUT, test), []);
}

#[test]
fn records_go_where_the_inputs_say() {
    let test = r#"{"name": "joins", "job": {"vertices": [
            {"name": "orders", "rate": 500, "selectivity": 2},
            {"name": "clicks", "rate": 500},
            {"name": "join", "inputs": ["orders", "clicks"], "serviceTime": "1ms", "parallelism": 3},
            {"name": "audit", "inputs": ["orders"], "serviceTime": "1ms", "parallelism": 3}]},
        "steps": [
            {"after": "2m", "expect": {"action": "none"}},
            {"set": {"rates": {"clicks": 3500}}, "after": "1m",
             "expect": {"action": "up", "minParallelism": {"join": 6}, "parallelism": {"audit": 3}}}
        ]}"#;
    assert_eq!(unmet(THROUGHPUT, test), []);
}

#[test]
fn labels_and_the_hour_are_those_of_the_test() {
    let rules = r#"[{"throughput": {"when": "job.labels['tier'] == 'gold' && hour >= 7"}}]"#;
    for (at, tier, action) in [
        ("2026-01-05T07:10:00Z", "gold", "up"),
        ("2026-01-05T06:10:00Z", "gold", "none"),
        ("2026-01-05T07:10:00Z", "tin", "none"),
    ] {
        let test = format!(
            r#"{{"name": "is on", "at": "{at}", "labels": {{"tier": "{tier}"}},
                "job": {{"vertices": [{{"name": "orders", "rate": 500}}, {{"name": "enrich", "serviceTime": "4ms"}}]}},
                "expect": {{"action": "{action}"}}}}"#
        );
        assert_eq!(unmet(rules, &test), [], "{at} {tier}");
    }
}

#[test]
fn the_same_test_gives_the_same_run() {
    let wrong = r#"{"parallelism": {"enrich": 99}}"#;
    assert_eq!(grows(wrong, wrong), grows(wrong, wrong));
}
