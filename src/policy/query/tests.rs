//! What a query becomes for a job, and that a value is never more than a value.

use proptest::prelude::*;

use super::*;

fn facts(value: &str) -> QueryFacts<'_> {
    QueryFacts {
        namespace: Some(value),
        autoscaler: Some(value),
        workload: Some(value),
        job: Some(value),
        job_id: None,
    }
}

#[test]
fn a_variable_is_written_as_its_place_demands() {
    for (query, value, filled) in [
        ("up", "x", "up"),
        (r#"lag{job="${job}"}"#, "orders", r#"lag{job="orders"}"#),
        (r#"lag{job != "${job}", ns="${namespace}"}"#, "a", r#"lag{job != "a", ns="a"}"#),
        (r#"lag{job="${job}"}"#, r#"a"} or vector(0) #"#, r#"lag{job="a\"} or vector(0) #"}"#),
        (r#"lag{job="${job}"}"#, r"a\", r#"lag{job="a\\"}"#),
        (r"lag{job='${job}'}", r#"it's "a""#, r#"lag{job='it\'s "a"'}"#),
        ("lag{job=`${job}`}", r#"a"\"#, r#"lag{job=`a"\`}"#),
        (r#"lag{pod=~"${workload}-.*"}"#, "a.b|c", r#"lag{pod=~"a\\.b\\|c-.*"}"#),
        ("lag{pod=~`${workload}-.*`}", "a.b", r"lag{pod=~`a\.b-.*`}"),
        (r#"lag{job="${job}"}"#, "a\nb", r#"lag{job="a\u000ab"}"#),
        (
            r#"sum by (job) (rate(lag{job=~"${job}"}[5m])) # ${what}"#,
            "a",
            r#"sum by (job) (rate(lag{job=~"a"}[5m])) # ${what}"#,
        ),
        (
            r#"label_replace(lag{job="${job}"}, "to", "$1-${2}", "from", "(.*)-(.*)")"#,
            "a",
            r#"label_replace(lag{job="a"}, "to", "$1-${2}", "from", "(.*)-(.*)")"#,
        ),
        (
            r#"label_replace(lag, "to", "${word}", "from", "(?P<word>.*)")"#,
            "a",
            r#"label_replace(lag, "to", "${word}", "from", "(?P<word>.*)")"#,
        ),
    ] {
        let read: Query = query.parse().unwrap();
        assert_eq!(read.fill(&facts(value)).as_deref(), Ok(filled), "{query}");
        assert_eq!(String::from(read), query);
    }
}

#[test]
fn what_cannot_be_right_is_told_with_its_place() {
    for (query, says) in [
        ("  ", "column 1: there is no query"),
        ("sum(lag", "column 4: the ( has no counterpart"),
        ("sum(lag]", "column 4: the ( has no counterpart"),
        ("lag)", "column 4: the ) has no counterpart"),
        (r#"lag{job="a}"#, "column 9: the text that begins here has no closing \""),
        (r#"lag{job="a\"}"#, "column 9: the text that begins here has no closing \""),
        ("lag{job=\"a\n\"}", "column 9: the text that begins here has no closing \""),
        ("lag{job=${job}}", "column 9: ${job} may stand in the value of a label only"),
        ("${job}", "column 1: ${job} may stand"),
        ("sum(\n  lag{job=${job}})", "line 2, column 11: ${job} may stand"),
        (r#"label_replace(lag, "to", "${job}", "from", ".*")"#, "column 27: ${job} may stand"),
        (r#"lag{"${job}"="a"}"#, "column 6: ${job} may stand"),
        (r#"lag{job="${jobb}"}"#, "column 10: there is no variable ${jobb}; did you mean `job`?"),
        ("rate(lag[$__rate_interval])", "column 10: `$` means nothing here"),
        (&"a".repeat(LONGEST + 1), "column 1: a query has at most 8192 characters, not 8193"),
    ] {
        let error = query.parse::<Query>().expect_err(query).to_string();
        assert!(error.starts_with(says), "{query}: {error}");
    }
}

#[test]
fn what_is_not_known_is_not_guessed() {
    let query: Query = r#"lag{id="${jobId}"}"#.parse().unwrap();
    assert_eq!(query.fill(&facts("a")), Err(Unfilled::Missing(Variable::JobId)));
    assert_eq!(query.variables().collect::<Vec<_>>(), [Variable::JobId]);
    let query: Query = "lag{job=`${job}`}".parse().unwrap();
    assert_eq!(query.fill(&facts("`")), Err(Unfilled::Backtick(Variable::Job)));
}

/// What a Go literal between double quotes stands for; `None` when it ends early or not at all.
fn unquoted(literal: &str) -> Option<String> {
    let mut chars = literal.strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(text),
            '\\' => match chars.next()? {
                'u' => {
                    let code: String = chars.by_ref().take(4).collect();
                    text.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                }
                c @ ('"' | '\\') => text.push(c),
                _ => return None,
            },
            c => text.push(c),
        }
    }
}

proptest! {
    #[test]
    fn a_value_is_never_more_than_a_value(value in any::<String>()) {
        let query: Query = r#"{a="${job}"}"#.parse().unwrap();
        let filled = query.fill(&facts(&value)).unwrap();
        let literal = filled.strip_prefix("{a=").and_then(|rest| rest.strip_suffix('}')).unwrap();
        prop_assert_eq!(unquoted(literal), Some(value));
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Ok(query) = text.parse::<Query>() {
            prop_assert_eq!(query.as_str(), &text);
        }
    }
}
