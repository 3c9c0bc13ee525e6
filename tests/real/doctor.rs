//! `tidegate doctor` on real clusters: one in which nothing prevents scaling, and one in which much does.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use tidegate::config::{Library, Source, load};
use tidegate::observe::prometheus::{Whose, findings};
use tidegate::policy::PrometheusRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::testbed::{Flink, Job, Options, Prometheus};

const PATIENCE: Duration = Duration::from_mins(1);

/// The exit code, and what was found; or what was said on stderr.
async fn doctor(url: &str, more: &[&str]) -> Result<(Option<i32>, Vec<String>)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["doctor", "--flink", url, "--timeout", "5s", "-o", "json"]).args(more);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let Ok(examined) = serde_json::from_slice::<Value>(&output.stdout) else {
        return Ok((output.status.code(), vec![said]));
    };
    let findings = examined["findings"].as_array().with_context(|| said)?;
    let what = findings.iter().filter_map(|finding| finding["what"].as_str().map(str::to_owned));
    Ok((output.status.code(), what.collect()))
}

#[tokio::test]
async fn finds_what_prevents_scaling_and_nothing_where_nothing_does() -> Result<()> {
    let good = Flink::start("2.3", Options { taskmanagers: 1, reports: true, ..Options::default() }).await?;
    let topic = good.topic("orders")?;
    let job = good.submit(&Job::chain(&topic)).await?;
    good.client().running_at(&job, PATIENCE, &[("parse", 1)]).await?;
    let (exit, found) = doctor(good.url(), &["--job", "chain"]).await?;
    ensure!(exit == Some(0) && found == ["FullBuffers", "AlignedCheckpoints"], "{exit:?} {found:?}");
    let (exit, found) = doctor(good.url(), &["--job", "ordres"]).await?;
    ensure!(exit == Some(1) && found == ["NoSuchJob", "FullBuffers"], "{exit:?} {found:?}");
    drop(good);

    let options = Options { taskmanagers: 1, slots: 1, ..Options::default() }
        .with("jobmanager.scheduler", "default")
        .with("execution.checkpointing.interval", "")
        .with("metrics.fetcher.update-interval", "20000");
    let bad = Flink::start("1.20", options).await?;
    let topic = bad.topic("orders")?;
    let job = bad.submit(&Job::chain(&topic)).await?;
    bad.client().running_at(&job, PATIENCE, &[("parse", 1)]).await?;
    let (exit, found) = doctor(bad.url(), &[]).await?;
    for what in ["Scheduler", "NoCheckpoints", "MetricsOld", "NoFreeSlots", "NoReporter"] {
        ensure!(found.iter().any(|found| found == what), "{what} in {found:?}");
    }
    ensure!(exit == Some(1), "{exit:?}");
    let gone = bad.url().to_owned();
    drop(bad);
    let (exit, said) = doctor(&gone, &[]).await?;
    ensure!(exit == Some(3) && said[0].contains("connection refused"), "{exit:?} {said:?}");
    Ok(())
}

/// A server of HTML.
async fn web_page() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 22\r\nconnection: close\r\n\r\n<html>Welcome!</html>\n";
            let _ = stream.write_all(page.as_bytes()).await;
        }
    });
    Ok(url)
}

#[tokio::test]
async fn asks_a_real_prometheus_the_queries_of_a_policy() -> Result<()> {
    const CONFIG: &str = r#"
apiVersion: tidegate.dev/v1alpha1
kind: FlinkAutoscaler
metadata: {name: orders}
spec: {flink: {url: "http://x:8081"}, policyRef: {name: asks}}
---
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: asks}
spec:
  rules:
    - prometheus: {query: 'sum(vector(4))', target: {type: Value, value: "1"}}
    - prometheus: {query: 'sum(no_such_metric{job="${job}"})', target: {type: Value, value: "1"}}
    - prometheus: {query: 'sum(rate(x))', target: {type: Value, value: "1"}}
    - prometheus: {query: 'sum(lag{job="${jobId}"})', target: {type: Value, value: "1"}}
"#;
    let config = load(&[Source::new("orders.yaml", CONFIG)], &Library::default());
    let config = config.map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let policy = &config.autoscalers[0].policy;
    let prometheus = Prometheus::start(&[]).await?;
    let look = async |url: Option<&str>| {
        let named = url.map(PrometheusRef::at);
        findings(named.as_ref(), Some(policy), &Whose::default(), Some("orders")).await
    };
    let found = look(Some(&prometheus.url())).await;
    let whats: Vec<_> = found.iter().map(|finding| finding.what).collect();
    ensure!(whats == ["EmptyQuery", "QueryRefused"], "{found:#?}");
    ensure!(found[0].about.as_deref() == Some("sum(no_such_metric{job=\"orders\"})"), "{found:#?}");
    ensure!(found[1].found.contains("parse error"), "in the server's own words: {found:#?}");
    ensure!(look(None).await[0].what == "NoPrometheus");

    // The same mistake is told by `policy lint`, with its place.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("orders.yaml");
    std::fs::write(&file, CONFIG)?;
    let mut lint = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    lint.args(["policy", "lint", "--prometheus", &prometheus.url()]).arg(&file).env("PATH", folder.path());
    let output = tokio::task::spawn_blocking(move || lint.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors: Vec<&str> = said.lines().filter(|line| line.contains(": error: ")).collect();
    ensure!(output.status.code() == Some(2) && errors.len() == 1, "{said}");
    let place = ":14:37: error: spec.rules[2].prometheus.query: Prometheus http://";
    ensure!(errors[0].contains(place) && errors[0].contains("says: bad_data: "), "{said}");
    ensure!(errors[0].contains("1:10: parse error: expected type range vector"), "{said}");

    let page = web_page().await?;
    let gone = prometheus.url();
    drop(prometheus);
    for (url, said) in [(&page, "does not look like Prometheus"), (&gone, "refused")] {
        let found = look(Some(url)).await;
        ensure!(found.len() == 1 && found[0].what == "PrometheusUnusable", "{found:#?}");
        ensure!(found[0].found.contains(said) && !found[0].found.contains('\n'), "{found:#?}");
    }
    let (exit, said) = doctor(&page, &[]).await?;
    let said = said.join("");
    ensure!(
        exit == Some(3) && said.contains("does not look like Flink") && said.lines().count() == 1,
        "{said}"
    );
    Ok(())
}

/// Serves nothing but this certificate.
async fn tls(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> Result<u16> {
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>").await;
                let _ = stream.shutdown().await;
            });
        }
    });
    Ok(port)
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_one_line_that_names_the_setting() -> Result<()> {
    let key = rcgen::KeyPair::generate()?;
    let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    let port = tls(&own, &key).await?;
    let folder = tempfile::tempdir()?;
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, own.pem())?;
    let ca = ca.to_str().context("a path that is text")?;
    for (host, more, says) in [
        ("localhost", &[][..], "name the authority's file in flink.caFile"),
        ("127.0.0.1", &["--ca-file", ca], "its certificate is for another name"),
        ("localhost", &["--ca-file", ca], "does not look like Flink"),
        ("localhost", &["--ca-file", "/nowhere"], "flink.caFile \"/nowhere\""),
    ] {
        let (exit, said) = doctor(&format!("https://{host}:{port}"), more).await?;
        let said = said.join("");
        ensure!(said.contains(says) && said.lines().count() == 1, "{host} {more:?}: {exit:?} {said}");
        ensure!(exit == Some(if says.contains("/nowhere") { 2 } else { 3 }), "{exit:?} {said}");
    }
    Ok(())
}
