//! What runs a JobManager in application mode: the Kubernetes object whose arguments say which job it runs, and from where.
//!
//! Comes in: the object as it was when the job was stopped, and as it is now. Goes out: whether it is still as it was, already says what
//! it is to say, or was changed by somebody else. Serialised in the state: the fields are a promise.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::arguments::{NoArguments, RunAgain, job_id, run_again};
use super::{JobId, Parallelism, VertexId};

/// The kind of a JobManager's object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManagerKind {
    /// A Deployment of one replica, which starts the JobManager again whenever it ends: its arguments are patched.
    Deployment,
    /// A Job, which lets it end, and whose arguments cannot be changed: it is deleted and created anew.
    Job,
}

impl ManagerKind {
    /// Its name in Kubernetes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::Job => "Job",
        }
    }
}

/// The object as it was when it was found fit for this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manager {
    /// Its kind.
    pub kind: ManagerKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which object of this name it was.
    pub uid: String,
    /// A digest of all of the JobManager's arguments.
    pub args: String,
    /// A digest of all else of the pods' template, and of the arguments without those that Tidegate sets.
    pub rest: String,
    /// When the run that was stopped had been started, by the JobManager's clock: one of the same id that was started later is another.
    pub started: i64,
    /// Whether Flink runs with high availability: then a job that is not ended comes back under any JobManager of the cluster.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_highly_available: bool,
    /// The last savepoint of the run before it was stopped, which is not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint_before: Option<String>,
    /// All of a Job, as it can be created again. It holds whatever is written in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Box<Value>>,
    /// Ids that runs of earlier tries had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<JobId>,
}

/// Whether its pod can be talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagerPod {
    /// It is not there yet, or not ready.
    Starting,
    /// It is ready.
    Up,
    /// It has ended, and is not started again: why.
    Ended(String),
}

/// The object as it was just read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerSeen {
    /// Which object of this name it is.
    pub uid: String,
    /// Its version, which each change of it raises.
    pub version: String,
    /// The container of the JobManager.
    pub container: String,
    /// The container's command; without one the image's own is run.
    pub command: Vec<String>,
    /// The container's arguments.
    pub args: Vec<String>,
    /// A digest of the arguments.
    pub args_digest: String,
    /// A digest of all else, as in [`Manager::rest`].
    pub rest: String,
    /// Whether it is being deleted.
    pub is_going: bool,
    /// Its pod.
    pub pod: ManagerPod,
    /// Why it cannot be used, with the setting that would allow it.
    pub hindrance: Option<String>,
}

/// A run of the job: its id, and its sizes.
#[derive(Clone, Copy, Debug)]
pub struct WantedRun<'a> {
    /// The id.
    pub id: JobId,
    /// The sizes.
    pub sizes: &'a BTreeMap<VertexId, Parallelism>,
}

/// What the object is, beside a run that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagerIs {
    /// As it was before, or of another run of ours: to be changed.
    ToChange,
    /// Of the run that is wanted.
    AsWanted,
    /// Being deleted.
    Going,
    /// Somebody else's by now: why.
    Others(String),
}

impl Manager {
    /// Its kind and name, for people.
    pub fn shown(&self) -> String {
        format!("{} {}", self.kind.name(), self.name)
    }

    /// The arguments by which an object like `seen` runs the job again.
    ///
    /// # Errors
    /// When they are none of a JobManager in application mode.
    pub fn arguments(
        seen: &ManagerSeen,
        run: WantedRun<'_>,
        savepoint: &str,
    ) -> Result<Vec<String>, NoArguments> {
        run_again(&seen.command, &seen.args, RunAgain { id: run.id, savepoint, sizes: run.sizes })
    }

    /// What somebody else has done to it, where nothing of ours was written yet.
    pub fn changed_since(&self, seen: &ManagerSeen) -> Option<String> {
        let others = |what: &str| Some(format!("somebody else has {what} {}", self.shown()));
        // Who has scaled it down means it so.
        if let Some(hindrance) = seen.hindrance.as_ref().filter(|_| !seen.is_going) {
            return Some(hindrance.clone());
        }
        match () {
            () if seen.uid != self.uid => others("deleted and created"),
            () if seen.is_going => others("deleted"),
            () if seen.rest != self.rest => others("changed"),
            () if seen.args_digest != self.args => others("changed the arguments of"),
            () => None,
        }
    }

