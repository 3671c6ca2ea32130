"""One rule of identity: what computes something else is told apart, what computes the same is not, in the cache of `evaluate` and in sweeps."""
import functools
import os
import pickle
import subprocess
import sys
import types
import warnings
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import interlib as il
from interlib.model.evaluation import evaluate
from interlib.model.value_tables import table_key
from interlib.nets.code import in_library
from interlib.nets.contents import Unidentified, parts
from interlib.nets.identity import fingerprint, identity
from interlib.app.results import open_sweep
from interlib.app.sweeps import sweep

ROW = [.3, -1.2, .7, 2.1]
X = np.random.RandomState(0).randn(60, 4)
Y = [X[:, 0] > 0, X[:, 1] > .2]
LONG = np.zeros(3000)
SCALE, TABLE = 1., {"gain": 1., "deep": {"list": [1., 2.]}}


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).eval()


def rows(model, sample, output="logit", **how):
    return il.tabular_game(model, torch.tensor(sample), torch.zeros(4), target=0, output=output, **how)


class Own(nn.Module):
    "A network with everything that is no parameter."
    gain = 1.
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.linear, self.temperature, self.options = nn.Linear(4, 3), 1., {"shift": 0.}
        self.table, self.bias = np.zeros(3000), torch.zeros(3)
        self.register_buffer("mask", torch.ones(3), persistent=False)
    def finish(self, z): return z * self.gain
    def forward(self, x): return self.finish((self.linear(x) * self.mask + self.bias) / self.temperature + self.options["shift"] + self.table[1500])


class Lora(nn.Module):
    "The weights of another, and a product of two small matrices."
    def __init__(self, base, scaling):
        super().__init__()
        self.base, self.scaling = base, scaling
        torch.manual_seed(7)
        self.a, self.b = nn.Parameter(torch.randn(4, 1)), nn.Parameter(torch.randn(1, 3))
    def forward(self, x): return self.base(x) + self.scaling * x @ self.a @ self.b


class Hidden(nn.Module):
    "Says nothing of its own when it is pickled."
    def __init__(self, k):
        super().__init__()
        self.linear, self.k = net()[0], k
    def __getstate__(self): return {}
    def forward(self, x): return self.k * self.linear(x)


class Slots:
    __slots__ = ("k", "net")
    def __init__(self, k): self.k, self.net = k, net()
    def __call__(self, x): return self.k * self.net(torch.as_tensor(x).float()).detach().numpy()


class Plain:
    "A model that is no module, with a state it does not pickle."
    def __init__(self, k): self.k, self.where = k, {"weights": LONG + k}
    def __getstate__(self): return {}
    def scaled(self, z, y): return self.k * z[:, y]
    def __call__(self, x): return np.asarray(x) @ np.ones((4, 2)) * self.where["weights"][1000]


def changed(model, change):
    change(model)
    return model


def with_(name, x, make=Own):
    return changed(make(), lambda m: setattr(m, name, x))


def hooked(hook, pre=False, make=net):
    model = make()
    (model[0].register_forward_pre_hook if pre else model[0].register_forward_hook)(hook)
    return model


def steer(v): return lambda module, args, answer: answer + v


def multiply_(k):
    def hook(module, args, answer): answer.mul_(k)
    return hook


def retrained(seed):
    model = net()
    with torch.no_grad(): model[1].running_mean += seed
    return model


class OneByOne(nn.Module):
    "Rows asked one at a time: dynamic quantisation looks at the whole batch."
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
    def forward(self, x): return torch.cat([self.inner(row[None]) for row in x])


