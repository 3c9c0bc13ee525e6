//! The options as a policy carries them: the texts that were written, and what they mean.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{OptionError, Options};

/// Options that have been read, with their texts: a policy is written back as it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
#[schemars(with = "BTreeMap<String, String>")]
pub struct Settings {
    texts: BTreeMap<String, String>,
    options: Options,
}

/// Everything that is wrong with the options, one line each.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{}", lines(.0))]
pub struct OptionErrors(pub Vec<OptionError>);

fn lines(errors: &[OptionError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl Settings {
    /// Reads texts, and holds them to the ranges of the operator's validator: to be written here is to be enabled.
    ///
    /// # Errors
    /// Every name that is not known, and every value that cannot be read or that the operator would refuse.
    pub fn new(texts: BTreeMap<String, String>) -> Result<Self, OptionErrors> {
        let options = Options::from_map(&texts).map_err(OptionErrors)?;
        let refused = Options { enabled: true, ..options.clone() }.validate();
        if refused.is_empty() { Ok(Self { texts, options }) } else { Err(OptionErrors(refused)) }
    }

    /// What they mean.
    pub fn options(&self) -> &Options {
        &self.options
    }
}

impl TryFrom<BTreeMap<String, String>> for Settings {
    type Error = OptionErrors;

    fn try_from(texts: BTreeMap<String, String>) -> Result<Self, OptionErrors> {
        Self::new(texts)
    }
}

impl From<Settings> for BTreeMap<String, String> {
    fn from(settings: Settings) -> Self {
        settings.texts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn is_written_back_as_it_was() {
        let written = json!({"job.autoscaler.metrics.window": "10m", "job.autoscaler.quota.memory": "4 gb"});
        let settings: Settings = serde_json::from_value(written.clone()).expect("they are options");
        assert_eq!(settings.options().metrics_window.as_secs(), 600);
        assert_eq!(serde_json::to_value(&settings).expect("texts"), written);
    }

    #[test]
    fn tells_everything_that_is_wrong() {
        for (written, lines) in [
            (json!({"job.autoscaler.windows": "1", "job.autoscaler.metrics.window": "1x"}), 2),
            (
                json!({"job.autoscaler.utilization.target": "1.5", "job.autoscaler.excluded.periods": "noon"}),
                2,
            ),
        ] {
            let told = serde_json::from_value::<Settings>(written.clone()).expect_err("all of it is wrong");
            assert_eq!(told.to_string().lines().count(), lines, "{written}: {told}");
        }
    }
}
