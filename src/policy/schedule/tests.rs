//! Windows across the changes of clocks, and against a search that looks at every minute.

use jiff::civil::Weekday;
use proptest::prelude::*;

use super::*;

fn moment(text: &str) -> Timestamp {
    text.parse().expect(text)
}

/// A schedule of one window.
fn one(zone: &str, window: &str) -> Schedule {
    let window: ScheduleWindow = serde_json::from_str(window).expect(window);
    Schedule { time_zone: zone.parse().expect(zone), windows: vec![window], when: None }
}

/// `since to until` of the one window, or `closed`.
fn state(schedule: &Schedule, now: &str) -> String {
    match schedule.at(moment(now)).open[..] {
        [OpenWindow { since, until: Some(until), .. }] => {
            format!("{since} to {until}").replace(":00.000Z", "Z")
        }
        [] => "closed".to_owned(),
        _ => "not one window".to_owned(),
    }
}

#[test]
fn is_open_from_its_start_until_its_time_is_over() {
    let office = r#"{"cron": "0 7 * * 1-5", "for": "12h", "minReplicas": 6}"#;
    for (zone, now, expected) in [
        // 2026-11-23 is a Monday.
        ("Europe/Paris", "2026-11-23T05:59:59.999Z", "closed"),
        ("Europe/Paris", "2026-11-23T06:00:00Z", "2026-11-23T06:00Z to 2026-11-23T18:00Z"),
        ("Europe/Paris", "2026-11-23T17:59:59.999Z", "2026-11-23T06:00Z to 2026-11-23T18:00Z"),
        ("Europe/Paris", "2026-11-23T18:00:00Z", "closed"),
        ("Europe/Paris", "2026-11-22T12:00:00Z", "closed"),
        ("America/New_York", "2026-11-23T06:00:00Z", "closed"),
        ("America/New_York", "2026-11-23T12:00:00Z", "2026-11-23T12:00Z to 2026-11-24T00:00Z"),
        ("Asia/Kolkata", "2026-11-23T01:30:00Z", "2026-11-23T01:30Z to 2026-11-23T13:30Z"),
        ("Asia/Kolkata", "2026-11-23T01:29:59Z", "closed"),
    ] {
        assert_eq!(state(&one(zone, office), now), expected, "{now} in {zone}");
    }
}

#[test]
fn a_start_that_clocks_skip_happens_after_it_and_one_they_repeat_happens_once() {
    for (zone, cron, now, expected) in [
        // Paris puts its clocks forward on 29 March at 02:00 (01:00Z), and back on 25 October at 03:00 (01:00Z).
        ("Europe/Paris", "30 2 * * *", "2026-03-29T00:59:00Z", "closed"),
        ("Europe/Paris", "30 2 * * *", "2026-03-29T01:00:00Z", "2026-03-29T01:00Z to 2026-03-29T02:00Z"),
        ("Europe/Paris", "*/20 2 * * *", "2026-03-29T01:20:00Z", "2026-03-29T01:00Z to 2026-03-29T02:00Z"),
        ("Europe/Paris", "30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-25T00:30Z to 2026-10-25T01:30Z"),
        ("Europe/Paris", "30 2 * * *", "2026-10-25T01:29:00Z", "2026-10-25T00:30Z to 2026-10-25T01:30Z"),
        ("Europe/Paris", "30 2 * * *", "2026-10-25T01:30:00Z", "closed"),
        // New York: forward on 8 March at 02:00 (07:00Z), back on 1 November at 02:00 (06:00Z).
        ("America/New_York", "0 2 * * *", "2026-03-08T06:59:00Z", "closed"),
        ("America/New_York", "0 2 * * *", "2026-03-08T07:00:00Z", "2026-03-08T07:00Z to 2026-03-08T08:00Z"),
        ("America/New_York", "0 1 * * *", "2026-11-01T05:00:00Z", "2026-11-01T05:00Z to 2026-11-01T06:00Z"),
        ("America/New_York", "0 1 * * *", "2026-11-01T06:00:00Z", "closed"),
        ("America/New_York", "0 2 * * *", "2026-11-01T06:59:00Z", "closed"),
        ("America/New_York", "0 2 * * *", "2026-11-01T07:00:00Z", "2026-11-01T07:00Z to 2026-11-01T08:00Z"),
        // Kolkata never changes them.
        ("Asia/Kolkata", "30 2 * * *", "2026-03-28T21:00:00Z", "2026-03-28T21:00Z to 2026-03-28T22:00Z"),
        // Lord Howe, by half an hour: forward on 4 October at 02:00 (15:30Z the day before), back on 5 April at 02:00 (15:00Z).
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T15:29:00Z", "closed"),
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-03T15:30:00Z",
            "2026-10-03T15:30Z to 2026-10-03T16:30Z",
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-04T15:20:00Z",
            "2026-04-04T14:45Z to 2026-04-04T15:45Z",
        ),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T15:45:00Z", "closed"),
    ] {
        let window = format!(r#"{{"cron": "{cron}", "for": "1h"}}"#);
        assert_eq!(state(&one(zone, &window), now), expected, "{cron} at {now} in {zone}");
    }
}

