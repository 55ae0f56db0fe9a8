//! Results as the page that people look at.

use crate::heard::Shown;
use crate::pseudo::{PseudoResults, RightOf};
use crate::results::{ArmResults, ArmSummary, Breakdown, Part, Results, SeedResults};
use crate::sets::ClassCount;
use crate::to_label::TO_LABEL;
use crate::{Arm, ExperimentConfig};
use semievol_core::{Answer, Sample};
use semievol_eval::Interval;
use semievol_pipeline::{Answered, Verdict, files};
use semievol_report as page;
use semievol_train::Step;
use std::path::Path;

/// What the page shows.
pub(crate) fn page(config: &ExperimentConfig, results: &Results) -> page::Report {
    page::Report {
        name: results.name.clone(),
        description: config.description.clone(),
        model: results.model.to_string(),
        seeds: results.seeds.iter().map(seed).collect(),
        breakdowns: results.breakdowns().iter().map(breakdown).collect(),
        next: next(results),
        findings: [results.said(), results.worth()].concat(),
        notes: [results.notes(), explained(results)].concat(),
        config: config.to_toml(),
        ..figures(results)
    }
}

/// The arms' figures alone.
pub(crate) fn figures(results: &Results) -> page::Report {
    let arms = |seed: &SeedResults| page::SeedReport {
        seed: seed.seed,
        arms: seed.arms.iter().map(arm).collect(),
        ..page::SeedReport::default()
    };
    let several = results.seeds.len() > 1;
    page::Report {
        seeds: results.seeds.iter().map(arms).collect(),
        summary: results.summary.iter().filter(|_| several).map(summary).collect(),
        ..page::Report::default()
    }
}

/// How the models are used, and where labels help most.
fn next(results: &Results) -> Vec<String> {
    let mut next = Vec::new();
    if let Some((arm, right)) = results.most_right() {
        next.push(format!(
            "Use a model: `semievol predict FOLDER new.csv --arm {arm}`, where FOLDER is the one that holds this page and {arm} the arm that answers the most test rows right ({:.1}%); `semievol merge FOLDER --arm {arm} -o merged` makes a model of its own.",
            100.0 * right
        ));
    }
    let first = results.seeds.iter().find_map(|seed| Some((seed.seed, seed.pseudo.first()?)));
    if let Some((seed, pseudo)) = first {
        let file = pseudo.arm.folder(Path::new(&format!("seed-{seed}"))).join(TO_LABEL);
        next.push(format!(
            "Label next: the first rows of {}, of which {} is least sure.",
            file.display(),
            pseudo.arm
        ));
    }
    next
}

/// What each arm is.
fn explained(results: &Results) -> Vec<String> {
    let arms = results.summary.iter().filter_map(|summary| Some((&summary.arm, summary.arm.explained()?)));
    arms.map(|(arm, what)| format!("{arm}: {what}.")).collect()
}

fn seed(seed: &SeedResults) -> page::SeedReport {
    let sizes = &seed.sizes;
    page::SeedReport {
        seed: seed.seed,
        sizes: page::SetSizes { labelled: sizes.labelled, unlabelled: sizes.unlabelled, test: sizes.test },
        overlap: seed.overlap.to_string().lines().map(str::to_owned).collect(),
        labelled_classes: classes(&sizes.labelled_classes),
        arms: seed.arms.iter().map(arm).collect(),
        tested: seed.arms.iter().filter_map(|arm| tested(seed, arm)).collect(),
        pseudo: seed.pseudo.iter().map(pseudo_labels).collect(),
        losses: losses(&seed.folder, seed.arms.iter().map(|run| (&run.arm, run.adapter.as_deref()))),
    }
}

fn classes(counts: &[ClassCount]) -> Vec<page::ClassCount> {
    counts.iter().map(|count| page::ClassCount { class: count.class.clone(), n: count.rows }).collect()
}

fn role(arm: &Arm) -> page::ArmRole {
    match arm {
        Arm::Vanilla | Arm::InContext | Arm::InContextBm25 => page::ArmRole::Base,
        Arm::Sft | Arm::SftMatched => page::ArmRole::LabelsOnly,
        Arm::Semievol => page::ArmRole::SemiSupervised,
        Arm::Variant(_) => page::ArmRole::Variant,
        Arm::Classifier | Arm::SftPretrained | Arm::Oracle => page::ArmRole::Other,
    }
}

fn interval(interval: &Interval) -> page::Interval {
    page::Interval { low: interval.low, high: interval.high }
}

