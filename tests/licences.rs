//! Every crate that goes into a build may be used under a licence that asks for no more than to be named.

use std::process::Command;

use serde_json::Value;

/// Permissive licences, by their SPDX names.
const ALLOWED: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// For data, not for code: the list of certificate authorities that Mozilla keeps.
const ALLOWED_DATA: [(&str, &str); 2] =
    [("webpki-root-certs", "CDLA-Permissive-2.0"), ("webpki-roots", "CDLA-Permissive-2.0")];

/// A licence expression as crates write it: `OR` (older: `/`) leaves the choice, `AND` binds closer and asks for both.
struct Expression<'a> {
    tokens: Vec<&'a str>,
    at: usize,
}

impl<'a> Expression<'a> {
    fn new(spaced: &'a str) -> Self {
        Self { tokens: spaced.split_whitespace().collect(), at: 0 }
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.tokens.get(self.at) == Some(&token);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, allowed: &dyn Fn(&str) -> bool) -> bool {
        let mut result = self.all(allowed);
        while self.take("OR") {
            result |= self.all(allowed);
        }
        result
    }

    fn all(&mut self, allowed: &dyn Fn(&str) -> bool) -> bool {
        let mut result = self.one(allowed);
        while self.take("AND") {
            result &= self.one(allowed);
        }
        result
    }

    fn one(&mut self, allowed: &dyn Fn(&str) -> bool) -> bool {
        if self.take("(") {
            return self.any(allowed) & self.take(")");
        }
        let licence = self.tokens.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        // An exception only ever permits more.
        if self.take("WITH") {
            self.at += 1;
        }
        allowed(licence)
    }
}

/// Whether a choice within the expression needs allowed licences only.
fn permits(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut expression = Expression::new(&spaced);
    expression.any(allowed) && expression.at == expression.tokens.len()
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let only_mit = |licence: &str| licence == "MIT";
    for (expression, permitted) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only", true),
        ("GPL-3.0-only/MIT", true),
        ("MIT AND GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only AND LGPL-2.1-only", true),
        ("(MIT OR GPL-3.0-only) AND LGPL-2.1-only", false),
        ("GPL-3.0-only WITH Classpath-exception-2.0 OR MIT", true),
        ("MIT OR", false),
        ("(MIT", false),
        ("MIT MIT", false),
        ("", false),
    ] {
        assert_eq!(permits(expression, &only_mit), permitted, "{expression}");
    }
}

#[test]
fn dependencies_are_under_permissive_licences() {
    let run = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo, which runs this test, is there");
    assert!(run.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&run.stderr));
    let metadata: Value = serde_json::from_slice(&run.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("metadata has packages");
    assert!(packages.len() > 50, "{} packages are not all of them", packages.len());
    let refused: Vec<String> = packages
        .iter()
        .filter_map(|package| {
            let name = package["name"].as_str().unwrap_or_default();
            let licence = package["license"].as_str().unwrap_or_default();
            let allowed = |one: &str| ALLOWED.contains(&one) || ALLOWED_DATA.contains(&(name, one));
            (!permits(licence, &allowed)).then(|| format!("{name}: {licence:?}"))
        })
        .collect();
    assert!(refused.is_empty(), "not under a licence of the list: {refused:#?}");
}
