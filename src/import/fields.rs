//! The fields of a document, asked for one by one, so that those nobody asked for can be told of.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::str::FromStr;

use crate::config::{ConfigError, Node, Problem, Source, Value, found};

/// A value of a document: where it stands, and how its field is called from the top.
#[derive(Clone, Debug)]
pub(super) struct Field<'n> {
    source: &'n Source,
    /// The field, from the top of its document: `spec.metrics[0]`.
    pub(super) path: String,
    pub(super) node: &'n Node,
    /// The line on which it begins, from 1: that of its key, if it has one.
    pub(super) line: usize,
}

/// A mapping whose fields are asked for one by one.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    pub(super) this: Field<'n>,
    asked: RefCell<BTreeSet<String>>,
}

impl<'n> Field<'n> {
    /// A whole document.
    pub(super) fn document(source: &'n Source, node: &'n Node) -> Self {
        Self { source, path: String::new(), node, line: node.at.line }
    }

    /// The file it is in.
    pub(super) fn file(&self) -> &'n str {
        self.source.name()
    }

    /// A mistake here.
    pub(super) fn error(&self, problem: Problem) -> ConfigError {
        self.source.error(self.node.at, self.path.clone(), problem)
    }

    /// A mistake here, in words.
    pub(super) fn wrong(&self, what: impl Into<String>) -> ConfigError {
        self.error(Problem::Rejected(what.into()))
    }

    fn expected(&self, expected: &str) -> ConfigError {
        let (expected, found) = (expected.to_owned(), found(self.node));
        self.error(Problem::WrongType { expected, found, mend: String::new() })
    }

    /// As a mapping.
    pub(super) fn fields(&self) -> Result<Fields<'n>, ConfigError> {
        match self.node.value {
            Value::Map(_) => Ok(Fields { this: self.clone(), asked: RefCell::default() }),
            _ => Err(self.expected("a mapping")),
        }
    }

    /// As a list.
    pub(super) fn items(&self) -> Result<Vec<Self>, ConfigError> {
        let Value::List(items) = &self.node.value else { return Err(self.expected("a list")) };
        let item = |(index, node)| Self {
            source: self.source,
            path: format!("{}[{index}]", self.path),
            node,
            line: node.at.line,
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// As a text, written with quotes or without: where a manifest wants a text, `"10"` and `10` are often confused.
    pub(super) fn text(&self) -> Result<String, ConfigError> {
        match &self.node.value {
            Value::Text(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.text.clone()),
            Value::Bool(value) => Ok(value.to_string()),
            _ => Err(self.expected("text")),
        }
    }

    /// As a text with something in it.
    pub(super) fn name(&self) -> Result<String, ConfigError> {
        self.text().and_then(|text| if text.is_empty() { Err(self.wrong("is empty")) } else { Ok(text) })
    }

    /// As anything that is read from a text.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(&self) -> Result<T, ConfigError> {
        self.text()?.parse().map_err(|error: T::Err| self.wrong(error.to_string()))
    }

    /// As a whole number within a range.
    pub(super) fn whole(&self, least: u32, most: u32) -> Result<u32, ConfigError> {
        let number = self.text()?.parse::<i64>().ok().and_then(|number| u32::try_from(number).ok());
        number.filter(|number| (least..=most).contains(number)).ok_or_else(|| {
            let range = match most {
                u32::MAX => format!("a whole number of at least {least}"),
                _ => format!("a whole number from {least} to {most}"),
            };
            self.expected(&range)
        })
    }

    /// As `true` or `false`, written with quotes or without.
    pub(super) fn flag(&self) -> Result<bool, ConfigError> {
        self.text()?.parse().map_err(|_| self.expected("true or false"))
    }
}

impl<'n> Fields<'n> {
    /// A field that is there and holds something.
    pub(super) fn get(&self, name: &str) -> Option<Field<'n>> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.field(name)
    }

    fn field(&self, name: &str) -> Option<Field<'n>> {
        let entry = self.this.node.entries().iter().find(|entry| entry.key == name)?;
        let node = Some(&entry.value).filter(|node| node.value != Value::Null)?;
        let path =
            if self.this.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.this.path) };
        Some(Field { source: self.this.source, path, node, line: entry.at.line })
    }

    /// A field that must be there.
    pub(super) fn need(&self, name: &str, about: &str) -> Result<Field<'n>, ConfigError> {
        self.get(name).ok_or_else(|| {
            self.this.error(Problem::Missing { field: name.to_owned(), about: about.to_owned() })
        })
    }

    /// All fields that hold something, whether they are asked for or not.
    pub(super) fn all(&self) -> Vec<(&'n str, Field<'n>)> {
        let names = self.this.node.entries().iter().map(|entry| entry.key.as_str());
        names.filter_map(|name| Some((name, self.field(name)?))).collect()
    }

    /// The fields that hold something, and that nobody has asked for.
    pub(super) fn rest(&self) -> Vec<Field<'n>> {
        let asked = self.asked.borrow();
        self.all().into_iter().filter(|(name, _)| !asked.contains(*name)).map(|(_, field)| field).collect()
    }
}
