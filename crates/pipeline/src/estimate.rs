//! Eq. 6: how sure the warm model is of each final answer.

use crate::answered::prompts;
use crate::ask::{Question, Said, Want, ask};
use crate::collaborate::Answers;
use crate::folder::Inputs;
use crate::justify::Justified;
use crate::round::Round;
use crate::seed_run::broken;
use crate::{OnEvent, PipelineError, SeedRun};
use semievol_confidence::{ConfidenceConfig, ConfidenceEstimator, Evidence};
use semievol_core::{Answer, Candidate, Confidence, Labeled, Sample, Seed, TokenLogprob};
use semievol_data::Task;
use semievol_model::{LanguageModel, Scores};
use semievol_select::agrees;
use semievol_select::options::{OptionScore, option_scores};
use serde::{Deserialize, Serialize};

/// How sure one final answer is: a line of `confidence.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The sample.
    pub id: String,
    /// The estimator's number; absent without an answer.
    pub confidence: Option<Confidence>,
    /// `H` of Eq. 6, in nats: the mean negative log-likelihood of the final response's tokens under the warm
    /// model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_nll: Option<f64>,
    /// The warm model's probability of the final answer among the options; absent for open answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// What the warm model says of one answer.
#[derive(Default)]
struct View {
    logprobs: Vec<TokenLogprob>,
    distribution: Vec<f64>,
    choice: Option<usize>,
}

impl View {
    /// Of an option of a closed set, if it is one.
    fn closed(scores: &[Vec<TokenLogprob>], options: &[OptionScore], answer: &Answer) -> Option<Self> {
        let Answer::Choice(choice) = *answer else { return None };
        Some(View {
            logprobs: scores.get(choice)?.clone(),
            distribution: options.iter().map(|option| option.probability).collect(),
            choice: Some(choice),
        })
    }

    /// Of an open answer: its only continuation was scored.
    fn open(mut scores: Scores) -> Self {
        View { logprobs: scores.pop().unwrap_or_default(), ..View::default() }
    }
}

const NAME: &str = "confidence";
const LABELLED: &str = "confidence-labelled";

