//! What is under deploy/: every object of it is taken by a real API server, and each use has the rights that it needs and no
//! others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

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

/// A namespace of a cluster that knows our kinds.
async fn namespace() -> Result<Namespace> {
    let cluster = Cluster::shared()?;
    let folder = deploy("crd");
    cluster.kubectl(&["apply", "--server-side", "-k", folder.to_str().context("text")?]).await?;
    for name in ["crd/flinkautoscalers.tidegate.dev", "crd/scalingpolicies.tidegate.dev"] {
        cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", name]).await?;
    }
    cluster.namespace().await
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
        let namespace = namespace().await?;
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
    let namespace = namespace().await?;
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
    let namespace = namespace().await?;
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
    let list = async |what: &[&str]| {
        let arguments: Vec<&str> =
            ["get"].into_iter().chain(what.iter().copied()).chain(["-o", "json"]).collect();
        anyhow::Ok(serde_json::from_str::<Value>(&namespace.kubectl(&arguments).await?)?)
    };
    let all = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        items.map(str::to_owned).collect()
    };
    let mut granted = BTreeSet::new();
    for (kind, scope) in [("rolebindings", "namespace"), ("clusterrolebindings", "cluster")] {
        let bindings = list(&[kind]).await?;
        let is_of_it = |binding: &&Value| {
            binding["subjects"].as_array().into_iter().flatten().any(|subject| {
                let place = subject["namespace"].as_str().unwrap_or(namespace.name());
                subject["name"] == account && place == namespace.name()
            })
        };
        for binding in bindings["items"].as_array().into_iter().flatten().filter(is_of_it) {
            let role = &binding["roleRef"];
            let (kind, name) = (role["kind"].as_str(), role["name"].as_str());
            let role = list(&[kind.context("a kind")?, name.context("a name")?]).await?;
            for rule in role["rules"].as_array().into_iter().flatten() {
                let mut names = all(&rule["resourceNames"]);
                if names.is_empty() {
                    names.push("any".to_owned());
                }
                for group in all(&rule["apiGroups"]) {
                    for resource in all(&rule["resources"]) {
                        let what = |verb: &String| {
                            let of = format!("{scope}: {verb} {resource}.{group}");
                            names.iter().map(move |name| format!("{of} {name}")).collect::<Vec<_>>()
                        };
                        granted.extend(all(&rule["verbs"]).iter().flat_map(what));
                    }
                }
            }
        }
    }
    Ok(granted)
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
        let by_kustomize = namespace().await?;
        is_taken(&by_kustomize, path).await?;
        for (allowed, all) in [(true, &yes), (false, &no)] {
            for what in all {
                let found = may(&by_kustomize, account, what).await?;
                ensure!(found == allowed, "{path}: {what}: {found}");
            }
        }
        let by_helm = namespace().await?;
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

/// Takes away what an overlay has put outside of its namespace.
pub(super) async fn remove(namespace: &Namespace) -> Result<()> {
    for kind in ["clusterrolebinding", "clusterrole"] {
        for name in ["observe", "scale", "operate", "manage"] {
            for prefix in [namespace.name().to_owned(), format!("{}-tidegate", namespace.name())] {
                namespace
                    .kubectl(&["delete", kind, &format!("{prefix}-{name}"), "--ignore-not-found"])
                    .await?;
            }
        }
    }
    Ok(())
}
