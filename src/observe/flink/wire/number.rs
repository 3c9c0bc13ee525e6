//! Flink's numbers: a double that is not finite is written as a string, `"NaN"` or `"Infinity"`, in a number's place.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A number that may not be one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Number {
    /// NaN, an infinity, or null.
    #[default]
    None,
    /// A whole number that is not negative, exactly.
    Whole(u64),
    /// Any other finite number.
    Float(f64),
}

impl Number {
    /// A count: what is negative is none.
    pub(crate) fn count(self) -> Option<u64> {
        match self {
            Self::Whole(count) => Some(count),
            // A sum of subtasks' counters is far below 2^53; beyond it somebody has made it up.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to 2^53, as checked"
            )]
            Self::Float(float) if (0.0..=9_007_199_254_740_992.0).contains(&float) => {
                Some(float.round() as u64)
            }
            Self::Float(_) | Self::None => None,
        }
    }

    fn of(float: f64) -> Self {
        if float.is_finite() { Self::Float(float) } else { Self::None }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"NaN\" or \"Infinity\"")
    }

    fn visit_u64<E: Error>(self, whole: u64) -> Result<Number, E> {
        Ok(Number::Whole(whole))
    }

    fn visit_i64<E: Error>(self, whole: i64) -> Result<Number, E> {
        Ok(u64::try_from(whole).map_or(Number::Float(whole as f64), Number::Whole))
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<Number, E> {
        Ok(Number::of(float))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        text.parse().map(Number::of).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_unit<E: Error>(self) -> Result<Number, E> {
        Ok(Number::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_flink_writes_for_a_number() {
        for (json, count) in [
            ("0", Some(0)),
            ("12", Some(12)),
            ("18446744073709551615", Some(u64::MAX)),
            ("12.0", Some(12)),
            ("1.2345E7", Some(12_345_000)),
            ("0.6", Some(1)),
            ("-1", None),
            ("-9.223372036854776e+18", None),
            ("1e300", None),
            (r#""NaN""#, None),
            (r#""Infinity""#, None),
            (r#""-Infinity""#, None),
            (r#""7.0""#, Some(7)),
            ("null", None),
        ] {
            let number: Number = serde_json::from_str(json).expect(json);
            assert_eq!(number.count(), count, "{json}");
        }
        for json in [r#""many""#, r#""""#, "{}", "[]", "true"] {
            assert!(serde_json::from_str::<Number>(json).is_err(), "{json}");
        }
    }
}
