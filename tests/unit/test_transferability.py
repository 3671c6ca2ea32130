"""Transferability against Python sets, for any number of models; other orders, units and players; ties, zeros and bad input."""
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import interlib as il

KINDS = ("and", "or", "and+or")


def model(seed, n, zeros=.3):
    g = torch.Generator().manual_seed(seed)
    tables = torch.randn(2, 2**n, generator=g, dtype=torch.float64) * (torch.rand(2, 2**n, generator=g) > zeros)
    tables[1, 0] = 0
    return il.Interactions(*tables)


seeds = st.integers(0, 2**32 - 1)
models = st.tuples(st.integers(1, 5), st.lists(seeds, min_size=2, max_size=4)).map(lambda t: [model(seed, t[0]) for seed in t[1]])
limits = st.one_of(st.integers(0, 70).map(lambda k: dict(k=k)), st.floats(0, 3).map(lambda tau: dict(tau=tau)))


def omegas(xs, kind, **limit):
    "Omega of each model from `primitives`, as dicts of effects."
    parts = [il.Interactions(x.and_ if "and" in kind else 0 * x.and_, x.or_ if "or" in kind else 0 * x.or_) for x in xs]
    return [{(r.kind, r.members): r.effect for r in p.primitives(**limit).itertuples()} for p in parts]


def common(sets):
    return set.intersection(*map(set, sets))


@settings(max_examples=80, deadline=None)
@given(models, limits)
def test_the_definition(xs, limit):
    f = il.transferability(xs, **limit)
    assert len(f) == 3 * len(xs)
    for kind in KINDS:
        sets, rows = omegas(xs, kind, **limit), f[f.kind == kind]
        assert rows.salient.tolist() == [len(o) for o in sets]
        assert rows.shared.tolist() == [len(common(sets))] * len(xs)
        np.testing.assert_array_equal(rows.s, [len(common(sets)) / len(o) if o else math.nan for o in sets])


@settings(max_examples=60, deadline=None)
@given(models, limits, st.sampled_from(KINDS))
def test_shared_and_strength_of_the_same_sets(xs, limit, kind):
    sets, f = omegas(xs, kind, **limit), il.shared_interactions(xs, kind=kind, **limit)
    assert set(zip(f.kind, f.members)) == set().union(*sets) and len(f) == len(set().union(*sets))
    assert set(zip(f.kind[f.shared], f.members[f.shared])) == common(sets)
    assert (f.order == f.members.map(len)).all() and (f.shared == (f.salient.map(len) == len(xs))).all()
    g = il.shared_strength(xs, kind=kind, **limit)
    assert len(g) == 2 * xs[0].n * len(xs)
    for i, o in enumerate(sets):
        for r in g[g.model == f"model {i}"].itertuples():
            here = {key: abs(e) for key, e in o.items() if len(key[1]) == r.order and e * r.sign > 0}
            assert r.strength == pytest.approx(sum(here.values()))
            assert r.shared == pytest.approx(sum(e for key, e in here.items() if key in common(sets)))


@settings(max_examples=40, deadline=None)
@given(models, limits, st.randoms())
def test_other_orders_of_the_models(xs, limit, random):
    names, order = list("abcd")[:len(xs)], list(range(len(xs)))
    random.shuffle(order)
    for f in (il.transferability, il.shared_strength):
        a, b = f(xs, names=names, **limit), f([xs[i] for i in order], names=[names[i] for i in order], **limit)
        keys = [c for c in a if c in ("kind", "model", "order", "sign")]
        pd.testing.assert_frame_equal(a.sort_values(keys, ignore_index=True), b.sort_values(keys, ignore_index=True))


@settings(max_examples=40, deadline=None)
@given(models, st.integers(0, 40), st.floats(1e-6, 1e6))
def test_one_model_and_its_copies_and_other_units(xs, k, unit):
    louder = il.Interactions(unit * xs[0].and_, unit * xs[0].or_)
    f = il.transferability([xs[0], louder, xs[0]], k=k)
    assert (f.shared == f.salient).all() and (f.s.dropna() == 1).all()
    g = il.shared_strength([xs[0], louder], k=k)
    np.testing.assert_allclose(g.strength, g.shared)


