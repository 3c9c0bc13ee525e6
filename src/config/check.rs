//! Checks a tree against the schema and notes every mistake, each where it stands.
//!
//! Knows the part of JSON Schema that our types generate, and the schema's own words (see [`super::schema`]); a test holds
//! the list. It must never stop at the first mistake, and never say two things about one.

use serde_json::{Map, Value as Json};

use super::error::{ConfigError, Position, Problem, short};
use super::format;
use super::path::Path;
use super::shape::{self, Schema};
use super::source::Source;
use super::yaml::{Entry, Node, Number, Value};
use crate::model::nearest::{Hint, nearest, one_of};
use crate::policy::Span;

/// All mistakes of `document` against `root`.
pub(super) fn check(root: &Json, source: &Source, document: &Node) -> Vec<ConfigError> {
    let mut checker = Checker { root, source, errors: Vec::new() };
    checker.value(root, document, &Path::Top);
    checker.errors
}

pub(super) struct Checker<'a> {
    pub(super) root: &'a Json,
    source: &'a Source,
    errors: Vec<ConfigError>,
}

impl<'a> Checker<'a> {
    /// Checks a value against a part of the schema.
    pub(super) fn value(&mut self, schema: &'a Json, node: &Node, path: &Path<'_>) {
        self.named(schema, path.name(), node, path);
    }

