//! An amount as Kubernetes writes it: `500m`, `2`, `1.5Gi`, `12e6`.
//!
//! Read exactly, in whole billionths, with the rounding and the bounds of Kubernetes' own `resource.Quantity`, so that a
//! manifest means here what it means there.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An amount of anything, in whole billionths (nano), from -(2^63 - 1) to 2^63 - 1 of its unit.
///
/// As in Kubernetes, what is finer is rounded away from zero ("you want some resources if you asked for some") and what is
/// larger is taken for the bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Quantity(i128);

/// What is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "expected a quantity such as 500m, 2 or 1.5Gi (n, u, m, k, M, G, T, P, E are decimal, Ki, Mi, Gi, Ti, Pi, Ei binary), not {0:?}"
)]
pub struct QuantityError(String);

/// Billionths in one.
const ONE: i128 = 1_000_000_000;

/// Kubernetes keeps a quantity within an int64 of its unit.
const MOST: u128 = (i64::MAX as u128) * ONE.unsigned_abs();

/// Longer texts are no quantities: the largest with all its billionths has 29 digits.
const LONGEST: usize = 64;

/// Decimal suffixes with their powers of ten, smallest first.
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// Binary suffixes: each is 1024 of the one before.
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// As many whole units.
    pub const fn from_units(units: i64) -> Self {
        Self(units as i128 * ONE)
    }

    /// As many thousandths of the unit: milli-cores, for CPU.
    pub const fn from_milli(thousandths: i64) -> Self {
        Self(thousandths as i128 * (ONE / 1_000))
    }

    /// The amount in whole units, rounded away from zero (Kubernetes' `Value()`).
    pub fn value(self) -> i64 {
        away_from_zero(self.0, ONE)
    }

    /// The amount in whole thousandths, rounded away from zero (Kubernetes' `MilliValue()`); the nearest bound of an i64
    /// for what is beyond it.
    pub fn milli(self) -> i64 {
        away_from_zero(self.0, ONE / 1_000)
    }

    /// The amount in units, as near as a float comes.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / ONE as f64
    }
}

/// `amount / unit`, away from zero; the nearest bound of an i64 for what is beyond it.
fn away_from_zero(amount: i128, unit: i128) -> i64 {
    let whole = amount / unit + amount.signum() * i128::from(amount % unit != 0);
    i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
}

/// What a number is to be multiplied with.
#[derive(Clone, Copy)]
enum Scale {
    /// A power of ten.
    Ten(i32),
    /// A power of 1024.
    Binary(usize),
}

impl Scale {
    fn of(suffix: &str) -> Option<Self> {
        if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
            return Some(Self::Ten(*power));
        }
        if let Some(index) = BINARY.iter().position(|name| *name == suffix) {
            return Some(Self::Binary(index + 1));
        }
        suffix.strip_prefix(['e', 'E'])?.parse().ok().map(Self::Ten)
    }
}

/// The digits of a number: `mantissa / 10^places`, and perhaps a little more.
struct Digits {
    mantissa: u128,
    places: i32,
    /// Whether digits other than 0 follow that the mantissa does not hold.
    more: bool,
}

impl Digits {
    /// With so many digits a mantissa times ten is still a u128. They are eight more than the finest quantity has, so that
    /// what is left out never decides more than the rounding.
    const FULL: u128 = 10_u128.pow(36);

    fn of(whole: &str, fraction: &str) -> Self {
        let mut digits = Self { mantissa: 0, places: 0, more: false };
        let all = whole.bytes().map(|b| (b, 0)).chain(fraction.bytes().map(|b| (b, 1)));
        for (byte, place) in all {
            let digit = u128::from(byte - b'0');
            if digits.mantissa >= Self::FULL {
                digits.more |= digit != 0;
                digits.places += place - 1;
            } else {
                digits.mantissa = digits.mantissa * 10 + digit;
                digits.places += place;
            }
        }
        digits
    }

    /// Leaves out what is too fine to be multiplied by a power of 1024 within a u128, and to matter after it.
    fn coarser(mut self) -> Self {
        while self.places > 40 {
            self.more |= !self.mantissa.is_multiple_of(10);
            self.mantissa /= 10;
            self.places -= 1;
        }
        self
    }

