//! What is wrong with a test beyond the form of its fields: it names a vertex that is not there, or expects something
//! before anything can have happened.

use std::time::Duration;

use super::scenario;
use super::spec::{Expect, Step, Test, TestJob, TestSignals};
use crate::model::Hint;
use crate::policy::Span;
use crate::simulate::{Problem, Scenario, Simulation};

/// A simulated day takes the better part of a second: who tests for longer keeps everybody waiting.
const LONGEST: Duration = Duration::from_hours(24 * 14);

/// Everything that is wrong with a test: where, from its own fields on, and what.
pub fn mistakes(test: &Test) -> Vec<Problem> {
    let mut notes = Notes(Vec::new());
    let Some(subject) = subject(test, &mut notes) else { return notes.0 };
    if let Some(job) = &test.job {
        inputs(job, &mut notes);
    }
    // An input that is not there would be an edge from nowhere, which has been said.
    if let (true, Ok(scenario)) = (notes.0.is_empty(), scenario::of(test)) {
        let names: Vec<&str> = scenario.vertices.iter().map(|vertex| vertex.name.as_str()).collect();
        diary(test, &scenario, &names, &mut notes);
        if let Err(error) = Simulation::new(&scenario) {
            let inside =
                |problem: Problem| Problem { path: format!("{subject}.{}", problem.path), ..problem };
            notes.0.extend(error.problems.into_iter().map(inside));
        }
    }
    notes.0
}

struct Notes(Vec<Problem>);

impl Notes {
    fn add(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.0.push(Problem { path: path.into(), what: what.into() });
    }

    /// Notes a name that is not among those there are.
    fn known(&mut self, path: &str, noun: &str, name: &str, known: &[&str]) {
        if !known.contains(&name) {
            self.add(path, format!("unknown {noun} `{name}`; {}", Hint::new(name, known.iter().copied())));
        }
    }
}

/// The one field that says what the test is run on.
fn subject(test: &Test, notes: &mut Notes) -> Option<&'static str> {
    let fields = [
        ("job", test.job.is_some()),
        ("scenario", test.scenario.is_some()),
        ("simulation", test.simulation.is_some()),
    ];
    let mut written = fields.into_iter().filter(|(_, is_written)| *is_written).map(|(field, _)| field);
    let first = written.next();
    for second in written.by_ref() {
        let first = first.unwrap_or_default();
        notes.add(
            second,
            format!("a test is run on one thing, and `{first}` is there already; leave one out"),
        );
    }
    if first.is_none() {
        notes.add("", "the test has nothing to run on; expected `job`, `scenario` or `simulation`");
    }
    first.filter(|_| notes.0.is_empty())
}

/// The names that a job's vertices give as inputs.
fn inputs(job: &TestJob, notes: &mut Notes) {
    let names: Vec<&str> = job.vertices.iter().map(|vertex| vertex.name.as_str()).collect();
    for (v, vertex) in job.vertices.iter().enumerate() {
        for (index, input) in vertex.inputs.iter().flatten().enumerate() {
            notes.known(&format!("job.vertices[{v}].inputs[{index}]"), "vertex", input, &names);
        }
        if vertex.rate.is_some() && vertex.inputs.as_ref().is_some_and(|inputs| !inputs.is_empty()) {
            notes.add(
                format!("job.vertices[{v}].rate"),
                "a vertex with inputs is no source; leave one of them out",
            );
        }
        if vertex.rate.is_none() && scenario::inputs(job, v).is_empty() {
            notes.add(format!("job.vertices[{v}]"), "it has no inputs, so it is a source and needs a `rate`");
        }
    }
}

