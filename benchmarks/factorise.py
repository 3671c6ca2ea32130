"""Seconds and error of ways to factorise activations, written to factorise.csv.

The rows are real: ResNet-20, layer2, on 600 digits, 20,000 of its positions; 12 concepts. The error is that of the best
nonnegative coefficients on 100 other digits. overcomplete's rows are there if `pip install overcomplete` has been run.
"""
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import NMF, MiniBatchNMF

import interlib as il
from interlib.model.activations import as_rows
from interlib.model.factorising import coefficients
from interlib.model.layers import layer_output

K = 12


def rows(model, x): return torch.cat([as_rows(layer_output(model, "layer2", b)[0]).flatten(0, 1) for b in x.split(100)]).double().numpy()


def overcomplete_nmf(solver):
    try: from overcomplete.optimization import NMF as Torch
    except ImportError: return None
    def fit(a):
        torch.manual_seed(0)
        return Torch(nb_concepts=K, solver=solver, device="cpu").fit(torch.from_numpy(a).float())[1].detach().double().numpy()
    return fit


def main():
    model, split = il.load_trained("resnet20-digit3", progress=False)[0], il.data.one_against_rest(il.data.digits(16), 3)
    a, unseen = rows(model, split.train_x[:600]), rows(model, split.test_x[:100])
    a = a[np.random.default_rng(0).permutation(len(a))[:20_000]]
    ways = {"scikit-learn, coordinate descent": lambda a: NMF(K, init="nndsvda", max_iter=300).fit(a).components_,
            "scikit-learn, multiplicative": lambda a: NMF(K, init="nndsvda", solver="mu", max_iter=300).fit(a).components_,
            "scikit-learn, mini-batches": lambda a: MiniBatchNMF(K, init="nndsvda", random_state=0).fit(a).components_,
            "overcomplete, hals": overcomplete_nmf("hals"), "overcomplete, mu": overcomplete_nmf("mu")}
    found = []
    for name, fit in ways.items():
        if fit is None: continue
        start = perf_counter()
        W = fit(a)
        found.append(dict(way=name, seconds=round(perf_counter() - start, 2), error=round(float(np.linalg.norm(unseen - coefficients(unseen, W) @ W) / np.linalg.norm(unseen)), 4)))
        print(found[-1], flush=True)
    pd.DataFrame(found).to_csv(Path(__file__).with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
