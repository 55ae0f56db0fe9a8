use crate::draws::{Draws, Variance};
use crate::error::EvalError;
use crate::interval::{Interval, check_level, score_interval, wilson};
use semievol_core::Groups;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::collections::BTreeMap;
use std::fmt;

/// Which number a comparison is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// The share of right answers; an unreadable response is wrong.
    Accuracy,
    /// The mean F1 of the classes; see [`Graded::macro_f1`].
    MacroF1,
}

/// Groups of which one can tell how they differ.
const FEW_GROUPS: f64 = 6.0;

/// Graded predictions, in the order they were made.
#[derive(Clone)]
pub struct Graded {
    items: Vec<Item>,
    pub(crate) draws: Draws,
    options: Option<Vec<String>>,
}

#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) category: Option<String>,
    pub(crate) correct: bool,
    pub(crate) parsed: bool,
    pub(crate) predicted: Option<usize>,
    pub(crate) gold: Option<usize>,
}

/// Shows counts, and no gold answer.
impl fmt::Debug for Graded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, correct) = (self.len(), self.n_correct());
        f.debug_struct("Graded").field("len", &len).field("n_correct", &correct).finish_non_exhaustive()
    }
}

/// Precision, recall and F1 of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The option's text where all samples share their options, else its letter.
    pub class: String,
    /// Right among those predicted to be of the class; 0 if none is.
    pub precision: f64,
    /// Right among those of the class; 0 if there is none.
    pub recall: f64,
    /// `2 TP / (2 TP + FP + FN)`.
    pub f1: f64,
    /// Samples of the class.
    pub n_gold: usize,
    /// Predictions of the class.
    pub n_predicted: usize,
}

/// How often each class was taken for which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Names of the classes, in the options' order.
    pub classes: Vec<String>,
    /// `counts[gold][predicted]`; the last column counts responses that could not be read.
    pub counts: Vec<Vec<usize>>,
}

impl Graded {
    pub(crate) fn new(items: Vec<Item>, groups: &Groups, options: Option<Vec<String>>) -> Graded {
        Graded { items, draws: Draws::of(groups), options }
    }

    /// Predictions of which it is only known which are right, as results keep them: enough for accuracy and for comparisons
    /// of it.
    ///
    /// # Errors
    /// If there is not one truth value, and one group, for each sample.
    pub fn of_rows(ids: &[String], groups: &Groups, right: &[bool]) -> Result<Graded, EvalError> {
        if ids.len() != right.len() {
            let (left_len, right_len) = (ids.len(), right.len());
            return Err(EvalError::Lengths { left: "samples", left_len, right: "truth values", right_len });
        }
        let draws = Draws::of(groups).check(ids.len())?;
        let item = |(id, correct): (&String, &bool)| Item {
            id: id.clone(),
            category: None,
            correct: *correct,
            parsed: true,
            predicted: None,
            gold: None,
        };
        Ok(Graded { items: ids.iter().zip(right).map(item).collect(), draws, options: None })
    }

