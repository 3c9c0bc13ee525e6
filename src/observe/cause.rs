//! What the network and TLS say when something fails, down to the cause, in words for one line.

use std::error::Error;
use std::io;

/// A message is for one line of a log.
const MOST_CHARS: usize = 300;

/// The text in one line, without control characters, cut where it gets long.
pub(super) fn one_line(text: &str) -> String {
    let mut line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_CHARS + 1).collect();
    if let Some((cut, _)) = line.char_indices().nth(MOST_CHARS) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

/// What is the matter with a certificate that is no good in itself. The verifier's own error type is not within reach
/// here, only how it shows itself.
pub(super) fn certificate_sentence(error: &dyn Error) -> Option<&'static str> {
    let shown = error.to_string();
    if shown.contains("UnsupportedCertVersion") {
        Some(
            "the certificate is of X.509 version 1; make one of version 3 (openssl x509 -req does so with -extfile)",
        )
    } else if shown.contains("CaUsedAsEndEntity") {
        Some("the certificate is that of an authority; make another one that the authority signs")
    } else {
        None
    }
}

/// The first cause of this kind.
pub(super) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The error and all that caused it. What an `io::Error` carries is not its source but its content.
pub(super) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        carried.map(|carried| carried as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_short_line() {
        assert_eq!(one_line("a\nb\u{7}c"), "a b c");
        assert_eq!(one_line(&"ä".repeat(5000)).chars().count(), MOST_CHARS + 1);
    }
}
