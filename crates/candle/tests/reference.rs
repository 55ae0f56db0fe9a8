//! The engine against numbers from PyTorch: always on a tiny random model, and on SmolLM2 when it is at hand.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::*;
use semievol_candle::optim::{AdamW, norm};
use semievol_candle::{BaseModel, Lora, Pass, Sequence, adapter};
use semievol_model::ModelId;
use serde_json::Value;
use std::path::PathBuf;

fn logits(base: &BaseModel, lora: Option<Lora>, sequences: &[Vec<u32>]) -> Vec<Vec<f32>> {
    base.with_lora(ModelId::new("test"), lora).unwrap().next_token_logits(sequences)
}

fn sequences(batch: &Value) -> Vec<Sequence> {
    let sequence = |example: &Value| {
        let prompt = ids(&example["prompt"]);
        let n_prompt = prompt.len();
        Sequence { tokens: [prompt, ids(&example["target"])].concat(), n_prompt, weight: 1.0 }
    };
    batch.as_array().unwrap().iter().map(sequence).collect()
}

/// LoRA training with the optimiser's pieces, as the references were made: losses, norms, the adapter.
struct Recipe {
    lr: f64,
    weight_decay: f64,
    clip: Option<f64>,
}

fn train(
    base: &BaseModel,
    mut lora: Lora,
    batches: &[Vec<Sequence>],
    recipe: &Recipe,
) -> (Vec<f64>, Vec<f64>, Lora) {
    let (mut pass, mut optimizer) = (Pass::new(false), AdamW::new(lora.values.len()));
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for batch in batches {
        let total: f64 = batch.iter().map(Sequence::total_weight).sum();
        let mut grad = vec![0.0; lora.values.len()];
        losses.push(pass.accumulate(&base.llama, &lora, batch, (1.0 / total) as f32, &mut grad) / total);
        norms.push(norm(&grad));
        let scale = recipe.clip.map_or(1.0, |clip| (clip / (norms[norms.len() - 1] + 1e-6)).min(1.0));
        optimizer.step(&mut lora.values, &grad, scale as f32, recipe.lr, recipe.weight_decay);
    }
    (losses, norms, lora)
}

#[test]
fn tiny_logits_at_every_position() {
    let (base, reference) = (tiny(), arrays(&fixture("tiny-llama/reference.safetensors")));
    let all = json(&fixture("tiny-llama/reference.json"))["sequences"]
        .as_array()
        .unwrap()
        .iter()
        .map(ids)
        .collect::<Vec<_>>();
    for (i, sequence) in all.iter().enumerate() {
        let prefixes: Vec<Vec<u32>> = (1..=sequence.len()).map(|n| sequence[..n].to_vec()).collect();
        let found = logits(&base, None, &prefixes).concat();
        let off = relative(&found, &reference[&format!("logits_{i}")]);
        assert!(off < 1e-5, "sequence {i}: {off:e}");
    }
    let lora = adapter::read(&fixture("tiny-llama/adapter"), base.llama.config()).unwrap();
    for (i, found) in logits(&base, Some(lora), &all).iter().enumerate() {
        let off = relative(found, &reference[&format!("adapter_logits_{i}")]);
        assert!(off < 1e-5, "adapter, sequence {i}: {off:e}");
    }
}

#[test]
fn tiny_gradients_of_every_lora_tensor() {
    let (base, reference) = (tiny(), arrays(&fixture("tiny-llama/reference.safetensors")));
    let facts = json(&fixture("tiny-llama/reference.json"));
    let lora = adapter::read(&fixture("tiny-llama/adapter"), base.llama.config()).unwrap();
    let batch = sequences(&facts["batches"][0]);
    let total: f64 = batch.iter().map(Sequence::total_weight).sum();
    for recompute in [false, true] {
        let mut grad = vec![0.0; lora.values.len()];
        let loss =
            Pass::new(recompute).accumulate(&base.llama, &lora, &batch, (1.0 / total) as f32, &mut grad)
                / total;
        close(loss, facts["gradient"]["loss"].as_f64().unwrap(), 1e-5, "loss");
        close(norm(&grad), facts["gradient"]["grad_norm"].as_f64().unwrap(), 1e-5, "gradient norm");
        for tensor in lora.layout.tensors() {
            let name = tensor.peft_name();
            let found = &grad[tensor.at];
            assert!(found.iter().all(|g| g.is_finite()) && found.iter().any(|&g| g != 0.0), "{name}");
            let off = relative(found, &reference[&format!("grad.{name}")]);
            assert!(off < 1e-4, "{name}: {off:e}");
        }
    }
}

