//! What a Deployment or a Job says of the JobManager that it runs.

use serde_json::{Value, json};

use super::super::operator::digest;
use crate::model::{JobId, Manager, ManagerKind, ManagerPod, ManagerSeen, WantedRun, job_id};

/// Labels that a Job's controller gives to its pods, of that one Job.
const OF_ONE_JOB: [&str; 4] =
    ["controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name"];

/// Reads it.
///
/// # Errors
/// When no container of it is a JobManager in application mode.
pub(super) fn seen(kind: ManagerKind, tree: &Value) -> Result<ManagerSeen, String> {
    let (metadata, spec) = (&tree["metadata"], &tree["spec"]);
    let containers = spec["template"]["spec"]["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let mut why = "it has no containers".to_owned();
    let found = containers.iter().find(|container| {
        match job_id(&texts(&container["command"]), &texts(&container["args"])) {
            Ok(_) => true,
            Err(error) => {
                why = format!("container {}: {error}", text(&container["name"]));
                false
            }
        }
    });
    let Some(container) = found else { return Err(why) };
    let args = texts(&container["args"]);
    let mut seen = ManagerSeen {
        uid: text(&metadata["uid"]),
        version: text(&metadata["resourceVersion"]),
        container: text(&container["name"]),
        command: texts(&container["command"]),
        args_digest: digest(&json!(args)),
        args,
        rest: String::new(),
        is_going: !metadata["deletionTimestamp"].is_null(),
        pod: pod(kind, tree),
        hindrance: hindrance(kind, tree),
    };
    seen.rest = rest(&seen, spec);
    Ok(seen)
}

/// A digest of the pods' template, where the arguments are such as every run of ours has.
fn rest(seen: &ManagerSeen, spec: &Value) -> String {
    let none = std::collections::BTreeMap::new();
    let any = WantedRun { id: JobId::from_bits(0), sizes: &none };
    let args = Manager::arguments(seen, any, "").unwrap_or_default();
    let mut template = with_args_in(spec["template"].clone(), &seen.container, &args);
    forget_the_one_job(&mut template);
    digest(&template)
}

fn pod(kind: ManagerKind, tree: &Value) -> ManagerPod {
    let status = &tree["status"];
    let count = |field: &str| status[field].as_u64().unwrap_or(0);
    let is_up = match kind {
        ManagerKind::Deployment => {
            let is_current = status["observedGeneration"] == tree["metadata"]["generation"];
            is_current
                && count("updatedReplicas") > 0
                && count("readyReplicas") > 0
                && count("unavailableReplicas") == 0
        }
        ManagerKind::Job => {
            let conditions = status["conditions"].as_array().map_or(&[][..], Vec::as_slice);
            let is_so = |kind: &str| {
                conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == "True")
            };
            if let Some(failed) = is_so("Failed") {
                return ManagerPod::Ended(format!("its Job has failed: {}", text(&failed["message"])));
            }
            if is_so("Complete").is_some() {
                return ManagerPod::Ended("its Job is complete".to_owned());
            }
            count("active") > 0 && count("ready") > 0
        }
    };
    if is_up { ManagerPod::Up } else { ManagerPod::Starting }
}

fn hindrance(kind: ManagerKind, tree: &Value) -> Option<String> {
    let spec = &tree["spec"];
    let owners = tree["metadata"]["ownerReferences"].as_array().map_or(&[][..], Vec::as_slice);
    if let Some(owner) = owners.iter().find(|owner| owner["controller"] == true) {
        let (kind, name) = (text(&owner["kind"]), text(&owner["name"]));
        return Some(format!(
            "it belongs to {kind} {name}, which would put it back: name what runs the job in `spec.operator`"
        ));
    }
    match kind {
        ManagerKind::Deployment => {
            let replicas = spec["replicas"].as_u64().unwrap_or(1);
            if replicas != 1 {
                return Some(format!(
                    "it has {replicas} replicas: one runs its job, and is stopped with it; set `replicas: 1`"
                ));
            }
            (spec["strategy"]["type"] != "Recreate").then(|| {
                "its new JobManager would be started beside the old one, and both would run the job: set \
                 `strategy: {type: Recreate}`"
                    .to_owned()
            })
        }
        ManagerKind::Job => {
            if spec["suspend"] == true {
                return Some("it is suspended".to_owned());
            }
            let pods = spec["parallelism"].as_u64().unwrap_or(1);
            (pods != 1).then(|| format!("it runs {pods} pods, and not one: set `parallelism: 1`"))
        }
    }
}

