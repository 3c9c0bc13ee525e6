//! What in a Kubernetes gets in the way of scaling, what it costs, and the line that mends it.
//!
//! Comes in: a [`ClusterCheckup`]. Goes out: [`Finding`]s, the worst first. Pure, so that each is a row of a test.

use super::super::finding::{Finding, SKEW_MS, Weight};
use super::checkup::{ClusterCheckup, Denied, OperatorCheckup, WorkloadCheckup};
use crate::model::{Hindrance, OperatorState};

/// What gets in the way.
pub fn findings(seen: &ClusterCheckup) -> Vec<Finding> {
    let mut found = Vec::new();
    if !seen.missing.is_empty() {
        found.push(Finding {
            weight: Weight::Prevents,
            what: "NoDefinitions",
            about: None,
            found: format!("there are no {} here", seen.missing.join(" and no ")),
            costs: "no FlinkAutoscaler can be written",
            mend: "kubectl apply --server-side -k deploy/crd".to_owned(),
        });
    }
    found.extend(seen.denied.iter().map(|denied| denial(denied, &seen.namespace)));
    if !seen.has_metrics {
        found.push(Finding {
            weight: Weight::Note,
            what: "NoMetricsApi",
            about: None,
            found: "there is no resource metrics API".to_owned(),
            costs: "a `resource` rule is silent, and its policy never shrinks",
            mend: "install metrics-server, or name a Prometheus in spec.prometheus: its CPU does as well"
                .to_owned(),
        });
    }
    if let Some(skew) = seen.skew_ms.filter(|skew| skew.abs() > SKEW_MS) {
        let side = if skew > 0 { "before" } else { "behind" };
        found.push(Finding {
            weight: Weight::Hinders,
            what: "ClockSkew",
            about: None,
            found: format!("the API server's clock is {} s {side} ours", skew.abs() / 1000),
            costs: "when pods have started, and how old their CPU is, is told wrongly",
            mend: "NTP on both machines".to_owned(),
        });
    }
    for workload in &seen.workloads {
        of_workload(workload, &mut found);
    }
    for operator in &seen.operators {
        of_operator(operator, &mut found);
    }
    for (manager, why) in &seen.unfit_managers {
        found.push(Finding {
            weight: Weight::Prevents,
            what: "NoJobManager",
            about: Some(manager.clone()),
            found: why.clone(),
            costs: "its job is not rescaled by a savepoint",
            mend: "spec.savepoint.jobManager: the Deployment or Job that starts standalone-job".to_owned(),
        });
    }
    found.sort_by_key(|finding| finding.weight);
    found
}

fn denial(denied: &Denied, namespace: &str) -> Finding {
    let Denied { group, resource, verbs, weight, costs } = denied;
    let name = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
    Finding {
        weight: *weight,
        what: "Denied",
        about: Some(name),
        found: format!("may not {} in {namespace}", verbs.join(", ")),
        costs,
        mend: format!(
            "- {{apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [{}]}}",
            verbs.join(", ")
        ),
    }
}

fn of_operator(operator: &OperatorCheckup, found: &mut Vec<Finding>) {
    let mut note = |what, is: String, mend: String| {
        let (weight, costs) = (Weight::Prevents, "its job is not rescaled");
        found.push(Finding { weight, what, about: Some(operator.name.clone()), found: is, costs, mend });
    };
    match &operator.seen {
        Err(why) => note(
            "NoOperatorResource",
            why.clone(),
            "spec.operator: the apiVersion, kind and name of what the operator runs the job by".to_owned(),
        ),
        Ok(seen) => {
            if let Some(hindrance) = seen.hindrance {
                let text = hindrance.to_string();
                let (is, mend) = text.split_once(": ").unwrap_or((&text, "wait until it is there again"));
                let what = match hindrance {
                    Hindrance::Autoscaler => "Rival",
                    Hindrance::Stateless => "StatelessUpgrades",
                    Hindrance::Suspended => "Suspended",
                    Hindrance::NoJob => "NoJob",
                    Hindrance::Deleted => "Deleted",
                };
                note(what, is.to_owned(), mend.to_owned());
            }
            if let OperatorState::Failed { says } = &seen.state {
                note("OperatorFailed", says.clone(), "mend what the operator names".to_owned());
            }
        }
    }
}

