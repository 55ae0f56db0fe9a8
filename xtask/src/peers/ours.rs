//! The engine's side: one job, in this process, with the loops that experiments run.

use super::prepare;
use super::workload::{self, Row, shared};
use super::{figures, plan};
use crate::bench;
use anyhow::{Context, bail};
use semievol::core::Seed;
use semievol_candle::optim::{AdamW, norm};
use semievol_candle::{BaseModel, Forest, LlamaConfig, Lora, MODULES, Pass, Sequence, adapter, load_model};
use semievol_cli::peak_memory;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

const LR: f64 = 1e-4;
const CLIP: f64 = 1.0;

/// One job; prints `METRIC:` lines.
#[derive(Debug, clap::Args)]
pub struct Args {
    job: Job,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// A GGUF file or a Hugging Face folder.
    #[arg(long)]
    model: Option<PathBuf>,
    #[arg(long)]
    work: Option<PathBuf>,
    /// Take only the first rows; 0 for all.
    #[arg(long, default_value_t = 0)]
    limit: usize,
    #[arg(long, default_value_t = 8)]
    batch: usize,
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// Tokens of each answer.
    #[arg(long, default_value_t = 32)]
    new: usize,
    /// LoRA parameters to start from.
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// Write what was computed there, as JSON.
    #[arg(long)]
    dump: Option<PathBuf>,
    #[arg(long)]
    folder: Option<PathBuf>,
    #[arg(long)]
    data: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Job {
    /// Write the files that both sides read.
    Prepare,
    Train,
    Score,
    Generate,
    Gemm,
}

/// Does the job.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build().context("no thread pool")?;
    pool.install(|| match args.job {
        Job::Prepare => {
            let folder = args.folder.as_deref().context("--folder is missing")?;
            prepare::write(folder, args.data.as_deref())
        }
        Job::Train => train(args),
        Job::Score => score(args),
        Job::Generate => generate(args),
        Job::Gemm => {
            figures::print("gflop_per_s", bench::best_gemm_rate(plan::GEMM_REPEATS), "GFLOP/s");
            Ok(())
        }
    })
}

fn load(args: &Args) -> anyhow::Result<(BaseModel, Vec<Row>)> {
    let model = args.model.as_deref().context("--model is missing")?;
    let rows = workload::read(args.work.as_deref().context("--work is missing")?, args.limit)?;
    Ok((BaseModel::new(load_model(model)?)?, rows))
}

/// One step on the first batch to warm up, then one on each batch, in the file's order.
fn train(args: &Args) -> anyhow::Result<()> {
    let (base, rows) = load(args)?;
    let llama = &base.llama;
    let sequence = |row: &Row| Sequence { tokens: row.tokens(), n_prompt: row.prompt.len(), weight: 1.0 };
    let sequences: Vec<Sequence> = rows.iter().take(args.steps * args.batch).map(sequence).collect();
    let mut lora = match &args.adapter {
        Some(folder) => adapter::read(folder, llama.config())?,
        None => Lora::init(llama.config(), prepare::RANK, prepare::ALPHA, Seed(1)),
    };
    let mut grad = vec![0.0; lora.values.len()];
    let (mut pass, mut optimizer) = (Pass::new(false), AdamW::new(grad.len()));
    let mut step = |batch: &[Sequence]| {
        let scale = 1.0 / batch.iter().map(Sequence::total_weight).sum::<f64>();
        grad.fill(0.0);
        let loss = scale * pass.accumulate(llama, &lora, batch, scale as f32, &mut grad);
        let clip = (CLIP / (norm(&grad) + 1e-6)).min(1.0);
        optimizer.step(&mut lora.values, &grad, clip as f32, LR, 0.0);
        loss
    };

    let first = step(&sequences[..args.batch.min(sequences.len())]);
    let mut last = first;
    let started = Instant::now();
    for batch in sequences.chunks(args.batch) {
        last = step(batch);
    }
    let seconds = started.elapsed().as_secs_f64();

    let tokens: usize = sequences.iter().map(|s| s.tokens.len()).sum();
    let work: f64 = sequences.chunks(args.batch).map(|batch| step_flop(llama.config(), batch)).sum();
    figures::print("samples_per_s", sequences.len() as f64 / seconds, "samples/s");
    figures::print("tokens_per_s", tokens as f64 / seconds, "tokens/s");
    figures::print("useful_gflop_per_s", work / seconds / 1e9, "GFLOP/s");
    figures::print("first_loss", first, "nats per token");
    figures::print("last_loss", last, "nats per token");
    print_memory();
    Ok(())
}

