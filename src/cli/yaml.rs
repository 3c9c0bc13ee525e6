//! Writes YAML: values as a person would have written them, that every reader takes for what they are.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::config;

/// Lines of comments by the field that they stand before: `spec.rules[0]`; with `[]` at the end, behind the items of a
/// list; for the whole document, nothing.
pub type Comments = BTreeMap<String, Vec<String>>;

/// A value as a YAML document, without `---`.
pub fn to_string(value: &Value) -> String {
    with_comments(value, &Comments::new())
}

/// A value as a YAML document, without `---`, with comments in it. One at a field that the value does not have stands before
/// the nearest field around it.
pub fn with_comments(value: &Value, comments: &Comments) -> String {
    let mut waiting = Comments::new();
    for (path, lines) in comments {
        waiting.entry(written(value, path)).or_default().extend(lines.iter().cloned());
    }
    let mut writer = Writer { out: String::new(), comments: waiting };
    writer.comment("", 0);
    match value {
        Value::Object(fields) if !fields.is_empty() => writer.fields(value, "", 0, true),
        Value::Array(items) if !items.is_empty() => writer.items(items, "", 0, true),
        _ => {
            writer.out.push_str(&scalar(value));
            writer.out.push('\n');
        }
    }
    writer.out
}

/// The path, or the nearest around it that is written on a line of its own.
fn written(value: &Value, path: &str) -> String {
    let mut node = value;
    let mut end = 0;
    let mut from = 0;
    while from < path.len() {
        let rest = &path[from..];
        let mut ends = rest.char_indices().skip(1).filter(|(_, c)| matches!(c, '.' | '['));
        let length = ends.next().map_or(rest.len(), |(at, _)| at);
        let step = rest[..length].trim_matches(['.', '[', ']']);
        let next = match node {
            Value::Array(items) if rest.starts_with("[]") => {
                return if items.is_empty() { path[..end].to_owned() } else { path[..from + 2].to_owned() };
            }
            Value::Array(items) => step.parse().ok().and_then(|index: usize| items.get(index)),
            _ => node.get(step),
        };
        let Some(next) = next else { break };
        node = next;
        from += length;
        end = from;
    }
    path[..end].to_owned()
}

struct Writer {
    out: String,
    /// What is still to be written.
    comments: Comments,
}

impl Writer {
    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    /// The comments of a path, each on a line of its own.
    fn comment(&mut self, path: &str, indent: usize) {
        for line in self.comments.remove(path).unwrap_or_default() {
            self.indent(indent);
            self.out.push('#');
            if !line.is_empty() {
                self.out.push(' ');
                self.out.push_str(&line);
            }
            self.out.push('\n');
        }
    }

    /// Writes the fields of an object, one a line; `begun` if the first stands on a line that has its indentation, and its
    /// comments, already.
    fn fields(&mut self, value: &Value, path: &str, indent: usize, begun: bool) {
        for (index, (key, value)) in value.as_object().into_iter().flatten().enumerate() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if index > 0 || !begun {
                self.comment(&path, indent);
                self.indent(indent);
            }
            self.out.push_str(&text(key));
            self.out.push(':');
            match value {
                Value::Object(fields) if !fields.is_empty() => {
                    self.out.push('\n');
                    self.fields(value, &path, indent + 2, false);
                }
                Value::Array(items) if !items.is_empty() => {
                    self.out.push('\n');
                    self.items(items, &path, indent, false);
                }
                _ => {
                    self.out.push(' ');
                    self.out.push_str(&scalar(value));
                    self.out.push('\n');
                }
            }
        }
    }

    /// Writes the items of a list, one a line; `begun` as for fields.
    fn items(&mut self, items: &[Value], path: &str, indent: usize, begun: bool) {
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if index > 0 || !begun {
                self.comment(&path, indent);
                // The first field's line is the item's.
                if let Some(first) = item.as_object().and_then(|fields| fields.keys().next()) {
                    self.comment(&format!("{path}.{first}"), indent);
                }
                self.indent(indent);
            }
            self.out.push_str("- ");
            match item {
                Value::Object(fields) if !fields.is_empty() => self.fields(item, &path, indent + 2, true),
                Value::Array(items) if !items.is_empty() => self.items(items, &path, indent + 2, true),
                _ => {
                    self.out.push_str(&scalar(item));
                    self.out.push('\n');
                }
            }
        }
        self.comment(&format!("{path}[]"), indent);
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

    #[test]
    fn comments_stand_where_they_belong() {
        let value = json!({"spec": {"rules": [{"cpu": {"target": 5}}, {"lag": {}}], "none": []}});
        let comments = [
            ("", "all"),
            ("spec.rules[0]", "the first"),
            ("spec.rules[0].cpu", "its name"),
            ("spec.rules[0].cpu.target", "five"),
            ("spec.rules[0].cpu.window.of", "no such field"),
            ("spec.rules[1]", "the second"),
            ("spec.rules[]", "one more"),
            ("spec.none[]", "none"),
            ("metadata.name", "nowhere"),
        ];
        let comments =
            comments.into_iter().map(|(path, line)| (path.to_owned(), vec![line.to_owned()])).collect();
        let expected = "\
# all
# nowhere
spec:
  rules:
  # the first
  # its name
  # no such field
  - cpu:
      # five
      target: 5
  # the second
  - lag: {}
  # one more
  # none
  none: []
";
        assert_eq!(with_comments(&value, &comments), expected);
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

        #[test]
        fn comments_change_nothing(
            value in any_value(),
            paths in prop::collection::vec("[a-c.\\[\\]0-2]{0,12}", 0..6),
        ) {
            let comments = paths.into_iter().map(|path| (path, vec!["- x: y".to_owned()])).collect();
            let text = with_comments(&value, &comments);
            prop_assert_eq!(config::read_back(&text), Ok(vec![value]), "{}", text);
        }
    }
}
