"""Rules of LRP, Deep Taylor, DeepLIFT and Deep SHAP through networks: random networks, ResNet-20, a rule of one's own, what is left behind, wrong input."""
import warnings

import pytest
import torch
from captum.attr import LRP
from captum.attr._utils.lrp_rules import GammaRule
from torch import nn
from torch.nn import functional as F

from interlib.measure.layer_rules import LAYER_RULES, LayerRule, Rescale, ShapleyModule, attribute_layers, divide
from interlib.measure.layer_steps import read_steps
from interlib.nets.networks import alexnet, resnet

FROM_ZERO = [name for name, rules in LAYER_RULES.items() if not rules["rule"].baseline]
FROM_BASELINE = [name for name in LAYER_RULES if name not in FROM_ZERO]
ACTIVATIONS = [nn.ReLU(), nn.Tanh(), nn.Softplus(), nn.LeakyReLU(.1), nn.SiLU(), nn.Sigmoid(), nn.ReLU(inplace=True)]


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def perceptron(bend, seed, bias=True):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 12, bias), bend, nn.Linear(12, 7, bias), bend, nn.Linear(7, 3, bias)).double()


def small_resnet(seed=0):
    "ResNet-20 with normalisations that do something, scales of either sign among them."
    net = resnet(20, classes=3, seed=seed).double()
    g = torch.Generator().manual_seed(seed)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.weight.data.uniform_(-.5, 1.5, generator=g)
            m.bias.data.normal_(0, .3, generator=g)
            m.running_mean.normal_(0, .3, generator=g)
            m.running_var.uniform_(.5, 2, generator=g)
    return net


class Shapes(nn.Module):
    "Takes its sizes from the input, and calls functions for everything."
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 3, 3), nn.Linear(12, 2)

    def forward(self, x):
        y = F.relu(self.conv(F.pad(x, (1, 1, 1, 1)))[:, :, ::2, ::2], inplace=True)
        y += 1.
        y = F.avg_pool2d(y, 2).reshape(x.shape[0], 3, -1).permute(0, 2, 1)
        return self.fc(y.contiguous().view(x.size(0), -1))


class Alone(nn.Module):
    "A module around a function."
    def __init__(self, f):
        super().__init__()
        self.f, self.fc, self.w = f, nn.Linear(2, 2), nn.Parameter(torch.ones(2))

    def forward(self, x): return self.f(self, x)


@pytest.mark.parametrize("bend", ACTIVATIONS, ids=lambda m: f"{type(m).__name__}{getattr(m, 'inplace', '')}")
@pytest.mark.parametrize("seed", range(3))
def test_differences_are_handed_out(bend, seed):
    net, x, b = perceptron(bend, seed), numbers(4, 5, seed=seed), numbers(3, 5, seed=seed + 10)
    with torch.no_grad(): change = (net(x) - net(b).mean(0))[:, 2]
    for name in FROM_BASELINE:
        a = attribute_layers(net, x, name, b, target=2)
        assert a.shape == x.shape and torch.allclose(a.sum(1), change, atol=1e-9), name


@pytest.mark.parametrize("seed", range(3))
def test_relevance_without_biases(seed):
    net, x = perceptron(nn.ReLU(), seed, bias=False), numbers(4, 5, seed=seed)
    with torch.no_grad(): y = net(x)[:, 0]
    assert torch.allclose(attribute_layers(net, x, "LRP-epsilon", target=0).sum(1), y, atol=1e-10)
    assert (attribute_layers(net, x, "Deep Taylor, z+", target=0) * y.sign()[:, None] >= 0).all()


@pytest.mark.parametrize("name", LAYER_RULES)
def test_samples_do_not_mix(name):
    net, x, b = perceptron(nn.ReLU(), 1), numbers(4, 5), numbers(2, 5, seed=1)
    b = None if name in FROM_ZERO else b
    together = attribute_layers(net, x, name, b, 1)
    for row, sample in zip(together, x): assert torch.allclose(row, attribute_layers(net, sample[None], name, b, 1)[0], atol=1e-12)
    if b is not None: assert torch.allclose(together, sum(attribute_layers(net, x, name, one, 1) for one in b) / 2, atol=1e-12)


