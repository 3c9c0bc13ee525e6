//! The records/s that a vertex should be able to take in, and the thresholds between which it is left alone.

use std::time::Duration;

use super::Options;

/// What a vertex has to take in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// Records/s that come, of the sources' ingestion and backlog growth; NaN when not known.
    pub target: f64,
    /// Records/s more to work off the backlog in time; NaN when not known.
    pub catch_up: f64,
}

/// The rates between which a vertex is left alone: below `up` it is too small, above `down` too large.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// `SCALE_UP_RATE_THRESHOLD`.
    pub up: f64,
    /// `SCALE_DOWN_RATE_THRESHOLD`.
    pub down: f64,
}

impl Thresholds {
    /// Whether a vertex that can take in `rate` is outside. What is not known is inside.
    pub fn exclude(&self, rate: f64) -> bool {
        rate < self.up || rate > self.down
    }
}

/// The capacity, in whole records/s, with which the demand makes a vertex as busy as `utilization`. `restart`: what piles up
/// while the job restarts is caught up with, too.
pub fn needed(options: &Options, demand: Demand, utilization: f64, restart: Option<Duration>) -> f64 {
    if demand.target.is_nan() || demand.catch_up.is_nan() {
        return f64::NAN;
    }
    let utilization = utilization.clamp(0.0, 1.0);
    if utilization == 0.0 {
        return f64::INFINITY;
    }
    let catch_up_seconds = options.catch_up_duration.as_secs() as f64;
    let restart = match restart {
        Some(time) if catch_up_seconds > 0.0 => demand.target * time.as_secs() as f64 / catch_up_seconds,
        _ => 0.0,
    };
    half_up(demand.catch_up + restart + demand.target / utilization)
}

/// The thresholds of a vertex. With a backlog nothing is scaled down, and up only what is really too small.
pub fn thresholds(
    options: &Options,
    demand: Demand,
    processing_backlog: bool,
    restart_time: Duration,
) -> Thresholds {
    let (max, min) = if processing_backlog {
        (1.0, 0.0)
    } else {
        let (target, boundary) = (options.utilization_target, options.utilization_boundary);
        (
            options.utilization_max.unwrap_or(target + boundary),
            options.utilization_min.unwrap_or(target - boundary),
        )
    };
    Thresholds {
        up: needed(options, demand, max, None),
        down: needed(options, demand, min, Some(restart_time)),
    }
}

/// To the nearest whole number, halves up, within 64 bits with a sign.
fn half_up(value: f64) -> f64 {
    let floor = value.floor();
    let rounded = if value - floor >= 0.5 { floor + 1.0 } else { floor };
    rounded.clamp(i64::MIN as f64, i64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_halves_up() {
        for (value, rounded) in
            [(0.5, 1.0), (1.5, 2.0), (-1.5, -1.0), (0.499_999_999_999_999_94, 0.0), (1e18, 1e18)]
        {
            assert!((half_up(value) - rounded).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn what_is_not_known_gives_no_capacity_and_excludes_nothing() {
        let options = Options::default();
        let unknown = Demand { target: f64::NAN, catch_up: 0.0 };
        assert!(needed(&options, unknown, 0.7, None).is_nan());
        let thresholds = thresholds(&options, unknown, false, Duration::ZERO);
        assert!(!thresholds.exclude(5.0) && !thresholds.exclude(f64::INFINITY));
    }

    #[test]
    fn a_restart_and_a_backlog_ask_for_more() {
        let options = Options { catch_up_duration: Duration::from_mins(1), ..Options::default() };
        let demand = Demand { target: 70.0, catch_up: 5.0 };
        for (utilization, restart, expected) in
            [(0.7, None, 105.0), (0.7, Some(30), 140.0), (7.0, None, 75.0), (-1.0, None, f64::INFINITY)]
        {
            let got = needed(&options, demand, utilization, restart.map(Duration::from_secs));
            assert_eq!(got.to_bits(), f64::to_bits(expected), "{utilization} {restart:?}: {got}");
        }
    }
}
