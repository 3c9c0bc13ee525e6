//! The lines as they are read back.

use std::io::{self, BufRead};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::VERSION;
use super::lines::{Header, ObservationLine};
use crate::model::{Attempt, Graph, Observation, Timestamp};
use crate::record::Outcome;

/// Why a journal cannot be read on.
#[derive(Debug, Error)]
pub enum Damage {
    /// The bytes cannot be had.
    #[error("line {line} cannot be read")]
    Io {
        /// Where.
        line: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The first line is no header.
    #[error("not a journal of Tidegate: its first line is no header")]
    NotAJournal,
    /// Another version wrote it.
    #[error(
        "line {line}: a journal of version {found}, where this Tidegate reads version {VERSION}; read it with the Tidegate that wrote it"
    )]
    OtherVersion {
        /// Where.
        line: u64,
        /// Its version.
        found: u32,
    },
    /// A line is not what a writer wrote.
    #[error("line {line} is damaged")]
    Line {
        /// Where.
        line: u64,
        /// What is the matter.
        #[source]
        source: serde_json::Error,
    },
    /// A cycle leaves out its graph and none has been told before.
    #[error("line {line} is damaged: its graph is left out, and no line before it has one")]
    NoGraph {
        /// Where.
        line: u64,
    },
    /// A reading is missing, or there is one too many.
    #[error("line {line} is damaged: {readings} readings for a graph of {vertices} vertices")]
    Readings {
        /// Where.
        line: u64,
        /// Readings it has.
        readings: usize,
        /// Vertices of its graph.
        vertices: usize,
    },
}

/// One line.
#[derive(Clone, Debug)]
pub enum Entry {
    /// The writer began, or took up again.
    Header(Box<Header>),
    /// A cycle.
    Cycle(Box<Recorded>),
}

/// A cycle as it was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The `now` of the decision.
    pub at: Timestamp,
    /// What was seen.
    pub observation: Observation,
    /// The rescale under way as it was before the cycle, where steps of it were taken since the last one.
    pub stepped: Option<Box<Attempt>>,
    /// When the approved plan was begun, if it was.
    pub begun: Option<Timestamp>,
    /// What came of it.
    pub outcome: Outcome,
    /// When the state was told of the outcome, if it was.
    pub ended: Option<Timestamp>,
    /// The decision, byte for byte.
    pub decision: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CycleLine {
    at: Timestamp,
    observation: ObservationLine,
    #[serde(default)]
    stepped: Option<Box<Attempt>>,
    #[serde(default)]
    begun: Option<Timestamp>,
    outcome: Outcome,
    #[serde(default)]
    ended: Option<Timestamp>,
    decision: Box<RawValue>,
}

/// The field by which a header is known, whatever its version.
#[derive(Deserialize)]
struct Version {
    journal: u32,
}

/// How every header begins; no cycle does.
const HEADER: &[u8] = br#"{"journal":"#;

/// Reads a journal line by line. A last line that was cut off ends it like the end of the file does.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    line: u64,
    cut_off: bool,
    graph: Option<Arc<Graph>>,
    buffer: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `input`.
    pub fn new(input: R) -> Self {
        Self { input, line: 0, cut_off: false, graph: None, buffer: Vec::new() }
    }

    /// The number of the line that was read last, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Whether the last line was cut off: the rest of it was never written, and it is left out.
    pub fn cut_off(&self) -> bool {
        self.cut_off
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// When the input fails, is no journal, is of another version, or damaged anywhere but at its cut-off end.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Damage> {
        self.buffer.clear();
        self.line += 1;
        let line = self.line;
        let read = self.input.read_until(b'\n', &mut self.buffer);
        if read.map_err(|source| Damage::Io { line, source })? == 0 {
            self.line -= 1;
            return Ok(None);
        }
        let whole = self.buffer.ends_with(b"\n");
        match self.parse() {
            // Only an unfinished line may be wrong in its form: the writer was stopped in the middle of it.
            Err(Damage::Line { .. } | Damage::NotAJournal) if !whole => {
                self.cut_off = true;
                Ok(None)
            }
            entry => entry.map(Some),
        }
    }

    fn parse(&mut self) -> Result<Entry, Damage> {
        let line = self.line;
        let damaged = |source| Damage::Line { line, source };
        if self.buffer.starts_with(HEADER) {
            let found = serde_json::from_slice::<Version>(&self.buffer).map_err(damaged)?.journal;
            if found != VERSION {
                return Err(Damage::OtherVersion { line, found });
            }
            self.graph = None;
            return serde_json::from_slice(&self.buffer).map(Entry::Header).map_err(damaged);
        }
        if line == 1 {
            return Err(Damage::NotAJournal);
        }
        let CycleLine { at, observation, stepped, begun, outcome, ended, decision } =
            serde_json::from_slice(&self.buffer).map_err(damaged)?;
        let observation = match observation {
            ObservationLine::Missed(missed) => Observation::Missed(missed),
            ObservationLine::Seen(seen) => {
                let snapshot = seen.snapshot(&mut self.graph).ok_or(Damage::NoGraph { line })?;
                let (readings, vertices) = (snapshot.vertices.len(), snapshot.graph.len());
                if readings != vertices {
                    return Err(Damage::Readings { line, readings, vertices });
                }
                Observation::Seen(snapshot)
            }
        };
        Ok(Entry::Cycle(Box::new(Recorded { at, observation, stepped, begun, outcome, ended, decision })))
    }
}
