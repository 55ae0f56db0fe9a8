//! What is said of pseudo-labels is what the run's files and the gold answers come to.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{hub, rows};
use semievol::core::{Answer, Prompt, Seed};
use semievol::model::{Adapter, LanguageModel, ModelError, ModelId, ModelLoader};
use semievol::pipeline::{Answers, Estimate, Justified, Selected, Verdict};
use semievol::select::{Calibrated, ErrorControlled, Pool, PseudoLabel, Selector};
use semievol::{ExperimentConfig, Parts, Results, RightOf};
use semievol_testkit::{HashingTrainer, ScriptedModel};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

const EXPERIMENT: &str = "
name = 'figures'
model = 'none'
arms = ['semievol']
[data]
labelled = 'labelled.csv'
unlabelled = 'unlabelled.jsonl'
test = 'test.csv'
columns = { options = { fixed = ['low', 'mid', 'high'] } }
[train]
max_steps = 2
[method]
preset = 'paper'
neighbours = 0
folds = 3
collaborators = [
    { kind = 'language_model', name = 'warm', temperature = 0.0 },
    { kind = 'language_model', name = 'base', model = 'base', temperature = 0.0 },
    { kind = 'language_model', name = 'again', model = 'base', temperature = 0.0, wording = { instruction = 'Once more.' } },
]
justify = { kind = 'majority' }
select = { kind = 'error_controlled', alpha = 0.1 }
";

const OPTIONS: [&str; 3] = ["low", "mid", "high"];

fn gold(n: usize) -> usize {
    n % 3
}

/// Each errs in its own way, all of them where they are least sure.
fn score(trained: bool, prompt: &Prompt, option: &str) -> f64 {
    let asked = &prompt.messages.last().unwrap().content;
    let number = asked.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty());
    let n: usize = number.unwrap().parse().unwrap();
    let (hard, again) = (n % 6 == 5, asked.starts_with("Once more."));
    let off = match (trained, again) {
        _ if hard => 1,
        (true, _) if n % 7 == 3 => 1,
        (false, false) if n % 5 == 2 => 2,
        (false, true) if n % 4 == 1 => 1,
        _ => 0,
    };
    let doubt = 0.1 * (1 + n % 13) as f64 + if hard { 1.0 } else { 0.0 };
    if option.trim() == OPTIONS[(gold(n) + off) % 3] { -doubt } else { -4.0 }
}

struct Loader;

impl ModelLoader for Loader {
    fn load(&self, adapter: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        let trained = adapter.is_some();
        let (id, context) = if trained { ("trained", 200) } else { ("base", 100) };
        let model = ScriptedModel::babbler(id).scoring(move |prompt, option| score(trained, prompt, option));
        Ok(Arc::new(model.with_max_context(context)))
    }
}

/// 45 labelled rows, 12 that test and 100 without an answer for those who learn. Some of the last have no gold answer either,
/// and some are too long for one model or for both.
fn run(folder: &Path) -> Results {
    for (name, numbers) in [("labelled.csv", 0..45), ("test.csv", 300..312)] {
        let rows = numbers.map(|n| format!("{n},What is left of {n}?,{}\n", OPTIONS[gold(n)]));
        let text = format!("id,question,answer\n{}", rows.collect::<String>());
        std::fs::write(folder.join(name), text).unwrap();
    }
    let unlabelled = (100..200_usize).map(|n| {
        let longer = match n % 22 {
            0 => 100,
            11 => 40,
            _ => 0,
        };
        let question = format!("What is left of {n}?{}", " And so on.".repeat(longer));
        let mut row = serde_json::json!({ "id": n.to_string(), "question": question });
        if n % 10 != 4 {
            row["answer"] = OPTIONS[gold(n)].into();
        }
        format!("{row}\n")
    });
    std::fs::write(folder.join("unlabelled.jsonl"), unlabelled.collect::<String>()).unwrap();
    let file = Path::new("figures.toml");
    let config = ExperimentConfig::parse(EXPERIMENT, file).unwrap().with_data_root(folder);
    let trainer = HashingTrainer::new(ModelId::new("base"));
    let parts = Parts::new(&Loader, &trainer);
    config.check(file).unwrap().run(&hub(), parts, &mut |_| (), &folder.join("runs")).unwrap()
}

/// What the unlabelled file says of its rows.
fn gold_answers(folder: &Path) -> HashMap<String, Answer> {
    let text = std::fs::read_to_string(folder.join("unlabelled.jsonl")).unwrap();
    let answer = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let class = OPTIONS.iter().position(|option| row["answer"] == **option)?;
        Some((row["id"].as_str().unwrap().to_owned(), Answer::Choice(class)))
    };
    text.lines().filter_map(answer).collect()
}

fn right_of(rows: impl Iterator<Item = bool>) -> RightOf {
    let rows: Vec<bool> = rows.collect();
    RightOf { right: rows.iter().filter(|right| **right).count(), of: rows.len() }
}

