"""Taylor effects and attributions: random polynomials, the worked examples P1 to P4, captum, methods of a user, bad input."""
import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import interlib as il
from interlib.measure.taylor import expand, masked_outputs, random_polynomial
from interlib.measure.attribution_methods import grad_cam, random_neuron

F64 = torch.float64
seeds = st.integers(0, 2**32 - 1)


def f64(*numbers):
    return torch.tensor(numbers, dtype=F64)


def close(a, b, tol=1e-8):
    assert a.tolist() == pytest.approx([float(e) for e in b], abs=tol)


def point(n, seed, rows=1):
    return torch.randn(rows, n, generator=torch.Generator().manual_seed(seed % 2**31)).double()


def sigma(z):
    return z + z**2 / 2 + z**3 / 4


P1 = il.taylor.Polynomial({(0, 0, 0): 1, (1, 0, 0): 2, (0, 0, 1): -1, (0, 2, 0): 1, (1, 1, 0): 3, (1, 0, 2): -1, (1, 1, 1): .5, (3, 0, 0): .25})
X, B0, B1, B2 = f64(2, 1, -1.5), f64(0, 0, 0), f64(.5, -1, .5), f64(1, 2, -1)
P2, P2B, ONES, BB = il.taylor_methods.Neuron([2, 1, -1], 0., sigma), il.taylor_methods.Neuron([2, 1, -1], .3, sigma), f64(1, 1, 1), f64(.5, -.5, .25)
PATCHES = [(0, 1), (2,)]
GOLDEN = {
    "gradient x input, at x": ([10, 6.5, -9], [7.5, 13, -12]),
    "gradient x input, at b": ([4, 0, 1.5], [-1.96875, -.75, 3.5]),
    "occlusion": ([6, 5.5, -4.5], [4.96875, 9, -4]),
    "occlusion, patches": ([7, 7, -4.5], [7.21875, 7.21875, -4]),
    "integrated gradients": ([7, 3.5, -2], [3.84375, 6.625, -1.75]),
    "Shapley value": ([6.25, 3.5, -1.25], [2.84375, 6.625, -.75])}
AVERAGED = {
    "expected gradients": [5.53125, 1.1944444444, -1.9027777778],
    "prediction difference": [4.90625, 2.3333333333, -3.6666666667],
    "Deep SHAP": [4.9340277778, 1.1944444444, -1.3055555556]}
NEURON = {
    ("LRP-epsilon", ()): [6, 3, -3], ("LRP-epsilon", (("eps", .25),)): [16 / 3, 8 / 3, -8 / 3], ("LRP-alpha-beta", ()): [8, 4, -6],
    ("Deep Taylor, z+", ()): [4, 2, 0], ("Deep Taylor, w^2", ()): [4, 1, 1], ("DeepLIFT rescale", ()): [6, 3, -3], ("DeepLIFT RevealCancel", ()): [7, 3.5, -4.5],
    ("integrated gradients", ()): [6, 3, -3], ("Deep SHAP", ()): [6.5, 3.5, -4], ("occlusion", ()): [6, 4.25, -8.25], ("gradient x input, at x", ()): [12, 6, -6], ("gradient x input, at b", ()): [2, 1, -1]}


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(1, 4))
def test_terms_of_random_polynomials(seed, n):
    p, (x, b) = random_polynomial(n, 5, 12, seed % 2**31), point(n, seed, 2)
    exact, unknown = expand(p, x, b), lambda x: p(x)
    size = float(exact.effects.abs().max()) if len(exact.effects) else 1.
    for T in (il.taylor.taylor_interactions(unknown, x, b, degree=5), il.taylor.taylor_fft(p, x, b, nodes=6)):
        found = {tuple(k): e for k, e in zip(T.exponents.tolist(), T.effects.tolist())}
        for k, e in zip(exact.exponents.tolist(), exact.effects.tolist()): assert found.pop(tuple(k)) == pytest.approx(e, abs=1e-9 * max(1, size))
        assert max(map(abs, found.values()), default=0) < 1e-9 * max(1, size)
    close(exact.generic(), il.and_transform(masked_outputs(p, x, b)), 1e-8 * max(1, size))
    assert max(il.taylor.taylor_error(exact, p).values()) < 1e-8 * max(1, size)


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(2, 4))
def test_weighted_sum_is_the_method(seed, n):
    for name, m in il.taylor_methods.METHODS.items():
        x, *b = point(n, seed, 4)
        f = random_polynomial(n, 5, 12, seed % 2**31)
        if m.neuron or name == "DeepLIFT rescale": f, x = random_neuron(n, seed % 2**31)
        b = b if m.several else [0 * x] if m.zero else b[:1]
        given_ = {"patches": [(0, n - 1), *[(i,) for i in range(1, n - 1)]], "channels": n, "eps": .5, "alpha": 3., "beta": 2.}
        options = {k: given_[k] for k in m.options}
        d = il.taylor_methods.run_method(name, f, x, torch.stack(b), **options)
        a = il.taylor_methods.weigh_terms([il.taylor.taylor_interactions(f, x, row, degree=5) for row in b], name, f if m.neuron else None, **options)
        close(a, d, 1e-7 * max(1, float(d.abs().max())))


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(1, 4))
def test_shapley_by_permutations(seed, n):
    p, (x, b) = random_polynomial(n, 4, 10, seed % 2**31), point(n, seed, 2)
    total = torch.zeros(n, dtype=F64)
    for order in permutations(range(n)):
        here = b.clone()
        for i in order:
            before, here[i] = p(here), x[i]
            total[i] += p(here) - before
    size = max(1, float(total.abs().max()))
    close(il.taylor_methods.weigh_terms(expand(p, x, b), "Shapley value"), (total / math.factorial(n)).tolist(), 1e-8 * size)
    close(il.allocation.player_shares(expand(p, x, b).interactions()), (total / math.factorial(n)).tolist(), 1e-8 * size)


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("which", [0, 1])
def test_P1(name, which):
    b, stated, options = (B0, B1)[which], GOLDEN[name][which], {"patches": PATCHES} if "patches" in name else {}
    close(il.taylor_methods.weigh_terms(il.taylor.taylor_interactions(P1, X, b), name, **options), stated)
    close(il.taylor_methods.run_method(name, P1, X, b, **options), stated)


