//! Which examples make which step, and how a step is cut into passes that fit.

use crate::backward::Sequence;
use crate::forest::{common_prefix, cut};
use semievol_core::Seed;

/// The examples of every step: each epoch a new order drawn from the seed, so that the step's number is all
/// the state there is.
#[derive(Debug, Clone)]
pub(super) struct Batches {
    len: usize,
    batch_size: usize,
    seed: Seed,
    /// The epoch asked about last, and its order.
    drawn: Option<(usize, Vec<usize>)>,
}

impl Batches {
    pub fn new(len: usize, batch_size: usize, seed: Seed) -> Self {
        Batches { len, batch_size, seed, drawn: None }
    }

    /// Indices of the examples of step `step`, counted from 0.
    pub fn at(&mut self, step: usize) -> &[usize] {
        let per_epoch = self.len.div_ceil(self.batch_size);
        let epoch = step / per_epoch;
        let drawn = self.drawn.take().filter(|(of, _)| *of == epoch);
        let draw = || (epoch, self.seed.child("epoch", epoch as u64).permutation(self.len));
        let (_, order) = self.drawn.insert(drawn.unwrap_or_else(draw));
        let start = step % per_epoch * self.batch_size;
        &order[start..(start + self.batch_size).min(self.len)]
    }
}

/// Cuts a batch into groups of at most `budget` tokens, shared beginnings counted once. Sequences without
/// weight are left out.
pub(super) fn micro_batches(batch: &[&Sequence], budget: usize) -> Vec<Vec<Sequence>> {
    let mut sorted: Vec<&Sequence> = batch.iter().copied().filter(|s| s.weight > 0.0).collect();
    sorted.sort_by(|a, b| a.tokens.cmp(&b.tokens));
    let cost = |i: usize, first: bool| {
        let shared = if first { 0 } else { common_prefix(&sorted[i - 1].tokens, &sorted[i].tokens) };
        sorted[i].tokens.len() - shared
    };
    cut(sorted.len(), budget, cost)
        .into_iter()
        .map(|run| sorted[run].iter().map(|&s| s.clone()).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_holds_every_example_once() {
        let mut batches = Batches::new(11, 4, Seed(3));
        let first = batches.at(0).to_vec();
        for epoch in 0..3 {
            let mut seen: Vec<usize> = (0..3).flat_map(|i| batches.at(epoch * 3 + i).to_vec()).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..11).collect::<Vec<_>>());
        }
        assert_ne!(batches.at(3), first);
        assert_eq!(batches.at(0), first, "whatever was asked before");
    }

    #[test]
    fn groups_keep_to_the_budget_and_lose_nothing() {
        let sequence = |tokens: &[u32], weight| Sequence { tokens: tokens.to_vec(), n_prompt: 1, weight };
        let all = [
            sequence(&[1, 2, 3, 4], 1.0),
            sequence(&[1, 2, 3, 5], 1.0),
            sequence(&[7; 9], 1.0),
            sequence(&[8; 3], 0.0),
        ];
        let groups = micro_batches(&all.iter().collect::<Vec<_>>(), 5);
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    }
}
