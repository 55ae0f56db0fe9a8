"""What every peer program takes and prints.

A workload file holds one JSON object a line, `{"prompt": [ids], "target": [ids]}`. Figures go to standard output as
`METRIC:name:value:unit`, everything else may be printed around them.
"""

import argparse
import json
import resource
from pathlib import Path

# The id that fills up shorter rows; masked, so that any will do.
PAD = 2


def parser(description):
    result = argparse.ArgumentParser(description=description)
    result.add_argument("model", help="a Hugging Face folder, or a GGUF file for llama.cpp")
    result.add_argument("work", help="the workload file")
    result.add_argument("--threads", type=int, default=2)
    result.add_argument("--batch", type=int, default=8, help="rows of a batch")
    result.add_argument("--limit", type=int, default=0, help="take only the first rows; 0 for all")
    result.add_argument("--dump", type=Path, help="write what was computed there, as JSON, for comparison")
    return result


def read_work(args):
    """The rows as dictionaries, in the file's order."""
    with open(args.work, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return rows[: args.limit or None]


def in_batches(rows, size):
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def left_padded(rows):
    """Ids and mask of rows that all end in the last column, `[rows, longest]` each, as lists."""
    width = max(map(len, rows))
    ids = [[PAD] * (width - len(row)) + row for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return ids, mask


def metric(name, value, unit):
    print(f"METRIC:{name}:{value:.9g}:{unit}", flush=True)


def report_peak_memory():
    """The most this process has held, mapped files included, in MiB."""
    try:
        # Not ru_maxrss where this exists: that one begins with the parent's memory at the time of the fork.
        lines = Path("/proc/self/status").read_text().splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    metric("peak_memory", kib / 1024, "MiB")


def dump(args, value):
    if args.dump:
        args.dump.write_text(json.dumps(value))
