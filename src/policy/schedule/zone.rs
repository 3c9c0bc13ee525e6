//! Time zones: when a clock on a wall shows a time, across the days on which clocks are put forward or back.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The IANA time zone database as it was when this was built, and never the machine's own: the same decision everywhere.
static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time zone by its IANA name, such as `Europe/Paris`; UTC unless told otherwise.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Zone(TimeZone);

/// What is no time zone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected a time zone of the IANA database such as Europe/Paris, America/New_York or UTC, not {0:?}")]
pub struct ZoneError(String);

impl Zone {
    /// The IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Whether it is UTC.
    pub fn is_utc(&self) -> bool {
        self.name() == "UTC"
    }

    /// The names of all time zones.
    pub fn names() -> impl Iterator<Item = String> {
        DATABASE.available().map(|name| name.as_str().to_owned())
    }

    /// What the clocks show.
    pub(in crate::policy) fn shown(&self, at: Timestamp) -> DateTime {
        self.0.to_datetime(at)
    }

    /// The first moment at which the clocks show `time` or, where they are put forward past it, at which they show a later one.
    /// `None` beyond the years that there are (-9999 to 9999).
    pub(super) fn first_shown(&self, time: DateTime) -> Option<Timestamp> {
        let moment = self.0.to_ambiguous_timestamp(time);
        match moment.offset() {
            // By the later offset it would be before the change, by less than the change.
            AmbiguousOffset::Gap { after, .. } => {
                let before_change = after.to_timestamp(time).ok()?;
                Some(self.0.following(before_change).next()?.timestamp())
            }
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => moment.earlier().ok(),
        }
    }

    /// The latest time, by the minute, that the clocks have shown until now: what they show, unless they were put back and have not
    /// come so far again.
    pub(super) fn latest_shown(&self, now: Timestamp) -> Option<DateTime> {
        let shown = self.shown(now);
        let latest = match self.0.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Fold { before, after } if self.0.to_offset(now) == after => {
                let just_after = Timestamp::from_second(now.as_second().checked_add(1)?).ok()?;
                let change = self.0.preceding(just_after).next()?.timestamp();
                before.to_datetime(change).checked_sub(jiff::SignedDuration::from_secs(1)).ok()?
            }
            _ => shown,
        };
        Some(latest.date().at(latest.hour(), latest.minute(), 0, 0))
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl FromStr for Zone {
    type Err = ZoneError;
    fn from_str(name: &str) -> Result<Self, ZoneError> {
        let zone = DATABASE.get(name).ok().filter(|zone| !zone.is_unknown());
        zone.map(Self).ok_or_else(|| ZoneError(name.chars().take(60).collect()))
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}

impl TryFrom<String> for Zone {
    type Error = ZoneError;
    fn try_from(name: String) -> Result<Self, ZoneError> {
        name.parse()
    }
}

impl JsonSchema for Zone {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Zone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-form": "time-zone", "pattern": r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_zones_of_the_database_and_no_others() {
        for (name, known) in [
            ("Europe/Paris", Some("Europe/Paris")),
            ("europe/paris", Some("Europe/Paris")),
            ("UTC", Some("UTC")),
            ("Etc/UTC", Some("Etc/UTC")),
            ("US/Eastern", Some("US/Eastern")),
            ("Etc/GMT+5", Some("Etc/GMT+5")),
            ("Etc/Unknown", None),
            ("Europe/Pariss", None),
            ("Local", None),
            ("+02:00", None),
            ("CET-1CEST", None),
            ("/etc/localtime", None),
            ("", None),
        ] {
            let zone = name.parse::<Zone>();
            assert_eq!(zone.as_ref().ok().map(Zone::name), known, "{name}");
            if let Err(error) = zone {
                assert!(error.to_string().ends_with(&format!("not {name:?}")), "{error}");
            }
        }
        assert!(Zone::names().count() > 400 && Zone::default().name() == "UTC");
    }

    #[test]
    fn finds_the_moment_of_a_time_on_the_wall() {
        for (zone, shown, moment) in [
            ("Europe/Paris", "2026-07-01T08:00", "2026-07-01T06:00Z"),
            ("Asia/Kolkata", "2026-07-01T08:00", "2026-07-01T02:30Z"),
            // Put forward: the first moment after the gap. Put back: the first of the two.
            ("Europe/Paris", "2026-03-29T02:00", "2026-03-29T01:00Z"),
            ("Europe/Paris", "2026-03-29T02:59", "2026-03-29T01:00Z"),
            ("Europe/Paris", "2026-03-29T03:00", "2026-03-29T01:00Z"),
            ("Europe/Paris", "2026-10-25T02:00", "2026-10-25T00:00Z"),
            ("Europe/Paris", "2026-10-25T03:00", "2026-10-25T02:00Z"),
            ("Australia/Lord_Howe", "2026-10-04T02:10", "2026-10-03T15:30Z"),
            ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45Z"),
            // A day that never was.
            ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00Z"),
        ] {
            let zone: Zone = zone.parse().expect("a zone");
            let found = zone.first_shown(shown.parse().expect("a time"));
            assert_eq!(found, moment.parse().ok(), "{shown} in {}", zone.name());
        }
    }

    #[test]
    fn remembers_what_was_shown_before_clocks_were_put_back() {
        for (zone, now, latest) in [
            ("Europe/Paris", "2026-10-25T00:15:59Z", "2026-10-25T02:15"),
            ("Europe/Paris", "2026-10-25T00:59:59Z", "2026-10-25T02:59"),
            ("Europe/Paris", "2026-10-25T01:00:00Z", "2026-10-25T02:59"),
            ("Europe/Paris", "2026-10-25T01:30:00Z", "2026-10-25T02:59"),
            ("Europe/Paris", "2026-10-25T02:00:00Z", "2026-10-25T03:00"),
            ("Australia/Lord_Howe", "2026-04-04T15:10:00Z", "2026-04-05T01:59"),
            ("Asia/Kolkata", "2026-04-04T15:10:00Z", "2026-04-04T20:40"),
        ] {
            let zone: Zone = zone.parse().expect("a zone");
            let found = zone.latest_shown(now.parse().expect("a moment"));
            assert_eq!(found, latest.parse().ok(), "{now} in {}", zone.name());
        }
    }
}
