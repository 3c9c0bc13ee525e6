//! Mistakes in the PromQL of policies, in the words of whoever has a parser of it: the server that is named, or `promtool` where
//! it is on PATH. Where there is neither, the first cycle tells.

use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow};

use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::run::runtime;
use crate::config::{Place, Position, Source, load_policies};
use crate::observe::prometheus::{PrometheusError, Server};
use crate::policy::{PrometheusRef, Query, QueryFacts, Rule};

/// A query that no parser takes.
pub(super) struct Mistake {
    pub(super) place: Place,
    /// The field, from the top of its document.
    pub(super) path: String,
    /// What the parser says.
    pub(super) said: String,
}

struct Placed {
    place: Place,
    path: String,
    /// As it is written.
    text: String,
    /// As a job of some name would ask it.
    filled: String,
}

/// What is wrong with the queries of the policies in these files.
pub(super) fn mistakes(sources: &[Source], server: Option<&PrometheusRef>) -> Result<Vec<Mistake>, Failure> {
    let queries = queries(sources);
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    let said = match server {
        Some(server) => by_server(server, &queries)?,
        None => by_promtool(&queries)?,
    };
    let mistake = |(placed, said): (Placed, Option<String>)| {
        let Placed { mut place, path, text, .. } = placed;
        let said = said?;
        if let Some(at) = within(&said).and_then(|at| exact(sources, &place, &text, at)) {
            place.at = at;
        }
        Some(Mistake { place, path, said })
    };
    Ok(queries.into_iter().zip(said).filter_map(mistake).collect())
}

fn queries(sources: &[Source]) -> Vec<Placed> {
    // Without any policy there is no query.
    let policies = load_policies(sources).unwrap_or_default();
    let of_one = policies.iter().flat_map(|file| {
        let rules = file.policy.spec.rules.iter().enumerate();
        rules.filter_map(move |(index, rule)| {
            let Rule::Prometheus(rule) = rule else { return None };
            let path = format!("spec.rules[{index}].prometheus.query");
            let (text, filled) = (rule.query.as_str().to_owned(), filled(&rule.query)?);
            Some(Placed { place: file.place(&path), path, text, filled })
        })
    });
    of_one.collect()
}

/// With names as long as the variables are, so that the columns stay what they are.
fn filled(query: &Query) -> Option<String> {
    let facts = QueryFacts {
        namespace: Some("namespace___"),
        autoscaler: Some("autoscaler___"),
        workload: Some("workload___"),
        job: Some("job___"),
        job_id: Some("jobId___"),
    };
    query.fill(&facts).ok()
}

fn by_server(server: &PrometheusRef, queries: &[Placed]) -> Result<Vec<Option<String>>, Failure> {
    let server = Server::new(server).or_exit(Exit::Usage)?;
    runtime()?.block_on(async {
        let mut all = Vec::new();
        for query in queries {
            all.push(match server.parses(&query.filled).await {
                Ok(()) => None,
                Err(error @ PrometheusError::Refused { .. }) => Some(error.to_string()),
                Err(error) => return Err(anyhow!(error)).or_exit(Exit::Unreachable),
            });
        }
        Ok(all)
    })
}

/// As recording rules, which are what promtool has a check for that asks nobody. Nothing is said where there is no promtool.
fn by_promtool(queries: &[Placed]) -> Result<Vec<Option<String>>, Failure> {
    let started = Command::new("promtool")
        .args(["check", "rules", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match started {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![None; queries.len()]),
        started => started.context("cannot run promtool").or_exit(Exit::Failed)?,
    };
    let rules: Vec<_> = queries
        .iter()
        .enumerate()
        .map(|(index, query)| serde_json::json!({"record": name(index), "expr": query.filled}))
        .collect();
    let rules = serde_json::json!({"groups": [{"name": "policies", "rules": rules}]});
    if let Some(mut stdin) = promtool.stdin.take() {
        // It may have ended without reading all; what it said tells more than the broken pipe.
        let _ = stdin.write_all(rules.to_string().as_bytes());
    }
    let output = promtool.wait_with_output().context("cannot run promtool").or_exit(Exit::Failed)?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok((0..queries.len()).map(|index| of_query(&said, index)).collect())
}

fn name(index: usize) -> String {
    format!("query_{index}")
}

/// What promtool said of one of them: `FILE: 5:11: group "g", rule 1, "query_0": could not parse expression: 1:16: parse error: …`
fn of_query(said: &str, index: usize) -> Option<String> {
    let marker = format!("\"{}\": ", name(index));
    let line = said.lines().find_map(|line| line.split_once(&marker))?.1;
    let words = line.strip_prefix("could not parse expression: ").unwrap_or(line);
    Some(format!("promtool says: {words}"))
}

/// Where in the query something is, as in `1:16: parse error`.
fn within(said: &str) -> Option<Position> {
    let before = said.split_once(": parse error")?.0;
    let mut numbers = before.rsplitn(3, [':', ' ']);
    let (column, line) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(Position { line, column })
}

/// Where that is in the file, if the file has the query as it is, and not with escapes or on lines of its own.
fn exact(sources: &[Source], place: &Place, text: &str, within: Position) -> Option<Position> {
    let source = sources.iter().find(|source| *source.name() == *place.file)?;
    let line = source.text().lines().nth(place.at.line - 1)?;
    let mut written = line.chars().skip(place.at.column - 1).peekable();
    let quote = written.next_if(|c| ['"', '\''].contains(c)).map_or(0, |_| 1);
    let before = within.column.checked_sub(1)?;
    let is_same = text.chars().take(before).all(|c| written.next() == Some(c));
    (within.line == 1 && is_same)
        .then(|| Position { line: place.at.line, column: place.at.column + quote + before })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_the_query_is_one_of_the_file_where_the_file_has_the_query_as_it_is() {
        for (yaml, column) in [
            ("query: sum(up", 12),
            ("query: 'sum(up'", 13),
            ("query: \"sum(up\"", 13),
            ("query: \"s\\u0075m(up\"", 8),
            ("query: |", 8),
        ] {
            let sources = [Source::new("f", format!("first\n{yaml}\n  sum(up\n"))];
            let place = Place { file: "f".into(), at: Position { line: 2, column: 8 } };
            let said = "promtool says: 1:5: parse error: no";
            let at = within(said).and_then(|at| exact(&sources, &place, "sum(up", at)).unwrap_or(place.at);
            assert_eq!(at, Position { line: 2, column }, "{yaml}");
        }
        assert_eq!(
            within("it says: bad_data: 3:14: parse error: no"),
            Some(Position { line: 3, column: 14 })
        );
        assert_eq!(within("no place"), None);
    }

    #[test]
    fn what_promtool_says_of_a_query_is_found_among_what_it_says_of_others() {
        let said = "  FAILED:\n/dev/stdin: 5:11: group \"p\", rule 1, \"query_1\": could not parse expression: 1:2: parse error: no\n";
        assert_eq!(of_query(said, 1).as_deref(), Some("promtool says: 1:2: parse error: no"));
        assert_eq!((of_query(said, 0), of_query(said, 11)), (None, None));
    }
}
