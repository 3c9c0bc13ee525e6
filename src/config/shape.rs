//! What a part of the schema stands for: read once here, for the check and for the reference.

use serde_json::{Map, Value as Json};

/// An object of the schema.
pub(super) type Schema = Map<String, Json>;

/// How a variant of a choice is told from its neighbours.
pub(super) enum Variant<'a> {
    /// By being one of these words.
    Words(Vec<&'a str>),
    /// By having this one key, for a value of this schema.
    Key(&'a str, &'a Json),
}

/// The definition that a schema refers to, and its name.
pub(super) fn definition<'a>(root: &'a Json, schema: &'a Json) -> Option<(&'a str, &'a Json)> {
    let name = schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
    Some((name, root.get("$defs")?.get(name)?))
}

/// The schema itself, or what it refers to, as an object.
pub(super) fn resolve<'a>(root: &'a Json, schema: &'a Json) -> Option<&'a Schema> {
    definition(root, schema).map_or(schema, |(_, target)| target).as_object()
}

/// The words that a schema allows by itself.
pub(super) fn own_words(schema: &Schema) -> Option<Vec<&str>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(word), _) => Some(vec![word.as_str()?]),
        // A field that may be left out has nothing as one of its words.
        (None, Some(Json::Array(words))) => {
            words.iter().filter(|word| !word.is_null()).map(Json::as_str).collect()
        }
        _ => None,
    }
}

/// The words that a schema allows, if it allows nothing else.
pub(super) fn words<'a>(root: &'a Json, schema: &'a Json) -> Option<Vec<&'a str>> {
    let schema = resolve(root, schema)?;
    own_words(schema).or_else(|| {
        let variants = schema.get("oneOf")?.as_array()?.iter();
        let words: Option<Vec<_>> = variants.map(|variant| own_words(variant.as_object()?)).collect();
        words.map(|words| words.concat())
    })
}

/// What remains of a choice with null, which is how an option that refers to a definition is written.
pub(super) fn option(variants: &[Json]) -> Option<&Json> {
    let is_null = |one: &Json| one.get("type").is_some_and(|kind| kind == "null");
    match variants {
        [some, null] | [null, some] if is_null(null) && !is_null(some) => Some(some),
        _ => None,
    }
}

/// How a variant is told from its neighbours, if by a word or a key.
pub(super) fn variant(schema: &Json) -> Option<Variant<'_>> {
    let schema = schema.as_object()?;
    if let Some(words) = own_words(schema) {
        return Some(Variant::Words(words));
    }
    let fields = schema.get("properties")?.as_object()?;
    let closed = schema.get("additionalProperties") == Some(&Json::Bool(false));
    let required = required(schema).count();
    let (key, value) = fields.iter().next()?;
    (fields.len() == 1 && required == 1 && closed).then_some(Variant::Key(key, value))
}

/// The fields that must be there.
pub(super) fn required(schema: &Schema) -> impl Iterator<Item = &str> {
    names(schema, "required")
}

/// The names that a word of the schema lists.
pub(super) fn names<'a>(schema: &'a Schema, word: &str) -> impl Iterator<Item = &'a str> {
    schema.get(word).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

/// The types that a schema allows.
pub(super) fn types(of: &Json) -> impl Iterator<Item = &str> {
    of.as_array().map_or(std::slice::from_ref(of), Vec::as_slice).iter().filter_map(Json::as_str)
}

/// The type that a schema allows besides null.
pub(super) fn main_type(schema: &Schema) -> &str {
    schema.get("type").and_then(|of| types(of).find(|one| *one != "null")).unwrap_or_default()
}

/// The first paragraph of a description, on one line and without its last stop.
pub(super) fn description(schema: &Json) -> String {
    let text = schema.get("description").and_then(Json::as_str).unwrap_or_default();
    let words: Vec<&str> = text.split("\n\n").next().unwrap_or_default().split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

/// `MetricTarget` as one says it: metric target.
pub(super) fn noun(name: &str) -> String {
    let mut noun = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !noun.is_empty() {
            noun.push(' ');
        }
        noun.extend(c.to_lowercase());
    }
    noun
}
