//! YAML text to trees in which every node knows where it stands. JSON is YAML too.
//!
//! Reads the core schema of YAML 1.2: `yes` and `off` are text, merge keys (`<<`) do not exist. Stops at the first break
//! of the syntax; what is well formed but means nothing here (a key twice, an unknown tag) is collected.

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::error::{ConfigError, Position, Problem, short};
use super::source::Source;

/// The most that a file may hold: eight thousand jobs of half a kilobyte each, and few enough to be read at once.
const MOST_BYTES: usize = 4 << 20;
/// Deeper nesting is no configuration, and would exhaust the stack of whoever walks the tree. The schema's depth is 10.
const MOST_DEPTH: usize = 64;
/// As many nodes may come from aliases; without a limit, nested ones double the tree with every line.
const MOST_ALIASED: usize = 100_000;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A number, and how it was written, which is how messages repeat it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Number {
    pub(crate) text: String,
    pub(crate) value: f64,
    /// The number, if it was written as a whole one.
    pub(crate) whole: Option<i128>,
}

/// A field of a mapping, and where its key stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Position,
    pub(crate) value: Node,
}

impl Node {
    /// The fields, if it is a mapping.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items, if it is a list.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The field `key`, if it is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Where the field of this path stands (`vertices[2].parallelism`), or the nearest one around it that is written.
    pub(crate) fn place(&self, path: &str) -> Position {
        let (mut node, mut rest) = (self, path);
        loop {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let inner = match &node.value {
                Value::List(items) => rest.strip_prefix('[').and_then(|rest| {
                    let (index, rest) = rest.split_once(']')?;
                    Some((items.get(index.parse::<usize>().ok()?)?, rest))
                }),
                // A key may have dots in it: the longest that the path begins with is meant.
                Value::Map(entries) => {
                    let begins = |entry: &&Entry| {
                        let after = rest.strip_prefix(entry.key.as_str());
                        !entry.key.is_empty()
                            && after.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                    };
                    let entry = entries.iter().filter(begins).max_by_key(|entry| entry.key.len());
                    entry.map(|entry| (&entry.value, &rest[entry.key.len()..]))
                }
                _ => None,
            };
            match inner {
                Some((inner, after)) => (node, rest) = (inner, after),
                None => return node.at,
            }
        }
    }

    /// The same without places, for serde.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => number.to_json(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect(),
        }
    }
}

impl Number {
    fn to_json(&self) -> serde_json::Value {
        match self.whole.map(|whole| (i64::try_from(whole), u64::try_from(whole))) {
            Some((Ok(whole), _)) => whole.into(),
            Some((_, Ok(whole))) => whole.into(),
            // JSON has no infinities: null, which no field that wants a number takes.
            _ => self.value.into(),
        }
    }
}

/// The value of an unquoted scalar, by the core schema of YAML 1.2 (section 10.3.2).
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Value::Text(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    // Without a sign: `from_str_radix` would take one after the prefix.
    let radix = |digits: &str, radix| {
        digits.starts_with(|c: char| c.is_digit(radix)).then(|| i128::from_str_radix(digits, radix).ok())?
    };
    let whole = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(hex), _) => radix(hex, 16),
        (_, Some(octal)) => radix(octal, 8),
        _ if unsigned.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    let value = match (whole, unsigned) {
        (Some(whole), _) => whole as f64,
        (None, ".inf" | ".Inf" | ".INF") if text.starts_with('-') => f64::NEG_INFINITY,
        (None, ".inf" | ".Inf" | ".INF") => f64::INFINITY,
        (None, ".nan" | ".NaN" | ".NAN") if text.len() == unsigned.len() => f64::NAN,
        // Rust reads `inf` and `nan` as numbers, YAML does not.
        _ if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') => text.parse().ok()?,
        _ => return None,
    };
    Some(Number { text: text.to_owned(), value, whole })
}

