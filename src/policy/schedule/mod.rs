//! Windows of time with floors and ceilings of their own: by cron, in a time zone.
//!
//! Comes in: a [`Schedule`] and a moment. Goes out: which windows are open, since when and until when, and what they demand. Never
//! keeps anything between two questions, and never looks further back than a window can last: this is asked in every cycle.

mod cron;
mod zone;

use jiff::ToSpan;
use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cron::{Cron, CronError};
pub use zone::{Zone, ZoneError};

use super::{Span, When};
use crate::model::{Parallelism, Timestamp};

/// Sizes by the clock: floors and ceilings for as long as a window is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schedule {
    /// Whose clocks count, by its IANA name.
    #[serde(default)]
    pub time_zone: Zone,
    /// When there is more or less to do. Of several that are open, the highest floor and the lowest ceiling count.
    #[schemars(length(min = 1))]
    pub windows: Vec<ScheduleWindow>,
    /// Whether the rule is on, in CEL; always, without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

/// A window of time. A start on a time that clocks skip happens when they have skipped it; one on a time that they show twice happens
/// at the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend(
    "x-order" = ["minReplicas <= maxReplicas", "minParallelism <= maxParallelism"],
    "x-any-of" = ["for", "end"]
))]
pub struct ScheduleWindow {
    /// When it opens: minute hour day-of-month month day-of-week.
    pub cron: Cron,
    /// How long it stays open; it opens anew at each start.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-minimum" = "1m", "x-why" = "a cron expression knows nothing shorter"))]
    pub lasts: Option<Span>,
    /// When it closes, as KEDA's cron scaler has it; with `for` as well, whichever comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Cron>,
    /// Never fewer TaskManagers than this while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_replicas: Option<u32>,
    /// Never more TaskManagers than this while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_replicas: Option<u32>,
    /// Never fewer subtasks of a vertex than this while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 32768))]
    pub min_parallelism: Option<Parallelism>,
    /// Never more subtasks of a vertex than this while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 32768))]
    pub max_parallelism: Option<Parallelism>,
}

/// What a schedule demands at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InForce {
    /// The windows that are open, in the order in which they are written.
    pub open: Vec<OpenWindow>,
    /// What they demand of the TaskManagers.
    pub replicas: Demand<u32>,
    /// What they demand of each vertex.
    pub parallelism: Demand<Parallelism>,
}

/// A window that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenWindow {
    /// Its index in [`Schedule::windows`].
    pub window: usize,
    /// Its last start.
    pub since: Timestamp,
    /// When it closes, unless it starts again before; `None` when that is beyond the calendar.
    pub until: Option<Timestamp>,
}

/// A floor and a ceiling; where windows contradict each other the floor counts, since too much is a smaller fault than too
/// little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Demand<T> {
    /// Never less.
    pub floor: Option<T>,
    /// Never more; not below the floor.
    pub ceiling: Option<T>,
}

impl<T> Default for Demand<T> {
    fn default() -> Self {
        Self { floor: None, ceiling: None }
    }
}

impl<T: Ord + Copy> Demand<T> {
    fn add(&mut self, floor: Option<T>, ceiling: Option<T>) {
        self.floor = self.floor.max(floor);
        self.ceiling = self.ceiling.into_iter().chain(ceiling).min();
    }

    fn settled(self) -> Self {
        Self {
            ceiling: self.ceiling.map(|ceiling| self.floor.map_or(ceiling, |floor| ceiling.max(floor))),
            ..self
        }
    }
}

impl Schedule {
    /// What holds now.
    pub fn at(&self, now: Timestamp) -> InForce {
        let mut force = InForce::default();
        let Some(clock) = Clock::new(&self.time_zone, now) else { return force };
        for (index, window) in self.windows.iter().enumerate() {
            if let Some((since, until)) = clock.open(&window.cron, window.lasts, window.end.as_ref()) {
                force.open.push(OpenWindow { window: index, since: ours(since), until: until.map(ours) });
                force.replicas.add(window.min_replicas, window.max_replicas);
                force.parallelism.add(window.min_parallelism, window.max_parallelism);
            }
        }
        InForce { replicas: force.replicas.settled(), parallelism: force.parallelism.settled(), ..force }
    }

    /// When the next window opens or opens anew; `None` without windows, or beyond the calendar.
    pub fn next_start(&self, now: Timestamp) -> Option<Timestamp> {
        let clock = Clock::new(&self.time_zone, now)?;
        self.windows.iter().filter_map(|window| clock.next(&window.cron, clock.latest)).min().map(ours)
    }
}

/// Since when and until when a window is open, if it is; without an end when that is beyond the calendar.
pub(super) fn open(
    zone: &Zone,
    cron: &Cron,
    lasts: Option<Span>,
    end: Option<&Cron>,
    now: Timestamp,
) -> Option<(Timestamp, Option<Timestamp>)> {
    let (since, until) = Clock::new(zone, now)?.open(cron, lasts, end)?;
    Some((ours(since), until.map(ours)))
}

/// A moment, and what the clocks of a zone have shown by then.
struct Clock<'z> {
    zone: &'z Zone,
    now: jiff::Timestamp,
    latest: DateTime,
}

impl<'z> Clock<'z> {
    /// `None` beyond the calendar.
    fn new(zone: &'z Zone, now: Timestamp) -> Option<Self> {
        let now = jiff::Timestamp::from_millisecond(now.as_millis()).ok()?;
        Some(Self { zone, now, latest: zone.latest_shown(now)? })
    }

    /// Since when and until when a window is open, if it is.
    fn open(
        &self,
        cron: &Cron,
        lasts: Option<Span>,
        end: Option<&Cron>,
    ) -> Option<(jiff::Timestamp, Option<jiff::Timestamp>)> {
        let started = self.last(cron, lasts)?;
        let since = self.zone.first_shown(started)?;
        let lasted = lasts.and_then(|lasts| since.checked_add(lasts.get()).ok());
        // By the wall: an end in the hour that clocks skip together with the start makes an empty window, not one of a day.
        let ended = end.and_then(|end| self.next(end, started));
        let until = lasted.into_iter().chain(ended).min();
        until.is_none_or(|until| until > self.now).then_some((since, until))
    }

    /// The last start by the wall, if a window that stays open for so long could still be open.
    fn last(&self, cron: &Cron, lasts: Option<Span>) -> Option<DateTime> {
        let earliest = match lasts.and_then(|lasts| self.now.checked_sub(lasts.get()).ok()) {
            // A day more, for what the clocks may have been changed by.
            Some(opened) => self.zone.shown(opened).date().yesterday().ok()?,
            None => self.latest.date().saturating_sub(cron::LONGEST_GAP.days()),
        };
        cron.latest(self.latest, earliest)
    }

    /// The first start after a time on the wall.
    fn next(&self, cron: &Cron, after: DateTime) -> Option<jiff::Timestamp> {
        let horizon = after.date().saturating_add(cron::LONGEST_GAP.days());
        self.zone.first_shown(cron.next(after, horizon)?)
    }
}

fn ours(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millisecond())
}

#[cfg(test)]
mod tests;
