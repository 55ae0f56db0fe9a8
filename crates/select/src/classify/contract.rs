use crate::SelectError;
use semievol_core::{Sample, Seed};
use semievol_model::Embeddings;
use std::sync::Arc;

/// Answers samples of a closed set by what it makes of them and of labelled ones: a collaborator that is no language
/// model, such as a model over embeddings, or the labelling functions of weak supervision (Ratner et al., arXiv 1711.10160).
///
/// Hold your own to `semievol_testkit::contracts::classifier`:
///
/// ```
/// use semievol_core::Seed;
/// use semievol_select::SelectError;
/// use semievol_select::classify::{Classifier, Rows, Taught};
///
/// /// Takes praise for the second class, and says nothing where there is none.
/// struct Praise;
///
/// impl Classifier for Praise {
///     fn id(&self) -> String { "praise 1".into() }
///     fn classify(&self, taught: &Taught<'_>, asked: &Rows<'_>, _: Seed) -> Result<Vec<Vec<f64>>, SelectError> {
///         let second: Vec<f64> = (0..taught.n_classes).map(|class| f64::from(class == 1)).collect();
///         let praised = |text: &str| text.contains("great") && taught.n_classes > 1;
///         let say = |text: &str| if praised(text) { second.clone() } else { Vec::new() };
///         Ok(asked.samples.iter().map(|sample| say(&sample.question)).collect())
///     }
/// }
///
/// semievol_testkit::contracts::classifier(&Praise);
/// ```
pub trait Classifier: Send + Sync {
    /// Names it with every setting that changes its answers: part of the key under which they are kept.
    fn id(&self) -> String;

    /// Whether it goes by embeddings. It gets them only then, and fails without ([`Rows::embedded`]).
    fn needs_embeddings(&self) -> bool {
        false
    }

    /// For each sample that is asked about, in order, the probability of each of `taught.n_classes` classes, in
    /// the options' order and summing to 1; or nothing, where it has nothing to say. The same rows and seed give the same answers.
    ///
    /// A large pool is asked about in parts: a classifier that learns from what it is asked about sees one part at a time.
    ///
    /// # Errors
    /// [`SelectError::Unfit`] for rows that it cannot learn from or answer.
    fn classify(
        &self,
        taught: &Taught<'_>,
        asked: &Rows<'_>,
        seed: Seed,
    ) -> Result<Vec<Vec<f64>>, SelectError>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Classifier + ?Sized> Classifier for $pointer {
            fn id(&self) -> String {
                (**self).id()
            }
            fn needs_embeddings(&self) -> bool {
                (**self).needs_embeddings()
            }
            fn classify(
                &self,
                taught: &Taught<'_>,
                asked: &Rows<'_>,
                seed: Seed,
            ) -> Result<Vec<Vec<f64>>, SelectError> {
                (**self).classify(taught, asked, seed)
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);

/// Whether what was said of a sample is a distribution over all classes, as far as rounding lets it be.
pub fn is_distribution(said: &[f64], n_classes: usize) -> bool {
    const ROUNDING: f64 = 1e-6;
    said.len() == n_classes
        && said.iter().all(|p| (-ROUNDING..=1.0 + ROUNDING).contains(p))
        && (said.iter().sum::<f64>() - 1.0).abs() <= ROUNDING
}

/// Samples, with what is known of each.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// All of them share their options.
    pub samples: &'a [&'a Sample],
    /// One vector for each sample, where they were asked for.
    pub embeddings: Option<&'a Embeddings>,
}

impl<'a> Rows<'a> {
    /// The vectors.
    ///
    /// # Errors
    /// If there are none, with `part` to name who wants them.
    pub fn embedded(&self, part: &'static str) -> Result<&'a Embeddings, SelectError> {
        self.embeddings.ok_or_else(|| SelectError::Unfit {
            part,
            reason: "it needs embeddings and got none: say so in `needs_embeddings`".to_owned(),
        })
    }
}

/// Labelled samples.
#[derive(Debug, Clone, Copy)]
pub struct Taught<'a> {
    /// The samples.
    pub rows: Rows<'a>,
    /// The class of each: the position of its answer among the options.
    pub classes: &'a [usize],
    /// How many options there are.
    pub n_classes: usize,
}