def as_dense(conv, shape):
    "A linear layer that does what a convolution does to pictures of one shape."
    zero = torch.zeros(1, *shape).double()
    bias = conv(zero).flatten()
    units = torch.eye(zero.numel()).double().reshape(-1, *shape)
    weights = (conv(units) - conv(zero)).flatten(1)
    dense = nn.Linear(*weights.shape).double()
    dense.weight.data, dense.bias.data = weights.T.detach(), bias.detach()
    return dense


@pytest.mark.parametrize("name", LAYER_RULES)
def test_a_convolution_is_a_linear_layer(name):
    torch.manual_seed(5)
    one, two, fc = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 2, stride=1), nn.Linear(4, 2)
    net = nn.Sequential(one, nn.ReLU(), two, nn.Tanh(), nn.Flatten(), fc).double()
    dense = nn.Sequential(nn.Flatten(), as_dense(one, (1, 3, 3)), nn.ReLU(), as_dense(two, (1, 3, 3)), nn.Tanh(), fc)
    x, b = numbers(3, 1, 3, 3), None if name in FROM_ZERO else numbers(1, 3, 3, seed=8)
    assert torch.allclose(net(x), dense(x)) and torch.allclose(attribute_layers(net, x, name, b, 0), attribute_layers(dense, x, name, b, 0), atol=1e-10)


def layers_of(net):
    return [(m.weight.data, m.bias.data) for m in net if isinstance(m, nn.Linear)]


def alpha_beta_in_loops(net, x, alpha, beta):
    "From the definition, one neuron after the other."
    inputs = [x]
    for W, c in layers_of(net)[:-1]: inputs.append((W @ inputs[-1] + c).relu())
    W, c = layers_of(net)[-1]
    R = torch.zeros(3).double()
    R[1] = W[1] @ inputs[-1] + c[1]
    for (W, _), a in zip(reversed(layers_of(net)), reversed(inputs)):
        lower = torch.zeros(len(a)).double()
        for j in range(len(R)):
            u = W[j] * a
            P, Q = u.clamp(min=0).sum(), u.clamp(max=0).sum()
            for i in range(len(a)):
                if u[i] > 0: lower[i] += alpha * u[i] / P * R[j]
                if u[i] < 0: lower[i] -= beta * u[i] / Q * R[j]
        R = lower
    return R


def reveal_cancel_in_loops(net, x, b):
    "Multipliers of Shrikumar et al. (2017), sections 3.2 and 3.5, one neuron after the other."
    xs, bs = [x], [b]
    for W, c in layers_of(net)[:-1]: xs, bs = [*xs, (W @ xs[-1] + c).relu()], [*bs, (W @ bs[-1] + c).relu()]
    M = layers_of(net)[-1][0][1]
    for (W, c), a, base in list(zip(layers_of(net), xs, bs))[-2::-1]:
        lower = torch.zeros(len(a)).double()
        for j in range(len(W)):
            u, z = W[j] * (a - base), W[j] @ base + c[j]
            P, Q = u.clamp(min=0).sum(), u.clamp(max=0).sum()
            y = {(p, q): (z + p * P + q * Q).relu() for p in (0, 1) for q in (0, 1)}
            limit = ((z > 0).double() + (z + P + Q > 0).double()) / 2
            plus = ((y[1, 0] - y[0, 0] + y[1, 1] - y[0, 1]) / 2 / P) if P > 0 else limit
            minus = ((y[0, 1] - y[0, 0] + y[1, 1] - y[1, 0]) / 2 / Q) if Q < 0 else limit
            for i in range(len(a)): lower[i] += M[j] * W[j, i] * (plus if u[i] > 0 else minus if u[i] < 0 else (plus + minus) / 2)
        M = lower
    return M * (x - b)


