//! The method, steps 1 to 7, for one seed.

mod lessons;
mod pool;
mod progress;
mod select;
mod validation;

use crate::answers::KeptAnswers;
use crate::folds::{Folds, HeldOutScore};
use crate::justify::Verdict;
use crate::labels::check_folds;
use crate::library::Embedded;
use crate::method::{EvolveOn, Method, MethodConfig};
use crate::round::tag;
use crate::{Curves, Lesson, Library, OnEvent, PipelineError, SeedRun, Start, Trained, files};
pub(crate) use lessons::repeats;
pub(crate) use pool::Judged;
use pool::{Asked, Outcome};
use progress::Progress;
use semievol_core::{Answer, Confidence, Labeled, Sample};
use semievol_model::{Adapter, LanguageModel};
use semievol_retrieval::{Hit, KnownEmbeddings};
use semievol_select::Calibrated;
use semievol_train::Recipe;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What became of the unlabelled samples, each in the last round that asked about it, and the two models.
#[derive(Debug, Clone, PartialEq)]
pub struct Evolved {
    /// Trained on the labels (Eq. 1).
    pub warm: Trained,
    /// The labels, then the pseudo-labels that rounds before the last kept, in the order in which they did: what
    /// [`neighbours`](Evolved::neighbours) are rows of.
    pub taught: Vec<Labeled>,
    /// The neighbours of each unlabelled sample, the nearest first (Eq. 2).
    pub neighbours: Vec<Vec<Hit>>,
    /// What the collaborators answered (Eq. 4), in the run's files.
    pub answers: KeptAnswers,
    /// The final answers (Eq. 5), how sure they are (Eq. 6), kept or dropped, and why (Eq. 7-8).
    pub selected: Vec<Selected>,
    /// Labels answered and judged as the samples were, by models that had not learnt them; empty without folds, or where
    /// nothing asked for it.
    pub calibration: Vec<Calibrated>,
    /// What is to be known of all of them: a wish of the selector that could not be granted, a round that was undone.
    pub notes: Vec<String>,
    /// How a classifier's errors fall with labels and with the first round's pseudo-labels, for closed sets where there
    /// are embeddings.
    pub curves: Option<Curves>,
    /// One entry for each round that trained a model.
    pub rounds: Vec<RoundResult>,
    /// Trained from the base on labels and what was kept (Eq. 9).
    pub evolved: Trained,
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
    /// The model's probability of the answer among the options; absent for open answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// How the answer came about.
    pub by: Verdict,
    /// Who decided where the collaborators differed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
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

/// A model and what stands behind it.
struct Stand {
    trained: Trained,
    model: Arc<dyn LanguageModel>,
    /// Held-out labels that it answers right.
    right: Option<usize>,
}

/// The rows of all rounds.
#[derive(Clone, Copy)]
struct Rows<'r> {
    unlabelled: &'r [Sample],
    /// What is embedded together with them.
    others: &'r [&'r [Sample]],
    /// Labels that judge rounds.
    held_out: &'r [Labeled],
}

/// What the labels alone have taught, and what came of asking it.
struct Started {
    warm: Stand,
    ensemble: Vec<Arc<dyn LanguageModel>>,
    folds: Option<Folds>,
    /// Embeddings, for further rounds.
    known: Option<Arc<KnownEmbeddings>>,
    outcome: Outcome,
    curves: Option<Curves>,
}

/// Who may be asked in a round.
#[derive(Clone, Copy)]
struct Models<'m> {
    stand: &'m Stand,
    /// Trained on all labels besides the warm one.
    ensemble: &'m [Arc<dyn LanguageModel>],
    folds: Option<&'m Folds>,
}

