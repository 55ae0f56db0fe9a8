//! Runs the jobs in turn and sets their figures against each other.

use super::figures::{self, Figures, Samples};
use super::plan::{self, COMPARISONS, Engine, Fastest, Job, Sizes};
use super::prepare::{self, Places};
use super::python::Python;
use super::table::{self, Row};
use super::{Args, machine};
use crate::cores::Cores;
use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Measures, prints the table and writes it if asked.
pub fn run(args: &Args, threads: Option<usize>, repeats: Option<usize>) -> anyhow::Result<()> {
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut sizes = Sizes::new(args.quick);
    sizes.rounds = repeats.unwrap_or(sizes.rounds);
    if threads == 0 || sizes.rounds == 0 {
        bail!("--threads and --repeats must be at least 1");
    }
    let started = Instant::now();
    let mut loads = vec![machine::load_average()];
    let mut cores = vec![Cores::measure(threads).to_string()];
    let python = Python::new(args.python());
    let places = prepare::places(&args.folder, args.data.as_deref())?;
    let mut bench = Bench {
        program: std::env::current_exe()?,
        python,
        folder: args.folder.join("dumps"),
        done: BTreeMap::new(),
        failed: BTreeMap::new(),
    };
    eprintln!("preparing the model and the workloads in {}", args.folder.display());
    bench.prepare(args)?;

    let trials = bench.trials(&places, sizes, threads)?;
    let fastest = Fastest { score: &trials.score, generate: &trials.generate };
    let jobs = plan::jobs(&places, sizes, threads, fastest);
    let total = jobs.len() * sizes.rounds;
    for (index, job) in (0..sizes.rounds).flat_map(|_| &jobs).enumerate() {
        bench.measure(job, &format!("[{}/{total}] ", index + 1))?;
        if (index + 1) % jobs.len() == 0 {
            loads.push(machine::load_average());
            cores.push(Cores::measure(threads).to_string());
        }
    }

    let notes = bench.notes(&trials, threads);
    let rows = bench.rows();
    let mut text = format!("{}\n", table::render(&rows));
    let size = format!(
        "{} of {}; {} round(s) of {} LoRA steps ({} where nothing is shared), {} prompts to score ({}), {} to answer; {:.0} min",
        prepare::experiment(args.data.as_deref()),
        "SmolLM2-135M",
        sizes.rounds,
        sizes.steps,
        sizes.steps_apart,
        sizes.score,
        sizes.score_apart,
        sizes.generate,
        started.elapsed().as_secs_f64() / 60.0
    );
    let load = format!("load average before, and after each round: {}", loads.join(", "));
    let cores = format!("cores before, and after each round: {}", cores.join("; "));
    for line in notes
        .into_iter()
        .chain([size, load, cores])
        .chain(machine::describe(threads))
        .chain(bench.python.describe())
    {
        text += &format!("- {line}\n");
    }
    println!("\n{text}");
    if let Some(file) = &args.out {
        fs::write(file, &text).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

impl Args {
    fn python(&self) -> PathBuf {
        let from_env = || std::env::var_os("SEMIEVOL_PEERS_PYTHON").map(PathBuf::from);
        self.python.clone().or_else(from_env).unwrap_or_else(|| "python3".into())
    }
}

struct Bench {
    program: PathBuf,
    python: Python,
    /// Where jobs write what they computed.
    folder: PathBuf,
    /// The figures of each job's runs.
    done: BTreeMap<&'static str, Vec<Figures>>,
    /// Why a peer's job has none.
    failed: BTreeMap<&'static str, String>,
}

/// What came of trying llama.cpp's files.
struct Trials {
    /// The fastest files.
    score: PathBuf,
    generate: PathBuf,
    /// The file whose weights are nearest to ours, and what it computed.
    nearest: Option<(PathBuf, Value, Value)>,
}

impl Bench {
    fn prepare(&self, args: &Args) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["bench-job", "prepare", "--folder"]).arg(&args.folder);
        if let Some(data) = &args.data {
            command.arg("--data").arg(data);
        }
        if !command.status()?.success() {
            bail!("preparing failed");
        }
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())
    }

    /// Where a job's results go.
    fn dump(&self, job: &Job) -> PathBuf {
        self.folder.join(format!("{}.json", job.key.replace([' ', ',', '.'], "-")))
    }

    fn dumped(&self, key: &str) -> Option<Value> {
        let file = self.folder.join(format!("{}.json", key.replace([' ', ',', '.'], "-")));
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    /// One run of a job; a peer's failure is kept as such and the job not run again.
    fn measure(&mut self, job: &Job, progress: &str) -> anyhow::Result<()> {
        if !self.python.has(job.engine) {
            self.failed.insert(job.key, "not installed".into());
        }
        if self.failed.contains_key(job.key) {
            return Ok(());
        }
        eprint!("{progress}{} ... ", job.key);
        let started = Instant::now();
        match self.run_once(job, self.done.get(job.key).is_none_or(Vec::is_empty)) {
            Ok(figures) => {
                let (value, seconds) = (figures[job.figure], started.elapsed().as_secs_f64());
                eprintln!("{value:.2} {}; {seconds:.0} s", job.figure);
                self.done.entry(job.key).or_default().push(figures);
            }
            Err(error) if job.engine == Engine::Ours => return Err(error.context(job.key)),
            Err(error) => {
                eprintln!("failed: {error:#}");
                self.done.remove(job.key);
                self.failed.insert(job.key, "failed".into());
            }
        }
        Ok(())
    }

    fn run_once(&self, job: &Job, first: bool) -> anyhow::Result<Figures> {
        let mut command = match job.engine {
            Engine::Ours => {
                let mut command = Command::new(&self.program);
                command.args(&job.args);
                command
            }
            _ => self.python.command(&job.args),
        };
        if job.dumps && first {
            let file = self.dump(job);
            let _ = fs::remove_file(&file); // an earlier run's is no result of this one
            command.arg("--dump").arg(file);
        }
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("{}: {}", output.status, said.trim().lines().last().unwrap_or_default());
        }
        let figures = figures::parse(&String::from_utf8_lossy(&output.stdout));
        if !figures.contains_key(job.figure) {
            bail!("it printed no {}", job.figure);
        }
        Ok(figures)
    }

    fn trials(&mut self, places: &Places, sizes: Sizes, threads: usize) -> anyhow::Result<Trials> {
        let none = || Trials { score: places.gguf.clone(), generate: places.gguf.clone(), nearest: None };
        if !self.python.has(Engine::LlamaCpp) {
            return Ok(none());
        }
        let files = self.python.gguf_files(&places.gguf, &places.ggufs)?;
        let mut fastest = [(places.gguf.clone(), 0.0), (places.gguf.clone(), 0.0)];
        for file in &files {
            for (generate, best) in [false, true].into_iter().zip(&mut fastest) {
                let job = plan::trial(places, sizes, threads, file, generate);
                self.done.remove(job.key);
                self.failed.remove(job.key);
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                self.measure(&job, &format!("{name}: "))?;
                let rate = self.done.get(job.key).map_or(0.0, |runs| runs[0][job.figure]);
                if rate > best.1 {
                    *best = (file.clone(), rate);
                }
            }
        }
        let computed = |generate| self.dumped(plan::trial(places, sizes, threads, &files[0], generate).key);
        // The last file is the one in f32, if there is one.
        let nearest = files.last().cloned().zip(computed(false).zip(computed(true)));
        let [(score, _), (generate, _)] = fastest;
        Ok(Trials { score, generate, nearest: nearest.map(|(file, (read, said))| (file, read, said)) })
    }

    fn samples(&self, key: &str, figure: &str) -> Option<Samples> {
        Samples::new(self.done.get(key)?.iter().filter_map(|figures| figures.get(figure)).copied())
    }

    /// The fastest matrix products of the run, and whose.
    fn best_products(&self) -> Option<(f64, &'static str)> {
        let rate = |key| Some((self.samples(key, "gflop_per_s")?.most(), key));
        [plan::OURS_GEMM, plan::TORCH_GEMM].into_iter().filter_map(rate).max_by(|a, b| a.0.total_cmp(&b.0))
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for c in COMPARISONS {
            let Some(ours) = self.samples(c.ours, c.figure) else { continue };
            let reason = || self.failed.get(c.other).cloned().unwrap_or_else(|| "not measured".into());
            let other = self.samples(c.other, c.figure).ok_or_else(reason);
            rows.push(Row { what: c.what.into(), unit: c.unit, ours, other, target: c.target });
        }
        let useful = self.samples(plan::OURS_TRAIN, "useful_gflop_per_s");
        if let Some((ours, (best, whose))) = useful.zip(self.best_products()) {
            let what = format!("useful arithmetic of the LoRA step, {whose}");
            let other = Samples::new([best]).ok_or_else(String::new);
            rows.push(Row { what, unit: "GFLOP/s", ours, other, target: plan::USEFUL_SHARE });
        }
        rows
    }

    /// What was chosen, and how near the engines' results are to each other.
    fn notes(&self, trials: &Trials, threads: usize) -> Vec<String> {
        let mut notes = Vec::new();
        let losses = [
            (plan::OURS_TRAIN, plan::PEFT_USUAL, "first_loss"),
            (plan::OURS_TRAIN, plan::PEFT_USUAL, "last_loss"),
            (plan::OURS_TRAIN, plan::PEFT_TUNED, "first_loss"),
            (plan::OURS_TRAIN_APART, plan::PEFT_TUNED_APART, "first_loss"),
        ];
        for (ours, other, figure) in losses {
            if let Some((x, y)) = self.samples(ours, figure).zip(self.samples(other, figure)) {
                let (x, y) = (x.median(), y.median());
                let figure = figure.replace('_', " ");
                notes
                    .push(format!("{figure}: {x:.6} against {y:.6} of {other}, {:.1e} apart", (x - y).abs()));
            }
        }
        let ours = self.dumped(plan::OURS_SCORE);
        if self.done.contains_key(plan::HF_SCORE)
            && let Some((ours, other)) = ours.as_ref().zip(self.dumped(plan::HF_SCORE))
            && let Some(most) = most_apart(ours, &other)
        {
            notes.push(format!(
                "logits after {} prompts: at most {most:.1e} from Transformers'",
                plan::CHECKED
            ));
        }
        if let Some((file, read, said)) = &trials.nearest {
            let name = |file: &Path| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(most) = ours.as_ref().and_then(|ours| logprobs_apart(ours, read)) {
                notes.push(format!(
                    "log-probabilities after {} prompts: at most {most:.1e} from llama.cpp's ({})",
                    plan::CHECKED,
                    name(file)
                ));
            }
            if let Some((same, all)) = self.dumped(plan::OURS_GENERATE).and_then(|ours| alike(&ours, said)) {
                notes.push(format!(
                    "generation: {same} of {all} answers are those of llama.cpp ({}) to the last token",
                    name(file)
                ));
            }
            let (score, generate) = (name(&trials.score), name(&trials.generate));
            notes.push(format!("llama.cpp's fastest files: {score} to score, {generate} to generate"));
        }
        for key in [plan::OURS_GEMM, plan::TORCH_GEMM] {
            if let Some(rate) = self.samples(key, "gflop_per_s") {
                notes.push(format!("{key}: at most {:.0} GFLOP/s on {threads} thread(s)", rate.most()));
            }
        }
        notes
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

/// The largest difference between two lists of logits; none if they have not the same shape.
fn most_apart(ours: &Value, other: &Value) -> Option<f64> {
    let (ours, other) = (ours.as_array()?, other.as_array()?);
    let mut most: f64 = 0.0;
    for (x, y) in ours.iter().zip(other) {
        let (x, y) = (numbers(x), numbers(y));
        if x.is_empty() || x.len() != y.len() {
            return None;
        }
        most = x.iter().zip(&y).map(|(x, y)| (x - y).abs()).fold(most, f64::max);
    }
    (ours.len() == other.len() && !ours.is_empty()).then_some(most)
}

/// The largest difference between our log-probabilities and those that llama.cpp lists, as `[id, value]`.
fn logprobs_apart(ours: &Value, listed: &Value) -> Option<f64> {
    let mut most: Option<f64> = None;
    for (logits, listed) in ours.as_array()?.iter().zip(listed.as_array()?) {
        let logits = numbers(logits);
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let norm = top + logits.iter().map(|l| (l - top).exp()).sum::<f64>().ln();
        for pair in listed.as_array()? {
            let (id, value) = (pair[0].as_u64()? as usize, pair[1].as_f64()?);
            let apart = (logits.get(id)? - norm - value).abs();
            most = Some(most.unwrap_or(0.0).max(apart));
        }
    }
    most
}

/// How many answers are the same, of those that both gave.
fn alike(ours: &Value, other: &Value) -> Option<(usize, usize)> {
    let (ours, other) = (ours.as_array()?, other.as_array()?);
    let same = ours.iter().zip(other).filter(|(x, y)| x == y).count();
    Some((same, ours.len().min(other.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_the_largest_and_need_the_same_shape() {
        assert_eq!(most_apart(&json!([[1.0, 2.0], [3.0]]), &json!([[1.5, 2.0], [5.0]])), Some(2.0));
        assert_eq!(most_apart(&json!([[1.0, 2.0]]), &json!([[1.0]])), None);
        assert_eq!(most_apart(&json!([]), &json!([])), None);
        let half = 0.5f64.ln();
        assert_eq!(logprobs_apart(&json!([[0.0, 0.0]]), &json!([[[1, half]]])), Some(0.0));
        assert_eq!(logprobs_apart(&json!([[0.0, 0.0]]), &json!([[[2, half]]])), None);
        assert_eq!(alike(&json!([[1, 2], [3]]), &json!([[1, 2], [4], [5]])), Some((1, 2)));
    }

    #[test]
    fn a_peer_that_is_not_installed_is_not_run_and_has_no_ratio() {
        let figures =
            |value| Figures::from([("samples_per_s".to_owned(), value), ("peak_memory".to_owned(), 9.0)]);
        let mut bench = Bench {
            program: PathBuf::new(),
            python: Python::new("/nonexistent/python".into()),
            folder: PathBuf::new(),
            done: BTreeMap::from([(plan::OURS_TRAIN, vec![figures(3.0)])]),
            failed: BTreeMap::new(),
        };
        let job = Job {
            key: plan::PEFT_USUAL,
            engine: Engine::Peft,
            figure: "samples_per_s",
            args: vec![],
            dumps: false,
        };
        bench.measure(&job, "").unwrap();
        let rows = bench.rows();
        assert_eq!(rows[0].other, Err("not installed".to_owned()));
        assert!(rows.iter().all(|row| row.ratio().is_none()));
    }
}
