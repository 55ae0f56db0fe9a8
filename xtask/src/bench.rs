//! `cargo xtask bench`: how fast the engine trains and reads on this machine, beside the rate of its matrix
//! products, so that figures from different machines can be compared.

use crate::cores::Cores;
use crate::peers;
use crate::shapes::{Shape, Stored};
use anyhow::{Context, Result, bail};
use semievol_candle::kernels::gemm::{Mat, MatMut, Write, matmul};
use semievol_candle::kernels::product::{Factor, Term, product};
use semievol_candle::optim::AdamW;
use semievol_candle::{Llama, LlamaConfig, Lora, Panels, Pass, Precision, Sequence};
use semievol_cli::peak_memory;
use semievol_core::Seed;
use std::time::Instant;

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Threads to use: 1 by default, with --peers all.
    #[arg(long)]
    threads: Option<usize>,
    /// The shape to measure, with random weights, which costs the same.
    #[arg(long, value_enum, default_value_t = Shape::SmolLm2Small, conflicts_with = "peers")]
    shape: Shape,
    /// How the frozen weights are kept in memory.
    #[arg(long, value_enum, default_value_t = Stored::F32, conflicts_with = "peers")]
    stored: Stored,
    /// Sequences of a training step and of a prefill.
    #[arg(long, default_value_t = 8, conflicts_with = "peers")]
    batch: usize,
    /// Tokens of each sequence; nothing is shared between them.
    #[arg(long, default_value_t = 128, conflicts_with = "peers")]
    tokens: usize,
    /// Times each figure is measured after one warm-up, 5 by default; with --peers, rounds in which every job is
    /// run once, 3 by default. The median is printed.
    #[arg(long)]
    repeats: Option<usize>,
    /// Keep only block inputs and compute the rest again in the backward pass.
    #[arg(long, conflicts_with = "peers")]
    recompute: bool,
    #[command(flatten)]
    peers: peers::Args,
}

/// Options of the engine's own figures, complete.
struct Options {
    threads: usize,
    shape: Shape,
    stored: Stored,
    batch: usize,
    tokens: usize,
    repeats: usize,
    recompute: bool,
}

/// Target tokens of each training sequence.
const TARGETS: usize = 4;
const RANK: usize = 16;

