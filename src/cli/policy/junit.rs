//! The results of tests in JUnit's XML, as CI systems read it.

use std::fmt::Write as _;

use super::test::{Failed, Report, Row, Tested};

/// The report: a suite for each policy, a case for each test, a failure for each thing that did not come about.
pub(super) fn to_xml(report: &Report) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (tests, failures) = (report.passed + report.failed, report.failed);
    // Writing to a text does not fail.
    let _ = writeln!(xml, "<testsuites name=\"tidegate\" tests=\"{tests}\" failures=\"{failures}\">");
    for tested in &report.policies {
        suite(&mut xml, tested);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(xml: &mut String, tested: &Tested) {
    let Tested { policy, file, tests } = tested;
    let failures = tests.iter().filter(|row| !row.passed).count();
    let (name, file) = (escaped(policy), escaped(file));
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{name}\" file=\"{file}\" tests=\"{}\" failures=\"{failures}\">",
        tests.len()
    );
    for row in tests {
        case(xml, row, &name, &file);
    }
    xml.push_str("  </testsuite>\n");
}

fn case(xml: &mut String, row: &Row, class: &str, file: &str) {
    let name = escaped(&row.name);
    let _ = write!(
        xml,
        "    <testcase classname=\"{class}\" name=\"{name}\" file=\"{file}\" line=\"{}\"",
        row.line
    );
    if row.failures.is_empty() {
        xml.push_str("/>\n");
        return;
    }
    xml.push_str(">\n");
    for failed in &row.failures {
        failure(xml, row, failed, file);
    }
    xml.push_str("    </testcase>\n");
}

fn failure(xml: &mut String, row: &Row, failed: &Failed, file: &str) {
    let message = escaped(&format!("expected {}, got {}", failed.unmet.expected, failed.unmet.got));
    let (kind, line) = (escaped(&failed.unmet.path), escaped(&failed.line("", &row.name)));
    let _ = writeln!(xml, "      <failure type=\"{kind}\" message=\"{message}\">{file}{line}");
    for line in &failed.unmet.trail {
        let _ = writeln!(xml, "{}", escaped(line));
    }
    xml.push_str("      </failure>\n");
}

/// A text as XML's content or in double quotes; what XML 1.0 has no way to write (most control characters) is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\r' | '\t' => escaped.push(' '),
            _ if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_test_says_breaks_the_document() {
        assert_eq!(escaped("a<b> & \"c\"\n\u{1b}[2J"), "a&lt;b&gt; &amp; &quot;c&quot; [2J");
    }
}