@settings(max_examples=40, deadline=None)
@given(models, st.integers(0, 20))
def test_more_models_share_less_and_larger_k_more(xs, k):
    fewer, more = il.transferability(xs, k=k), il.transferability([*xs, model(0, xs[0].n)], k=k)
    for kind in KINDS: assert more[more.kind == kind].shared.iloc[0] <= fewer[fewer.kind == kind].shared.iloc[0]
    f = il.transferability(xs, k=range(k, k + 10))
    assert (f.groupby(["model", "kind"]).shared.diff().dropna() >= 0).all()


def test_several_limits_are_single_ones_in_one_frame():
    xs = [model(0, 4), model(1, 4)]
    f = il.transferability(xs, k=[7, 0, 3])
    assert f.k.tolist() == [7, 0, 3] * 6
    for k, part in f.groupby("k"): pd.testing.assert_frame_equal(part.reset_index(drop=True), il.transferability(xs, k=k))
    g = il.transferability(xs, tau=torch.tensor([0., 1.]))
    assert g.columns.tolist() == ["model", "kind", "tau", "salient", "shared", "s"]
    assert len(il.transferability(xs, k=np.arange(3))) == len(il.transferability(xs, k=[np.int64(0), 1, 2])) == 18


def test_samples_of_different_players():
    xs = [[model(2 * n, n), model(2 * n + 1, n)] for n in (2, 4)]
    f = il.transferability(xs, k=5)
    for j, part in f.groupby("sample"): pd.testing.assert_frame_equal(part.drop(columns="sample").reset_index(drop=True), il.transferability(xs[j], k=5))
    rows = il.shared_interactions(xs, k=5)
    for j, part in rows.groupby("sample"): pd.testing.assert_frame_equal(part.drop(columns="sample").reset_index(drop=True), il.shared_interactions(xs[j], k=5))
    each, mean = il.shared_strength(xs, k=5, average=False), il.shared_strength(xs, k=5)
    assert mean.order.max() == 4 and len(each) == 2 * len(mean)
    pd.testing.assert_frame_equal(each.groupby(["model", "order", "sign"], sort=False)[["strength", "shared"]].mean().reset_index(), mean)
    assert each[(each["sample"] == 0) & (each.order > 2)].strength.sum() == 0
    assert il.shared_interactions([xs[0]], k=5).columns[0] == "sample"                       # one sample in a list is still a list of samples


def test_zeros_and_ties():
    flat, nothing = il.Interactions(torch.ones(8), (torch.arange(8) > 0).double()), il.Interactions(torch.zeros(8), torch.zeros(8))
    rough = il.Interactions(flat.and_ * (1 + 1e-10 * torch.randn(8)), flat.or_ * (1 + 1e-10 * torch.randn(8)))
    assert (il.transferability([flat, rough], k=range(1, 15)).s == 1).all()      # ties fall the same way in all models
    f = il.transferability([flat, nothing], k=5)
    assert f[f.model == "model 0"].s.eq(0).all() and f[f.model == "model 1"].s.isna().all()
    dust = il.Interactions(torch.tensor([7., 1, 1e-9, -1e-9]), torch.zeros(4))
    assert il.transferability([dust, dust], k=3).salient.max() == il.transferability([dust, dust], tau=0).salient.max() == 1
    assert len(il.shared_interactions([nothing, nothing], k=5)) == 0 and il.shared_strength([nothing, nothing], tau=0.).strength.sum() == 0
    assert len(il.shared_interactions([[nothing, nothing]] * 2, k=5)) == 0


def test_the_constant_is_no_interaction():
    xs = [il.Interactions(torch.tensor([c, 1., 2, 3]), torch.zeros(4)) for c in (1e9, -5.)]
    assert il.transferability(xs, k=3).query("kind == 'and'").salient.tolist() == [3, 3]
    assert () not in il.shared_interactions(xs, tau=0.).members.tolist()
    assert xs[0].and_[0] == 1e9


