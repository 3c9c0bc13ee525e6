//! Units that only tests have: what a record costs, and how much of what is requested is used.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that is not of its unit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected {expected}, not {found:?}")]
pub struct UnitError {
    expected: &'static str,
    found: String,
}

impl UnitError {
    fn new(expected: &'static str, found: &str) -> Self {
        Self { expected, found: found.chars().take(40).collect() }
    }
}

/// Splits `4.5ms` into its number, which is finite and not negative, and its unit.
fn split(text: &str) -> Option<(f64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok().filter(|number: &f64| number.is_finite())?, unit))
}

/// Busy time of one subtask for one record: `4ms`, `50us`. Finer than a [`Span`](crate::policy::Span), as a record may cost
/// no more than a few microseconds.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ServiceTime(f64);

impl ServiceTime {
    /// Next to nothing: what a source or a sink costs that does little.
    pub const LITTLE: Self = Self(0.01);

    /// The time in milliseconds.
    pub const fn as_millis(self) -> f64 {
        self.0
    }
}

impl FromStr for ServiceTime {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::new("the time of one record, such as 4ms, 0.5ms or 50us", text);
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let millis = match unit {
            "s" => number * 1e3,
            "ms" => number,
            "us" => number / 1e3,
            _ => return Err(wrong()),
        };
        // Who lets one record take an hour has mistyped a unit.
        if millis <= 3.6e6 { Ok(Self(millis)) } else { Err(wrong()) }
    }
}

impl fmt::Display for ServiceTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// A share of what is requested, in per cent: `80%`. It may be more than a hundred, as use may be more than a request.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Percent(f64);

impl Percent {
    /// The share: 1 for a hundred per cent.
    pub fn share(self) -> f64 {
        self.0 / 100.0
    }
}

impl FromStr for Percent {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        match split(text) {
            // A hundred times the request is more than any node gives.
            Some((number, "%")) if number <= 10_000.0 => Ok(Self(number)),
            _ => Err(UnitError::new("a share such as 80%", text)),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// What a unit needs to be a field of a file.
macro_rules! text_unit {
    ($name:ident, $form:literal, $pattern:literal) => {
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = UnitError;
            fn try_from(text: String) -> Result<Self, UnitError> {
                text.parse()
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "x-form": $form, "pattern": $pattern})
            }
        }
    };
}

text_unit!(ServiceTime, "service-time", r"^[0-9]+(\.[0-9]+)?(s|ms|us)$");
text_unit!(Percent, "percent", r"^[0-9]+(\.[0-9]+)?%$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_record_costs() {
        for (text, millis) in
            [("4ms", Some(4.0)), ("0.5ms", Some(0.5)), ("50us", Some(0.05)), ("1.5s", Some(1500.0))]
        {
            assert_eq!(text.parse::<ServiceTime>().ok().map(ServiceTime::as_millis), millis, "{text}");
        }
        for text in ["", "4", "ms", "4 ms", "-4ms", "4m", "1e3ms", "1..2ms", "9999999s"] {
            assert!(text.parse::<ServiceTime>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn reads_shares() {
        for (text, share) in
            [("80%", Some(0.8)), ("0%", Some(0.0)), ("150%", Some(1.5)), ("12.5%", Some(0.125))]
        {
            assert_eq!(text.parse::<Percent>().ok().map(Percent::share), share, "{text}");
        }
        for text in ["", "80", "%", "-1%", "80 %", "20000%"] {
            assert!(text.parse::<Percent>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn writes_what_reads_back() {
        for text in ["4ms", "0.05ms", "1500ms"] {
            assert_eq!(text.parse::<ServiceTime>().map(|time| time.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("12.5%".parse::<Percent>().map(|share| share.to_string()).as_deref(), Ok("12.5%"));
    }
}