fn arm(arm: &ArmResults) -> page::ArmRow {
    page::ArmRow {
        arm: arm.arm.to_string(),
        role: role(&arm.arm),
        cost: Some(page::Cost { steps: arm.cost.steps, prompts: arm.cost.prompts }),
        n: arm.n,
        n_unparsed: arm.n_unparsed,
        accuracy: arm.accuracy,
        interval: Some(interval(&arm.interval)),
        macro_f1: arm.macro_f1,
        difference: arm.against.as_ref().map(|against| page::Difference {
            against: against.arm.to_string(),
            mean: against.comparison.difference,
            interval: Some(interval(&against.comparison.interval)),
            p: Some(against.comparison.mcnemar.p),
        }),
    }
}

fn summary(arm: &ArmSummary) -> page::ArmOverSeeds {
    page::ArmOverSeeds {
        arm: arm.arm.to_string(),
        role: role(&arm.arm),
        accuracy: arm.accuracy.mean,
        sd: arm.accuracy.sd,
        interval: arm.accuracy.interval.as_ref().map(interval),
        macro_f1: arm.macro_f1.map(|f1| f1.mean),
        macro_f1_sd: arm.macro_f1.and_then(|f1| f1.sd),
        difference: arm.gain.as_ref().map(|gain| page::Difference {
            against: gain.against.to_string(),
            mean: gain.mean,
            interval: Some(interval(&gain.interval)),
            p: gain.p,
        }),
    }
}

fn breakdown(breakdown: &Breakdown) -> page::Breakdown {
    let part =
        |part: &Part| page::Part { name: part.name.clone(), right: part.right.iter().map(share).collect() };
    page::Breakdown {
        by: breakdown.by.to_owned(),
        arms: breakdown.arms.iter().map(Arm::to_string).collect(),
        parts: breakdown.parts.iter().map(part).collect(),
    }
}

fn share(right: &RightOf) -> page::Share {
    page::Share { part: right.right, whole: right.of }
}

/// How sure an arm was of its answers to the test rows; `None` where they have no probabilities.
fn tested(seed: &SeedResults, arm: &ArmResults) -> Option<page::Tested> {
    let name = arm.arm.to_string();
    let file = arm.arm.folder(&seed.folder).join(format!("predictions-{name}.jsonl"));
    let answered = files::read_jsonl::<Answered>(&file).ok()?;
    let probability = |answered: &Answered| match answered.predicted {
        Some(Answer::Choice(choice)) => answered.options.get(choice).map(|option| option.probability),
        _ => None,
    };
    let sure = answered.iter().zip(&arm.right).filter_map(|(answered, right)| {
        Some(page::Sure { probability: probability(answered)?, correct: *right })
    });
    let answers: Vec<page::Sure> = sure.collect();
    (!answers.is_empty()).then_some(page::Tested { arm: name, answers })
}

/// The losses that trainers left beside their adapters, in the folder of a seed or wherever they are.
fn losses<'a>(seed: &Path, arms: impl Iterator<Item = (&'a Arm, Option<&'a Path>)>) -> Vec<page::LossCurve> {
    let curve = |name: &str, folder: &Path| {
        // A trainer of one's own may keep something else under this name.
        let steps = files::read_jsonl::<Step>(&folder.join("steps.jsonl")).ok()?;
        let points = steps.iter().map(|step| page::LossPoint { step: step.step, loss: step.loss });
        Some(page::LossCurve { points: points.collect(), name: name.to_owned() })
    };
    let mut curves: Vec<page::LossCurve> = Vec::new();
    for (arm, adapter) in arms {
        let warm = (*arm == Arm::Semievol).then(|| curve("warm", &seed.join("warm")));
        let own = adapter.map(|folder| curve(arm.as_str(), folder));
        for one in warm.into_iter().chain(own).flatten() {
            // The warm model is often that of `sft`, and sometimes the last that a method has.
            let known = |other: &page::LossCurve| {
                ["sft", "warm"].contains(&other.name.as_str()) && other.points == one.points
            };
            if !(arm.is_semi_supervised() && curves.iter().any(known)) {
                curves.push(one);
            }
        }
    }
    curves
}

fn pseudo_labels(pseudo: &PseudoResults) -> page::PseudoReport {
    let collaborators = pseudo.collaborators.iter().map(|collaborator| page::Collaborator {
        name: collaborator.name.clone(),
        answered: page::Share { part: collaborator.n_answered, whole: pseudo.n },
        correct: collaborator.right.as_ref().map(share),
    });
    page::PseudoReport {
        title: pseudo.arm.to_string(),
        labels: (0..pseudo.n).map(|index| label(pseudo, index)).collect(),
        collaborators: collaborators.collect(),
        combined: pseudo.combined,
        confidence_name: measure(&pseudo.confidence).to_owned(),
        threshold: threshold(pseudo),
        sample: pseudo.shown.iter().map(|shown| prompt(pseudo, shown)).collect(),
    }
}