fn of_workload(workload: &WorkloadCheckup, found: &mut Vec<Finding>) {
    let mut note = |weight, what, is: String, costs, mend: String| {
        found.push(Finding { weight, what, about: Some(workload.name.clone()), found: is, costs, mend });
    };
    match &workload.seen {
        Err(why) => note(
            Weight::Prevents,
            "NoWorkload",
            why.clone(),
            "nothing shrinks, and no TaskManagers are added",
            "spec.workload: the apiVersion, kind and name of what runs the TaskManagers".to_owned(),
        ),
        Ok(seen) => {
            let costs_cpu =
                "CPU cannot be compared with it: a `resource` rule for cpu is silent, and so is an HPA";
            let costs_memory = "memory cannot be compared with it: a `resource` rule for memory is silent";
            for (what, resource, without, costs, line) in [
                ("NoCpuRequest", "CPU", &seen.without_cpu, costs_cpu, "{cpu: \"1\"}"),
                ("NoMemoryRequest", "memory", &seen.without_memory, costs_memory, "{memory: 2Gi}"),
            ] {
                if !without.is_empty() {
                    let is = format!("no {resource} is requested by {}", without.join(", "));
                    note(Weight::Hinders, what, is, costs, format!("resources: {{requests: {line}}}"));
                }
            }
        }
    }
    if let (hpas @ [first, ..], true) = (&workload.hpas[..], !workload.autoscalers.is_empty()) {
        note(
            Weight::Prevents,
            "Rival",
            format!("the HPA {} scales it too", hpas.join(", ")),
            "neither is left in peace, so Tidegate does nothing",
            format!("kubectl delete hpa {first}"),
        );
    }
    if let [_, second, ..] = &workload.autoscalers[..] {
        note(
            Weight::Prevents,
            "Rival",
            format!("{} all act on it", workload.autoscalers.join(", ")),
            "none of them does anything",
            format!("kubectl patch fas {second} --type merge -p '{{\"spec\":{{\"mode\":\"Recommend\"}}}}'"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkup::WorkloadSeen;
    use super::*;
    use crate::model::{OperatorFields, OperatorSeen, Overrides, Timestamp};

    /// A Kubernetes in which nothing gets in the way.
    fn good() -> ClusterCheckup {
        ClusterCheckup {
            version: "v1.33.1".to_owned(),
            namespace: "streams".to_owned(),
            missing: Vec::new(),
            denied: Vec::new(),
            has_metrics: true,
            skew_ms: Some(-900),
            workloads: vec![WorkloadCheckup {
                name: "deployment/orders".to_owned(),
                autoscalers: vec!["orders".to_owned()],
                seen: Ok(WorkloadSeen::default()),
                hpas: Vec::new(),
            }],
            operators: Vec::new(),
            unfit_managers: Vec::new(),
            autoscalers: Vec::new(),
        }
    }

    /// One that an operator's resource is like this.
    fn operated(seen: &mut ClusterCheckup, hindrance: Option<Hindrance>, state: OperatorState) {
        let resource = OperatorSeen {
            at: Timestamp::from_millis(0),
            name: "FlinkDeployment orders".to_owned(),
            fields: OperatorFields::default(),
            rest: String::new(),
            state,
            overrides: Overrides::Never,
            takes_replicas: false,
            hindrance,
        };
        seen.operators = vec![OperatorCheckup { name: resource.name.clone(), seen: Ok(resource) }];
    }

    #[test]
    fn a_cluster_without_faults_has_none() {
        assert_eq!(findings(&good()), []);
    }

    #[test]
    fn each_fault_is_found_alone_with_the_line_that_mends_it() {
        use Weight::{Hinders, Note, Prevents};
        type Make = fn(&mut ClusterCheckup);
        fn without(seen: &mut ClusterCheckup, cpu: &[&str], memory: &[&str]) {
            let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let seen_so = WorkloadSeen { without_cpu: own(cpu), without_memory: own(memory) };
            seen.workloads[0].seen = Ok(seen_so);
        }
        let rows: [(Make, (Weight, &str, &str)); 15] = [
            (
                |seen| seen.unfit_managers = vec![("Deployment jm".to_owned(), "set `strategy`".to_owned())],
                (Prevents, "NoJobManager", "spec.savepoint.jobManager"),
            ),
            (
                |seen| {
                    operated(seen, Some(Hindrance::Autoscaler), OperatorState::Stable);
                },
                (Prevents, "Rival", "set `job.autoscaler.enabled"),
            ),
            (
                |seen| {
                    operated(seen, Some(Hindrance::Stateless), OperatorState::Stable);
                },
                (Prevents, "StatelessUpgrades", "set spec.job.upgradeMode"),
            ),
            (
                |seen| operated(seen, None, OperatorState::Failed { says: "FAILED".to_owned() }),
                (Prevents, "OperatorFailed", "mend"),
            ),
            (
                |seen| {
                    let name = "FlinkDeployment orders".to_owned();
                    seen.operators = vec![OperatorCheckup { name, seen: Err("none".to_owned()) }];
                },
                (Prevents, "NoOperatorResource", "spec.operator"),
            ),
            (
                |seen| seen.missing = vec!["scalingpolicies"],
                (Prevents, "NoDefinitions", "kubectl apply --server-side -k deploy/crd"),
            ),
            (
                |seen| {
                    seen.denied = vec![Denied {
                        group: "apps".to_owned(),
                        resource: "deployments/scale".to_owned(),
                        verbs: vec!["patch"],
                        weight: Prevents,
                        costs: "nothing is scaled",
                    }];
                },
                (
                    Prevents,
                    "Denied",
                    r#"- {apiGroups: ["apps"], resources: ["deployments/scale"], verbs: [patch]}"#,
                ),
            ),
            (|seen| seen.has_metrics = false, (Note, "NoMetricsApi", "install metrics-server")),
            (|seen| seen.skew_ms = Some(61_000), (Hinders, "ClockSkew", "NTP")),
            (
                |seen| seen.workloads[0].seen = Err("deployments.apps \"orders\" not found".to_owned()),
                (Prevents, "NoWorkload", "spec.workload"),
            ),
            (|seen| without(seen, &["main"], &[]), (Hinders, "NoCpuRequest", "{cpu:")),
            (|seen| without(seen, &[], &["main"]), (Hinders, "NoMemoryRequest", "{memory:")),
            (
                |seen| seen.workloads[0].hpas = vec!["old".to_owned()],
                (Prevents, "Rival", "kubectl delete hpa old"),
            ),
            (
                |seen| seen.workloads[0].autoscalers.push("other".to_owned()),
                (Prevents, "Rival", "kubectl patch fas other"),
            ),
            (|seen| seen.skew_ms = Some(-3_600_000), (Hinders, "ClockSkew", "NTP")),
        ];
        for (make, (weight, what, mend)) in rows {
            let mut seen = good();
            make(&mut seen);
            let found = findings(&seen);
            let [one] = &found[..] else { panic!("{what}: {found:#?}") };
            assert_eq!((one.weight, one.what), (weight, what));
            assert!(one.mend.contains(mend) && !one.costs.is_empty() && !one.found.is_empty(), "{one:#?}");
        }
    }

    #[test]
    fn who_only_recommends_beside_an_hpa_is_no_rival_of_it() {
        let mut seen = good();
        seen.workloads[0].autoscalers.clear();
        seen.workloads[0].hpas = vec!["old".to_owned()];
        assert_eq!(findings(&seen), []);
    }
}
