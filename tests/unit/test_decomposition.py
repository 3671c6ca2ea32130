"""The decomposition: stored optima of real tables in both solvers, planted games, symmetry, edge cases."""
import resource
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import interlib as il
from memory import PEAK
from interlib.core.coalitions import permute
from interlib.solve.certificate import Equations, free_effects, lower_bound, repair, splits, strength
from interlib.solve.interior_point import interior_point

EXAMPLES, PAIRS = il.examples.prompts(), il.examples.pairs()
TABLES = {name: example.v for name, example in EXAMPLES.items()}


def check(x, v, noise):
    assert x.matching_error(v).max() <= noise * (v[-1] - v[0]).abs() + 1e-8
    effects = x.and_[1:].abs().sum() + x.or_.abs().sum()
    assert effects.item() == pytest.approx(x.solution.objective, rel=1e-12, abs=1e-12)
    assert x.solution.lower_bound <= x.solution.objective
    assert (x.or_[~free_effects(x.n)[1]] == 0).all()


@pytest.mark.parametrize("solver", ["ipm", "highs"])
@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("name", TABLES)
def test_stored_optima(name, noise, solver):
    v = TABLES[name]
    x = il.decompose(v, noise=noise, solver=solver)
    check(x, v, noise)
    assert x.solution.objective == pytest.approx(EXAMPLES[name].optimum[noise], rel=1e-6)
    assert x.solution.gap <= 1e-6
    assert x.solution.solver == solver
    if solver == "ipm": assert x.solution.seconds < 10


@pytest.mark.parametrize("seed", range(20))
def test_planted_games(seed):
    v, ands, ors = il.planted(8, seed=seed)
    size = (ands.abs().sum() + ors.abs().sum()).item()
    x, vertex = il.decompose(v, noise=0.), il.decompose(v, noise=0., solver="highs")
    check(x, v, 0.)
    assert x.solution.gap <= 1e-6 and x.solution.objective <= size * (1 + 1e-6)
    far = lambda a, b: max((a.and_[1:] - b[0][1:]).abs().max(), (a.or_ - b[1]).abs().max()).item()
    if x.solution.objective < size * (1 - 1e-6): return                  # something sparser exists: nothing to find again
    unique = far(x, (vertex.and_, vertex.or_)) < 1e-6                    # centre and vertex of the set of optima coincide
    assert unique == (far(x, (ands, ors)) < 1e-6)
    if unique:
        found = {(r.kind, r.members) for r in x.primitives().itertuples()}
        assert found == {(kind, il.members(c)) for kind, t in (("and", ands), ("or", ors)) for c in t.nonzero().flatten().tolist()}


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.integers(0, 10**6), st.sampled_from([0., 1e-6, .02, .3]), st.randoms())
def test_any_table(n, seed, noise, random):
    g = torch.Generator().manual_seed(seed)
    v = torch.randn(2**n, dtype=torch.float64, generator=g) * 10 ** (4 * torch.rand(1, generator=g).item() - 2)
    x = il.decompose(v, noise=noise)
    check(x, v, noise)
    assert x.solution.gap <= 1e-6
    assert x.solution.objective <= il.harsanyi(v).solution.objective * (1 + 1e-9)
    perm = list(range(n))
    random.shuffle(perm)
    y = il.decompose(permute(v, perm), noise=noise)
    assert y.solution.objective == pytest.approx(x.solution.objective, rel=1e-6)


@pytest.mark.parametrize("noise", [0., .02])
@pytest.mark.parametrize("seed", range(5))
def test_renaming_the_players_renames_the_answer(seed, noise):
    v, perm = il.planted(7, 6, 6, seed=seed)[0], [4, 2, 6, 0, 1, 3, 5]
    x, y = il.decompose(v, noise), il.decompose(permute(v, perm), noise)
    torch.testing.assert_close(y.and_, permute(x.and_, perm), atol=1e-6, rtol=0)
    torch.testing.assert_close(y.or_, permute(x.or_, perm), atol=1e-6, rtol=0)


def test_turning_the_table_around_exchanges_and_with_or():
    v = TABLES["smollm2_2"]
    x, y = il.decompose(v, 0.), il.decompose(-v.flip(0), 0.)
    several = free_effects(10)[1]
    torch.testing.assert_close(x.and_[several], y.or_[several], atol=1e-5, rtol=0)
    assert x.solution.objective == pytest.approx(y.solution.objective, rel=1e-6)


@pytest.mark.parametrize("scale, shift", [(1e-6, 0.), (1e6, 0.), (1., 1e5)])
def test_units_do_not_matter(scale, shift):
    v = TABLES["gemma3_2"]
    x, y = il.decompose(v), il.decompose(v * scale + shift)
    assert y.solution.objective == pytest.approx(x.solution.objective * scale, rel=1e-6)
    assert y.solution.gap <= 1e-6


