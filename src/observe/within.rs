//! Where the files must lie that settings name.
//!
//! Who writes a configuration file runs the daemon, and may name any file. Who writes an object in a cluster need not be
//! allowed to read what the daemon can, such as the token of its own `ServiceAccount`, and could have it sent to a server of
//! theirs. So in Kubernetes only files of one folder can be named. What is said of any other path is the same whether there
//! is a file or not.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A folder out of which no file is read; the default is that there is none, and every file may be.
#[derive(Clone, Debug, Default)]
pub struct Within(Option<Arc<Path>>);

impl Within {
    /// Only files below `folder`.
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self(Some(folder.into().into()))
    }

    /// The file that a path names, with every link followed; why it cannot be read.
    pub(super) fn find(&self, path: &str) -> Result<PathBuf, String> {
        let path = Path::new(path);
        let Some(folder) = &self.0 else { return Ok(path.to_owned()) };
        let outside = || {
            let folder = folder.display();
            format!(
                "not below {folder}: an object may name files of the daemon's folder for them (--files-dir) only"
            )
        };
        // Said before anything is looked at.
        let goes_up = path.components().any(|part| part == Component::ParentDir);
        if goes_up || !path.starts_with(folder) {
            return Err(outside());
        }
        // A mounted Secret is links all the way, within its folder; one that leads out of it is nothing of a Secret's.
        let real = |path: &Path| path.canonicalize().map_err(|error| error.to_string());
        let found = real(path)?;
        if found.starts_with(real(folder)?) { Ok(found) } else { Err(outside()) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_files_of_the_folder_are_found_whatever_leads_out_of_it() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name).display().to_string();
        for folder in ["files/flink/..2026", "files-of-others", "elsewhere"] {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        // As the kubelet mounts a Secret.
        fs::write(at("files/flink/..2026/token"), "t").expect("a file");
        symlink("..2026", at("files/flink/..data")).expect("a link");
        symlink("..data/token", at("files/flink/token")).expect("a link");
        fs::write(at("elsewhere/token"), "secret").expect("a file");
        fs::write(at("files-of-others/token"), "secret").expect("a file");
        symlink(at("elsewhere/token"), at("files/out")).expect("a link");
        symlink(at("elsewhere"), at("files/far")).expect("a link");
        symlink("../elsewhere/token", at("files/near")).expect("a link");
        // The folder may be reached through one itself.
        symlink(at("files"), at("files-link")).expect("a link");

        for (folder, path, said) in [
            ("files", "files/flink/token", None),
            ("files", "files/flink/..data/token", None),
            ("files-link", "files-link/flink/token", None),
            ("files", "files/none", Some("No such file")),
            ("none", "none/token", Some("No such file")),
            ("files", "elsewhere/token", Some("not below")),
            // Whether there is a file is not told.
            ("files", "elsewhere/none", Some("not below")),
            ("files", "files/../elsewhere/token", Some("not below")),
            ("files", "files/flink/../../files/flink/token", Some("not below")),
            ("files", "files-of-others/token", Some("not below")),
            ("files", "files/out", Some("not below")),
            ("files", "files/near", Some("not below")),
            ("files", "files/far/token", Some("not below")),
            ("files", "files-link/flink/token", Some("not below")),
        ] {
            let found = Within::folder(at(folder)).find(&at(path));
            match said {
                None => assert!(found.as_ref().is_ok_and(|file| fs::read(file).is_ok()), "{path}: {found:?}"),
                Some(said) => {
                    assert!(found.as_ref().is_err_and(|why| why.contains(said)), "{path}: {found:?}");
                }
            }
        }
        let within = Within::folder(at("files"));
        for relative in ["token", "files/flink/token", "./token", ""] {
            assert!(within.find(relative).is_err_and(|why| why.contains("not below")), "{relative}");
        }
        assert_eq!(Within::default().find("../x").expect("any path"), Path::new("../x"));
    }
}
