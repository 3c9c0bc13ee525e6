//! Tests that this machine cannot run say so: the test harness would call them `ok`.

use std::fs::OpenOptions;
use std::io::{Write, stderr};
use std::panic::Location;

/// Names the test that calls, and why it does not run, on the real standard error (not what the harness captures) and in
/// the file `TIDEGATE_NOT_RUN`, from which `tests/run` takes its summary.
#[track_caller]
pub(super) fn not_run(reason: &str) {
    let thread = std::thread::current();
    // With one thread tests run on the main one.
    let name = match thread.name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => Location::caller().to_string(),
    };
    let line = format!("NOT RUN: {name}: {reason}\n");
    stderr().write_all(line.as_bytes()).ok();
    if let Some(file) = std::env::var_os("TIDEGATE_NOT_RUN") {
        let file = OpenOptions::new().create(true).append(true).open(file);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("TIDEGATE_NOT_RUN names a file to write to");
    }
}
