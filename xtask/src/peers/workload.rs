//! What every engine is given to do: rows of token ids.

use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Tokens to read, and tokens to learn after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub prompt: Vec<u32>,
    pub target: Vec<u32>,
}

impl Row {
    /// Prompt and target.
    pub fn tokens(&self) -> Vec<u32> {
        [&self.prompt[..], &self.target].concat()
    }
}

/// Writes `{"prompt": [ids], "target": [ids]}`, one a line.
pub fn write(file: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let line = |row: &Row| format!("{}\n", json!({"prompt": row.prompt, "target": row.target}));
    let text: String = rows.iter().map(line).collect();
    semievol::pipeline::files::write(file, text.as_bytes())?;
    Ok(())
}

/// Reads what [`write()`] wrote; the first `limit` rows, or all for 0.
pub fn read(file: &Path, limit: usize) -> anyhow::Result<Vec<Row>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let lines = text.lines().take(if limit > 0 { limit } else { usize::MAX });
    let rows: Vec<Row> = lines.map(row).collect::<Option<_>>().with_context(|| {
        format!("{}: a line is not {{\"prompt\": [ids], \"target\": [ids]}}", file.display())
    })?;
    if rows.iter().any(|row| row.prompt.is_empty() || row.target.is_empty()) || rows.is_empty() {
        bail!("{}: there is no row, or one has no prompt or no target", file.display());
    }
    Ok(rows)
}

fn row(line: &str) -> Option<Row> {
    let value: Value = serde_json::from_str(line).ok()?;
    let ids = |key: &str| {
        let id = |id: &Value| u32::try_from(id.as_u64()?).ok();
        value[key].as_array()?.iter().map(id).collect::<Option<Vec<u32>>>()
    };
    Some(Row { prompt: ids("prompt")?, target: ids("target")? })
}

/// At most `n` of the rows, of the same lengths, no two of which begin with the same token: nothing that an engine
/// does for one serves another.
///
/// Each prompt is turned so that it begins behind what all prompts share, and further until its first token is new;
/// what was before goes to its end. A row none of whose tokens is new is left out.
pub fn apart(rows: &[Row], n: usize) -> Vec<Row> {
    let start = rows.iter().map(|row| shared(&rows[0].prompt, &row.prompt)).min().unwrap_or(0);
    let mut met = HashSet::new();
    let turned = rows.iter().filter_map(|row| {
        let behind = start..row.prompt.len();
        let at = behind.chain(0..start.min(row.prompt.len())).find(|&at| !met.contains(&row.prompt[at]))?;
        met.insert(row.prompt[at]);
        let mut row = row.clone();
        row.prompt.rotate_left(at);
        Some(row)
    });
    turned.take(n).collect()
}

/// How many tokens `a` and `b` begin with alike.
pub fn shared(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(prompts: &[&[u32]]) -> Vec<Row> {
        prompts.iter().map(|prompt| Row { prompt: prompt.to_vec(), target: vec![7] }).collect()
    }

    #[test]
    fn rows_apart_share_no_first_token_and_keep_their_tokens() {
        // Two rows go on alike behind what all share; the last has no token of its own.
        let rows = rows(&[&[1, 2, 10, 11, 3], &[1, 2, 10, 12, 3], &[1, 2, 13, 3], &[1, 2, 10]]);
        let apart = apart(&rows, 9);
        assert_eq!(apart.iter().map(|row| row.prompt[0]).collect::<Vec<_>>(), [10, 12, 13, 1]);
        for (turned, row) in apart.iter().zip(&rows) {
            let sorted = |row: &Row| {
                let mut prompt = row.prompt.clone();
                prompt.sort_unstable();
                (prompt, row.target.clone())
            };
            assert_eq!(sorted(turned), sorted(row));
        }
    }

    #[test]
    fn rows_apart_are_as_many_as_asked_for_if_there_are() {
        let rows = rows(&[&[1, 2], &[1, 3], &[1, 4], &[1, 2]]);
        assert_eq!(apart(&rows, 2).len(), 2);
        // The last begins with 1, which no other does; a fifth like it has nothing left.
        let more = [&rows[..], &rows[..1]].concat();
        assert_eq!(apart(&more, 9).len(), 4);
        assert_eq!(apart(&[], 9), []);
    }

    #[test]
    fn files_are_read_as_written() -> anyhow::Result<()> {
        let folder = std::env::temp_dir().join(format!("semievol-workload-{}", std::process::id()));
        let file = folder.join("rows.jsonl");
        let rows = rows(&[&[1, 2], &[3]]);
        write(&file, &rows)?;
        assert_eq!(read(&file, 0)?, rows);
        assert_eq!(read(&file, 1)?, rows[..1]);
        fs::write(&file, "{\"prompt\": [1]}\n")?;
        assert!(read(&file, 0).is_err());
        fs::remove_dir_all(folder)?;
        Ok(())
    }
}
