"""Milliseconds of the AND transform by number of players, beside a copy of the same memory and shapiq's exact Moebius transform; written to transforms.csv."""
import time
from pathlib import Path

import pandas as pd
import torch
from shapiq.game_theory import ExactComputer

import interlib as il

MOST_SHAPIQ = 12  # its Python loops grow by three to four times with each player


def best(f, repeats):
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        f()
        times.append(time.perf_counter() - started)
    return min(times) * 1e3


def moebius(v, n):
    return ExactComputer(game=lambda m: v[(m.astype(int) << torch.arange(n).numpy()).sum(1)], n_players=n)("Moebius")


def main():
    rows = []
    for n in range(8, 23, 2):
        v = torch.randn(2**n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
        repeats = 20 if n < 18 else 3
        row = dict(n=n, and_ms=best(lambda: il.and_transform(v), repeats), or_ms=best(lambda: il.or_transform(v), repeats), copy_ms=best(lambda: v.clone(), repeats))
        row["shapiq_ms"] = best(lambda: moebius(v.numpy(), n), 1) if n <= MOST_SHAPIQ else None
        row["shapiq / ours"] = row["shapiq_ms"] and row["shapiq_ms"] / row["and_ms"]
        row["ours / copy"] = row["and_ms"] / row["copy_ms"]
        rows.append(row)
        print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
