//! What Tidegate asks of the API server, each right with what it costs to be without it. `deploy/` grants the same, and a test
//! holds the two together.

use super::super::finding::Weight;

/// A kind of thing, what is to be done to it, and what it costs when that is refused.
pub(super) struct Need {
    pub(super) group: &'static str,
    /// The plural, with its subresource after a slash.
    pub(super) resource: &'static str,
    /// The one thing that is meant, in Tidegate's own namespace; all of the kind, in the job's, without one.
    pub(super) name: Option<&'static str>,
    pub(super) verbs: &'static [&'static str],
    pub(super) weight: Weight,
    pub(super) costs: &'static str,
}

const READ: &[&str] = &["get", "list", "watch"];

const fn need(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    weight: Weight,
    costs: &'static str,
) -> Need {
    Need { group, resource, name: None, verbs, weight, costs }
}

/// Whatever is scaled.
pub(super) const NEEDS: [Need; 11] = {
    use Weight::{Hinders, Note, Prevents};
    [
        need("tidegate.dev", "flinkautoscalers", READ, Prevents, "no job is looked after"),
        need("tidegate.dev", "scalingpolicies", READ, Prevents, "no policy is known but the built-in ones"),
        need(
            "tidegate.dev",
            "flinkautoscalers/status",
            &["patch"],
            Hinders,
            "no status says what is done and why",
        ),
        need(
            "",
            "configmaps",
            &["get", "create", "update", "patch"],
            Prevents,
            "nothing is rescaled that cannot be written down before",
        ),
        Need {
            group: "coordination.k8s.io",
            resource: "leases",
            name: Some("tidegate"),
            verbs: &["get", "update"],
            weight: Prevents,
            costs: "who leads cannot be settled, and so nobody acts",
        },
        need(
            "",
            "pods",
            READ,
            Prevents,
            "the pods of a workload are not seen: nothing shrinks, and no TaskManagers are added",
        ),
        need("", "pods", &["patch"], Hinders, "idle pods cannot be marked to go first, so none is removed"),
        need("", "services", READ, Hinders, "a FlinkAutoscaler cannot name Flink by its Service"),
        need(
            "autoscaling",
            "horizontalpodautoscalers",
            READ,
            Hinders,
            "an HPA on the same workload is not noticed: the two work against each other",
        ),
        need("events.k8s.io", "events", &["create", "patch"], Note, "no Event tells what is done"),
        need(
            "metrics.k8s.io",
            "pods",
            &["get", "list"],
            Note,
            "a `resource` rule is silent, and its policy never shrinks",
        ),
    ]
};

/// A workload of one of the kinds in the group `apps`, by its plural.
pub(super) const OF_WORKLOADS: [(&str, &[&str], Weight, &str); 3] = [
    ("", READ, Weight::Hinders, "what its pods may need is not seen"),
    (
        "/scale",
        &["get"],
        Weight::Prevents,
        "its size is not seen: nothing shrinks, and no TaskManagers are added",
    ),
    ("/scale", &["patch"], Weight::Prevents, "no TaskManagers are added or removed"),
];

/// The resource of an operator that an autoscaler names.
pub(super) const OF_OPERATORS: [(&[&str], Weight, &str); 2] = [
    (&["get"], Weight::Prevents, "an operator's resource is not seen, and its job not rescaled"),
    (&["patch"], Weight::Prevents, "an operator cannot be asked for another size of its job"),
];

/// The Deployment of a JobManager that an autoscaler names.
pub(super) const OF_DEPLOYMENTS: &[(&[&str], Weight, &str)] = &[
    (&["get"], Weight::Prevents, "the JobManager's Deployment is not seen, and its job not rescaled"),
    (&["patch"], Weight::Prevents, "the JobManager cannot be given the savepoint and the size of its job"),
];

/// The same of a Job.
pub(super) const OF_JOBS: &[(&[&str], Weight, &str)] = &[
    (&["get"], Weight::Prevents, "the JobManager's Job is not seen, and its job not rescaled"),
    (&["delete"], Weight::Prevents, "the JobManager's Job cannot make place for one of another size"),
    (&["create"], Weight::Prevents, "the JobManager's Job cannot be created at another size"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Group, resource and verb, of all rules in a file.
    fn granted(text: &str) -> BTreeSet<(String, String, String)> {
        let list = |line: &str| -> Vec<String> {
            let inner =
                line.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(inner, _)| inner);
            let inner = inner.unwrap_or_else(|| panic!("{line} is no list"));
            inner.split(',').map(|one| one.trim().trim_matches('"').to_owned()).collect()
        };
        let (mut groups, mut resources, mut all) = (Vec::new(), Vec::new(), BTreeSet::new());
        for line in text.lines() {
            if line.starts_with("- apiGroups:") {
                groups = list(line);
            } else if line.starts_with("  resources:") {
                resources = list(line);
            } else if line.starts_with("  verbs:") {
                for group in &groups {
                    for resource in &resources {
                        let each = list(line).into_iter().map(|verb| (group.clone(), resource.clone(), verb));
                        all.extend(each);
                    }
                }
            }
        }
        all
    }

    #[test]
    fn what_is_needed_is_what_deploy_grants() {
        let mut granted_by_deploy = granted(include_str!("../../../deploy/kustomize/base/clusterroles.yaml"));
        granted_by_deploy.extend(granted(include_str!("../../../deploy/kustomize/base/lease.yaml")));
        granted_by_deploy.extend(granted(include_str!("../../../deploy/kustomize/operator/operate.yaml")));
        granted_by_deploy.extend(granted(include_str!("../../../deploy/kustomize/application/manage.yaml")));
        // Each with the other way to do the same, which is not gone.
        granted_by_deploy.retain(|(_, resource, verb)| match &**resource {
            "leases" => verb != "patch",
            resource => !(resource.ends_with("/scale") && verb == "update"),
        });
        let own = |group: &str, resource: &str, verb: &str| {
            (group.to_owned(), resource.to_owned(), verb.to_owned())
        };
        let mut needed = BTreeSet::new();
        for need in &NEEDS {
            needed.extend(need.verbs.iter().map(|verb| own(need.group, need.resource, verb)));
        }
        for kind in ["deployments", "statefulsets"] {
            for (subresource, verbs, ..) in OF_WORKLOADS {
                let resource = format!("{kind}{subresource}");
                needed.extend(verbs.iter().map(|verb| own("apps", &resource, verb)));
            }
        }
        for plural in ["flinkdeployments", "flinksessionjobs"] {
            for (verbs, ..) in OF_OPERATORS {
                needed.extend(verbs.iter().map(|verb| own("flink.apache.org", plural, verb)));
            }
        }
        for (group, plural, needs) in [("apps", "deployments", OF_DEPLOYMENTS), ("batch", "jobs", OF_JOBS)] {
            for (verbs, ..) in needs {
                needed.extend(verbs.iter().map(|verb| own(group, plural, verb)));
            }
        }
        assert_eq!(needed, granted_by_deploy);
    }
}
