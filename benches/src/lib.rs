//! Criterion benchmarks of the engine's kernels: `cargo bench --workspace --bench kernels --profile dev` (the profile
//! that everything else is built in, so that candle is not compiled again).
