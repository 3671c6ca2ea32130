"""What the mathematics takes and gives: number types, tables and effects told apart, gaps that are said, sizes, memory, threads."""
import inspect
import subprocess
import sys
import time
import warnings
from fractions import Fraction
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch

import interlib as il
from interlib.core import coalitions
from interlib.solve.certificate import check_table
from interlib.solve.interior_point import careful_interior_point, interior_point
from interlib.solve.solvers import SOLVERS
from interlib.core.transforms import per_player

DTYPES = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64, torch.float16, torch.bfloat16, torch.float32, torch.float64]


def numbers(dtype, n=3, seed=0):
    "A table of whole numbers that the type can hold, and the same as Python integers."
    low, high = (0, 250) if dtype in (torch.uint8, torch.uint16, torch.uint32, torch.uint64) else (-120, 120)
    values = torch.randint(low, high, (2**n,), generator=torch.Generator().manual_seed(seed)).tolist()
    return torch.tensor(values, dtype=torch.float64).to(dtype), values


def subsets(T): return [L for L in range(T + 1) if L & ~T == 0]


def dividends(v): return [sum((-1) ** (T ^ L).bit_count() * v[L] for L in subsets(T)) for T in range(len(v))]


def shapley_by_permutations(v):
    n = (len(v) - 1).bit_length()
    phi, orders = [Fraction(0)] * n, list(permutations(range(n)))
    for order in orders:
        S = 0
        for i in order:
            phi[i] += Fraction(v[S | 1 << i] - v[S], len(orders))
            S |= 1 << i
    return phi


