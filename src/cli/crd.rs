//! `tidegate crd`

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::exit::{Exit, Failure, OrExit as _};
use super::yaml;
use crate::crd::definitions;

/// Print the CustomResourceDefinitions of FlinkAutoscaler and ScalingPolicy
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate crd | kubectl apply --server-side -f -
  tidegate crd | kubectl diff --server-side -f -")]
pub(super) struct Args {
    /// How it is written
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// How definitions are written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Form {
    /// YAML documents
    #[default]
    Yaml,
    /// One JSON list
    Json,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let text = match args.output {
        Form::Yaml => files().map(|(_, text)| text).join("---\n"),
        Form::Json => {
            format!("{:#}\n", json!({"apiVersion": "v1", "kind": "List", "items": definitions()}))
        }
    };
    io::stdout().lock().write_all(text.as_bytes()).or_exit(Exit::Failed)?;
    Ok(Exit::Done)
}

const HEAD: &str = "# Written by `tidegate crd`; do not edit.\n";

/// The definitions as the files that are kept of them: names and texts.
pub fn files() -> [(String, String); 2] {
    definitions().map(|definition| {
        let plural = definition.pointer("/spec/names/plural").and_then(Value::as_str).unwrap_or_default();
        (format!("{plural}.yaml"), format!("{HEAD}{}", yaml::to_string(&definition)))
    })
}
