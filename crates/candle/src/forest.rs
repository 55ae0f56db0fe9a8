//! Token sequences packed as a forest: whatever sequences share at their start stands there once.
//!
//! One structure serves a batch of training examples with a common instruction, a prompt with the tree of its
//! possible answers, several samples of one prompt, and a ragged batch that shares nothing.

use crate::kernels::attention::{MOST_QUERIES, QueryBlock};
use std::ops::Range;

/// Some sequences, each shared beginning stored once.
///
/// ```
/// use semievol_candle::Forest;
///
/// let forest = Forest::pack(&[vec![1, 2, 3], vec![1, 2, 4, 5], vec![9]]);
/// assert_eq!(forest.len(), 6); // 1 2 | 3 | 4 5 | 9
/// let tokens: Vec<u32> = forest.rows(1).map(|row| forest.tokens()[row]).collect();
/// assert_eq!(tokens, [1, 2, 4, 5]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forest {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    segments: Vec<Segment>,
    /// Of each sequence: the segment in which it ends.
    ends: Vec<Option<usize>>,
}

/// A run of tokens without a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    parent: Option<usize>,
    rows: Range<usize>,
}

impl Forest {
    /// Packs `sequences`; their order decides nothing but the order of [`Forest::rows`].
    pub fn pack<S: AsRef<[u32]>>(sequences: &[S]) -> Self {
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by(|&a, &b| sequences[a].as_ref().cmp(sequences[b].as_ref()));
        let mut forest = Forest {
            tokens: Vec::new(),
            positions: Vec::new(),
            segments: Vec::new(),
            ends: vec![None; sequences.len()],
        };
        let sorted: Vec<(usize, &[u32])> = order.into_iter().map(|i| (i, sequences[i].as_ref())).collect();
        forest.grow(&sorted, 0, None);
        forest
    }

    /// Adds `sorted`, which agree on their first `depth` tokens, those standing in `parent` and above.
    fn grow(&mut self, sorted: &[(usize, &[u32])], depth: usize, parent: Option<usize>) {
        let ended = sorted.iter().take_while(|(_, tokens)| tokens.len() == depth).count();
        for (sequence, _) in &sorted[..ended] {
            self.ends[*sequence] = parent;
        }
        for group in sorted[ended..].chunk_by(|(_, a), (_, b)| a[depth] == b[depth]) {
            let (first, last) = (group[0].1, group[group.len() - 1].1);
            let shared = depth + common_prefix(&first[depth..], &last[depth..]);
            let start = self.tokens.len();
            self.tokens.extend_from_slice(&first[depth..shared]);
            self.positions.extend(depth as u32..shared as u32);
            self.segments.push(Segment { parent, rows: start..self.tokens.len() });
            self.grow(group, shared, Some(self.segments.len() - 1));
        }
    }

    /// Number of tokens, shared ones counted once.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Every row's token, parents before children.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Every row's position in its sequences.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// The rows of the `index`-th sequence's tokens, in order.
    pub fn rows(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        self.spans(index).into_iter().flatten()
    }

    /// [`Forest::rows`] as runs of consecutive rows.
    pub fn spans(&self, index: usize) -> Vec<Range<usize>> {
        self.chain(self.ends[index])
    }

    /// The runs from the root to `segment`.
    fn chain(&self, segment: Option<usize>) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        let mut at = segment;
        while let Some(index) = at {
            push_front(&mut spans, self.segments[index].rows.clone());
            at = self.segments[index].parent;
        }
        spans.reverse();
        spans
    }

    /// What every row attends to, when row `i`'s key stands in row `first_key + i` of the key matrix.
    pub fn query_blocks(&self, first_key: usize) -> Vec<QueryBlock> {
        let shift = |span: Range<usize>| span.start + first_key..span.end + first_key;
        let mut blocks = Vec::new();
        for segment in &self.segments {
            let past: Vec<Range<usize>> = self.chain(segment.parent).into_iter().map(shift).collect();
            for start in segment.rows.clone().step_by(MOST_QUERIES) {
                let rows = start..(start + MOST_QUERIES).min(segment.rows.end);
                let mut past = past.clone();
                extend(&mut past, shift(segment.rows.start..start));
                blocks.push(QueryBlock { own: start + first_key, rows, past });
            }
        }
        blocks
    }
}

