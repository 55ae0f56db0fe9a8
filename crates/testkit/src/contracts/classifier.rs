use super::{Rule, ensure, hold_to, rule};
use semievol_core::{Sample, Seed};
use semievol_model::Embeddings;
use semievol_select::classify::{Classifier, Rows, Taught, is_distribution};

/// Twelve remarks of three classes; alike texts have alike embeddings.
const REMARKS: [(&str, usize); 12] = [
    ("A great film, well told.", 1),
    ("Great acting and a great plot.", 1),
    ("Lovely from start to end.", 1),
    ("The best of its kind.", 1),
    ("It never begins.", 0),
    ("Broken dialogue, worse sound.", 0),
    ("I left before it was over.", 0),
    ("A waste of an evening.", 0),
    ("It lasts two hours.", 2),
    ("Shown in three cities.", 2),
    ("The sequel is announced.", 2),
    ("Größe 38, in Grün.", 2),
];
const N_CLASSES: usize = 3;

/// Tries a classifier: an answer for each sample in order, distributions over all classes or nothing, no surprise at
/// classes that nobody taught or at no sample at all, and the same answers to the same rows.
///
/// # Panics
/// If a rule is broken; the message lists all that are.
pub fn classifier(classifier: &dyn Classifier) {
    hold_to("the classifier", &rules(classifier));
}

fn rules(classifier: &dyn Classifier) -> Vec<Rule<'_>> {
    vec![
        rule("the id is there and stays", move || {
            let (first, second) = (classifier.id(), classifier.id());
            ensure(!first.is_empty() && first == second, || format!("{first:?}, then {second:?}"))
        }),
        rule("every sample has an answer", move || {
            let found = Remarks::all().ask(classifier, 0..REMARKS.len(), N_CLASSES)?;
            ensure(found.len() == REMARKS.len(), || {
                format!("{} samples gave {} answers", REMARKS.len(), found.len())
            })
        }),
        rule("an answer is a distribution over all classes, or empty", move || {
            // The last class of the wider set has no label.
            [N_CLASSES, N_CLASSES + 1].into_iter().try_for_each(|n_classes| {
                let found = Remarks::all().ask(classifier, 0..REMARKS.len(), n_classes)?;
                found.iter().zip(REMARKS).try_for_each(|(said, (text, _))| {
                    ensure(keeps(said, n_classes), || format!("{text:?} of {n_classes}: {said:?}"))
                })
            })
        }),
        rule("labels of one class are no failure", move || {
            let found = Remarks::all().ask(classifier, 0..4, N_CLASSES)?;
            let fit = found.iter().all(|said| keeps(said, N_CLASSES));
            ensure(fit, || format!("{found:?}"))
        }),
        rule("no sample gives no answer", move || {
            let remarks = Remarks { asked: 0, ..Remarks::all() };
            let found = remarks.ask(classifier, 0..REMARKS.len(), N_CLASSES)?;
            ensure(found.is_empty(), || format!("{found:?} came"))
        }),
        rule("the same rows and seed give the same answers", move || {
            let ask = || Remarks::all().ask(classifier, 0..REMARKS.len(), N_CLASSES);
            let (first, second) = (ask()?, ask()?);
            ensure(first == second, || format!("{first:?}, then {second:?}"))
        }),
        rule("embeddings are needed if they are asked for, and only then", move || {
            let without = Remarks { embeds: false, ..Remarks::all() };
            let found = without.ask(classifier, 0..REMARKS.len(), N_CLASSES);
            ensure(found.is_err() == classifier.needs_embeddings(), || match found {
                Ok(_) => "it needs them, and answered without".into(),
                Err(error) => format!("it does not ask for them and fails without: {error}"),
            })
        }),
    ]
}

fn keeps(said: &[f64], n_classes: usize) -> bool {
    said.is_empty() || is_distribution(said, n_classes)
}

/// What is asked about, of the remarks.
struct Remarks {
    asked: usize,
    embeds: bool,
}

impl Remarks {
    fn all() -> Self {
        Remarks { asked: REMARKS.len(), embeds: true }
    }

