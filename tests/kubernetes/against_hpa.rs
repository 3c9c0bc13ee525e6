//! What Tidegate takes the place of: a real HPA on the TaskManagers of a real Flink, under real load. Tidegate recommends beside it,
//! and is compared with it; then the HPA goes, and Tidegate scales.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use serde_json::Value;
use tidegate::daemon::clock;
use tidegate::model::Timestamp;

use crate::controller::bed::Controller;
use crate::kubernetes::{Cluster, Namespace, Options};
use crate::monitored::Monitored;
use crate::testbed::{Job, until};

/// The HPA looks every 15 s at figures that are up to 20 s old, and new TaskManagers have to start.
const PATIENCE: Duration = Duration::from_mins(5);

/// An HPA and Tidegate look at one and the same measurement when they look within this: metrics-server has another one after 10 s,
/// which Tidegate reads every 15 s.
const SAME: Duration = Duration::from_secs(30);

/// Thousandths of a core, less than half of what a pod requests: what waits takes 20 to 60 of them, and what starts hundreds.
const IDLE: u32 = 80;

/// 3 to 10 at 50 % of the CPU. It goes down at once instead of after five minutes of waiting.
const HPA: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: flink-taskmanager}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: flink-taskmanager}
  minReplicas: 3
  maxReplicas: 10
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
";

/// The same of Tidegate, as `tidegate import` has it; it acts again sooner than anybody should want outside a test.
fn autoscaler(url: &str) -> String {
    format!(
        "
apiVersion: tidegate.dev/v1alpha1
kind: FlinkAutoscaler
metadata: {{name: flink}}
spec:
  flink: {{url: '{url}', job: chain, poll: 2s}}
  workload: {{apiVersion: apps/v1, kind: Deployment, name: flink-taskmanager}}
  replicas: {{min: 3, max: 10}}
  mode: Recommend
  policyRef: {{name: as-the-hpa}}
---
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {{name: as-the-hpa}}
spec:
  rules: [{{resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 50}}}}}}]
  behavior: {{scaleDown: {{stabilizationWindowSeconds: 0}}}}
  limits: {{cooldown: 5s, rescales: {{max: 100, per: 1h}}}}
"
    )
}

/// What one of them saw and wanted at some moment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    at: Timestamp,
    /// Per cent of what the pods request.
    percent: i64,
    replicas: i64,
    wants: i64,
    /// Whether it wanted more than it may ask for at once.
    is_limited: bool,
}

impl Look {
    fn of_hpa(hpa: &HorizontalPodAutoscaler) -> Option<Self> {
        let status = hpa.status.as_ref()?;
        let metric = status.current_metrics.as_ref()?.first()?.resource.as_ref()?;
        let conditions = status.conditions.iter().flatten();
        let limits = ["ScaleUpLimit", "ScaleDownLimit"].map(Some);
        Some(Self {
            at: clock::now(),
            percent: metric.current.average_utilization?.into(),
            replicas: status.current_replicas.unwrap_or_default().into(),
            wants: status.desired_replicas.into(),
            is_limited: conditions.clone().any(|one| limits.contains(&one.reason.as_deref())),
        })
    }

    /// What the rule said in a cycle of the journal; `None` where it was silent.
    fn of_cycle(cycle: &Value) -> Option<Self> {
        let said = cycle["decision"]["proposal"]["rules"].as_array()?.first()?;
        Some(Self {
            at: cycle["at"].as_str()?.parse().ok()?,
            percent: said["reading"]["utilization"]["percent"].as_i64()?,
            replicas: said["current"].as_i64()?,
            wants: said["wanted"].as_i64()?,
            is_limited: false,
        })
    }

    /// The same measurement of as many pods, at about the same time.
    fn is_as(&self, other: &Self) -> bool {
        let apart = self.at.since(other.at).max(other.at.since(self.at));
        (self.percent, self.replicas) == (other.percent, other.replicas) && apart < SAME
    }
}

fn cycles(folder: &Path) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path)?;
            // The last line may be half written at this moment.
            let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            found.extend(lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()));
        }
    }
    Ok(found)
}

/// Notes what the HPA sees and wants, and compares it with what Tidegate does.
struct Comparison<'a> {
    hpas: Api<HorizontalPodAutoscaler>,
    journal: &'a Path,
    looks: Vec<Look>,
}

