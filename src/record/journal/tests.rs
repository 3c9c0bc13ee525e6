//! What a journal gives back, and what it refuses.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{Attempt, Graph, JobId, Missed, MissedWhy, Observation, Resubmission, Snapshot, Stage};
use crate::policy::Policy;
use crate::policy::testing::{Job, START};
use crate::record::{Outcome, State};

fn seen(second: u64, vertices: &[(u64, f64)]) -> Observation {
    let snapshot = Job::chain(vertices).snapshot;
    let at = START + Duration::from_secs(second);
    Observation::Seen(Snapshot { at, flink_now: at, ..snapshot })
}

fn missed(second: u64) -> Observation {
    let at = START + Duration::from_secs(second);
    Observation::Missed(Missed { at, why: MissedWhy::TimedOut, detail: "no answer within 10s".to_owned() })
}

fn policy() -> Policy {
    Policy { poll: crate::policy::Span::from_secs(5), ..Policy::default() }
}

/// A journal of these observations, decided by the engine, and the state it ends with.
fn journal(observations: &[Observation]) -> (Vec<u8>, State) {
    let (policy, mut state, mut writer) = (policy(), State::default(), Writer::default());
    let mut bytes = writer.header(&Header::new(START, "orders", &policy, &state)).expect("a header");
    for observation in observations {
        let at = observation.at();
        let decision = state.cycle(observation, &policy, at);
        let cycle = Cycle {
            at,
            observation,
            stepped: None,
            decision: &decision,
            begun: None,
            outcome: &Outcome::Unobserved,
            ended: None,
        };
        bytes.extend(writer.cycle(&cycle).expect("a line"));
    }
    (bytes, state)
}

fn diary() -> Vec<Observation> {
    vec![
        seen(0, &[(1, 0.0), (2, 0.004)]),
        seen(5, &[(1, 0.0), (2, 0.004)]),
        missed(10),
        seen(15, &[(1, 0.0), (2, 0.004), (1, 0.001)]),
        seen(20, &[(1, 0.0), (3, 0.004), (1, 0.001)]),
    ]
}

fn read(bytes: &[u8]) -> (Vec<Recorded>, bool, Option<String>) {
    let (mut reader, mut cycles) = (Reader::new(bytes), Vec::new());
    loop {
        match reader.next_entry() {
            Ok(Some(Entry::Cycle(cycle))) => cycles.push(*cycle),
            Ok(Some(Entry::Header(_))) => {}
            Ok(None) => return (cycles, reader.cut_off(), None),
            Err(damage) => return (cycles, reader.cut_off(), Some(damage.to_string())),
        }
    }
}

#[test]
fn reads_back_what_it_wrote() {
    let (bytes, _) = journal(&diary());
    let (cycles, cut_off, damage) = read(&bytes);
    let observations: Vec<Observation> = cycles.into_iter().map(|cycle| cycle.observation).collect();
    assert_eq!((observations, cut_off, damage), (diary(), false, None));
}

#[test]
fn tells_a_graph_once() {
    let (bytes, _) = journal(&diary());
    let with_graph: Vec<bool> = bytes
        .split(|&b| b == b'\n')
        .skip(1)
        .map(|line| String::from_utf8_lossy(line).contains("\"graph\""))
        .take(5)
        .collect();
    assert_eq!(with_graph, [true, false, false, true, false]);
}

#[test]
fn a_header_in_the_middle_begins_anew() {
    let (mut bytes, _) = journal(&diary());
    let graph = |cycle: &Recorded| match &cycle.observation {
        Observation::Seen(snapshot) => Arc::clone(&snapshot.graph),
        Observation::Missed(_) => Arc::new(Graph::new(Vec::new(), Vec::new()).expect("no graph")),
    };
    bytes.extend(journal(&diary()).0);
    let (cycles, _, damage) = read(&bytes);
    assert_eq!((cycles.len(), damage), (10, None));
    assert_eq!(graph(&cycles[0]), graph(&cycles[5]));
    assert_eq!(replay(bytes.as_slice()).expect("readable").differences, []);
}

#[test]
fn replays_to_the_same_decisions_and_state() {
    let (bytes, state) = journal(&diary());
    let mut replayer = Replayer::new(bytes.as_slice());
    let mut lines = Vec::new();
    while let Some(step) = replayer.next_step().expect("readable") {
        assert_eq!(step.difference, None);
        lines.push(step.line);
    }
    assert_eq!(lines, [2, 3, 4, 5, 6]);
    assert_eq!(replayer.autoscaler(), "orders");
    assert_eq!(replayer.state(), &state);
}

