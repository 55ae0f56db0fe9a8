use std::fmt::Write as _;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufWriter, Write as _};
use std::path::Path;

/// Bytes as two lower-case hexadecimal digits each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes a file whole: to a temporary name beside it that no other call has, then renamed, so that a reader sees the old
/// bytes or the new ones, and of several writers the last one's.
///
/// # Errors
/// What the file system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_whole_with(path, |file| file.write_all(bytes))
}

/// The same for what need not be in memory at once: `write` is handed a buffered file.
///
/// # Errors
/// What `write` or the file system says.
pub fn write_whole_with(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Random, because processes on other machines that share the folder may have this one's number.
    let nonce = RandomState::new().hash_one(std::process::id());
    let partial = path.with_file_name(format!("{name}.{nonce:016x}.tmp"));
    let attempt = || {
        let mut file = BufWriter::new(File::create_new(&partial)?);
        write(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        std::fs::rename(&partial, path)
    };
    attempt().inspect_err(|_: &std::io::Error| {
        // Whatever was written has no use, and whether it can be removed changes nothing.
        let _ = std::fs::remove_file(&partial);
    })
}
