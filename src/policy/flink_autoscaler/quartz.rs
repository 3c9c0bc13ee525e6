//! Cron expressions as Quartz has them: with seconds, `?`, `L`, `W`, `#`, an optional year, and Sunday as day 1.

use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use thiserror::Error;

/// The years Quartz knows: from the epoch to a hundred years from when this was written.
const YEARS: (u16, u16) = (1970, 2126);

/// What a field may contain.
struct Field {
    name: &'static str,
    low: u16,
    high: u16,
    words: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const SECOND: Field = Field { name: "seconds", low: 0, high: 59, words: &[] };
const MINUTE: Field = Field { name: "minutes", low: 0, high: 59, words: &[] };
const HOUR: Field = Field { name: "hours", low: 0, high: 23, words: &[] };
const DAY_OF_MONTH: Field = Field { name: "day of month", low: 1, high: 31, words: &[] };
const MONTH: Field = Field { name: "month", low: 1, high: 12, words: &MONTHS };
const DAY_OF_WEEK: Field = Field { name: "day of week", low: 1, high: 7, words: &DAYS };
const YEAR: Field = Field { name: "year", low: YEARS.0, high: YEARS.1, words: &[] };

/// Why a text is no Quartz cron expression.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CronError {
    /// Six or seven fields are expected.
    #[error("a cron expression has 6 or 7 fields, not {0}")]
    Fields(usize),
    /// Quartz wants exactly one of the two days to be `?`.
    #[error("one of day of month and day of week must be `?`, and only one")]
    Days,
    /// A field cannot be read.
    #[error("`{text}` is no {field} from {low} to {high}")]
    Value {
        /// The field.
        field: &'static str,
        /// What was written.
        text: String,
        /// The least it may be.
        low: u16,
        /// The most it may be.
        high: u16,
    },
}

/// The days that an expression means.
#[derive(Clone, Debug, PartialEq)]
enum Days {
    /// These days of the month.
    OfMonth(Vec<u16>),
    /// So many days before the last of the month; the weekday nearest to that one.
    Last { before: u16, weekday: bool },
    /// The weekday nearest to this day of the month, in the same month.
    Weekday(u16),
    /// These days of the week.
    OfWeek(Vec<u16>),
    /// The last such day of the week in the month.
    LastOfWeek(u16),
    /// The nth such day of the week in the month.
    NthOfWeek(u16, u16),
}

/// A Quartz cron expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Cron {
    seconds: Vec<u16>,
    minutes: Vec<u16>,
    hours: Vec<u16>,
    months: Vec<u16>,
    years: Vec<u16>,
    days: Days,
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let text = text.to_ascii_uppercase();
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let (&[seconds, minutes, hours, of_month, months, of_week], year) = (match fields.as_slice() {
            [first @ .., year] if fields.len() == 7 => (first, *year),
            all => (all, "*"),
        }) else {
            return Err(CronError::Fields(fields.len()));
        };
        let days = match (of_month, of_week) {
            ("?", "?") => return Err(CronError::Days),
            (_, "?") => days_of_month(of_month)?,
            ("?", _) => days_of_week(of_week)?,
            _ => return Err(CronError::Days),
        };
        Ok(Self {
            seconds: SECOND.set(seconds)?,
            minutes: MINUTE.set(minutes)?,
            hours: HOUR.set(hours)?,
            months: MONTH.set(months)?,
            years: YEAR.set(year)?,
            days,
        })
    }
}

impl Cron {
    /// Whether a moment satisfies it, to the second.
    pub fn matches(&self, local: DateTime) -> bool {
        let is_in = |set: &[u16], value: i16| u16::try_from(value).is_ok_and(|value| set.contains(&value));
        is_in(&self.seconds, i16::from(local.second()))
            && is_in(&self.minutes, i16::from(local.minute()))
            && is_in(&self.hours, i16::from(local.hour()))
            && is_in(&self.months, i16::from(local.month()))
            && is_in(&self.years, local.year())
            && self.days.contain(local.date())
    }
}

impl Days {
    fn contain(&self, date: Date) -> bool {
        let day = date.day().unsigned_abs().into();
        let of_week = date.weekday().to_sunday_one_offset().unsigned_abs().into();
        let last: u16 = date.days_in_month().unsigned_abs().into();
        match self {
            Self::OfMonth(set) => set.contains(&day),
            Self::Last { before, weekday: false } => last.checked_sub(*before) == Some(day),
            Self::Last { before, weekday: true } => {
                last.checked_sub(*before).is_some_and(|meant| nearest_weekday(date, meant) == day)
            }
            Self::Weekday(meant) => nearest_weekday(date, (*meant).min(last)) == day,
            Self::OfWeek(set) => set.contains(&of_week),
            Self::LastOfWeek(meant) => of_week == *meant && day + 7 > last,
            Self::NthOfWeek(meant, nth) => of_week == *meant && day.div_ceil(7) == *nth,
        }
    }
}

/// The day from Monday to Friday that is nearest to a day of the month, without leaving the month.
fn nearest_weekday(date: Date, day: u16) -> u16 {
    let last: u16 = date.days_in_month().unsigned_abs().into();
    // The weekday of the day that is meant, from that of the day that is given: Sunday 0 to Saturday 6.
    let given: u16 = date.weekday().to_sunday_zero_offset().unsigned_abs().into();
    let of_week = (given + 35 + day - u16::from(date.day().unsigned_abs())) % 7;
    match of_week {
        0 if day == last => day - 2,
        0 => day + 1,
        6 if day == 1 => day + 2,
        6 => day - 1,
        _ => day,
    }
}

