"""Confusing samples: the definitions of Zhang et al. (2025) in plain Python, other names, units and orders, and bad input."""
import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import interlib as il
from interlib.core.coalitions import permute
from interlib.core.synthetic import and_or_game
from test_transferability import model as sample

KINDS = ("and", "or", "and+or")


seeds = st.integers(0, 2**32 - 1)
one = st.builds(sample, seeds, st.integers(1, 5), st.sampled_from([0., .3, .9, 1.]))
kinds = st.sampled_from(KINDS)
numbers = st.lists(st.one_of(st.integers(1, 5).map(float), st.floats(1, 10)), min_size=3, max_size=30)


def terms(x, kind="and+or"):
    "(order, effect) of every nonempty set."
    return [(c.bit_count(), t[c].item()) for name, t in (("and", x.and_), ("or", x.or_)) if name in kind.split("+") for c in range(1, 2**x.n)]


@settings(max_examples=80, deadline=None)
@given(one, kinds)
def test_the_definitions(x, kind):
    f, o = il.order_strength(x, kind), il.offsetting(x, kind).set_index("order")
    assert list(zip(f.order, f.sign)) == [(k, s) for k in range(1, x.n + 1) for s in (1, -1)]
    assert f.strength.tolist() == pytest.approx([sum(max(s * e, 0) for k, e in terms(x, kind) if k == r) for r, s in zip(f.order, f.sign)])
    weight = sum(abs(e) for _, e in terms(x, kind))
    assert il.average_order(x, kind) == pytest.approx(sum(k * abs(e) for k, e in terms(x, kind)) / weight if weight else math.nan, nan_ok=True)
    for k in o.index:
        here = [e for j, e in terms(x, kind) if k in ("all", j)]
        whole = sum(map(abs, here))
        assert o.offsetting[k] == pytest.approx(1 - abs(sum(here)) / whole if whole else math.nan, nan_ok=True, abs=1e-9)
    if weight: assert o.offsetting["all"] >= np.nansum(o.offsetting[1:] * (o.positive + o.negative)[1:]) / weight - 1e-9


