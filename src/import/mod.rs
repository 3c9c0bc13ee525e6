//! What people had before, as what they would write here: an HPA, a KEDA ScaledObject, `job.autoscaler.*` options.
//!
//! Comes in: [`Source`]s, which somebody else has read, and what they do not say of the job ([`Fill`]). Goes out: for each
//! scaler in them a FlinkAutoscaler and a ScalingPolicy that do the same, and a [`Note`] on everything that has no equal, that
//! was a choice, or that is to be filled in. This module must never leave anything out without saying so, and never
//! make a document that [`load`](crate::config::load) turns away.

mod behavior;
mod conf;
mod draft;
mod fields;
mod flink;
mod hpa;
mod keda;
mod metrics;
mod note;
mod options;

use std::collections::BTreeSet;

use serde::Serialize;

pub use draft::Translation;
pub use note::{Made, Note, NoteKind};

use crate::config::{ConfigError, ConfigErrors, Node, Position, Problem, Source, Value, parse};
use crate::model::Hint;
use draft::Draft;
use fields::{Field, Fields};

/// What no source says of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// The URL of Flink's REST endpoint.
    pub url: Option<String>,
    /// The job's name or id.
    pub job: Option<String>,
    /// What the options of the operator's autoscaler become.
    pub rule: AutoscalerRule,
}

/// What the options of the operator's autoscaler become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoscalerRule {
    /// The rule that computes what the operator would.
    #[default]
    FlinkAutoscaler,
    /// Tidegate's own rule, with what the options mean.
    Throughput,
}

/// What came of some files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// A translation for each scaler, in the order of the files.
    pub translations: Vec<Translation>,
    /// The documents in which there is nothing to translate.
    pub skipped: Vec<Skipped>,
}

/// A document in which there is nothing to translate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// Its file.
    pub file: String,
    /// Its line there, from 1.
    pub line: usize,
    /// What it is, and why it is left out.
    pub why: String,
}

/// The kinds that are translated.
const KINDS: [&str; 4] = [hpa::KIND, keda::KIND, flink::DEPLOYMENT, flink::SESSION_JOB];

/// Translates all scalers of these files.
///
/// # Errors
/// What cannot be read of each document, or that there is nothing in the files that can be translated.
pub fn import(files: &[Source], fill: &Fill) -> Result<Imported, ConfigErrors> {
    let (mut imported, mut errors) = (Imported::default(), Vec::new());
    for source in files {
        match roots(source) {
            Ok(roots) => {
                for root in roots.iter().filter(|root| root.value != Value::Null) {
                    if let Err(error) = document(&Field::document(source, root), fill, &mut imported) {
                        errors.push(error);
                    }
                }
            }
            Err(broken) => errors.extend(broken.into_iter().next()),
        }
    }
    own_names(&mut imported.translations);
    errors.extend(two_for_one_job(&imported.translations, files, fill));
    if errors.is_empty() && imported.translations.is_empty() {
        errors.extend(nothing(&imported, files));
    }
    ConfigErrors::unless_any(errors, imported)
}

/// The documents of a file.
fn roots(source: &Source) -> Result<Vec<Node>, Vec<ConfigError>> {
    if conf::is_named(source) {
        conf::parse(source).map(|root| vec![root]).map_err(|error| vec![error])
    } else {
        parse(source)
    }
}

/// Translates a document, or the items of a list of documents.
fn document(document: &Field<'_>, fill: &Fill, imported: &mut Imported) -> Result<(), ConfigError> {
    let fields = document.fields()?;
    let Some(kind) = fields.get("kind") else {
        let draft = flink::configuration(document, fill)?;
        let why_not = "neither a Kubernetes resource (no `kind`) nor a Flink configuration with a `job.autoscaler.*` option";
        keep(draft, &fields, why_not, imported);
        return Ok(());
    };
    let name = kind.name()?;
    let draft = match name.as_str() {
        hpa::KIND => Some(hpa::translate(&fields, fill)?),
        keda::KIND => Some(keda::translate(&fields, fill)?),
        flink::DEPLOYMENT | flink::SESSION_JOB => flink::resource(&fields, &name, fill)?,
        list if list.ends_with("List") && fields.get("items").is_some() => {
            for item in fields.need("items", "what is in the list")?.items()? {
                self::document(&item, fill, imported)?;
            }
            return Ok(());
        }
        other => {
            imported.skipped.push(skipped(&kind, of_no_use(other)));
            return Ok(());
        }
    };
    keep(draft, &fields, &format!("the {name} sets no `job.autoscaler.*` option"), imported);
    Ok(())
}

