//! What a schema cannot say, in CEL: the same words of the schema that files are checked by (`x-order`, `x-any-of` ...).

use serde_json::{Value as Json, json};

use super::schema::{Schema, required};
use crate::policy;

/// A rule in CEL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    cel: String,
    message: String,
    /// The field that is wrong when it does not hold, below the one that has the rule.
    field: Option<String>,
}

impl Rule {
    pub(super) fn new(rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self { cel: rule.into(), message: message.into(), field: None }
    }

    fn at(self, field: &str) -> Self {
        Self { field: Some(format!(".{field}")), ..self }
    }

    pub(super) fn into_json(self) -> Json {
        let mut json = json!({"rule": self.cel, "message": self.message});
        if let Some(field) = self.field {
            json["fieldPath"] = field.into();
        }
        json
    }
}

/// Words that CEL keeps for itself, which Kubernetes writes with underscores around them.
const KEPT: [&str; 20] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "while",
];

/// A field's name in an expression.
fn name(field: &str) -> String {
    if KEPT.contains(&field) { format!("__{field}__") } else { field.to_owned() }
}

fn has(field: &str) -> String {
    format!("has(self.{})", name(field))
}

/// The rules of an object.
pub(super) fn of_object(schema: &Schema) -> Vec<Rule> {
    let any_of = names(schema, "x-any-of");
    let at_most_one = names(schema, "x-at-most-one");
    let listed = |fields: &[&str]| fields.join(" and ");
    let mut rules: Vec<Rule> = relations(schema).collect();
    let count = |fields: &[&str]| {
        let there: Vec<String> = fields.iter().map(|field| has(field)).collect();
        format!("[{}].filter(there, there).size()", there.join(", "))
    };
    match (&any_of[..], &at_most_one[..]) {
        ([], []) => {}
        (any, one) if any == one => {
            let message = format!("exactly one of {} must be there", listed(any));
            rules.push(Rule::new(format!("{} == 1", count(any)), message));
        }
        (any, one) => {
            if !any.is_empty() {
                let message = format!("at least one of {} must be there", listed(any));
                rules.push(Rule::new(format!("{} >= 1", count(any)), message));
            }
            if !one.is_empty() {
                let message = format!("{} exclude each other", listed(one));
                rules.push(Rule::new(format!("{} <= 1", count(one)), message));
            }
        }
    }
    rules
}

/// `min <= max` between fields, where one that is left out has its default.
fn relations(schema: &Schema) -> impl Iterator<Item = Rule> {
    names(schema, "x-order").into_iter().filter_map(|relation| {
        let mut words = relation.split_whitespace();
        let (low, sign, high) = (words.next()?, words.next()?, words.next()?);
        let field = |field: &str| schema.get("properties")?.get(field);
        let default = |name: &str| field(name)?.get("default").filter(|value| value.is_number());
        // Without a default there is nothing to compare with.
        let must_be_there: Vec<String> = [low, high]
            .into_iter()
            .filter(|name| default(name).is_none())
            .map(|name| format!("!{}", has(name)))
            .collect();
        let value = |field: &str| match default(field) {
            Some(default) => format!("({} ? self.{} : {default})", has(field), name(field)),
            None => format!("self.{}", name(field)),
        };
        let holds = format!("{} {sign} {}", value(low), value(high));
        let rule = must_be_there.into_iter().chain([holds]).collect::<Vec<_>>().join(" || ");
        let relation = if sign == "<" { "must be below" } else { "must not be above" };
        Some(Rule::new(rule, format!("{low} {relation} {high}")).at(low))
    })
}

/// The rules of a choice between objects.
pub(super) fn of_choice(variants: &[&Schema]) -> Vec<Rule> {
    let all: Vec<Vec<&str>> = variants.iter().map(|variant| required(variant).collect()).collect();
    // Each variant is one field.
    if all.iter().all(|fields| fields.len() == 1) {
        let fields = all.concat();
        let there: Vec<String> = fields.iter().map(|field| has(field)).collect();
        let rule = format!("[{}].filter(there, there).size() == 1", there.join(", "));
        return vec![Rule::new(rule, format!("exactly one of {} must be there", fields.join(", ")))];
    }
    // A word tells which fields belong to it.
    let told = variants.iter().zip(&all).filter_map(|(variant, fields)| {
        let word = |field: &&&str| variant.get("properties")?.get(**field)?.get("const")?.as_str();
        let tag = fields.iter().find(|field| word(field).is_some())?;
        let is = word(&tag)?;
        let own: Vec<&str> = fields.iter().filter(|field| field != &tag).copied().collect();
        let others = all.concat().into_iter().filter(|other| other != tag && !own.contains(other));
        let needed = own.iter().map(|field| has(field)).chain(others.map(|other| format!("!{}", has(other))));
        let needed = needed.collect::<Vec<_>>().join(" && ");
        let message = format!("with {tag} {is} there must be {} and nothing else", own.join(" and "));
        Some(Rule::new(format!("self.{} != '{is}' || ({needed})", name(tag)), message))
    });
    told.collect()
}

