//! The part of the recording that only the simulation is held against: requests that Tidegate itself does not make, and how
//! Flink turns away what is wrong. One file of lines, so that a test can make the same requests of something else.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Files;
use crate::testbed::{Vertex, until};

/// What is asked of a running chain. `:job`, `:parse` and so on stand for the ids of that run, `:none` for one that Flink
/// takes for an id and that nothing has.
const GETS: &[&str] = &[
    "/jobs/:job/plan",
    "/jobs/:job/config",
    "/jobs/:job/exceptions",
    "/jobs/:job/metrics",
    "/jobs/:job/checkpoints/config",
    "/jobs/:job/vertices/:parse",
    "/jobs/:job/vertices/:parse/metrics",
    "/jobs/:job/vertices/:parse/metrics?get=0.numRecordsIn,2.numRecordsIn,9.numRecordsIn",
    "/jobs/:job/vertices/:parse/subtasks/metrics",
    "/jobs/:job/vertices/:parse/subtasks/metrics?get=numRecordsIn,accumulateBusyTimeMs,busyTimeMsPerSecond",
    "/jobs/:job/vertices/:parse/subtasks/metrics?get=numRecordsIn&agg=min,max&subtasks=0,1-2",
    "/jobs/:job/vertices/:parse/subtasks/metrics?get=numRecordsIn&agg=most",
    "/jobs/:job/vertices/:none",
    "/jobs/:job/vertices/parse",
    "/jobs/:job/checkpoints/:none",
    "/jobs/:none/plan",
    "/jobs/:none/config",
    "/jobs/:none/exceptions",
    "/jobs/:none/checkpoints/config",
    "/jobs/:none/vertices/:none",
    "/jobmanager/config",
    "/v1/config",
    "/v1/no/such/route",
];

/// Resource requirements that Flink does not take; 1.17 takes none.
const PUTS: &[(&str, &str)] = &[
    // A vertex is missing.
    ("/jobs/:job/resource-requirements", r#"{":parse":{"parallelism":{"lowerBound":1,"upperBound":3}}}"#),
    // One too many.
    ("/jobs/:job/resource-requirements", r#"{ALL,":none":{"parallelism":{"lowerBound":1,"upperBound":1}}}"#),
    // Impossible bounds: of two entries for a vertex the last one counts.
    ("/jobs/:job/resource-requirements", r#"{ALL,":parse":{"parallelism":{"lowerBound":3,"upperBound":2}}}"#),
    ("/jobs/:job/resource-requirements", r#"{ALL,":parse":{"parallelism":{"lowerBound":0,"upperBound":2}}}"#),
    (
        "/jobs/:job/resource-requirements",
        r#"{ALL,":parse":{"parallelism":{"lowerBound":1,"upperBound":129}}}"#,
    ),
    // Not requirements at all.
    ("/jobs/:job/resource-requirements", r#"{ALL,":parse":{}}"#),
    (
        "/jobs/:job/resource-requirements",
        r#"{ALL,":parse":{"parallelism":{"lowerBound":"x","upperBound":2}}}"#,
    ),
    ("/jobs/:job/resource-requirements", r#"{ALL,":parse":{"parallelism":{"lowerBound":1}}}"#),
    (
        "/jobs/:job/resource-requirements",
        r#"{ALL,":parse":{"parallelism":{"lowerBound":1,"upperBound":3,"no":1}}}"#,
    ),
    ("/jobs/:job/resource-requirements", "{}"),
    ("/jobs/:job/resource-requirements", ""),
    ("/jobs/:job/resource-requirements", "{"),
    ("/jobs/:none/resource-requirements", "{ALL}"),
    ("/jobs/none/resource-requirements", "{ALL}"),
    ("/no/such/route", "{}"),
];

/// Everything that is recorded, in the order in which it is asked.
pub(super) async fn record(files: &Files<'_>, job: &str, vertices: &BTreeMap<String, Vertex>) -> Result<()> {
    let mut ids: BTreeMap<String, String> =
        vertices.iter().map(|(stage, vertex)| (format!(":{stage}"), vertex.id.clone())).collect();
    ids.insert(":job".to_owned(), job.to_owned());
    ids.insert(":none".to_owned(), "0".repeat(32));
    let mut recording = Recording { files, ids, lines: String::new() };
    for path in GETS {
        recording.ask(Method::GET, path, "").await?;
    }
    for (path, body) in PUTS {
        recording.ask(Method::PUT, path, body).await?;
    }
    recording.checkpoint().await?;
    files.write_as("rest.jsonl", &recording.lines)
}

struct Recording<'a> {
    files: &'a Files<'a>,
    /// Placeholders, and what they stand for.
    ids: BTreeMap<String, String>,
    lines: String,
}

impl Recording<'_> {
    async fn ask(&mut self, method: Method, path: &str, body: &str) -> Result<(StatusCode, Value)> {
        // What the job was submitted with, so that a body that is taken after all changes nothing.
        let all = [(":enrich", 1), (":parse", 3), (":sink", 1), (":source", 2)]
            .map(|(id, most)| format!(r#""{id}":{{"parallelism":{{"lowerBound":1,"upperBound":{most}}}}}"#));
        let body = body.replace("ALL", &all.join(","));
        let fill = |text: &str| self.ids.iter().fold(text.to_owned(), |text, (id, is)| text.replace(id, is));
        let client = self.files.client;
        let (status, answer) = client.send_any(method.clone(), &fill(path), &fill(&body)).await?;
        let answer: Value = serde_json::from_str(&answer).with_context(|| answer)?;
        let line = json!({
            "method": method.as_str(),
            "path": path,
            "body": body,
            "status": status.as_u16(),
            "answer": without_traces(answer.clone()),
        });
        self.lines.extend([line.to_string().as_str(), "\n"]);
        Ok((status, answer))
    }

    /// A checkpoint that somebody asks for.
    async fn checkpoint(&mut self) -> Result<()> {
        let (status, answer) = self.ask(Method::POST, "/jobs/:job/checkpoints", "{}").await?;
        ensure!(status == 202, "{status}: {answer}");
        let id = answer["request-id"].as_str().context("no id")?;
        self.ids.insert(":request".to_owned(), id.to_owned());
        let path = format!("/jobs/{}/checkpoints/{id}", self.ids[":job"]);
        until("the checkpoint", Duration::from_mins(1), async || {
            let status = self.files.client.get(&path).await?["status"]["id"].clone();
            ensure!(status == "COMPLETED", "{status}");
            Ok(())
        })
        .await?;
        self.ask(Method::GET, "/jobs/:job/checkpoints/:request", "").await?;
        Ok(())
    }
}

/// Errors end in stack traces of many kilobytes, which nobody reads.
fn without_traces(mut answer: Value) -> Value {
    for error in answer.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten() {
        let text = error.as_str().unwrap_or_default();
        let told = text.lines().filter(|line| !line.trim_start().starts_with("at "));
        *error = told.collect::<Vec<_>>().join("\n").into();
    }
    answer
}
