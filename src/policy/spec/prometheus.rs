//! Where a Prometheus is, or what speaks its API: Thanos, Mimir, `VictoriaMetrics`. Secrets are in files, never in the object.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::Span;

/// Where a Prometheus is. An object in Kubernetes can name files below `--files-dir` (`/etc/tidegate`) only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrometheusRef {
    /// Its URL, with any prefix before `/api/v1`: `http://prometheus:9090`
    #[schemars(extend("x-form" = "http-url", "pattern" = "^https?://[^/?#@\\s]+(/[^?#\\s]*)?$"))]
    pub url: String,
    /// Time limit of one query, here and at the server. A job's cycle waits half a poll at the most; what comes later counts in
    /// the next.
    #[serde(default = "default_timeout")]
    #[schemars(extend("x-minimum" = "100ms", "x-why" = "a query over many series takes longer"))]
    pub timeout: Span,
    /// A file with the certificate authority (PEM) that signed its certificate; the system's own otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub ca_file: Option<String>,
    /// A file with a client certificate and its key (PEM), where it asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub client_cert_file: Option<String>,
    /// A file with a bearer token; read again when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub token_file: Option<String>,
    /// A file with `USER:PASSWORD` for basic authentication, instead of a token; read again when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub basic_auth_file: Option<String>,
    /// Headers of each request, such as the tenant: `{X-Scope-OrgID: streams}`. Not for secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl PrometheusRef {
    /// A server that asks for nothing.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            timeout: default_timeout(),
            ca_file: None,
            client_cert_file: None,
            token_file: None,
            basic_auth_file: None,
            headers: BTreeMap::new(),
        }
    }
}

fn default_timeout() -> Span {
    // A rule that is answered later than in two polls (5 s each) is of little use; Prometheus itself would take two minutes.
    Span::from_secs(10)
}
