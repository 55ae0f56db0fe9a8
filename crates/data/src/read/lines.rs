use super::{Encoding, decode};
use crate::error::{DataError, Place};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

/// A file opened for reading, its UTF-8 byte order mark skipped.
pub(super) fn open(path: &Path) -> Result<BufReader<File>, DataError> {
    let io = |source| DataError::Io { path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(io)?);
    let start = reader.fill_buf().map_err(io)?;
    if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
        return Err(DataError::Utf16 { path: path.to_owned() });
    }
    if start.starts_with(&[0xef, 0xbb, 0xbf]) {
        reader.consume(3);
    }
    Ok(reader)
}

/// The lines of a text file that are not blank, without their line ends (`\n` or `\r\n`).
pub(super) struct Lines {
    reader: BufReader<File>,
    encoding: Encoding,
    at: Place,
}

impl Lines {
    pub(super) fn open(path: &Path, encoding: Encoding) -> Result<Lines, DataError> {
        let file: Arc<Path> = Arc::from(path);
        Ok(Lines { reader: open(path)?, encoding, at: Place { file, line: 0 } })
    }

    /// The next byte that is not white space, without taking it; `None` at the end of the file.
    pub(super) fn first_byte(&mut self) -> Option<u8> {
        let buffer = self.reader.fill_buf().ok()?;
        buffer.iter().copied().find(|byte| !byte.is_ascii_whitespace())
    }

    /// Everything that is left, decoded.
    pub(super) fn rest(mut self) -> Result<String, DataError> {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut self.reader, &mut bytes)
            .map_err(|source| DataError::Io { path: self.at.file.to_path_buf(), source })?;
        decode(bytes, self.encoding, &Place { line: 1, ..self.at })
    }
}

impl Iterator for Lines {
    type Item = Result<(Place, String), DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut bytes = Vec::new();
            match self.reader.read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Ok(_) => self.at.line += 1,
                Err(source) => {
                    return Some(Err(DataError::Io { path: self.at.file.to_path_buf(), source }));
                }
            }
            while matches!(bytes.last(), Some(b'\n' | b'\r')) {
                bytes.pop();
            }
            if !bytes.trim_ascii().is_empty() {
                let at = self.at.clone();
                return Some(decode(bytes, self.encoding, &at).map(|line| (at, line)));
            }
        }
    }
}
