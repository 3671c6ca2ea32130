"""ADMM and the published gradient descent: against the exact optimum, feasible, several networks, the choice of a solver."""
import subprocess
import sys
from functools import partial

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import interlib as il
from interlib.solve.certificate import splits, strength, with_unit_size
from interlib.solve.first_order import admm, l1_ball, sgd, threshold
from test_decomposition import EXAMPLES, PAIRS, TABLES, check, check_shared, random_tables

quick = with_unit_size(partial(admm, tol=1e-2))


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.integers(4, 7), st.integers(0, 10**6), st.sampled_from([0., .02, .2]))
@example(7, 99999, 0.)                                                   # 3,000 rounds end at 1.2 %
def test_admm_comes_close_to_the_optimum(n, seed, noise):
    v = random_tables(seed, 1, n)[0]
    x, best = il.decompose(v, noise, solver=quick), il.decompose(v, noise)
    check(x, v, noise)
    assert best.solution.objective * (1 - 1e-6) <= x.solution.objective <= best.solution.objective * 1.02
    assert x.solution.gap <= .02


@pytest.mark.parametrize("share", [None, .05])
@pytest.mark.parametrize("m", [2, 3])
def test_admm_for_several_networks(m, share):
    vs = random_tables(7, m, 6)
    xs, best = il.decompose_shared(vs, share=share, solver=quick), il.decompose_shared(vs, share=share)
    check_shared(xs, vs, .02)
    assert best[0].solution.objective * (1 - 1e-6) <= xs[0].solution.objective <= best[0].solution.objective * 1.02


def test_admm_keeps_the_bound_on_the_splits():
    vs = torch.stack(random_tables(7, 2, 6))
    u = (vs - vs[:, :1])[None]
    tau, zeta = .02 * u[..., -1].abs(), .05 * u[..., -1].abs()
    x, C, lam, _ = quick(u, tau, .1, zeta)
    gamma = splits(u, x, C)[0]
    assert (gamma[0] - gamma[1]).abs().max() <= zeta.sum() + 1e-9


def test_batches_agree_with_single_calls():
    v = torch.stack(random_tables(1, 3, 6))
    for x, one in zip(il.decompose(v, solver=quick), v):
        check(x, one, .02)
        assert x.solution.gap <= .011


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of its memory from /proc")
def test_fourteen_players_are_solved_without_matrices():
    code = ("import torch, interlib as il; v = il.planted(14, 40, 40)[0] + .001 * torch.randn(2**14); x = il.decompose(v, noise=0.);"
            "print(x.solution.solver, x.solution.gap, x.matching_error(v).max().item(), *[l.split()[1] for l in open('/proc/self/status') if 'VmHWM' in l])")
    solver, gap, error, kilobytes = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert solver == "admm" and float(gap) < .01 and float(error) < 1e-8 and int(kilobytes) < 2e6


def test_the_solver_is_chosen_by_the_size_of_all_equations():
    assert il.decompose(torch.zeros(2**13)).solution.solver == "ipm"
    assert il.decompose(torch.zeros(2**14)).solution.solver == "admm"
    assert il.decompose_shared([torch.zeros(2**13)] * 2)[0].solution.solver == "admm"


def test_any_function_may_be_the_solver():
    assert il.decompose(TABLES["smollm2_2"], solver=partial(sgd, steps=3)).solution.solver == "partial"
    with pytest.raises(ValueError, match="'auto', 'ipm', 'highs', 'admm', 'sgd'"): il.decompose(TABLES["smollm2_2"], solver="cvx")


@pytest.mark.parametrize("name", ["smollm2_2"])
def test_sgd_descends_but_does_not_arrive(name):
    v, optimum = TABLES[name], EXAMPLES[name].optimum[.02]
    few, many = (il.decompose(v, solver=partial(sgd, lr=1e-5, steps=steps)) for steps in (200, 1000))
    for x in (few, many): check(x, v, .02)
    assert optimum < many.solution.objective < few.solution.objective < il.harsanyi(v).solution.objective
    assert 0 < many.solution.lower_bound < optimum


def test_sgd_keeps_its_bounds():
    vs = torch.stack(random_tables(3, 2, 6))
    u = (vs - vs[:, :1])[None]
    tau, zeta = .02 * u[..., -1].abs(), .05 * u[..., -1].abs()
    x, C, _, _ = sgd(u, tau, .1, zeta, lr=1e-3, steps=500)
    xs = il.decompose_shared(vs, share=.05, solver=partial(sgd, lr=1e-3, steps=500))
    check_shared(xs, vs, .02)
    assert xs[0].solution.objective > il.decompose_shared(vs, share=.05)[0].solution.objective


@given(st.integers(1, 5), st.integers(0, 10**6), st.floats(0, 1), st.floats(.01, 3))
@settings(max_examples=50, deadline=None)
def test_threshold_is_optimal(m, seed, alpha, t):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(m, 2, 4, generator=g, dtype=torch.float64)
    z = threshold(x, t, alpha)
    price = lambda z: t * strength(z, alpha) + (z - x).square().sum((-1, -2, -3)) / 2
    assert (price(z + .1 * torch.randn(500, m, 2, 4, generator=g, dtype=torch.float64)) >= price(z) - 1e-12).all()
    assert (l1_ball(x, t).abs().sum(0) <= t + 1e-12).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU at hand")
@pytest.mark.parametrize("solver", ["ipm", "admm"])
def test_gpu_and_cpu_agree(solver):
    v = TABLES["smollm2_2"]
    x, y = il.decompose(v, solver=solver), il.decompose(v.cuda(), solver=solver)
    assert y.and_.device.type == "cuda" and y.solution.objective == pytest.approx(x.solution.objective, rel=1e-6)
    vs = [TABLES[t] for t in PAIRS[4]["tables"]]
    a, b = il.decompose_shared(vs, solver=solver), il.decompose_shared([v.cuda() for v in vs], solver=solver)
    assert b[0].solution.objective == pytest.approx(a[0].solution.objective, rel=1e-6)
