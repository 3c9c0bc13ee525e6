//! The forms that a text may have to have, by the word that the schema's `x-form` gives them; and the ranges of numbers.
//!
//! Not the schema's `format`: there, `duration` would be that of ISO 8601 to other readers.

use std::fmt::Display;
use std::str::FromStr;

use super::shape::Schema;
use crate::model::Timestamp;
use crate::model::nearest::nearest;
use crate::policy::{
    Cron, ObservedOr, Quantity, Query, ServicePort, Span, SpecPath, StatusPath, When, Zone,
    check_operator_api,
};
use crate::policytest::{Percent, ServiceTime};

/// A form of texts.
pub(super) struct Format {
    /// The word in the schema.
    name: &'static str,
    /// What it is a form of, in the reference.
    pub(super) noun: &'static str,
    /// What is expected, in a message.
    pub(super) expected: &'static str,
    /// Why a text is not of this form.
    pub(super) check: fn(&str) -> Result<(), String>,
}

/// The forms that there are. The schema's `pattern`s say the same to those who do not know these words.
const FORMATS: &[Format] = &[
    Format {
        name: "duration",
        noun: "length of time",
        expected: "a length of time such as 90s, 5m or 1h30m",
        check: said::<Span>,
    },
    Format {
        name: "duration-or-observed",
        noun: "`observed` or a length of time",
        expected: "`observed` or a length of time such as 90s",
        check: duration_or_observed,
    },
    Format {
        name: "quantity",
        noun: "quantity",
        expected: "a quantity such as 500m, 2 or 1.5Gi",
        check: said::<Quantity>,
    },
    Format { name: "time", noun: "time", expected: "a time such as 2026-11-22T18:00:00Z", check: time },
    Format {
        name: "service-time",
        noun: "time of one record",
        expected: "the time of one record, such as 4ms, 0.5ms or 50us",
        check: said::<ServiceTime>,
    },
    Format { name: "percent", noun: "share", expected: "a share such as 80%", check: said::<Percent> },
    Format {
        name: "cron",
        noun: "cron expression",
        expected: "a cron expression such as 0 7 * * 1-5",
        check: said::<Cron>,
    },
    Format {
        name: "time-zone",
        noun: "time zone",
        expected: "a time zone such as Europe/Paris",
        check: time_zone,
    },
    Format {
        name: "cel",
        noun: "CEL expression",
        expected: "a CEL expression such as hour >= 7 && signals.load > 1000",
        check: said::<When>,
    },
    Format {
        name: "promql",
        noun: "PromQL",
        expected: "PromQL such as sum(lag{job=\"${job}\"})",
        check: said::<Query>,
    },
    Format {
        name: "http-url",
        noun: "URL",
        expected: "a URL such as http://orders-rest:8081",
        check: http_url,
    },
    Format {
        name: "port",
        noun: "port",
        expected: "a port by its name or number, such as rest or 8081",
        check: said::<ServicePort>,
    },
    Format {
        name: "operator-api",
        noun: "API version",
        expected: "an API version such as flink.apache.org/v1beta1",
        check: check_operator_api,
    },
    Format {
        name: "spec-path",
        noun: "path",
        expected: "a path such as spec.job.parallelism",
        check: said::<SpecPath>,
    },
    Format {
        name: "status-path",
        noun: "path",
        expected: "a path such as status.state",
        check: said::<StatusPath>,
    },
    Format { name: "dns-label", noun: "name", expected: "a name such as streams", check: dns_label },
    Format { name: "dns-subdomain", noun: "name", expected: "a name such as orders", check: dns_subdomain },
];

/// The form that a schema demands.
pub(super) fn of(schema: &Schema) -> Option<&'static Format> {
    let name = schema.get("x-form")?.as_str()?;
    FORMATS.iter().find(|format| format.name == name)
}

/// The least and the largest number of the type that a schema's `format` names.
pub(super) fn range(schema: &Schema) -> Option<(f64, f64)> {
    Some(match schema.get("format")?.as_str()? {
        "uint8" => (0.0, f64::from(u8::MAX)),
        "uint16" => (0.0, f64::from(u16::MAX)),
        "uint32" => (0.0, f64::from(u32::MAX)),
        "uint64" => (0.0, u64::MAX as f64),
        "int32" => (f64::from(i32::MIN), f64::from(i32::MAX)),
        "double" => (f64::MIN, f64::MAX),
        _ => return None,
    })
}

/// The form of a type that says itself what is wrong with a text.
fn said<T: FromStr<Err: Display>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(|_| ()).map_err(|error| error.to_string())
}

/// A time zone; of one that does not exist, the one that may have been meant.
fn time_zone(text: &str) -> Result<(), String> {
    said::<Zone>(text).map_err(|error| {
        let names: Vec<String> = Zone::names().collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match nearest(text, &names) {
            Some(name) => format!("{error}; did you mean {name}?"),
            None => error,
        }
    })
}

fn time(text: &str) -> Result<(), String> {
    let wrong = |_| format!("expected a time such as 2026-11-22T18:00:00Z, not {text:?}");
    text.parse::<Timestamp>().map(|_| ()).map_err(wrong)
}

