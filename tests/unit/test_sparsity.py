"""Sparsity: the theorem with its digits written out in plain Python, games that meet the conditions by construction, real tables, bad input."""
from math import comb, floor, inf, isnan, log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import interlib as il
from interlib.core.coalitions import permute
from interlib.measure.axioms import AXIOMS
from interlib.measure.conditions import exponents
from interlib.core.synthetic import and_or_game, unanimity

REAL = {name: example.v for name, example in il.examples.prompts().items()}
COLUMNS = ["count", "markov", "sharper", "bound"]
seeds = st.integers(0, 2**32 - 1)


def valid(seed, n, M, zeros, room):
    "A game without effects above order M whose average output rises by at least `room` a step: the same worth for every player sees to it."
    g = torch.Generator().manual_seed(seed)
    I = torch.randn(2**n, dtype=torch.float64, generator=g) * (torch.rand(2**n, generator=g) >= zeros) * (il.orders(n) <= M)
    lift = max(0., -np.diff(il.sparsity.mean_outputs(il.and_inverse(I))).min()) + room
    return il.and_inverse(torch.where(il.orders(n) == 1, I + lift, I)), M


games = st.integers(2, 7).flatmap(lambda n: st.builds(valid, seeds, st.just(n), st.integers(1, n), st.sampled_from([0., .5, .9]), st.sampled_from([1e-3, .1, 1., 30.])))
tables = st.integers(1, 7).flatmap(lambda n: seeds.map(lambda s: torch.randn(2**n, dtype=torch.float64, generator=torch.Generator().manual_seed(s))))


def sums(v):
    "Averages of the outputs, sums of effects and of their sizes, by order."
    n, I = (len(v) - 1).bit_length(), il.and_transform(v - v[0]).tolist()
    sets = [[c for c in range(2**n) if c.bit_count() == k] for k in range(n + 1)]
    return n, [sum(v[c].item() - v[0].item() for c in s) / len(s) for s in sets], [sum(I[c] for c in s) for s in sets], [sum(abs(I[c]) for c in s) for s in sets]


def theorem(v, M, p, tau):
    "Theorems 2 and 3 of Ren et al. (2024) with every digit in base n: B(k), least bound on delta, delta."
    n, ubar, A, L1 = sums(v)
    digits, sign = {}, {}
    for k in range(1, M + 1):
        x = abs(A[k] / ubar[1]) if L1[k] > 1e-9 else 0.
        whole, digits[k], sign[k] = floor(x + 1e-9), [], 1 if A[k] > 0 else -1
        fraction = max(x - whole, 0.)
        while whole: digits[k], whole = digits[k] + [whole % n], whole // n
        digits[k] = [(digits[k] or [0])[0] + fraction] + digits[k][1:]
    q = floor(p + 1e-9)
    tops = {k: sum(d * n**i for i, d in enumerate(ds) if i >= q) for k, ds in digits.items()}
    G = [k for k in tops if tops[k] > 0]
    if not G: return [L1[k] / tau for k in tops], None, None
    own = {k: log(tops[k], n) - p for k in G}
    delta = max(own.values())
    lam = {k: sign[k] * n**(own[k] - delta) if k in G else 0. for k in tops}
    bounds = []
    for m0 in range(max(M, n - M), n + 1):
        w = {k: comb(m0, k) / comb(n, k) for k in tops}
        total, a = sum(w[k] * lam[k] for k in tops), sum(w[k] * sign[k] * d * n**(i - p) for k in tops for i, d in enumerate(digits[k][:q]))
        if abs(total) >= 1e-8: bounds.append(log((1 - a) / total if total > 0 else a / -total, n))
    least = min(bounds, default=inf)
    B = [ubar[1] / (tau * abs(A[k] / L1[k])) * ((abs(lam[k]) * n**(p + least) if lam[k] else 0.) + sum(d * n**i for i, d in enumerate(digits[k][:q]))) if L1[k] > 1e-9 else 0. for k in tops]
    return B, least, delta


