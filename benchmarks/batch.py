"""Seconds of `decompose` for 64 tables in one call, against 64 single calls on the same tables, written to batch.csv.

The tables are real: a fine-tuned MiniLM on 64 movie reviews, n words of each as players. The better of two rounds, single and batch in turn.
"""
from pathlib import Path
from time import perf_counter

import pandas as pd
import torch

import interlib as il

SAMPLES = 64


def seconds(run):
    start = perf_counter()
    found = run()
    return perf_counter() - start, found


def main():
    model, tokenizer, _ = il.load_trained("minilm-sentiment", progress=False)
    texts = il.data.movie_reviews(progress=False).test_x
    rows = []
    for n in (6, 8, 10):
        games = (il.text_game(model, tokenizer, t, players=n, target=1) for t in texts if len(t.split()) >= 16)
        v = torch.stack([il.evaluate(g, progress=False) for g, _ in zip(games, range(SAMPLES))])
        for noise in (0.02, 0.0):
            pairs = [(seconds(lambda: [il.decompose(t, noise=noise) for t in v]), seconds(lambda: il.decompose(v, noise=noise))) for _ in range(2)]
            single, batch = (min(took for took, _ in runs) for runs in zip(*pairs))
            apart = max(abs(a.solution.objective / b.solution.objective - 1) for a, b in zip(pairs[0][0][1], pairs[0][1][1]))
            rows.append(dict(n=n, noise=noise, tables=SAMPLES, single=round(single, 2), batch=round(batch, 2), ratio=round(single / batch, 2), objectives_apart=f"{apart:.0e}"))
            print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