def quantised(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return OneByOne(torch.ao.quantization.quantize_dynamic(model, {nn.Linear}))


def normed(seed, norm=torch.nn.utils.parametrizations.weight_norm):
    model = net()
    norm(model[0])
    with torch.no_grad(): list(model[0].parameters())[-1].view(-1)[0] += seed
    return model.eval()


def pruned(index):
    from torch.nn.utils import prune
    model, mask = net(), torch.ones(6, 4)
    mask[index] = 0
    prune.custom_from_mask(model[0], "weight", mask)
    return model


def neighbours():
    from sklearn.neighbors import KNeighborsClassifier
    return KNeighborsClassifier(algorithm="kd_tree").fit(X, Y[0])


def pipeline(fn):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    return make_pipeline(FunctionTransformer(fn), LogisticRegression(C=1e-2)).fit(X, Y[0])


def forest(y):
    from sklearn.ensemble import RandomForestRegressor
    return RandomForestRegressor(4, random_state=0).fit(X, y)


def booster(y):
    import lightgbm
    return lightgbm.train({"verbose": -1, "min_data_in_leaf": 3}, lightgbm.Dataset(X, y * 1.), 4)


def xgb(y):
    import xgboost
    return xgboost.XGBRegressor(n_estimators=4).fit(X, y * 1.)


def method_of(model, fn):
    model.forward = types.MethodType(fn, model)
    return model


def calls(name, k):
    "A model whose class has another method."
    return type("Net", (Own,), {name: (lambda self, z: z * 1.) if k else (lambda self, z: z + 1.)})()


def scripted(k):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.k = net()[0], k
        def forward(self, x): return self.k * self.linear(x)
    return torch.jit.trace(Scaled(), torch.zeros(1, 4))


def module_of(k):
    "A module of one's own, which another function uses."
    helpers = types.ModuleType("helpers")
    exec(f"def scaled(z, y): return {k}. * z[:, y]", helpers.__dict__)
    def output(z, y): return helpers.scaled(z, y)
    return output


def closed(x):
    def output(z, y): return z[:, y] * (1 + float(x[1500]))
    return output


def default(k):
    def output(z, y, *, power=k): return z[:, y] * power
    return output


def positional(k):
    def output(z, y, power=k): return z[:, y] * power
    return output


class Scale:
    def __init__(self, k): self.k, self.calls = k, 0
    def __call__(self, z, y):
        self.calls += 1
        return self.k * z[:, y]


class Number(float):
    def __call__(self, z, y): return float(self) * z[:, y]


def counting(k):
    state = {"gain": k, "calls": 0}
    def output(z, y):
        state["calls"] += 1
        return state["gain"] * z[:, y]
    return output


def nested(k):
    if k:
        def output(z, y): return (lambda a: a * 2)(z[:, y])
    else:
        def output(z, y): return (lambda a: a * 3)(z[:, y])
    return output


def attributed(k):
    def output(z, y): return output.gain * z[:, y]
    output.gain = k
    return output


def decorated(k):
    def wrap(fn):
        @functools.wraps(fn)
        def inner(*args): return k * fn(*args)
        return inner
    @wrap
    def output(z, y): return z[:, y]
    return output


def read_global(z, y): return SCALE * z[:, y]


def read_table(z, y): return TABLE["gain"] * TABLE["deep"]["list"][1] * z[:, y]


def deeper(z, y): return read_global(z, y)


NETWORKS = { # two models that compute different things
    "trained again": (net, lambda: net(1)),
    "one weight by a bit": (net, lambda: changed(net(), lambda m: m[0].weight.data.view(-1)[:1].copy_(torch.nextafter(m[0].weight.data.view(-1)[:1], torch.tensor(9.))))),
    "frozen with other statistics": (net, lambda: retrained(.5)),
    "quantised": (net, lambda: quantised(net())),
    "quantised, other weights": (lambda: quantised(net()), lambda: quantised(net(1))),
    "in double": (net, lambda: net().double()),
    "an attribute": (Own, lambda: with_("temperature", 2.)),
    "a dict inside": (Own, lambda: with_("options", {"shift": 1.})),
    "a long array": (Own, lambda: with_("table", LONG + (np.arange(3000) == 1500))),
    "a tensor that is no parameter": (Own, lambda: with_("bias", torch.ones(3))),
    "a buffer that is not saved": (Own, lambda: with_("mask", torch.tensor([0., 1., 1.]))),
    "a class attribute": (Own, lambda: type("Own", (Own,), {"gain": 2.})()),
    "a method": (lambda: calls("finish", 0), lambda: calls("finish", 1)),
    "a steering hook": (lambda: hooked(steer(torch.zeros(6))), lambda: hooked(steer(torch.ones(6)))),
    "a hook or none": (net, lambda: hooked(lambda module, args, answer: answer * 2)),
    "a long steering vector": (lambda: hooked(lambda m, a, z, v=LONG: z + v[1500]), lambda: hooked(lambda m, a, z, v=LONG + (np.arange(3000) == 1500): z + v[1500])),
    "a hook in place": (lambda: hooked(multiply_(1.)), lambda: hooked(multiply_(2.))),
    "a hook before": (lambda: hooked(lambda module, args: (args[0] * 1.,), True), lambda: hooked(lambda module, args: (args[0] * 2.,), True)),
    "a forward of its own": (Own, lambda: method_of(Own(), lambda self, x: 2 * self.linear(x))),
    "another forward": (lambda: method_of(Own(), lambda self, x: 3 * self.linear(x)), lambda: method_of(Own(), lambda self, x: 2 * self.linear(x))),
    "an activation": (lambda: nn.Sequential(net()[0], nn.LeakyReLU(.1)), lambda: nn.Sequential(net()[0], nn.LeakyReLU(.2))),
    "a softmax over something else": (lambda: nn.Sequential(net()[0], nn.LogSoftmax(1)), lambda: nn.Sequential(net()[0], nn.LogSoftmax(0 - 1), nn.Identity())),
    "an adapter's scale": (lambda: Lora(Own().linear, 1.), lambda: Lora(Own().linear, 2.)),
    "an adapter": (lambda: Lora(Own().linear, 1.), lambda: Own().linear),
    "a parametrisation": (lambda: normed(0), lambda: normed(1)),
    "a norm by a hook": (lambda: normed(0, torch.nn.utils.spectral_norm), lambda: normed(1, torch.nn.utils.spectral_norm)),
    "a mask of pruning": (lambda: pruned(0), lambda: pruned(1)),
    "hidden from pickle": (lambda: Hidden(1.), lambda: Hidden(2.)),
    "scripted": (lambda: scripted(1.), lambda: scripted(2.)),
    "traced symbolically": (lambda: torch.fx.symbolic_trace(nn.Sequential(net()[0], nn.ReLU())), lambda: torch.fx.symbolic_trace(nn.Sequential(net()[0], nn.Tanh()))),
    "a regressor refitted": (lambda: forest(Y[0] * 1.), lambda: forest(Y[1] * 1.)),
    "a transformer's lambda": (lambda: pipeline(lambda x: x), lambda: pipeline(lambda x: x * 1. + 0. * x**3)),
    "a booster of lightgbm": (lambda: booster(Y[0]), lambda: booster(Y[1])),
    "a booster of xgboost": (lambda: xgb(Y[0]), lambda: xgb(Y[1])),
    "slots": (lambda: (Slots(1.), None), lambda: (Slots(2.), None)),
    "no module, hidden from pickle": (lambda: (Plain(1.), None), lambda: (Plain(2.), None)),
    "a function": (lambda: (lambda x: np.asarray(x) * 1., None), lambda: (lambda x: np.asarray(x) * 2., None)),
}

OUTPUTS = { # two outputs that compute different things
    "another lambda": (lambda z, y: z[:, y], lambda z, y: 2 * z[:, y]),
    "a constant": (lambda z, y: z[:, y] + 1, lambda z, y: z[:, y] + 1.5),
    "another partial": (partial(lambda z, y, k: k * z[:, y], k=1.), partial(lambda z, y, k: k * z[:, y], k=2.)),
    "a partial of a partial": (partial(partial(lambda k, z, y: k * z[:, y], 1.)), partial(partial(lambda k, z, y: k * z[:, y], 2.))),
    "a default": (positional(1.), positional(2.)),
    "a keyword's default": (default(1.), default(2.)),
    "a function inside": (nested(0), nested(1)),
    "a long array closed over": (closed(LONG), closed(LONG + (np.arange(3000) == 1500))),
    "a long tensor closed over": (closed(torch.tensor(LONG)), closed(torch.tensor(LONG) + (torch.arange(3000) == 1500))),
    "a bound method": (Plain(1.).scaled, Plain(2.).scaled),
    "an object that is called": (functools.partial(Plain.scaled, Plain(1.)), functools.partial(Plain.scaled, Plain(2.))),
    "what a function has": (attributed(1.), attributed(2.)),
    "a wrapper": (decorated(1.), decorated(2.)),
    "a module of one's own": (module_of(1), module_of(2)),
    "an object with a method of its own": (Scale(1.), Scale(2.)),
    "a number with a name": (Number(1.), Number(2.)),
    "a dict that is also written to": (counting(1.), counting(2.)),
    "a builtin": (partial(lambda f, z, y: f(z[:, y]), torch.abs), partial(lambda f, z, y: f(z[:, y]), torch.neg)),
    "another name in a library": (lambda z, y: torch.relu(z[:, y]), lambda z, y: torch.tanh(z[:, y])),
    "a network inside": ((lambda m: lambda z, y: m(z[:, :1])[:, 0])(nn.Linear(1, 1)), (lambda m: lambda z, y: m(z[:, :1])[:, 0])(nn.Linear(1, 1))),
}

SETTINGS = { # two settings of a game
    "a column's name": ({"columns": list("abcd")}, {"columns": list("abce")}),
    "groups": ({"groups": {"a": ["x0"], "b": ["x1"]}}, {"groups": {"a": ["x0"], "b": ["x2"]}}),
    "players": ({"players": [0, 1]}, {"players": [0, 2]}),
}


def model_of(x): return x[0] if isinstance(x, tuple) else x


def small(folder, model, game=rows, settings=None, samples=(ROW,), **how):
    return sweep(list(samples), {"a": model}, folder, game, {"s": settings or {}}, progress=False, **how)


def bytes_of(folder): return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.safetensors")}


def told_apart(folder, one, two):
    "Both calls of `(model, game, settings)`, in a cache and in a sweep; each must get what its model says, or be refused."
    (m, game, how), (other, game2, how2) = one, two
    first, second = game(model_of(m), ROW, **how), game2(model_of(other), ROW, **how2)
    assert table_key(first) != table_key(second)
    for g in (first, second): torch.testing.assert_close(evaluate(g, progress=False, cache=folder / "cache"), evaluate(g, progress=False), rtol=1e-5, atol=1e-6)
    assert len(list((folder / "cache").iterdir())) == 2
    in_sweep = lambda game: lambda model, sample, **how: game(model_of(model), sample, **how)
    g, g2 = (game, game2) if not isinstance(m, tuple) else (in_sweep(game), in_sweep(game2))
    s = small(folder / "s", m, g, how)
    assert not len(s.errors), s.errors.message[0]
    kept = bytes_of(folder / "s")
    with pytest.raises(ValueError, match="is not the model|one folder has one answer"): small(folder / "s", other, g2, how2)
    with pytest.raises(ValueError, match="is not the model|one folder has one answer"): small(folder / "s", other, g2, how2, samples=[ROW, ROW[::-1]])
    assert bytes_of(folder / "s") == kept
    assert bytes_of(small(folder / "s", m, g, how).folder) == kept


@pytest.mark.parametrize("name", NETWORKS)
def test_models_are_told_apart(name, tmp_path):
    if "booster" in name: pytest.importorskip("lightgbm" if "lightgbm" in name else "xgboost")
    one, two = (make() for make in NETWORKS[name])
    told_apart(tmp_path, (one, rows, {}), (two, rows, {}))


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_are_told_apart(name, tmp_path):
    one, two = OUTPUTS[name]
    told_apart(tmp_path, (net(), rows, {"output": one}), (net(), rows, {"output": two}))


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_told_apart(name, tmp_path):
    one, two = SETTINGS[name]
    told_apart(tmp_path, (net(), rows, one), (net(), rows, two))


def test_an_edited_game_is_told_apart(tmp_path):
    def game(model, sample): return il.tabular_game(model, torch.tensor(sample), torch.zeros(4), target=0)
    first = game
    def game(model, sample): return il.tabular_game(model, torch.tensor(sample), torch.ones(4), target=0)
    told_apart(tmp_path, (net(), first, {}), (net(), game, {}))


@pytest.mark.parametrize("fn, names, changes", [(read_global, "SCALE", 2.), (deeper, "SCALE", 3.), (read_table, "TABLE", {"gain": 2., "deep": {"list": [1., 2.]}}), (read_table, "TABLE", {"gain": 1., "deep": {"list": [1., 3.]}})])
def test_globals_are_told_apart(fn, names, changes, tmp_path, monkeypatch):
    make = lambda: il.tabular_game(net(), torch.tensor(ROW), torch.zeros(4), target=0, output=fn)
    before, first = evaluate(make(), progress=False, cache=tmp_path / "cache"), small(tmp_path / "s", net(), settings={"output": fn})
    monkeypatch.setitem(globals(), names, changes)
    after = evaluate(make(), progress=False, cache=tmp_path / "cache")
    torch.testing.assert_close(after, evaluate(make(), progress=False))
    assert not torch.allclose(before, after)
    with pytest.raises(ValueError, match="settings: .*one folder has one answer"): small(tmp_path / "s", net(), settings={"output": fn})
    monkeypatch.undo()
    assert bytes_of(first.folder) == bytes_of(small(tmp_path / "s", net(), settings={"output": fn}).folder)


def test_what_interlib_defines_is_known_by_name():
    assert all(in_library(x) for x in (il.tabular_game, il.Baseline, type(il.networks.resnet(20)), identity, il.masks))
    assert parts(il.masks).data == b"interlib.core.coalitions.masks"


def test_a_replaced_method_of_a_library_is_told_apart(monkeypatch):
    before, forward = fingerprint(net()), nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: 2 * forward(self, x))
    assert fingerprint(net()) != before
    monkeypatch.undo()
    assert fingerprint(net()) == before


