//! The part of the check that is about choices: one of several words, one of several keys, one of several kinds.
//!
//! Serde's enums become `oneOf` in the schema. To say "none of these fits" of a misspelt rule would help nobody, so the
//! shape of the variants tells how they are told apart, and only the one that is meant is checked further.

use serde_json::Value as Json;

use super::check::{Checker, found, unknown, wrong_type};
use super::error::Problem;
use super::path::Path;
use super::shape::{self, Variant};
use super::yaml::{Entry, Node, Value};
use crate::model::nearest::{nearest, one_of};

impl<'a> Checker<'a> {
    /// Checks a value of which there are several kinds.
    pub(super) fn choice(&mut self, variants: &'a [Json], noun: &str, node: &Node, path: &Path<'_>) {
        if let Some(some) = shape::option(variants) {
            if node.value != Value::Null {
                self.value(some, node, path);
            }
        } else if let Some(named) = variants.iter().map(shape::variant).collect::<Option<Vec<_>>>() {
            self.named_choice(&named, noun, node, path);
        } else if let Some(field) = self.telling_field(variants) {
            self.told_by_field(field, variants, node, path);
        }
    }

    /// Checks a word against those that are allowed.
    pub(super) fn word(&mut self, words: &[&str], noun: &str, node: &Node, path: &Path<'_>) {
        match &node.value {
            Value::Text(text) if words.contains(&text.as_str()) => {}
            Value::Text(text) => self.note(node.at, path, unknown(noun, text, words.iter().copied())),
            Value::Null => self.note(node.at, path, Problem::Empty { expected: one_of(words), mend: "" }),
            _ => self.note(
                node.at,
                path,
                Problem::WrongType { expected: one_of(words), found: found(node), mend: String::new() },
            ),
        }
    }

    fn named_choice(&mut self, variants: &[Variant<'a>], noun: &str, node: &Node, path: &Path<'_>) {
        let all: Vec<&str> = variants
            .iter()
            .flat_map(|variant| match variant {
                Variant::Words(words) => words.as_slice(),
                Variant::Key(key, _) => std::slice::from_ref(key),
            })
            .copied()
            .collect();
        let keyed = |name: &str| {
            variants.iter().find_map(|variant| match variant {
                Variant::Key(key, value) if *key == name => Some(*value),
                _ => None,
            })
        };
        match &node.value {
            Value::Text(text) if keyed(text).is_some() => {
                let (expected, found) =
                    (format!("`{text}: {{}}` with its fields"), "only the name".to_owned());
                self.note(node.at, path, Problem::WrongType { expected, found, mend: String::new() });
            }
            Value::Map(entries) if variants.iter().any(|variant| matches!(variant, Variant::Key(..))) => {
                if let [_, _, ..] = entries.as_slice() {
                    let found: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
                    self.note(
                        node.at,
                        path,
                        Problem::ManyKeys { noun: noun.to_owned(), found: found.join(", ") },
                    );
                }
                if entries.is_empty() {
                    self.note(node.at, path, Problem::Empty { expected: one_of(&all), mend: "" });
                }
                for Entry { key, at, value } in entries {
                    match keyed(key) {
                        // Of several keys, those with nothing under them and those that are no names have been listed.
                        Some(_) if entries.len() > 1 && value.value == Value::Null => {}
                        Some(schema) => {
                            self.value_or("; write `{}` for the defaults", schema, value, &path.field(key));
                        }
                        None if entries.len() == 1 => {
                            self.note(*at, path, unknown(noun, key, all.iter().copied()));
                        }
                        None => {}
                    }
                }
            }
            _ => self.word(&all, noun, node, path),
        }
    }

    /// The field that has one word of its own in each variant, such as `kind`.
    fn telling_field(&self, variants: &'a [Json]) -> Option<&'a str> {
        let fields = shape::resolve(self.root, variants.first()?)?.get("properties")?.as_object()?;
        fields.keys().map(String::as_str).find(|field| {
            let mut words: Vec<&str> =
                variants.iter().filter_map(|variant| self.tag(variant, field)).collect();
            words.sort_unstable();
            words.dedup();
            words.len() == variants.len()
        })
    }

    fn told_by_field(&mut self, field: &'a str, variants: &'a [Json], node: &Node, path: &Path<'_>) {
        let words: Vec<&str> = variants.iter().filter_map(|variant| self.tag(variant, field)).collect();
        let Value::Map(_) = node.value else {
            if let Some(schema) = variants.first().and_then(|variant| shape::resolve(self.root, variant)) {
                self.note(node.at, path, wrong_type(schema, node));
            }
            return;
        };
        let misspelt = || node.entries().iter().find(|entry| nearest(&entry.key, &[field]).is_some());
        let Some(tag) = node.get(field).or_else(|| Some(&misspelt()?.value)) else {
            let about = format!("expected {}", one_of(&words));
            return self.note(node.at, path, Problem::Missing { field: field.to_owned(), about });
        };
        // Misspelt, it still tells which is meant; the word itself is then noted as part of the variant.
        let meant = tag.text().and_then(|text| nearest(text, &words));
        match variants.iter().find(|variant| meant.is_some() && self.tag(variant, field) == meant) {
            Some(variant) => self.value(variant, node, path),
            None => self.word(&words, field, tag, &path.field(field)),
        }
    }

    /// The one word that a variant has in a field.
    fn tag(&self, variant: &'a Json, field: &str) -> Option<&'a str> {
        let schema = shape::resolve(self.root, variant)?.get("properties")?.get(field)?;
        match shape::words(self.root, schema)?.as_slice() {
            [word] => Some(word),
            _ => None,
        }
    }
}
