//! From the text of files to autoscalers with their policies, or to all that is wrong with them.

use std::collections::BTreeMap;

use super::check::{check, unknown};
use super::consistency;
use super::document::{FlinkAutoscaler, ScalingPolicy};
use super::error::{ConfigError, ConfigErrors, Position, Problem};
use super::library::Library;
use super::options;
use super::policies;
use super::schema::json_schema;
use super::source::Source;
use super::yaml::{self, Node, Value};
use crate::policy::{AutoscalerSpec, PAUSE_ANNOTATION, Pause, Policy, PolicySpec};

/// What a configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The jobs that are scaled, in the order of the files.
    pub autoscalers: Vec<Autoscaler>,
}

/// How one job is scaled.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaler {
    /// The name; one of its kind in a namespace.
    pub name: String,
    /// The namespace.
    pub namespace: Option<String>,
    /// What the file says of the job.
    pub spec: AutoscalerSpec,
    /// What decides: the bounds of the job with the policy that the file names.
    pub policy: Policy,
}

/// A document that has been read, with its places, and whatever is wrong with it noted already.
pub(super) struct Document<'s> {
    pub(super) source: &'s Source,
    pub(super) root: Node,
    sound: bool,
}

/// Reads a configuration.
///
/// # Errors
/// All mistakes of all files, by file and place.
pub fn load(files: &[Source], library: &Library) -> Result<Config, ConfigErrors> {
    let (documents, mut errors) = read(files);
    errors.extend(consistency::check(&documents));
    if errors.is_empty() && !documents.iter().any(|document| document.kind() == Some(AUTOSCALER)) {
        errors
            .extend(files.first().map(|file| file.error(Position::START, "", Problem::Nothing(AUTOSCALER))));
    }
    let mut policies = Policies::new(&documents, library);
    let autoscalers = documents.iter().filter_map(|document| policies.autoscaler(document)).collect();
    errors.append(&mut policies.into_errors());
    ConfigErrors::unless_any(errors, Config { autoscalers })
}

/// Reads the one policy of a file.
///
/// # Errors
/// All mistakes of the file, or that it does not hold one policy.
pub fn load_policy(file: &Source) -> Result<ScalingPolicy, ConfigErrors> {
    let (documents, mut errors) = read(std::slice::from_ref(file));
    errors.extend(consistency::check(&documents));
    let mut policies = documents.iter().filter(|document| document.kind() == Some(POLICY));
    let (first, second) = (policies.next(), policies.next());
    if let Some(second) = second {
        errors.push(
            second.error(&["metadata", "name"], Problem::Unsupported("a second ScalingPolicy; expected one")),
        );
    }
    let policy = first.and_then(|document| policies::policy(document, &mut errors));
    if let Some(policy) = policy {
        return ConfigErrors::unless_any(errors, policy);
    }
    if errors.is_empty() {
        errors.push(file.error(Position::START, "", Problem::Nothing(POLICY)));
    }
    Err(ConfigErrors::all(errors))
}

pub(super) const AUTOSCALER: &str = "FlinkAutoscaler";
pub(super) const POLICY: &str = "ScalingPolicy";

/// The documents of all files that are YAML, and what is wrong with each by itself.
pub(super) fn read(files: &[Source]) -> (Vec<Document<'_>>, Vec<ConfigError>) {
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    for source in files {
        match yaml::parse(source) {
            Ok(roots) => {
                // Between two `---` there may be nothing.
                for root in roots.into_iter().filter(|root| root.value != Value::Null) {
                    let mut wrong = check(json_schema(), source, &root);
                    wrong.extend(options::check(source, &root));
                    documents.push(Document { source, root, sound: wrong.is_empty() });
                    errors.extend(wrong);
                }
            }
            Err(broken) => errors.extend(broken),
        }
    }
    (documents, errors)
}

