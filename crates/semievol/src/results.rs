//! What came out, with intervals and paired tests.

mod breakdown;
mod kept;
mod markdown;

pub(crate) use breakdown::{Breakdown, Part};

use crate::arms::Cost;
use crate::pseudo::PseudoResults;
use crate::{Arm, SetSizes};
use semievol_core::{Groups, Seed};
use semievol_data::OverlapReport;
use semievol_eval::{
    ClassMetrics, Comparison, Confusion, EvalError, Graded, Interval, Metric, SeedSummary, compare,
    compare_over_seeds, over_seeds,
};
use semievol_model::ModelId;
use semievol_pipeline::{Tried, TriedSelectors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Level of every interval.
const LEVEL: f64 = 0.95;

/// The results of an experiment; `metrics.json` holds the same. There is no time in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Results {
    /// The experiment.
    pub name: String,
    /// The base model, with the digest of its weights.
    pub model: ModelId,
    /// Whoever else had a part: the embedder, the trainer, models behind servers.
    pub parts: Vec<String>,
    /// Digest of what the experiment asks for, whatever its seeds: see [`Experiment::settings`](crate::Experiment::settings).
    pub settings: String,
    /// Digests of the data files.
    pub data: Vec<String>,
    /// Where the files stand; empty for results that were read.
    #[serde(skip)]
    pub folder: PathBuf,
    /// One entry per seed.
    pub seeds: Vec<SeedResults>,
    /// One entry per arm, over the seeds.
    pub summary: Vec<ArmSummary>,
}

/// The results of one seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeedResults {
    /// The seed.
    pub seed: u64,
    /// Rows of each set.
    pub sizes: SetSizes,
    /// Rows that stand in two sets, or twice in one.
    pub overlap: OverlapReport,
    /// The recipes that were tried on folds of the labels; empty where none was chosen so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tuned: Vec<Tried>,
    /// The selectors that were tried on them; absent where none was chosen so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selectors: Option<TriedSelectors>,
    /// One entry per arm.
    pub arms: Vec<ArmResults>,
    /// What became of the unlabelled rows, for each arm that learns from them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pseudo: Vec<PseudoResults>,
    /// The test rows, in their order.
    pub test_ids: Vec<String>,
    /// The group of each test row, counted from 0 in the order in which they first occur; empty where no two rows are of one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_groups: Vec<usize>,
    #[serde(skip)]
    pub(crate) folder: PathBuf,
}

/// The results of an arm for one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmResults {
    /// The arm.
    pub arm: Arm,
    /// What it took before the test rows.
    pub cost: Cost,
    /// Test samples.
    pub n: usize,
    /// Answered right.
    pub n_correct: usize,
    /// Responses that could not be read, prompts that did not fit included; they count as wrong.
    pub n_unparsed: usize,
    /// The share of right answers.
    pub accuracy: f64,
    /// Wilson's 95% interval of that share: see [`Graded::accuracy_interval`].
    pub interval: Interval,
    /// The mean F1 of the classes; absent for open answers and where rows have options of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<f64>,
    /// Which of the test rows it answered right; a digit for each where it is written.
    #[serde(with = "kept::digits")]
    pub right: Vec<bool>,
    /// Against the better of the arms with labels alone, or the vanilla model where there is none; absent for that arm itself.
    /// The better one is that of the test rows: two of them make a gain rarer by chance, and a loss more frequent, than the
    /// test says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
    /// Accuracy under each paraphrase of the instruction; empty without any, and for arms that are not trained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paraphrased: Vec<f64>,
    /// Precision, recall and F1 of each class; empty for open answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_class: Vec<ClassMetrics>,
    /// Which class was taken for which; absent where there is no macro-F1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// Right and all answers of each category; empty where samples have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_category: BTreeMap<String, (usize, usize)>,
    /// Where its model is; absent for an arm that trains none, and in results that were kept.
    #[serde(skip)]
    pub(crate) adapter: Option<PathBuf>,
}

/// A comparison with another arm on the same samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// The other arm.
    pub arm: Arm,
    /// This arm less the other.
    #[serde(flatten)]
    pub comparison: Comparison,
}

impl Against {
    fn new(seed: u64, own: &Graded, arm: &Arm, other: &Graded) -> Result<Self, EvalError> {
        let comparison = compare(own, other, Seed(seed).child("compare", 0))?;
        Ok(Against { arm: arm.clone(), comparison })
    }
}

