//! Cross-fitting: models that have not learnt a fold of the labels, and so can be asked about it.

use crate::labels::folds_of;
use crate::method::Method;
use crate::probe::{HeldOutAnswer, features};
use crate::round::Round;
use crate::{Library, OnEvent, PipelineError, SeedRun, StageEvent, Start};
use semievol_core::{Answer, Labeled, Sample};
use semievol_model::{Adapter, LanguageModel};
use semievol_select::Calibrated;
use semievol_select::options::most_probable;
use std::collections::HashSet;
use std::sync::Arc;

/// The labelled samples in folds, and for each fold a model that learnt the others.
pub(crate) struct Folds {
    fold_of: Vec<usize>,
    models: Vec<Arc<dyn LanguageModel>>,
}

impl Folds {
    /// One model for each fold.
    pub fn models(&self) -> Vec<&dyn LanguageModel> {
        self.models.iter().map(AsRef::as_ref).collect()
    }

    /// Each fold with the model that has not learnt it.
    pub fn held_out(&self) -> Vec<HeldOutFold<'_>> {
        let rows = |fold| (0..self.fold_of.len()).filter(|row| self.fold_of[*row] == fold).collect();
        let all = self.models.iter().enumerate();
        all.map(|(fold, model)| HeldOutFold { fold, rows: rows(fold), model: model.as_ref(), of: self })
            .collect()
    }
}

/// Labels and a model that has not learnt them.
pub(crate) struct HeldOutFold<'f> {
    pub fold: usize,
    /// Which labels.
    pub rows: Vec<usize>,
    /// Has not learnt them.
    pub model: &'f dyn LanguageModel,
    of: &'f Folds,
}

impl HeldOutFold<'_> {
    /// The labels without their answers.
    pub fn samples(&self, labelled: &[Labeled]) -> Vec<Sample> {
        self.rows.iter().map(|row| labelled[*row].sample.clone()).collect()
    }

    /// Asks about them as about unlabelled samples.
    pub fn round<'r>(
        &'r self,
        samples: &'r [Sample],
        labelled: &'r [Labeled],
        neighbours: &[Vec<&'r Labeled>],
    ) -> Round<'r> {
        let taught = (0..labelled.len()).filter(|row| self.of.fold_of[*row] != self.fold);
        Round {
            tag: format!("-fold-{}", self.fold),
            first: true,
            warm: self.model,
            folds: vec![self.model],
            // One that has learnt the fold would know the answers.
            ensemble: vec![self.model],
            samples,
            neighbours: (self.rows.iter())
                .map(|row| neighbours.get(*row).cloned().unwrap_or_default())
                .collect(),
            taught: taught.map(|row| &labelled[row]).collect(),
            kept: &[],
        }
    }
}

/// How labels were answered that no model had learnt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HeldOutScore {
    /// Labels.
    pub of: usize,
    /// Right by the method's final answers.
    pub right: usize,
    /// Right by the models' own answers.
    pub own: usize,
    /// Right by the models' own answers and wrong by the final ones.
    lost: usize,
}

impl HeldOutScore {
    pub fn count(&mut self, right: bool, own: bool) {
        self.of += 1;
        self.right += usize::from(right);
        self.own += usize::from(own);
        self.lost += usize::from(own && !right);
    }

    /// Whether the final answers are worse than the models' own beyond chance: a one-sided sign test over the labels on
    /// which they differ in being right (McNemar's, exact).
    pub fn does_harm(&self) -> bool {
        const LEVEL: f64 = 0.1;
        let won = self.lost + self.right - self.own;
        let differ = self.lost + won;
        if differ > 1000 {
            // A coin's power has no place in a number any more; the normal distribution is as good by then.
            return (self.lost as f64 - won as f64) / (differ as f64).sqrt() > 1.2816;
        }
        // P(at least `lost` of `differ` coins).
        let mut coins = 0.5_f64.powi(differ as i32);
        let mut at_least = 0.0;
        for heads in 0..=differ {
            if heads >= self.lost {
                at_least += coins;
            }
            coins *= (differ - heads) as f64 / (heads + 1) as f64;
        }
        at_least < LEVEL
    }
}