/// The patch that gives the JobManager of a Deployment other arguments.
pub(super) fn patch(container: &str, args: &[String]) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": container, "args": args}]}}}})
}

pub(super) fn with_args(object: &Value, container: &str, args: &[String]) -> Value {
    let mut object = object.clone();
    let template = object["spec"]["template"].take();
    object["spec"]["template"] = with_args_in(template, container, args);
    object
}

fn with_args_in(mut template: Value, container: &str, args: &[String]) -> Value {
    let containers = template["spec"]["containers"].as_array_mut();
    let its = containers.and_then(|all| all.iter_mut().find(|one| one["name"] == container));
    if let Some(its) = its {
        its["args"] = json!(args);
    }
    template
}

/// A Job without what belongs to the one that it is read from.
pub(super) fn to_create(tree: &Value) -> Value {
    let mut object = tree.clone();
    let of_one = [
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
        "finalizers",
    ];
    remove(&mut object["metadata"], &of_one);
    remove(&mut object, &["status"]);
    if object["spec"]["manualSelector"] != true {
        remove(&mut object["spec"], &["selector"]);
        forget_the_one_job(&mut object["spec"]["template"]);
        remove(&mut object["metadata"]["labels"], &OF_ONE_JOB);
    }
    object
}

fn forget_the_one_job(template: &mut Value) {
    remove(&mut template["metadata"], &["creationTimestamp"]);
    remove(&mut template["metadata"]["labels"], &OF_ONE_JOB);
}