impl Comparison<'_> {
    async fn note(&mut self) -> Result<()> {
        let hpa = self.hpas.get("flink-taskmanager").await?;
        if let Some(look) = Look::of_hpa(&hpa) {
            let last = self.looks.last().map(|last| Look { at: look.at, ..*last });
            if last != Some(look) {
                self.looks.push(look);
            }
        }
        Ok(())
    }

    fn tidegates(&self) -> Result<Vec<Look>> {
        Ok(cycles(self.journal)?.iter().filter_map(Look::of_cycle).collect())
    }

    /// Each look of the HPA's with one of Tidegate's at the same measurement.
    fn pairs(&self) -> Result<Vec<(Look, Look)>> {
        let all = self.tidegates()?;
        let pair =
            |hpa: &Look| all.iter().find(|tidegate| tidegate.is_as(hpa)).map(|tidegate| (*hpa, *tidegate));
        Ok(self.looks.iter().filter_map(pair).collect())
    }

    /// The table, and whether they want the same wherever they see the same.
    fn judge(&self) -> Result<String> {
        let all = self.tidegates()?;
        let first = self.looks.first().context("the HPA has looked")?.at;
        let mut table =
            "      s  HPA: percent replicas wants   Tidegate: percent replicas wants   difference\n"
                .to_owned();
        for hpa in &self.looks {
            let seconds = hpa.at.since(first).as_secs();
            let near = all.iter().min_by_key(|one| one.at.since(hpa.at).max(hpa.at.since(one.at)));
            let (tidegate, is_same) = match all.iter().find(|one| one.is_as(hpa)) {
                Some(same) => (Some(same), true),
                None => (near, false),
            };
            let Some(tidegate) = tidegate else { continue };
            let difference = match (is_same, hpa.wants == tidegate.wants) {
                (true, true) => "none",
                (true, false) if hpa.is_limited => "what the HPA's behavior allows at once",
                (true, false) => "FAULT",
                (false, _) => "another measurement",
            };
            writeln!(
                table,
                "{seconds:>7} {:>13} {:>8} {:>5} {:>19} {:>8} {:>5}   {difference}",
                hpa.percent, hpa.replicas, hpa.wants, tidegate.percent, tidegate.replicas, tidegate.wants
            )?;
        }
        for (hpa, tidegate) in self.pairs()? {
            ensure!(hpa.wants == tidegate.wants || hpa.is_limited, "{hpa:?} {tidegate:?}\n{table}");
        }
        Ok(table)
    }
}

/// Waits until Tidegate without Kubernetes, by the usual monitoring of it in Prometheus, reads as much CPU as Tidegate does by
/// metrics-server, a fifth more or less: their measurements are of other seconds.
async fn cadvisor_says_the_same(
    namespace: &Namespace,
    flink: &str,
    prometheus: &str,
    by_metrics_server: impl Fn() -> Result<Look>,
) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("flink.yaml");
    let config = autoscaler(flink)
        .replace("{name: flink}", &format!("{{name: flink, namespace: {}}}", namespace.name()));
    fs::write(&file, config)?;
    until("cAdvisor and metrics-server to tell the same", PATIENCE, async || {
        let mut recommend = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        recommend.args(["recommend", "-o", "json", "--prometheus", prometheus, "--config"]);
        recommend.arg(&file);
        let output = tokio::task::spawn_blocking(move || recommend.output()).await??;
        let told: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        let said = &told["decision"]["proposal"]["rules"][0];
        ensure!(said["measuredBy"] == "Cadvisor", "{said}");
        let percent = said["reading"]["utilization"]["percent"].as_i64().context("per cents")?;
        let ours = by_metrics_server()?.percent;
        let both = format!("{percent} % by cAdvisor, {ours} % by metrics-server");
        ensure!((percent - ours).abs() * 5 <= ours, "{both}");
        Ok(both)
    })
    .await
}

