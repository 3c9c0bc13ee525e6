//! Lists of metrics and their aggregates: `.../subtasks/metrics`.

use std::borrow::Cow;

use serde::Deserialize;

use super::number::Number;

/// One metric: its id alone in a list, with its sum where that was asked for.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Metric<'a> {
    /// Flink's id of it, without the subtask.
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    /// The sum over the subtasks that have it.
    #[serde(default)]
    pub(crate) sum: Number,
    /// The largest of the subtasks that have it.
    #[serde(default)]
    pub(crate) max: Number,
}

/// The sum over all of `ids`; `None` when one of them is missing or no count. Flink answers `[]` when one of the metrics
/// that were asked for is on none of the subtasks.
pub(crate) fn sum_of(metrics: &[Metric<'_>], ids: &[String]) -> Option<u64> {
    ids.iter()
        .map(|id| metrics.iter().find(|metric| metric.id == **id).and_then(|metric| metric.sum.count()))
        .try_fold(0_u64, |sum, count| sum.checked_add(count?))
}

/// Beyond a year it is no lag: the records' times are in seconds, or counted from somewhere else.
const LONGEST_LAG_MS: u64 = 365 * 24 * 3600 * 1000;

/// The longest of the lags `ids`, in milliseconds; `None` when one of them is missing, or can be none. -1 is what a source says
/// of which no record had a time yet; a lag below zero is that of times ahead of the clock.
pub(crate) fn longest_lag(metrics: &[Metric<'_>], ids: &[String]) -> Option<u64> {
    let mut longest = None;
    for id in ids {
        let max = metrics.iter().find(|metric| metric.id == **id)?.max;
        longest = longest.max(max.count());
    }
    longest.filter(|lag| *lag <= LONGEST_LAG_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_lag_that_can_be_one() {
        let ids = ["a".to_owned(), "b".to_owned()];
        for (json, lag) in [
            (r#"[{"id":"a","max":3000.0},{"id":"b","max":4}]"#, Some(3000)),
            (r#"[{"id":"a","max":-1.0},{"id":"b","max":40.0}]"#, Some(40)),
            (r#"[{"id":"a","max":-1.0},{"id":"b","max":-1.0}]"#, None),
            (r#"[{"id":"a","max":-250.0},{"id":"b","max":0.0}]"#, Some(0)),
            (r#"[{"id":"a","max":40.0}]"#, None),
            (r#"[{"id":"a","max":"NaN"},{"id":"b","max":7.0}]"#, Some(7)),
            (r#"[{"id":"a","max":1.795e12},{"id":"b","max":7.0}]"#, None),
            ("[]", None),
        ] {
            let metrics: Vec<Metric<'_>> = serde_json::from_str(json).expect(json);
            assert_eq!(longest_lag(&metrics, &ids), lag, "{json}");
        }
    }

    #[test]
    fn sums_only_what_is_all_there() {
        let ids = ["a".to_owned(), "b".to_owned()];
        for (json, sum) in [
            (r#"[{"id":"a","sum":3.0},{"id":"b","sum":4}]"#, Some(7)),
            (r#"[{"id":"b","sum":4.0},{"id":"a","sum":3.0},{"id":"c","sum":9.0}]"#, Some(7)),
            (r#"[{"id":"a","sum":3.0}]"#, None),
            (r#"[{"id":"a","sum":3.0},{"id":"b","sum":"NaN"}]"#, None),
            (r#"[{"id":"a","sum":3.0},{"id":"b","sum":-1.0}]"#, None),
            (r#"[{"id":"a","sum":3.0},{"id":"b"}]"#, None),
            (r#"[{"id":"a","sum":18446744073709551615},{"id":"b","sum":1}]"#, None),
            ("[]", None),
        ] {
            let metrics: Vec<Metric<'_>> = serde_json::from_str(json).expect(json);
            assert_eq!(sum_of(&metrics, &ids), sum, "{json}");
        }
    }
}
