//! Models from files: what is loaded, and what each broken file is told.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::fixture;
use semievol_candle::{EngineError, LlamaWeights, load_model};
use std::path::Path;
use tempfile::TempDir;

fn copy_of(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture(name)).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    folder
}

/// Loading fails, and the message holds every one of `parts`.
fn check_error(path: &Path, parts: &[&str]) {
    let error: EngineError = load_model(path).map(|model| model.id).unwrap_err();
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing from: {text}");
    }
}

/// The folder's copy fails after `change` of one file's text.
fn check_changed(name: &str, file: &str, change: impl Fn(String) -> String, parts: &[&str]) {
    let folder = copy_of(name);
    let path = folder.path().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = change(text.clone());
    assert_ne!(changed, text, "the change of {file} changes nothing");
    std::fs::write(path, changed).unwrap();
    check_error(folder.path(), parts);
}

fn tensors(weights: &LlamaWeights) -> Vec<(String, &[f32])> {
    let mut all = vec![
        ("embedding".to_owned(), weights.embedding.as_slice()),
        ("norm".to_owned(), &weights.norm),
        ("head".to_owned(), weights.head()),
    ];
    for (i, block) in weights.blocks.iter().enumerate() {
        let parts = [
            ("attn_norm", &block.attn_norm),
            ("qkv", &block.qkv),
            ("o", &block.o),
            ("mlp_norm", &block.mlp_norm),
            ("gate_up", &block.gate_up),
            ("down", &block.down),
        ];
        all.extend(parts.map(|(name, values)| (format!("{i}.{name}"), values.as_slice())));
    }
    all
}

#[test]
fn a_gguf_file_holds_the_tensors_of_the_folder_it_was_made_from() {
    let folder = load_model(&fixture("tiny-llama")).unwrap();
    let file = load_model(&fixture("tiny-llama.gguf")).unwrap();
    assert_eq!(folder.weights.config, file.weights.config);
    assert!(folder.weights.head.is_none() && file.weights.head.is_none());
    for ((name, expected), (_, found)) in tensors(&folder.weights).into_iter().zip(tensors(&file.weights)) {
        assert_eq!(expected, found, "{name}");
    }
    assert_ne!(folder.id, file.id);
    assert!(file.id.as_str().starts_with("tiny-llama@"), "{}", file.id);
}

#[test]
fn quantised_tensors_are_near_the_originals() {
    let exact = load_model(&fixture("tiny-llama.gguf")).unwrap().weights;
    let quantised = load_model(&fixture("tiny-llama-q8_0.gguf")).unwrap().weights;
    for ((name, expected), (_, found)) in tensors(&exact).into_iter().zip(tensors(&quantised)) {
        let largest = expected.iter().fold(0f32, |m, x| m.max(x.abs()));
        let worst = expected.iter().zip(found).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(worst <= largest / 127.0, "{name}: {worst} off, largest {largest}");
    }
}

