use super::{Rule, ensure, hold_to, rule};
use semievol_confidence::{ConfidenceEstimator, Evidence};
use semievol_core::{Answer, Candidate, Scale, TokenLogprob};

/// Tries an estimator: one confidence per piece of evidence in order, the empty call, independence of the other
/// pieces of a call, and which error comes. The evidence has everything: log-probabilities, a distribution, an
/// answer among its options, and collaborators that gave it or did not.
///
/// Whether a confidence rises with what should raise it is the estimator's own matter.
///
/// # Panics
/// If a rule is broken; the message lists all that are.
pub fn confidence(estimator: &dyn ConfidenceEstimator) {
    hold_to("the confidence estimator", &rules(estimator));
}

fn rules(estimator: &dyn ConfidenceEstimator) -> Vec<Rule<'_>> {
    vec![
        rule("every piece of evidence has one confidence", move || {
            let (known, found) = (full(), estimate(estimator, &full())?);
            let (pieces, confidences) = (known.len(), found.len());
            ensure(pieces == confidences, || format!("{pieces} pieces gave {confidences} confidences"))
        }),
        rule("confidences are in the order of the evidence", move || {
            let mut known = full();
            let mut found = estimate(estimator, &known)?;
            known.reverse();
            found.reverse();
            let turned = estimate(estimator, &known)?;
            ensure(found == turned, || format!("turned round, {found:?} became {turned:?}"))
        }),
        rule("no evidence gives no confidence", move || {
            let found = estimate(estimator, &[])?;
            ensure(found.is_empty(), || format!("{found:?} came"))
        }),
        rule("a confidence does not depend on the other pieces", move || {
            let known = full();
            let found = estimate(estimator, &known)?;
            known.iter().zip(found).try_for_each(|(piece, together)| {
                let alone = estimate(estimator, std::slice::from_ref(piece))?;
                ensure(alone == [together], || {
                    format!("`{}` has {together} among others and {alone:?} alone", piece.id)
                })
            })
        }),
        rule("the same evidence has the same confidence", move || {
            let (first, second) = (estimate(estimator, &full())?, estimate(estimator, &full())?);
            ensure(first == second, || format!("{first:?}, then {second:?}"))
        }),
        rule("the error is that of the first piece that cannot be worked with", move || {
            let Err(alone) = estimate(estimator, &[Known::nothing("x")]) else { return Ok(()) };
            let mut known = full();
            known.extend([Known::nothing("x"), Known::nothing("y")]);
            match estimate(estimator, &known) {
                Err(found) => ensure(found == alone, || format!("{found:?} instead of {alone:?}")),
                Ok(found) => Err(format!("{found:?} came, though `x` alone is refused: {alone}")),
            }
        }),
        rule("confidences are on the scale that it names", move || {
            let found = estimate(estimator, &full())?;
            let fits = |value: &f64| match estimator.scale() {
                Scale::Probability => (0.0..=1.0).contains(value),
                Scale::LogProbability => *value <= 0.0,
                Scale::Order => true,
            };
            ensure(found.iter().all(fits), || format!("{found:?} are no {:?}", estimator.scale()))
        }),
        rule("the id is there and stays", move || {
            let (first, second) = (estimator.id(), estimator.id());
            ensure(!first.is_empty() && first == second, || format!("{first:?}, then {second:?}"))
        }),
    ]
}

fn estimate(estimator: &dyn ConfidenceEstimator, known: &[Known]) -> Result<Vec<f64>, String> {
    let batch: Vec<Evidence<'_>> = known.iter().map(Known::evidence).collect();
    let found = estimator.estimate(&batch).map_err(|error| error.to_string())?;
    Ok(found.into_iter().map(|confidence| confidence.value()).collect())
}

/// Evidence that owns what it shows.
struct Known {
    id: String,
    logprobs: Vec<TokenLogprob>,
    distribution: Vec<f64>,
    choice: Option<usize>,
    candidates: Vec<Candidate>,
    agrees: Vec<bool>,
}

