//! One distribution out of all collaborators', in the place of Eq. 5 and 6: weighed by what they are worth on labels
//! that they have not learnt, and moved towards the classes' shares among the labels.

use crate::collaborate::Answers;
use crate::estimate::Estimate;
use crate::evolve::Judged;
use crate::folds::{Folds, HeldOutScore};
use crate::justify::{Justified, Verdict};
use crate::labels::{class, worth_of_shares};
use crate::method::{Method, MethodConfig};
use crate::round::Round;
use crate::{Library, OnEvent, PipelineError, SeedRun, StageEvent, files};
use semievol_core::{Answer, Candidate, Confidence, Labeled, Sample};
use semievol_select::classify::{Alignment, LogPool};
use semievol_select::options::most_probable;
use semievol_select::{Calibrated, SelectError};
use serde::{Deserialize, Serialize};

/// How collaborators become one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum CombineConfig {
    /// [`LogPool`]: the product of the collaborators' distributions, each to the power of its worth. Where there are
    /// folds, worth is learnt from the labels that each fold's model has not; else all are worth the same.
    LogPool {
        /// How far the mean of the unlabelled samples' distributions is moved to the classes' shares, from 0 (not at all) to
        /// 1 (they become equal): [`Alignment`]. Where the shares are the labels' and these name their groups, it is less
        /// by what groups tell less of the shares than as many single rows (the design effect, Kish 1965).
        #[serde(default)]
        align: f64,
    },
}

/// What the collaborators said of a label that they have not learnt.
struct HeldOut {
    fold: usize,
    said: Vec<Vec<f64>>,
    right: usize,
}

impl CombineConfig {
    pub(crate) fn check(self) -> Result<(), String> {
        let CombineConfig::LogPool { align } = self;
        if (0.0..=1.0).contains(&align) {
            return Ok(());
        }
        Err(format!("method.combine.align is {align}, but must be in [0, 1]"))
    }
}

/// What is known of the collaborators' worth before the unlabelled samples are asked about.
pub(crate) struct Combiner {
    align: f64,
    held_out: Vec<HeldOut>,
    pool: LogPool,
    /// The classes' shares.
    prior: Vec<f64>,
}

/// What the collaborators said of one sample, as one.
pub(crate) struct Pooled {
    id: String,
    distribution: Vec<f64>,
    /// What all of them said, if they did: an answer or none.
    unanimous: Option<Option<Answer>>,
}

impl Combiner {
    pub fn pool(&self, answers: &Answers) -> Result<Pooled, PipelineError> {
        let mut said = answers.candidates.iter().map(|candidate| &candidate.answer);
        let first = said.next().cloned().flatten();
        Ok(Pooled {
            id: answers.id.clone(),
            distribution: self.pool.combine(&distributions(answers)).map_err(failed)?,
            unanimous: said.all(|answer| *answer == first).then_some(first),
        })
    }
}

