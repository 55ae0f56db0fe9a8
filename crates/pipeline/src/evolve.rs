//! The method, steps 1 to 6, for one seed.

use crate::collaborate::Answers;
use crate::estimate::Estimate;
use crate::folds::Folds;
use crate::justify::{Justified, Verdict};
use crate::method::{EvolveConfig, EvolveOn, Method, Targets};
use crate::round::{Round, nearest};
use crate::{Lesson, Library, OnEvent, PipelineError, SeedRun, StageEvent, Trained, files};
use semievol_core::{Answer, Confidence, Labeled, Sample};
use semievol_retrieval::Hit;
use semievol_select::{Calibrated, Pool, PseudoLabel, mean_distribution};
use semievol_train::Recipe;
use serde::{Deserialize, Serialize};

/// What became of the unlabelled samples, and the two models.
#[derive(Debug, Clone, PartialEq)]
pub struct Evolved {
    /// Trained on the labels (Eq. 1).
    pub warm: Trained,
    /// The neighbours of each unlabelled sample, the nearest first (Eq. 2).
    pub neighbours: Vec<Vec<Hit>>,
    /// What the collaborators answered (Eq. 4).
    pub answers: Vec<Answers>,
    /// The final answers (Eq. 5).
    pub finals: Vec<Justified>,
    /// How sure (Eq. 6).
    pub estimates: Vec<Estimate>,
    /// Kept or dropped, and why (Eq. 7-8).
    pub selected: Vec<Selected>,
    /// What the selector says of all of them: a wish that could not be granted.
    pub note: Option<String>,
    /// Trained from the base on labels and what was kept (Eq. 9).
    pub evolved: Trained,
}

/// What became of the samples of a round.
pub(crate) struct Judged {
    pub answers: Vec<Answers>,
    pub finals: Vec<Justified>,
    pub estimates: Vec<Estimate>,
}

/// The decision on one pseudo-label: a line of `selection.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selected {
    /// The sample.
    pub id: String,
    /// The pseudo-label; absent if there is none.
    pub answer: Option<Answer>,
    /// How sure.
    pub confidence: Option<Confidence>,
    /// How the answer came about.
    pub by: Verdict,
    /// Whether it is trained on.
    pub accepted: bool,
    /// Why.
    pub reason: String,
    /// Weight of its tokens in the loss.
    pub weight: f32,
}

