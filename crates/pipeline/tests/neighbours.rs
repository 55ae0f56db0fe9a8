//! What is shown beside a label.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{Doubles, Recorder, seed_run};
use semievol_core::{Answer, Labeled, Sample};
use semievol_pipeline::Parts;
use semievol_retrieval::RetrievalConfig;

/// For each label, the ids of its neighbours.
fn neighbours(groups: [Option<&str>; 12], k: usize) -> Vec<Vec<String>> {
    // All words are everywhere, so that each is the neighbour of each; the first two ask the same in other letters.
    let label = |(id, group): (usize, Option<&str>)| {
        let text = match id {
            0 => "A long, and tender film: 1.".to_owned(),
            _ => format!("a long and tender film, {id}"),
        };
        let group = group.map(str::to_owned);
        Labeled { sample: Sample { group, ..Sample::new(id.to_string(), text) }, answer: Answer::Choice(0) }
    };
    let labelled: Vec<Labeled> = groups.into_iter().enumerate().map(label).collect();
    let (out, loader, trainer) = (tempfile::tempdir().unwrap(), Doubles::new(), Recorder::new(usize::MAX));
    let bm25: RetrievalConfig = toml::from_str("kind = \"bm25\"").unwrap();
    seed_run(Parts::new(&loader, &trainer), out.path(), |run| {
        let library = run.library(&labelled, &[], Some(&bm25), false, &mut |_| ()).unwrap();
        let found = library.leave_one_out(labelled.len(), k).unwrap();
        let id = |one: &Labeled| one.sample.id.clone();
        found.iter().map(|hits| library.shots(hits).into_iter().map(id).collect()).collect()
    })
}

#[test]
fn a_label_is_shown_neither_itself_nor_its_twin() {
    let found = neighbours([None; 12], 10);
    assert!(!found[0].contains(&"0".to_owned()) && !found[0].contains(&"1".to_owned()), "{found:?}");
    assert!(found.iter().all(|one| one.len() == 10), "{found:?}");
}

#[test]
fn a_label_is_shown_none_of_its_group() {
    // Ten of one group stand before the two that may be shown.
    let groups: [Option<&str>; 12] = std::array::from_fn(|row| (row < 10).then_some("a"));
    for (row, found) in neighbours(groups, 2).into_iter().enumerate() {
        match row {
            0..10 => {
                assert!(found.iter().all(|id| id == "10" || id == "11") && found.len() == 2, "{found:?}")
            }
            // Rows without a group are of none, not of one.
            _ => assert_eq!(found.len(), 2, "{found:?}"),
        }
    }
}