def test_batches_of_all_kinds_agree_with_single_calls():
    constant, linear = torch.full((64,), 3.).double(), il.masks(6).double().sum(1)
    back = linear.clone()
    back[-1] = back[0]                                                   # v(N) = v(empty): no noise allowed
    v = torch.stack([constant, linear, il.planted(6, 3, 3)[0], back]).reshape(2, 2, 64)
    for got, one in zip(il.decompose(v), v.reshape(-1, 64)):
        want = il.decompose(one)
        check(got, one, .02)
        torch.testing.assert_close(got.and_, want.and_, atol=1e-5, rtol=0)
        assert got.solution.objective == pytest.approx(want.solution.objective, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("v, effect", [([0., 3.], 3.), ([5., 1.], -4.), ([2., 2.], 0.)])
def test_one_player(v, effect):
    x = il.decompose(torch.tensor(v), noise=0.)
    assert x.and_.tolist() == pytest.approx([v[0], effect], abs=1e-7) and x.solution.gap < 1e-8
    noisy = il.decompose(torch.tensor(v), noise=0.1)
    check(noisy, torch.tensor(v).double(), .1)
    assert noisy.solution.objective == pytest.approx(.8 * abs(effect)) and noisy.solution.gap < 1e-8


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0., .05]))
def test_no_multipliers_bound_above_the_optimum(seed, noise):
    g = torch.Generator().manual_seed(seed)
    v = torch.randn(32, dtype=torch.float64, generator=g)
    lam = torch.randn(200, 32, dtype=torch.float64, generator=g)
    bounds = lower_bound((v - v[0])[None], lam[:, None], noise * (v[-1:] - v[0]).abs(), Equations(1, v), 1.)
    assert bounds.max() <= il.decompose(v, noise).solution.objective * (1 + 1e-9)


def test_tensors_that_need_gradients_or_single_precision_are_taken():
    v = TABLES["smollm2_2"]
    assert il.decompose(v.clone().requires_grad_()).solution.gap < 1e-6
    assert il.decompose(v.float()).and_.dtype == torch.float64


def random_tables(seed, m, n, batch=()):
    "Related tables of m models: a common game, and one of each model's own."
    g = torch.Generator().manual_seed(seed)
    common = il.planted(n, 3, 3, seed=seed)[0]
    return [common * torch.rand(1, generator=g) + .3 * torch.randn(*batch, 2**n, dtype=torch.float64, generator=g) for _ in range(m)]


def check_shared(xs, vs, noise):
    for x, v in zip(xs, vs):
        assert x.matching_error(v).max() <= noise * (v[-1] - v[0]).abs() + 1e-8
        assert (x.or_[~free_effects(x.n)[1]] == 0).all()
    assert len({x.solution for x in xs}) == 1 and xs[0].solution.lower_bound <= xs[0].solution.objective


@pytest.mark.parametrize("pair", PAIRS[:1] + PAIRS[4:], ids=lambda p: f"{p['tables'][0]}-{p['alpha']}-{p['share']}")
def test_stored_shared_optima(pair):
    vs = [TABLES[t] for t in pair["tables"]]
    xs = il.decompose_shared(vs, pair["alpha"], pair["noise"], pair["share"])
    check_shared(xs, vs, pair["noise"])
    assert xs[0].solution.objective == pytest.approx(pair["optimum"], rel=1e-5)
    assert xs[0].solution.gap <= 1e-5 and xs[0].solution.solver == "ipm"


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 4), st.integers(2, 4), st.integers(0, 10**6), st.sampled_from([0., .1, .5, 1.]), st.sampled_from([0., .02]), st.sampled_from([None, 0.05, 0.5]))
def test_both_solvers_find_the_same_shared_optimum(n, m, seed, alpha, noise, share):
    vs = random_tables(seed, m, n)
    ours, theirs = (il.decompose_shared(vs, alpha, noise, share, solver=s) for s in ("ipm", "highs"))
    check_shared(ours, vs, noise)
    check_shared(theirs, vs, noise)
    assert ours[0].solution.gap <= 1e-5
    assert ours[0].solution.objective == pytest.approx(theirs[0].solution.objective, rel=1e-5, abs=1e-8)
    if share is None:
        effects = torch.stack([torch.stack([x.and_, x.or_]) for x in ours])
        effects[..., 0] = 0
        assert strength(effects, alpha).item() == pytest.approx(ours[0].solution.objective, rel=1e-9, abs=1e-9)


