//! Where a model runs: this engine's own passes on the CPU, or candle's plain operators on an accelerator.

use crate::EngineError;
use candle_core::{Device, utils};
use serde::{Deserialize, Serialize};

/// A device, by its name in configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Accelerator {
    /// None: the engine's own passes on the CPU.
    #[default]
    None,
    /// The first NVIDIA GPU; needs a build with the feature `cuda`.
    Cuda,
    /// Apple's GPU; needs a build with the feature `metal`.
    Metal,
}

impl Accelerator {
    /// The device, unless it is the CPU.
    ///
    /// # Errors
    /// If this build cannot use it, or the machine has none.
    pub fn open(self) -> Result<Option<Device>, EngineError> {
        let unbuilt = |name| EngineError::Config {
            reason: format!(
                "engine.accelerator = \"{name}\", but this build knows no {name}: build with `--features {name}`, or leave it out"
            ),
        };
        match self {
            Accelerator::None => Ok(None),
            Accelerator::Cuda if !utils::cuda_is_available() => Err(unbuilt("cuda")),
            Accelerator::Cuda => Ok(Some(Device::new_cuda(0)?)),
            Accelerator::Metal if !utils::metal_is_available() => Err(unbuilt("metal")),
            Accelerator::Metal => Ok(Some(Device::new_metal(0)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_it_says_how_to_get_it() {
        assert!(Accelerator::None.open().unwrap().is_none());
        if !utils::cuda_is_available() {
            let error = Accelerator::Cuda.open().unwrap_err().to_string();
            assert!(error.contains("--features cuda"), "{error}");
        }
    }
}
