//! Defaults of tables that an experiment need not have: what a table with nothing but its required keys becomes.

use anyhow::Context;
use semievol::data::TaskConfig;
use semievol::pipeline::{CollaboratorConfig, CombineConfig, PretrainConfig, RoundsConfig};
use semievol::retrieval::RetrievalConfig;
use semievol::select::{AdjudicatorConfig, SelectorConfig};
use semievol::{EngineConfig, ExperimentConfig};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// A file with every table that is not among the defaults. Required keys hold something, for it has to be read.
const WHOLE: &str = r#"
name = "x"
model = "m"
[servers.NAME]
url = "u"
budget = {}
price = { input = 0.0, output = 0.0 }
[data]
source = "s"
split = {}
draw = {}
[data.columns]
answer = { column = "a" }
shorten = { words = 1 }
[elsewhere]
base = "b"
[tune]
"#;

/// By the table's path; `PATH#KIND` for one of several kinds.
pub fn of_optional_tables() -> anyhow::Result<BTreeMap<String, toml::Table>> {
    let mut tables = BTreeMap::new();
    let whole = ExperimentConfig::parse(WHOLE, "defaults".as_ref())?;
    let as_written: toml::Table = toml::from_str(&whole.to_toml())?;
    for path in [
        "servers.NAME",
        "servers.NAME.budget",
        "servers.NAME.price",
        "data.split",
        "data.draw",
        "data.columns.answer",
        "data.columns.shorten",
        "elsewhere",
        "tune",
    ] {
        let mut at = Some(&as_written);
        for key in path.split('.') {
            at = at.and_then(|table| table.get(key)).and_then(toml::Value::as_table);
        }
        tables.insert(path.to_owned(), at.cloned().unwrap_or_default());
    }
    let mut add = |path: &str, table: anyhow::Result<toml::Table>| {
        tables.insert(path.to_owned(), table.with_context(|| path.to_owned())?);
        anyhow::Ok(())
    };
    add("engine", read_back::<EngineConfig>(""))?;
    add("method.pretrain", read_back::<PretrainConfig>(""))?;
    add("method.rounds", read_back::<RoundsConfig>(""))?;
    for kind in ["language_model", "classifier", "neighbours", "own"] {
        let text = format!("kind = '{kind}'\nname = 'n'");
        add(&format!("method.collaborators#{kind}"), read_back::<CollaboratorConfig>(&text))?;
    }
    add("method.combine#log_pool", read_back::<CombineConfig>("kind = 'log_pool'"))?;
    add("method.justify#self_justify", read_back::<AdjudicatorConfig>("kind = 'self_justify'"))?;
    for kind in ["hnsw", "bm25"] {
        let text = format!("kind = '{kind}'");
        add(&format!("method.retrieval#{kind}"), read_back::<RetrievalConfig>(&text))?;
    }
    for kind in ["percentile", "per_class", "balanced", "random", "error_controlled"] {
        let alpha = if kind == "error_controlled" { "alpha = 0.1" } else { "" };
        let text = format!("kind = '{kind}'\n{alpha}");
        add(&format!("method.select#{kind}"), read_back::<SelectorConfig>(&text))?;
    }
    for kind in ["free_text", "numeric"] {
        add(&format!("task#{kind}"), read_back::<TaskConfig>(&format!("kind = '{kind}'")))?;
    }
    Ok(tables)
}

/// A table as it is understood, with everything said.
fn read_back<T: Serialize + DeserializeOwned>(text: &str) -> anyhow::Result<toml::Table> {
    Ok(toml::Table::try_from(toml::from_str::<T>(text)?)?)
}