def test_a_replaced_function_of_a_library_is_told_apart(monkeypatch):
    model = nn.Sequential(net()[0], nn.GELU())
    before, gelu = fingerprint(model), torch.nn.functional.gelu
    monkeypatch.setattr(torch.nn.functional, "gelu", lambda x, approximate: 2 * gelu(x))
    assert fingerprint(model) != before
    monkeypatch.undo()
    assert fingerprint(model) == before


def test_hooks_on_all_modules_are_told_apart():
    before = fingerprint(net())
    handle = nn.modules.module.register_module_forward_hook(lambda module, args, answer: None)
    during = fingerprint(net())
    handle.remove()
    assert during != before == fingerprint(net())


def test_baselines_and_arrays_in_settings(tmp_path):
    def game(model, sample, baseline): return il.tabular_game(model, torch.tensor(sample), baseline, target=0)
    given = [torch.zeros(4), torch.ones(4), np.zeros((3, 4)), np.ones((3, 4)), il.Baseline(torch.zeros(4), "Sequential", {}), il.Baseline(torch.ones(4), "Sequential", {})]
    for i, baseline in enumerate(given):
        s = small(tmp_path / str(i), net(), game, {"baseline": baseline})
        assert not len(s.errors)
        for j, other in enumerate(given):
            if i == j: assert len(small(tmp_path / str(i), net(), game, {"baseline": deepcopy(other)}).index) == 1
            elif i == 0 or i == j + 1:
                with pytest.raises(ValueError, match="settings: .*one folder has one answer"): small(tmp_path / str(i), net(), game, {"baseline": other})


