//! From the schema of files to the structural schema that Kubernetes takes.
//!
//! Comes in: JSON Schema as our types generate it, with its own words (see [`config::schema`](crate::config::schema)). Goes out:
//! OpenAPI v3 as a CustomResourceDefinition may have it: no references, no types but one, choices as fields of which one may be
//! there. What it cannot say becomes rules in CEL, of the same words that files are checked by. It must never let pass what
//! a file check refuses if a schema or CEL can tell.

use serde_json::{Map, Value as Json, json};

use super::rules::{self, Rule};

/// An object of a schema.
pub(super) type Schema = Map<String, Json>;

/// The longest lists and texts, and the most names. Files have no such limits; Kubernetes wants them, so that it can tell
/// beforehand what the rules cost. A list of vertices is the longest that a job can need.
const MOST_ITEMS: u64 = 64;
const MOST_VERTICES: u64 = 256;
const MOST_NAMES: u64 = 256;
const LONGEST_TEXT: u64 = 1024;
/// PromQL that a person can still read.
const LONGEST_QUERY: u64 = 4096;
/// `1d2h3m4s5ms` has 11 characters.
const LONGEST_SPAN: u64 = 32;
/// Of a number in an integer of 32 bits, which Kubernetes' counts of pods are.
const MOST: u64 = i32::MAX as u64;

/// A schema as Kubernetes has it, with the definitions of `root` in the place of references.
pub(super) fn structural(root: &Json, schema: &Json) -> Json {
    Json::Object(Converter { root }.convert(schema, ""))
}

struct Converter<'a> {
    root: &'a Json,
}

