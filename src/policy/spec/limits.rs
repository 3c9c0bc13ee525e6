//! What is never exceeded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::Span;

/// What is never exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// The least time between the end of one rescale and the request for the next.
    pub cooldown: Span,
    /// The same before growing, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_up_cooldown: Option<Span>,
    /// The same before shrinking, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_cooldown: Option<Span>,
    /// How many rescales in how long.
    pub rescales: Budget,
    /// Which sizes of a vertex are preferred.
    pub alignment: Alignment,
}

impl Default for Limits {
    fn default() -> Self {
        // Flink 2.x itself will not rescale again within 30 s; two minutes lets the effect of one be seen first.
        Self {
            cooldown: Span::from_secs(120),
            scale_up_cooldown: None,
            scale_down_cooldown: None,
            rescales: Budget::default(),
            alignment: Alignment::default(),
        }
    }
}

/// How many rescales in how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Budget {
    /// At most this many rescales.
    #[schemars(range(min = 1))]
    pub max: u32,
    /// In this long.
    #[schemars(extend("x-minimum" = "1m", "x-why" = "in a shorter time the cooldown is the limit"))]
    pub per: Span,
}

impl Default for Budget {
    fn default() -> Self {
        // Users call more than 20 a day too many (FLINK-36018); a load with two peaks a day needs 4 to 8.
        Self { max: 12, per: Span::from_secs(86_400) }
    }
}

/// Which sizes of a vertex with keyed input, or of a source with known partitions, are preferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Alignment {
    /// The smallest size at which the subtask with the most key groups or partitions has no more than at the size that is
    /// needed.
    #[default]
    Balanced,
    /// A size that divides the number of key groups or partitions.
    Even,
    /// Any size.
    Off,
}
