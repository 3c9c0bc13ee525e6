//! `tidegate policy test`

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use super::junit;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::files;
use crate::cli::output::{Column, Output, Show, Table};
use crate::config::{PolicyFile, load_policies};
use crate::policy::Span;
use crate::policytest::{self, TestRun, Unmet};

/// Run the tests in policies, on a simulated Flink
///
/// Ends with 1 when a test failed. No cluster is needed, and no time passes but the simulated.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate policy test policies/*.yaml
  tidegate policy test my-policy.yaml --junit report.xml")]
pub(super) struct Args {
    /// Files with policies, or directories of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Run only the tests that have this in their names
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The form of what is printed
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Form,
    /// Write a report in JUnit's XML as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// The form of what is printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs, and people.
    Yaml,
    /// For whatever gathers the results of tests.
    Junit,
}

/// What came of all tests.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) policies: Vec<Tested>,
}

/// What came of a policy's tests.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tested {
    pub(super) policy: String,
    pub(super) file: String,
    pub(super) tests: Vec<Row>,
}

/// What came of one test.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) passed: bool,
    pub(super) line: usize,
    pub(super) simulated: Span,
    pub(super) expected: usize,
    pub(super) failures: Vec<Failed>,
}

/// One thing that was expected and did not come about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Failed {
    pub(super) line: usize,
    pub(super) column: usize,
    #[serde(flatten)]
    pub(super) unmet: Unmet,
}

impl Failed {
    /// What was expected and what there was, on one line.
    pub(super) fn line(&self, file: &str, test: &str) -> String {
        let Self { line, column, unmet: Unmet { path, after, expected, got, trail: _ } } = self;
        format!("{file}:{line}:{column}: {test:?}: {path}: expected {expected}, got {got} (after {after})")
    }
}

impl Report {
    fn new(policies: Vec<Tested>) -> Self {
        let count =
            |passed| policies.iter().flat_map(|p| &p.tests).filter(|row| row.passed == passed).count();
        Self { passed: count(true), failed: count(false), policies }
    }
}

impl Show for Report {
    fn show(&self) -> String {
        let mut table = Table::new(&[
            Column::Left("POLICY"),
            Column::Left("TEST"),
            Column::Right("SIMULATED"),
            Column::Right("EXPECTED"),
            Column::Left("RESULT"),
        ]);
        for Tested { policy, file: _, tests } in &self.policies {
            for row in tests {
                let result = if row.passed { "passed" } else { "FAILED" };
                let cells =
                    [policy, &row.name, &row.simulated.to_string(), &row.expected.to_string(), result];
                table.row(cells.map(str::to_owned));
            }
        }
        let mut text = if self.passed + self.failed > 0 { format!("{table}\n\n") } else { String::new() };
        for Tested { policy: _, file, tests } in &self.policies {
            for (row, failed) in
                tests.iter().flat_map(|row| row.failures.iter().map(move |failed| (row, failed)))
            {
                let _ = writeln!(text, "{}", failed.line(file, &row.name));
                for line in &failed.unmet.trail {
                    let _ = writeln!(text, "    {line}");
                }
                text.push('\n');
            }
        }
        for Tested { policy, file, .. } in self.policies.iter().filter(|tested| tested.tests.is_empty()) {
            let _ = writeln!(text, "{file}: policy {policy} has no tests to run");
        }
        let _ = write!(text, "{} passed, {} failed", self.passed, self.failed);
        text
    }
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let policies = load_policies(&files::sources(&args.files)?).or_exit(Exit::Usage)?;
    let tested = policies.iter().map(|policy| tested(policy, args.only.as_deref()));
    let report = Report::new(tested.collect::<Result<_, _>>()?);
    if let Some(path) = &args.junit {
        let cannot = || format!("cannot write {}", path.display());
        fs::write(path, junit::to_xml(&report)).with_context(cannot).or_exit(Exit::Usage)?;
    }
    let mut out = io::stdout().lock();
    match args.output {
        Form::Table => Output::Table.print(&mut out, &report),
        Form::Json => Output::Json.print(&mut out, &report),
        Form::Yaml => Output::Yaml.print(&mut out, &report),
        Form::Junit => out.write_all(junit::to_xml(&report).as_bytes()),
    }
    .or_exit(Exit::Failed)?;
    Ok(if report.failed == 0 { Exit::Done } else { Exit::Failed })
}

/// Runs the tests of a policy that have `only` in their names.
fn tested(file: &PolicyFile, only: Option<&str>) -> Result<Tested, Failure> {
    let policy = &file.policy;
    let wanted = policy.tests.iter().enumerate();
    let wanted = wanted.filter(|(_, test)| only.is_none_or(|text| test.name.contains(text)));
    let rows = wanted.map(|(index, test)| {
        let run = policytest::run(test, &policy.spec).or_exit(Exit::Usage)?;
        Ok(row(file, index, run))
    });
    Ok(Tested {
        policy: policy.metadata.name.clone(),
        file: file.file().to_owned(),
        tests: rows.collect::<Result<_, Failure>>()?,
    })
}

fn row(file: &PolicyFile, index: usize, run: TestRun) -> Row {
    let failed = |unmet: Unmet| {
        let at = file.place(&format!("tests[{index}].{}", unmet.path)).at;
        Failed { line: at.line, column: at.column, unmet }
    };
    Row {
        passed: run.passed(),
        line: file.place(&format!("tests[{index}]")).at.line,
        name: run.test,
        simulated: run.simulated,
        expected: run.expected,
        failures: run.unmet.into_iter().map(failed).collect(),
    }
}
