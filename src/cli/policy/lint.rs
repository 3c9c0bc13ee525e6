//! `tidegate policy lint`

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use serde::Serialize;

use super::promql::{Mistake, mistakes};
use crate::cli::args::OutputArgs;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::files;
use crate::cli::output::Show;
use crate::config::{ConfigError, Library, Position, Warning, lint};
use crate::policy::PrometheusRef;

/// Say what is wrong with configuration files, and what is legal and unwise
///
/// Ends with 2 when anything is wrong, and with 1 when --strict is given and anything is unwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate policy lint my-policy.yaml orders.yaml --prometheus http://prometheus:9090
  tidegate policy lint policies/ --strict -o json")]
pub(super) struct Args {
    /// Files with policies and FlinkAutoscalers, or directories of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Fail when anything is unwise
    #[arg(long)]
    strict: bool,
    /// A Prometheus (or what speaks its API) that is to read the queries of `prometheus` rules; promtool does, where it is on
    /// PATH, without this
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// All that was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Linted {
    files: usize,
    errors: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    severity: Severity,
    file: String,
    line: usize,
    column: usize,
    path: String,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Error,
    Warning,
}

impl Finding {
    fn new(severity: Severity, file: &str, at: Position, path: String, message: String) -> Self {
        Self { severity, file: file.to_owned(), line: at.line, column: at.column, path, message }
    }
}

impl From<ConfigError> for Finding {
    fn from(error: ConfigError) -> Self {
        let ConfigError { file, at, path, problem } = error;
        Self::new(Severity::Error, &file, at, path, problem.to_string())
    }
}

impl From<Mistake> for Finding {
    fn from(Mistake { place, path, said }: Mistake) -> Self {
        Self::new(Severity::Error, &place.file, place.at, path, said)
    }
}

impl From<Warning> for Finding {
    fn from(warning: Warning) -> Self {
        let Warning { place, path, advice } = warning;
        Self::new(Severity::Warning, &place.file, place.at, path, advice.to_string())
    }
}

impl Show for Linted {
    fn show(&self) -> String {
        let mut text = String::new();
        for Finding { severity, file, line, column, path, message } in &self.findings {
            let severity = match severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
            let _ = writeln!(text, "{file}:{line}:{column}: {severity}: {path}{message}");
        }
        let many = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let (errors, warnings) = (many(self.errors, "error"), many(self.warnings, "warning"));
        let _ = write!(text, "{}: {errors}, {warnings}", many(self.files, "file"));
        text
    }
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let sources = files::sources(&args.files)?;
    let mut findings: Vec<Finding> = match lint(&sources, &Library::built_in()) {
        Ok(warnings) => warnings.into_iter().map(Finding::from).collect(),
        Err(errors) => errors.into_iter().map(Finding::from).collect(),
    };
    let server = args.prometheus.as_ref().map(PrometheusRef::at);
    findings.extend(mistakes(&sources, server.as_ref())?.into_iter().map(Finding::from));
    findings.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let linted = Linted { files: sources.len(), errors, warnings, findings };
    args.output.output.print(&mut io::stdout().lock(), &linted).or_exit(Exit::Failed)?;
    Ok(match (errors, warnings) {
        (0, 0) => Exit::Done,
        (0, _) if args.strict => Exit::Failed,
        (0, _) => Exit::Done,
        _ => Exit::Usage,
    })
}