/// An arm over all seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// The arm.
    pub arm: Arm,
    /// Its accuracy.
    pub accuracy: SeedSummary,
    /// Its macro-F1, where each run has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<SeedSummary>,
    /// Its gain in accuracy over the arm with labels alone that is better in the mean, or over the vanilla model
    /// where there is none; absent for that arm and for a single seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain: Option<Gain>,
    /// Where several methods learn from the unlabelled rows: the gain over [`Arm::Semievol`], or over the first of them
    /// where that has no part. Absent for that one and for other arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_method: Option<Gain>,
}

/// A mean difference of accuracy over seeds; of a single one, its difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// The other arm.
    pub against: Arm,
    /// The mean over the seeds of this arm less the other.
    pub mean: f64,
    /// Its 95% interval: see [`compare_over_seeds`].
    pub interval: Interval,
    /// The paired test that goes with it; absent for a single seed, which has McNemar's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// How the interval was made.
    pub method: GainMethod,
}

/// How the interval of a [`Gain`] was made. Test rows repeat from seed to seed, so p-values of the seeds are
/// never pooled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GainMethod {
    /// All seeds share the test rows: half widths for the seeds and for the rows, their squares added.
    RowsAndSeeds,
    /// Each seed draws test rows of its own: the wider one of those for the seeds and for the rows.
    Seeds,
}

impl Results {
    /// The arm whose model answers the most test rows right, in the mean over seeds, and that share. The oracle's is trained
    /// on answers that are no part of the question. Of equals the first, so that labels alone stand before what learns more.
    pub fn most_right(&self) -> Option<(&Arm, f64)> {
        let models = self.summary.iter().filter(|of| of.arm.is_trained() && of.arm != Arm::Oracle);
        let right = models.map(|of| (&of.arm, of.accuracy.mean));
        right.rev().max_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    /// Puts the seeds' arms over all seeds.
    pub(crate) fn summed_up(mut self) -> Result<Self, EvalError> {
        let seeds = &self.seeds;
        let arms = seeds.iter().take(1).flat_map(|seed| &seed.arms).map(|run| &run.arm);
        let mut summary = arms.map(|arm| ArmSummary::new(arm, seeds)).collect::<Result<Vec<_>, _>>()?;
        let means: Vec<(Arm, f64)> = summary.iter().map(|arm| (arm.arm.clone(), arm.accuracy.mean)).collect();
        if let Some(reference) = reference(&means).filter(|_| seeds.len() > 1) {
            for arm in summary.iter_mut().filter(|arm| arm.arm != reference) {
                arm.gain = Some(gain(&arm.arm, &reference, seeds)?);
            }
        }
        let methods = || summary.iter().map(|arm| &arm.arm).filter(|arm| arm.is_semi_supervised());
        let first = methods().find(|arm| **arm == Arm::Semievol).or_else(|| methods().next()).cloned();
        if let Some(first) = first {
            let others = summary.iter_mut().filter(|arm| arm.arm.is_semi_supervised() && arm.arm != first);
            for arm in others {
                arm.over_method = Some(gain(&arm.arm, &first, seeds)?);
            }
        }
        self.summary = summary;
        Ok(self)
    }
}

/// The arm that the others are held against: the better one with labels alone, else the vanilla model.
fn reference(arms: &[(Arm, f64)]) -> Option<Arm> {
    // The first of equals.
    let better =
        arms.iter().rev().filter(|(arm, _)| arm.is_sft()).max_by(|one, other| one.1.total_cmp(&other.1));
    better.or_else(|| arms.iter().find(|(arm, _)| *arm == Arm::Vanilla)).map(|(arm, _)| arm.clone())
}

impl Results {
    /// Whether the unlabelled rows helped, by how much, how sure that is and what it cost, in one sentence or two.
    pub fn verdict(&self) -> String {
        semievol_report::verdict(&crate::page::figures(self))
    }
}

impl SeedResults {
    /// Compares its arms anew: what was kept by another build has the intervals of that one.
    pub(super) fn compared(mut self) -> Result<Self, EvalError> {
        let again = |run: &ArmResults| {
            let Some(Against { arm, .. }) = &run.against else { return Ok(None) };
            let (own, other) = (self.graded(&run.arm)?, self.graded(arm)?);
            own.zip(other).map(|(own, other)| Against::new(self.seed, &own, arm, &other)).transpose()
        };
        let again = self.arms.iter().map(again).collect::<Result<Vec<_>, EvalError>>()?;
        self.arms.iter_mut().zip(again).for_each(|(run, against)| run.against = against);
        Ok(self)
    }