# The same


def used(model):
    model(torch.randn(5, 4))
    return model


class Notes(nn.Module):
    "Remembers what it has seen."
    def __init__(self):
        super().__init__()
        self.linear, self.calls, self.seen, self.by_size, self.last = net()[0], 0, [], {}, None
        self.register_buffer("cache", torch.zeros(4), persistent=False)
        self.register_buffer("memory", torch.zeros(4))
    def remember(self, x):
        self.seen.append(tuple(x.shape))
        self.by_size[len(x)] = x
    def forward(self, x):
        self.calls += 1
        self.remember(x)
        self.memory[:] = x[0]
        if self.training: self.linear.weight.data.add_(1)
        self.cache, self.last = x[0].clone(), x
        return self.linear(x)


class Lazy(Own):
    "Finds something out when it is first asked."
    @functools.cached_property
    def factor(self): return self.linear.weight.sum().item()
    def forward(self, x): return super().forward(x) * self.factor


class Counts:
    def __init__(self, most): self.calls, self.most = 0, most
    def count(self, *_):
        self.calls += 1
        assert self.calls < self.most


class Recorder:
    def __init__(self, k=1.): self.kept, self.k = [], k
    def hook(self, module, args, answer):
        self.kept.append(answer.detach())
        return self.k * answer


