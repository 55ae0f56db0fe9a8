//! Checks of a model on this machine, with examples of the user's own.
//!
//! The tests hold the engine to PyTorch's numbers on a few models. A file from elsewhere may still have a template or a
//! tokenizer that nobody has seen; this measures what training and answering rely on, on that very model.

use crate::backward::{Pass, Sequence};
use crate::export::merge;
use crate::lora::Lora;
use crate::{BaseModel, CandleTrainer, EngineError, Llama};
use semievol_core::{Message, Role, Seed};
use semievol_train::Example;

/// One check.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What was checked, in a word or two.
    pub name: &'static str,
    /// What was found, with its measure.
    pub finding: String,
    /// How it ended.
    pub verdict: Verdict,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// Works, but not as one would expect.
    Odd,
    /// Training or answers would be wrong.
    Failed,
}

/// Largest difference of a log-probability between two ways to compute it in `f32`.
const LOGPROB: f64 = 2e-3;
/// Tokens whose logits are held at once.
const CONTEXTS: usize = 64;
/// Largest relative difference between the gradient and a difference quotient of the loss.
const GRADIENT: f64 = 3e-2;

/// Checks a model with these examples; a handful is enough.
///
/// # Errors
/// If an example cannot be made into tokens, or there is none.
pub fn examine(base: &BaseModel, examples: &[Example]) -> Result<Vec<Check>, EngineError> {
    let trainer = CandleTrainer::new(base.clone());
    let mut sequences = Vec::new();
    for example in examples {
        sequences.extend(trainer.encode(example)?);
    }
    let limit = base.llama.config().max_context;
    let fitting: Vec<Sequence> = sequences.into_iter().filter(|one| one.tokens.len() <= limit).collect();
    if fitting.is_empty() {
        let reason = format!("no example fits into the model's {limit} tokens; give shorter ones");
        return Err(EngineError::Config { reason });
    }
    let lora = some_lora(base);
    Ok(vec![
        text(base, examples),
        template(base, examples)?,
        end_of_turn(base),
        mask(base, &fitting),
        packing(base, &fitting),
        gradient(base, &lora, &fitting),
        merged(base, &lora, &fitting)?,
    ])
}

fn verdict(passed: bool) -> Verdict {
    if passed { Verdict::Passed } else { Verdict::Failed }
}

/// What is tokenised comes back as it was.
fn text(base: &BaseModel, examples: &[Example]) -> Check {
    let tokenizer = &base.tokenizer;
    let questions = examples.iter().flat_map(|example| &example.prompt.messages);
    let texts: Vec<&str> = questions
        .map(|message| message.content.as_str())
        .chain(examples.iter().map(|example| example.response.as_str()))
        .collect();
    let changed: Vec<&&str> = texts
        .iter()
        .filter(|text| tokenizer.decode(&tokenizer.encode_text(text)).trim() != text.trim())
        .collect();
    let finding = match changed.first() {
        None => format!("{} texts are the same after encoding and decoding", texts.len()),
        Some(first) => format!(
            "{} of {} texts are changed by encoding and decoding, the first is {:?}",
            changed.len(),
            texts.len(),
            first.chars().take(60).collect::<String>()
        ),
    };
    let verdict = if changed.is_empty() { Verdict::Passed } else { Verdict::Odd };
    Check { name: "tokenizer", finding, verdict }
}

/// What is trained is how the template itself writes the finished conversation.
fn template(base: &BaseModel, examples: &[Example]) -> Result<Check, EngineError> {
    let tokenizer = &base.tokenizer;
    let mut same = 0;
    let mut first = None;
    for example in examples {
        let prompt = tokenizer.encode_prompt(&example.prompt)?;
        let response = tokenizer.encode_response(&example.prompt.response_prefix, &example.response)?;
        let ours = [prompt, response.ids].concat();
        let content = format!("{}{}", example.prompt.response_prefix, example.response);
        let said = Message { role: Role::Assistant, content };
        let whole: Vec<Message> = example.prompt.messages.iter().cloned().chain([said]).collect();
        let theirs = tokenizer.encode_conversation(&whole)?;
        match ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs) {
            None if theirs.len() >= ours.len() => same += 1,
            at => {
                let at = at.unwrap_or(theirs.len());
                let shown = |ids: &[u32]| {
                    let near = &ids[at.saturating_sub(2).min(ids.len())..(at + 3).min(ids.len())];
                    near.iter().filter_map(|id| tokenizer.token_text(*id)).collect::<Vec<_>>().join(" ")
                };
                first.get_or_insert(format!("trained `{}`, template `{}`", shown(&ours), shown(&theirs)));
            }
        }
    }
    let finding = format!(
        "{same} of {} trained conversations are token for token what the template makes of them{}",
        examples.len(),
        first.map(|first| format!("; the first that is not: {first}")).unwrap_or_default()
    );
    // A template may trim, or leave thoughts out, and the model trains well all the same.
    let verdict = if same == examples.len() { Verdict::Passed } else { Verdict::Odd };
    Ok(Check { name: "chat template", finding, verdict })
}

fn end_of_turn(base: &BaseModel) -> Check {
    let tokenizer = &base.tokenizer;
    let id = tokenizer.end_of_turn();
    let text = tokenizer.token_text(id).unwrap_or_default();
    let ends = tokenizer.is_end(id);
    let finding = format!(
        "a response is taught to end with `{text}` ({id}), which {} generation",
        if ends { "ends" } else { "does not end" }
    );
    Check { name: "end of turn", finding, verdict: verdict(ends) }
}