fn keep(draft: Option<Draft<'_>>, fields: &Fields<'_>, why_not: &str, imported: &mut Imported) {
    match draft {
        Some(draft) => imported.translations.push(draft.finish()),
        None => imported.skipped.push(skipped(&fields.this, why_not.to_owned())),
    }
}

fn skipped(at: &Field<'_>, why: String) -> Skipped {
    Skipped { file: at.file().to_owned(), line: at.line, why }
}

/// Why a kind is left out: manifests hold Services and the like beside what scales them.
fn of_no_use(name: &str) -> String {
    let hint = match Hint::new(name, KINDS) {
        // A Deployment is no FlinkDeployment that was written in haste.
        Hint::Nearest(near) if near.ends_with(name) => Hint::OneOf(KINDS.map(str::to_owned).to_vec()),
        hint => hint,
    };
    format!("the kind `{name}` is none that is imported; {hint}")
}

/// Two scalers of one job would become two autoscalers that work against each other.
fn two_for_one_job(translations: &[Translation], files: &[Source], fill: &Fill) -> Vec<ConfigError> {
    let job = |t: &Translation| (t.autoscaler.spec.flink.url.clone(), t.autoscaler.spec.flink.job.clone());
    let is_filled = fill.url.is_some() || fill.job.is_some();
    let mut errors = Vec::new();
    for (index, second) in translations.iter().enumerate() {
        let same = |first: &&Translation| is_filled || job(first) == job(second);
        let Some(first) = translations[..index].iter().find(same) else { continue };
        let other = format!("{} at {}:{}", first.called, first.file, first.line);
        let what = if is_filled {
            format!(
                "the URL or job that was given can be that of one scaler, and there is {other} as well; import one at a time"
            )
        } else {
            format!("{} scales the same job as {other}; import one of them", second.called)
        };
        errors.extend(at_line(files, &second.file, second.line, Problem::Rejected(what)));
    }
    errors
}

fn at_line(files: &[Source], file: &str, line: usize, problem: Problem) -> Option<ConfigError> {
    let file = files.iter().find(|source| source.name() == file)?;
    Some(file.error(Position { line, column: 1 }, "", problem))
}

/// Why nothing came of any file.
fn nothing(imported: &Imported, files: &[Source]) -> Vec<ConfigError> {
    let of = |skipped: &Skipped| {
        at_line(files, &skipped.file, skipped.line, Problem::Rejected(skipped.why.clone()))
    };
    let errors: Vec<ConfigError> = imported.skipped.iter().filter_map(of).collect();
    if errors.is_empty() {
        let what = Problem::Unsupported(
            "nothing in it; expected a HorizontalPodAutoscaler, a ScaledObject, a FlinkDeployment or a Flink configuration",
        );
        return files.first().map(|file| file.error(Position::START, "", what)).into_iter().collect();
    }
    errors
}

/// Gives a translation another name whose name is taken in its namespace: an HPA and a ScaledObject may be called alike.
fn own_names(translations: &mut [Translation]) {
    let (mut taken, most) = (BTreeSet::new(), translations.len() + 1);
    for translation in translations {
        let metadata = translation.autoscaler.metadata.clone();
        let name = (1..=most)
            .map(|n| if n == 1 { metadata.name.clone() } else { format!("{}-{n}", metadata.name) })
            .find(|name| taken.insert((metadata.namespace.clone(), name.clone())));
        if let Some(name) = name.filter(|name| *name != metadata.name) {
            translation.rename(&name);
        }
    }
}
