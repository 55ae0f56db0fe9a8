//! Buffers that start at a cache line, so that no vector straddles two.

/// `f32` values starting at a multiple of 64 bytes.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    values: Vec<f32>,
    start: usize,
    len: usize,
}

const LINE: usize = 64;

impl Aligned {
    pub fn zeros(len: usize) -> Self {
        let values = vec![0.0; len + LINE / size_of::<f32>() - 1];
        let start = values.as_ptr().align_offset(LINE);
        Aligned { values, start, len }
    }

    /// Makes room for `len` values, whatever they are.
    pub fn at_least(&mut self, len: usize) -> &mut [f32] {
        if self.len < len {
            *self = Aligned::zeros(len);
        }
        &mut self.as_mut_slice()[..len]
    }

    pub fn as_slice(&self) -> &[f32] {
        &self.values[self.start..self.start + self.len]
    }

    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.values[self.start..self.start + self.len]
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut copy = Aligned::zeros(self.len);
        copy.as_mut_slice().copy_from_slice(self.as_slice());
        copy
    }
}
