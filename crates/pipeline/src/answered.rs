//! A model's answers to samples.

use crate::ask::{Question, Reply, Said, Want, ask};
use crate::folder::Inputs;
use crate::seed_run::broken;
use crate::{OnEvent, PipelineError, SeedRun};
use semievol_core::{Answer, Candidate, Labeled, Prompt, Sample, Seed};
use semievol_data::Task;
use semievol_model::{GenerateRequest, LanguageModel, ModelId};
use semievol_select::options::{OptionScore, draw, option_scores};
use serde::{Deserialize, Serialize};

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
    /// Neighbours that the prompt showed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shots: usize,
    /// Why there is no answer: the prompt did not fit the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Answered {
    /// A collaborator's answer with its distribution.
    pub(crate) fn of(sample: &Sample, candidate: Candidate) -> Self {
        let scored = sample.options.iter().zip(&candidate.distribution);
        let options = scored.map(|(option, probability)| OptionScore {
            option: option.clone(),
            // JSON has no infinity, and nobody knows that an option is impossible.
            logprob: probability.max(f64::MIN_POSITIVE).ln(),
            n_tokens: 0,
            probability: *probability,
        });
        Answered {
            id: sample.id.clone(),
            predicted: candidate.answer,
            options: options.collect(),
            response: None,
            shots: candidate.shots,
            error: candidate.error,
        }
    }
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl SeedRun<'_> {
    /// A model's most probable answers to samples, written to `predictions-NAME.jsonl`. `neighbours` stand in
    /// the prompts, the nearest first; an empty list for each sample shows none.
    ///
    /// # Errors
    /// If the model fails. A prompt that does not fit is an answer that is absent.
    pub fn answer(
        &self,
        name: &str,
        model: &dyn LanguageModel,
        samples: &[Sample],
        neighbours: &[Vec<&Labeled>],
        events: OnEvent<'_>,
    ) -> Result<Vec<Answered>, PipelineError> {
        let question = |(index, sample): (usize, &Sample)| {
            let shots = neighbours.get(index).map(Vec::as_slice).unwrap_or_default();
            self.question(0, sample, shots, 0.0, Seed(0))
        };
        let questions: Vec<Question> = samples.iter().enumerate().map(question).collect();
        let inputs = Inputs::of("answer")
            .with("model", model.id())
            .with("task", self.task_id)
            .with_digest("samples", &samples)
            .with_digest("questions", &questions);
        let name = format!("predictions-{name}");
        let (place, stage) = self.prompts_stage(&name, inputs, questions.len());
        self.rows(&place, stage, events, |events| {
            let replies = ask(&name, &place, &[model], &questions, true, events)?;
            let answered = samples.iter().zip(&questions).zip(replies);
            answered
                .map(|((sample, question), reply)| self.answered(&name, model.id(), sample, question, reply))
                .collect()
        })
    }

    /// Asks for a sample's answer: the scores of its options, or a response.
    pub(crate) fn question(
        &self,
        model: usize,
        sample: &Sample,
        shots: &[&Labeled],
        temperature: f64,
        seed: Seed,
    ) -> Question {
        let candidates = self.task.candidates(sample);
        let want = if candidates.is_empty() {
            Want::Response(GenerateRequest {
                max_tokens: self.max_answer_tokens,
                temperature: temperature as f32,
                ..GenerateRequest::new(Prompt::default(), seed)
            })
        } else {
            Want::Scores(candidates)
        };
        Question { model, prompts: prompts(self.task, sample, shots), want }
    }

    fn answered(
        &self,
        stage: &str,
        model: &ModelId,
        sample: &Sample,
        question: &Question,
        reply: Reply,
    ) -> Result<Answered, PipelineError> {
        let shots = question.prompts.len() - 1 - reply.prompt;
        let nothing = Answered {
            id: sample.id.clone(),
            predicted: None,
            options: Vec::new(),
            response: None,
            shots,
            error: None,
        };
        Ok(match reply.said {
            Said::Scores(scores) => {
                let options =
                    option_scores(sample, &scores).map_err(|reason| broken(stage, model, reason))?;
                let predicted = draw(&options, 0.0, Seed(0)).map(Answer::Choice);
                Answered { predicted, options, ..nothing }
            }
            Said::Response { text, .. } => {
                Answered { predicted: self.task.parse(sample, &text), response: Some(text), ..nothing }
            }
            Said::TooLong(error) => Answered { error: Some(error), ..nothing },
        })
    }
}

/// The prompt with all the shots, then with ever fewer: the farthest is dropped first, the question never.
pub(crate) fn prompts(task: &dyn Task, sample: &Sample, shots: &[&Labeled]) -> Vec<Prompt> {
    (0..=shots.len()).rev().map(|shown| task.prompt(sample, &shots[..shown])).collect()
}
