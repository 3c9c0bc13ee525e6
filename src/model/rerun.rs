//! How a job that does not run is brought back by hand: its jar, its arguments, its sizes, its savepoint, and the command.
//!
//! It is kept with the state, which more people may read than what the arguments are written in: those that look secret are left out.
//! Serialised in the state: the fields are a promise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ManagerKind, Parallelism, VertexId};

/// In place of an argument that looks secret.
const HIDDEN: &str = "<HIDDEN>";

/// Parts of names whose values are secrets, in lower case and without what stands between words.
const SECRET: [&str; 9] =
    ["password", "passwd", "pwd", "secret", "token", "credential", "apikey", "accesskey", "jaas"];

/// How a job is brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rerun {
    /// Flink's URL.
    pub url: String,
    /// The jar's file name; none where the job is run again by its JobManager's arguments.
    pub jar: String,
    /// The class whose `main` is run, where it is not the one that the jar names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_class: Option<String>,
    /// The arguments of `main`; what looks secret is `<HIDDEN>`.
    pub args: Vec<String>,
    /// The sizes that the job had before.
    pub sizes: BTreeMap<VertexId, Parallelism>,
    /// Where the savepoint is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint: Option<String>,
    /// What of Kubernetes runs the job, where that is in application mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Box<ByManifest>>,
}

/// The object that runs a JobManager in application mode, as it brings the job back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByManifest {
    /// Its kind.
    pub kind: ManagerKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What to patch a Deployment with, or all of a Job; what looks secret is `<HIDDEN>`.
    pub manifest: Value,
}

impl ByManifest {
    fn without_secrets(&mut self) {
        let containers =
            self.manifest.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(args) = container.get_mut("args").and_then(Value::as_array_mut) {
                let mut words: Vec<String> =
                    args.iter().map(|arg| arg.as_str().unwrap_or_default().to_owned()).collect();
                hide(&mut words);
                *args = words.into_iter().map(Value::String).collect();
            }
            let variables = container.get_mut("env").and_then(Value::as_array_mut);
            for variable in variables.into_iter().flatten() {
                let is_meant =
                    variable["name"].as_str().is_some_and(is_secret) && variable["value"].is_string();
                if is_meant {
                    variable["value"] = Value::String(HIDDEN.to_owned());
                }
            }
        }
        // It holds the same once more, as a text.
        if let Some(annotations) =
            self.manifest.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
        {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }

    fn command(&self) -> String {
        let Self { kind, namespace, name, manifest } = self;
        let (namespace, name, manifest) = (quoted(namespace), quoted(name), quoted(&manifest.to_string()));
        match kind {
            ManagerKind::Deployment => {
                format!("kubectl --namespace {namespace} patch deployment {name} --patch {manifest}")
            }
            ManagerKind::Job => format!(
                "kubectl --namespace {namespace} delete job {name} --ignore-not-found && printf %s {manifest} | kubectl --namespace \
                 {namespace} create -f -"
            ),
        }
    }
}

impl Rerun {
    /// The same without what looks secret.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        hide(&mut self.args);
        if let Some(manifest) = &mut self.manifest {
            manifest.without_secrets();
        }
        self
    }

    /// Whether something was left out.
    pub fn hides(&self) -> bool {
        let by_manifest = self.manifest.as_ref().map(|by| by.manifest.to_string()).unwrap_or_default();
        self.args.iter().any(|arg| arg.contains(HIDDEN)) || by_manifest.contains(HIDDEN)
    }

    /// The command that brings the job back, for a shell.
    pub fn command(&self) -> String {
        let Self { url, jar, entry_class, args, sizes, savepoint, manifest } = self;
        if let Some(by_manifest) = manifest {
            return by_manifest.command();
        }
        if jar.is_empty() {
            let from = savepoint.as_deref().unwrap_or("SAVEPOINT");
            let most = sizes.values().copied().max().unwrap_or(Parallelism::ONE);
            return format!(
                "# after standalone-job put: --fromSavepoint {} -Dparallelism.default={most}",
                quoted(from)
            );
        }
        let server = url.split_once("://").map_or(&**url, |(_, server)| server);
        let parallelism = sizes.values().copied().max().unwrap_or(Parallelism::ONE).to_string();
        let overrides: Vec<_> = sizes.iter().map(|(vertex, size)| format!("{vertex}:{size}")).collect();
        let overrides = format!("-Dpipeline.jobvertex-parallelism-overrides={}", overrides.join(","));
        let mut words =
            vec!["flink", "run", "--detached", "--jobmanager", server, "--parallelism", &parallelism];
        if let Some(savepoint) = savepoint {
            words.extend(["--fromSavepoint", savepoint]);
        }
        if let Some(class) = entry_class {
            words.extend(["--class", class]);
        }
        words.extend([&*overrides, jar]);
        words.extend(args.iter().map(String::as_str));
        words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
    }
}