    /// The number times `scale` in billionths, rounded up, at most [`MOST`].
    fn billionths(self, scale: Scale) -> u128 {
        let (digits, power, steps) = match scale {
            Scale::Ten(power) => (self, power, 0),
            Scale::Binary(steps) => (self.coarser(), 0, steps),
        };
        if digits.mantissa == 0 && !digits.more {
            return 0;
        }
        let shift = power.saturating_add(9).saturating_sub(digits.places);
        let unit = 10_u128.checked_pow(shift.unsigned_abs());
        let (mut amount, mut rest, unit) = match unit {
            Some(factor) if shift >= 0 => (digits.mantissa.saturating_mul(factor), 0, 1),
            None if shift >= 0 => (u128::MAX, 0, 1),
            Some(unit) => (digits.mantissa / unit, digits.mantissa % unit, unit),
            // Less than a billionth.
            None => (0, 1, 2),
        };
        for _ in 0..steps {
            rest *= 1024;
            amount = amount.saturating_mul(1024).saturating_add(rest / unit);
            rest %= unit;
        }
        amount.saturating_add(u128::from(rest > 0 || digits.more)).min(MOST)
    }
}

fn parse(text: &str) -> Option<Quantity> {
    if text.len() > LONGEST {
        return None;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || whole.len() + fraction.len() == 0 {
        return None;
    }
    let amount = Digits::of(whole, fraction).billionths(Scale::of(suffix)?);
    let amount = i128::try_from(amount).ok()?;
    Some(Quantity(if text.starts_with('-') { -amount } else { amount }))
}

impl FromStr for Quantity {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text).ok_or_else(|| QuantityError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Quantity {
    /// The shortest exact form: without a fraction, with the largest suffix that divides, binary where that is shorter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0");
        }
        let mut text = String::new();
        for (suffix, power) in DECIMAL {
            let unit = 10_i128.pow((power + 9).unsigned_abs());
            if self.0 % unit == 0 {
                text = format!("{}{suffix}", self.0 / unit);
            }
        }
        let mut unit = ONE;
        for suffix in BINARY {
            unit *= 1024;
            let binary = format!("{}{suffix}", self.0 / unit);
            if self.0 % unit == 0 && binary.len() < text.len() {
                text = binary;
            }
        }
        f.write_str(&text)
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.to_string()
    }
}

