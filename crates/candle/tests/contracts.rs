//! The engine under the suites that every implementation of a contract runs, and laws of its own.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use candle_core::Device;
use common::*;
use semievol_candle::export::{merge, write_huggingface};
use semievol_candle::{BaseModel, CandleTrainer, Limits, Llama, Lora, adapter, load_model};
use semievol_core::{Prompt, Seed};
use semievol_model::{GenerateRequest, LanguageModel, ModelId, ModelLoader, ScoreRequest};
use semievol_testkit::contracts;
use semievol_train::{Example, Recipe, TrainJob, Trainer};
use std::ops::ControlFlow;
use std::sync::Arc;

#[test]
fn language_model_contract() {
    contracts::language_model(&*tiny().load(None).unwrap());
    let adapted = tiny().with_lora(ModelId::new("adapted"), Some(random_lora(&tiny(), 4, 5))).unwrap();
    contracts::language_model(&adapted);
}

#[test]
fn trainer_contract() {
    let scratch = tempfile::tempdir().unwrap();
    contracts::trainer(&CandleTrainer::new(tiny()), scratch.path());
}

/// What an accelerator runs, on the one device that every machine has.
#[test]
fn plain_operators_keep_the_contracts() {
    let plain = tiny().on(&Device::Cpu).unwrap();
    contracts::language_model(&*plain.load(None).unwrap());
    let lora = random_lora(&plain, 4, 5);
    contracts::language_model(&plain.with_lora(ModelId::new("adapted"), Some(lora)).unwrap());
    let scratch = tempfile::tempdir().unwrap();
    contracts::trainer(&CandleTrainer::new(plain), scratch.path());
}

#[test]
fn plain_operators_answer_and_train_as_the_engine_does() {
    for own in [tiny(), family("llama3"), family("qwen2"), family("qwen3")] {
        // Places for three, so that prompts come while others are answered.
        let own = BaseModel { limits: Limits { rows: 3, tokens_per_pass: 60, tokens_per_batch: 200 }, ..own };
        let plain = own.clone().on(&Device::Cpu).unwrap();
        let lora = random_lora(&own, 4, 21);
        let with = |base: &BaseModel| base.with_lora(ModelId::new("adapted"), Some(lora.clone())).unwrap();
        let (own_model, plain_model) = (with(&own), with(&plain));
        let words = |i: usize| format!("Say {i} {}", "and so on ".repeat(i * 5 % 4));
        let requests: Vec<GenerateRequest> = (0..9)
            .map(|i| GenerateRequest {
                max_tokens: 1 + i * 3 % 8,
                ..GenerateRequest::new(Prompt::user(words(i)), Seed(i as u64))
            })
            .collect();
        let said = |model: &dyn LanguageModel| model.generate(&requests).unwrap();
        for (a, b) in said(&own_model).into_iter().zip(said(&plain_model)) {
            assert_eq!(a.unwrap().text, b.unwrap().text);
        }
        let scores: Vec<ScoreRequest> = (0..5)
            .map(|i| ScoreRequest {
                prompt: Prompt::user(words(i)),
                continuations: vec!["yes".into(), "no, never".into()],
            })
            .collect();
        let score = |model: &dyn LanguageModel| model.score(&scores).unwrap();
        let pairs = score(&own_model).into_iter().zip(score(&plain_model));
        for (a, b) in pairs.flat_map(|(a, b)| a.unwrap().into_iter().zip(b.unwrap())) {
            assert!(a.iter().zip(&b).all(|(a, b)| (a.logprob - b.logprob).abs() < 1e-4));
        }
        let examples: Vec<Example> =
            (0..6).map(|i| Example::new(Prompt::user(words(i)), ["yes", "no"][i % 2])).collect();
        let recipe = Recipe { rank: 4, lr: 0.01, max_steps: 6, batch_size: 4, ..Recipe::default() };
        let losses = |base: &BaseModel| {
            let out = tempfile::tempdir().unwrap();
            let job =
                TrainJob { examples: &examples, recipe: &recipe, seed: Seed(3), out: out.path(), from: None };
            let mut losses = Vec::new();
            let trained = CandleTrainer::new(base.clone()).train(&job, &mut |step| {
                losses.push(step.loss);
                ControlFlow::Continue(())
            });
            trained.unwrap();
            losses
        };
        for (a, b) in losses(&own).into_iter().zip(losses(&plain)) {
            assert!((a / b - 1.0).abs() < 1e-3, "{a} {b}");
        }
    }
}