/// The documents of a text.
///
/// # Errors
/// All that is wrong with it as YAML.
pub(crate) fn parse(source: &Source) -> Result<Vec<Node>, Vec<ConfigError>> {
    let bytes = source.text.len();
    if bytes > MOST_BYTES {
        let problem = Problem::TooLarge { bytes, most: MOST_BYTES };
        return Err(vec![source.error(Position::START, "", problem)]);
    }
    let mut tree = Builder::new(source);
    let mut parser = Parser::new_from_str(source.text.trim_start_matches('\u{feff}'));
    while let Some(event) = parser.next_event() {
        let taken = match event {
            Ok((event, span)) => tree.take(event, position(&span.start)),
            Err(error) => {
                let at = position(error.marker());
                Err(source.error(at, "", Problem::Syntax(explain(error.info(), source, at))))
            }
        };
        // The tree is not to be trusted after these, unlike after those that `take` collects.
        if let Err(error) = taken {
            tree.errors.push(error);
            break;
        }
    }
    if tree.errors.is_empty() { Ok(tree.documents) } else { Err(tree.errors) }
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

/// The parser's own words, or better ones where those would not help whoever wrote the file.
fn explain(info: &str, source: &Source, at: Position) -> String {
    // The parser's word, and ours.
    const WORDS: [(&str, &str); 8] = [
        ("found a tab", "a tab in the indentation of the next line; indent with spaces"),
        (
            "mapping values are not allowed",
            "a second `: ` in one value; put the text in quotes, or mend the indentation",
        ),
        ("quoted scalar, found unexpected end", "a quote (`'` or `\"`) that nothing closes"),
        ("expected ',' or ']'", "expected `,` or `]`: a list that nothing closes"),
        ("expected ',' or '}'", "expected `,` or `}`: a mapping that nothing closes"),
        ("did not find expected key", "expected a field (`name: value`); mend the indentation"),
        ("did not find expected '-'", "expected an item (`- value`); mend the indentation"),
        ("found unknown anchor", "an alias (`*`) of what has no anchor (`&`)"),
    ];
    let line = source.text.lines().nth(at.line.saturating_sub(1)).unwrap_or_default();
    let indentation = &line[..line.len() - line.trim_start().len()];
    if indentation.contains('\t') {
        return "a tab in the indentation; indent with spaces".to_owned();
    }
    let own = WORDS.iter().find(|(theirs, _)| info.contains(theirs));
    own.map_or(info, |(_, ours)| ours).to_owned()
}

/// A list or mapping whose end has not come yet.
struct Open {
    at: Position,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<Key>, lines: HashMap<String, usize> },
}

/// A key that waits for its value.
struct Key {
    text: String,
    at: Position,
    /// Whether it counts: not the second time, nor when it means nothing.
    counts: bool,
}

struct Builder<'s> {
    source: &'s Source,
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    aliased: usize,
    errors: Vec<ConfigError>,
}

