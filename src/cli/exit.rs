//! How a command ends: an exit code, and what was wrong on stderr, one line each.

use std::error::Error;
use std::io::{self, Write};
use std::process::{ExitCode, Termination};

use crate::config::ConfigErrors;

/// The exit codes of all commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// What was asked for failed: a policy's test, a refused plan.
    Failed = 1,
    /// Bad usage or configuration. Also clap's own code for a flag that does not exist.
    Usage = 2,
    /// Flink, Prometheus or Kubernetes cannot be reached.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}

/// Why a command did not do what was asked for, and the code to end with.
#[derive(Debug)]
pub struct Failure {
    /// The code to end with.
    pub exit: Exit,
    /// What was wrong.
    pub error: anyhow::Error,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { exit: Exit::Failed, error }
    }
}

/// Gives an error the code to end with.
pub trait OrExit<T> {
    /// The value, or a [`Failure`] that ends with `exit`.
    ///
    /// # Errors
    /// When there is no value.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit, error: error.into() })
    }
}

/// Ends a command: says on `stderr` what was wrong, and gives the code to end with.
pub fn end(result: Result<Exit, Failure>, stderr: &mut impl Write) -> Exit {
    let failure = match result {
        Ok(exit) => return exit,
        Err(failure) => failure,
    };
    // `tidegate ... | head` has read what it wanted.
    if failure.error.chain().any(is_broken_pipe) {
        return Exit::Done;
    }
    for line in lines(failure.error.as_ref()) {
        // There is nobody left to tell when stderr itself is closed.
        let _ = writeln!(stderr, "tidegate: error: {line}");
    }
    failure.exit
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// What an error says, and what its sources add to that, each once: one line for each mistake of a configuration, one
/// line for anything else.
pub fn lines(error: &(dyn Error + 'static)) -> Vec<String> {
    let chain = || anyhow::Chain::new(error);
    if let Some(errors) = chain().find_map(|error| error.downcast_ref::<ConfigErrors>()) {
        return errors.iter().map(|error| harmless(&error.to_string())).collect();
    }
    let mut said = String::new();
    for text in chain().map(|error| harmless(&error.to_string())) {
        if said.is_empty() {
            said = text;
        } else if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
    }
    vec![said]
}

/// A text on one line, and without what could steer a terminal: an error may repeat what a server or a file said.
fn harmless(text: &str) -> String {
    let words = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    line.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;
    use crate::config::{Library, Source, load};

    fn said(failure: Failure) -> (Exit, String) {
        let mut stderr = Vec::new();
        let exit = end(Err(failure), &mut stderr);
        (exit, String::from_utf8(stderr).expect("text"))
    }

    #[test]
    fn says_each_source_once() {
        let inner = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let error = Err::<(), _>(inner)
            .context("GET http://x/jobs")
            .context("cannot reach Flink")
            .or_exit(Exit::Unreachable);
        assert_eq!(
            said(error.expect_err("an error")),
            (
                Exit::Unreachable,
                "tidegate: error: cannot reach Flink: GET http://x/jobs: connection refused\n".to_owned()
            )
        );
        let repeats = anyhow!("inner").context("outer: inner");
        assert_eq!(lines(repeats.as_ref()), ["outer: inner"]);
    }

    #[test]
    fn says_one_line_for_each_mistake_of_a_configuration() {
        let file = Source::new("f.yaml", "kind: FlinkAutoscaler\nmetadata: {}\n");
        let errors = load(&[file], &Library::built_in()).context("reading f.yaml").or_exit(Exit::Usage);
        let (exit, text) = said(errors.expect_err("it is wrong"));
        assert_eq!((exit, text.lines().count()), (Exit::Usage, 3), "{text}");
        assert!(text.lines().all(|line| line.starts_with("tidegate: error: f.yaml:")), "{text}");
    }

    #[test]
    fn lets_no_server_steer_the_terminal() {
        assert_eq!(lines(anyhow!("it said:\n \u{1b}[2Jgone\r\n").as_ref()), ["it said: \\u{1b}[2Jgone"]);
    }

    #[test]
    fn a_reader_that_has_enough_is_no_failure() {
        let error = Err::<(), _>(io::Error::from(io::ErrorKind::BrokenPipe))
            .context("printing")
            .or_exit(Exit::Failed);
        assert_eq!(said(error.expect_err("an error")), (Exit::Done, String::new()));
    }
}