#[test]
fn small_limits_change_nothing() {
    let base = tiny();
    let narrow =
        BaseModel { limits: Limits { tokens_per_pass: 1, tokens_per_batch: 1, rows: 0 }, ..base.clone() };
    let prompts = ["one", "one two", "something else", "one"];
    let scores: Vec<ScoreRequest> = prompts
        .map(|p| ScoreRequest {
            prompt: Prompt::user(p),
            continuations: vec![" a".into(), " b c".into(), String::new()],
        })
        .to_vec();
    let wide = base.load(None).unwrap().score(&scores).unwrap();
    let small = narrow.load(None).unwrap().score(&scores).unwrap();
    for (a, b) in wide.iter().flatten().flatten().flatten().zip(small.iter().flatten().flatten().flatten()) {
        assert!(a.token == b.token && (a.logprob - b.logprob).abs() < 1e-4);
    }
    let requests =
        prompts.map(|p| GenerateRequest { max_tokens: 12, ..GenerateRequest::new(Prompt::user(p), Seed(4)) });
    let said = |model: Arc<dyn LanguageModel>| {
        model.generate(&requests).unwrap().into_iter().map(|g| g.unwrap().text).collect::<Vec<_>>()
    };
    assert_eq!(said(base.load(None).unwrap()), said(narrow.load(None).unwrap()));
}

#[test]
fn rows_come_and_go_as_places_and_memory_allow() {
    let base = tiny();
    let requests: Vec<GenerateRequest> = (0..25)
        .map(|i| {
            let text =
                format!("Say {} of {}", ["one", "two words", "a number"][i % 3], "more ".repeat(i * 5 % 7));
            let request = GenerateRequest::new(Prompt::user(text), Seed(i as u64));
            GenerateRequest { max_tokens: 1 + i * 3 % 11, temperature: 0.7, ..request }
        })
        .collect();
    let said = |limits| {
        let model = BaseModel { limits, ..base.clone() }.load(None).unwrap();
        model.generate(&requests).unwrap().into_iter().map(|g| g.unwrap().text).collect::<Vec<_>>()
    };
    let together = said(Limits { tokens_per_pass: 1 << 12, tokens_per_batch: 1 << 13, rows: 25 });
    for (tokens_per_pass, tokens_per_batch, rows) in
        [(20, 1 << 13, 5), (1 << 12, 90, 8), (30, 60, 3), (1, 1, 1)]
    {
        assert_eq!(said(Limits { tokens_per_pass, tokens_per_batch, rows }), together);
    }
}

#[test]
fn generated_tokens_have_the_probability_that_scoring_gives() {
    check_generated(&tiny());
    ["llama3", "qwen2", "qwen3"].iter().for_each(|name| check_generated(&family(name)));
}

fn check_generated(base: &BaseModel) {
    let model = base.with_lora(ModelId::new("adapted"), Some(random_lora(base, 4, 6))).unwrap();
    let prompts = ["first prompt", "second, longer prompt with more words", "first prompt of another kind"];
    let requests =
        prompts.map(|p| GenerateRequest { max_tokens: 9, ..GenerateRequest::new(Prompt::user(p), Seed(8)) });
    for (request, generation) in requests.iter().zip(model.generate(&requests).unwrap()) {
        let mut ids = base.tokenizer.encode_prompt(&request.prompt).unwrap();
        for token in generation.unwrap().tokens {
            let logits = model.next_token_logits(&[&ids[..]]).remove(0);
            let most = logits.iter().copied().fold(f32::MIN, f32::max);
            let log_sum = most + logits.iter().map(|l| (l - most).exp()).sum::<f32>().ln();
            assert!((logits[token.token as usize] - log_sum - token.logprob).abs() < 1e-4);
            ids.push(token.token);
        }
    }
}