    /// What the object is by now, where `wanted` is to run from the savepoint, and `other` is the other one of the two runs that there
    /// may be.
    pub fn compare(
        &self,
        seen: &ManagerSeen,
        wanted: WantedRun<'_>,
        other: WantedRun<'_>,
        savepoint: &str,
    ) -> ManagerIs {
        let others = |what: &str| ManagerIs::Others(format!("somebody else has {what} {}", self.shown()));
        // Who has scaled it down means it so.
        if let (Some(hindrance), false) = (&seen.hindrance, seen.is_going) {
            return ManagerIs::Others(hindrance.clone());
        }
        let says =
            |run: WantedRun<'_>| Self::arguments(seen, run, savepoint).is_ok_and(|args| args == seen.args);
        let id = job_id(&seen.command, &seen.args).ok().flatten();
        let is_earlier = id.is_some_and(|id| self.earlier.contains(&id));
        match self.kind {
            ManagerKind::Deployment if seen.uid != self.uid => others("deleted and created"),
            ManagerKind::Deployment if seen.is_going => others("deleted"),
            ManagerKind::Deployment if seen.rest != self.rest => others("changed"),
            // A Job that is deleted makes place for the next one, whoever deletes it.
            ManagerKind::Job if seen.is_going => ManagerIs::Going,
            ManagerKind::Job if seen.uid == self.uid => ManagerIs::ToChange,
            ManagerKind::Job if seen.rest != self.rest => others("created another"),
            _ if says(wanted) => ManagerIs::AsWanted,
            _ if says(other) || is_earlier => ManagerIs::ToChange,
            ManagerKind::Deployment if seen.args_digest == self.args => ManagerIs::ToChange,
            _ => others("changed the arguments of"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCATION: &str = "file:/s/1";

    fn sizes(size: u64) -> BTreeMap<VertexId, Parallelism> {
        [(VertexId::from_bits(1), Parallelism::clamped(size))].into()
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn seen(uid: &str, rest: &str, args: &str) -> ManagerSeen {
        ManagerSeen {
            uid: uid.to_owned(),
            version: "1".to_owned(),
            container: "jobmanager".to_owned(),
            command: Vec::new(),
            args: words(args),
            args_digest: args.to_owned(),
            rest: rest.to_owned(),
            is_going: false,
            pod: ManagerPod::Up,
            hindrance: None,
        }
    }

    const BEFORE: &str = "standalone-job --job-classname a.B --topic orders";

    fn manager(kind: ManagerKind) -> Manager {
        Manager {
            kind,
            namespace: "shop".to_owned(),
            name: "orders".to_owned(),
            uid: "u".to_owned(),
            args: BEFORE.to_owned(),
            rest: "r".to_owned(),
            started: 5,
            is_highly_available: false,
            savepoint_before: None,
            object: None,
            earlier: vec![JobId::from_bits(5)],
        }
    }

    #[test]
    fn only_what_is_as_it_was_is_changed() {
        use ManagerIs::{AsWanted, Going, ToChange};
        let (new, old) = (sizes(4), sizes(2));
        let wanted = WantedRun { id: JobId::from_bits(8), sizes: &new };
        let other = WantedRun { id: JobId::from_bits(9), sizes: &old };
        let ours =
            |run| Manager::arguments(&seen("u", "r", BEFORE), run, LOCATION).expect("arguments").join(" ");
        let earlier = format!("standalone-job --job-id {} -s x", JobId::from_bits(5));
        let deployment = ManagerKind::Deployment;
        for (kind, uid, rest, args, expected) in [
            (deployment, "u", "r", BEFORE, Some(ToChange)),
            (deployment, "u", "r", &*ours(other), Some(ToChange)),
            (deployment, "u", "r", &*ours(wanted), Some(AsWanted)),
            (deployment, "u", "r", &*earlier, Some(ToChange)),
            // From another savepoint, under another id, of another image.
            (deployment, "u", "r", &*format!("{BEFORE} -n"), None),
            (deployment, "u", "r", &*ours(wanted).replace("/s/1", "/s/2"), None),
            (deployment, "u", "other", BEFORE, None),
            (deployment, "v", "r", BEFORE, None),
            (ManagerKind::Job, "u", "r", BEFORE, Some(ToChange)),
            (ManagerKind::Job, "v", "r", &*ours(wanted), Some(AsWanted)),
            (ManagerKind::Job, "v", "r", &*ours(other), Some(ToChange)),
            // Somebody has created it again as it was, which runs it from its beginning.
            (ManagerKind::Job, "v", "r", BEFORE, None),
            (ManagerKind::Job, "v", "other", &*ours(wanted), None),
        ] {
            let got = manager(kind).compare(&seen(uid, rest, args), wanted, other, LOCATION);
            let is_it = match &expected {
                Some(expected) => got == *expected,
                None => matches!(got, ManagerIs::Others(_)),
            };
            assert!(is_it, "{kind:?} {uid} {rest} {args}: {got:?}");
        }
        let mut going = seen("u", "r", BEFORE);
        going.is_going = true;
        assert_eq!(manager(ManagerKind::Job).compare(&going, wanted, other, LOCATION), Going);
        let gone = manager(deployment).compare(&going, wanted, other, LOCATION);
        assert!(matches!(gone, ManagerIs::Others(_)), "{gone:?}");
        let mut off = seen("u", "r", BEFORE);
        off.hindrance = Some("it was scaled to 0".to_owned());
        let off = manager(deployment).compare(&off, wanted, other, LOCATION);
        assert_eq!(off, ManagerIs::Others("it was scaled to 0".to_owned()));
    }
}
