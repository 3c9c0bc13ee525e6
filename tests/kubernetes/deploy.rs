//! What is under deploy/: every object of it is taken by a real API server, and each use has the rights that it needs and no
//! others.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::kubernetes::{Cluster, Namespace, program};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

/// Runs a program and returns what it printed; its complaint is the error.
async fn run(name: &str, arguments: &[&str]) -> Result<String> {
    let (name, arguments) = (name.to_owned(), arguments.iter().map(|&a| a.to_owned()).collect::<Vec<_>>());
    let run = move || {
        let done = Command::new(program(&name)?).args(&arguments).output()?;
        if !done.status.success() {
            bail!("{name} {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim_end());
        }
        Ok(String::from_utf8(done.stdout)?)
    };
    tokio::task::spawn_blocking(run).await?
}

/// An overlay, put into a namespace whatever its own is, so that tests do not meet.
pub(super) async fn overlay(path: &str, namespace: &str) -> Result<String> {
    let text = run("kustomize", &["build", deploy(path).to_str().context("text")?]).await?;
    let documents = text.split("\n---\n").filter(|one| !one.contains("kind: CustomResourceDefinition"));
    // Its namespace is the test's, which is there already.
    let documents = documents.filter(|one| !one.contains("kind: Namespace\n"));
    let text: Vec<String> = documents
        .map(|one| {
            let own = one.replace("namespace: tidegate", &format!("namespace: {namespace}"));
            // Outside of namespaces, the names are everybody's.
            let is_everybodys = one.contains("kind: Cluster");
            if is_everybodys { own.replace("name: tidegate-", &format!("name: {namespace}-")) } else { own }
        })
        .collect();
    Ok(text.join("\n---\n"))
}

async fn chart(namespace: &Namespace, values: &[&str]) -> Result<String> {
    let folder = deploy("helm/tidegate");
    let mut arguments = vec!["template", "tidegate", folder.to_str().context("text")?];
    arguments.extend(["--namespace", namespace.name(), "--kube-version", "1.36.0"]);
    for value in values {
        arguments.extend(["--set", value]);
    }
    run("helm", &arguments).await
}

#[tokio::test]
async fn every_overlay_is_taken() -> Result<()> {
    for path in ["flink/base", "flink/hpa", "flink/tidegate"] {
        let namespace = Cluster::shared()?.namespace_of_ours().await?;
        is_taken(&namespace, path).await?;
    }
    Ok(())
}

async fn is_taken(namespace: &Namespace, path: &str) -> Result<()> {
    let text = overlay(path, namespace.name()).await?;
    let applied = namespace.apply(&text).await.with_context(|| path.to_owned())?;
    let objects = text.split("\n---\n").count();
    ensure!(applied.lines().count() == objects, "{path}: {applied}");
    // Once more, as who changes something does.
    namespace.apply(&text).await.with_context(|| format!("{path} again"))?;
    Ok(())
}

#[tokio::test]
async fn the_chart_is_taken_with_all_that_it_offers() -> Result<()> {
    let folder = deploy("helm/tidegate");
    run("helm", &["lint", "--strict", folder.to_str().context("text")?]).await?;
    let more = [
        "policies.nights.rules[0].throughput.catchUp=10m",
        "autoscalers.orders.flink.service.name=orders-rest",
        "autoscalers.orders.policyRef.name=nights",
        "podLabels.team=streams",
        "extraArgs={-v}",
        "log.format=json",
        "otlp.endpoint=http://collector:4318",
        "otlp.headersSecret.name=collector",
        "priorityClassName=system-cluster-critical",
        "files={orders-tls,prometheus}",
        "operators={flink.apache.org/flinkdeployments,flinkoperator.k8s.io/flinkclusters}",
        "jobManagers={Deployment/orders-jobmanager,Job/clicks-jobmanager}",
    ];
    let namespace = Cluster::shared()?.namespace_of_ours().await?;
    namespace.apply(&chart(&namespace, &more).await?).await?;
    let mounts = "jsonpath={.spec.template.spec.containers[0].volumeMounts[*].mountPath}";
    let mounts = namespace.kubectl(&["get", "deployment", "tidegate", "-o", mounts]).await?;
    ensure!(mounts == "/etc/tidegate/orders-tls /etc/tidegate/prometheus", "{mounts}");
    let traces = "jsonpath={.spec.template.spec.containers[0].env[?(@.name=='OTEL_EXPORTER_OTLP_HEADERS')].valueFrom.secretKeyRef}";
    let traces = namespace.kubectl(&["get", "deployment", "tidegate", "-o", traces]).await?;
    ensure!(traces == r#"{"key":"headers","name":"collector"}"#, "{traces}");
    // With a monitor, the kind of which only the Prometheus Operator brings.
    ensure!(chart(&namespace, &["podMonitor.enabled=true"]).await?.contains("kind: PodMonitor"));
    ensure!(!chart(&namespace, &[]).await?.contains("kind: PodMonitor"));
    Ok(())
}

#[tokio::test]
async fn the_chart_refuses_wrong_values() -> Result<()> {
    let namespace = Cluster::shared()?.namespace_of_ours().await?;
    for (value, said) in [
        ("mode=auto", "'/mode'"),
        ("mode=sidecar", "'/sidecar/autoscaler'"),
        ("replicas=many", "'/replicas'"),
        ("replica=1", "'replica'"),
        ("image.pullPolicy=Sometimes", "'/image/pullPolicy'"),
        ("namespaces={A}", "'/namespaces/0'"),
        ("policies.nights.rule=x", "'rules'"),
        ("podMonitor.interval=soon", "'/podMonitor/interval'"),
        ("files={../x}", "'/files/0'"),
        ("otlp.endpoint=collector:4318", "'/otlp/endpoint'"),
        ("operators={flinkdeployments}", "'/operators/0'"),
        ("jobManagers={orders}", "'/jobManagers/0'"),
    ] {
        let refused = chart(&namespace, &[value]).await.err().map(|e| format!("{e:#}")).unwrap_or_default();
        ensure!(refused.contains(said), "{value} is answered by {refused:?}");
    }
    Ok(())
}

/// Whether the ServiceAccount may do it: `verb resource.group/subresource name`, of which the group, the subresource and the
/// name may be left out.
async fn may(namespace: &Namespace, account: &str, what: &str) -> Result<bool> {
    let mut words = what.split_whitespace();
    let (verb, of, name) =
        (words.next().context("a verb")?, words.next().context("a resource")?, words.next());
    let (resource, subresource) = of.split_once('/').map_or((of, None), |(of, sub)| (of, Some(sub)));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let user = format!("system:serviceaccount:{}:{account}", namespace.name());
    let review = json!({
        "metadata": {},
        "spec": {"user": user, "resourceAttributes": {
            "namespace": namespace.name(), "verb": verb, "group": group, "resource": resource,
            "subresource": subresource, "name": name,
        }},
    });
    let reviews: Api<SubjectAccessReview> = Api::all(namespace.client());
    let answer = reviews.create(&PostParams::default(), &serde_json::from_value(review)?).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// All that the ServiceAccount is granted: in the cluster or the namespace, verb, group, resource, and name where there is one.
async fn granted(namespace: &Namespace, account: &str) -> Result<BTreeSet<String>> {
    let is_of_it = |subjects: &Option<Vec<Subject>>| {
        subjects.iter().flatten().any(|subject| {
            let place = subject.namespace.as_deref().unwrap_or(namespace.name());
            subject.name == account && place == namespace.name()
        })
    };
    let everywhere: Api<ClusterRole> = Api::all(namespace.client());
    let mut granted = BTreeSet::new();
    for binding in namespace.api::<RoleBinding>().list(&ListParams::default()).await? {
        if is_of_it(&binding.subjects) {
            let (name, is_cluster) = (&binding.role_ref.name, binding.role_ref.kind == "ClusterRole");
            let rules = if is_cluster {
                everywhere.get(name).await?.rules
            } else {
                namespace.api::<Role>().get(name).await?.rules
            };
            granted.extend(each_right("namespace", &rules.unwrap_or_default()));
        }
    }
    for binding in Api::<ClusterRoleBinding>::all(namespace.client()).list(&ListParams::default()).await? {
        if is_of_it(&binding.subjects) {
            let rules = everywhere.get(&binding.role_ref.name).await?.rules;
            granted.extend(each_right("cluster", &rules.unwrap_or_default()));
        }
    }
    Ok(granted)
}

/// What rules grant, a right a line.
fn each_right(scope: &str, rules: &[PolicyRule]) -> Vec<String> {
    let any = ["any".to_owned()];
    let mut rights = Vec::new();
    for rule in rules {
        let names = rule.resource_names.as_deref().filter(|names| !names.is_empty()).unwrap_or(&any);
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    rights.extend(
                        names.iter().map(|name| format!("{scope}: {verb} {resource}.{group} {name}")),
                    );
                }
            }
        }
    }
    rights
}

