//! Models from files: what is loaded, and what each broken file is told.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use candle_core::quantized::gguf_file::{Content, Value, write};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use common::fixture;
use semievol_candle::export::write_huggingface;
use semievol_candle::{
    EngineError, Family, LlamaConfig, LlamaWeights, MODULES, Precision, RopeScaling, load_model,
    load_model_as,
};
use std::collections::HashMap;
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

fn tensors(weights: &LlamaWeights) -> Vec<(String, Vec<f32>)> {
    let mut all = vec![
        ("embedding".to_owned(), weights.embedding.unpack()),
        ("norm".to_owned(), weights.norm.clone()),
        ("head".to_owned(), weights.head().unpack()),
    ];
    for (i, block) in weights.blocks.iter().enumerate() {
        let norms = [("attn_norm", &block.attn_norm), ("mlp_norm", &block.mlp_norm)];
        all.extend(norms.map(|(name, values)| (format!("{i}.{name}"), values.clone())));
        all.extend(MODULES.map(|module| (format!("{i}.{}", module.name), block.linear(module).unpack())));
        let optional = [("qkv_bias", &block.qkv_bias), ("q_norm", &block.q_norm), ("k_norm", &block.k_norm)];
        all.extend(
            optional.into_iter().filter_map(|(name, values)| Some((format!("{i}.{name}"), values.clone()?))),
        );
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
fn another_precision_is_another_model_and_bf16_loses_nothing_of_bf16() {
    let path = fixture("tiny-llama-untied-bf16-sharded");
    let load = |precision| load_model_as(&path, precision).unwrap();
    let (exact, half, eighth) = (load(Precision::F32), load(Precision::Bf16), load(Precision::Q8));
    assert_eq!(exact.id, load_model(&path).unwrap().id);
    assert!(exact.id != half.id && half.id != eighth.id);
    assert_eq!(tensors(&exact.weights), tensors(&half.weights));
    assert_ne!(tensors(&exact.weights), tensors(&eighth.weights));
    assert_eq!(exact.weights.embedding.unpack(), eighth.weights.embedding.unpack());
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
    let stored =
        candle_core::safetensors::load(fixture("tiny-llama").join("model.safetensors"), &Device::Cpu)
            .unwrap();
    let values = |name: &str| {
        let name = format!("model.layers.1.{name}.weight");
        stored[&name].flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    for module in MODULES {
        assert_eq!(model.blocks[1].linear(module).unpack(), values(module.name), "{}", module.name);
    }
    assert_eq!(model.blocks[1].mlp_norm, values("post_attention_layernorm"));
}

#[test]
fn a_sharded_untied_bf16_folder_loads() {
    let path = fixture("tiny-llama-untied-bf16-sharded");
    let model = load_model(&path).unwrap().weights;
    let head = model.head.as_ref().unwrap();
    assert_eq!([head.n_out(), head.n_in()], [model.config.vocab_size, model.config.hidden_size]);
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
    // Of another type, with another entry behind it.
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 8;
    bytes[at..].copy_from_slice(&[0, 0, 0, 0, 0, 7, 0, 0]);
    std::fs::write(&path, bytes).unwrap();
    check_error(&path, &["zero.gguf", "general.alignment is 0"]);
}

#[test]
fn a_gguf_tensor_of_more_values_than_can_be_counted_is_an_error() {
    // Found by fuzzing: candle 0.11 multiplies its dimensions and bytes.
    const NAME: &[u8] = b"rope_freqs.weight";
    let mut bytes = std::fs::read(fixture("families/llama3.gguf")).unwrap();
    let at = bytes.windows(NAME.len()).position(|window| window == NAME).unwrap() + NAME.len() + 4;
    bytes[at..at + 8].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.gguf");
    std::fs::write(&path, bytes).unwrap();
    check_error(&path, &["large.gguf", "rope_freqs.weight", "[9223372036854775807]", "no file holds"]);
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
    check(
        "\"llama\"",
        "\"mixtral\"",
        &["config.json", "model_type is \"mixtral\"", "supported: \"llama\", \"mistral\", \"qwen2\""],
    );
    check("\"silu\"", "\"gelu\"", &["config.json", "hidden_act is \"gelu\""]);
    let scaling = "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2.0}, \"rope_theta\"";
    check(
        "\"rope_theta\"",
        scaling,
        &["config.json", "\"yarn\"", "supported: \"default\", \"linear\", \"llama3\""],
    );
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

/// As a model is left whose head was trained as well, and merged.
#[test]
fn a_head_that_is_tied_by_name_alone_is_refused() {
    let tie = |text: String| text.replace("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    check_changed(
        "tiny-llama-untied-bf16-sharded",
        "config.json",
        tie,
        &["lm_head.weight that is not model.embed_tokens.weight", "write false there"],
    );
}

#[test]
fn an_index_that_was_left_behind_is_not_followed() {
    let folder = copy_of("tiny-llama");
    let index = folder.path().join("model.safetensors.index.json");
    std::fs::write(&index, r#"{"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}"#)
        .unwrap();
    let loaded = load_model(folder.path()).unwrap();
    assert_eq!(tensors(&loaded.weights), tensors(&load_model(&fixture("tiny-llama")).unwrap().weights));
    write_huggingface(folder.path(), &loaded.weights, &loaded.tokenizer).unwrap();
    assert!(!index.exists());
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

fn config(name: &str) -> LlamaConfig {
    load_model(&fixture(&format!("families/{name}"))).unwrap().weights.config
}

#[test]
fn configurations_of_the_families() {
    let (llama2, llama3, mistral) = (config("llama2"), config("llama3"), config("mistral"));
    assert_eq!(llama2.rope_scaling, RopeScaling::Linear { factor: 4.0 });
    assert_eq!((llama2.num_kv_heads, llama2.head_dim, llama2.rope_theta), (4, 6, 10_000.0));
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 32,
    };
    assert_eq!(llama3.rope_scaling, scaling);
    assert_eq!((mistral.family, mistral.max_context, mistral.head_dim), (Family::Llama, 48, 10));
    let (qwen2, qwen3) = (config("qwen2"), config("qwen3"));
    assert_eq!((qwen2.family, qwen2.max_context), (Family::Qwen2, 128));
    assert_eq!((qwen3.family, qwen3.head_dim, qwen3.rope_theta), (Family::Qwen3, 10, 1e6));
}

#[test]
fn the_context_of_a_mistral_ends_with_its_window() {
    let window = |to: &str| {
        let folder = copy_of("families/mistral");
        let path = folder.path().join("config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let text =
            text.replace("\"sliding_window\": 48,", to).replace("embeddings\": 128", "embeddings\": 5000");
        std::fs::write(path, text).unwrap();
        load_model(folder.path()).unwrap().weights.config.max_context
    };
    assert_eq!(window("\"sliding_window\": 40,"), 40);
    assert_eq!(window("\"sliding_window\": null,"), 5000);
    assert_eq!(window(""), 4096, "what Transformers assumes");
}

#[test]
fn fields_that_change_the_arithmetic_are_refused_by_name() {
    let check = |name: &str, from: &str, to: &str, parts: &[&str]| {
        let change = |text: String| text.replace(from, to);
        let folder = format!("families/{name}");
        check_changed(&folder, "config.json", change, &[&["config.json"], parts].concat());
    };
    check(
        "llama3",
        "\"attention_bias\": false",
        "\"attention_bias\": true",
        &["attention_bias is true", "false"],
    );
    check("llama3", "\"mlp_bias\": false", "\"mlp_bias\": true", &["mlp_bias is true; supported: false"]);
    check("qwen3", "\"attention_bias\": false", "\"attention_bias\": true", &["attention_bias is true"]);
    check("qwen2", "_sliding_window\": false", "_sliding_window\": true", &["use_sliding_window is true"]);
    check(
        "qwen3",
        "[\n  \"full_attention\"",
        "[\n  \"sliding_attention\"",
        &["layer_types", "\"sliding_attention\""],
    );
    check("mistral", "\"sliding_window\": 48", "\"sliding_window\": 0", &["sliding_window is 0"]);
    let beside = |field: &str| format!("{field}, \"hidden_size\"");
    for (field, expected) in [
        ("\"partial_rotary_factor\": 0.5", "partial_rotary_factor is 0.5; supported: 1"),
        ("\"num_local_experts\": 8", "num_local_experts is 8; supported: 0"),
        ("\"num_experts\": 4", "num_experts is 4"),
        ("\"quantization_config\": {\"bits\": 4}", "quantization_config is {\"bits\":4}; supported: null"),
    ] {
        check("qwen2", "\"hidden_size\"", &beside(field), &[expected]);
    }
    check("qwen2", "\"num_key_value_heads\": 2,", "", &["no num_key_value_heads, which \"qwen2\" needs"]);
    check("qwen3", "\"head_dim\": 10,", "", &["no head_dim, which \"qwen3\" needs"]);
}

#[test]
fn rope_scalings_that_are_not_computed_are_refused_by_name() {
    let check = |from: &str, to: &str, parts: &[&str]| {
        check_changed("families/llama3", "config.json", |text| text.replace(from, to), parts);
    };
    for kind in ["yarn", "dynamic", "longrope", "proportional"] {
        let parts = [&format!("rope scaling of type \"{kind}\"")[..], "\"linear\", \"llama3\""];
        check("\"rope_type\": \"llama3\"", &format!("\"rope_type\": \"{kind}\""), &parts);
        check("\"rope_type\": \"llama3\"", &format!("\"type\": \"{kind}\""), &parts);
    }
    check("\"factor\": 8.0,", "", &["rope scaling of type \"llama3\" has no factor"]);
    check("\"factor\": 8.0", "\"factor\": 0.0", &["rope scaling: factor is 0"]);
    check("\"high_freq_factor\": 4.0", "\"high_freq_factor\": 1.0", &["high_freq_factor is 1", "more than"]);
    check(
        "\"factor\": 8.0",
        "\"factor\": 8.0, \"partial_rotary_factor\": 0.5",
        &["partial_rotary_factor is 0.5"],
    );
    check(
        "\"factor\": 8.0",
        "\"factor\": 8.0, \"mscale\": 2",
        &["rope scaling", "mscale 2", "not supported"],
    );
}

#[test]
fn a_folder_of_one_family_is_none_of_another() {
    let check = |name: &str, other: &str, parts: &[&str]| {
        let (from, to) = (format!("\"model_type\": \"{name}\""), format!("\"model_type\": \"{other}\""));
        check_changed(&format!("families/{name}"), "config.json", |text| text.replace(&from, &to), parts);
    };
    check("qwen2", "llama", &["tensor model.layers.0.self_attn.k_proj.bias", "Llama", "does not use"]);
    check("qwen3", "llama", &["tensor model.layers.0.self_attn.k_norm.weight", "Llama", "does not use"]);
    check("qwen2", "qwen3", &["has no head_dim"]);
    check("mistral", "qwen2", &["has no tensor model.layers.0.self_attn.q_proj.bias [40]"]);
}

/// The file rewritten with other metadata and further tensors.
fn rewritten(
    name: &str,
    metadata: &[(&str, Value)],
    more: &[(&str, QTensor)],
) -> Result<LlamaConfig, String> {
    let mut file = std::fs::File::open(fixture(&format!("families/{name}.gguf"))).unwrap();
    let content = Content::read(&mut file).unwrap();
    let tensors: Vec<(&String, QTensor)> = content
        .tensor_infos
        .keys()
        .map(|name| (name, content.tensor(&mut file, name, &Device::Cpu).unwrap()))
        .collect();
    let mut all: HashMap<&str, &Value> = content.metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    all.extend(metadata.iter().map(|(k, v)| (*k, v)));
    let all: Vec<(&str, &Value)> = all.into_iter().collect();
    let mut named: HashMap<&str, &QTensor> = tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
    named.extend(more.iter().map(|(name, tensor)| (*name, tensor)));
    let tensors: Vec<(&str, &QTensor)> = named.into_iter().collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rewritten.gguf");
    write(&mut std::fs::File::create(&path).unwrap(), &all, &tensors).unwrap();
    load_model(&path).map(|model| model.weights.config).map_err(|error| error.to_string())
}

#[test]
fn gguf_metadata_that_changes_the_arithmetic_is_computed_or_refused() {
    let text = |text: &str| Value::String(text.to_owned());
    let with = |metadata: &[(&str, Value)]| rewritten("qwen2", metadata, &[]);
    let plain = with(&[]).unwrap();
    assert_eq!(plain.rope_scaling, RopeScaling::None);
    let (kind, factor) = ("qwen2.rope.scaling.type", "qwen2.rope.scaling.factor");
    let linear = Some(RopeScaling::Linear { factor: 2.0 });
    let scaling = |metadata: &[(&str, Value)]| with(metadata).ok().map(|config| config.rope_scaling);
    assert_eq!(scaling(&[(kind, text("linear")), (factor, Value::F32(2.0))]), linear);
    assert_eq!(scaling(&[(factor, Value::F32(2.0))]), linear, "as in llama.cpp");
    assert_eq!(scaling(&[("qwen2.rope.scale_linear", Value::F32(2.0))]), linear);
    assert_eq!(scaling(&[(kind, text("none")), (factor, Value::F32(2.0))]), Some(RopeScaling::None));
    assert_eq!(with(&[("qwen2.attention.sliding_window", Value::U32(20))]).unwrap().max_context, 20);
    for (key, value, expected) in [
        (kind, text("yarn"), "qwen2.rope.scaling.type is \"yarn\"; supported: \"none\", \"linear\""),
        (kind, text("linear"), "there is no factor"),
        ("qwen2.expert_count", Value::U32(8), "qwen2.expert_count is 8"),
        ("qwen2.attention.scale", Value::F32(0.5), "has metadata qwen2.attention.scale"),
        ("qwen2.rope.dimension_count", Value::U32(4), "qwen2.rope.dimension_count is 4"),
        ("general.architecture", text("qwen3"), "has no metadata qwen3.embedding_length"),
        (
            "general.architecture",
            text("qwen2moe"),
            "architecture \"qwen2moe\"; supported: \"llama\", \"qwen2\"",
        ),
    ] {
        let error = with(&[(key, value)]).unwrap_err();
        assert!(error.contains(expected), "{expected:?} is missing from: {error}");
    }
}

#[test]
fn a_gguf_tensor_of_a_type_that_is_not_read_is_refused() {
    const IQ4_NL: u32 = 20;
    let mut bytes = std::fs::read(fixture("families/qwen2.gguf")).unwrap();
    let name = b"blk.1.attn_v.weight";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    // After the name: the number of dimensions, two of them, the type.
    let kind = at + name.len() + 4 + 2 * 8;
    bytes[kind..kind + 4].copy_from_slice(&IQ4_NL.to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("iq.gguf");
    std::fs::write(&path, bytes).unwrap();
    check_error(
        &path,
        &["iq.gguf", "type that is not supported", "20", "Q2_K to Q6_K", "Hugging Face folder"],
    );
}

#[test]
fn rotary_factors_of_a_gguf_file_are_the_scaling_of_its_folder() {
    let (folder, file) = (config("llama3"), config("llama3.gguf"));
    assert!(matches!(&file.rope_scaling, RopeScaling::PerFrequency(factors) if factors.len() == 4));
    let (expected, found) = (folder.rope_frequencies(), file.rope_frequencies());
    assert!(expected.iter().zip(&found).all(|(e, f)| (e / f - 1.0).abs() < 1e-6), "{expected:?} {found:?}");
    assert_eq!(LlamaConfig { rope_scaling: folder.rope_scaling.clone(), ..file }, folder);

    let factors = |values: &[f32]| {
        let tensor = Tensor::from_slice(values, values.len(), &Device::Cpu).unwrap();
        [("rope_freqs.weight", QTensor::quantize(&tensor, GgmlDType::F32).unwrap())]
    };
    for (name, values, expected) in [
        ("qwen2", &[1.0f32; 4][..], "has rope_freqs.weight beside architecture \"qwen2\""),
        ("llama3", &[1.0; 5], "5 factors for a head of width 8, which has 4 frequencies"),
        ("llama3", &[1.0, 2.0, 0.0, 8.0], "a frequency's factor is 0"),
    ] {
        let error = rewritten(name, &[], &factors(values)).unwrap_err();
        assert!(error.contains(expected), "{expected:?} is missing from: {error}");
    }
}

#[test]
fn quantised_files_of_the_families_are_near_their_folders() {
    for name in ["llama3", "qwen2"] {
        let load = |name: String| load_model(&fixture(&format!("families/{name}"))).unwrap().weights;
        let (exact, quantised) = (load(name.to_owned()), load(format!("{name}.gguf")));
        let (exact, quantised) = (tensors(&exact), tensors(&quantised));
        assert_eq!(exact.len(), quantised.len());
        for ((part, expected), (_, found)) in exact.into_iter().zip(quantised) {
            let largest = expected.iter().fold(0f32, |m, x| m.max(x.abs()));
            let worst = expected.iter().zip(found).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(worst <= largest / 7.0, "{name}, {part}: {worst} off, largest {largest}");
            let vector = part.contains("norm") || part.contains("bias");
            assert!(worst == 0.0 || !vector, "{name}, {part}: vectors are exact");
        }
    }
}