@settings(max_examples=40, deadline=None)
@given(one)
def test_the_sums_are_the_output(x):
    f, h = il.order_strength(x), x.predict()
    gained = float(h[-1] - h[0])
    assert (f.sign * f.strength).sum() == pytest.approx(gained, abs=1e-9)
    assert f.strength.sum() * (1 - il.offsetting(x).offsetting.fillna(0)[0]) == pytest.approx(abs(gained), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(one, st.randoms(), st.floats(1e-6, 1e6), st.floats(-1e6, 1e6))
def test_other_names_units_and_constants(x, random, unit, constant):
    perm = list(range(x.n))
    random.shuffle(perm)
    and_ = unit * permute(x.and_, perm)
    and_[0] = constant
    y = il.Interactions(and_, unit * permute(x.or_, perm), [f"player {i}" for i in range(x.n)])
    assert il.average_order(y) == pytest.approx(il.average_order(x), nan_ok=True)
    np.testing.assert_allclose(il.order_strength(y).strength, unit * il.order_strength(x).strength)
    np.testing.assert_allclose(il.offsetting(y).offsetting, il.offsetting(x).offsetting, atol=1e-9)
    np.testing.assert_allclose(il.generalization_power([y], [y, y]).similarity, il.generalization_power([x], [x]).similarity)


@pytest.mark.parametrize("n", [1, 3, 5])
def test_a_pure_game_has_its_order(n):
    for k in range(1, n + 1):
        groups = {g: (-1.)**i * (1 + i) for i, g in enumerate(combinations(range(n), k))}
        for x in (il.harsanyi(and_or_game(n, groups)), il.decompose(and_or_game(n, {max(groups): 2.}), noise=0.), il.decompose(and_or_game(n, {}, {max(groups): -2.}), noise=0.)):
            assert il.average_order(x) == pytest.approx(k, abs=1e-5)
            assert il.order_strength(x).query("order != @k").strength.sum() == pytest.approx(0, abs=1e-5)


def test_samples_are_single_ones_in_one_frame():
    xs = [sample(2, 2), sample(3, 4), sample(4, 4, zeros=1.)]
    assert il.average_order(xs).tolist() == pytest.approx([il.average_order(x) for x in xs], nan_ok=True)
    for f in (il.order_strength, il.offsetting):
        together = f(xs)
        for i, x in enumerate(xs):
            mine, alone = together[together["sample"] == i].drop(columns="sample"), f(x)
            pd.testing.assert_frame_equal(mine[mine.order.isin(alone.order)].reset_index(drop=True), alone)
        assert len(f([xs[0]])) == len(f(xs[0])) and "sample" in f([xs[0]]) and "sample" not in f(xs[0])
    assert together.order.unique().tolist() == ["all", 1, 2, 3, 4]
    strength, mean = il.order_strength(xs), il.order_strength(tuple(xs), average=True)
    assert strength[(strength["sample"] == 0) & (strength.order > 2)].strength.eq(0).all()
    groups = strength.groupby(["order", "sign"], sort=False).strength
    np.testing.assert_allclose(mean.strength, groups.mean())
    np.testing.assert_allclose(mean.spread, groups.std())
    assert mean.columns.tolist() == ["order", "sign", "strength", "spread", "samples"] and mean.samples.eq(3).all()


def test_zeros_of_a_solver_are_none():
    x = il.Interactions(torch.tensor([5., 1, 0, 1e-9]), torch.tensor([0., 0, 0, -1e-9]))
    assert il.average_order(x) == 1 and il.order_strength(x).strength.tolist() == [1, 0, 0, 0]
    assert math.isnan(il.average_order(x, "or")) and il.offsetting(x).offsetting.isna().tolist() == [False, False, True]
    small = il.Interactions(1e-12 * torch.tensor([0., 1, 0, 1]), torch.zeros(4))                # relative to the sample
    assert il.average_order(small) == 1.5
    assert il.generalization_power([x], [x, x]).set_index(["kind", "order"]).similarity.to_dict()["and+or", 1] == 1
    assert x.and_[3] > 0 and x.and_[0] == 5


def test_gradients_and_dtypes():
    x = il.Interactions(torch.tensor([0., 1, 2, 3], dtype=torch.float16, requires_grad=True), torch.zeros(4))
    assert il.order_strength(x).strength.sum() == 6 and il.average_order([x]).dtype == torch.float64
    assert not il.average_order([x]).requires_grad and il.generalization_power([x], [x]).similarity[0] == 1


@settings(max_examples=60, deadline=None)
@given(numbers, st.floats(.01, .99))
def test_confusing_by_counting(scores, quantile):
    f = il.confusing_samples(scores, quantile)
    assert f["sample"].tolist() == list(range(len(scores))) and f.average_order.tolist() == scores
    chosen, rest = f.average_order[f.confusing], f.average_order[~f.confusing]
    assert len(chosen) >= 1 and len(chosen) >= (1 - quantile) * len(scores) - 1e-6
    assert rest.empty or rest.max() < chosen.min()
    assert (chosen > chosen.min() + 1e-6).sum() < (1 - quantile) * len(scores) + 1e-6              # no more than needed, but for ties
    assert il.confusing_samples([math.nan, *scores], quantile).confusing.tolist() == [False, *f.confusing]
    assert il.confusing_samples(scores[::-1], quantile).confusing.tolist() == f.confusing.tolist()[::-1]


def test_confusing_takes_samples_or_their_orders():
    xs = [sample(i, 4) for i in range(10)]
    f = il.confusing_samples(xs, .7)
    assert f.confusing.sum() == 3
    for same in (il.average_order(xs), il.average_order(xs).numpy(), f.average_order, pd.Series(f.average_order.values, index=range(10, 20))):
        pd.testing.assert_frame_equal(il.confusing_samples(same, .7), f)
    assert il.confusing_samples([1.]).confusing.tolist() == [True]


def power(train, test, kind, order):
    "Definition 2.2 with dictionaries."
    def vector(xs):
        J = {}
        for x in xs:
            for i, (k, e) in enumerate(terms(x, kind)):
                if order in ("all", k): J[i] = J.get(i, 0) + e / len(xs)
        return {(i, s): max(s * e, 0) for i, e in J.items() for s in (1, -1)}
    A, B = vector(train), vector(test)
    high = sum(max(A[i], B[i]) for i in A)
    return sum(min(A[i], B[i]) for i in A) / high if high else math.nan


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.lists(seeds, min_size=1, max_size=4), st.lists(seeds, min_size=1, max_size=4), st.randoms())
def test_generalization_power(n, some, others, random):
    train, test = [sample(s, n) for s in some], [sample(s, n) for s in others]
    f = il.generalization_power(train, test)
    assert list(zip(f.kind, f.order)) == [(kind, o) for kind in KINDS for o in ("all", *range(1, n + 1))]
    np.testing.assert_allclose(f.similarity, [power(train, test, kind, o) for kind, o in zip(f.kind, f.order)], atol=1e-9)
    assert f.similarity.dropna().between(0, 1 + 1e-12).all()
    back = il.generalization_power(test, train)
    np.testing.assert_allclose(back.similarity, f.similarity)
    np.testing.assert_allclose(back.train, f.test)
    both = f.set_index(["kind", "order"])[["train", "test"]]
    np.testing.assert_allclose(both.loc["and"] + both.loc["or"], both.loc["and+or"])
    perm = list(range(n))
    random.shuffle(perm)
    rename = lambda xs: [il.Interactions(permute(x.and_, perm), permute(x.or_, perm)) for x in xs]
    np.testing.assert_allclose(il.generalization_power(rename(train), rename(test)).similarity, f.similarity)


