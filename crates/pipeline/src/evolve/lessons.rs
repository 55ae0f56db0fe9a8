//! Eq. 9: what the evolved model learns.

use super::progress::Progress;
use crate::method::{EvolveConfig, EvolveOn, MethodConfig, Targets};
use crate::{Lesson, OnEvent, PipelineError, SeedRun, Start, Trained};
use semievol_core::{Answer, Labeled, Sample, Seed};
use semievol_data::folded;
use semievol_model::Adapter;

impl SeedRun<'_> {
    /// Trains from the base on the labels and all that was kept so far.
    pub(super) fn train_evolved(
        &self,
        config: &MethodConfig,
        progress: &Progress,
        unlabelled: &[Sample],
        tag: &str,
        from: Option<&Adapter>,
        events: OnEvent<'_>,
    ) -> Result<Trained, PipelineError> {
        let kept = self.kept(&config.evolve, unlabelled, progress);
        let lessons = self.beside_labels(&config.evolve, progress.labels(), kept);
        if lessons.is_empty() {
            return Err(PipelineError::Assembly(
                "no pseudo-label was kept, and method.evolve.on = \"selected\" trains on nothing else: keep more, or train on labels_and_selected".into(),
            ));
        }
        let recipe = config.evolve.recipe(self.recipe, progress.labels().len(), lessons.len());
        self.train_from(Start { stream: 0, from }, &format!("evolved{tag}"), &lessons, &recipe, events)
    }

    /// Trains as [`SeedRun::evolve`] does on labels and what was kept, but on gold answers in the place of
    /// pseudo-labels: what those could bring at best. They are taught without neighbours, whatever `evolve.shots` says.
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
        let recipe = config.evolve.recipe(self.recipe, labelled.len(), lessons.len());
        self.train_from(Start { stream: 0, from }, name, &lessons, &recipe, events)
    }

    /// What was kept, as the evolved model is taught it.
    fn kept<'s>(
        &self,
        config: &EvolveConfig,
        unlabelled: &'s [Sample],
        progress: &'s Progress,
    ) -> Vec<Lesson<'s>> {
        let Progress { soft, selected, hits, taught, .. } = progress;
        let rows = unlabelled.iter().zip(selected).enumerate();
        let rows = rows.filter(|(_, (_, selected))| selected.accepted);
        rows.filter_map(|(row, (sample, selected))| {
            let mut lesson =
                Lesson { weight: selected.weight, ..Lesson::new(sample, selected.answer.as_ref()?) };
            if config.shots > 0 {
                let nearest = hits[row].iter().map(|hit| &taught[hit.row]);
                let seed = self.seed.child("evolve shots", 0).child(&sample.id, 0);
                lesson.shots = draw_shots(sample, nearest, config.shots, seed);
            }
            Some(match config.targets {
                Targets::Hard => lesson,
                Targets::Soft => soften(lesson, soft.get(row).map(Vec::as_slice).unwrap_or_default()),
            })
        })
        .collect()
    }

    /// The labels, as often as configured, and the other lessons, in other words where that is configured.
    pub(super) fn beside_labels<'s>(
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
}

/// 0 to `most` of the neighbours, the nearest of them, in any order; which number and order depends on the seed alone. One with
/// the sample's own question would teach to copy its answer.
fn draw_shots<'s>(
    sample: &Sample,
    nearest: impl Iterator<Item = &'s Labeled>,
    most: usize,
    seed: Seed,
) -> Vec<&'s Labeled> {
    let own = folded(&sample.question);
    let other = |near: &&Labeled| folded(&near.sample.question) != own;
    let nearest: Vec<&Labeled> = nearest.filter(other).collect();
    let most = nearest.len().min(most);
    let shown = (seed.uniform() * (most + 1) as f64) as usize;
    let order = seed.child("order", 0).permutation(shown.min(most));
    order.into_iter().map(|place| nearest[place]).collect()
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
pub(crate) fn repeats(labels: usize, kept: usize, share: f64) -> usize {
    let needed = share / (1.0 - share) * kept as f64 / labels.max(1) as f64;
    (needed.ceil() as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::{Lesson, draw_shots, repeats, soften};
    use semievol_core::{Answer, Labeled, Sample, Seed};
    use std::collections::HashSet;

    #[test]
    fn shots_are_the_nearest_in_any_number_and_order() {
        let label = |id: usize| {
            let sample = Sample::new(id.to_string(), format!("Is {id} odd?"));
            Labeled { sample, answer: Answer::Choice(id % 2) }
        };
        let labels: Vec<Labeled> = (0..4).map(label).collect();
        let asked = Sample::new("asked", "Is 9 odd?");
        let drawn = |row| -> Vec<usize> {
            let shots = draw_shots(&asked, labels.iter(), 3, Seed(row));
            shots.iter().map(|shot| shot.sample.id.parse().unwrap()).collect()
        };
        let all: HashSet<Vec<usize>> = (0..500).map(drawn).collect();
        // One way to show none, one to show the nearest, two of two, six of three.
        assert_eq!(all.len(), 10, "{all:?}");
        assert!(all.iter().all(|shots| shots.iter().all(|shot| *shot < shots.len())), "{all:?}");
        assert!(draw_shots(&asked, [].iter(), 3, Seed(1)).is_empty());
        let twin = Sample::new("twin", " Is 0 odd?");
        let shown = (0..500).flat_map(|row| draw_shots(&twin, labels.iter(), 4, Seed(row)));
        assert!(shown.map(|shot| shot.sample.id.as_str()).all(|id| id != "0"));
    }

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
