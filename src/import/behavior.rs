//! An HPA's `behavior`, with its defaults made explicit: they are others when there is none at all.

use super::draft::Draft;
use super::fields::{Field, Fields};
use super::note::Made::ScalingPolicy as Policy;
use crate::config::ConfigError;
use crate::policy::hpa::SelectPolicy;
use crate::policy::{Quantity, ScalingPolicyType, ScalingRate, ScalingRules};

/// How far from its target a metric may be before an HPA acts (the controller's flag's default).
const TOLERANCE: f64 = 0.1;
/// How often an HPA's controller looks, and the period of its default policies, in seconds.
const PERIOD: u32 = 15;
/// For how long an HPA waits before it scales down (the controller's flag's default), in seconds.
const DOWN_WINDOW: u32 = 300;

/// Says how fast the HPA follows, by its `behavior` if there is one.
pub(super) fn behavior(
    given: Option<&Field<'_>>,
    who: &str,
    draft: &mut Draft<'_>,
) -> Result<(), ConfigError> {
    let Some(field) = given else {
        without(who, draft);
        return Ok(());
    };
    let fields = field.fields()?;
    for (name, default) in [("scaleUp", up()), ("scaleDown", down())] {
        let mut rules = default;
        let place = format!("spec.behavior.{name}");
        let mut defaults = vec!["stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance"];
        if let Some(direction) = fields.get(name) {
            let direction = direction.fields()?;
            fill(&mut rules, &direction, &mut defaults)?;
            draft.notes.unknown(direction.rest(), (Policy, &place), "an HPA's behavior");
        }
        if name == "scaleUp" {
            draft.policy.behavior.scale_up = rules;
        } else {
            draft.policy.behavior.scale_down = rules;
        }
        if !defaults.is_empty() {
            let text = format!(
                "not given, so as the HPA's controller has it: {}{}.",
                defaults.join(", "),
                if defaults.contains(&"tolerance") { " (0.1 unless its flag says otherwise)" } else { "" }
            );
            draft.notes.choice(field, (Policy, &place), text);
        }
    }
    draft.notes.unknown(fields.rest(), (Policy, "spec.behavior"), "an HPA's behavior");
    Ok(())
}

/// The fields of one direction that are given; takes their names from `defaults`.
fn fill(rules: &mut ScalingRules, given: &Fields<'_>, defaults: &mut Vec<&str>) -> Result<(), ConfigError> {
    let mut has = |name: &'static str| {
        let field = given.get(name)?;
        defaults.retain(|default| *default != name);
        Some(field)
    };
    if let Some(field) = has("stabilizationWindowSeconds") {
        rules.stabilization_window_seconds = Some(field.whole(0, 3600)?);
    }
    if let Some(field) = has("selectPolicy") {
        rules.select_policy = match field.name()?.as_str() {
            "Max" => SelectPolicy::Max,
            "Min" => SelectPolicy::Min,
            "Disabled" => SelectPolicy::Disabled,
            other => return Err(field.wrong(format!("expected Max, Min or Disabled, not {other:?}"))),
        };
    }
    if let Some(field) = has("policies") {
        rules.policies = field.items()?.iter().map(rate).collect::<Result<_, _>>()?;
        if rules.policies.is_empty() {
            return Err(field.wrong("an HPA's behavior has at least one policy"));
        }
    }
    if let Some(field) = has("tolerance") {
        let tolerance = field.parsed::<Quantity>()?.as_f64();
        if !(0.0..=10.0).contains(&tolerance) {
            return Err(field.wrong(format!("expected a share from 0 to 10, not {tolerance}")));
        }
        rules.tolerance = Some(tolerance);
    }
    Ok(())
}

fn rate(item: &Field<'_>) -> Result<ScalingRate, ConfigError> {
    let fields = item.fields()?;
    let kind = fields.need("type", "Pods or Percent")?;
    Ok(ScalingRate {
        kind: match kind.name()?.as_str() {
            "Pods" => ScalingPolicyType::Pods,
            "Percent" => ScalingPolicyType::Percent,
            other => return Err(kind.wrong(format!("expected Pods or Percent, not {other:?}"))),
        },
        value: fields.need("value", "how many")?.whole(1, u32::MAX)?,
        period_seconds: fields.need("periodSeconds", "in how many seconds")?.whole(1, 1800)?,
    })
}

fn each(kind: ScalingPolicyType, value: u32) -> ScalingRate {
    ScalingRate { kind, value, period_seconds: PERIOD }
}

/// What an HPA with a `behavior` has where that says nothing of scaling up.
fn up() -> ScalingRules {
    ScalingRules {
        stabilization_window_seconds: Some(0),
        select_policy: SelectPolicy::Max,
        policies: vec![each(ScalingPolicyType::Pods, 4), each(ScalingPolicyType::Percent, 100)],
        tolerance: Some(TOLERANCE),
    }
}

/// What an HPA with a `behavior` has where that says nothing of scaling down.
fn down() -> ScalingRules {
    ScalingRules {
        stabilization_window_seconds: Some(DOWN_WINDOW),
        select_policy: SelectPolicy::Max,
        policies: vec![each(ScalingPolicyType::Percent, 100)],
        tolerance: Some(TOLERANCE),
    }
}

/// An HPA without `behavior` grows to twice its size, or to four, at each look, and not by the default policies of one with.
fn without(who: &str, draft: &mut Draft<'_>) {
    let mut up = up();
    up.policies = vec![each(ScalingPolicyType::Percent, 100)];
    let mut text = format!(
        "{who} has no `behavior`: it grows to at most twice its size every {PERIOD} s, and shrinks to the most that was asked for \
         within {DOWN_WINDOW} s. A metric may be 10 % off its target. (The controller's defaults; its flags may say otherwise.)"
    );
    if draft.autoscaler.replicas.min == Some(1) {
        // From one it may go to four: three more. With two that is one too many.
        up.policies.push(each(ScalingPolicyType::Pods, 3));
        text.push_str(" From one TaskManager it grows to four at once; 3 Pods allow that, and five instead of four from two.");
    }
    (draft.policy.behavior.scale_up, draft.policy.behavior.scale_down) = (up, down());
    draft.notes.choice(&draft.from, (Policy, "spec.behavior"), text);
}