def banzhaf_by_marginals(v):
    n = (len(v) - 1).bit_length()
    return [sum(Fraction(v[S | 1 << i] - v[S], 2 ** (n - 1)) for S in range(len(v)) if not S >> i & 1) for i in range(n)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tables_of_any_number_type(dtype):
    v, values = numbers(dtype)
    values = [int(x) for x in v.double().tolist()]                      # bfloat16 keeps eight bits
    I, N = dividends(values), len(values) - 1
    assert il.and_transform(v).tolist() == I
    assert il.and_inverse(v).tolist() == [sum(values[T] for T in subsets(S)) for S in range(N + 1)]
    assert il.or_transform(v).tolist() == [values[0]] + [-sum((-1) ** (T ^ L).bit_count() * values[N ^ L] for L in subsets(T)) for T in range(1, N + 1)]
    assert il.or_inverse(il.or_transform(v)).tolist() == values
    x = il.harsanyi(v)
    assert x.and_.tolist() == I
    for how in (dict(x=il.and_transform(v)), dict(x=x), dict(and_=torch.tensor(I, dtype=torch.int64)), dict(and_=I)):
        assert il.shapley(**how).tolist() == pytest.approx([float(p) for p in shapley_by_permutations(values)], rel=1e-5)
        assert il.banzhaf(**how).tolist() == pytest.approx([float(p) for p in banzhaf_by_marginals(values)], rel=1e-5)
    index = [sum(Fraction(I[T], (T ^ S).bit_count() + 1) for T in range(N + 1) if S & ~T == 0) for S in range(N + 1)]
    assert il.shapley_interactions(il.and_transform(v)).tolist() == pytest.approx([float(p) for p in index], rel=1e-5)
    index = [sum(Fraction(I[T], 2 ** (T ^ S).bit_count()) for T in range(N + 1) if S & ~T == 0) for S in range(N + 1)]
    assert il.banzhaf_interactions(il.and_transform(v)).tolist() == pytest.approx([float(p) for p in index], rel=1e-5)
    wanted = il.decompose(torch.tensor(values, dtype=torch.float64))
    assert torch.equal(il.decompose(v).and_, wanted.and_)
    assert torch.equal(il.rankings.sobol(v), il.rankings.sobol(torch.tensor(values).double()))


@pytest.mark.parametrize("make", [
    list, tuple, np.array, pd.Series, lambda v: np.array(v)[::-1][::-1], lambda v: np.array(v, dtype=">f8"), lambda v: np.array(v, dtype=np.longdouble), lambda v: np.array(v, dtype=np.int8),
    lambda v: np.ma.array(v), lambda v: [np.float32(x) for x in v], lambda v: [torch.tensor(x) for x in v], lambda v: np.broadcast_to(np.array(v), (8,))], ids=range(12))
def test_every_function_of_a_table_takes_arrays_and_lists(make):
    v = [0, 1, 2, 5, -1, 3, 3, 9]
    t, given, x = torch.tensor(v).double(), make(v), il.harsanyi(torch.tensor(v).double())
    for f in (il.and_transform, il.or_transform, il.rankings.variance_parts, il.rankings.sobol, il.rankings.sobol_first, il.rankings.sobol_total, il.rankings.best_ranking, il.sparsity.mean_outputs, x.matching_error, x.matching_curve,
              lambda v: il.rankings.insertion(v, [2, 0, 1]), lambda v: il.rankings.deletion(v, [2, 0, 1]), lambda v: il.harsanyi(v).and_, lambda v: il.decompose(v).and_, lambda v: il.decompose_shared([v, v])[1].or_,
              lambda v: coalitions.permute(v, [1, 0, 2]), lambda v: il.sparsity_bound(v).frame, lambda v: il.sparsity_conditions(v), lambda v: il.rankings.importance(v, x), lambda v: il.axioms.axiom_errors(v),
              lambda v: il.alternatives(v, k=1)[0].and_, lambda v: torch.tensor(x.how_many(v)), lambda v: il.sparsity.sparsity_thresholds(v, M=2, unproved=True)):
        ours, theirs = f(given), f(t)
        assert ours.equals(theirs) if hasattr(ours, "equals") else torch.equal(torch.as_tensor(ours).double(), torch.as_tensor(theirs).double())


def test_a_matrix_of_numpy_is_one_table_a_row():
    v = np.random.default_rng(0).normal(size=(2, 8))
    rows = [torch.tensor(row) for row in v]
    for a, b in zip(il.decompose(v), rows): assert torch.equal(a.and_, il.decompose(b).and_)
    for a, b in zip(il.decompose_shared(v), il.decompose_shared(rows)): assert torch.equal(a.and_, b.and_)
    for a, b in zip(il.decompose_shared(v.tolist()), il.decompose_shared(rows)): assert torch.equal(a.and_, b.and_)


TABLE_FUNCTIONS = {
    "and_transform": il.and_transform, "or_transform": il.or_transform, "harsanyi": il.harsanyi, "decompose": il.decompose, "decompose_shared": lambda v: il.decompose_shared([v, v]),
    "alternatives": il.alternatives, "variance_parts": il.rankings.variance_parts, "sobol": il.rankings.sobol, "sobol_first": il.rankings.sobol_first, "sobol_total": il.rankings.sobol_total, "best_ranking": il.rankings.best_ranking,
    "insertion": lambda v: il.rankings.insertion(v, [0, 1]), "deletion": lambda v: il.rankings.deletion(v, [0, 1]), "importance": lambda v: il.rankings.importance(v, il.harsanyi([0, 1, 2, 5])),
    "matching_error": lambda v: il.harsanyi([0, 1, 2, 5]).matching_error(v), "how_many": lambda v: il.harsanyi([0, 1, 2, 5]).how_many(v),
    "mean_outputs": il.sparsity.mean_outputs, "sparsity_conditions": il.sparsity_conditions, "sparsity_bound": il.sparsity_bound, "axioms": il.axioms.axiom_errors}


@pytest.mark.parametrize("name", TABLE_FUNCTIONS)
def test_effects_are_not_taken_for_a_value_table(name):
    v, x = torch.tensor([0., 1, 2, 5]).double(), il.harsanyi(torch.tensor([0., 1, 2, 5]))
    for effects in (il.and_transform(v), il.or_transform(v), x.and_, x.or_):
        with pytest.raises(TypeError, match="v: got (AND|OR) effects"): TABLE_FUNCTIONS[name](effects)
    TABLE_FUNCTIONS[name](v)


@pytest.mark.parametrize("v", [[True, False], [2**53, 0], [0, -2**60], ["1", "2"], [None, 1.], [1., 2j], {0: 1., 1: 2.}, "ab", None, 3., [[0., 1.], [0.]], [0., 5e-324], [1e-300, 0.], [0., 1e301],
                               np.ma.array([1., 2.], mask=[0, 1]), np.array(["a", "b"]), np.array([True, False]), il.harsanyi([0., 1.]), [Fraction(1, 2), Fraction(1, 3)]], ids=str)
def test_what_is_no_table_is_refused(v):
    for name in ("harsanyi", "decompose", "sobol", "mean_outputs", "best_ranking"):
        if name == "mean_outputs" and isinstance(v, il.Interactions): continue       # of interactions it takes the AND part
        with pytest.raises((TypeError, ValueError), match="^v: "): TABLE_FUNCTIONS[name](v)


@pytest.mark.parametrize("f", [il.shapley, il.banzhaf, il.shapley_interactions, il.banzhaf_interactions, lambda x: per_player(lambda k: k, x)])
def test_a_value_table_is_not_taken_for_effects(f):
    v = torch.tensor([0., 1., 2., 5.])
    for wrong in (v, v.numpy(), v.tolist(), 2 * il.and_transform(v), torch.stack([v, v])):
        with pytest.raises(TypeError, match=r"x: got a .*must be Interactions, or a torch.Tensor.*harsanyi\(v\).*and_="): f(wrong)
    torch.testing.assert_close(f(il.and_transform(v)).double(), f(il.harsanyi(v)))


def test_of_a_value_table_shapley_and_banzhaf_are_said_how():
    v = [0., 1., 2., 5.]                                                # 1 and 2 alone, 2 more together
    assert il.shapley(il.harsanyi(v)).tolist() == il.banzhaf(il.harsanyi(v)).tolist() == [2., 3.]
    assert il.shapley(and_=il.and_transform(v).tolist()).tolist() == [2., 3.]
    for wrong in (dict(), dict(x=il.harsanyi(v), and_=v)):
        with pytest.raises(TypeError, match="exactly one of the two"): il.shapley(**wrong)


def test_indices_of_a_model_with_ors_are_those_of_its_outputs():
    v = il.and_or_game(4, {(0, 1): 1., (2,): 3.}, {(1, 2, 3): 2.}, .5)
    x = il.decompose(v, 0.)
    assert x.or_.abs().max() > 1
    torch.testing.assert_close(il.shapley_interactions(x), il.shapley_interactions(il.and_transform(v)), atol=1e-6, rtol=0)
    torch.testing.assert_close(il.banzhaf_interactions(x), il.banzhaf_interactions(il.and_transform(v)), atol=1e-6, rtol=0)
    for f in (il.shapley_interactions, il.banzhaf_interactions):
        with pytest.raises(TypeError, match="x: got OR effects"): f(il.or_transform(v))


@pytest.mark.parametrize("call, message", [
    (lambda v: il.and_inverse(il.or_transform(v)), "I: got OR effects; it must be AND effects"),
    (lambda v: il.or_inverse(il.and_transform(v)), "I: got AND effects; it must be OR effects"),
    (lambda v: il.Interactions(il.or_transform(v), torch.zeros(4)), "and_: got OR effects"),
    (lambda v: il.rankings.importance(il.harsanyi(v), v), "x: got Tensor; it must be Interactions"),
    (lambda v: il.allocation.player_shares(v), "x: got Tensor; it must be Interactions"),
    (lambda v: il.transferability([v, v], k=3), r"xs\[0\]: got Tensor; it must be Interactions"),
    (lambda v: il.order_strength(v), "xs: got Tensor; it must be Interactions"),
    (lambda v: il.generalization_power([v], [v]), r"train_xs\[0\]: got Tensor; it must be Interactions"),
    (lambda v: il.confusing_samples(il.and_transform(v)), "xs: .* average order"),
    (lambda v: il.confusion.agreement(il.and_transform(v), v), "a: .* average order"),
    (lambda v: il.rankings.ranking_of(il.and_transform(v)), "x: got AND effects"),
    (lambda v: il.taylor.taylor_error(v, torch.sum), "T: got Tensor; it must be a Taylor"),
    (lambda v: il.taylor_methods.weigh_terms(v, "Shapley value"), "T: got Tensor; it must be a Taylor"),
])
def test_the_wrong_object_is_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message): call(torch.tensor([0., 1., 2., 5.]))


