"""Which method predicts unseen coalitions best, from how many? The same held-out coalitions for all.

    python benchmarks/many_players.py planted 40 64 --samples 0 1 2      # two sizes, three samples of each
    python benchmarks/many_players.py review 22 --budgets 500 1000       # also: prompt, picture
    python benchmarks/many_players.py whole 10                   # tables that are known as a whole
    python benchmarks/many_players.py check                      # that the peers' results are read as they are meant
    python benchmarks/many_players.py table                      # writes docs/many_players.md

Rows are added to `many_players.csv` as they come; what is there is not done again. Outputs of networks are kept in the folder
given by `--kept`, so that no coalition is evaluated twice.
"""
import argparse
import time
import warnings
from itertools import islice
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import torch

import interlib as il
from interlib.core.coalition_samples import random_coalitions
from interlib.nets.fetch import cache_dir
from interlib.solve.sampled_decomposition import by_prediction, checked_effort, decompose_target, r_squared, try_prices
from interlib.solve.sparse_regression import holds

HELD_OUT, SEED = 1000, 10_000
CSV, WHOLE = Path(__file__).with_suffix(".csv"), Path(__file__).with_name("many_players_whole.csv")
TEXT = ("When the committee met on Tuesday to discuss the new library, the treasurer explained that the city had promised half of the "
        "money, but only if construction began before winter. The architect said that this was possible, although the roof would have "
        "to be simpler, and the chairman asked whether anyone in the room objected to a plan that everybody had accepted with great")


# Games: a function of masks, and what the prediction is compared with

class Kept:
    "A game that keeps its outputs, and the seconds that each took, in memory and in a file."
    def __init__(self, game, file, every=256):
        self.game, self.file, self.every, self.values = game, file, every, {}
        if file.exists():
            stored = np.load(file)
            self.values = {row.tobytes(): tuple(pair) for row, pair in zip(stored["masks"], stored["values"])}

    def ask(self, masks):
        "Returns outputs and seconds."
        rows = [row.tobytes() for row in masks]
        new = {row: i for i, row in enumerate(rows) if row not in self.values}
        chosen = list(new.values())
        for part in (chosen[i:i + self.every] for i in range(0, len(chosen), self.every)):
            started = time.perf_counter()
            v = self.game(masks[part])
            each = (time.perf_counter() - started) / len(part)
            self.values |= {rows[i]: (float(value), each) for i, value in zip(part, v)}
            self.save()
        return np.array([self.values[row] for row in rows]).T

    def save(self):
        masks = np.frombuffer(b"".join(self.values), dtype=bool).reshape(len(self.values), -1)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        part = self.file.with_suffix(".part.npz")
        np.savez(part, masks=masks, values=np.array(list(self.values.values())))
        part.replace(self.file)


def planted(n, seed):
    "40 effects of up to five players, and noise of 2 % of the range that belongs to the coalition."
    rng = np.random.default_rng(seed)
    effects = [(bool(rng.random() < .5 and k > 1), tuple(rng.choice(n, k, replace=False)), rng.normal()) for k in rng.integers(1, 6, 40)]
    clean = lambda masks: sum(e * holds(masks, is_or, c) for is_or, c, e in effects)
    spread = np.ptp(clean(random_coalitions(n, 3000, seed=seed).numpy()))
    noise = lambda masks: np.array([np.random.default_rng(crc32(row.tobytes())).normal() for row in masks])
    return lambda masks: clean(masks) + .02 * spread * noise(masks), clean


def of_network(game, kept, name, batch=64):
    "Evaluates a game of a network once for each coalition."
    compute = lambda masks: torch.cat([game(m) for m in torch.from_numpy(masks).split(batch)]).double().numpy()
    return Kept(compute, kept / f"{name}.npz")


def prompt(n, seed, kept):
    "The next token of a language model after the first words of a paragraph; other samples begin later in it."
    words = TEXT.split()
    model, tokenizer = il.load_lm("smollm2", progress=False)
    game = il.text_game(model, tokenizer, " ".join(words[7 * seed:][:n]))
    return of_network(game, kept, f"prompt-{n}-{seed}")