fn duration_or_observed(text: &str) -> Result<(), String> {
    ObservedOr::try_from(text.to_owned()).map(|_| ())
}

/// A name as Kubernetes has it for a namespace (RFC 1123): the same names are good in files and in a cluster.
pub(crate) fn dns_label(text: &str) -> Result<(), String> {
    name(text, 63)?;
    if label(text) { Ok(()) } else { Err(letters(text, "and `-`")) }
}

/// A name as Kubernetes has it for most resources: labels with dots between them.
pub(crate) fn dns_subdomain(text: &str) -> Result<(), String> {
    name(text, 253)?;
    if text.split('.').all(label) { Ok(()) } else { Err(letters(text, "`-` and `.`")) }
}

fn name(text: &str, most: usize) -> Result<(), String> {
    match text.len() {
        0 => Err("a name must not be empty".to_owned()),
        length if length > most => Err(format!("a name has at most {most} characters, not {length}")),
        _ => Ok(()),
    }
}

fn label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.bytes().all(|b| inner(b) || b == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().next_back().is_some_and(inner)
}

fn letters(text: &str, others: &str) -> String {
    format!(
        "a name has lower-case letters, digits, {others}, with a letter or digit at both ends, not {text:?}"
    )
}

/// An endpoint of Flink's: with a host, perhaps a port and a prefix, and nothing after it.
pub(super) fn http_url(text: &str) -> Result<(), String> {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return Err(format!("expected http:// or https:// and a host, not {text:?}"));
    };
    let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("a URL has no blanks in it, unlike {text:?}"));
    }
    if text.contains(['?', '#']) {
        return Err(format!("the URL is that of the REST endpoint, without `?` and `#`, unlike {text:?}"));
    }
    if authority.contains('@') {
        // Not repeated in the message, which may go to a log.
        return Err("no user and password in the URL; put a bearer token in a file and name it in tokenFile"
            .to_owned());
    }
    if prefix.contains("//") {
        return Err(format!("an empty step (`//`) in the URL's path {prefix:?}"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, after) = v6.split_once(']').ok_or_else(|| format!("`]` is missing in {text:?}"))?;
            host.parse::<core::net::Ipv6Addr>().map_err(|_| format!("{host:?} is no IPv6 address"))?;
            (host, after.strip_prefix(':').or((!after.is_empty()).then_some("")))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err(format!("there is no host in {text:?}"));
    }
    if !host.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':')) {
        return Err(format!("{host:?} is no host"));
    }
    match port.map(str::parse::<u16>) {
        None | Some(Ok(1..)) => Ok(()),
        Some(_) => Err(format!("a port is a number from 1 to 65535, not {:?}", port.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_an_endpoint_from_what_is_none() {
        for (url, problem) in [
            ("http://orders-rest:8081", None),
            ("https://flink.example.org/orders/", None),
            ("http://[::1]:8081/x", None),
            ("http://10.0.0.1", None),
            ("orders-rest:8081", Some("expected http:// or https:// and a host, not \"orders-rest:8081\"")),
            ("ftp://x", Some("expected http:// or https:// and a host, not \"ftp://x\"")),
            ("http://", Some("there is no host in \"http://\"")),
            ("http://:8081", Some("there is no host in \"http://:8081\"")),
            ("http://x:0", Some("a port is a number from 1 to 65535, not \"0\"")),
            ("http://x:99999", Some("a port is a number from 1 to 65535, not \"99999\"")),
            ("http://x:", Some("a port is a number from 1 to 65535, not \"\"")),
            ("http://[::1", Some("`]` is missing in \"http://[::1\"")),
            ("http://[x]", Some("\"x\" is no IPv6 address")),
            ("http://[::1]8081", Some("a port is a number from 1 to 65535, not \"\"")),
            ("http://<host>:8081", Some("\"<host>\" is no host")),
            ("http://x y", Some("a URL has no blanks in it, unlike \"http://x y\"")),
            ("http://x//y", Some("an empty step (`//`) in the URL's path \"//y\"")),
            (
                "http://x/?a=b",
                Some("the URL is that of the REST endpoint, without `?` and `#`, unlike \"http://x/?a=b\""),
            ),
            (
                "http://me:secret@x",
                Some(
                    "no user and password in the URL; put a bearer token in a file and name it in tokenFile",
                ),
            ),
        ] {
            assert_eq!(http_url(url).err().as_deref(), problem, "{url}");
        }
    }

    #[test]
    fn takes_the_names_that_kubernetes_takes() {
        for (name, as_label, as_subdomain) in [
            ("orders", true, true),
            ("orders-2", true, true),
            ("a.b", false, true),
            ("Orders", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("a..b", false, false),
            ("", false, false),
            ("a_b", false, false),
            ("ä", false, false),
        ] {
            assert_eq!(dns_label(name).is_ok(), as_label, "{name}");
            assert_eq!(dns_subdomain(name).is_ok(), as_subdomain, "{name}");
        }
        assert!(dns_label(&"a".repeat(63)).is_ok() && dns_label(&"a".repeat(64)).is_err());
    }
}
