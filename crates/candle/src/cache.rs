//! Keys and values of tokens already computed, one preallocated buffer per layer.

use crate::LlamaConfig;
use crate::kernels::attention::{Columns, KeysValues};
use std::ops::Range;

/// `[capacity, 2 * kv_width]` per layer: a token's key, then its value.
#[derive(Debug)]
pub(crate) struct KvCache {
    layers: Vec<Vec<f32>>,
    q_width: usize,
    kv_width: usize,
}

/// A cache and the rows that the tokens of the present pass go to.
pub(crate) struct CacheSlots<'a> {
    pub cache: &'a mut KvCache,
    pub slots: &'a [Range<usize>],
}

impl KvCache {
    pub fn new(config: &LlamaConfig, capacity: usize) -> Self {
        let width = 2 * config.kv_width();
        KvCache {
            layers: (0..config.num_layers).map(|_| vec![0.0; capacity * width]).collect(),
            q_width: config.q_width(),
            kv_width: config.kv_width(),
        }
    }
}

/// Which rows of a cache are free, in ascending runs that do not touch.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Vec<Range<usize>>,
}

impl Slots {
    pub fn new(free: Range<usize>) -> Self {
        Slots { free: vec![free] }
    }

    /// The first free run of `len` rows; an empty one for none.
    pub fn take(&mut self, len: usize) -> Option<Range<usize>> {
        if len == 0 {
            return Some(0..0);
        }
        let run = self.free.iter_mut().find(|run| run.len() >= len)?;
        let taken = run.start..run.start + len;
        run.start = taken.end;
        self.free.retain(|run| !run.is_empty());
        Some(taken)
    }

    /// A run of each length, or nothing.
    pub fn take_all(&mut self, lens: impl IntoIterator<Item = usize>) -> Option<Vec<Range<usize>>> {
        let before = self.free.clone();
        let taken: Option<Vec<_>> = lens.into_iter().map(|len| self.take(len)).collect();
        if taken.is_none() {
            self.free = before;
        }
        taken
    }

    /// Makes a run that was taken free again.
    pub fn give_back(&mut self, run: Range<usize>) {
        if run.is_empty() {
            return;
        }
        let at = self.free.partition_point(|free| free.start < run.start);
        self.free.insert(at, run);
        self.free.dedup_by(|next, run| {
            let touches = run.end == next.start;
            if touches {
                run.end = next.end;
            }
            touches
        });
    }
}

impl CacheSlots<'_> {
    /// Copies the keys and values out of the rows of `qkv` and gives a view of all of the layer's.
    pub fn store(&mut self, layer: usize, qkv: &[f32]) -> KeysValues<'_> {
        let KvCache { layers, q_width, kv_width } = &mut *self.cache;
        let stride = 2 * *kv_width;
        let mut rows = qkv.chunks_exact(*q_width + stride);
        for slot in self.slots.iter().cloned().flatten() {
            if let Some(row) = rows.next() {
                layers[layer][slot * stride..(slot + 1) * stride].copy_from_slice(&row[*q_width..]);
            }
        }
        KeysValues { columns: Columns { data: &layers[layer], stride }, k_column: 0, v_column: *kv_width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_taken_is_nobody_elses_and_all_comes_back(steps in prop::collection::vec((0usize..30, any::<prop::sample::Index>()), 1..60)) {
            let mut slots = Slots::new(5..105);
            let mut taken: Vec<Range<usize>> = Vec::new();
            for (len, index) in steps {
                match slots.take(len) {
                    Some(run) => {
                        prop_assert!(run.len() == len && (len == 0 || (run.start >= 5 && run.end <= 105)));
                        prop_assert!(taken.iter().all(|other| other.end <= run.start || run.end <= other.start || run.is_empty()));
                        taken.push(run);
                    }
                    None => slots.give_back(taken.swap_remove(index.index(taken.len()))),
                }
            }
            taken.into_iter().for_each(|run| slots.give_back(run));
            prop_assert_eq!(slots.take(100), Some(5..105));
        }
    }

    #[test]
    fn all_or_nothing_is_taken() {
        let mut slots = Slots::new(0..10);
        assert_eq!(slots.take_all([4, 3, 4]), None);
        assert_eq!(slots.take_all([4, 3, 3]), Some(vec![0..4, 4..7, 7..10]));
        assert_eq!(slots.take(1), None);
    }
}