    /// Teaches some of them and asks about the first ones.
    fn ask(
        &self,
        classifier: &dyn Classifier,
        taught: std::ops::Range<usize>,
        n_classes: usize,
    ) -> Result<Vec<Vec<f64>>, String> {
        let options: Vec<String> = (0..n_classes).map(|class| format!("class {class}")).collect();
        let sample = |(index, (text, _)): (usize, &(&str, usize))| {
            Sample::new(format!("remark-{index}"), *text).with_options(options.clone())
        };
        let samples: Vec<Sample> = REMARKS.iter().enumerate().map(sample).collect();
        let samples: Vec<&Sample> = samples.iter().collect();
        let classes: Vec<usize> = REMARKS.iter().map(|(_, class)| *class).collect();
        let (known, asked) = (embeddings(taught.clone())?, embeddings(0..self.asked)?);
        let taught = Taught {
            rows: Rows { samples: &samples[taught.clone()], embeddings: self.embeds.then_some(&known) },
            classes: &classes[taught],
            n_classes,
        };
        let asked = Rows { samples: &samples[..self.asked], embeddings: self.embeds.then_some(&asked) };
        classifier.classify(&taught, &asked, Seed(7)).map_err(|error| error.to_string())
    }
}

/// Unit vectors, near to one axis for each class.
fn embeddings(rows: std::ops::Range<usize>) -> Result<Embeddings, String> {
    let vector = |index: usize| {
        let mut vector = [0.1, 0.2, 0.3, 0.05 * index as f32];
        vector[REMARKS[index].1] = 1.0;
        let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        vector.map(|value| value / norm)
    };
    Embeddings::new(4, rows.flat_map(vector).collect()).ok_or_else(|| "rows are whole".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::broken;
    use super::*;
    use semievol_select::SelectError;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Says the same of all, or nothing, in a way that may be broken.
    #[derive(Default)]
    struct Double {
        asked: AtomicUsize,
        nameless: bool,
        one_too_many: bool,
        of_two: bool,
        at_random: bool,
        hides_a_need: bool,
    }

    impl Classifier for Double {
        fn id(&self) -> String {
            if self.nameless { String::new() } else { "double".to_owned() }
        }
        fn classify(
            &self,
            taught: &Taught<'_>,
            asked: &Rows<'_>,
            _: Seed,
        ) -> Result<Vec<Vec<f64>>, SelectError> {
            if self.hides_a_need {
                asked.embedded("double")?;
            }
            let n_classes = if self.of_two { 2 } else { taught.n_classes };
            let certain = self.asked.fetch_add(1, Ordering::Relaxed) % n_classes;
            let certain = if self.at_random { certain } else { 0 };
            let mut said: Vec<f64> = (0..n_classes).map(|class| f64::from(class == certain)).collect();
            // Less than nothing by rounding alone.
            said[(certain + 1) % n_classes] = -1e-12;
            let mut all = vec![said; asked.samples.len() + usize::from(self.one_too_many)];
            all.first_mut().into_iter().for_each(Vec::clear);
            Ok(all)
        }
    }

    fn found(double: &Double) -> Vec<&'static str> {
        broken(&rules(double)).into_iter().map(|(promise, _)| promise).collect()
    }

    #[test]
    fn a_double_that_keeps_the_rules_breaks_none() {
        assert_eq!(found(&Double::default()), [""; 0]);
    }

    #[test]
    fn each_broken_promise_is_found() {
        let whole = "an answer is a distribution over all classes, or empty";
        let cases = [
            (Double { nameless: true, ..Double::default() }, "the id is there and stays"),
            (Double { one_too_many: true, ..Double::default() }, "every sample has an answer"),
            (Double { one_too_many: true, ..Double::default() }, "no sample gives no answer"),
            (Double { of_two: true, ..Double::default() }, whole),
            (Double { of_two: true, ..Double::default() }, "labels of one class are no failure"),
            (Double { at_random: true, ..Double::default() }, "the same rows and seed give the same answers"),
            (
                Double { hides_a_need: true, ..Double::default() },
                "embeddings are needed if they are asked for, and only then",
            ),
        ];
        for (double, expected) in cases {
            let found = found(&double);
            assert!(found.contains(&expected), "{expected:?} is not among {found:?}");
        }
    }
}
