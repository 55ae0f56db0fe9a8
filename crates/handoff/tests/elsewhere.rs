//! Jobs handed off to commands: what they get, what they must leave, how they fail.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]
#![cfg(unix)]

use semievol_core::{Prompt, Seed};
use semievol_handoff::{CommandTrainer, ElsewhereConfig, write};
use semievol_model::ModelId;
use semievol_train::{Adapter, Example, Recipe, Step, TrainError, TrainJob, Trainer};
use serde_json::Value;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

fn examples() -> Vec<Example> {
    let prompt = |text: &str| Prompt::user(text).with_response_prefix("Answer:");
    vec![Example::new(prompt("Is \"it\" good?"), " yes"), Example::new(prompt("And\nthis?"), " no")]
}

fn train(shell: &str, out: &Path, on_step: &mut dyn FnMut(&Step)) -> Result<Adapter, TrainError> {
    let command = match shell {
        "" => Vec::new(),
        shell => ["sh", "-c", shell].map(String::from).into(),
    };
    let config = ElsewhereConfig { command, ..ElsewhereConfig::new("some/base") };
    let (examples, recipe) = (examples(), Recipe { rank: 4, ..Recipe::default() });
    let job = TrainJob { examples: &examples, recipe: &recipe, seed: Seed(3), out, from: None };
    let mut step = |step: &Step| {
        on_step(step);
        ControlFlow::Continue(())
    };
    CommandTrainer::new(config, ModelId::new("base here")).train(&job, &mut step)
}

const LEAVE: &str = "mkdir adapter && echo '{\"r\": 4}' > adapter/adapter_config.json && printf '\\070\\000\\000\\000\\000\\000\\000\\000{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}  \\000\\000\\000\\000' > adapter/adapter_model.safetensors";

#[test]
fn a_command_gets_data_and_configurations_and_leaves_an_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("warm");
    let progress = "echo '{\"current_steps\": 1, \"total_steps\": 2, \"loss\": 0.7, \"lr\": 0.1}' > adapter/trainer_log.jsonl; echo '{\"current_steps\": 2, \"total_steps\": 2, \"loss\": 0.5}' >> adapter/trainer_log.jsonl";
    let mut steps = Vec::new();
    let adapter =
        train(&format!("{LEAVE} && {progress}"), &out, &mut |step| steps.push((step.step, step.loss)))
            .unwrap();
    assert_eq!(steps, [(0, 0.7), (1, 0.5)]);
    assert_eq!((adapter.base.as_str(), &adapter.folder), ("base here", &out));
    assert_eq!(adapter.digest.len(), 64);
    let rows = fs::read_to_string(out.join("handoff/train.jsonl")).unwrap();
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    let last = &rows[1]["messages"][1];
    assert_eq!(
        (&last["role"], &last["content"], &last["train"]),
        (&"assistant".into(), &"Answer: no".into(), &true.into())
    );
    assert_eq!(rows[0]["messages"][0]["train"], false);
}

#[test]
fn configurations_say_what_the_recipe_says() {
    let folder = tempfile::tempdir().unwrap();
    let (examples, recipe) = (examples(), Recipe { max_steps: 7, lr: 1e-5, ..Recipe::default() });
    let job = TrainJob {
        examples: &examples,
        recipe: &recipe,
        seed: Seed(1 << 40),
        out: folder.path(),
        from: None,
    };
    write(&ElsewhereConfig::new("some/base"), &job, folder.path()).unwrap();
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    for (file, lines) in [
        (
            "llamafactory.yaml",
            [
                "model_name_or_path: \"some/base\"",
                "max_steps: 7",
                "learning_rate: 0.00001",
                "lora_rank: 16",
                "seed: 128",
                "warmup_steps: 1",
                "mask_history: true",
            ],
        ),
        (
            "axolotl.yaml",
            [
                "base_model: \"some/base\"",
                "max_steps: 7",
                "learning_rate: 0.00001",
                "lora_r: 16",
                "seed: 128",
                "warmup_steps: 1",
                "adapter: \"lora\"",
            ],
        ),
    ] {
        let text = text(file);
        lines
            .iter()
            .for_each(|line| assert!(text.lines().any(|found| found == *line), "{file}: {line}\n{text}"));
    }
    let info: Value = serde_json::from_str(&text("dataset_info.json")).unwrap();
    assert_eq!(info["semievol"]["file_name"], "train.jsonl");
}

