//! What the engine's tests share: fixtures, the real model if it is at hand, and how to compare.
#![allow(dead_code, reason = "every test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use candle_core::{DType, Device};
use semievol_candle::{BaseModel, LlamaConfig, Lora, load_model};
use semievol_hub::{Hub, HubConfig, Source};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Named arrays, flattened.
pub type Arrays = HashMap<String, Vec<f32>>;

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub fn arrays(path: &Path) -> Arrays {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let flat = |t: candle_core::Tensor| t.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
    tensors.into_iter().map(|(name, tensor)| (name, flat(tensor).unwrap())).collect()
}

pub fn tiny() -> BaseModel {
    BaseModel::new(load_model(&fixture("tiny-llama")).unwrap()).unwrap()
}

/// The folders below `fixtures/families`.
pub const FAMILIES: [&str; 5] = ["llama2", "llama3", "mistral", "qwen2", "qwen3"];

/// A model below `fixtures/families`: a folder, or a file with its ending.
pub fn family(name: &str) -> BaseModel {
    BaseModel::new(load_model(&fixture(&format!("families/{name}"))).unwrap()).unwrap()
}

/// Random numbers of the references: the top 24 bits of SplitMix64 of a tensor's and an element's number, in
/// [-1, 1).
pub fn split_mix(k: u64, i: u64) -> f64 {
    let mut z = ((k << 32) + i).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24) * 2.0 - 1.0
}

/// The default model, if it is at hand.
pub fn smollm2() -> Option<BaseModel> {
    Some(BaseModel::new(load_model(&at_hand("SEMIEVOL_SMOLLM2", "smollm2")?).unwrap()).unwrap())
}

/// Where a model lies: in the path that `variable` names, or in the cache if something has fetched it.
/// Otherwise says so, and the test that asked is skipped, or fails where `SEMIEVOL_NO_SKIP` is set.
pub fn at_hand(variable: &str, name: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from).or_else(|| cached(name));
    if path.is_none() {
        let why =
            format!("{name} is not in the cache (fixtures/sources/{name}.txt), and {variable} is not set");
        assert!(std::env::var_os("SEMIEVOL_NO_SKIP").is_none(), "{why}");
        eprintln!("skipped: {why}");
    }
    path
}

fn cached(name: &str) -> Option<PathBuf> {
    let source = std::fs::read_to_string(fixture(&format!("sources/{name}.txt"))).unwrap();
    let source: Source = source.trim().parse().unwrap();
    let hub = Hub::new(HubConfig { offline: true, ..HubConfig::from_env().ok()? });
    Some(hub.fetch(&source, &mut |_| ()).ok()?.path)
}

/// `||found - expected|| / ||expected||`
pub fn relative(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let off = square(&mut found.iter().zip(expected).map(|(f, e)| f64::from(*f) - f64::from(*e)));
    off / square(&mut expected.iter().map(|&e| f64::from(e)))
}

pub fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

pub fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found / expected - 1.0).abs() < tolerance, "{what}: {found}, expected {expected}");
}

/// An adapter with random non-zero `A` and `B`.
pub fn random_lora(base: &BaseModel, rank: usize, seed: u64) -> Lora {
    random_lora_for(base.llama.config(), rank, seed)
}

pub fn random_lora_for(config: &LlamaConfig, rank: usize, seed: u64) -> Lora {
    let mut lora = Lora::init(config, rank, 2.0 * rank as f64, semievol_core::Seed(seed));
    let mut state = seed;
    for value in lora.values.iter_mut().filter(|value| **value == 0.0) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *value = ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 0.2;
    }
    lora
}
