//! The method of an experiment file: a preset, and what the file changes of it.

use semievol_pipeline::MethodConfig;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

const PRESETS: [(&str, &str); 3] = [
    ("default", include_str!("../../presets/default.toml")),
    ("paper", include_str!("../../presets/paper.toml")),
    ("best", include_str!("../../presets/best.toml")),
];

/// The preset of this name, such as `paper`.
///
/// ```
/// let paper = semievol::preset("paper").unwrap();
/// assert_eq!((paper.neighbours, paper.collaborators.len()), (3, 4));
/// assert!(semievol::preset("newspaper").is_none());
/// ```
pub fn preset(name: &str) -> Option<MethodConfig> {
    table(name)?.try_into().ok()
}

/// `default`.
pub(super) fn default_method() -> MethodConfig {
    // A test reads every preset.
    preset("default").unwrap_or_else(|| unreachable!("the default preset is part of the build"))
}

/// Several by their names.
pub(super) fn deserialize_all<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, MethodConfig>, D::Error> {
    #[derive(Deserialize)]
    struct One(#[serde(deserialize_with = "deserialize")] MethodConfig);
    let all = BTreeMap::<String, One>::deserialize(deserializer)?;
    Ok(all.into_iter().map(|(name, One(method))| (name, method)).collect())
}

/// The preset that `preset` names (`default` where it is absent) with the table's other keys put over it.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MethodConfig, D::Error> {
    let mut changes = toml::Table::deserialize(deserializer)?;
    let name = match changes.remove("preset") {
        None => "default".to_owned(),
        Some(toml::Value::String(name)) => name,
        Some(other) => return Err(D::Error::custom(format!("`preset` is {other}, but must be a name"))),
    };
    let mut method = table(&name).ok_or_else(|| {
        let known: Vec<String> = PRESETS.iter().map(|(name, _)| format!("`{name}`")).collect();
        D::Error::custom(format!("there is no preset `{name}`; there are {}", known.join(", ")))
    })?;
    overlay(&mut method, changes);
    method.try_into().map_err(D::Error::custom)
}

fn table(name: &str) -> Option<toml::Table> {
    let (_, text) = PRESETS.iter().find(|(known, _)| *known == name)?;
    toml::from_str(text).ok()
}

/// Puts tables over tables, key by key; one of another `kind` takes the old one's place whole.
fn overlay(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new))
                if new.get("kind").is_none_or(|kind| old.get("kind") == Some(kind)) =>
            {
                overlay(old, new);
            }
            (_, value) => drop(under.insert(key, value)),
        }
    }
}
