//! A cron expression: when, by the clocks of some zone, something starts.
//!
//! Five fields with the meaning that they have for Kubernetes' `CronJob` and for KEDA (both use robfig/cron v3): minute, hour, day of
//! the month, month, day of the week. Beyond them, 7 is Sunday too, and a range may end on it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A cron expression, as a set of numbers per field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Cron {
    text: String,
    /// One bit for each number.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Sunday is 0.
    weekdays: u64,
    /// Both kinds of days are restricted: then a day of either kind will do, as cron has had it since the seventies.
    either_day: bool,
}

/// What is wrong with a cron expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CronError {
    /// Not five fields.
    #[error(
        "expected five fields, minute hour day-of-month month day-of-week, such as 0 7 * * 1-5, or @daily; found {0}"
    )]
    Fields(usize),
    /// A name that is none.
    #[error("expected @hourly, @daily, @weekly, @monthly or @yearly, not {0:?}")]
    Name(String),
    /// The zone is a field of its own.
    #[error("the time zone belongs in timeZone, not into the expression")]
    Zone,
    /// Not a number of the field.
    #[error("{field}: expected {expected}, not {found:?}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A range that ends before it begins.
    #[error("{field}: the range {found:?} ends before it begins")]
    Backwards {
        /// Which field.
        field: &'static str,
        /// The range.
        found: String,
    },
    /// A step that is none.
    #[error("{field}: expected a step of 1 or more after the `/`, not {found:?}")]
    Step {
        /// Which field.
        field: &'static str,
        /// What was found.
        found: String,
    },
    /// The months that are named have no such day.
    #[error("never starts: none of its months has such a day")]
    Never,
}

/// What one field may hold.
struct Field {
    name: &'static str,
    expected: &'static str,
    least: u32,
    most: u32,
    /// From the least number on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", expected: "0 to 59", least: 0, most: 59, names: &[] },
    Field { name: "hour", expected: "0 to 23", least: 0, most: 23, names: &[] },
    Field { name: "day of the month", expected: "1 to 31", least: 1, most: 31, names: &[] },
    Field {
        name: "month",
        expected: "1 to 12 or jan to dec",
        least: 1,
        most: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field {
        name: "day of the week",
        expected: "0 to 7 (0 and 7 are Sunday) or sun to sat",
        least: 0,
        most: 6,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// What the names stand for.
const NAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Sunday's other number.
const SUNDAY: u32 = 7;

/// Days of each month in a leap year.
const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The longest time between two starts, in days: from a 29 February to the next across a century that has none (1896 to 1904).
pub(super) const LONGEST_GAP: i32 = 8 * 366;

impl Field {
    /// The numbers of a field, as bits, and whether it is a `*`, which restricts nothing.
    fn parse(&self, text: &str) -> Result<(u64, bool), CronError> {
        let (mut bits, mut is_any) = (0, false);
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(self.step(step)?)),
                None => (part, None),
            };
            let (from, to) = match range {
                "*" | "?" => {
                    // As for robfig/cron: `*/2` is a restriction, `*/1` is none.
                    is_any |= step.is_none_or(|step| step == 1);
                    (self.least, self.most)
                }
                _ => self.range(range, step.is_some())?,
            };
            for number in (from..=to).step_by(step.unwrap_or(1)) {
                let number = if number == SUNDAY && self.most < SUNDAY { 0 } else { number };
                bits |= 1 << number;
            }
        }
        Ok((bits, is_any))
    }

    fn step(&self, text: &str) -> Result<usize, CronError> {
        let step = digits(text).and_then(|step| usize::try_from(step).ok()).filter(|step| *step > 0);
        step.ok_or_else(|| CronError::Step { field: self.name, found: short(text) })
    }

    /// `5`, `5-9`, and with a step `5`, which goes on to the end.
    fn range(&self, text: &str, has_step: bool) -> Result<(u32, u32), CronError> {
        let Some((from, to)) = text.split_once('-') else {
            let number = self.number(text)?;
            return Ok((number, if has_step { number.max(self.most) } else { number }));
        };
        let (from, to) = (self.number(from)?, self.number(to)?);
        let is_week = self.most < SUNDAY;
        let to = if is_week && to == 0 && from > 0 { SUNDAY } else { to };
        if from > to {
            return Err(CronError::Backwards { field: self.name, found: short(text) });
        }
        Ok((from, to))
    }

