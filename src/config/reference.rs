//! The reference page of configuration files, written from the schema: every field with its type, default and range.

use std::collections::HashSet;
use std::fmt::Write;

use serde_json::Value as Json;

use super::format;
use super::schema::json_schema;
use super::shape::{self, Schema, Variant};

/// The page, as Markdown.
pub fn markdown() -> String {
    let root = json_schema();
    let mut page = Page { root, waiting: Vec::new(), seen: HashSet::new(), text: HEAD.to_owned() };
    let documents = root.get("oneOf").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    for document in documents {
        page.refer(document);
        page.write_waiting();
    }
    page.text
}

const HEAD: &str = "\
<!-- Written from the schema by `TIDEGATE_BLESS=1 cargo test --test generated`; do not edit. -->

# Configuration files

A configuration file is YAML or JSON and holds one or several documents, separated by `---`. Each is one of the two kinds
below. Unknown fields are errors. Lengths of time are written as Kubernetes writes them: `90s`, `5m`, `1h30m`, `1d`. A field
without a default must be there where it says required, and may be left out otherwise.
";

struct Page<'a> {
    root: &'a Json,
    /// Definitions that have been mentioned and not yet described, the next one last.
    waiting: Vec<(&'a str, &'a Json)>,
    seen: HashSet<&'a str>,
    text: String,
}

impl<'a> Page<'a> {
    fn write_waiting(&mut self) {
        while let Some((name, schema)) = self.waiting.pop() {
            let before = self.waiting.len();
            self.section(name, schema);
            // Described in the order in which they were mentioned, each before those that come after it.
            self.waiting[before..].reverse();
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn section(&mut self, name: &str, schema: &'a Json) {
        let level = if shape::resolve(self.root, schema).is_some_and(is_document) { "##" } else { "###" };
        self.line(&format!("\n{level} {name}\n\n{}.", shape::description(schema)));
        if let Some(fields) = schema.get("properties").and_then(Json::as_object) {
            self.line("\n| field | type | default | description |\n|---|---|---|---|");
            let required: Vec<&str> =
                schema.as_object().map(|s| shape::required(s).collect()).unwrap_or_default();
            for (field, value) in fields {
                let kind = self.kind(value);
                let default = if required.contains(&field.as_str()) {
                    "required".to_owned()
                } else {
                    self.default(value)
                };
                self.line(&format!("| `{field}` | {kind} | {default} | {} |", cell(value)));
            }
        }
        let variants = schema.get("oneOf").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        if !variants.is_empty() {
            self.line("");
        }
        for variant in variants {
            let about = shape::description(variant);
            match shape::variant(variant) {
                Some(Variant::Words(words)) => self.line(&format!("- `{}`: {about}.", words.join("`, `"))),
                Some(Variant::Key(key, value)) => {
                    let kind = self.kind(value);
                    self.line(&format!("- `{key}:` {kind}. {about}."));
                }
                None => {}
            }
        }
        let quoted = |word: &str| -> Vec<String> {
            let listed = schema.get(word).and_then(Json::as_array).into_iter().flatten();
            listed.filter_map(Json::as_str).map(|one| format!("`{one}`")).collect()
        };
        let any_of = quoted("x-any-of");
        // Of fields of which one must be there and no two may be, it is enough to say so once.
        let at_most_one = quoted("x-at-most-one");
        let (one_of, any_of) = if any_of == at_most_one { ("Exactly", any_of) } else { ("At least", any_of) };
        let at_most_one = if any_of == at_most_one { Vec::new() } else { at_most_one };
        for (said, listed, between) in [
            ("Always".to_owned(), quoted("x-order"), " and "),
            (format!("{one_of} one of"), any_of, ", "),
            ("At most one of".to_owned(), at_most_one, ", "),
        ] {
            if !listed.is_empty() {
                self.line(&format!("\n{said} {}.", listed.join(between)));
            }
        }
    }

    /// What may be written for a value, with links to what is described further down.
    fn kind(&mut self, schema: &'a Json) -> String {
        if let Some(link) = self.refer(schema) {
            return link;
        }
        if let Some(words) = shape::words(self.root, schema) {
            return format!("`{}`", words.join("`, `"));
        }
        if let Some(some) = schema.get("anyOf").and_then(|any| shape::option(any.as_array()?)) {
            return self.kind(some);
        }
        let Some(schema) = schema.as_object() else { return String::new() };
        match (shape::main_type(schema), schema.get("items"), schema.get("additionalProperties")) {
            ("array", Some(item), _) => format!("list of {}{}", self.kind(item), range(schema)),
            ("object", _, Some(value)) => format!("any names, each with {}", self.kind(value)),
            ("string", ..) => format!("{}{}", form(schema), range(schema)),
            ("integer", ..) => format!("whole number{}", range(schema)),
            ("boolean", ..) => "`true` or `false`".to_owned(),
            (other, ..) => format!("{other}{}", range(schema)),
        }
    }

    /// A field's default, unless it is that of its fields, which say it themselves.
    fn default(&self, schema: &Json) -> String {
        let fields = shape::resolve(self.root, schema).and_then(|schema| schema.get("properties"));
        let says_itself = |(name, default): (&String, &Json)| {
            let own = fields.and_then(|fields| fields.get(name)).and_then(|field| field.get("default"));
            own == Some(default)
        };
        match schema.get("default") {
            None | Some(Json::Null) => String::new(),
            Some(Json::Object(fields)) if fields.iter().all(says_itself) => String::new(),
            Some(Json::Array(items)) if items.is_empty() => "none".to_owned(),
            Some(Json::String(word)) => format!("`{word}`"),
            Some(value) => format!("`{value}`"),
        }
    }

    /// A link to the definition that a schema refers to, which is described later.
    fn refer(&mut self, schema: &'a Json) -> Option<String> {
        let (name, target) = shape::definition(self.root, schema)?;
        if self.seen.insert(name) {
            self.waiting.push((name, target));
        }
        Some(format!("[{name}](#{})", name.to_lowercase()))
    }
}

fn is_document(schema: &Schema) -> bool {
    schema
        .get("properties")
        .is_some_and(|fields| fields.get("apiVersion").is_some() && fields.get("spec").is_some())
}

fn form(schema: &Schema) -> &'static str {
    format::of(schema).map_or("text", |format| format.noun)
}

/// The range of a number, a length of time or a list.
fn range(schema: &Schema) -> String {
    let bound = |word: &str| {
        schema.get(word).map(|bound| bound.as_str().map_or_else(|| bound.to_string(), str::to_owned))
    };
    match (bound("minimum").or(bound("x-minimum")), bound("maximum"), bound("minItems")) {
        (Some(least), Some(most), _) => format!(", {least} to {most}"),
        (Some(least), None, _) | (None, None, Some(least)) => format!(", at least {least}"),
        (None, Some(most), _) => format!(", at most {most}"),
        (None, None, None) => String::new(),
    }
}

/// A field's description for a cell of a table.
fn cell(schema: &Json) -> String {
    let mut cell = shape::description(schema).replace('|', "\\|");
    if let Some(why) = schema.get("x-why").and_then(Json::as_str) {
        let bound = schema.get("x-minimum").and_then(Json::as_str).unwrap_or_default();
        // Writing to a text does not fail.
        let _ = write!(cell, ". Not less than {bound}: {why}");
    }
    cell
}
