//! Deciding again from what was recorded.

use std::io::BufRead;

use serde::Serialize;
use serde_json::Value;

use super::read::{Damage, Entry, Reader, Recorded};
use crate::decide::Decision;
use crate::model::Timestamp;
use crate::policy::Policy;
use crate::record::State;

/// One cycle, decided again.
#[derive(Clone, Debug)]
pub struct Step {
    /// The number of its line, from 1.
    pub line: u64,
    /// What was recorded.
    pub recorded: Recorded,
    /// What was decided now.
    pub decision: Decision,
    /// Where the two differ first, if they do.
    pub difference: Option<Difference>,
}

/// Where a decision differs from the recorded one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The number of the line, from 1.
    pub line: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// The first field that differs, as a JSON pointer; empty when only the writing of it does.
    pub field: String,
    /// What was recorded there.
    pub recorded: String,
    /// What was decided now.
    pub got: String,
}

/// What came of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Cycles that were decided again.
    pub cycles: u64,
    /// Whether the last line was cut off, and left out.
    pub cut_off: bool,
    /// The cycles whose decision came out differently. After the first one the state differs too, and what follows may
    /// only be its consequence.
    pub differences: Vec<Difference>,
}

/// Decides every cycle of a journal again, and says where the result differs.
///
/// # Errors
/// When the journal cannot be read to its end.
pub fn replay(input: impl BufRead) -> Result<Replay, Damage> {
    let mut replayer = Replayer::new(input);
    let mut replay = Replay::default();
    while let Some(step) = replayer.next_step()? {
        replay.cycles += 1;
        replay.differences.extend(step.difference);
    }
    replay.cut_off = replayer.cut_off();
    Ok(replay)
}

/// Decides the cycles of a journal again, one by one.
#[derive(Debug)]
pub struct Replayer<R> {
    reader: Reader<R>,
    autoscaler: String,
    policy: Policy,
    state: State,
}

impl<R: BufRead> Replayer<R> {
    /// Replays `input`.
    pub fn new(input: R) -> Self {
        Self {
            reader: Reader::new(input),
            autoscaler: String::new(),
            policy: Policy::default(),
            state: State::default(),
        }
    }

    /// The autoscaler whose journal it is, once a line has been read.
    pub fn autoscaler(&self) -> &str {
        &self.autoscaler
    }

    /// The policy that decided the last step.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The state after the last step.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether the last line was cut off, and left out.
    pub fn cut_off(&self) -> bool {
        self.reader.cut_off()
    }

    /// Decides the next cycle; `None` at the end.
    ///
    /// # Errors
    /// When the journal cannot be read on.
    pub fn next_step(&mut self) -> Result<Option<Step>, Damage> {
        loop {
            match self.reader.next_entry()? {
                None => return Ok(None),
                Some(Entry::Header(header)) => {
                    self.autoscaler = header.autoscaler;
                    self.policy = header.policy;
                    self.state = header.state;
                }
                Some(Entry::Cycle(recorded)) => return self.decide_again(*recorded).map(Some),
            }
        }
    }

    fn decide_again(&mut self, recorded: Recorded) -> Result<Step, Damage> {
        let line = self.reader.line();
        if let Some(attempt) = &recorded.stepped {
            self.state.ledger.attempt = Some((**attempt).clone());
        }
        let decision = self.state.cycle(&recorded.observation, &self.policy, recorded.at);
        // Where the plan is another one now, what was done with the recorded one has no counterpart.
        if let (Some(begun), Some(plan)) = (recorded.begun, decision.approved()) {
            self.state.begin(plan, begun);
        }
        if let Some(ended) = recorded.ended {
            self.state.end(&recorded.outcome, ended);
        }
        let difference =
            difference(line, &recorded, &decision).map_err(|source| Damage::Line { line, source })?;
        Ok(Step { line, recorded, decision, difference })
    }
}

fn difference(line: u64, recorded: &Recorded, decision: &Decision) -> serde_json::Result<Option<Difference>> {
    let got = serde_json::to_string(decision)?;
    if got == recorded.decision.get() {
        return Ok(None);
    }
    let (was, is): (Value, Value) =
        (serde_json::from_str(recorded.decision.get())?, serde_json::from_str(&got)?);
    let (field, was, is) = first_difference(&was, &is).unwrap_or_default();
    Ok(Some(Difference { line, at: recorded.at, field, recorded: was, got: is }))
}

/// The JSON pointer of the first place where two values differ, and what stands there in each.
fn first_difference(was: &Value, is: &Value) -> Option<(String, String, String)> {
    let below = |key: &str, was: Option<&Value>, is: Option<&Value>| match (was, is) {
        (Some(was), Some(is)) => {
            first_difference(was, is).map(|(path, was, is)| (format!("/{key}{path}"), was, is))
        }
        (was, is) => {
            let text = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
            Some((format!("/{key}"), text(was), text(is)))
        }
    };
    match (was, is) {
        (Value::Object(a), Value::Object(b)) => a
            .keys()
            .chain(b.keys().filter(|key| !a.contains_key(*key)))
            .find_map(|key| below(key, a.get(key), b.get(key))),
        (Value::Array(a), Value::Array(b)) => {
            (0..a.len().max(b.len())).find_map(|i| below(&i.to_string(), a.get(i), b.get(i)))
        }
        _ => (was != is).then(|| (String::new(), was.to_string(), is.to_string())),
    }
}
