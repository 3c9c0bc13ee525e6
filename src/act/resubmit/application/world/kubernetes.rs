//! The object that runs the JobManager, its pod, and what the API server says and does.

use serde_json::{Value, json};

use super::super::super::faults::Goes;
use super::{Due, OLD, World};
use crate::act::played::api::{Asked, status_of};
use crate::model::{JobId, ManagerKind, VertexId};

/// Kubernetes notices a change within so long.
const NOTICES_WITHIN_MS: u64 = 1_000;
/// A pod that is created is started within so long.
const STARTS_WITHIN_MS: u64 = 1_500;
/// What ends again and again is started again after this long, twice that, and so on.
const BACK_OFF_MS: u64 = 10_000;
const LONGEST_BACK_OFF_MS: u64 = 300_000;
/// What has run for so long is started again at once (twice the longest back-off).
const FORGIVEN_AFTER_MS: u64 = 600_000;
/// A Job is given up after so many failures of its pod (`backoffLimit`).
const FAILURES: u32 = 6;

/// A Deployment or a Job.
#[derive(Clone, Debug)]
pub(in super::super) struct Object {
    uid: u64,
    version: u64,
    generation: u64,
    observed: u64,
    pub(in super::super) args: Vec<String>,
    pub(in super::super) image: String,
    /// Scaled to nothing, or suspended.
    pub(super) is_off: bool,
    is_going: bool,
    /// The condition that a Job has ended with.
    ended: Option<&'static str>,
}

/// The pod; its container runs by the arguments that it was created with.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    number: u64,
    pub(super) args: Vec<String>,
    image: String,
    pub(super) is_going: bool,
    pub(super) is_ready: bool,
    failures: u32,
    started: u64,
}

/// The value after an option.
fn value<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    args.iter().skip_while(|arg| *arg != name).nth(1).map(String::as_str)
}

/// The id, the savepoint and the sizes that arguments say.
pub(super) struct Says {
    pub(super) id: Option<JobId>,
    pub(super) savepoint: Option<String>,
    pub(super) sizes: Option<std::collections::BTreeMap<VertexId, u32>>,
}

pub(super) fn says(args: &[String]) -> Says {
    let overrides = format!("-D{}=", crate::model::OVERRIDES);
    let sizes = args.iter().find_map(|arg| arg.strip_prefix(&*overrides)).map(|pairs| {
        let read = |pair: &str| {
            let (vertex, size) = pair.split_once(':')?;
            Some((vertex.parse().ok()?, size.parse().ok()?))
        };
        pairs.split(',').filter_map(read).collect()
    });
    // Of several the first counts.
    let savepoint = value(args, "--fromSavepoint").or_else(|| value(args, "-s"));
    Says {
        id: value(args, "--job-id").and_then(|id| id.parse().ok()),
        savepoint: savepoint.map(str::to_owned),
        sizes,
    }
}

impl World {
    /// As it is when a schedule begins.
    pub(super) fn begin(&mut self) {
        let args = self.first_args();
        self.as_planned.0.clone_from(&args);
        self.create(args.clone());
        let number = self.number();
        self.pod = Some(Pod {
            number,
            args,
            image: "first".to_owned(),
            is_going: false,
            is_ready: true,
            failures: 0,
            started: 0,
        });
        self.first_process();
        self.due.retain(|_, what| matches!(what, Due::Somebody(_)));
    }

    pub(in super::super) fn first_args(&self) -> Vec<String> {
        let id = self.faults.names_its_id.then(|| ["--job-id".to_owned(), OLD.to_string()]);
        let args = ["standalone-job".to_owned()].into_iter().chain(id.into_iter().flatten());
        args.chain(["--job-classname", "a.B", "--topic", "orders"].map(str::to_owned)).collect()
    }

    fn create(&mut self, args: Vec<String>) {
        let uid = self.number();
        self.object = Some(Object {
            uid,
            version: uid + 1,
            generation: 1,
            observed: 1,
            args,
            image: "first".to_owned(),
            is_off: false,
            is_going: false,
            ended: None,
        });
        self.noticed();
    }

    fn noticed(&mut self) {
        let within = self.dice.below(NOTICES_WITHIN_MS) + 1;
        self.in_(within, Due::Notice);
    }

    /// Its spec was changed.
    pub(super) fn changed(&mut self) {
        if let Some(object) = &mut self.object {
            object.generation += 1;
            object.version += 1;
        }
        self.noticed();
    }

    /// Deleted: a Job is there until its pod is gone.
    pub(super) fn delete(&mut self) {
        match &mut self.object {
            Some(object) if self.faults.kind == ManagerKind::Job && self.pod.is_some() => {
                object.is_going = true;
                object.version += 1;
            }
            _ => self.object = None,
        }
        self.noticed();
    }

    /// Somebody deletes it, waits until it is gone, and creates it as it was in the beginning.
    pub(super) fn replace(&mut self) {
        self.end_pod_at_once();
        let args = self.first_args();
        self.create(args);
    }

    fn end_pod_at_once(&mut self) {
        self.process_is_gone();
        self.pod = None;
    }

