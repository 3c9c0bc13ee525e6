//! From a map of texts to the options.

use std::collections::BTreeMap;

use crate::model::Hint;

use super::{KEYS, Key, OLD_PREFIX, OptionError, Options, PREFIX};

/// What the settings of a plugin begin with, after the prefix: the rest of their names is the plugin's own.
const PLUGINS: [&str; 3] =
    ["metrics.custom-evaluator.", "scaling.custom-executor.", "scaling.parallelism-alignment.mode."];

impl Options {
    /// The options that `entries` set, and the defaults of all others.
    ///
    /// # Errors
    /// Every name that is not known and every value that cannot be read.
    pub fn from_map(entries: &BTreeMap<String, String>) -> Result<Self, Vec<OptionError>> {
        let mut options = Self::default();
        let mut errors = Vec::new();
        // The way an option was set, per option: what has the better name wins, whatever the order.
        let mut ranks: BTreeMap<&str, usize> = BTreeMap::new();
        for (key, value) in entries {
            let Some(name) = after_prefix(key) else {
                errors.push(unknown(key));
                continue;
            };
            if PLUGINS.iter().any(|plugin| name.len() > plugin.len() && name.starts_with(plugin)) {
                options.plugin_settings.insert(name.to_owned(), value.clone());
                continue;
            }
            let Some((known, rank)) = find(name, key.starts_with(OLD_PREFIX)) else {
                errors.push(unknown(key));
                continue;
            };
            let is_better = ranks.get(known.name).is_none_or(|before| rank < *before);
            let target = if is_better { &mut options } else { &mut Self::default() };
            if !(known.set)(target, value.trim()) {
                errors.push(OptionError::Value {
                    key: key.clone(),
                    expected: known.expected,
                    value: value.clone(),
                    hint: (!known.words.is_empty())
                        .then(|| Hint::new(&value.to_ascii_uppercase(), known.words.iter().copied())),
                });
            } else if is_better {
                ranks.insert(known.name, rank);
            }
        }
        if errors.is_empty() { Ok(options) } else { Err(errors) }
    }

    /// Names of the operator's plugins that are asked for and cannot run here.
    pub fn plugins(&self) -> Vec<&str> {
        let modes = self.alignment_mode.iter().filter(|mode| super::super::align::is_plugin(mode));
        [self.custom_evaluators.iter(), self.custom_executors.iter()]
            .into_iter()
            .flatten()
            .chain(modes)
            .map(String::as_str)
            .collect()
    }
}

/// Whether a key of a Flink configuration is one of the autoscaler's.
pub fn is_option(key: &str) -> bool {
    after_prefix(key).is_some()
}

fn after_prefix(key: &str) -> Option<&str> {
    key.strip_prefix(PREFIX).or_else(|| key.strip_prefix(OLD_PREFIX))
}

/// The option of a name, and how good a name it is: today's, today's with the old prefix, then those of old.
fn find(name: &str, old_prefix: bool) -> Option<(&'static Key, usize)> {
    KEYS.iter().find_map(|key| {
        let age = if key.name == name { 0 } else { 1 + key.old.iter().position(|old| *old == name)? };
        Some((key, 2 * age + usize::from(old_prefix)))
    })
}

fn unknown(key: &str) -> OptionError {
    let names: Vec<String> = KEYS.iter().map(|known| format!("{PREFIX}{}", known.name)).collect();
    OptionError::Unknown { key: key.to_owned(), hint: hint(key, &names) }
}

/// All names begin alike, so only what follows the prefix tells which one was meant.
fn hint(key: &str, names: &[String]) -> Hint {
    let known: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let written = after_prefix(key).unwrap_or(key);
    match Hint::new(written, known.iter().copied()) {
        Hint::Nearest(near) => Hint::Nearest(format!("{PREFIX}{near}")),
        Hint::OneOf(_) => Hint::OneOf(names.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::BusyTime;
    use super::*;

    fn read(entries: &[(&str, &str)]) -> Result<Options, String> {
        let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Options::from_map(&entries)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(read(&[]), Ok(Options::default()));
    }

    #[test]
    fn every_option_can_be_written_with_either_prefix_and_by_its_old_names() {
        let text = |key: &Key| match key.words.first() {
            Some(word) => word,
            None if key.expected.contains("a time") => "7 s",
            None => "1",
        };
        for key in KEYS {
            for name in [key.name].iter().chain(key.old) {
                for prefix in [PREFIX, OLD_PREFIX] {
                    assert!(read(&[(&format!("{prefix}{name}"), text(key))]).is_ok(), "{prefix}{name}");
                }
            }
        }
    }

    #[test]
    fn the_newer_name_wins_whatever_the_order() {
        let target = |entries| read(entries).map(|options| options.utilization_target);
        assert_eq!(
            target(&[
                ("job.autoscaler.target.utilization", "0.5"),
                ("job.autoscaler.utilization.target", "0.6")
            ]),
            Ok(0.6)
        );
        assert_eq!(
            target(&[
                ("kubernetes.operator.job.autoscaler.utilization.target", "0.5"),
                ("job.autoscaler.target.utilization", "0.6")
            ]),
            Ok(0.5)
        );
        let interval = read(&[("job.autoscaler.scale-up.grace-period", "2 h")]);
        assert_eq!(interval.map(|options| options.scale_down_interval), Ok(Duration::from_hours(2)));
    }

    #[test]
    fn words_are_taken_in_either_case_and_plugins_kept() {
        let options = read(&[
            ("job.autoscaler.metrics.busy-time.aggregator", "avg"),
            ("job.autoscaler.scaling.parallelism-alignment.mode", "mine"),
            ("job.autoscaler.scaling.parallelism-alignment.mode.mine.class", "org.example.Mine"),
            ("job.autoscaler.metrics.custom-evaluators", "trend"),
        ])
        .expect("they are options");
        assert_eq!((options.busy_time, options.plugins()), (BusyTime::Avg, vec!["trend", "mine"]));
        assert_eq!(options.plugin_settings.len(), 1);
    }

    #[test]
    fn every_mistake_is_told_with_what_was_expected() {
        let told = read(&[
            ("job.autoscaler.catchup.duration", "5 min"),
            ("job.autoscaler.metrics.window", "5x"),
            ("job.autoscaler.metrics.busy-time.aggregator", "MXA"),
            ("taskmanager.numberOfTaskSlots", "2"),
        ])
        .expect_err("none of them can be read");
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 4, "{told}");
        assert!(lines[0].ends_with("did you mean `job.autoscaler.catch-up.duration`?"), "{}", lines[0]);
        assert!(lines[1].contains("did you mean `MAX`?"), "{}", lines[1]);
        assert!(lines[2].contains("expected a time in Flink's notation"), "{}", lines[2]);
    }
}