fn label(pseudo: &PseudoResults, index: usize) -> page::PseudoLabel {
    let selected = &pseudo.selected[index];
    page::PseudoLabel {
        agreement: agreement(selected.by),
        class: match &selected.answer {
            Some(Answer::Choice(class)) => pseudo.classes_before.get(*class).map(|count| count.class.clone()),
            _ => None,
        },
        decided_by: selected.decided_by.clone(),
        confidence: selected.confidence.map(|confidence| confidence.value()),
        probability: selected.probability,
        correct: pseudo.correct[index],
        kept: selected.accepted,
    }
}

fn agreement(by: Verdict) -> page::Agreement {
    match by {
        Verdict::Agreement => page::Agreement::Agreed,
        Verdict::Adjudicated => page::Agreement::Disputed,
        Verdict::Undecided | Verdict::Unanswered => page::Agreement::Unanswered,
    }
}

/// What a confidence is, in words.
fn measure(confidence: &str) -> &str {
    match confidence {
        "mean_nll" => "minus the mean NLL (nats per token)",
        "option_entropy" => "minus the entropy of the options (nats)",
        "margin" => "probability of the answer less the best other's",
        "agreement" => "share of the collaborators that agree",
        "agreement_likelihood" => "agreement times likelihood",
        "mixture" => "mean probability among collaborators",
        "combined" => "combined probability",
        "probe" => "probability by a probe on the labels",
        own => own,
    }
}

/// The least sure of those kept, if others were dropped, and nothing surer.
fn threshold(pseudo: &PseudoResults) -> Option<f64> {
    let sure = |kept: bool| {
        let rows = pseudo.selected.iter().filter(move |row| row.accepted == kept);
        rows.filter_map(|row| Some(row.confidence?.value()))
    };
    let least_kept = sure(true).min_by(f64::total_cmp)?;
    let surest_dropped = sure(false).max_by(f64::total_cmp)?;
    (surest_dropped <= least_kept).then_some(least_kept)
}

fn prompt(pseudo: &PseudoResults, shown: &Shown) -> page::PromptSample {
    let Shown { row, sample, neighbours, answers } = shown;
    let selected = &pseudo.selected[*row];
    let neighbours = neighbours.iter().map(|(labeled, score)| page::Neighbour {
        question: labeled.sample.question.clone(),
        label: written(&labeled.sample, &labeled.answer),
        similarity: Some(f64::from(*score)),
    });
    let answers = answers.candidates.iter().map(|candidate| page::CollaboratorAnswer {
        name: candidate.collaborator.clone(),
        answer: candidate.answer.as_ref().map(|answer| written(sample, answer)),
        probability: match candidate.answer {
            Some(Answer::Choice(choice)) => candidate.distribution.get(choice).copied(),
            _ => None,
        },
    });
    page::PromptSample {
        id: sample.id.clone(),
        question: sample.question.clone(),
        options: sample.options.to_vec(),
        neighbours: neighbours.collect(),
        answers: answers.collect(),
        final_answer: selected.answer.as_ref().map(|answer| written(sample, answer)),
        decided_by: selected.decided_by.clone(),
        agreement: agreement(selected.by),
        confidence: selected.confidence.map(|confidence| confidence.value()),
        kept: selected.accepted,
        reason: selected.reason.clone(),
        gold: None, // the answer key grades and gives no answer away
        correct: pseudo.correct[*row],
    }
}

/// An answer as people write it.
pub fn written(sample: &Sample, answer: &Answer) -> String {
    match answer {
        Answer::Choice(choice) => sample.options.get(*choice).cloned().unwrap_or_default(),
        Answer::Text(text) | Answer::Number(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{losses, measure};
    use crate::Arm;
    use semievol_confidence::ConfidenceConfig;
    use semievol_train::Step;

    #[test]
    fn every_confidence_has_words() {
        for config in ConfidenceConfig::ALL {
            let id = config.build().id();
            assert_ne!(measure(&id), id);
        }
    }

    #[test]
    fn a_curve_is_that_of_the_model_that_an_arm_has() {
        let seed = tempfile::tempdir().unwrap();
        let folder = |name: &str, loss: f64| {
            let step = Step { step: 0, total: 1, loss, grad_norm: 1.0, lr: 0.1, tokens: 1 };
            let folder = seed.path().join(name);
            semievol_pipeline::files::write_jsonl(&folder.join("steps.jsonl"), &[step]).unwrap();
            folder
        };
        let (warm, first, _) = (folder("warm", 3.0), folder("evolved", 2.0), folder("evolved-round-2", 1.0));
        let of = |adapter| {
            let curves = losses(seed.path(), [(&Arm::Semievol, Some(adapter))].into_iter());
            curves.into_iter().map(|curve| (curve.name, curve.points[0].loss)).collect::<Vec<_>>()
        };
        // The second round was undone, and in the other run the first one, too.
        assert_eq!(of(first.as_path()), [("warm".to_owned(), 3.0), ("semievol".to_owned(), 2.0)]);
        assert_eq!(of(warm.as_path()), [("warm".to_owned(), 3.0)]);
    }
}