def test_one_player():
    xs = [il.Interactions(torch.tensor([0., a]), torch.zeros(2)) for a in (1., -2.)]
    assert il.shared_interactions(xs, k=1)[["model 0", "model 1"]].values.tolist() == [[1., -2.]]
    assert il.shared_strength(xs, k=1).shared.tolist() == [1., 0, 0, 2]


def test_the_frames_fit_the_plots():
    import matplotlib
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    xs = [model(0, 4), model(1, 4)]
    f, g, h = il.shared_interactions(xs, k=9), il.shared_strength(xs, k=9).query("model == 'model 0'"), il.transferability(xs, k=[0, 5, 9]).query("kind == 'and' and model == 'model 0'")
    il.plots.plot_shared(f[["model 0", "model 1"]].to_dict("list"), f.players, f.kind, f.salient)
    il.plots.plot_shared_strength(g.order, g.sign, g.strength, g.shared)
    il.plots.plot_transferability(h.k, h.s)
    plt.close("all")


def test_the_name_is_the_function():
    assert callable(il.transferability) and callable(il.shared_interactions)


X, Y = model(0, 3), model(1, 3)
NAMED = il.Interactions(X.and_, X.or_, ["a", "b", "c"])


@pytest.mark.parametrize("f", [il.transferability, il.shared_interactions, il.shared_strength])
@pytest.mark.parametrize("xs, limit, error, message", [
    ([], dict(k=1), ValueError, "xs: got 0 models; it takes two or more"),
    ([X], dict(k=1), ValueError, "xs: got 1 model; it takes two or more"),
    ([[X, Y], []], dict(k=1), ValueError, r"xs\[1\]: got 0 models"),
    (X, dict(k=1), TypeError, "xs: got Interactions; it must be a list"),
    ([X, X.and_], dict(k=1), TypeError, r"xs\[1\]: got Tensor; it must be Interactions"),
    ([X, model(0, 2)], dict(k=1), ValueError, r"xs\[1\]: has 2 players, xs\[0\] has 3"),
    ([X, NAMED], dict(k=1), ValueError, "same players in the same order"),
    ([[X, Y], [X, Y, Y]], dict(k=1), ValueError, r"xs\[1\]: has 3 models, xs\[0\] has 2"),
    ([X, Y], dict(), ValueError, "k, tau: got k=None and tau=None; give exactly one"),
    ([X, Y], dict(k=1, tau=1.), ValueError, "k, tau: got k=1 and tau=1.0; give exactly one"),
    ([X, Y], dict(k=-1), ValueError, "k: got -1; it must be an int of 0 or more"),
    ([X, Y], dict(k=1.5), ValueError, "k: got 1.5"),
    ([X, Y], dict(k=True), ValueError, "k: got True"),
    ([X, Y], dict(k=[]), ValueError, r"k: got \[\]"),
    ([X, Y], dict(tau=-1), ValueError, "tau: got -1; it must be a number of 0 or more"),
    ([X, Y], dict(tau=math.nan), ValueError, "tau: got nan"),
    ([X, Y], dict(k=1, names=["a"]), ValueError, r"names: got \['a'\]; there must be 2 different ones"),
    ([X, Y], dict(k=1, names=["a", "a"]), ValueError, "there must be 2 different ones"),
    ([X, Y], dict(k=1, names="ab"), TypeError, "names: got 'ab'; it must be a list of 2 names"),
    ([X, Y], dict(k=1, names=5), TypeError, "names: got 5; it must be a list of 2 names"),
])
def test_bad_input(f, xs, limit, error, message):
    with pytest.raises(error, match=message): f(xs, **limit)


@pytest.mark.parametrize("f", [il.shared_interactions, il.shared_strength])
def test_bad_input_of_the_tables(f):
    with pytest.raises(ValueError, match=r"k: got \[1, 2\]; it must be an int of 0 or more$"): f([X, Y], k=[1, 2])
    with pytest.raises(ValueError, match="kind: got 'AND'; it must be one of 'and', 'or', 'and\\+or'"): f([X, Y], k=1, kind="AND")
    with pytest.raises(ValueError, match="names: got 'order', which is a column"): il.shared_interactions([X, Y], k=1, names=["order", "b"])