impl SeedRun<'_> {
    /// One estimate for each final answer, in order.
    pub(crate) fn estimate(
        &self,
        estimator: &dyn ConfidenceEstimator,
        round: &Round<'_>,
        answers: &[Answers],
        finals: &[Justified],
        events: OnEvent<'_>,
    ) -> Result<Vec<Estimate>, PipelineError> {
        let Round { warm, samples, neighbours, .. } = round;
        // Closed sets were scored with the collaborators' questions; open answers exist only now.
        let closed: Vec<bool> =
            samples.iter().map(|sample| !self.task.candidates(sample).is_empty()).collect();
        let open: Vec<usize> = (0..samples.len())
            .filter(|index| !closed[*index] && finals[*index].last.answer.is_some())
            .collect();
        let question = |index: &usize| Question {
            model: 0,
            prompts: prompts(self.task, &samples[*index], &neighbours[*index]),
            want: Want::Scores(self.target(&samples[*index], &finals[*index]).into_iter().collect()),
        };
        let questions: Vec<Question> = open.iter().map(question).collect();
        let inputs = Inputs::of("estimate")
            .with("model", warm.id())
            .with("task", self.task_id)
            .with("estimator", estimator.id())
            .with_digest("samples", &samples)
            .with_digest("answers", &answers)
            .with_digest("finals", &finals)
            .with_digest("questions", &questions);
        let name = round.stage(NAME);
        let (place, stage) = self.prompts_stage(&name, inputs, questions.len());
        self.rows(&place, stage, events, |events| {
            let replies = ask(&name, &place, &[*warm], &questions, false, events)?;
            let mut views: Vec<Option<View>> = Vec::with_capacity(samples.len());
            for (index, sample) in samples.iter().enumerate() {
                let answer = finals[index].last.answer.as_ref();
                // Without scores the warm model's prompt did not fit: it has no say, and the answer no confidence.
                let view = match (answer, &answers[index].warm) {
                    (Some(answer), Some(scores)) => Some(self.closed(*warm, sample, scores, answer)?),
                    _ => None,
                };
                views.push(view);
            }
            for (index, reply) in open.iter().zip(replies) {
                if let Said::Scores(scores) = reply.said {
                    views[*index] = Some(View::open(scores));
                }
            }
            self.estimates(estimator, answers, finals, views)
        })
    }

    fn estimates(
        &self,
        estimator: &dyn ConfidenceEstimator,
        answers: &[Answers],
        finals: &[Justified],
        views: Vec<Option<View>>,
    ) -> Result<Vec<Estimate>, PipelineError> {
        let finals: Vec<_> = finals.iter().map(|last| last.last.answer.as_ref()).collect();
        let known = Known::new(self.task, answers, &finals, views);
        let evidence = known.evidence();
        let mut confidences = known.spread(judge(NAME, estimator, &evidence)?).into_iter();
        let row = |(answers, view): (&Answers, &Option<View>)| Estimate {
            id: answers.id.clone(),
            confidence: confidences.next().flatten(),
            mean_nll: view.as_ref().and_then(|view| mean_nll(&view.logprobs)),
            probability: view.as_ref().and_then(|view| view.distribution.get(view.choice?).copied()),
        };
        Ok(answers.iter().zip(&known.views).map(row).collect())
    }

    /// The warm model's confidence in the gold answer of each labelled sample, for selectors that want it.
    pub(crate) fn estimate_labelled(
        &self,
        estimator: &dyn ConfidenceEstimator,
        round: &Round<'_>,
        labelled: &[Labeled],
        neighbours: &[Vec<&Labeled>],
        events: OnEvent<'_>,
    ) -> Result<Vec<Confidence>, PipelineError> {
        let (warm, name) = (round.warm, round.stage(LABELLED));
        let question = |(labeled, shots): (&Labeled, &Vec<&Labeled>)| {
            let mut question = self.question(0, &labeled.sample, shots, 0.0, Seed(0));
            if matches!(question.want, Want::Response(_)) {
                question.want = Want::Scores(vec![self.task.target(&labeled.sample, &labeled.answer)]);
            }
            question
        };
        let questions: Vec<Question> = labelled.iter().zip(neighbours).map(question).collect();
        let inputs = Inputs::of("estimate labelled")
            .with("model", warm.id())
            .with("estimator", estimator.id())
            .with_digest("labelled", &labelled)
            .with_digest("questions", &questions);
        let (place, stage) = self.prompts_stage(&name, inputs, questions.len());
        self.rows(&place, stage, events, |events| {
            let replies = ask(&name, &place, &[warm], &questions, false, events)?;
            let mut views = Vec::with_capacity(labelled.len());
            for (labeled, reply) in labelled.iter().zip(replies) {
                let view = match reply.said {
                    Said::Scores(scores) if !self.task.candidates(&labeled.sample).is_empty() => {
                        self.closed(warm, &labeled.sample, &scores, &labeled.answer)?
                    }
                    Said::Scores(scores) => View::open(scores),
                    // Its prompt does not fit: nothing is known of it.
                    Said::TooLong(_) | Said::Response { .. } => continue,
                };
                views.push((labeled.sample.id.as_str(), view));
            }
            let evidence: Vec<Evidence<'_>> =
                views.iter().map(|(id, view)| evidence(id, view, &[], &[])).collect();
            judge(&name, estimator, &evidence)
        })
    }

    fn closed(
        &self,
        warm: &dyn LanguageModel,
        sample: &Sample,
        scores: &[Vec<TokenLogprob>],
        answer: &Answer,
    ) -> Result<View, PipelineError> {
        let options = option_scores(sample, scores).map_err(|reason| broken(NAME, warm.id(), reason))?;
        View::closed(scores, &options, answer).ok_or_else(|| {
            PipelineError::Assembly(format!("sample `{}`: {answer:?} is none of its options", sample.id))
        })
    }

    /// The final answer as the evolved model would be taught to say it.
    fn target(&self, sample: &Sample, last: &Justified) -> Option<String> {
        last.last.answer.as_ref().map(|answer| self.task.target(sample, answer))
    }
}

