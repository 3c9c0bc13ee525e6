//! A configuration file's name and text. Who reads the file is somebody else.

use std::sync::Arc;

use super::error::{ConfigError, ConfigErrors, Position, Problem};

/// A file's text, and the name that messages give it.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) name: Arc<str>,
    pub(super) text: String,
}

impl Source {
    /// A text of this name.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// A text of this name from the bytes of its file.
    ///
    /// # Errors
    /// When the bytes are not UTF-8.
    pub fn from_bytes(name: impl Into<Arc<str>>, bytes: Vec<u8>) -> Result<Self, ConfigErrors> {
        let name = name.into();
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => {
                let (good, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
                let good = String::from_utf8_lossy(good);
                let last = good.rsplit('\n').next().unwrap_or_default();
                let at = Position { line: good.matches('\n').count() + 1, column: last.chars().count() + 1 };
                Err(ConfigErrors::all(vec![Self { name, text: String::new() }.error(
                    at,
                    "",
                    Problem::NotUtf8,
                )]))
            }
        }
    }

    /// The name that messages give it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A mistake in this text.
    pub(crate) fn error(&self, at: Position, path: impl Into<String>, problem: Problem) -> ConfigError {
        ConfigError { file: Arc::clone(&self.name), at, path: path.into(), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_the_text_ends_and_the_bytes_begin() {
        let error =
            Source::from_bytes("a.yaml", b"ok: 1\nna\xc3\xafve: \xff".to_vec()).expect_err("not UTF-8");
        assert_eq!(error.to_string(), "a.yaml:2:8: not UTF-8; save the file as UTF-8 text");
    }
}
