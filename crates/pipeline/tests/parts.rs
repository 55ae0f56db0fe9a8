//! A pool that is worked off in parts gives what it gives in one piece.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::Made;
use semievol_pipeline::MethodConfig;
use std::path::Path;

fn run(method: &str, part: usize, out: &Path) -> Made {
    let config: MethodConfig = toml::from_str(method).unwrap();
    common::evolve(&config.build().unwrap(), part, out).unwrap()
}

const COLLABORATORS: &str = r#"
collaborators = [
    { kind = "language_model", name = "warm", shots = 1 },
    { kind = "language_model", name = "base", model = "base", shots = 2, temperature = 1.0 },
    { kind = "classifier", name = "embeddings", folds = 3 },
    { kind = "neighbours", name = "nearest", k = 3 },
]
"#;

/// Methods that touch every step on the way from the pool to the lessons.
fn methods() -> Vec<String> {
    let method = |rest: &str| {
        format!(
            "neighbours = 2\nretrieval = {{ kind = \"exact\" }}\nwarm = {{ shots = 1 }}\nconfidence_shots = 1\n{COLLABORATORS}{rest}\n"
        )
    };
    let evolve = "evolve = { label_share = 0.25 }";
    let soft = "evolve = { label_share = 0.25, targets = \"soft\" }";
    let shown = "evolve = { label_share = 0.25, targets = \"soft\", shots = 2 }";
    vec![
        method(&format!(
            "justify = {{ kind = \"self_justify\" }}\nconfidence = {{ kind = \"mean_nll\" }}\nselect = {{ kind = \"percentile\", theta = 50 }}\n{evolve}"
        )),
        method(&format!(
            "justify = {{ kind = \"mixture\" }}\nconfidence = {{ kind = \"mixture\" }}\nselect = {{ kind = \"per_class\", theta = 40 }}\n{shown}\nrounds = {{ n = 3 }}"
        ))
        .replace("folds = 3 }", "folds = 3, co_trained = true }"),
        method(&format!(
            "folds = 3\nprobe = true\njustify = {{ kind = \"majority\" }}\nconfidence = {{ kind = \"agreement\" }}\nselect = {{ kind = \"per_class\", theta = 50 }}\n{evolve}"
        )),
        method(&format!(
            "folds = 3\ncombine = {{ kind = \"log_pool\", align = 0.5 }}\njustify = {{ kind = \"mixture\" }}\nconfidence = {{ kind = \"mixture\" }}\nselect = {{ kind = \"balanced\", theta = 50 }}\n{soft}"
        )),
        // Of models of all labels, without folds.
        method(&format!(
            "ensemble = 2\ncombine = {{ kind = \"log_pool\", align = 1.0 }}\njustify = {{ kind = \"mixture\" }}\nconfidence = {{ kind = \"mixture\" }}\nselect = {{ kind = \"all\" }}\n{soft}"
        ))
        .replace("name = \"warm\"", "name = \"ensemble\", model = \"ensemble\""),
    ]
}

#[test]
fn parts_change_nothing() {
    for method in methods() {
        let folder = tempfile::tempdir().unwrap();
        let whole = run(&method, 1000, &folder.path().join("whole"));
        for part in [5, 36] {
            let parts = run(&method, part, &folder.path().join(part.to_string()));
            assert_eq!(parts.answers, whole.answers, "parts of {part}: {method}");
            let (parts, whole) = (parts.evolved, &whole.evolved);
            assert_eq!(parts.neighbours, whole.neighbours, "parts of {part}: {method}");
            assert_eq!(parts.selected, whole.selected, "parts of {part}: {method}");
            assert_eq!(parts.calibration, whole.calibration, "parts of {part}: {method}");
            assert_eq!(parts.taught, whole.taught, "parts of {part}: {method}");
            assert_eq!(parts.rounds, whole.rounds, "parts of {part}: {method}");
            assert_eq!(
                parts.evolved.adapter.digest, whole.evolved.adapter.digest,
                "parts of {part}: {method}"
            );
        }
    }
}

#[test]
fn parts_are_stages_of_their_own_that_are_kept() {
    for method in methods() {
        let folder = tempfile::tempdir().unwrap();
        let first = run(&method, 16, folder.path());
        for number in 1..=3 {
            let name = format!("candidates-part-{number}");
            assert!(first.computed.contains(&name), "no {name} among {:?}", first.computed);
        }
        assert!(!first.computed.contains(&"candidates".to_owned()), "{:?}", first.computed);
        let again = run(&method, 16, folder.path());
        assert!(again.computed.is_empty(), "computed again: {:?}", again.computed);
        assert_eq!(again.evolved, first.evolved);
        // One part that has gone is computed again, and it alone.
        std::fs::remove_file(folder.path().join("run/seed-1/candidates-part-2.jsonl")).unwrap();
        let mended = run(&method, 16, folder.path());
        assert_eq!(mended.computed, ["candidates-part-2"]);
        assert_eq!(mended.answers, first.answers);
    }
}

#[test]
fn pseudo_labels_may_be_taught_below_their_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let learnt = |shots: usize| {
        let method = methods().remove(0).replace("label_share", &format!("shots = {shots}, label_share"));
        run(&method, 1000, &folder.path().join(shots.to_string())).evolved
    };
    let [none, one, two] = [0, 1, 2].map(learnt);
    // Up to selection they are one.
    assert_eq!((&none.selected, &none.warm.adapter.digest), (&two.selected, &two.warm.adapter.digest));
    let digests = [&none, &one, &two].map(|evolved| evolved.evolved.adapter.digest.clone());
    assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2], "{digests:?}");
}
