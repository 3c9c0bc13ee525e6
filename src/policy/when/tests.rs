//! What expressions say, what is said of wrong ones, and what they cost.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::policy::Zone;

/// 2026-11-22 is a Sunday; 12:30 in Paris.
const NOW: &str = "2026-11-22T11:30:15Z";

fn ask(text: &str) -> Result<bool, Unanswered> {
    let labels =
        BTreeMap::from([("team".to_owned(), "payments".to_owned()), ("tier".to_owned(), "2".to_owned())]);
    let facts = Facts {
        job: JobFacts { name: "orders", id: "a1", labels: Some(&labels) },
        signals: SignalFacts {
            load: Some(1500.0),
            backlog: None,
            backlog_seconds: Some(f64::NAN),
            busiest: Some(0.9),
            back_pressured: Some(0.0),
            replicas: Some(4),
            parallelism: Some(8),
        },
        now: NOW.parse().expect("a moment"),
        zone: &"Europe/Paris".parse::<Zone>().expect("a zone"),
    };
    text.parse::<When>().expect(text).is_on(&facts)
}

#[test]
fn switches_by_labels_time_and_signals() {
    for (text, on) in [
        ("true", true),
        ("job.labels.team == 'payments'", true),
        ("job.labels['team'] == \"payments\" && job.name.startsWith('ord')", true),
        ("'team' in job.labels && !('owner' in job.labels)", true),
        ("has(job.labels.owner) && job.labels.owner == 'me'", false),
        ("job.id in ['a1', 'b2']", true),
        ("int(job.labels.tier) >= 2", true),
        ("hour == 12 && minute == 30 && weekday == 0", true),
        ("hour >= 7 && hour < 19 && weekday in [1, 2, 3, 4, 5]", false),
        ("now > timestamp('2026-11-22T11:30:00Z') && now < timestamp('2026-11-22T12:31:00+01:00')", true),
        ("now == timestamp('2026-11-22T11:30:15Z')", true),
        ("now.getHours() == 11 && now.getHours('Europe/Paris') == 12 && now.getDayOfWeek() == 0", true),
        ("now.getFullYear() == 2026 && now.getMonth() == 10 && now.getDate() == 22", true),
        (
            "now.getDayOfMonth() == 21 && now.getDayOfYear() == 325 && now.getMinutes() == 30 && now.getSeconds() == 15",
            true,
        ),
        ("signals.load > 1000", true),
        ("signals.load * 2.0 > 3000.0 || signals.busiest > 0.8", true),
        ("signals.replicas < 10 && signals.parallelism == 2 * signals.replicas", true),
        ("has(signals.backlog)", false),
        ("has(signals.backlog) ? signals.backlog > 10.0 : signals.load > 0.0", true),
        // An error beside what decides is none.
        ("signals.backlog > 10.0 || true", true),
        ("signals.backlog > 10.0 && false", false),
    ] {
        assert_eq!(ask(text), Ok(on), "{text}");
    }
}

#[test]
fn says_why_it_cannot_say() {
    for (text, reason) in [
        ("signals.backlog > 10.0", Unanswered::Missing("backlog".to_owned())),
        ("signals.backlogSeconds > 10.0", Unanswered::Missing("backlogSeconds".to_owned())),
        ("job.labels.owner == 'me'", Unanswered::Missing("owner".to_owned())),
        ("1 / (signals.replicas - 4) > 0", Unanswered::Failed("division by zero".to_owned())),
        ("job.labels.tier == '' ? true : signals.replicas", Unanswered::NotACondition("int".to_owned())),
    ] {
        assert_eq!(ask(text), Err(reason), "{text}");
    }
    let failed = ask("int(job.labels.team) > 1").expect_err("no number");
    assert!(matches!(&failed, Unanswered::Failed(why) if why.contains("int")), "{failed}");
}