    /// What is to be done about the pod.
    pub(super) fn notice(&mut self) {
        let is_job = self.faults.kind == ManagerKind::Job;
        let wanted = self.object.as_mut().filter(|object| !object.is_off && !object.is_going);
        let wanted = wanted.filter(|object| object.ended != Some("Failed"));
        let template = wanted.map(|object| (object.args.clone(), object.image.clone()));
        if let Some(object) = self.object.as_mut().filter(|object| object.observed != object.generation) {
            object.observed = object.generation;
            object.version += 1;
        }
        match (&mut self.pod, template) {
            (Some(pod), template) => {
                let is_right =
                    template.is_some_and(|(args, image)| is_job || pod.args == args && pod.image == image);
                if !is_right && !pod.is_going {
                    (pod.is_going, pod.is_ready) = (true, false);
                    let number = pod.number;
                    self.in_(self.faults.going_takes, Due::Gone(number));
                }
            }
            (None, Some((args, image))) => {
                let number = self.number();
                let started = self.now;
                self.pod =
                    Some(Pod { number, args, image, is_going: false, is_ready: false, failures: 0, started });
                let within = self.dice.below(STARTS_WITHIN_MS) + 1;
                self.in_(within, Due::Start(number));
            }
            (None, None) => {
                if self.object.as_ref().is_some_and(|object| object.is_going) {
                    self.object = None;
                }
            }
        }
    }

    pub(super) fn start(&mut self, number: u64) {
        let (now, is_probed) = (self.now, self.faults.is_probed);
        let Some(pod) = self.pod.as_mut().filter(|pod| pod.number == number && !pod.is_going) else { return };
        (pod.started, pod.is_ready) = (now, !is_probed);
        self.process_starts();
    }

    pub(super) fn gone(&mut self, number: u64) {
        if self.pod.as_ref().is_some_and(|pod| pod.number == number) {
            self.end_pod_at_once();
            self.noticed();
        }
    }

    /// The process of the pod's container has ended: with success, or not.
    pub(super) fn container_ends(&mut self, is_success: bool, at_least: u64) {
        let (now, is_job) = (self.now, self.faults.kind == ManagerKind::Job);
        let Some(pod) = &mut self.pod else { return };
        pod.is_ready = false;
        if pod.is_going {
            return;
        }
        if now - pod.started > FORGIVEN_AFTER_MS {
            pod.failures = 0;
        }
        let (number, failures) = (pod.number, pod.failures);
        pod.failures += 1;
        let ended = match (is_job, is_success) {
            (true, true) => Some("Complete"),
            (true, false) if failures >= FAILURES => Some("Failed"),
            _ => None,
        };
        if let Some(ended) = ended {
            if let Some(object) = &mut self.object {
                object.ended = Some(ended);
                object.version += 1;
            }
            if ended == "Failed" {
                self.noticed();
            }
            return;
        }
        let back_off = match failures {
            0 => 300,
            before => (BACK_OFF_MS << (before - 1).min(5)).min(LONGEST_BACK_OFF_MS),
        };
        self.in_(back_off.max(at_least), Due::Start(number));
    }

    /// A request to the API server.
    pub(super) fn api(&mut self, asked: &Asked, may_be_late: bool) -> Option<(u16, Value)> {
        if self.server_away_until > self.now || self.is_lost() {
            return None;
        }
        if asked.method == "GET" {
            return Some(match &self.object {
                Some(object) => (200, self.shown(object)),
                None => refused(404, "not found"),
            });
        }
        let is_tried = asked.query.contains("dryRun=All") || body(asked)["dryRun"].is_array();
        if may_be_late
            && !is_tried
            && let Some(millis) = self.is_late()
        {
            self.in_(millis, Due::LateChange(asked.clone()));
            self.advance(super::TIMEOUT_MS);
            return None;
        }
        if self.dice.percent(self.faults.conflicts)
            && let Some(object) = &mut self.object
        {
            object.version += 1;
        }
        let (status, answer) = self.change(asked, false);
        if !is_tried {
            self.note(format!("{} {}: {status}", asked.method, asked.path));
        }
        (!self.is_lost()).then_some((status, answer))
    }

    pub(super) fn change(&mut self, asked: &Asked, is_late: bool) -> (u16, Value) {
        let body = body(asked);
        let is_tried = asked.query.contains("dryRun=All") || body["dryRun"].is_array();
        if self.happened.forbidden {
            return refused(403, "tidegate may not do that");
        }
        let args = |object: &Value| -> Vec<String> {
            let args = &object["spec"]["template"]["spec"]["containers"][0]["args"];
            serde_json::from_value(args.clone()).expect("arguments")
        };
        if asked.method == "POST" {
            if is_tried {
                return (201, body);
            }
            if self.object.is_some() {
                return refused(409, "it exists");
            }
            let args = args(&body);
            self.judge_write(None, &args, is_late);
            self.create(args);
            return (201, body);
        }
        let Some(object) = self.object.clone() else { return refused(404, "not found") };
        if asked.method == "DELETE" {
            if body["preconditions"]["uid"].as_str() != Some(&*format!("u{}", object.uid)) {
                return refused(409, "the uid is another");
            }
            if is_tried {
                self.as_planned = (object.args.clone(), object.image.clone());
            } else {
                self.happened.blind |= self.is_blind();
                self.judge_deletion(&object);
                self.delete();
            }
            return (200, self.shown(&object));
        }
        if body["metadata"]["resourceVersion"].as_str() != Some(&*object.version.to_string()) {
            return refused(409, "the object has been modified");
        }
        if is_tried {
            self.as_planned = (object.args.clone(), object.image.clone());
        } else {
            let args = args(&body);
            self.judge_write(Some(&object), &args, is_late);
            if let Some(object) = &mut self.object {
                object.args = args;
            }
            self.changed();
        }
        (200, self.shown(&object))
    }

