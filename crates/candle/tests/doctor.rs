//! The doctor finds sound models sound and broken ones broken.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol_candle::doctor::{Verdict, examine};
use semievol_candle::{BaseModel, load_model};
use semievol_core::Prompt;
use semievol_train::Example;
use std::path::Path;

fn examples() -> Vec<Example> {
    [("How does the buyer feel? The handle broke.", " negative"), ("The lid fits. Good or bad?", " good")]
        .map(|(question, response)| {
            let prompt = Prompt { response_prefix: "Answer:".to_owned(), ..Prompt::user(question) };
            Example::new(prompt, response)
        })
        .to_vec()
}

fn base(name: &str) -> BaseModel {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name);
    BaseModel::new(load_model(&path).unwrap()).unwrap()
}

#[test]
fn sound_models_fail_no_check() {
    for name in ["tiny-llama", "families/llama3", "families/qwen2", "families/qwen3", "families/mistral"] {
        let checks = examine(&base(name), &examples()).unwrap();
        assert!(checks.iter().all(|check| check.verdict != Verdict::Failed), "{name}: {checks:#?}");
    }
}

#[test]
fn a_weight_that_is_no_number_fails() {
    let mut broken =
        load_model(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-llama")).unwrap();
    broken.weights.norm[0] = f32::NAN;
    let checks = examine(&BaseModel::new(broken).unwrap(), &examples()).unwrap();
    let failed: Vec<&str> =
        checks.iter().filter(|check| check.verdict == Verdict::Failed).map(|check| check.name).collect();
    assert_eq!(failed, ["mask", "packing", "gradient", "merging"]);
}

#[test]
fn examples_that_do_not_fit_are_said() {
    let long = Example::new(Prompt::user("word ".repeat(5000)), " yes");
    let error = examine(&base("tiny-llama"), &[long]).unwrap_err().to_string();
    assert!(error.contains("no example fits into the model's 256 tokens"), "{error}");
}