impl SeedRun<'_> {
    /// Trains the models of `n` stratified folds as the warm model is trained. Neighbours of the fold that is held
    /// out are not shown either.
    pub(crate) fn train_folds(
        &self,
        n: usize,
        labelled: &[Labeled],
        neighbours: &[Vec<&Labeled>],
        shots: usize,
        from: Option<&Adapter>,
        events: OnEvent<'_>,
    ) -> Result<Folds, PipelineError> {
        let (fold_of, dealt) = folds_of(labelled, n, self.seed);
        if dealt < n {
            events(&StageEvent::Note(format!(
                "the {} labels come from {dealt} groups, which stay whole: {dealt} folds in the place of {n}",
                labelled.len()
            )));
        }
        let n = dealt;
        let mut models = Vec::with_capacity(n);
        for fold in 0..n {
            let (out, rows): (Vec<usize>, Vec<usize>) =
                (0..labelled.len()).partition(|row| fold_of[*row] == fold);
            let out: HashSet<&str> = out.into_iter().map(|row| labelled[row].sample.id.as_str()).collect();
            let learnt: Vec<&Labeled> = rows.iter().map(|row| &labelled[*row]).collect();
            let shown: Vec<Vec<&Labeled>> = rows
                .iter()
                .map(|row| neighbours.get(*row).map(Vec::as_slice).unwrap_or_default())
                .map(|shots| {
                    shots.iter().copied().filter(|shot| !out.contains(shot.sample.id.as_str())).collect()
                })
                .collect();
            let (start, name) = (Start { stream: 1 + fold as u64, from }, format!("fold-{fold}"));
            let trained = self.warm_up(start, &name, &learnt, &shown, shots, events)?;
            models.push(self.load(&name, &trained.adapter)?);
        }
        Ok(Folds { fold_of, models })
    }

    /// Asks about the labelled samples as about unlabelled ones, each fold's model about its fold, and compares the
    /// final answers with the labels. Samples without an answer or a confidence are left out, as pseudo-labels are.
    pub(crate) fn calibrate(
        &self,
        method: &Method,
        folds: &Folds,
        labels: &[Labeled],
        library: &Library<'_>,
        neighbours: &[Vec<&Labeled>],
        events: OnEvent<'_>,
    ) -> Result<(Vec<HeldOutAnswer>, HeldOutScore), PipelineError> {
        let mut held_out = Vec::with_capacity(labels.len());
        let mut score = HeldOutScore::default();
        let own_voice = method.config.own_voice();
        for fold in folds.held_out() {
            let samples = fold.samples(labels);
            let round = fold.round(&samples, labels, neighbours);
            let (answers, judged) = self.judge(method, &round, library, events)?;
            for ((row, last), said) in fold.rows.iter().zip(&judged.finals).zip(&answers) {
                let gold = &labels[*row].answer;
                let is_right =
                    |answer: Option<&Answer>| answer.is_some_and(|one| self.task.is_correct(one, gold));
                let own = own_voice.map(|at| &said.candidates[at]);
                // What it thinks, whatever was drawn from that.
                let likely = own.and_then(|one| most_probable(&one.distribution)).map(Answer::Choice);
                let own = likely.as_ref().or(own.and_then(|one| one.answer.as_ref()));
                score.count(is_right(last.last.answer.as_ref()), is_right(own));
            }
            let features = features(self.task, &samples, &answers, &judged.finals);
            let rows = fold.rows.iter().zip(&judged.finals).zip(&judged.estimates).zip(features);
            for (((row, last), estimate), features) in rows {
                if let (Some(answer), Some(confidence)) = (&last.last.answer, estimate.confidence) {
                    let correct = self.task.is_correct(answer, &labels[*row].answer);
                    let calibrated = Calibrated { confidence, correct };
                    held_out.push(HeldOutAnswer { fold: fold.fold, features, calibrated });
                }
            }
        }
        Ok((held_out, score))
    }
}

#[cfg(test)]
mod tests {
    use super::HeldOutScore;

    /// So many labels right by both, by the final answer alone, by the model's own alone.
    fn score(both: usize, final_alone: usize, own_alone: usize) -> HeldOutScore {
        let mut score = HeldOutScore::default();
        (0..both).for_each(|_| score.count(true, true));
        (0..final_alone).for_each(|_| score.count(true, false));
        (0..own_alone).for_each(|_| score.count(false, true));
        score
    }

    #[test]
    fn harm_is_what_chance_does_not_explain() {
        assert!(!score(20, 0, 0).does_harm());
        assert!(!score(20, 0, 3).does_harm()); // one in eight
        assert!(score(20, 0, 4).does_harm()); // one in sixteen
        assert!(!score(20, 4, 0).does_harm());
        assert!(!score(20, 3, 7).does_harm()); // 0.17
        assert!(score(0, 3, 9).does_harm()); // 0.07
        assert!(!score(0, 2000, 2000).does_harm() && score(0, 2000, 2200).does_harm());
    }
}
