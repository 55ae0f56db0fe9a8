//! Metrics, intervals and paired tests; the only holder of the answer key.
//!
//! [`AnswerKey::grade`] turns predictions into [`Graded`] results, which give accuracy, macro-F1, per-class and
//! per-category numbers; [`Graded::accuracy_interval`], [`bootstrap`] and [`over_seeds`] put intervals on them; [`compare`] and
//! [`compare_over_seeds`] say whether two methods differ; [`auroc`], [`risk_coverage`] and [`reliability`] say what
//! a confidence is worth, [`worth_of_more`] what more rows would be.
//!
//! The decision that shaped it: gold answers of unlabelled data go into the key and do not come out. It grades,
//! and hands out one thing, the oracle-labelled set of the upper-bound control ([`AnswerKey::oracle`]). So no
//! code can select pseudo-labels by their gold answers without naming that control. The cost: error analysis
//! that wants to print gold answers has to read the data file itself.
//!
//! Rows of one group ([`Sample::group`](semievol_core::Sample::group)) are alike, so they are not as many draws: intervals
//! and paired tests of graded results take groups as wholes.
//!
//! ```
//! use semievol_core::{Answer, Sample, Seed};
//! use semievol_eval::{AnswerKey, Prediction, compare};
//!
//! # fn main() -> Result<(), semievol_eval::EvalError> {
//! let samples: Vec<Sample> =
//!     (0..4).map(|row| Sample::new(row.to_string(), "q").with_options(["no", "yes"])).collect();
//! let gold: Vec<_> = [0, 1, 1, 0].map(|choice| Some(Answer::Choice(choice))).into();
//! let key = AnswerKey::new(&samples, &gold)?;
//! let predict = |choices: [Option<usize>; 4]| -> Vec<Prediction> {
//!     let answers = choices.map(|choice| choice.map(Answer::Choice));
//!     samples.iter().zip(answers).map(|(sample, answer)| Prediction::new(&sample.id, answer)).collect()
//! };
//! let same = |predicted: &Answer, gold: &Answer| predicted == gold;
//! // The third response could not be read: it counts as wrong.
//! let one = key.grade(&predict([Some(0), Some(1), None, Some(1)]), &same)?;
//! let other = key.grade(&predict([Some(0), Some(1), Some(1), Some(1)]), &same)?;
//! assert_eq!(one.accuracy(), 0.5);
//! assert!(one.accuracy_interval(0.95)?.holds(0.5));
//! assert_eq!(compare(&other, &one, Seed(1))?.mcnemar.p, 1.0);
//! # Ok(()) }
//! ```

mod calibration;
mod compare;
mod draws;
mod error;
mod graded;
mod interval;
mod key;
mod mcnemar;
mod seeds;
mod table;
mod worth;

pub use calibration::{Bin, Reliability, RiskPoint, aurc, auroc, reliability, risk_coverage};
pub use compare::{Comparison, OverSeeds, compare, compare_over_seeds};
pub use error::EvalError;
pub use graded::{ClassMetrics, Confusion, Graded, Metric};
pub use interval::{Interval, RESAMPLES, bootstrap, wilson};
pub use key::{AnswerKey, Prediction};
pub use mcnemar::{McNemar, holm, mcnemar};
pub use seeds::{SeedSummary, over_seeds};
pub use table::{Align, Table};
pub use worth::worth_of_more;

// Its types stand in signatures.
pub use semievol_core;
