use super::{Rule, ensure, hold_to, rule};
use semievol_core::{Answer, Confidence, Scale, Seed};
use semievol_select::{Calibrated, Decision, Pool, PseudoLabel, Selector};

/// Tries a selector: one decision per pseudo-label, nothing accepted that has no answer or no confidence, weights
/// that a loss can use, reasons, and independence of the pool's order.
///
/// # Panics
/// If a rule is broken; the message lists all that are.
pub fn selector(selector: &dyn Selector) {
    hold_to("the selector", &rules(selector));
}

fn rules(selector: &dyn Selector) -> Vec<Rule<'_>> {
    vec![
        rule("every pseudo-label has one decision", move || {
            let (pool, found) = (labels(), select(selector, &labels())?);
            ensure(pool.len() == found.len(), || {
                format!("{} pseudo-labels gave {} decisions", pool.len(), found.len())
            })
        }),
        rule("no pseudo-label gives no decision", move || {
            let found = select(selector, &[])?;
            ensure(found.is_empty(), || format!("{found:?} came"))
        }),
        rule("nothing is accepted without an answer and a confidence", move || {
            labels().iter().zip(select(selector, &labels())?).try_for_each(|(label, decision)| {
                let complete = label.answer.is_some() && label.confidence.is_some();
                ensure(complete || !decision.accepted, || format!("`{}` was: {}", label.id, decision.reason))
            })
        }),
        rule("a pool without answers is no failure", move || {
            let unread: Vec<PseudoLabel> =
                labels().into_iter().map(|label| PseudoLabel { answer: None, ..label }).collect();
            let found = select(selector, &unread)?;
            ensure(found.iter().all(|decision| !decision.accepted), || format!("accepted some: {found:?}"))
        }),
        rule("weights are finite and 0 or more", move || {
            labels().iter().zip(select(selector, &labels())?).try_for_each(|(label, decision)| {
                let weight = decision.weight;
                ensure(weight.is_finite() && weight >= 0.0, || format!("`{}` has weight {weight}", label.id))
            })
        }),
        rule("every decision says why", move || {
            labels().iter().zip(select(selector, &labels())?).try_for_each(|(label, decision)| {
                ensure(!decision.reason.trim().is_empty(), || format!("`{}` has no reason", label.id))
            })
        }),
        rule("the pool's order decides nothing", move || order_decides_nothing(selector)),
        rule("the same pool gives the same decisions", move || {
            let (first, second) = (select(selector, &labels())?, select(selector, &labels())?);
            ensure(first == second, || format!("{first:?}, then {second:?}"))
        }),
        rule("what is wanted of labelled samples cannot be missing", move || {
            let pool = labels();
            let found = selector.select(weighable(&pool));
            let wants = selector.wants_labelled() || selector.wants_calibration();
            ensure(found.is_err() == wants, || match found {
                Ok(_) => "it decided without them".into(),
                Err(error) => format!("it does not want them and fails without: {error}"),
            })
        }),
        rule("the id is there and stays", move || {
            let (first, second) = (selector.id(), selector.id());
            ensure(!first.is_empty() && first == second, || format!("{first:?}, then {second:?}"))
        }),
    ]
}

fn order_decides_nothing(selector: &dyn Selector) -> Result<(), String> {
    let straight = labels();
    let expected = select(selector, &straight)?;
    for turn in 1..straight.len() {
        let order: Vec<usize> = (0..straight.len()).map(|at| (at * 5 + turn) % straight.len()).collect();
        let moved: Vec<PseudoLabel> = order.iter().map(|at| straight[*at].clone()).collect();
        for (found, at) in select(selector, &moved)?.into_iter().zip(order) {
            let before = expected.get(at);
            ensure(before == Some(&found), || {
                format!("`{}` had {before:?} and has {found:?} in another order", straight[at].id)
            })?;
        }
    }
    Ok(())
}