impl Converter<'_> {
    fn convert(&self, schema: &Json, field: &str) -> Schema {
        let Some(schema) = schema.as_object() else { return Schema::new() };
        let mut out = self.shape(schema, field);
        if let Some(description) = describe(schema, out.get("description")) {
            // First, as in every definition that people read.
            out.shift_insert(0, "description".to_owned(), description.into());
        }
        out
    }

    /// What a schema allows, with the description of what it refers to.
    fn shape(&self, schema: &Schema, field: &str) -> Schema {
        if let Some(target) = schema.get("$ref").and_then(|name| self.definition(name)) {
            return self.convert(target, field);
        }
        if let Some(variants) = schema.get("anyOf").and_then(Json::as_array) {
            // An option that refers to a definition; our types generate no other choice of this kind.
            let some = variants.iter().find(|one| one.get("type").is_none_or(|kind| kind != "null"));
            let mut out = some.map(|some| self.convert(some, field)).unwrap_or_default();
            out.insert("nullable".to_owned(), true.into());
            return out;
        }
        if let Some(variants) = schema.get("oneOf").and_then(Json::as_array) {
            return self.choice(variants, field);
        }
        if let Some(words) = words(schema) {
            return with_null(schema, object(json!({"type": "string", "enum": words})));
        }
        let mut out = match kind(schema) {
            Some("object") => self.object(schema),
            Some("array") => self.list(schema, field),
            Some("string") if is_also_a_number(schema) => text_or_number(schema),
            Some("string") => text(schema, field),
            Some("integer") => integer(schema),
            Some("number") => number(schema),
            Some(other) => object(json!({"type": other})),
            // Anything at all.
            None => object(json!({"x-kubernetes-preserve-unknown-fields": true})),
        };
        for (word, value) in schema.iter().filter(|(word, _)| word.starts_with("x-kubernetes-")) {
            out.insert(word.clone(), value.clone());
        }
        with_null(schema, out)
    }

    fn definition(&self, name: &Json) -> Option<&Json> {
        self.root.get("$defs")?.get(name.as_str()?.strip_prefix("#/$defs/")?)
    }

    fn object(&self, schema: &Schema) -> Schema {
        let mut out = object(json!({"type": "object"}));
        if let Some(fields) = schema.get("properties").and_then(Json::as_object) {
            let fields: Schema = fields
                .iter()
                .map(|(name, field)| (name.clone(), Json::Object(self.convert(field, name))))
                .collect();
            out.insert("properties".to_owned(), Json::Object(fields));
        } else if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            out.insert("additionalProperties".to_owned(), Json::Object(self.convert(values, "")));
            out.insert("maxProperties".to_owned(), MOST_NAMES.into());
        }
        if let Some(required) = schema.get("required") {
            out.insert("required".to_owned(), required.clone());
        }
        add(&mut out, rules::of_object(schema));
        out
    }

    fn list(&self, schema: &Schema, field: &str) -> Schema {
        let items = schema.get("items").map(|item| self.convert(item, "")).unwrap_or_default();
        let most = if field == "vertices" { MOST_VERTICES } else { MOST_ITEMS };
        let mut out = object(json!({"type": "array", "maxItems": most, "items": items}));
        copy(schema, &mut out, &["minItems"]);
        out
    }

    /// One of several: words, fields of which one is there, or objects that a `type` tells apart.
    fn choice(&self, variants: &[Json], field: &str) -> Schema {
        let variants: Vec<&Schema> = variants.iter().filter_map(Json::as_object).collect();
        if let Some(all) = variants.iter().map(|one| words(one)).collect::<Option<Vec<_>>>() {
            let listed = variants.iter().zip(&all).filter_map(|(one, words)| {
                let about = one.get("description")?.as_str()?;
                Some(format!("{}: {}", words.join(", "), plain(about)))
            });
            let listed: Vec<String> = listed.collect();
            let mut out = object(json!({"type": "string", "enum": all.concat()}));
            if !listed.is_empty() {
                out.insert("description".to_owned(), listed.join("\n").into());
            }
            return out;
        }
        let mut fields = Schema::new();
        for variant in &variants {
            let inner = self.convert(&Json::Object((*variant).clone()), field);
            let inner_fields = inner.get("properties").and_then(Json::as_object).cloned().unwrap_or_default();
            for (name, mut schema) in inner_fields {
                match fields.get_mut(&name) {
                    None => {
                        // What a variant is for is said of the one field that it has.
                        if let (1, Some(about)) = (required(variant).count(), variant.get("description")) {
                            schema["description"] = about.clone();
                        }
                        fields.insert(name, schema);
                    }
                    // The word that tells the variants apart.
                    Some(known) => {
                        if let (Some(known), Some(Json::Array(more))) =
                            (known.get_mut("enum").and_then(Json::as_array_mut), schema.get("enum"))
                        {
                            known.extend(more.iter().cloned());
                        }
                    }
                }
            }
        }
        let mut out = object(json!({"type": "object", "properties": fields}));
        let everywhere =
            required(variants[0]).filter(|name| variants.iter().all(|v| required(v).any(|n| n == *name)));
        let everywhere: Vec<&str> = everywhere.collect();
        if !everywhere.is_empty() {
            out.insert("required".to_owned(), json!(everywhere));
        }
        add(&mut out, rules::of_choice(&variants));
        out
    }
}

/// A field's description: what is said where it is used, or else of its type; with its default, and the reason of its least.
fn describe(schema: &Schema, of_type: Option<&Json>) -> Option<String> {
    let own = schema.get("description").and_then(Json::as_str).map(plain);
    let of_type = of_type.and_then(Json::as_str).map(str::to_owned);
    let is_list = of_type.as_ref().is_some_and(|text| text.contains(": "));
    let mut text = match (own, of_type) {
        // The words of a choice are told below what it is for.
        (Some(own), Some(words)) if is_list && schema.contains_key("$ref") => format!("{own}\n{words}"),
        (Some(own), _) => own,
        (None, Some(of_type)) => of_type,
        (None, None) => return None,
    };
    if let (Some(least), Some(why)) = (bound(schema, "x-minimum"), bound(schema, "x-why")) {
        text = format!("{text} Not less than {least}: {why}.");
    }
    match schema.get("default") {
        Some(Json::String(word)) => Some(format!("{text} Default: {word}.")),
        Some(value @ (Json::Number(_) | Json::Bool(true))) => Some(format!("{text} Default: {value}.")),
        _ => Some(text),
    }
}

