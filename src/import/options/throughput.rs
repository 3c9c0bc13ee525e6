//! The operator's options as Tidegate's own throughput rule: the intent of them (this full, caught up in so long, never more
//! than that), with Tidegate's own measures.

use super::super::draft::Draft;
use super::super::fields::Field;
use super::super::note::Made::{FlinkAutoscaler as Autoscaler, ScalingPolicy as Policy};
use super::{DAY, RULE, Translator, span};
use crate::config::ConfigError;
use crate::model::Parallelism;
use crate::policy::flink_autoscaler::align::AlignmentMode;
use crate::policy::flink_autoscaler::options::AdjustMode;
use crate::policy::hpa::SelectPolicy;
use crate::policy::{
    Alignment, Bounds, CatchUp, ObservedOr, Rule, ScalingRules, Span, Throughput, UtilizationBand,
};

/// From this factor on a job may grow by as much as it likes at once: the operator's default is a hundred times as much.
const NO_FACTOR: f64 = 1_000.0;
/// The least that a vertex may be meant to be full.
const LEAST_TARGET: f64 = 0.05;

/// What is not quite as the options say: what it is of, and what was made of it.
type Nearly<'n> = Vec<(Field<'n>, String)>;

impl<'n> Translator<'_, 'n> {
    /// The options as a throughput rule, and the rest of the policy with it.
    pub(super) fn throughput(&self, draft: &mut Draft<'n>) -> Result<(), ConfigError> {
        self.bounds(draft)?;
        let (rule, nearly) = self.as_throughput(&draft.from);
        if matches!(rule.restart, ObservedOr::Fixed(time) if time > Span::default()) {
            let text = "a fixed restart time, as the operator has it; `restart: observed` goes by what was seen of this job.";
            draft.notes.choice(&self.at("restart.time", draft), (Policy, RULE), text);
        }
        draft.rule(Rule::Throughput(rule));
        for (field, text) in nearly {
            draft.notes.no_equal(&field, (Policy, RULE), text);
        }
        draft.policy.behavior.scale_down = self.waiting(draft);
        draft.policy.behavior.scale_up =
            ScalingRules { stabilization_window_seconds: Some(0), ..ScalingRules::default() };
        // A factor of nothing forbids the direction; the rule's own factors always allow one subtask.
        if self.options.scale_down_max_factor <= 0.0 {
            draft.policy.behavior.scale_down.select_policy = SelectPolicy::Disabled;
        }
        if self.options.scale_up_max_factor <= 0.0 {
            draft.policy.behavior.scale_up.select_policy = SelectPolicy::Disabled;
        }
        draft.policy.limits.alignment = match AlignmentMode::of(self.options) {
            AlignmentMode::Balanced | AlignmentMode::Legacy(AdjustMode::MaximizeUtilisation) => {
                Alignment::Balanced
            }
            AlignmentMode::EvenlySpread | AlignmentMode::Legacy(AdjustMode::EvenlySpread) => Alignment::Even,
            AlignmentMode::Off => Alignment::Off,
        };
        self.defaults(draft);
        Ok(())
    }

    fn bounds(&self, draft: &mut Draft<'n>) -> Result<(), ConfigError> {
        let (min, max) = (self.options.vertex_min_parallelism, self.options.vertex_max_parallelism);
        if min > max {
            let text = format!("vertex.min-parallelism {min} is above vertex.max-parallelism {max}");
            return Err(self.at("vertex.min-parallelism", draft).wrong(text));
        }
        let size = |size: u32| Parallelism::clamped(u64::from(size).max(1));
        draft.autoscaler.parallelism = Bounds { min: size(min), max: size(max) };
        let text =
            "the operator leaves a vertex alone that is outside of these; here it is brought back inside.";
        draft.notes.choice(&self.at("vertex.max-parallelism", draft), (Autoscaler, "spec.parallelism"), text);
        Ok(())
    }

    /// The rule, and what of the options it says only nearly.
    pub(super) fn as_throughput(&self, from: &Field<'n>) -> (Throughput, Nearly<'n>) {
        let o = self.options;
        let mut nearly = Vec::new();
        let at = |name| self.given(name).unwrap_or(from).clone();
        let utilization = self.band();
        if (utilization.target - o.utilization_target).abs() > 1e-4
            || utilization.min >= utilization.target - 0.011
        {
            let UtilizationBand { target, min, max } = utilization;
            nearly.push((
                at("utilization.target"),
                format!("the nearest that a band can be here: from {min} to {max}, with {target} in it."),
            ));
        }
        let off = o.catch_up_duration.is_zero();
        if off {
            let text = "0 leaves backlogs and restarts out of account, which cannot be said here: a day to catch up asks for next to \
                        nothing.";
            nearly.push((at("catch-up.duration"), text.to_owned()));
        }
        let rule = Throughput {
            utilization,
            catch_up: CatchUp(if off {
                Span::from_secs(DAY)
            } else {
                span(o.catch_up_duration).max(Span::from_secs(1))
            }),
            restart: match o.restart_time_tracking {
                true => ObservedOr::Observed,
                false if off => ObservedOr::Fixed(Span::default()),
                false => ObservedOr::Fixed(span(o.restart_time)),
            },
            // As the operator counts: 2.0 allows three times as many.
            max_scale_up_factor: Some(o.scale_up_max_factor)
                .filter(|more| *more < NO_FACTOR)
                .map(|more| 1.0 + more.max(0.0)),
            max_scale_down_factor: Some(o.scale_down_max_factor)
                .filter(|less| *less < 1.0)
                .map(|less| less.max(0.0)),
            ..Throughput::default()
        };
        (rule, nearly)
    }

    /// How full a vertex may be: the limits, or so far from the target; never more than full, which is as the operator
    /// counts.
    fn band(&self) -> UtilizationBand {
        let o = self.options;
        // Hundredths of a per cent, so that 0.7 - 0.3 is 0.4.
        let round = |share: f64| (share * 1e4).round() / 1e4;
        let target = round(o.utilization_target.clamp(LEAST_TARGET, 1.0));
        let max = round(o.utilization_max.unwrap_or(target + o.utilization_boundary).clamp(target, 1.0));
        let lowest = o.utilization_min.unwrap_or(target - o.utilization_boundary).clamp(0.0, target);
        // A band has a lower half here, if a thin one.
        let min = round(lowest.min(target - 0.01).max(0.0));
        UtilizationBand { target, min, max }
    }

    /// The options that are not given, and that the documents spell out all the same.
    fn defaults(&self, draft: &mut Draft<'n>) {
        const SPELT_OUT: [&str; 6] = [
            "utilization.target",
            "catch-up.duration",
            "restart.time",
            "scale-down.max-factor",
            "vertex.min-parallelism",
            "vertex.max-parallelism",
        ];
        let missing: Vec<&str> = SPELT_OUT.into_iter().filter(|name| self.given(name).is_none()).collect();
        if !missing.is_empty() {
            let text = format!("not given, so the operator's defaults (1.16): {}.", missing.join(", "));
            draft.notes.choice(&draft.from, (Policy, "spec"), text);
        }
    }
}