fn remove(object: &mut Value, fields: &[&str]) {
    if let Some(object) = object.as_object_mut() {
        for field in fields {
            object.remove(*field);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().map_or(&[][..], Vec::as_slice).iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Value {
        json!({
            "metadata": {"name": "jm", "uid": "u", "resourceVersion": "7", "generation": 3},
            "spec": {
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "template": {"metadata": {"labels": {"app": "flink"}}, "spec": {"containers": [
                    {"name": "logs", "image": "l", "args": ["-v"]},
                    {"name": "jobmanager", "image": "flink:2.3", "args": ["standalone-job", "-j", "a.B"]},
                ]}},
            },
            "status": {"observedGeneration": 3, "updatedReplicas": 1, "readyReplicas": 1},
        })
    }

    fn job() -> Value {
        let mut job = deployment();
        job["apiVersion"] = json!("batch/v1");
        job["kind"] = json!("Job");
        remove(&mut job["spec"], &["replicas", "strategy"]);
        job["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
        job["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
        job["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}});
        job["spec"]["template"]["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] = json!("u");
        job["spec"]["template"]["metadata"]["labels"]["job-name"] = json!("jm");
        job["status"] = json!({"active": 1, "ready": 1});
        job
    }

    /// The tree with a value at a pointer.
    fn with(mut tree: Value, pointer: &str, value: Value) -> Value {
        let (around, field) = pointer.rsplit_once('/').expect("a pointer");
        tree.pointer_mut(around).expect(around)[field] = value;
        tree
    }

    #[test]
    fn the_container_of_the_jobmanager_is_found_by_its_arguments() {
        let found = seen(ManagerKind::Deployment, &deployment()).expect("a JobManager");
        assert_eq!((&*found.container, &*found.uid, &*found.version), ("jobmanager", "u", "7"));
        assert_eq!(found.args, ["standalone-job", "-j", "a.B"]);
        assert_eq!((found.pod, found.hindrance, found.is_going), (ManagerPod::Up, None, false));
        let session = with(deployment(), "/spec/template/spec/containers/1/args", json!(["jobmanager"]));
        let why = seen(ManagerKind::Deployment, &session).expect_err("it is a session cluster's");
        assert!(why.contains("jobmanager") && why.contains("standalone-job"), "{why}");
    }

    #[test]
    fn another_run_is_no_other_template_and_anything_else_is() {
        let rest = |tree: &Value| seen(ManagerKind::Deployment, tree).expect("a JobManager").rest;
        let args = "/spec/template/spec/containers/1/args";
        let ours = json!([
            "standalone-job",
            "--job-id",
            "00000000000000000000000000000007",
            "-s",
            "file:/x",
            "-j",
            "a.B"
        ]);
        for (pointer, value, is_same) in [
            (args, ours, true),
            (args, json!(["standalone-job", "-Dparallelism.default=4", "-j", "a.B"]), true),
            ("/spec/replicas", json!(0), true),
            ("/metadata/labels", json!({"a": "b"}), true),
            (args, json!(["standalone-job", "-j", "a.C"]), false),
            (args, json!(["standalone-job", "-j", "a.B", "--topic", "x"]), false),
            ("/spec/template/spec/containers/1/image", json!("flink:2.4"), false),
            ("/spec/template/metadata/annotations", json!({"restartedAt": "now"}), false),
        ] {
            let changed = with(deployment(), pointer, value.clone());
            assert_eq!(rest(&changed) == rest(&deployment()), is_same, "{pointer} {value}");
        }
    }

    #[test]
    fn what_cannot_be_used_names_the_setting_that_would_allow_it() {
        let owner = json!([{"kind": "FlinkDeployment", "name": "orders", "controller": true}]);
        for (kind, tree, setting) in [
            (
                ManagerKind::Deployment,
                with(deployment(), "/spec/strategy/type", json!("RollingUpdate")),
                "Recreate",
            ),
            (ManagerKind::Deployment, with(deployment(), "/spec/replicas", json!(2)), "replicas: 1"),
            (ManagerKind::Deployment, with(deployment(), "/spec/replicas", json!(0)), "replicas: 1"),
            (
                ManagerKind::Deployment,
                with(deployment(), "/metadata/ownerReferences", owner),
                "spec.operator",
            ),
            (ManagerKind::Job, with(job(), "/spec/suspend", json!(true)), "suspended"),
            (ManagerKind::Job, with(job(), "/spec/parallelism", json!(2)), "parallelism: 1"),
        ] {
            let hindrance = seen(kind, &tree).expect("a JobManager").hindrance.unwrap_or_default();
            assert!(hindrance.contains(setting), "{setting}: {hindrance:?}");
        }
        assert_eq!(seen(ManagerKind::Job, &job()).expect("a JobManager").hindrance, None);
    }

    #[test]
    fn a_pod_is_up_when_the_latest_spec_is() {
        use ManagerPod::{Starting, Up};
        let failed = json!([{"type": "Failed", "status": "True", "message": "too often"}]);
        let ended = ManagerPod::Ended("its Job has failed: too often".to_owned());
        for (kind, tree, expected) in [
            (ManagerKind::Deployment, deployment(), Up),
            (ManagerKind::Deployment, with(deployment(), "/metadata/generation", json!(4)), Starting),
            (ManagerKind::Deployment, with(deployment(), "/status/readyReplicas", json!(0)), Starting),
            (ManagerKind::Deployment, with(deployment(), "/status", json!({})), Starting),
            (ManagerKind::Job, job(), Up),
            (ManagerKind::Job, with(job(), "/status/ready", json!(0)), Starting),
            (ManagerKind::Job, with(job(), "/status/conditions", failed), ended),
        ] {
            assert_eq!(seen(kind, &tree).expect("a JobManager").pod, expected, "{tree}");
        }
    }

    #[test]
    fn a_job_is_created_again_with_nothing_of_the_one_before() {
        let before = seen(ManagerKind::Job, &job()).expect("a JobManager");
        let again = to_create(&job());
        let text = again.to_string();
        for part in
            ["uid", "resourceVersion", "managedFields", "job-name", "selector", "status", "foreground"]
        {
            assert!(!text.contains(part), "{part}: {text}");
        }
        assert_eq!(again["kind"], "Job");
        assert_eq!(seen(ManagerKind::Job, &again).expect("a JobManager").rest, before.rest);
        let args = ["standalone-job".to_owned(), "-j".to_owned(), "a.C".to_owned()];
        let other = with_args(&again, "jobmanager", &args);
        assert_eq!(other.pointer("/spec/template/spec/containers/1/args"), Some(&json!(args)));
        assert_eq!(
            other.pointer("/spec/template/spec/containers/0"),
            again.pointer("/spec/template/spec/containers/0")
        );
    }
}
