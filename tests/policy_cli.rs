//! `tidegate policy`: what it prints, where a mistake or a failed test is said to be, and the code it ends with.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for name in ["TIDEGATE_LOG", "TIDEGATE_LOG_FORMAT", "RUST_LOG"] {
        command.env_remove(name);
    }
    let folder = env!("CARGO_MANIFEST_DIR");
    command.current_dir(folder).args(args).stdin(Stdio::null()).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints text")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// A policy whose `tests:` are these, beginning at line 9.
fn policy(tests: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {{name: own}}\nspec:\n  rules:\n  \
         - throughput: {{}}\n  limits: {{cooldown: 2m}}\ntests:\n{tests}"
    )
}

/// Three subtasks at 4 ms take in 750 records/s; the load triples.
const TRIPLES: &str = "\
- name: follows
  job: {vertices: [{name: orders, rate: 500}, {name: enrich, parallelism: 3, serviceTime: 4ms}]}
  steps:
  - after: 2m
    expect: {action: none}
  - set: {rate: 1500}
    after: 1m
    expect:
      action: up
      parallelism: {enrich: EXPECTED}
";

fn written(name: &str, content: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join(name);
    fs::write(&file, content).expect("writable");
    let file = path(&file).to_owned();
    (dir, file)
}

#[test]
fn the_policies_that_come_with_the_program_are_green() {
    let test = run(&["policy", "test", "policies"]);
    let out = text(&test.stdout);
    assert!(test.status.success(), "{out}{}", text(&test.stderr));
    assert!(out.ends_with(" passed, 0 failed\n") && !out.contains("FAILED"), "{out}");
    let lint = run(&["policy", "lint", "policies", "--strict"]);
    assert!(lint.status.success(), "{}", text(&lint.stdout));
    assert!(text(&lint.stdout).ends_with(" files: 0 errors, 0 warnings\n"), "{}", text(&lint.stdout));
}

#[test]
fn a_failed_test_says_where_and_how_it_came_about() {
    let (_dir, file) = written("own.yaml", &policy(&TRIPLES.replace("EXPECTED", "4")));
    let output = run(&["policy", "test", &file]);
    let out = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), ""), "{out}");
    let line = out.lines().find(|line| line.starts_with(&file)).expect("a line for what failed");
    assert!(
        line.starts_with(&format!(
            "{file}:18:29: \"follows\": steps[1].expect.parallelism.enrich: expected 4, got "
        )),
        "{line}"
    );
    assert!(out.contains("\n    vertex enrich is short ("), "{out}");
    assert!(out.ends_with("\n0 passed, 1 failed\n"), "{out}");

    let json: Value =
        serde_json::from_slice(&run(&["policy", "test", &file, "-o", "json"]).stdout).expect("JSON");
    let failed = &json["policies"][0]["tests"][0]["failures"][0];
    assert_eq!(
        (&json["failed"], &failed["line"], &failed["expected"]),
        (&1.into(), &18.into(), &"4".into()),
        "{json}"
    );
    assert!(failed["trail"].as_array().is_some_and(|trail| trail.len() >= 2), "{json}");
}

#[test]
fn results_go_to_whatever_gathers_them() {
    let tests = TRIPLES.replace("EXPECTED", "4")
        + "- {name: is <calm>, scenario: demo, after: 1m, expect: {action: none}}\n";
    let (dir, file) = written("own.yaml", &policy(&tests));
    let report = dir.path().join("report.xml");
    let output = run(&["policy", "test", &file, "--junit", path(&report)]);
    assert_eq!(output.status.code(), Some(1));
    let xml = fs::read_to_string(&report).expect("it was written");
    for part in [
        "<testsuites name=\"tidegate\" tests=\"2\" failures=\"1\">",
        "<testsuite name=\"own\" file=\"",
        "<testcase classname=\"own\" name=\"follows\" file=\"",
        "<failure type=\"steps[1].expect.parallelism.enrich\" message=\"expected 4, got 1",
        "name=\"is &lt;calm&gt;\"",
    ] {
        assert!(xml.contains(part), "{part}\n{xml}");
    }
    let printed = run(&["policy", "test", &file, "-o", "junit"]);
    assert_eq!((printed.status.code(), text(&printed.stdout)), (Some(1), xml));
    let only = run(&["policy", "test", &file, "--only", "calm"]);
    assert!(only.status.success() && text(&only.stdout).ends_with("1 passed, 0 failed\n"));
}

#[test]
fn a_policy_without_tests_says_so() {
    let (_dir, file) = written("own.yaml", &policy("  []\n"));
    let output = run(&["policy", "test", &file]);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), format!("{file}: policy own has no tests to run\n0 passed, 0 failed\n"));
}