/// The least arithmetic that gives a batch's loss and LoRA gradients, in floating-point operations: two for each
/// multiplication of a matrix product; norms, activations, rotations and the optimiser are not counted.
///
/// Rows are the batch's tokens, a shared beginning once. Per row: the frozen products forward, and backward for the
/// input's gradient (but for the first block's qkv, below which nothing is learnt); three times LoRA's products; six
/// attention products over what the row sees. In the last block all but the keys and values is counted for rows that
/// predict a target alone, and so is the head, forward and backward.
fn step_flop(c: &LlamaConfig, batch: &[Sequence]) -> f64 {
    let inputs: Vec<&[u32]> = batch.iter().map(|s| &s.tokens[..s.tokens.len() - 1]).collect();
    let forest = Forest::pack(&inputs);
    // Targets of sequences that agree up to there have one row.
    let mut predicting: Vec<usize> =
        batch.iter().enumerate().flat_map(|(i, s)| forest.rows(i).skip(s.n_prompt - 1)).collect();
    let targets = predicting.len();
    predicting.sort_unstable();
    predicting.dedup();

    let (h, r) = (c.hidden_size, prepare::RANK);
    let (q, kv, ffn) = (c.q_width(), c.kv_width(), c.intermediate_size);
    // Multiplications of a row; [input, output] of the modules as PEFT counts them.
    let frozen = |modules: &[[usize; 2]]| modules.iter().map(|[i, o]| i * o).sum::<usize>() as f64;
    let lora = |modules: &[[usize; 2]]| modules.iter().map(|[i, o]| r * (i + o)).sum::<usize>() as f64;
    let keys = [[h, kv], [h, kv]];
    let others = [[h, q], [q, h], [h, ffn], [h, ffn], [ffn, h]];
    debug_assert_eq!(keys.len() + others.len(), MODULES.len());
    let per_row = |modules: &[[usize; 2]]| 2.0 * frozen(modules) + 3.0 * lora(modules);

    let (rows, few, blocks) = (forest.len() as f64, predicting.len() as f64, c.num_layers as f64);
    let seen = |row: usize| f64::from(forest.positions()[row] + 1);
    let all_pairs: f64 = (0..forest.len()).map(seen).sum();
    let few_pairs: f64 = predicting.iter().map(|&row| seen(row)).sum();

    let linear = blocks * rows * per_row(&keys) + ((blocks - 1.0) * rows + few) * per_row(&others)
        - rows * frozen(&[[h, q], [h, kv], [h, kv]]);
    let attention = 6.0 * q as f64 * ((blocks - 1.0) * all_pairs + few_pairs);
    let head = 2.0 * (targets * c.vocab_size * h) as f64;
    2.0 * (linear + attention + head)
}

