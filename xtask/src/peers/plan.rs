//! Which jobs are run, how large, and which figures are set against each other.

use super::prepare::{APART, Places, SHARED};
use super::table::Target;
use std::path::Path;

/// Runs of each product in a job of matrix products; the best counts.
pub const GEMM_REPEATS: usize = 10;
/// Prompts whose logits are compared, as benches/peers/*.py have it.
pub const CHECKED: usize = 4;
const NEW: usize = 32;

/// How much of the workloads is used.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub rounds: usize,
    /// LoRA steps of 8 rows of `shared` and of `apart`, after one to warm up.
    pub steps: usize,
    pub steps_apart: usize,
    /// Prompts of `shared` to read, and of `apart`.
    pub score: usize,
    pub score_apart: usize,
    /// Prompts of `shared` to answer.
    pub generate: usize,
    /// Prompts on which llama.cpp's files are tried.
    pub trial: usize,
}

impl Sizes {
    pub fn new(quick: bool) -> Self {
        if quick {
            let (steps, steps_apart, score, score_apart) = (2, 1, 64, 16);
            Sizes { rounds: 1, steps, steps_apart, score, score_apart, generate: 16, trial: 4 }
        } else {
            let (steps, steps_apart) = (4, 2);
            let (score, score_apart) = (SHARED, APART / 2);
            Sizes { rounds: 3, steps, steps_apart, score, score_apart, generate: 64, trial: 16 }
        }
    }
}

/// Who does a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    Ours,
    Torch,
    Transformers,
    Peft,
    LlamaCpp,
}

impl Engine {
    /// The packages that must be importable for it.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Engine::Ours => &[],
            Engine::Torch => &["torch"],
            Engine::Transformers => &["torch", "transformers"],
            Engine::Peft => &["torch", "transformers", "peft"],
            Engine::LlamaCpp => &["xllamacpp"],
        }
    }
}

/// A job that is run in every round.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Names it; and says what is done, where progress is shown.
    pub key: &'static str,
    pub engine: Engine,
    /// The figure that progress shows.
    pub figure: &'static str,
    /// Of the engine's own binary, or of Python.
    pub args: Vec<String>,
    /// Whether it writes what it computed.
    pub dumps: bool,
}

/// The files that llama.cpp is fastest with.
#[derive(Debug, Clone, Copy)]
pub struct Fastest<'a> {
    pub score: &'a Path,
    pub generate: &'a Path,
}

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

/// The jobs of a round, those that are compared next to each other.
pub fn jobs(places: &Places, sizes: Sizes, threads: usize, fastest: Fastest<'_>) -> Vec<Job> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let (shared, apart) = (path(&places.shared), path(&places.apart));
    let (gguf, hf, adapter) = (path(&places.gguf), path(&places.huggingface), path(&places.adapter));
    let ours = |key, figure, name: &str, work: &str, threads: usize, rest: &[String]| {
        let mut args = strings(&["bench-job", name, "--model", &gguf, "--work", work, "--threads"]);
        args.push(threads.to_string());
        args.extend_from_slice(rest);
        Job { key, engine: Engine::Ours, figure, args, dumps: false }
    };
    let peer = |key, engine, figure, script: &str, model: &str, work: &str, rest: &[String]| {
        let mut args = strings(&[script, model, work, "--threads"]);
        args.push(threads.to_string());
        args.extend_from_slice(rest);
        Job { key, engine, figure, args, dumps: false }
    };
    let steps = |n: usize| strings(&["--steps", &n.to_string(), "--adapter", &adapter]);
    let tuned = |n: usize| [steps(n), strings(&["--tuned"])].concat();
    let limit = |n: usize| strings(&["--limit", &n.to_string()]);
    let new = |n: usize| [limit(n), strings(&["--new", &NEW.to_string()])].concat();
    let (samples, prompts) = ("samples_per_s", "prompts_per_s");
    let dumps = |job: Job| Job { dumps: true, ..job };

    let mut jobs = vec![
        ours(OURS_TRAIN, samples, "train", &shared, threads, &steps(sizes.steps)),
        peer(PEFT_USUAL, Engine::Peft, samples, "train.py", &hf, &shared, &steps(sizes.steps)),
        peer(PEFT_TUNED, Engine::Peft, samples, "train.py", &hf, &shared, &tuned(sizes.steps)),
        ours(OURS_TRAIN_APART, samples, "train", &apart, threads, &steps(sizes.steps_apart)),
        peer(PEFT_TUNED_APART, Engine::Peft, samples, "train.py", &hf, &apart, &tuned(sizes.steps_apart)),
        dumps(ours(OURS_SCORE, prompts, "score", &shared, threads, &limit(sizes.score))),
        dumps(peer(HF_SCORE, Engine::Transformers, prompts, "score.py", &hf, &shared, &limit(sizes.score))),
        peer(
            LLAMA_SCORE,
            Engine::LlamaCpp,
            prompts,
            "llamacpp.py",
            &path(fastest.score),
            &shared,
            &limit(sizes.score),
        ),
        dumps(ours(OURS_GENERATE, prompts, "generate", &shared, threads, &new(sizes.generate))),
        peer(
            LLAMA_GENERATE,
            Engine::LlamaCpp,
            prompts,
            "llamacpp.py",
            &path(fastest.generate),
            &shared,
            &new(sizes.generate),
        ),
    ];
    let gemm = |key, engine, args: &[&str]| Job {
        key,
        engine,
        figure: "gflop_per_s",
        args: strings(args),
        dumps: false,
    };
    let (threads_text, repeats) = (threads.to_string(), GEMM_REPEATS.to_string());
    jobs.push(gemm(OURS_GEMM, Engine::Ours, &["bench-job", "gemm", "--threads", &threads_text]));
    let shapes = crate::bench::GEMM_SHAPES.map(|(m, n, k)| format!("{m},{n},{k}"));
    let mut torch = vec!["matmul.py", &threads_text, &repeats];
    torch.extend(shapes.iter().map(String::as_str));
    jobs.push(gemm(TORCH_GEMM, Engine::Torch, &torch));
    if threads > 1 {
        let read = limit(sizes.score_apart);
        jobs.extend([
            ours(OURS_READ_APART, prompts, "score", &apart, threads, &read),
            ours(OURS_READ_APART_1, prompts, "score", &apart, 1, &read),
            ours(OURS_TRAIN_1, samples, "train", &shared, 1, &steps(sizes.steps)),
            ours(OURS_GENERATE_1, prompts, "generate", &shared, 1, &new(sizes.generate)),
        ]);
    }
    jobs
}