/// What it takes to run a job in application mode again.
const MANAGING: [&str; 4] = [
    "patch deployments.apps flink-jobmanager",
    "get jobs.batch flink-jobmanager",
    "delete jobs.batch flink-jobmanager",
    "create jobs.batch",
];

/// Every use, by kustomize and by Helm: what it needs it may do, and nothing else; and both give the same.
#[tokio::test]
async fn each_use_has_its_rights_and_no_others() -> Result<()> {
    let seeing = [
        "list flinkautoscalers.tidegate.dev",
        "watch scalingpolicies.tidegate.dev",
        "list services",
        "watch horizontalpodautoscalers.autoscaling",
        "watch pods",
        "list pods.metrics.k8s.io",
        "create events.events.k8s.io",
    ];
    let own = [
        "create configmaps",
        "update configmaps tidegate-x",
        "update leases.coordination.k8s.io tidegate",
        "patch flinkautoscalers.tidegate.dev/status x",
        "get deployments.apps/scale x",
        "watch statefulsets.apps",
    ];
    let scaling = ["patch deployments.apps/scale x", "patch statefulsets.apps/scale x", "patch pods x"];
    let of_one = [
        "patch flinkautoscalers.tidegate.dev/status flink",
        "watch deployments.apps flink-taskmanager",
        "get deployments.apps/scale flink-taskmanager",
        "patch deployments.apps/scale flink-taskmanager",
        "update leases.coordination.k8s.io tidegate-flink",
        "update configmaps tidegate-flink",
        "patch pods x",
    ];
    let never = [
        "patch flinkautoscalers.tidegate.dev x",
        "create scalingpolicies.tidegate.dev",
        "patch deployments.apps x",
        "update deployments.apps x",
        "delete pods x",
        "create pods",
        "create pods/exec x",
        "get secrets x",
        "create leases.coordination.k8s.io",
        "update leases.coordination.k8s.io another",
        "patch services x",
        "patch horizontalpodautoscalers.autoscaling x",
        "create rolebindings.rbac.authorization.k8s.io",
    ];
    let not_of_one = [
        "patch flinkautoscalers.tidegate.dev/status other",
        "patch deployments.apps/scale other",
        "patch deployments.apps/scale flink-jobmanager",
        "list deployments.apps",
        "create configmaps",
        "get configmaps other",
        "update configmaps other",
    ];
    let operating = ["get flinkdeployments.flink.apache.org x", "patch flinksessionjobs.flink.apache.org x"];
    let acts = [&seeing[..], &own, &scaling].concat();
    let acts_alone = [&never[..], &operating, &MANAGING].concat();
    let of_sidecar = ["mode=sidecar", "sidecar.autoscaler=flink", "sidecar.workload.name=flink-taskmanager"];
    for (path, values, account, yes, no) in [
        ("kustomize/daemon", &["namespaces={all}"][..], "tidegate", acts.clone(), acts_alone.clone()),
        ("kustomize/namespaced", &[], "tidegate", acts.clone(), acts_alone),
        (
            "kustomize/operator",
            &[
                "namespaces={all}",
                "operators={flink.apache.org/flinkdeployments,flink.apache.org/flinksessionjobs}",
            ],
            "tidegate",
            [&acts[..], &operating].concat(),
            [
                &never[..],
                &["delete flinkdeployments.flink.apache.org x", "create flinkdeployments.flink.apache.org"],
            ]
            .concat(),
        ),
        (
            "kustomize/application",
            &["namespaces={all}", "jobManagers={Deployment/flink-jobmanager,Job/flink-jobmanager}"],
            "tidegate",
            [&acts[..], &MANAGING].concat(),
            // Of those alone that are named.
            [
                &never[..],
                &operating,
                &["delete jobs.batch x", "get jobs.batch x", "delete deployments.apps flink-jobmanager"],
            ]
            .concat(),
        ),
        (
            "kustomize/dry-run",
            &["mode=dry-run", "namespaces={all}"],
            "tidegate",
            [&seeing[..], &own].concat(),
            [&never[..], &scaling, &operating, &MANAGING].concat(),
        ),
        (
            "kustomize/sidecar",
            &of_sidecar,
            "flink-jobmanager",
            [&seeing[..], &of_one].concat(),
            [&never[..], &not_of_one, &operating].concat(),
        ),
    ] {
        let by_kustomize = Cluster::shared()?.namespace_of_ours().await?;
        is_taken(&by_kustomize, path).await?;
        for (allowed, all) in [(true, &yes), (false, &no)] {
            for what in all {
                let found = may(&by_kustomize, account, what).await?;
                ensure!(found == allowed, "{path}: {what}: {found}");
            }
        }
        let by_helm = Cluster::shared()?.namespace_of_ours().await?;
        by_helm.apply(&chart(&by_helm, values).await?).await.with_context(|| format!("{values:?}"))?;
        let (one, other) = (granted(&by_kustomize, account).await?, granted(&by_helm, "tidegate").await?);
        ensure!(one.len() > 20, "{path}: {one:?}");
        let differ: Vec<_> = one.symmetric_difference(&other).collect();
        ensure!(differ.is_empty(), "{path} or the chart with {values:?} alone grants {differ:#?}");
        remove(&by_kustomize).await?;
        remove(&by_helm).await?;
    }
    Ok(())
}

/// Takes away what an overlay, or the chart, has put outside of its namespace.
pub(super) async fn remove(namespace: &Namespace) -> Result<()> {
    remove_each(&Api::<ClusterRoleBinding>::all(namespace.client()), namespace.name()).await?;
    remove_each(&Api::<ClusterRole>::all(namespace.client()), namespace.name()).await
}

async fn remove_each<K>(everywhere: &Api<K>, namespace: &str) -> Result<()>
where
    K: kube::Resource + Clone + Debug + DeserializeOwned,
{
    for one in everywhere.list_metadata(&ListParams::default()).await? {
        let name = one.name_any();
        if name.starts_with(&format!("{namespace}-")) {
            everywhere.delete(&name, &DeleteParams::default()).await?;
        }
    }
    Ok(())
}