/// With some labels held out, those that are left may be too few for the folds, or of one group.
fn check_left(config: &MethodConfig, progress: &Progress, labelled: usize) -> Result<(), PipelineError> {
    if config.folds == 0 {
        return Ok(());
    }
    let checked = check_folds("method.folds", config.folds, progress.n_labels, progress.labels());
    checked.map_err(|error| match error {
        PipelineError::Assembly(reason) if progress.n_labels < labelled => PipelineError::Assembly(format!(
            "{reason} (of {labelled}; method.rounds.validation holds the others out)"
        )),
        other => other,
    })
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
        let mut progress = Progress::new(labels, unlabelled.len());
        check_left(config, &progress, labelled.len())?;
        if config.rounds.validation > 0.0 && held_out.is_empty() {
            progress.say(
                format!(
                    "method.rounds.validation is {}, but of {} labels none can be held out: rounds are judged by nothing",
                    config.rounds.validation,
                    labelled.len()
                ),
                events,
            );
        }
        let pretrained = config.pretrain.as_ref();
        let pretrained =
            pretrained.map(|pretrain| self.pretrain(pretrain, labelled, unlabelled, events)).transpose()?;
        let from = pretrained.as_ref().map(|trained| &trained.adapter);
        let rows = Rows { unlabelled, others, held_out: &held_out };
        let started = self.start(method, &progress, rows, from, events)?;
        let Started { warm, ensemble, folds, known, mut outcome, curves } = started;
        let mut rounds = Vec::new();
        let first = warm.trained.clone();
        let mut stand = warm;
        for number in 1..=config.rounds.n {
            let tag = tag(number);
            if number > 1 {
                if progress.open.is_empty() {
                    break;
                }
                let embedded = Embedded { tag: &tag, known: known.clone() };
                let library = self.library_of(method, &progress.taught, rows, embedded, events)?;
                let own = self.own_neighbours(method, &library, progress.n_labels)?;
                let models = Models { stand: &stand, ensemble: &ensemble, folds: folds.as_ref() };
                let asked = Asked { unlabelled, rows: &progress.open, tag: &tag, first: false };
                outcome = self.round(method, &library, &own, models, asked, events)?;
            }
            let made = std::mem::take(&mut outcome);
            let Some(kept) = self.settle(config, number, made, &mut progress, unlabelled, events)? else {
                break;
            };
            let trained = self.train_evolved(config, &progress, unlabelled, &tag, from, events)?;
            let name = format!("evolved{tag}");
            let model = self.load(&name, &trained.adapter)?;
            let right = self.validate(&name, model.as_ref(), &held_out, events)?;
            let rolled_back = right < stand.right;
            rounds.push(RoundResult { kept, right, rolled_back });
            if rolled_back {
                let shown = |right: Option<usize>| right.unwrap_or_default();
                let note = format!(
                    "round {number} answers {} of {} held-out labels right, the model before {}: that one stays",
                    shown(right),
                    held_out.len(),
                    shown(stand.right)
                );
                self.undo(&mut progress, &tag, "; the round was undone", note, events)?;
                break;
            }
            stand = Stand { trained, model, right };
        }
        let Progress { taught, answers, hits, selected, calibration, notes, .. } = progress;
        Ok(Evolved {
            warm: first,
            taught,
            neighbours: hits,
            answers,
            selected,
            calibration,
            notes,
            curves,
            rounds,
            evolved: stand.trained,
        })
    }

    /// Trains whatever learns the labels alone, and asks in the first round.
    fn start(
        &self,
        method: &Method,
        progress: &Progress,
        rows: Rows<'_>,
        from: Option<&Adapter>,
        events: OnEvent<'_>,
    ) -> Result<Started, PipelineError> {
        let config = &method.config;
        // With labels held out, other texts are embedded than by arms that know them all.
        let tag = if rows.held_out.is_empty() { "" } else { "-taught" };
        let embedded = Embedded { tag, known: None };
        let library = self.library_of(method, &progress.taught, rows, embedded, events)?;
        let own = self.own_neighbours(method, &library, progress.n_labels)?;
        let labels: Vec<&Labeled> = progress.labels().iter().collect();
        let (start, shots) = (Start { from, ..Start::default() }, config.warm.shots);
        let trained = self.warm_up(start, "warm", &labels, &own, shots, events)?;
        let model = self.load("warm", &trained.adapter)?;
        let right = self.validate("warm", model.as_ref(), rows.held_out, events)?;
        let ensemble = self.train_ensemble(config.ensemble, &labels, &own, shots, from, events)?;
        let folds = match config.folds {
            0 => None,
            n => Some(self.train_folds(n, progress.labels(), &own, shots, from, events)?),
        };
        let warm = Stand { trained, model, right };
        let models = Models { stand: &warm, ensemble: &ensemble, folds: folds.as_ref() };
        let asked = Asked { unlabelled: rows.unlabelled, rows: &progress.open, tag: "", first: true };
        let outcome = self.round(method, &library, &own, models, asked, events)?;
        let curves = self.curves(&library, progress.labels(), rows.unlabelled);
        let known = (config.rounds.n > 1).then(|| library.known()).flatten();
        Ok(Started { warm, ensemble, folds, known, outcome, curves })
    }

    /// Takes over what a round made; how many pseudo-labels it kept, or nothing where no model is to learn them.
    fn settle(
        &self,
        config: &MethodConfig,
        number: usize,
        mut outcome: Outcome,
        progress: &mut Progress,
        unlabelled: &[Sample],
        events: OnEvent<'_>,
    ) -> Result<Option<usize>, PipelineError> {
        let tag = tag(number);
        files::write_jsonl(&self.rows_file(&format!("selection{tag}")), &outcome.selected)?;
        for note in std::mem::take(&mut outcome.notes) {
            progress.say(note, events);
        }
        let score = outcome.held_out.filter(|_| config.do_no_harm);
        let kept = progress.take(unlabelled, outcome, number == config.rounds.n);
        if let Some(HeldOutScore { right, own, of, .. }) = score.filter(HeldOutScore::does_harm) {
            let note = format!(
                "of {of} labels that they have not learnt the models alone answer {own} right, the pseudo-labels' way {right}: the model trained on the labels alone stays"
            );
            self.undo(progress, &tag, "; given up, so as to do no harm", note, events)?;
            return Ok(None);
        }
        if number > 1 && kept == 0 {
            progress.say(format!("round {number} kept nothing more: the rounds end"), events);
            return Ok(None);
        }
        let beside_labels = config.evolve.on == EvolveOn::LabelsAndSelected;
        if beside_labels && !progress.selected.iter().any(|one| one.accepted) {
            progress.say("no pseudo-label was kept: the evolved model sees the labels alone".into(), events);
        }
        Ok(Some(kept))
    }

    /// Gives up what the last round kept, in its file, too.
    fn undo(
        &self,
        progress: &mut Progress,
        tag: &str,
        why: &str,
        note: String,
        events: OnEvent<'_>,
    ) -> Result<(), PipelineError> {
        progress.undo(why);
        files::write_jsonl(&self.rows_file(&format!("selection{tag}")), &progress.last_selected())?;
        progress.say(note, events);
        Ok(())
    }

    /// What the method looks neighbours up in.
    fn library_of<'l>(
        &self,
        method: &Method,
        taught: &'l [Labeled],
        Rows { unlabelled, others, .. }: Rows<'_>,
        embedded: Embedded<'_>,
        events: OnEvent<'_>,
    ) -> Result<Library<'l>, PipelineError> {
        let retrieval = (method.config.most_shots() > 0).then(|| method.retrieval());
        // Those of a pool in parts are made with each part.
        let whole = (unlabelled.len() <= self.part).then_some(unlabelled);
        let others: Vec<&[Sample]> = whole.into_iter().chain(others.iter().copied()).collect();
        self.library_of_round(embedded, taught, &others, retrieval, method.needs_embedder(), events)
    }

    /// The neighbours of the labels, as many as any stage shows them with.
    fn own_neighbours<'l>(
        &self,
        method: &Method,
        library: &Library<'l>,
        n_labels: usize,
    ) -> Result<Vec<Vec<&'l Labeled>>, PipelineError> {
        let config = &method.config;
        let shown = match config.folds > 0 || config.combine.is_some() {
            true => config.most_shots(),
            false => config.warm.shots.max(config.confidence_shots),
        };
        let own = library.leave_one_out(n_labels, shown)?;
        Ok(own.iter().map(|hits| library.shots(hits)).collect())
    }

    /// Eq. 1, into the folder `name`: the warm model, and those that are like it but for where they start and which labels
    /// they learn.
    pub(crate) fn warm_up(
        &self,
        start: Start<'_>,
        name: &str,
        labelled: &[&Labeled],
        neighbours: &[Vec<&Labeled>],
        shots: usize,
        events: OnEvent<'_>,
    ) -> Result<Trained, PipelineError> {
        let (lessons, max_steps) = self.warm_lessons(labelled, neighbours, shots);
        let recipe = Recipe { max_steps, ..self.recipe.clone() };
        self.train_from(start, name, &lessons, &recipe, events)
    }

    /// The models of an ensemble besides the warm one: like it, but for their initial values and the order of the lessons.
    fn train_ensemble(
        &self,
        n: usize,
        labelled: &[&Labeled],
        neighbours: &[Vec<&Labeled>],
        shots: usize,
        from: Option<&Adapter>,
        events: OnEvent<'_>,
    ) -> Result<Vec<Arc<dyn LanguageModel>>, PipelineError> {
        // The warm model's is 0, and those of folds follow it.
        const STREAM: u64 = 1 << 32;
        let mut models = Vec::new();
        for member in 1..n {
            let (start, name) =
                (Start { stream: STREAM + member as u64, from }, format!("ensemble-{member}"));
            let trained = self.warm_up(start, &name, labelled, neighbours, shots, events)?;
            models.push(self.load(&name, &trained.adapter)?);
        }
        Ok(models)
    }

    /// What a warm model learns, and the most steps that it takes. With shots, each label is a lesson with 0, 1, ...
    /// of its neighbours, and the steps are as many as without.
    fn warm_lessons<'l>(
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
}
