use crate::Hit;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The `k` best of the hits that were pushed: scores descending, equal scores by row ascending.
pub(crate) struct Top {
    k: usize,
    /// The worst kept hit is on top.
    kept: BinaryHeap<Ranked>,
}

impl Top {
    pub(crate) fn new(k: usize) -> Self {
        Top { k, kept: BinaryHeap::new() }
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, hit: Hit) {
        let hit = Ranked(hit);
        if self.kept.len() < self.k {
            self.kept.push(hit);
        } else if let Some(mut worst) = self.kept.peek_mut()
            && hit < *worst
        {
            *worst = hit;
        }
    }

    #[cfg(feature = "hnsw")]
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Best first.
    pub(crate) fn into_hits(self) -> Vec<Hit> {
        self.kept.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect()
    }
}

/// Smaller is better. Scores are never NaN, and never -0.0.
struct Ranked(Hit);

impl Ord for Ranked {
    #[inline(always)]
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.score.total_cmp(&self.0.score).then(self.0.row.cmp(&other.0.row))
    }
}

impl PartialOrd for Ranked {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn keeps_what_sorting_everything_would(scores in prop::collection::vec(-3i8..3, 0..40), k in 0usize..45) {
            let hits = scores.iter().enumerate();
            let mut all: Vec<Hit> = hits.map(|(row, score)| Hit { row, score: f32::from(*score) }).collect();
            for order in [1, -1] {
                all.sort_by_key(|hit| order * hit.row as i64);
                let mut top = Top::new(k);
                all.iter().for_each(|hit| top.push(*hit));
                let mut sorted = all.clone();
                sorted.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap().then(a.row.cmp(&b.row)));
                sorted.truncate(k);
                prop_assert_eq!(top.into_hits(), sorted);
            }
        }
    }
}
