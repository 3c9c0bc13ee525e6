//! Many jobs in one process: what it takes, and that one dead cluster costs the others nothing.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidegate::daemon::clock;
use tidegate::serve::flink::{FlinkServer, Pace};
use tidegate::simulate::{EdgeScenario, Load, Scenario, Simulation, VertexScenario, scenarios};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::bed::{Controller, PATIENCE, namespace};
use crate::kubernetes::Cluster;
use crate::testbed::until;

const JOBS: usize = 300;

/// For as long as is measured, when all have been seen.
const MEASURED: Duration = Duration::from_mins(1);

/// A job that stays as it is: a few records, four vertices.
async fn steady_job() -> Result<String> {
    let scenario = Scenario {
        vertices: vec![
            VertexScenario::new("source", 0.01).with_load(Load::steps(&[(0, 150.0)])),
            VertexScenario::new("parse", 4.0).with_parallelism(1),
            VertexScenario::new("enrich", 3.0).with_parallelism(1),
            VertexScenario::new("sink", 2.0).with_parallelism(1),
        ],
        edges: vec![
            EdgeScenario::new("source", "parse"),
            EdgeScenario::new("parse", "enrich"),
            EdgeScenario::new("enrich", "sink"),
        ],
        faults: Vec::new(),
        ..scenarios::demo()
    };
    let now = clock::now();
    let mut simulation = Simulation::starting_at(&scenario, now - Duration::from_secs(40))?;
    simulation.advance_to(now);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(
        Arc::clone(&FlinkServer::new(simulation, Pace::Times(1.0))).serve(listener, std::future::pending()),
    );
    Ok(url)
}

fn autoscaler(name: &str, url: &str) -> String {
    format!(
        "---\napiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {{name: {name}}}\n\
         spec: {{flink: {{url: '{url}'}}}}\n"
    )
}

/// Seconds of CPU that a process has taken, and bytes of memory that it holds.
fn taken(process: u32) -> Result<(f64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after = stat.rsplit_once(") ").context("a name in brackets")?.1;
    let ticks: u64 = after.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("its memory")?;
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse()?;
    // A hundred ticks a second on every Linux of today.
    Ok((ticks as f64 / 100.0, kib << 10))
}

#[tokio::test]
async fn three_hundred_jobs_in_one_process() -> Result<()> {
    let namespace = namespace().await?;
    let mut objects = String::new();
    for number in 0..JOBS {
        objects += &autoscaler(&format!("job-{number}"), &steady_job().await?);
    }
    // Nobody answers there.
    objects += &autoscaler("dead", "http://127.0.0.1:9");
    namespace.apply(&objects).await?;
    let controller = Controller::start(Cluster::shared()?, &namespace)?;
    // All but the dead one.
    until("all statuses", PATIENCE * 3, async || {
        let autoscalers = namespace.objects("FlinkAutoscaler").await?;
        let is_active = |item: &&serde_json::Value| {
            let conditions = item["status"]["conditions"].as_array().into_iter().flatten();
            conditions.clone().any(|one| one["type"] == "ScalingActive" && one["status"] == "True")
        };
        let active = autoscalers.iter().filter(is_active).count();
        ensure!(active == JOBS, "{active} of {JOBS}");
        Ok(())
    })
    .await?;
    sleep(Duration::from_secs(20)).await;
    let (before, _) = taken(controller.id())?;
    sleep(MEASURED).await;
    let (after, memory) = taken(controller.id())?;
    let share = (after - before) / MEASURED.as_secs_f64();
    let mib = memory as f64 / f64::from(1 << 20);
    println!("{JOBS} jobs: {:.1} % of a core, {mib:.0} MiB", share * 100.0);
    // A build without optimisation takes ten times what a release does; the README has the figures of one.
    let (most_cpu, most_mib) = if cfg!(debug_assertions) { (1.0, 400.0) } else { (0.1, 120.0) };
    ensure!(share < most_cpu && mib < most_mib, "{:.1} % of a core, {mib:.0} MiB", share * 100.0);
    Ok(())
}