fn select(selector: &dyn Selector, pool: &[PseudoLabel]) -> Result<Vec<Decision>, String> {
    let labelled: Vec<Confidence> =
        [-0.1, -1.0, -0.4, -0.4, -2.0].into_iter().filter_map(Confidence::new).collect();
    let labelled = if selector.wants_labelled() { &labelled[..] } else { &[] };
    let calibration: Vec<Calibrated> = (0..40)
        .filter_map(|at| Confidence::new(-0.03 * f64::from(at)))
        .map(|confidence| Calibrated { confidence, correct: confidence.value() > -0.8 })
        .collect();
    let calibration = if selector.wants_calibration() { &calibration[..] } else { &[] };
    let selection = selector.select(Pool { labelled, calibration, ..weighable(pool) });
    selection.map(|selection| selection.decisions).map_err(|error| error.to_string())
}

/// Its confidences are log-probabilities.
fn weighable(pool: &[PseudoLabel]) -> Pool<'_> {
    Pool { scale: Scale::LogProbability, ..Pool::new(pool, Seed(7)) }
}

/// Thirteen, so that every fifth reaches all: three classes and open answers, ties, and two that miss something.
fn labels() -> Vec<PseudoLabel> {
    let label = |at: usize| PseudoLabel {
        id: format!("row {at}"),
        answer: match at {
            4 => None,
            9 => Some(Answer::Text("open".into())),
            _ => Some(Answer::Choice(at % 3)),
        },
        confidence: Confidence::new(-0.1 * (at * 7 % 9) as f64).filter(|_| at != 6),
        agreed: at.is_multiple_of(2),
    };
    (0..13).map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::broken;
    use semievol_select::{All, Over, Percentile, SelectError, Selection};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_selector_keeps_its_promises() {
        selector(&All);
        selector(&Percentile::new(50.0, Over::Labelled).expect("a percentage"));
    }

    /// Spoils the decisions of [`All`]; it counts its calls.
    struct Broken<F>(F, bool, AtomicUsize);

    impl<F: Fn(usize, &mut Vec<Decision>) + Send + Sync> Selector for Broken<F> {
        fn id(&self) -> String {
            self.2.fetch_add(1, Ordering::Relaxed).to_string()
        }

        fn wants_labelled(&self) -> bool {
            self.1
        }

        fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
            let mut selection = All.select(pool)?;
            (self.0)(self.2.fetch_add(1, Ordering::Relaxed), &mut selection.decisions);
            Ok(selection)
        }
    }

    fn check(promise: &str, spoil: impl Fn(usize, &mut Vec<Decision>) + Send + Sync) {
        let spoilt = Broken(spoil, true, AtomicUsize::new(0));
        let broken = broken(&rules(&spoilt));
        assert!(broken.iter().any(|(found, _)| *found == promise), "{promise}: {broken:?}");
    }

    #[test]
    fn every_rule_can_be_broken() {
        let accept = |_: usize, all: &mut Vec<Decision>| all.fill(Decision::accept("why not"));
        check("every pseudo-label has one decision", |_, all| all.truncate(3));
        check("no pseudo-label gives no decision", |_, all| all.push(Decision::reject("more")));
        check("nothing is accepted without an answer and a confidence", accept);
        check("a pool without answers is no failure", accept);
        check("weights are finite and 0 or more", |_, all| {
            all.iter_mut().for_each(|decision| decision.weight = f32::NAN);
        });
        check("every decision says why", |_, all| {
            all.iter_mut().for_each(|decision| decision.reason.clear())
        });
        check("the pool's order decides nothing", |_, all| {
            all.iter_mut().take(1).for_each(|decision| *decision = Decision::reject("first"));
        });
        check("the same pool gives the same decisions", |calls, all| {
            all.iter_mut().for_each(|decision| decision.reason = calls.to_string());
        });
        check("what is wanted of labelled samples cannot be missing", |_, _| {});
        check("the id is there and stays", |_, _| {});
    }
}
