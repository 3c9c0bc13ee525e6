//! The ranges that the operator's validator holds the options to, when the autoscaler is enabled.

use super::super::excluded;
use super::{OptionError, Options, Release};

impl Options {
    /// Every option that the operator would refuse; none when the autoscaler is not enabled.
    ///
    /// Ranges of a feature are looked at only when the feature is on. 1.15 holds `observed-scalability.coefficient-min` to its
    /// range always, and does not look at the two thresholds of memory, the effectiveness threshold and the tuning overhead.
    pub fn validate(&self) -> Vec<OptionError> {
        if !self.enabled {
            return Vec::new();
        }
        let target = self.utilization_target;
        let no_end = f64::INFINITY;
        let is_new = self.release == Release::V1_16;
        let ranges = [
            ("job.autoscaler.scale-down.max-factor", Some(self.scale_down_max_factor), 0.0, no_end),
            ("job.autoscaler.scale-up.max-factor", Some(self.scale_up_max_factor), 0.0, no_end),
            ("job.autoscaler.utilization.target", Some(target), 0.0, 1.0),
            ("job.autoscaler.target.utilization.boundary", Some(self.utilization_boundary), 0.0, no_end),
            ("job.autoscaler.utilization.max", self.utilization_max, target, 1.0),
            ("job.autoscaler.utilization.min", self.utilization_min, 0.0, target),
            (
                "job.autoscaler.memory.gc-pressure.threshold",
                is_new.then_some(self.gc_pressure_threshold),
                0.0,
                1.0,
            ),
            (
                "job.autoscaler.memory.heap-usage.threshold",
                is_new.then_some(self.heap_usage_threshold),
                0.0,
                1.0,
            ),
            (
                "job.autoscaler.scaling.effectiveness.threshold",
                (is_new && self.effectiveness_detection).then_some(self.effectiveness_threshold),
                0.0,
                1.0,
            ),
            (
                "job.autoscaler.memory.tuning.overhead",
                (is_new && self.memory_tuning).then_some(self.memory_tuning_overhead),
                0.0,
                1.0,
            ),
            (
                "job.autoscaler.observed-scalability.coefficient-min",
                (!is_new || self.observed_scalability).then_some(self.observed_scalability_coefficient_min),
                0.01,
                1.0,
            ),
        ];
        let outside = ranges.into_iter().filter_map(|(key, value, low, high)| {
            let value = value.filter(|value| !(low..=high).contains(value))?;
            Some(OptionError::OutOfRange { key, low, high, value })
        });
        let periods = self.excluded_periods.iter().filter_map(|period| {
            let why = excluded::Period::parse(period).err()?;
            Some(OptionError::Period { period: period.clone(), why })
        });
        outside.chain(periods).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Options)) -> Vec<String> {
        let mut options = Options { enabled: true, ..Options::default() };
        change(&mut options);
        options.validate().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_are_valid_and_what_is_off_is_not_looked_at() {
        assert_eq!(refused(|_| {}), [""; 0]);
        assert_eq!(refused(|o| o.memory_tuning_overhead = 2.0), [""; 0]);
        assert_eq!(refused(|o| (o.enabled, o.utilization_target) = (false, 7.0)), [""; 0]);
    }

    #[test]
    fn the_release_before_looks_at_other_options() {
        let before = |change: fn(&mut Options)| {
            refused(|o| {
                o.release = Release::V1_15;
                change(o);
            })
        };
        assert_eq!(before(|o| o.gc_pressure_threshold = 2.0), [""; 0]);
        assert_eq!(before(|o| o.observed_scalability_coefficient_min = 0.0).len(), 1);
    }

    #[test]
    fn tells_every_range_that_is_left() {
        assert_eq!(
            refused(|o| (o.utilization_max, o.gc_pressure_threshold) = (Some(0.5), 1.5)),
            [
                "`job.autoscaler.utilization.max`: expected a number from 0.7 to 1, not 0.5",
                "`job.autoscaler.memory.gc-pressure.threshold`: expected a number from 0 to 1, not 1.5",
            ]
        );
        assert_eq!(refused(|o| o.excluded_periods = vec!["25:00:00-26:00:00".to_owned()]).len(), 1);
        assert_eq!(refused(|o| (o.memory_tuning, o.memory_tuning_overhead) = (true, 2.0)).len(), 1);
    }
}
