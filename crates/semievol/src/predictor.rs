//! Answers rows with one model.

use crate::{ExperimentConfig, RunError};
use semievol_core::{Answer, Sample, Seed, TokenLogprob};
use semievol_data::Task;
use semievol_model::{GenerateRequest, LanguageModel, ModelError, ScoreRequest};
use semievol_select::options::{OptionScore, most_probable, option_scores};
use std::sync::Arc;

/// A model with the task that it was trained for.
///
/// It asks as the arms of an experiment ask their test rows: without neighbours in the prompt, the most probable answer.
pub struct Predictor {
    task: Box<dyn Task>,
    model: Arc<dyn LanguageModel>,
    max_answer_tokens: usize,
}

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predictor")
            .field("model", self.model.id())
            .field("max_answer_tokens", &self.max_answer_tokens)
            .finish_non_exhaustive()
    }
}

/// An answer and how sure the model is of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// The answer; absent if the response could not be read or the prompt did not fit.
    pub answer: Option<Answer>,
    /// The probability of the option, or of the whole response where answers are open; absent without an answer.
    pub confidence: Option<f64>,
    /// Every option of a closed set with its probability.
    pub options: Vec<OptionScore>,
    /// The generated text of an open task.
    pub response: Option<String>,
    /// Why there is no answer: the question is empty, or the prompt did not fit the model.
    pub error: Option<String>,
}

impl Predictor {
    /// For the task of an experiment.
    ///
    /// # Errors
    /// If the task's settings make no sense.
    pub fn new(config: &ExperimentConfig, model: Arc<dyn LanguageModel>) -> Result<Self, RunError> {
        let task = config.task.build().map_err(|error| RunError::Assembly(error.to_string()))?;
        Ok(Predictor { task, model, max_answer_tokens: config.max_answer_tokens })
    }

    /// What is asked.
    pub fn task(&self) -> &dyn Task {
        self.task.as_ref()
    }

    /// Who answers.
    pub fn model(&self) -> &dyn LanguageModel {
        self.model.as_ref()
    }

    /// One answer for each sample. To an empty question and to a prompt that does not fit it is absent.
    ///
    /// # Errors
    /// If the model fails.
    pub fn answer(&self, samples: &[Sample]) -> Result<Vec<Predicted>, RunError> {
        let closed = |sample: &Sample| !self.task.candidates(sample).is_empty();
        let (empty, asked): (Vec<usize>, Vec<usize>) =
            (0..samples.len()).partition(|index| samples[*index].question.trim().is_empty());
        let (scored, written): (Vec<usize>, Vec<usize>) =
            asked.into_iter().partition(|index| closed(&samples[*index]));
        let requests: Vec<ScoreRequest> = scored
            .iter()
            .map(|index| ScoreRequest {
                prompt: self.task.prompt(&samples[*index], &[]),
                continuations: self.task.candidates(&samples[*index]),
            })
            .collect();
        let failed = |error: ModelError| RunError::load("model", error);
        let nothing =
            || Predicted { error: Some("the question is empty".to_owned()), ..Predicted::nothing() };
        let mut all: Vec<(usize, Predicted)> = empty.into_iter().map(|index| (index, nothing())).collect();
        for (index, scores) in scored.into_iter().zip(self.model.score(&requests).map_err(failed)?) {
            let predicted = match scores {
                Ok(scores) => Predicted::scored(&samples[index], &scores)?,
                Err(error) => Predicted::refused(error)?,
            };
            all.push((index, predicted));
        }
        let requests: Vec<GenerateRequest> = written
            .iter()
            .map(|index| GenerateRequest {
                max_tokens: self.max_answer_tokens,
                temperature: 0.0,
                ..GenerateRequest::new(self.task.prompt(&samples[*index], &[]), Seed(0))
            })
            .collect();
        for (index, said) in written.into_iter().zip(self.model.generate(&requests).map_err(failed)?) {
            let predicted = match said {
                Ok(said) => {
                    let answer = self.task.parse(&samples[index], &said.text);
                    let sure = answer.as_ref().map(|_| probability(&said.tokens));
                    Predicted { answer, confidence: sure, response: Some(said.text), ..Predicted::nothing() }
                }
                Err(error) => Predicted::refused(error)?,
            };
            all.push((index, predicted));
        }
        all.sort_by_key(|(index, _)| *index);
        Ok(all.into_iter().map(|(_, predicted)| predicted).collect())
    }
}

impl Predicted {
    fn nothing() -> Self {
        Predicted { answer: None, confidence: None, options: Vec::new(), response: None, error: None }
    }

    fn scored(sample: &Sample, scores: &[Vec<TokenLogprob>]) -> Result<Self, RunError> {
        let options = option_scores(sample, scores).map_err(RunError::Assembly)?;
        let logprobs: Vec<f64> = options.iter().map(|option| option.logprob).collect();
        let best = most_probable(&logprobs);
        Ok(Predicted {
            answer: best.map(Answer::Choice),
            confidence: best.map(|best| options[best].probability),
            options,
            ..Predicted::nothing()
        })
    }

    fn refused(error: ModelError) -> Result<Self, RunError> {
        let reason = error.of_one_prompt().map_err(|error| RunError::load("model", error))?;
        Ok(Predicted { error: Some(reason), ..Predicted::nothing() })
    }
}

fn probability(tokens: &[TokenLogprob]) -> f64 {
    tokens.iter().map(|token| f64::from(token.logprob)).sum::<f64>().exp()
}
