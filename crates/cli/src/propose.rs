//! The experiment file for rows of the user's own: a guess, written down with its reasons.

mod layout;
mod text;

use crate::input::Rows;
use crate::look::{Column, Look};
use anyhow::bail;
use layout::layout_of;
use semievol::core::Answer;
use semievol::data::{
    AnswerFrom, Columns, Dataset, DatasetConfig, FileOptions, OnBadRow, OnDuplicate, OptionsFrom,
};
use std::path::{Path, PathBuf};

/// Files, and what flags say of them.
pub struct Files {
    pub labelled: PathBuf,
    /// What the experiment is called; by default like the labelled file's folder.
    pub name: Option<PathBuf>,
    pub rows: Rows,
}

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

/// Where question and answer stand.
enum Place {
    Columns {
        question: String,
        answer: String,
    },
    /// In records that the reader knows: chats, or instructions with their outputs.
    Records(&'static str),
}

/// What the answers are.
enum Kind {
    /// A list of options in every row.
    ListedOptions {
        column: String,
        /// How the reader is told to read them; left to it where they are numbers.
        answers: Option<&'static str>,
    },
    /// A column for each option, named by its letter.
    LetteredColumns(Vec<String>),
    /// The same options for every row.
    Fixed(Vec<String>),
    Numeric,
    Free {
        /// Classes that it may have, too many to be taken for some unasked.
        repeated: Option<usize>,
    },
}

/// What was found out, to be written down.
struct Proposal<'a> {
    files: &'a Files,
    look: &'a Look,
    /// How the files are laid out.
    layout: FileOptions,
    place: Place,
    answers: Column,
    kind: Kind,
    /// Where some rows have no answer, how many of the others can be drawn.
    drawable: Option<usize>,
}

/// The text of an experiment file.
pub fn propose(files: &Files) -> anyhow::Result<String> {
    let Files { labelled, rows, .. } = files;
    let look = Look::at(labelled)?;
    if let Some(what) = records(&look, rows) {
        let layout = look.layout.clone();
        let answers = answers_of(labelled, &layout)?;
        let kind = kind(&look, rows, &answers, true);
        let place = Place::Records(what);
        return Ok(Proposal { files, look: &look, layout, place, answers, kind, drawable: None }.to_toml());
    }
    let question = question(&look, rows)?;
    let answer = answer(&look, rows, &question)?;
    if question == answer {
        bail!("--answer {answer}: this is the question's column, too; name another");
    }
    let others = others(rows, &look, &question, &answer)?;
    let looks: Vec<&Look> = std::iter::once(&look).chain(&others).collect();
    let layout = layout_of(&looks)?;
    let column = look.column(&answer).cloned().unwrap_or_else(|| Column::of(&answer, []));
    check_options(&rows.options)?;
    check_answers(&look, rows, &column)?;
    let empty = look.rows - column.filled;
    let drawable = (empty > 0).then(|| drawable(labelled, &layout, &question, &answer)).transpose()?;
    let kind = kind(&look, rows, &column, false);
    let place = Place::Columns { question, answer };
    Ok(Proposal { files, look: &look, layout, place, answers: column, kind, drawable }.to_toml())
}

/// The other files, which have to have the same columns.
fn others(rows: &Rows, look: &Look, question: &str, answer: &str) -> anyhow::Result<Vec<Look>> {
    let mut others = Vec::new();
    for (file, tests) in [(&rows.unlabelled, false), (&rows.test, true)] {
        let Some(file) = file else { continue };
        let other = Look::at_beginning(file, look.layout.separator)?;
        if tests && other.column(answer).is_none() {
            bail!(
                "{}: no column `{answer}`, which holds the answer in {}; its columns are {}; rows that test need answers",
                file.display(),
                look.file.display(),
                other.names()
            );
        }
        if !question.contains('{') && other.column(question).is_none() {
            bail!(
                "{}: no column `{question}`, which holds the question in {}; its columns are {}; name the question's column alike in all files",
                other.file.display(),
                look.file.display(),
                other.names()
            );
        }
        others.push(other);
    }
    Ok(others)
}

/// Refuses answers that nothing can be made of.
fn check_answers(look: &Look, rows: &Rows, column: &Column) -> anyhow::Result<()> {
    let (file, answer, all) = (look.file.display(), &column.name, look.rows);
    if column.nested > 0 {
        bail!(
            "{file}: `{answer}` holds lists, and a row has one answer; name another column with --answer, or make one of yes and no for each label, and a run of each"
        );
    }
    if column.filled == 0 {
        bail!("{file}: no row has anything in `{answer}`; name another column with --answer");
    }
    let occurs = |option: &String| column.values.is_empty() || column.rows_of(option) > 0;
    if !rows.options.is_empty() && !rows.options.iter().any(occurs) {
        bail!(
            "--options {}: none of them occurs in the column `{answer}` of {file}, but {}",
            rows.options.join(","),
            column.values.keys().take(10).map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
        );
    }
    let empty = all - column.filled;
    if empty > 0 && (rows.unlabelled.is_some() || rows.test.is_some()) {
        bail!(
            "{file}: {empty} of {all} rows have nothing in `{answer}`; take them out, or give this file alone: its rows without an answer are then the unlabelled ones"
        );
    }
    Ok(())
}