def test_the_mark_goes_with_the_first_calculation_and_is_on_no_other_tensor():
    v = torch.randn(8)
    zeros, I = torch.zeros(8), il.and_transform(v)
    x = il.Interactions(I, zeros)
    assert not hasattr(v, "effects") and not hasattr(zeros, "effects")
    for derived in (I + 0, I.clone(), I[None], I.detach(), I.exp(), x.and_ + x.or_, x.predict(), il.and_inverse(I)): assert not hasattr(derived, "effects")


NEARLY_NOTHING = [(1e-16, 2), (1e-15, 3), (1e-13, 3), (1e-11, 2), (1e-9, 3), (1e-6, 2)]


@pytest.mark.parametrize("more, m", NEARLY_NOTHING)
@pytest.mark.parametrize("alpha, share", [(0., .5), (.1, None), (1., 0.)])
def test_outputs_that_hardly_exceed_the_noise_end_with_a_proof_or_a_warning(more, m, alpha, share):
    vs = []
    for seed in range(m):                                               # v(empty) is the least and v(N) the largest output, but for a hair
        v = torch.rand(8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).sort().values
        v[3] = v[-1] + more
        vs.append(v)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        xs = il.decompose_shared(vs, alpha, .5, share)
    s = xs[0].solution
    assert s.gap <= SOLVERS["ipm"].gap or any("gap" in str(w.message) for w in said)
    assert more > 1e-12 or share == 0. or s.objective == s.lower_bound == 0      # with equal splits the constants part the models
    for x, v in zip(xs, vs): assert (x.matching_error(v) <= .5 * (v[-1] - v[0]).abs() + 2e-12).all()


