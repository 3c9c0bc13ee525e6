//! `tidegate import`

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::exit::{Exit, Failure, OrExit as _};
use super::{files, yaml};
use crate::config::{Source, is_endpoint};
use crate::import::{AutoscalerRule, Fill, Imported, Made, Note, NoteKind, Skipped, Translation, import};

/// Turn an HPA, a KEDA ScaledObject or `job.autoscaler.*` options into a FlinkAutoscaler and a ScalingPolicy
///
/// Reads HorizontalPodAutoscalers, ScaledObjects, FlinkDeployments and FlinkSessionJobs, also in lists as kubectl prints them,
/// and Flink configurations. Comments say what has no equal, what was a choice, and what is to be filled in.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate import hpa.yaml --flink http://flink-jobmanager:8081 > orders.yaml
  kubectl get hpa.v2.autoscaling orders -o yaml | tidegate import -
  tidegate import conf/config.yaml --job orders -o json")]
pub(super) struct Args {
    /// Manifests and Flink configurations; `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The URL of Flink's REST endpoint, which an HPA and a ScaledObject do not name
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    flink: Option<String>,
    /// The job's name or id; not needed where the cluster runs one job
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    job: Option<String>,
    /// What `job.autoscaler.*` options become
    #[arg(long, value_name = "RULE", default_value = "flink-autoscaler")]
    rule: AsRule,
    /// The form of what is printed
    #[arg(short, long, value_name = "FORM", default_value = "yaml")]
    output: Form,
}

/// What `job.autoscaler.*` options become.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum AsRule {
    /// The rule that computes what the Flink operator would; the other is in a comment.
    FlinkAutoscaler,
    /// Tidegate's own rule, with what the options mean.
    Throughput,
}

/// The form of what is printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    /// Documents with comments, to be looked through and run.
    Yaml,
    /// The documents and the notes, for programs.
    Json,
}

/// Comments are no wider than this, so that with their indentation they fit on a screen.
const WIDTH: usize = 100;

fn endpoint(text: &str) -> Result<String, String> {
    is_endpoint(text).map(|()| text.to_owned())
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let sources = args.files.iter().map(|path| source(path)).collect::<Result<Vec<_>, _>>()?;
    let rule = match args.rule {
        AsRule::FlinkAutoscaler => AutoscalerRule::FlinkAutoscaler,
        AsRule::Throughput => AutoscalerRule::Throughput,
    };
    let fill = Fill { url: args.flink.clone(), job: args.job.clone(), rule };
    let imported = import(&sources, &fill).or_exit(Exit::Usage)?;
    let text = match args.output {
        Form::Yaml => as_yaml(&imported),
        Form::Json => as_json(&imported)?,
    };
    io::stdout().lock().write_all(text.as_bytes()).or_exit(Exit::Failed)?;
    Ok(Exit::Done)
}

fn source(path: &Path) -> Result<Source, Failure> {
    if path != Path::new("-") {
        return files::source(path);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input").or_exit(Exit::Usage)?;
    Source::from_bytes("-", bytes).or_exit(Exit::Usage)
}

fn as_json(imported: &Imported) -> Result<String, Failure> {
    let documents: Vec<Value> = imported.translations.iter().flat_map(Translation::documents).collect();
    let notes: Vec<Value> = imported.translations.iter().flat_map(notes).collect();
    let all = json!({"documents": documents, "notes": notes, "skipped": imported.skipped});
    serde_json::to_string_pretty(&all).map(|text| text + "\n").or_exit(Exit::Failed)
}

/// The notes with the name of the document that each is of.
fn notes(translation: &Translation) -> impl Iterator<Item = Value> {
    translation.notes.iter().map(|note| {
        let mut value = json!(note);
        value["name"] = translation.autoscaler.metadata.name.clone().into();
        value
    })
}

fn as_yaml(imported: &Imported) -> String {
    let mut text = String::new();
    for Skipped { file, line, why } in &imported.skipped {
        wrap(&format!("{file}:{line}: left out: {why}."), |line| text.extend(["# ", line, "\n"]));
    }
    for translation in &imported.translations {
        let [autoscaler, policy] = translation.documents();
        for (made, document) in [(Made::FlinkAutoscaler, autoscaler), (Made::ScalingPolicy, policy)] {
            let mut comments = yaml::Comments::new();
            if made == Made::FlinkAutoscaler {
                let Translation { called, file, line, .. } = translation;
                comments.entry(String::new()).or_default().push(format!("From {called}, {file}:{line}."));
            }
            for note in translation.notes.iter().filter(|note| note.of == made) {
                comment(note, comments.entry(note.at.clone()).or_default());
            }
            text.push_str("---\n");
            text.push_str(&yaml::with_comments(&document, &comments));
        }
    }
    text
}

/// A note as lines of a comment.
fn comment(note: &Note, lines: &mut Vec<String>) {
    let kind = match note.kind {
        NoteKind::FillIn => "FILL IN: ",
        NoteKind::NoEqual => "NO EQUAL: ",
        NoteKind::Choice => "",
    };
    let field =
        if note.field.is_empty() { String::new() } else { format!("{} (line {}): ", note.field, note.line) };
    let mut text = format!("{kind}{field}{}", note.text);
    // What begins a comment is written large, unless it is the name of a field.
    let is_word = text.split(' ').next().is_some_and(|word| word.bytes().all(|b| b.is_ascii_lowercase()));
    if let Some(first) = text.get_mut(..1).filter(|_| is_word) {
        first.make_ascii_uppercase();
    }
    wrap(&text, |line| lines.push(line.to_owned()));
    if let Some(instead) = &note.instead {
        // As an item of the list that it belongs to, so that it is one without the `#`.
        let item = Value::Array(vec![instead.clone()]);
        lines.extend(yaml::to_string(&item).lines().map(str::to_owned));
    }
}

/// Breaks a text into lines between its words. What could end a comment early is a blank here.
fn wrap(text: &str, mut each: impl FnMut(&str)) {
    let mut line = String::new();
    for word in
        text.split(|c: char| c == ' ' || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'))
    {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            each(&line);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    each(&line);
}