#[test]
fn mistakes_in_tests_name_their_line_and_what_may_have_been_meant() {
    let tests = "\
- name: a
  job: {vertices: [{name: orders, rate: 500}, {name: enrich, serviceTime: 4}]}
  expect: {parallelism: {enrch: 2}, reason: TargetRateAboveCapcity, decidedBy: throughputt}
- name: b
  scenario: dmeo
  expect: {held: Cooldwon}
";
    let (_dir, file) = written("own.yaml", &policy(tests));
    for command in ["test", "lint"] {
        let output = run(&["policy", command, &file]);
        let said = text(if command == "test" { &output.stderr } else { &output.stdout });
        assert_eq!(output.status.code(), Some(2), "{said}");
        for part in [
            ":10:75: ",
            ":11:45: ",
            "unknown reason `TargetRateAboveCapcity`; did you mean `TargetRateAboveCapacity`?",
            "unknown decidedBy `throughputt`; did you mean `throughput`?",
            ":13:13: ",
            "unknown scenario `dmeo`; did you mean `demo`?",
            "unknown hold `Cooldwon`; did you mean `Cooldown`?",
        ] {
            assert!(said.contains(part), "{command}: {part}\n{said}");
        }
    }
    let named = policy(&TRIPLES.replace("enrich: EXPECTED", "enrch: 2"));
    let (_dir, file) = written("own.yaml", &named);
    let err = text(&run(&["policy", "test", &file]).stderr);
    let says =
        ":18:28: tests[0].steps[1].expect.parallelism.enrch: unknown vertex `enrch`; did you mean `enrich`?";
    assert!(err.contains(says), "{err}");
}

#[test]
fn what_is_unwise_is_a_warning_unless_told_otherwise() {
    let unwise = policy("  []\n").replace("{cooldown: 2m}", "{cooldown: 3h}");
    let (_dir, file) = written("own.yaml", &unwise);
    let says = format!(
        "{file}:7:11: warning: spec.limits.rescales.max: 12 rescales with a cooldown of 3h between them do not fit into 1d: \
         the budget is never spent; lower max or the cooldown\n1 file: 0 errors, 1 warning\n"
    );
    let lint = run(&["policy", "lint", &file]);
    assert_eq!((lint.status.code(), text(&lint.stdout)), (Some(0), says));
    let strict = run(&["policy", "lint", &file, "--strict", "-o", "json"]);
    let json: Value = serde_json::from_slice(&strict.stdout).expect("JSON");
    assert_eq!(
        (strict.status.code(), &json["findings"][0]["severity"]),
        (Some(1), &"warning".into()),
        "{json}"
    );
    assert_eq!(json["findings"][0]["line"], 7);
}

#[test]
fn shows_what_comes_with_the_program() {
    let file = fs::read_to_string("policies/cautious.yaml").expect("it is there");
    assert_eq!(text(&run(&["policy", "show", "cautious"]).stdout), file);
    let list = text(&run(&["policy", "show"]).stdout);
    assert!(list.lines().nth(1).is_some_and(|line| line.starts_with("throughput ")), "{list}");
    let wrong = run(&["policy", "show", "cautios"]);
    assert_eq!(
        (wrong.status.code(), text(&wrong.stderr).as_str()),
        (Some(2), "tidegate: error: no built-in policy \"cautios\"; did you mean `cautious`?\n")
    );
}

#[test]
fn lint_says_what_promtool_says_of_a_query_and_nothing_without_promtool() {
    let (dir, file) = written(
        "queries.yaml",
        r#"
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: own}
spec:
  rules:
  - prometheus: {query: 'sum(lag{job="${job}"}) by job', target: {type: Value, value: "1"}}
  - prometheus: {query: 'sum(lag{job="${job}"})', target: {type: Value, value: "1"}}
  - prometheus:
      query: |
        sum(lag)
          by job
      target: {type: Value, value: "1"}
"#,
    );
    let lint = run(&["policy", "lint", &file]);
    let out = text(&lint.stdout);
    assert_eq!(lint.status.code(), Some(2), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    let says = [
        ":7:52: error: spec.rules[0].prometheus.query: promtool says: 1:27: parse error: unexpected identifier",
        ": error: spec.rules[2].prometheus.query: promtool says: 2:6: parse error: ",
        "1 file: 2 errors, 0 warnings",
    ];
    assert_eq!(lines.len(), says.len(), "{out}");
    assert!(lines.iter().zip(says).all(|(line, says)| line.contains(says)), "{out}");
    assert!(lines[1].contains("queries.yaml:10:") || lines[1].contains("queries.yaml:11:"), "{out}");

    let mut without = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let lint = without.env("PATH", dir.path()).args(["policy", "lint", &file]).output().expect("it starts");
    assert_eq!(
        (lint.status.code(), text(&lint.stdout)),
        (Some(0), "1 file: 0 errors, 0 warnings\n".to_owned())
    );
}