impl SeedRun<'_> {
    /// Runs the method: warm up, retrieve, collaborate, justify, estimate, select, evolve. Finished stages are
    /// read, partial ones go on.
    ///
    /// # Errors
    /// What failed, in which stage. Whatever was computed stays in the folder.
    pub fn evolve(
        &self,
        method: &Method,
        library: &Library<'_>,
        unlabelled: &[Sample],
        events: OnEvent<'_>,
    ) -> Result<Evolved, PipelineError> {
        let config = &method.config;
        let labelled = library.labelled();
        method.check(&self.parts, self.task, labelled, unlabelled)?;
        let calibrates = method.selector.wants_calibration();
        let shown =
            if calibrates { config.most_shots() } else { config.warm.shots.max(config.confidence_shots) };
        let own = library.leave_one_out(shown)?;
        let own: Vec<Vec<&Labeled>> = own.iter().map(|hits| library.shots(hits)).collect();
        let warm = self.warm_up(labelled, &own, config.warm.shots, events)?;
        let model = self.load("warm", &warm.adapter)?;
        let folds = match config.folds {
            0 => None,
            n => Some(self.train_folds(n, labelled, &own, config.warm.shots, events)?),
        };

        let hits = library.nearest(unlabelled, config.neighbours)?;
        self.write_prompts(unlabelled, &hits, library)?;
        let neighbours = hits.iter().map(|hits| library.shots(hits)).collect();
        let round = Round {
            tag: String::new(),
            warm: model.as_ref(),
            folds: folds.as_ref().map(Folds::models).unwrap_or_default(),
            samples: unlabelled,
            neighbours,
            taught: labelled.iter().collect(),
        };
        let Judged { answers, finals, estimates } = self.judge(method, &round, library, events)?;
        let reference = match method.selector.wants_labelled() {
            true => self.estimate_labelled(
                method.estimator.as_ref(),
                model.as_ref(),
                labelled,
                &nearest(&own, config.confidence_shots),
                events,
            )?,
            false => Vec::new(),
        };
        let calibration = match &folds {
            Some(folds) if calibrates => self.calibrate(method, folds, library, &own, events)?,
            _ => Vec::new(),
        };
        let (selected, note) = self.select(method, &finals, &estimates, &reference, &calibration)?;
        if let Some(note) = &note {
            events(&StageEvent::Note(note.clone()));
        }
        files::write_jsonl(&self.folder.join("selection.jsonl"), &selected)?;

        let lessons = lessons(&config.evolve, labelled, unlabelled, &answers, &selected);
        if lessons.is_empty() {
            return Err(PipelineError::Assembly(
                "no pseudo-label was kept, and method.evolve.on = \"selected\" trains on nothing else: keep more, or train on labels_and_selected".into(),
            ));
        }
        if !selected.iter().any(|one| one.accepted) {
            events(&StageEvent::Note(
                "no pseudo-label was kept: the evolved model sees the labels alone".into(),
            ));
        }
        let evolved = self.train("evolved", &lessons, &config.evolve.recipe(self.recipe), events)?;
        Ok(Evolved { warm, neighbours: hits, answers, finals, estimates, selected, note, evolved })
    }

    /// Trains as [`SeedRun::evolve`] does on labels and what was kept, but on gold answers in the place of
    /// pseudo-labels: what those could bring at best.
    ///
    /// # Errors
    /// What the trainer says.
    pub fn train_on_gold(
        &self,
        name: &str,
        config: &EvolveConfig,
        labelled: &[Labeled],
        gold: &[Labeled],
        events: OnEvent<'_>,
    ) -> Result<Trained, PipelineError> {
        let lessons = with_labels(config, labelled, gold.iter().map(Lesson::label).collect());
        self.train(name, &lessons, &config.recipe(self.recipe), events)
    }

    /// Collaborate, justify, estimate.
    pub(crate) fn judge(
        &self,
        method: &Method,
        round: &Round<'_>,
        library: &Library<'_>,
        events: OnEvent<'_>,
    ) -> Result<Judged, PipelineError> {
        let answers = self.collaborate(&method.config, round, library, events)?;
        let finals = self.justify(method.adjudicator.as_ref(), round, &answers, events)?;
        let shown = round.showing(method.config.confidence_shots);
        let estimates = self.estimate(method.estimator.as_ref(), &shown, &answers, &finals, events)?;
        Ok(Judged { answers, finals, estimates })
    }

    /// Eq. 1.
    fn warm_up(
        &self,
        labelled: &[Labeled],
        neighbours: &[Vec<&Labeled>],
        shots: usize,
        events: OnEvent<'_>,
    ) -> Result<Trained, PipelineError> {
        let labelled: Vec<&Labeled> = labelled.iter().collect();
        let (lessons, max_steps) = self.warm_lessons(&labelled, neighbours, shots);
        self.train("warm", &lessons, &Recipe { max_steps, ..self.recipe.clone() }, events)
    }

    /// What a warm model learns, and the most steps that it takes. With shots, each label is a lesson with 0, 1, ...
    /// of its neighbours, and the steps are as many as without.
    pub(crate) fn warm_lessons<'l>(
        &self,
        labelled: &[&'l Labeled],
        neighbours: &[Vec<&'l Labeled>],
        shots: usize,
    ) -> (Vec<Lesson<'l>>, usize) {
        let mut lessons = Vec::with_capacity(labelled.len() * (shots + 1));
        for shown in 0..=shots {
            for (labeled, neighbours) in labelled.iter().zip(neighbours) {
                if neighbours.len() >= shown {
                    let shots = neighbours[..shown].to_vec();
                    lessons.push(Lesson { shots, ..Lesson::label(labeled) });
                }
            }
        }
        let max_steps =
            if shots == 0 { self.recipe.max_steps } else { self.recipe.total_steps(labelled.len()) };
        (lessons, max_steps)
    }

    fn select(
        &self,
        method: &Method,
        finals: &[Justified],
        estimates: &[Estimate],
        labelled: &[Confidence],
        calibration: &[Calibrated],
    ) -> Result<(Vec<Selected>, Option<String>), PipelineError> {
        let pool: Vec<PseudoLabel> = finals
            .iter()
            .zip(estimates)
            .map(|(last, estimate)| PseudoLabel {
                id: last.id.clone(),
                answer: last.last.answer.clone(),
                confidence: estimate.confidence,
                agreed: last.by == Verdict::Agreement,
            })
            .collect();
        let drawn = Pool::new(&pool, self.seed.child("select", 0));
        let selection = method.selector.select(Pool { labelled, calibration, ..drawn });
        let selection =
            selection.map_err(|source| PipelineError::Select { stage: "selection".into(), source })?;
        let unfit = |what: String| PipelineError::Assembly(format!("{}: {what}", method.selector.id()));
        if selection.decisions.len() != pool.len() {
            let (made, pool) = (selection.decisions.len(), pool.len());
            return Err(unfit(format!(
                "{made} decisions on {pool} pseudo-labels; a selector decides on each"
            )));
        }
        let decided = pool.into_iter().zip(finals).zip(selection.decisions);
        let selected = decided
            .map(|((label, last), decision)| {
                if decision.accepted && label.answer.is_none() {
                    return Err(unfit(format!("accepted sample `{}`, which has no answer", label.id)));
                }
                Ok(Selected {
                    id: label.id,
                    answer: label.answer,
                    confidence: label.confidence,
                    by: last.by,
                    accepted: decision.accepted,
                    reason: decision.reason,
                    weight: decision.weight,
                })
            })
            .collect::<Result<_, PipelineError>>()?;
        Ok((selected, selection.note))
    }
}

