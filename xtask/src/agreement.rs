//! Whether a server answers as the engine does.

use anyhow::ensure;
use clap::Parser;
use semievol::candle::{BaseModel, export, load_model};
use semievol::core::{Prompt, Seed};
use semievol::model::{GenerateRequest, Generation, LanguageModel, ModelLoader, ScoreRequest, Scores};
use semievol::openai::{ServedModel, ServerConfig};
use std::path::PathBuf;

/// Compares a server with the engine on the same weights: greedy answers, and log-probabilities of options.
///
/// First `cargo xtask agreement MODEL.gguf --write F32.gguf`, then start a server on that file, then
/// `cargo xtask agreement MODEL.gguf --url http://127.0.0.1:8080/v1`.
#[derive(Parser)]
pub struct Args {
    /// The GGUF file that the engine runs.
    model: PathBuf,
    /// Writes it with all weights in f32, as the engine computes.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// The server's address, `/v1` included.
    #[arg(long)]
    url: Option<String>,
    /// Prompts that are compared.
    #[arg(long, default_value_t = 100)]
    prompts: usize,
    /// Most new tokens of an answer.
    #[arg(long, default_value_t = 16)]
    max_tokens: usize,
    /// Largest difference of a token's log-probability. A server with flash attention computes in f16 inside, and differs
    /// by some hundredths.
    #[arg(long, default_value_t = 0.02)]
    tolerance: f32,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(file) = &args.write {
        export::write_f32_gguf(&args.model, file)?;
        println!("wrote {}", file.display());
    }
    let Some(url) = &args.url else { return Ok(()) };
    let served = ServedModel::connect(&ServerConfig::new(url))?;
    let engine = BaseModel::new(load_model(&args.model)?)?.load(None)?;
    println!("{} against {}", served.id(), engine.id());

    let prompts: Vec<Prompt> = (0..args.prompts).map(prompt).collect();
    let greedy = |model: &dyn LanguageModel| -> anyhow::Result<Vec<Generation>> {
        let request = |prompt: &Prompt| GenerateRequest {
            max_tokens: args.max_tokens,
            temperature: 0.0,
            ..GenerateRequest::new(prompt.clone(), Seed(1))
        };
        let requests: Vec<_> = prompts.iter().map(request).collect();
        Ok(model.generate(&requests)?.into_iter().collect::<Result<_, _>>()?)
    };
    let (ours, theirs) = (greedy(engine.as_ref())?, greedy(&served)?);
    let same = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours.text == theirs.text).count();
    for (at, (ours, theirs)) in
        ours.iter().zip(&theirs).enumerate().filter(|(_, (a, b))| a.text != b.text).take(3)
    {
        println!("prompt {at}: {:?} here, {:?} there", ours.text, theirs.text);
    }
    println!("greedy answers: {same} of {} are the same", prompts.len());
    let tokens = ours.iter().zip(&theirs).flat_map(|(ours, theirs)| {
        ours.tokens.iter().zip(&theirs.tokens).take_while(|(ours, theirs)| ours.token == theirs.token)
    });
    let generated = tokens.map(|(ours, theirs)| (ours.logprob - theirs.logprob).abs());
    let mut most = generated.fold(0.0, f32::max);
    println!("log-probabilities of generated tokens differ by at most {most:.5}");

    let scored = |model: &dyn LanguageModel| -> anyhow::Result<Vec<Scores>> {
        let request = |prompt: &Prompt| ScoreRequest {
            prompt: prompt.clone(),
            continuations: [" negative", " neutral", " positive", " It depends."].map(String::from).into(),
        };
        let requests: Vec<_> = prompts.iter().map(request).collect();
        Ok(model.score(&requests)?.into_iter().collect::<Result<_, _>>()?)
    };
    let (ours, theirs) = (scored(engine.as_ref())?, scored(&served)?);
    for (ours, theirs) in ours.iter().flatten().zip(theirs.iter().flatten()) {
        ensure!(ours.len() == theirs.len(), "{} tokens here, {} there", ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            ensure!(ours.token == theirs.token, "token {} here, {} there", ours.token, theirs.token);
            most = most.max((ours.logprob - theirs.logprob).abs());
        }
    }
    println!("with those of options, by at most {most:.5}");
    let (requests, tokens) = served.spent();
    println!("the server counted {requests} requests and {tokens} tokens");
    ensure!(same == prompts.len(), "answers differ");
    ensure!(most <= args.tolerance, "log-probabilities differ by more than {}", args.tolerance);
    Ok(())
}

/// Questions of many lengths, some with a forced beginning.
fn prompt(number: usize) -> Prompt {
    const SUBJECTS: [&str; 10] = [
        "rain",
        "bread",
        "trains",
        "music",
        "the moon",
        "a small town",
        "winter",
        "glass",
        "horses",
        "money",
    ];
    let subject = SUBJECTS[number % SUBJECTS.len()];
    match number / SUBJECTS.len() % 5 {
        0 => Prompt::user(format!("Write a short sentence about {subject}.")),
        1 => Prompt::user(format!("Is {subject} good or bad? Answer in one word."))
            .with_response_prefix("Answer:"),
        2 => Prompt::user(format!("Name three things that have to do with {subject}, number {number}.")),
        3 => Prompt::user(format!("{number} + {} =", subject.len())),
        _ => {
            Prompt::user(format!("A friend says: I have never liked {subject}. What is the feeling of this?"))
                .with_response_prefix("The feeling is")
        }
    }
}