@pytest.mark.parametrize("name", AVERAGED)
def test_P1_over_baselines(name):
    baselines = torch.stack([B0, B1, B2])
    close(il.taylor_methods.weigh_terms([il.taylor.taylor_interactions(P1, X, b) for b in baselines], name), AVERAGED[name])
    close(il.taylor_methods.run_method(name, P1, X, baselines), AVERAGED[name])


@pytest.mark.parametrize("name, options", NEURON)
def test_P2(name, options):
    m, options = il.taylor_methods.METHODS[name], dict(options)
    close(il.taylor_methods.run_method(name, P2, ONES, **options), NEURON[name, tuple(options.items())])
    close(il.taylor_methods.weigh_terms(il.taylor.taylor_interactions(P2, ONES, degree=3), name, P2 if m.neuron else None, **options), NEURON[name, tuple(options.items())])


def test_P2_from_another_baseline():
    T = il.taylor.taylor_interactions(P2B, ONES, BB, degree=3)
    for name, stated in {"DeepLIFT rescale": [4.139375, 6.2090625, -3.10453125], "DeepLIFT RevealCancel": [4.4440625, 6.66609375, -3.86625], "Deep SHAP": [4.3971875, 6.43171875, -3.585]}.items():
        close(il.taylor_methods.run_method(name, P2B, ONES, BB), stated)
        close(il.taylor_methods.weigh_terms(T, name, P2B if il.taylor_methods.METHODS[name].neuron else None), stated)
    close(il.taylor_methods.run_method("LRP-epsilon", P2B, ONES), [6.945, 3.4725, -3.4725])


def test_P3():
    layer, readout = [il.taylor_methods.Neuron([.3, -.2, .1], .1), il.taylor_methods.Neuron([.15, .25, -.3], -.05)], (1.5, -2.)
    x, b = f64(1, .5, -.8), f64(.2, -.1, .1)
    net = lambda x: sum(v * h(x) for v, h in zip(readout, layer))
    T = il.taylor.taylor_fft(net, x, b, nodes=24)
    assert max(il.taylor.taylor_error(T, net).values()) < 1e-13
    close(il.taylor_methods.weigh_terms(T, "integrated gradients"), [.1190354845, -.4554146125, -.638483612])
    close(sum(v * il.taylor_methods.run_method("DeepLIFT rescale", h, x, b) for v, h in zip(readout, layer)), [.1190354845, -.4554146125, -.638483612])
    close(sum(v * il.taylor_methods.run_method("DeepLIFT RevealCancel", h, x, b) for v, h in zip(readout, layer)), [.1143410906, -.4527321016, -.6364717289])
    for degree, stated in ((4, 1.17e-2), (8, 1.60e-4)): assert il.taylor.taylor_error(il.taylor.taylor_interactions(net, x, b, degree), net)["remainder"] == pytest.approx(stated, rel=5e-3)