/// The loss is that of the response's tokens, each computed by itself from everything before it.
fn mask(base: &BaseModel, sequences: &[Sequence]) -> Check {
    let llama = &base.llama;
    let lora = Lora::init(llama.config(), 1, 1.0, Seed(0));
    let mut worst: f64 = 0.0;
    let (mut learnt, mut read) = (0, 0);
    for sequence in sequences {
        let mut grad = vec![0.0; lora.values.len()];
        let loss = Pass::new(false).accumulate(llama, &lora, std::slice::from_ref(sequence), 1.0, &mut grad);
        let contexts: Vec<&[u32]> =
            (sequence.n_prompt..sequence.tokens.len()).map(|end| &sequence.tokens[..end]).collect();
        // All of them at once would hold the logits of a whole answer.
        let parts = contexts.chunks(CONTEXTS).zip(sequence.tokens[sequence.n_prompt..].chunks(CONTEXTS));
        let alone: f64 = parts
            .flat_map(|(contexts, tokens)| llama.next_token_logits(None, contexts).into_iter().zip(tokens))
            .map(|(logits, token)| -f64::from(sequence.weight) * logprob(&logits, *token))
            .sum();
        let apart = (loss - alone).abs() / contexts.len() as f64;
        worst = if apart.is_nan() { f64::INFINITY } else { worst.max(apart) };
        learnt += contexts.len();
        read += sequence.tokens.len();
    }
    let finding = format!(
        "the loss is on {learnt} of {read} tokens, the responses', and differs from their log-probabilities by at most {worst:.1e} a token"
    );
    Check { name: "mask", finding, verdict: verdict(worst < LOGPROB) }
}

/// A prompt's answer does not depend on its neighbours in a batch.
fn packing(base: &BaseModel, sequences: &[Sequence]) -> Check {
    let prompts: Vec<&[u32]> = sequences.iter().map(|one| &one.tokens[..one.n_prompt]).collect();
    let together = base.llama.next_token_logits(None, &prompts);
    let alone: Vec<Vec<f32>> =
        prompts.iter().flat_map(|prompt| base.llama.next_token_logits(None, &[prompt])).collect();
    let worst = largest_difference(&alone.concat(), &together.concat());
    let finding =
        format!("{} prompts alone and together differ by at most {worst:.1e} in a logit", prompts.len());
    Check { name: "packing", finding, verdict: verdict(worst < LOGPROB * 10.0) }
}

/// The derivative along the gradient is its length.
fn gradient(base: &BaseModel, lora: &Lora, sequences: &[Sequence]) -> Check {
    let batch = &sequences[..sequences.len().min(4)];
    let at = |values: &[f32]| {
        let moved = Lora { values: values.to_vec(), ..lora.clone() };
        let mut grad = vec![0.0; values.len()];
        let loss = Pass::new(false).accumulate(&base.llama, &moved, batch, 1.0, &mut grad);
        (loss, grad)
    };
    let (_, grad) = at(&lora.values);
    let length = grad.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    // So far that the loss changes by far more than it is rounded to, and no farther.
    let step = 0.02 / length.max(1e-6);
    let moved = |step: f64| {
        let values: Vec<f32> = lora
            .values
            .iter()
            .zip(&grad)
            .map(|(value, g)| value + (step * f64::from(*g) / length) as f32)
            .collect();
        at(&values).0
    };
    let numeric = (moved(step) - moved(-step)) / (2.0 * step);
    let apart = (numeric / length - 1.0).abs();
    let finding = format!(
        "over {} parameters: the loss rises by {numeric:.4} per unit along the gradient, whose length is {length:.4} ({:.2}% apart)",
        grad.len(),
        100.0 * apart
    );
    Check { name: "gradient", finding, verdict: verdict(apart < GRADIENT) }
}

/// Base plus adapter answers as the merged model does.
fn merged(base: &BaseModel, lora: &Lora, sequences: &[Sequence]) -> Result<Check, EngineError> {
    let merged = Llama::new(merge(base.llama.weights(), lora)?)?;
    let prompts: Vec<&[u32]> = sequences.iter().map(|one| &one.tokens[..one.n_prompt]).collect();
    let apart = base.llama.next_token_logits(Some(lora), &prompts);
    let whole = merged.next_token_logits(None, &prompts);
    let worst = largest_difference(&apart.concat(), &whole.concat());
    let change = largest_difference(&apart.concat(), &base.llama.next_token_logits(None, &prompts).concat());
    let finding = format!(
        "an adapter that moves a logit by up to {change:.2} gives, merged into the weights, the same logits to {worst:.1e}"
    );
    // Weights that are stored in fewer bits are merged in f32, so what differs is rounding.
    Ok(Check { name: "merging", finding, verdict: verdict(worst < 1e-2 * change.max(0.1)) })
}

/// An adapter that changes every layer a little: neither of its halves is zero.
fn some_lora(base: &BaseModel) -> Lora {
    let mut lora = Lora::init(base.llama.config(), 4, 8.0, Seed(7));
    for tensor in lora.layout.tensors().filter(|tensor| tensor.is_b).collect::<Vec<_>>() {
        let seed = Seed(7).child("b", tensor.at.start as u64);
        for (index, value) in lora.values[tensor.at].iter_mut().enumerate() {
            *value = (Seed(seed.0.wrapping_add(index as u64)).uniform() as f32 - 0.5) * 0.02;
        }
    }
    lora
}

fn logprob(logits: &[f32], token: u32) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    f64::from(logits[token as usize] - highest) - sum.ln()
}

fn largest_difference(one: &[f32], other: &[f32]) -> f64 {
    let differences = one.iter().zip(other).map(|(one, other)| f64::from((one - other).abs()));
    differences.fold(
        0.0,
        |worst, difference| if difference.is_nan() { f64::INFINITY } else { worst.max(difference) },
    )
}