/// Measures and prints.
pub fn run(args: &Args) -> Result<()> {
    if args.peers.peers {
        return peers::run(&args.peers, args.threads, args.repeats);
    }
    let args = &Options {
        threads: args.threads.unwrap_or(1),
        shape: args.shape,
        stored: args.stored,
        batch: args.batch,
        tokens: args.tokens,
        repeats: args.repeats.unwrap_or(5),
        recompute: args.recompute,
    };
    let most = args.shape.config().max_context;
    if args.batch == 0
        || args.repeats == 0
        || args.threads == 0
        || args.tokens <= TARGETS
        || args.tokens > most
    {
        bail!(
            "--batch, --repeats and --threads must be at least 1, and --tokens in {}..={most}",
            TARGETS + 1
        );
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build().context("no thread pool")?;
    pool.install(|| measure(args))
}

fn measure(args: &Options) -> Result<()> {
    println!(
        "shape of {:?}, random weights in {:?}; {} x {} tokens, nothing shared, {TARGETS} of each to learn; {} thread(s)",
        args.shape, args.stored, args.batch, args.tokens, args.threads
    );
    let llama = Llama::new(args.shape.random(args.stored, Seed(1)))?;
    let sequences: Vec<Sequence> = (0..args.batch).map(|i| sequence(i, args.tokens)).collect();

    let before = peak_memory();
    let step = training_step(&llama, &sequences, args);
    let after = peak_memory();
    let tokens: Vec<&[u32]> = sequences.iter().map(|s| &s.tokens[..]).collect();
    let prefill = time(args.repeats, || {
        assert!(llama.next_token_logits(None, &tokens)[0].iter().all(|l| l.is_finite()))
    });
    let gemm = best_gemm_rate(args.repeats);

    let macs = (linear_macs(llama.config()) * args.batch * args.tokens) as f64;
    println!("cores           {}, small products in the cache", Cores::measure(args.threads));
    println!("matrix products {gemm:10.1} GFLOP/s, the best of three shapes");
    report("LoRA step, r=16", &step, args, 4.0 * macs, gemm);
    report("prefill", &prefill, args, 2.0 * macs, gemm);
    match (before, after) {
        (Some(before), Some(after)) => {
            println!(
                "peak memory     {after:10.0} MiB of the process after the steps; {before:.0} before (weights)"
            );
        }
        _ => println!("peak memory     not known on this system"),
    }
    Ok(())
}

fn report(what: &str, t: &Timing, args: &Options, flops: f64, gemm: f64) {
    let rate = (args.batch * args.tokens) as f64 / t.median;
    let share = 100.0 * flops / t.median / 1e9 / gemm;
    println!(
        "{what:15} {rate:10.1} tokens/s; median {:.2} s, {:.2} to {:.2}; frozen products at {share:.0}% of the rate above",
        t.median, t.least, t.most
    );
}

fn sequence(index: usize, len: usize) -> Sequence {
    let tokens = (0..len).map(|i| ((index * 7919 + i * 104_729 + 17) % 49_000) as u32).collect();
    Sequence { tokens, n_prompt: len - TARGETS, weight: 1.0 }
}

/// Multiplications with frozen weights per token, the head not counted.
fn linear_macs(c: &LlamaConfig) -> usize {
    c.num_layers * c.hidden_size * (c.qkv_width() + c.q_width() + 3 * c.intermediate_size)
}

fn training_step(llama: &Llama, sequences: &[Sequence], args: &Options) -> Timing {
    let mut lora = Lora::init(llama.config(), RANK, 2.0 * RANK as f64, Seed(2));
    let mut grad = vec![0.0; lora.values.len()];
    let (mut pass, mut optimizer) = (Pass::new(args.recompute), AdamW::new(grad.len()));
    let scale = 1.0 / (sequences.len() * TARGETS) as f32;
    time(args.repeats, || {
        grad.fill(0.0);
        let loss = pass.accumulate(llama, &lora, sequences, scale, &mut grad);
        assert!(loss.is_finite(), "the loss is {loss}");
        optimizer.step(&mut lora.values, &grad, 1.0, 1e-5, 0.0);
    })
}

/// Rows, columns and terms of the products whose rate is measured.
pub const GEMM_SHAPES: [(usize, usize, usize); 3] =
    [(1024, 3072, 576), (1024, 576, 1536), (1024, 1024, 1024)];

/// GFLOP/s of the engine's own products, or of the gemm crate's where they are faster, at the shapes used most.
pub fn best_gemm_rate(repeats: usize) -> f64 {
    let rate = |(m, n, k): (usize, usize, usize)| {
        let (a, b) = (vec![0.5; m * k], vec![0.25; n * k]);
        let mut out = vec![0.0; m * n];
        let timing = time(2 * repeats, || {
            let out = MatMut::new(&mut out, m, n);
            matmul(out, Write::Set, 1.0, Mat::new(&a, m, k), Mat::new(&b, n, k).t());
        });
        let panels = Panels::pack(&b, n, k, Precision::F32);
        let term = Term { left: Mat::new(&a, m, k), right: Factor::Transposed(&panels) };
        let packed = time(2 * repeats, || product(MatMut::new(&mut out, m, n), Write::Set, &[term]));
        2.0 * (m * n * k) as f64 / timing.least.min(packed.least) / 1e9
    };
    GEMM_SHAPES.map(rate).into_iter().fold(0.0, f64::max)
}

/// Seconds.
struct Timing {
    least: f64,
    median: f64,
    most: f64,
}

fn time(repeats: usize, mut work: impl FnMut()) -> Timing {
    work();
    let mut seconds: Vec<f64> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    Timing { least: seconds[0], median: seconds[repeats / 2], most: seconds[repeats - 1] }
}