#[test]
fn closes_by_the_clock_where_an_end_is_given() {
    let night = r#"{"cron": "0 22 * * *", "end": "0 6 * * *", "maxReplicas": 3}"#;
    let office = r#"{"cron": "0 8 * * 1-5", "end": "0 18 * * *"}"#;
    let capped = r#"{"cron": "0 8 * * *", "end": "0 18 * * *", "for": "2h"}"#;
    let skipped = r#"{"cron": "10 2 * * *", "end": "40 2 * * *"}"#;
    let handover = r#"{"cron": "0 8,18 * * *", "end": "0 18 * * *"}"#;
    for (window, now, expected) in [
        (night, "2026-11-22T20:59:00Z", "closed"),
        (night, "2026-11-22T21:00:00Z", "2026-11-22T21:00Z to 2026-11-23T05:00Z"),
        (night, "2026-11-23T05:00:00Z", "closed"),
        // The night in which clocks are put back is an hour longer, and an hour shorter when they are put forward.
        (night, "2026-10-25T04:00:00Z", "2026-10-24T20:00Z to 2026-10-25T05:00Z"),
        (night, "2026-03-29T03:59:00Z", "2026-03-28T21:00Z to 2026-03-29T04:00Z"),
        // From Friday's end on it is closed, although the next end comes before the next start.
        (office, "2026-11-20T12:00:00Z", "2026-11-20T07:00Z to 2026-11-20T17:00Z"),
        (office, "2026-11-21T12:00:00Z", "closed"),
        (capped, "2026-11-20T08:59:00Z", "2026-11-20T07:00Z to 2026-11-20T09:00Z"),
        (capped, "2026-11-20T09:00:00Z", "closed"),
        (skipped, "2026-03-29T01:00:00Z", "closed"),
        (skipped, "2026-03-30T00:20:00Z", "2026-03-30T00:10Z to 2026-03-30T00:40Z"),
        // An end at the moment of a start does not close what it opened.
        (handover, "2026-11-20T17:00:00Z", "2026-11-20T17:00Z to 2026-11-21T17:00Z"),
    ] {
        assert_eq!(state(&one("Europe/Paris", window), now), expected, "{window} at {now}");
    }
}