/// Labelled rows that can be drawn: those with an answer, each question once.
fn drawable(labelled: &Path, file: &FileOptions, question: &str, answer: &str) -> anyhow::Result<usize> {
    let config = DatasetConfig {
        file: file.clone(),
        columns: Columns {
            question: Some(question.to_owned()),
            options: Some(OptionsFrom::Fixed { fixed: Vec::new() }),
            answer: Some(AnswerFrom::column(answer)),
            ..Columns::default()
        },
        on_bad_row: OnBadRow::Skip,
        on_duplicate: OnDuplicate::Skip,
    };
    Ok(Dataset::read([labelled], &config)?.answers.iter().flatten().count())
}

/// Options are told apart whatever their case, as answers are.
fn check_options(options: &[String]) -> anyhow::Result<()> {
    if options.iter().any(String::is_empty) {
        bail!("--options {}: one of them is empty; write them as --options yes,no", options.join(","));
    }
    let alike = |at: usize| options[..at].iter().find(|one| one.to_lowercase() == options[at].to_lowercase());
    match (0..options.len()).find_map(|at| Some((at, alike(at)?))) {
        Some((at, first)) if *first == options[at] => bail!("--options: `{first}` is listed twice"),
        Some((at, first)) => {
            bail!("--options: `{first}` and `{}` differ by their case alone; keep one of them", options[at])
        }
        None => Ok(()),
    }
}

/// What kind of records these are, if the reader knows them without being told.
fn records(look: &Look, rows: &Rows) -> Option<&'static str> {
    let has = |name| look.column(name).is_some_and(|column| column.filled > 0);
    if rows.question.is_some() || has("question") {
        return None;
    }
    match () {
        () if has("messages") || has("conversations") => Some("chats, whose last turn is the answer"),
        () if has("instruction") && has("output") => {
            Some("instructions with inputs, whose output is the answer")
        }
        () => None,
    }
}

/// The answers of records.
fn answers_of(labelled: &Path, layout: &FileOptions) -> anyhow::Result<Column> {
    let config = DatasetConfig { file: layout.clone(), ..DatasetConfig::default() };
    let dataset = Dataset::read([labelled], &config)?;
    let texts = dataset.answers.iter().flatten().filter_map(|answer| match answer {
        Answer::Text(text) | Answer::Number(text) => Some(text.as_str()),
        Answer::Choice(_) => None,
    });
    Ok(Column::of("answer", texts))
}

fn question(look: &Look, rows: &Rows) -> anyhow::Result<String> {
    if let Some(name) = &rows.question {
        let columns =
            name.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(column, _)| column);
        let unknown = |column: &&str| *column != "_line" && look.column(column).is_none();
        let wanted = if name.contains('{') { columns.collect() } else { vec![name.as_str()] };
        if let Some(missing) = wanted.into_iter().find(unknown) {
            bail!("--question {missing}: {} has no such column, but {}", look.file.display(), look.names());
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

/// What answers are; those of `records` stand in no column of their own.
fn kind(look: &Look, rows: &Rows, answer: &Column, records: bool) -> Kind {
    if !rows.options.is_empty() {
        return Kind::Fixed(rows.options.clone());
    }
    let letter = |value: &String| {
        let mut characters = value.chars();
        let first = characters.next().filter(char::is_ascii_uppercase);
        first.is_some() && characters.next().is_none()
    };
    let letters = !answer.values.is_empty() && answer.values.keys().all(letter);
    let lists =
        |column: &&Column| column.name != answer.name && column.filled > 0 && column.lists == column.filled;
    let named = ["options", "choices"].into_iter().find(|name| {
        let own = look.column(name).filter(|column| column.name != answer.name && column.filled > 0);
        own.is_some_and(|column| *name == "options" || lists(&column))
    });
    // By another name, where answers are letters or numbers that go about as far as the lists do.
    let places = answer.values.keys().map(|value| match letters {
        true => value.bytes().next().map(|letter| usize::from(letter - b'A') + 1),
        false => value.parse::<usize>().ok(),
    });
    let last = places.collect::<Option<Vec<usize>>>().and_then(|places| places.into_iter().max());
    let fits = |column: &&Column| {
        lists(column) && last.is_some_and(|last| last <= column.longest && last + 2 >= column.longest)
    };
    let other = || look.columns.iter().find(fits).filter(|_| !records).map(|column| column.name.clone());
    if let Some(column) = named.map(str::to_owned).or_else(other) {
        let answers = match letters {
            true => Some("letter"),
            false => (!answer.is_numeric()).then_some("text"),
        };
        return Kind::ListedOptions { column, answers };
    }
    if letters {
        let names = ('A'..='Z').map(String::from);
        let columns: Vec<String> = names.take_while(|name| look.column(name).is_some()).collect();
        if columns.len() >= 2 && answer.values.keys().all(|value| columns.contains(value)) {
            return Kind::LetteredColumns(columns);
        }
    }
    if answer.is_closed() {
        return Kind::Fixed(answer.spellings());
    }
    if answer.is_numeric() { Kind::Numeric } else { Kind::Free { repeated: answer.repeated() } }
}
