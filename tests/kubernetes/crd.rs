//! The definitions of our kinds, before a real API server: what it takes, what it refuses and in which words, and what kubectl
//! shows.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tidegate::config::{Library, Source, load, load_policy};
use tidegate::crd::{FlinkAutoscaler, FlinkAutoscalerStatus, ScalingPolicy};

use crate::kubernetes::{Cluster, Namespace};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An autoscaler whose spec has these lines besides its job.
fn autoscaler(lines: &str) -> String {
    let flink = if lines.contains("flink:") { "" } else { "  flink: {url: 'http://x:8081'}\n" };
    let head = "apiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {name: a}\nspec:\n";
    format!("{head}{flink}  {lines}\n")
}

/// A policy whose spec has these lines besides a rule.
fn policy(lines: &str) -> String {
    let rules = if lines.contains("rules:") { "" } else { "  rules: [throughput: {}]\n" };
    let head = "apiVersion: tidegate.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: p}\nspec:\n";
    format!("{head}{rules}  {lines}\n")
}

/// A job that an operator runs whose resources are not known.
const OTHER_OPERATOR: &str = "operator: {apiVersion: a.example.com/v1, kind: JobRun, name: orders, fields: {parallelism: \
    'spec[\"my.job\"].workers', replicas: spec.pods, overrides: spec.conf.sizes, state: 'status.conditions[type=Ready].status', \
    stable: ['True'], failed: ['False'], observedGeneration: status.observedGeneration}}";

/// What is wrong with a document as a file, if anything is.
fn as_file(text: &str) -> Option<String> {
    let source = Source::new("f", text);
    if text.contains("kind: ScalingPolicy") {
        return load_policy(&source).err().map(|errors| errors.to_string());
    }
    load(&[source], &Library::default()).err().map(|errors| errors.to_string())
}

#[tokio::test]
async fn takes_what_files_may_hold() -> Result<()> {
    let namespace = Cluster::shared()?.namespace_of_ours().await?;
    for text in [
        autoscaler("mode: Recommend"),
        autoscaler("workload: ~"),
        autoscaler("replicas: {min: 3, max: ~}"),
        autoscaler("replicas: {min: ~, max: 3}"),
        autoscaler("parallelism: {max: 48}"),
        autoscaler(
            "mechanism: Savepoint\n  savepoint: {jar: orders.jar}\n  flink: {url: 'http://x', job: orders}",
        ),
        autoscaler("savepoint: {jobManager: {kind: Deployment, name: orders-jobmanager}, keep: 3}"),
        autoscaler("savepoint: {jobManager: {kind: Job, name: orders-jobmanager}, directory: 's3://b/s'}"),
        autoscaler(
            "mechanism: Operator\n  operator: {apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, name: orders, within: 20m}",
        ),
        autoscaler(OTHER_OPERATOR),
        autoscaler(
            "vertices: [{name: a, min: 4}, {name: 'b*', exclude: true}, {name: c, min: 2, max: 9, partitions: 12}]",
        ),
        autoscaler("workload: {apiVersion: apps/v1, kind: StatefulSet, name: tm}"),
        autoscaler("flink: {url: 'https://gate:443/orders/', job: orders, poll: 1d, timeout: 100ms}"),
        policy("limits: {cooldown: 0s, rescales: {max: 4, per: 12h30m}, quota: {cpu: 4, memory: 1.5Gi}}"),
        policy(
            "limits: {blackout: [{cron: '0 8 * * 1-5', for: 1d2h}, {cron: '@daily', end: '30 0 * * *', direction: Up}]}",
        ),
        policy(
            "rules: [throughput: {utilization: {target: 0.9}, restart: observed, catchUp: 90s}, backlog: {records: 1k}]",
        ),
        policy("rules: [resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}]"),
        policy(
            "rules: [prometheus: {query: up, target: {type: AverageValue, averageValue: '100'}, when: 'hour > 7'}]",
        ),
        policy("rules: [flinkAutoscaler: {options: {job.autoscaler.enabled: 'true'}}]"),
        policy(
            "rules: [schedule: {timeZone: Europe/Paris, windows: [{cron: '0 7 * * *', for: 12h, minReplicas: 6}]}]",
        ),
        policy(
            "behavior: {scaleDown: {selectPolicy: Disabled, policies: [{type: Percent, value: 10, periodSeconds: 60}]}}",
        ),
    ] {
        ensure!(as_file(&text).is_none(), "as a file: {:?}\n{text}", as_file(&text));
        namespace.apply(&text).await.with_context(|| text.clone())?;
    }
    // What only a cluster has.
    namespace.apply(&autoscaler("flink: {service: {name: orders-rest}}")).await?;
    namespace.apply(&autoscaler("flink: {service: {name: orders-rest, port: 8081}}")).await?;
    namespace.apply(&autoscaler("flink: {service: {name: orders-rest, port: rest}}")).await?;
    Ok(())
}