#[test]
fn the_highest_floor_and_the_lowest_ceiling_count_and_the_floor_wins() {
    let schedule: Schedule = serde_json::from_str(
        r#"{"windows": [
            {"cron": "0 * * * *", "for": "10m", "minReplicas": 4, "maxReplicas": 9, "maxParallelism": 12},
            {"cron": "5 * * * *", "for": "10m", "minReplicas": 2, "maxReplicas": 8, "minParallelism": 3},
            {"cron": "7 * * * *", "for": "1m", "minReplicas": 20}
        ]}"#,
    )
    .expect("a schedule");
    let p = |subtasks| Some(Parallelism::clamped(subtasks));
    for (minute, open, replicas, parallelism) in [
        (2, vec![0], (Some(4), Some(9)), (None, p(12))),
        (6, vec![0, 1], (Some(4), Some(8)), (p(3), p(12))),
        (7, vec![0, 1, 2], (Some(20), Some(20)), (p(3), p(12))),
        (12, vec![1], (Some(2), Some(8)), (p(3), None)),
        (20, vec![], (None, None), (None, None)),
    ] {
        let force = schedule.at(moment(&format!("2026-11-22T10:{minute:02}:30Z")));
        assert_eq!(force.open.iter().map(|open| open.window).collect::<Vec<_>>(), open, "{minute}");
        assert_eq!((force.replicas.floor, force.replicas.ceiling), replicas, "{minute}");
        assert_eq!((force.parallelism.floor, force.parallelism.ceiling), parallelism, "{minute}");
    }
}

