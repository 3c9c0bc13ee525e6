//! The options that are one of a few words.

use super::value::Value;

/// Whose semantics are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Release {
    /// 1.15.0: aligns in the old way, which may refuse to scale; takes the input rate that goes with the busy time from
    /// counters always; expects of a scale-up what its factor promised, before limits and alignment; and validates fewer
    /// options.
    V1_15,
    /// 1.16.
    #[default]
    V1_16,
}

/// Which of a vertex's subtasks its busy time is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BusyTime {
    /// The busiest.
    #[default]
    Max,
    /// The least busy.
    Min,
    /// All, from the accumulated busy time.
    Avg,
}

/// How a parallelism is fitted to the key groups or partitions, in the words of 1.15 and before: it may refuse to scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdjustMode {
    /// To a divisor.
    EvenlySpread,
    /// To a divisor, or to fewer key groups per subtask.
    MaximizeUtilisation,
}

/// A closed list of words: the first type that has each.
macro_rules! words {
    ($type:ident: $($word:literal => $value:ident),+) => {
        impl Value for $type {
            const EXPECTED: &'static str = concat!("one of", $(" `", $word, "`"),+);
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn parse(text: &str) -> Option<Self> {
                $(if text.eq_ignore_ascii_case($word) { return Some(Self::$value); })+
                None
            }
        }
    };
}

words!(BusyTime: "MAX" => Max, "MIN" => Min, "AVG" => Avg);
words!(AdjustMode: "EVENLY_SPREAD" => EvenlySpread, "MAXIMIZE_UTILISATION" => MaximizeUtilisation);
