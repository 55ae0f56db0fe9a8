//! What looks wrong with the rows.

use super::Counts;
use semievol::core::{Answer, Labeled, Sample, Seed};
use semievol::data::{OnDuplicate, question_key};
use semievol::hub::Hub;
use semievol::model::TextRole;
use semievol::pipeline::NamedEmbedder;
use semievol::select::classify::{fit_by_cross_validation, stratified_folds};
use semievol::{Experiment, Sets, written};
use std::collections::HashMap;

/// Rows of a class below which its share among the pseudo-labels is a matter of luck; rows of a group from which on groups
/// are what counts.
const FEW: usize = 4;
/// The fewest rows, or groups of them, that one model alone answers right for an exact McNemar test at 5%: twice 1 / 2^6 is
/// below it.
const DISCORDANT: f64 = 6.0;
/// Folds of the classifier that looks for doubtful labels, and the fewest rows for which its word means something.
const FOLDS: usize = 5;
const ENOUGH: usize = 20;
/// A label is doubtful if rows like it make it this improbable, and another this probable.
const IMPROBABLE: f64 = 0.1;
const PROBABLE: f64 = 0.7;
/// Doubtful labels that are listed.
const LISTED: usize = 5;

/// What looks wrong.
pub fn warnings(drawn: &Sets, counts: &Counts, embedder: Option<NamedEmbedder<'_>>) -> Vec<String> {
    let mut warnings = Vec::new();
    let classes = &drawn.sizes.labelled_classes;
    for class in classes.iter().filter(|class| class.rows < FEW) {
        let rows = match class.rows {
            0 => "no labelled row is".to_owned(),
            1 => "only 1 labelled row is".to_owned(),
            n => format!("only {n} labelled rows are"),
        };
        warnings.push(format!(
            "{rows} {}: label some more of them, or expect the model to miss them",
            class.class
        ));
    }
    if drawn.sizes.only_class().is_some() {
        warnings.push("all labelled rows have one class: nothing can be learnt from them".into());
    }
    if let Some(groups) = drawn.sizes.labelled_groups.filter(|groups| FEW * groups <= drawn.sizes.labelled) {
        let groups = if groups == 1 { "one group".to_owned() } else { format!("{groups} groups") };
        warnings.push(format!(
            "the {} labelled rows come from {groups}: rows of a group are alike, so they show less of the task than as many rows of as many groups, and the classes' shares among them may be far from those elsewhere; label rows of more groups",
            drawn.sizes.labelled
        ));
    }
    if drawn.unlabelled.is_empty() {
        warnings.push(
            "there are no unlabelled rows: the base model is compared with fine-tuning, and nothing else"
                .into(),
        );
    }
    if let Some(first) = counts.over_labelled.first() {
        warnings.push(format!(
            "{} labelled rows are longer than the model can read, the first is `{first}`: the run will stop at them; leave them out, or cut them with data.columns.shorten",
            counts.over_labelled.len()
        ));
    }
    if !counts.over.is_empty() {
        warnings.push(format!(
            "{} prompts are longer than the model can read and get no answer (the first is `{}`); data.columns.shorten cuts them",
            counts.over.len(),
            counts.over[0]
        ));
    }
    if let Some(first) = counts.over_answer.first() {
        warnings.push(format!(
            "the answers of {} labelled rows are longer than max_answer_tokens (the first is `{first}`): what is generated is cut before it can be like them, and nothing that is cut becomes a pseudo-label; raise it",
            counts.over_answer.len()
        ));
    }
    let overlap = drawn.overlap();
    if !overlap.is_empty() {
        warnings.push(overlap.to_string());
    }
    for (question, ids) in contradictions(&drawn.labelled) {
        warnings.push(format!(
            "the labelled rows {} ask the same and have different answers: {:?}",
            ids.join(" and "),
            question.chars().take(80).collect::<String>()
        ));
    }
    let embedded = embedder.and_then(|one| doubtful(&drawn.labelled, one));
    for doubt in embedded.unwrap_or_default() {
        warnings.push(doubt);
    }
    let tellable = 100.0 * DISCORDANT / drawn.sizes.test.max(1) as f64;
    if tellable > 4.0 {
        warnings.push(format!(
            "{} test rows: two models that differ by less than {tellable:.0} points cannot be told apart, whatever comes out; more rows tell finer",
            drawn.sizes.test
        ));
    }
    match drawn.sizes.test_groups.filter(|groups| *groups < drawn.sizes.test) {
        Some(1) => warnings.push(
            "the test rows are all of one group (data.columns.group): nothing tells how a model does on others; take rows of more groups".to_owned(),
        ),
        Some(groups) if (groups as f64) < DISCORDANT => warnings.push(format!(
            "the test rows are of {groups} groups (data.columns.group), which are judged as wholes: no two models can be told apart by fewer than {DISCORDANT}; take rows of more groups"
        )),
        _ => {}
    }
    warnings
}

