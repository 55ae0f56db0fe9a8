use super::{ConfigError, ExperimentConfig};
use std::path::Path;
use std::str::FromStr;

/// One value of a configuration to be changed: `train.lr=1e-4`.
///
/// The value is TOML where it reads as TOML and text otherwise, so `name=mine` needs no quotes.
///
/// ```
/// use semievol::Override;
///
/// assert!("train.lr=1e-4".parse::<Override>().is_ok());
/// let error = "train.lr".parse::<Override>().unwrap_err();
/// assert_eq!(error.to_string(), "override `train.lr`: write KEY=VALUE, such as train.lr=1e-4");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    path: Vec<String>,
    value: toml::Value,
    text: String,
}

impl Override {
    /// Every value of a table, as if each were given by itself.
    pub fn all(table: toml::Table) -> Vec<Override> {
        let one = |(key, value): (String, toml::Value)| {
            let text = format!("{key} = {value}");
            Override { path: vec![key], value, text }
        };
        table.into_iter().map(one).collect()
    }
}

impl FromStr for Override {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refuse =
            |reason: &str| ConfigError::Override { text: text.to_owned(), reason: reason.to_owned() };
        let (key, value) =
            text.split_once('=').ok_or_else(|| refuse("write KEY=VALUE, such as train.lr=1e-4"))?;
        let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(refuse("the key is empty, or has two dots in a row"));
        }
        let value = value.trim();
        let read = toml::from_str::<toml::Table>(&format!("value = {value}")).ok();
        let value = read.and_then(|mut table| table.remove("value"));
        let value = value.unwrap_or_else(|| text.split_once('=').map_or("", |(_, v)| v.trim()).into());
        Ok(Override { path, value, text: text.to_owned() })
    }
}

/// The configuration of a text that is known to be good, with these values changed.
pub(super) fn apply(
    text: &str,
    file: &Path,
    overrides: &[Override],
) -> Result<ExperimentConfig, ConfigError> {
    let mut table: toml::Table =
        toml::from_str(text).map_err(|source| ConfigError::Toml { file: file.to_owned(), source })?;
    for change in overrides {
        let refuse = |reason: String| ConfigError::Override { text: change.text.clone(), reason };
        set(&mut table, &change.path, change.value.clone()).map_err(refuse)?;
        // Each on its own, so that the message names the one that is wrong.
        let config: Result<ExperimentConfig, toml::de::Error> = table.clone().try_into();
        config.map_err(|error| refuse(error.to_string().trim_end().replace('\n', " ")))?;
    }
    table.try_into().map_err(|source| ConfigError::Toml { file: file.to_owned(), source })
}

fn set(table: &mut toml::Table, path: &[String], value: toml::Value) -> Result<(), String> {
    let Some((last, tables)) = path.split_last() else { return Ok(()) };
    let mut at = table;
    for name in tables {
        let inner = at.entry(name.as_str()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        at = inner.as_table_mut().ok_or_else(|| format!("`{name}` is a value, not a table"))?;
    }
    at.insert(last.clone(), value);
    Ok(())
}