/// Logits after every prompt, in passes as large as the model's limits say, as options are scored.
fn score(args: &Args) -> anyhow::Result<()> {
    let (base, rows) = load(args)?;
    let model = base.with_lora(base.id.clone(), None)?;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| rows[a].prompt.cmp(&rows[b].prompt));
    let passes = passes(&rows, &order, base.limits.tokens_per_pass);
    let logits_after = |pass: &[usize]| {
        let prompts: Vec<&[u32]> = pass.iter().map(|&i| &rows[i].prompt[..]).collect();
        model.next_token_logits(&prompts)
    };

    logits_after(&passes[0][..passes[0].len().min(args.batch)]);
    let mut kept: Vec<Vec<f32>> = vec![Vec::new(); plan::CHECKED.min(rows.len())];
    let started = Instant::now();
    for pass in &passes {
        for (&row, logits) in pass.iter().zip(logits_after(pass)) {
            if row < kept.len() {
                kept[row] = logits;
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();

    let tokens: usize = rows.iter().map(|row| row.prompt.len()).sum();
    figures::print("prompts_per_s", rows.len() as f64 / seconds, "prompts/s");
    figures::print("tokens_per_s", tokens as f64 / seconds, "tokens/s");
    print_memory();
    dump(args, &json!(kept))
}

/// Cuts sorted prompts into runs of at most `budget` tokens, shared beginnings counted once.
fn passes(rows: &[Row], order: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut passes: Vec<Vec<usize>> = Vec::new();
    let mut used = 0;
    for &row in order {
        let prompt = &rows[row].prompt;
        let before = passes.last().and_then(|pass| pass.last());
        let more = prompt.len() - before.map_or(0, |&before| shared(&rows[before].prompt, prompt));
        match passes.last_mut() {
            Some(pass) if used + more <= budget => {
                pass.push(row);
                used += more;
            }
            _ => {
                passes.push(vec![row]);
                used = prompt.len();
            }
        }
    }
    passes
}

/// Greedy answers that no end of a turn stops.
fn generate(args: &Args) -> anyhow::Result<()> {
    let (base, rows) = load(args)?;
    let model = base.with_lora(base.id.clone(), None)?;
    let prompts: Vec<Vec<u32>> = rows.into_iter().map(|row| row.prompt).collect();
    model.generate_ids(&prompts[..1], 1)?;
    let started = Instant::now();
    let answers = model.generate_ids(&prompts, args.new)?;
    let seconds = started.elapsed().as_secs_f64();
    if answers.iter().any(|answer| answer.len() != args.new) {
        bail!("an answer is not {} tokens long", args.new);
    }
    figures::print("prompts_per_s", prompts.len() as f64 / seconds, "prompts/s");
    figures::print("new_tokens_per_s", (prompts.len() * args.new) as f64 / seconds, "new tokens/s");
    print_memory();
    dump(args, &json!(answers))
}

fn print_memory() {
    if let Some(mib) = peak_memory() {
        figures::print("peak_memory", mib, "MiB");
    }
}

fn dump(args: &Args, value: &Value) -> anyhow::Result<()> {
    if let Some(file) = &args.dump {
        semievol::pipeline::files::write(file, value.to_string().as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use semievol_candle::{Family, RopeScaling};

    #[test]
    fn passes_hold_every_row_once_and_keep_to_the_budget() {
        let prompts: [&[u32]; 4] = [&[1, 2, 3], &[1, 2, 4], &[1, 5], &[6, 7, 8, 9, 10, 11]];
        let rows: Vec<Row> = prompts.iter().map(|p| Row { prompt: p.to_vec(), target: vec![0] }).collect();
        let passes = passes(&rows, &[0, 1, 2, 3], 5);
        assert_eq!(passes, [vec![0, 1, 2], vec![3]]);
    }

    #[test]
    fn what_sequences_share_is_counted_once() {
        let config = LlamaConfig {
            family: Family::Llama,
            rope_scaling: RopeScaling::None,
            vocab_size: 50,
            hidden_size: 8,
            intermediate_size: 16,
            num_layers: 2,
            num_heads: 2,
            num_kv_heads: 1,
            head_dim: 4,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            max_context: 64,
        };
        let sequence = |tokens: &[u32], n_prompt| Sequence { tokens: tokens.to_vec(), n_prompt, weight: 1.0 };
        let one = step_flop(&config, &[sequence(&[1, 2, 3, 4], 3)]);
        let twice = step_flop(&config, &[sequence(&[1, 2, 3, 4], 3), sequence(&[1, 2, 3, 4], 3)]);
        let apart = step_flop(&config, &[sequence(&[1, 2, 3, 4], 3), sequence(&[5, 2, 3, 4], 3)]);
        // Only the head sees the same target twice.
        assert_eq!(twice - one, 4.0 * 50.0 * 8.0);
        assert_eq!(apart, 2.0 * one);
    }
}
