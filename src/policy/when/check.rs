//! Reads an expression and checks it whole, once, when its file is loaded: names, types, and that it is a condition.
//!
//! Each part of it is evaluated by itself, on facts of which everything is known. So a wrong type is found also in an operand that
//! would not have been needed, and is named where it stands.

use std::sync::Arc;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr};
use cel::common::types::CelBool;
use cel::parser::PrattParser;
use cel::{Context, ExecutionError, Value};

use super::facts::{self, Facts, JobFacts, SignalFacts};
use super::{WhenError, WhenFault};
use crate::model::{Hint, Timestamp};
use crate::policy::Zone;

/// Longer ones are programs, and none that is read in each cycle.
pub(super) const LONGEST: usize = 1_000;

/// Levels of a tree. Each takes some kilobytes of stack, in a debug build, of the 2 MiB that a thread has.
const DEEPEST: usize = 40;

/// The tree of an expression that holds.
pub(super) fn compile(text: &str) -> Result<IdedExpr, WhenError> {
    let found = text.chars().count();
    if found > LONGEST {
        return Err(WhenError { line: 1, column: 1, fault: WhenFault::TooLong { most: LONGEST, found } });
    }
    // The crate's other parser overflows a thread's stack at a dozen brackets.
    let parser = PrattParser::new().max_recursion_depth(20).error_reporting_limit(1);
    let tree = parser.parse(text).map_err(|errors| {
        let first = errors.errors.into_iter().next();
        let ((line, column), said) = first.map_or(((1, 1), String::new()), |error| (error.pos, error.msg));
        let at = |number| usize::try_from(number).unwrap_or(1).max(1);
        WhenError { line: at(line), column: at(column), fault: WhenFault::Syntax(in_words(&said)) }
    })?;
    let facts = Facts {
        job: JobFacts { name: "", id: "", labels: None },
        signals: SignalFacts {
            load: Some(1.0),
            backlog: Some(1.0),
            backlog_seconds: Some(1.0),
            busiest: Some(1.0),
            back_pressured: Some(1.0),
            replicas: Some(1),
            parallelism: Some(1),
        },
        now: Timestamp::default(),
        zone: &Zone::default(),
    };
    let mut context = Context::with_env(Arc::clone(&facts::ENVIRONMENT));
    context.set_variable_resolver(&facts);
    let mut check = Check { text, words: words(text), next: 0, context };
    check.part(&tree, 0)?;
    check.is_condition(&tree)?;
    Ok(tree)
}

/// What the parser says of a mistake, in words for people who do not know parsers.
fn in_words(said: &str) -> String {
    let said = said.replace("Syntax error: ", "").replace("'<EOF>'", "the end").replace("<EOF>", "the end");
    let parts = said.strip_prefix("mismatched input ").and_then(|rest| rest.split_once(" expecting "));
    let Some((found, expected)) = parts else { return said };
    let instead = match found {
        "'='" => "; `==` compares",
        "'and'" | "'AND'" => "; `&&` is the word for it",
        "'or'" | "'OR'" => "; `||` is the word for it",
        "'not'" | "'NOT'" => "; `!` is the word for it",
        _ => "",
    };
    match expected {
        "expression" => format!("an expression is missing before {found}{instead}"),
        "the end" => format!("{found} is not expected here{instead}"),
        _ => format!("expected {expected}, not {found}{instead}"),
    }
}

struct Check<'t, 'v> {
    text: &'t str,
    /// Where names stand in the text, in the order in which the parts of the tree are visited.
    words: Vec<usize>,
    /// How many of them have been visited.
    next: usize,
    context: Context<'v, 'v>,
}

