//! A length of time as Kubernetes writes it: `90s`, `5m`, `1h30m`, `1d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A length of time in whole milliseconds, read and written as Kubernetes does (Go's `time.ParseDuration`, and `d` for
/// days as Prometheus has it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Span(Duration);

/// What is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected a length of time such as 90s, 5m or 1h30m, not {0:?}")]
pub struct SpanError(String);

/// Units with their milliseconds, largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// As many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// As many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The length as std knows it.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The length in seconds.
    pub fn as_secs(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl From<Duration> for Span {
    fn from(length: Duration) -> Self {
        Self(Duration::from_millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl FromStr for Span {
    type Err = SpanError;
    fn from_str(text: &str) -> Result<Self, SpanError> {
        let wrong = || SpanError(text.chars().take(40).collect());
        if text == "0" {
            return Ok(Self::default());
        }
        let (mut rest, mut millis) = (text, 0.0_f64);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(wrong)?;
            rest = &rest[letters..];
            millis += number * (*unit as f64);
        }
        // A hundred years: beyond it somebody has mistyped, and arithmetic on moments would run over.
        if text.is_empty() || !(0.0..=3.2e12).contains(&millis) {
            return Err(wrong());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 3.2e12, as checked"
        )]
        Ok(Self::from_millis(millis.round() as u64))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, unit) in UNITS {
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;
    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-form": "duration", "pattern": r"^(0|([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+)$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubernetes_writes() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("250ms", 250),
            ("1d", 86_400_000),
            ("1m0.5s", 60_500),
        ] {
            assert_eq!(text.parse(), Ok(Span::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "5x", "m", "-5m", "5 m", "1e3s", "1..2s", "99999999d", "5µs"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn writes_the_shortest_form_that_reads_back() {
        for (millis, text) in
            [(0, "0s"), (90_000, "1m30s"), (86_400_000, "1d"), (60_500, "1m500ms"), (300_000, "5m")]
        {
            assert_eq!(Span::from_millis(millis).to_string(), text);
            assert_eq!(text.parse(), Ok(Span::from_millis(millis)));
        }
    }
}
