//! Holds the shape of the tree: which module may use which, how long a file may be, and what a module must say first.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the bottom up: a module uses only those above it in this list.
const LAYERS: [&str; 19] = [
    "model",
    "signals",
    "policy",
    "plan",
    "guard",
    "decide",
    "record",
    "simulate",
    "policytest",
    "config",
    "import",
    "crd",
    "observe",
    "act",
    "serve",
    "daemon",
    "cli",
    "main",
    "lib",
];

/// Those that build without tokio, and without the rest of the `daemon` feature.
const PURE: [&str; 11] = [
    "model",
    "signals",
    "policy",
    "plan",
    "guard",
    "decide",
    "record",
    "simulate",
    "policytest",
    "config",
    "import",
];

/// What a pure module must not name.
const IMPURE: [&str; 8] = [
    "tokio::",
    "reqwest::",
    "axum::",
    "std::fs::",
    "std::net::",
    "std::thread::sleep",
    "SystemTime::now",
    "Instant::now",
];

/// Lines of a file without its tests.
const LONGEST: usize = 600;

struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

impl Source {
    /// The code before the tests.
    fn code(&self) -> &str {
        self.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
    }

    /// The code without comments, so that a comment may name what the code may not.
    fn statements(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code().lines().enumerate();
        lines.map(|(n, line)| (n + 1, line.split("//").next().unwrap_or_default()))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inside = path.strip_prefix(&root).expect("it is below src");
                let first = inside.iter().next().expect("it has a name").to_string_lossy();
                let module = first.trim_end_matches(".rs").to_owned();
                found.push(Source { text: fs::read_to_string(&path).expect("it is text"), path, module });
            }
        }
    }
    assert!(found.len() > 20, "the sources are not where they were looked for");
    found
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| *layer == module)
}

/// The modules that a line names: `crate::x`, or `tidegate::x` in the binary.
fn named(line: &str) -> impl Iterator<Item = &str> {
    ["crate::", "tidegate::"].into_iter().flat_map(move |prefix| {
        line.match_indices(prefix).map(move |(at, _)| {
            let rest = &line[at + prefix.len()..];
            &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())]
        })
    })
}

fn check(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn modules_use_only_those_above_them() {
    let mut faults = Vec::new();
    for source in sources() {
        let Some(own) = layer(&source.module) else {
            faults.push(format!(
                "{}: no layer for module `{}`: add it to LAYERS",
                source.path.display(),
                source.module
            ));
            continue;
        };
        for (line, text) in source.statements() {
            for other in named(text) {
                if layer(other).is_some_and(|other| other > own) && source.module != "lib" {
                    faults.push(format!(
                        "{}:{line}: `{}` uses `{other}`",
                        source.path.display(),
                        source.module
                    ));
                }
            }
        }
    }
    check(&faults);
}

#[test]
fn pure_modules_touch_nothing() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| PURE.contains(&source.module.as_str())) {
        for (line, text) in source.statements() {
            for impure in IMPURE.iter().filter(|impure| text.contains(**impure)) {
                faults.push(format!("{}:{line}: a pure module names `{impure}`", source.path.display()));
            }
        }
    }
    check(&faults);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines = source.code().lines().count();
        if lines > LONGEST {
            faults.push(format!(
                "{}: {lines} lines without its tests, of at most {LONGEST}",
                source.path.display()
            ));
        }
        if !source.text.starts_with("//!") {
            faults.push(format!("{}: begins without a //! paragraph", source.path.display()));
        }
        for word in ["TODO", "FIXME", "XXX", "#[allow("] {
            if source.text.contains(word) {
                faults.push(format!("{}: contains {word}", source.path.display()));
            }
        }
    }
    check(&faults);
}

#[test]
fn the_table_would_catch_a_wrong_edge() {
    assert_eq!(
        named("use crate::act::in_place; use crate::model::Rate;").collect::<Vec<_>>(),
        ["act", "model"]
    );
    assert!(layer("act") > layer("model") && layer("nowhere").is_none());
}
