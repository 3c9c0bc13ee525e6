//! Does Tidegate compute what the autoscalers compute whose words and settings it takes over?
//!
//! Runs every vector (inputs and the expected result, as data) through the public functions, and ends with a tally. The
//! vectors are read from the folder `TIDEGATE_VECTORS`, or else from `tests/vectors`. It is a program of its own and no
//! `#[test]`, so that the tallies are the last lines whatever the options are.

mod ds2;
mod flink_autoscaler;
mod frame;
mod hpa;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use frame::{Folder, Suite, run};

/// In the order in which the tallies are printed.
const SUITES: [&Suite; 3] = [&hpa::SUITE, &flink_autoscaler::SUITE, &ds2::SUITE];

fn main() -> io::Result<ExitCode> {
    frame::judge_itself();
    let folder = match std::env::var_os("TIDEGATE_VECTORS") {
        Some(folder) => Folder::given(PathBuf::from(folder)),
        None => Folder::own(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors"))),
    };
    let report = run(&folder, &SUITES);
    write!(io::stdout().lock(), "{report}")?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
