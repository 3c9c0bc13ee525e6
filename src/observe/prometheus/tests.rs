//! What is asked, how often, and what is said of it when it goes wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::super::flink::scripted::{Reply, Scripted};
use super::*;
use crate::model::{Answer, Observation, Timestamp};
use crate::policy::testing::Job;
use crate::policy::{Policy, Prometheus, PrometheusRef, Rule, Span};

const SECOND: Duration = Duration::from_secs(1);

fn now() -> Timestamp {
    Timestamp::from_millis(1_000_000)
}

fn number(value: &str) -> Reply {
    Reply::ok(format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"{value}"]}}]}}}}"#
    ))
}

fn named(server: &Scripted) -> PrometheusRef {
    PrometheusRef { timeout: Span::from_millis(500), ..PrometheusRef::at(server.url()) }
}

async fn ask(server: &Server, query: &str) -> Answer {
    asked_within(server, query, Duration::ZERO, SECOND).await.expect("it has answered")
}

async fn asked_within(server: &Server, query: &str, window: Duration, patience: Duration) -> Option<Answer> {
    server.reply(query, window, patience, now).await.map(Answer::from)
}

fn failed(answer: Answer) -> String {
    answer.values.expect_err("no number")
}

/// What the body of a request asks for, without its time limit.
fn asked(server: &Scripted) -> Vec<String> {
    let bodies = server.requests().into_iter().map(|request| request.body);
    bodies.map(|body| body.split('&').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn asks_once_for_all_who_ask_within_a_window() {
    let scripted = Scripted::start().await;
    scripted.set_all(Reply::Late(Duration::from_millis(50), Box::new(number("7"))));
    let server = Server::new(&named(&scripted)).expect("a server");
    let window = Duration::from_millis(300);
    let (a, b, other) = tokio::join!(
        asked_within(&server, "up", window, SECOND),
        asked_within(&server, "up", window, SECOND),
        asked_within(&server, "down", window, SECOND),
    );
    assert_eq!((a.clone(), other), (b, a.clone()));
    assert_eq!(a.map(|answer| answer.values), Some(Ok(vec![7.0])));
    asked_within(&server, "up", window, SECOND).await.expect("it is known");
    let mut lines = asked(&scripted);
    lines.sort();
    assert_eq!(lines, ["query=down", "query=up"]);
    tokio::time::sleep(window).await;
    asked_within(&server, "up", window, SECOND).await.expect("it is asked again");
    assert_eq!(asked(&scripted), ["query=up"]);
}

#[tokio::test]
async fn a_slow_server_delays_nobody_and_is_heard_later() {
    let scripted = Scripted::start().await;
    scripted.set_all(Reply::Late(Duration::from_millis(300), Box::new(number("7"))));
    let server = Server::new(&named(&scripted)).expect("a server");
    let begun = Instant::now();
    let patience = Duration::from_millis(50);
    assert_eq!(asked_within(&server, "up", Duration::ZERO, patience).await, None);
    assert!(begun.elapsed() < Duration::from_millis(250), "{:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_millis(400)).await;
    let later = asked_within(&server, "up", Duration::ZERO, patience).await.expect("the last answer");
    assert_eq!(later.values, Ok(vec![7.0]));

    // Beyond its time limit it is a failure, and no more than one attempt is under way.
    scripted.set_all(Reply::Late(Duration::from_secs(5), Box::new(number("7"))));
    scripted.requests();
    tokio::time::sleep(Duration::from_millis(400)).await;
    for _ in 0..5 {
        asked_within(&server, "up", Duration::ZERO, patience).await;
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    let gone = asked_within(&server, "up", SECOND, patience).await.expect("the last answer");
    assert!(failed(gone).contains("no answer within 0.5 s"));
    assert_eq!(scripted.requests().len(), 1);
}

#[tokio::test]
async fn every_fault_is_one_line_that_says_what_to_do() {
    let own =
        |kind: &str, text: &str| format!(r#"{{"status":"error","errorType":"{kind}","error":"{text}"}}"#);
    for (reply, says) in [
        (Reply::Status(400, own("bad_data", "1:5: parse error: no")), "says: bad_data: 1:5: parse error: no"),
        (Reply::Status(422, own("execution", "too many samples")), "says: execution: too many samples"),
        (Reply::Status(503, own("timeout", "query timed out")), "says: timeout: query timed out"),
        (Reply::Status(401, "<html>".to_owned()), "401, not allowed; name a file in prometheus.tokenFile"),
        (
            Reply::Status(403, own("forbidden", "no tenant")),
            "403, not allowed (forbidden: no tenant); name a file",
        ),
        (Reply::Status(503, "<html>busy</html>".to_owned()), "cannot reach it, or it is starting"),
        (
            Reply::Status(404, "404 page not found".to_owned()),
            "This does not look like Prometheus: check prometheus.url",
        ),
        (Reply::ok("<html>welcome</html>"), "an HTML page. This does not look like Prometheus"),
        (Reply::Redirect("http://login"), "leads elsewhere, as to a login"),
        (Reply::cut(), "the connection broke"),
        (Reply::Bytes(b"SSH-2.0-OpenSSH_9\r\n".to_vec()), "does not speak plain HTTP"),
        (Reply::ok("x".repeat(3 << 20)), "the answer has more than 2 MiB"),
    ] {
        let scripted = Scripted::start().await;
        scripted.set_all(reply);
        let said = failed(ask(&Server::new(&named(&scripted)).expect("a server"), "up").await);
        assert!(said.contains(says) && !said.contains('\n'), "{said}, not {says}");
    }
    let nobody = PrometheusRef::at("http://127.0.0.1:1");
    let said = failed(ask(&Server::new(&nobody).expect("a server"), "up").await);
    assert_eq!(said, "Prometheus http://127.0.0.1:1: connection refused; is it up, and is this its port?");
}

#[tokio::test]
async fn says_who_asks_by_files_that_are_read_again() {
    let folder = TempDir::new().expect("a folder");
    let file = |text: &str| {
        let path = folder.path().join("secret");
        std::fs::write(&path, text).expect("written");
        Some(path.display().to_string())
    };
    let scripted = Scripted::start().await;
    scripted.set_all(number("7"));
    let tenant = BTreeMap::from([("X-Scope-OrgID".to_owned(), "streams".to_owned())]);
    let named = PrometheusRef { token_file: file("one\n"), headers: tenant, ..named(&scripted) };
    let server = Server::new(&named).expect("a server");
    for token in ["one", "another"] {
        file(token);
        ask(&server, "up").await.values.expect("a number");
        let request = scripted.requests().pop().expect("it was asked");
        assert_eq!(request.authorization, Some(format!("Bearer {token}")));
        assert_eq!(request.tenant.as_deref(), Some("streams"));
    }
    scripted.set_all(Reply::Status(401, String::new()));
    assert!(failed(ask(&server, "up").await).ends_with("has the token in prometheus.tokenFile expired?"));

    let basic = PrometheusRef { basic_auth_file: file("me:secret: \n"), token_file: None, ..named };
    let server = Server::new(&basic).expect("a server");
    scripted.requests();
    assert!(failed(ask(&server, "up").await).ends_with("prometheus.basicAuthFile right?"));
    let request = scripted.requests().pop().expect("it was asked");
    assert_eq!(request.authorization.as_deref(), Some("Basic bWU6c2VjcmV0Og=="));
}

#[test]
fn settings_that_cannot_be_used_are_told_at_the_start() {
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        Some(path.display().to_string())
    };
    let at = || PrometheusRef::at("https://p:9090");
    let headers = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    for (named, says) in [
        (PrometheusRef::at("p:9090"), "prometheus.url \"p:9090\": expected http://HOST:PORT"),
        (PrometheusRef::at("http://a:b@p"), "prometheus.url \"p\": credentials do not belong into a url"),
        (
            PrometheusRef { token_file: Some("/nowhere".to_owned()), ..at() },
            "prometheus.tokenFile \"/nowhere\": ",
        ),
        (PrometheusRef { token_file: file("t", "a\nb"), ..at() }, "expected a bearer token: one line"),
        (PrometheusRef { basic_auth_file: file("b", "me"), ..at() }, "expected USER:PASSWORD on one line"),
        (
            PrometheusRef { basic_auth_file: file("e", " \n"), ..at() },
            "the file is empty; expected USER:PASSWORD",
        ),
        (
            PrometheusRef { ca_file: file("ca", "no"), ..at() },
            "expected one or more certificates in PEM form",
        ),
        (PrometheusRef { headers: headers("Authorization", "x"), ..at() }, "credentials belong into a file"),
        (
            PrometheusRef { headers: headers("a b", "x"), ..at() },
            "prometheus.headers.a b: this is no name of a header",
        ),
        (PrometheusRef { headers: headers("a", "x\ny"), ..at() }, "prometheus.headers.a: the value holds"),
    ] {
        let said = Server::new(&named).err().expect(says).to_string();
        assert!(said.contains(says), "{said}, not {says}");
    }
}

/// A policy with these queries, polled so often.
fn policy(queries: &[&str], poll: Span) -> Policy {
    let target =
        serde_json::from_value(serde_json::json!({"type": "Value", "value": "1"})).expect("a target");
    let rule = |query: &&str| {
        let query = query.parse().expect("a query");
        Rule::Prometheus(Prometheus { query, target, when: None, fallback: None })
    };
    let mut policy = Policy { poll, ..Policy::default() };
    policy.spec.rules = queries.iter().map(rule).collect();
    policy
}

#[tokio::test]
async fn the_answers_of_a_cycle_are_in_its_snapshot_under_what_the_policy_says() {
    let scripted = Scripted::start().await;
    scripted.set_all(number("7"));
    let queries = [r#"a{j="${job}"}"#, r#"b{n="${namespace}",a="${autoscaler}"}"#, r#"c{w="${workload}"}"#];
    let policy = policy(&queries, Span::from_secs(2));
    let whose = Whose {
        namespace: Some("n".to_owned()),
        autoscaler: Some("o".to_owned()),
        workload: None,
        kind: None,
    };
    let mut servers = Servers::default();
    let mut queries_of =
        |policy| servers.queries(Some(&named(&scripted)), policy, whose.clone()).expect("a server");
    let none = Policy::default();
    assert!(queries_of(&none).is_none(), "a policy without a query asks nothing");
    let mut asking = queries_of(&policy).expect("there are queries");
    let seen = Job::chain(&[(1, 0.0)]).snapshot;
    let name = seen.name.clone();
    for _ in 0..2 {
        let poll = async { Observation::Seen(seen.clone()) };
        let Observation::Seen(seen) = asking.beside(poll, now).await else { panic!("it was seen") };
        let value = |query: &str| seen.around.queries[query].values.clone();
        assert_eq!((value(queries[0]), value(queries[1])), (Ok(vec![7.0]), Ok(vec![7.0])));
        assert!(value(queries[2]).is_err_and(|said| said.contains("spec.workload")));
    }
    let mut lines = asked(&scripted);
    lines.sort();
    assert_eq!(
        lines,
        [format!("query=a%7Bj%3D%22{name}%22%7D"), "query=b%7Bn%3D%22n%22%2Ca%3D%22o%22%7D".to_owned()],
        "once each, for the window is not over"
    );
}

#[tokio::test]
async fn two_hundred_jobs_with_five_queries_each_ask_no_more_than_is_different() {
    let scripted = Scripted::start().await;
    scripted.set_all(number("7"));
    let queries = ["a", "b", "c", "d", r#"e{autoscaler="${autoscaler}"}"#];
    let policy = policy(&queries, Span::from_secs(20));
    let named = PrometheusRef { timeout: Span::from_secs(20), ..named(&scripted) };
    let mut servers = Servers::default();
    let jobs = (0..200).map(|job| {
        let whose = Whose { autoscaler: Some(format!("job-{job}")), ..Whose::default() };
        servers.queries(Some(&named), &policy, whose).expect("a server").expect("queries")
    });
    let jobs: Vec<Queries> = jobs.collect();
    let seen = Job::chain(&[(1, 0.0)]).snapshot;
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for mut job in jobs {
        let seen = seen.clone();
        tasks.spawn(async move { job.beside(async { Observation::Seen(seen) }, now).await });
    }
    for observation in tasks.join_all().await {
        let Observation::Seen(seen) = observation else { panic!("it was seen") };
        let numbers = seen.around.queries.values().filter(|answer| answer.values == Ok(vec![7.0])).count();
        assert_eq!(numbers, 5, "{:?}", seen.around.queries);
    }
    // Four that all share, and one of each job's own, at no more than 200 a second after a burst of as many.
    assert_eq!(scripted.requests().len(), 204);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(scripted.connections() <= 40, "{}", scripted.connections());
}
