//! From what the network, TLS and HTTP say when something fails to a [`FlinkError`] that a person can act on.

use std::io::{self, ErrorKind};
use std::time::Duration;

use reqwest::StatusCode;
use rustls::{AlertDescription, CertificateError};

use super::super::cause::{certificate_sentence, chain, find, one_line};
use super::error::{Asked, FlinkError, Refusal};
use super::wire;

/// What was sent, for what is said when it fails.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) asked: Asked,
    /// The time that was given.
    pub(super) after: Duration,
    /// Whether there is a client certificate to show.
    pub(super) has_certificate: bool,
}

impl Sent {
    /// No answer in time.
    pub(super) fn timed_out(self) -> FlinkError {
        FlinkError::TimedOut { asked: self.asked, after: self.after }
    }
}

/// A request that was not answered, or not to its end.
pub(super) fn transport(sent: Sent, error: &reqwest::Error) -> FlinkError {
    if let Some(tls) = find::<rustls::Error>(error) {
        return FlinkError::Tls { what: tls_sentence(tls, sent.has_certificate), asked: sent.asked };
    }
    let Sent { asked, after, has_certificate: _ } = sent;
    if error.is_timeout() {
        return FlinkError::TimedOut { asked, after };
    }
    let innermost = chain(error).last().map_or_else(String::new, ToString::to_string);
    // hyper's words for bytes that do not begin as an answer of HTTP does; its error type is not within reach here.
    if innermost.starts_with("invalid HTTP") {
        let what = if asked.url.starts_with("http:") {
            "what answers does not speak plain HTTP; where security.ssl.rest.enabled is on, the url begins with https"
        } else {
            "what answers does not speak HTTP"
        };
        return FlinkError::NotFlink { asked, what: what.to_owned() };
    }
    let what = match find::<io::Error>(error).map(io::Error::kind) {
        _ if error.is_dns() => "there is no host of that name".to_owned(),
        Some(ErrorKind::ConnectionRefused) => {
            "connection refused; is Flink up, and is this its rest.port?".to_owned()
        }
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof) => {
            "the connection broke before the answer was complete".to_owned()
        }
        _ => one_line(&innermost),
    };
    FlinkError::Unreachable { asked, what }
}

/// An answer whose status is not a success.
pub(super) fn status(asked: Asked, status: StatusCode, body: &[u8], location: Option<&str>) -> FlinkError {
    if status.is_redirection() {
        // With security.ssl.rest.enabled, Flink answers what comes without TLS with a redirection to the same over TLS.
        let over_tls =
            asked.url.strip_prefix("http://").zip(location.and_then(|to| to.strip_prefix("https://")));
        if over_tls.is_some_and(|(asked, to)| path(asked) == path(to)) {
            let what = "it is to be asked over TLS; the url begins with https".to_owned();
            return FlinkError::Tls { asked, what };
        }
        let to = location.map_or_else(String::new, |to| format!(" to {}", one_line(without_query(to))));
        return FlinkError::NotFlink {
            asked,
            what: format!("the answer leads elsewhere{to}, as to a login"),
        };
    }
    let said = wire::errors(body);
    let refusal = refusal(status, said.as_deref());
    let message = match (said.as_deref(), refusal) {
        (_, Refusal::NotAllowed) => {
            "not allowed; a proxy before Flink asks for flink.tokenFile or flink.clientCertFile".to_owned()
        }
        (Some(errors), _) => first_line(errors),
        (None, Refusal::Unavailable) => "a proxy before Flink answers that Flink is not there".to_owned(),
        // An error that is not in Flink's own form is somebody else's.
        (None, _) => return FlinkError::NotFlink { asked, what: format!("{status}, {}", looks_like(body)) },
    };
    FlinkError::Refused { asked, status: status.as_u16(), refusal, message }
}

/// A successful answer that cannot be read.
pub(super) fn unreadable(asked: Asked, body: &[u8], what: &str) -> FlinkError {
    match body.trim_ascii_start().first() {
        Some(b'{' | b'[') => FlinkError::NotUnderstood { asked, what: one_line(what) },
        _ => FlinkError::NotFlink { asked, what: looks_like(body).to_owned() },
    }
}

/// A successful answer to the first question that only Flink can answer.
pub(super) fn not_flink(asked: Asked, body: &[u8], what: &str) -> FlinkError {
    let what = format!("{} ({})", looks_like(body), one_line(what));
    FlinkError::NotFlink { asked, what }
}

fn looks_like(body: &[u8]) -> &'static str {
    match body.trim_ascii_start().first() {
        None => "an empty answer",
        Some(b'<') => "an HTML page",
        Some(b'{' | b'[') => "JSON, but not Flink's",
        Some(_) => "an answer that is not JSON",
    }
}

fn refusal(status: StatusCode, said: Option<&[String]>) -> Refusal {
    let says = |text: &str| said.is_some_and(|errors| errors.iter().any(|error| error.contains(text)));
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Refusal::NotAllowed,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Refusal::Unavailable
        }
        // Which status an unknown job gives depends on the path: 404 or 500.
        _ if says("FlinkJobNotFoundException") || says("Could not find Flink job") => Refusal::UnknownJob,
        StatusCode::CONFLICT => Refusal::Conflict,
        StatusCode::NOT_FOUND => Refusal::NoSuchPath,
        _ if says("reactive mode") => Refusal::Reactive,
        _ if says("UnsupportedOperationException") => Refusal::NotAdaptive,
        _ => Refusal::Other,
    }
}

/// What Flink says of a jar that it could not run, whatever the reason: that is the last of its causes.
const NOT_EXECUTED: &str = "Could not execute application.";