/// A job for llama.cpp on few prompts: which file is the fastest, and what it computes.
pub fn trial(places: &Places, sizes: Sizes, threads: usize, file: &Path, generate: bool) -> Job {
    let (file, shared) = (file.to_string_lossy(), places.shared.to_string_lossy());
    let (threads, limit) = (threads.to_string(), sizes.trial.to_string());
    let new = if generate { NEW } else { 1 }.to_string();
    let args = ["llamacpp.py", &file, &shared, "--threads", &threads, "--limit", &limit, "--new", &new];
    let key = if generate { "llama.cpp, trial, answering" } else { "llama.cpp, trial, reading" };
    Job { key, engine: Engine::LlamaCpp, figure: "prompts_per_s", args: strings(&args), dumps: true }
}

pub const OURS_TRAIN: &str = "ours, LoRA steps";
pub const PEFT_USUAL: &str = "PEFT as usual, LoRA steps";
pub const PEFT_TUNED: &str = "PEFT tuned, LoRA steps";
pub const OURS_TRAIN_APART: &str = "ours, LoRA steps, nothing shared";
pub const PEFT_TUNED_APART: &str = "PEFT tuned, LoRA steps, nothing shared";
pub const OURS_SCORE: &str = "ours, scoring";
pub const HF_SCORE: &str = "Transformers, scoring";
pub const LLAMA_SCORE: &str = "llama.cpp, scoring with cached prefix";
pub const OURS_GENERATE: &str = "ours, generation";
pub const LLAMA_GENERATE: &str = "llama.cpp, generation";
pub const OURS_GEMM: &str = "ours, matrix products";
pub const TORCH_GEMM: &str = "torch, matrix products";
pub const OURS_READ_APART: &str = "ours, prefill, nothing shared";
pub const OURS_READ_APART_1: &str = "ours, prefill, nothing shared, 1 thread";
pub const OURS_TRAIN_1: &str = "ours, LoRA steps, 1 thread";
pub const OURS_GENERATE_1: &str = "ours, generation, 1 thread";

/// A figure of two jobs and what their ratio should be.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    pub what: &'static str,
    pub ours: &'static str,
    pub other: &'static str,
    pub figure: &'static str,
    pub unit: &'static str,
    pub target: Target,
}

const fn compare(
    what: &'static str,
    [ours, other]: [&'static str; 2],
    [figure, unit]: [&'static str; 2],
    target: Target,
) -> Comparison {
    Comparison { what, ours, other, figure, unit, target }
}

const SAMPLES: [&str; 2] = ["samples_per_s", "samples/s"];
const PROMPTS: [&str; 2] = ["prompts_per_s", "prompts/s"];
const MEMORY: [&str; 2] = ["peak_memory", "MiB"];
const THIRD: Target = Target::Below(1.0 / 3.0);

/// The rows of the table but for the share of useful arithmetic, in its order.
pub const COMPARISONS: [Comparison; 11] = [
    compare("LoRA step, PEFT as usual", [OURS_TRAIN, PEFT_USUAL], SAMPLES, Target::AtLeast(3.5)),
    compare("LoRA step, PEFT tuned", [OURS_TRAIN, PEFT_TUNED], SAMPLES, Target::AtLeast(2.8)),
    compare("its peak memory, PEFT as usual", [OURS_TRAIN, PEFT_USUAL], MEMORY, THIRD),
    compare("its peak memory, PEFT tuned", [OURS_TRAIN, PEFT_TUNED], MEMORY, THIRD),
    compare(
        "LoRA step, nothing shared, PEFT tuned",
        [OURS_TRAIN_APART, PEFT_TUNED_APART],
        SAMPLES,
        Target::AtLeast(1.7),
    ),
    compare("scoring, Transformers", [OURS_SCORE, HF_SCORE], PROMPTS, Target::AtLeast(3.0)),
    compare(
        "scoring, llama.cpp with cached prefix",
        [OURS_SCORE, LLAMA_SCORE],
        PROMPTS,
        Target::AtLeast(4.0),
    ),
    compare(
        "generation, llama.cpp 8 in parallel",
        [OURS_GENERATE, LLAMA_GENERATE],
        PROMPTS,
        Target::AtLeast(2.0),
    ),
    compare("LoRA step, 1 thread", [OURS_TRAIN, OURS_TRAIN_1], SAMPLES, Target::AtLeast(1.7)),
    compare(
        "prefill, nothing shared, 1 thread",
        [OURS_READ_APART, OURS_READ_APART_1],
        PROMPTS,
        Target::AtLeast(1.7),
    ),
    compare("generation, 1 thread", [OURS_GENERATE, OURS_GENERATE_1], PROMPTS, Target::AtLeast(1.7)),
];

/// The least share of the best rate of matrix products that a LoRA step's useful arithmetic should reach.
pub const USEFUL_SHARE: Target = Target::Share(0.6);
