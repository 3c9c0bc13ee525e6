//! The alerts in `deploy/monitoring`, held by Prometheus' own promtool; and the dashboard, by what it must be to be loaded.
//!
//! Its queries are run in tests/real/metrics.rs, where there is something to see.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn promtool(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = Command::new("promtool").args(arguments).current_dir(root).output();
    let run = run.expect("promtool is on PATH: tests/testbed/install-prometheus sees to that");
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[test]
fn the_alerts_are_well_formed_and_fire_when_they_are_to() {
    promtool(&["check", "rules", "deploy/monitoring/alerts.yaml"]);
    promtool(&["test", "rules", "tests/monitoring/alerts.yaml"]);
}

#[test]
fn every_alert_has_a_test_in_which_it_fires() {
    let read = |path: &str| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it can be read")
    };
    let alerts = read("deploy/monitoring/alerts.yaml");
    let tests = read("tests/monitoring/alerts.yaml");
    let names = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        let fires = tests
            .split("eval_time:")
            .any(|test| test.contains(&format!("alertname: {name}\n")) && test.contains("exp_labels"));
        assert!(fires, "no test in which {name} fires");
    }
}

/// By Grafana's own SDK, in Go: where there is no Go, the rest of the tests here is what holds it.
#[test]
fn the_dashboard_is_of_grafanas_schema() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/monitoring/dashboard");
    let dashboard = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring/dashboard.json");
    let known = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::split_paths(&known).chain(["/usr/local/go/bin".into()]);
    let Some(go) = paths.map(|folder| folder.join("go")).find(|go| go.is_file()) else {
        println!("not run: there is no Go here");
        return;
    };
    // A go.mod stays as it is committed, and no workspace that lies above takes part.
    let check = |file: &Path| {
        let mut check = Command::new(&go);
        check.args(["run", "."]).arg(file).current_dir(&folder);
        let run = check.envs([("GOWORK", "off"), ("GOFLAGS", "-mod=readonly")]).output().expect("Go runs");
        (run.status.success(), String::from_utf8_lossy(&run.stderr).into_owned())
    };
    let (is_good, said) = check(&dashboard);
    assert!(is_good, "{said}");

    let text = fs::read_to_string(&dashboard).expect("it can be read");
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&file, text.replacen("\"graphTooltip\"", "\"graphToolTip\"", 1)).expect("it can be written");
    let (is_good, said) = check(file.path());
    assert!(!is_good && said.contains("graphToolTip"), "{said}");
}

#[test]
fn the_dashboard_can_be_loaded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring/dashboard.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(path).expect("it can be read")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "ids are unique");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        let at = |field: &str| panel["gridPos"][field].as_u64().expect("a place");
        for (x, y) in
            (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(x < 24 && taken.insert((x, y)), "{title} lies over another, or beyond the edge");
        }
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{title} shows nothing");
        for target in targets {
            assert!(target["expr"].as_str().is_some_and(|expr| expr.contains("tidegate_")), "{title}");
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}
