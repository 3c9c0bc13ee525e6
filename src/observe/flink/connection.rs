//! How Flink is reached: one kept-alive HTTP client, with the files that the settings name.
//!
//! The files are looked at before each request and read again when they have changed, for certificates and tokens are
//! rotated under a running daemon. A change that cannot be read leaves what was there before in use.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::tls::{Certificate, Identity};
use rustls::crypto::{CryptoProvider, ring};

use super::error::FlinkError;
use super::fault;
use crate::policy::FlinkRef;

/// A connection within a cluster stands in milliseconds; one that does not in this time will not.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The way to one REST endpoint.
pub(super) struct Connection {
    https: bool,
    idle: Duration,
    ca: Option<Named>,
    client_cert: Option<Named>,
    token: Option<Named>,
    way: Mutex<Way>,
}

/// A file that a setting names, as it was when it was last looked at.
struct Named {
    field: &'static str,
    path: String,
    stamp: Mutex<Option<Stamp>>,
}

/// What a request needs.
#[derive(Clone)]
pub(super) struct Way {
    /// The client with its connections.
    pub(super) http: reqwest::Client,
    /// `Authorization`, where there is a token.
    pub(super) authorization: Option<HeaderValue>,
}

/// What changes when a file does: a mounted secret is replaced as a whole, which moves the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

impl Connection {
    /// Reads the files and makes the client; connects to nothing yet.
    pub(super) fn new(flink: &FlinkRef, https: bool) -> Result<Self, FlinkError> {
        // A connection that is idle from one poll to the next is to be there still.
        let idle = Duration::from_secs(90).max(flink.poll.get() * 3);
        let (ca, client_cert, token) = (
            Named::new("caFile", flink.ca_file.as_ref()),
            Named::new("clientCertFile", flink.client_cert_file.as_ref()),
            Named::new("tokenFile", flink.token_file.as_ref()),
        );
        let http = http(https, idle, ca.as_ref(), client_cert.as_ref())?;
        let authorization = token.as_ref().map(authorization).transpose()?;
        Ok(Self { https, idle, ca, client_cert, token, way: Mutex::new(Way { http, authorization }) })
    }

    /// Whether there is a client certificate to show.
    pub(super) fn has_certificate(&self) -> bool {
        self.client_cert.is_some()
    }

    /// The client and token to use now.
    pub(super) fn way(&self) -> Way {
        let mut way = lock(&self.way);
        let certificates = [&self.ca, &self.client_cert];
        // Both are looked at, so that a change of both makes one new client.
        let changed = certificates.map(|file| file.as_ref().is_some_and(Named::has_changed));
        if changed.contains(&true) {
            let http = http(self.https, self.idle, self.ca.as_ref(), self.client_cert.as_ref());
            way.http = kept(http, &way.http);
        }
        if let Some(token) = self.token.as_ref().filter(|token| token.has_changed()) {
            way.authorization = kept(authorization(token).map(Some), &way.authorization);
        }
        way.clone()
    }
}

/// What was read anew, or what is in use when that failed. Said once: the file counts as looked at.
fn kept<T: Clone>(read: Result<T, FlinkError>, in_use: &T) -> T {
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "a file has changed and cannot be used; what it held before stays in use");
        in_use.clone()
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn http(
    https: bool,
    idle: Duration,
    ca: Option<&Named>,
    client_cert: Option<&Named>,
) -> Result<reqwest::Client, FlinkError> {
    if CryptoProvider::get_default().is_none() {
        // Someone may have been quicker; theirs is as good.
        let _ = ring::default_provider().install_default();
    }
    let builder = || {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(idle)
            .redirect(Policy::none())
            // The endpoint is in the same cluster; a proxy that the environment names for the world outside cannot
            // reach it.
            .no_proxy();
        Ok(match ca {
            Some(file) => builder.tls_certs_only(authorities(file)?),
            // Without TLS the system's certificates need not be read, nor be there at all.
            None if !https => builder.tls_certs_only([]),
            None => builder,
        })
    };
    // Without the client's own certificate first, so that it is known which of the files is at fault.
    let http = builder()?.build().map_err(|error| match ca {
        Some(file) => file.unusable(&error),
        None => FlinkError::NoAuthorities { cause: cause(&error) },
    })?;
    match client_cert {
        Some(file) => builder()?.identity(identity(file)?).build().map_err(|error| file.unusable(&error)),
        None => Ok(http),
    }
}

fn authorities(file: &Named) -> Result<Vec<Certificate>, FlinkError> {
    match Certificate::from_pem_bundle(&file.read()?) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(file.wrong("expected one or more certificates in PEM form")),
    }
}

fn identity(file: &Named) -> Result<Identity, FlinkError> {
    let expected = "expected a certificate and its private key in PEM form, both in this one file";
    Identity::from_pem(&file.read()?).map_err(|_| file.wrong(expected))
}

fn authorization(file: &Named) -> Result<HeaderValue, FlinkError> {
    let text = file.read()?;
    let token = text.trim_ascii();
    if token.is_empty() {
        return Err(file.wrong("the file is empty; expected a bearer token"));
    }
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
        .map_err(|_| file.wrong("expected a bearer token: one line, without control characters"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a client could not be made for.
fn cause(error: &reqwest::Error) -> String {
    let source = std::error::Error::source(error);
    let sentence = source.and_then(fault::certificate_sentence);
    sentence.map_or_else(|| source.map_or_else(|| error.to_string(), ToString::to_string), str::to_owned)
}

impl Named {
    fn new(field: &'static str, path: Option<&String>) -> Option<Self> {
        let named = Self { field, path: path?.clone(), stamp: Mutex::new(None) };
        named.has_changed();
        Some(named)
    }

    /// Whether it is another file than when this was last asked.
    fn has_changed(&self) -> bool {
        let now = fs::metadata(&self.path)
            .ok()
            .map(|metadata| Stamp { modified: metadata.modified().ok(), length: metadata.len() });
        std::mem::replace(&mut *lock(&self.stamp), now) != now
    }

    fn read(&self) -> Result<Vec<u8>, FlinkError> {
        fs::read(&self.path).map_err(|error| self.wrong(&error.to_string()))
    }

    /// It was read, but no client can be made with it.
    fn unusable(&self, error: &reqwest::Error) -> FlinkError {
        self.wrong(&format!("cannot be used: {}", cause(error)))
    }

    fn wrong(&self, what: &str) -> FlinkError {
        FlinkError::File { field: self.field, path: self.path.clone(), what: what.to_owned() }
    }
}

#[cfg(test)]
mod tests;
