use super::{Rule, ensure, hold_to, rule};
use crate::ScriptedModel;
use semievol_core::{Answer, Candidate, Sample};
use semievol_data::{AnswerForm, ClosedSet, FreeText, Task};
use semievol_model::LanguageModel;
use semievol_select::{Adjudicator, Dispute, SelectError};

/// Tries an adjudicator: one candidate per dispute in order, the empty call, answers that belong to their samples,
/// independence of the other disputes, and what it does with a judge that has no room or fails. Disputes are about
/// options, with a distribution for each candidate, and once about open answers, which may be refused as unfit.
///
/// # Panics
/// If a rule is broken; the message lists all that are.
pub fn adjudicator(adjudicator: &dyn Adjudicator) {
    hold_to("the adjudicator", &rules(adjudicator));
}

fn rules(adjudicator: &dyn Adjudicator) -> Vec<Rule<'_>> {
    vec![
        rule("every dispute has one candidate", move || {
            let found = adjudicate(adjudicator, &judge(), &disputed())?;
            let (disputes, candidates) = (disputed().len(), found.len());
            ensure(disputes == candidates, || format!("{disputes} disputes gave {candidates} candidates"))
        }),
        rule("candidates are in the order of the disputes", move || {
            let mut disputed = disputed();
            let mut found = adjudicate(adjudicator, &judge(), &disputed)?;
            disputed.reverse();
            found.reverse();
            let turned = adjudicate(adjudicator, &judge(), &disputed)?;
            ensure(found == turned, || format!("turned round, {found:?} became {turned:?}"))
        }),
        rule("no dispute gives no candidate", move || {
            let found = adjudicate(adjudicator, &judge(), &[])?;
            ensure(found.is_empty(), || format!("{found:?} came"))
        }),
        rule("a decision does not depend on the other disputes", move || {
            let found = adjudicate(adjudicator, &judge(), &disputed())?;
            disputed().iter().zip(found).try_for_each(|(dispute, together)| {
                let alone = adjudicate(adjudicator, &judge(), std::slice::from_ref(dispute))?;
                ensure(alone == [together.clone()], || {
                    format!("`{}`: {together:?} among others and {alone:?} alone", dispute.0.id)
                })
            })
        }),
        rule("the collaborator is the adjudicator", move || {
            let found = adjudicate(adjudicator, &judge(), &disputed())?;
            found.iter().try_for_each(|candidate| {
                let (name, first) = (&candidate.collaborator, &found[0].collaborator);
                let own = !name.is_empty() && name == first && !name.starts_with(COLLABORATOR);
                ensure(own, || format!("{name:?} decided one, {first:?} the first"))
            })
        }),
        rule("an answer belongs to its sample", move || {
            let found = adjudicate(adjudicator, &judge(), &disputed())?;
            disputed().iter().zip(found).try_for_each(|((sample, _), candidate)| {
                let written = candidate.answer.as_ref().map(|answer| task().target(sample, answer));
                ensure(written != Some(String::new()), || {
                    let n_options = sample.options.len();
                    format!("`{}` has {n_options} options and got {:?}", sample.id, candidate.answer)
                })
            })
        }),
        rule("a distribution is one, over the sample's options", move || {
            let found = adjudicate(adjudicator, &judge(), &disputed())?;
            disputed().iter().zip(found).try_for_each(|((sample, _), candidate)| {
                let p = candidate.distribution;
                let complete = p.len() == sample.options.len() && p.iter().all(|p| (0.0..=1.0).contains(p));
                let adds_up = (p.iter().sum::<f64>() - 1.0).abs() < 1e-6;
                ensure(p.is_empty() || complete && adds_up, || format!("`{}` has {p:?}", sample.id))
            })
        }),
        rule("a prompt that does not fit is a candidate without answer", move || {
            let narrow = judge().with_max_context(1);
            let found = adjudicate(adjudicator, &narrow, &disputed())?;
            found.iter().try_for_each(|candidate| {
                let told = candidate.answer.is_some() || candidate.error.is_some();
                ensure(told && found.len() == disputed().len(), || format!("{candidate:?} does not say why"))
            })
        }),
        rule("a judge that fails ends the run, unless it is not needed", move || {
            let failing = ScriptedModel::with_replies("judge", [] as [(&str, &str); 0]).without_scores();
            let expected = adjudicate(adjudicator, &judge(), &disputed())?;
            match with_disputes(&disputed(), |disputes| adjudicator.adjudicate(&failing, &task(), disputes)) {
                Err(SelectError::Model(_)) => Ok(()),
                Err(other) => Err(format!("the judge's error became {other:?}")),
                Ok(found) => ensure(found == expected, || format!("{found:?} came all the same")),
            }
        }),
        rule("open answers are decided or refused as unfit", move || {
            let (sample, said) =
                (Sample::new("r1", "Who wrote it?"), |text: &str| Some(Answer::Text(text.into())));
            let candidates =
                ["Austen", "Eliot", "Austen."].map(|text| Candidate::new(COLLABORATOR, said(text)));
            let disputes = [Dispute { sample: &sample, candidates: &candidates }];
            match adjudicator.adjudicate(&judge(), &FreeText::default(), &disputes) {
                Ok(found) => {
                    ensure(found.len() == 1 && found[0].distribution.is_empty(), || format!("{found:?}"))
                }
                Err(SelectError::Unfit { .. }) => Ok(()),
                Err(other) => Err(format!("{other:?}")),
            }
        }),
        rule("the id is there and stays", move || {
            let (first, second) = (adjudicator.id(), adjudicator.id());
            ensure(!first.is_empty() && first == second, || format!("{first:?}, then {second:?}"))
        }),
    ]
}

