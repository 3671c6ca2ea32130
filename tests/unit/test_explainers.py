"""Captum on the players of games of real networks: text, images with a background, features, several references."""
import numpy as np
import pytest
import torch
from captum.attr import DeepLift, FeatureAblation, GradientShap, IntegratedGradients, KernelShap, LRP, NoiseTunnel, ShapleyValueSampling
from hypothesis import given, settings
from hypothesis import strategies as st

import interlib as il
from interlib.model.explainers import gradient_x_difference, sum_over_regions


@pytest.fixture(scope="module")
def prompt():
    model, tokenizer = il.load_lm("smollm2", progress=False)
    return il.text_game(model, tokenizer, "A red apple falls to the ground because of the pull of", players=["apple", "pull"])


@pytest.fixture(scope="module")
def picture():
    net = il.networks.vgg(11)
    il.training.train(net, il.data.digits().subset(300, 50), epochs=2, lr=.05, batch_size=16, progress=False)
    return il.image_game(net, il.data.digits().test_x[0], grid=4, players=5, choose="random", border=2, target=3, baseline="channel_mean")


def difference(game): return il.evaluate(game, progress=False, cache=None)


@pytest.mark.parametrize("which", ["prompt", "picture"])
def test_complete_on_every_masked_sample(which, request):
    game = request.getfixturevalue(which)
    a, v = il.explainers.attribute(game, IntegratedGradients, il.masks(game.n), n_steps=16), difference(game)
    assert a.shape == (2**game.n, game.n) and a.dtype == torch.float64
    assert (a.sum(1) - (v - v[0])).abs().max() < .1 * (v - v[0]).abs().max()
    assert a[~il.masks(game.n)].abs().max() == 0                                            # nothing for the masked
    frame = il.allocation.split_attributions(a, game.players)
    np.testing.assert_allclose(frame.groupby("player", sort=False)[["own", "foreign"]].sum().sum(axis=1), a[-1], atol=1e-8)


@pytest.mark.parametrize("which", ["prompt", "picture"])
def test_occlusion_and_sampled_shapley_read_the_table(which, request):
    game = request.getfixturevalue(which)
    v, top = difference(game), 2**game.n - 1
    size = (v - v[0]).abs().max()
    drop = torch.stack([v[top] - v[top - 2**i] for i in range(game.n)])
    assert (il.explainers.attribute(game, FeatureAblation) - drop).abs().max() < 1e-4 * size
    sampled = il.explainers.attribute(game, ShapleyValueSampling, n_samples=15)
    assert (sampled.sum() - (v[-1] - v[0])).abs() < 1e-4 * size
    assert (sampled - il.shapley(il.and_transform(v))).abs().max() < .5 * size


def test_gradients_by_hand(picture):
    m = picture.masked
    x = m.x.clone().requires_grad_()
    m.value(m.model(x[None])).sum().backward()
    by_hand = sum_over_regions(((x - m.fill) * x.grad)[None].detach(), m.regions, picture.n)[0]
    assert torch.allclose(il.explainers.attribute(picture, gradient_x_difference), by_hand, atol=1e-5)


def test_deeplift_explains_all_of_the_output():
    torch.manual_seed(0)
    game = il.tabular_game(torch.nn.Sequential(torch.nn.Linear(5, 9), torch.nn.ReLU(), torch.nn.Linear(9, 9), torch.nn.Tanh(), torch.nn.Linear(9, 1)), torch.randn(5), torch.randn(5))
    a, v = il.explainers.attribute(game, DeepLift, il.masks(5)), difference(game)
    assert (a.sum(1) - (v - v[0])).abs().max() < 1e-5


def test_features_of_a_layer():
    game = il.feature_game(il.networks.resnet(20), il.data.digits().test_x[:1], "layer1", players=4, border=2)
    a, v = il.explainers.attribute(game, IntegratedGradients, n_steps=50), difference(game)
    assert (a.sum() - (v[-1] - v[0])).abs() < .05 * (v - v[0]).abs().max()


def test_several_references_are_averaged():
    net, rows = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)), torch.randn(4, 4)
    ask = lambda b: il.explainers.attribute(il.tabular_game(net, rows[0], b), IntegratedGradients, n_steps=20)
    assert torch.allclose(ask(rows[1:]), torch.stack([ask(b) for b in rows[1:]]).mean(0), atol=1e-6)


@pytest.mark.parametrize("method, options", [(KernelShap, dict(n_samples=40)), (GradientShap, dict(stdevs=.1)), (ShapleyValueSampling, {})])
def test_same_seed_same_numbers_and_no_draws_left(method, options, picture):
    torch.manual_seed(3); np.random.seed(3)
    after = torch.rand(1), np.random.rand()
    torch.manual_seed(3); np.random.seed(3)
    a, b, c = (il.explainers.attribute(picture, method, seed=s, **options) for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(torch.rand(1), after[0]) and np.random.rand() == after[1]


def test_the_network_is_borrowed(picture):
    net = picture.masked.model
    net.train()
    for p in net.parameters(): p.grad = None
    before = {k: t.clone() for k, t in net.state_dict().items()}
    with torch.inference_mode(): il.explainers.attribute(picture, DeepLift)
    assert net.training and all(torch.equal(before[k], t) for k, t in net.state_dict().items())
    assert all(not m._forward_hooks and not m._forward_pre_hooks and not m._backward_hooks for m in net.modules()) and all(p.grad is None for p in net.parameters())
    net.eval()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_orders_add_up(n, seed):
    a = torch.randn(2**n, n, generator=torch.Generator().manual_seed(seed)).double()
    frame = il.allocation.split_attributions(a)
    np.testing.assert_allclose(frame.groupby("player")[["own", "foreign"]].sum().sum(axis=1), a[-1], atol=1e-9)
    np.testing.assert_allclose(frame[frame.order == 0].foreign, a[0], atol=1e-12)


def test_what_a_method_refuses_is_said(picture, prompt):
    with pytest.raises(ValueError, match="method: IntegratedGradients cannot be run on this game"): il.explainers.attribute(picture, IntegratedGradients, n_steps="many")
    with pytest.raises(ValueError, match="method: NoiseTunnel cannot be run"): il.explainers.attribute(picture, NoiseTunnel)
    with pytest.raises(ValueError, match="method: LRP cannot be run"): il.explainers.attribute(prompt, LRP)
    with pytest.raises(ValueError, match="masks: got torch.float32"): il.explainers.attribute(picture, IntegratedGradients, torch.ones(1, 5))
    with pytest.raises(ValueError, match="seed: got -1"): il.explainers.attribute(picture, IntegratedGradients, seed=-1)
