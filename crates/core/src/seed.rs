use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A seed from which child seeds are derived by hashing.
///
/// Nothing that results depend on reads the clock or the operating system's randomness. A request's seed depends on its
/// sample and collaborator, not on the batch it happens to run in, so neither batching nor resuming changes
/// what is drawn for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of the `index`-th thing called `label` below this one.
    pub fn child(self, label: &str, index: u64) -> Seed {
        let mut hasher = Sha256::new();
        hasher.update(self.0.to_le_bytes());
        hasher.update((label.len() as u64).to_le_bytes());
        hasher.update(label.as_bytes());
        hasher.update(index.to_le_bytes());
        let digest = hasher.finalize();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        Seed(u64::from_le_bytes(bytes))
    }

    /// A number drawn uniformly from `[0, 1)`; the same seed gives the same number.
    pub fn uniform(self) -> f64 {
        // 53 bits, as many as an f64 holds. The stream mixes the bits of seeds that were not hashed.
        (SplitMix64(self.0).next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A permutation of `0..len` drawn from this seed (Fisher-Yates over a SplitMix64 stream).
    pub fn permutation(self, len: usize) -> Vec<usize> {
        let mut stream = SplitMix64(self.0);
        let mut order: Vec<usize> = (0..len).collect();
        for last in (1..len).rev() {
            order.swap(last, stream.below(last as u64 + 1) as usize);
        }
        order
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..bound`, without the bias of a plain remainder.
    fn below(&mut self, bound: u64) -> u64 {
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let draw = self.next();
            if draw < limit {
                return draw % bound;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_stable_across_releases() {
        // Computed apart, in Python. A change of these numbers changes every result: it belongs in the changelog.
        assert_eq!(Seed(0).child("", 0), Seed(0xde56_b2b6_cf8e_909d));
        assert_eq!(Seed(42).child("sample", 3), Seed(0xcc3d_5142_1592_76bc));
        assert_eq!(Seed(7).permutation(8), [1, 4, 5, 2, 6, 0, 3, 7]);
        assert_ne!(Seed(1).child("ab", 0), Seed(1).child("a", 0));
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        for len in [0, 1, 2, 17, 1000] {
            let mut order = Seed(9).permutation(len);
            order.sort_unstable();
            assert_eq!(order, (0..len).collect::<Vec<_>>());
        }
    }

    #[test]
    fn uniform_numbers_fill_the_unit_interval() {
        let mut tenths = [0; 10];
        (0..10_000).for_each(|i| tenths[(Seed(5).child("u", i).uniform() * 10.0) as usize] += 1);
        assert!(tenths.iter().all(|n| (900..1100).contains(n)), "{tenths:?}");
    }

    #[test]
    fn permutations_differ_by_seed() {
        assert_ne!(Seed(1).permutation(50), Seed(2).permutation(50));
    }
}