/// Waits until metrics-server has seen TaskManagers that do nothing: while it starts, Java takes more than the load does later, and an
/// HPA that sees it asks for all that it may have.
async fn has_started(namespace: &Namespace) -> Result<()> {
    until("Java to have started", PATIENCE, async || {
        // It has another measurement every 10 s.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let shown =
            namespace.kubectl(&["top", "pods", "--no-headers", "-l", "component=taskmanager"]).await?;
        let cores = shown.lines().filter_map(|line| line.split_whitespace().nth(1)?.strip_suffix('m'));
        let idle = cores.filter(|cores| cores.parse::<u32>().is_ok_and(|cores| cores <= IDLE));
        ensure!(idle.count() == 3, "{shown}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_hpa_scales_and_tidegate_wants_the_same_and_then_takes_its_place() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace_of_ours().await?;
    let flink = namespace.flink(Options { taskmanagers: 3, cpu: "200m", ..Options::default() }).await?;
    let topic = namespace.topic("orders")?;
    let job = Job::chain(&topic).parallelism("parse", 3).cost("parse", "burn:1ms").cost("enrich", "none");
    let job = flink.submit(&job).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 3)]).await?;

    let nodes = namespace.kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]).await?;
    let monitored = Monitored::start(&namespace, &nodes, 3).await?;
    has_started(&namespace).await?;

    // 0.4 cores, and what Java takes by itself, over pods that request 0.2 each: five or six of them have half of that each.
    topic.set_rate(400.0)?;
    let forward = namespace.forward("svc/flink-jobmanager", 8081).await?;
    let folder = tempfile::tempdir()?;
    let journal = folder.path().to_str().context("a path that is text")?;
    let controller = Controller::with(cluster.kubeconfig(), &namespace, &["--journal-dir", journal])?;
    namespace.apply(&autoscaler(&forward.url())).await?;
    namespace.apply(HPA).await?;
    let deployments: Api<Deployment> = namespace.api();
    let replicas = async || {
        let spec = deployments.get("flink-taskmanager").await?.spec.context("a Deployment has a spec")?;
        spec.replicas.context("the API server fills in the replicas")
    };
    let mut comparison = Comparison { hpas: namespace.api(), journal: folder.path(), looks: Vec::new() };
    let raised =
        until("the HPA to raise the replicas, and Tidegate to look at what it does", PATIENCE, async || {
            comparison.note().await?;
            let replicas = replicas().await?;
            ensure!(replicas > 4, "{:?}", comparison.looks);
            ensure!(
                !comparison.pairs()?.is_empty(),
                "{:?} {:?}",
                comparison.looks,
                comparison.tidegates()?.last()
            );
            Ok(replicas)
        })
        .await?;
    ensure!(raised <= 10, "{raised} replicas");
    until("the new TaskManagers in Flink", PATIENCE, async || {
        comparison.note().await?;
        let seen = flink.client().get("/overview").await?["taskmanagers"].as_u64();
        ensure!(seen > Some(3), "{seen:?}");
        Ok(())
    })
    .await?;

    // `doctor` finds the Flink by the object that names it, and the two that look after one workload.
    until("doctor to find the Flink", PATIENCE, async || {
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        doctor.args(["doctor", "--kubernetes", "-o", "json", "--namespace", namespace.name()]);
        doctor.env("KUBECONFIG", cluster.kubeconfig());
        let output = tokio::task::spawn_blocking(move || doctor.output()).await??;
        let [said, why] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        ensure!(said.contains("\"name\":\"flink\",\"what\":\"Flink\""), "{said}{why}");
        Ok(())
    })
    .await?;

    let ours = || comparison.tidegates()?.last().copied().context("Tidegate looks, too");
    let both = cadvisor_says_the_same(&namespace, &forward.url(), &monitored.prometheus.url(), ours).await?;
    println!("{both}");

    topic.set_rate(0.0)?;
    until("the HPA to go back to the least replicas", PATIENCE, async || {
        comparison.note().await?;
        ensure!(replicas().await? == 3, "{:?}", comparison.looks.last());
        Ok(())
    })
    .await?;
    println!("{}", comparison.judge()?);
    flink.wait_for_taskmanagers(3).await?;

    // One scales, not two.
    namespace.kubectl(&["delete", "hpa", "flink-taskmanager"]).await?;
    let auto = r#"{"spec":{"mode":"Auto"}}"#;
    namespace.kubectl(&["patch", "fas", "flink", "--type=merge", "-p", auto]).await?;
    topic.set_rate(400.0)?;
    let raised = until("Tidegate to raise the replicas", PATIENCE, async || {
        let replicas = replicas().await?;
        ensure!(replicas > 3, "{:?}", comparison.tidegates()?.last());
        Ok(replicas)
    })
    .await?;
    ensure!(raised <= 10, "{raised} replicas");
    let all = cycles(folder.path())?;
    let mut asked = all.iter().filter(|cycle| cycle["outcome"]["outcome"] == "Applied");
    let reason = asked.next().map(|cycle| cycle["decision"]["proposal"]["wants"].to_string());
    ensure!(reason.is_some_and(|wants| wants.contains("MetricAboveTarget")), "who has raised them?");
    controller.stops().await?;
    Ok(())
}
