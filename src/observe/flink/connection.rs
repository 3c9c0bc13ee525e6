//! How Flink is reached: one kept-alive HTTP client, with the files that the settings name.
//!
//! The files are looked at before each request and read again when they have changed, for certificates and tokens are
//! rotated under a running daemon. A change that cannot be read leaves what was there before in use.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::tls::{Certificate, Identity};
use rustls::crypto::{CryptoProvider, ring};

use super::error::FlinkError;
use crate::policy::FlinkRef;

/// A connection within a cluster stands in milliseconds; one that does not in this time will not.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The settings that name a file, with their names.
const CA: &str = "caFile";
const CLIENT_CERT: &str = "clientCertFile";
const TOKEN: &str = "tokenFile";

/// The way to one REST endpoint.
pub(super) struct Connection {
    https: bool,
    idle: Duration,
    files: [Option<Named>; 3],
    held: Mutex<Held>,
}

/// A file that a setting names.
struct Named {
    field: &'static str,
    path: String,
}

/// What is in use.
struct Held {
    way: Way,
    stamps: [Option<Stamp>; 3],
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
        let named = |field, path: &Option<String>| path.clone().map(|path| Named { field, path });
        let files = [
            named(CA, &flink.ca_file),
            named(CLIENT_CERT, &flink.client_cert_file),
            named(TOKEN, &flink.token_file),
        ];
        // A connection that is idle from one poll to the next is to be there still.
        let idle = Duration::from_secs(90).max(flink.poll.get() * 3);
        let stamps = stamps(&files);
        let way = way(https, idle, &files)?;
        Ok(Self { https, idle, files, held: Mutex::new(Held { way, stamps }) })
    }

    /// The client and token to use now.
    pub(super) fn way(&self) -> Way {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamps(&self.files);
        if now != held.stamps {
            match way(self.https, self.idle, &self.files) {
                Ok(way) => held.way = way,
                Err(error) => {
                    tracing::warn!(%error, "a changed file cannot be used; what it held before stays in use")
                }
            }
            // Said once, not at every request.
            held.stamps = now;
        }
        held.way.clone()
    }
}

fn stamps(files: &[Option<Named>; 3]) -> [Option<Stamp>; 3] {
    files.each_ref().map(|file| {
        let metadata = fs::metadata(&file.as_ref()?.path).ok()?;
        Some(Stamp { modified: metadata.modified().ok(), length: metadata.len() })
    })
}

fn way(
    https: bool,
    idle: Duration,
    [ca, client_cert, token]: &[Option<Named>; 3],
) -> Result<Way, FlinkError> {
    if CryptoProvider::get_default().is_none() {
        // Someone may have been quicker; theirs is as good.
        let _ = ring::default_provider().install_default();
    }
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(idle)
        .redirect(Policy::none())
        // The endpoint is in the same cluster; a proxy that the environment names for the world outside cannot reach it.
        .no_proxy();
    match ca {
        Some(file) => builder = builder.tls_certs_only(authorities(file)?),
        // Without TLS the system's certificates need not be read, nor be there at all.
        None if !https => builder = builder.tls_certs_only([]),
        None => {}
    }
    if let Some(file) = client_cert {
        builder = builder.identity(identity(file)?);
    }
    let http = builder.build().map_err(|error| client_error(&error, ca.as_ref(), client_cert.as_ref()))?;
    Ok(Way { http, authorization: token.as_ref().map(authorization).transpose()? })
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

/// Which of the files the client could not be made with: they were read, but not yet understood.
fn client_error(error: &reqwest::Error, ca: Option<&Named>, client_cert: Option<&Named>) -> FlinkError {
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    match (ca, client_cert) {
        (_, Some(file)) => file.wrong(&format!("cannot be used with this Flink: {cause}")),
        (Some(file), None) => file.wrong(&format!("cannot be used: {cause}")),
        (None, None) => FlinkError::File {
            field: CA,
            path: String::new(),
            what: format!(
                "the system's certificates cannot be used ({cause}); name the authority of Flink's here"
            ),
        },
    }
}

impl Named {
    fn read(&self) -> Result<Vec<u8>, FlinkError> {
        fs::read(&self.path).map_err(|error| self.wrong(&error.to_string()))
    }

    fn wrong(&self, what: &str) -> FlinkError {
        FlinkError::File { field: self.field, path: self.path.clone(), what: what.to_owned() }
    }
}
