//! `semievol predict`: a trained model's answers to new rows.

use crate::rows::{answer_in_chunks, say_left_out};
use crate::screen::say;
use crate::trained::Which;
use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use semievol::core::Sample;
use semievol::data::{Dataset, DatasetConfig, FileOptions, Format, OnDuplicate};
use semievol::{Predicted, Predictor, written};
use serde_json::{Map, Value, json};
use std::fs::{File, TryLockError};
use std::io::{BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  semievol predict runs/mine-1a2b3c4d new.csv -o answers.jsonl
  semievol predict runs/mine-1a2b3c4d --arm sft new.csv --to csv
  echo '{\"text\": \"It broke.\"}' | semievol predict runs/mine-1a2b3c4d -
  semievol predict mine.toml --adapter path/to/adapter new.parquet

The columns are those of the run's experiment; an answer column is not needed. Each row of the output has the row's id,
the answer (null where there is none), the model's probability of it as confidence, and of each option (jsonl) or, for
open answers, the response that it was read from.";

/// Answers new rows with a trained model, with confidence.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// The rows; `-` reads them from standard input.
    #[arg(value_name = "ROWS")]
    rows: PathBuf,
    /// Writes this file instead of standard output; until all is answered its name ends with `.part`.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The layout of the answers; by the output's extension, else jsonl.
    #[arg(long, value_name = "FORMAT")]
    to: Option<To>,
    /// The format of standard input; jsonl by default.
    #[arg(long, value_name = "FORMAT")]
    from: Option<From>,
    /// Writes over an output that is there, and over what a stopped run left of it.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    Jsonl,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    Jsonl,
    Csv,
    Tsv,
}

impl Args {
    /// The file that answers are written to until all are there: a stop leaves what there is, and an older output as it
    /// was. A device or a pipe is written to as it is.
    pub fn left(&self) -> Option<PathBuf> {
        let file = self.output.as_ref().filter(|file| file.is_file() || !file.exists())?;
        let mut name = file.clone().into_os_string();
        name.push(".part");
        Some(name.into())
    }
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let from = match args.from {
        Some(_) if args.rows != Path::new("-") => {
            bail!(
                "--from is the format of standard input; that of {} is its extension's",
                args.rows.display()
            )
        }
        from => from.unwrap_or(From::Jsonl),
    };
    let to = layout(args)?;
    // The rows first: what is wrong with them is found before a model is loaded, but for the columns.
    let stdin = if args.rows == Path::new("-") { Some(standard_input(from)?) } else { None };
    let path = stdin.as_ref().map_or(args.rows.as_path(), |(_, file)| file);
    if stdin.is_none() && !path.exists() {
        bail!("{}: there is no such file; `-` reads standard input", path.display());
    }
    let trained = args.which.open()?;
    let columns = trained.experiment.config().data.dataset();
    let columns = match stdin {
        Some(_) => {
            let format = match from {
                From::Jsonl => Format::Jsonl,
                From::Csv => Format::Csv,
                From::Tsv => Format::Tsv,
            };
            DatasetConfig { file: FileOptions { format: Some(format), ..columns.file.clone() }, ..columns }
        }
        None => columns,
    };
    let samples = read(path, columns).map_err(|error| {
        let error = trained.about_settings(&error);
        match &stdin {
            Some((_, file)) => {
                anyhow!(error.to_string().replace(&file.display().to_string(), "standard input"))
            }
            None => error,
        }
    })?;
    let predictor = Predictor::new(trained.experiment.config(), trained.model()?)?;
    let part = args.left();
    let named = args.output.as_ref();
    let out: Box<dyn Write> = match named.map(|file| (file, part.as_ref().unwrap_or(file))) {
        Some((file, written)) => Box::new(to_fill(file, written, args.force)?),
        None => Box::new(std::io::stdout().lock()),
    };
    // A closed set's answers are scored; others are read out of a response, which is shown with them.
    let open = samples.iter().any(|sample| predictor.task().candidates(sample).is_empty());
    let mut out = Out::new(Box::new(BufWriter::new(out)), to, open)?;
    let at = || args.output.as_deref().map_or_else(|| "standard output".to_owned(), cannot);
    let (mut unread, mut answered) = (0, 0);
    let done = answer_in_chunks(&predictor, &samples, |chunk, answers| {
        for (sample, predicted) in chunk.iter().zip(answers) {
            unread += usize::from(predicted.answer.is_none());
            out.row(sample, &predicted).with_context(at)?;
        }
        answered += chunk.len();
        // Whoever reads along sees each chunk, and one that stops here keeps it.
        out.flush().with_context(at)
    });
    drop(out);
    if let (Err(_), Some(part), 0) = (&done, &part, answered) {
        // It holds nothing that anyone would miss.
        let _ = std::fs::remove_file(part);
    }
    done?;
    if let (Some(part), Some(file)) = (&part, &args.output) {
        // Some disks say only now that they are full.
        let synced = File::options().write(true).open(part).and_then(|file| file.sync_all());
        synced.and_then(|()| std::fs::rename(part, file)).with_context(|| cannot(file))?;
    }
    if unread > 0 {
        say(&format!(
            "{unread} of {} rows have no answer: the question is empty or the prompt did not fit (`error` says so), or the response could not be read",
            samples.len()
        ));
    }
    Ok(())
}

