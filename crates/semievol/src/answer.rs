//! A model's answers to samples: scored where the options are known, generated where they are not.

use crate::RunError;
use semievol_core::{Answer, Sample, Seed, TokenLogprob};
use semievol_data::Task;
use semievol_model::{GenerateRequest, LanguageModel, ModelError, ScoreRequest};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// What a model answered to one sample: a line of `predictions-*.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The sample.
    pub id: String,
    /// The answer; absent if the response could not be read or the prompt did not fit.
    pub predicted: Option<Answer>,
    /// Every option of a closed set with its probability, in the sample's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<OptionScore>,
    /// The generated text of an open task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// Why there is no answer: the prompt did not fit the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How probable an option is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptionScore {
    /// Its text.
    pub option: String,
    /// `ln P(option's string and end of turn | prompt)`: the sum over their tokens.
    pub logprob: f64,
    /// Tokens of that sum.
    pub n_tokens: usize,
    /// `exp(logprob)`, normalised over the options.
    pub probability: f64,
}

/// Answers every sample; the result is in their order. `on_done` gets the number of samples done.
pub(crate) fn answer_all(
    model: &dyn LanguageModel,
    task: &dyn Task,
    samples: &[Sample],
    max_tokens: usize,
    on_done: &mut dyn FnMut(usize),
) -> Result<Vec<Answered>, ModelError> {
    let (closed, open): (Vec<usize>, Vec<usize>) =
        (0..samples.len()).partition(|index| !task.candidates(&samples[*index]).is_empty());
    let mut slots = Slots { answered: vec![None; samples.len()], done: 0, failed: None, on_done };
    let requests: Vec<ScoreRequest> = closed
        .iter()
        .map(|index| &samples[*index])
        .map(|sample| ScoreRequest {
            prompt: task.prompt(sample, &[]),
            continuations: task.candidates(sample),
        })
        .collect();
    if !requests.is_empty() {
        model.score_each(&requests, &mut |at, scores| {
            let sample = &samples[closed[at]];
            slots.put(closed[at], sample, scores.and_then(|scores| chosen(model, sample, &scores)))
        })?;
    }
    let requests: Vec<GenerateRequest> = open
        .iter()
        .map(|index| GenerateRequest {
            max_tokens,
            temperature: 0.0,
            ..GenerateRequest::new(task.prompt(&samples[*index], &[]), Seed(0))
        })
        .collect();
    if slots.failed.is_none() && !requests.is_empty() {
        model.generate_each(&requests, &mut |at, said| {
            let sample = &samples[open[at]];
            let read = |text: String| Answered {
                predicted: task.parse(sample, &text),
                response: Some(text),
                ..Answered::nothing(sample)
            };
            slots.put(open[at], sample, said.map(|said| read(said.text)))
        })?;
    }
    slots.finish(model)
}

/// The answers so far.
struct Slots<'a> {
    answered: Vec<Option<Answered>>,
    done: usize,
    failed: Option<ModelError>,
    on_done: &'a mut dyn FnMut(usize),
}

impl Slots<'_> {
    /// Keeps a result. A prompt that does not fit fails alone; anything else ends the run.
    fn put(
        &mut self,
        index: usize,
        sample: &Sample,
        result: Result<Answered, ModelError>,
    ) -> ControlFlow<()> {
        let answered = match result {
            Ok(answered) => answered,
            Err(error @ ModelError::ContextExceeded { .. }) => {
                Answered { error: Some(error.to_string()), ..Answered::nothing(sample) }
            }
            Err(error) => {
                self.failed = Some(error);
                return ControlFlow::Break(());
            }
        };
        self.answered[index] = Some(answered);
        self.done += 1;
        (self.on_done)(self.done);
        ControlFlow::Continue(())
    }

    fn finish(self, model: &dyn LanguageModel) -> Result<Vec<Answered>, ModelError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let total = self.answered.len();
        let missing = |index| failure(model, format!("sample {index} of {total} was never answered"));
        self.answered
            .into_iter()
            .enumerate()
            .map(|(index, slot)| slot.ok_or_else(|| missing(index)))
            .collect()
    }
}

/// The most probable option; the first of equals.
fn chosen(
    model: &dyn LanguageModel,
    sample: &Sample,
    scores: &[Vec<TokenLogprob>],
) -> Result<Answered, ModelError> {
    let totals: Vec<f64> =
        scores.iter().map(|tokens| tokens.iter().map(|token| f64::from(token.logprob)).sum()).collect();
    if totals.len() != sample.options.len() || totals.iter().any(|total| !total.is_finite()) {
        let reason = format!(
            "sample `{}`: the log-probabilities {totals:?} do not match its {} options",
            sample.id,
            sample.options.len()
        );
        return Err(failure(model, reason));
    }
    let best = totals.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total_mass: f64 = totals.iter().map(|total| (total - best).exp()).sum();
    let options =
        sample.options.iter().zip(scores).zip(&totals).map(|((option, tokens), total)| OptionScore {
            option: option.clone(),
            logprob: *total,
            n_tokens: tokens.len(),
            probability: (total - best).exp() / total_mass,
        });
    let predicted = totals.iter().position(|total| *total == best).map(Answer::Choice);
    Ok(Answered { predicted, options: options.collect(), ..Answered::nothing(sample) })
}

fn failure(model: &dyn LanguageModel, reason: String) -> ModelError {
    ModelError::Backend { model: model.id().clone(), reason, source: None }
}

impl Answered {
    fn nothing(sample: &Sample) -> Self {
        Answered { id: sample.id.clone(), predicted: None, options: Vec::new(), response: None, error: None }
    }
}

/// Refuses what would fail in the middle of a run: a closed set without options, a model that cannot score.
pub(crate) fn check(
    model: &dyn LanguageModel,
    task: &dyn Task,
    closed_set: bool,
    samples: &[&Sample],
) -> Result<(), RunError> {
    if !closed_set {
        return Ok(());
    }
    if let Some(sample) = samples.iter().find(|sample| task.candidates(sample).is_empty()) {
        return Err(RunError::Assembly(format!(
            "sample `{}` has no options, and task.kind = \"closed_set\" needs them: set data.columns.options, or another task.kind",
            sample.id
        )));
    }
    if !model.capabilities().scores {
        return Err(RunError::Assembly(format!(
            "{} cannot score, and task.kind = \"closed_set\" compares the options' probabilities: take another model",
            model.id()
        )));
    }
    Ok(())
}