def review(n, seed, kept):
    "The sentiment of a movie review of so many words, by MiniLM."
    from interlib.nets.recipes import load_trained
    model, tokenizer, _ = load_trained("minilm-sentiment", progress=False)
    split = il.data.movie_reviews(progress=False)
    texts = (i for i, text in enumerate(split.test_x) if len(text.split()) == n)
    games = (il.text_game(model, tokenizer, split.test_x[i], target=int(split.test_y[i])) for i in texts)
    game = next(islice((g for g in games if len(g.players) == n), seed, None))
    return of_network(game, kept, f"review-{n}-{seed}")


def picture(n, seed, kept):
    "A handwritten 3 for ResNet-20; what is absent has the mean of the training pictures."
    from interlib.nets.recipes import digit3, load_trained
    net, split = load_trained("resnet20-digit3", progress=False)[0], digit3()
    i = int((split.test_y == 1).nonzero()[seed])
    grid = round(n**.5)
    game = il.image_game(net, split.test_x[i], grid=grid, target=1, output="log_odds", baseline="mean", data=split.train_x)
    return of_network(game, kept, f"picture-{n}-{seed}", 256)


class Counted:
    "A game that counts its different coalitions, and the seconds that they take."
    def __init__(self, game, n): self.game, self.n_players, self.asked, self.spent = game, n, {}, 0.
    def __call__(self, masks):
        started = time.perf_counter()
        masks = np.ascontiguousarray(np.atleast_2d(masks), dtype=bool)
        if isinstance(self.game, Kept): v, seconds = self.game.ask(masks)
        else: v, seconds = self.game(masks), np.zeros(len(masks))
        self.asked |= {row.tobytes(): s for row, s in zip(masks, seconds)}
        self.spent += time.perf_counter() - started
        return v


# Methods: a function of the game, the players, the budget and a seed; gives a dict of name -> (predict, effects, gap, seconds)

def ours(game, n, budget, seed):
    "As `il.decompose(samples)` and `il.decompose(samples, most=200)`; the prices are tried once for both."
    masks = random_coalitions(n, budget, seed=seed)
    samples = il.Samples(masks, game(masks.numpy()), p=.5)
    started, effort, found = time.perf_counter(), checked_effort(None, None, None, None, 500_000, 1e-3, .5), {}
    tried, done = try_prices(samples, effort), {}
    trying = time.perf_counter() - started
    for name, most in (("interlib", None), ("interlib, at most 200", 200)):
        seconds = trying
        for price in by_prediction(tried, most):
            if price not in done:
                began = time.perf_counter()
                done[price] = decompose_target(samples, price, effort, began), time.perf_counter() - began
            x, took = done[price]
            seconds += took
            if most is None or len(x) <= most: break
        found[name] = (lambda m, x=x: x.predict(torch.from_numpy(m)).numpy()), len(x), x.solution.gap, seconds
    return found


def matching(game, n, budget, seed):
    if budget > 500: return {}
    masks = random_coalitions(n, budget, seed=seed)
    x = il.match_samples(il.Samples(masks, game(masks.numpy()), p=.5))
    return {"interlib, matching": (lambda m: x.predict(torch.from_numpy(m)).numpy(), len(x), x.solution.gap)}


def signs(order):
    "Products of up to two players as +1 and -1: columns that are orthogonal for random coalitions."
    def expand(masks):
        s = 1. - 2 * masks
        return s if order == 1 else np.concatenate([s, *(s[:, [i]] * s[:, :i] for i in range(1, s.shape[1]))], 1)
    return expand


def ridge(order):
    "The price is chosen by leaving out each coalition in turn."
    from sklearn.linear_model import RidgeCV
    def run(game, n, budget, seed):
        masks, expand = random_coalitions(n, budget, seed=seed).numpy(), signs(order)
        fit = RidgeCV(np.geomspace(.1, 1e5, 25)).fit(expand(masks), game(masks))
        return {f"ridge, order {order}": (lambda m: fit.predict(expand(m)), fit.coef_.size, None)}
    return run


