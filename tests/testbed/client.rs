//! Flink's REST API as the tests need it. It is no part of Tidegate on purpose: what a test holds Tidegate against must
//! not have come through the code under test.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Job, until};

/// A client of one cluster.
pub struct Client {
    http: reqwest::Client,
    url: String,
}

/// A vertex as `/jobs/:id` shows it, under the name of its stage.
#[derive(Clone, Debug)]
pub struct Vertex {
    /// Flink's id of the vertex.
    pub id: String,
    /// How many subtasks it has now.
    pub parallelism: u64,
    /// Of these, how many are running.
    pub running: u64,
    /// Records that came in since it last started.
    pub read_records: u64,
    /// Records that went out.
    pub write_records: u64,
    /// Milliseconds its subtasks were busy, idle and back-pressured, added up.
    pub busy: f64,
    /// See [`Vertex::busy`].
    pub idle: f64,
    /// See [`Vertex::busy`].
    pub back_pressured: f64,
}

impl Vertex {
    /// Seconds that its counters cover, by their own clock: a subtask is busy, idle or back-pressured at any time.
    pub fn clock(&self) -> f64 {
        (self.busy + self.idle + self.back_pressured) / 1000.0 / self.parallelism as f64
    }
}

impl Client {
    /// A client of the server at `url`.
    pub fn new(url: &str) -> Result<Self> {
        // Whoever comes first installs the provider; it is the same one.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { http, url: url.to_owned() })
    }

