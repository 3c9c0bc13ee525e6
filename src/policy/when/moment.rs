//! CEL's timestamps, by jiff: `timestamp("2026-12-24T00:00:00Z")`, comparisons, and the parts of a date in UTC or in a zone.

use std::any::Any;
use std::cmp::Ordering;

use cel::common::traits::Comparer;
use cel::common::types::{CelInt, CelString, STRING_TYPE, TIMESTAMP_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Env, ExecutionError};
use jiff::civil::DateTime;

use crate::policy::Zone;

/// A timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) jiff::Timestamp);

impl Val for Moment {
    fn get_type(&self) -> &Type {
        &TIMESTAMP_TYPE
    }

    fn cel_type() -> &'static Type {
        &TIMESTAMP_TYPE
    }

    fn as_comparer(&self) -> Option<&dyn Comparer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>() == Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Moment {}

impl Comparer for Moment {
    fn compare(&self, other: &dyn Val) -> Result<Ordering, ExecutionError> {
        let (got, want) = (other.get_type().name(), TIMESTAMP_TYPE.name());
        let unlike = || ExecutionError::UnexpectedType { got: got.to_owned(), want: want.to_owned() };
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0)).ok_or_else(unlike)
    }
}

/// What a clock shows at the timestamp that a function was given: in the zone that it was given as well, or in UTC.
fn shown(function: &str, arguments: &[CowVal<'_, '_>]) -> Result<DateTime, ExecutionError> {
    let (moment, zone) = match arguments {
        [moment] => (moment, Zone::default()),
        [moment, zone] => {
            let name = zone.downcast_ref::<CelString>().map(CelString::inner).unwrap_or_default();
            (moment, name.parse::<Zone>().map_err(|error| ExecutionError::function_error(function, error))?)
        }
        _ => return Err(ExecutionError::invalid_argument_count(1, arguments.len())),
    };
    let Some(Moment(at)) = moment.downcast_ref::<Moment>() else {
        return Err(ExecutionError::function_error(function, "not a timestamp"));
    };
    Ok(zone.shown(*at))
}

#[expect(clippy::needless_pass_by_value, reason = "the form that CEL's functions have")]
fn timestamp<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = arguments.first().and_then(|text| text.downcast_ref::<CelString>());
    let at = text.map(|text| text.inner().parse::<jiff::Timestamp>());
    match at {
        Some(Ok(at)) => Ok(CowVal::owned(Moment(at))),
        Some(Err(error)) => Err(ExecutionError::function_error("timestamp", error)),
        None => Err(ExecutionError::invalid_argument_count(1, arguments.len())),
    }
}

/// Declares `timestamp()` and the functions that take a part of one, with CEL's own names and counting (months, days of the month and
/// of the year from 0; `getDate` from 1; Sunday is 0).
pub(super) fn declare(environment: &mut Env) {
    const NEW: &str = "the environment is new, and each name is declared once";
    macro_rules! parts {
        ($($name:literal => |$time:ident| $part:expr;)*) => {$({
            fn part<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
                let $time = shown($name, &arguments)?;
                Ok(CowVal::owned(CelInt::from(i64::from($part))))
            }
            environment.add_member_overload($name, $name, TIMESTAMP_TYPE, vec![], part).expect(NEW);
            let zoned = concat!($name, "_zoned");
            environment.add_member_overload($name, zoned, TIMESTAMP_TYPE, vec![STRING_TYPE], part).expect(NEW);
        })*};
    }
    environment.add_overload("timestamp", "string_to_timestamp", vec![STRING_TYPE], timestamp).expect(NEW);
    parts! {
        "getFullYear" => |time| time.year();
        "getMonth" => |time| time.month() - 1;
        "getDate" => |time| time.day();
        "getDayOfMonth" => |time| time.day() - 1;
        "getDayOfWeek" => |time| time.weekday().to_sunday_zero_offset();
        "getDayOfYear" => |time| time.date().day_of_year() - 1;
        "getHours" => |time| time.hour();
        "getMinutes" => |time| time.minute();
        "getSeconds" => |time| time.second();
    }
}
