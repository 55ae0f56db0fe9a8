//! Eq. 4: differently configured collaborators answer every unlabelled prompt.

use crate::ask::{Question, Reply, Said, Want, ask};
use crate::evolve::Round;
use crate::folder::{Inputs, Place};
use crate::library::Library;
use crate::method::{BASE, CollaboratorConfig, MethodConfig, WARM};
use crate::seed_run::broken;
use crate::{OnEvent, PipelineError, SeedRun, Stage, Unit};
use semievol_core::{Answer, Candidate, Labeled, Sample, Seed};
use semievol_model::{Finish, LanguageModel, ModelId, Scores};
use semievol_select::classify::fit_by_cross_validation;
use semievol_select::options::{draw, most_probable, option_scores};
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

const NAME: &str = "candidates";

/// The questions of all collaborators, each distinct one once.
struct Plan<'a> {
    models: Vec<&'a dyn LanguageModel>,
    questions: Vec<Question>,
    /// For each collaborator and sample, its question; none for a classifier.
    asked: Vec<Vec<Option<usize>>>,
    /// For each sample, the warm model's question about its options.
    warm: Vec<Option<usize>>,
    /// Scored questions by model, sample and shots.
    scored: HashMap<(usize, usize, usize), usize>,
}

impl SeedRun<'_> {
    /// Asks all collaborators about all samples. Collaborators that share a model are asked together, so that
    /// prompts they share are computed once.
    pub(crate) fn collaborate(
        &self,
        method: &MethodConfig,
        round: &Round<'_>,
        library: &Library<'_>,
        events: OnEvent<'_>,
    ) -> Result<Vec<Answers>, PipelineError> {
        let samples = round.samples;
        let plan = self.plan(method, round)?;
        let ids: Vec<&ModelId> = plan.models.iter().map(|model| model.id()).collect();
        let inputs = Inputs::of("collaborate")
            .with("models", ids)
            .with("task", self.task_id)
            .with("collaborators", &method.collaborators)
            .with("confidence_shots", method.confidence_shots)
            .with("seed", self.seed)
            .with("embedder", library.embedder_id())
            .with_digest("labelled", &library.labelled())
            .with_digest("samples", &samples)
            .with_digest("questions", &plan.questions);
        let place = Place::new(&self.folder, NAME, "candidates.jsonl", inputs);
        let stage = Stage::new(NAME, Unit::Prompts, plan.questions.len());
        self.rows(&place, stage, events, |events| {
            let replies = ask(NAME, &place, &plan.models, &plan.questions, events)?;
            self.answers(method, samples, library, &plan, &replies)
        })
    }

    fn plan<'m>(&'m self, method: &MethodConfig, round: &Round<'m>) -> Result<Plan<'m>, PipelineError> {
        let Round { warm, samples, neighbours } = round;
        // The warm model is the first, asked or not: confidence is its own.
        let mut plan = Plan {
            models: vec![*warm],
            questions: Vec::new(),
            asked: Vec::new(),
            warm: Vec::new(),
            scored: HashMap::new(),
        };
        let mut names = vec![WARM.to_owned()];
        for collaborator in &method.collaborators {
            let CollaboratorConfig::LanguageModel { name, model, shots, temperature } = collaborator else {
                plan.asked.push(vec![None; samples.len()]);
                continue;
            };
            let position = match names.iter().position(|known| known == model) {
                Some(position) => position,
                None => {
                    plan.models.push(self.model_called(name, model)?);
                    names.push(model.clone());
                    names.len() - 1
                }
            };
            let seed = self.seed.child("collaborator", 0).child(name, 0);
            let asked = samples.iter().enumerate().map(|(index, sample)| {
                let shots = &neighbours[index][..(*shots).min(neighbours[index].len())];
                let seed = seed.child(&sample.id, 0);
                Some(plan.add(index, shots.len(), self.question(position, sample, shots, *temperature, seed)))
            });
            let asked = asked.collect();
            plan.asked.push(asked);
        }
        for (index, sample) in samples.iter().enumerate() {
            let closed = !self.task.candidates(sample).is_empty();
            let shots = &neighbours[index][..method.confidence_shots.min(neighbours[index].len())];
            let question =
                closed.then(|| plan.add(index, shots.len(), self.question(0, sample, shots, 0.0, Seed(0))));
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

    fn answers(
        &self,
        method: &MethodConfig,
        samples: &[Sample],
        library: &Library<'_>,
        plan: &Plan<'_>,
        replies: &[Reply],
    ) -> Result<Vec<Answers>, PipelineError> {
        let mut columns = Vec::with_capacity(method.collaborators.len());
        for (collaborator, asked) in method.collaborators.iter().zip(&plan.asked) {
            columns.push(match collaborator {
                CollaboratorConfig::LanguageModel { name, temperature, .. } => {
                    let seed = self.seed.child("draw", 0).child(name, 0);
                    let mut column = Vec::with_capacity(samples.len());
                    for (sample, question) in samples.iter().zip(asked) {
                        let Some(question) = *question else { continue };
                        let (model, seed) =
                            (plan.models[plan.questions[question].model], seed.child(&sample.id, 0));
                        let candidate = self.candidate(
                            name,
                            sample,
                            &plan.questions[question],
                            &replies[question],
                            *temperature,
                            seed,
                        );
                        column.push(candidate.map_err(|reason| broken(NAME, model.id(), reason))?);
                    }
                    column
                }
                CollaboratorConfig::Classifier { name, folds } => {
                    classify(name, *folds, self.seed.child("classifier", 0).child(name, 0), library, samples)?
                }
            });
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

    fn candidate(
        &self,
        name: &str,
        sample: &Sample,
        question: &Question,
        reply: &Reply,
        temperature: f64,
        seed: Seed,
    ) -> Result<Candidate, String> {
        let mut candidate = Candidate::new(name, None);
        candidate.shots = question.prompts.len() - 1 - reply.prompt;
        match &reply.said {
            Said::Scores(scores) => {
                let scores = option_scores(sample, scores)?;
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

impl Plan<'_> {
    /// The question's position; a closed set's scores do not depend on a seed and are asked for once.
    fn add(&mut self, sample: usize, shots: usize, question: Question) -> usize {
        let key = (question.model, sample, shots);
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

/// The answers of a logistic regression over the embeddings.
fn classify(
    name: &str,
    folds: usize,
    seed: Seed,
    library: &Library<'_>,
    samples: &[Sample],
) -> Result<Vec<Candidate>, PipelineError> {
    let n_classes = library.labelled().iter().map(|labeled| labeled.sample.options.len()).max().unwrap_or(0);
    let class = |labeled: &Labeled| match labeled.answer {
        Answer::Choice(class) => class,
        // The plan was checked: all samples share their options.
        _ => 0,
    };
    let classes: Vec<usize> = library.labelled().iter().map(class).collect();
    let labelled: Vec<&Sample> = library.labelled().iter().map(|labeled| &labeled.sample).collect();
    let features = library.features(NAME, &labelled)?;
    let select = |source| PipelineError::Select { stage: NAME.to_owned(), source };
    let fitted = fit_by_cross_validation(&features, &classes, n_classes, folds, seed).map_err(select)?;
    let unlabelled = library.features(NAME, &samples.iter().collect::<Vec<_>>())?;
    let candidate = |distribution: Vec<f64>| {
        let answer = most_probable(&distribution).map(Answer::Choice);
        Candidate::new(name, answer).with_distribution(distribution)
    };
    Ok(fitted.model.probabilities(&unlabelled).map_err(select)?.into_iter().map(candidate).collect())
}