#[test]
fn tiny_training_steps() {
    let (base, reference) = (tiny(), arrays(&fixture("tiny-llama/reference.safetensors")));
    let facts = json(&fixture("tiny-llama/reference.json"));
    let batches: Vec<Vec<Sequence>> = facts["batches"].as_array().unwrap().iter().map(sequences).collect();
    let lr = facts["adamw"]["lr"].as_f64().unwrap();
    for (i, run) in facts["adamw"]["runs"].as_array().unwrap().iter().enumerate() {
        let lora = adapter::read(&fixture("tiny-llama/adapter"), base.llama.config()).unwrap();
        let recipe = Recipe {
            lr,
            weight_decay: run["weight_decay"].as_f64().unwrap(),
            clip: run["clip_grad_norm"].as_f64(),
        };
        let (losses, norms, lora) = train(&base, lora, &batches, &recipe);
        for (step, (loss, norm)) in losses.iter().zip(norms).enumerate() {
            close(*loss, numbers(&run["losses"])[step], 1e-5, &format!("run {i} step {step} loss"));
            close(norm, numbers(&run["grad_norms"])[step], 1e-5, &format!("run {i} step {step} norm"));
        }
        let found = logits(&base, Some(lora), &[ids(&facts["adamw"]["final_prompt"])]);
        let off = relative(&found[0], &reference[&format!("adamw_{i}_logits")]);
        assert!(off < 1e-5, "run {i}: {off:e}");
    }
}

#[test]
fn sharded_bf16_logits_with_an_untied_head_and_odd_widths() {
    let folder = fixture("tiny-llama-untied-bf16-sharded");
    let base = BaseModel::new(semievol_candle::load_model(&folder).unwrap()).unwrap();
    let reference = arrays(&folder.join("reference.safetensors"));
    for (i, sequence) in
        json(&folder.join("reference.json"))["sequences"].as_array().unwrap().iter().map(ids).enumerate()
    {
        let prefixes: Vec<Vec<u32>> = (1..=sequence.len()).map(|n| sequence[..n].to_vec()).collect();
        let off = relative(&logits(&base, None, &prefixes).concat(), &reference[&format!("logits_{i}")]);
        assert!(off < 1e-5, "sequence {i}: {off:e}");
    }
}

#[test]
fn q8_0_logits() {
    let base =
        BaseModel::new(semievol_candle::load_model(&fixture("tiny-llama-q8_0.gguf")).unwrap()).unwrap();
    let reference = arrays(&fixture("tiny-llama/reference.safetensors"));
    let all = json(&fixture("tiny-llama/reference.json"))["sequences"]
        .as_array()
        .unwrap()
        .iter()
        .map(ids)
        .collect::<Vec<_>>();
    for (i, found) in logits(&base, None, &all).iter().enumerate() {
        let off = relative(found, &reference[&format!("q8_0_logits_{i}")]);
        assert!(off < 1e-5, "sequence {i}: {off:e}");
    }
}

/// The adapter of the families' references: `A` as SmolLM2's, `B` number `1000 + k` over 10.
fn formula_lora(config: &semievol_candle::LlamaConfig) -> Lora {
    let mut lora = Lora::init(config, 4, 8.0, semievol_core::Seed(0));
    for (at, tensor) in lora.layout.tensors().enumerate() {
        let (k, root) = (at as u64 / 2, (tensor.shape[1] as f64).sqrt());
        for (i, value) in lora.values[tensor.at].iter_mut().enumerate() {
            *value = match tensor.is_b {
                true => split_mix(1000 + k, i as u64) / 10.0,
                false => split_mix(k, i as u64) / root,
            } as f32;
        }
    }
    lora
}

