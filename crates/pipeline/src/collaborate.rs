//! Eq. 4: differently configured collaborators answer every unlabelled prompt.

use crate::ask::{Question, Reply, Said, Want, ask};
use crate::folder::Inputs;
use crate::library::Library;
use crate::method::{BASE, CollaboratorConfig, ENSEMBLE, FOLDS, Method, MethodConfig, WARM};
use crate::round::Round;
use crate::seed_run::broken;
use crate::{OnEvent, PipelineError, SeedRun};
use semievol_core::{Answer, Candidate, Labeled, Sample, Seed};
use semievol_data::Wording;
use semievol_model::{Finish, LanguageModel, ModelId, Scores};
use semievol_select::options::{OptionScore, draw, mean, option_scores};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What the collaborators answered to one sample: a line of `candidates.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// The sample.
    pub id: String,
    /// One per collaborator, in the configuration's order.
    pub candidates: Vec<Candidate>,
    /// For a closed set, what the warm model makes of each option: `ln P` of its tokens, under the prompt that
    /// confidence is judged by; absent if that prompt did not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<Scores>,
}

/// The stage, and the name of its rows.
pub(crate) const CANDIDATES: &str = "candidates";

/// The questions of all collaborators, each distinct one once; of a model that stands in several places (the warm one is the
/// first of an ensemble), once in each.
struct Plan<'a> {
    models: Vec<&'a dyn LanguageModel>,
    questions: Vec<Question>,
    /// For each collaborator and sample, its questions: one for each of its models, none for a classifier.
    asked: Vec<Vec<Vec<usize>>>,
    /// For each sample, the warm model's question about its options.
    warm: Vec<Option<usize>>,
    /// Scored questions by model, sample, shots and wording.
    scored: HashMap<(usize, usize, usize, Option<&'a Wording>), usize>,
}

impl SeedRun<'_> {
    /// Asks all collaborators about all samples. Collaborators that share a model are asked together, so that
    /// prompts they share are computed once.
    pub(crate) fn collaborate(
        &self,
        method: &Method,
        round: &Round<'_>,
        library: &Library<'_>,
        events: OnEvent<'_>,
    ) -> Result<Vec<Answers>, PipelineError> {
        let (samples, config) = (round.samples, &method.config);
        let plan = self.plan(config, round)?;
        let ids: Vec<&ModelId> = plan.models.iter().map(|model| model.id()).collect();
        let mut inputs = Inputs::of("collaborate")
            .with("models", ids)
            .with("task", self.task_id)
            .with("collaborators", &config.collaborators)
            .with("confidence_shots", config.confidence_shots)
            .with("seed", self.seed)
            .with("embedder", library.embedder_id())
            .with_digest("labelled", &round.taught)
            .with_digest("samples", &samples)
            .with_digest("questions", &plan.questions);
        // Behind a server, how much a model holds is a setting and no part of its name.
        let servers = plan.models.iter().map(|model| model.capabilities()).filter(|can| !can.repeatable);
        let contexts: Vec<usize> = servers.map(|can| can.max_context).collect();
        if !contexts.is_empty() {
            inputs = inputs.with("contexts", contexts);
        }
        let own = method.own_ids();
        if !own.is_empty() {
            inputs = inputs.with("classifiers", own);
        }
        if config.combine.is_some() {
            // The answers then lack the warm model's scores, though the questions may be the same.
            inputs = inputs.with("combine", true);
        }
        if config.co_trains() {
            inputs = inputs.with_digest("kept", &round.kept);
        }
        let name = round.stage(CANDIDATES);
        let (place, stage) = self.prompts_stage(&name, inputs, plan.questions.len());
        self.rows(&place, stage, events, |events| {
            // What fails in them costs no prompts.
            let classified = self.classified(method, round, library)?;
            let replies = ask(&name, &place, &plan.models, &plan.questions, round.first, events)?;
            self.answers(config, round, classified, &plan, &replies)
        })
    }

    fn plan<'m>(&'m self, method: &'m MethodConfig, round: &Round<'m>) -> Result<Plan<'m>, PipelineError> {
        let Round { warm, samples, neighbours, .. } = round;
        // The warm model is the first, asked or not: confidence is its own.
        let mut plan = Plan {
            models: vec![*warm],
            questions: Vec::new(),
            asked: Vec::new(),
            warm: Vec::new(),
            scored: HashMap::new(),
        };
        let mut positions: HashMap<&str, Vec<usize>> = HashMap::from([(WARM, vec![0])]);
        for collaborator in &method.collaborators {
            let CollaboratorConfig::LanguageModel { name, model, shots, temperature, wording } = collaborator
            else {
                plan.asked.push(vec![Vec::new(); samples.len()]);
                continue;
            };
            if !positions.contains_key(model.as_str()) {
                let first = plan.models.len();
                match model.as_str() {
                    FOLDS => plan.models.extend(&round.folds),
                    ENSEMBLE => plan.models.extend(&round.ensemble),
                    _ => plan.models.push(self.model_called(name, model)?),
                }
                positions.insert(model, (first..plan.models.len()).collect());
            }
            // The plan was checked: the task can be put so.
            let reworded = wording.as_ref().and_then(|wording| self.task.reworded(wording));
            let asker = SeedRun { task: reworded.as_deref().unwrap_or(self.task), ..self.clone() };
            let seed = self.seed.child("collaborator", 0).child(name, 0);
            let asked = samples.iter().enumerate().map(|(index, sample)| {
                let shots = &neighbours[index][..(*shots).min(neighbours[index].len())];
                let seed = seed.child(&sample.id, 0);
                let ask = |position: &usize| {
                    let question = asker.question(*position, sample, shots, *temperature, seed);
                    plan.add(index, shots.len(), wording.as_ref(), question)
                };
                positions[model.as_str()].iter().map(ask).collect()
            });
            let asked = asked.collect();
            plan.asked.push(asked);
        }
        for (index, sample) in samples.iter().enumerate() {
            // Pooled distributions have a confidence of their own.
            let closed = method.combine.is_none() && !self.task.candidates(sample).is_empty();
            let shots = &neighbours[index][..method.confidence_shots.min(neighbours[index].len())];
            let ask = || self.question(0, sample, shots, 0.0, Seed(0));
            let question = closed.then(|| plan.add(index, shots.len(), None, ask()));
            plan.warm.push(question);
        }
        Ok(plan)
    }

    fn model_called(&self, collaborator: &str, model: &str) -> Result<&dyn LanguageModel, PipelineError> {
        if model == BASE {
            return Ok(self.base.as_ref());
        }
        self.parts.models.get(model).map(|model| model.as_ref()).ok_or_else(|| {
            PipelineError::Assembly(format!(
                "method.collaborators: `{collaborator}` asks model `{model}`, but there is none of that name"
            ))
        })
    }

    /// What each collaborator says that is a classifier.
    fn classified(
        &self,
        method: &Method,
        round: &Round<'_>,
        library: &Library<'_>,
    ) -> Result<Vec<Option<Vec<Candidate>>>, PipelineError> {
        let answer = |one: &CollaboratorConfig| {
            if one.model().is_some() {
                return Ok(None);
            }
            let kept = round.kept.iter().filter(|_| one.co_trained());
            let taught: Vec<&Labeled> = round.taught.iter().copied().chain(kept).collect();
            let classifier = method.classifier(one)?;
            self.classify(one.name(), classifier.as_ref(), library, &taught, round.samples).map(Some)
        };
        method.config.collaborators.iter().map(answer).collect()
    }

    fn answers(
        &self,
        method: &MethodConfig,
        round: &Round<'_>,
        classified: Vec<Option<Vec<Candidate>>>,
        plan: &Plan<'_>,
        replies: &[Reply],
    ) -> Result<Vec<Answers>, PipelineError> {
        let samples = round.samples;
        let mut columns = Vec::with_capacity(method.collaborators.len());
        for ((collaborator, asked), said) in method.collaborators.iter().zip(&plan.asked).zip(classified) {
            let CollaboratorConfig::LanguageModel { name, temperature, .. } = collaborator else {
                columns.extend(said);
                continue;
            };
            let seed = self.seed.child("draw", 0).child(name, 0);
            let mut column = Vec::with_capacity(samples.len());
            for (sample, asked) in samples.iter().zip(asked) {
                let seed = seed.child(&sample.id, 0);
                let said: Vec<(&Question, &Reply)> =
                    asked.iter().map(|at| (&plan.questions[*at], &replies[*at])).collect();
                let candidate = self.candidate(name, sample, &said, *temperature, seed);
                let model = said.first().map_or(0, |(question, _)| question.model);
                let failed = |reason| broken(CANDIDATES, plan.models[model].id(), reason);
                column.push(candidate.map_err(failed)?);
            }
            columns.push(column);
        }
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        let row = |(sample, warm): (&Sample, &Option<usize>)| Answers {
            id: sample.id.clone(),
            candidates: columns.iter_mut().filter_map(Iterator::next).collect(),
            warm: warm.and_then(|question| match &replies[question].said {
                Said::Scores(scores) => Some(scores.clone()),
                _ => None,
            }),
        };
        Ok(samples.iter().zip(&plan.warm).map(row).collect())
    }

    /// What a collaborator makes of its models' replies: the mean of their distributions. An open answer, which has
    /// no mean, is its first model's.
    fn candidate(
        &self,
        name: &str,
        sample: &Sample,
        said: &[(&Question, &Reply)],
        temperature: f64,
        seed: Seed,
    ) -> Result<Candidate, String> {
        let mut candidate = Candidate::new(name, None);
        let Some((question, reply)) = said.first() else { return Ok(candidate) };
        candidate.shots = question.prompts.len() - 1 - reply.prompt;
        match &reply.said {
            Said::Scores(first) => {
                let mut scores = option_scores(sample, first)?;
                if said.len() > 1 {
                    mix(&mut scores, sample, said)?;
                }
                candidate.answer = draw(&scores, temperature, seed).map(Answer::Choice);
                candidate.distribution = scores.iter().map(|score| score.probability).collect();
            }
            Said::Response { text, finish, .. } => {
                // Half a response is no label.
                candidate.answer = self.task.parse(sample, text).filter(|_| *finish == Finish::Stop);
                candidate.response = text.clone();
            }
            Said::TooLong(error) => candidate.error = Some(error.clone()),
        }
        Ok(candidate)
    }
}

impl<'a> Plan<'a> {
    /// The question's position; a closed set's scores do not depend on a seed and are asked for once.
    fn add(
        &mut self,
        sample: usize,
        shots: usize,
        wording: Option<&'a Wording>,
        question: Question,
    ) -> usize {
        let key = (question.model, sample, shots, wording);
        if let (Want::Scores(_), Some(known)) = (&question.want, self.scored.get(&key)) {
            return *known;
        }
        if matches!(question.want, Want::Scores(_)) {
            self.scored.insert(key, self.questions.len());
        }
        self.questions.push(question);
        self.questions.len() - 1
    }
}

/// Replaces probabilities by the mean of what all models say. One whose prompt did not fit says nothing.
fn mix(scores: &mut [OptionScore], sample: &Sample, said: &[(&Question, &Reply)]) -> Result<(), String> {
    let mut distributions = Vec::with_capacity(said.len());
    for (_, reply) in said {
        let Said::Scores(one) = &reply.said else { continue };
        let scored = option_scores(sample, one)?;
        distributions.push(scored.iter().map(|score| score.probability).collect::<Vec<_>>());
    }
    let distributions: Vec<&[f64]> = distributions.iter().map(Vec::as_slice).collect();
    for (score, probability) in scores.iter_mut().zip(mean(&distributions)) {
        score.probability = probability;
        score.logprob = probability.ln();
    }
    Ok(())
}