impl Known {
    fn nothing(id: &str) -> Self {
        let (logprobs, distribution) = (Vec::new(), Vec::new());
        let (candidates, agrees) = (Vec::new(), Vec::new());
        Known { id: id.to_owned(), logprobs, distribution, choice: None, candidates, agrees }
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            id: &self.id,
            logprobs: &self.logprobs,
            distribution: &self.distribution,
            choice: self.choice,
            candidates: &self.candidates,
            agrees: &self.agrees,
        }
    }
}

/// Pieces that differ in everything an estimator may look at.
fn full() -> Vec<Known> {
    let piece = |at: usize| {
        let p = 0.5 + 0.1 * at as f64;
        let said = |collaborator: usize| {
            let (choice, own) =
                (usize::from(collaborator < at), 0.3 + 0.1 * ((at + collaborator) % 5) as f64);
            Candidate::new(format!("c{collaborator}"), Some(Answer::Choice(choice)))
                .with_distribution(vec![1.0 - own, own])
        };
        let candidates: Vec<Candidate> = (0..4).map(said).collect();
        Known {
            id: format!("r{at}"),
            logprobs: (0..=at)
                .map(|token| TokenLogprob { token: token as u32, logprob: -0.1 * (at + 2 * token) as f32 })
                .collect(),
            distribution: vec![1.0 - p, p],
            choice: Some(1),
            agrees: candidates.iter().map(|candidate| candidate.answer == Some(Answer::Choice(1))).collect(),
            candidates,
        }
    };
    (0..5).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::broken;
    use semievol_confidence::{ConfidenceError, MeanNll};
    use semievol_core::Confidence;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn an_estimator_keeps_its_promises() {
        confidence(&MeanNll);
    }

    type Result<T> = std::result::Result<T, ConfidenceError>;

    /// Spoils the results of calls, which it counts.
    struct Broken<F>(F, AtomicUsize);

    impl<F: Fn(usize, Result<Vec<f64>>) -> Result<Vec<f64>> + Send + Sync> ConfidenceEstimator for Broken<F> {
        fn id(&self) -> String {
            self.1.fetch_add(1, Ordering::Relaxed).to_string()
        }

        fn scale(&self) -> Scale {
            MeanNll.scale()
        }

        fn estimate(&self, batch: &[Evidence<'_>]) -> Result<Vec<Confidence>> {
            let found = MeanNll.estimate(batch).map(|found| found.into_iter().map(|c| c.value()).collect());
            let spoilt = (self.0)(self.1.fetch_add(1, Ordering::Relaxed), found)?;
            Ok(spoilt.into_iter().filter_map(Confidence::new).collect())
        }
    }

    fn check(promise: &str, spoil: impl Fn(usize, Result<Vec<f64>>) -> Result<Vec<f64>> + Send + Sync) {
        let spoilt = Broken(spoil, AtomicUsize::new(0));
        let broken = broken(&rules(&spoilt));
        assert!(broken.iter().any(|(found, _)| *found == promise), "{promise}: {broken:?}");
    }

    #[test]
    fn every_rule_can_be_broken() {
        let change = |change: fn(usize, &mut Vec<f64>)| {
            move |calls, found: Result<Vec<f64>>| {
                found.map(|mut values| {
                    change(calls, &mut values);
                    values
                })
            }
        };
        check("every piece of evidence has one confidence", change(|_, values| values.truncate(4)));
        check(
            "confidences are in the order of the evidence",
            change(|_, values| values.sort_by(f64::total_cmp)),
        );
        check("no evidence gives no confidence", change(|_, values| values.resize(values.len().max(1), 0.0)));
        check("a confidence does not depend on the other pieces", {
            change(|_, values| {
                let n = values.len() as f64;
                values.iter_mut().for_each(|value| *value += n);
            })
        });
        check(
            "confidences are on the scale that it names",
            change(|_, values| values.iter_mut().for_each(|value| *value = value.exp())),
        );
        check("the same evidence has the same confidence", {
            change(|calls, values| values.iter_mut().for_each(|value| *value += calls as f64))
        });
        check("the error is that of the first piece that cannot be worked with", |calls, found| {
            found.map_err(|_| ConfidenceError::Broken {
                estimator: "spoilt",
                id: calls.to_string(),
                reason: "another one".into(),
            })
        });
        check("the id is there and stays", |_, found| found);
    }
}