#[test]
fn families_logits() {
    for name in FAMILIES {
        let folder = fixture("families").join(name);
        let all: Vec<Vec<u32>> =
            json(&folder.join("reference.json"))["sequences"].as_array().unwrap().iter().map(ids).collect();
        let expected = &arrays(&folder.join("reference.safetensors"))["logits"];
        let found = logits(&family(name), None, &all);
        let mut worst = 0f64;
        for ((found, expected), ids) in found.iter().zip(expected.chunks(found[0].len())).zip(&all) {
            let off = relative(found, expected);
            assert!(off < 1e-5, "{name} after {} tokens: {off:e}", ids.len());
            worst = worst.max(off);
        }
        eprintln!("{name}: logits off by {worst:.1e}");
    }
}

#[test]
fn families_loss_and_gradients() {
    for name in FAMILIES {
        let (base, folder) = (family(name), fixture("families").join(name));
        let (facts, reference) =
            (json(&folder.join("reference.json")), arrays(&folder.join("reference.safetensors")));
        let (batch, lora) = (sequences(&facts["batch"]), formula_lora(base.llama.config()));
        let total: f64 = batch.iter().map(Sequence::total_weight).sum();
        let mut worst = 0f64;
        for recompute in [false, true] {
            let mut grad = vec![0.0; lora.values.len()];
            let scale = (1.0 / total) as f32;
            let loss = Pass::new(recompute).accumulate(&base.llama, &lora, &batch, scale, &mut grad) / total;
            close(loss, facts["loss"].as_f64().unwrap(), 1e-5, name);
            for tensor in lora.layout.tensors().filter(|tensor| tensor.block == 0) {
                let off =
                    relative(&grad[tensor.at.clone()], &reference[&format!("grad.{}", tensor.peft_name())]);
                assert!(off < 1e-4, "{name}, {}: {off:e}", tensor.peft_name());
                worst = worst.max(off);
            }
        }
        eprintln!("{name}: gradients off by {worst:.1e}");
    }
}

#[test]
fn logits_of_quantised_gguf_files() {
    let facts = json(&fixture("families/gguf_logits.json"));
    let reference = arrays(&fixture("families/gguf_logits.safetensors"));
    for name in ["llama3", "qwen2", "qwen3-k"] {
        let all: Vec<Vec<u32>> = facts["sequences"][name].as_array().unwrap().iter().map(ids).collect();
        let found = logits(&family(&format!("{name}.gguf")), None, &all);
        let off = relative(&found.concat(), &reference[name]);
        assert!(off < 1e-5, "{name}: {off:e}");
        eprintln!("{name}.gguf: logits off by {off:.1e}");
    }
}