#[test]
fn says_when_the_next_window_opens() {
    for (zone, cron, now, next) in [
        ("Europe/Paris", "0 7 * * 1-5", "2026-11-22T12:00:00Z", "2026-11-23T06:00:00Z"),
        ("Europe/Paris", "0 7 * * 1-5", "2026-11-23T06:00:00Z", "2026-11-24T06:00:00Z"),
        ("Europe/Paris", "30 2 * * *", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"),
        ("Europe/Paris", "30 2 * * *", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"),
        ("Europe/Paris", "30 2 * * *", "2026-10-25T00:45:00Z", "2026-10-26T01:30:00Z"),
        ("Europe/Paris", "30 2 * * *", "2026-10-25T01:15:00Z", "2026-10-26T01:30:00Z"),
        ("Europe/Paris", "0 3 * * *", "2026-10-25T01:15:00Z", "2026-10-25T02:00:00Z"),
        ("America/New_York", "0 0 29 2 *", "2026-11-22T12:00:00Z", "2028-02-29T05:00:00Z"),
    ] {
        let schedule = one(zone, &format!(r#"{{"cron": "{cron}", "for": "1h"}}"#));
        assert_eq!(schedule.next_start(moment(now)), Some(moment(next)), "{cron} after {now} in {zone}");
    }
    assert_eq!(Schedule::default().next_start(moment("2026-11-22T12:00:00Z")), None);
}

#[test]
fn beyond_the_calendar_nothing_is_open() {
    let schedule = one("Europe/Paris", r#"{"cron": "* * * * *", "for": "36500d", "end": "0 0 1 1 *"}"#);
    for millis in [i64::MIN, i64::MAX, -377_705_023_201_000, 253_402_207_200_999, 0] {
        let now = Timestamp::from_millis(millis);
        let (force, next) = (schedule.at(now), schedule.next_start(now));
        assert!(
            force.open.iter().all(|open| open.since <= now) && next.is_none_or(|next| next > now),
            "{millis}"
        );
    }
}

/// Days on which clocks are changed, or about to be, besides one on which they are not.
const DAYS: [(&str, &str); 10] = [
    ("Europe/Paris", "2026-03-29"),
    ("Europe/Paris", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Asia/Kolkata", "2026-12-31"),
    ("America/Santiago", "2026-09-06"),
    ("Africa/Casablanca", "2026-02-15"),
    ("Pacific/Apia", "2011-12-30"),
];

/// The numbers of a field and how they are written.
fn field(least: u32, most: u32) -> impl Strategy<Value = (Vec<u32>, String)> {
    let listed = prop::collection::btree_set(least..=most, 1..5).prop_map(|numbers| {
        let words: Vec<String> = numbers.iter().map(u32::to_string).collect();
        (numbers.into_iter().collect(), words.join(","))
    });
    let stepped = (1..=most).prop_map(move |step| {
        let step = step.max(2);
        ((least..=most).step_by(step as usize).collect(), format!("*/{step}"))
    });
    let any = Just(((least..=most).collect(), "*".to_owned()));
    prop_oneof![listed, stepped, any]
}

/// Whether an expression's fields name a time, written down as the manual of cron has it.
fn is_named(fields: &[(Vec<u32>, String); 5], time: DateTime) -> bool {
    let has = |field: usize, number: i8| fields[field].0.contains(&u32::from(number.unsigned_abs()));
    let sunday = if time.weekday() == Weekday::Sunday { 0 } else { time.weekday().to_monday_one_offset() };
    let (day, weekday) = (has(2, time.day()), has(4, sunday));
    let is_day = if fields[2].1 == "*" || fields[4].1 == "*" { day && weekday } else { day || weekday };
    is_day && has(0, time.minute()) && has(1, time.hour()) && has(3, time.month())
}

/// All starts within a stretch of time, by watching the clock minute by minute: a minute counts when it, or one that was skipped on
/// the way to it, is shown for the first time.
fn watched(zone: &Zone, fields: &[(Vec<u32>, String); 5], from: i64, to: i64) -> Vec<i64> {
    let (mut starts, mut next_new) = (Vec::new(), None::<DateTime>);
    for minute in from / 60..=to / 60 {
        let shown = zone.shown(jiff::Timestamp::from_second(minute * 60).expect("within the calendar"));
        let mut new = next_new.unwrap_or(shown);
        let mut is_start = false;
        while new <= shown {
            is_start |= is_named(fields, new);
            new = new.checked_add(1.minute()).expect("within the calendar");
            next_new = Some(new);
        }
        if is_start {
            starts.push(minute * 60_000);
        }
    }
    starts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn finds_what_watching_the_clock_finds(
        (day, offset) in (0..DAYS.len(), -20 * 3600..44 * 3600_i64),
        fields in [field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)],
    ) {
        const DAY: i64 = 86_400;
        let (name, date) = DAYS[day];
        let text: Vec<&str> = fields.iter().map(|field| field.1.as_str()).collect();
        let Ok(cron) = text.join(" ").parse::<Cron>() else { return Ok(()) };
        let zone: Zone = name.parse().expect(name);
        let now = moment(&format!("{date}T00:00:00Z")) .as_millis() / 1000 + offset;
        let starts = watched(&zone, &fields, now - 2 * DAY, now + DAY);
        let millis = now * 1000;
        let window = |lasts| ScheduleWindow {
            cron: cron.clone(), lasts: Some(Span::from_secs(lasts)), end: None,
            min_replicas: None, max_replicas: None, min_parallelism: None, max_parallelism: None,
        };
        let schedule = Schedule { time_zone: zone, windows: vec![window(86_400)], when: None };
        let opened = schedule.at(Timestamp::from_millis(millis)).open.first().map(|open| open.since.as_millis());
        let last = starts.iter().rev().find(|&&start| start <= millis && start > millis - DAY * 1000);
        prop_assert_eq!(opened, last.copied(), "the last start of {}", text.join(" "));
        let within = schedule.next_start(Timestamp::from_millis(millis)).map(Timestamp::as_millis).filter(|&next| next <= millis + DAY * 1000);
        let next = starts.iter().find(|&&start| start > millis);
        prop_assert_eq!(within, next.copied(), "the next start of {}", text.join(" "));
    }

    #[test]
    fn any_text_is_an_expression_or_an_error(text in "[0-9*?/, a-zL@=-]{0,24}|.{0,30}") {
        if let Ok(cron) = text.parse::<Cron>() {
            prop_assert_eq!(cron.to_string().parse::<Cron>(), Ok(cron));
        }
    }
}