def test_P4():
    pooled = lambda A: (lambda u, v: u + 2 * v + u * v + u**2 / 2)(A[..., :2].mean(-1), A[..., 2:].mean(-1))
    other = lambda A: A[..., 0] * A[..., 1] + 2 * A[..., 2] + A[..., 3]**2
    A = f64(1, 2, 3, -1)
    for f, stated in ((pooled, [7, 1.75]), (other, [1.5, 3])):
        close(grad_cam(f, A, channels=2).reshape(2, -1).sum(0), stated)
        close(il.taylor_methods.weigh_terms(il.taylor.taylor_interactions(f, A, degree=2), "Grad-CAM", channels=2).reshape(2, -1).sum(0), stated)


def test_captum_agrees():
    pytest.importorskip("captum")
    for f, b, options in ((P1, B0, {"patches": PATCHES}), (P1, B1, {"patches": PATCHES}), (P2, B0, {}), (P2B, BB, {})):
        frame = il.taylor_methods.side_by_side(f, X if f is P1 else ONES, b, degree=3, **options).set_index(["method", "how"])
        for name in frame.index.levels[0]:
            for how in frame.loc[name].index: close(torch.tensor(frame.loc[name, how].to_numpy()), frame.loc[name, "weighted sum"], 1e-6)
    baselines = torch.stack([B0, B1, B2])
    for name in ("expected gradients", "prediction difference"): close(il.taylor_methods.run_captum(name, P1, X, baselines), AVERAGED[name], 1e-6)
    random, x = random_neuron(4, 3)
    for name in ("LRP-epsilon", "DeepLIFT rescale"): close(il.taylor_methods.run_captum(name, random, x), il.taylor_methods.run_method(name, random, x), 1e-6)


def test_captum_deviates():
    pytest.importorskip("captum")
    baselines, trap, at = torch.stack([B0, BB]), il.taylor_methods.Neuron([2, -1, -1], 0., sigma), f64(1, -1, 1)
    close(il.taylor_methods.run_method("Deep SHAP", P2B, ONES, baselines), [6.26609375, 5.374609375, -4.20125])
    close(il.taylor_methods.run_captum("Deep SHAP", P2B, ONES, baselines), [5.8871875, 5.01328125, -3.461015625], 1e-6)
    close(il.taylor_methods.run_method("DeepLIFT rescale", P2B, ONES, baselines), [5.8871875, 5.01328125, -3.461015625])
    close(il.taylor_methods.run_method("Deep Taylor, z+", trap, at), [4, 2, 0])
    close(il.taylor_methods.run_captum("Deep Taylor, z+", trap, at), [6, 0, 0], 1e-6)
    assert all(il.taylor_methods.run_captum(name, P2, ONES) is None for name in ("LRP-alpha-beta", "DeepLIFT RevealCancel", "Deep Taylor, w^2", "gradient x input, at b"))


def banzhaf_method(f, x, b):
    return il.banzhaf(il.and_transform(masked_outputs(f, x, b)))


def lucky(f, x, b):
    "All to the first variable that is not at its baseline: adds up, fair to nobody else."
    a = torch.zeros_like(x)
    moved = (x != b).nonzero()
    if len(moved): a[moved[0]] = f(x) - f(b)
    return a


@pytest.mark.parametrize("method, verdict", [(banzhaf_method, [True, True, False]), (lucky, [True, True, True]), (lambda f, x, b: (f(x) - f(b)) / len(x) * torch.ones_like(x), [False, False, False]), (lambda f, x, b: 0 * x, [False, True, False])])
def test_audit_of_brought_methods(method, verdict):
    assert il.taylor_principles.audit_method(method, P1, X, B1).holds.tolist() == verdict


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_audit_and_recovery_on_random_polynomials(seed):
    p, (x, b) = random_polynomial(3, 3, 12, seed % 2**31), point(3, seed, 2)
    for name in ("integrated gradients", "Shapley value"):
        method = lambda f, x, b: il.taylor_methods.run_method(name, f, x, b)
        assert il.taylor_principles.audit_method(method, p, x, b).holds.all()
        k, w, other = il.taylor_principles.recover_weights(method, p, x, b, tol=1e-4)
        T = il.taylor.Taylor(k, torch.ones(len(k)).double(), x, b)
        assert torch.allclose(w, il.taylor_methods.METHODS[name].weights(T), atol=1e-4)


