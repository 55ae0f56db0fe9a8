//! The kernels at the shapes of SmolLM2-135M, 256 packed rows, on one thread.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use semievol_candle::Forest;
use semievol_candle::kernels::attention::{Attended, Columns, Heads, KeysValues, attend, attend_backward};
use semievol_candle::kernels::gemm::{Mat, MatMut, Write, matmul_serial};
use semievol_candle::kernels::norm::rms_norm;
use semievol_candle::kernels::panels::{Panels, Precision};
use semievol_candle::kernels::product::{Factor, Term, product};
use semievol_candle::kernels::swiglu::swiglu;
use std::hint::black_box;

const ROWS: usize = 256;
const HIDDEN: usize = 576;
const FFN: usize = 1536;
const HEADS: Heads = Heads { n: 9, n_kv: 3, dim: 64 };

fn wave(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.37).sin()).collect()
}

fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("products");
    let (x, w) = (wave(ROWS * HIDDEN), wave(2 * FFN * HIDDEN));
    let mut out = vec![0.0; ROWS * 2 * FFN];
    group.throughput(Throughput::Elements((2 * ROWS * 2 * FFN * HIDDEN) as u64));
    group.bench_function("the gemm crate, 256 rows", |b| {
        b.iter(|| {
            let out = MatMut::new(&mut out, ROWS, 2 * FFN);
            matmul_serial(
                out,
                Write::Set,
                1.0,
                Mat::new(&x, ROWS, HIDDEN),
                Mat::new(&w, 2 * FFN, HIDDEN).t(),
            );
        });
    });
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    for precision in [Precision::F32, Precision::Bf16, Precision::Q8] {
        let panels = Panels::pack(&w, 2 * FFN, HIDDEN, precision);
        for rows in [1, 8, 32, ROWS] {
            group.throughput(Throughput::Elements((2 * rows * 2 * FFN * HIDDEN) as u64));
            let x = Mat::new(&x, rows, HIDDEN);
            let term = Term { left: x, right: Factor::Transposed(&panels) };
            group.bench_function(format!("x w^T, {precision:?}, {rows} rows"), |b| {
                b.iter(|| {
                    let out = MatMut::new(black_box(&mut out), rows, 2 * FFN);
                    one_thread.install(|| product(out, Write::Set, &[term]));
                });
            });
        }
        let (d, mut d_x) = (wave(ROWS * 2 * FFN), vec![0.0; ROWS * HIDDEN]);
        let term = Term { left: Mat::new(&d, ROWS, 2 * FFN), right: Factor::Plain(&panels) };
        group.bench_function(format!("d w, {precision:?}, {ROWS} rows"), |b| {
            b.iter(|| {
                one_thread.install(|| product(MatMut::new(&mut d_x, ROWS, HIDDEN), Write::Set, &[term]))
            });
        });
    }
    group.finish();
}

fn elementwise(c: &mut Criterion) {
    let mut group = c.benchmark_group("elementwise");
    let (gate_up, mut out) = (wave(ROWS * 2 * FFN), vec![0.0; ROWS * FFN]);
    group.throughput(Throughput::Elements((ROWS * FFN) as u64));
    group.bench_function("swiglu", |b| b.iter(|| swiglu(black_box(&gate_up), FFN, &mut out)));
    let (x, scale) = (wave(ROWS * HIDDEN), wave(HIDDEN));
    let (mut inv, mut out) = (vec![0.0; ROWS], vec![0.0; ROWS * HIDDEN]);
    group.throughput(Throughput::Elements((ROWS * HIDDEN) as u64));
    group
        .bench_function("rms_norm", |b| b.iter(|| rms_norm(black_box(&x), &scale, 1e-5, &mut inv, &mut out)));
    group.finish();
}

fn attention(c: &mut Criterion) {
    let mut group = c.benchmark_group("attention");
    let apart: Vec<Vec<u32>> = (0..4).map(|s| (0..64).map(|i| s * 1000 + i).collect()).collect();
    let shared: Vec<Vec<u32>> =
        (0..4).map(|s| (0..112).map(|i| if i < 64 { i } else { s * 1000 + i }).collect()).collect();
    for (name, sequences) in [("4 x 64 apart", apart), ("4 x 112 with 64 shared", shared)] {
        let forest = Forest::pack(&sequences);
        assert_eq!(forest.len(), ROWS);
        let (blocks, stride) = (forest.query_blocks(0), 15 * 64);
        let qkv = wave(ROWS * stride);
        let columns = Columns { data: &qkv, stride };
        let kv = KeysValues { columns, k_column: 9 * 64, v_column: 12 * 64 };
        let (mut out, mut log_sums) = (vec![0.0; ROWS * HIDDEN], vec![0.0; ROWS * 9]);
        group.throughput(Throughput::Elements(ROWS as u64));
        group.bench_function(format!("forward, {name}"), |b| {
            b.iter(|| attend(HEADS, columns, kv, &blocks, &mut out, &mut log_sums));
        });
        let (d_out, mut scratch, mut d_qkv) = (wave(ROWS * HIDDEN), Vec::new(), vec![0.0; qkv.len()]);
        let attended = Attended { out: &out, log_sums: &log_sums };
        group.bench_function(format!("backward, {name}"), |b| {
            b.iter(|| attend_backward(HEADS, &qkv, &blocks, attended, &d_out, &mut scratch, &mut d_qkv));
        });
    }
    group.finish();
}

criterion_group!(benches, products, elementwise, attention);
criterion_main!(benches);