    fn number(&self, text: &str) -> Result<u32, CronError> {
        let most = if self.most < SUNDAY { SUNDAY } else { self.most };
        let named = || self.names.iter().zip(self.least..).find(|(name, _)| text.eq_ignore_ascii_case(name));
        let number = digits(text).filter(|n| (self.least..=most).contains(n)).or_else(|| Some(named()?.1));
        number.ok_or_else(|| CronError::Value {
            field: self.name,
            expected: self.expected,
            found: short(text),
        })
    }
}

/// A number of one or two digits, without a sign.
fn digits(text: &str) -> Option<u32> {
    let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

impl FromStr for Cron {
    type Err = CronError;
    fn from_str(text: &str) -> Result<Self, CronError> {
        let written = text.trim();
        let fields = match NAMES.iter().find(|(name, _)| *name == written) {
            Some((_, fields)) => *fields,
            None if written.starts_with('@') => return Err(CronError::Name(short(written))),
            None if written.starts_with("TZ=") || written.starts_with("CRON_TZ=") => {
                return Err(CronError::Zone);
            }
            None => written,
        };
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(CronError::Fields(fields.len()));
        };
        let [minute, hour, day, month, weekday] = &FIELDS;
        let (days, any_day) = day.parse(days)?;
        let (weekdays, any_weekday) = weekday.parse(weekdays)?;
        let cron = Self {
            text: written.to_owned(),
            minutes: minute.parse(minutes)?.0,
            hours: hour.parse(hours)?.0,
            days,
            months: month.parse(months)?.0,
            weekdays,
            either_day: !any_day && !any_weekday,
        };
        let has_day =
            |(length, month): (u32, u32)| has(cron.months, month) && first(cron.days) <= Some(length);
        if cron.either_day || LENGTHS.into_iter().zip(1..).any(has_day) {
            Ok(cron)
        } else {
            Err(CronError::Never)
        }
    }
}

fn has(bits: u64, number: u32) -> bool {
    bits >> number & 1 == 1
}

fn first(bits: u64) -> Option<u32> {
    (bits != 0).then(|| bits.trailing_zeros())
}

fn last(bits: u64) -> Option<u32> {
    bits.checked_ilog2()
}

/// Bits of the numbers below one.
fn below(number: u32) -> u64 {
    (1 << number) - 1
}

impl Cron {
    /// The latest time up to `from`, by the minute, at which it starts; `None` when that is before the day `earliest`.
    pub(super) fn latest(&self, from: DateTime, earliest: Date) -> Option<DateTime> {
        let (hour, minute) = (unsigned(from.hour()), unsigned(from.minute()));
        let mut day = from.date();
        if self.is_on(day) {
            let this_hour = last(self.minutes & below(minute + 1)).filter(|_| has(self.hours, hour));
            let time = this_hour
                .map(|minute| (hour, minute))
                .or_else(|| Some((last(self.hours & below(hour))?, last(self.minutes)?)));
            if let Some(time) = time {
                return at(day, time);
            }
        }
        loop {
            day = if self.is_in_month(day) { day } else { day.first_of_month() }.yesterday().ok()?;
            if day < earliest {
                return None;
            }
            if self.is_on(day) {
                return at(day, (last(self.hours)?, last(self.minutes)?));
            }
        }
    }

    /// The first time after `from`, by the minute, at which it starts; `None` when that is after the day `last`.
    pub(super) fn next(&self, from: DateTime, latest: Date) -> Option<DateTime> {
        let (hour, minute) = (unsigned(from.hour()), unsigned(from.minute()));
        let mut day = from.date();
        if self.is_on(day) {
            let this_hour = first(self.minutes & !below(minute + 1)).filter(|_| has(self.hours, hour));
            let time = this_hour
                .map(|minute| (hour, minute))
                .or_else(|| Some((first(self.hours & !below(hour + 1))?, first(self.minutes)?)));
            if let Some(time) = time {
                return at(day, time);
            }
        }
        loop {
            day = if self.is_in_month(day) { day } else { day.last_of_month() }.tomorrow().ok()?;
            if day > latest {
                return None;
            }
            if self.is_on(day) {
                return at(day, (first(self.hours)?, first(self.minutes)?));
            }
        }
    }