#[test]
fn failures_say_what_happened() {
    for (shell, expected) in [
        ("echo all went wrong >&2; exit 3", "ended with exit status: 3"),
        ("echo all went wrong >&2; exit 3", "all went wrong"),
        ("true", "there is no whole adapter in PEFT's layout"),
        (
            "mkdir adapter && echo '{\"r\": 8}' > adapter/adapter_config.json && touch adapter/adapter_model.safetensors",
            "has rank Some(8), and the job asks for 4",
        ),
        (
            "mkdir adapter && echo '{\"r\": 4, \"lora_alpha\": 5}' > adapter/adapter_config.json && touch adapter/adapter_model.safetensors",
            "has lora_alpha 5, and the job asks for",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = train(shell, &folder.path().join("out"), &mut |_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{shell}: {error}");
    }
    let nan = format!(
        "{LEAVE} && echo '{{\"current_steps\": 1, \"total_steps\": 1, \"loss\": NaN}}' > adapter/trainer_log.jsonl"
    );
    let folder = tempfile::tempdir().unwrap();
    let error = train(&nan, &folder.path().join("out"), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("not a number any more"), "{error}");
}

#[test]
fn a_command_that_did_not_end_is_run_again_and_one_that_did_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let calls = || fs::read_to_string(out.join("handoff/calls")).unwrap().lines().count();
    // It leaves a whole adapter and fails all the same, the first time.
    let shell = format!("echo called >> calls; {LEAVE} && test $(wc -l < calls) -gt 1");
    assert!(train(&shell, &out, &mut |_| ()).is_err());
    assert!(out.join("handoff/adapter/adapter_model.safetensors").is_file());
    train(&shell, &out, &mut |_| ()).unwrap();
    assert_eq!(calls(), 2);
    train(&shell, &out, &mut |_| ()).unwrap();
    assert_eq!(calls(), 2);
}

#[test]
fn a_command_is_stopped_with_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let progress = "echo '{\"current_steps\": 1, \"total_steps\": 9}' > adapter/trainer_log.jsonl";
    let command = ["sh", "-c", &format!("echo $$ > pid; {LEAVE} && {progress}; exec sleep 600")];
    let config =
        ElsewhereConfig { command: command.map(String::from).into(), ..ElsewhereConfig::new("some/base") };
    let (examples, recipe) = (examples(), Recipe { rank: 4, ..Recipe::default() });
    let job = TrainJob { examples: &examples, recipe: &recipe, seed: Seed(3), out: &out, from: None };
    let mut stop = |_: &Step| ControlFlow::Break(());
    let stopped = CommandTrainer::new(config, ModelId::new("base here")).train(&job, &mut stop);
    assert!(matches!(stopped, Err(TrainError::Stopped { steps: 1 })), "{stopped:?}");
    let pid = fs::read_to_string(out.join("handoff/pid")).unwrap();
    let alive = std::process::Command::new("kill").args(["-0", pid.trim()]).status().unwrap();
    assert!(!alive.success(), "{pid} goes on");
}

#[test]
fn by_hand_the_run_goes_on_when_the_adapter_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let error = train("", &out, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("put the adapter into") && error.contains("run again"), "{error}");
    let left = out.join("handoff/adapter");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("adapter_config.json"), "{\"r\": 4}").unwrap();
    let weights = left.join("adapter_model.safetensors");
    // What has come so far is left alone, and the rest is asked for by name.
    let error = train("", &out, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("adapter_model.safetensors") && error.contains("no whole adapter"), "{error}");
    assert!(left.join("adapter_config.json").is_file());
    // As a failed gather leaves one.
    fs::write(&weights, b"\x02\0\0\0\0\0\0\0{}").unwrap();
    let error = train("", &out, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("holds no tensor"), "{error}");
    let whole =
        b"\x38\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}  \0\0\0\0";
    // Half of a copy is no adapter, and stands in nobody's way when the other half is there.
    fs::write(&weights, &whole[..5]).unwrap();
    let error = train("", &out, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("no whole safetensors file"), "{error}");
    fs::write(&weights, whole).unwrap();
    assert!(train("", &out, &mut |_| ()).is_ok());
    // Of another job it is not taken, and not lost either.
    fs::write(out.join("handoff/train.jsonl"), "another").unwrap();
    let error = train("", &out, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("put the adapter into") && error.contains("handoff/adapter-1 now"), "{error}");
    assert!(out.join("handoff/adapter-1/adapter_model.safetensors").is_file() && !left.exists());
}

/// Neither one of another job nor one that somebody brought is taken for what the command makes, and neither is lost.
#[test]
fn a_command_sets_aside_what_is_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let handoff = out.join("handoff");
    train(LEAVE, &out, &mut |_| ()).unwrap();
    fs::write(handoff.join("train.jsonl"), "another").unwrap();
    // Whatever stops it in between, the next one does not find an adapter.
    for _ in 0..2 {
        assert!(train("exit 3", &out, &mut |_| ()).is_err());
        assert!(
            handoff.join("adapter-1/adapter_model.safetensors").is_file()
                && !handoff.join("adapter").exists()
        );
    }
    fs::rename(handoff.join("adapter-1"), handoff.join("adapter")).unwrap();
    train(LEAVE, &out, &mut |_| ()).unwrap();
    assert!(handoff.join("adapter-1/adapter_model.safetensors").is_file());
    // Half of one is in the way.
    fs::remove_file(handoff.join("ended")).unwrap();
    fs::remove_file(handoff.join("adapter/adapter_model.safetensors")).unwrap();
    train(LEAVE, &out, &mut |_| ()).unwrap();
    assert!(!handoff.join("adapter-2").exists());
}

#[test]
fn what_cannot_be_learnt_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |change: &dyn Fn(&mut Vec<Example>)| {
        let (mut examples, recipe) = (examples(), Recipe::default());
        change(&mut examples);
        let job =
            TrainJob { examples: &examples, recipe: &recipe, seed: Seed(3), out: folder.path(), from: None };
        write(&ElsewhereConfig::new("b"), &job, folder.path()).unwrap_err()
    };
    assert!(matches!(refused(&Vec::clear), TrainError::NoExamples));
    assert!(matches!(refused(&|all| all[1].weight = f32::NAN), TrainError::Weight { index: 1, .. }));
    assert!(refused(&|all| all[1].weight = 0.5).to_string().contains("example 1 has a weight"));
    assert!(refused(&|all| all[0].others.push((" no".into(), 0.5))).to_string().contains("soft target"));
}
