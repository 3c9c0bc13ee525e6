//! Files that are written from the code are committed; here they are compared with what the code says today.
//!
//! `TIDEGATE_BLESS=1 cargo test --test generated` writes them anew.

use std::path::Path;
use std::{env, fs};

use tidegate::config::{reference, schema};

/// The files with what is to be in them.
fn files() -> Vec<(String, String)> {
    let mut files = vec![
        ("deploy/schema/tidegate.schema.json".to_owned(), schema::to_text()),
        ("policies/REFERENCE.md".to_owned(), reference::markdown()),
    ];
    #[cfg(feature = "daemon")]
    for (name, text) in tidegate::cli::crd::files() {
        // Helm installs what is in its own folder and nothing else.
        for folder in ["deploy/crd", "deploy/helm/tidegate/crds"] {
            files.push((format!("{folder}/{name}"), text.clone()));
        }
    }
    files
}

#[test]
fn generated_files_are_current() {
    for (path, text) in files() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
        if env::var_os("TIDEGATE_BLESS").is_some() {
            fs::create_dir_all(file.parent().expect("it has a folder")).expect("the folder can be made");
            fs::write(&file, &text).expect("the file can be written");
        }
        let committed = fs::read_to_string(&file).unwrap_or_default();
        let line = committed.lines().zip(text.lines()).position(|(old, new)| old != new);
        assert!(
            committed == text,
            "{path} is not what the code says (first at line {}): run TIDEGATE_BLESS=1 cargo test --test generated",
            line.unwrap_or(committed.lines().count().min(text.lines().count())) + 1
        );
    }
}
