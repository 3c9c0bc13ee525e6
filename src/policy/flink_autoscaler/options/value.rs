//! Values of options in Flink's notation: `5 min`, `30g`, `a;b`, `MAX`.
//!
//! The text that Flink itself would turn away is turned away here, and so are NaN and infinities, which it would take.

use std::time::Duration;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A type that an option can have.
pub trait Value: Sized {
    /// What a text of it looks like, for messages.
    const EXPECTED: &'static str;
    /// The words it may be, where it is one of a few.
    const WORDS: &'static [&'static str] = &[];

    /// The value of a text; `None` when it is no such value.
    fn parse(text: &str) -> Option<Self>;
}

impl Value for bool {
    const EXPECTED: &'static str = "`true` or `false`";
    const WORDS: &'static [&'static str] = &["true", "false"];

    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }
}

impl Value for u32 {
    const EXPECTED: &'static str = "a whole number from 0 to 2147483647, such as `3`";

    fn parse(text: &str) -> Option<Self> {
        // The operator keeps such numbers in 32 bits with a sign.
        text.parse::<i32>().ok().and_then(|number| Self::try_from(number).ok())
    }
}

impl Value for f64 {
    const EXPECTED: &'static str = "a finite number, such as `0.7`";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number: &Self| number.is_finite())
    }
}

impl Value for Duration {
    const EXPECTED: &'static str = "a time in Flink's notation, such as `30 s`, `5 min` or `1 d`";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let nanos: u128 = match unit.to_ascii_lowercase().as_str() {
            "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1,
            "µs" | "micro" | "micros" | "microsecond" | "microseconds" => 1_000,
            "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
            "m" | "min" | "minute" | "minutes" => 60 * 1_000_000_000,
            "h" | "hour" | "hours" => 3_600 * 1_000_000_000,
            "d" | "day" | "days" => 86_400 * 1_000_000_000,
            _ => return None,
        };
        let nanos = u128::from(number) * nanos;
        let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
        let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
        Some(Self::new(seconds, rest))
    }
}

impl Value for Bytes {
    const EXPECTED: &'static str = "a size in Flink's notation, such as `512m` or `30 gb`";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" | "bytes" => 0,
            "k" | "kb" | "kibibytes" => 10,
            "m" | "mb" | "mebibytes" => 20,
            "g" | "gb" | "gibibytes" => 30,
            "t" | "tb" | "tebibytes" => 40,
            _ => return None,
        };
        number.checked_mul(1 << shift).map(Self)
    }
}

impl Value for String {
    const EXPECTED: &'static str = "a name";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl Value for Vec<String> {
    const EXPECTED: &'static str = "a list with `;` between its items, each in quotes if it contains one";

    fn parse(text: &str) -> Option<Self> {
        split_list(text)
    }
}

impl<T: Value> Value for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const WORDS: &'static [&'static str] = T::WORDS;

    fn parse(text: &str) -> Option<Self> {
        T::parse(text).map(Some)
    }
}

/// `10 min` as (10, `min`).
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

/// The items between `;`; an item in `'` or `"` may contain one, and its quotes twice stand for one. `None` when a quote
/// is not closed, or something follows it.
fn split_list(text: &str) -> Option<Vec<String>> {
    let mut items = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (item, after) = if let Some(quote @ ('\'' | '"')) = rest.chars().next() {
            quoted(&rest[1..], quote)?
        } else {
            let end = rest.find(';').unwrap_or(rest.len());
            (rest[..end].trim().to_owned(), &rest[end..])
        };
        if !item.is_empty() {
            items.push(item);
        }
        let after = after.trim_start();
        rest = if after.is_empty() { after } else { after.strip_prefix(';')?.trim_start() };
    }
    Some(items)
}

/// What stands before the closing quote, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut item = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            item.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            item.push(quote);
        } else {
            return Some((item, &text[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_flink_writes_them() {
        for (text, millis) in [
            ("10", Some(10)),
            ("10 ms", Some(10)),
            ("30 s", Some(30_000)),
            ("5m", Some(300_000)),
            ("5 min", Some(300_000)),
            ("1 Hours", Some(3_600_000)),
            ("1 d", Some(86_400_000)),
            ("1000 micros", Some(1)),
            ("5x", None),
            ("-1 s", None),
            ("1.5 s", None),
            ("s", None),
            ("", None),
            ("99999999999999999999 s", None),
        ] {
            let got = <Duration as Value>::parse(text).map(|time| time.as_millis());
            assert_eq!(got, millis, "{text}");
        }
    }

    #[test]
    fn sizes_as_flink_writes_them() {
        for (text, bytes) in [
            ("1024", Some(1 << 10)),
            ("1 b", Some(1)),
            ("30g", Some(30 << 30)),
            ("512 MB", Some(512 << 20)),
            ("2 tebibytes", Some(2 << 40)),
            ("1 x", None),
            ("g", None),
            ("99999999999 t", None),
        ] {
            assert_eq!(Bytes::parse(text), bytes.map(Bytes), "{text}");
        }
    }

    #[test]
    fn lists_with_and_without_quotes() {
        for (text, items) in [
            ("", Some(&[][..])),
            ("a", Some(&["a"])),
            (" a ; b;", Some(&["a", "b"])),
            ("'a;b';c", Some(&["a;b", "c"])),
            ("\"it\"\"s\" ; d", Some(&["it\"s", "d"])),
            ("'open", None),
            ("'a'b", None),
        ] {
            let items = items.map(|items| items.iter().map(|item| (*item).to_owned()).collect());
            assert_eq!(<Vec<String> as Value>::parse(text), items, "{text}");
        }
    }

    #[test]
    fn numbers_that_are_none() {
        for text in ["NaN", "inf", "-infinity", "0.7x", ""] {
            assert_eq!(<f64 as Value>::parse(text), None, "{text}");
        }
        assert_eq!((<u32 as Value>::parse("-1"), <u32 as Value>::parse("2147483648")), (None, None));
    }
}