#[test]
fn tensors_lie_in_the_documented_order() {
    let model = load_model(&fixture("tiny-llama")).unwrap().weights;
    let stored = candle_core::safetensors::load(
        fixture("tiny-llama").join("model.safetensors"),
        &candle_core::Device::Cpu,
    )
    .unwrap();
    let rows = |names: &[&str]| -> Vec<f32> {
        let values = |name: &&str| {
            let name = format!("model.layers.1.{name}.weight");
            stored[&name].flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        names.iter().flat_map(values).collect()
    };
    assert_eq!(model.blocks[1].qkv, rows(&["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]));
    assert_eq!(model.blocks[1].gate_up, rows(&["mlp.gate_proj", "mlp.up_proj"]));
    assert_eq!(model.blocks[1].mlp_norm, rows(&["post_attention_layernorm"]));
}

#[test]
fn a_sharded_untied_bf16_folder_loads() {
    let path = fixture("tiny-llama-untied-bf16-sharded");
    let model = load_model(&path).unwrap().weights;
    let head = model.head.as_ref().unwrap();
    assert_eq!(head.len(), model.config.vocab_size * model.config.hidden_size);
    assert_eq!(model.blocks.len(), model.config.num_layers);
    for (name, values) in tensors(&model) {
        assert!(
            values.iter().all(|v| v.to_bits() & 0xffff == 0),
            "{name} holds values that bf16 does not have"
        );
        assert!(values.iter().any(|v| *v != 0.0), "{name} is all zero");
    }
}

#[test]
fn a_folder_with_one_gguf_file_is_that_file() {
    let folder = tempfile::tempdir().unwrap();
    check_error(folder.path(), &["neither config.json nor a .gguf file"]);
    std::fs::copy(fixture("tiny-llama.gguf"), folder.path().join("a.gguf")).unwrap();
    load_model(folder.path()).unwrap();
    std::fs::copy(fixture("tiny-llama.gguf"), folder.path().join("b.gguf")).unwrap();
    check_error(folder.path(), &["2 .gguf files", "such as a and b"]);
    check_error(&folder.path().join("c.gguf"), &["c.gguf"]);
}

#[test]
fn a_gguf_file_cut_anywhere_is_an_error() {
    let bytes = std::fs::read(fixture("tiny-llama.gguf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.gguf");
    for len in (0..bytes.len()).step_by(997).chain([bytes.len() / 2, bytes.len() - 1]) {
        std::fs::write(&path, &bytes[..len]).unwrap();
        check_error(&path, &["cut.gguf"]);
    }
}

#[test]
fn gguf_metadata_that_makes_no_sense_is_an_error() {
    let bytes = std::fs::read(fixture("tiny-llama.gguf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.gguf");
    let number = |key: &str, value: u32, parts: &[&str]| {
        let mut changed = bytes.clone();
        let at = changed.windows(key.len()).position(|window| window == key.as_bytes()).unwrap();
        // After the key: four bytes of type, then the value.
        let from = at + key.len() + 4;
        changed[from..from + 4].copy_from_slice(&value.to_le_bytes());
        std::fs::write(&path, changed).unwrap();
        check_error(&path, parts);
    };
    number("llama.block_count", u32::MAX, &["odd.gguf", "has no tensor blk.3."]);
    number("llama.embedding_length", u32::MAX, &["odd.gguf", "4294967295"]);
    number("llama.attention.head_count_kv", 3, &["odd.gguf", "4 heads cannot share 3"]);
    number("llama.attention.head_count_kv", 0, &["odd.gguf", "num_key_value_heads is 0"]);
    number("llama.feed_forward_length", 97, &["odd.gguf", "ffn_gate", "[96, 32]", "[97, 32]"]);

    let mut other = bytes.clone();
    let at = other.windows(9).position(|window| window == b"\x05\0\0\0\0\0\0\0l").unwrap();
    other[at + 8..at + 13].copy_from_slice(b"mamba");
    std::fs::write(&path, &other).unwrap();
    check_error(&path, &["odd.gguf", "\"mamba\"", "supported: \"llama\""]);
}

#[test]
fn a_gguf_alignment_of_zero_is_an_error() {
    // Found by reading candle 0.11, which divides by it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zero.gguf");
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(17u64.to_le_bytes());
    bytes.extend(b"general.alignment");
    bytes.extend(4u32.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    check_error(&path, &["zero.gguf", "general.alignment is 0"]);
}

#[test]
fn a_safetensors_file_cut_anywhere_is_an_error() {
    let folder = copy_of("tiny-llama");
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    for len in (0..bytes.len()).step_by(997).chain([bytes.len() - 1]) {
        std::fs::write(&path, &bytes[..len]).unwrap();
        check_error(folder.path(), &["model.safetensors"]);
    }
}

#[test]
fn a_configuration_that_is_not_supported_names_the_field() {
    let check = |from: &str, to: &str, parts: &[&str]| {
        check_changed("tiny-llama", "config.json", |text| text.replace(from, to), parts);
    };
    check("\"llama\"", "\"mixtral\"", &["config.json", "model_type is \"mixtral\"", "supported: \"llama\""]);
    check("\"silu\"", "\"gelu\"", &["config.json", "hidden_act is \"gelu\""]);
    let scaling = "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2.0}, \"rope_theta\"";
    check("\"rope_theta\"", scaling, &["config.json", "\"yarn\"", "supported: \"default\""]);
    check("\"hidden_size\"", "\"hidden_sighs\"", &["config.json", "hidden_size"]);
    check("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", &["4 heads cannot share 3"]);
    check("\"intermediate_size\": 96", "\"intermediate_size\": 97", &["gate_proj", "[96, 32]", "[97, 32]"]);
    check("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", &["has no tensor model.layers.3."]);
    check("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", &["model.layers.2.", "does not use"]);
}

#[test]
fn tensors_are_named_when_missing_or_unused() {
    let index = "model.safetensors.index.json";
    let shard = |text: String| text.replace("model-00002-of-00002", "model-00001-of-00002");
    check_changed("tiny-llama-untied-bf16-sharded", index, shard, &["has no tensor"]);
    let outside = |text: String| text.replace("model-00002", "../model-00002");
    check_changed(
        "tiny-llama-untied-bf16-sharded",
        index,
        outside,
        &["index.json", "not a file of the folder"],
    );
}

#[test]
fn a_tokenizer_larger_than_the_embedding_is_refused() {
    let add = |text: String| {
        let token = r#"{"id": 384, "content": "<|more|>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}, "#;
        let at = text.find("\"added_tokens\"").unwrap();
        let at = at + text[at..].find('[').unwrap() + 1;
        format!("{}{token}{}", &text[..at], &text[at..])
    };
    check_changed("tiny-llama", "tokenizer.json", add, &["ids up to 384", "384 rows"]);
}

#[test]
fn a_model_without_a_chat_template_is_refused() {
    let rename = |text: String| text.replace("\"chat_template\"", "\"chat_templates\"");
    check_changed("tiny-llama", "tokenizer_config.json", rename, &["tokenizer_config.json", "chat_template"]);
}