def test_nothing_is_shared_at_alpha_one():
    for vs in ([TABLES["smollm2_0"], TABLES["gemma3_0"]], random_tables(1, 3, 6)):
        together = il.decompose_shared(vs, alpha=1., share=None)[0].solution.objective
        assert together == pytest.approx(sum(il.decompose(v).solution.objective for v in vs), rel=1e-6)


def test_a_model_and_its_copy_share_everything():
    v = TABLES["smollm2_2"]
    x, (a, b) = il.decompose(v), il.decompose_shared([v, v], alpha=0.)
    assert a.solution.objective == pytest.approx(x.solution.objective, rel=1e-6)
    torch.testing.assert_close(a.and_, b.and_, atol=1e-5, rtol=0)


def test_a_tighter_bound_never_lowers_the_objective_and_holds():
    vs = torch.stack(random_tables(5, 2, 7))
    u, last = (vs - vs[:, :1])[None], 0
    for share in (None, .5, .1, .02, 0.):
        objective = il.decompose_shared(vs, share=share)[0].solution.objective
        assert objective >= last * (1 - 1e-6)
        last = objective
        if share is None: continue
        tau, zeta = .02 * u[..., -1].abs(), share * u[..., -1].abs()
        x, C, _, _ = interior_point(u, tau, .1, zeta)
        gamma = splits(u, *repair(u, x, C, tau, zeta))[0]
        assert (gamma[0] - gamma[1]).abs().max() <= zeta.sum() + 1e-8


@pytest.mark.parametrize("share", [None, .05])
def test_batches_of_samples_agree_with_single_calls(share):
    vs = [torch.stack(t) for t in zip(*[random_tables(s, 2, 6) for s in range(4)])]
    vs[1][2] = 3.                                                        # one model does not react to one of the samples
    many = il.decompose_shared(vs, share=share)
    assert len(many) == 4 and all(len(xs) == 2 for xs in many)
    for i, xs in enumerate(many):
        one = il.decompose_shared([v[i] for v in vs], share=share)
        check_shared(xs, [v[i] for v in vs], .02)
        assert xs[0].solution.objective == pytest.approx(one[0].solution.objective, rel=1e-6)
        torch.testing.assert_close(xs[0].and_, one[0].and_, atol=1e-4, rtol=0)


def test_the_order_of_the_models_does_not_matter():
    vs = random_tables(2, 3, 5)
    a, b = il.decompose_shared(vs), il.decompose_shared([vs[i] for i in (2, 0, 1)])
    assert a[0].solution.objective == pytest.approx(b[0].solution.objective, rel=1e-7)
    for i, j in enumerate((2, 0, 1)): torch.testing.assert_close(a[j].or_, b[i].or_, atol=1e-2, rtol=0)


def test_scales_replace_each_samples_own():
    vs = random_tables(4, 2, 6)
    rise = [(v[-1] - v[0]).abs().item() for v in vs]
    a, b = il.decompose_shared(vs, share=.02), il.decompose_shared(vs, share=.01, scales=[2 * r for r in rise])
    assert a[0].solution.objective == pytest.approx(b[0].solution.objective, rel=1e-7)
    assert il.decompose_shared(vs, share=.02, scales=torch.tensor(rise) * 100)[0].solution.objective < a[0].solution.objective


@pytest.mark.parametrize("solver", ["ipm", "highs"])
@pytest.mark.parametrize("share", [0., 1e-9, .05])
@pytest.mark.parametrize("m", [2, 3, 4])
def test_nothing_needs_explaining_when_the_noise_covers_everything(m, share, solver):
    g = torch.Generator().manual_seed(m)
    vs = [torch.tensor([3., 3.]), *torch.randn(m - 1, 2, dtype=torch.float64, generator=g)]
    for alpha in (0., .1, 1.):
        xs = il.decompose_shared(vs, alpha, 1., share, solver=solver)
        check_shared(xs, [v.double() for v in vs], 1.)
        assert xs[0].solution.objective == xs[0].solution.lower_bound == 0


def test_rounding_of_huge_multipliers_raises_no_bound():
    eq, u = Equations(3, torch.zeros(2).double(), shared=True), torch.tensor([[0., .7], [0., -.3], [0., 1.1]]).double()
    circle = torch.tensor([0., 0., 0., 1., -1., 1.]).double()             # of the pairs (1, 0), (2, 0), (2, 1)
    g = torch.Generator().manual_seed(0)
    lam = 1e12 * torch.rand(2000, 1, 2, dtype=torch.float64, generator=g) * circle[:, None]
    tau, zeta = u[:, -1].abs(), torch.zeros(3).double()                   # with all this noise the optimum is 0
    assert lower_bound(u, lam, eq.widths(tau, zeta), eq, .1).max() == 0


