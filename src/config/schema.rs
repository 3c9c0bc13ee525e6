//! The JSON schema of a configuration file's documents, generated from the types that they are read into.
//!
//! Besides the words of JSON Schema 2020-12 it has some of its own, which other readers ignore: `x-form`, what a text must
//! be; `x-order`, a list of relations between the fields of an object (`"min <= max"`); `x-any-of`, fields of which one at least
//! must be there; `x-at-most-one`, fields that exclude each other; `x-only-in-kubernetes`, what to write in a file instead of a
//! field that only an object in Kubernetes can have; `x-minimum`, the least length of time, and `x-why`, the reason for it. What a file is checked against, the reference
//! and the CRDs all come from this one value.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::document::{FlinkAutoscaler, ScalingPolicy};

/// The schema of one document.
pub fn json_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(generate);
    &SCHEMA
}

fn generate() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let documents =
        [generator.subschema_for::<FlinkAutoscaler>(), generator.subschema_for::<ScalingPolicy>()];
    let definitions = generator.take_definitions(true);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://tidegate.dev/schema/v1alpha1.json",
        "title": "Tidegate configuration",
        "oneOf": documents,
        "$defs": definitions,
    })
}

/// The schema as the text of a file.
pub fn to_text() -> String {
    format!("{:#}\n", json_schema())
}