#[tokio::test]
async fn takes_every_policy_and_every_configuration_there_is() -> Result<()> {
    let namespace = Cluster::shared()?.namespace_of_ours().await?;
    let mut files = Vec::new();
    for folder in
        ["policies", "tests", "deploy/flink", "deploy/kustomize", "deploy/operators", "deploy/application"]
    {
        yaml_files(&root().join(folder), &mut files)?;
    }
    let mut applied = 0;
    for file in files {
        let text = fs::read_to_string(&file)?;
        let ours = text.split("\n---").filter(|one| {
            one.contains("tidegate.dev/v1alpha1")
                && !one.contains("CustomResourceDefinition")
                && as_file(one).is_none()
        });
        for one in ours {
            // Some are of a namespace, which this cluster need not have.
            let lines = one.lines().filter(|line| !line.trim_start().starts_with("namespace:"));
            let one = lines.collect::<Vec<_>>().join("\n");
            namespace.apply(&one).await.with_context(|| file.display().to_string())?;
            applied += 1;
        }
    }
    ensure!(applied > 6, "{applied} documents were found");
    let read: kube::Api<ScalingPolicy> = namespace.api();
    let cpu = read.get("cpu").await?;
    ensure!(!cpu.tests.is_empty(), "the tests of a policy are lost");
    let file = Source::new("cpu.yaml", fs::read_to_string(root().join("policies/cpu.yaml"))?);
    ensure!(cpu.spec == load_policy(&file).map_err(|e| anyhow::anyhow!("{e}"))?.spec, "{:?}", cpu.spec);
    Ok(())
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            yaml_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    Ok(())
}

