//! A real Prometheus on loopback, that scrapes what a test names every second.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::process::Process;
use super::{ports, until};

/// How long it may take to start on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// What comes before the items of what is scraped.
const CONFIG: &str = "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n\
                      rule_files: [rules.yml]\nscrape_configs:\n";

/// What is scraped: the name of a job, and its targets, `host:port`.
pub type Scrape<'a> = (&'a str, Vec<String>);

/// A running Prometheus; dropping it ends it and removes what it has stored.
pub struct Prometheus {
    process: Option<Process>,
    port: u16,
    folder: TempDir,
}

impl Prometheus {
    /// Installs it if need be, starts it, and waits until it is ready.
    pub async fn start(scrapes: &[Scrape<'_>]) -> Result<Self> {
        Self::with_rules(scrapes, "groups: []").await
    }

    /// The same with a file of rules, which are evaluated every second.
    pub async fn with_rules(scrapes: &[Scrape<'_>], rules: &str) -> Result<Self> {
        Self::scraping(&items(scrapes), rules).await
    }

    /// The same that is told in YAML what it scrapes: items of `scrape_configs`.
    pub async fn scraping(items: &str, rules: &str) -> Result<Self> {
        install()?;
        let mut folder = tempfile::Builder::new().prefix("testbed-").tempdir()?;
        folder.disable_cleanup(std::env::var_os("TIDEGATE_KEEP").is_some());
        fs::write(folder.path().join("prometheus.yml"), format!("{CONFIG}{items}"))?;
        fs::write(folder.path().join("rules.yml"), rules)?;
        let mut prometheus = Self { process: None, port: ports::free()?, folder };
        prometheus.restart_empty().await?;
        Ok(prometheus)
    }

    /// Where its API is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Starts it, again at its old address, with nothing stored, and waits until it is ready.
    pub async fn restart_empty(&mut self) -> Result<()> {
        self.kill()?;
        let data = self.folder.path().join("data");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        let command = [
            "prometheus".to_owned(),
            format!("--config.file={}", self.folder.path().join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", data.display()),
            format!("--web.listen-address=127.0.0.1:{}", self.port),
            "--log.level=warn".to_owned(),
        ];
        let mut process = Process::start("prometheus", self.folder.path(), &command)?;
        let http = client();
        let ready = format!("{}/-/ready", self.url());
        until("Prometheus to be ready", PATIENCE, async || {
            if let Err(dead) = process.check_alive() {
                return Ok(Err(dead));
            }
            let status = http.get(&ready).send().await?.status();
            ensure!(status.is_success(), "{status}");
            Ok(Ok(()))
        })
        .await??;
        self.process = Some(process);
        Ok(())
    }

    /// The values of the series that a query gives now.
    pub async fn query(&self, query: &str) -> Result<Vec<f64>> {
        let answer = self.get("query", &[("query", query)]).await?;
        let series = answer["data"]["result"].as_array().with_context(|| format!("{query}: {answer}"))?;
        let value = |series: &Value| series["value"][1].as_str().and_then(|value| value.parse().ok());
        series.iter().map(|series| value(series).with_context(|| series.to_string())).collect()
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/{path}", self.url()))?;
        url.query_pairs_mut().extend_pairs(parameters);
        let bytes = client().get(url).send().await?.bytes().await?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

fn client() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::new()
}

fn install() -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/install-prometheus");
    let run = Command::new(&script).output().with_context(|| format!("cannot run {}", script.display()))?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    Ok(())
}

fn items(scrapes: &[Scrape<'_>]) -> String {
    let mut text = String::new();
    for (job, targets) in scrapes {
        writeln!(text, "  - {{job_name: {job}, static_configs: [{{targets: {targets:?}}}]}}")
            .expect("a string takes all");
    }
    text
}
