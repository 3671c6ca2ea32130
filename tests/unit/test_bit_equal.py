"""Decompositions are what they were: stored numbers of every solver, on one thread, to the last digits that a machine keeps."""
import json
import platform
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch

import interlib as il
from interlib.solve.certificate import with_unit_size
from interlib.solve.first_order import admm, sgd

TABLES = {name: example.v for name, example in il.examples.prompts().items()}
STORED = Path(__file__).parents[1] / "data" / "decompositions.json"
SOLVERS = {"ipm": "ipm", "highs": "highs", "admm": with_unit_size(partial(admm, max_iter=50)), "sgd": partial(sgd, lr=1e-5, steps=50)}


def machine():
    "What the last digits depend on."
    return [platform.machine(), torch.backends.cpu.get_cpu_capability(), torch.__version__]


def numbers_of(x):
    "Objective, bound, and two sums with other weights over each of the two tables of effects."
    weights = torch.linspace(1, 2, len(x.and_), dtype=torch.float64)
    sums = [(w * t).sum().item() for t in (x.and_, x.or_) for w in (weights, weights.cos())]
    return [x.solution.objective, x.solution.lower_bound, *sums]


def decompositions():
    "Every table with every solver, with noise and without, and pairs of models: `(name, function that gives numbers)`."
    for name, v in TABLES.items():
        for noise in (.02, 0.):
            for solver, f in SOLVERS.items():
                yield f"{name} {noise} {solver}", lambda v=v, noise=noise, f=f: numbers_of(il.decompose(v, noise, f))
    for p in il.examples.pairs()[4:]:
        vs = [TABLES[t] for t in p["tables"]]
        f = lambda p=p, vs=vs: sum(map(numbers_of, il.decompose_shared(vs, p["alpha"], p["noise"], p["share"])), [])
        yield f"{' '.join(p['tables'])} {p['alpha']} {p['share']} {p['noise']}", f


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)                                                # the order of sums depends on their number
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name, run", list(decompositions()), ids=lambda x: x if isinstance(x, str) else "")
def test_decompositions_are_what_they_were(name, run):
    stored = json.loads(STORED.read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers = run()
    same_machine = stored["machine"] == machine()
    if same_machine: assert numbers == pytest.approx(stored["numbers"][name], rel=1e-12, abs=1e-12)
    else: assert numbers[0] == pytest.approx(stored["numbers"][name][0], rel=1e-6)