/// A description on one line a paragraph, that ends with a stop.
fn plain(text: &str) -> String {
    let lines =
        text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let text = lines.collect::<Vec<_>>().join("\n");
    if text.ends_with(['.', '`']) { text } else { format!("{text}.") }
}

fn bound<'a>(schema: &'a Schema, word: &str) -> Option<&'a str> {
    schema.get(word)?.as_str()
}

fn text(schema: &Schema, field: &str) -> Schema {
    let longest = match (bound(schema, "x-form"), field) {
        (Some("duration" | "duration-or-observed"), _) => LONGEST_SPAN,
        (_, "query") => LONGEST_QUERY,
        _ => LONGEST_TEXT,
    };
    let mut out = object(json!({"type": "string", "maxLength": longest}));
    copy(schema, &mut out, &["minLength", "maxLength", "pattern", "format"]);
    add(&mut out, rules::of_text(schema));
    out
}

/// What Kubernetes writes as a text or a whole number: quantities and ports.
fn text_or_number(schema: &Schema) -> Schema {
    let mut out = object(json!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "maxLength": LONGEST_SPAN,
    }));
    copy(schema, &mut out, &["maxLength", "pattern", "minimum", "maximum"]);
    out
}

fn integer(schema: &Schema) -> Schema {
    let mut out = object(json!({"type": "integer"}));
    match bound(schema, "format") {
        Some("uint8" | "uint16" | "uint32") => {
            out.insert("format".to_owned(), "int32".into());
            out.insert("minimum".to_owned(), 0.into());
            out.insert("maximum".to_owned(), MOST.into());
        }
        Some("int64" | "uint64") => {
            out.insert("format".to_owned(), "int64".into());
        }
        _ => {}
    }
    copy(schema, &mut out, &["minimum", "maximum"]);
    out
}

fn number(schema: &Schema) -> Schema {
    let mut out = object(json!({"type": "number", "format": "double"}));
    copy(schema, &mut out, &["minimum", "maximum"]);
    out
}

/// The type besides null.
fn kind(schema: &Schema) -> Option<&str> {
    types(schema).find(|kind| *kind != "null")
}

fn types(schema: &Schema) -> impl Iterator<Item = &str> {
    let kinds = schema.get("type").map(|of| of.as_array().map_or(std::slice::from_ref(of), Vec::as_slice));
    kinds.unwrap_or_default().iter().filter_map(Json::as_str)
}

fn is_also_a_number(schema: &Schema) -> bool {
    types(schema).any(|kind| matches!(kind, "number" | "integer"))
}

fn with_null(schema: &Schema, mut out: Schema) -> Schema {
    if types(schema).any(|kind| kind == "null") {
        out.insert("nullable".to_owned(), true.into());
    }
    out
}

/// The words that a schema allows by itself.
fn words(schema: &Schema) -> Option<Vec<&str>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(word), _) => Some(vec![word.as_str()?]),
        (None, Some(Json::Array(words))) => Some(words.iter().filter_map(Json::as_str).collect()),
        _ => None,
    }
}

/// The fields that must be there.
pub(super) fn required(schema: &Schema) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

fn copy(from: &Schema, to: &mut Schema, names: &[&str]) {
    for name in names {
        if let Some(value) = from.get(*name) {
            to.insert((*name).to_owned(), value.clone());
        }
    }
}

/// Adds rules to those that a schema has.
pub(super) fn add(schema: &mut Schema, more: Vec<Rule>) {
    if more.is_empty() {
        return;
    }
    let rules = schema.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
    if let Some(rules) = rules.as_array_mut() {
        rules.extend(more.into_iter().map(Rule::into_json));
    }
}

fn object(value: Json) -> Schema {
    match value {
        Json::Object(fields) => fields,
        _ => Schema::new(),
    }
}