/// Contradictions that `on_duplicate = "skip"` leaves out of what is drawn: the first row stays, right or wrong.
pub fn lost_contradictions(experiment: &Experiment, drawn: &Sets, hub: &Hub) -> Vec<String> {
    let mut config = experiment.config().clone();
    if config.data.on_duplicate == OnDuplicate::Keep {
        return Vec::new();
    }
    config.data.on_duplicate = OnDuplicate::Keep;
    let seed = config.seeds[0];
    let whole = config.check("".as_ref()).ok().and_then(|all| all.draw(seed, hub, &mut |_| ()).ok());
    let known: Vec<String> =
        contradictions(&drawn.labelled).into_iter().map(|(question, _)| question).collect();
    let found = whole.map(|whole| contradictions(&whole.labelled)).unwrap_or_default();
    let lost = found.into_iter().filter(|(question, _)| !known.contains(question));
    lost.map(|(question, ids)| {
        format!(
            "the labelled rows {} ask the same and have different answers, of which the first stays (data.on_duplicate): {:?}",
            ids.join(" and "),
            question.chars().take(80).collect::<String>()
        )
    })
    .collect()
}

/// Labelled rows with one question and several answers.
fn contradictions(labelled: &[Labeled]) -> Vec<(String, Vec<String>)> {
    let mut by_question: HashMap<String, Vec<(&Sample, &Answer)>> = HashMap::new();
    for one in labelled {
        by_question.entry(question_key(&one.sample)).or_default().push((&one.sample, &one.answer));
    }
    let mut found: Vec<(String, Vec<String>)> = by_question
        .into_values()
        .filter(|rows| rows.iter().any(|(_, answer)| *answer != rows[0].1))
        .map(|rows| {
            (rows[0].0.question.clone(), rows.iter().map(|(sample, _)| format!("`{}`", sample.id)).collect())
        })
        .collect();
    found.sort();
    found
}

/// Labels that a classifier over embeddings, which has not learnt them, would not have given (as confident learning looks
/// for label errors, Northcutt et al., arXiv 1911.00068); nothing for open answers, few rows, or where it cannot be fitted.
fn doubtful(labelled: &[Labeled], NamedEmbedder { embedder, .. }: NamedEmbedder<'_>) -> Option<Vec<String>> {
    let classes: Option<Vec<usize>> = labelled
        .iter()
        .map(|one| match one.answer {
            Answer::Choice(class) => Some(class),
            _ => None,
        })
        .collect();
    let (classes, first) = (classes?, labelled.first()?);
    let shared = labelled.iter().all(|one| one.sample.options == first.sample.options);
    if labelled.len() < ENOUGH || !shared {
        return None;
    }
    let texts: Vec<&str> = labelled.iter().map(|one| one.sample.question.as_str()).collect();
    let features = embedder.embed(TextRole::Document, &texts).ok()?;
    let n_classes = first.sample.options.len();
    let fold_of = stratified_folds(&classes, None, FOLDS, Seed(0));
    let fitted = fit_by_cross_validation(&features, &classes, n_classes, &fold_of).ok()?;
    let mut found: Vec<(f64, String)> = Vec::new();
    let rows_of = |class: &usize| classes.iter().filter(|other| *other == class).count();
    for ((one, class), likely) in labelled.iter().zip(&classes).zip(&fitted.held_out) {
        // Without its own the fold would know too few of its class.
        if rows_of(class) < FEW {
            continue;
        }
        let other = (0..n_classes).max_by(|a, b| likely[*a].total_cmp(&likely[*b]))?;
        if likely[*class] < IMPROBABLE && likely[other] > PROBABLE {
            let said = format!(
                "the label of `{}` is doubtful: it is {}, and rows like it are {} ({:.0}%); look at it again",
                one.sample.id,
                written(&one.sample, &one.answer),
                written(&one.sample, &Answer::Choice(other)),
                100.0 * likely[other]
            );
            found.push((likely[*class], said));
        }
    }
    found.sort_by(|one, other| one.0.total_cmp(&other.0));
    Some(found.into_iter().take(LISTED).map(|(_, said)| said).collect())
}
