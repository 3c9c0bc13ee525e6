//! Reads as much of a query's text as it takes to know where its variables stand.

use super::{LONGEST, Literal, Part, QueryError, QueryFault, Variable};
use crate::model::Hint;

/// The parts of a text.
pub(super) fn read(text: &str) -> Result<Vec<Part>, QueryError> {
    if text.trim().is_empty() {
        return Err(QueryError { line: 1, column: 1, fault: QueryFault::Empty });
    }
    let chars: Vec<char> = text.chars().collect();
    let place = |Fault(at, fault): Fault| {
        let before = &chars[..at.min(chars.len())];
        let line = before.split(|c| *c == '\n').count();
        let column = before.rsplit(|c| *c == '\n').next().map_or(0, <[char]>::len) + 1;
        QueryError { line, column, fault }
    };
    if chars.len() > LONGEST {
        return Err(place(Fault(0, QueryFault::TooLong(chars.len()))));
    }
    let mut reader =
        Reader { chars: &chars, at: 0, parts: Vec::new(), plain: String::new(), open: Vec::new() };
    reader.query().map_err(place)?;
    Ok(reader.parts)
}

/// What is wrong at the character of this index.
struct Fault(usize, QueryFault);

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
    parts: Vec<Part>,
    /// Text that is no part yet.
    plain: String,
    /// Brackets that are open, and where they were opened.
    open: Vec<(char, usize)>,
}

impl Reader<'_> {
    fn query(&mut self) -> Result<(), Fault> {
        // The operator that was read last, when nothing but space has come since.
        let mut operator = String::new();
        while let Some(c) = self.peek() {
            match c {
                '"' | '\'' | '`' => {
                    let of_a_label = self.open.last().is_some_and(|(open, _)| *open == '{');
                    let matches = match operator.as_str() {
                        "=" | "!=" if of_a_label => Some(false),
                        "=~" | "!~" if of_a_label => Some(true),
                        _ => None,
                    };
                    self.literal(c, matches)?;
                    operator.clear();
                    continue;
                }
                '#' => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.push();
                    }
                    continue;
                }
                '(' | '[' | '{' => self.open.push((c, self.at)),
                ')' | ']' | '}' => self.close(c)?,
                '$' => {
                    let what = match self.variable() {
                        Some((_, Ok(variable))) => QueryFault::Misplaced(variable),
                        Some((_, Err(what))) => what,
                        None => QueryFault::Dollar,
                    };
                    return Err(Fault(self.at, what));
                }
                _ => {}
            }
            if matches!(c, '=' | '!' | '~' | '<' | '>') {
                operator.push(c);
            } else if !c.is_whitespace() {
                operator.clear();
            }
            self.push();
        }
        if let Some((open, at)) = self.open.pop() {
            return Err(Fault(at, QueryFault::Unbalanced(open)));
        }
        self.end_plain();
        Ok(())
    }

    fn close(&mut self, c: char) -> Result<(), Fault> {
        let opens = match c {
            ')' => '(',
            ']' => '[',
            _ => '{',
        };
        match self.open.pop() {
            Some((open, _)) if open == opens => Ok(()),
            Some((open, at)) => Err(Fault(at, QueryFault::Unbalanced(open))),
            None => Err(Fault(self.at, QueryFault::Unbalanced(c))),
        }
    }

    /// A text in quotes. `matches` says whether a label is to match it as a regular expression; `None` where it is no
    /// label's value.
    fn literal(&mut self, quote: char, matches: Option<bool>) -> Result<(), Fault> {
        let begun = self.at;
        self.push();
        loop {
            match self.peek() {
                None => return Err(Fault(begun, QueryFault::Unterminated(quote))),
                Some('\n') if quote != '`' => return Err(Fault(begun, QueryFault::Unterminated(quote))),
                Some('\\') if quote != '`' => {
                    self.push();
                    if self.peek().is_some() {
                        self.push();
                    }
                }
                Some('$') => match (self.variable(), matches) {
                    (Some((length, Ok(variable))), Some(is_regex)) => {
                        self.end_plain();
                        self.parts.push(Part::Variable(variable, Literal { quote, is_regex }));
                        self.at += length;
                    }
                    (Some((_, Ok(variable))), None) => {
                        return Err(Fault(self.at, QueryFault::Misplaced(variable)));
                    }
                    (Some((_, Err(what))), _) => return Err(Fault(self.at, what)),
                    (None, _) => self.push(),
                },
                Some(c) => {
                    self.push();
                    if c == quote {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The variable that begins here, and its length. `label_replace` has `$1`, `${1}` and `${name}` of its own, the latter
    /// for groups that the query names.
    fn variable(&self) -> Option<(usize, Result<Variable, QueryFault>)> {
        let rest = self.chars.get(self.at..)?.strip_prefix(&['$', '{'])?;
        let length = rest.iter().position(|c| *c == '}')?;
        let name: String = rest[..length].iter().collect();
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || self.has_group(&name) {
            return None;
        }
        let variable = Variable::named(&name).ok_or_else(|| {
            let known = Variable::ALL.iter().map(|(name, _)| *name);
            QueryFault::Unknown { hint: Hint::new(&name, known), name }
        });
        Some((length + 3, variable))
    }

    fn has_group(&self, name: &str) -> bool {
        let text: String = self.chars.iter().collect();
        ["?P<", "?<"].iter().any(|group| text.contains(&format!("{group}{name}>")))
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn push(&mut self) {
        self.plain.extend(self.peek());
        self.at += 1;
    }

    fn end_plain(&mut self) {
        if !self.plain.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.plain)));
        }
    }
}
