//! What there is to say of a translation, where it matters in what was made.

use serde::Serialize;
use serde_json::Value;

use super::fields::Field;

/// A remark on a place of a document that was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// What was found, why it is so, and what can be done.
    pub text: String,
    /// The file of what was translated.
    pub file: String,
    /// The line there, from 1.
    pub line: usize,
    /// The field there; empty for the whole document.
    pub field: String,
    /// The document that was made.
    pub of: Made,
    /// The field of that document, from its top; with `[]` at its end, behind the items of a list.
    pub at: String,
    /// What could be written there once it is filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<Value>,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum NoteKind {
    /// Something that only its owner knows.
    FillIn,
    /// Something that has no equal here, or only nearly.
    NoEqual,
    /// Something that the source leaves to a default, or that could be translated in several ways.
    Choice,
}

/// The two documents that a source becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Made {
    /// Where the job is, and its bounds.
    FlinkAutoscaler,
    /// How the right size is found.
    ScalingPolicy,
}

/// Notes as they are collected.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(pub(super) Vec<Note>);

/// A place in what is made.
pub(super) type Place<'p> = (Made, &'p str);

impl Notes {
    pub(super) fn add(
        &mut self,
        kind: NoteKind,
        from: &Field<'_>,
        place: Place<'_>,
        text: impl Into<String>,
    ) {
        self.0.push(Note {
            kind,
            text: text.into(),
            file: from.file().to_owned(),
            line: from.line,
            field: from.path.clone(),
            of: place.0,
            at: place.1.to_owned(),
            instead: None,
        });
    }

    /// Something that only its owner knows.
    pub(super) fn fill_in(&mut self, from: &Field<'_>, place: Place<'_>, text: impl Into<String>) {
        self.add(NoteKind::FillIn, from, place, text);
    }

    /// Something that has no equal.
    pub(super) fn no_equal(&mut self, from: &Field<'_>, place: Place<'_>, text: impl Into<String>) {
        self.add(NoteKind::NoEqual, from, place, text);
    }

    /// A default of the source, or a choice among several translations.
    pub(super) fn choice(&mut self, from: &Field<'_>, place: Place<'_>, text: impl Into<String>) {
        self.add(NoteKind::Choice, from, place, text);
    }

    /// What could be written at the place of the last note.
    pub(super) fn instead(&mut self, value: Value) {
        if let Some(note) = self.0.last_mut() {
            note.instead = Some(value);
        }
    }

    /// Fields that nobody asked for.
    pub(super) fn unknown(&mut self, fields: Vec<Field<'_>>, place: Place<'_>, what: &str) {
        for field in fields {
            self.no_equal(&field, place, format!("this field is not known of {what}; it is left out."));
        }
    }
}
