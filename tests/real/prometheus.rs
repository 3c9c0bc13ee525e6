//! A policy that asks a real Prometheus of what a real Flink reports to it, and what becomes of the job when Prometheus is
//! away, slow, or has forgotten everything.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tidegate::config::{Library, Source, load};
use tidegate::daemon::clock;
use tidegate::model::{Amount, ContainerCpu, Observation};
use tidegate::observe::flink::{FlinkClient, Poller};
use tidegate::observe::prometheus::{Servers, Whose};
use tidegate::policy::{FlinkRef, PrometheusRef};
use tidegate::serve::flink::{FlinkServer, Pace};
use tidegate::simulate::{Simulation, scenarios};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::daemon::{Daemon, Settings};
use crate::policies::{decided_by, size};
use crate::testbed::{Fault, Flink, Job, Options, Prometheus, Proxy, until};

const PATIENCE: Duration = Duration::from_mins(1);

/// Records a second of one subtask of the source, from Flink's own counters; the proportion of subtasks is what is asked for,
/// so the sizes that come of it bring the number to its target.
const QUERY: &str = "sum(rate(flink_taskmanager_job_task_numRecordsOut{job_name=\\\"${job}\\\",task_name=~\\\"Source.*\\\"}[5s])) \
                     / count(flink_taskmanager_job_task_numRecordsOut{job_id=\\\"${jobId}\\\",task_name=~\\\"Source.*\\\"})";

/// Throughput, and 600 records a second for each subtask of the source.
fn settings(prometheus: &str) -> Settings {
    Settings {
        spec: format!("  prometheus: {{url: \"{prometheus}\"}}\n  parallelism: {{max: 12}}"),
        rules: format!(
            "{{throughput: {{}}}}, {{prometheus: {{query: \"{QUERY}\", target: {{type: Value, value: \"600\"}}}}}}"
        ),
        window: 6,
        cooldown: "5s",
        ..Settings::default()
    }
}

/// A cluster that reports, its Prometheus, and the job with so many subtasks of `parse` at 500 records/s.
async fn bed(parse: u64) -> Result<(Flink, Prometheus, crate::testbed::Topic)> {
    let flink = Flink::start("2.3", Options { reports: true, ..Options::default() }).await?;
    let prometheus = Prometheus::start(&[("flink", flink.reporters())]).await?;
    let topic = flink.topic("orders")?;
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", u32::try_from(parse)?)).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", parse)]).await?;
    topic.set_rate(500.0)?;
    Ok((flink, prometheus, topic))
}

/// What the rule that asks Prometheus said in a cycle: `Replicas`, or `Silent` and why.
fn said(cycle: &Value) -> (&str, String) {
    let rules = cycle["decision"]["proposal"]["rules"].as_array();
    let rule = rules.and_then(|rules| rules.iter().find(|rule| rule["rule"] == "prometheus"));
    let said = rule.and_then(|rule| rule["said"].as_str()).unwrap_or_default();
    (said, rule.map_or_else(String::new, |rule| rule["why"].to_string()))
}

/// Waits until the rule has said this in so many cycles in a row, of which each is one to come.
async fn says(daemon: &Daemon, word: &str, cycles: usize, within: Duration) -> Result<Vec<Value>> {
    let before = daemon.cycles()?.len();
    until(&format!("the rule to be {word}"), within, async || {
        let all = daemon.cycles()?;
        let last = &all[before.max(all.len().saturating_sub(cycles))..];
        let words: Vec<_> = last.iter().map(said).collect();
        ensure!(last.len() == cycles && words.iter().all(|(said, _)| *said == word), "{words:?}");
        Ok(last.to_vec())
    })
    .await
}

/// More than a hundredth of a core is what any TaskManager uses at such a load: by Flink's own reporter, as there is no Kubernetes.
const CPU: &str = "{resource: {name: cpu, target: {type: AverageValue, averageValue: \"10m\"}, when: \"signals.load > 1600.0\"}}";

#[tokio::test]
async fn throughput_and_a_query_and_cpu_each_decide_at_some_time() -> Result<()> {
    let (flink, prometheus, topic) = bed(1).await?;
    flink_tells_of_its_cpu(&flink, &prometheus).await?;
    let mut settings = settings(&prometheus.url());
    settings.rules.extend([", ", CPU]);
    let daemon = Daemon::start(flink.url(), "chain", &settings)?;
    let asked = daemon.asks(1, PATIENCE).await?;
    ensure!(size(&asked, "parse").is_some_and(|size| (3..=5).contains(&size)), "{asked:?}");
    let (rule, _) = decided_by(&daemon, 1, "parse")?;
    ensure!(rule == "throughput", "{rule} has decided: {asked:?}");

    // The backlog of the beginning is to be gone first, or it is counted.
    daemon.cycles_with("Unchanged", 2, PATIENCE * 3).await?;
    topic.set_rate(1400.0)?;
    let asked = daemon.asks(2, PATIENCE).await?;
    let source = asked.to.iter().find(|(name, _)| name.starts_with("Source")).context("the source grows")?;
    ensure!((2..=3).contains(&source.1), "1400/s by 600/s: {asked:?}");
    let (rule, _) = decided_by(&daemon, 2, &source.0)?;
    ensure!(rule == "prometheus", "{rule} has decided: {asked:?}");

    // Neither the query nor throughput asks for as many sources as CPU does.
    topic.set_rate(1800.0)?;
    let asked = daemon.asks(3, PATIENCE * 4).await?;
    let (rule, _) = decided_by(&daemon, 3, &source.0)?;
    ensure!(rule == "resource", "{rule} has decided: {asked:?}");
    ensure!(size(&asked, &source.0).is_some_and(|size| size > 3), "{asked:?}");
    let cycles = daemon.cycles()?;
    let applied =
        cycles.iter().rfind(|cycle| cycle["outcome"]["outcome"] == "Applied").context("a rescale")?;
    let told = applied.to_string();
    ensure!(told.contains("\"measuredBy\":\"FlinkCpuTime\"") && told.contains("MetricAboveTarget"), "{told}");
    daemon.replays()?;
    daemon.stop()
}

