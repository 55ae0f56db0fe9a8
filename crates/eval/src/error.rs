use thiserror::Error;

/// What evaluation can fail with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Lists that belong together have different lengths.
    #[error("{left_len} {left} stand against {right_len} {right}; pass one for each")]
    Lengths {
        /// What the one list holds.
        left: &'static str,
        /// Its length.
        left_len: usize,
        /// What the other holds.
        right: &'static str,
        /// Its length.
        right_len: usize,
    },
    /// An id that occurs twice.
    #[error("{what} `{id}` occurs twice; ids have to be unique")]
    Duplicate {
        /// `sample` or `prediction`.
        what: &'static str,
        /// The id.
        id: String,
    },
    /// A sample that the key does not know.
    #[error("the answer key has no answer for sample `{id}`; grade only samples the key was made from")]
    NoAnswer {
        /// The id.
        id: String,
    },
    /// An answer that is none of the sample's options.
    #[error(
        "the answer to sample `{id}` is option {class}, counted from 0, but there are at most {options}: grade answers to the samples that the key was made from"
    )]
    Choice {
        /// The sample.
        id: String,
        /// The answer.
        class: usize,
        /// How many options there are.
        options: usize,
    },
    /// Nothing to compute on.
    #[error("{what}: there is nothing to compute on; pass at least one")]
    Empty {
        /// What was asked for.
        what: &'static str,
    },
    /// Two results over different samples.
    #[error(
        "results are not paired: sample {index} is `{left}` in one and `{right}` in the other; grade the same samples in the same order"
    )]
    NotPaired {
        /// Position of the first difference.
        index: usize,
        /// The id in the one, or nothing where it has ended.
        left: String,
        /// The id in the other.
        right: String,
    },
    /// A metric that needs classes, where answers are open or samples have options of their own.
    #[error("macro-F1 needs options that all samples share; use accuracy")]
    NoClasses,
    /// A value outside its range.
    #[error("{what} = {value}; expected {expected}")]
    OutOfRange {
        /// What it is.
        what: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
}