#[test]
fn names_the_mistake_and_its_place() {
    for (text, said) in [
        ("", "column 1: an expression is missing before the end"),
        ("hour >= ", "column 9: an expression is missing before the end"),
        ("hour = 7", "column 6: '=' is not expected here; `==` compares"),
        ("hour >= 7 &&\n  hour < ", "line 2, column 10: an expression is missing before the end"),
        ("signals.lod > 1.0", "column 9: there is no field `signals.lod`; did you mean `load`?"),
        ("true || has(signals.lod)", "column 21: there is no field `signals.lod`; did you mean `load`?"),
        ("job.label.team == 'x'", "column 5: there is no field `job.label`; did you mean `labels`?"),
        ("'lod' == 'x' || hours > 7", "column 17: there is no variable `hours`; did you mean `hour`?"),
        ("hour > 1 ||\n  // no lod here\n  lod(hour)", "line 3, column 3: there is no function `lod`"),
        (
            "signals.x > 1.0",
            "column 9: there is no field `signals.x`; expected `load`, `backlog`, `backlogSeconds`, `busiest`, `backPressured`, \
             `replicas` or `parallelism`",
        ),
        ("job.name.matches('x.*')", "column 10: there is no function `matches`"),
        ("true || signals.load > 'x'", "column 9: `>` does not take double and string"),
        (
            "false && signals.load * 2 > 1.0",
            "column 10: `*` does not take double and int; write 2.0, or double(x), beside a double",
        ),
        ("job.labels.tier > 2", "column 1: `>` does not take string and int"),
        ("hour", "column 1: expected a condition, which is true or false, not a value of type int"),
        (
            "[1, 2].all(x, x > 0)",
            "column 8: loops (all, exists, exists_one, map, filter) and messages are not offered here",
        ),
        ("job.?name == 'x'", "column 4: unsupported syntax '.?'"),
        ("Foo{a: 1} == 1", "column 1: loops"),
        ("now + 1 > now", "column 1: `+` does not take google.protobuf.Timestamp and int"),
        ("now.getHours('Atlantis') > 1", ""),
    ] {
        match text.parse::<When>() {
            Err(error) => assert!(error.to_string().starts_with(said) && !said.is_empty(), "{text}: {error}"),
            Ok(_) => assert!(said.is_empty(), "{text} is taken for right"),
        }
    }
}

#[test]
fn length_and_depth_have_bounds() {
    let nested = |open: &str, n: usize, close: &str| format!("{}true{}", open.repeat(n), close.repeat(n));
    for (text, is_right) in [
        (nested("(", 15, ")"), true),
        (nested("(", 400, ")"), true),
        (nested("[", 400, "]"), false),
        (nested("{1: ", 150, "}"), false),
        (nested("size(", 100, ")"), false),
        (nested("true ? true : ", 60, ""), false),
        (nested("true || ", 110, ""), true),
        (nested("true == ", 40, ""), true),
        (nested("true == ", 41, ""), false),
        (nested("!", 900, ""), true),
        (nested("!!(", 200, ")"), false),
        (format!("job{} == 1", ".a".repeat(300)), false),
        (format!("job{} == 1", "['a']".repeat(150)), false),
        (nested(" ", 1_000, ""), false),
    ] {
        assert_eq!(text.parse::<When>().is_ok(), is_right, "{text}");
    }
}

#[test]
fn is_its_text_in_a_record() {
    let when: When = serde_json::from_str("\"hour > 7\"").expect("an expression");
    assert_eq!(serde_json::to_string(&when).ok().as_deref(), Some("\"hour > 7\""));
    assert_eq!(
        (when.clone(), format!("{when:?}")),
        ("hour > 7".parse().expect("the same"), "When(\"hour > 7\")".to_owned())
    );
    assert!(serde_json::from_str::<When>("\"hour >\"").is_err());
}

/// A thing of CEL, or nearly.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "0",
        "-1",
        "2.5",
        "true",
        "false",
        "null",
        "'a'",
        "r'\\'",
        "b'x'",
        "hour",
        "now",
        "job",
        "signals",
        "job.name",
        "job.labels",
        "job.labels.team",
        "signals.load",
        "signals.backlog",
        "signals.replicas",
        "timestamp('x')",
        "[]",
        "{}",
        "9223372036854775807",
        "1e308",
        "u",
        "x.y",
        "timestamp('2026-11-22T11:30:15Z')",
        "int",
        "has(job.labels.x)",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in",
        ]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            inner.clone().prop_map(|a| format!("!{a}")),
            inner.clone().prop_map(|a| format!("-{a}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
            (
                prop::sample::select(vec![
                    "size",
                    "int",
                    "double",
                    "string",
                    "uint",
                    "type",
                    "bool",
                    "dyn",
                    "timestamp",
                    "bytes"
                ]),
                inner.clone()
            )
                .prop_map(|(f, a)| format!("{f}({a})")),
            (inner.clone(), prop::sample::select(vec!["getHours", "size", "contains", "startsWith"]), inner)
                .prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_answered_or_refused(text in prop_oneof![expression(), "[a-z0-9 .()\\[\\]{}'\"?:<>=!&|+*/%,-]{0,60}", ".{0,60}"]) {
        if text.parse::<When>().is_ok() {
            let _ = ask(&text);
        }
    }
}