/// What is done between two cycles is in neither: the next one tells how far it has come by then, once.
#[test]
fn the_steps_of_a_rescale_are_told_with_the_cycle_after_them() {
    let (policy, mut writer, job) = (policy(), Writer::default(), JobId::from_bits(7));
    let mut state = State::default();
    let mut bytes = writer.header(&Header::new(START, "orders", &policy, &state)).expect("a header");
    let mut resubmission = Resubmission::new(job, START);
    let mut told = Vec::new();
    for (second, stage) in [(0, None), (5, Some(Stage::StopRequested)), (10, None), (15, Some(Stage::Failed))]
    {
        let observation = missed(second);
        if let Some(stage) = stage {
            resubmission.reach(stage, observation.at());
        }
        let sizes = std::collections::BTreeMap::new;
        let attempt = Attempt::new(job, START, START, sizes(), sizes());
        let attempt = Attempt { resubmission: Some(resubmission.clone()), ..attempt };
        state.ledger.attempt = Some(attempt.clone());
        let cycle = Cycle {
            at: observation.at(),
            observation: &observation,
            stepped: Some(&attempt),
            decision: &state.cycle(&observation, &policy, observation.at()),
            begun: None,
            outcome: &Outcome::Unobserved,
            ended: None,
        };
        let line = writer.cycle(&cycle).expect("a line");
        told.push(String::from_utf8_lossy(&line).contains("\"stepped\""));
        bytes.extend(line);
    }
    assert_eq!(told, [true, true, false, true]);
    let mut replayer = Replayer::new(bytes.as_slice());
    while let Some(step) = replayer.next_step().expect("readable") {
        assert_eq!(step.difference, None);
    }
    let known = replayer.state().ledger.attempt.clone().and_then(|attempt| attempt.resubmission);
    assert_eq!(known, Some(resubmission));
}

#[test]
fn a_last_line_that_was_cut_off_is_left_out() {
    let (bytes, _) = journal(&diary());
    let last = bytes[..bytes.len() - 1].iter().rposition(|&b| b == b'\n').expect("many lines") + 1;
    for cut in [last + 1, last + 40, bytes.len() - 2] {
        let replay = replay(&bytes[..cut]).expect("the rest is used");
        assert_eq!((replay.cycles, replay.cut_off, replay.differences.len()), (4, true, 0), "cut at {cut}");
    }
    let without_its_line_feed = replay(&bytes[..bytes.len() - 1]).expect("whole but for the line feed");
    assert_eq!((without_its_line_feed.cycles, without_its_line_feed.cut_off), (5, false));
}

#[test]
fn other_damage_names_its_line() {
    let (bytes, _) = journal(&diary());
    let text = String::from_utf8(bytes).expect("JSON is text");
    let replaced = |line: usize, by: &str| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines[line - 1] = by;
        lines.join("\n") + "\n"
    };
    let third = text.lines().nth(2).expect("six lines").to_owned();
    for (name, journal, says) in [
        ("no header", replaced(1, "{}"), "its first line is no header"),
        ("another file", "hello\nworld\n".to_owned(), "its first line is no header"),
        (
            "another version",
            replaced(1, r#"{"journal":9,"anything":"else"}"#),
            "line 1: a journal of version 9",
        ),
        ("half a line", replaced(3, &third[..third.len() / 2]), "line 3 is damaged"),
        ("an empty line", replaced(3, ""), "line 3 is damaged"),
        (
            "an unknown field",
            replaced(3, &third.replacen("\"at\"", "\"when\":1,\"at\"", 1)),
            "line 3 is damaged",
        ),
        ("a graph that was never told", replaced(2, &third), "line 2 is damaged: its graph is left out"),
        (
            "a reading too few",
            replaced(3, &third.replacen("\"vertices\":[{", "\"vertices\":[],\"decision\":[{", 1)),
            "line 3 is damaged",
        ),
    ] {
        let damage = replay(journal.as_bytes()).expect_err(name).to_string();
        assert!(damage.contains(says), "{name}: {damage}");
    }
}

#[test]
fn says_where_a_decision_differs() {
    let (bytes, _) = journal(&diary());
    let text = String::from_utf8(bytes).expect("JSON is text");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[2] = lines[2].replace("\"version\":1", "\"version\":2");
    let replay = replay(lines.join("\n").as_bytes()).expect("readable");
    let [Difference { line, at, field, recorded, got }] = &replay.differences[..] else {
        panic!("one difference: {:?}", replay.differences)
    };
    assert_eq!((*line, *at), (3, diary()[1].at()));
    assert_eq!([field.as_str(), recorded, got], ["/version", "2", "1"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever the bytes are, a reader ends, with cycles, a cut-off line or one damage.
    #[test]
    fn never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = replay(bytes.as_slice());
    }

    /// A journal with some bytes changed is read, or refused.
    #[test]
    fn never_panics_on_a_damaged_journal(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut bytes, _) = journal(&diary());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()));
        let _ = replay(bytes.as_slice());
    }
}
