//! How a server is reached, Flink or Prometheus: one kept-alive HTTP client, with the files that the settings name.
//!
//! The files are looked at before each request and read again when they have changed, for certificates and tokens are
//! rotated under a running daemon. A change that cannot be read leaves what was there before in use.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Url;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::tls::{Certificate, Identity};
use rustls::crypto::{CryptoProvider, ring};
use thiserror::Error;

use super::cause::{certificate_sentence, one_line};
use super::within::Within;

/// A connection within a cluster stands in milliseconds; one that does not in this time will not.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The files that the settings of a server name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a> {
    /// The part of the settings that names them: flink, prometheus.
    pub(super) part: &'static str,
    /// Where they have to lie.
    pub(super) within: &'a Within,
    /// The authority of the server's certificate.
    pub(super) ca: Option<&'a String>,
    /// A certificate to show, with its key.
    pub(super) client_cert: Option<&'a String>,
    /// What is sent as `Authorization`.
    pub(super) credentials: Option<Credentials<'a>>,
}

/// A file with what a server or a proxy before it asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Credentials<'a> {
    /// A bearer token.
    Token(&'a String),
    /// `USER:PASSWORD`.
    Basic(&'a String),
}

/// Why a server's settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// The URL cannot be used.
    #[error("{part}.url {url:?}: {what}")]
    Url {
        /// The part of the settings.
        part: &'static str,
        /// The URL, without anything secret.
        url: String,
        /// What is the matter with it.
        what: String,
    },
    /// A file that the settings name cannot be used.
    #[error("{part}.{field} {path:?}: {what}")]
    File {
        /// The part of the settings.
        part: &'static str,
        /// The setting.
        field: &'static str,
        /// The file.
        path: String,
        /// What is the matter with it; never its content.
        what: String,
    },
    /// A header that cannot be sent.
    #[error("{part}.headers.{name}: {what}")]
    Header {
        /// The part of the settings.
        part: &'static str,
        /// The header's name.
        name: String,
        /// What is the matter with it; never its value.
        what: String,
    },
    /// The system has no authorities that would vouch for the server's certificate.
    #[error(
        "the system's certificates cannot be used ({cause}); name the authority of the server's own in {part}.caFile"
    )]
    NoAuthorities {
        /// The part of the settings.
        part: &'static str,
        /// What the system says.
        cause: String,
    },
}

/// The way to one server.
pub(super) struct Connection {
    part: &'static str,
    https: bool,
    idle: Duration,
    ca: Option<Named>,
    client_cert: Option<Named>,
    credentials: Option<(Scheme, Named)>,
    way: Mutex<Way>,
}

/// How credentials are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Basic,
}

/// A file that a setting names, as it was when it was last looked at.
struct Named {
    part: &'static str,
    field: &'static str,
    path: String,
    within: Within,
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
    /// Reads the files and makes the client; connects to nothing yet. An idle connection is kept for `idle` at least.
    pub(super) fn new(files: &Files<'_>, https: bool, idle: Duration) -> Result<Self, SetupError> {
        let Files { part, within, ca, client_cert, credentials } = *files;
        let named = |field, path: &String| Named::new(part, field, path, within);
        // A connection that is idle from one poll to the next is to be there still.
        let idle = Duration::from_secs(90).max(idle);
        let ca = ca.map(|path| named("caFile", path));
        let client_cert = client_cert.map(|path| named("clientCertFile", path));
        let credentials = credentials.map(|credentials| match credentials {
            Credentials::Token(path) => (Scheme::Bearer, named("tokenFile", path)),
            Credentials::Basic(path) => (Scheme::Basic, named("basicAuthFile", path)),
        });
        let http = http(part, https, idle, ca.as_ref(), client_cert.as_ref())?;
        let authorization =
            credentials.as_ref().map(|(scheme, file)| authorization(*scheme, file)).transpose()?;
        Ok(Self {
            part,
            https,
            idle,
            ca,
            client_cert,
            credentials,
            way: Mutex::new(Way { http, authorization }),
        })
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
            let http = http(self.part, self.https, self.idle, self.ca.as_ref(), self.client_cert.as_ref());
            way.http = kept(http, &way.http);
        }
        if let Some((scheme, file)) = self.credentials.as_ref().filter(|(_, file)| file.has_changed()) {
            way.authorization = kept(authorization(*scheme, file).map(Some), &way.authorization);
        }
        way.clone()
    }
}