    /// Which test rows an arm answers right, if it was run.
    fn graded(&self, arm: &Arm) -> Result<Option<Graded>, EvalError> {
        let run = self.arms.iter().find(|run| run.arm == *arm);
        run.map(|run| Graded::of_rows(&self.test_ids, &self.groups(), &run.right)).transpose()
    }

    /// Which test rows come together.
    pub(super) fn groups(&self) -> Groups {
        match self.test_groups.as_slice() {
            [] => Groups::single(self.test_ids.len()),
            numbers => Groups::keyed(numbers.iter().map(Some)),
        }
    }
}

impl ArmResults {
    /// The results of all arms of a seed.
    pub(crate) fn of_seed(seed: u64, graded: &[(Arm, Graded)]) -> Result<Vec<ArmResults>, EvalError> {
        let accuracies: Vec<(Arm, f64)> =
            graded.iter().map(|(arm, graded)| (arm.clone(), graded.accuracy())).collect();
        let reference = reference(&accuracies);
        let reference = graded.iter().find(|(arm, _)| Some(arm) == reference.as_ref());
        let new = |(arm, graded): &(Arm, Graded)| {
            let other = reference.filter(|(other, _)| other != arm);
            let against = other.map(|(arm, other)| Against::new(seed, graded, arm, other));
            let (n, n_correct) = (graded.len(), graded.n_correct());
            let macro_f1 = graded.macro_f1().ok();
            Ok(ArmResults {
                arm: arm.clone(),
                cost: Cost::default(),
                paraphrased: Vec::new(),
                adapter: None,
                n,
                n_correct,
                n_unparsed: graded.n_unparsed(),
                accuracy: graded.accuracy(),
                right: graded.correct(),
                interval: graded.accuracy_interval(LEVEL)?,
                macro_f1,
                against: against.transpose()?,
                per_class: graded.per_class(),
                confusion: macro_f1.map(|_| graded.confusion()),
                by_category: graded.by_category(),
            })
        };
        graded.iter().map(new).collect()
    }
}

impl ArmSummary {
    fn new(arm: &Arm, seeds: &[SeedResults]) -> Result<Self, EvalError> {
        let runs: Vec<&ArmResults> =
            seeds.iter().flat_map(|seed| &seed.arms).filter(|run| run.arm == *arm).collect();
        let accuracy: Vec<f64> = runs.iter().map(|run| run.accuracy).collect();
        let macro_f1: Option<Vec<f64>> = runs.iter().map(|run| run.macro_f1).collect();
        let shares = |values: &[f64]| {
            let summary = over_seeds(values, LEVEL)?;
            Ok::<_, EvalError>(SeedSummary { interval: summary.interval.map(Interval::of_share), ..summary })
        };
        Ok(ArmSummary {
            arm: arm.clone(),
            accuracy: shares(&accuracy)?,
            macro_f1: macro_f1.map(|values| shares(&values)).transpose()?,
            gain: None,
            over_method: None,
        })
    }
}

fn gain(arm: &Arm, against: &Arm, seeds: &[SeedResults]) -> Result<Gain, EvalError> {
    let of = |wanted: &Arm| -> Result<Vec<Graded>, EvalError> {
        seeds.iter().filter_map(|seed| seed.graded(wanted).transpose()).collect()
    };
    let (ours, others) = (of(arm)?, of(against)?);
    if let ([own], [other]) = (&ours[..], &others[..]) {
        let Comparison { difference: mean, interval, .. } =
            Against::new(seeds[0].seed, own, against, other)?.comparison;
        let method = GainMethod::RowsAndSeeds;
        return Ok(Gain { against: against.clone(), mean, interval, p: None, method });
    }
    let shared = ours.iter().all(|run| run.ids().eq(ours[0].ids()));
    let seed = Seed(seeds[0].seed).child("gain", 0);
    let over = compare_over_seeds(Metric::Accuracy, &ours, &others, seed)?;
    let method = if shared { GainMethod::RowsAndSeeds } else { GainMethod::Seeds };
    let (mean, interval, p) = (over.difference, over.interval, Some(over.p));
    Ok(Gain { against: against.clone(), mean, interval, p, method })
}
