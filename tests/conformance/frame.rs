//! Loads vectors, has each judged, and counts. Comes in: a folder and the suites, each with a judge and a table of the
//! differences that are on purpose. Goes out: a [`Report`]. It never lets a difference pass without a reason.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// All vectors of one file.
pub(crate) struct Suite {
    /// The file's name without `.json`, and the word that the tally begins with.
    pub(crate) name: &'static str,
    /// Runs one vector through Tidegate.
    pub(crate) judge: fn(&Vector) -> Result<(), Fault>,
    /// The vectors in which Tidegate differs on purpose: id and reason.
    pub(crate) differences: &'static [(&'static str, &'static str)],
}

/// One case: what goes in, and what has to come out.
pub(crate) struct Vector {
    /// Its `id`, or its `name` where it has none.
    pub(crate) id: String,
    /// Its `kind`, or nothing where the file has one kind only.
    pub(crate) kind: String,
    body: Value,
}

/// Why a vector is not agreed with.
pub(crate) enum Fault {
    /// The frame or the judge cannot read it. No reason excuses that.
    Unreadable(String),
    /// Tidegate computes something else.
    Differs(String),
}

impl Vector {
    fn new(body: Value) -> Self {
        let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = if body.get("id").is_some() { text("id") } else { text("name") };
        Self { id, kind: text("kind"), body }
    }

    /// One of its parts, such as `inputs`; what is not there is read as null.
    pub(crate) fn part<T: DeserializeOwned>(&self, name: &str) -> Result<T, Fault> {
        let part = self.body.get(name).cloned().unwrap_or_default();
        serde_json::from_value(part).map_err(|error| Fault::Unreadable(format!("its {name}: {error}")))
    }

    /// That a kind is not known.
    pub(crate) fn unknown_kind(&self) -> Fault {
        Fault::Unreadable(format!("its kind {:?} is not known here", self.kind))
    }

    /// Compares each field that is expected with the same field of what was computed. A field that is expected and not
    /// computed is a fault of the judge, because it would go unchecked otherwise.
    pub(crate) fn agrees(&self, got: &Map<String, Value>) -> Result<(), Fault> {
        let expected: Map<String, Value> = self.part("expected")?;
        let mut wrong = Vec::new();
        for (field, want) in &expected {
            match got.get(field) {
                None => {
                    let got = Value::Object(got.clone());
                    return Err(Fault::Unreadable(format!(
                        "it expects {field} = {want}, which is not in {got}"
                    )));
                }
                Some(have) if have != want => wrong.push(format!("{field} is {have} and not {want}")),
                Some(_) => {}
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Fault::Differs(wrong.join(", "))) }
    }
}

/// Where the vectors are.
pub(crate) struct Folder {
    path: PathBuf,
    /// The project's own, which has to have every file and every vector that a table of differences names.
    is_own: bool,
}

impl Folder {
    /// The project's own copy.
    pub(crate) fn own(path: PathBuf) -> Self {
        Self { path, is_own: true }
    }

    /// One with other vectors of the same kinds.
    pub(crate) fn given(path: PathBuf) -> Self {
        Self { path, is_own: false }
    }