@settings(max_examples=150, deadline=None)
@given(games, st.floats(.01, 2.), st.sampled_from([0., .3, 1., 5.]))
def test_count_markov_and_bound_on_valid_games(game, fraction, more):
    v, M = game
    p_ref, p_exact = exponents(il.sparsity.mean_outputs(v))
    b = il.sparsity_bound(v, M=M, tau=fraction * il.and_transform(v)[1:].abs().max().item(), p=p_ref + more)
    assert b.proved and b.conditions.holds.all() and (b.p_ref, b.p_exact) == pytest.approx((p_ref, p_exact)) and p_exact >= p_ref
    rows = b.frame[COLUMNS]
    assert ((rows["count"] <= rows.markov * (1 + 1e-8)) & (rows.markov <= rows.sharper * (1 + 1e-7)) & (rows.sharper <= rows.bound * (1 + 1e-8))).all()
    assert rows.loc["all"].tolist() == pytest.approx(rows.drop("all").sum().tolist()) and (b.frame["count"] <= b.frame.possible).all()
    if b.deltas is not None: assert (b.deltas[["delta_bound", "delta_sharper"]].dropna() >= b.delta - 1e-7).all(axis=None)


@settings(max_examples=100, deadline=None)
@given(games, st.floats(.01, 1.))
def test_the_theorem_with_its_digits(game, tau):
    v, M = game
    b = il.sparsity_bound(v, M=M, tau=tau)
    B, least, delta = theorem(v, M, b.p, tau)
    assert b.frame.bound.tolist() == pytest.approx([*B, sum(B)], rel=1e-6)
    if delta is not None: assert (b.delta, b.delta_bound) == pytest.approx((delta, least), abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(tables)
def test_lemma_2_and_its_inverse(v):
    n, ubar, A, _ = sums(v)
    assert il.sparsity.mean_outputs(v).tolist() == pytest.approx(ubar, abs=1e-9)
    assert [sum(comb(m, k) / comb(n, k) * A[k] for k in range(n + 1)) for m in range(n + 1)] == pytest.approx(ubar, abs=1e-9)
    assert [comb(n, k) * sum((-1)**(k - m) * comb(k, m) * ubar[m] for m in range(k + 1)) for k in range(n + 1)] == pytest.approx(A, abs=1e-7)
    assert A[1] == pytest.approx(n * ubar[1], abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(tables)
def test_conditions_by_their_definitions(v):
    n, ubar, _, L1 = sums(v)
    c = il.sparsity_conditions(v, M=n)
    assert c.holds[1] and c.holds[2] == all(b >= a for a, b in zip(ubar, ubar[1:]))
    assert c.holds[3] == (min(ubar[1:]) > 0)
    for M in range(1, n): assert (il.sparsity_conditions(v, M=M).value[1], il.sparsity_conditions(v, M=M).holds[1]) == (pytest.approx(sum(L1[M + 1:]) / sum(L1)), False)
    if c.holds[3]:
        for p, fits in ((c.value[3] + 1e-6, True), (c.value[3] - 1e-6, c.value[3] == 0)):
            assert all(ubar[k] >= (k / m)**p * ubar[m] for m in range(1, n + 1) for k in range(1, m)) == (fits or n == 1)


@settings(max_examples=60, deadline=None)
@given(games, st.integers(1, 7))
def test_m0_equal_to_M_needs_no_condition_1(game, M):
    v, _ = game
    n = (len(v) - 1).bit_length()
    b = il.sparsity_bound(v, M=min(max(M, (n + 1) // 2), n), unproved=True)
    if b.deltas is not None: assert (b.deltas.loc[b.M, ["delta_bound", "delta_sharper"]].dropna() >= b.delta - 1e-7).all()


@settings(max_examples=60, deadline=None)
@given(games)
def test_no_claim_where_a_condition_fails(game):
    v, M = game
    fallen = v.clone()
    fallen[-1] = v[v.shape[-1] // 2] + v[0] - v.abs().max() * 10 - 1                # the last average falls
    high = max(c.bit_count() for c, e in enumerate(il.and_transform(v).tolist()) if abs(e) > 1e-6)
    for bad, M, failed in ((fallen, None, 2), (-v, None, 2), (v, high - 1, 1)):
        if not M and bad is v: continue
        b = il.sparsity_bound(bad, M=M)
        assert not b.proved and not b.conditions.holds[failed] and b.frame[["bound", "sharper"]].isna().all(axis=None) and f"no claim: fails condition {failed}" in repr(b)
        assert (b.frame["count"] <= b.frame.markov * (1 + 1e-8)).all()                # which needs no condition


@settings(max_examples=40, deadline=None)
@given(games, st.randoms(), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_units_names_and_the_constant_do_not_matter(game, random, unit, constant):
    v, M = game
    perm = list(range((len(v) - 1).bit_length()))
    random.shuffle(perm)
    a, b = il.sparsity_bound(v, M=M), il.sparsity_bound(unit * permute(v, perm) + constant, M=M)
    assert b.frame[COLUMNS].to_numpy() == pytest.approx(a.frame[COLUMNS].to_numpy(), rel=1e-4)
    assert (b.p_ref, b.p_exact) == pytest.approx((a.p_ref, a.p_exact), abs=1e-5)


@settings(max_examples=100, deadline=None)
@given(tables, seeds)
def test_axioms_on_random_games(v, seed):
    f = il.axioms.axiom_errors(v, seed=seed)
    assert len(f) == len(AXIOMS) == 7 and f.error.max() < 1e-12 * len(v)


@pytest.mark.parametrize("name, effects", {
    "efficiency": lambda v: 2 * il.and_transform(v),
    "linearity": lambda v: il.and_transform(v) * (1 + v[-1]**2),
    "dummy": lambda v: il.and_transform(v) + v.sum(),
    "symmetry": lambda v: il.and_transform(v) * torch.arange(len(v)),
    "anonymity": lambda v: il.and_transform(v).roll(1),
    "recursion": il.or_transform,
    "interaction distribution": lambda v: il.banzhaf_interactions(il.and_transform(v)),
}.items())
def test_each_axiom_can_be_broken(name, effects):
    v = torch.randn(16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert max(il.axioms.axiom_errors(v, effects, seed).set_index("axiom").error[name] for seed in range(3)) > 1e-3


@pytest.mark.parametrize("name", REAL)
def test_real_tables(name):
    noisy = [il.decompose(REAL[name], noise=noise) for noise in (.02, .05)]
    table = il.sparsity.sparsity_summary([REAL[name], *noisy])
    sure = table[table.proved]
    assert table.proved.tolist() == [name != "gemma3_2", True, True]
    assert (sure["count"] <= sure.markov).all() and (sure.markov <= sure.sharper * (1 + 1e-7)).all() and (sure.sharper <= sure.bound * (1 + 1e-8)).all()
    assert table.bound.isna().tolist() == (~table.proved).tolist()
    n, ubar, _, L1 = sums(REAL[name])
    I = il.and_transform(REAL[name])[1:].abs()
    assert (table["count"][0], table.markov[0]) == ((I >= .05 * I.max()).sum(), pytest.approx(20 * I.sum().item() / I.max().item()))


def test_golden_example():
    v = and_or_game(10, {(i,): .10 + .02 * i for i in range(10)} | {(i, j): .50 if j == i + 1 else .01 for i in range(10) for j in range(i + 1, 10)}
                    | {(i, i + 1, i + 3): -.05 if i % 2 else .30 for i in range(7)} | {(0, 3, 5, 7): -1.2, (1, 2, 8, 9): -.8, (0, 4, 6, 9): -.6})
    b = il.sparsity_bound(v)
    assert b.frame["count"].tolist() == [10, 9, 4, 3, 26] and b.frame.bound.tolist() == pytest.approx([37.51337, 92.69340, 22.5, 49.18003, 201.88680], abs=5e-6)
    assert (b.p_ref, b.p_exact, b.delta, b.delta_bound) == pytest.approx((1.4929517359, 1.6243275076, -.1919217402, -.1183380455), abs=6e-11)
    assert b.frame.sharper["all"] == pytest.approx(178.5)
    assert il.sparsity_bound(v, p=7.).frame.bound.tolist() == pytest.approx(b.frame.markov.tolist())      # G empty


def test_special_cases():
    b = il.sparsity_bound(unanimity(5, (0, 3)))                                      # ubar(1) = 0
    assert not b.proved and b.p_ref == inf and b.frame["count"]["all"] == 1 and isnan(b.frame.bound["all"])
    b = il.sparsity_bound(and_or_game(4, {(i,): 1. for i in range(4)} | {(0, 1): 1., (2, 3): -1.}))       # eta(2) = 0
    assert b.proved and b.frame.eta[2] == 0 and b.frame.bound[2] == inf and b.frame["count"][2] == 2
    b = il.sparsity_bound(and_or_game(4, {(i,): 1. for i in range(4)} | {(0, 1, 2): 1.}))                 # A(2) = 0
    assert isnan(b.frame.eta[2]) and b.frame.loc[2, COLUMNS].tolist() == [0] * 4
    b = il.sparsity_bound(and_or_game(4, {(0,): 1., (1,): -1., (2, 3): 1., (0, 1): -1.}))                 # averages are all 0, effects are not
    assert b.proved and b.frame.bound["all"] == inf and b.frame["count"]["all"] == 4
    assert il.sparsity_bound(torch.ones(16)).frame.loc["all", COLUMNS].tolist() == [0] * 4
    concave = il.sparsity_bound((il.orders(6).double() + 1).log())                   # p < 1: no digits
    assert concave.p < 1 and concave.proved
    assert il.sparsity.mean_outputs(and_or_game(5, {(0, 1, 2): 1., (0, 1): 1., (1, 2): 1., (1,): 1., (2,): 1.})) == pytest.approx([0, .4, 1, 1.9, 3.2, 5])


@settings(max_examples=20, deadline=None)
@given(games, seeds)
def test_estimates_of_all_masks_are_exact(game, seed):
    v, _ = game
    n = (len(v) - 1).bit_length()
    f = il.sparsity.estimate_mean_outputs(lambda m: v[(m.long() << torch.arange(n)).sum(1)], n, per_order=35, seed=seed, batch_size=7)
    assert f.exact.all() and f["mean"].tolist() == pytest.approx(il.sparsity.mean_outputs(v).tolist(), abs=1e-9)
    assert f.masks.tolist() == [comb(n, m) for m in range(n + 1)]
    c = il.sparsity.estimated_conditions(f)
    assert c.verdict.tolist() == ["holds", "holds"] and c.loc[3, ["low", "high"]].tolist() == pytest.approx([exponents(il.sparsity.mean_outputs(v))[0]] * 2, abs=1e-6)


def test_estimates_for_many_players():
    n, calls = 200, []
    def game(masks):
        calls.append(len(masks))
        return masks.double().mean(1)**2
    f = il.sparsity.estimate_mean_outputs(game, n, per_order=20, batch_size=16)
    assert f["mean"].tolist() == pytest.approx([(m / n)**2 for m in range(n + 1)]) and max(calls) <= 16 and sum(calls) == 1 + 1 + 20 * (n - 1)
    assert il.sparsity.estimated_conditions(f).loc[3, "high"] == pytest.approx(2)


@settings(max_examples=60, deadline=None)
@given(tables)
def test_the_largest_fall_is_that_of_the_worst_pair(v):
    u = il.sparsity.mean_outputs(v)
    worst = max(u[a] - u[b] for a in range(len(u)) for b in range(a, len(u)))
    found = il.sparsity.largest_fall(u)
    assert found == (pytest.approx(worst / u[-1]) if u[-1] > 0 else inf)
    assert (found <= 1e-9) == il.sparsity_conditions(v).holds[2]


@settings(max_examples=40, deadline=None)
@given(tables, st.integers(0, 99))
def test_circles_that_ask_for_everything_say_what_the_table_says(v, seed):
    n = (len(v) - 1).bit_length()
    curves = il.sparsity.ask_circles(lambda m: v[(m.long() << torch.arange(n)).sum(1)], n, circles=100, seed=seed, batch_size=7)
    assert curves.shape == (1, n + 1) and curves[0].tolist() == pytest.approx(il.sparsity.mean_outputs(v).tolist(), abs=1e-9)
    found, written = il.sparsity.judge_circles(curves, fall=0), il.sparsity_conditions(v)
    assert [x == "holds" for x in found.verdict] == [written.holds[2], written.holds[3], written.holds[3]]
    assert "open" not in found.verdict.tolist()
    p_ref, p_exact = exponents(il.sparsity.mean_outputs(v))
    for column in ("estimate", "low", "high"): assert found[column].tolist()[1:] == pytest.approx([p_exact, p_ref], nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(6, 9), seeds, st.floats(.1, 10.), st.floats(-5., 5.))
def test_circles_know_no_unit_and_no_constant_and_no_names(n, seed, unit, constant):
    v = torch.randn(2**n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + il.orders(n)
    ask = lambda v: il.sparsity.ask_circles(lambda m: v[(m.long() << torch.arange(n)).sum(1)], n, circles=3, seed=seed)
    assert ask(unit * v + constant) == pytest.approx(unit * ask(v), abs=1e-9)
    a, b = il.sparsity.judge_circles(ask(v)), il.sparsity.judge_circles(ask(unit * v + constant))
    assert a.verdict.tolist() == b.verdict.tolist() and a.high.tolist() == pytest.approx(b.high.tolist(), rel=1e-6, abs=1e-9, nan_ok=True)
    assert (a.low <= a.high + 1e-12).all() or a.low.isna().any()


def test_circles_of_many_players_fit_the_batch():
    n, calls = 60, []
    def game(masks):
        calls.append(len(masks))
        return masks.double().mean(1)**2
    curves = il.sparsity.ask_circles(game, n, circles=3, batch_size=64)
    assert curves == pytest.approx(np.tile((np.arange(n + 1) / n)**2, (3, 1))) and max(calls) <= 64 and sum(calls) == il.sparsity.count_passes(n, 3)
    found = il.sparsity.judge_circles(curves, fall=0)
    assert found.verdict.tolist() == ["holds"] * 3 and found.low.tolist() == pytest.approx([0, 2, 2]) and found.high.tolist() == pytest.approx([0, 2, 2])


@pytest.mark.parametrize("call, error, words", [
    (lambda v: il.sparsity.mean_outputs(list(map(str, v.tolist()))), TypeError, "v: got a list of dtype"),
    (lambda v: il.sparsity.mean_outputs(v[:5]), ValueError, "power of two"),
    (lambda v: il.sparsity_bound(v.clone().fill_(torch.nan)), ValueError, "all outputs must be finite"),
    (lambda v: il.sparsity_conditions(v.reshape(2, 4)), ValueError, "v: got shape (2, 4); it must be one value table"),
    (lambda v: il.sparsity_conditions(v, M=4), ValueError, "M: got 4; it must be an int from 1 to 3"),
    (lambda v: il.sparsity_conditions(v, M=True), TypeError, "M: got True; it must be an int"),
    (lambda v: il.sparsity_bound(v, tau=-1), ValueError, "tau: got -1; it must be a finite number above 0"),
    (lambda v: il.sparsity_bound(v, tau="a"), TypeError, "tau: got 'a'; it must be a finite number"),
    (lambda v: il.sparsity_bound(v, p=-1), ValueError, "p: got -1; it must be finite and at least p_ref"),
    (lambda v: il.sparsity_bound(v[:2]), ValueError, "it takes 2 players or more"),
    (lambda v: il.sparsity.sparsity_thresholds(v * 0), ValueError, "no effects at all"),
    (lambda v: il.sparsity.sparsity_summary(v), TypeError, "vs: got Tensor"),
    (lambda v: il.sparsity.sparsity_summary({"a": v, "b": v[:3]}), ValueError, "vs['b']: v: its last axis has length 3"),
    (lambda v: il.sparsity.estimate_mean_outputs(lambda m: m, 3), ValueError, "game: returned shape"),
    (lambda v: il.sparsity.estimate_mean_outputs(lambda m: m.sum(1), 3.), TypeError, "n: got 3.0; it must be an int of 1 or more"),
    (lambda v: il.sparsity.estimate_mean_outputs(lambda m: m.sum(1), 3, confidence=95), ValueError, "confidence: got 95; it must be between 0 and 1"),
    (lambda v: il.sparsity.ask_circles(lambda m: m, 5), ValueError, "game: returned shape"),
    (lambda v: il.sparsity.ask_circles(lambda m: m.sum(1) / 0., 5), ValueError, "game: returned"),
    (lambda v: il.sparsity.judge_circles(v.reshape(2, 4) + 1), ValueError, "finite, 0 for order 0"),
    (lambda v: il.sparsity.judge_circles(v.reshape(1, 8), confidence=1), ValueError, "confidence: got 1; it must be between 0 and 1"),
    (lambda v: il.sparsity.plot_counts([1], {"bond": [1]}), ValueError, "counts: got 'bond'"),
])
def test_bad_input_is_refused(call, error, words):
    with pytest.raises(error) as e: call(torch.arange(8.))
    assert words in str(e.value)


def test_figures():
    v = REAL["gemma3_2"]
    ax = il.sparsity.plot_mean_outputs({"a": il.sparsity.mean_outputs(v), "b": il.sparsity.mean_outputs(REAL["gemma3_0"])}, p=2., unit="log-odds")
    assert ax.get_ylabel() == "average output (log-odds)" and len(ax.get_legend().get_texts()) == 3
    rows = il.sparsity_bound(v).frame.drop("all")
    ax = il.sparsity.plot_counts(rows.index, {k: rows[k] for k in ("count", "bound", "markov")})
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["bound", "markov", "count"] and ax.get_yscale() == "log"