/// The first line that says something: Flink wraps its reason in a phrase, a marker, and names of Java classes, and
/// follows it with the whole stack trace.
fn first_line(errors: &[String]) -> String {
    let mut lines = errors.iter().flat_map(|error| error.lines()).map(str::trim);
    let first =
        lines.find(|line| !line.is_empty() && *line != "Internal server error." && !line.starts_with('<'));
    let first = first.map_or("no reason given", without_classes);
    match lines.filter_map(|line| line.strip_prefix("Caused by: ")).next_back() {
        Some(cause) if first == NOT_EXECUTED => {
            one_line(&format!("{} ({})", NOT_EXECUTED.trim_end_matches('.'), without_classes(cause)))
        }
        _ => one_line(first),
    }
}

/// The line without the `java.lang.SomeException: ` that it begins with, one within the other.
fn without_classes(line: &str) -> &str {
    match line.split_once(": ") {
        Some((class, rest)) if is_class(class) && !rest.is_empty() => without_classes(rest),
        _ => line,
    }
}

fn is_class(text: &str) -> bool {
    text.contains('.') && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'$' | b'_'))
}

/// What follows the host and port.
fn path(url: &str) -> Option<&str> {
    url.split_once('/').map(|(_, path)| path)
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// A sentence on a failed handshake, by a client that has a certificate to show or has none.
fn tls_sentence(error: &rustls::Error, has_certificate: bool) -> String {
    use rustls::Error as E;
    match error {
        // Another authority of the same name gives a bad signature.
        E::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is signed by an authority that is not trusted here; name the authority's file in \
             flink.caFile"
                .to_owned()
        }
        E::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another name than the url has; use one of the certificate's own".to_owned(),
        E::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        E::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "its certificate is not valid yet; is the clock right?".to_owned()
        }
        E::InvalidMessage(_) => {
            "what answers does not speak TLS; where security.ssl.rest.enabled is off, the url begins with http:"
                .to_owned()
        }
        // Java says that a certificate is bad when there is none.
        E::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::BadCertificate)
            if !has_certificate =>
        {
            "it asks for a client certificate; name a file with the certificate and its key in flink.clientCertFile"
                .to_owned()
        }
        E::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError,
        ) => "it does not accept the client certificate; flink.clientCertFile must be signed by an authority that \
              is in Flink's truststore"
            .to_owned(),
        // Flink before 1.20 allows only suites without forward secrecy unless told otherwise.
        E::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity)
        | E::PeerIncompatible(_) => {
            "no TLS version and cipher suite in common; set Flink's security.ssl.algorithms to \
             TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 (and see that it asks for \
             a client certificate only where flink.clientCertFile is set)"
                .to_owned()
        }
        other => certificate_sentence(other)
            .map_or_else(|| format!("TLS failed: {}", one_line(&other.to_string())), str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked { method: "GET", url: "http://flink:8081/jobs".into() }
    }

    #[test]
    fn finds_the_line_that_says_something() {
        for (errors, line) in [
            (&["Not found: /v1/x"][..], "Not found: /v1/x"),
            (
                &[
                    "Internal server error.",
                    "<Exception on server side:\njava.util.concurrent.CompletionException: java.lang.UnsupportedOperationException: \
                     The DefaultScheduler does not.\n\tat a.b.C\n",
                ],
                "The DefaultScheduler does not.",
            ),
            (&["java.util.concurrent.TimeoutException"], "java.util.concurrent.TimeoutException"),
            (&["Job: it is gone\nmore\nCaused by: a.B: c"], "Job: it is gone"),
            (
                &[
                    "org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\n\tat a.b.C\nCaused by: \
                     a.b.D: Could not execute application.\n\t... 2 more\nCaused by: java.io.IOException: no topic\n\tat a.b.E",
                ],
                "Could not execute application (no topic)",
            ),
            (&["", "Internal server error."], "no reason given"),
            (&[], "no reason given"),
        ] {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(first_line(&errors), line);
        }
    }

    #[test]
    fn tells_flinks_errors_from_somebody_elses() {
        let flinks = |text: &str| format!(r#"{{"errors":["{text}"]}}"#);
        for (code, body, refusal) in [
            (
                500,
                flinks("...FlinkJobNotFoundException: Could not find Flink job (1)"),
                Some(Refusal::UnknownJob),
            ),
            (404, flinks("Job could not be found: Could not find Flink job (1)"), Some(Refusal::UnknownJob)),
            (404, flinks("Not found: /jobs/1/resource-requirements"), Some(Refusal::NoSuchPath)),
            (500, flinks("java.lang.UnsupportedOperationException: no"), Some(Refusal::NotAdaptive)),
            (
                500,
                flinks(
                    "UnsupportedOperationException: Cannot change the parallelism of a job running in reactive mode.",
                ),
                Some(Refusal::Reactive),
            ),
            (409, flinks("Another update is under way"), Some(Refusal::Conflict)),
            (
                503,
                flinks("Service temporarily unavailable due to an ongoing leader election."),
                Some(Refusal::Unavailable),
            ),
            (503, "<html>busy</html>".to_owned(), Some(Refusal::Unavailable)),
            (401, "<html>who are you</html>".to_owned(), Some(Refusal::NotAllowed)),
            (400, flinks("bounds"), Some(Refusal::Other)),
            (404, "<html>nginx</html>".to_owned(), None),
            (404, r#"{"message":"no route"}"#.to_owned(), None),
            (302, String::new(), None),
        ] {
            let code = StatusCode::from_u16(code).expect("a status");
            let error = status(asked(), code, body.as_bytes(), Some("https://login/x?token=secret"));
            assert_eq!(error.refusal(), refusal, "{code} {body}");
            assert_eq!(matches!(error, FlinkError::NotFlink { .. }), refusal.is_none(), "{code} {body}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