#[test]
fn a_merged_model_answers_as_base_and_adapter() {
    check_merged(&tiny());
    FAMILIES.iter().for_each(|name| check_merged(&family(name)));
}

fn check_merged(base: &BaseModel) {
    let lora = random_lora(base, 4, 7);
    let merged = merge(base.llama.weights(), &lora).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_huggingface(folder.path(), &merged, &base.tokenizer).unwrap();
    let reloaded = BaseModel::new(load_model(folder.path()).unwrap()).unwrap();
    assert_eq!(reloaded.tokenizer.end_ids(), base.tokenizer.end_ids());
    let in_memory = BaseModel { llama: Arc::new(Llama::new(merged).unwrap()), ..base.clone() };
    let ids = [vec![1u32, 5, 9, 77, 31], vec![4, 90]];
    let expected = base.with_lora(ModelId::new("live"), Some(lora)).unwrap().next_token_logits(&ids);
    for merged in [in_memory, reloaded] {
        let found = merged.with_lora(ModelId::new("merged"), None).unwrap().next_token_logits(&ids);
        assert!(found.iter().zip(&expected).all(|(f, e)| relative(f, e) < 1e-5));
    }
    assert_eq!(
        base.tokenizer.encode_text("round trip, ünïcode"),
        load_model(folder.path()).unwrap().tokenizer.encode_text("round trip, ünïcode")
    );
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let base = tiny();
    let lora = random_lora(&base, 4, 7);
    let mut shallower = base.llama.config().clone();
    shallower.num_layers -= 1;
    let mut short = lora.clone();
    short.values.pop();
    for wrong in [Lora::init(&shallower, 4, 8.0, Seed(1)), short] {
        let merged = merge(base.llama.weights(), &wrong).err().map(|error| error.to_string());
        let loaded = base.with_lora(ModelId::new("x"), Some(wrong)).err().map(|error| error.to_string());
        for error in [merged, loaded] {
            assert!(error.as_ref().is_some_and(|error| error.contains("do not fit a model")), "{error:?}");
        }
    }
}

#[test]
fn a_gguf_file_with_frequencies_of_its_own_has_no_folder() {
    let base = family("llama3.gguf");
    let folder = tempfile::tempdir().unwrap();
    let error =
        write_huggingface(folder.path(), base.llama.weights(), &base.tokenizer).unwrap_err().to_string();
    assert!(error.contains("config.json cannot say"), "{error}");
}

#[test]
fn an_adapter_is_written_and_read_without_loss() {
    let base = tiny();
    let lora = random_lora(&base, 3, 9);
    let folder = tempfile::tempdir().unwrap();
    let written = adapter::write(folder.path(), &lora, &base.id).unwrap();
    assert_eq!(adapter::read(folder.path(), base.llama.config()).unwrap(), lora);
    let error =
        BaseModel { id: ModelId::new("another"), ..base }.load(Some(&written)).err().unwrap().to_string();
    assert!(error.contains("trained from tiny-llama@"), "{error}");
}

#[test]
fn an_adapter_whose_weights_were_replaced_is_refused() {
    let base = tiny();
    let folder = tempfile::tempdir().unwrap();
    let written = adapter::write(folder.path(), &random_lora(&base, 3, 9), &base.id).unwrap();
    adapter::write(folder.path(), &random_lora(&base, 3, 10), &base.id).unwrap();
    let error = base.load(Some(&written)).err().unwrap().to_string();
    assert!(error.contains("but the adapter was made with"), "{error}");
}

#[test]
fn a_whole_alpha_is_written_whole() {
    let base = tiny();
    for rank in [3, 7, 12] {
        let folder = tempfile::tempdir().unwrap();
        let lora = Lora::init(base.llama.config(), rank, 32.0, Seed(1));
        adapter::write(folder.path(), &lora, &base.id).unwrap();
        assert_eq!(json(&folder.path().join(adapter::CONFIG_FILE))["lora_alpha"].as_i64(), Some(32));
    }
}

