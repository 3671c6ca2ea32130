"""Which method predicts unseen coalitions best, from how many? Planted games, and prompts of SmolLM2; the same held-out coalitions for all.

    python benchmarks/many_players.py planted 40 --budgets 500 1000 2000 --samples 3
    python benchmarks/many_players.py prompt 27 --budgets 1000 2000
"""
import argparse
import time
import warnings
from zlib import crc32
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import interlib as il
from interlib.core.coalition_samples import random_coalitions
from interlib.solve.sampled_decomposition import r_squared
from interlib.solve.sparse_regression import holds

HELD_OUT, SEED = 1000, 10_000
TEXT = ("When the committee met on Tuesday to discuss the new library, the treasurer explained that the city had promised half of the "
        "money, but only if construction began before winter. The architect said that this was possible, although the roof would have "
        "to be simpler, and the chairman asked whether anyone in the room objected to a plan that everybody had accepted with great")


def planted_game(n, seed):
    "40 effects of up to five players, and noise of 2 % of the range that belongs to the coalition."
    rng = np.random.default_rng(seed)
    effects = [(bool(rng.random() < .5 and k > 1), tuple(rng.choice(n, k, replace=False)), rng.normal()) for k in rng.integers(1, 6, 40)]
    clean = lambda masks: sum(e * holds(masks, is_or, c) for is_or, c, e in effects)
    spread = np.ptp(clean(random_coalitions(n, 3000, seed=seed).numpy()))
    def game(masks):
        noise = np.array([np.random.default_rng(crc32(row.tobytes())).normal() for row in masks])
        return clean(masks) + .02 * spread * noise
    return game, clean


def prompt_game(n, seed):
    "The next token of a language model after the first words of a paragraph; other samples begin later in it."
    model, tokenizer = il.load_lm("smollm2")
    words = TEXT.split()
    text = " ".join(words[seed % max(1, len(words) - n):][:n])
    game = il.text_game(model, tokenizer, text)
    ask = lambda masks: torch.cat([game(m) for m in torch.from_numpy(masks).split(64)]).double().numpy()
    return ask, ask


class Counted:
    "A game that counts its coalitions, and the seconds that they take."
    def __init__(self, game, n): self.game, self.n_players, self.asked, self.seconds = game, n, 0, 0.
    def __call__(self, masks):
        started = time.perf_counter()
        masks = np.atleast_2d(np.asarray(masks, dtype=bool))
        self.asked += len(masks)
        v = self.game(masks)
        self.seconds += time.perf_counter() - started
        return v


def ours(most=None):
    def run(game, n, budget, seed):
        masks = random_coalitions(n, budget, seed=seed)
        x = il.decompose(il.Samples(masks, game(masks.numpy()), p=.5), most=most)
        return lambda m: x.predict(torch.from_numpy(m)).numpy(), len(x), x.solution.gap
    return run


def features(order):
    def expand(masks):
        if order == 1: return masks.astype(float)
        pairs = [masks[:, [i]] & masks[:, :i] for i in range(1, masks.shape[1])]
        return np.concatenate([masks, *pairs], 1).astype(float)
    return expand


def ridge(order):
    from sklearn.linear_model import RidgeCV
    def run(game, n, budget, seed):
        masks, expand = random_coalitions(n, budget, seed=seed).numpy(), features(order)
        fit = RidgeCV(np.geomspace(.01, 1e4, 25)).fit(expand(masks), game(masks))
        return lambda m: fit.predict(expand(m)), fit.coef_.size, None
    return run


def trees(game, n, budget, seed):
    from lightgbm import LGBMRegressor
    masks = random_coalitions(n, budget, seed=seed).numpy()
    v, cut = game(masks), budget // 5
    tried = [LGBMRegressor(n_estimators=k, num_leaves=leaves, learning_rate=.1, min_child_samples=5, verbose=-1, n_jobs=1)
             for k in (200, 600) for leaves in (7, 31)]
    best = max(tried, key=lambda t: r_squared(v[:cut], t.fit(masks[cut:], v[cut:]).predict(masks[:cut])))
    best.fit(masks, v)
    return best.predict, None, None


def of_shapiq(name, **settings):
    def run(game, n, budget, seed):
        from shapiq import approximator
        found = getattr(approximator, name)(n=n, random_state=seed, **settings).approximate(budget=budget, game=game)
        members = {tuple(c): float(found[c]) for c in found.interaction_lookup}
        def predict(masks):
            h = np.full(len(masks), members.get((), float(found.baseline_value)))
            for c, effect in members.items():
                if c: h += effect * masks[:, list(c)].all(1)
            return h
        return predict, len(members), None
    return run


METHODS = {
    "interlib": ours(), "interlib, at most 200": ours(200), "ridge, order 1": ridge(1), "ridge, order 2": ridge(2), "LightGBM": trees,
    "ProxySPEX": of_shapiq("ProxySPEX", index="Moebius"), "SPEX": of_shapiq("SPEX", index="Moebius"),
    "regression FBII, order 2": of_shapiq("RegressionFBII", max_order=2),
}


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("kind", choices=["planted", "prompt"])
    p.add_argument("players", type=int)
    p.add_argument("--budgets", type=int, nargs="+", default=[500, 1000, 2000, 4000])
    p.add_argument("--samples", type=int, default=1)
    p.add_argument("--methods", nargs="+", default=list(METHODS))
    a = p.parse_args()
    out, rows = Path(__file__).with_suffix(".csv"), []
    for seed in range(a.samples):
        game, clean = {"planted": planted_game, "prompt": prompt_game}[a.kind](a.players, seed)
        held = random_coalitions(a.players, HELD_OUT + 2, seed=SEED + seed).numpy()[2:]
        truth = clean(held)
        for budget in a.budgets:
            for name in a.methods:
                counted, started = Counted(game, a.players), time.perf_counter()
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        predict, effects, gap = METHODS[name](counted, a.players, budget, seed)
                    r2 = r_squared(truth, predict(held))
                except Exception as e:
                    effects = gap = r2 = None
                    print(f"{name}: {type(e).__name__}: {e}"[:200])
                seconds = time.perf_counter() - started - counted.seconds
                rows.append(dict(game=a.kind, players=a.players, sample=seed, budget=budget, method=name, asked=counted.asked, R2=r2,
                                 effects=effects, gap=gap, evaluating=counted.seconds, recovering=seconds))
                print(rows[-1], flush=True)
    new = pd.DataFrame(rows)
    old = pd.read_csv(out) if out.exists() else new[:0]
    keys = ["game", "players", "sample", "budget", "method"]
    pd.concat([old, new]).drop_duplicates(keys, keep="last").to_csv(out, index=False)


if __name__ == "__main__": main()