/// Times, names and expectations of the diary.
fn diary(test: &Test, scenario: &Scenario, names: &[&str], notes: &mut Notes) {
    if test.steps.is_empty() && test.expect.is_none() {
        notes.add("", "the test expects nothing; expected `expect`, or `steps` with it");
    }
    for (field, is_written) in [("expect", test.expect.is_some()), ("after", test.after.is_some())] {
        if is_written && !test.steps.is_empty() {
            notes.add(field, format!("a test with `steps` has `{field}` in them; leave one out"));
        }
    }
    let sources = scenario.vertices.iter().filter(|vertex| vertex.source.is_some());
    let sources: Vec<&str> = sources.map(|vertex| vertex.name.as_str()).collect();
    let (mut passed, mut expected) = (Duration::ZERO, false);
    for (index, step) in test.diary().iter().enumerate() {
        let Step { set, after, expect } = step;
        let path = format!("steps[{index}]");
        if let Some(signals) = set {
            settings(test, signals, &sources, &path, notes);
        }
        passed = passed.saturating_add(after.map(Span::get).unwrap_or_default());
        if passed > LONGEST {
            let after = if test.steps.is_empty() { "after".to_owned() } else { format!("{path}.after") };
            notes.add(after, format!("a test lasts {} at most", Span::from(LONGEST)));
            return;
        }
        if let Some(expect) = expect {
            expected = true;
            expectation(expect, names, &test.path_of(index), notes);
            // The first poll comes after the first of these.
            if passed < test.poll.get() {
                let poll = test.poll;
                notes.add(
                    test.path_of(index),
                    format!("nothing is decided before the first poll ({poll}); let time pass (`after`)"),
                );
            }
        }
    }
    if !test.steps.is_empty() && !expected {
        notes.add("steps", "the test expects nothing; expected a step with `expect`");
    }
}

/// What a step sets.
fn settings(test: &Test, signals: &TestSignals, sources: &[&str], path: &str, notes: &mut Notes) {
    let TestSignals { rate, rates, backlog, backlogs, cpu, memory, heap: _, gc_time: _, queries: _, gone: _ } =
        signals;
    let one = [("rate", rate.is_some()), ("backlog", backlog.is_some())];
    let each = [("rates", rates), ("backlogs", backlogs)];
    for (field, _) in one.iter().filter(|(_, is_written)| *is_written) {
        match sources {
            _ if test.job.is_none() => {
                notes.add(format!("{path}.set.{field}"), "a scenario brings its own load");
            }
            [_, second, ..] => notes.add(
                format!("{path}.set.{field}"),
                format!("the job has several sources; write `{field}s: {{{second}: ...}}`"),
            ),
            _ => {}
        }
    }
    for (field, by_name) in each {
        for (name, number) in by_name {
            let path = format!("{path}.set.{field}.{name}");
            if test.job.is_none() {
                notes.add(path, "a scenario brings its own load");
                continue;
            }
            notes.known(&path, "source", name, sources);
            if *number < 0.0 {
                notes.add(path, format!("{number} is below the minimum 0"));
            }
        }
    }
    let has_pods = test.job.as_ref().is_some_and(|job| job.workload().is_some());
    for (field, is_written) in [("cpu", cpu.is_some()), ("memory", memory.is_some())] {
        if is_written && !has_pods {
            notes.add(
                format!("{path}.set.{field}"),
                "there are no pods whose use could be set, as `taskmanagers` are just there; leave those out",
            );
        }
    }
}

