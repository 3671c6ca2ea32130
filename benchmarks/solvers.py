"""Seconds, memory and proven gap of a decomposition by players, networks and solver, written to solvers.csv.

The tables are real: ResNet-20 after 10, 6 and 3 epochs on one handwritten three, n of its foreground patches as players; and SmolLM2 on a prompt, 14 and 16 words.
Every row is a process of its own with one thread; peak_GB is all of its memory, 1 GB of it the benchmark's own.
ADMM with noise stops after 600 rounds where 2^n values of all networks are more than 2^16. A run with all rows takes two hours.
"""
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import torch

import interlib as il
from interlib.nets.fetch import cache_dir
from interlib.solve.certificate import with_unit_size
from interlib.solve.first_order import admm

PROMPT = "The doctor told the patient to take the medicine twice a day before going to bed and call"
EPOCHS = (10, 6, 3)
LIMIT = {("ipm", 1): 13, ("ipm", 2): 12, ("ipm", 3): 11, ("highs", 1): 11, ("highs", 2): 9, ("highs", 3): 8}


def digit_tables(folder):
    "The tables of the three networks for the largest n; fewer players are the others masked, which is the start of the table."
    model, _, training = il.load_trained("resnet20-digit3", progress=False)
    split = il.data.one_against_rest(il.data.digits(), 3)
    for image in split.test_x[split.test_y == 1]:
        try: game = il.image_game(model, image, grid=5, players=18, target=1, output="logit", seed=0)
        except ValueError: continue
        break
    for i, epoch in enumerate(EPOCHS):
        path = folder / f"digit-{i}.pt"
        if not path.exists(): torch.save(il.evaluate(il.image_game(training.load(model, epoch), image, grid=5, players=18, target=1, output="logit", seed=0), progress=False), path)


def row(task, n, m, noise, solver, folder):
    import resource
    v = [torch.load(folder / f"{task}-{i}.pt", weights_only=True)[:2**n] for i in range(m)]
    how = with_unit_size(partial(admm, max_iter=600)) if solver == "admm" and noise and m * 2**n > 2**16 else solver
    s = il.decompose(v[0], noise, how).solution if m == 1 else il.decompose_shared(v, noise=noise, share=None, solver=how)[0].solution
    print(f"{task},{n},{m},{noise},{solver},{s.seconds:.2f},{s.iterations},{s.objective:.4f},{s.gap:.1e},{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f}")


def main():
    folder = cache_dir() / "benchmark"
    folder.mkdir(parents=True, exist_ok=True)
    digit_tables(folder)
    model, tokenizer = il.load_lm("smollm2")
    for n in (14, 16):
        path = folder / f"prompt{n}-0.pt"
        if not path.exists(): torch.save(il.evaluate(il.text_game(model, tokenizer, PROMPT, players=n, choose="strongest"), progress=False), path)
    jobs = [(f"prompt{n}", n, 1, noise, "admm") for n in (14, 16) for noise in (.02, 0.)]
    jobs += [("digit", n, m, noise, solver) for n in (8, 9, 10, 11, 12, 13, 14, 16, 18) for m in (1, 2, 3) for solver in ("ipm", "highs", "admm") for noise in (.02, 0.)
             if n <= LIMIT.get((solver, m), 18) and not (noise == 0 and (solver == "highs" or (solver, n) in (("ipm", 12), ("ipm", 13)))) and not (solver == "admm" and n in (9, 11, 13))]
    table = Path(__file__).with_suffix(".csv")
    lines = table.read_text().splitlines()[1:] if table.exists() else []        # an interrupted run goes on; delete the table for a new one
    for job in jobs:
        if any(line.startswith(",".join(map(str, job)) + ",") for line in lines): continue
        got = subprocess.run([sys.executable, __file__, *map(str, job)], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"})
        print(got.stdout.strip() or got.stderr[-300:], flush=True)
        lines += got.stdout.strip().splitlines()
        columns = "task,n,m,noise,solver,seconds,iterations,objective,gap,peak_GB"
        table.write_text("\n".join([columns, *lines]) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1: row(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5], cache_dir() / "benchmark")
    else: main()
