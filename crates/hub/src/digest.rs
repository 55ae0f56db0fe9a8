use crate::HubError;
use crate::error::IoContext;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// The SHA-256 of a file's bytes, as 64 lower-case hexadecimal digits.
///
/// # Errors
/// If the file cannot be read.
pub fn sha256_file(path: impl AsRef<Path>) -> Result<String, HubError> {
    let path = path.as_ref();
    let file = File::open(path).at("open", path)?;
    copy_hashed(file, &mut io::sink(), &mut |_| ()).at("read", path)
}

/// Copies everything, reports the bytes so far, and gives the SHA-256 of what went through.
pub(crate) fn copy_hashed(
    mut from: impl Read,
    to: &mut dyn Write,
    on_bytes: &mut dyn FnMut(u64),
) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut done = 0;
    loop {
        let len = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..len]);
        to.write_all(&buffer[..len])?;
        done += len as u64;
        on_bytes(done);
    }
    Ok(hex(&hasher.finalize()))
}

/// The first 16 hexadecimal digits of the SHA-256 of a text: short names for cache folders.
pub(crate) fn short_hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standards_own_example() {
        // FIPS 180-2, appendix B.1.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        assert_eq!(
            sha256_file(file.path()).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = sha256_file("no/such/file").unwrap_err().to_string();
        assert!(error.starts_with("no/such/file: cannot open: "), "{error}");
    }
}