    /// The vectors of a suite; `None` where the folder has no such file.
    fn vectors(&self, suite: &Suite) -> Result<Option<Vec<Vector>>, String> {
        let path = self.path.join(suite.name).with_extension("json");
        if !self.is_own && !path.exists() {
            return Ok(None);
        }
        let wrong = |why: &dyn fmt::Display| format!("{}: {why}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| wrong(&error))?;
        let mut file: Value = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        match file.get_mut("vectors").map(Value::take) {
            Some(Value::Array(vectors)) => Ok(Some(vectors.into_iter().map(Vector::new).collect())),
            _ => Err(wrong(&"no list named `vectors`")),
        }
    }
}

/// How one suite went.
#[derive(Default)]
struct Tally {
    name: &'static str,
    agreeing: usize,
    total: usize,
    /// Differences with their reasons.
    excused: Vec<String>,
    faults: Vec<String>,
}

/// How all went. Displayed: what differs, then what is wrong, then one line per suite.
pub(crate) struct Report {
    tallies: Vec<Tally>,
    faults: Vec<String>,
}

/// Runs the suites over the folder's vectors.
pub(crate) fn run(folder: &Folder, suites: &[&Suite]) -> Report {
    let mut report = Report { tallies: Vec::new(), faults: Vec::new() };
    for suite in suites {
        match folder.vectors(suite) {
            Ok(Some(vectors)) => report.tallies.push(tally(suite, &vectors, folder.is_own)),
            Ok(None) => {}
            Err(fault) => report.faults.push(fault),
        }
    }
    if report.tallies.is_empty() {
        report.faults.push(format!("{}: no vectors there", folder.path.display()));
    }
    report
}

fn tally(suite: &Suite, vectors: &[Vector], must_have_all: bool) -> Tally {
    let mut tally = Tally { name: suite.name, total: vectors.len(), ..Tally::default() };
    let reason = |id: &str| suite.differences.iter().find(|(listed, _)| *listed == id).map(|(_, why)| *why);
    for vector in vectors {
        let id = &vector.id;
        match ((suite.judge)(vector), reason(id)) {
            (Ok(()), None) => tally.agreeing += 1,
            (Ok(()), Some(_)) => tally.faults.push(format!("{id}: listed as different, and is not")),
            (Err(Fault::Differs(how)), Some(why)) => tally.excused.push(format!("{id}: {how}: {why}")),
            (Err(Fault::Differs(how)), None) | (Err(Fault::Unreadable(how)), _) => {
                tally.faults.push(format!("{id}: {how}"));
            }
        }
    }
    for (listed, _) in suite.differences {
        if must_have_all && !vectors.iter().any(|vector| vector.id == *listed) {
            tally.faults.push(format!("{listed}: listed as different, and not there"));
        }
    }
    tally
}

impl Report {
    /// Whether every vector is agreed with, or differs for a reason.
    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty() && self.tallies.iter().all(|tally| tally.faults.is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for tally in &self.tallies {
            for excused in &tally.excused {
                writeln!(f, "{}: on purpose: {excused}", tally.name)?;
            }
        }
        for tally in &self.tallies {
            for fault in &tally.faults {
                writeln!(f, "{}: WRONG: {fault}", tally.name)?;
            }
        }
        for fault in &self.faults {
            writeln!(f, "WRONG: {fault}")?;
        }
        for tally in &self.tallies {
            writeln!(f, "{} {} of {}", tally.name, tally.agreeing, tally.total)?;
        }
        Ok(())
    }
}

/// The frame on vectors of its own: what it has to let pass, and what it must not.
pub(crate) fn judge_itself() {
    /// Says that half of the input is 2, whatever the input is.
    fn judge(vector: &Vector) -> Result<(), Fault> {
        match vector.kind.as_str() {
            "half" => vector.agrees(&Map::from_iter([("half".to_owned(), Value::from(2))])),
            _ => Err(vector.unknown_kind()),
        }
    }
    const EXCUSES: &[(&str, &str)] = &[("listed", "for a reason")];
    let vector = |id: &str, kind: &str, expected: Value| {
        Vector::new(serde_json::json!({"id": id, "kind": kind, "expected": expected}))
    };
    let rows = [
        (vector("agrees", "half", serde_json::json!({"half": 2})), "own 1 of 1", true),
        (vector("differs", "half", serde_json::json!({"half": 3})), "own 0 of 1", false),
        (vector("strange", "third", serde_json::json!({"half": 2})), "own 0 of 1", false),
        (vector("unchecked", "half", serde_json::json!({"third": 2})), "own 0 of 1", false),
        (vector("listed", "half", serde_json::json!({"half": 3})), "own 0 of 1", true),
        (vector("listed", "half", serde_json::json!({"half": 2})), "own 0 of 1", false),
        (vector("listed", "third", serde_json::json!({"half": 3})), "own 0 of 1", false),
    ];
    for (vector, last, is_good) in rows {
        let differences = if vector.id == "listed" { EXCUSES } else { &[] };
        let suite = Suite { name: "own", judge, differences };
        let tallies = vec![tally(&suite, &[vector], true)];
        let report = Report { tallies, faults: Vec::new() };
        let text = report.to_string();
        assert_eq!((text.lines().last(), report.is_good()), (Some(last), is_good), "{text}");
    }
    let suite = Suite { name: "own", judge, differences: EXCUSES };
    assert!(!tally(&suite, &[], true).faults.is_empty(), "a listed vector that is not there");
    assert!(tally(&suite, &[], false).faults.is_empty(), "other vectors than the project's own");
    let nowhere = Folder::given(PathBuf::from("/nowhere"));
    assert!(!run(&nowhere, &[&suite]).is_good(), "a folder without vectors");
}
