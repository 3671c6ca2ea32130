"Interactions of more players than any table of coalitions could hold: every measure works from the list"
import pytest
import torch

import interlib as il
from interlib.measure.allocation import player_shares, shares_by_order
from interlib.measure.confusion import average_order, generalization_power, offsetting, order_strength
from interlib.measure.sharing import shared_interactions, shared_strength, transferability

N = 60


def random_list(n, seed, players=10, effects=40):
    "Interactions of `n` players, of which only the first few take part."
    g = torch.Generator().manual_seed(seed)
    members = torch.zeros(effects, n, dtype=torch.bool)
    members[:, :players] = torch.rand(effects, players, generator=g) < .3
    keep = members.any(1)
    is_or = torch.rand(effects, generator=g) < .5
    effect = torch.randn(effects, generator=g, dtype=torch.float64)
    return il.Interactions.of(is_or[keep], members[keep], effect[keep], 1.)


@pytest.fixture(scope="module")
def pair(): return [random_list(N, 0), random_list(N, 1)], [random_list(10, 0), random_list(10, 1)]


@pytest.mark.parametrize("measure", [il.shapley, il.banzhaf, player_shares])
def test_one_number_for_each_player(pair, measure):
    for many, few in zip(*pair):
        got = measure(many)
        assert got.shape == (N,) and not got[10:].any()
        dense = il.Interactions(few.and_, few.or_)
        table = il.and_transform(dense.predict())                       # the definition, from all outputs
        expected = measure(few) if measure is player_shares else measure(table)
        torch.testing.assert_close(got[:10], expected, rtol=1e-10, atol=1e-12)


def test_sharing(pair):
    many, few = pair
    for limits in (dict(k=[1, 5, 20, 99]), dict(tau=[.1, 1.])):
        assert transferability(many, **limits).equals(transferability(few, **limits))
    f, g = (shared_interactions(xs, k=10) for xs in pair)
    assert f.drop(columns="players").equals(g.drop(columns="players"))
    f, g = (shared_strength(xs, k=10) for xs in pair)
    assert f[f.order <= 10].reset_index(drop=True).equals(g) and not f[f.order > 10].strength.any()


def test_orders(pair):
    many, few = pair
    torch.testing.assert_close(average_order(many), average_order(few), rtol=1e-12, atol=0)
    for measure in (order_strength, offsetting):
        f = measure(many)
        assert f[f.order.map(lambda o: o == "all" or o <= 10)].reset_index(drop=True).equals(measure(few))
    f, g = (generalization_power(xs[:1], xs[1:]) for xs in pair)
    assert f[f.order.map(lambda o: o == "all" or o <= 10)].reset_index(drop=True).equals(g)
    wide, narrow = shares_by_order(many[0]), shares_by_order(few[0])
    assert wide.value.sum() == pytest.approx(narrow.value.sum())


def test_the_list_alone_is_read(pair, monkeypatch):
    def refuse(self): raise AssertionError("a table of all coalitions was made")
    for kind in ("and_", "or_"): monkeypatch.setattr(il.Interactions, kind, property(refuse))
    many = pair[0]
    for measure in (il.shapley, il.banzhaf, player_shares, average_order, order_strength, offsetting): measure(many[0])
    for measure in (transferability, shared_interactions, shared_strength): measure(many, k=5)
    many[0].predict(torch.rand(100, N) < .5)
    assert len(many[0].strongest(3)) == 3 and str(many[0]) and many[0].to_frame().shape[1] == 5