impl Check<'_, '_> {
    /// Checks a part of the tree, operands first.
    fn part(&mut self, part: &IdedExpr, depth: usize) -> Result<(), WhenError> {
        let first = self.next;
        if depth > DEEPEST {
            return Err(self.error(first, WhenFault::TooDeep(DEEPEST)));
        }
        // The word that is this part's own: its name, or else the first of its operands.
        let mut own = first;
        match &part.expr {
            Expr::Literal(_) => {}
            Expr::Ident(_) => self.next += 1,
            Expr::Select(select) => {
                self.part(&select.operand, depth + 1)?;
                own = self.next;
                self.next += 1;
            }
            Expr::Call(call) => {
                if let Some(target) = &call.target {
                    self.part(target, depth + 1)?;
                }
                if !is_operator(call) {
                    own = self.next;
                    self.next += 1;
                }
                for argument in &call.args {
                    self.part(argument, depth + 1)?;
                }
            }
            Expr::List(list) => {
                for element in &list.elements {
                    self.part(element, depth + 1)?;
                }
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { return Err(self.not_offered(first)) };
                    self.part(&entry.key, depth + 1)?;
                    self.part(&entry.value, depth + 1)?;
                }
            }
            Expr::Comprehension(_) | Expr::Struct(_) | Expr::Unspecified => {
                return Err(self.not_offered(first));
            }
        }
        match Value::resolve_val(part, &self.context) {
            Ok(_) => Ok(()),
            Err(error) => self.fault(part, error).map_or(Ok(()), |fault| Err(self.error(own, fault))),
        }
    }

    /// Checks that the whole is true or false, as far as that can be said beforehand.
    fn is_condition(&self, tree: &IdedExpr) -> Result<(), WhenError> {
        match Value::resolve_val(tree, &self.context) {
            Ok(value) if value.downcast_ref::<CelBool>().is_none() => {
                let kind = value.get_type().name().to_owned();
                Err(self.error(0, WhenFault::NotACondition(kind)))
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with a part, if it would be on any other facts too.
    fn fault(&self, part: &IdedExpr, error: ExecutionError) -> Option<WhenFault> {
        let unknown = |kind, name: &str, hint| Some(WhenFault::Unknown { kind, name: name.to_owned(), hint });
        match error {
            // These depend on values.
            ExecutionError::NoSuchKey(_)
            | ExecutionError::DivisionByZero(_)
            | ExecutionError::RemainderByZero(_)
            | ExecutionError::Overflow(..)
            | ExecutionError::IndexOutOfBounds(_)
            | ExecutionError::FunctionError { .. } => None,
            ExecutionError::UndeclaredReference(name) => match (name.split_once('.'), &part.expr) {
                (Some(("job", field)), _) => unknown("field", &name, Some(Hint::new(field, facts::JOB))),
                (Some(("signals", field)), _) => {
                    unknown("field", &name, Some(Hint::new(field, facts::SIGNALS)))
                }
                (_, Expr::Call(_)) => unknown("function", &name, None),
                _ => unknown("variable", &name, Some(Hint::new(&name, facts::VARIABLES))),
            },
            error => Some(WhenFault::Types(match &part.expr {
                Expr::Call(call) if is_operator(call) => self.operands(call),
                _ => error.to_string(),
            })),
        }
    }

    /// That an operator is not for its operands.
    fn operands(&self, call: &CallExpr) -> String {
        let name = call.func_name.trim_matches(['_', '@']);
        let types: Vec<String> = call
            .args
            .iter()
            .filter_map(|operand| {
                Some(Value::resolve_val(operand, &self.context).ok()?.get_type().name().to_owned())
            })
            .collect();
        let is_mixed = types.iter().any(|name| name == "double") && types.iter().any(|name| name == "int");
        let hint = if is_mixed { "; write 2.0, or double(x), beside a double" } else { "" };
        format!("`{name}` does not take {}{hint}", types.join(" and "))
    }

    fn not_offered(&self, word: usize) -> WhenError {
        self.error(
            word,
            WhenFault::NotOffered(
                "loops (all, exists, exists_one, map, filter) and messages are not offered here",
            ),
        )
    }

    /// A fault at a word of the text; at its beginning where there is none.
    fn error(&self, word: usize, fault: WhenFault) -> WhenError {
        let before = &self.text[..self.words.get(word).copied().unwrap_or(0)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        WhenError { line, column, fault }
    }
}

fn is_operator(call: &CallExpr) -> bool {
    call.func_name.starts_with('@') || !call.func_name.contains(|c: char| c.is_ascii_alphabetic())
}

/// Where the names of a text stand: its words but for those within strings and comments, those of the language, and what belongs to
/// a number.
fn words(text: &str) -> Vec<usize> {
    const KEYWORDS: [&str; 5] = ["true", "false", "null", "in", "has"];
    let (bytes, mut found, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        at += match byte {
            b'"' | b'\'' => string(rest, false),
            b'/' if rest.starts_with(b"//") => rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()),
            b'0'..=b'9' => word(rest),
            _ if byte == b'_' || byte.is_ascii_alphabetic() => {
                let length = word(rest);
                let name = &text[at..at + length];
                if let Some(b'"' | b'\'') = rest.get(length) {
                    length + string(&rest[length..], name.contains(['r', 'R']))
                } else {
                    if !KEYWORDS.contains(&name) {
                        found.push(at);
                    }
                    length
                }
            }
            _ => 1,
        };
    }
    found
}

fn word(bytes: &[u8]) -> usize {
    bytes.iter().position(|&b| b != b'_' && !b.is_ascii_alphanumeric()).unwrap_or(bytes.len())
}

/// The length of a string with its quotes, one or three of them.
fn string(bytes: &[u8], is_raw: bool) -> usize {
    let quote = bytes[0];
    let quotes = if bytes.len() >= 3 && bytes[1] == quote && bytes[2] == quote { 3 } else { 1 };
    let mut at = quotes;
    while at < bytes.len() {
        if bytes[at] == b'\\' && !is_raw {
            at += 2;
        } else if bytes[at..].iter().take(quotes).filter(|&&b| b == quote).count() == quotes {
            return at + quotes;
        } else {
            at += 1;
        }
    }
    bytes.len()
}
