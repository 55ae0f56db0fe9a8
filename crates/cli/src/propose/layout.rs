//! One layout for files that several programs wrote.

use crate::look::{Look, is_csv};
use anyhow::bail;
use semievol::data::{Encoding, FileOptions};

/// An encoding that reads what was looked at of all files, and what stands between the cells of those that have some.
pub fn layout_of(looks: &[&Look]) -> anyhow::Result<FileOptions> {
    let latin1 = looks.iter().any(|look| look.layout.encoding == Encoding::Latin1);
    let encoding = if latin1 { Encoding::Latin1 } else { Encoding::Utf8 };
    let sign = |look: &Look| look.layout.separator.unwrap_or(',');
    // One column has nothing between its cells.
    let mut with_cells = looks.iter().filter(|look| is_csv(&look.file) && look.columns.len() > 1);
    let Some(first) = with_cells.next() else {
        return Ok(FileOptions { encoding, ..FileOptions::default() });
    };
    if let Some(other) = with_cells.find(|other| sign(other) != sign(first)) {
        bail!(
            "{}: {:?} stands between its cells, and {:?} between those of {}; save one like the other",
            other.file.display(),
            sign(other),
            sign(first),
            first.file.display()
        );
    }
    Ok(FileOptions { encoding, separator: first.layout.separator, ..FileOptions::default() })
}
