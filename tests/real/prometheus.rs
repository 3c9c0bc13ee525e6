//! A policy that asks a real Prometheus of what a real Flink reports to it, and what becomes of the job when Prometheus is
//! away, slow, or has forgotten everything.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

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

#[tokio::test]
async fn throughput_and_a_query_each_decide_at_some_time() -> Result<()> {
    let (flink, prometheus, topic) = bed(1).await?;
    let daemon = Daemon::start(flink.url(), "chain", &settings(&prometheus.url()))?;
    let asked = daemon.asks(1, PATIENCE).await?;
    ensure!(size(&asked, "parse").is_some_and(|size| (3..=5).contains(&size)), "{asked:?}");
    let (rule, _) = decided_by(&daemon, 1, "parse")?;
    ensure!(rule == "throughput", "{rule} has decided: {asked:?}");

    // The backlog of the beginning is to be gone first, or it is counted.
    daemon.cycles_with("Unchanged", 2, PATIENCE).await?;
    topic.set_rate(1400.0)?;
    let asked = daemon.asks(2, PATIENCE).await?;
    let source = asked.to.iter().find(|(name, _)| name.starts_with("Source")).context("the source grows")?;
    ensure!((2..=3).contains(&source.1), "1400/s by 600/s: {asked:?}");
    let (rule, _) = decided_by(&daemon, 2, &source.0)?;
    ensure!(rule == "prometheus", "{rule} has decided: {asked:?}");
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
    let cycles = says(&daemon, "Silent", 8, PATIENCE).await?;
    ensure!(
        cycles.iter().all(|cycle| said(cycle).1.contains("connection refused")),
        "{}",
        daemon.last_cycles(1)
    );
    let holds = cycles.last().map(|cycle| cycle["decision"]["holds"].to_string()).unwrap_or_default();
    ensure!(holds.contains("RuleSilent"), "{holds}");
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
