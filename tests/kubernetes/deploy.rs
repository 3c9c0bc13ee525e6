//! What is under deploy/: every object of it is taken by a real API server, and each use has the rights that it needs and no
//! others.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::Api;
use kube::api::PostParams;
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
async fn overlay(path: &str, namespace: &str) -> Result<String> {
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
    for path in [
        "flink/base",
        "flink/hpa",
        "flink/tidegate",
        "kustomize/daemon",
        "kustomize/namespaced",
        "kustomize/dry-run",
        "kustomize/sidecar",
    ] {
        let namespace = namespace().await?;
        let text = overlay(path, namespace.name()).await?;
        let applied = namespace.apply(&text).await.with_context(|| path.to_owned())?;
        let objects = text.split("\n---\n").count();
        ensure!(applied.lines().count() == objects, "{path}: {applied}");
        // Once more, as who changes something does.
        namespace.apply(&text).await.with_context(|| format!("{path} again"))?;
        remove(&namespace).await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_use_of_the_chart_is_taken() -> Result<()> {
    let folder = deploy("helm/tidegate");
    run("helm", &["lint", "--strict", folder.to_str().context("text")?]).await?;
    let sidecar = ["mode=sidecar", "sidecar.autoscaler=orders", "sidecar.workload.name=orders-tm"];
    let more = [
        "policies.nights.rules[0].throughput.catchUp=10m",
        "autoscalers.orders.flink.service.name=orders-rest",
        "autoscalers.orders.policyRef.name=nights",
        "podLabels.team=streams",
        "extraArgs={-v}",
        "log.format=json",
        "priorityClassName=system-cluster-critical",
    ];
    for values in [&[][..], &["namespaces={all}"], &["mode=dry-run", "namespaces={all}"], &sidecar, &more] {
        let namespace = namespace().await?;
        let text = chart(&namespace, values).await?;
        namespace.apply(&text).await.with_context(|| format!("{values:?}"))?;
        let kinds = text.matches("\nkind: ").count();
        ensure!(kinds > 3, "{values:?}: {kinds} objects");
        remove(&namespace).await?;
    }
    // With a monitor, the kind of which only the Prometheus Operator brings.
    let namespace = namespace().await?;
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
    for (path, account, yes, no) in [
        ("kustomize/daemon", "tidegate", [&seeing[..], &own, &scaling].concat(), never.to_vec()),
        ("kustomize/namespaced", "tidegate", [&seeing[..], &own, &scaling].concat(), never.to_vec()),
        ("kustomize/dry-run", "tidegate", [&seeing[..], &own].concat(), [&never[..], &scaling].concat()),
        (
            "kustomize/sidecar",
            "flink-jobmanager",
            [&seeing[..], &of_one].concat(),
            [&never[..], &not_of_one].concat(),
        ),
    ] {
        let namespace = namespace().await?;
        namespace.apply(&overlay(path, namespace.name()).await?).await?;
        for (allowed, all) in [(true, &yes), (false, &no)] {
            for what in all {
                let found = may(&namespace, account, what).await?;
                ensure!(found == allowed, "{path}: {what}: {found}");
            }
        }
        remove(&namespace).await?;
    }
    Ok(())
}

/// Takes away what an overlay has put outside of its namespace.
async fn remove(namespace: &Namespace) -> Result<()> {
    for kind in ["clusterrolebinding", "clusterrole"] {
        for name in ["observe", "scale"] {
            for prefix in [namespace.name().to_owned(), format!("{}-tidegate", namespace.name())] {
                namespace
                    .kubectl(&["delete", kind, &format!("{prefix}-{name}"), "--ignore-not-found"])
                    .await?;
            }
        }
    }
    Ok(())
}