    /// Whether nobody but us has changed it since it was looked at.
    fn is_known(&self, object: &Object) -> bool {
        let ours = [self.ours.target, self.ours.fallback];
        let (args, image) = &self.as_planned;
        let is_ours = says(&object.args).id.is_some_and(|id| ours.contains(&id));
        object.image == *image && !object.is_off && (object.args == *args || is_ours)
    }

    /// What may be written: a run of ours from a savepoint that there is, where nobody else has changed anything, and once.
    fn judge_write(&mut self, before: Option<&Object>, args: &[String], is_late: bool) {
        let Says { id, savepoint, sizes } = says(args);
        let ours = &self.ours;
        let is_ours = (id == Some(ours.target) && sizes.as_ref() == Some(&ours.to))
            || (id == Some(ours.fallback) && sizes.as_ref() == Some(&ours.from));
        let is_there = self.session.savepoints().any(|known| Some(known) == savepoint.as_deref());
        let is_after_the_other = self.written.contains(&ours.fallback) && id == Some(ours.target);
        let is_known = before.is_none_or(|object| self.is_known(object));
        let mut wrong = |what: &str| {
            let before = before.map(|object| (&object.args, &object.image, object.is_off));
            self.wrong.push(format!("{what}, at {}: {args:?} in the place of {before:?}", self.now));
        };
        if !is_ours {
            wrong("that is no run of ours");
        }
        if !is_there {
            wrong("there is no such savepoint");
        }
        if let Some(before) = before {
            if !is_known {
                wrong("somebody else has changed it");
            }
            if before.args == args {
                wrong("it is written a second time");
            }
        }
        if is_after_the_other && !is_late {
            wrong("the new size is run after the old one");
        }
        self.written.extend(id);
        self.happened.blind |= before.is_some() && self.is_blind();
    }

    fn judge_deletion(&mut self, object: &Object) {
        if !self.is_known(object) {
            self.wrong.push(format!("somebody else's is deleted, at {}: {object:?}", self.now));
        }
    }

    fn shown(&self, object: &Object) -> Value {
        let kind = self.faults.kind;
        let pod = self.pod.as_ref();
        let (is_ready, is_there) =
            (pod.is_some_and(|pod| pod.is_ready), pod.is_some_and(|pod| !pod.is_going));
        let mut spec = json!({
            "template": {"metadata": {}, "spec": {"containers": [
                {"name": "jobmanager", "image": object.image, "args": object.args},
            ]}},
        });
        let status = match kind {
            ManagerKind::Deployment => {
                spec["replicas"] = json!(u32::from(!object.is_off));
                spec["strategy"] = json!({"type": "Recreate"});
                let is_current = pod.is_some_and(|pod| pod.args == object.args && pod.image == object.image);
                json!({
                    "observedGeneration": object.observed,
                    "updatedReplicas": u32::from(is_there && is_current),
                    "readyReplicas": u32::from(is_ready),
                    "unavailableReplicas": u32::from(!is_ready),
                })
            }
            ManagerKind::Job => {
                spec["suspend"] = json!(object.is_off);
                let conditions =
                    object.ended.map(|kind| json!({"type": kind, "status": "True", "message": kind}));
                json!({
                    "active": u32::from(is_there && object.ended.is_none()),
                    "ready": u32::from(is_ready),
                    "conditions": conditions.into_iter().collect::<Vec<_>>(),
                })
            }
        };
        let mut metadata = json!({
            "name": "jm", "namespace": "shop", "uid": format!("u{}", object.uid),
            "resourceVersion": object.version.to_string(), "generation": object.generation,
        });
        if object.is_going {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        json!({"metadata": metadata, "spec": spec, "status": status})
    }

    /// How a run of these sizes goes, by the arguments of ours.
    pub(super) fn goes(&self, id: JobId) -> Goes {
        if id == self.ours.target {
            self.faults.new_size
        } else if id == self.ours.fallback {
            self.faults.old_size
        } else {
            Goes::Well
        }
    }
}

fn body(asked: &Asked) -> Value {
    serde_json::from_slice(&asked.body).unwrap_or_default()
}

fn refused(status: u16, what: &str) -> (u16, Value) {
    (status, status_of(status, what))
}