def test_random_shared_decompositions_are_silent_only_with_a_proof():
    for seed in range(40):
        g = torch.Generator().manual_seed(seed)
        vs = torch.randn(2 + seed % 2, 2 ** (3 + seed % 2), generator=g, dtype=torch.float64)
        if seed % 3 == 0: vs = vs.sort(-1).values
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            s = il.decompose_shared(vs, (0., .1, 1.)[seed % 3], (.5, 1.)[seed // 2 % 2], (None, .05, .5)[seed % 3])[0].solution
        assert s.gap <= 1e-6 or said, seed


def tree_tables():
    "A boosted ensemble of the diabetes data, as it is read with three more decimals (single precision) than its steps have."
    from sklearn.datasets import load_diabetes
    from xgboost import XGBRegressor
    X, y = load_diabetes(return_X_y=True)
    model = XGBRegressor(n_jobs=1).fit(X, y)
    for row in (0, 40):
        shown = np.pad(il.masks(7).numpy(), ((0, 0), (0, 3)), constant_values=True)
        yield model.predict(np.where(shown, X[row], X.mean(0)))


def test_tables_of_trees_reach_the_promised_gap_without_noise():
    for v in tree_tables():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            x = il.decompose(v, 0.)
        assert x.solution.gap <= 1e-6
        assert x.solution.objective == pytest.approx(il.decompose(v, 0., solver="highs").solution.objective, rel=1e-6)
        assert x.matching_error(v).max() < 1e-8 * abs(v).max()


def test_refinement_is_needed_for_such_tables():
    u = torch.tensor(next(iter(tree_tables()))).double()
    u = ((u - u[0]) / (u - u[0]).abs().max())[None, None]
    none = torch.zeros(1, 1).double()
    assert interior_point(u, none)[3].item() == 59 and careful_interior_point(u, none)[3].item() > 59


@pytest.mark.parametrize("scale", [2.**500, 2.**-500, 2.**900, 2.**-900])
def test_sobol_indices_do_not_depend_on_the_unit(scale):
    v = torch.randn(3, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for f in (il.rankings.sobol, il.rankings.sobol_first, il.rankings.sobol_total): assert torch.equal(f(v * scale), f(v))


@pytest.mark.parametrize("scale", [1e160, 1e-160, 1e290, 1e-280])
def test_decompositions_scale_with_the_unit(scale):
    v = il.planted(4, 3, 3, seed=1)[0]
    for solve in (il.harsanyi, il.decompose, lambda v: il.decompose_shared([v, 2 * v])[0]):
        x, y = solve(v), solve(v * scale)
        torch.testing.assert_close(y.and_ / scale, x.and_, atol=1e-6, rtol=0)
        assert y.solution.objective / scale == pytest.approx(x.solution.objective, rel=1e-6) and y.solution.gap <= 1e-6
    assert len(x.primitives()) == len(y.primitives())
    assert "0.000" not in repr(il.harsanyi(v * scale))


def test_squares_that_do_not_fit_are_refused():
    v = torch.randn(8, dtype=torch.float64)
    for scale in (1e160, 1e-160):
        with pytest.raises(ValueError, match="whose squares float64 cannot hold"): il.rankings.variance_parts(v * scale)


def test_the_strongest_of_many_come_at_once():
    g = torch.Generator().manual_seed(0)
    x = il.Interactions(torch.randn(2**18, generator=g, dtype=torch.float64), torch.cat([torch.zeros(1), torch.randn(2**18 - 1, generator=g)]).double())
    sizes = torch.cat([x.and_[1:], x.or_[1:]]).abs()
    started = time.perf_counter()
    top = x.primitives(k=10)
    repr(x), x._repr_html_()
    assert time.perf_counter() - started < 2                            # a frame of everything takes six
    assert top.effect.abs().tolist() == sizes.sort(descending=True).values[:10].tolist()
    for r in top.itertuples(): assert r.effect == (x.and_ if r.kind == "and" else x.or_)[il.coalition(r.members)] and r.order == len(r.members)
    assert il.rankings.ranking_of(il.harsanyi([0, 1, 2, 5]), 1) == [1, 0]


@pytest.mark.parametrize("scale", [1e-12, 1e-5, 1., 1e5, 1e12])
def test_print_shows_four_digits_of_any_size(scale):
    x = il.Interactions(torch.tensor([.5, 3.1416, -2.7183, 0.]).double() * scale, torch.zeros(4), ["a", "b"])
    shown = [float(line.split()[0]) for line in repr(x).splitlines()[1:]]
    assert shown == pytest.approx([3.1416 * scale, -2.7183 * scale], rel=2e-4)
    assert float(repr(x).splitlines()[0].split("constant ")[1]) == pytest.approx(.5 * scale)
    page = x._repr_html_().replace("−", "-").replace(",", "")
    assert f"{3.1416 * scale:+.3g}" in page or f"{3.1416 * scale:+.0f}" in page
    t = il.taylor.Taylor(torch.eye(2).long(), torch.tensor([3.1416, 0.]).double() * scale, torch.ones(2), torch.zeros(2), .5 * scale)
    assert float(repr(t).splitlines()[1].split()[0]) == pytest.approx(3.1416 * scale, rel=2e-4)


def test_a_short_admm_shows_no_bar(capfd):
    v = il.planted(8, 5, 5)[0] + .1 * torch.randn(256, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from interlib.solve.first_order import admm
        admm(((v - v[0]) / 10)[None, None], torch.full((1, 1), .01).double(), max_iter=100, tol=0.)
    assert capfd.readouterr().err == ""


def run(code, **env):
    import os
    clean = {k: t for k, t in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean | env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_memory_knows_the_limits_of_the_process():
    code = """
import resource, psutil, interlib as il
from interlib.core.coalitions import free_memory
for kind, used in ((resource.RLIMIT_AS, 'vms'), (resource.RLIMIT_DATA, 'data')):
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (getattr(psutil.Process().memory_info(), used) + 10**9, before[1]))
    print(free_memory() <= 10**9)
    try: il.masks(23)
    except ValueError as e: print('take_fewer_players' if 'take fewer players' in str(e) else e)
    resource.setrlimit(kind, before)
"""
    assert run(code) == ["True", "take_fewer_players"] * 2


@pytest.mark.parametrize("files, own, left", [
    ({"a/b/memory.max": "5000", "a/b/memory.current": "3000", "a/b/memory.stat": "inactive_file 500", "a/memory.max": "max", "a/memory.current": "1", "a/memory.stat": ""}, "0::/a/b", 2500),
    ({"a/b/memory.max": "max", "a/b/memory.current": "3000", "a/b/memory.stat": "", "a/memory.max": "4000", "a/memory.current": "3900", "a/memory.stat": ""}, "0::/a/b", 100),
    ({"memory.max": "700", "memory.current": "900", "memory.stat": ""}, "0::/../outside", 0),
    ({"memory/a/memory.limit_in_bytes": "5000", "memory/a/memory.usage_in_bytes": "1000", "memory/a/memory.stat": "total_inactive_file 300"}, "4:memory:/a\n3:cpu:/b", 4300),
    ({"memory/memory.limit_in_bytes": "5000", "memory/memory.usage_in_bytes": "1000", "memory/memory.stat": ""}, "4:memory:/docker/0123\n0::/", 4000),
    ({}, "0::/a", float("inf")),
])
def test_memory_knows_the_limits_of_a_container(tmp_path, files, own, left):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text(own)
    assert coalitions.left_by_cgroups(tmp_path, tmp_path / "own") == left


def test_threads_are_told_to_wait_quietly_unless_somebody_chose():
    assert run("import interlib, os; print(os.environ['OMP_WAIT_POLICY'])") == ["PASSIVE"]
    assert run("import interlib, os; print(os.environ.get('OMP_WAIT_POLICY'))", GOMP_SPINCOUNT="100") == ["None"]
    late = """
import os, torch
torch.set_num_threads(2)
import interlib as il
from interlib.solve.solvers import SOLVERS
own = SOLVERS['ipm'].run
def watch(*args): print(torch.get_num_threads()); return own(*args)
watch.__name__ = 'ipm'
il.decompose(il.planted(5, 2, 2)[0], solver=watch)
print(torch.get_num_threads(), os.environ.get('OMP_WAIT_POLICY'))
"""
    assert run(late) == ["1", "2", "None"]
