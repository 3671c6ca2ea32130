"Circles: what their intervals promise, on real tables and on a game of thirty players whose averages are known"
from math import comb

import numpy as np
import pytest
import torch

import interlib as il
from interlib.measure.conditions import exponents

REAL = {name: example.v for name, example in il.examples.prompts().items()}


def pairs_of(n, seed):
    "A game of single players and pairs, and its average outputs by Lemma 2."
    g = torch.Generator().manual_seed(seed)
    single, pair = torch.rand(n, generator=g).double(), torch.randn(n, n, generator=g).double().triu(1)
    def game(masks):
        m = masks.double()
        return m @ single + .2 * ((m @ pair) * m).sum(1)
    A1, A2 = single.sum().item(), .2 * pair.sum().item()
    return game, np.array([m / n * A1 + comb(m, 2) / comb(n, 2) * A2 for m in range(n + 1)])


GAMES = {name: (lambda masks, v=v: v[(masks.long() << torch.arange(10)).sum(1)], il.sparsity.mean_outputs(v)) for name, v in REAL.items()} | {f"pairs {i}": pairs_of(30, i) for i in range(2)}


@pytest.mark.parametrize("name", GAMES)
def test_fall_and_exponents_are_in_their_intervals(name):
    game, u = GAMES[name]
    true = np.array([il.sparsity.largest_fall(u), *exponents(np.maximum(u, 0))[::-1]])
    held, seeds = np.zeros(3), 60
    for seed in range(seeds):
        found = il.sparsity.judge_circles(il.sparsity.ask_circles(game, len(u) - 1, 8, seed))
        held += (found.low.to_numpy() - 1e-6 <= true) & (true <= found.high.to_numpy() + 1e-6)
        assert found.verdict.iloc[1] != "fails"
    assert (held >= .9 * seeds).all(), held


@pytest.mark.parametrize("name", GAMES)
def test_steps_are_in_their_intervals_all_together(name):
    game, u = GAMES[name]
    held, seeds = 0, 100
    for seed in range(seeds):
        f = il.sparsity.circle_intervals(il.sparsity.ask_circles(game, len(u) - 1, 8, seed))[:-1]
        held += ((f.step_low - 1e-6 <= np.diff(u)) & (np.diff(u) <= f.step_high + 1e-6)).all()
    assert held >= .9 * seeds, held