#[tokio::test]
async fn a_prometheus_that_is_gone_or_slow_or_empty_scales_nothing_down() -> Result<()> {
    let (flink, mut prometheus, topic) = bed(3).await?;
    let mut proxy = Proxy::start(&prometheus.url()).await?;
    let mut daemon = Daemon::start(flink.url(), "chain", &settings(&proxy.url()))?;
    says(&daemon, "Replicas", 2, PATIENCE).await?;
    let before = daemon.asked()?.len();

    // Gone, and with a load for which much less would do, beyond the window of shrinking.
    proxy.set(Fault::Refuse).await?;
    topic.set_rate(100.0)?;
    until("the rule that is silent to hold", PATIENCE, async || {
        let cycles = daemon.cycles()?;
        let holds = cycles.last().map(|cycle| cycle["decision"]["holds"].to_string()).unwrap_or_default();
        ensure!(holds.contains("RuleSilent"), "{holds}");
        Ok(())
    })
    .await?;
    let cycles = says(&daemon, "Silent", 8, PATIENCE).await?;
    ensure!(
        cycles.iter().all(|cycle| said(cycle).1.contains("connection refused")),
        "{}",
        daemon.last_cycles(1)
    );
    ensure!(daemon.asked()?.len() == before, "scaled down: {:?}", daemon.asked()?);
    let refused = daemon.log().matches("no numbers from Prometheus").count();
    ensure!(refused == 1, "said {refused} times: {}", daemon.log());

    // Slow: the other rule goes on, and grows.
    proxy.set(Fault::Delay(Duration::from_secs(30))).await?;
    topic.set_rate(1100.0)?;
    let asked = daemon.asks(before + 1, PATIENCE).await?;
    ensure!(size(&asked, "parse").is_some_and(|size| size >= 6), "{asked:?}");
    ensure!(
        daemon.cycles()?.last().is_some_and(|cycle| said(cycle).0 == "Silent"),
        "{}",
        daemon.last_cycles(1)
    );

    // Restarted with nothing stored: silent until there is a rate again, which takes two scrapes, and back.
    prometheus.restart_empty().await?;
    proxy.set(Fault::None).await?;
    until("two scrapes", PATIENCE, async || {
        let values = prometheus.query("count_over_time(up[10s])").await?;
        ensure!(!values.is_empty() && values.iter().all(|count| *count >= 3.0), "{values:?}");
        Ok(())
    })
    .await?;
    let from = daemon.cycles()?.len();
    says(&daemon, "Replicas", 1, PATIENCE).await?;
    let cycles = daemon.cycles()?;
    let back =
        cycles.iter().skip(from).position(|cycle| said(cycle).0 == "Replicas").context("it is back")?;
    ensure!(back < 8, "back after {back} cycles: {}", daemon.last_cycles(8));
    daemon.check_alive()?;
    daemon.replays()?;
    daemon.stop()
}

/// Of each TaskManager that runs the job, and of no other: what it uses, and which share of the machine that is.
async fn flink_tells_of_its_cpu(flink: &Flink, prometheus: &Prometheus) -> Result<()> {
    let named =
        FlinkRef { url: flink.url().to_owned(), job: Some("chain".to_owned()), ..FlinkRef::default() };
    let mut poller = Poller::new(FlinkClient::new(&named)?, &named);
    let cpu = r#"
apiVersion: tidegate.dev/v1alpha1
kind: FlinkAutoscaler
metadata: {name: orders}
spec: {flink: {url: "http://x:8081"}, policyRef: {name: cpu}}
"#;
    let config = load(&[Source::new("orders.yaml", cpu)], &Library::built_in());
    let config = config.map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let server = PrometheusRef::at(prometheus.url());
    let queries =
        Servers::default().queries(Some(&server), &config.autoscalers[0].policy, Whose::default())?;
    let mut queries = queries.context("a rule on CPU is asked for")?;
    let told = until("two scrapes of Flink", PATIENCE, async || {
        let observation = queries.beside(poller.observe(clock::now), clock::now).await;
        let Observation::Seen(snapshot) = observation else { anyhow::bail!("{observation:?}") };
        let told = snapshot.around.cpu.context("it was asked for")?.told.map_err(anyhow::Error::msg)?;
        ensure!(!told.cores.is_empty() && told.cores.len() == told.shares.len(), "{told:?}");
        Ok(told)
    })
    .await?;
    ensure!(told.containers.is_empty() && told.cores.len() <= 2, "{told:?}");
    ensure!(told.cores.iter().any(|cores| *cores > 0), "{told:?}");
    ensure!(told.shares.iter().all(|share| (0..=1000).contains(share)), "{told:?}");
    Ok(())
}