impl SeedRun<'_> {
    /// Asks the collaborators about the labels, each fold's about its own, and learns from that what they are worth; nothing
    /// where they are not combined.
    pub(crate) fn combiner(
        &self,
        method: &Method,
        folds: Option<&Folds>,
        own: &[Vec<&Labeled>],
        samples: &[Sample],
        library: &Library<'_>,
        events: OnEvent<'_>,
    ) -> Result<Option<Combiner>, PipelineError> {
        let config = &method.config;
        let Some(CombineConfig::LogPool { align }) = config.combine else { return Ok(None) };
        let labels = &library.labelled()[..own.len()];
        let mut held_out = Vec::new();
        for fold in folds.map(Folds::held_out).unwrap_or_default() {
            let samples = fold.samples(labels);
            let of_fold = self.collaborate(method, &fold.round(&samples, labels, own), library, events)?;
            for (row, answers) in fold.rows.iter().zip(&of_fold) {
                let right = class(&labels[*row]);
                held_out.push(HeldOut { fold: fold.fold, said: distributions(answers), right });
            }
        }
        // Nobody has a distribution where no prompt fitted.
        held_out.retain(|one| one.said.iter().any(|distribution| one.right < distribution.len()));
        let pool = fit(&held_out, |_| true, config.collaborators.len())?;
        // Shares that are given are known.
        let worth = if config.shares.is_empty() { worth_of_shares(labels, samples) } else { 1.0 };
        if align > 0.0 && worth < 1.0 {
            events(&StageEvent::Note(format!(
                "the {} labels come in groups and tell as much of the classes' shares as {:.0} single rows: alignment by {:.2} in the place of {align}",
                labels.len(),
                worth * labels.len() as f64,
                align * worth
            )));
        }
        Ok(Some(Combiner { align: align * worth, held_out, pool, prior: config.shares(labels) }))
    }

    /// Moves what was pooled towards the classes' shares; the final answers with how probable they are, and the same of
    /// the labels that were held out.
    pub(crate) fn combine(
        &self,
        method: &MethodConfig,
        combiner: &Combiner,
        round: &Round<'_>,
        mut pooled: Vec<Pooled>,
        events: OnEvent<'_>,
    ) -> Result<(Judged, Vec<Calibrated>, Option<HeldOutScore>), PipelineError> {
        let Combiner { align, held_out, pool, prior } = combiner;
        let distributions: Vec<&[f64]> = pooled.iter().map(|one| one.distribution.as_slice()).collect();
        let alignment = Alignment::new(&distributions, prior, *align).map_err(failed)?;
        pooled.iter_mut().for_each(|one| alignment.apply(&mut one.distribution));

        // A label's own answer may not have a say in how the collaborators on it are weighed.
        let mut calibration = Vec::with_capacity(held_out.len());
        let mut score = HeldOutScore::default();
        for of_fold in held_out.chunk_by(|one, other| one.fold == other.fold) {
            let pool = fit(held_out, |one| one.fold != of_fold[0].fold, method.collaborators.len())?;
            for one in of_fold {
                let mut distribution = pool.combine(&one.said).map_err(failed)?;
                alignment.apply(&mut distribution);
                let answer = most_probable(&distribution);
                let own = method.own_voice().and_then(|at| most_probable(&one.said[at]));
                score.count(answer == Some(one.right), own == Some(one.right));
                let sure = answer.and_then(|answer| Confidence::new(distribution[answer]));
                calibration.extend(
                    sure.map(|confidence| Calibrated { confidence, correct: answer == Some(one.right) }),
                );
            }
        }
        if !calibration.is_empty() {
            let weights: Vec<String> = (method.collaborators.iter().zip(pool.weights()))
                .map(|(one, weight)| format!("{} {weight:.2}", one.name()))
                .collect();
            events(&StageEvent::Note(format!(
                "the collaborators together answer {} of {} labels right that they have not learnt; weights: {}",
                score.right,
                score.of,
                weights.join(", ")
            )));
        }
        let (finals, estimates): (Vec<_>, Vec<_>) = pooled.into_iter().map(settle).unzip();
        files::write_jsonl(&self.rows_file(&round.stage("justified")), &finals)?;
        files::write_jsonl(&self.rows_file(&round.stage("confidence")), &estimates)?;
        let score = (!calibration.is_empty()).then_some(score);
        Ok((Judged { finals, estimates }, calibration, score))
    }
}

fn distributions(answers: &Answers) -> Vec<Vec<f64>> {
    answers.candidates.iter().map(|candidate| candidate.distribution.clone()).collect()
}

fn fit(
    held_out: &[HeldOut],
    wanted: impl Fn(&HeldOut) -> bool,
    collaborators: usize,
) -> Result<LogPool, PipelineError> {
    let (rows, right): (Vec<_>, Vec<_>) =
        held_out.iter().filter(|one| wanted(one)).map(|one| (one.said.clone(), one.right)).unzip();
    if rows.is_empty() {
        return Ok(LogPool::equal(collaborators));
    }
    LogPool::fit(&rows, &right).map_err(failed)
}

fn failed(source: SelectError) -> PipelineError {
    PipelineError::Select { stage: "combine".into(), source }
}

/// The most probable option, and how probable it is.
fn settle(pooled: Pooled) -> (Justified, Estimate) {
    let Pooled { id, distribution, unanimous } = pooled;
    let answer = most_probable(&distribution);
    let probability = answer.map(|answer| distribution[answer]);
    let choice = answer.map(Answer::Choice);
    let by = match &choice {
        None => Verdict::Unanswered,
        Some(_) if unanimous.as_ref() == Some(&choice) => Verdict::Agreement,
        Some(_) => Verdict::Adjudicated,
    };
    let last = Candidate::new("pool", choice).with_distribution(distribution);
    let confidence = probability.and_then(Confidence::new);
    (Justified { id: id.clone(), by, last }, Estimate { id, confidence, mean_nll: None, probability })
}
