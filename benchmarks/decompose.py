"""Seconds and gap of `decompose` by number of players and solver, written to decompose.csv.

The tables are real: SmolLM2 on one prompt of twelve words, n of them as players. Both solvers get the same tables in one run;
peak_GB is the most memory the process (model included) has used so far.
"""
import resource
from pathlib import Path

import pandas as pd

import interlib as il

TEXT = "A red apple falls to the ground because of the pull of"


def main():
    model, tokenizer = il.load_lm("smollm2")
    rows = []
    for n in range(8, 13):
        v = il.evaluate(il.text_game(model, tokenizer, TEXT, players=n), progress=False)
        for solver in ("ipm", "highs"):
            for noise in (0.02, 0.0):
                s = il.decompose(v, noise=noise, solver=solver).solution
                rows.append(dict(n=n, noise=noise, solver=solver, seconds=round(s.seconds, 2), iterations=s.iterations, objective=round(s.objective, 4),
                                 gap=f"{s.gap:.1e}", peak_GB=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)))
                print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
