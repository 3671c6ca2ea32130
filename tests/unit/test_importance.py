"Sobol indices against SALib and a large sample; rankings against brute force on random tables."
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import interlib as il
from interlib.core.coalitions import masks


def table(n, seed): return torch.randn(2**n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("p", [.5, .3])
def test_sobol_indices_are_those_of_salib(p):
    analyze, sample = pytest.importorskip("SALib.analyze.sobol"), pytest.importorskip("SALib.sample.sobol")
    n, v = 5, table(5, 3)
    problem = {"num_vars": n, "names": list("abcde"), "bounds": [[0, 1]] * n}
    x = sample.sample(problem, 2**14, calc_second_order=False, seed=0)
    y = v.numpy()[((x < p) << np.arange(n)).sum(1)]                     # a player is present if its coordinate is below p
    found = analyze.analyze(problem, y, calc_second_order=False, seed=0)
    for ours, name in ((il.rankings.sobol_first(v, p), "S1"), (il.rankings.sobol_total(v, p), "ST")):
        assert (abs(ours.numpy() - found[name]) <= 2 * found[f"{name}_conf"] + 1e-3).all(), (name, ours, found[name])
        assert found[f"{name}_conf"].max() < .05                        # the comparison says something


@given(st.integers(1, 5), st.integers(0, 10**6), st.floats(.05, .95))
@settings(max_examples=30, deadline=None)
def test_indices_add_up(n, seed, p):
    v = table(n, seed)
    first, total = il.rankings.sobol_first(v, p), il.rankings.sobol_total(v, p)
    assert (total >= first - 1e-9).all() and first.sum() <= 1 + 1e-9 <= total.sum() + 2e-9
    torch.testing.assert_close(il.rankings.sobol(v, p).sum(), torch.tensor(1., dtype=torch.float64))
    weights = torch.where(masks(n), torch.tensor(p, dtype=torch.float64), 1 - p).prod(1)
    mean = (weights * v).sum()
    torch.testing.assert_close(il.rankings.variance_parts(v, p).sum(), (weights * (v - mean)**2).sum())


@given(st.integers(1, 5), st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_best_ranking_is_the_best_of_all(n, seed):
    v = table(n, seed)
    best = il.rankings.curve_area(il.rankings.insertion(v, il.rankings.best_ranking(v)))
    assert best == pytest.approx(max(il.rankings.curve_area(il.rankings.insertion(v, r)).item() for r in permutations(range(n))))


def test_what_a_player_that_does_nothing_gets():
    v = il.and_or_game(3, {(0, 1): 2.}, {})
    assert il.rankings.sobol_total(v)[2] == 0 and il.rankings.ranking_of(il.rankings.sobol_total(v))[-1] == 2