@pytest.mark.parametrize("seed", range(3))
def test_from_the_definitions(seed):
    net, x, b = perceptron(nn.ReLU(), seed), numbers(5, seed=seed), numbers(5, seed=seed + 10)
    assert torch.allclose(attribute_layers(net, x[None], "LRP-alpha-beta", target=1)[0], alpha_beta_in_loops(net, x, 2, 1))
    assert torch.allclose(attribute_layers(net, x[None], "Deep Taylor, z+", target=1)[0], alpha_beta_in_loops(net, x, 1, 0))
    assert torch.allclose(attribute_layers(net, x[None], "DeepLIFT RevealCancel", b, 1)[0], reveal_cancel_in_loops(net, x, b))


def test_resnet_20():
    net, x, b = small_resnet(), numbers(2, 1, 8, 8), numbers(1, 8, 8, seed=5)
    with torch.no_grad(): y, y_b = net(x)[:, 1], net(b[None])[:, 1]
    inputs = x.clone().requires_grad_()
    gradient = torch.autograd.grad(net(inputs)[:, 1].sum(), inputs)[0]
    assert torch.allclose(attribute_layers(net, x, "LRP-epsilon", target=1), gradient * x, atol=1e-8)
    for rule in ("DeepLIFT rescale", "DeepLIFT RevealCancel", ShapleyModule(draws=2)):
        assert torch.allclose(attribute_layers(net, x, rule, b, 1).flatten(1).sum(1), y - y_b, atol=1e-8), rule
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d): m.bias.data.zero_(), m.running_mean.zero_()          # no neuron is active by its bias alone
    with torch.no_grad(): y = net(x)[:, 1]
    for name in ("Deep Taylor, z+", "Deep Taylor, w^2"):
        assert torch.allclose(attribute_layers(net, x, name, target=1).flatten(1).sum(1), y, rtol=1e-9), name
    assert [s.kind for s in read_steps(net)].count("add") == 9


def test_max_pooling_and_dropout():
    net, x, b = alexnet(classes=2).double(), numbers(1, 1, 8, 8), numbers(1, 8, 8, seed=3)
    with torch.no_grad(): change = (net(x) - net(b[None]))[:, 0]
    for name in ("DeepLIFT rescale", "DeepLIFT RevealCancel"):
        assert torch.allclose(attribute_layers(net, x, name, b, 0).sum((1, 2, 3)), change, atol=1e-9)


def test_functions_and_sizes():
    torch.manual_seed(0)
    net, x, b = Shapes().double(), numbers(3, 1, 8, 8), numbers(1, 8, 8, seed=2)
    before = x.clone()
    with torch.no_grad(): change = (net(x) - net(b[None]))[:, 1]
    for name in LAYER_RULES:
        a = attribute_layers(net, x, name, b if name in FROM_BASELINE else None, 1)
        assert a.shape == x.shape and a.isfinite().all() and x.equal(before)
        if name in FROM_BASELINE: assert torch.allclose(a.sum((1, 2, 3)), change, atol=1e-10)


class Gamma(LayerRule):
    "LRP-gamma, which captum has too: positive weights count more."
    def weigh(self, step, parts): return (step.apply(parts[0], step.w + .25 * step.w.clamp(min=0)),)
    def close(self, s, bend): return divide(s.carried[0], s.whole[0])


def test_a_rule_of_ones_own():
    net, x = perceptron(nn.ReLU(), 4), numbers(3, 5)
    ours = attribute_layers(net, x, Gamma(), target=1)
    for m in net:
        if isinstance(m, nn.Linear): m.rule = GammaRule(set_bias_to_zero=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = LRP(net).attribute(x, target=1)
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6 * theirs.abs().max().item())


def test_more_draws_are_nearer_to_the_exact_values():
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 1)).double()
    wide[0].weight.data[:, 10:] = 0                                   # the same with 10 inputs, which is exact
    narrow = nn.Sequential(nn.Linear(10, 6), nn.ReLU(), nn.Linear(6, 1)).double()
    narrow[0].weight.data, narrow[0].bias.data, narrow[2] = wide[0].weight.data[:, :10], wide[0].bias.data, wide[2]
    x = numbers(4, 12)
    exact = attribute_layers(narrow, x[:, :10], "Deep SHAP")
    gap = {n: (attribute_layers(wide, x, ShapleyModule(draws=n))[:, :10] - exact).abs().mean().item() for n in (2, 50, 1000)}
    assert gap[1000] < gap[50] < gap[2] and gap[1000] < .02 * exact.abs().max()