def test_opposite_signs_do_not_generalize():
    x, y = (il.Interactions(torch.tensor([9., s, 0, 2]), torch.zeros(4)) for s in (1., -1.))
    f = il.generalization_power([x], [y]).query("kind == 'and'")
    assert f.similarity.tolist() == [2 / 4, 0, 1]
    assert il.generalization_power([x, y], [x, y]).similarity[:2].tolist()[0] == 1


@settings(max_examples=25, deadline=None)
@given(numbers, seeds, st.sampled_from([.5, .8, .9]), st.randoms())
def test_agreement(a, seed, quantile, random):
    from scipy.stats import hypergeom, pearsonr, spearmanr
    b = np.random.default_rng(seed).integers(1, 6, len(a)) + .25
    f = il.confusion.agreement(a, b, quantile, permutations=50).set_index("measure")
    assert f.index.tolist() == ["pearson", "spearman", "overlap"] and f.samples.eq(len(a)).all()
    if min(np.ptp(a), np.ptp(b)) > 1e-3:
        assert f.value.iloc[:2].tolist() == pytest.approx([pearsonr(a, b)[0], spearmanr(a, b)[0]], abs=1e-6)
        assert f.p.iloc[:2].between(1 / 51, 1).all()
    A, B = (set(np.flatnonzero(il.confusing_samples(x, quantile).confusing)) for x in (a, b))
    assert f.value["overlap"] == pytest.approx(len(A & B) / max(len(A), len(B)))
    X = hypergeom(len(a), len(A), len(B))
    assert f.chance["overlap"] == pytest.approx(len(A) * len(B) / len(a) / max(len(A), len(B)))
    assert f.p["overlap"] == pytest.approx(sum(X.pmf(k) for k in range(len(A & B), len(a) + 1)))
    g = il.confusion.agreement(b, a, quantile, permutations=50).set_index("measure")
    np.testing.assert_allclose(g[["value", "chance"]], f[["value", "chance"]], atol=1e-9)
    order = list(range(len(a)))
    random.shuffle(order)
    h = il.confusion.agreement([a[i] for i in order], [b[i] for i in order], quantile, permutations=5).set_index("measure")
    np.testing.assert_allclose(h[["value", "chance"]], f[["value", "chance"]], atol=1e-9)
    assert h.p["overlap"] == pytest.approx(f.p["overlap"])


def test_p_values_of_chance_are_uniform_and_of_equality_small():
    rng = np.random.default_rng(0)
    ps = np.array([il.confusion.agreement(*rng.normal(size=(2, 20)), permutations=99, seed=i).p[:2] for i in range(200)])
    assert (abs(ps.mean(0) - .5) < .07).all() and (abs((ps <= .1).mean(0) - .1) < .06).all()
    x = rng.normal(size=30)
    assert il.confusion.agreement(x, x).p[:2].tolist() == [1e-4, 1e-4] and il.confusion.agreement(x, -x).p[:2].min() == 1
    pd.testing.assert_frame_equal(il.confusion.agreement(x, x**2), il.confusion.agreement(x, x**2))


def test_agreement_of_samples_and_numbers():
    xs, ys = [sample(i, 3) for i in range(8)], [sample(i + 100, 3) for i in range(8)]
    expected = il.confusion.agreement(il.average_order(xs), il.average_order(ys).tolist())
    for a, b in ((xs, ys), (tuple(xs), il.average_order(ys)), (il.average_order(xs).numpy(), ys)): pd.testing.assert_frame_equal(il.confusion.agreement(a, b), expected)
    assert il.confusion.agreement([*xs, sample(0, 3, zeros=1.)], [*ys, ys[0]]).samples.tolist() == [8] * 3     # no average order in one of the two


def test_the_frames_fit_the_plots():
    import matplotlib
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    xs, ys = [sample(i, 4) for i in range(12)], [sample(i + 50, 4) for i in range(12)]
    f, g = il.order_strength(xs, average=True), il.order_strength(xs[0])
    il.plots.plot_order_strength(f.order, f.sign, f.strength, f.spread)
    il.plots.plot_order_strength(g.order, g.sign, g.strength)
    il.plots.plot_agreement(il.average_order(xs), il.average_order(ys), [il.confusing_samples(xs).confusing, il.confusing_samples(ys).confusing])
    plt.close("all")


