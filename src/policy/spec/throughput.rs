//! The throughput rule's fields.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Fallback;
use crate::model::Vertex;
use crate::policy::{Span, When, glob};

/// As much as the records need that come in: target rates through the graph, divided by measured capacity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Throughput {
    /// How full a vertex may be.
    pub utilization: UtilizationBand,
    /// How full some vertices may be instead; the first entry whose name matches counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vertices: Vec<VertexUtilization>,
    /// Never asks for more than so many times the present size at once, though always for one subtask more; no limit, without
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0))]
    pub max_scale_up_factor: Option<f64>,
    /// Never gives up more than this share of the present size at once, though always one subtask; no limit, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_scale_down_factor: Option<f64>,
    /// In what time a backlog is to be gone.
    #[schemars(with = "Span", extend("x-minimum" = "1s", "x-why" = "no size works a backlog off in no time"))]
    pub catch_up: CatchUp,
    /// How long a restart takes: `observed`, or a fixed time.
    pub restart: ObservedOr,
    /// Whether the rule is on, in CEL; always, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// What to hold to when the metrics are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

impl Throughput {
    /// How full a vertex may be.
    pub(crate) fn band(&self, vertex: &Vertex) -> UtilizationBand {
        let named = self.vertices.iter().find(|spec| glob::names(&spec.name, vertex));
        named.map_or(self.utilization, |spec| spec.utilization)
    }
}

/// How full the vertices of a name may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VertexUtilization {
    /// The vertex's name or id; `*` stands for any text, `?` for one character.
    #[schemars(length(min = 1))]
    pub name: String,
    /// How full it may be; what is left out has its own default, not what the rule says for the others.
    pub utilization: UtilizationBand,
}

/// In what time a backlog is to be gone; five minutes unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CatchUp(pub Span);

impl Default for CatchUp {
    fn default() -> Self {
        // Long against a restart (seconds), short against what a reader of late results puts up with.
        Self(Span::from_secs(300))
    }
}

/// How full a vertex may be: target rate over capacity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-order" = ["min < target", "target <= max"]))]
pub struct UtilizationBand {
    /// A new size is chosen to be this full.
    #[schemars(range(min = 0.05, max = 1.0))]
    pub target: f64,
    /// Less full than this asks for fewer subtasks.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min: f64,
    /// Fuller than this asks for more subtasks.
    #[schemars(range(min = 0.05, max = 2.0))]
    pub max: f64,
}

impl Default for UtilizationBand {
    fn default() -> Self {
        // The Flink autoscaler's own 0.7 +- 0.3, so that who comes from there finds the same; see facts on its options.
        Self { target: 0.7, min: 0.4, max: 1.0 }
    }
}

/// `observed`, or a fixed length of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ObservedOr {
    /// What was seen of this job.
    #[default]
    Observed,
    /// This, always.
    Fixed(Span),
}

impl From<ObservedOr> for String {
    fn from(value: ObservedOr) -> Self {
        match value {
            ObservedOr::Observed => "observed".to_owned(),
            ObservedOr::Fixed(span) => span.to_string(),
        }
    }
}

impl TryFrom<String> for ObservedOr {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == "observed" {
            return Ok(Self::Observed);
        }
        text.parse().map(Self::Fixed).map_err(|_| {
            format!("expected `observed` or a length of time such as 90s, 5m or 1h30m, not {text:?}")
        })
    }
}

impl JsonSchema for ObservedOr {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ObservedOr".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "x-form": "duration-or-observed",
            "pattern": r"^(observed|0|([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+)$",
        })
    }
}
