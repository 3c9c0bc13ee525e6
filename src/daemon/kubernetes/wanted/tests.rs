//! Which jobs the objects of a cluster ask for, and what is said of those that cannot be had.

use k8s_openapi::api::core::v1::Service;
use kube::core::TypeMeta;

use super::super::world::autoscalers;
use super::*;
use crate::policy::{Pause, Rival};

fn object(kind: &str, key: &str, document: Value) -> Arc<DynamicObject> {
    let (namespace, name) = key.split_once('/').expect("a key");
    let mut object = DynamicObject::new(name, &autoscalers()).within(namespace);
    object.types = Some(TypeMeta { api_version: "tidegate.dev/v1alpha1".to_owned(), kind: kind.to_owned() });
    object.data = document;
    object.metadata.uid = Some(format!("uid of {key}"));
    Arc::new(object)
}

#[expect(clippy::needless_pass_by_value, reason = "rows are easier to read without a reference each")]
fn autoscaler(key: &str, spec: Value) -> Arc<DynamicObject> {
    object("FlinkAutoscaler", key, json!({"spec": spec, "status": {"anything": 1}}))
}

#[expect(clippy::needless_pass_by_value, reason = "as above")]
fn policy(key: &str, spec: Value) -> Arc<DynamicObject> {
    object("ScalingPolicy", key, json!({"spec": spec}))
}

fn service(document: Value) -> Arc<Service> {
    Arc::new(serde_json::from_value(document).expect("a Service"))
}

fn wanted(objects: &Objects) -> BTreeMap<Key, Wanted> {
    Checked::default().wanted(objects, &BTreeMap::new(), &Library::built_in(), None, false)
}

fn only(wanted: BTreeMap<Key, Wanted>) -> Result<Arc<Setup>, Refused> {
    assert_eq!(wanted.len(), 1);
    wanted.into_values().next().expect("one").what
}

fn url(job: &str) -> Value {
    json!({"url": "http://jm:8081", "job": job})
}

#[test]
fn a_policy_is_one_of_the_namespace_or_a_built_in_one() {
    let quick = |cooldown: &str| json!({"rules": [{"throughput": {}}], "limits": {"cooldown": cooldown}});
    for (name, cooldown) in [("throughput", "2m"), ("mine", "7s"), ("cautious", "9s")] {
        let objects = Objects {
            autoscalers: vec![autoscaler("s/a", json!({"flink": url("x"), "policyRef": {"name": name}}))],
            policies: vec![
                policy("s/mine", quick("7s")),
                // It goes before the built-in one of the name.
                policy("s/cautious", quick("9s")),
                policy("other/throughput", quick("5s")),
            ],
            ..Objects::default()
        };
        let setup = only(wanted(&objects)).expect("it is right");
        assert_eq!(setup.policy.spec.limits.cooldown.to_string(), cooldown, "{name}");
    }
}