    /// Number of predictions.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no prediction.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The samples' ids.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.items.iter().map(|item| item.id.as_str())
    }

    /// Which predictions are right.
    pub fn correct(&self) -> Vec<bool> {
        self.items.iter().map(|item| item.correct).collect()
    }

    /// How many predictions are right.
    pub fn n_correct(&self) -> usize {
        self.items.iter().filter(|item| item.correct).count()
    }

    /// How many responses could not be read.
    pub fn n_unparsed(&self) -> usize {
        self.items.iter().filter(|item| !item.parsed).count()
    }

    /// The share of right predictions; NaN if there is none.
    pub fn accuracy(&self) -> f64 {
        self.n_correct() as f64 / self.len() as f64
    }

    /// The interval of the accuracy: Wilson's. Where samples come in groups, they count as so many single ones as their variance
    /// over whole groups says (the design effect, Kish, Survey Sampling, 1965), and at most as those that there are; the normal
    /// distribution gives way to Student's t of their effective number less one. That variance is known from the groups that hold
    /// wrong answers (or right ones, where these are fewer); the fewer than six they are, the more is it taken for
    /// the largest possible, as if all samples of a group were alike.
    ///
    /// # Errors
    /// Without predictions, or with a level outside of 0 and 1.
    pub fn accuracy_interval(&self, level: f64) -> Result<Interval, EvalError> {
        let Some(groups) = self.draws.groups() else {
            return wilson(self.n_correct(), self.len(), level);
        };
        check_level(level)?;
        let rare = 2 * self.n_correct() < self.len();
        let telling = |rows: &&Vec<usize>| rows.iter().any(|row| self.items[*row].correct == rare);
        let known = (groups.iter().filter(telling).count() as f64 / FEW_GROUPS).min(1.0);
        let Variance { drawn, rows } = self.draws.variance(|row| self.right(row));
        let seen = if rows > 0.0 { drawn / rows } else { 1.0 };
        let n = self.len() as f64;
        let effect = known * seen + (1.0 - known) * n / self.draws.effective();
        let t = StudentsT::new(0.0, 1.0, self.draws.freedom());
        let t = t.map_err(|_| EvalError::Empty { what: "an interval over groups" })?;
        Ok(score_interval(self.accuracy(), n / effect, t.inverse_cdf(0.5 + level / 2.0), level))
    }

    /// 1 where a prediction is right, 0 where it is wrong.
    pub(crate) fn right(&self, row: usize) -> f64 {
        f64::from(u8::from(self.items[row].correct))
    }

    /// The unweighted mean F1 over the classes that occur as gold or as predicted answer, which is
    /// scikit-learn's `f1_score(average="macro")`. A response that could not be read is a miss for its gold
    /// class and is no class of its own.
    ///
    /// # Errors
    /// For no sample, for open answers, and where samples have options of their own: a place among those is no class.
    pub fn macro_f1(&self) -> Result<f64, EvalError> {
        self.metric(Metric::MacroF1)
    }

    /// The value of a metric.
    ///
    /// # Errors
    /// Where there is nothing to compute it on: see [`macro_f1`](Self::macro_f1).
    pub fn metric(&self, metric: Metric) -> Result<f64, EvalError> {
        if self.is_empty() {
            return Err(EvalError::Empty { what: "a metric" });
        }
        if metric == Metric::MacroF1
            && (self.options.is_none() || self.items.iter().any(|item| item.gold.is_none()))
        {
            return Err(EvalError::NoClasses);
        }
        Ok(self.metric_of(metric, &(0..self.len()).collect::<Vec<_>>()))
    }

    /// The value of a metric on some of the items, each as often as it is named.
    pub(crate) fn metric_of(&self, metric: Metric, rows: &[usize]) -> f64 {
        match metric {
            Metric::Accuracy => {
                rows.iter().filter(|row| self.items[**row].correct).count() as f64 / rows.len() as f64
            }
            Metric::MacroF1 => {
                let classes = self.tallies(rows.iter().copied());
                let present = classes.iter().filter(|tally| tally.gold + tally.predicted > 0);
                let f1: Vec<f64> = present.map(Tally::f1).collect();
                f1.iter().sum::<f64>() / f1.len() as f64
            }
        }
    }

    /// Precision, recall and F1 of the classes that occur, in the options' order; none for open answers, and where samples
    /// have options of their own.
    pub fn per_class(&self) -> Vec<ClassMetrics> {
        if self.options.is_none() {
            return Vec::new();
        }
        let tallies = self.tallies(0..self.len()).into_iter().enumerate();
        let present = tallies.filter(|(_, tally)| tally.gold + tally.predicted > 0);
        present
            .map(|(class, tally)| ClassMetrics {
                class: self.name(class),
                precision: ratio(tally.both, tally.predicted),
                recall: ratio(tally.both, tally.gold),
                f1: tally.f1(),
                n_gold: tally.gold,
                n_predicted: tally.predicted,
            })
            .collect()
    }

    /// Gold classes against predicted ones.
    pub fn confusion(&self) -> Confusion {
        let n_classes = self.tallies(0..self.len()).len();
        let mut counts = vec![vec![0; n_classes + 1]; n_classes];
        for item in &self.items {
            if let Some(gold) = item.gold {
                counts[gold][item.predicted.unwrap_or(n_classes)] += 1;
            }
        }
        Confusion { classes: (0..n_classes).map(|class| self.name(class)).collect(), counts }
    }

    /// Right and all predictions of each category, by name; samples without one are left out. Empty where categories have
    /// fewer than two samples in the mean, as the subjects of e-mails have: such tell nothing.
    pub fn by_category(&self) -> BTreeMap<String, (usize, usize)> {
        let mut categories = BTreeMap::new();
        for item in &self.items {
            if let Some(category) = &item.category {
                let (correct, all): &mut (usize, usize) = categories.entry(category.clone()).or_default();
                *correct += usize::from(item.correct);
                *all += 1;
            }
        }
        let all: usize = categories.values().map(|(_, all)| all).sum();
        if 2 * categories.len() <= all { categories } else { BTreeMap::new() }
    }

    /// An error unless both grade the same samples in the same order.
    pub(crate) fn check_paired(&self, other: &Graded) -> Result<(), EvalError> {
        if self.is_empty() || other.is_empty() {
            return Err(EvalError::Empty { what: "a comparison" });
        }
        for index in 0..self.len().max(other.len()) {
            let id =
                |graded: &Graded| graded.items.get(index).map(|item| item.id.clone()).unwrap_or_default();
            let (left, right) = (id(self), id(other));
            if left != right {
                return Err(EvalError::NotPaired { index, left, right });
            }
        }
        Ok(())
    }

    fn tallies(&self, rows: impl Iterator<Item = usize>) -> Vec<Tally> {
        let highest = self.items.iter().flat_map(|item| [item.gold, item.predicted]).flatten().max();
        let n_classes = highest.map_or(0, |highest| highest + 1);
        let mut tallies = vec![Tally::default(); n_classes];
        for item in rows.map(|row| &self.items[row]) {
            if let Some(gold) = item.gold {
                tallies[gold].gold += 1;
                tallies[gold].both += usize::from(item.predicted == Some(gold));
            }
            if let Some(predicted) = item.predicted {
                tallies[predicted].predicted += 1;
            }
        }
        tallies
    }

    fn name(&self, class: usize) -> String {
        let option = self.options.as_ref().and_then(|options| options.get(class));
        option.cloned().unwrap_or_else(|| match u8::try_from(class) {
            Ok(letter) if letter < 26 => char::from(b'A' + letter).to_string(),
            _ => format!("option {}", class + 1),
        })
    }
}

/// Counts of one class: samples, predictions, and both at once.
#[derive(Debug, Clone, Default)]
struct Tally {
    gold: usize,
    predicted: usize,
    both: usize,
}

impl Tally {
    fn f1(&self) -> f64 {
        ratio(2 * self.both, self.gold + self.predicted)
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