/// Adds a run in front of `spans` (stored back to front), joined to it if they touch.
fn push_front(spans: &mut Vec<Range<usize>>, run: Range<usize>) {
    match spans.last_mut() {
        Some(next) if next.start == run.end => next.start = run.start,
        _ => spans.push(run),
    }
}

/// Adds a run behind `spans`, joined to them if they touch.
fn extend(spans: &mut Vec<Range<usize>>, run: Range<usize>) {
    match spans.last_mut() {
        _ if run.is_empty() => {}
        Some(last) if last.end == run.start => last.end = run.end,
        _ => spans.push(run),
    }
}

/// How many tokens `a` and `b` begin with alike.
pub(crate) fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// Cuts `0..len` into runs whose summed cost is at most `budget`, at least one item each. `cost(i, first)` is
/// that of item `i` behind item `i - 1`, or as the first of its run.
pub(crate) fn cut(len: usize, budget: usize, cost: impl Fn(usize, bool) -> usize) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let (mut start, mut used) = (0, 0);
    for i in 0..len {
        let more = cost(i, i == start);
        if i > start && used + more > budget {
            runs.push(start..i);
            (start, used) = (i, cost(i, true));
        } else {
            used += more;
        }
    }
    if start < len {
        runs.push(start..len);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rows that row `row` sees, by the definition: the sequence it belongs to, up to itself.
    fn visible(forest: &Forest, sequences: usize, row: usize) -> Vec<usize> {
        let path =
            (0..sequences).map(|s| forest.rows(s).collect::<Vec<_>>()).find(|path| path.contains(&row));
        path.unwrap_or_default().into_iter().take_while(|&r| r <= row).collect()
    }

    proptest! {
        #[test]
        fn every_sequence_is_found_again_and_nothing_stands_twice(
            sequences in prop::collection::vec(prop::collection::vec(0u32..3, 0..90), 0..7)
        ) {
            let forest = Forest::pack(&sequences);
            let mut prefixes = std::collections::HashSet::new();
            for (index, sequence) in sequences.iter().enumerate() {
                let rows: Vec<usize> = forest.rows(index).collect();
                prop_assert_eq!(&rows.iter().map(|&r| forest.tokens()[r]).collect::<Vec<_>>(), sequence);
                let positions: Vec<u32> = rows.iter().map(|&r| forest.positions()[r]).collect();
                prop_assert_eq!(positions, (0..sequence.len() as u32).collect::<Vec<_>>());
                prefixes.extend((1..=sequence.len()).map(|end| sequence[..end].to_vec()));
            }
            prop_assert_eq!(forest.len(), prefixes.len());
        }

        #[test]
        fn query_blocks_see_the_path_to_each_row(
            sequences in prop::collection::vec(prop::collection::vec(0u32..2, 0..150), 1..5)
        ) {
            let forest = Forest::pack(&sequences);
            let mut next = 0;
            for block in forest.query_blocks(10) {
                prop_assert_eq!(block.rows.start, next);
                next = block.rows.end;
                prop_assert!(block.rows.len() <= MOST_QUERIES && block.own == block.rows.start + 10);
                for row in block.rows.clone() {
                    let seen: Vec<usize> = block.past.iter().cloned().flatten().chain(block.own..=row + 10).collect();
                    let expected: Vec<usize> =
                        visible(&forest, sequences.len(), row).into_iter().map(|r| r + 10).collect();
                    prop_assert_eq!(seen, expected);
                }
            }
            prop_assert_eq!(next, forest.len());
        }
    }
}
