//! What YAML says and where, and what is turned away.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn said(text: &str) -> Vec<String> {
    parse(&Source::new("f", text))
        .map_or_else(|errors| errors.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

fn json_of(text: &str) -> serde_json::Value {
    let documents = parse(&Source::new("f", text)).expect("it is YAML");
    documents.iter().map(Node::to_json).collect()
}

#[test]
fn reads_the_core_schema_and_nothing_older() {
    for (text, value) in [
        ("1", json!(1)),
        ("-17", json!(-17)),
        ("+3", json!(3)),
        ("012", json!(12)),
        ("0x1F", json!(31)),
        ("0o17", json!(15)),
        ("0x", json!("0x")),
        ("0x+1", json!("0x+1")),
        ("1.5", json!(1.5)),
        ("1e3", json!(1000.0)),
        (".5", json!(0.5)),
        ("-.5", json!(-0.5)),
        ("18446744073709551615", json!(u64::MAX)),
        ("99999999999999999999", json!(99_999_999_999_999_999_999.0)),
        (".inf", json!(null)),
        (".nan", json!(null)),
        ("inf", json!("inf")),
        ("nan", json!("nan")),
        ("-", json!([null])),
        ("+", json!("+")),
        (".", json!(".")),
        ("1_000", json!("1_000")),
        ("1:30", json!("1:30")),
        ("true", json!(true)),
        ("False", json!(false)),
        ("yes", json!("yes")),
        ("off", json!("off")),
        ("~", json!(null)),
        ("null", json!(null)),
        ("'1'", json!("1")),
        ("\"true\"", json!("true")),
        ("\"a\\u00e9\"", json!("aé")),
        ("|\n a\n b\n", json!("a\nb\n")),
        (">\n a\n b\n", json!("a b\n")),
        ("!!str 1", json!("1")),
        ("! 1", json!("1")),
        ("!!int 1", json!(1)),
        ("!!float 1", json!(1)),
        ("[1, {a: b}]", json!([1, {"a": "b"}])),
        ("{\"a\":1,\"b\":[true,null]}", json!({"a": 1, "b": [true, null]})),
        ("{1: x, true: y}", json!({"1": "x", "true": "y"})),
        ("a: &x {b: 1}\nc: *x", json!({"a": {"b": 1}, "c": {"b": 1}})),
        ("? a\n: 1", json!({"a": 1})),
        ("\u{feff}a: 1", json!({"a": 1})),
    ] {
        assert_eq!(json_of(text), json!([value]), "{text}");
    }
    assert_eq!(json_of("a: 1\n---\nb: 2\n...\n---\n"), json!([{"a": 1}, {"b": 2}, null]));
    assert_eq!(json_of(""), json!([]));
    assert_eq!(json_of("# nothing\n"), json!([]));
}

#[test]
fn says_where_it_stops_being_yaml() {
    for (text, expected) in [
        (
            "a: b: c",
            "f:1:5: not valid YAML: a second `: ` in one value; put the text in quotes, or mend the indentation",
        ),
        (
            "a: 1\n  b: 2",
            "f:2:4: not valid YAML: a second `: ` in one value; put the text in quotes, or mend the indentation",
        ),
        ("a:\n\t- b", "f:2:2: not valid YAML: a tab in the indentation; indent with spaces"),
        (
            "a:\n  b: 1\n\tc: 2",
            "f:2:6: not valid YAML: a tab in the indentation of the next line; indent with spaces",
        ),
        ("a: 'x", "f:1:4: not valid YAML: a quote (`'` or `\"`) that nothing closes"),
        ("a: [1, 2", "f:2:1: not valid YAML: expected `,` or `]`: a list that nothing closes"),
        ("{a: 1", "f:2:1: not valid YAML: expected `,` or `}`: a mapping that nothing closes"),
        (
            "a:\n  b: 1\n c: 2",
            "f:3:2: not valid YAML: expected a field (`name: value`); mend the indentation",
        ),
        ("- a\nb: 1", "f:2:1: not valid YAML: expected an item (`- value`); mend the indentation"),
        ("a: *nope", "f:1:4: not valid YAML: an alias (`*`) of what has no anchor (`&`)"),
        ("a: %", "f:1:4: not valid YAML: unexpected character: `%'"),
        ("a: \u{0}", "f:1:4: not valid YAML: found unprintable character"),
    ] {
        assert_eq!(said(text), [expected], "{text:?}");
    }
}

#[test]
fn collects_what_is_yaml_and_means_nothing_here() {
    assert_eq!(
        said("a: 1\nb:\n  - c: !foo 3\n    c: 4\n  - <<: {d: 1}\na: 2\ne: !!int x\nf: !!map []\n"),
        [
            "f:3:8: b[0].c: a tag that means nothing here; leave it out",
            "f:4:5: b[0]: `c` is written twice; it is on line 3 already",
            "f:5:5: b[1]: merge keys (`<<`) are not part of YAML 1.2; write the fields out",
            "f:6:1: `a` is written twice; it is on line 1 already",
            "f:7:4: e: a tag that means nothing here; leave it out",
            "f:8:4: f: a tag that means nothing here; leave it out",
        ]
    );
    for (text, expected) in [
        ("? [1]\n: 2", "f:1:3: a list or mapping as a key; keys are text"),
        ("a: &x [*x]", "f:1:8: a[0]: an alias inside of what it stands for"),
    ] {
        assert_eq!(said(text), [expected], "{text:?}");
    }
}

#[test]
fn knows_where_everything_stands() {
    let documents =
        parse(&Source::new("f", "a: 1\nbb:\n  - x\n  - y: 'ü'\n    zz: 2\nempty:\n")).expect("it is YAML");
    let at = |node: &Node| (node.at.line, node.at.column);
    let field = |node: &Node, key: &str| node.get(key).cloned().expect("it is there");
    let list = field(&documents[0], "bb");
    assert_eq!(at(&field(&documents[0], "a")), (1, 4));
    assert_eq!(at(&list.items()[0]), (3, 5));
    assert_eq!(at(&list.items()[1]), (4, 5));
    assert_eq!(at(&field(&list.items()[1], "zz")), (5, 9));
    assert_eq!(at(&field(&documents[0], "empty")), (6, 1), "nothing stands where its key does");
}

#[test]
#[expect(clippy::format_collect, reason = "a few lines of text, once")]
fn turns_away_what_would_take_all_memory() {
    let laughs: String = (1..30).map(|i| format!("a{i}: &a{i} [*a{0}, *a{0}, *a{0}]\n", i - 1)).collect();
    let errors = said(&format!("a0: &a0 x\n{laughs}"));
    assert!(
        errors.len() == 1 && errors[0].ends_with("aliases make too much of this; write it out"),
        "{errors:?}"
    );
    for deep in ["[".repeat(10_000), "- ".repeat(10_000), "{a: ".repeat(10_000)] {
        assert_eq!(said(&deep).len(), 1);
    }
    let chained: String = (1..40).map(|i| format!("a{i}: &a{i} [[*a{}]]\n", i - 1)).collect();
    assert!(said(&format!("a0: &a0 [x]\n{chained}"))[0].ends_with("write it out"));
    assert_eq!(
        said(&" ".repeat(MOST_BYTES + 1)),
        ["f:1:1: 4194305 bytes are too many for one file (at most 4194304); split it"]
    );
}

proptest! {
    #[test]
    fn takes_any_text_without_a_panic(text in any::<String>()) {
        let _ = said(&text);
    }

    #[test]
    fn takes_any_punctuation_without_a_panic(text in "[-a1:?,&*!|>'\"%@`#\\[\\]{}~.\t \n\r]{0,60}") {
        let _ = said(&text);
    }

    #[test]
    fn reads_all_that_serde_writes(numbers in prop::collection::vec(any::<i64>(), 0..4), text in any::<String>()) {
        let value = json!({"numbers": numbers, "text": text, "inner": {text.clone(): null}});
        // JSON's escapes of what is outside the basic plane are pairs, which YAML does not have; serde writes none.
        prop_assert_eq!(json_of(&value.to_string()), json!([value]));
    }
}