def test_alternatives_carry_the_proof_and_refuse_what_they_cannot_use():
    v = il.planted(4, 3, 3, seed=1)[0]
    for x in il.alternatives(v, k=2):
        check(x, v, .02)
        assert x.solution.gap < 3e-6
    assert il.alternatives(torch.ones(8), k=2)[1].solution.objective == 0
    for kwargs, message in ((dict(k=-1), "k: got -1"), (dict(slack=-1), "slack: got -1"), (dict(noise=[.1]), "noise: got")):
        with pytest.raises(ValueError, match=message): il.alternatives(v, **kwargs)
    with pytest.raises(ValueError, match="must be one value table"): il.alternatives(v[None])


def test_scales_of_each_sample_of_a_batch():
    vs = [torch.stack(t).reshape(2, 3, 16) for t in zip(*[random_tables(s, 2, 4) for s in range(6)])]
    scales = torch.arange(1., 13).reshape(2, 3, 2)
    many = il.decompose_shared(vs, share=.01, scales=scales)
    for i, xs in enumerate(many):
        one = il.decompose_shared([v.reshape(6, 16)[i] for v in vs], share=.01, scales=scales.reshape(6, 2)[i])
        assert xs[0].solution.objective == pytest.approx(one[0].solution.objective, rel=1e-6)


@pytest.mark.slow
def test_memory_at_twelve_players():
    code = f"import torch, interlib as il; x = il.decompose(il.planted(12, 30, 30)[0] + .01 * torch.randn(4096)); print(x.solution.gap, {PEAK})"
    gap, kilobytes = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert float(gap) <= 1e-6 and int(kilobytes) < 3e6


@pytest.mark.parametrize("call, message", [
    (lambda v: il.decompose(v[:1000]), "length 1000; it must be a power of two"),
    (lambda v: il.decompose(v.numpy().astype(str)), "must be a torch.Tensor"),
    (lambda v: il.decompose(torch.where(torch.arange(1024) == 5, torch.inf, v)), "entry 5 is inf, with the players \\[0, 2\\] present"),
    (lambda v: il.decompose(v, noise=1.5), "noise: got 1.5; it must be from 0 to 1"),
    (lambda v: il.decompose(v, noise=float("nan")), "noise: got nan"),
    (lambda v: il.decompose(v, noise="2 %"), "noise: got '2 %'"),
    (lambda v: il.decompose(v[None][:0]), "empty batch"),
    (lambda v: il.decompose(v * 1e308), "finite|at most 1e300"),
    (lambda v: il.decompose(v, solver="cvx"), "'auto', 'ipm', 'highs'"),
    (lambda v: il.decompose(v, players=list("abc")), "got 3 names; the table has 10 players"),
    (lambda v: il.decompose(torch.zeros(2**20), solver="ipm"), "with 20 players the interior point needs about .* GB"),
    (lambda v: il.harsanyi(v[:3]), "power of two"),
    (lambda v: il.decompose_shared(v), "a tensor of shape \\(1024,\\); it must be a list of two or more"),
    (lambda v: il.decompose_shared([v]), "got 1 table; it must be two or more"),
    (lambda v: il.decompose_shared([v, v[:512]]), "shapes \\(1024,\\), \\(512,\\)"),
    (lambda v: il.decompose_shared([v, v * torch.nan]), "entry 0 is nan"),
    (lambda v: il.decompose_shared([v, v], alpha=1.1), "alpha: got 1.1; it must be from 0 to 1"),
    (lambda v: il.decompose_shared([v, v], alpha="0.1"), "alpha: got '0.1'"),
    (lambda v: il.decompose_shared([v, v], share=-.5), "share: got -0.5"),
    (lambda v: il.decompose_shared([v, v], scales=[1., 2., 3.]), "scales: got .*each of the 2 models"),
    (lambda v: il.decompose_shared([v, v], scales=[1., -2.]), "scales: got .*0 or more"),
    (lambda v: il.decompose_shared([v, v], scales="mean"), "scales: got mean"),
    (lambda v: il.decompose_shared([v, v], alpha=[.1, .2]), "alpha: got \\[0.1, 0.2\\]; it must be from 0 to 1"),
    (lambda v: il.decompose_shared([v, v], share=torch.tensor([.1, .2])), "share: got tensor"),
    (lambda v: il.decompose(v, solver=["ipm"]), "'auto', 'ipm', 'highs'"),
    (lambda v: il.decompose_shared([v, v], solver="cvx"), "'auto', 'ipm', 'highs'"),
    (lambda v: il.decompose_shared([v, v], players=list("abc")), "got 3 names; the table has 10 players"),
])
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError), match=message): call(TABLES["smollm2_0"])