    /// Where the server is, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// GET of a path that must be answered with 200.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.expect(path, self.request(Method::GET, path)).await
    }

    /// GET of any path: the status and the body, whatever they are.
    pub async fn get_any(&self, path: &str) -> Result<(StatusCode, String)> {
        let answer = self.request(Method::GET, path).send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    /// Any request with any body: the status and the body of the answer, whatever they are.
    pub async fn send_any(&self, method: Method, path: &str, body: &str) -> Result<(StatusCode, String)> {
        let request = self.request(method, path).header("content-type", "application/json");
        let answer = request.body(body.to_owned()).send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    /// PUT of a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.expect(path, self.request(Method::PUT, path).json(body)).await
    }

    /// POST of a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.expect(path, self.request(Method::POST, path).json(body)).await
    }

    /// The job's state, which unlike that in `/jobs/:id` no cache delays.
    pub async fn state(&self, job: &str) -> Result<String> {
        let answer = self.get(&format!("/jobs/{job}/status")).await?;
        Ok(answer["status"].as_str().context("no status")?.to_owned())
    }

    /// The job's vertices by their stages.
    pub async fn vertices(&self, job: &str) -> Result<BTreeMap<String, Vertex>> {
        let answer = self.get(&format!("/jobs/{job}")).await?;
        let vertices = answer["vertices"].as_array().context("no vertices")?;
        Ok(vertices.iter().map(|vertex| (stage(vertex), read_vertex(vertex))).collect())
    }

    /// The vertices with counters that are less than a second old. Flink answers from its last fetch of them; a request
    /// that finds it older than the interval set in the test bed, a second, only starts the next one.
    pub async fn vertices_now(&self, job: &str) -> Result<BTreeMap<String, Vertex>> {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        self.vertices(job).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.vertices(job).await
    }

    /// Asks for other parallelisms of some stages; the rest stay as they were asked for last.
    pub async fn rescale(&self, job: &str, wanted: &[(&str, u64)]) -> Result<()> {
        let vertices = self.vertices(job).await?;
        let path = format!("/jobs/{job}/resource-requirements");
        let mut requirements = self.get(&path).await?;
        for (stage, parallelism) in wanted {
            let vertex = vertices.get(*stage).with_context(|| format!("no stage {stage}"))?;
            requirements[&vertex.id]["parallelism"] = json!({"lowerBound": 1, "upperBound": parallelism});
        }
        self.put(&path, &requirements).await?;
        Ok(())
    }

    /// Waits until the job runs with all subtasks of all vertices, these stages at these parallelisms.
    pub async fn running_at(&self, job: &str, within: Duration, wanted: &[(&str, u64)]) -> Result<()> {
        until(&format!("job {job} to run at {wanted:?}"), within, async || {
            let state = self.state(job).await?;
            ensure!(state == "RUNNING", "{state}");
            let vertices = self.vertices(job).await?;
            for (stage, vertex) in &vertices {
                ensure!(vertex.running == vertex.parallelism, "{stage}: {vertex:?}");
            }
            for (stage, parallelism) in wanted {
                let vertex = vertices.get(*stage).with_context(|| format!("no stage {stage}"))?;
                ensure!(vertex.parallelism == *parallelism, "{stage}: {vertex:?}");
            }
            Ok(())
        })
        .await
    }

    /// Records that wait at a source, as its gauges say; an error while Flink has none.
    pub async fn pending(&self, job: &str, stage: &str) -> Result<f64> {
        let vertices = self.vertices(job).await?;
        let vertex = &vertices.get(stage).with_context(|| format!("no stage {stage}"))?.id;
        let path = format!(
            "/jobs/{job}/vertices/{vertex}/subtasks/metrics?get=Source__{stage}.pendingRecords&agg=sum"
        );
        let answer = self.get(&path).await?;
        answer[0]["sum"].as_f64().with_context(|| format!("no pendingRecords: {answer}"))
    }

    /// Uploads the jar and runs the job; returns its id.
    pub async fn submit(&self, jar: &Path, job: &Job) -> Result<String> {
        let uploaded = self.upload(jar).await?;
        let name = Path::new(&uploaded).file_name().context("an upload has a name")?.to_string_lossy();
        let body = json!({"entryClass": job.class, "programArgsList": job.arguments});
        let answer = self.post(&format!("/jars/{name}/run"), &body).await?;
        Ok(answer["jobid"].as_str().context("no job id")?.to_owned())
    }

    async fn upload(&self, jar: &Path) -> Result<String> {
        let mut body =
            b"--jar\r\ncontent-disposition: form-data; name=\"jarfile\"; filename=\"jobs.jar\"\r\n\
            content-type: application/x-java-archive\r\n\r\n"
                .to_vec();
        body.extend(std::fs::read(jar)?);
        body.extend(b"\r\n--jar--\r\n");
        let request = self.request(Method::POST, "/jars/upload");
        let request = request.header("content-type", "multipart/form-data; boundary=jar").body(body);
        let answer = self.expect("/jars/upload", request).await?;
        Ok(answer["filename"].as_str().context("no file name")?.to_owned())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    async fn expect(&self, path: &str, request: RequestBuilder) -> Result<Value> {
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        if !status.is_success() {
            bail!("{path}: {status}: {}", body.chars().take(1500).collect::<String>());
        }
        serde_json::from_str(&body).with_context(|| format!("{path}: {body}"))
    }
}

fn stage(vertex: &Value) -> String {
    let name = vertex["name"].as_str().unwrap_or_default();
    name.strip_prefix("Source: ").unwrap_or(name).to_owned()
}

fn read_vertex(vertex: &Value) -> Vertex {
    let metrics = &vertex["metrics"];
    Vertex {
        id: vertex["id"].as_str().unwrap_or_default().to_owned(),
        parallelism: vertex["parallelism"].as_u64().unwrap_or_default(),
        running: vertex["tasks"]["RUNNING"].as_u64().unwrap_or_default(),
        read_records: metrics["read-records"].as_u64().unwrap_or_default(),
        write_records: metrics["write-records"].as_u64().unwrap_or_default(),
        busy: metrics["accumulated-busy-time"].as_f64().unwrap_or(f64::NAN),
        idle: metrics["accumulated-idle-time"].as_f64().unwrap_or(f64::NAN),
        back_pressured: metrics["accumulated-backpressured-time"].as_f64().unwrap_or(f64::NAN),
    }
}
