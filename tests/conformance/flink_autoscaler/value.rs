//! What the vectors write differently from JSON: floats that JSON has none of, and options as anything but text.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value, json};
use tidegate::model::Timestamp;
use tidegate::policy::flink_autoscaler::options::{Bytes, Value as _};

use crate::frame::{Fault, Vector};

/// A float that may be `"NaN"` or `"Infinity"`; null is NaN, for what was absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Float(pub(crate) f64);

impl Default for Float {
    fn default() -> Self {
        Self(f64::NAN)
    }
}

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        float(&value).map(Self).ok_or_else(|| de::Error::custom(format!("expected a float, not {value}")))
    }
}

/// A size in Flink's notation, or in bytes; null is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size(pub(crate) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        size(&value).map(Self).ok_or_else(|| de::Error::custom(format!("expected a size, not {value}")))
    }
}

fn size(value: &Value) -> Option<u64> {
    if value.is_null() {
        return Some(0);
    }
    value.as_u64().or_else(|| Bytes::parse(value.as_str()?).map(|bytes| bytes.0))
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(f64::NAN),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// A float as the vectors write it.
pub(crate) fn written(value: f64) -> Value {
    if value.is_nan() {
        json!("NaN")
    } else if value == f64::INFINITY {
        json!("Infinity")
    } else if value == f64::NEG_INFINITY {
        json!("-Infinity")
    } else {
        json!(value)
    }
}

/// A moment so many seconds after the epoch, to the millisecond.
pub(crate) fn at(seconds: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a vector are few")]
    Timestamp::from_millis((seconds * 1000.0).round() as i64)
}

/// The options of a vector as texts: Flink's lists have `;` between their items.
pub(crate) fn texts(config: &Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let quoted =
                items.iter().filter_map(Value::as_str).map(|item| format!("'{}'", item.replace('\'', "''")));
            quoted.collect::<Vec<_>>().join(";")
        }
        other => other.to_string(),
    };
    config.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// Fields with their values.
pub(crate) fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What the test upstream asserts where it asserts no number: for people.
const NOTE: &str = "test_asserts";

/// Whether all that is expected was computed. A field that is expected and was not computed is a fault of the judge: it would
/// go unchecked.
pub(crate) fn compare(vector: &Vector, got: Map<String, Value>) -> Result<(), Fault> {
    let expected: Map<String, Value> = vector.part("expected")?;
    let mut wrong = Vec::new();
    difference("", &Value::Object(expected), &Value::Object(got), &mut wrong)?;
    if wrong.is_empty() { Ok(()) } else { Err(Fault::Differs(wrong.join(", "))) }
}

/// Maps of which all is told: one entry more is as wrong as one less.
const WHOLE: [&str; 5] = [".metrics", ".merged", ".new_parallelism", ".put", "overrides"];

fn keys(map: &Map<String, Value>) -> BTreeSet<&str> {
    map.keys().map(String::as_str).collect()
}

fn difference(at: &str, expected: &Value, got: &Value, wrong: &mut Vec<String>) -> Result<(), Fault> {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            if WHOLE.iter().any(|whole| at.ends_with(whole)) && keys(expected) != keys(got) {
                wrong.push(format!("{at} has {:?} and not {:?}", keys(got), keys(expected)));
                return Ok(());
            }
            for (name, want) in expected.iter().filter(|(name, _)| *name != NOTE) {
                let at = format!("{at}.{name}");
                match got.get(name) {
                    Some(have) => difference(&at, want, have, wrong)?,
                    None => {
                        return Err(Fault::Unreadable(format!(
                            "it expects {at} = {want}, which was not computed"
                        )));
                    }
                }
            }
        }
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            for (index, (want, have)) in expected.iter().zip(got).enumerate() {
                difference(&format!("{at}[{index}]"), want, have, wrong)?;
            }
        }
        _ if is_same(expected, got) => {}
        _ => wrong.push(format!("{at} is {got} and not {expected}")),
    }
    Ok(())
}

/// Floats are the same to nine digits: the vectors do not write them to the last.
fn is_same(expected: &Value, got: &Value) -> bool {
    match (expected.as_f64(), got.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
        _ => expected == got,
    }
}
