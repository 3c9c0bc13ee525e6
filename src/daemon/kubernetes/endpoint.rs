//! A job's REST endpoint: from the Service that `spec.flink` names, and in a form in which two of them can be compared.

use k8s_openapi::api::core::v1::{Service, ServicePort};

use super::key::Key;
use crate::model::JobId;
use crate::policy::{ServicePort as Wanted, ServiceRef};

/// How the port of Flink's REST API is called: `rest` by Flink's native mode and the operator, `webui` in Flink's own
/// manifests, `http` by a service mesh.
const PORT_NAMES: [&str; 3] = ["rest", "webui", "http"];

/// Flink's default `rest.port`.
const PORT: i32 = 8081;

/// The URL of Flink's REST API behind the Service that `reference` names; `service` is that Service, if it is there.
pub(super) fn url(
    reference: &ServiceRef,
    namespace: &str,
    service: Option<&Service>,
) -> Result<String, String> {
    let name = &reference.name;
    let Some(service) = service else {
        return Err(format!("there is no Service {name} in the namespace {namespace}"));
    };
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let port = match &reference.port {
        Some(wanted) => ports.iter().find(|port| is(port, wanted)),
        None => rest(ports),
    };
    let Some(port) = port else {
        let wanted = match &reference.port {
            Some(port) => port.to_string(),
            None => format!("{} or {PORT}", PORT_NAMES.join(", ")),
        };
        let found = list(ports);
        return Err(format!("the Service {name} has no port {wanted}; it has {found}"));
    };
    Ok(format!("http://{name}.{namespace}.svc:{}", port.port))
}

fn is(port: &ServicePort, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Name(name) => port.name.as_ref() == Some(name),
        Wanted::Number(number) => port.port == i32::from(*number),
    }
}

fn rest(ports: &[ServicePort]) -> Option<&ServicePort> {
    let named = |name: &&str| ports.iter().find(|port| port.name.as_deref() == Some(*name));
    PORT_NAMES.iter().find_map(named).or_else(|| ports.iter().find(|port| port.port == PORT))
}

fn list(ports: &[ServicePort]) -> String {
    let ports = ports.iter().map(|port| match &port.name {
        Some(name) => format!("{name} ({})", port.port),
        None => port.port.to_string(),
    });
    let ports: Vec<String> = ports.collect();
    if ports.is_empty() { "none".to_owned() } else { ports.join(", ") }
}

/// An endpoint's URL in one form, whichever of a Service's names is used: two that are the same are one cluster.
pub(super) fn canonical(url: &str, namespace: &str) -> String {
    let url = url.trim().trim_end_matches('/').to_ascii_lowercase();
    let Some((scheme, rest)) = url.split_once("://") else { return url };
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let default = if scheme == "https" { "443" } else { "80" };
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, default));
    let host = host.trim_end_matches('.');
    let is_name = host.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
        && host.chars().any(|c| c.is_ascii_alphabetic());
    let host = match host.split('.').collect::<Vec<_>>()[..] {
        [name] if is_name && name != "localhost" => format!("{name}.{namespace}"),
        [name, namespace, "svc", ..] => format!("{name}.{namespace}"),
        _ => host.to_owned(),
    };
    let slash = if path.is_empty() { "" } else { "/" };
    format!("{scheme}://{host}:{port}{slash}{path}")
}

/// Whether an endpoint in canonical form is on this very host.
pub(super) fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.split_once("://").map_or("", |(_, rest)| rest);
    ["localhost:", "127.", "[::1]:"].iter().any(|start| host.starts_with(start))
}

/// What is asked for in the name of a job: its endpoint, and its name or id there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) key: Key,
    /// In canonical form.
    pub(super) endpoint: String,
    pub(super) job: Option<String>,
    /// The job that was found under that, once it has been.
    pub(super) id: Option<JobId>,
    /// Group, kind and name of the workload, which is in the namespace of the key.
    pub(super) workload: Option<Workload>,
}

/// A workload within a namespace. The version of its API makes no difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Workload {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) name: String,
}

impl Workload {
    pub(super) fn new(api_version: &str, kind: &str, name: &str) -> Self {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        Self { group: group.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ServiceSpec;

    fn service(ports: &[(&str, i32)]) -> Service {
        let ports = ports.iter().map(|&(name, port)| ServicePort {
            name: (!name.is_empty()).then(|| name.to_owned()),
            port,
            ..ServicePort::default()
        });
        let spec = ServiceSpec { ports: Some(ports.collect()), ..ServiceSpec::default() };
        Service { spec: Some(spec), ..Service::default() }
    }

    #[test]
    fn finds_the_rest_port_of_a_service() {
        let of = |port: Option<Wanted>| ServiceRef { name: "orders".to_owned(), port };
        let plain = || of(None);
        let with = |port: &str| of(Some(port.parse().expect("a port")));
        let url = |port: i32| Ok(format!("http://orders.streams.svc:{port}"));
        for (reference, ports, expected) in [
            (plain(), &[("rpc", 6123), ("rest", 80)][..], url(80)),
            (plain(), &[("http", 1), ("webui", 2)], url(2)),
            (plain(), &[("", 8081)], url(8081)),
            (plain(), &[("ui", 8081), ("rpc", 6123)], url(8081)),
            (with("ui"), &[("ui", 9000), ("rest", 8081)], url(9000)),
            (with("9000"), &[("ui", 9000), ("rest", 8081)], url(9000)),
            (
                plain(),
                &[("rpc", 6123)],
                Err("the Service orders has no port rest, webui, http or 8081; it has rpc (6123)".to_owned()),
            ),
            (with("ui"), &[], Err("the Service orders has no port ui; it has none".to_owned())),
        ] {
            assert_eq!(
                super::url(&reference, "streams", Some(&service(ports))),
                expected,
                "{reference:?} {ports:?}"
            );
        }
        let gone = "there is no Service orders in the namespace streams";
        assert_eq!(super::url(&plain(), "streams", None), Err(gone.to_owned()));
    }

    #[test]
    fn names_of_one_service_are_one_endpoint() {
        let one = "http://orders.streams:8081";
        for (url, namespace, expected) in [
            ("http://orders:8081", "streams", one),
            ("http://orders:8081/", "streams", one),
            ("http://Orders.streams:8081", "other", one),
            ("http://orders.streams.svc:8081", "other", one),
            ("http://orders.streams.svc.cluster.local:8081", "other", one),
            ("http://orders.streams.svc.cluster.local.:8081", "other", one),
            ("http://orders:8081", "other", "http://orders.other:8081"),
            ("https://flink.example.com/orders/", "streams", "https://flink.example.com:443/orders"),
            ("http://10.0.0.7:8081", "streams", "http://10.0.0.7:8081"),
            ("http://localhost:8081", "streams", "http://localhost:8081"),
        ] {
            assert_eq!(canonical(url, namespace), expected, "{url} in {namespace}");
            assert_eq!(is_loopback(expected), url.contains("localhost"), "{url}");
        }
    }
}
