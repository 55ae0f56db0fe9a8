//! Reading and writing safetensors files whole.

use crate::EngineError;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::Path;

/// Writes `bytes` to `path` so that a reader sees the old file or the new one, never a part.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    semievol_core::write_whole(path, bytes)
        .map_err(|error| EngineError::file_source(path, format!("cannot be written: {error}"), error))
}

/// Writes named `f32` tensors, the same bytes for the same content.
pub(crate) fn write_f32<V: AsRef<[f32]>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Vec<usize>, V)>,
    metadata: HashMap<String, String>,
) -> Result<(), EngineError> {
    let failed = |error: safetensors::SafeTensorError| {
        EngineError::file_source(path, format!("cannot be written: {error}"), error)
    };
    let owned: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape, values)| {
            (name, shape, values.as_ref().iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let mut views = Vec::with_capacity(owned.len());
    for (name, shape, bytes) in &owned {
        views.push((name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(failed)?));
    }
    assert!(metadata.len() <= 1, "several entries would be written in the random order of the hash map");
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(failed)?;
    write_atomically(path, &bytes)
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, EngineError> {
    std::fs::read(path)
        .map_err(|error| EngineError::file_source(path, format!("cannot be read: {error}"), error))
}

/// The tensors in a file's bytes.
pub(crate) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, EngineError> {
    SafeTensors::deserialize(bytes).map_err(|error| {
        EngineError::file_source(path, format!("is no whole safetensors file: {error}"), error)
    })
}

/// A tensor's values as `f32`; `None` for a type that is no floating-point number of 16 or 32 bits.
pub(crate) fn to_f32(tensor: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = tensor.data();
    let halves = || bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    match tensor.dtype() {
        Dtype::F32 => {
            Some(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        }
        Dtype::BF16 => Some(halves().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()),
        Dtype::F16 => Some(halves().map(|bits| half::f16::from_bits(bits).to_f32()).collect()),
        _ => None,
    }
}
