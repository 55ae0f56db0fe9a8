//! `semievol merge`: an adapter into its base model, as a Hugging Face folder.

use crate::trained::Which;
use anyhow::{Context, bail};
use semievol::candle::export::{merge, write_huggingface};
use semievol::candle::{adapter, load_model};
use semievol::core::Prompt;
use semievol::hub::Source;
use semievol::model::{LanguageModel, ModelLoader, ScoreRequest};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  semievol merge runs/mine-1a2b3c4d -o merged
  semievol merge mine.toml --adapter path/to/adapter -o merged

The folder holds config.json, model.safetensors (f32) and the tokenizer: Transformers and vLLM load it, and llama.cpp's
convert_hf_to_gguf.py turns it into a GGUF file.";

/// Largest difference of a log-probability that rounding explains.
const ROUNDING: f32 = 5e-3;

/// Writes base model and adapter as one model, and checks that it answers alike.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// The folder to write.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Writes into a folder that is not empty.
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let taken = args.output.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if taken && !args.force {
        bail!("{}: is not empty; name another folder, or write into it with --force", args.output.display());
    }
    if args.output.is_file() {
        bail!("{}: is a file; name a folder", args.output.display());
    }
    let trained = args.which.open()?;
    if let (Source::Local(model), Ok(output)) =
        (&trained.experiment.config().model, args.output.canonicalize())
        && model.canonicalize().is_ok_and(|model| model == output || model.parent() == Some(&output))
    {
        bail!(
            "{}: holds the base model, which every adapter of it needs; name another folder",
            args.output.display()
        );
    }
    let base = trained.engine.base();
    let Some(found) = &trained.adapter else {
        bail!("the arm `{}` answers with the base model: there is nothing to merge", trained.arm);
    };
    let apart = base.load(Some(found))?;
    let lora = adapter::read(&found.folder, base.llama.config())?;
    write_huggingface(&args.output, &merge(base.llama.weights(), &lora)?, &base.tokenizer)?;
    let whole = semievol::candle::BaseModel::new(load_model(&args.output)?)
        .with_context(|| format!("{}: what was written cannot be read", args.output.display()))?;
    let apart = says(apart.as_ref())?;
    let whole = says(whole.load(None)?.as_ref())?;
    let worst = apart.iter().zip(&whole).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
    if worst.is_nan() || worst > ROUNDING {
        bail!(
            "{}: answers other than base and adapter do (a log-probability differs by {worst}); do not use it, and report this",
            args.output.display()
        );
    }
    println!(
        "wrote {}: log-probabilities of {} tokens are those of base and adapter to {worst:.0e}",
        args.output.display(),
        apart.len()
    );
    Ok(())
}

/// Log-probabilities of some responses to some prompts.
fn says(model: &dyn LanguageModel) -> anyhow::Result<Vec<f32>> {
    let texts = [
        ("How does the buyer feel about it? The handle broke.", [" negative", " positive"]),
        ("Is 17 a prime number?", [" Yes, it is.", " No."]),
        ("Name a colour.", [" Red", " A large grey horse"]),
    ];
    let requests = texts.map(|(question, continuations)| ScoreRequest {
        prompt: Prompt::user(question),
        continuations: continuations.map(str::to_owned).to_vec(),
    });
    let mut all = Vec::new();
    for scores in model.score(&requests)? {
        all.extend(scores?.into_iter().flatten().map(|token| token.logprob));
    }
    Ok(all)
}
