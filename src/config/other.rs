//! Files of other kinds than configuration, read and checked in the same way: scenarios.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::check::check;
use super::error::{ConfigError, ConfigErrors, Position, Problem};
use super::source::Source;
use super::yaml::{self, Node, Value};

/// Reads the one document of a file. What its type cannot tell `check` does: the path of each mistake
/// (`vertices[2].parallelism`), and what it is.
///
/// # Errors
/// All mistakes of the file; those of `check` only when there are no others.
pub fn load_as<T: JsonSchema + DeserializeOwned>(
    file: &Source,
    check: impl FnOnce(&T) -> Vec<(String, String)>,
) -> Result<T, ConfigErrors> {
    let (value, root) = typed::<T>(file).map_err(ConfigErrors::all)?;
    let mistake =
        |(path, what): (String, String)| file.error(root.place(&path), path, Problem::Rejected(what));
    ConfigErrors::unless_any(check(&value).into_iter().map(mistake).collect(), value)
}

fn typed<T: JsonSchema + DeserializeOwned>(file: &Source) -> Result<(T, Node), Vec<ConfigError>> {
    let mut roots: Vec<Node> = yaml::parse(file)?;
    roots.retain(|root| root.value != Value::Null);
    let mistake = |at, problem| vec![file.error(at, "", problem)];
    let [root] = <[Node; 1]>::try_from(roots).map_err(|roots| match roots.get(1) {
        Some(second) => mistake(second.at, Problem::Unsupported("a second document; expected one")),
        None => mistake(Position::START, Problem::Unsupported("nothing in it; expected one document")),
    })?;
    let schema = Json::from(SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>());
    let mistakes = check(&schema, file, &root);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    match serde_json::from_value(root.to_json()) {
        Ok(value) => Ok((value, root)),
        Err(error) => Err(mistake(root.at, Problem::Rejected(error.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Scenario, Simulation, scenarios};

    fn scenario(text: &str) -> Result<Scenario, String> {
        let check = |scenario: &Scenario| match Simulation::new(scenario) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems.into_iter().map(|problem| (problem.path, problem.what)).collect(),
        };
        load_as(&Source::new("s.yaml", text), check).map_err(|errors| errors.to_string())
    }

    #[test]
    fn reads_scenarios_back_as_they_were() {
        for name in scenarios::NAMES {
            let known = scenarios::named(name).expect("it is in the list");
            let text = serde_json::to_string(&known).expect("it is data");
            assert_eq!(scenario(&text), Ok(known), "{name}");
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let sound = "name: s\ntaskmanagers: 1\nslotsPerTaskmanager: 4\nvertices:\n- name: a\n  serviceMs: 1\n  source:\n    load: {shape: {constant: 5}}\n";
        assert!(scenario(sound).is_ok(), "{:?}", scenario(sound));
        for (text, says) in [
            ("", "s.yaml:1:1: nothing in it; expected one document"),
            ("a: 1\n---\nb: 2\n", "s.yaml:3:1: a second document; expected one"),
            (&sound.replace("taskmanagers: 1", "taskmanager: 1"), "s.yaml:2:1: unknown field `taskmanager`"),
            (&sound.replace("constant: 5", "constant: x"), "s.yaml:8:"),
            (&sound.replace("constant: 5", "constnt: 5"), "s.yaml:8:"),
            (
                &sound.replace("name: a", "name: a\n  parallelism: 500"),
                "s.yaml:6:16: vertices[0].parallelism: expected 1 to maxParallelism",
            ),
        ] {
            let said = scenario(text).expect_err("it is wrong");
            assert!(said.contains(says), "{text}\n{said}");
        }
    }
}
