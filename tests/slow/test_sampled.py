"Models of drawn coalitions: brute force, planted games, interruptions, permutations, memory, wrong calls."
import itertools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from sklearn.linear_model import Lasso

import interlib as il
from memory import PEAK
from interlib.core.coalition_samples import random_coalitions
from interlib.solve.sampled_decomposition import r_squared
from interlib.solve.sparse_regression import Columns, Effort, fit_all, holds


def every_pattern(n):
    groups = [c for k in range(1, n + 1) for c in itertools.combinations(range(n), k)]
    return [(False, c) for c in groups] + [(True, c) for c in groups if len(c) > 1]


@pytest.mark.parametrize("seed", range(50))
def test_the_optimum_over_every_column(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 9))
    m = int(min(2**n, rng.integers(10, 90)))
    masks = random_coalitions(n, m, seed=seed).numpy()
    v = rng.normal(size=m) * rng.choice([.1, 1.]) + 3 * masks[:, :2].all(1)
    K = np.array([holds(masks, *pattern) for pattern in every_pattern(n)]).T.astype(float)
    lam = (.01 + .4 * rng.random()) * np.abs((K - K.mean(0)).T @ v).max()
    fit = fit_all(Columns(masks, v), lam, effort=Effort(gap=1e-9, single=1.))
    theirs = Lasso(alpha=lam / m, tol=1e-12, max_iter=300_000).fit(K, v)
    best = ((v - theirs.predict(K))**2).sum() / 2 + lam * np.abs(theirs.coef_).sum()
    assert fit.objective == pytest.approx(best, rel=1e-6)
    assert fit.lower_bound <= best * (1 + 1e-9) and fit.gap <= 1e-6


@pytest.mark.parametrize("seed", range(30))
def test_matching_is_the_optimum_over_every_column(seed):
    "The same programme with every AND and OR written out, for HiGHS alone."
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 8))
    m = int(min(2**n, rng.integers(10, 60)))
    masks, noise = random_coalitions(n, m, seed=seed), float(rng.choice([0., .02, .3]))
    v = rng.normal(size=m) + 3 * masks[:, :2].all(1).numpy()
    K = np.array([holds(masks.numpy(), *pattern) for pattern in every_pattern(n)]).T.astype(float)
    tau, one = noise * abs(v[1] - v[0]), np.ones((m, 1))
    A = np.block([[K, -K, one], [-K, K, -one]])
    c = 2 * K.shape[1]
    theirs = linprog(np.r_[np.ones(c), 0], A_ub=A, b_ub=np.r_[v + tau, tau - v], bounds=[(0, None)] * c + [(None, None)])
    x = il.match_samples(il.Samples(masks, v), noise, gap=1e-7)
    assert x.solution.objective == pytest.approx(theirs.fun, rel=1e-6)
    assert x.solution.lower_bound <= theirs.fun * (1 + 1e-7) and x.solution.gap <= 1e-6
    assert np.abs(x.predict(masks).numpy() - v).max() <= tau + 1e-6


@pytest.mark.parametrize("alpha", [0., .3, 1.])
@pytest.mark.parametrize("seed", range(5))
def test_shared_effects_are_the_optimum_over_every_column(seed, alpha):
    "The same programme with every AND and OR written out, solved without a search; and its own conditions."
    rng = np.random.default_rng(seed)
    n, m, lam = 6, 50, 3.
    masks = random_coalitions(n, m, seed=seed)
    v = rng.normal(size=(2, m)) + 3 * masks[:, :2].all(1).numpy()
    samples = [il.Samples(masks, y) for y in v]
    x, y = il.decompose_shared(samples, alpha, lam=lam, single=1., gap=1e-6)
    assert x.solution == y.solution and x.solution.gap <= 1e-6
    r = v - np.stack([x.predict(masks), y.predict(masks)])
    K = np.array([holds(masks.numpy(), *pattern) for pattern in every_pattern(n)]).astype(float)
    scores = np.abs(r @ K.T)                                                # no interaction is worth more than its price
    over = np.maximum(scores - alpha * lam, 0).sum(0)
    assert np.abs(r.sum(1)).max() < 1e-6 and over.max() <= (1 - alpha) * lam + 1e-2 * lam
    if alpha == 1: assert x.solution.objective == pytest.approx(sum(il.decompose(s, lam=lam, single=1., gap=1e-7).solution.objective for s in samples), rel=1e-5)


def test_no_more_effects_than_asked_for():
    samples, others = planted(20, 30, 4, 300, .02, 3)
    for most in (1, 5, 20): assert len(il.decompose(samples, most=most)) <= most


def planted(n, effects, most, m, noise, seed):
    rng = np.random.default_rng(seed)
    truth, masks = {}, random_coalitions(n, m + 1000, seed=seed).numpy()
    for _ in range(effects):
        members = tuple(sorted(rng.choice(n, rng.integers(1, most + 1), replace=False).tolist()))
        truth[bool(rng.random() < .5 and len(members) > 1), members] = rng.normal()
    v = sum(effect * holds(masks, *pattern) for pattern, effect in truth.items())
    noisy = v + noise * (v.max() - v.min()) * rng.normal(size=len(v))
    return il.Samples(masks[:m], noisy[:m], p=.5), il.Samples(masks[m:], v[m:], p=.5)


@pytest.mark.slow
@pytest.mark.parametrize("n, effects, most, m, r2, seconds", [(40, 40, 5, 2000, .99, 60), (100, 30, 4, 4000, .97, 300)])
def test_planted_games(n, effects, most, m, r2, seconds):
    samples, others = planted(n, effects, most, m, .02, 0)
    started = time.process_time()
    x = il.decompose(samples)
    assert time.process_time() - started < seconds
    assert r_squared(others.values.numpy(), x.predict(others.masks).numpy()) >= r2
    assert x.solution.gap <= 1e-3