def recording():
    model, kept = net(), {}
    def hook(module, args, answer): kept["tanh"] = answer.detach()
    model[2].register_forward_hook(hook)
    model[1].register_forward_hook(lambda module, args, answer: kept.update(norm=answer))
    model[0].register_forward_hook(Recorder().hook)
    return model


def twice(k):
    def output(z, y):
        "In one cell."
        return k * z[:, y]
    def moved(z, y):
        "In one cell."

        return k * z[:, y]
    return output, moved


def in_file(folder, model):
    torch.save(model.state_dict(), folder / "weights.pt")
    other = type(model)() if not isinstance(model, nn.Sequential) else net(5)
    other.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    return other


def by_value(x):
    "As ray carries what is defined in a notebook."
    import cloudpickle
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try: return cloudpickle.loads(cloudpickle.dumps(x))
    finally: cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def memo(function):
    known = {}
    def output(z, y):
        if "k" not in known: known["k"] = 2.
        return function(z, y)
    return output


def tied(share):
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    with torch.no_grad(): model[1].weight.copy_(model[0].weight.fill_(.5))
    if share: model[1].weight = model[0].weight
    return model


SAME = {
    "made twice": lambda folder: (net(), net()),
    "copied": lambda folder: (net(), deepcopy(net())),
    "pickled": lambda folder: (Own(), pickle.loads(pickle.dumps(Own()))),
    "loaded from a file": lambda folder: (net(), in_file(folder, net())),
    "in training mode": lambda folder: (net(), net().train()),
    "frozen": lambda folder: (net(), net().requires_grad_(False)),
    "with gradients": lambda folder: (net(), changed(net(), lambda m: m(torch.randn(5, 4)).sum().backward())),
    "with hooks that are gone": lambda folder: (net(), changed(net(), lambda m: m.register_forward_hook(steer(1.)).remove())),
    "tied": lambda folder: (tied(True), tied(False)),
    "compiled": lambda folder: (net(), torch.compile(net())),
    "with weights turned around in memory": lambda folder: (net(), changed(net(), lambda m: setattr(m[0].weight, "data", m[0].weight.data.t().contiguous().t()))),
    "used": lambda folder: (net(), used(net())),
    "used, with notes": lambda folder: (Notes().eval(), used(used(Notes().eval()))),
    "used, with hooks that record": lambda folder: (recording(), used(recording())),
    "with a hook that counts": lambda folder: (net(), changed(net(), lambda m: m.register_forward_pre_hook(Counts(3).count))),
    "used, with a property that is kept": lambda folder: (Lazy(), used(Lazy())),
    "an output that counts": lambda folder: (counting(1.), changed(counting(1.), lambda f: f(torch.ones(1, 1), 0))),
    "an object that counts": lambda folder: (Scale(1.), changed(Scale(1.), lambda f: f(torch.ones(1, 1), 0))),
    "neighbours after a search": lambda folder: (neighbours(), changed(neighbours(), lambda m: m.predict(X))),
    "boosted and used": lambda folder: (xgb(Y[0]), changed(xgb(Y[0]), lambda m: m.predict(X))),
    "carried by value to another process": lambda folder: (recording(), by_value(recording())),
    "a class carried by value": lambda folder: (Own(), by_value(Own())),
    "a function carried by value": lambda folder: (read_table, by_value(read_table)),
    "used, with a parametrisation": lambda folder: (normed(0), used(normed(0))),
    "used, with a norm by a hook": lambda folder: (normed(0, torch.nn.utils.spectral_norm), used(normed(0, torch.nn.utils.spectral_norm))),
    "used, pruned": lambda folder: (pruned(0), used(pruned(0))),
    "quantised twice": lambda folder: (quantised(net()), used(quantised(net()))),
    "scripted twice": lambda folder: (scripted(1.), used(scripted(1.))),
    "fitted twice": lambda folder: (forest(Y[0] * 1.), forest(Y[0] * 1.)),
    "fitted and used": lambda folder: (forest(Y[0] * 1.), changed(forest(Y[0] * 1.), lambda m: m.predict(X))),
    "fitted and pickled": lambda folder: (forest(Y[0] * 1.), pickle.loads(pickle.dumps(forest(Y[0] * 1.)))),
    "a function in another cell": lambda folder: twice(2.),
    "a function with a memo": lambda folder: (memo(twice(1)[0]), changed(memo(twice(1)[0]), lambda f: f(torch.ones(1, 1), 0))),
    "a partial of nothing": lambda folder: (twice(2.)[0], partial(twice(2.)[0])),
    "a set": lambda folder: ({"a", "b", "c"}, {"c", "b", "a"}),
    "a dict": lambda folder: ({"a": 1, "b": [torch.ones(2000)]}, {"b": [torch.ones(2000).requires_grad_()], "a": 1}),
    "a number of numpy": lambda folder: ({"grid": 4}, {"grid": np.int64(4)}),
    "a device": lambda folder: ({"on": torch.device("cpu")}, {"on": torch.device("cuda")}),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_is_the_same(name, tmp_path):
    one, two = SAME[name](tmp_path)
    assert identity(one) == identity(two)
    if isinstance(one, nn.Module): assert fingerprint(one) == fingerprint(two)


@pytest.mark.parametrize("make", [net, Notes, recording, lambda: normed(0), lambda: pruned(0), lambda: quantised(net()), lambda: forest(Y[0] * 1.)], ids=["plain", "notes", "hooks", "norm", "mask", "quantised", "forest"])
def test_a_sweep_goes_on_with_a_model_that_was_used(make, tmp_path):
    model, game = make(), rows if make is not Notes else lambda model, sample: rows(model, sample)
    if isinstance(model, Notes): model.train()
    table = evaluate(game(model, ROW), progress=False, cache=tmp_path / "cache")
    assert torch.equal(evaluate(game(model, ROW), progress=False, cache=tmp_path / "cache"), table) and len(list((tmp_path / "cache").iterdir())) == 1
    small(tmp_path / "s", model, game)
    s = small(tmp_path / "s", model, game, samples=[ROW, ROW[::-1]])
    s = small(tmp_path / "s", make(), game, samples=[ROW, ROW[::-1], [1., 2., 3., 4.]])
    assert len(s.index) == 3 and not len(s.errors)
    torch.testing.assert_close(s.table(0, "a", "s")[0], table, rtol=1e-4, atol=1e-5)


def test_a_language_model_through_files_and_use(tiny_lm, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    model, tokenizer = tiny_lm
    before = identity((model, tokenizer))
    model.save_pretrained(tmp_path / "lm"), tokenizer.save_pretrained(tmp_path / "lm")
    other = AutoModelForCausalLM.from_pretrained(tmp_path / "lm"), AutoTokenizer.from_pretrained(tmp_path / "lm")
    assert identity(other) == before
    other[0].generate(torch.tensor([[1, 2, 3]]), max_new_tokens=3, do_sample=False)
    other[1](["A red", "apple falls"], truncation=True, max_length=1)
    evaluate(il.text_game(*other, "A red apple falls", players=3), progress=False)
    assert identity(other) == before
    other[1].add_tokens(["gravitation"])
    assert identity(other) != before and identity(other[0]) == identity(model)
    other[0].config.rms_norm_eps = 1e-3
    assert identity(other[0]) != identity(model)


def test_tokenizers_in_a_sweep(tiny_lm, tmp_path):
    model, tokenizer = tiny_lm
    small(tmp_path / "s", (model, tokenizer), "text", {"players": 2, "target": 5}, ["A red apple"])
    other = deepcopy(tokenizer)
    small(tmp_path / "s", (model, other), "text", {"players": 2, "target": 5}, ["A red apple", "The ground"])
    other.add_tokens(["apple"])
    with pytest.raises(ValueError, match="'a' is not the model"): small(tmp_path / "s", (model, other), "text", {"players": 2, "target": 5}, ["A red apple"])


SCRIPT = """
import sys, torch, numpy as np
from torch import nn
from interlib.nets.identity import identity
K = {{"one": 1., "two": frozenset({{"a", "b", "c"}})}}
{lines}
def out(z, y, names=frozenset({{"x", "y", "z"}})):
    return K["one"] * z[:, y] if y in {{1, 2, 3, "a", "b"}} else max(z)
class Net(nn.Module):
    tags = {{"p", "q", "r"}}
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.names = nn.Linear(3, 2), {{"u", "v", "w"}}
        self.linear.register_forward_hook(lambda m, a, z: z * K["one"])
    def forward(self, x): return self.linear(x)
from sklearn.linear_model import LogisticRegression
fitted = LogisticRegression().fit([[0.], [1.]], ["a", "b"])
print([identity(x) for x in (out, Net(), Net, fitted, {{"s": {{"t", "u"}}, "f": out}}, torch.float16, Net().linear.forward)])
"""


def test_the_same_in_another_process(tmp_path):
    said = []
    for seed, lines in (("1", ""), ("2", "\n# another\n# place\n")):
        (tmp_path / f"script{seed}.py").write_text(SCRIPT.format(lines=lines))
        said.append(subprocess.run([sys.executable, str(tmp_path / f"script{seed}.py")], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout)
    assert said[0] == said[1] and said[0].count(",") == 6


# What cannot be identified, and what the identity does not see


def test_what_cannot_be_identified_is_refused_with_a_way_out(tmp_path):
    numbers = (i for i in range(3))
    def output(z, y): return z[:, y] * len([numbers])
    game = rows(net(), ROW, output)
    with pytest.raises(ValueError, match=r"cache: \['output'\].numbers is a generator.*interlib_key = .*game.key = "): evaluate(game, progress=False, cache=tmp_path / "cache")
    with pytest.raises(ValueError, match="settings: numbers is a generator.*interlib_key = "): small(tmp_path / "s", net(), settings={"output": output})
    model = with_("stream", numbers)
    with pytest.raises(ValueError, match="models: 'a': stream is a generator.*interlib_key = "): small(tmp_path / "s", model)
    assert not bytes_of(tmp_path / "s")
    output.interlib_key = model.interlib_key = "version 1"
    evaluate(rows(net(), ROW, output), progress=False, cache=tmp_path / "cache")
    small(tmp_path / "s", model, settings={"output": output})
    model.interlib_key = "version 2"
    with pytest.raises(ValueError, match="'a' is not the model"): small(tmp_path / "s", model, settings={"output": output})


def test_names_in_errors():
    with torch.device("meta"), pytest.raises(ValueError, match="model: 0.weight is on the meta device"): fingerprint(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="model: weight is not initialised"): fingerprint(nn.LazyLinear(3))
    with pytest.raises(Unidentified, match=r"x: \['a'\]\[1\] is a "): identity({"a": [1, open(os.devnull)]})
    nested = []
    for _ in range(10000): nested = [nested]
    with pytest.raises(ValueError, match="nested too deeply"): identity(nested)


def test_stored_answers_are_asked_again(tmp_path):
    "What has a key of its own and answers otherwise is refused by its answers."
    class Keyed(nn.Module):
        interlib_key = None
        def __init__(self, k):
            super().__init__()
            self.linear, self.k, self.interlib_key = net()[0], k, "mine"
        def forward(self, x): return self.k * self.linear(x)
    s = small(tmp_path / "s", Keyed(1.))
    kept = bytes_of(s.folder)
    with pytest.raises(ValueError, match="'a' answers sample 0 of setting 's' otherwise than the table"): small(tmp_path / "s", Keyed(1.1), samples=[ROW, ROW[::-1]])
    assert bytes_of(s.folder) == kept
    assert len(small(tmp_path / "s", Keyed(1.), samples=[ROW, ROW[::-1]]).index) == 2


def test_without_a_model_nothing_is_asked(tmp_path):
    s = small(tmp_path / "s", net())
    assert len(small(tmp_path / "s", None).index) == len(s.index) == 1


def test_folders_of_before_are_refused(tmp_path):
    small(tmp_path / "s", net())
    path = tmp_path / "s" / "sweep.json"
    path.write_text(path.read_text().replace('"version": 2', '"version": 1'))
    for again in (lambda: small(tmp_path / "s", net()), lambda: open_sweep(tmp_path / "s")):
        with pytest.raises(ValueError, match="of version 0.1"): again()


def test_a_sweep_says_what_it_holds(tmp_path):
    s = small(tmp_path / "s<b>", net(), samples=[ROW, "no row"])
    assert repr(s).startswith("Sweep s<b>\n  samples: 2\n  models: a\n") and "tables: 1 of 2" in repr(s) and "failed: 1" in repr(s)
    assert "<b>" not in s._repr_html_() and "<th>tables</th><td>1 of 2</td>" in s._repr_html_()
