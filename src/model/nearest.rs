//! What may have been meant by a name that is not known.

use std::fmt;

/// What may have been meant, or all there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// This, most likely.
    Nearest(String),
    /// One of these.
    OneOf(Vec<String>),
}

impl Hint {
    /// The name among `known` that is nearest to `name`, or all of them if none is near.
    pub fn new<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match nearest(name, &known) {
            Some(near) => Self::Nearest(near.to_owned()),
            None => Self::OneOf(known.into_iter().map(str::to_owned).collect()),
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nearest(name) => write!(f, "did you mean `{name}`?"),
            Self::OneOf(names) => write!(f, "expected {}", one_of(names)),
        }
    }
}

/// `names` as a list in a sentence.
pub(crate) fn one_of<S: AsRef<str>>(names: &[S]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [name] => format!("`{}`", name.as_ref()),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{}`", name.as_ref())).collect();
            format!("{} or `{}`", first.join(", "), last.as_ref())
        }
    }
}

/// The name among `known` that is nearest to `name`, if one is near enough to have been meant: with a third of its
/// letters wrong at most. Case, `_` and `-` do not count, as `catch_up` for `catchUp` is the commonest slip of all.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Nobody mistypes a hundred letters; and the distance takes time by the product of the lengths.
    if name.len() > 100 {
        return None;
    }
    if let Some(same) = known.iter().find(|known| **known == name) {
        return Some(same);
    }
    let wanted = plain(name);
    known
        .iter()
        .map(|candidate| {
            let plain = plain(candidate);
            let (shorter, longer) = (plain.len().min(wanted.len()), plain.len().max(wanted.len()));
            // Cut short or drawn out: `util`, `automatic`.
            let begins = shorter >= 3 && plain[..shorter] == wanted[..shorter];
            (if begins { 1 } else { distance(&wanted, &plain) }, longer, *candidate)
        })
        .filter(|(distance, length, _)| *distance <= (length / 3).max(1) && distance < length)
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., candidate)| candidate)
}

fn plain(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// How many letters must be added, left out, changed or swapped with their neighbour (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut above_that: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(above_that[j - 2] + 1);
            }
            row.push(least);
        }
        above_that = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_slips_of_the_hand() {
        for (a, b, slips) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("abc", "ab", 1),
            ("kitten", "sitting", 3),
        ] {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(distance(&chars(a), &chars(b)), slips, "{a} {b}");
            assert_eq!(distance(&chars(b), &chars(a)), slips, "{b} {a}");
        }
    }

    #[test]
    fn suggests_only_what_may_have_been_meant() {
        let known = ["catchUp", "utilization", "restart", "min", "max"];
        for (name, near) in [
            ("catch_up", Some("catchUp")),
            ("CATCHUP", Some("catchUp")),
            ("utilisation", Some("utilization")),
            ("restrat", Some("restart")),
            ("util", Some("utilization")),
            ("minimum", Some("min")),
            ("mix", Some("min")),
            ("target", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &known), near, "{name}");
        }
    }

    #[test]
    fn lists_all_when_none_is_near() {
        assert_eq!(
            Hint::new("up", ["cpu", "backlog", "schedule"]).to_string(),
            "expected `cpu`, `backlog` or `schedule`"
        );
        assert_eq!(Hint::new("backlock", ["cpu", "backlog"]).to_string(), "did you mean `backlog`?");
    }
}
