//! Faults that a real Flink does not produce on demand, and what is said of them.

use std::time::Duration;

use super::super::scripted::{Reply, Scripted};
use super::*;
use crate::model::MissedWhy;
use crate::policy::Span;

fn client(flink: &FlinkRef) -> FlinkClient {
    FlinkClient::new(flink).expect("a client")
}

async fn config(flink: &FlinkRef) -> Result<(), FlinkError> {
    client(flink).config(Instant::now() + Duration::from_secs(5)).await.map(drop)
}

const OK: &str = r#"{"flink-version":"2.3.0"}"#;

#[tokio::test]
async fn says_what_is_wrong_in_one_line() {
    use MissedWhy::{NotUnderstood, Refused, Unreachable};
    let html = "<html><body>Welcome to nginx</body></html>";
    let stack = [
        "Internal server error.",
        "<Exception on server side:\njava.lang.IllegalStateException: It broke.\n\tat a.b\n",
    ];
    let server = Scripted::start().await;
    for (reply, why, parts) in [
        (Reply::ok(html), NotUnderstood, vec!["an HTML page", "does not look like Flink's REST API"]),
        (Reply::ok(""), NotUnderstood, vec!["an empty answer"]),
        (Reply::ok("pong"), NotUnderstood, vec!["not JSON"]),
        (Reply::ok(r#"{"status":"up"}"#), NotUnderstood, vec!["JSON, but not Flink's", "flink-version"]),
        (Reply::ok(r#"{"flink-version":"<unknown>"}"#), NotUnderstood, vec!["flink-version", "<unknown>"]),
        (
            Reply::Status(404, html.to_owned()),
            NotUnderstood,
            vec!["404", "flink.url, its port and its prefix"],
        ),
        (Reply::Redirect("http://login/?token=secret"), NotUnderstood, vec!["http://login/", "login"]),
        (Reply::error(404, &["Not found: /config"]), Refused, vec!["404", "Not found: /config"]),
        (Reply::error(500, &stack), Refused, vec!["500", "It broke."]),
        (Reply::Status(401, String::new()), Refused, vec!["401", "flink.tokenFile"]),
        (Reply::Status(503, html.to_owned()), Refused, vec!["503", "Flink is not there"]),
        (Reply::cut(), Unreachable, vec!["/config"]),
        (
            Reply::Bytes(b"\x15\x03\x03\x00\x02\x02\x50".to_vec()),
            NotUnderstood,
            vec!["the url begins with https"],
        ),
        (
            Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"flink".to_vec()),
            Unreachable,
            vec!["the connection broke"],
        ),
    ] {
        server.set_all(reply.clone());
        let error = config(&server.flink()).await.expect_err("a fault");
        let text = error.to_string();
        assert_eq!(error.why(), why, "{text}");
        assert!(text.starts_with(&format!("GET {}/config: ", server.url())), "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{text} lacks one of {parts:?}");
        assert!(text.lines().count() == 1 && text.len() < 500 && !text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn says_where_nobody_listens() {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    for (url, part) in [
        (format!("http://127.0.0.1:{port}"), "connection refused"),
        ("http://no-such-host.invalid:8081".to_owned(), "there is no host of that name"),
    ] {
        let error = config(&FlinkRef { url, timeout: Span::from_secs(2), ..FlinkRef::default() })
            .await
            .expect_err("nobody");
        assert_eq!(error.why(), MissedWhy::Unreachable);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn asks_again_only_what_is_safe_and_may_help() {
    let server = Scripted::start().await;
    let busy = Reply::error(503, &["Service temporarily unavailable due to an ongoing leader election."]);
    for (turns, requests, works) in [
        (vec![Reply::ok(OK)], 1, true),
        (vec![busy.clone(), Reply::ok(OK)], 2, true),
        (vec![Reply::cut(), busy.clone(), Reply::ok(OK)], 3, true),
        (vec![busy.clone()], 3, false),
        (vec![Reply::error(500, &["no"]), Reply::ok(OK)], 1, false),
        (vec![Reply::ok("<html>"), Reply::ok(OK)], 1, false),
    ] {
        server.set_all(Reply::Turns(turns));
        assert_eq!(config(&server.flink()).await.is_ok(), works);
        assert_eq!(server.lines().len(), requests);
    }

    server.set_all(Reply::Turns(vec![busy, Reply::ok("{}")]));
    let until = Instant::now() + Duration::from_secs(5);
    let answer = client(&server.flink()).change(Method::PUT, "/x", b"{}".to_vec(), until).await;
    assert!(answer.is_err());
    assert_eq!(server.lines(), ["PUT /x"], "what changes something is asked once");
}

#[tokio::test]
async fn has_limits_of_time_and_size() {
    let server = Scripted::start().await;
    let mut flink = server.flink();
    flink.timeout = Span::from_millis(300);
    server.set_all(Reply::Late(Duration::from_secs(5), Box::new(Reply::ok(OK))));
    let started = Instant::now();
    let error = client(&flink).config(Instant::now() + Duration::from_millis(400)).await.expect_err("late");
    assert_eq!(error.why(), MissedWhy::TimedOut);
    assert!(error.to_string().contains("no answer within 0.3 s"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(1));

    server.set_all(Reply::ok(" ".repeat(MOST_BYTES + 1)));
    flink.timeout = Span::from_secs(20);
    let error = config(&flink).await.expect_err("too much");
    assert!(error.to_string().contains("more than 32 MiB"), "{error}");
}

#[tokio::test]
async fn bounds_the_rate() {
    let server = Scripted::start().await;
    server.set_all(Reply::ok(OK));
    let client = client(&server.flink());
    let (most, started) = (REQUESTS_PER_SECOND.get(), Instant::now());
    for _ in 0..most + 50 {
        client.inner.limiter.check().ok();
    }
    // The burst is used up: what comes now waits for its turn, and gives up when there is no time.
    for _ in 0..50 {
        client.config(started + Duration::from_secs(5)).await.expect("an answer");
    }
    assert!(started.elapsed() >= Duration::from_millis(50_000 / u64::from(most)) / 2);
    while client.inner.limiter.check().is_ok() {}
    let error = client.config(Instant::now()).await.expect_err("no time");
    assert_eq!(error.why(), MissedWhy::TimedOut);
}

#[tokio::test]
async fn sends_the_token_that_is_there_now() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "first\n").expect("written");
    let server = Scripted::start().await;
    server.set_all(Reply::ok(OK));
    let flink = FlinkRef { token_file: Some(file.display().to_string()), ..server.flink() };
    let client = client(&flink);
    let sent = async || {
        client.config(Instant::now() + Duration::from_secs(5)).await.expect("an answer");
        server.requests().pop().expect("a request").authorization.expect("a token")
    };
    assert_eq!(sent().await, "Bearer first");
    std::fs::write(&file, "the second").expect("written");
    assert_eq!(sent().await, "Bearer the second");
    // Half a rotation: what was there before is better than nothing.
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(sent().await, "Bearer the second");
    std::fs::write(&file, "third").expect("written");
    assert_eq!(sent().await, "Bearer third");
    assert_eq!(server.connections(), 1, "a new token needs no new connection");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        Some(path.display().to_string())
    };
    let url = "https://flink:8081".to_owned();
    let missing = Some("/no/such/file".to_owned());
    let certificate = "-----BEGIN CERTIFICATE-----\nsecret\n-----END CERTIFICATE-----\n";
    for (flink, part) in [
        (
            FlinkRef { ca_file: missing.clone(), ..FlinkRef::default() },
            "flink.caFile \"/no/such/file\": No such file",
        ),
        (FlinkRef { ca_file: write("ca", "secret"), ..FlinkRef::default() }, "in PEM form"),
        (FlinkRef { ca_file: write("ca2", certificate), ..FlinkRef::default() }, "flink.caFile"),
        (
            FlinkRef { client_cert_file: write("cert", "secret"), ..FlinkRef::default() },
            "both in this one file",
        ),
        (FlinkRef { token_file: missing, ..FlinkRef::default() }, "flink.tokenFile"),
        (FlinkRef { token_file: write("empty", "\n"), ..FlinkRef::default() }, "the file is empty"),
        (FlinkRef { token_file: write("lines", "secret\nsecret"), ..FlinkRef::default() }, "one line"),
    ] {
        let error =
            FlinkClient::new(&FlinkRef { url: url.clone(), ..flink }).err().expect("a fault").to_string();
        assert!(error.contains(part), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn takes_urls_with_any_prefix_and_nothing_secret() {
    for (text, expected) in [
        ("http://flink:8081", Ok("http://flink:8081")),
        ("http://flink:8081/", Ok("http://flink:8081")),
        (" https://host/team/flink// ", Ok("https://host/team/flink")),
        ("http://[::1]:8081", Ok("http://[::1]:8081")),
        ("flink:8081", Err("http://HOST:PORT")),
        ("ftp://flink", Err("http://HOST:PORT")),
        ("", Err("http://HOST:PORT")),
        ("http://", Err("http://HOST:PORT")),
        ("http://me:secret@flink:8081", Err("flink.tokenFile")),
        ("http://me:secret@:8081", Err("http://HOST:PORT")),
        ("http://flink:8081?token=secret", Err("?")),
    ] {
        match (base_url("flink", text, "http://HOST:PORT"), expected) {
            (Ok((base, https)), Ok(expected)) => {
                assert_eq!((base.as_str(), https), (expected, expected.starts_with("https")));
            }
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{error}");
                assert!(!error.to_string().contains("secret"), "{error}");
            }
            (got, _) => panic!("{text}: {got:?}"),
        }
    }
}