/// How the answers are laid out; refuses a file that would be lost.
fn layout(args: &Args) -> anyhow::Result<To> {
    let Some(file) = &args.output else { return Ok(args.to.unwrap_or(To::Jsonl)) };
    let device = file.exists() && !file.is_file();
    if file.exists() && !device && !args.force {
        bail!("{}: is there already; --force writes over it, or name another with -o", file.display());
    }
    let holds_something = |part: &PathBuf| part.metadata().is_ok_and(|file| file.len() > 0);
    if let Some(part) = args.left().filter(|part| holds_something(part) && !args.force) {
        bail!(
            "{}: holds the answers of a run that was stopped, or of one that is under way; keep them under another name, or --force writes over them",
            part.display()
        );
    }
    match (args.to, Format::of(file)) {
        (Some(to), _) => Ok(to),
        (None, Some(Format::Csv)) => Ok(To::Csv),
        (None, Some(Format::Jsonl)) => Ok(To::Jsonl),
        (None, None) if device => Ok(To::Jsonl),
        (None, _) => bail!("{}: answers are written as .jsonl or .csv; --to says which", file.display()),
    }
}

/// An empty file that nobody else writes to.
fn to_fill(file: &Path, written: &Path, force: bool) -> anyhow::Result<File> {
    let open = || File::options().create(true).truncate(false).write(true).open(written);
    let part = open().with_context(|| cannot(file))?;
    if written != file {
        // Another may have begun while this one's model was loaded.
        // Some disks know no locks: better unguarded than not at all.
        let locked = matches!(part.try_lock(), Err(TryLockError::WouldBlock));
        if locked || (part.metadata()?.len() > 0 && !force) {
            bail!("{}: another run writes to it; name another file with -o", written.display());
        }
        part.set_len(0).with_context(|| cannot(file))?;
    }
    Ok(part)
}

fn cannot(file: &Path) -> String {
    format!("{}: cannot be written; its folder has to be there, with room and with rights", file.display())
}

/// The rows without what they say of their answers, which may be anything.
fn read(path: &Path, mut columns: DatasetConfig) -> anyhow::Result<Vec<Sample>> {
    // As many answers as rows, and in their order.
    columns.on_duplicate = OnDuplicate::Keep;
    let rows = Dataset::read_questions([path], &columns)?;
    say_left_out(path, &rows);
    Ok(rows.samples)
}

/// Standard input as a file; it goes when the folder does.
fn standard_input(from: From) -> anyhow::Result<(tempfile::TempDir, PathBuf)> {
    if std::io::stdin().is_terminal() {
        say("reading rows from the terminal, one a line; end with Ctrl-D");
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("standard input")?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        let layout = match from {
            From::Jsonl => "one JSON object a line",
            From::Csv | From::Tsv => "a header line, then the rows",
        };
        bail!("standard input is empty; it has to hold {layout}");
    }
    // The file's stem is in the ids of rows without one.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("stdin");
    std::fs::write(&file, bytes).with_context(|| file.display().to_string())?;
    Ok((folder, file))
}

/// Where the answers go.
enum Out {
    Jsonl(Box<dyn Write>),
    Csv {
        writer: Box<csv::Writer<Box<dyn Write>>>,
        /// Whether there is a column for responses.
        open: bool,
    },
}

impl Out {
    fn new(out: Box<dyn Write>, to: To, open: bool) -> anyhow::Result<Self> {
        Ok(match to {
            To::Jsonl => Out::Jsonl(out),
            To::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                let response = open.then_some("response");
                writer.write_record(["id", "answer", "confidence", "error"].into_iter().chain(response))?;
                Out::Csv { writer: Box::new(writer), open }
            }
        })
    }

    fn row(&mut self, sample: &Sample, predicted: &Predicted) -> anyhow::Result<()> {
        let answer = predicted.answer.as_ref().map(|answer| written(sample, answer));
        match self {
            Out::Jsonl(out) => writeln!(out, "{}", json_row(sample, predicted, answer))?,
            Out::Csv { writer, open } => {
                let sure = predicted.confidence.map(|sure| format!("{sure:.4}")).unwrap_or_default();
                let error = predicted.error.clone().unwrap_or_default();
                let response = open.then(|| predicted.response.clone().unwrap_or_default());
                let cells = [sample.id.clone(), answer.unwrap_or_default(), sure, error];
                writer.write_record(cells.into_iter().chain(response))?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Out::Jsonl(out) => out.flush()?,
            Out::Csv { writer, .. } => writer.flush()?,
        }
        Ok(())
    }
}

fn json_row(sample: &Sample, predicted: &Predicted, answer: Option<String>) -> Value {
    let sure = predicted.confidence.map(rounded);
    let mut row = json!({ "id": sample.id, "answer": answer, "confidence": sure });
    if !predicted.options.is_empty() {
        let options = predicted.options.iter();
        let options: Map<String, Value> =
            options.map(|one| (one.option.clone(), rounded(one.probability).into())).collect();
        row["options"] = options.into();
    }
    if let Some(response) = &predicted.response {
        row["response"] = response.as_str().into();
    }
    if let Some(error) = &predicted.error {
        row["error"] = error.as_str().into();
    }
    row
}

/// Six digits: what follows depends on the machine.
fn rounded(probability: f64) -> f64 {
    (probability * 1e6).round() / 1e6
}
