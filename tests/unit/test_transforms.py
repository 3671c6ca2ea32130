"""Transforms and values against the definitions, other orders of the players, and shapiq."""
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shapiq import ExactComputer

import interlib as il
from interlib.core.coalitions import permute

tables = st.integers(1, 8).flatmap(lambda n: st.integers(0, 2**32 - 1).map(lambda seed: torch.randn(2**n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))))


def subsets(T):
    return [il.coalition(L) for k in range(len(T) + 1) for L in itertools.combinations(T, k)]


@settings(max_examples=200, deadline=None)
@given(tables)
def test_transforms_equal_the_double_sum(v):
    N, size = len(v) - 1, lambda c: bin(c).count("1")
    for T in range(len(v)):
        sign = [(L, (-1) ** (size(T) - size(L))) for L in subsets(il.members(T))]
        assert il.and_transform(v)[T].item() == pytest.approx(sum(s * v[L].item() for L, s in sign), abs=1e-9)
        if T: assert il.or_transform(v)[T].item() == pytest.approx(-sum(s * v[N ^ L].item() for L, s in sign), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(tables, st.randoms())
def test_renaming_the_players_renames_the_effects(v, random):
    perm = list(range((len(v) - 1).bit_length()))
    random.shuffle(perm)
    of_table = [lambda v, f=f: f(il.and_transform(v)) for f in (il.shapley_interactions, il.banzhaf_interactions)]
    for f in (il.and_transform, il.or_transform, *of_table):
        torch.testing.assert_close(f(permute(v, perm)), permute(f(v), perm))


@pytest.mark.parametrize("n", [1, 2, 5, 10, 16])
@pytest.mark.parametrize("there, back", [(il.and_transform, il.and_inverse), (il.or_transform, il.or_inverse)])
def test_inverse(n, there, back):
    v = torch.randn(2, 2**n, dtype=torch.float64)
    assert ((back(there(v)) - v).abs().max() / v.abs().max()) < 1e-10


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_and_dtypes(dtype):
    v = torch.randn(2, 3, 32, dtype=dtype)
    for f in (il.and_transform, il.and_inverse, il.or_transform, il.or_inverse):
        assert f(v).dtype == dtype and f(v).shape == v.shape
        torch.testing.assert_close(f(v)[1, 2], f(v[1, 2]))


def test_the_input_is_left_alone():
    v = torch.randn(16)
    kept = v.clone()
    il.and_transform(v), il.or_transform(v), il.shapley(and_=v)
    assert torch.equal(v, kept)


@pytest.mark.parametrize("f", [il.and_transform, il.and_inverse, il.or_transform, il.or_inverse, lambda v: il.shapley(il.and_transform(v)), lambda v: il.banzhaf(and_=v)])
def test_gradients(f):
    v = torch.randn(2, 16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(f, v) and torch.autograd.gradgradcheck(f, v)


def test_twenty_players_take_less_than_a_second():
    import time
    v = torch.randn(2**20, dtype=torch.float64)
    started = time.perf_counter()
    il.and_transform(v)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("n, seed", [(3, 0), (5, 1), (7, 2)])
def test_against_shapiq(n, seed):
    v = torch.randn(2**n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    game = lambda m: v.numpy()[(np.asarray(m).astype(int) << np.arange(n)).sum(1)]
    exact = ExactComputer(game=game, n_players=n)
    moebius, co_moebius, sv, bv, sii, bii = (exact(index) for index in ("Moebius", "Co-Moebius", "SV", "BV", "SII", "BII"))
    I, O = il.and_transform(v), il.or_transform(v)
    for c in range(1, 2**n):
        S = il.members(c)
        assert abs(moebius[S] - I[c].item()) < 1e-9
        assert abs(co_moebius[S] * (-1) ** (len(S) + 1) - O[c].item()) < 1e-9
    for i in range(n):
        assert abs(sv[(i,)] - il.shapley(I)[i].item()) < 1e-9
        assert abs(bv[(i,)] - il.banzhaf(I)[i].item()) < 1e-9
    for i, j in itertools.combinations(range(n), 2):
        assert abs(sii[(i, j)] - il.shapley_interactions(I)[il.coalition((i, j))].item()) < 1e-9
        assert abs(bii[(i, j)] - il.banzhaf_interactions(I)[il.coalition((i, j))].item()) < 1e-9


@pytest.mark.parametrize("bad", [torch.zeros(3), torch.zeros(0), torch.zeros(1), torch.zeros(2, 6), torch.tensor(1.)])
def test_a_table_of_another_length_is_refused(bad):
    for f in (il.and_transform, il.or_transform, il.or_inverse, il.shapley): 
        with pytest.raises(ValueError, match="power of two"): f(bad)