#[test]
fn a_model_with_another_template_is_another_model() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("tiny-llama")).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    let id = || load_model(folder.path()).unwrap().id;
    let before = id();
    let config = folder.path().join("tokenizer_config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("assistant"));
    std::fs::write(&config, text.replace("assistant", "helper")).unwrap();
    assert_ne!(id(), before);
}

#[test]
fn broken_weights_are_an_error_and_no_certainty() {
    let base = tiny();
    let mut lora = random_lora(&base, 2, 9);
    lora.values.fill(f32::NAN);
    let broken = base.with_lora(ModelId::new("broken"), Some(lora)).unwrap();
    let generated = broken.generate(&[GenerateRequest::new(Prompt::user("x"), Seed(1))]).unwrap();
    let request = ScoreRequest { prompt: Prompt::user("x"), continuations: vec!["y".into()] };
    let scored = broken.score(&[request]).unwrap();
    for error in [generated[0].as_ref().err().unwrap(), scored[0].as_ref().err().unwrap()] {
        assert!(error.to_string().contains("not finite"), "{error}");
    }
}

#[test]
fn adapters_that_do_not_fit_are_refused_by_name() {
    let base = tiny();
    let folder = tempfile::tempdir().unwrap();
    adapter::write(folder.path(), &random_lora(&base, 3, 9), &base.id).unwrap();
    let weights = folder.path().join(adapter::WEIGHTS_FILE);
    let whole = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, b"\x02\0\0\0\0\0\0\0{}").unwrap();
    let error = adapter::read(folder.path(), base.llama.config()).unwrap_err().to_string();
    assert!(error.contains("holds no tensor"), "{error}");
    std::fs::write(&weights, whole).unwrap();
    let config = folder.path().join(adapter::CONFIG_FILE);
    let good = std::fs::read_to_string(&config).unwrap();
    for (from, to, expected) in [
        ("\"use_dora\": false", "\"use_dora\": true", "use_dora, fan_in_fan_out"),
        ("\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa\"", "init_lora_weights"),
        (
            "\"r\": 3",
            "\"r\": 4",
            "self_attn.q_proj.lora_A.weight is [3, 32], but the model's shape asks for [4, 32]",
        ),
        ("{", "{\"alora_invocation_tokens\": [1, 2],", "alora_invocation_tokens"),
        ("\"LORA\"", "\"IA3\"", "`peft_type` is \"IA3\"; supported: \"LORA\""),
        ("{", "{{", "is no adapter configuration"),
    ] {
        std::fs::write(&config, good.replacen(from, to, 1)).unwrap();
        let error = adapter::read(folder.path(), base.llama.config()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn cutting_a_batch_into_passes_trains_the_same_adapter() {
    let scratch = tempfile::tempdir().unwrap();
    let examples: Vec<Example> = ["a", "bb", "ccc", "d d d d", "e"]
        .map(|text| Example::new(Prompt::user(text), text.repeat(3)))
        .to_vec();
    let train = |name: &str, tokens_per_pass| {
        let recipe = Recipe { rank: 2, batch_size: 5, epochs: 3, tokens_per_pass, ..Recipe::default() };
        let out = scratch.path().join(name);
        let job = TrainJob { examples: &examples, recipe: &recipe, seed: Seed(3), out: &out, from: None };
        let mut losses = Vec::new();
        let adapter = CandleTrainer::new(tiny()).train(&job, &mut |step| {
            losses.push(step.loss);
            ControlFlow::Continue(())
        });
        (adapter::read(&adapter.unwrap().folder, tiny().llama.config()).unwrap(), losses)
    };
    let ((whole, losses), (cut, cut_losses)) = (train("whole", 4096), train("cut", 10));
    assert!(
        losses.iter().zip(&cut_losses).all(|(a, b)| (a / b - 1.0).abs() < 1e-5),
        "{losses:?} {cut_losses:?}"
    );
    assert!(relative(&cut.values, &whole.values) < 1e-2);
    assert!(losses[2] < losses[0], "it learns: {losses:?}");
}
