//! From what the network, TLS and HTTP say when a query fails to a [`PrometheusError`] that a person can act on.

use std::io::{self, ErrorKind};
use std::time::Duration;

use reqwest::StatusCode;
use rustls::{AlertDescription, CertificateError};

use super::super::cause::{certificate_sentence, chain, find, one_line};
use super::answer;
use super::error::PrometheusError;

/// The same, in the words of whoever notices it.
const BROKE: &str = "the connection broke before the answer was complete";

/// A query that was not answered, or not to its end.
pub(super) fn transport(url: &str, after: Duration, error: &reqwest::Error) -> PrometheusError {
    let url = url.to_owned();
    if let Some(tls) = find::<rustls::Error>(error) {
        return PrometheusError::Tls { url, what: tls_sentence(tls) };
    }
    if error.is_timeout() {
        return PrometheusError::TimedOut { url, after };
    }
    let innermost = chain(error).last().map_or_else(String::new, ToString::to_string);
    // hyper's words for bytes that do not begin as an answer of HTTP does.
    if innermost.starts_with("invalid HTTP") {
        return PrometheusError::NotPrometheus {
            url,
            what: "what answers does not speak plain HTTP".to_owned(),
        };
    }
    let what = match find::<io::Error>(error).map(io::Error::kind) {
        _ if error.is_dns() => "there is no host of that name".to_owned(),
        Some(ErrorKind::ConnectionRefused) => {
            "connection refused; is it up, and is this its port?".to_owned()
        }
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof) => {
            BROKE.to_owned()
        }
        // hyper's words for the same.
        _ if innermost.starts_with("connection closed") => BROKE.to_owned(),
        _ => one_line(&innermost),
    };
    PrometheusError::Unreachable { url, what }
}

/// An answer whose status is not a success.
pub(super) fn status(url: &str, status: StatusCode, body: &[u8], sends: Sends) -> PrometheusError {
    let own = answer::error(body);
    let url = url.to_owned();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let said = own.map_or_else(String::new, |said| format!(" ({said})"));
            let mend = match sends {
                Sends::Nothing => "name a file in prometheus.tokenFile or prometheus.basicAuthFile",
                Sends::Token => "has the token in prometheus.tokenFile expired?",
                Sends::Password => "are user and password in prometheus.basicAuthFile right?",
            };
            PrometheusError::NotAllowed { url, status: status.as_u16(), said, mend }
        }
        _ if own.is_some() => PrometheusError::Refused { url, said: own.unwrap_or_default() },
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            let what = format!("{status}: what stands before it cannot reach it, or it is starting");
            PrometheusError::Unreachable { url, what }
        }
        _ if status.is_redirection() => {
            let what = format!("{status}: the answer leads elsewhere, as to a login");
            PrometheusError::NotPrometheus { url, what }
        }
        _ => PrometheusError::NotPrometheus { url, what: format!("{status}, {}", looks_like(body)) },
    }
}

/// What is sent to say who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sends {
    Nothing,
    Token,
    Password,
}

/// What a body is that is not Prometheus' own.
pub(super) fn looks_like(body: &[u8]) -> String {
    match body.trim_ascii_start().first() {
        None => "an empty answer".to_owned(),
        Some(b'<') => "an HTML page".to_owned(),
        Some(b'{' | b'[') => "JSON, but not Prometheus'".to_owned(),
        Some(_) => format!("{:?}", one_line(&String::from_utf8_lossy(&body[..body.len().min(200)]))),
    }
}

fn tls_sentence(error: &rustls::Error) -> String {
    use rustls::Error as E;
    match error {
        E::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is signed by an authority that is not trusted here; name the authority's file in \
             prometheus.caFile"
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
        E::InvalidMessage(_) => "what answers does not speak TLS; the url begins with http: then".to_owned(),
        E::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError,
        ) => "it asks for a client certificate, or does not accept the one in prometheus.clientCertFile".to_owned(),
        other => certificate_sentence(other)
            .map_or_else(|| format!("TLS failed: {}", one_line(&other.to_string())), str::to_owned),
    }
}
