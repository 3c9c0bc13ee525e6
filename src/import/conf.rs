//! `flink-conf.yaml`, which has the name of YAML and is none: a line is a key, a colon, a blank and a value.

use crate::config::{ConfigError, Entry, Node, Position, Problem, Source, Value, plain};

/// What such a file is called.
pub(super) fn is_named(source: &Source) -> bool {
    source.name().rsplit(['/', '\\']).next() == Some("flink-conf.yaml")
}

/// The settings of such a file; a key that is written again counts as it is written last, as Flink has it.
pub(super) fn parse(source: &Source) -> Result<Node, ConfigError> {
    let mut entries: Vec<Entry> = Vec::new();
    for (index, line) in source.text().trim_start_matches('\u{feff}').lines().enumerate() {
        // Flink takes everything behind a `#` for a comment, wherever it stands.
        let said = line.split('#').next().unwrap_or_default();
        if said.trim().is_empty() || said.trim_end() == "---" {
            continue;
        }
        let at = Position { line: index + 1, column: 1 };
        let Some((key, value)) = said.split_once(": ").map(|(key, value)| (key.trim(), value.trim())) else {
            if said.trim_end().ends_with(':') {
                continue;
            }
            let what = "expected `key: value`, as each line of a flink-conf.yaml is".to_owned();
            return Err(source.error(at, "", Problem::Syntax(what)));
        };
        if key.is_empty() || value.is_empty() {
            continue;
        }
        entries.retain(|entry| entry.key != key);
        let column = said.find(": ").map_or(1, |colon| said[..colon].chars().count() + 3);
        let value = Node { at: Position { line: index + 1, column }, value: unquoted(value) };
        entries.push(Entry { key: key.to_owned(), at, value });
    }
    Ok(Node { at: Position::START, value: Value::Map(entries) })
}

fn unquoted(text: &str) -> Value {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    match inner('"').or_else(|| inner('\'')) {
        Some(inner) => Value::Text(inner.to_owned()),
        None => plain(text),
    }
}
