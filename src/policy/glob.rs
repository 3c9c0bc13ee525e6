//! Names with `*` and `?`.

use crate::model::Vertex;

/// Whether a vertex is meant: by its name, or by its id.
pub(crate) fn names(pattern: &str, vertex: &Vertex) -> bool {
    matches(pattern, &vertex.name) || vertex.id.to_string().eq_ignore_ascii_case(pattern)
}

/// Whether `text` is what `pattern` says, where `*` stands for any text and `?` for one character.
fn matches(pattern: &str, text: &str) -> bool {
    // Backtracking to the last star only: linear in practice, and never exponential.
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("enrich", "enrich", true),
            ("enrich", "enrich2", false),
            ("Source: *", "Source: orders", true),
            ("Source: *", "Sink: orders", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbx", false),
            ("*****x", "aaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern:?} on {text:?}");
        }
    }
}