def test_another_order_of_the_players():
    samples, others = planted(12, 8, 3, 300, .02, 1)
    order = torch.randperm(12)
    x, y = il.decompose(samples, lam=5.), il.decompose(il.Samples(samples.masks[:, order], samples.values), lam=5.)
    assert y.solution.objective == pytest.approx(x.solution.objective, rel=2e-3)
    torch.testing.assert_close(y.predict(others.masks[:, order]), x.predict(others.masks), rtol=0, atol=.05)


def test_a_function_without_interactions_has_none():
    s = il.sample(lambda masks: masks.double() @ torch.arange(20.).double(), 300, n=20, progress=False)
    x = il.decompose(s)
    assert set(x.members.sum(1).tolist()) == {1} and len(x) == 19


KILLED = """
import sys, time, torch, interlib as il
def slow(masks):
    time.sleep(.05)
    return masks.double().sum(1)
game = il.Game(slow, list(range(30)), key="slow")
from interlib.model import sampling
keep = sampling.Draw.keep
sampling.Draw.keep = lambda self, every=0: keep(self, 0)
il.sample(game, 2000, cache=sys.argv[1], batch_size=10, progress=False)
"""


def test_killed_while_sampling_nothing_is_lost(tmp_path):
    p = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    deadline = time.time() + 60
    while not list(tmp_path.glob("*.safetensors")) and time.time() < deadline: time.sleep(.1)
    time.sleep(.5)
    os.kill(p.pid, signal.SIGKILL)
    p.wait()
    asked = []
    game = il.Game(lambda masks: asked.append(len(masks)) or masks.double().sum(1), list(range(30)), key="slow")
    s = il.sample(game, 2000, cache=tmp_path, progress=False)
    assert 0 < sum(asked) < 2000 - 20 + 8
    assert torch.equal(s.values, s.masks.double().sum(1))


def test_files_come_back(tmp_path):
    samples, _ = planted(12, 8, 3, 100, .02, 1)
    samples.save(tmp_path / "s")
    again = il.Samples.load(tmp_path / "s")
    assert torch.equal(again.masks, samples.masks) and torch.equal(again.values, samples.values) and again.p == .5
    (tmp_path / "s").write_bytes((tmp_path / "s").read_bytes()[:-9])
    with pytest.raises(ValueError, match="path: .* is damaged"): il.Samples.load(tmp_path / "s")
    x = il.decompose(samples, lam=2.)
    x.save(tmp_path / "x")
    y = il.Interactions.load(tmp_path / "x")
    assert (y.solution, y.meta, str(y)) == (x.solution, x.meta, str(x))


@pytest.mark.slow
def test_memory_of_two_hundred_players():
    code = ("import torch, interlib as il; from interlib.core.coalition_samples import random_coalitions;"
            "m = random_coalitions(200, 8000); v = m[:, :5].all(1) * 3. - m[:, 7:9].any(1) * 2. + m.double().mean(1) * 5;"
            "x = il.decompose(il.Samples(m, v + .05 * torch.randn(8000)), lam=60., nodes=5000);"
            f"print({PEAK})")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(out.stdout.split()[-1]) / 1e6 < 4


@pytest.mark.parametrize("call, error, message", [
    (lambda s: il.decompose(s, noise=.1), ValueError, "noise: got 0.1"),
    (lambda s: il.decompose(s, lam=-1.), ValueError, "lam: got -1.0"),
    (lambda s: il.decompose(s, budget=5), TypeError, "budget"),
    (lambda s: il.match_samples(s, noise=-1), ValueError, "noise: got -1"),
    (lambda s: il.match_samples(s, gap=0), ValueError, "gap: got 0"),
    (lambda s: il.match_samples(s.values), TypeError, "samples: got 'Tensor'"),
    (lambda s: il.decompose_shared([s]), ValueError, "samples: got 1"),
    (lambda s: il.decompose_shared([s, s], share=1), ValueError, "share: got 1; it must be left alone"),
    (lambda s: il.decompose_shared([s, s], solver="ipm"), ValueError, "solver: got 'ipm'; it must be left alone"),
    (lambda s: il.decompose_shared([s, s.values]), TypeError, "samples: got 'Tensor'"),
    (lambda s: il.decompose_shared([s, s], alpha=2), ValueError, "alpha: got 2"),
    (lambda s: il.decompose(s, lam=1.).stability(s.values), TypeError, "samples: got 'Tensor'"),
    (lambda s: il.match_samples(s).stability(s), ValueError, "was not found by decompose"),
    (lambda s: il.Samples(s.masks, s.values[:-1]), ValueError, "values: got shape"),
    (lambda s: il.Samples(s.masks, s.values * float("nan")), ValueError, "all must be finite"),
    (lambda s: il.Samples(s.masks.double() * 2, s.values), ValueError, "masks: got"),
    (lambda s: il.explain(lambda m: m.double().sum(1), n=20, budget=15), ValueError, "budget: got 15"),
    (lambda s: il.explain(lambda m: m.double().sum(1), n=20, budget="much"), ValueError, "budget: got 'much'"),
    (lambda s: il.explain(lambda m: m.double().sum(1), n=20, p=1), ValueError, "p: got 1"),
    (lambda s: il.explain(lambda m: 0 * m.double().sum(1), n=20, budget=100, progress=False), ValueError, "all equal"),
])
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message): call(planted(12, 3, 2, 40, .02, 0)[0])
