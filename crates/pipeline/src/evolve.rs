//! The method, steps 1 to 7, for one seed.

use crate::collaborate::Answers;
use crate::estimate::Estimate;
use crate::folds::{Folds, HeldOutScore};
use crate::justify::{Justified, Verdict};
use crate::method::{EvolveConfig, EvolveOn, Method, MethodConfig, Targets};
use crate::probe::{self, features};
use crate::round::{Round, class, held_out, nearest, shares, tag};
use crate::{Curves, Lesson, Library, OnEvent, PipelineError, SeedRun, StageEvent, Start, Trained, files};
use semievol_core::{Answer, Confidence, Labeled, Sample};
use semievol_model::{Adapter, LanguageModel};
use semievol_retrieval::Hit;
use semievol_select::classify::stratified_order;
use semievol_select::{Calibrated, Pool, PseudoLabel, mean_distribution};
use semievol_train::Recipe;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What became of the unlabelled samples, each in the last round that asked about it, and the two models.
#[derive(Debug, Clone, PartialEq)]
pub struct Evolved {
    /// Trained on the labels (Eq. 1).
    pub warm: Trained,
    /// The labels, then the pseudo-labels that were kept, in the order in which they were: what
    /// [`neighbours`](Evolved::neighbours) are rows of.
    pub taught: Vec<Labeled>,
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
    /// Labels answered and judged as the samples were, by models that had not learnt them; empty without folds, or where
    /// nothing asked for it.
    pub calibration: Vec<Calibrated>,
    /// What the selector says of all of them: a wish that could not be granted.
    pub note: Option<String>,
    /// How a classifier's errors fall with labels and with the first round's pseudo-labels, for closed sets where there
    /// are embeddings.
    pub curves: Option<Curves>,
    /// One entry for each round that trained a model.
    pub rounds: Vec<RoundResult>,
    /// Trained from the base on labels and what was kept (Eq. 9).
    pub evolved: Trained,
}

/// What became of the samples of a round.
#[derive(Default)]
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

/// A round: what it added, and how its model did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundResult {
    /// Pseudo-labels that it kept.
    pub kept: usize,
    /// Held-out labels that its model answered right; absent where none are held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<usize>,
    /// Whether its model was given up for the one before.
    pub rolled_back: bool,
}

/// What the rounds have made so far.
struct Progress {
    /// The labels, then what was kept, in the order in which it was.
    taught: Vec<Labeled>,
    n_labels: usize,
    hits: Vec<Vec<Hit>>,
    judged: Judged,
    selected: Vec<Selected>,
    calibration: Vec<Calibrated>,
    note: Option<String>,
    /// The samples that are not kept yet.
    open: Vec<usize>,
    /// Those that the last round kept.
    newest: Vec<usize>,
}

impl Progress {
    fn labels(&self) -> &[Labeled] {
        &self.taught[..self.n_labels]
    }

    /// Takes over what a round made of the open samples; the number that it kept.
    fn take(&mut self, unlabelled: &[Sample], outcome: Outcome) -> usize {
        let Outcome { hits, judged, selected, calibration, note, .. } = outcome;
        if self.selected.is_empty() {
            self.calibration = calibration;
        }
        let rows = hits.into_iter().zip(judged.answers).zip(judged.finals.into_iter().zip(judged.estimates));
        let open = std::mem::take(&mut self.open);
        self.newest.clear();
        for ((index, ((hits, answers), (last, estimate))), selected) in
            open.into_iter().zip(rows).zip(selected)
        {
            match (&selected.answer, selected.accepted) {
                (Some(answer), true) => {
                    self.newest.push(index);
                    self.taught.push(Labeled { sample: unlabelled[index].clone(), answer: answer.clone() });
                }
                _ => self.open.push(index),
            }
            put(&mut self.hits, index, hits);
            put(&mut self.judged.answers, index, answers);
            put(&mut self.judged.finals, index, last);
            put(&mut self.judged.estimates, index, estimate);
            put(&mut self.selected, index, selected);
        }
        self.note = note.or(self.note.take());
        self.newest.len()
    }