impl<'s> Builder<'s> {
    fn new(source: &'s Source) -> Self {
        Self {
            source,
            documents: Vec::new(),
            open: Vec::new(),
            anchors: BTreeMap::new(),
            aliased: 0,
            errors: Vec::new(),
        }
    }

    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), ConfigError> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => Ok(()),
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), at);
                if self.wants_key() {
                    self.key(text.into_owned(), style, at);
                    return Ok(());
                }
                self.place(anchor, Node { at: self.place_of(&value, at), value });
                Ok(())
            }
            Event::Alias(id) => {
                let node = self.aliased(id, at)?;
                self.no_key(at)?;
                self.place(0, node);
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                self.tag(tag.as_deref(), "seq", at);
                self.begin(anchor, at, Kind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.tag(tag.as_deref(), "map", at);
                self.begin(anchor, at, Kind::Map { entries: Vec::new(), key: None, lines: HashMap::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { at, anchor, kind }) = self.open.pop() {
                    let value = match kind {
                        Kind::List(items) => Value::List(items),
                        Kind::Map { entries, .. } => Value::Map(entries),
                    };
                    self.place(anchor, Node { at, value });
                }
                Ok(())
            }
        }
    }

    fn begin(&mut self, anchor: usize, at: Position, kind: Kind) -> Result<(), ConfigError> {
        self.no_key(at)?;
        if self.open.len() == MOST_DEPTH {
            return Err(self.error(at, Problem::Unsupported("nested too deeply for a configuration")));
        }
        self.open.push(Open { at, anchor, kind });
        Ok(())
    }

    /// Puts a finished value where it belongs: into the list or under the key that is open, or as a document.
    fn place(&mut self, anchor: usize, node: Node) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.documents.push(node),
            Some(Kind::List(items)) => items.push(node),
            Some(Kind::Map { entries, key, .. }) => {
                if let Some(Key { text, at, counts: true }) = key.take() {
                    entries.push(Entry { key: text, at, value: node });
                }
            }
        }
    }

    /// Nothing has no place of its own; a message about it is best put at its key.
    fn place_of(&self, value: &Value, at: Position) -> Position {
        match self.open.last().map(|open| &open.kind) {
            Some(Kind::Map { key: Some(key), .. }) if *value == Value::Null => key.at,
            _ => at,
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: Kind::Map { key: None, .. }, .. }))
    }

    fn no_key(&self, at: Position) -> Result<(), ConfigError> {
        let problem = Problem::Unsupported("a list or mapping as a key; keys are text");
        if self.wants_key() { Err(self.error(at, problem)) } else { Ok(()) }
    }

    fn key(&mut self, text: String, style: ScalarStyle, at: Position) {
        let mut problem = (text == "<<" && style == ScalarStyle::Plain).then_some(Problem::Unsupported(
            "merge keys (`<<`) are not part of YAML 1.2; write the fields out",
        ));
        if let Some(Open { kind: Kind::Map { lines, .. }, .. }) = self.open.last_mut() {
            match lines.get(&text) {
                Some(&first) => problem = Some(Problem::DuplicateKey { key: short(&text), first }),
                None => {
                    lines.insert(text.clone(), at.line);
                }
            }
        }
        let counts = problem.is_none();
        if let Some(problem) = problem {
            self.errors.push(self.error(at, problem));
        }
        if let Some(Open { kind: Kind::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(Key { text, at, counts });
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Value {
        let quoted = style != ScalarStyle::Plain;
        let value = if quoted { Value::Text(text.to_owned()) } else { plain(text) };
        let Some(tag) = tag else { return value };
        if (tag.handle.as_str(), tag.suffix.as_str()) == ("", "!") {
            // The tag that only says: no guessing.
            return Value::Text(text.to_owned());
        }
        let own = match &value {
            _ if tag.suffix == "str" => "str",
            _ if quoted => "str",
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(number) if number.whole.is_some() && tag.suffix == "int" => "int",
            Value::Number(_) => "float",
            _ => "str",
        };
        self.tag(Some(tag), own, at);
        if own == "str" { Value::Text(text.to_owned()) } else { value }
    }

    /// Notes a tag that does not say what the value is anyway.
    fn tag(&mut self, tag: Option<&Tag>, own: &str, at: Position) {
        if tag.is_some_and(|tag| !tag.is_yaml_core_schema() || tag.suffix != own) {
            self.errors
                .push(self.error(at, Problem::Unsupported("a tag that means nothing here; leave it out")));
        }
    }

    fn aliased(&mut self, id: usize, at: Position) -> Result<Node, ConfigError> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(self.error(at, Problem::Unsupported("an alias inside of what it stands for")));
        };
        self.aliased += size(node);
        let deep = self.open.len() + depth(node) > MOST_DEPTH;
        if deep || self.aliased > MOST_ALIASED {
            return Err(self.error(at, Problem::Unsupported("aliases make too much of this; write it out")));
        }
        Ok(node.clone())
    }

    fn error(&self, at: Position, problem: Problem) -> ConfigError {
        self.source.error(at, self.path(), problem)
    }

    /// The field that is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.kind {
                Kind::List(items) => path += &["[", &items.len().to_string(), "]"].concat(),
                Kind::Map { key: Some(key), .. } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&key.text);
                }
                Kind::Map { key: None, .. } => {}
            }
        }
        path
    }
}

/// How many nodes there are.
fn size(node: &Node) -> usize {
    let items: usize = node.items().iter().map(size).sum();
    let fields: usize = node.entries().iter().map(|entry| size(&entry.value)).sum();
    1 + items + fields
}

/// How many lists and mappings are in each other at most.
fn depth(node: &Node) -> usize {
    let inner = node.items().iter().chain(node.entries().iter().map(|entry| &entry.value));
    match &node.value {
        Value::List(_) | Value::Map(_) => 1 + inner.map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