def hooks(net):
    return [h for m in net.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values(), *m._backward_hooks.values())]


@pytest.mark.parametrize("name", LAYER_RULES)
def test_the_network_is_left_as_it_was(name):
    net, x = perceptron(nn.ReLU(), 0), numbers(2, 5)
    before = {k: t.clone() for k, t in net.state_dict().items()}
    with torch.inference_mode(): a = attribute_layers(net, x, name, target=0)
    assert torch.allclose(a, attribute_layers(net, x, name, target=0))
    with pytest.raises(ValueError, match="target"): attribute_layers(net, x, name, target=7)
    with pytest.raises(ValueError, match="x: got shape .2, 4., which the network cannot take"): attribute_layers(net, numbers(2, 4), name, target=0)
    assert all(t.equal(before[k]) for k, t in net.state_dict().items()) and not hooks(net)
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not x.requires_grad and not any(hasattr(m, "rule") for m in net.modules())


def moody(self, x): return self.fc(x) if x.sum() > 0 else x


WRONG = [
    (nn.Sequential(nn.Linear(2, 2), nn.Softmax(1)), TypeError, "'1' is a Softmax, which has no rule; those that have one: Linear, Conv2d, "),
    (nn.Sequential(nn.LSTM(2, 2)), TypeError, "'0' is a LSTM"),
    (nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))), TypeError, "'0.1' is a LayerNorm"),
    (Alone(lambda self, x: x * x), TypeError, "the function 'mul' is called"),
    (Alone(lambda self, x: x.exp()), TypeError, "the method 'exp' is called"),
    (Alone(lambda self, x: self.fc(x) + self.w), TypeError, "'w' outside of a layer"),
    (Alone(lambda self, x: self.fc(x)[0]), ValueError, "takes .0. of the samples"),
    (Alone(lambda self, x: self.fc(x).mean()), ValueError, "mean over the samples"),
    (Alone(lambda self, x: F.pad(self.fc(x), (1, 1), value=1.)), ValueError, "pads with other numbers than zeros"),
    (Alone(moody), ValueError, "steps cannot be read"),
    (nn.Bilinear(2, 2, 2), ValueError, "takes several inputs"),
    (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).train(), ValueError, "'1': it is in training mode"),
    (nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train(), ValueError, "'1' is in training mode"),
    (nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False)).eval(), ValueError, "no running means"),
    (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), ValueError, "pads with 'reflect'"),
]


@pytest.mark.parametrize("net, error, said", WRONG, ids=[said for *_, said in WRONG])
def test_networks_without_a_rule(net, error, said):
    with pytest.raises(error, match=said): attribute_layers(net, torch.ones(1, 2), "LRP-epsilon")


def test_rules_of_a_branch_from_the_input():
    both = Alone(lambda self, x: self.fc(F.relu(self.fc(F.relu(self.fc(x))) + self.fc(x))))
    with pytest.raises(ValueError, match="a branch from the input meets a later one"): attribute_layers(both, torch.ones(1, 2), "Deep Taylor, w^2", target=0)
    assert attribute_layers(both, torch.ones(1, 2), Rescale(), target=0).shape == (1, 2)
    ways = [lambda self, x: self.fc(F.relu(F.relu(self.fc(x)) + x)), lambda self, x: self.fc(F.relu(x + F.relu(self.fc(x))))]
    nets = [Alone(way) for way in ways]
    nets[1].load_state_dict(nets[0].state_dict())
    a, b = (attribute_layers(net.double(), numbers(3, 2), "Deep Taylor, w^2", target=0) for net in nets)
    assert torch.allclose(a, b)                                            # a sum has no order