    /// The same, where `noun` says what the value is.
    fn named(&mut self, schema: &'a Json, noun: &str, node: &Node, path: &Path<'_>) {
        if let Some((name, target)) = shape::definition(self.root, schema) {
            self.named(target, &shape::noun(name), node, path);
        }
        let Some(schema) = schema.as_object() else { return };
        for variants in ["oneOf", "anyOf"].iter().filter_map(|word| schema.get(*word)?.as_array()) {
            self.choice(variants, noun, node, path);
        }
        let may_be_nothing =
            node.value == Value::Null && schema.get("type").is_some_and(|kind| allows(kind, &node.value));
        if let Some(words) = shape::own_words(schema).filter(|_| !may_be_nothing) {
            return self.word(&words, noun, node, path);
        }
        if let Some(kind) = schema.get("type")
            && !allows(kind, &node.value)
        {
            self.note(node.at, path, wrong_type(schema, node));
            return;
        }
        match &node.value {
            Value::Map(entries) => self.object(schema, entries, node.at, path),
            Value::List(items) => self.list(schema, items, node.at, path),
            Value::Number(number) => self.number(schema, number, node.at, path),
            Value::Text(text) => self.text(schema, text, node.at, path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn object(&mut self, schema: &'a Schema, entries: &[Entry], at: Position, path: &Path<'_>) {
        let properties = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties");
        let (mut sound, mut meant) = (Vec::new(), Vec::new());
        for entry in entries {
            let before = self.errors.len();
            match (properties.and_then(|fields| fields.get(&entry.key)), others) {
                (Some(field), _) => {
                    if let Some(mend) = field.get("x-only-in-kubernetes").and_then(Json::as_str) {
                        let problem = Problem::OnlyInKubernetes { mend: mend.to_owned() };
                        self.note(entry.at, &path.field(&entry.key), problem);
                        continue;
                    }
                    let required = shape::required(schema).any(|name| name == entry.key);
                    let what = if required { "" } else { ", or leave the field out" };
                    self.value_or(what, field, &entry.value, &path.field(&entry.key));
                }
                (None, Some(Json::Bool(false))) => {
                    let known = properties.into_iter().flat_map(Map::keys).map(String::as_str);
                    let known: Vec<&str> = known.collect();
                    meant.extend(nearest(&entry.key, &known));
                    self.note(entry.at, path, unknown("field", &entry.key, known));
                }
                (None, Some(others)) => self.value(others, &entry.value, &path.field(&entry.key)),
                (None, None) => {}
            }
            if self.errors.len() == before {
                sound.push(entry);
            }
        }
        // A field that is misspelt is not missing as well.
        let written = |field: &str| entries.iter().any(|entry| entry.key == field) || meant.contains(&field);
        for field in shape::required(schema).filter(|field| !written(field)) {
            let about = properties.and_then(|fields| fields.get(field)).map(|field| self.about(field));
            let problem = Problem::Missing { field: field.to_owned(), about: about.unwrap_or_default() };
            self.note(at, path, problem);
        }
        let of_these = |word| shape::names(schema, word).collect::<Vec<&str>>();
        let fields = of_these("x-any-of");
        if !fields.is_empty() && !fields.iter().any(|field| written(field)) {
            let schema_of = |field: &str| properties.and_then(|fields| fields.get(field));
            let in_files = |field: &&&str| {
                schema_of(field).is_none_or(|schema| schema.get("x-only-in-kubernetes").is_none())
            };
            let possible: Vec<&str> = fields.iter().filter(in_files).copied().collect();
            if let Some(&first) = possible.first() {
                let about = match schema_of(first).filter(|_| possible.len() == 1) {
                    Some(only) => self.about(only),
                    None => format!("expected {}", one_of(&possible)),
                };
                self.note(at, path, Problem::Missing { field: first.to_owned(), about });
            }
        }
        let exclusive = of_these("x-at-most-one");
        let mut sound_ones = sound
            .iter()
            .filter(|entry| exclusive.contains(&entry.key.as_str()) && entry.value.value != Value::Null);
        if let (Some(first), Some(second)) = (sound_ones.next(), sound_ones.next()) {
            let problem = Problem::NotBoth { other: first.key.clone() };
            self.note(second.at, &path.field(&second.key), problem);
        }
        for relation in schema.get("x-order").and_then(Json::as_array).into_iter().flatten() {
            self.order(relation, properties, entries, &sound, path);
        }
    }

    /// Checks a relation such as `min <= max`, where a field that is left out has its default.
    fn order(
        &mut self,
        relation: &Json,
        properties: Option<&Schema>,
        entries: &[Entry],
        sound: &[&Entry],
        path: &Path<'_>,
    ) {
        let mut words = relation.as_str().unwrap_or_default().split_whitespace();
        let (Some(low), Some(sign), Some(high)) = (words.next(), words.next(), words.next()) else { return };
        let side = |name: &str| {
            let written = entries.iter().find(|entry| entry.key == name);
            match written.map(|entry| &entry.value.value) {
                Some(Value::Number(number)) if sound.iter().any(|entry| entry.key == name) => {
                    Some((number.value, number.text.clone(), written.map(|entry| entry.value.at)))
                }
                // Wrong in itself, which has been said.
                Some(Value::Number(_) | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_)) => {
                    None
                }
                Some(Value::Null) | None => {
                    let default = properties?.get(name)?.get("default")?.as_f64()?;
                    Some((default, format!("{default} (the default)"), None))
                }
            }
        };
        let (Some(small), Some(large)) = (side(low), side(high)) else { return };
        let strict = sign == "<";
        if small.0 < large.0 || (!strict && small.0 <= large.0) {
            return;
        }
        let mend = format!("lower {low} or raise {high}");
        let (at, name, problem) = match (small.2, large.2) {
            (Some(at), _) => {
                let relation = if strict { "not below" } else { "above" };
                (
                    at,
                    low,
                    Problem::Order {
                        value: small.1,
                        relation,
                        other: high.into(),
                        other_value: large.1,
                        mend,
                    },
                )
            }
            (None, Some(at)) => {
                let relation = if strict { "not above" } else { "below" };
                (
                    at,
                    high,
                    Problem::Order {
                        value: large.1,
                        relation,
                        other: low.into(),
                        other_value: small.1,
                        mend,
                    },
                )
            }
            (None, None) => return,
        };
        self.note(at, &path.field(name), problem);
    }

    fn list(&mut self, schema: &'a Schema, items: &[Node], at: Position, path: &Path<'_>) {
        if let Some(least) = schema.get("minItems").and_then(Json::as_u64)
            && (items.len() as u64) < least
        {
            self.note(at, path, Problem::TooFew { least, of: "item", found: items.len() });
        }
        if let Some(item) = schema.get("items") {
            for (index, node) in items.iter().enumerate() {
                self.value(item, node, &path.item(index));
            }
        }
    }

    fn number(&mut self, schema: &Schema, number: &Number, at: Position, path: &Path<'_>) {
        let format = format::range(schema);
        let bound = |word: &str| Some((schema.get(word)?.as_f64()?, schema.get(word)?.to_string()));
        let least = bound("minimum").or(format.map(|(least, _)| (least, least.to_string())));
        let most = bound("maximum").or(format.map(|(_, most)| (most, most.to_string())));
        if !number.value.is_finite() {
            return self.note(
                at,
                path,
                Problem::WrongType {
                    expected: "a finite number".to_owned(),
                    found: number.text.clone(),
                    mend: String::new(),
                },
            );
        }
        let out =
            |side, bound| Problem::OutOfRange { found: number.text.clone(), side, bound, why: why(schema) };
        match (least, most) {
            (Some((least, bound)), _) if number.value < least => {
                self.note(at, path, out("below the minimum", bound));
            }
            (_, Some((most, bound))) if number.value > most => {
                self.note(at, path, out("above the maximum", bound));
            }
            _ => {}
        }
    }

    fn text(&mut self, schema: &Schema, text: &str, at: Position, path: &Path<'_>) {
        if let Some(least) = schema.get("minLength").and_then(Json::as_u64)
            && (text.chars().count() as u64) < least
        {
            self.note(at, path, Problem::TooFew { least, of: "character", found: text.chars().count() });
        }
        let format = format::of(schema);
        if let Some(Err(problem)) = format.map(|format| (format.check)(text)) {
            self.note(at, path, Problem::Format(problem));
        }
        let span = |text: &str| text.parse::<Span>().ok();
        if let Some(bound) = schema.get("x-minimum").and_then(Json::as_str)
            && span(text).zip(span(bound)).is_some_and(|(found, least)| found < least)
        {
            let (found, bound) = (text.to_owned(), bound.to_owned());
            let side = "below the minimum";
            self.note(at, path, Problem::OutOfRange { found, side, bound, why: why(schema) });
        }
    }

    /// What to write for a field that is missing.
    fn about(&self, field: &'a Json) -> String {
        let words = shape::words(self.root, field);
        words.map_or_else(|| shape::description(field), |words| format!("expected {}", one_of(&words)))
    }

    /// Checks a value; where there is none, says what else would do.
    pub(super) fn value_or(&mut self, what: &'static str, schema: &'a Json, node: &Node, path: &Path<'_>) {
        let before = self.errors.len();
        self.value(schema, node, path);
        if node.value == Value::Null
            && let Some(Problem::Empty { mend, .. }) =
                self.errors.get_mut(before).map(|error| &mut error.problem)
        {
            *mend = what;
        }
    }

    pub(super) fn note(&mut self, at: Position, path: &Path<'_>, problem: Problem) {
        self.errors.push(self.source.error(at, path.to_string(), problem));
    }
}

/// What a name that is not among `known` may have been meant to be.
pub(super) fn unknown<'k>(noun: &str, name: &str, known: impl IntoIterator<Item = &'k str>) -> Problem {
    // Shortened: a whole file may have become one key.
    let shown = short(name);
    Problem::Unknown { noun: noun.to_owned(), hint: Hint::new(name, known), name: shown }
}

/// What belongs where something else is.
pub(super) fn wrong_type(schema: &Schema, node: &Node) -> Problem {
    let expected = expected(schema);
    match node.value {
        Value::Null => Problem::Empty { expected, mend: "" },
        _ => Problem::WrongType { expected, found: found(node), mend: mend(schema, node) },
    }
}

fn why(schema: &Schema) -> String {
    schema.get("x-why").and_then(Json::as_str).map(|why| format!("; {why}")).unwrap_or_default()
}

fn allows(kind: &Json, value: &Value) -> bool {
    shape::types(kind).any(|kind| match (kind, value) {
        ("object", Value::Map(_))
        | ("array", Value::List(_))
        | ("string", Value::Text(_))
        | ("number", Value::Number(_))
        | ("boolean", Value::Bool(_))
        | ("null", Value::Null) => true,
        ("integer", Value::Number(number)) => number.whole.is_some(),
        _ => false,
    })
}

fn expected(schema: &Schema) -> String {
    let format = format::of(schema);
    let field = schema.get("properties").and_then(Json::as_object).and_then(|fields| fields.keys().next());
    match (shape::main_type(schema), format, field) {
        ("string", Some(format), _) => format.expected.to_owned(),
        ("string", None, _) => "text".to_owned(),
        ("integer", ..) => "a whole number".to_owned(),
        ("number", ..) => "a number".to_owned(),
        ("boolean", ..) => "true or false".to_owned(),
        ("array", ..) => "a list".to_owned(),
        (_, _, Some(field)) => format!("fields such as `{field}:`"),
        _ => "fields".to_owned(),
    }
}

pub(crate) fn found(node: &Node) -> String {
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {}", short(&number.text)),
        Value::Text(text) => format!("the text {:?}", short(text)),
        Value::List(items) if items.is_empty() => "an empty list".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "fields".to_owned(),
    }
}

/// What to do where that is plain.
fn mend(schema: &Schema, node: &Node) -> String {
    let kind = shape::main_type(schema);
    let unit = match schema.get("x-form").and_then(Json::as_str) {
        Some("duration") => Some("s"),
        Some("service-time") => Some("ms"),
        Some("percent") => Some("%"),
        _ => None,
    };
    let mend = match (&node.value, kind) {
        (Value::Number(number), "string") if unit.is_some() => {
            return format!("; give it a unit, as in {}{}", short(&number.text), unit.unwrap_or_default());
        }
        (Value::Number(_) | Value::Bool(_), "string") => "; put it in quotes",
        (Value::Text(text), "number" | "integer" | "boolean") if quoted_by_mistake(schema, text) => {
            "; write it without quotes"
        }
        (Value::Map(_), "array") => "; begin each item with `- `",
        (Value::List(_), "object") => "; leave out the `- `",
        _ => "",
    };
    mend.to_owned()
}

fn quoted_by_mistake(schema: &Schema, text: &str) -> bool {
    schema.get("type").is_some_and(|kind| allows(kind, &super::yaml::plain(text)))
}

#[cfg(test)]
mod tests;