impl<'de> Deserialize<'de> for Quantity {
    /// From a text or a number, as Kubernetes reads both `cpu: "2"` and `cpu: 2`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = Quantity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 500m, 2 or 1.5Gi")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: serde::de::Error>(self, units: i64) -> Result<Quantity, E> {
                Ok(Quantity::from_units(units))
            }
            fn visit_u64<E: serde::de::Error>(self, units: u64) -> Result<Quantity, E> {
                Ok(Quantity::from_units(i64::try_from(units).unwrap_or(i64::MAX)))
            }
            fn visit_f64<E: serde::de::Error>(self, units: f64) -> Result<Quantity, E> {
                // The shortest digits that mean this float, which are the ones that were written.
                self.visit_str(&format!("{units:e}"))
            }
        }
        deserializer.deserialize_any(TextOrNumber).map_err(D::Error::custom)
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "x-form": "quantity",
            "pattern": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NANO: i128 = 1;
    const MILLI: i128 = 1_000_000;

    #[test]
    fn reads_what_kubernetes_reads() {
        for (text, billionths) in [
            ("0", 0),
            ("-0", 0),
            ("2", 2 * ONE),
            ("+2", 2 * ONE),
            ("2.", 2 * ONE),
            (".5", 500 * MILLI),
            ("-1.5", -1_500 * MILLI),
            ("500m", 500 * MILLI),
            ("1n", NANO),
            ("250u", 250_000),
            ("3k", 3_000 * ONE),
            ("5M", 5_000_000 * ONE),
            ("1Ki", 1_024 * ONE),
            ("1.5Gi", 1_610_612_736 * ONE),
            ("1E", 10_i128.pow(18) * ONE),
            ("1Ei", (1 << 60) * ONE),
            ("12e6", 12_000_000 * ONE),
            ("12E6", 12_000_000 * ONE),
            ("12e-3", 12 * MILLI),
            ("1E+3", 1_000 * ONE),
            ("0.000000000000000000000000000000000000000000000001e48", ONE),
            // Finer than a billionth: away from zero.
            ("0.1n", NANO),
            ("-0.1n", -NANO),
            ("1.0000000001", ONE + NANO),
            ("0.00000000000000000000000000000000000000000000000001Ki", NANO),
            ("1e-300", NANO),
            ("0.0001Ki", 102_400_000),
            // Larger than 2^63 - 1: that.
            ("9223372036854775807", i128::from(i64::MAX) * ONE),
            ("9223372036854775808", i128::from(i64::MAX) * ONE),
            ("8Ei", i128::from(i64::MAX) * ONE),
            ("-100E", -i128::from(i64::MAX) * ONE),
            ("1e300", i128::from(i64::MAX) * ONE),
            ("123456789012345678901234567890123456789012345678901234567890", i128::from(i64::MAX) * ONE),
        ] {
            assert_eq!(text.parse(), Ok(Quantity(billionths)), "{text}");
        }
        for text in [
            "",
            "m",
            ".",
            "-",
            "+-1",
            "1..2",
            "1.2.3",
            "1 Gi",
            " 1",
            "1K",
            "1mi",
            "1ki",
            "512MB",
            "1e",
            "1e+",
            "1e1.5",
            "1Eix",
            "0x10",
            "1_000",
            "1e99999999999",
            "NaN",
            "inf",
            "٣",
        ] {
            let error = text.parse::<Quantity>().expect_err(text).to_string();
            assert!(error.ends_with(&format!("not {text:?}")), "{error}");
        }
    }

    #[test]
    fn counts_units_and_thousandths_as_the_hpa_does() {
        for (text, value, milli) in [
            ("0", 0, 0),
            ("100m", 1, 100),
            ("1001m", 2, 1_001),
            ("1n", 1, 1),
            ("-1n", -1, -1),
            ("-1500m", -2, -1_500),
            ("2Gi", 2_147_483_648, 2_147_483_648_000),
            ("9E", 9_000_000_000_000_000_000, i64::MAX),
            ("-9E", -9_000_000_000_000_000_000, i64::MIN),
        ] {
            let quantity: Quantity = text.parse().expect(text);
            assert_eq!((quantity.value(), quantity.milli()), (value, milli), "{text}");
        }
        assert_eq!(Quantity::from_milli(1_500), "1.5".parse().expect("a quantity"));
        assert!(("1.5Gi".parse::<Quantity>().expect("a quantity").as_f64() - 1_610_612_736.0).abs() < 1e-6);
    }

    #[test]
    fn writes_the_shortest_exact_form() {
        for (written, shown) in [
            ("0", "0"),
            ("1.5", "1500m"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("128000", "128k"),
            ("1024", "1Ki"),
            ("536870912", "512Mi"),
            ("1.5Gi", "1536Mi"),
            ("-2e9", "-2G"),
            ("1n", "1n"),
            ("1Ei", "1Ei"),
            ("9223372036854775807", "9223372036854775807"),
        ] {
            assert_eq!(written.parse::<Quantity>().expect(written).to_string(), shown);
        }
    }

    #[test]
    fn a_document_may_have_a_text_or_a_number() {
        for (json, read) in
            [("\"500m\"", "500m"), ("2", "2"), ("-3", "-3"), ("0.5", "500m"), ("1e3", "1k"), ("1e-12", "1n")]
        {
            assert_eq!(serde_json::from_str::<Quantity>(json).expect(json).to_string(), read, "{json}");
        }
        let most = serde_json::from_str::<Quantity>("18446744073709551615").expect("a number");
        assert_eq!(most.value(), i64::MAX);
        for json in ["true", "null", "\"5x\"", "[]"] {
            assert!(serde_json::from_str::<Quantity>(json).is_err(), "{json}");
        }
        assert_eq!(serde_json::to_string(&Quantity::from_milli(250)).ok().as_deref(), Some("\"250m\""));
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(units in any::<i64>(), billionths in 0..ONE, coarse in 0_u32..28) {
            let most = i128::try_from(MOST).expect("2^63 billion");
            let amount = (i128::from(units) * ONE + billionths).clamp(-most, most);
            // Coarser ones as well, which have other suffixes.
            let quantity = Quantity(amount - amount % 10_i128.pow(coarse));
            prop_assert_eq!(quantity.to_string().parse(), Ok(quantity));
        }

        #[test]
        fn a_short_decimal_is_exact(whole in 0_i128..1_000_000_000, fraction in 0_i128..ONE, suffix in 0_usize..6) {
            let text = format!("{whole}.{fraction:09}{}", BINARY[suffix]);
            let exact = (whole * ONE + fraction) << (10 * (suffix + 1));
            prop_assert_eq!(text.parse(), Ok(Quantity(exact.min(i128::try_from(MOST).expect("2^63 billion")))));
        }

        #[test]
        fn no_text_is_a_panic(text in "[-+]?[0-9.]{0,60}[a-zA-Z]{0,3}[-+]?[0-9]{0,12}|.{0,80}") {
            if let Ok(quantity) = text.parse::<Quantity>() {
                prop_assert_eq!(quantity.to_string().parse(), Ok(quantity));
                let _ = (quantity.value(), quantity.milli(), quantity.as_f64());
            }
        }
    }
}