def test_the_name_is_the_function():
    assert callable(il.confusing_samples)


X = sample(0, 3)
EMPTY = sample(0, 3, zeros=1.)


@pytest.mark.parametrize("f", [il.order_strength, il.average_order, il.offsetting])
@pytest.mark.parametrize("xs, kind, error, message", [
    ([], "and", ValueError, "xs: got no samples; it takes one or more"),
    (X.and_, "and", TypeError, "xs: got Tensor; it must be Interactions, or a list of them, one for each sample"),
    ({"a": X}, "and", TypeError, "xs: got dict"),
    ([X, X.and_], "and", TypeError, r"xs\[1\]: got Tensor; it must be Interactions"),
    ([[X]], "and", TypeError, r"xs\[0\]: got list"),
    (X, "AND", ValueError, "kind: got 'AND'; it must be one of 'and', 'or', 'and\\+or'"),
    (X, None, ValueError, "kind: got None"),
])
def test_bad_samples(f, xs, kind, error, message):
    with pytest.raises(error, match=message): f(xs, kind)


@pytest.mark.parametrize("xs, quantile, error, message", [
    (X, .9, TypeError, "xs: got Interactions; it must be a list of them, one for each sample"),
    ([], .9, ValueError, r"xs: got shape \(0,\)"),
    ([X, 1.], .9, TypeError, r"xs\[1\]: got float; it must be Interactions"),
    ([1., X], .9, TypeError, r"xs\[0\]: got float; it must be Interactions"),
    ("abc", .9, TypeError, "xs: got str"),
    ({"a": 1.}, .9, TypeError, "xs: got dict"),
    (5., .9, ValueError, r"xs: got shape \(\)"),
    ([[1., 2.]], .9, ValueError, r"xs: got shape \(1, 2\)"),
    ([1., -math.inf], .9, ValueError, "xs: entry 1 is infinite"),
    ([EMPTY], .9, ValueError, "xs: no sample has any effect"),
    ([X], 0, ValueError, "quantile: got 0; it must be a number between 0 and 1"),
    ([X], 1., ValueError, "quantile: got 1.0"),
    ([X], 90, ValueError, "quantile: got 90"),
    ([X], "0.9", ValueError, "quantile: got '0.9'"),
    ([X], math.nan, ValueError, "quantile: got nan"),
])
def test_bad_input_of_confusing(xs, quantile, error, message):
    with pytest.raises(error, match=message): il.confusing_samples(xs, quantile)


@pytest.mark.parametrize("train, test, error, message", [
    (X, [X], TypeError, "train_xs: got Interactions; it must be a list of them"),
    ([X], X, TypeError, "test_xs: got Interactions; it must be a list of them"),
    ([], [X], ValueError, "train_xs: got no samples"),
    ([X], [X, None], TypeError, r"test_xs\[1\]: got NoneType"),
    ([X, sample(0, 2)], [X], ValueError, r"train_xs\[1\]: has 2 players, train_xs\[0\] has 3"),
    ([X], [sample(0, 2)], ValueError, "test_xs: have 2 players, train_xs have 3"),
])
def test_bad_input_of_generalization_power(train, test, error, message):
    with pytest.raises(error, match=message): il.generalization_power(train, test)


NAMED = il.Interactions(X.and_, X.or_, ["a", "b", "c"])


@pytest.mark.parametrize("a, b, kwargs, error, message", [
    (X, [X], {}, TypeError, "a: got Interactions; it must be a list of them"),
    ([X] * 3, [X] * 4, {}, ValueError, "a, b: got 3 and 4 samples; both networks must have the same samples"),
    ([X] * 3, [X, X, NAMED], {}, ValueError, r"b\[2\]: has the players \['a', 'b', 'c'\], a\[2\] has \[0, 1, 2\]"),
    ([X, X], [X, X], {}, ValueError, "2 samples have an average order in both networks; it takes 3 or more"),
    ([X, X, EMPTY], [X, X, X], {}, ValueError, "2 samples have an average order"),
    ([1., 2, 3], [1., 2, math.inf], {}, ValueError, "b: entry 2 is infinite"),
    ([1., 2, 3], ["a", "b", "c"], {}, TypeError, "b: got list"),
    ([1., 2, 3], [1., 2, 3], dict(quantile=2), ValueError, "quantile: got 2"),
    ([1., 2, 3], [1., 2, 3], dict(permutations=0), ValueError, "permutations: got 0; it must be an int of 1 or more"),
    ([1., 2, 3], [1., 2, 3], dict(permutations=9.5), ValueError, "permutations: got 9.5"),
])
def test_bad_input_of_agreement(a, b, kwargs, error, message):
    with pytest.raises(error, match=message): il.confusion.agreement(a, b, **kwargs)