#[test]
fn says_why_a_job_is_not_scaled_and_goes_on_with_the_others() {
    let objects = Objects {
        autoscalers: vec![
            autoscaler("s/right", json!({"flink": url("x")})),
            autoscaler("s/no-policy", json!({"flink": url("y"), "policyRef": {"name": "thruput"}})),
            autoscaler("s/bad-policy", json!({"flink": url("z"), "policyRef": {"name": "bad"}})),
            autoscaler("s/bad", json!({"flink": {"url": "jm:8081", "job": "u"}, "mod": "Auto"})),
            autoscaler("s/no-service", json!({"flink": {"service": {"name": "gone"}}})),
            autoscaler("s/nothing", Value::Null),
        ],
        policies: vec![policy("s/bad", json!({"rules": [{"throughput": {"catchUp": "5x"}}]}))],
        ..Objects::default()
    };
    let said: Vec<(String, &str, String)> = wanted(&objects)
        .into_iter()
        .filter_map(|(key, wanted)| Some((key.name, wanted.what.err()?)))
        .map(|(name, refused)| (name, refused.reason, refused.message))
        .collect();
    let expected = [
        (
            "bad",
            "InvalidSpec",
            "spec.flink.url: expected http:// or https:// and a host, not \"jm:8081\"; spec: unknown field `mod`; did you mean \
             `mode`?",
        ),
        (
            "bad-policy",
            "InvalidPolicy",
            "the policy's spec.rules[0].throughput.catchUp: expected a length of time such as 90s, 5m or 1h30m, not \
             \"5x\"",
        ),
        (
            "no-policy",
            "PolicyNotFound",
            "spec.policyRef.name: unknown policy `thruput`; did you mean `throughput`?",
        ),
        ("no-service", "ServiceNotFound", "there is no Service gone in the namespace s"),
        ("nothing", "InvalidSpec", "document: `spec` is missing: What it says"),
    ];
    assert_eq!(
        said.iter().map(|(name, reason, message)| (&**name, *reason, &**message)).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn a_service_is_resolved_to_its_url() {
    let objects = Objects {
        autoscalers: vec![autoscaler("s/a", json!({"flink": {"service": {"name": "jm"}, "job": "x"}}))],
        services: vec![service(json!({
            "metadata": {"namespace": "s", "name": "jm"},
            "spec": {"ports": [{"name": "rest", "port": 80}]},
        }))],
        ..Objects::default()
    };
    assert_eq!(only(wanted(&objects)).expect("it is right").spec.flink.url, "http://jm.s.svc:80");
}

#[test]
fn annotations_pause_and_labels_are_there_for_rules() {
    let mut one = autoscaler("s/a", json!({"flink": url("x")}));
    let metadata = &mut Arc::get_mut(&mut one).expect("one").metadata;
    metadata.labels = Some([("tier".to_owned(), "gold".to_owned())].into());
    metadata.annotations = Some([("tidegate.dev/pause".to_owned(), "down".to_owned())].into());
    let setup = only(wanted(&Objects { autoscalers: vec![one], ..Objects::default() })).expect("it is right");
    assert_eq!(setup.policy.labels["tier"], "gold");
    assert_eq!(setup.policy.pauses, Pause::list("down").expect("a pause"));
}

#[test]
fn those_that_act_on_one_job_are_rivals_and_one_that_recommends_is_not() {
    for (mode, dry_run, is_rival) in
        [("Auto", false, true), ("Recommend", false, false), ("Auto", true, false)]
    {
        let objects = Objects {
            autoscalers: vec![
                autoscaler("s/a", json!({"flink": url("x")})),
                autoscaler("s/b", json!({"flink": {"url": "http://jm.s:8081", "job": "x"}, "mode": mode})),
            ],
            ..Objects::default()
        };
        let wanted =
            Checked::default().wanted(&objects, &BTreeMap::new(), &Library::built_in(), Some("a"), dry_run);
        let setup = only(wanted).expect("it is right");
        let rival = Rival::FlinkAutoscaler { namespace: "s".to_owned(), name: "b".to_owned() };
        let expected = if is_rival { vec![rival] } else { Vec::new() };
        assert_eq!(setup.policy.rivals, expected, "{mode} {dry_run}");
        assert_eq!(setup.policy.mode == Mode::Recommend, dry_run);
    }
}

#[test]
fn those_that_are_being_deleted_are_left_alone() {
    let mut one = autoscaler("s/a", json!({"flink": url("x")}));
    let metadata = &mut Arc::get_mut(&mut one).expect("one").metadata;
    metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-22T18:00:00Z")).ok();
    assert!(wanted(&Objects { autoscalers: vec![one], ..Objects::default() }).is_empty());
}

#[test]
fn beside_a_job_manager_this_host_is_another_for_each() {
    let local = || json!({"flink": {"url": "http://localhost:8081"}});
    for (only, is_rival) in [(None, true), (Some("a"), false)] {
        let objects = Objects {
            autoscalers: vec![autoscaler("s/a", local()), autoscaler("s/b", local())],
            ..Objects::default()
        };
        let wanted = Checked::default().wanted(&objects, &BTreeMap::new(), &Library::built_in(), only, false);
        let setup = wanted[&Key::new("s", "a")].what.clone().expect("it is right");
        assert_eq!(!setup.policy.rivals.is_empty(), is_rival, "{only:?}");
    }
}