def test_the_table():
    table = il.taylor_principles.principle_table(seeds=3).droplevel(0).astype(int)
    assert table.loc["Shapley value"].tolist() == [1] * 6
    assert table.loc["occlusion"].tolist() == [1, 1, 0, 0, 1, 1]
    assert table.loc["gradient x input, at x"].tolist() == [0, 1, 0, 0, 1, 1]
    assert table.loc["LRP-alpha-beta"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table.loc["occlusion, patches"].tolist() == [0] * 6
    assert len(table) == 18 and table.all(axis=1).sum() == 7


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 5))
def test_allocation(seed, n):
    a, o = point(2**n, seed, 2)
    o[0] = 0
    x = il.Interactions(a, o)
    v = x.predict()
    close(il.allocation.player_shares(x), il.shapley(x)), close(il.allocation.player_shares(x, "banzhaf"), il.banzhaf(x))
    close(il.allocation.player_shares(x, "occlusion"), [v[-1] - v[2**n - 1 - 2**i] for i in range(n)])
    for rule in ("shapley", "banzhaf", "occlusion"): close(torch.tensor(il.allocation.shares_by_order(x, rule).groupby("player").value.sum().to_numpy()), il.allocation.player_shares(x, rule))


@pytest.mark.parametrize("call, error, words", [
    (lambda: il.taylor.Polynomial([(1, 0)]), ValueError, "terms: got"),
    (lambda: il.taylor.Polynomial({(1.5, 0): 1}), ValueError, "they must be ints of 0 or more"),
    (lambda: il.taylor.taylor_interactions(P1, [1., 2]), ValueError, "x: got 2 variables; the polynomial has 3"),
    (lambda: il.taylor.taylor_interactions(torch.sum, torch.ones(7)), ValueError, "x: got 7 variables"),
    (lambda: il.taylor.taylor_interactions(torch.sum, [1., math.nan]), ValueError, "it must be finite"),
    (lambda: il.taylor.taylor_interactions(torch.sum, [1., 2], [1.]), ValueError, "b: got shape (1,)"),
    (lambda: il.taylor.taylor_interactions(torch.sum, [1., 2], degree=13), ValueError, "degree: got 13"),
    (lambda: il.taylor.taylor_fft(torch.sum, [1., 2], nodes=True), ValueError, "nodes: got True"),
    (lambda: il.taylor_methods.weigh_terms(il.taylor.taylor_interactions(P1, X), "IG"), ValueError, "it must be one of"),
    (lambda: il.taylor_methods.weigh_terms(il.taylor.taylor_interactions(P1, X), "LRP-epsilon", P1), TypeError, "neuron: got Polynomial"),
    (lambda: il.taylor_methods.run_method("LRP-epsilon", P2, ONES, BB), ValueError, "have zeros as baseline"),
    (lambda: il.taylor_methods.run_method("occlusion", P1, X, eps=1.), TypeError, "takes no such option"),
    (lambda: il.taylor_methods.run_method("occlusion, patches", P1, X, patches=[(0, 1), (1, 2)]), ValueError, "must be in exactly one patch"),
    (lambda: il.taylor_principles.audit_method(lambda f, x, b: x[:1], P1, X), ValueError, "it must give one number for each variable"),
    (lambda: il.taylor_principles.recover_weights(lucky, torch.sin, X), TypeError, "take `audit_method` for other functions"),
    (lambda: il.allocation.player_shares(P1), TypeError, "x: got Polynomial"),
    (lambda: il.allocation.player_shares(il.taylor.taylor_interactions(P1, X).interactions(), "lime"), ValueError, "rule: got 'lime'")])
def test_bad_input(call, error, words):
    with pytest.raises(error) as e: call()
    assert words in str(e.value)


def test_a_network_with_parameters_gives_plain_terms():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).double()
    f = lambda x: (torch.tanh(x @ net[0].weight.T.to(x) + net[0].bias) @ net[2].weight.T.to(x) + net[2].bias).squeeze(-1)
    for T in (il.taylor.taylor_fft(f, torch.tensor([.2, -.1])), il.taylor.taylor_interactions(f, torch.tensor([.2, -.1]), degree=4)):
        assert not T.effects.requires_grad and len(T.to_frame()) == len(T.effects) and max(il.taylor.taylor_error(T, f).values()) < 1e-4