#[tokio::test]
async fn refuses_what_a_file_must_not_hold_and_names_the_field() -> Result<()> {
    let namespace = Cluster::shared()?.namespace_of_ours().await?;
    for (text, said) in [
        (autoscaler("mode: dry"), "spec.mode: Unsupported value: \"dry\""),
        (autoscaler("polcy: x"), "polcy"),
        (autoscaler("parallelism: {min: 0}"), "spec.parallelism.min"),
        (
            autoscaler("parallelism: {min: 8, max: 4}"),
            "spec.parallelism.min: Invalid value: min must not be above max",
        ),
        (autoscaler("parallelism: {max: 40000}"), "spec.parallelism.max"),
        (
            autoscaler("replicas: {min: 8, max: 4}"),
            "spec.replicas.min: Invalid value: min must not be above max",
        ),
        (autoscaler("replicas: {max: many}"), "spec.replicas.max"),
        (autoscaler("vertices: [{name: x, min: 3, max: 2}]"), "spec.vertices[0].min"),
        (autoscaler("vertices: [{min: 3}]"), "spec.vertices[0].name: Required value"),
        (
            autoscaler("parallelism: {max: 4}\n  vertices: [{name: x, min: 8}]"),
            "spec.vertices: Invalid value: a vertex's min must not be above spec.parallelism.max",
        ),
        (
            autoscaler("parallelism: {min: 4}\n  vertices: [{name: x, max: 2}]"),
            "spec.vertices: Invalid value: a vertex's max must not be below spec.parallelism.min",
        ),
        (
            autoscaler("flink: {job: x}"),
            "spec.flink: Invalid value: exactly one of url and service must be there",
        ),
        (autoscaler("flink: {url: 'orders:8081'}"), "spec.flink.url"),
        (autoscaler("flink: {url: 'http://x', poll: 10}"), "spec.flink.poll"),
        (autoscaler("flink: {url: 'http://x', poll: 5x}"), "spec.flink.poll"),
        (
            autoscaler("flink: {url: 'http://x', poll: 900ms}"),
            "spec.flink.poll: Invalid value: \"900ms\": must not be less than 1s",
        ),
        (
            autoscaler("flink: {url: 'http://x', poll: '0'}"),
            "spec.flink.poll: Invalid value: \"0\": must not be less than 1s",
        ),
        (
            autoscaler("flink: {url: 'http://x', poll: 0d}"),
            "spec.flink.poll: Invalid value: \"0d\": must not be less than 1s",
        ),
        (autoscaler("mechanism: Savepoint"), "spec.mechanism: Invalid value: Savepoint needs spec.savepoint"),
        (
            autoscaler(
                "savepoint: {jar: a.jar}\n  flink: {url: 'http://x', job: 5e92a1a4c0f2c8e1a4b1d1f1c0ffee00}",
            ),
            "spec.flink.job: Invalid value: a job that is run again from a savepoint gets another id",
        ),
        (autoscaler("workload: {kind: Deployment, name: x}"), "spec.workload.apiVersion: Required value"),
        (policy("rules: []"), "spec.rules"),
        (policy("rules: [{}]"), "spec.rules[0]"),
        (
            policy("rules: [{throughput: {}, backlog: {}}]"),
            "spec.rules[0]: Invalid value: exactly one of throughput,",
        ),
        (
            policy("rules: [throughput: {}, throughput: {}]"),
            "spec.rules: Invalid value: a policy has one throughput rule",
        ),
        (
            policy("rules: [backpressure: {}, backpressure: {}]"),
            "spec.rules: Invalid value: a policy has one backpressure rule",
        ),
        (
            policy("rules: [throughput: {utilization: {min: 0.8}}]"),
            "spec.rules[0].throughput.utilization.min: Invalid value: min must be below target",
        ),
        (policy("rules: [throughput: {fallback: {after: 1s}}]"), "spec.rules[0].throughput.fallback.after"),
        (policy("rules: [backpressure: {above: 0.05}]"), "spec.rules[0].backpressure.below"),
        (
            policy("rules: [resource: {name: cpu, target: {type: Utilization, averageValue: 5}}]"),
            "spec.rules[0].resource.target: Invalid value: with type Utilization there must be averageUtilization",
        ),
        (
            policy("rules: [resource: {name: disk, target: {type: AverageValue, averageValue: 5}}]"),
            "spec.rules[0].resource.name",
        ),
        (
            policy("rules: [schedule: {windows: [{cron: '0 7 * * *', minReplicas: 6}]}]"),
            "spec.rules[0].schedule.windows[0]: Invalid value: at least one of for and end must be there",
        ),
        (
            policy("rules: [schedule: {windows: [{cron: '0 7 * * *', for: 30s, minReplicas: 6}]}]"),
            "spec.rules[0].schedule.windows[0].for",
        ),
        (
            policy("rules: [schedule: {windows: [{cron: soon, for: 1h}]}]"),
            "spec.rules[0].schedule.windows[0].cron",
        ),
        (policy("limits: {cooldown: soon}"), "spec.limits.cooldown"),
        (
            policy("limits: {rescales: {per: 30s}}"),
            "spec.limits.rescales.per: Invalid value: \"30s\": must not be less than 1m",
        ),
        (
            policy("limits: {quota: {}}"),
            "spec.limits.quota: Invalid value: at least one of cpu and memory must be there",
        ),
        (policy("limits: {quota: {cpu: lots}}"), "spec.limits.quota.cpu"),
        (policy("behavior: {scaleUp: {tolerance: -1}}"), "spec.behavior.scaleUp.tolerance"),
    ] {
        is_refused(&namespace, &text, said).await?;
    }
    Ok(())
}

async fn is_refused(namespace: &Namespace, text: &str, said: &str) -> Result<()> {
    ensure!(as_file(text).is_some(), "a file may hold\n{text}");
    let refused = match namespace.apply(text).await {
        Ok(answer) => anyhow::bail!("{answer} for\n{text}"),
        Err(refused) => format!("{refused:#}"),
    };
    ensure!(refused.contains(said), "{refused}\ndoes not say {said:?} of\n{text}");
    Ok(())
}

