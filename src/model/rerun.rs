//! How a job that does not run is brought back by hand: its jar, its arguments, its sizes, its savepoint, and the command.
//!
//! It is kept with the state, which more people may read than what the arguments are written in: those that look secret are left out.
//! Serialised in the state: the fields are a promise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Parallelism, VertexId};

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
    /// The jar's file name.
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
}

impl Rerun {
    /// The same without what looks secret.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        let mut is_value = false;
        for arg in &mut self.args {
            let (name, value) =
                arg.split_once('=').map_or((&**arg, None), |(name, value)| (name, Some(value)));
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
        self
    }

    /// Whether something was left out.
    pub fn hides(&self) -> bool {
        self.args.iter().any(|arg| arg.contains(HIDDEN))
    }

    /// The command that brings the job back, for a shell.
    pub fn command(&self) -> String {
        let Self { url, jar, entry_class, args, sizes, savepoint } = self;
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
}