/// Labels answered by models that had not learnt them.
fn calibration(results: &Results) -> Vec<Calibrated> {
    let mut calibration = Vec::new();
    for fold in 0..3 {
        let finals: Vec<Justified> = rows(results, &format!("justified-fold-{fold}.jsonl"));
        let estimates: Vec<Estimate> = rows(results, &format!("confidence-fold-{fold}.jsonl"));
        for (last, estimate) in finals.iter().zip(&estimates) {
            assert_eq!(last.id, estimate.id);
            if let (Some(answer), Some(confidence)) = (&last.last.answer, estimate.confidence) {
                let correct = *answer == Answer::Choice(gold(last.id.parse().unwrap()));
                calibration.push(Calibrated { confidence, correct });
            }
        }
    }
    calibration
}

#[test]
fn shares_of_right_pseudo_labels_are_those_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let results = run(folder.path());
    let gold = gold_answers(folder.path());
    let is_right =
        |id: &str, answer: &Option<Answer>| -> Option<bool> { Some(answer.as_ref() == Some(gold.get(id)?)) };
    let pseudo = &results.seeds[0].pseudo[0];
    let selected: Vec<Selected> = rows(&results, "selection.jsonl");
    type Kind = fn(&Selected) -> bool;
    let kinds: [(_, _, Kind); 4] = [
        (pseudo.before, pseudo.n - pseudo.n_unanswered, |row| row.answer.is_some()),
        (pseudo.kept, pseudo.n_kept, |row| row.accepted),
        (pseudo.agreed, pseudo.n_agreed, |row| row.by == Verdict::Agreement),
        (pseudo.adjudicated, pseudo.n_adjudicated, |row| row.by == Verdict::Adjudicated),
    ];
    for (found, n, wanted) in kinds {
        let wanted = || selected.iter().filter(move |row| wanted(row));
        let right = right_of(wanted().filter_map(|row| is_right(&row.id, &row.answer)));
        assert_eq!((found, n), (Some(right), wanted().count()));
        assert!(0 < right.right && right.right < right.of && right.of < n, "{right:?} of {n}");
    }
    for verdict in [Verdict::Undecided, Verdict::Unanswered] {
        assert!(selected.iter().any(|row| row.by == verdict), "no {verdict:?}");
    }

    let answers: Vec<Answers> = rows(&results, "candidates.jsonl");
    let names: Vec<&str> = pseudo.collaborators.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["warm", "base", "again"]);
    for (at, collaborator) in pseudo.collaborators.iter().enumerate() {
        let said = || answers.iter().filter(move |row| row.candidates[at].answer.is_some());
        let right = right_of(said().filter_map(|row| is_right(&row.id, &row.candidates[at].answer)));
        assert_eq!((collaborator.n_answered, collaborator.right), (said().count(), Some(right)));
        assert!(right.right < right.of && right.of < collaborator.n_answered, "{collaborator:?}");
    }
}

#[test]
fn promises_are_tried_on_all_rows_whose_gold_answer_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let results = run(folder.path());
    let (gold, calibration) = (gold_answers(folder.path()), calibration(&results));
    let selected: Vec<Selected> = rows(&results, "selection.jsonl");
    let known: Vec<&Selected> = selected.iter().filter(|row| gold.contains_key(&row.id)).collect();
    let right: Vec<bool> = known.iter().map(|row| row.answer.as_ref() == gold.get(&row.id)).collect();
    let label = |row: &&Selected| {
        let Selected { id, answer, confidence, .. } = (*row).clone();
        PseudoLabel { id, answer, confidence, agreed: false }
    };
    let pool: Vec<PseudoLabel> = known.iter().map(label).collect();
    let certified = &results.seeds[0].pseudo[0].certified;
    assert_eq!(certified.len(), 6);
    for one in certified {
        let seen = Pool { calibration: &calibration, ..Pool::new(&pool, Seed(0)) };
        let decisions = ErrorControlled::new(one.alpha, one.rule).unwrap().select(seen).unwrap().decisions;
        let kept = decisions.iter().zip(&right).filter(|(decision, _)| decision.accepted);
        assert_eq!(one.kept, right_of(kept.map(|(_, right)| *right)), "{one:?}");
        // The most that are at least so sure and rarely enough wrong.
        let surest = pool.iter().filter_map(|label| label.confidence).map(|least| {
            let rows = pool.iter().zip(&right).filter(|(label, _)| label.confidence >= Some(least));
            right_of(rows.map(|(_, right)| *right))
        });
        let allowed = surest.filter(|rows| (rows.of - rows.right) as f64 <= one.alpha * rows.of as f64);
        assert_eq!(one.oracle, allowed.map(|rows| rows.of).max().unwrap_or(0), "{one:?}");
    }
    // Different promises keep different rows, some of them wrong.
    let kept: Vec<RightOf> = certified.iter().map(|one| one.kept).collect();
    assert!(kept.iter().all(|kept| kept.right < kept.of) && kept[0] != kept[5], "{kept:?}");
}
