//! A Service by name, in place of a URL.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The Service before Flink's REST endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceRef {
    /// The Service's name.
    #[schemars(extend("x-form" = "dns-label", "minLength" = 1, "maxLength" = 63,
        "pattern" = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Its port, by name or number; without it, the one that is called `rest`, `webui` or `http`, or is 8081.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<ServicePort>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServicePort {
    /// By its number.
    Number(u16),
    /// By its name.
    Name(String),
}

/// The longest name of a port (RFC 6335).
const LONGEST_NAME: usize = 15;

impl FromStr for ServicePort {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number @ 1..) = text.parse() {
            return Ok(Self::Number(number));
        }
        let is_name = (1..=LONGEST_NAME).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && text.bytes().any(|b| b.is_ascii_lowercase());
        if is_name {
            return Ok(Self::Name(text.to_owned()));
        }
        let found: String = text.chars().take(40).collect();
        Err(format!("expected a port by its name or number, such as rest or 8081, not {found:?}"))
    }
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl Serialize for ServicePort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u16(*number),
            Self::Name(name) => serializer.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for ServicePort {
    /// From a text or a number, as Kubernetes has its ports.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = ServicePort;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port by its name or number")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ServicePort, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<ServicePort, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<ServicePort, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

impl JsonSchema for ServicePort {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ServicePort".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "x-form": "port",
            "minimum": 1,
            "maximum": 65535,
            "maxLength": LONGEST_NAME,
            "pattern": "^([0-9]{1,5}|[a-z0-9-]*[a-z][a-z0-9-]*)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_port_by_name_or_number() {
        let name = |name: &str| Some(ServicePort::Name(name.to_owned()));
        for (json, port) in [
            ("8081", Some(ServicePort::Number(8081))),
            ("\"8081\"", Some(ServicePort::Number(8081))),
            ("\"rest\"", name("rest")),
            ("\"a-2\"", name("a-2")),
            ("0", None),
            ("70000", None),
            ("-1", None),
            ("\"\"", None),
            ("\"70000\"", None),
            ("\"Rest\"", None),
            ("\"a-name-that-is-too-long\"", None),
        ] {
            let read = serde_json::from_str::<ServicePort>(json).ok();
            assert_eq!(read, port, "{json}");
            if let Some(port) = read {
                let text = serde_json::to_string(&port).expect("written");
                assert_eq!(serde_json::from_str::<ServicePort>(&text).expect("read"), port);
            }
        }
    }
}