fn days_of_month(text: &str) -> Result<Days, CronError> {
    if let Some(rest) = text.strip_prefix('L') {
        let (rest, weekday) = rest.strip_suffix('W').map_or((rest, false), |rest| (rest, true));
        let before = match rest.strip_prefix('-') {
            Some(before) => before.parse().ok().filter(|before| *before <= 30),
            None => rest.is_empty().then_some(0),
        };
        return before.map(|before| Days::Last { before, weekday }).ok_or_else(|| DAY_OF_MONTH.error(text));
    }
    if let Some(day) = text.strip_suffix('W') {
        return DAY_OF_MONTH.value(day).map(Days::Weekday);
    }
    DAY_OF_MONTH.set(text).map(Days::OfMonth)
}

fn days_of_week(text: &str) -> Result<Days, CronError> {
    if text == "L" {
        return Ok(Days::OfWeek(vec![DAY_OF_WEEK.high]));
    }
    if let Some(day) = text.strip_suffix('L') {
        return DAY_OF_WEEK.value(day).map(Days::LastOfWeek);
    }
    if let Some((day, nth)) = text.split_once('#') {
        let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth));
        let nth = nth.ok_or_else(|| DAY_OF_WEEK.error(text))?;
        return DAY_OF_WEEK.value(day).map(|day| Days::NthOfWeek(day, nth));
    }
    DAY_OF_WEEK.set(text).map(Days::OfWeek)
}

impl Field {
    fn error(&self, text: &str) -> CronError {
        CronError::Value { field: self.name, text: text.to_owned(), low: self.low, high: self.high }
    }

    /// `1,5-7,10/2`.
    fn set(&self, text: &str) -> Result<Vec<u16>, CronError> {
        let mut set = Vec::new();
        for item in text.split(',') {
            set.extend(self.item(item)?);
        }
        set.sort_unstable();
        set.dedup();
        Ok(set)
    }

    /// `*`, `5`, `5-7`, each with `/step`. A range that ends before it begins goes on at the start.
    fn item(&self, text: &str) -> Result<Vec<u16>, CronError> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => {
                let step: Option<u16> = step.parse().ok().filter(|step| (1..=self.high).contains(step));
                (range, Some(step.ok_or_else(|| self.error(text))?))
            }
            None => (text, None),
        };
        let (from, to) = if range == "*" || (range.is_empty() && step.is_some()) {
            (self.low, self.high)
        } else if let Some((from, to)) = range.split_once('-') {
            (self.value(from)?, self.value(to)?)
        } else {
            let from = self.value(range)?;
            (from, if step.is_some() { self.high } else { from })
        };
        let span = self.high - self.low + 1;
        let length = if to >= from { to - from } else { span - (from - to) };
        Ok((0..=length)
            .step_by(usize::from(step.unwrap_or(1)))
            .map(|offset| self.low + (from - self.low + offset) % span)
            .collect())
    }

    /// A number, or a word that stands for one.
    fn value(&self, text: &str) -> Result<u16, CronError> {
        let word = self.words.iter().zip(self.low..).find(|(word, _)| **word == text);
        let number = word
            .map(|(_, number)| number)
            .or_else(|| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?);
        number.filter(|number| (self.low..=self.high).contains(number)).ok_or_else(|| self.error(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime {
        text.parse().expect("a local time")
    }

    #[test]
    fn matches_to_the_second() {
        // 2024-02-29 was a Thursday; 2024-03-31 a Sunday; 2024-06-01 a Saturday.
        for (cron, time, matches) in [
            ("0 30 9 * * ?", "2024-02-29T09:30:00", true),
            ("0 30 9 * * ?", "2024-02-29T09:30:01", false),
            ("* * 22-2 * * ?", "2024-02-29T01:00:00", true),
            ("* * 22-2 * * ?", "2024-02-29T03:00:00", false),
            ("0/15 * * * * ?", "2024-02-29T03:00:45", true),
            ("0/15 * * * * ?", "2024-02-29T03:00:46", false),
            ("* * * ? feb thu", "2024-02-29T03:00:00", true),
            ("* * * ? * FRI-MON", "2024-03-31T03:00:00", true),
            ("* * * ? * 5", "2024-02-29T03:00:00", true),
            ("* * * L * ?", "2024-02-29T03:00:00", true),
            ("* * * L-1 * ?", "2024-02-28T03:00:00", true),
            ("* * * LW * ?", "2024-03-29T03:00:00", true),
            ("* * * 1W * ?", "2024-06-03T03:00:00", true),
            ("* * * 31W * ?", "2024-03-29T03:00:00", true),
            ("* * * 15W * ?", "2024-06-14T03:00:00", true),
            ("* * * ? * 5L", "2024-02-29T03:00:00", true),
            ("* * * ? * 5L", "2024-02-22T03:00:00", false),
            ("* * * ? * 5#5", "2024-02-29T03:00:00", true),
            ("* * * ? * L", "2024-06-01T03:00:00", true),
            ("* * * * * ? 2025", "2024-02-29T03:00:00", false),
            ("* * * * * ? 2024/4", "2024-02-29T03:00:00", true),
        ] {
            let parsed: Cron = cron.parse().expect("it is one");
            assert_eq!(parsed.matches(at(time)), matches, "{cron} at {time}");
        }
    }

    #[test]
    fn turns_away_what_is_none() {
        for text in [
            "",
            "* * * * *",
            "* * * * * *",
            "* * * ? * ?",
            "60 * * * * ?",
            "* * 24 * * ?",
            "* * * 0 * ?",
            "* * * ? * 8",
            "* * * ? * 2,5555",
            "*/0 * * * * ?",
            "1- * * * * ?",
            "* * * L-31 * ?",
            "* * * ? * 2#6",
            "x * * * * ?",
            "+5 * * * * ?",
            "* * * * * ? * *",
        ] {
            assert!(text.parse::<Cron>().is_err(), "{text}");
        }
    }
}