    fn is_in_month(&self, day: Date) -> bool {
        has(self.months, unsigned(day.month()))
    }

    fn is_on(&self, day: Date) -> bool {
        let of_month = has(self.days, unsigned(day.day()));
        let of_week = has(self.weekdays, unsigned(day.weekday().to_sunday_zero_offset()));
        let is_day = if self.either_day { of_month || of_week } else { of_month && of_week };
        is_day && self.is_in_month(day)
    }
}

/// Numbers of a date or a time are never negative.
fn unsigned(number: i8) -> u32 {
    u32::from(number.unsigned_abs())
}

fn at(day: Date, (hour, minute): (u32, u32)) -> Option<DateTime> {
    Some(day.at(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0))
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.text
    }
}

impl TryFrom<String> for Cron {
    type Error = CronError;
    fn try_from(text: String) -> Result<Self, CronError> {
        text.parse()
    }
}

impl JsonSchema for Cron {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Cron".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "x-form": "cron",
            "pattern": r"^\s*(@[a-z]+|[0-9*?/,-]+(\s+[0-9*?/,-]+){2}\s+[0-9a-zA-Z*?/,-]+\s+[0-9a-zA-Z*?/,-]+)\s*$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(bits: u64) -> Vec<u32> {
        (0..64).filter(|&n| has(bits, n)).collect()
    }

    #[test]
    fn reads_the_numbers_of_a_field() {
        let all = |from: u32, to: u32| (from..=to).collect::<Vec<_>>();
        for (field, text, expected) in [
            (0, "*", all(0, 59)),
            (0, "?", all(0, 59)),
            (0, "*/20", vec![0, 20, 40]),
            (0, "7", vec![7]),
            (0, "07", vec![7]),
            (0, "7/25", vec![7, 32, 57]),
            (0, "10-20/5", vec![10, 15, 20]),
            (0, "1,3,50-52", vec![1, 3, 50, 51, 52]),
            (1, "9-17", all(9, 17)),
            (2, "31", vec![31]),
            (3, "JAN,jun-Aug", vec![1, 6, 7, 8]),
            (4, "mon-fri", all(1, 5)),
            (4, "0", vec![0]),
            (4, "7", vec![0]),
            (4, "0-7", all(0, 6)),
            (4, "5-7", vec![0, 5, 6]),
            (4, "fri-sun", vec![0, 5, 6]),
            (4, "*/2", vec![0, 2, 4, 6]),
            (4, "1/3", vec![1, 4]),
        ] {
            let found = FIELDS[field].parse(text).map(|(bits, _)| numbers(bits));
            assert_eq!(found, Ok(expected), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, error) in [
            (
                "",
                "expected five fields, minute hour day-of-month month day-of-week, such as 0 7 * * 1-5, or @daily; found 0",
            ),
            ("* * * *", "found 4"),
            ("0 0 7 * * 1-5", "found 6"),
            ("@reboot", "expected @hourly, @daily, @weekly, @monthly or @yearly, not \"@reboot\""),
            ("@every 5m", "not \"@every 5m\""),
            ("TZ=Europe/Paris 0 7 * * *", "the time zone belongs in timeZone, not into the expression"),
            ("60 * * * *", "minute: expected 0 to 59, not \"60\""),
            ("x * * * *", "minute: expected 0 to 59, not \"x\""),
            ("-1 * * * *", "minute: expected 0 to 59, not \"\""),
            ("1, * * * *", "minute: expected 0 to 59, not \"\""),
            ("+1 * * * *", "minute: expected 0 to 59, not \"+1\""),
            ("*5 * * * *", "minute: expected 0 to 59, not \"*5\""),
            ("* 24 * * *", "hour: expected 0 to 23, not \"24\""),
            ("* * 0 * *", "day of the month: expected 1 to 31, not \"0\""),
            ("* * L * *", "day of the month: expected 1 to 31, not \"L\""),
            ("* * * 13 *", "month: expected 1 to 12 or jan to dec, not \"13\""),
            ("* * * january *", "month: expected 1 to 12 or jan to dec, not \"january\""),
            ("* * * * 8", "day of the week: expected 0 to 7 (0 and 7 are Sunday) or sun to sat, not \"8\""),
            ("20-10 * * * *", "minute: the range \"20-10\" ends before it begins"),
            ("*/0 * * * *", "minute: expected a step of 1 or more after the `/`, not \"0\""),
            ("*/ * * * *", "minute: expected a step of 1 or more after the `/`, not \"\""),
            ("1/2/3 * * * *", "minute: expected a step of 1 or more after the `/`, not \"2/3\""),
            ("0 0 30 2 *", "never starts: none of its months has such a day"),
            ("0 0 31 4,6,9,11 *", "never starts: none of its months has such a day"),
        ] {
            let said = text.parse::<Cron>().expect_err(text).to_string();
            assert!(said.ends_with(error), "{text}: {said}");
        }
        for text in ["0 0 29 2 *", "0 0 31 2 1", "0 0 31 2-3 *", " @daily ", "0\t7 *  * 1-5"] {
            assert!(text.parse::<Cron>().is_ok(), "{text}");
        }
    }

    /// 2026-11-22 is a Sunday.
    #[test]
    fn finds_the_times_before_and_after() {
        for (text, from, latest, next) in [
            ("0 7 * * 1-5", "2026-11-22T12:00", "2026-11-20T07:00", "2026-11-23T07:00"),
            ("0 7 * * 1-5", "2026-11-23T07:00", "2026-11-23T07:00", "2026-11-24T07:00"),
            ("0 7 * * 1-5", "2026-11-23T06:59", "2026-11-20T07:00", "2026-11-23T07:00"),
            ("*/15 9-17 * * *", "2026-11-22T09:07", "2026-11-22T09:00", "2026-11-22T09:15"),
            ("*/15 9-17 * * *", "2026-11-22T18:00", "2026-11-22T17:45", "2026-11-23T09:00"),
            ("59 23 31 12 *", "2026-11-22T12:00", "2025-12-31T23:59", "2026-12-31T23:59"),
            ("0 0 29 2 *", "2026-11-22T12:00", "2024-02-29T00:00", "2028-02-29T00:00"),
            ("0 0 29 2 *", "2103-01-01T00:00", "2096-02-29T00:00", "2104-02-29T00:00"),
            ("0 0 31 * *", "2026-11-22T12:00", "2026-10-31T00:00", "2026-12-31T00:00"),
            // Of both kinds of days, either will do: the 13th, and Fridays.
            ("0 0 13 * 5", "2026-11-22T12:00", "2026-11-20T00:00", "2026-11-27T00:00"),
            ("0 0 13 * 5", "2026-12-12T12:00", "2026-12-11T00:00", "2026-12-13T00:00"),
            // A step is a restriction, unless it is 1.
            ("0 0 */10 * 5", "2026-11-22T12:00", "2026-11-21T00:00", "2026-11-27T00:00"),
            ("0 0 */1 * 5", "2026-11-22T12:00", "2026-11-20T00:00", "2026-11-27T00:00"),
            ("@weekly", "2026-11-22T00:00", "2026-11-22T00:00", "2026-11-29T00:00"),
            ("@yearly", "2026-11-22T00:00", "2026-01-01T00:00", "2027-01-01T00:00"),
            ("@hourly", "2026-11-22T23:30", "2026-11-22T23:00", "2026-11-23T00:00"),
        ] {
            let cron: Cron = text.parse().expect(text);
            let from: DateTime = from.parse().expect("a time");
            assert_eq!(cron.latest(from, Date::MIN), latest.parse().ok(), "{text} up to {from}");
            assert_eq!(cron.next(from, Date::MAX), next.parse().ok(), "{text} after {from}");
        }
    }

    #[test]
    fn looks_no_further_than_it_is_told() {
        let cron: Cron = "0 0 1 1 *".parse().expect("once a year");
        let from: DateTime = "2026-11-22T12:00".parse().expect("a time");
        assert_eq!(cron.latest(from, from.date()), None);
        assert_eq!(cron.next(from, from.date()), None);
        assert_eq!(cron.next(Date::MAX.at(23, 59, 0, 0), Date::MAX), None);
        assert_eq!(cron.latest(Date::MIN.at(0, 0, 0, 0), Date::MIN).map(DateTime::date), Some(Date::MIN));
    }
}
