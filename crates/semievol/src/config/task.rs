use semievol_data::TaskConfig;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A task whose unsaid parts are those of an experiment: a closed set, answered with the option's text.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TaskConfig, D::Error> {
    let mut table = toml::Table::deserialize(deserializer)?;
    let closed = table.entry("kind").or_insert_with(|| "closed_set".into()).as_str() == Some("closed_set");
    if closed {
        table.entry("form").or_insert_with(|| "text".into());
    }
    table.try_into().map_err(D::Error::custom)
}
