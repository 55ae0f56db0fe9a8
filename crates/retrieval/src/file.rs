//! Files of indexes: whole or absent, and checked when they are read.

use crate::RetrievalError;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use semievol_core::write_whole;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The one metadata entry: several would be written in the random order of a hash map.
const ABOUT: &str = "semievol";

/// Writes beside the file and renames: a reader sees the old file or the new one, never a part.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), RetrievalError> {
    write_whole(path, bytes)
        .map_err(|error| RetrievalError::file_source(path, format!("cannot be written: {error}"), error))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, RetrievalError> {
    fs::read(path)
        .map_err(|error| RetrievalError::file_source(path, format!("cannot be read: {error}"), error))
}

/// A tensor to write: rows of one width.
pub(crate) struct Matrix {
    name: &'static str,
    dtype: Dtype,
    width: usize,
    bytes: Vec<u8>,
}

impl Matrix {
    /// Rows of `width` numbers.
    pub(crate) fn f32(name: &'static str, width: usize, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Matrix { name, dtype: Dtype::F32, width, bytes }
    }

    /// Rows of `width` bytes.
    pub(crate) fn u8(name: &'static str, width: usize, bytes: Vec<u8>) -> Self {
        Matrix { name, dtype: Dtype::U8, width, bytes }
    }

    fn view(&self) -> Result<TensorView<'_>, safetensors::SafeTensorError> {
        let row = self.width * self.dtype.bitsize() / 8;
        TensorView::new(self.dtype, vec![self.bytes.len() / row, self.width], &self.bytes)
    }
}

/// One safetensors file, the same bytes for the same content. `about` says what it is and how it was made.
pub(crate) fn save_matrices(
    path: &Path,
    matrices: &[Matrix],
    about: &impl Serialize,
) -> Result<(), RetrievalError> {
    let failed = |error: safetensors::SafeTensorError| {
        RetrievalError::file_source(path, format!("cannot be written: {error}"), error)
    };
    let about = serde_json::to_string(about)
        .map_err(|error| RetrievalError::file_source(path, format!("cannot be written: {error}"), error))?;
    let views = matrices.iter().map(|matrix| Ok((matrix.name, matrix.view()?)));
    let views = views.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let metadata = HashMap::from([(ABOUT.to_string(), about)]);
    write(path, &safetensors::serialize(views, Some(metadata)).map_err(failed)?)
}

/// A file that [`save_matrices`] wrote, and its `about`.
pub(crate) fn load_matrices<A: DeserializeOwned>(path: &Path) -> Result<(Matrices, A), RetrievalError> {
    let bytes = read(path)?;
    let broken = |error| {
        RetrievalError::file_source(
            path,
            format!("is no whole safetensors file ({error}): build it again"),
            error,
        )
    };
    SafeTensors::deserialize(&bytes).map_err(broken)?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let about = metadata.metadata().as_ref().and_then(|entries| entries.get(ABOUT));
    let about =
        about.ok_or_else(|| RetrievalError::file(path, "was not written by semievol: build it again"))?;
    let about = serde_json::from_str(about).map_err(|error| {
        RetrievalError::file_source(path, format!("holds something else ({error}): build it again"), error)
    })?;
    Ok((Matrices { path: path.to_path_buf(), bytes }, about))
}

/// The tensors of a file.
pub(crate) struct Matrices {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Matrices {
    /// Width and values of finite rows.
    pub(crate) fn f32(&self, name: &str) -> Result<(usize, Vec<f32>), RetrievalError> {
        let (width, bytes) = self.rows(name, Dtype::F32)?;
        let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let values: Vec<f32> = values.collect();
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok((width, values)),
            Some(at) => {
                let (row, position) = (at / width, at % width);
                let reason =
                    format!("row {row} of `{name}` holds {} at {position}: build it again", values[at]);
                Err(RetrievalError::file(&self.path, reason))
            }
        }
    }

    /// Width and bytes of rows.
    pub(crate) fn u8(&self, name: &str) -> Result<(usize, Vec<u8>), RetrievalError> {
        self.rows(name, Dtype::U8)
    }

    fn rows(&self, name: &str, dtype: Dtype) -> Result<(usize, Vec<u8>), RetrievalError> {
        let missing = |error| {
            RetrievalError::file_source(&self.path, format!("has no tensor `{name}`: build it again"), error)
        };
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(missing)?;
        let tensor = tensors.tensor(name).map_err(missing)?;
        match *tensor.shape() {
            [_, width] if width > 0 && tensor.dtype() == dtype => Ok((width, tensor.data().to_vec())),
            _ => {
                let (found, shape) = (tensor.dtype(), tensor.shape());
                let reason =
                    format!("`{name}` is {found:?} of shape {shape:?}, not {dtype:?} rows: build it again");
                Err(RetrievalError::file(&self.path, reason))
            }
        }
    }
}