def trees(game, n, budget, seed):
    "Number of leaves, rate and number of trees are chosen by a fifth of the coalitions; then all are used."
    from lightgbm import LGBMRegressor, early_stopping
    masks = random_coalitions(n, budget, seed=seed).numpy()
    v, cut, tried = game(masks), budget // 5, []
    for leaves in (4, 8, 31):
        for rate in (.03, .1):
            settings = dict(num_leaves=leaves, learning_rate=rate, min_child_samples=5, verbose=-1, n_jobs=1)
            t = LGBMRegressor(n_estimators=1500, **settings)
            t.fit(masks[cut:], v[cut:], eval_set=[(masks[:cut], v[:cut])], callbacks=[early_stopping(50, verbose=False)])
            tried.append((r_squared(v[:cut], t.predict(masks[:cut])), t.best_iteration_, settings))
    _, count, settings = max(tried, key=lambda t: t[0])
    best = LGBMRegressor(n_estimators=count, **settings).fit(masks, v)
    return {"LightGBM": (best.predict, None, None)}


def from_fourier(found):
    "Predicts with Fourier coefficients: -1 for each player of the interaction that is present."
    def predict(masks):
        h, s = np.zeros(len(masks)), 1. - 2 * masks
        for c, effect in found.items(): h += effect * s[:, list(c)].prod(1)
        return h
    return predict


def from_moebius(found):
    "Predicts with sums over the interactions whose players are all present."
    def predict(masks):
        h = np.zeros(len(masks))
        for c, effect in found.items(): h += effect * masks[:, list(c)].all(1)
        return h
    return predict


def fourier_of(approximator, game, budget):
    "Returns what SPEX and ProxySPEX find before shapiq makes another index of it."
    from shapiq.approximator.sparse import base
    from sparse_transform.qsft.qsft import transform
    kept, found = (base.fourier_to_moebius, base.sparse_fourier_transform, base.GridSearchCV), {}
    base.GridSearchCV = StagedSearch
    base.fourier_to_moebius = lambda c: found.update(c) or {(): 0.}
    # shapiq asks for `regress="lasso"`, as the authors do, but without `report` the transform returns before this last fit.
    base.sparse_fourier_transform = lambda signal, **settings: transform(signal, report=True, **settings)["transform"]
    try: approximator.approximate(budget=budget, game=game)
    finally: base.fourier_to_moebius, base.sparse_fourier_transform, base.GridSearchCV = kept
    return found


class StagedSearch:
    "scikit-learn's grid search, which reads the shorter boosting off the longer: the same choice, in two thirds of the time."
    def __init__(self, estimator, param_grid, **_): self.estimator, self.grid = estimator, param_grid
    def fit(self, x, y):
        from sklearn.base import clone
        from sklearn.model_selection import KFold
        tried, counts = {}, self.grid["max_iter"]
        for rate in self.grid["learning_rate"]:
            for depth in self.grid["max_depth"]:
                model = clone(self.estimator).set_params(learning_rate=rate, max_depth=depth)
                for train, test in KFold(5).split(x):
                    fit = model.set_params(n_estimators=max(counts)).fit(x.iloc[train], y[train])
                    for k in counts:
                        r2 = r_squared(y[test], fit.predict(x.iloc[test], num_iteration=k))
                        tried[rate, depth, k] = tried.get((rate, depth, k), 0) + r2
        rate, depth, k = max(tried, key=tried.get)
        self.best_params_ = dict(learning_rate=rate, max_depth=depth, max_iter=k)
        self.best_estimator_ = clone(self.estimator).set_params(learning_rate=rate, max_depth=depth, n_estimators=k).fit(x, y)
        return self


class Given:
    "The same coalitions as for the others, in place of a sampler that draws them with the same probability."
    def __init__(self, n, budget, seed):
        self.coalitions_matrix = random_coalitions(n, budget, seed=seed).numpy()
        self.sampling_adjustment_weights, self.empty_coalition_index = np.ones(budget), 0
    def sample(self, budget): pass


