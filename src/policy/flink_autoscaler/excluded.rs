//! Periods in which nothing is scaled: times of day, Quartz cron expressions, or one of each.
//!
//! Times are local: the operator reads them in the time zone of its own process. The caller does the same, or better.

use jiff::civil::{DateTime, Time};
use thiserror::Error;

use super::quartz::{Cron, CronError};

/// A period of `job.autoscaler.excluded.periods`: what holds for all of its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    daily: Option<(Time, Time)>,
    cron: Option<Cron>,
}

/// Why a text is no period.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PeriodError {
    /// Neither a time of day nor a cron expression.
    #[error("expected `HH:mm:ss-HH:mm:ss` that begins before it ends, or a Quartz cron expression: {0}")]
    Neither(CronError),
    /// Two times of day, or two cron expressions.
    #[error("`&&` joins a time of day and a cron expression, not two of one kind")]
    Twice,
    /// More than two parts.
    #[error("expected at most one `&&`")]
    TooMany,
}

impl Period {
    /// Reads a period.
    ///
    /// # Errors
    /// When a part is neither a time of day nor a cron expression, or two are of one kind.
    pub fn parse(text: &str) -> Result<Self, PeriodError> {
        let parts: Vec<&str> = text.split("&&").map(str::trim).collect();
        if parts.len() > 2 {
            return Err(PeriodError::TooMany);
        }
        let mut period = Self { daily: None, cron: None };
        for part in parts {
            let twice = if let Some(daily) = daily(part) {
                period.daily.replace(daily).is_some()
            } else {
                period.cron.replace(part.parse().map_err(PeriodError::Neither)?).is_some()
            };
            if twice {
                return Err(PeriodError::Twice);
            }
        }
        Ok(period)
    }

    /// Whether a moment lies in it, both ends of a time of day included.
    pub fn contains(&self, local: DateTime) -> bool {
        self.daily.is_none_or(|(from, to)| (from..=to).contains(&local.time()))
            && self.cron.as_ref().is_none_or(|cron| cron.matches(local))
    }
}

/// Whether one of the periods contains a moment. A text that is no period contains none: [`super::Options::validate`]
/// tells of it.
pub fn is_excluded(periods: &[String], local: DateTime) -> bool {
    periods.iter().filter_map(|period| Period::parse(period).ok()).any(|period| period.contains(local))
}

/// `09:13-11:15:18`, with seconds and milliseconds as one likes.
fn daily(text: &str) -> Option<(Time, Time)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (time(from)?, time(to)?);
    (from < to).then_some((from, to))
}

fn time(text: &str) -> Option<Time> {
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=4).contains(&parts.len()) {
        return None;
    }
    let number = |index: usize, most: i32| -> Option<i32> {
        let part = parts
            .get(index)
            .map_or(Some("0"), |part| part.bytes().all(|byte| byte.is_ascii_digit()).then_some(part))?;
        part.parse().ok().filter(|number| *number <= most)
    };
    let (hour, minute, second, milli) = (number(0, 23)?, number(1, 59)?, number(2, 59)?, number(3, 999)?);
    let small = |number: i32| i8::try_from(number).ok();
    Time::new(small(hour)?, small(minute)?, small(second)?, milli * 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_period_holds_when_all_of_its_parts_do() {
        // A Thursday.
        let noon = date(2023, 12, 14).at(12, 0, 0, 0);
        for (text, contains) in [
            ("12:00-13:00", true),
            ("11:00:00:000-12:00", true),
            ("11:00-11:59:59:999", false),
            ("0 0 12 * * ?", true),
            ("* * 13 * * ?", false),
            ("11:00-13:00 && * * * ? * THU", true),
            ("* * * ? * FRI && 11:00-13:00", false),
        ] {
            assert_eq!(Period::parse(text).map(|period| period.contains(noon)), Ok(contains), "{text}");
        }
    }

    #[test]
    fn turns_away_what_is_no_period() {
        for text in [
            "",
            "12:00",
            "13:00-12:00",
            "12:00-12:00",
            "24:00-25:00",
            "1-2",
            "+1:00-2:00",
            "a && b",
            "12:00-13:00 &&",
        ] {
            assert!(matches!(Period::parse(text), Err(PeriodError::Neither(_))), "{text}");
        }
        assert_eq!(Period::parse("1:00-2:00 && 3:00-4:00"), Err(PeriodError::Twice));
        assert_eq!(Period::parse("1:00-2:00 && 3:00-4:00 && 5:00-6:00"), Err(PeriodError::TooMany));
    }
}