/// What is expected of whom.
fn expectation(expect: &Expect, names: &[&str], path: &str, notes: &mut Notes) {
    if *expect == Expect::default() {
        notes.add(path, "expects nothing; leave it out, or say what is to have come about");
    }
    let sizes = [
        ("parallelism", &expect.parallelism),
        ("minParallelism", &expect.min_parallelism),
        ("maxParallelism", &expect.max_parallelism),
    ];
    for (field, sizes) in sizes {
        for name in sizes.keys() {
            notes.known(&format!("{path}.{field}.{name}"), "vertex", name, names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(test: &str) -> Vec<String> {
        let test: Test = serde_json::from_str(test).unwrap_or_else(|error| panic!("{error}: {test}"));
        mistakes(&test).iter().map(ToString::to_string).collect()
    }

    const JOB: &str = r#""job": {"vertices": [{"name": "orders", "rate": 100}, {"name": "enrich"}]}"#;

    #[test]
    fn a_sound_test_has_no_mistakes() {
        for rest in [
            r#""expect": {"action": "none"}"#,
            r#""steps": [{"set": {"rate": 200, "backlog": 10}, "after": "1m"}, {"expect": {"parallelism": {"enrich": 1}}}]"#,
        ] {
            assert_eq!(said(&format!(r#"{{"name": "t", {JOB}, {rest}}}"#)), Vec::<String>::new(), "{rest}");
        }
        assert_eq!(said(r#"{"name": "t", "scenario": "demo", "expect": {"rescales": {"max": 4}}}"#), [""; 0]);
    }

    #[test]
    fn each_mistake_says_where_and_what() {
        let with = |rest: &str| said(&format!(r#"{{"name": "t", {JOB}, {rest}}}"#));
        for (rest, says) in [
            (r#""steps": []"#, ": the test expects nothing; expected `expect`, or `steps` with it"),
            (
                r#""steps": [{"after": "1m"}]"#,
                "steps: the test expects nothing; expected a step with `expect`",
            ),
            (r#""expect": {}"#, "expect: expects nothing; leave it out, or say what is to have come about"),
            (
                r#""expect": {"parallelism": {"enrch": 2}}"#,
                "expect.parallelism.enrch: unknown vertex `enrch`; did you mean `enrich`?",
            ),
            (
                r#""steps": [{"set": {"rates": {"enrich": 2}}, "after": "1m", "expect": {"action": "up"}}]"#,
                "steps[0].set.rates.enrich: unknown source `enrich`; expected `orders`",
            ),
            (
                r#""steps": [{"expect": {"action": "up"}}]"#,
                "steps[0].expect: nothing is decided before the first poll (5s); let time pass (`after`)",
            ),
            (
                r#""steps": [{"after": "1m", "expect": {"action": "up"}}], "after": "5m""#,
                "after: a test with `steps` has `after` in them; leave one out",
            ),
            (
                r#""scenario": "demo", "expect": {"action": "up"}"#,
                "scenario: a test is run on one thing, and `job` is there already; leave one out",
            ),
            (r#""after": "99d", "expect": {"action": "up"}"#, "after: a test lasts 14d at most"),
        ] {
            assert_eq!(with(rest), [says], "{rest}");
        }
    }

    #[test]
    fn the_use_of_pods_is_set_where_there_are_some() {
        let test = |taskmanagers: &str| {
            format!(
                r#"{{"name": "t", "job": {{{taskmanagers} "vertices": [{{"name": "a", "rate": 1}}]}},
                "steps": [{{"set": {{"cpu": "80%"}}, "after": "1m", "expect": {{"action": "none"}}}}]}}"#
            )
        };
        assert_eq!(said(&test("")), [""; 0]);
        let says = "steps[0].set.cpu: there are no pods whose use could be set, as `taskmanagers` are just there; leave those out";
        assert_eq!(said(&test(r#""taskmanagers": 2,"#)), [says]);
    }

    #[test]
    fn a_job_that_is_none_is_said_to_be() {
        for (vertices, says) in [
            (r#"[{"name": "a"}]"#, "job.vertices[0]: it has no inputs, so it is a source and needs a `rate`"),
            (
                r#"[{"name": "a", "rate": 1}, {"name": "b", "inputs": ["c"]}]"#,
                "job.vertices[1].inputs[0]: unknown vertex `c`; expected `a` or `b`",
            ),
            (
                r#"[{"name": "a", "rate": 1}, {"name": "b", "rate": 1, "inputs": ["a"]}]"#,
                "job.vertices[1].rate: a vertex with inputs is no source; leave one of them out",
            ),
            (
                r#"[{"name": "a", "rate": 1}, {"name": "a", "rate": 1}]"#,
                "job.vertices[1].name: \"a\" is there twice",
            ),
            (
                r#"[{"name": "a", "rate": 1, "parallelism": 9, "maxParallelism": 8}]"#,
                "job.vertices[0].parallelism: expected 1 to maxParallelism (8), not 9",
            ),
        ] {
            let test = format!(
                r#"{{"name": "t", "job": {{"vertices": {vertices}}}, "expect": {{"action": "none"}}}}"#
            );
            assert_eq!(said(&test), [says], "{vertices}");
        }
    }
}
