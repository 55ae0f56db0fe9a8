//! Steps 2 to 5 for the unlabelled samples, part by part: what a part's prompts and answers take is given back before
//! the next, and what is kept of a sample is what selection and training need.

use super::{Models, Selected};
use crate::collaborate::{Answers, CANDIDATES};
use crate::combine::{Combiner, Pooled};
use crate::estimate::Estimate;
use crate::folds::{Folds, HeldOutScore};
use crate::justify::Justified;
use crate::method::{Method, Targets};
use crate::probe::{self, features};
use crate::round::{Round, nearest};
use crate::{Library, OnEvent, PipelineError, SeedRun, files};
use semievol_core::{Labeled, Sample, Scale};
use semievol_retrieval::Hit;
use semievol_select::{Calibrated, Pool, mean_distribution};
use std::borrow::Cow;
use std::path::PathBuf;

/// What a round asks about.
#[derive(Clone, Copy)]
pub(super) struct Asked<'s> {
    pub unlabelled: &'s [Sample],
    /// Which of them, ascending.
    pub rows: &'s [usize],
    /// Ends the names of the round's stages.
    pub tag: &'s str,
    /// Whether it is the first round.
    pub first: bool,
}

/// Samples that are worked on at once.
struct Part<'s> {
    samples: Cow<'s, [Sample]>,
    /// Ends the names of its stages.
    tag: String,
    /// Whether it is all there is.
    whole: bool,
}

/// What is known of the samples until selection.
#[derive(Default)]
pub(crate) struct Judged {
    pub finals: Vec<Justified>,
    pub estimates: Vec<Estimate>,
}

/// What one round made of the samples that it asked about.
#[derive(Default)]
pub(super) struct Outcome {
    /// The files that hold the answers.
    pub answers: Vec<PathBuf>,
    pub hits: Vec<Vec<Hit>>,
    /// What is learnt of each sample where that is a distribution; else empty.
    pub soft: Vec<Vec<f64>>,
    pub selected: Vec<Selected>,
    pub calibration: Vec<Calibrated>,
    /// The final answers to labels that models have not learnt, beside those models' own.
    pub held_out: Option<HeldOutScore>,
    pub notes: Vec<String>,
}

impl<'s> Asked<'s> {
    fn parts(self, size: usize) -> impl Iterator<Item = Part<'s>> {
        let Asked { unlabelled, rows, tag, .. } = self;
        let whole = unlabelled.len() <= size;
        rows.chunks(size.max(1)).enumerate().map(move |(number, rows)| {
            let (first, last) = (rows[0], rows[rows.len() - 1]);
            let samples = if last - first + 1 == rows.len() {
                Cow::Borrowed(&unlabelled[first..=last])
            } else {
                rows.iter().map(|row| unlabelled[*row].clone()).collect()
            };
            let tag = if whole { tag.to_owned() } else { format!("{tag}-part-{}", number + 1) };
            Part { samples, tag, whole }
        })
    }
}

/// What the parts of a pool gave: one entry for each sample.
#[derive(Default)]
struct Gathered {
    answers: Vec<PathBuf>,
    hits: Vec<Vec<Hit>>,
    judged: Judged,
    /// What is learnt of each sample where that is a distribution; else empty.
    soft: Vec<Vec<f64>>,
    /// In the place of judged ones, where collaborators are combined.
    pooled: Vec<Pooled>,
    /// What every estimator makes of the final answers, for a probe.
    features: Vec<Option<Vec<f64>>>,
}

