//! What Prometheus answers to an instant query, read without trusting it.

use std::collections::HashMap;

use prometheus_http_query::response::{Data, PromqlResult, Sample};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::cause::one_line;
use super::error::PrometheusError;
use super::fault::looks_like;

/// Series that are read of one answer. A rule adds them up, and what is not summed by the server itself is a query over
/// pods or subtasks: a few hundred.
pub(super) const MOST_SERIES: usize = 1000;

/// What is around every answer. The crate's own reader leaves out the warnings.
#[derive(Deserialize)]
struct Envelope<'a> {
    status: &'a str,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(rename = "errorType")]
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "resultType")]
    result_type: String,
}

/// The numbers of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Numbers {
    pub(super) series: Vec<Series>,
    /// For when the server evaluated the query, seconds since 1970; `None` where there is no series.
    pub(super) evaluated: Option<f64>,
}

/// A series' value, and the labels by which those of the ready-made queries are told apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) value: f64,
    pub(super) pod: Option<Box<str>>,
    pub(super) container: Option<Box<str>>,
}

/// Reads a successful answer.
pub(super) fn read(url: &str, body: &[u8]) -> Result<Numbers, PrometheusError> {
    let url = || url.to_owned();
    let envelope: Envelope<'_> = serde_json::from_slice(body)
        .map_err(|_| PrometheusError::NotPrometheus { url: url(), what: looks_like(body) })?;
    if envelope.status != "success" {
        return Err(PrometheusError::Refused { url: url(), said: said(&envelope) });
    }
    if let Some(warning) = envelope.warnings.iter().find(|warning| is_serious(warning)) {
        return Err(PrometheusError::Warned { url: url(), said: one_line(warning) });
    }
    let not_understood = |error: &serde_json::Error| PrometheusError::NotUnderstood {
        url: url(),
        what: format!("the answer has a form that is not known here: {}", one_line(&error.to_string())),
    };
    let data = envelope.data.map_or("null", RawValue::get);
    let kind: Kind = serde_json::from_str(data).map_err(|error| not_understood(&error))?;
    match kind.result_type.as_str() {
        "matrix" => {
            let what =
                "the query gives a range of samples of each series, not one number; wrap it, as in rate(...)";
            return Err(PrometheusError::NotANumber { what });
        }
        "string" => return Err(PrometheusError::NotANumber { what: "the query gives a text, not a number" }),
        _ => {}
    }
    let result: PromqlResult = serde_json::from_str(data).map_err(|error| not_understood(&error))?;
    let unlabelled = |sample: &Sample| Series { value: sample.value(), pod: None, container: None };
    let (series, first) = match result.data() {
        Data::Vector(series) if series.len() > MOST_SERIES => {
            return Err(PrometheusError::TooManySeries { most: MOST_SERIES });
        }
        Data::Vector(series) => {
            let label =
                |labels: &HashMap<String, String>, name| labels.get(name).map(|value| value.as_str().into());
            let first = series.first().map(|series| *series.sample());
            let labelled = series.iter().map(|series| Series {
                pod: label(series.metric(), "pod"),
                container: label(series.metric(), "container"),
                ..unlabelled(series.sample())
            });
            (labelled.collect(), first)
        }
        Data::Scalar(sample) => (vec![unlabelled(sample)], Some(*sample)),
        Data::Matrix(_) => (Vec::new(), None),
    };
    Ok(Numbers { series, evaluated: first.as_ref().map(Sample::timestamp) })
}

/// What an answer that is an error says, if it is Prometheus' own.
pub(super) fn error(body: &[u8]) -> Option<String> {
    let envelope: Envelope<'_> = serde_json::from_slice(body).ok()?;
    (envelope.status == "error").then(|| said(&envelope))
}

fn said(envelope: &Envelope<'_>) -> String {
    let kind = envelope.error_type.as_deref().unwrap_or("error");
    let text = envelope.error.as_deref().unwrap_or("no reason given");
    one_line(&format!("{kind}: {text}"))
}

/// Hints to who wrote the query came among the warnings before they had a place of their own (2.48 to 2.51).
fn is_serious(warning: &str) -> bool {
    !warning.starts_with("PromQL info:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(body: &str) -> Result<Vec<f64>, &'static str> {
        let values = |numbers: Numbers| numbers.series.iter().map(|series| series.value).collect();
        read("http://p", body.as_bytes()).map(values).map_err(|error| error.kind())
    }

    fn vector(samples: &str) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{samples}]}}}}"#)
    }

    #[test]
    fn reads_numbers_and_nothing_else() {
        let many = vec![r#"{"metric":{},"value":[1,"1"]}"#; MOST_SERIES + 1].join(",");
        for (body, expected) in [
            (vector(r#"{"metric":{"a":"b"},"value":[1.5,"2.5"]}"#), Ok(vec![2.5])),
            (vector(r#"{"metric":{},"value":[1,"+Inf"]},{"metric":{},"value":[1,"-1e3"]}"#), Ok(vec![f64::INFINITY, -1000.0])),
            (vector(""), Ok(vec![])),
            (r#"{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}"#.to_owned(), Ok(vec![7.0])),
            (vector(&many), Err("TooManySeries")),
            (vector(r#"{"metric":{},"value":[1,"seven"]}"#), Err("NotUnderstood")),
            (vector(r#"{"metric":{},"histogram":[1,{}]}"#), Err("NotUnderstood")),
            (r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.to_owned(), Err("NotANumber")),
            (r#"{"status":"success","data":{"resultType":"string","result":[1,"a"]}}"#.to_owned(), Err("NotANumber")),
            (r#"{"status":"success"}"#.to_owned(), Err("NotUnderstood")),
            (r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#.to_owned(), Err("Refused")),
            (
                r#"{"status":"success","warnings":["store 10.0.0.1 is away"],"data":{"resultType":"scalar","result":[1,"7"]}}"#.to_owned(),
                Err("Warned"),
            ),
            (
                r#"{"status":"success","warnings":["PromQL info: metric might not be a counter"],"data":{"resultType":"scalar","result":[1,"7"]}}"#.to_owned(),
                Ok(vec![7.0]),
            ),
            ("<html>login</html>".to_owned(), Err("NotPrometheus")),
            (r#"{"jobs":[]}"#.to_owned(), Err("NotPrometheus")),
            (String::new(), Err("NotPrometheus")),
        ] {
            assert_eq!(kind(&body), expected, "{body:.120}");
        }
        assert!(kind(&vector(r#"{"metric":{},"value":[1,"NaN"]}"#)).is_ok_and(|values| values[0].is_nan()));
    }
}
