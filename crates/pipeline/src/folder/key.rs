use semievol_core::hex;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Raised when a stage writes or computes something else from the same inputs.
const SCHEMA: u32 = 1;

/// Everything that a stage's result depends on, by name. Two stages with equal inputs have equal results,
/// whatever they are called and whichever run they belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs(Map<String, Value>);

impl Inputs {
    /// The inputs of a kind of work, such as `train`.
    pub fn of(work: &str) -> Self {
        let mut inputs = Map::new();
        inputs.insert("work".into(), work.into());
        inputs.insert("version".into(), format!("{}.{SCHEMA}", env!("CARGO_PKG_VERSION")).into());
        Inputs(inputs)
    }

    /// Adds a value as it is: a name, a setting, a digest.
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        // What has no JSON form (a map with keys that are no text) would be a mistake of this crate's.
        self.0.insert(name.into(), serde_json::to_value(value).unwrap_or(Value::Null));
        self
    }

    /// Adds the digest of something long: rows, prompts, examples.
    pub fn with_digest(self, name: &str, value: &impl Serialize) -> Self {
        let digest = digest_json(value);
        self.with(name, digest)
    }

    /// SHA-256 of all of it, in hexadecimal.
    pub fn key(&self) -> String {
        digest_json(&self.0)
    }

    pub(super) fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// SHA-256 of a value's JSON.
fn digest_json(value: &impl Serialize) -> String {
    let mut writer = Hashing::default();
    // Writing to a hasher cannot fail, and what is hashed here has a JSON form.
    let _ = serde_json::to_writer(&mut writer, value);
    writer.hex()
}

/// SHA-256 of what is written to it.
#[derive(Default)]
pub(crate) struct Hashing(Sha256);

impl Hashing {
    pub fn hex(self) -> String {
        hex(&self.0.finalize())
    }
}

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