impl SeedRun<'_> {
    /// Steps 2 to 5. `own` are the neighbours of the labels, which the library begins with.
    pub(super) fn round(
        &self,
        method: &Method,
        library: &Library<'_>,
        own: &[Vec<&Labeled>],
        models: Models<'_>,
        asked: Asked<'_>,
        events: OnEvent<'_>,
    ) -> Result<Outcome, PipelineError> {
        let config = &method.config;
        let Models { stand, ensemble, folds } = models;
        let labels = &library.labelled()[..own.len()];
        let round = Round {
            tag: asked.tag.to_owned(),
            first: asked.first,
            warm: stand.model.as_ref(),
            folds: folds.map(Folds::models).unwrap_or_default(),
            ensemble: [&stand.model].into_iter().chain(ensemble).map(AsRef::as_ref).collect(),
            samples: &[],
            neighbours: Vec::new(),
            taught: labels.iter().collect(),
            kept: &library.labelled()[own.len()..],
        };
        let combiner = self.combiner(method, folds, own, asked.unlabelled, library, events)?;
        let gathered = self.gather(method, library, &round, asked, combiner.as_ref(), events)?;
        let Gathered { answers, hits, mut judged, mut soft, pooled, features } = gathered;
        let (mut calibration, mut held_out, mut notes) = (Vec::new(), None, Vec::new());
        let mut scale = method.scale();
        if let Some(combiner) = combiner {
            (judged, calibration, held_out) = self.combine(config, &combiner, &round, pooled, events)?;
            if config.evolve.targets == Targets::Soft {
                soft = judged
                    .finals
                    .iter_mut()
                    .map(|last| std::mem::take(&mut last.last.distribution))
                    .collect();
            }
        }
        let reference = match method.selector.wants_labelled() {
            true => {
                let own = nearest(own, config.confidence_shots);
                self.estimate_labelled(method.estimator.as_ref(), &round, labels, &own, events)?
            }
            false => Vec::new(),
        };
        let wanted = config.probe || config.do_no_harm || method.selector.wants_calibration();
        if let Some(folds) = folds.filter(|_| wanted && config.combine.is_none()) {
            let (of_labels, score) = self.calibrate(method, folds, labels, library, own, events)?;
            held_out = Some(score);
            if config.probe {
                let seed = self.seed.child("probe", 0);
                match probe::apply(&of_labels, &features, &mut judged.estimates, seed) {
                    Some(calibrated) => (calibration, scale) = (calibrated, Scale::Probability),
                    None => notes.push(
                        "the folds' answers to the labels teach the probe nothing; confidence stays as it was".to_owned(),
                    ),
                }
                files::write_jsonl(&self.rows_file(&round.stage("confidence-probe")), &judged.estimates)?;
            }
            if calibration.is_empty() {
                calibration = of_labels.iter().map(|one| one.calibrated).collect();
            }
        }
        let seen = Pool {
            unlabelled: &[],
            labelled: &reference,
            calibration: &calibration,
            prior: &config.shares(labels),
            scale,
            seed: self.seed.child("select", 0),
        };
        let (selected, note) = self.select(method, judged, seen)?;
        notes.extend(note);
        Ok(Outcome { answers, hits, soft, selected, calibration, held_out, notes })
    }

    /// Retrieves for and asks about each part in turn; nothing of a part stays in memory but what [`Gathered`] holds.
    fn gather(
        &self,
        method: &Method,
        library: &Library<'_>,
        round: &Round<'_>,
        asked: Asked<'_>,
        combiner: Option<&Combiner>,
        events: OnEvent<'_>,
    ) -> Result<Gathered, PipelineError> {
        let config = &method.config;
        let mut gathered = Gathered::default();
        for (number, part) in asked.parts(self.part).enumerate() {
            let samples = part.samples.as_ref();
            let embedded =
                if part.whole { Vec::new() } else { self.embed_part(library, samples, &part.tag, events)? };
            let hits = library.nearest(samples, config.neighbours)?;
            self.write_prompts(&part.tag, samples, &hits, library)?;
            let neighbours = hits.iter().map(|hits| library.shots(hits)).collect();
            gathered.hits.extend(hits);
            let round = Round { tag: part.tag, samples, neighbours, ..round.clone() };
            gathered.answers.push(self.rows_file(&round.stage(CANDIDATES)));
            if let Some(combiner) = combiner {
                let answers = self.collaborate(method, &round, library, events)?;
                for answers in &answers {
                    gathered.pooled.push(combiner.pool(answers)?);
                }
            } else {
                let (answers, Judged { mut finals, estimates }) =
                    self.judge(method, &round, library, events)?;
                if config.probe {
                    gathered.features.extend(features(self.task, samples, &answers, &finals));
                }
                for (last, answers) in finals.iter_mut().zip(&answers) {
                    // The files have them.
                    last.last.response = String::new();
                    let own = std::mem::take(&mut last.last.distribution);
                    if config.evolve.targets == Targets::Soft {
                        let mean = || mean_distribution(&answers.candidates);
                        gathered.soft.push(if own.is_empty() { mean() } else { own });
                    }
                }
                gathered.judged.finals.extend(finals);
                gathered.judged.estimates.extend(estimates);
            }
            // The learning curves come back to the first part.
            if number > 0 {
                library.forget(&embedded);
            }
        }
        Ok(gathered)
    }

    /// Collaborate, justify, estimate.
    pub(crate) fn judge(
        &self,
        method: &Method,
        round: &Round<'_>,
        library: &Library<'_>,
        events: OnEvent<'_>,
    ) -> Result<(Vec<Answers>, Judged), PipelineError> {
        let answers = self.collaborate(method, round, library, events)?;
        let finals = self.justify(method.adjudicator.as_ref(), round, &answers, events)?;
        let shown = round.showing(method.config.confidence_shots);
        let estimates = self.estimate(method.estimator.as_ref(), &shown, &answers, &finals, events)?;
        Ok((answers, Judged { finals, estimates }))
    }
}
