//! Writes YAML: values as a person would have written them, that every reader takes for what they are.

use std::fmt::Write;

use serde_json::Value;

use crate::config;

/// A value as a YAML document, without `---`.
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => write_fields(&mut out, value, 0, true),
        Value::Array(items) if !items.is_empty() => write_items(&mut out, items, 0, true),
        _ => {
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
    out
}

/// Writes the fields of an object, one a line; `begun` if the first stands on a line that has its indentation already.
fn write_fields(out: &mut String, value: &Value, indent: usize, begun: bool) {
    for (index, (key, value)) in value.as_object().into_iter().flatten().enumerate() {
        if index > 0 || !begun {
            out.extend(std::iter::repeat_n(' ', indent));
        }
        out.push_str(&text(key));
        out.push(':');
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                out.push('\n');
                write_fields(out, value, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                write_items(out, items, indent, false);
            }
            _ => {
                out.push(' ');
                out.push_str(&scalar(value));
                out.push('\n');
            }
        }
    }
}

/// Writes the items of a list, one a line; `begun` as for fields.
fn write_items(out: &mut String, items: &[Value], indent: usize, begun: bool) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !begun {
            out.extend(std::iter::repeat_n(' ', indent));
        }
        out.push_str("- ");
        match item {
            Value::Object(fields) if !fields.is_empty() => write_fields(out, item, indent + 2, true),
            Value::Array(items) if !items.is_empty() => write_items(out, items, indent + 2, true),
            _ => {
                out.push_str(&scalar(item));
                out.push('\n');
            }
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A text, in quotes where some reader would take it for something else without.
fn text(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // What YAML does not count among the printable (5.1), or takes for the end of a line.
            _ if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                // All of them are below U+10000.
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn is_plain(text: &str) -> bool {
    // YAML 1.1, which kubectl still reads, has more words for yes and no.
    const WORDS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    let Some(first) = text.chars().next() else { return false };
    let inside = |c: char| {
        c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | '/' | '-' | '+' | '(' | ')' | '=' | ';')
    };
    // A number, a time or a date of YAML 1.1 (`1:30`, `2026-11-22`) begins with a digit and ends with one.
    let numeric = first.is_ascii_digit() && text.ends_with(|c: char| !c.is_ascii_lowercase());
    (first.is_alphanumeric() || first == '/')
        && text.chars().all(inside)
        && !text.ends_with(' ')
        && !numeric
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
        && config::is_plain_text(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn writes_as_a_person_would() {
        let value = json!({
            "kind": "ScalingPolicy",
            "spec": {
                "rules": [{"throughput": {"catchUp": "5m", "utilization": {"target": 0.7}}}, {"backlog": {}}],
                "empty": [],
                "nested": [[1, 2], []],
                "off": "off",
                "time": "1:30",
                "number": "5",
                "url": "http://x:80",
                "nothing": null,
            },
        });
        let expected = "\
kind: ScalingPolicy
spec:
  rules:
  - throughput:
      catchUp: 5m
      utilization:
        target: 0.7
  - backlog: {}
  empty: []
  nested:
  - - 1
    - 2
  - []
  \"off\": \"off\"
  time: \"1:30\"
  number: \"5\"
  url: \"http://x:80\"
  nothing: null
";
        assert_eq!(to_string(&value), expected);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![any::<String>(), "[-+:.#a-z0-9 _\\[\\]{},&*!|>'\"%@`~]{0,8}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e12..1e12).prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((text.clone(), inner), 0..4).prop_map(|fields| Value::Object(
                    fields.into_iter().filter(|(key, _)| key != "<<").collect()
                )),
            ]
        })
    }

    proptest! {
        #[test]
        fn is_read_back_as_it_was(value in any_value()) {
            let text = to_string(&value);
            prop_assert_eq!(config::read_back(&text), Ok(vec![value]), "{}", text);
        }
    }
}