/// What the kubelet's cAdvisor and kube-state-metrics say of two TaskManagers that use 0.4 cores of the half that they request; and
/// of what has to be left out: sums of pods, pause containers, another workload's pods, another namespace.
async fn cadvisor() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let begun = std::time::Instant::now();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let seconds = 100.0 + 0.4 * begun.elapsed().as_secs_f64();
            let mut page = String::new();
            for (namespace, pod) in [
                ("streams", "orders-taskmanager-7c9d8b5f6d-abcde"),
                ("streams", "orders-taskmanager-7c9d8b5f6d-fghij"),
                ("streams", "orders-taskmanager-extra-7c9d8b5f6d-zzzzz"),
                ("other", "orders-taskmanager-7c9d8b5f6d-klmno"),
            ] {
                for container in ["taskmanager", "POD", ""] {
                    let _ = writeln!(
                        page,
                        "container_cpu_usage_seconds_total{{container=\"{container}\",cpu=\"total\",namespace=\"{namespace}\",\
                         pod=\"{pod}\"}} {seconds}"
                    );
                }
                for (resource, amount) in [("cpu", 0.5), ("memory", 1e9)] {
                    let _ = writeln!(
                        page,
                        "kube_pod_container_resource_requests{{container=\"taskmanager\",namespace=\"{namespace}\",pod=\"{pod}\",\
                         resource=\"{resource}\",unit=\"x\"}} {amount}"
                    );
                }
            }
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n", page.len());
            let _ = stream.write_all(format!("{head}connection: close\r\n\r\n{page}").as_bytes()).await;
        }
    });
    Ok(address)
}

/// A job that is seen to run, for queries to be asked beside.
async fn seen() -> Result<Observation> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let flink = FlinkRef { url: format!("http://{}", listener.local_addr()?), ..FlinkRef::default() };
    let simulation = Simulation::starting_at(&scenarios::demo(), clock::now())?;
    tokio::spawn(FlinkServer::new(simulation, Pace::Times(1.0)).serve(listener, std::future::pending()));
    let mut poller = Poller::new(FlinkClient::new(&flink)?, &flink);
    until("the job to be seen", PATIENCE, async || {
        let observation = poller.observe(clock::now).await;
        ensure!(matches!(observation, Observation::Seen(_)), "{observation:?}");
        Ok(observation)
    })
    .await
}

#[tokio::test]
async fn a_cpu_rule_needs_no_query_where_prometheus_has_cadvisor_and_kube_state_metrics() -> Result<()> {
    const CONFIG: &str = r#"
apiVersion: tidegate.dev/v1alpha1
kind: FlinkAutoscaler
metadata: {name: orders, namespace: streams}
spec:
  flink: {url: "http://x:8081"}
  workload: {apiVersion: apps/v1, kind: Deployment, name: orders-taskmanager}
  policyRef: {name: cpu}
"#;
    let config = load(&[Source::new("orders.yaml", CONFIG)], &Library::built_in());
    let config = config.map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let orders = &config.autoscalers[0];
    let prometheus = Prometheus::start(&[("kubernetes", vec![cadvisor().await?])]).await?;
    let whose = Whose::of(&orders.spec, &orders.name, orders.namespace.as_deref());
    let named = PrometheusRef::at(prometheus.url());
    let queries = Servers::default().queries(Some(&named), &orders.policy, whose)?;
    let mut queries = queries.context("a rule on CPU is asked for")?;
    let observation = seen().await?;
    // There is no API server to tell.
    queries.heed(&observation);
    let told = until("two scrapes", PATIENCE, async || {
        let observation = queries.beside(async { observation.clone() }, clock::now).await;
        let Observation::Seen(snapshot) = observation else { anyhow::bail!("it was seen") };
        let cpu = snapshot.around.cpu.context("it was asked for")?;
        cpu.told.map_err(anyhow::Error::msg)
    })
    .await?;
    ensure!(told.cores.is_empty() && told.shares.is_empty(), "{told:?}");
    let mut containers = told.containers;
    containers.sort_by(|one, other| one.pod.cmp(&other.pod));
    ensure!(containers.len() == 2, "{containers:?}");
    for (ContainerCpu { pod, container, cpu: Amount { used, request } }, end) in
        containers.iter().zip(["abcde", "fghij"])
    {
        ensure!(pod.ends_with(end) && container == "taskmanager" && *request == Some(500), "{containers:?}");
        ensure!(used.is_some_and(|used| (200..=800).contains(&used)), "about 400: {containers:?}");
    }
    Ok(())
}
