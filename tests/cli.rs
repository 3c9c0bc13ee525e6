//! The program as its users meet it: what it prints, where, and the code it ends with.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The program, with nothing of the environment that could change what it does.
fn tidegate(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for name in
        ["TIDEGATE_LOG", "TIDEGATE_LOG_FORMAT", "TIDEGATE_STATE_DIR", "TIDEGATE_JOURNAL_DIR", "RUST_LOG"]
    {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    tidegate(args).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints text")
}

/// Nobody listens at port 1.
const NOBODY: &str = "http://127.0.0.1:1";

fn autoscaler(url: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {{name: orders, namespace: streams}}\n\
         spec:\n  flink: {{url: '{url}', job: orders, poll: 1s, timeout: 2s}}\n"
    )
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

#[test]
fn each_mistake_is_one_line_and_its_exit_code() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str, content: &str| {
        let file = dir.path().join(name);
        fs::write(&file, content).expect("writable");
        path(&file).to_owned()
    };
    let gone = path(&dir.path().join("gone")).to_owned();
    let unbounded = at("bounds.yaml", &(autoscaler(NOBODY) + "  parallelism: {min: 9, max: 3}\n"));
    let version = at("version.jsonl", "{\"journal\":7}\n");
    let page = at("page.jsonl", "<html>\n");
    let rows: &[(&[&str], i32, &str)] = &[
        (
            &["demo", "--sped", "9"],
            2,
            "unexpected argument '--sped' found; tip: a similar argument exists: '--speed'",
        ),
        (&["demo", "--speed", "0"], 2, "expected a number from 0.001 to 1000000, or max"),
        (&["demo", "--for", "10 minutes"], 2, "expected a length of time such as 90s, 5m or 1h30m"),
        (
            &["demo", "--policy", "nope"],
            2,
            "policy \"nope\" is no built-in one (throughput, backlog, business-hours, cautious, cpu, flink-autoscaler): cannot read nope",
        ),
        (&["demo", "--journal", "/nowhere/x"], 2, "cannot write /nowhere/x: No such file or directory"),
        (&["simulate", &gone], 2, "is no built-in one (demo, session, diamond, burn): cannot read"),
        (
            &["simulate", "demo", "--listen", "127.0.0.1:0", "--speed", "max"],
            2,
            "--speed max has no meaning with --listen",
        ),
        (&["recommend"], 2, "required arguments were not provided: --flink <URL>"),
        (&["recommend", "--flink", NOBODY], 3, "connection refused"),
        (&["recommend", "--flink", "flink:8081"], 2, "expected http://HOST:PORT"),
        (&["recommend", "--flink", "http://a:b@flink"], 2, "flink.tokenFile"),
        (&["recommend", "--flink", NOBODY, "--ca-file", &gone], 2, "No such file or directory"),
        (&["run", "--config", &gone], 2, "cannot read"),
        (&["run", "--config", &unbounded], 2, "bounds.yaml:6:22: spec.parallelism.min: 9 is above max 3"),
        (&["replay", &gone], 2, "cannot read"),
        (&["replay", &page], 2, "page.jsonl: not a journal of Tidegate: its first line is no header"),
        (
            &["replay", &version],
            2,
            "version.jsonl: line 1: a journal of version 7, where this Tidegate reads version 1",
        ),
        (&["explain", "orders", "--state-dir", &gone], 2, "journal/orders.jsonl"),
        (&["explain", "orders", "--at", "noon"], 2, "expected a time such as 2026-11-22T18:00:00Z"),
        (&["man", "nope"], 2, "no command \"nope\""),
        (&["completions", "tcl"], 2, "possible values: bash"),
        (&["--log", "=x=", "demo"], 2, "--log \"=x=\""),
        (&["frobnicate"], 2, "unrecognized subcommand 'frobnicate'"),
    ];
    for (args, code, says) in rows {
        let output = run(args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {err}");
        assert!(err.starts_with("tidegate: error: ") && err.contains(says), "{args:?}: {err}");
        assert_eq!((err.lines().count(), out.as_str()), (1, ""), "{args:?}: {err}");
    }
}

#[test]
fn all_mistakes_of_a_configuration_are_said_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("orders.yaml");
    let wrong = autoscaler("http://x").replace("job: orders, poll: 1s", "jbo: orders, poll: soon")
        + "  mode: Maybe\n";
    fs::write(&file, wrong).expect("writable");
    let output = run(&["run", "--config", path(&file)]);
    let err = text(&output.stderr);
    let places: Vec<_> =
        err.lines().filter_map(|line| line.split("orders.yaml:").nth(1)?.split(':').next()).collect();
    assert_eq!((output.status.code(), places), (Some(2), vec!["5", "5", "6"]), "{err}");
}