/// What estimators are shown of final answers.
struct Known<'a> {
    answers: &'a [Answers],
    views: Vec<Option<View>>,
    /// Of each final answer, which collaborators gave it.
    agreement: Vec<Vec<bool>>,
}

impl<'a> Known<'a> {
    fn new(
        task: &dyn Task,
        answers: &'a [Answers],
        finals: &[Option<&Answer>],
        views: Vec<Option<View>>,
    ) -> Self {
        let agreement = |(answers, last): (&Answers, &Option<&Answer>)| match last {
            Some(answer) => agrees(task, &answers.candidates, answer),
            None => vec![false; answers.candidates.len()],
        };
        Known { answers, views, agreement: answers.iter().zip(finals).map(agreement).collect() }
    }

    /// Of each answer that the warm model has a view of.
    fn evidence(&self) -> Vec<Evidence<'_>> {
        let rows = self.answers.iter().zip(&self.views).zip(&self.agreement);
        rows.filter_map(|((answers, view), agrees)| {
            Some(evidence(&answers.id, view.as_ref()?, &answers.candidates, agrees))
        })
        .collect()
    }

    /// One entry for each answer out of one for each piece of evidence.
    fn spread(&self, confidences: Vec<Confidence>) -> Vec<Option<Confidence>> {
        let mut confidences = confidences.into_iter();
        self.views.iter().map(|view| view.as_ref().and_then(|_| confidences.next())).collect()
    }
}

/// What every estimator makes of the final answers, by its name, from what the run has kept of closed sets: one entry per
/// sample, absent where it has no answer or its prompt did not fit. Estimators that need what was not kept are left out.
pub fn judged_again(
    task: &dyn Task,
    samples: &[Sample],
    answers: &[Answers],
    finals: &[Option<&Answer>],
) -> Vec<(String, Vec<Option<Confidence>>)> {
    let view = |(sample, (answers, last)): (&Sample, (&Answers, &Option<&Answer>))| {
        let scores = answers.warm.as_ref()?;
        View::closed(scores, &option_scores(sample, scores).ok()?, (*last)?)
    };
    let views = samples.iter().zip(answers.iter().zip(finals)).map(view).collect();
    let known = Known::new(task, answers, finals, views);
    let evidence = known.evidence();
    let estimators = ConfidenceConfig::ALL.into_iter().map(|kind| kind.build());
    estimators
        .filter_map(|estimator| {
            let confidences = judge(NAME, estimator.as_ref(), &evidence).ok()?;
            Some((estimator.id(), known.spread(confidences)))
        })
        .collect()
}

/// A confidence for each piece of evidence. An estimator that says less would shift every number behind.
fn judge(
    stage: &str,
    estimator: &dyn ConfidenceEstimator,
    evidence: &[Evidence<'_>],
) -> Result<Vec<Confidence>, PipelineError> {
    let failed = |source| PipelineError::Confidence { stage: stage.to_owned(), source };
    let confidences = estimator.estimate(evidence).map_err(failed)?;
    if evidence.len() == confidences.len() {
        return Ok(confidences);
    }
    let (asked, given) = (evidence.len(), confidences.len());
    let reason =
        format!("{}: {asked} answers got {given} confidences; an estimator judges each", estimator.id());
    Err(PipelineError::Assembly(reason))
}

fn evidence<'a>(
    id: &'a str,
    view: &'a View,
    candidates: &'a [Candidate],
    agrees: &'a [bool],
) -> Evidence<'a> {
    let View { logprobs, distribution, choice } = view;
    Evidence { id, logprobs, distribution, choice: *choice, candidates, agrees }
}

fn mean_nll(logprobs: &[TokenLogprob]) -> Option<f64> {
    let sum: f64 = logprobs.iter().map(|token| -f64::from(token.logprob)).sum();
    (!logprobs.is_empty()).then(|| sum / logprobs.len() as f64)
}