fn hide(args: &mut [String]) {
    let mut is_value = false;
    for arg in args {
        let (name, value) = arg.split_once('=').map_or((&**arg, None), |(name, value)| (name, Some(value)));
        let is_option = name.starts_with('-');
        let names_secret = is_option && is_secret(name);
        let shown = match value {
            _ if is_value && !is_option => HIDDEN.to_owned(),
            Some(_) if names_secret || is_secret(name) => format!("{name}={HIDDEN}"),
            _ => without_user(arg),
        };
        is_value = names_secret && value.is_none();
        *arg = shown;
    }
}

fn is_secret(name: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
    SECRET.iter().any(|part| plain.contains(part))
}

/// A URL without its user and password.
fn without_user(arg: &str) -> String {
    let Some((scheme, rest)) = arg.split_once("://") else { return arg.to_owned() };
    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..host].rfind('@') {
        Some(at) => format!("{scheme}://{HIDDEN}{}", &rest[at..]),
        None => arg.to_owned(),
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@+%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rerun(args: &[&str]) -> Rerun {
        Rerun {
            url: "http://orders-rest:8081".to_owned(),
            jar: "orders.jar".to_owned(),
            entry_class: Some("com.example.Orders".to_owned()),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            sizes: [
                (VertexId::from_bits(1), Parallelism::clamped(2)),
                (VertexId::from_bits(2), Parallelism::clamped(4)),
            ]
            .into(),
            savepoint: Some("file:/s/savepoint-1".to_owned()),
            manifest: None,
        }
    }

    #[test]
    fn no_secret_is_kept() {
        for (args, kept) in [
            (&["--topic", "orders"][..], &["--topic", "orders"][..]),
            (&["--db.password", "x y", "--topic", "t"], &["--db.password", HIDDEN, "--topic", "t"]),
            (&["--api-key=abc", "-Ds3.secret-key=abc"], &["--api-key=<HIDDEN>", "-Ds3.secret-key=<HIDDEN>"]),
            (&["--token", "--verbose"], &["--token", "--verbose"]),
            (&["PASSWORD=abc"], &["PASSWORD=<HIDDEN>"]),
            (&["--jdbc", "jdbc:pg://me:pw@db:5432/a?b@c"], &["--jdbc", "jdbc:pg://<HIDDEN>@db:5432/a?b@c"]),
            (&["--mail", "me@example.com"], &["--mail", "me@example.com"]),
        ] {
            let rerun = rerun(args).without_secrets();
            assert_eq!(rerun.args, kept, "{args:?}");
            assert_eq!(rerun.hides(), args != kept, "{args:?}");
        }
    }

    #[test]
    fn the_command_brings_it_back_at_its_old_sizes() {
        let command = rerun(&["--topic", "it's", ""]).command();
        assert_eq!(
            command,
            "flink run --detached --jobmanager orders-rest:8081 --parallelism 4 --fromSavepoint file:/s/savepoint-1 --class \
             com.example.Orders -Dpipeline.jobvertex-parallelism-overrides=00000000000000000000000000000001:2,\
             00000000000000000000000000000002:4 orders.jar --topic 'it'\\''s' ''"
        );
    }

    #[test]
    fn in_application_mode_it_is_for_kubectl() {
        let manifest = serde_json::json!({
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"}},
            "spec": {"template": {"spec": {"containers": [{
                "name": "jm", "args": ["standalone-job", "--password", "hunter2"],
                "env": [{"name": "API_KEY", "value": "hunter2"}, {"name": "TZ", "value": "UTC"}],
            }]}}},
        });
        for (kind, parts) in [
            (
                ManagerKind::Deployment,
                ["kubectl --namespace shop patch deployment orders --patch '{", "\"<HIDDEN>\""],
            ),
            (
                ManagerKind::Job,
                [
                    "delete job orders --ignore-not-found && printf %s '{",
                    "| kubectl --namespace shop create -f -",
                ],
            ),
        ] {
            let (namespace, name) = ("shop".to_owned(), "orders".to_owned());
            let by = ByManifest { kind, namespace, name, manifest: manifest.clone() };
            let rerun = Rerun { manifest: Some(Box::new(by)), ..rerun(&[]) }.without_secrets();
            let command = rerun.command();
            assert!(parts.iter().all(|part| command.contains(part)), "{command}");
            assert!(!command.contains("hunter2") && command.contains("UTC") && rerun.hides(), "{command}");
        }
    }
}