const COLLABORATOR: &str = "collaborator";

fn judge() -> ScriptedModel {
    ScriptedModel::babbler("judge")
}

fn task() -> ClosedSet {
    ClosedSet::new(AnswerForm::Text)
}

fn adjudicate(
    adjudicator: &dyn Adjudicator,
    judge: &dyn LanguageModel,
    disputed: &[(Sample, Vec<Candidate>)],
) -> Result<Vec<Candidate>, String> {
    with_disputes(disputed, |disputes| adjudicator.adjudicate(judge, &task(), disputes))
        .map_err(|error| error.to_string())
}

fn with_disputes<T>(disputed: &[(Sample, Vec<Candidate>)], call: impl FnOnce(&[Dispute<'_>]) -> T) -> T {
    let disputes: Vec<Dispute<'_>> =
        disputed.iter().map(|(sample, candidates)| Dispute { sample, candidates }).collect();
    call(&disputes)
}

/// Two to five options; the candidates differ, tie or could not be read.
fn disputed() -> Vec<(Sample, Vec<Candidate>)> {
    let dispute = |at: usize| {
        let n_options = 2 + at % 4;
        let options = ["north", "south", "east", "west", "nowhere"];
        let sample = Sample::new(format!("row {at}"), format!("Where does road {at} lead?"))
            .with_options(options.into_iter().take(n_options));
        let said = |collaborator: usize| {
            let option = (at * collaborator) % n_options;
            let distribution = (0..n_options)
                .map(|other| if other == option { 0.6 } else { 0.4 / (n_options - 1) as f64 })
                .collect();
            let answer = Some(Answer::Choice(option)).filter(|_| (at + collaborator) % 5 != 4);
            Candidate::new(format!("{COLLABORATOR} {collaborator}"), answer).with_distribution(distribution)
        };
        (sample, (0..4).map(said).collect())
    };
    (1..9).map(dispute).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::broken;
    use semievol_select::{AdjudicatorConfig, Mixture};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn an_adjudicator_keeps_its_promises() {
        adjudicator(&Mixture);
        adjudicator(&AdjudicatorConfig::default().build().expect("the default can be built"));
    }

    type Decided = Result<Vec<Candidate>, SelectError>;

    /// Spoils the decisions of [`Mixture`], with the number of calls so far and the judge's room at hand.
    struct Broken<F>(F, AtomicUsize);

    impl<F: Fn(usize, &dyn LanguageModel, Vec<Candidate>) -> Decided + Send + Sync> Adjudicator for Broken<F> {
        fn id(&self) -> String {
            self.1.fetch_add(1, Ordering::Relaxed).to_string()
        }

        fn adjudicate(
            &self,
            judge: &dyn LanguageModel,
            task: &dyn Task,
            disputes: &[Dispute<'_>],
        ) -> Decided {
            let found = match Mixture.adjudicate(judge, task, disputes) {
                Err(SelectError::Unfit { .. }) => vec![Candidate::new("mixture", None)],
                other => other?,
            };
            (self.0)(self.1.fetch_add(1, Ordering::Relaxed), judge, found)
        }
    }

    fn check(
        promise: &str,
        spoil: impl Fn(usize, &dyn LanguageModel, Vec<Candidate>) -> Decided + Send + Sync,
    ) {
        let spoilt = Broken(spoil, AtomicUsize::new(0));
        let broken = broken(&rules(&spoilt));
        assert!(broken.iter().any(|(found, _)| *found == promise), "{promise}: {broken:?}");
    }

    fn check_change(promise: &str, change: impl Fn(usize, &mut Vec<Candidate>) + Send + Sync) {
        check(promise, |calls, _, mut found| {
            change(calls, &mut found);
            Ok(found)
        });
    }

    #[test]
    fn every_rule_can_be_broken() {
        check_change("every dispute has one candidate", |_, found| found.truncate(3));
        check_change("candidates are in the order of the disputes", |_, found| {
            let one = found.len().min(1);
            found.rotate_left(one);
        });
        check_change("no dispute gives no candidate", |_, found| found.push(Candidate::new("more", None)));
        check_change("a decision does not depend on the other disputes", |_, found| {
            let n = found.len();
            found.iter_mut().for_each(|candidate| candidate.shots = n);
        });
        check_change("the collaborator is the adjudicator", |_, found| {
            found.iter_mut().for_each(|candidate| candidate.collaborator = format!("{COLLABORATOR} 1"));
        });
        check_change("an answer belongs to its sample", |_, found| {
            found.iter_mut().for_each(|candidate| candidate.answer = Some(Answer::Choice(5)));
        });
        check_change("a distribution is one, over the sample's options", |_, found| {
            found.iter_mut().for_each(|candidate| candidate.distribution.push(0.1));
        });
        check("a prompt that does not fit is a candidate without answer", |_, judge, mut found| {
            if judge.capabilities().max_context == 1 {
                found.iter_mut().for_each(|candidate| candidate.answer = None);
            }
            Ok(found)
        });
        check("a judge that fails ends the run, unless it is not needed", |_, judge, mut found| {
            if !judge.capabilities().scores {
                found.iter_mut().for_each(|candidate| candidate.answer = None);
            }
            Ok(found)
        });
        check_change("open answers are decided or refused as unfit", |_, found| {
            found.iter_mut().for_each(|candidate| candidate.distribution = vec![1.0]);
        });
        check_change("the id is there and stays", |_, _| {});
    }
}
