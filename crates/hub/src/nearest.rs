/// How many names a hint holds.
const HINTS: usize = 5;

/// The paths whose last parts look most like that of `wanted`, best first; at most five.
pub(crate) fn nearest<'a>(wanted: &str, paths: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = last_part(wanted).to_lowercase();
    let mut ranked: Vec<(isize, &str)> = paths
        .into_iter()
        .map(|path| {
            let name = last_part(path).to_lowercase();
            let part_of_it = name.contains(&wanted);
            let same_start = wanted.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
            // A shortened name keeps its beginning: that outweighs the letters left out.
            let rank = distance(&wanted, &name) as isize - 2 * same_start as isize;
            (if part_of_it { rank.min(1 - wanted.len() as isize) } else { rank }, path)
        })
        .collect();
    ranked.sort();
    ranked.truncate(HINTS);
    ranked.into_iter().map(|(_, path)| path).collect()
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Levenshtein's distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_the_textbook() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "ab"), 2);
    }

    #[test]
    fn the_misspelt_name_comes_first() {
        let paths = ["a/README.md", "a/config.json", "a/tokenizer.json", "b", "c", "d", "e/x.gguf"];
        assert_eq!(nearest("confg.json", paths)[0], "a/config.json");
        assert_eq!(nearest("gguf", paths)[0], "e/x.gguf");
        assert_eq!(nearest("tok.json", paths)[0], "a/tokenizer.json");
        assert_eq!(nearest("zz", paths).len(), HINTS);
    }
}