def proxyspex(own):
    def run(game, n, budget, seed):
        from shapiq import ProxySPEX
        approximator = ProxySPEX(n=n, random_state=seed)
        if not own: approximator._uniform_sampler = Given(n, budget, seed)
        found = fourier_of(approximator, game, budget)
        return {"ProxySPEX" + ", own coalitions" * own: (from_fourier(found), len(found), None)}
    return run


def spex(game, n, budget, seed):
    from shapiq import SPEX
    np.random.seed(seed)                                    # its subsampling uses the global state
    found = fourier_of(SPEX(n=n, random_state=seed), game, budget)
    return {"SPEX": (from_fourier(found), sum(value != 0 for value in found.values()), None)}


def regression(name, given):
    """An index by regression, whose effects are summed over the players and pairs that are present.

    Of order 2 where there are 1.5 times as many coalitions as effects, else of order 1: shapiq solves the normal equations, and
    with fewer coalitions than effects gives numbers without a meaning (R2 of -4,000 was seen)."""
    def run(game, n, budget, seed):
        from shapiq import approximator
        order = 2 if 1.5 * (1 + n + n * (n - 1) // 2) <= budget else 1
        found = getattr(approximator, name)(n=n, max_order=order, random_state=seed)
        if given: found._sampler = Given(n, budget, seed)
        return {name: pairs_of(found.approximate(budget=budget, game=game))}
    return run


def pairs_of(x):
    members = {tuple(c): float(x[c]) for c in x.interaction_lookup}
    return from_moebius({(): float(x.baseline_value)} | members), len(members), None


METHODS = {
    "ours": ours, "matching": matching, "ridge1": ridge(1), "ridge2": ridge(2), "LightGBM": trees, "ProxySPEX": proxyspex(False),
    "ProxySPEX-own": proxyspex(True), "SPEX": spex, "FBII": regression("RegressionFBII", True),
    "FSII": regression("RegressionFSII", False), "KernelSHAPIQ": regression("KernelSHAPIQ", False),
}
USUAL = [name for name in METHODS if name != "ProxySPEX-own"]


def check():
    "On eight players, all coalitions known: what a method finds, and what is made of it, must be the game itself."
    from shapiq import ProxySPEX, approximator
    n, rng = 8, np.random.default_rng(0)
    masks = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)
    pairs = from_moebius({(): 1.} | {c: rng.normal() for c in [(0,), (3,), (7,), (0, 1), (2, 5), (6, 7)]})
    for name in ("RegressionFBII", "RegressionFSII", "KernelSHAPIQ"):
        x = getattr(approximator, name)(n=n, max_order=2, random_state=0).approximate(budget=2**n, game=pairs)
        print(name, "R2 on a game of pairs", r_squared(pairs(masks), pairs_of(x)[0](masks)))
    x = approximator.RegressionFBII(n=n, max_order=2)
    x._sampler = Given(n, 2**n, 0)
    print("RegressionFBII, given", r_squared(pairs(masks), pairs_of(x.approximate(budget=2**n, game=pairs))[0](masks)))
    n, masks = 12, random_coalitions(12, 4096).numpy()
    triples = from_moebius({(): 1., (0,): 2., (1, 2): -1., (0, 3, 4): 3., (5, 6, 7): -2.})
    from sparse_transform.qsft.utils.general import fourier_to_mobius
    for kind in ("ProxySPEX", "SPEX"):
        found = fourier_of(getattr(approximator, kind)(n=n, random_state=0), triples, 2000)
        print(kind, "R2 on a game of triples", r_squared(triples(masks), from_fourier(found)(masks)), len(found), "coefficients", () in found)
        difference = from_moebius(fourier_to_mobius(found))(masks) - from_fourier(found)(masks)
        print("   Fourier against Moebius:", np.abs(difference).max())
    x = ProxySPEX(n=n, random_state=0, index="FBII").approximate(budget=2000, game=triples)
    print("ProxySPEX's FBII of all orders", r_squared(triples(masks), pairs_of(x)[0](masks)))
    from lightgbm import LGBMRegressor
    from sklearn.model_selection import GridSearchCV
    x, y = pd.DataFrame(masks[:300], columns=[f"f{i}" for i in range(n)]), planted(12, 0)[0](masks[:300])
    grid, model = ProxySPEX(n=n).decoder_args, LGBMRegressor(verbose=-1, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        searches = [kind(estimator=model, param_grid=grid, scoring="r2", cv=5).fit(x, y) for kind in (GridSearchCV, StagedSearch)]
    print("grid search:", *(s.best_params_ for s in searches), np.ptp([s.best_estimator_.predict(x) for s in searches], 0).max())
    game, _ = planted(12, 0)
    both = ours(game, 12, 300, 0)
    samples = il.Samples(random_coalitions(12, 300), game(random_coalitions(12, 300).numpy()), p=.5)
    for name, most in (("interlib", None), ("interlib, at most 200", 200)):
        x = il.decompose(samples, most=most)
        print(name, "as il.decompose:", np.abs(x.predict(torch.from_numpy(masks)).numpy() - both[name][0](masks)).max())


# Runs

def add_row(file, row):
    pd.DataFrame([row]).to_csv(file, mode="a", header=not file.exists(), index=False)
    print(row, flush=True)


def add_rows(kind, n, seed, game, clean, budgets, methods):
    "Every method at every budget, but for what is in the file already."
    held = random_coalitions(n, HELD_OUT + 2, seed=SEED + seed).numpy()[2:]
    truth = clean(held) if clean else game.ask(held)[0]
    for budget in budgets:
        cell = dict(game=kind, players=n, sample=seed, budget=budget)
        for name in methods:
            if done(cell | {"run": name}): continue
            counted, started = Counted(game, n), time.perf_counter()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = METHODS[name](counted, n, budget, seed)
            except ValueError as e:
                print(f"{name}: {e}"[:200])
                continue
            took = time.perf_counter() - started - counted.spent
            for method, (predict, effects, gap, *own) in found.items():
                r2, seconds = r_squared(truth, predict(held)), own[0] if own else took
                add_row(CSV, cell | dict(run=name, method=method, asked=len(counted.asked), R2=round(r2, 5), effects=effects, gap=gap,
                                         evaluating=round(sum(counted.asked.values()), 2), recovering=round(seconds, 2)))


def done(cell):
    if not CSV.exists(): return False
    rows = pd.read_csv(CSV)
    return bool(np.logical_and.reduce([rows[key] == value for key, value in cell.items()]).any())


# The page

GROUPS = [("prompt", 20, 31, "SmolLM2, a prompt of {} words"), ("review", 20, 31, "MiniLM, reviews of {} words"),
          ("review", 32, 63, "MiniLM, reviews of {} words"), ("picture", 32, 63, "ResNet-20, pictures of {} patches"),
          ("picture", 64, 200, "ResNet-20, pictures of {} patches"), ("planted", 20, 20, "Planted games of {} players"),
          ("planted", 40, 40, "Planted games of {} players"), ("planted", 64, 64, "Planted games of {} players"),
          ("planted", 100, 100, "Planted games of {} players")]
OURS, SPARSE = "interlib", "interlib, at most 200"
NAMES = {"RegressionFBII": "shapiq, RegressionFBII", "RegressionFSII": "shapiq, RegressionFSII", "KernelSHAPIQ": "shapiq, KernelSHAPIQ",
         "ProxySPEX": "shapiq, ProxySPEX", "SPEX": "shapiq, SPEX", "ProxySPEX, own coalitions": "shapiq, ProxySPEX, own coalitions"}


def interval(values, times=10_000):
    "A 95 % bootstrap interval of the mean over samples."
    values = np.array(values)
    if len(values) < 2: return ""
    means = values[np.random.default_rng(0).integers(len(values), size=(times, len(values)))].mean(1)
    return "{:.3f} to {:.3f}".format(*np.quantile(means, [.025, .975]))


def cells():
    "For each kind of game and budget: its title and a row for each method."
    rows = pd.read_csv(CSV)
    rows["one"] = rows.players.astype(str) + "/" + rows["sample"].astype(str)
    for kind, low, high, title in GROUPS:
        here = rows[(rows.game == kind) & rows.players.between(low, high)]
        for budget, cell in here.groupby("budget"):
            cell = cell[cell.one.isin(cell.one[cell.method == OURS])]           # samples that ours has seen too
            if len(cell): yield title.format(" and ".join(map(str, sorted(set(cell.players))))), int(budget), cell


def means(cell):
    "One row for each method, those that predict best first."
    kinds = cell.groupby("method").agg(samples=("R2", "size"), R2=("R2", "mean"), effects=("effects", "mean"), gap=("gap", "max"),
                                       asked=("asked", "mean"), evaluating=("evaluating", "mean"), recovering=("recovering", "mean"))
    kinds["interval"] = cell.groupby("method").R2.agg(interval)
    return kinds.sort_values(["samples", "R2"], ascending=False)


def cell_table(cell):
    kinds, most = means(cell), cell.one.nunique()
    best = kinds[kinds.samples == most].R2.max()
    lines = ["| method | R² | 95 % | samples | effects | gap | coalitions | evaluating, s | recovering, s |", "|" + "---|" * 9]
    for name, row in kinds.iterrows():
        r2 = f"{row.R2:.3f}"
        if row.samples == most and row.R2 >= best - 5e-5: r2 = f"**{r2}**"
        effects, gap = ("" if np.isnan(x) else f"{x:{how}}" for x, how in ((row.effects, ".0f"), (row.gap, ".1g")))
        lines.append(f"| {NAMES.get(name, name)} | {r2} | {row.interval} | {row.samples:.0f} | {effects} | {gap} | {row.asked:.0f} | "
                     f"{row.evaluating:.0f} | {row.recovering:.1f} |")
    return "\n".join(lines)


def best_of(kinds):
    return (f"{NAMES.get(kinds.R2.idxmax(), kinds.R2.idxmax())} | {kinds.R2.max():.3f}", kinds.R2.max()) if len(kinds) else (" | ", -np.inf)


def summary():
    "Ours against the peers that are best on the mean of the same samples."
    lines = ["| game | budget | samples | interlib | best peer | | at most 200 effects | best peer with at most 200 | |", "|" + "---|" * 9]
    for title, budget, cell in cells():
        kinds, most = means(cell), cell.one.nunique()
        kinds = kinds[kinds.samples == most]
        peers = kinds[~kinds.index.str.startswith("interlib")]
        (peer, best), (few, best_few) = best_of(peers), best_of(peers[peers.effects <= 200])
        bold = lambda r2, other: f"**{r2:.3f}**" if r2 >= other else f"{r2:.3f}"
        lines.append(f"| {title} | {budget:,} | {most} | {bold(kinds.R2[OURS], best)} | {peer} | {bold(kinds.R2[SPARSE], best_few)} | {few} |")
    return "\n".join(lines)


def whole_table():
    rows = pd.read_csv(WHOLE)
    kinds = rows.groupby(["players", "budget", "method"]).agg(
        tables=("R2", "size"), R2=("R2", "mean"), found_10=("found_10", "mean"), found_30=("found_30", "mean"), effects=("effects", "mean"),
        exact=("exact_effects", "mean"), seconds=("seconds", "mean")).reset_index()
    lines = ["| players | coalitions | method | tables | R² on all others | of the 10 strongest | of the 30 strongest | effects | seconds |",
             "|" + "---|" * 9]
    for row in kinds.itertuples():
        lines.append(f"| {row.players} | {row.budget} | {row.method} | {row.tables} | {row.R2:.3f} | {row.found_10:.0%} | {row.found_30:.0%} | "
                     f"{row.effects:.0f} | {row.seconds:.1f} |")
    return "\n".join(lines)


def write_page():
    words = Path(__file__).with_name("many_players.txt").read_text(encoding="utf-8")
    parts, title_before = [], None
    for title, budget, cell in cells():
        if title != title_before: parts.append(f"### {title}")
        title_before = title
        parts.append(f"From {budget:,} coalitions:\n\n{cell_table(cell)}")
    tables = {"{summary}": summary(), "{cells}": "\n\n".join(parts), "{whole}": whole_table() if WHOLE.exists() else ""}
    for name, table in tables.items(): words = words.replace(name, table)
    page = Path(__file__).parent.parent / "docs/many_players.md"
    page.write_text(words, encoding="utf-8")
    print(page)


# Where the whole table is known

def review_table(n, seed, kept):
    game = review(n, seed, kept)
    return torch.from_numpy(game.ask((np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool))[0])


def strongest(x, k):
    "The k strongest effects, as (is OR, players, sign); for one player AND and OR are the same."
    found = []
    for i in x.ranking()[:k].tolist():
        members = tuple(x.members[i].nonzero()[:, 0].tolist())
        found.append((bool(x.is_or[i]) and len(members) > 1, members, float(x.effect[i]) > 0))
    return found


def whole(n, samples, budgets, kept):
    "Effects found from some coalitions, against those of the exact optimum."
    tables = {name: e.v for name, e in il.examples.prompts().items()} if n == 10 else {f"review {s}": None for s in samples}
    masks = torch.from_numpy((np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool))
    for seed, (name, v) in enumerate(tables.items()):
        v = v if v is not None else review_table(n, samples[seed], kept)
        exact = il.decompose(v)
        if WHOLE.exists() and name in set(pd.read_csv(WHOLE).query("players == @n").table): continue
        assert torch.allclose(exact.predict(masks), v, atol=.03 * float(abs(v[-1] - v[0])))
        for budget in budgets:
            rows = torch.from_numpy(coalition_numbers(random_coalitions(n, budget, seed=seed)))
            others = torch.ones(2**n, dtype=torch.bool)
            others[rows] = False
            for method, run in (("interlib", il.decompose), ("interlib, matching", il.match_samples)):
                if method != "interlib" and budget > 400: continue              # a minute each
                started = time.perf_counter()
                x = run(il.Samples(masks[rows], v[rows], p=.5))
                row = dict(table=name, players=n, budget=budget, method=method, effects=len(x),
                           R2=round(r_squared(v[others].numpy(), x.predict(masks[others]).numpy()), 5), gap=x.solution.gap)
                mine = set(strongest(x, len(x)))
                row |= {f"found_{k}": round(np.mean([e in mine for e in strongest(exact, k)]), 3) for k in (10, 30)}
                add_row(WHOLE, row | dict(exact_effects=len(exact.primitives()), seconds=round(time.perf_counter() - started, 2)))


def coalition_numbers(masks): return (masks.numpy() * 2**np.arange(masks.shape[1])).sum(1)


GAMES = {"prompt": prompt, "review": review, "picture": picture}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("kind", choices=["planted", *GAMES, "whole", "check", "table"])
    p.add_argument("players", type=int, nargs="*")
    p.add_argument("--budgets", type=int, nargs="+", default=[500, 1000, 2000, 4000])
    p.add_argument("--samples", type=int, nargs="+", default=[0], help="numbers of the samples")
    p.add_argument("--methods", nargs="+", default=USUAL)
    p.add_argument("--kept", type=Path, default=cache_dir() / "many_players", help="folder for the outputs of networks")
    a = p.parse_args()
    if a.kind == "table": return write_page()
    torch.set_num_threads(1)
    if a.kind == "check": return check()
    if a.kind == "whole": return [whole(n, a.samples, a.budgets, a.kept) for n in a.players]
    for seed in a.samples:
        for n in a.players:
            game, clean = planted(n, seed) if a.kind == "planted" else (GAMES[a.kind](n, seed, a.kept), None)
            add_rows(a.kind, n, seed, game, clean, a.budgets, a.methods)


if __name__ == "__main__": main()
