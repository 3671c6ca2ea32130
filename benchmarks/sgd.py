"""The published gradient descent (20,000 steps) against the default solver on the same real tables in one run, written to sgd.csv."""
from pathlib import Path

import pandas as pd

import interlib as il

TABLES = {name: example.v for name, example in il.examples.prompts().items()}


def main():
    rows = []
    for names in (["smollm2_0"], ["smollm2_2"], ["smollm2_0", "gemma3_0"], ["smollm2_2", "gemma3_2"]):
        v, solved = [TABLES[n] for n in names], {}
        for solver in ("auto", "sgd"):
            x = il.decompose(v[0], solver=solver) if len(v) == 1 else il.decompose_shared(v, solver=solver)[0]
            solved[solver] = x.solution
        ours, theirs = solved["auto"], solved["sgd"]
        rows.append(dict(tables=" ".join(names), seconds=round(ours.seconds, 2), sgd_seconds=round(theirs.seconds, 1), times=round(theirs.seconds / ours.seconds, 1),
                         objective=round(ours.objective, 2), sgd_objective=round(theirs.objective, 2), gap=f"{ours.gap:.1e}", sgd_gap=f"{theirs.gap:.1e}"))
        print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