/// The rules of a text.
pub(super) fn of_text(schema: &Schema) -> Vec<Rule> {
    let Some(least) = schema.get("x-minimum").and_then(Json::as_str) else { return Vec::new() };
    // CEL reads lengths of time as Go does, which has no days: a day is longer than any least.
    let day = "self.matches('[1-9][0-9.]*d')";
    let rule = format!("self.contains('d') ? {day} : duration(self) >= duration('{least}')");
    let why = schema.get("x-why").and_then(Json::as_str).map(|why| format!("; {why}")).unwrap_or_default();
    vec![Rule::new(rule, format!("must not be less than {least}{why}"))]
}

/// What is said between fields of a `FlinkAutoscaler` that are not beside each other: a vertex without a bound of its own has
/// the job's, which must not contradict the one that it has; and a job that is run again needs to be known by more than its id.
pub(super) fn of_autoscaler() -> Vec<Rule> {
    let one = |own: &str, sign: &str, general: &str, message: &str| {
        let rule = format!(
            "!has(self.vertices) || !has(self.parallelism) || !has(self.parallelism.{general}) || \
             self.vertices.all(v, !has(v.{own}) || has(v.{general}) || v.{own} {sign} self.parallelism.{general})"
        );
        Rule::new(rule, message).at("vertices")
    };
    vec![
        one(
            "min",
            "<=",
            "max",
            "a vertex's min must not be above spec.parallelism.max: lower it or give this vertex a max",
        ),
        one(
            "max",
            ">=",
            "min",
            "a vertex's max must not be below spec.parallelism.min: raise it or give this vertex a min",
        ),
        Rule::new(
            "!has(self.mechanism) || self.mechanism != 'Savepoint' || has(self.savepoint)",
            "Savepoint needs spec.savepoint, which says how the job is run again",
        )
        .at("mechanism"),
        Rule::new(
            "!has(self.mechanism) || self.mechanism != 'Operator' || has(self.operator)",
            "Operator needs spec.operator, which names its resource",
        )
        .at("mechanism"),
        Rule::new(
            "!has(self.operator) || !has(self.mechanism) || self.mechanism != 'Savepoint'",
            "a job that an operator runs is not stopped beside it: leave the mechanism out, or say Operator",
        )
        .at("mechanism"),
        Rule::new(
            "!has(self.operator) || ((self.operator.apiVersion.startsWith('flink.apache.org/') && \
             self.operator.kind in ['FlinkDeployment', 'FlinkSessionJob']) != has(self.operator.fields))",
            "fields say where parallelism and state are in a resource of any kind but Apache's FlinkDeployment and FlinkSessionJob",
        )
        .at("operator"),
        Rule::new(
            "!has(self.operator) || !self.operator.apiVersion.matches(\
             '^(tidegate[.]dev|(coordination|events|metrics|rbac[.]authorization)[.]k8s[.]io)/')",
            "that is no operator's own group: its kinds are not changed by field paths",
        )
        .at("operator.apiVersion"),
        Rule::new(
            "!has(self.operator) || !has(self.flink) || !has(self.flink.job) || !self.flink.job.matches('^[0-9a-fA-F]{32}$')",
            "a job that its operator runs again may get another id: name it by its name",
        )
        .at("flink.job"),
        Rule::new(
            "!has(self.savepoint) || !has(self.savepoint.jobManager) || (!has(self.savepoint.entryClass) && !has(self.savepoint.args))",
            "with jobManager, entryClass and args are in the manifest that runs it: leave them out",
        )
        .at("savepoint"),
        Rule::new(
            "!has(self.savepoint) || !has(self.flink) || !has(self.flink.job) || !self.flink.job.matches('^[0-9a-fA-F]{32}$')",
            "a job that is run again from a savepoint gets another id: name it by its name",
        )
        .at("flink.job"),
    ]
}

/// The same of a `ScalingPolicy`.
pub(super) fn of_policy() -> Vec<Rule> {
    let single = |name: &&str| {
        let rule = format!("!has(self.rules) || self.rules.filter(r, has(r.{name})).size() <= 1");
        Rule::new(rule, format!("a policy has one {name} rule at the most")).at("rules")
    };
    policy::Rule::SINGLE.iter().map(single).collect()
}

fn names<'a>(schema: &'a Schema, word: &str) -> Vec<&'a str> {
    schema.get(word).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect()
}
