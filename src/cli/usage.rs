//! What clap has to say: help and version on stdout, and a mistake as one line.

use std::io::Write as _;

use anyhow::anyhow;
use clap::error::ErrorKind;

use super::exit::{Exit, Failure, OrExit as _};

/// Prints the help or the version that was asked for, or says what is wrong with the arguments.
pub(super) fn explain(error: &clap::Error) -> Result<Exit, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            error.print().or_exit(Exit::Failed)?;
            Ok(Exit::Done)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let mut stderr = std::io::stderr().lock();
            write!(stderr, "{}", error.render()).or_exit(Exit::Failed)?;
            Ok(Exit::Usage)
        }
        _ => Err(anyhow!(one_line(&error.render().to_string()))).or_exit(Exit::Usage),
    }
}

/// clap says what is wrong in the first paragraph and what may have been meant in those below, among its usage.
fn one_line(rendered: &str) -> String {
    let paragraphs = rendered.split("\n\n").map(|paragraph| paragraph.trim().trim_start_matches("error: "));
    let said = paragraphs
        .filter(|paragraph| !paragraph.is_empty())
        .filter(|paragraph| {
            !["Usage:", "For more information"].iter().any(|begin| paragraph.starts_with(begin))
        })
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let usage = rendered.lines().find_map(|line| line.strip_prefix("Usage: "));
    // `Usage: tidegate demo --for <FOR> [OPTIONS]`: the words before the first flag or value are the command.
    let command = usage.map_or_else(
        || "tidegate".to_owned(),
        |usage| {
            let is_plain = |word: &&str| {
                word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
            };
            usage.split_whitespace().take_while(is_plain).collect::<Vec<_>>().join(" ")
        },
    );
    format!("{} (see {command} --help)", said.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Cli;
    use super::*;

    #[test]
    fn says_a_mistake_on_one_line() {
        for (args, says) in [
            (&["replay", "--jurnal", "x"][..], "unexpected argument '--jurnal' found"),
            (&["recommend", "--flink"], "a value is required for '--flink <URL>' but none was supplied"),
            (&["demo2"], "unrecognized subcommand 'demo2'"),
            (&["recommend", "--flink", "x", "--for", "5x"], "expected a length of time such as 90s"),
            (&["replay"], "the following required arguments were not provided: <JOURNAL>..."),
        ] {
            let error = Cli::try_parse_from(["tidegate"].iter().chain(args)).expect_err("a mistake");
            let line = one_line(&error.render().to_string());
            assert!(line.contains(says) && !line.contains('\n') && !line.contains("Usage"), "{line}");
            assert!(line.ends_with("--help)") && line.contains("(see tidegate"), "{line}");
        }
    }
}