impl Document<'_> {
    pub(super) fn kind(&self) -> Option<&str> {
        self.root.get("kind")?.text()
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.text(&["metadata", "name"])
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.text(&["metadata", "namespace"])
    }

    pub(super) fn text(&self, path: &[&str]) -> Option<&str> {
        self.find(path)?.text()
    }

    pub(super) fn find(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, field| node.get(field))
    }

    /// `file:line` of the document, for a message about another one.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.source.name(), self.root.at.line)
    }

    /// A mistake at a field, or at the nearest field around it that is written.
    pub(super) fn error(&self, path: &[&str], problem: Problem) -> ConfigError {
        let mut node = &self.root;
        for field in path {
            let Some(inner) = node.get(field) else { break };
            node = inner;
        }
        self.source.error(node.at, path.join("."), problem)
    }

    /// The document as its type, if nothing is wrong with it.
    pub(super) fn typed<T: serde::de::DeserializeOwned>(&self, errors: &mut Vec<ConfigError>) -> Option<T> {
        if !self.sound {
            return None;
        }
        let typed = serde_json::from_value(self.root.to_json());
        typed.map_err(|error| errors.push(self.error(&[], Problem::Rejected(error.to_string())))).ok()
    }
}

/// Finds the policies that autoscalers name, reading each file once.
pub(super) struct Policies<'a> {
    documents: &'a [Document<'a>],
    library: &'a Library,
    /// What came of the files of the library that were asked for.
    read: BTreeMap<String, Option<PolicySpec>>,
    errors: Vec<ConfigError>,
}

impl<'a> Policies<'a> {
    pub(super) fn new(documents: &'a [Document<'a>], library: &'a Library) -> Self {
        Self { documents, library, read: BTreeMap::new(), errors: Vec::new() }
    }

    /// What was wrong with policies that were looked for.
    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        self.errors
    }

    pub(super) fn autoscaler(&mut self, document: &Document<'_>) -> Option<Autoscaler> {
        if document.kind() != Some(AUTOSCALER) {
            return None;
        }
        // Looked for even if other things are wrong, so that this is said along with them.
        let policy = self.named_by(document);
        let FlinkAutoscaler { api_version: _, kind: _, metadata, spec } = document.typed(&mut self.errors)?;
        let pauses = metadata.annotations.get(PAUSE_ANNOTATION).map(|text| Pause::list(text)).transpose();
        let pauses = pauses.map_err(|error| {
            let path = ["metadata", "annotations", PAUSE_ANNOTATION];
            self.errors.push(document.error(&path, Problem::Rejected(error.to_string())));
        });
        let (pauses, labels) = (pauses.ok()?.unwrap_or_default(), metadata.labels.clone());
        let policy = Policy { labels, pauses, ..Policy::new(&spec, policy?) };
        Some(Autoscaler { name: metadata.name, namespace: metadata.namespace, spec, policy })
    }

    fn named_by(&mut self, document: &Document<'_>) -> Option<PolicySpec> {
        let path = ["spec", "policyRef", "name"];
        let default = AutoscalerSpec::default().policy_ref.name;
        let name = match document.find(&path[..2]) {
            None => &default,
            Some(_) => document.text(&path)?,
        };
        if let Some(policy) = beside(self.documents, document, name) {
            let policy: ScalingPolicy = policy.typed(&mut self.errors)?;
            return Some(policy.spec);
        }
        if !self.read.contains_key(name) {
            let policy = self.look_up(document, name);
            self.read.insert(name.to_owned(), policy);
        }
        self.read.get(name)?.clone()
    }

    fn look_up(&mut self, document: &Document<'_>, name: &str) -> Option<PolicySpec> {
        let Some(file) = self.library.find(name) else {
            let beside = self.documents.iter().filter(|other| other.kind() == Some(POLICY));
            let known: Vec<&str> = beside.filter_map(Document::name).chain(self.library.names()).collect();
            self.errors.push(document.error(&["spec", "policyRef", "name"], unknown("policy", name, known)));
            return None;
        };
        match load_policy(&file) {
            Ok(policy) if policy.metadata.name == name => Some(policy.spec),
            Ok(_) => {
                let problem = Problem::NoSuchPolicy(name.to_owned());
                self.errors.push(file.error(Position::START, "metadata.name", problem));
                None
            }
            Err(errors) => {
                self.errors.extend(errors);
                None
            }
        }
    }
}

/// The policy of this name in the same files: in the namespace of `document`, or in none.
fn beside<'a>(
    documents: &'a [Document<'a>],
    document: &Document<'_>,
    name: &str,
) -> Option<&'a Document<'a>> {
    documents.iter().find(|other| {
        let near = other.namespace().is_none() || other.namespace() == document.namespace();
        near && other.kind() == Some(POLICY) && other.name() == Some(name)
    })
}

#[cfg(test)]
mod tests;