#[test]
fn prints_what_is_generated() {
    let version = run(&["--version"]);
    assert_eq!(text(&version.stdout), format!("tidegate {}\n", env!("CARGO_PKG_VERSION")));
    let schema: Value = serde_json::from_slice(&run(&["schema"]).stdout).expect("the schema is JSON");
    assert!(schema["$defs"]["FlinkAutoscaler"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&run(&["completions", shell]).stdout).contains("tidegate"), "{shell}");
    }
    assert!(text(&run(&["man", "run"]).stdout).contains("dry\\-run"));
    let dir = tempfile::tempdir().expect("a directory");
    assert!(run(&["man", "--dir", path(dir.path())]).status.success());
    assert!(dir.path().join("tidegate-recommend.1").exists());
}

#[test]
fn without_a_command_it_says_what_there_is() {
    let output = run(&[]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(err.contains("Usage: tidegate") && err.contains("recommend"), "{err}");
}

#[test]
fn the_demo_goes_up_and_down_and_can_be_replayed_and_explained() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("demo.jsonl");
    let journal = path(&file);
    let demo = run(&["demo", "--for", "10m", "--speed", "600", "-o", "json", "--journal", journal]);
    assert!(demo.status.success() && demo.stderr.is_empty(), "{}", text(&demo.stderr));
    let lines: Vec<Value> = text(&demo.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is an object"))
        .collect();
    let (last, decisions) = lines.split_last().expect("it prints something");
    let number = |field: &str| last["summary"][field].as_f64().unwrap_or(f64::NAN);
    let count = |field: &str| last["summary"][field].as_u64().unwrap_or(0);
    assert!(count("scaleUps") >= 1 && count("scaleDowns") >= 1, "{last}");
    assert_eq!(count("rescales"), count("scaleUps") + count("scaleDowns"), "{last}");
    assert!(number("slotSeconds") > 600.0 && number("secondsOverSlo") >= 0.0, "{last}");
    assert_eq!(decisions.len(), 120);
    let applied: Vec<&Value> = decisions.iter().filter(|line| line["outcome"] == "Applied").collect();
    assert_eq!(applied.len() as u64, count("rescales"));

    let replay = run(&["replay", journal]);
    assert_eq!(text(&replay.stdout), format!("{journal}: 120 decisions, 0 differ\n"));

    let explain =
        run(&["explain", "demo", "--journal", journal, "--at", applied[0]["at"].as_str().expect("a time")]);
    let told = text(&explain.stdout);
    for part in [
        "scale up now",
        "parse is short",
        "expects   parse: 5 -> ",
        "outcome   Applied",
        "ended     Done after",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let last: Value =
        serde_json::from_slice(&run(&["explain", "demo", "--journal", journal, "-o", "json"]).stdout)
            .expect("an explanation is JSON");
    assert!(!last["summary"]["planned"].as_array().expect("a list").is_empty(), "{last}");

    let other = run(&["explain", "orders", "--journal", journal]);
    assert!(text(&other.stderr).contains("is the journal of \"demo\", not of \"orders\""));
}

#[test]
fn a_replay_that_differs_fails_and_says_where() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("demo.jsonl");
    let journal = path(&file);
    assert!(run(&["demo", "--for", "1m", "--speed", "max", "--journal", journal]).status.success());
    let recorded = fs::read_to_string(&file).expect("readable");
    let cut = recorded.replacen("\"verdict\":\"Unchanged\"", "\"verdict\":\"Unobserved\"", 1);
    fs::write(&file, &cut[..cut.len() - 30]).expect("writable");
    let replay = run(&["replay", journal]);
    let out = text(&replay.stdout);
    assert_eq!(replay.status.code(), Some(1), "{out}");
    assert!(out.contains("11 decisions, 1 differ; the last line was cut off, and is left out"), "{out}");
    assert!(out.contains("/verdict was \"Unobserved\", and is now \"Unchanged\""), "{out}");
}

#[test]
fn as_lines_the_demo_says_what_changes() {
    let output = run(&["demo", "--for", "3m", "--speed", "max"]);
    let out = text(&output.stdout);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("TIME ") && !out.contains('\u{1b}'), "{out}");
    assert!(
        lines.iter().any(|line| line.contains("  Applied  ") && line.contains("parse is short")),
        "{out}"
    );
    assert!(lines.len() < 20, "a line for each change, not for each decision: {out}");
    assert!(out.contains("36 decisions in 03:00: 1 rescales (1 up, 0 down)"), "{out}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let demo =
        |seed: &str| run(&["demo", "--for", "5m", "--speed", "max", "-o", "json", "--seed", seed]).stdout;
    assert_eq!(demo("7"), demo("7"));
    assert_ne!(demo("7"), demo("8"));
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    for args in [
        &["demo", "--for", "1d", "--speed", "max", "-o", "json"][..],
        &["completions", "bash"],
        &["man", "run"],
    ] {
        let mut child =
            tidegate(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut first = String::new();
        let mut out = BufReader::with_capacity(64, child.stdout.take().expect("it is piped"));
        out.read_line(&mut first).expect("it prints a line");
        drop(out);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn what_could_not_be_brought_back_is_shown_and_goes_on_when_somebody_says_so() {
    use tidegate::daemon::store::Store;
    use tidegate::model::{Attempt, JobId, Parallelism, Resubmission, Stage, Timestamp, VertexId};
    use tidegate::record::State;

    let dir = tempfile::tempdir().expect("a directory");
    let dir = path(dir.path());
    let none = run(&["attempts", "--state-dir", dir]);
    assert_eq!(none.status.code(), Some(2), "{none:?}");
    assert!(text(&none.stderr).contains("holds no state of a daemon"), "{none:?}");

    let (job, at) = (JobId::from_bits(7), Timestamp::from_millis(1_795_000_000_000));
    let mut resubmission = Resubmission::new(job, at);
    resubmission.location = Some("file:/s/savepoint-1".to_owned());
    resubmission.detail = Some("there is no jar orders.jar".to_owned());
    resubmission.reach(Stage::Failed, at);
    let sizes = |size| [(VertexId::from_bits(1), Parallelism::clamped(size))].into();
    let attempt = Attempt::new(job, at, at, sizes(2), sizes(5));
    let attempt = Attempt { resubmission: Some(resubmission), ..attempt };
    let mut state = State::default();
    state.ledger.attempt = Some(attempt);
    let store = Store::open(Path::new(dir)).expect("it can be written");
    store.stage("streams/orders", &state).expect("it is JSON");
    store.commit().expect("it can be written");
    let held = run(&["attempts", "--state-dir", dir]);
    assert!(text(&held.stderr).contains("in use by process"), "{held:?}");
    drop(store);

    let shown = text(&run(&["attempts", "--state-dir", dir]).stdout);
    for part in [
        "streams/orders  2026-11-18",
        "Failed",
        "2 -> 5",
        "there is no jar orders.jar",
        "tidegate attempts resume streams/orders",
        "--fromSavepoint file:/s/savepoint-1",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for (autoscaler, code, said) in [
        ("orders", 2, "there are states of: streams/orders"),
        ("streams/orders", 0, "start the daemon"),
        ("streams/orders", 1, "it is Stopped"),
    ] {
        let resumed = run(&["attempts", "resume", autoscaler, "--state-dir", dir]);
        assert_eq!(resumed.status.code(), Some(code), "{resumed:?}");
        let all = text(&resumed.stdout) + &text(&resumed.stderr);
        assert!(all.contains(said), "{said}: {resumed:?}");
    }
    let listed = run(&["attempts", "--state-dir", dir, "-o", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed["attempts"][0]["state"], "Stopped", "{listed}");
}