/// What was read anew, or what is in use when that failed. Said once: the file counts as looked at.
fn kept<T: Clone>(read: Result<T, SetupError>, in_use: &T) -> T {
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "a file has changed and cannot be used; what it held before stays in use");
        in_use.clone()
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn http(
    part: &'static str,
    https: bool,
    idle: Duration,
    ca: Option<&Named>,
    client_cert: Option<&Named>,
) -> Result<reqwest::Client, SetupError> {
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
        None => SetupError::NoAuthorities { part, cause: cause(&error) },
    })?;
    match client_cert {
        Some(file) => builder()?.identity(identity(file)?).build().map_err(|error| file.unusable(&error)),
        None => Ok(http),
    }
}

fn authorities(file: &Named) -> Result<Vec<Certificate>, SetupError> {
    match Certificate::from_pem_bundle(&file.read()?) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(file.wrong("expected one or more certificates in PEM form")),
    }
}

fn identity(file: &Named) -> Result<Identity, SetupError> {
    let expected = "expected a certificate and its private key in PEM form, both in this one file";
    Identity::from_pem(&file.read()?).map_err(|_| file.wrong(expected))
}

fn authorization(scheme: Scheme, file: &Named) -> Result<HeaderValue, SetupError> {
    let text = file.read()?;
    let secret = text.trim_ascii();
    let (what, value) = match scheme {
        Scheme::Bearer => ("a bearer token", [b"Bearer ", secret].concat()),
        Scheme::Basic if !secret.is_empty() && !secret.contains(&b':') => {
            return Err(file.wrong("expected USER:PASSWORD on one line"));
        }
        Scheme::Basic => ("USER:PASSWORD", [b"Basic ", BASE64.encode(secret).as_bytes()].concat()),
    };
    if secret.is_empty() {
        return Err(file.wrong(&format!("the file is empty; expected {what}")));
    }
    let is_one_line = !secret.contains(&b'\n');
    let value = HeaderValue::from_bytes(&value).ok().filter(|_| is_one_line);
    let mut value =
        value.ok_or_else(|| file.wrong(&format!("expected {what}: one line, without control characters")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a client could not be made for.
fn cause(error: &reqwest::Error) -> String {
    let source = std::error::Error::source(error);
    let sentence = source.and_then(certificate_sentence);
    sentence.map_or_else(|| source.map_or_else(|| error.to_string(), ToString::to_string), str::to_owned)
}

impl Named {
    fn new(part: &'static str, field: &'static str, path: &str, within: &Within) -> Self {
        let (path, within) = (path.to_owned(), within.clone());
        let named = Self { part, field, path, within, stamp: Mutex::new(None) };
        named.has_changed();
        named
    }

    /// Whether it is another file than when this was last asked.
    fn has_changed(&self) -> bool {
        // A path that may not be read is not looked at either.
        let file = self.within.find(&self.path).ok();
        let now = file
            .and_then(|file| fs::metadata(file).ok())
            .map(|metadata| Stamp { modified: metadata.modified().ok(), length: metadata.len() });
        std::mem::replace(&mut *lock(&self.stamp), now) != now
    }

    fn read(&self) -> Result<Vec<u8>, SetupError> {
        let file = self.within.find(&self.path).map_err(|why| self.wrong(&why))?;
        fs::read(file).map_err(|error| self.wrong(&error.to_string()))
    }

    /// It was read, but no client can be made with it.
    fn unusable(&self, error: &reqwest::Error) -> SetupError {
        self.wrong(&format!("cannot be used: {}", cause(error)))
    }

    fn wrong(&self, what: &str) -> SetupError {
        SetupError::File {
            part: self.part,
            field: self.field,
            path: self.path.clone(),
            what: what.to_owned(),
        }
    }
}

/// The URL without a slash at its end, and whether it is https.
pub(super) fn base_url(part: &'static str, text: &str, example: &str) -> Result<(String, bool), SetupError> {
    // The text itself may hold a password, so messages show what is left without one.
    let wrong =
        |shown: &str, what: &str| SetupError::Url { part, url: one_line(shown), what: what.to_owned() };
    let expected = format!("expected {example}, with any prefix");
    let mut url =
        Url::parse(text.trim()).map_err(|_| wrong(text.rsplit('@').next().unwrap_or(text), &expected))?;
    if !url.username().is_empty() || url.password().is_some() {
        let shown = url.host_str().unwrap_or_default();
        let what = format!("credentials do not belong into a url; name a file in {part}.tokenFile");
        return Err(wrong(shown, &what));
    }
    if url.query().is_some() || url.fragment().is_some() {
        url.set_query(None);
        url.set_fragment(None);
        return Err(wrong(url.as_str(), "what follows ? or # has no meaning here"));
    }
    let https = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return Err(wrong(url.as_str(), &expected)),
    };
    Ok((url.as_str().trim_end_matches('/').to_owned(), https))
}
