//! The part of the check that is about choices: one of several words, one of several keys, one of several kinds.
//!
//! Serde's enums become `oneOf` in the schema. To say "none of these fits" of a misspelt rule would help nobody, so the
//! shape of the variants tells how they are told apart, and only the one that is meant is checked further.

use serde_json::{Map, Value as Json};

use super::check::{Checker, Schema, found, own_word, unknown, wrong_type};
use super::error::Problem;
use super::nearest::{Hint, nearest, one_of};
use super::path::Path;
use super::yaml::{Entry, Node, Value};

/// How a variant is told from its neighbours.
enum Variant<'a> {
    /// By being this word.
    Word(&'a str),
    /// By having this one key, for a value of this schema.
    Key(&'a str, &'a Json),
}

impl<'a> Checker<'a> {
    /// Checks a value of which there are several kinds.
    pub(super) fn choice(&mut self, variants: &'a [Json], noun: &str, node: &Node, path: &Path<'_>) {
        let some: Vec<&'a Json> =
            variants.iter().filter(|variant| variant.get("type") != Some(&"null".into())).collect();
        if some.len() < variants.len() {
            // An option: nothing, or what remains.
            if node.value != Value::Null {
                for variant in some {
                    self.value(variant, node, path);
                }
            }
            return;
        }
        let named: Option<Vec<Variant<'a>>> = some.iter().map(|variant| self.variant(variant)).collect();
        if let Some(named) = named {
            return self.named_choice(&named, noun, node, path);
        }
        if let Some(field) = self.telling_field(&some) {
            self.told_by_field(field, &some, node, path);
        }
    }

    /// Checks a word against those that are allowed.
    pub(super) fn word(&mut self, words: &[&str], noun: &str, node: &Node, path: &Path<'_>) {
        match &node.value {
            Value::Text(text) if words.contains(&text.as_str()) => {}
            Value::Text(text) => self.note(node.at, path, unknown(noun, text, words.iter().copied())),
            Value::Null => self.note(node.at, path, Problem::Empty { expected: one_of(words) }),
            _ => self.note(
                node.at,
                path,
                Problem::WrongType { expected: one_of(words), found: found(node), mend: String::new() },
            ),
        }
    }

    /// The words that a schema allows, if it allows nothing else.
    pub(super) fn words(&self, schema: &'a Schema) -> Vec<&'a str> {
        if let Some((_, target)) = self.definition(schema) {
            return target.as_object().map(|target| self.words(target)).unwrap_or_default();
        }
        if let Some(word) = own_word(schema) {
            return vec![word];
        }
        let variants = schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
        let words: Option<Vec<_>> = variants.map(|variant| own_word(variant.as_object()?)).collect();
        words.unwrap_or_default()
    }

    fn variant(&self, variant: &'a Json) -> Option<Variant<'a>> {
        let schema = variant.as_object()?;
        if let Some(word) = own_word(schema) {
            return Some(Variant::Word(word));
        }
        let fields = schema.get("properties")?.as_object()?;
        let closed = schema.get("additionalProperties") == Some(&Json::Bool(false));
        let required = schema.get("required").and_then(Json::as_array).map_or(0, Vec::len);
        let (key, value) = fields.iter().next()?;
        (fields.len() == 1 && required == 1 && closed).then_some(Variant::Key(key, value))
    }

    fn named_choice(&mut self, variants: &[Variant<'a>], noun: &str, node: &Node, path: &Path<'_>) {
        let names = || variants.iter().map(|(Variant::Word(name) | Variant::Key(name, _))| *name);
        let all: Vec<&str> = names().collect();
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
                    self.note(node.at, path, Problem::Empty { expected: one_of(&all) });
                }
                for Entry { key, at, value } in entries {
                    match keyed(key) {
                        // Of several keys, those with nothing under them and those that are no names have been listed.
                        Some(_) if entries.len() > 1 && value.value == Value::Null => {}
                        Some(schema) => self.value(schema, value, &path.field(key)),
                        None if entries.len() == 1 => self.note(*at, path, unknown(noun, key, names())),
                        None => {}
                    }
                }
            }
            _ => self.word(&all, noun, node, path),
        }
    }

    /// The field that has one word of its own in each variant, such as `kind`.
    fn telling_field(&self, variants: &[&'a Json]) -> Option<&'a str> {
        let fields = self.fields(variants.first()?)?;
        fields.keys().map(String::as_str).find(|field| {
            let mut words: Vec<&str> =
                variants.iter().filter_map(|variant| self.tag(variant, field)).collect();
            words.sort_unstable();
            words.dedup();
            words.len() == variants.len()
        })
    }

    fn told_by_field(&mut self, field: &'a str, variants: &[&'a Json], node: &Node, path: &Path<'_>) {
        let words: Vec<&str> = variants.iter().filter_map(|variant| self.tag(variant, field)).collect();
        let Value::Map(_) = node.value else {
            if let Some(schema) = variants.first().and_then(|variant| self.object_of(variant)) {
                self.note(node.at, path, wrong_type(schema, node));
            }
            return;
        };
        let Some(tag) = node.get(field) else {
            let about = Hint::OneOf(words.iter().map(|word| (*word).to_owned()).collect()).to_string();
            return self.note(node.at, path, Problem::Missing { field: field.to_owned(), about });
        };
        // Misspelt, it still tells which is meant; the word itself is then noted as part of the variant.
        let meant = tag.text().and_then(|text| nearest(text, &words));
        let variant = variants.iter().find(|variant| meant.is_some() && self.tag(variant, field) == meant);
        match variant {
            Some(variant) => self.value(variant, node, path),
            None => self.word(&words, field, tag, &path.field(field)),
        }
    }

    fn object_of(&self, variant: &'a Json) -> Option<&'a Schema> {
        let schema = variant.as_object()?;
        self.definition(schema).map_or(Some(schema), |(_, target)| target.as_object())
    }

    fn fields(&self, variant: &'a Json) -> Option<&'a Map<String, Json>> {
        self.object_of(variant)?.get("properties")?.as_object()
    }

    fn tag(&self, variant: &'a Json, field: &str) -> Option<&'a str> {
        match self.words(self.fields(variant)?.get(field)?.as_object()?).as_slice() {
            [word] => Some(word),
            _ => None,
        }
    }
}
