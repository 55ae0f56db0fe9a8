"""The best rate of f32 matrix products with torch: `matmul.py THREADS REPEATS M,N,K [M,N,K ...]`, GFLOP/s."""

import sys
import time

import torch

from job import metric


def rate(m, n, k, repeats):
    a, b = torch.full((m, k), 0.5), torch.full((n, k), 0.25)
    out = torch.empty(m, n)
    least = float("inf")
    for _ in range(repeats + 1):
        started = time.perf_counter()
        torch.matmul(a, b.t(), out=out)
        least = min(least, time.perf_counter() - started)
    return 2 * m * n * k / least / 1e9


def main():
    threads, repeats, *shapes = sys.argv[1:]
    torch.set_num_threads(int(threads))
    rates = [rate(*map(int, shape.split(",")), int(repeats)) for shape in shapes]
    metric("gflop_per_s", max(rates), "GFLOP/s")


if __name__ == "__main__":
    main()