#[tokio::test]
async fn refuses_what_is_no_operators_or_is_not_said_to_the_end() -> Result<()> {
    let namespace = Cluster::shared()?.namespace_of_ours().await?;
    for (text, said) in [
        (autoscaler("mechanism: Operator"), "spec.mechanism: Invalid value: Operator needs spec.operator"),
        (
            autoscaler("operator: {apiVersion: apps/v1, kind: Deployment, name: x}"),
            "spec.operator.apiVersion: Invalid value: \"apps/v1\"",
        ),
        (
            autoscaler(&OTHER_OPERATOR.replace("a.example.com/v1", "coordination.k8s.io/v1")),
            "spec.operator.apiVersion: Invalid value: that is no operator's own group",
        ),
        (
            autoscaler("operator: {apiVersion: flink.k8s.io/v1beta1, kind: FlinkApplication, name: x}"),
            "spec.operator: Invalid value: fields say where parallelism and state are",
        ),
        (autoscaler(&OTHER_OPERATOR.replace("spec.pods", "metadata.name")), "spec.operator.fields.replicas"),
        (autoscaler(&OTHER_OPERATOR.replace("['True']", "[]")), "spec.operator.fields.stable"),
        (
            autoscaler("savepoint: {jar: a.jar, jobManager: {kind: Job, name: x}}"),
            "spec.savepoint: Invalid value: exactly one of jar and jobManager must be there",
        ),
        (
            autoscaler("savepoint: {keep: 2}"),
            "spec.savepoint: Invalid value: exactly one of jar and jobManager must be there",
        ),
        (
            autoscaler("savepoint: {jobManager: {kind: StatefulSet, name: x}}"),
            "spec.savepoint.jobManager.kind: Unsupported value",
        ),
        (
            autoscaler("savepoint: {jobManager: {kind: Job, name: x}, args: [a]}"),
            "spec.savepoint: Invalid value: with jobManager, entryClass and args are in the manifest",
        ),
        (
            autoscaler(
                "savepoint: {jar: a.jar}\n  operator: {apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, name: x}",
            ),
            "savepoint and operator exclude each other",
        ),
    ] {
        is_refused(&namespace, &text, said).await?;
    }
    Ok(())
}

#[tokio::test]
async fn refuses_a_wrong_service_which_no_file_can_hold() -> Result<()> {
    let namespace = Cluster::shared()?.namespace_of_ours().await?;
    for (flink, said) in [
        (
            "{url: 'http://x', service: {name: x}}",
            "spec.flink: Invalid value: exactly one of url and service",
        ),
        ("{service: {name: X}}", "spec.flink.service.name"),
        ("{service: {name: x, port: 70000}}", "spec.flink.service.port"),
        ("{service: {name: x, port: A}}", "spec.flink.service.port"),
    ] {
        let refused = namespace.apply(&autoscaler(&format!("flink: {flink}"))).await;
        let refused = refused.err().map(|refused| format!("{refused:#}")).unwrap_or_default();
        ensure!(refused.contains(said), "{refused}\ndoes not say {said:?} of {flink}");
    }
    Ok(())
}

#[tokio::test]
async fn kubectl_shows_the_columns() -> Result<()> {
    let namespace = Cluster::shared()?.namespace_of_ours().await?;
    namespace.apply(&autoscaler("replicas: {min: 3, max: 10}")).await?;
    let status = r#"{"status": {
        "job": {"id": "7", "name": "orders", "state": "RUNNING"},
        "current": {"replicas": 3, "parallelism": {"parse": 3}},
        "recommended": {"replicas": 4, "parallelism": {"parse": 7}},
        "sizes": "1/3/1 -> 1/7/1",
        "lastScaleTime": "2026-11-22T18:00:00.000Z",
        "conditions": [{"type": "Ready", "status": "True", "reason": "ValidMetricFound", "message": "all is well",
                        "lastTransitionTime": "2026-11-22T18:00:00.000Z"}]}}"#;
    namespace.kubectl(&["patch", "fas", "a", "--subresource=status", "--type=merge", "-p", status]).await?;
    let table = namespace.kubectl(&["get", "fas"]).await?;
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split_whitespace().collect()).collect();
    let head = "NAME JOB MODE CURRENT RECOMMENDED MIN MAX PARALLELISM READY AGE";
    ensure!(rows[0].join(" ") == head, "{table}");
    ensure!(rows[1][..11].join(" ") == "a orders Auto 3 4 3 10 1/3/1 -> 1/7/1 True", "{table}");
    let wide = namespace.kubectl(&["get", "fas", "--output=wide"]).await?;
    ensure!(wide.contains("REASON") && wide.contains("ValidMetricFound"), "{wide}");
    // What the types write is what the server gives back.
    let api: kube::Api<FlinkAutoscaler> = namespace.api();
    let read = api.get("a").await?;
    let read: &FlinkAutoscalerStatus = read.status.as_ref().context("a status")?;
    ensure!(read.sizes == "1/3/1 -> 1/7/1" && read.conditions.len() == 1, "{read:?}");
    let waited = ["wait", "--for=condition=Ready", "--timeout=5s", "fas/a"];
    namespace.kubectl(&waited).await?;
    let scale = namespace.kubectl(&["scale", "fas", "a", "--replicas=9"]).await;
    ensure!(scale.is_err(), "an autoscaler can be scaled: {scale:?}");
    Ok(())
}
