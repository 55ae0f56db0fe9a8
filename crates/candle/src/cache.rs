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