/// What the evolved model is taught.
fn lessons<'s>(
    config: &EvolveConfig,
    labelled: &'s [Labeled],
    unlabelled: &'s [Sample],
    answers: &[Answers],
    selected: &'s [Selected],
) -> Vec<Lesson<'s>> {
    let rows = unlabelled.iter().zip(answers).zip(selected).filter(|(_, selected)| selected.accepted);
    let kept: Vec<Lesson<'s>> = rows
        .filter_map(|((sample, answers), selected)| {
            let lesson = Lesson::new(sample, selected.answer.as_ref()?);
            let hard = Lesson { weight: selected.weight, ..lesson };
            Some(match config.targets {
                Targets::Hard => hard,
                Targets::Soft => soften(hard, &mean_distribution(&answers.candidates)),
            })
        })
        .collect();
    with_labels(config, labelled, kept)
}

/// The labels, as often as configured, and the other lessons.
fn with_labels<'s>(config: &EvolveConfig, labelled: &'s [Labeled], kept: Vec<Lesson<'s>>) -> Vec<Lesson<'s>> {
    let repeats = match config.on {
        EvolveOn::Selected => 0,
        EvolveOn::LabelsAndSelected => repeats(labelled.len(), kept.len(), config.label_share),
    };
    let labels = (0..repeats).flat_map(|_| labelled.iter().map(Lesson::label));
    labels.chain(kept).collect()
}

/// The lesson's weight shared out among all options that have a probability worth a pass through the model.
fn soften<'s>(lesson: Lesson<'s>, distribution: &[f64]) -> Lesson<'s> {
    const LEAST: f64 = 0.01;
    let Answer::Choice(own) = *lesson.answer else { return lesson };
    let probable = |option: usize| option == own || distribution[option] >= LEAST;
    let total: f64 = (0..distribution.len()).filter(|o| probable(*o)).map(|o| distribution[o]).sum();
    if own >= distribution.len() || total <= 0.0 {
        return lesson;
    }
    let share = |option: usize| lesson.weight * (distribution[option] / total) as f32;
    let others = (0..distribution.len()).filter(|option| *option != own && probable(*option));
    let others = others.map(|option| (Answer::Choice(option), share(option))).collect();
    Lesson { weight: share(own), others, ..lesson }
}

/// How often `labels` have to be repeated to be at least `share` of the examples; at least once.
fn repeats(labels: usize, kept: usize, share: f64) -> usize {
    let needed = share / (1.0 - share) * kept as f64 / labels.max(1) as f64;
    (needed.ceil() as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::{Lesson, repeats, soften};
    use semievol_core::{Answer, Sample};

    #[test]
    fn a_soft_target_shares_the_weight_out() {
        let (sample, answer) = (Sample::new("1", "?"), Answer::Choice(1));
        let hard = Lesson { weight: 0.5, ..Lesson::new(&sample, &answer) };
        let soft = soften(hard.clone(), &[0.3, 0.695, 0.005]);
        assert!((soft.weight - 0.5 * 0.695 / 0.995).abs() < 1e-6);
        assert_eq!(soft.others.len(), 1);
        assert!((soft.weight + soft.others[0].1 - 0.5).abs() < 1e-6);
        // Nobody has a distribution: the answer alone.
        assert_eq!((soften(hard.clone(), &[]).weight, soften(hard, &[]).others.len()), (0.5, 0));
    }

    #[test]
    fn labels_are_repeated_to_their_share() {
        assert_eq!(repeats(32, 300, 0.25), 4); // 128 of 428
        assert_eq!(repeats(64, 300, 0.0), 1);
        assert_eq!(repeats(64, 10, 0.25), 1);
        assert_eq!(repeats(64, 192, 0.25), 1); // exactly a quarter
        assert_eq!(repeats(64, 193, 0.25), 2);
    }
}