    /// Gives up what the last round kept.
    fn undo(&mut self, why: &str) {
        self.taught.truncate(self.taught.len() - self.newest.len());
        for index in self.newest.drain(..) {
            self.selected[index].accepted = false;
            self.selected[index].weight = 0.0;
            self.selected[index].reason.push_str(why);
        }
    }
}

/// The first round asks about all samples in order, later ones replace what stands there.
fn put<T>(rows: &mut Vec<T>, index: usize, row: T) {
    if index < rows.len() { rows[index] = row } else { rows.push(row) }
}

/// What one round made of the samples that it asked about.
#[derive(Default)]
struct Outcome {
    hits: Vec<Vec<Hit>>,
    judged: Judged,
    selected: Vec<Selected>,
    calibration: Vec<Calibrated>,
    /// The final answers to labels that models have not learnt, beside those models' own.
    held_out: Option<HeldOutScore>,
    note: Option<String>,
}

/// A model and what stands behind it.
struct Stand {
    trained: Trained,
    model: Arc<dyn LanguageModel>,
    /// Held-out labels that it answers right.
    right: Option<usize>,
}

impl SeedRun<'_> {
    /// Runs the method: warm up, then for each round retrieve, collaborate, justify, estimate, select, evolve. Finished
    /// stages are read, partial ones go on. `others` are further samples whose embeddings are made together with those
    /// of `labelled` and `unlabelled`, for whoever needs them later.
    ///
    /// # Errors
    /// What failed, in which stage. Whatever was computed stays in the folder.
    pub fn evolve(
        &self,
        method: &Method,
        labelled: &[Labeled],
        unlabelled: &[Sample],
        others: &[&[Sample]],
        events: OnEvent<'_>,
    ) -> Result<Evolved, PipelineError> {
        let config = &method.config;
        method.check(&self.parts, self.task, labelled, unlabelled)?;
        let (labels, held_out) = self.hold_out(config.rounds.validation, labelled);
        let mut progress = Progress {
            n_labels: labels.len(),
            taught: labels,
            hits: Vec::new(),
            judged: Judged::default(),
            selected: Vec::new(),
            calibration: Vec::new(),
            note: None,
            open: (0..unlabelled.len()).collect(),
            newest: Vec::new(),
        };
        let pretrained = config.pretrain.as_ref();
        let pretrained =
            pretrained.map(|pretrain| self.pretrain(pretrain, labelled, unlabelled, events)).transpose()?;
        let from = pretrained.as_ref().map(|trained| &trained.adapter);
        let (warm, folds, mut outcome, curves) = {
            let library = self.library_of(config, &progress.taught, unlabelled, others, "", events)?;
            let own = self.own_neighbours(method, &library, progress.n_labels)?;
            let warm = self.warm_up(progress.labels(), &own, config.warm.shots, from, events)?;
            let model = self.load("warm", &warm.adapter)?;
            let right = self.validate("warm", model.as_ref(), &held_out, events)?;
            let folds = match config.folds {
                0 => None,
                n => Some(self.train_folds(n, progress.labels(), &own, config.warm.shots, from, events)?),
            };
            let warm = Stand { trained: warm, model, right };
            let outcome =
                self.round(method, &library, &own, &warm, folds.as_ref(), unlabelled, "", events)?;
            let finals = &outcome.judged.finals;
            let curves = self.curves(&library, progress.labels(), unlabelled, finals);
            (warm, folds, outcome, curves)
        };
        let mut rounds = Vec::new();
        let first = warm.trained.clone();
        let mut stand = warm;
        for number in 1..=config.rounds.n {
            let tag = tag(number);
            if number > 1 {
                let asked: Vec<Sample> = progress.open.iter().map(|at| unlabelled[*at].clone()).collect();
                if asked.is_empty() {
                    break;
                }
                let library = self.library_of(config, &progress.taught, unlabelled, others, &tag, events)?;
                let own = self.own_neighbours(method, &library, progress.n_labels)?;
                outcome = self.round(method, &library, &own, &stand, folds.as_ref(), &asked, &tag, events)?;
            }
            files::write_jsonl(&self.folder.join(format!("selection{tag}.jsonl")), &outcome.selected)?;
            if let Some(note) = &outcome.note {
                events(&StageEvent::Note(note.clone()));
            }
            let score = outcome.held_out.filter(|_| config.do_no_harm);
            let kept = progress.take(unlabelled, std::mem::take(&mut outcome));
            if let Some(HeldOutScore { right, own, of, .. }) = score.filter(HeldOutScore::does_harm) {
                progress.undo("; given up, so as to do no harm");
                events(&StageEvent::Note(format!(
                    "of {of} labels that they have not learnt the models alone answer {own} right, the pseudo-labels' way {right}: the model trained on the labels alone stays"
                )));
                break;
            }
            if number > 1 && kept == 0 {
                events(&StageEvent::Note(format!("round {number} kept nothing more: the rounds end")));
                break;
            }
            let trained = self.train_evolved(config, &progress, unlabelled, &tag, from, events)?;
            let name = format!("evolved{tag}");
            let model = self.load(&name, &trained.adapter)?;
            let right = self.validate(&name, model.as_ref(), &held_out, events)?;
            let rolled_back = right < stand.right;
            rounds.push(RoundResult { kept, right, rolled_back });
            if rolled_back {
                progress.undo("; the round was undone");
                let shown = |right: Option<usize>| right.unwrap_or_default();
                events(&StageEvent::Note(format!(
                    "round {number} answers {} of {} held-out labels right, the model before {}: that one stays",
                    shown(right),
                    held_out.len(),
                    shown(stand.right)
                )));
                break;
            }
            stand = Stand { trained, model, right };
        }
        let Progress { taught, hits, judged, selected, calibration, note, .. } = progress;
        let Judged { answers, finals, estimates } = judged;
        Ok(Evolved {
            warm: first,
            taught,
            neighbours: hits,
            answers,
            finals,
            estimates,
            selected,
            calibration,
            note,
            curves,
            rounds,
            evolved: stand.trained,
        })
    }

    /// The labels to learn, and those that judge rounds.
    fn hold_out(&self, share: f64, labelled: &[Labeled]) -> (Vec<Labeled>, Vec<Labeled>) {
        if share <= 0.0 {
            return (labelled.to_vec(), Vec::new());
        }
        // The last row of a class is learnt.
        let n = held_out(share, labelled.len());
        let classes: Vec<usize> = labelled.iter().map(class).collect();
        let order = stratified_order(&classes, self.seed.child("hold out", 0));
        let mut left: HashMap<usize, usize> = HashMap::new();
        classes.iter().for_each(|class| *left.entry(*class).or_default() += 1);
        let mut held = HashSet::new();
        for row in order {
            let of_class = left.entry(classes[row]).or_default();
            if held.len() < n && *of_class > 1 {
                *of_class -= 1;
                held.insert(row);
            }
        }
        let (held_out, learnt): (Vec<_>, Vec<_>) =
            labelled.iter().cloned().enumerate().partition(|(row, _)| held.contains(row));
        let rows = |pairs: Vec<(usize, Labeled)>| pairs.into_iter().map(|(_, labeled)| labeled).collect();
        (rows(learnt), rows(held_out))
    }

    /// Held-out labels that a model answers right.
    fn validate(
        &self,
        name: &str,
        model: &dyn LanguageModel,
        held_out: &[Labeled],
        events: OnEvent<'_>,
    ) -> Result<Option<usize>, PipelineError> {
        if held_out.is_empty() {
            return Ok(None);
        }
        let samples: Vec<Sample> = held_out.iter().map(|labeled| labeled.sample.clone()).collect();
        let answered = self.answer(&format!("held-out-{name}"), model, &samples, &[], events)?;
        let right = |(answered, labeled): &(&crate::Answered, &Labeled)| {
            answered.predicted.as_ref().is_some_and(|answer| self.task.is_correct(answer, &labeled.answer))
        };
        Ok(Some(answered.iter().zip(held_out).filter(right).count()))
    }

    /// What the method looks neighbours up in.
    fn library_of<'l>(
        &self,
        config: &MethodConfig,
        taught: &'l [Labeled],
        unlabelled: &[Sample],
        others: &[&[Sample]],
        tag: &str,
        events: OnEvent<'_>,
    ) -> Result<Library<'l>, PipelineError> {
        let retrieval = (config.most_shots() > 0).then_some(&config.retrieval);
        let others: Vec<&[Sample]> = [unlabelled].into_iter().chain(others.iter().copied()).collect();
        self.library_tagged(tag, taught, &others, retrieval, config.needs_embedder(), events)
    }

    /// The neighbours of the labels, as many as any stage shows them with.
    fn own_neighbours<'l>(
        &self,
        method: &Method,
        library: &Library<'l>,
        n_labels: usize,
    ) -> Result<Vec<Vec<&'l Labeled>>, PipelineError> {
        let config = &method.config;
        let asked = config.probe || config.combine.is_some() || config.do_no_harm;
        let shown = match asked || method.selector.wants_calibration() {
            true => config.most_shots(),
            false => config.warm.shots.max(config.confidence_shots),
        };
        let mut own = library.leave_one_out(shown)?;
        own.truncate(n_labels);
        Ok(own.iter().map(|hits| library.shots(hits)).collect())
    }

    /// Steps 2 to 5 for `samples`. `own` are the neighbours of the labels, which the library begins with.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a round has in common with the one before, and what not"
    )]
    fn round(
        &self,
        method: &Method,
        library: &Library<'_>,
        own: &[Vec<&Labeled>],
        stand: &Stand,
        folds: Option<&Folds>,
        samples: &[Sample],
        tag: &str,
        events: OnEvent<'_>,
    ) -> Result<Outcome, PipelineError> {
        let config = &method.config;
        let labels = &library.labelled()[..own.len()];
        let hits = library.nearest(samples, config.neighbours)?;
        self.write_prompts(tag, samples, &hits, library)?;
        let round = Round {
            tag: tag.to_owned(),
            warm: stand.model.as_ref(),
            folds: folds.map(Folds::models).unwrap_or_default(),
            samples,
            neighbours: hits.iter().map(|hits| library.shots(hits)).collect(),
            taught: labels.iter().collect(),
            kept: &library.labelled()[own.len()..],
        };
        let (mut judged, mut calibration, mut score) = match config.combine {
            Some(combine) => self.combine(config, combine, &round, folds, labels, own, library, events)?,
            None => (self.judge(method, &round, library, events)?, Vec::new(), None),
        };
        let reference = match method.selector.wants_labelled() {
            true => {
                let own = nearest(own, config.confidence_shots);
                self.estimate_labelled(method.estimator.as_ref(), &round, labels, &own, events)?
            }
            false => Vec::new(),
        };
        let wanted = config.probe || config.do_no_harm || method.selector.wants_calibration();
        if let Some(folds) = folds.filter(|_| wanted && config.combine.is_none()) {
            let (held_out, of_folds) = self.calibrate(method, folds, labels, library, own, events)?;
            score = Some(of_folds);
            if config.probe {
                let features = features(self.task, samples, &judged);
                let seed = self.seed.child("probe", 0);
                match probe::apply(&held_out, &features, &mut judged.estimates, seed) {
                    Some(calibrated) => calibration = calibrated,
                    None => events(&StageEvent::Note(
                        "the folds' answers to the labels teach the probe nothing; confidence stays as it was".into(),
                    )),
                }
                let file = format!("confidence-probe{tag}.jsonl");
                files::write_jsonl(&self.folder.join(file), &judged.estimates)?;
            }
            if calibration.is_empty() {
                calibration = held_out.iter().map(|one| one.calibrated).collect();
            }
        }
        let (selected, note) = self.select(
            method,
            &judged.finals,
            &judged.estimates,
            &reference,
            &calibration,
            &shares(labels),
        )?;
        Ok(Outcome { hits, judged, selected, calibration, held_out: score, note })
    }

    /// Trains from the base on the labels and all that was kept so far.
    fn train_evolved(
        &self,
        config: &MethodConfig,
        progress: &Progress,
        unlabelled: &[Sample],
        tag: &str,
        from: Option<&Adapter>,
        events: OnEvent<'_>,
    ) -> Result<Trained, PipelineError> {
        let Progress { judged, selected, .. } = progress;
        let kept = kept(&config.evolve, unlabelled, judged, selected);
        let lessons = self.beside_labels(&config.evolve, progress.labels(), kept);
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
        let recipe = config.evolve.recipe(self.recipe);
        self.train_from(Start { stream: 0, from }, &format!("evolved{tag}"), &lessons, &recipe, events)
    }

    /// Trains as [`SeedRun::evolve`] does on labels and what was kept, but on gold answers in the place of
    /// pseudo-labels: what those could bring at best.
    ///
    /// # Errors
    /// What the trainer says.
    pub fn train_on_gold(
        &self,
        name: &str,
        config: &MethodConfig,
        labelled: &[Labeled],
        gold: &[Labeled],
        events: OnEvent<'_>,
    ) -> Result<Trained, PipelineError> {
        let samples: Vec<Sample> = gold.iter().map(|labeled| labeled.sample.clone()).collect();
        let pretrained = config.pretrain.as_ref();
        let pretrained =
            pretrained.map(|pretrain| self.pretrain(pretrain, labelled, &samples, events)).transpose()?;
        let from = pretrained.as_ref().map(|trained| &trained.adapter);
        let lessons = self.beside_labels(&config.evolve, labelled, gold.iter().map(Lesson::label).collect());
        let recipe = config.evolve.recipe(self.recipe);
        self.train_from(Start { stream: 0, from }, name, &lessons, &recipe, events)
    }

    /// The labels, as often as configured, and the other lessons, in other words where that is configured.
    fn beside_labels<'s>(
        &self,
        config: &EvolveConfig,
        labelled: &'s [Labeled],
        mut kept: Vec<Lesson<'s>>,
    ) -> Vec<Lesson<'s>> {
        if config.paraphrase {
            for lesson in &mut kept {
                // 0 is the task's own words.
                let drawn = self.seed.child("paraphrase", 0).child(&lesson.sample.id, 0).uniform();
                let drawn = (drawn * (self.paraphrases.len() + 1) as f64) as usize;
                lesson.paraphrase = drawn.min(self.paraphrases.len()).checked_sub(1);
            }
        }
        let repeats = match config.on {
            EvolveOn::Selected => 0,
            EvolveOn::LabelsAndSelected => repeats(labelled.len(), kept.len(), config.label_share),
        };
        let labels = (0..repeats).flat_map(|_| labelled.iter().map(Lesson::label));
        labels.chain(kept).collect()
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
        from: Option<&Adapter>,
        events: OnEvent<'_>,
    ) -> Result<Trained, PipelineError> {
        let labelled: Vec<&Labeled> = labelled.iter().collect();
        let (lessons, max_steps) = self.warm_lessons(&labelled, neighbours, shots);
        let recipe = Recipe { max_steps, ..self.recipe.clone() };
        self.train_from(Start { stream: 0, from }, "warm", &lessons, &recipe, events)
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
        prior: &[f64],
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
        let selection = method.selector.select(Pool { labelled, calibration, prior, ..drawn });
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

/// What was kept, as the evolved model is taught it.
fn kept<'s>(
    config: &EvolveConfig,
    unlabelled: &'s [Sample],
    judged: &Judged,
    selected: &'s [Selected],
) -> Vec<Lesson<'s>> {
    let distribution = |row: usize| match judged.finals[row].last.distribution.as_slice() {
        [] => mean_distribution(&judged.answers[row].candidates),
        pooled => pooled.to_vec(),
    };
    let rows = unlabelled.iter().zip(selected).enumerate().filter(|(_, (_, selected))| selected.accepted);
    rows.filter_map(|(row, (sample, selected))| {
        let lesson = Lesson::new(sample, selected.answer.as_ref()?);
        let hard = Lesson { weight: selected.weight, ..lesson };
        Some(match config.targets {
            Targets::Hard => hard,
            Targets::Soft => soften(hard, &distribution(row)),
        })
    })
    .collect()
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