#[test]
fn smollm2_logits_and_training_steps() {
    let Some(base) = smollm2() else { return };
    let facts = json(&fixture("smollm2/reference.json"));
    let reference = arrays(&fixture("smollm2/reference.safetensors"));
    let vocabulary: Vec<usize> = (0..2048).map(|j| 24 * j + 7 * j % 24).collect();
    let prompts: Vec<Vec<u32>> =
        facts["prompts"].as_array().unwrap().iter().map(|p| ids(&p["ids"])).collect();
    let pick = |all: Vec<Vec<f32>>| all.iter().map(|l| vocabulary.iter().map(|&v| l[v]).collect()).collect();
    let off = |name: &str, found: Vec<Vec<f32>>| -> f64 {
        let rows = found.iter().zip(reference[name].chunks(2048));
        rows.map(|(f, e)| relative(f, e)).fold(0.0, f64::max)
    };
    let before = off("logits", pick(logits(&base, None, &prompts)));
    assert!(before < 2e-3, "{before:e}");

    let mut lora = Lora::init(base.llama.config(), 16, 32.0, semievol_core::Seed(0));
    for (k, tensor) in lora.layout.tensors().filter(|t| !t.is_b).enumerate() {
        let input = tensor.shape[1];
        for (i, value) in lora.values[tensor.at].iter_mut().enumerate() {
            *value = (split_mix(k as u64, i as u64) / (input as f64).sqrt()) as f32;
        }
    }
    let steps = &facts["steps"];
    let batches = vec![sequences(&steps["batch"]); 5];
    let recipe = Recipe { lr: steps["lr"].as_f64().unwrap(), weight_decay: 0.0, clip: Some(1.0) };
    let (losses, norms, lora) = train(&base, lora, &batches, &recipe);
    for step in 0..5 {
        close(losses[step], numbers(&steps["losses_float64"])[step], 1e-3, &format!("step {step} loss"));
        close(norms[step], numbers(&steps["grad_norms_float64"])[step], 1e-3, &format!("step {step} norm"));
    }
    let after = off("logits_after", pick(logits(&base, Some(lora), &prompts)));
    assert!(after < 1e-2, "{after:e}");
    eprintln!(
        "logits off by {before:.1e} before and {after:.1e} after training; losses {losses:.5?}, norms {norms:.5?}"
    );
}

/// A folder of full-size reference numbers, named by `SEMIEVOL_REFERENCE`: `smollm2_reference.safetensors`
/// (`ids_i`, `logits_i`, `ids_answer_i`, `logits_answer_i`, `logits_answer_after_i`, `train_ids_s_j` whose last
/// four ids are the target), `smollm2_reference.json` (`lr`, `losses`, `grad_norms`), `lora_init/` (PEFT).
#[test]
fn smollm2_against_a_folder_of_full_references() {
    let Some(folder) = std::env::var_os("SEMIEVOL_REFERENCE").map(PathBuf::from) else {
        eprintln!("skipped: SEMIEVOL_REFERENCE names no folder");
        return;
    };
    let Some(base) = smollm2() else { return };
    let reference = arrays(&folder.join("smollm2_reference.safetensors"));
    let facts = json(&folder.join("smollm2_reference.json"));
    let read_ids = |name: String| reference[&name].iter().map(|&id| id as u32).collect::<Vec<u32>>();
    let worst = |lora: Option<Lora>, ids_name: &str, logits_name: &str| {
        let all: Vec<Vec<u32>> = (0..8).map(|i| read_ids(format!("{ids_name}_{i}"))).collect();
        let found = logits(&base, lora, &all);
        (0..8).map(|i| relative(&found[i], &reference[&format!("{logits_name}_{i}")])).fold(0.0, f64::max)
    };
    let plain = worst(None, "ids", "logits").max(worst(None, "ids_answer", "logits_answer"));
    assert!(plain < 2e-3, "{plain:e}");
    let lora = adapter::read(&folder.join("lora_init"), base.llama.config()).unwrap();
    let sequence = |s, j| {
        let tokens = read_ids(format!("train_ids_{s}_{j}"));
        Sequence { n_prompt: tokens.len() - 4, tokens, weight: 1.0 }
    };
    let batches: Vec<Vec<Sequence>> = (0..5).map(|s| (0..8).map(|j| sequence(s, j)).collect()).collect();
    let recipe = Recipe { lr: facts["lr"].as_f64().unwrap(), weight_decay: 0.0, clip: Some(1.0) };
    let (losses, norms, lora) = train(&base, lora, &batches, &recipe);
    for step in 0..5 {
        close(losses[step], numbers(&facts["losses"])[step], 1e-3, &format!("step {step} loss"));
        close(norms[step], numbers(&facts["grad_norms"])[step], 1e-3, &format!("step {step} norm"));
    }
    let after = worst(Some(lora), "ids_answer", "logits_answer_after");
    assert!(after < 1e-2, "{after:e}");
    eprintln!(
        "logits off by {plain:.1e}, after training {after:.1e}; losses {losses:.5?}, norms {norms:.5?}"
    );
}
