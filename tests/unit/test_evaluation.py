"""Value tables: ways to fill them, memory, the cache, precision, bad input."""
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import interlib as il
from interlib.model.costs import peak_memory
from interlib.model.evaluation import evaluate
from interlib.model.prefix_tree import PrefixTree, prefix_tree
from interlib.model.value_tables import table_key

TEXT = "A red apple falls, to the ground; because of gravity's pull"


def small_net(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 3))


@pytest.fixture(scope="module")
def games(tiny_lm):
    from sklearn.linear_model import LogisticRegression
    net, image = small_net(), torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(1))
    fitted = LogisticRegression().fit(np.random.RandomState(0).randn(40, 5), [0, 1] * 20)
    return {"text": il.text_game(*tiny_lm, TEXT, players=5), "targets": il.text_game(*tiny_lm, TEXT, players=4, target=[1, 2, 3]), "image": il.image_game(net, image, grid=2),
            "feature": il.feature_game(net, image[None], "1", grid=2), "torch rows": il.tabular_game(torch.nn.Linear(5, 2), torch.ones(5), torch.zeros(5)),
            "sklearn rows": il.tabular_game(fitted, np.ones(5), np.zeros((3, 5))), "function": il.Game(lambda m: m.double().sum(1), list("abc"), key="sum")}


KINDS = ["text", "targets", "image", "feature", "torch rows", "sklearn rows", "function"]


@pytest.mark.parametrize("kind", KINDS)
def test_cache_round_trip(games, kind, tmp_path, monkeypatch):
    want = evaluate(games[kind], progress=False, cache=tmp_path)
    file, = tmp_path.iterdir()
    written = file.read_bytes()
    assert torch.equal(evaluate(games[kind], progress=False, cache=str(tmp_path)), want) and file.read_bytes() == written
    asked, ask = [], games[kind].fn
    monkeypatch.setattr(games[kind], "fn", lambda m: asked.append(len(m)) or ask(m))
    evaluate(games[kind], progress=False, cache=tmp_path)
    assert asked == [1, 1, 1, 1]                                           # four coalitions, one at a time, to be sure


@pytest.mark.parametrize("damage", [lambda b: b[:len(b) // 2], lambda b: b[:-1], lambda b: b"", lambda b: b[:-9] + bytes([b[-9] ^ 64]) + b[-8:], lambda b: b"{}"])
def test_damaged_cache_is_computed_again(games, tmp_path, damage):
    want = evaluate(games["image"], progress=False, cache=tmp_path)
    file, = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with pytest.warns(UserWarning, match="is damaged.*computed again"): assert torch.equal(evaluate(games["image"], progress=False, cache=tmp_path), want)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(evaluate(games["image"], progress=False, cache=tmp_path), want) and list(tmp_path.iterdir()) == [file]


def test_every_setting_has_its_own_key(tiny_lm):
    image, net = torch.rand(1, 8, 8), small_net()
    make = partial(il.image_game, net, image, grid=2)
    games = [make(), make(target=1), make(target=2), make(output="log_odds"), make(output="margin", target=1, rival=0), make(output="margin", target=1, rival=2), make(baseline=torch.tensor(.5)), make(grid=3), make(players=[0, 1]),
             make(border=1), il.image_game(net, image + 1e-6, grid=2), il.image_game(small_net(1), image, grid=2), il.feature_game(net, image[None], "0", grid=2), il.feature_game(net, image[None], "1", grid=2)]
    keys = [table_key(g) for g in games] + [table_key(games[0], torch.bfloat16)]
    assert len(set(keys)) == len(keys) - (games[0].meta["target"] in (1, 2))    # the model's own choice is a target like any other
    assert table_key(make()) == keys[0] and table_key(il.image_game(small_net(), image, grid=2)) == keys[0]
    say = partial(il.text_game, *tiny_lm, TEXT, players=[1, 2])
    assert len({table_key(g) for g in (say(), say(baseline="zero"), say(players=[1, 3]), il.text_game(*tiny_lm, TEXT + "s", players=[1, 2]))}) == 4


def test_a_table_of_changed_weights_is_not_used(tmp_path):
    net, image = small_net(), torch.rand(1, 8, 8)
    before = evaluate(il.image_game(net, image, grid=2, target=0), progress=False, cache=tmp_path)
    with torch.no_grad(): net[0].weight += 1
    assert not torch.equal(evaluate(il.image_game(net, image, grid=2, target=0), progress=False, cache=tmp_path), before)
    assert len(list(tmp_path.iterdir())) == 2


def test_output_functions_are_told_apart(tmp_path):
    image = torch.rand(1, 8, 8)
    def table(factor):
        def own(z, y): return factor * z[:, y]
        return evaluate(il.image_game(small_net(), image, grid=2, target=0, output=own), progress=False, cache=tmp_path)
    one, two = table(1), table(2)
    torch.testing.assert_close(two, 2 * one)
    assert torch.equal(table(1), one) and len(list(tmp_path.iterdir())) == 2


def test_a_network_that_answers_otherwise_is_noticed(tmp_path):
    net = small_net()
    game = il.image_game(net, torch.rand(1, 8, 8), grid=2, target=0)
    game.key = "mine"                                                       # the same name, other answers
    evaluate(game, progress=False, cache=tmp_path)
    net.register_forward_hook(lambda m, a, out: 3 * out)
    with pytest.warns(UserWarning, match="not what the game says now"): got = evaluate(game, progress=False, cache=tmp_path)
    torch.testing.assert_close(got, evaluate(game, progress=False))


WRITER = """
import sys, torch, interlib as il
game = il.Game(lambda m: m.double() @ torch.arange(12.).double(), list(range(12)), key="same")
for _ in range(20):
    v = il.evaluate(game, progress=False, cache=sys.argv[1])
    assert torch.equal(v, il.masks(12).double() @ torch.arange(12.).double())
    if len(sys.argv) > 2:
        import pathlib
        for f in pathlib.Path(sys.argv[1]).glob("*.safetensors"): f.unlink(missing_ok=True)
"""


def test_two_processes_write_the_same_key(tmp_path):
    "One reads and writes, the other also deletes, so that both write again and again."
    processes = [subprocess.Popen([sys.executable, "-W", "error", "-c", WRITER, str(tmp_path), *extra], stderr=subprocess.PIPE, text=True) for extra in ([], ["delete"])]
    for p in processes: assert p.communicate()[1] == "" and p.returncode == 0
    assert all(f.suffix == ".safetensors" for f in tmp_path.iterdir())


def test_an_unwritable_cache_is_an_error(tmp_path, games):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cache: cannot write to the folder"): evaluate(games["image"], progress=False, cache=tmp_path / "file")


@pytest.mark.parametrize("kind", ["text", "targets", "image", "feature", "torch rows"])
def test_autocast(games, kind):
    want, got = evaluate(games[kind], progress=False), evaluate(games[kind], progress=False, autocast=torch.bfloat16)
    assert got.dtype == torch.float64 and not torch.equal(got, want) and not torch.is_autocast_enabled("cpu")
    assert (got - want).abs().max() < .1 * want.abs().max()


@pytest.mark.skipif(not __import__("shutil").which("g++"), reason="torch.compile needs a C++ compiler")
def test_compile(games):
    torch.testing.assert_close(evaluate(games["torch rows"], progress=False, compiled=True), evaluate(games["torch rows"], progress=False), atol=1e-5, rtol=1e-5)


def test_sixteen_columns_are_fast_and_small():
    import time
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
    game = il.tabular_game(net, torch.randn(16), torch.zeros(16))
    evaluate(game, progress=False)
    started = time.perf_counter()
    with peak_memory() as peak: v = evaluate(game, progress=False)
    assert v.shape == (65536,) and time.perf_counter() - started < 10 and peak["bytes"] < 100e6


@pytest.mark.parametrize("kind", KINDS)
def test_cost_of_every_game(games, kind):
    c = il.cost(games[kind])
    assert c.passes == 2**games[kind].n and c.seconds > 0 and c.memory >= 8 * c.passes and c.tokens > 0


def test_cost_counts(tiny_lm):
    game = il.text_game(*tiny_lm, TEXT, players=8)
    c = il.cost(game)
    assert c.passes == 256 and c.tokens < 256 * game.tokens and c.seconds > 0 and c.memory >= 8 * 256
    assert il.cost(game, tree=False).tokens == 256 * game.tokens


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"), MemoryError()])
def test_out_of_memory_halves_the_batch(error):
    def game(m):
        if len(m) > 10: raise error
        return m.double().sum(1)
    assert torch.equal(evaluate(game, n=7, progress=False), il.orders(7).double())


def test_a_network_that_runs_out_of_memory():
    class Small(torch.nn.Module):
        sizes = []
        def __init__(self): super().__init__(); self.net = small_net()
        def forward(self, x):
            self.sizes.append(len(x))
            if len(x) > 20: raise torch.OutOfMemoryError("CUDA out of memory")
            return self.net(x)
    small = Small()
    game = il.image_game(small, torch.rand(1, 8, 8), grid=3)
    v = evaluate(game, progress=False)
    assert v.shape == (512,) and 64 in small.sizes and max(small.sizes[-30:]) == 16
    torch.testing.assert_close(v, evaluate(game, batch_size=10, progress=False), atol=1e-5, rtol=1e-5)


def test_out_of_memory_for_a_single_sample_and_other_errors_are_raised():
    def never(m): raise MemoryError("nothing left")
    def broken(m): raise RuntimeError("shapes differ")
    with pytest.raises(MemoryError): evaluate(never, n=3, progress=False)
    with pytest.raises(RuntimeError, match="shapes differ"): evaluate(broken, n=3, progress=False)


@pytest.mark.parametrize("players", [None, 5, ["A", "pull"], ["pull"], ["A"], ["falls", "gravity's"]])
@pytest.mark.parametrize("size", ["auto", 1, 4])
@pytest.mark.parametrize("together", [0, 128])
def test_tree_and_batches_agree(tiny_lm, players, size, together, monkeypatch):
    monkeypatch.setattr("interlib.model.prefix_tree.prefix_tree", lambda g: PrefixTree(g.masked, together=together))
    game = il.text_game(*tiny_lm, TEXT, players=players if players is not None else 7)
    tree, plain = (il.evaluate(game, tree=t, batch_size=s, progress=False) for t, s in ((True, size), (False, "auto")))
    torch.testing.assert_close(tree, plain, atol=1e-3, rtol=1e-3)


def test_tree_of_a_model_with_sliding_windows():
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig
    torch.manual_seed(0)
    model = Gemma3ForCausalLM(Gemma3TextConfig(vocab_size=60, hidden_size=32, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
                                               sliding_window=5, layer_types=["sliding_attention", "full_attention", "sliding_attention"])).eval()
    for p in model.parameters(): p.data.mul_(4)
    from interlib.model.games import Game, Masked
    from interlib.model.text_models import next_token_logits
    x = torch.randn(12, 32, generator=torch.Generator().manual_seed(0))
    regions = torch.tensor([-1, 0, -1, 1, 1, -1, 2, -1, 3, -1, -1, 4])[:, None]
    masked = Masked(model, x, regions, torch.zeros(32), next_token_logits, lambda z: z[:, 7])
    game = Game(masked.outputs, list("abcde"), masked=masked)
    for size in ("auto", 4): torch.testing.assert_close(evaluate(game, tree=True, batch_size=size, progress=False), evaluate(game, tree=False, progress=False), atol=1e-3, rtol=1e-3)


def with_value(monkeypatch, value):
    "Trees of another output than the game has."
    from dataclasses import replace
    monkeypatch.setattr("interlib.model.prefix_tree.prefix_tree", lambda g: PrefixTree(replace(g.masked, value=value)))


def test_tree_recovers_from_out_of_memory(tiny_lm, monkeypatch):
    game = il.text_game(*tiny_lm, TEXT, players=6)
    want, value, sizes = il.evaluate(game, tree=False, progress=False), game.masked.value, []
    def small(logits):
        sizes.append(len(logits))
        if len(logits) > 8: raise torch.OutOfMemoryError("out of memory")
        return value(logits)
    with_value(monkeypatch, small)
    torch.testing.assert_close(il.evaluate(game, tree=True, progress=False), want, atol=1e-3, rtol=1e-3)
    assert sizes[:5] == [1, 64, 32, 16, 8]                                 # one leaf to measure, then halves


@pytest.mark.parametrize("wrong", [lambda v, z: v(z) + 10, lambda v, z: v(z).flip(0), lambda v, z: v(z)[:-1], lambda v, z: 1 / 0, lambda v, z: v(z) * float("nan")])
def test_a_tree_that_is_wrong_is_not_used(tiny_lm, monkeypatch, wrong):
    game = il.text_game(*tiny_lm, TEXT, players=4)
    want, value = il.evaluate(game, tree=False, progress=False), game.masked.value
    with_value(monkeypatch, lambda z: wrong(value, z))
    with pytest.warns(UserWarning, match="plain batches are used"): assert torch.equal(il.evaluate(game, progress=False), want)
    assert not tiny_lm[0].training and not torch.is_inference_mode_enabled()


def forgets(model): model.model.layers[0].register_forward_hook(lambda m, a, out: out - out.mean(1, keepdim=True))


def steers(model):
    def hook(m, a, out):
        out = out.clone()
        out[:, 0] = 0
        return out
    model.model.layers[0].register_forward_hook(hook)


@pytest.mark.parametrize("change", [forgets, steers])
def test_a_model_whose_prefixes_depend_on_what_follows(tiny_lm, change):
    import copy
    model = copy.deepcopy(tiny_lm[0])
    evaluate(il.text_game(model, tiny_lm[1], TEXT, players=6), progress=False)       # a good experience first
    change(model)
    game = il.text_game(model, tiny_lm[1], TEXT, players=6)
    with pytest.warns(UserWarning, match="does not agree with the model"): got = evaluate(game, progress=False)
    torch.testing.assert_close(got, evaluate(game, tree=False, progress=False))


def test_a_head_that_does_more_than_multiply(tiny_lm):
    "Logits that are squashed after the head: the tree runs the model as a whole."
    import copy
    from functools import wraps
    model = copy.deepcopy(tiny_lm[0])
    forward = model.forward
    @wraps(forward)
    def squashed(*args, logits_to_keep=0, **kwargs):
        out = forward(*args, logits_to_keep=logits_to_keep, **kwargs)
        out.logits = 5 * (out.logits / 5).tanh()
        return out
    model.forward = squashed
    game = il.text_game(model, tiny_lm[1], TEXT, players=6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(evaluate(game, tree=True, progress=False), evaluate(game, tree=False, progress=False), atol=1e-3, rtol=1e-3)


def test_only_language_models_have_a_tree(games):
    assert [prefix_tree(games[k]) is not None for k in KINDS] == [True, True, False, False, False, False, False]


@pytest.mark.parametrize("call, error, message", [
    (lambda: evaluate(3), TypeError, "game: got a int"),
    (lambda: evaluate(lambda m: m.sum(1) + 1j, n=3), TypeError, "complex"),
    (lambda: evaluate(lambda m: torch.zeros(len(m), 1 + int(m[0, 0])), n=3, batch_size=1), ValueError, "every batch must have as many"),
    (lambda: evaluate(lambda m: torch.zeros(len(m), 0), n=3), ValueError, "returned shape"),
    (lambda: evaluate(lambda m: m.sum(1), n=3, tree=1), ValueError, "'auto', True or False"),
    (lambda: evaluate(lambda m: m.sum(1)), ValueError, "number of players"),
    (lambda: evaluate(lambda m: m.sum(1), n=31), ValueError, "from 1 to 30"),
    (lambda: evaluate(lambda m: m.sum(1), n=3, batch_size="big"), ValueError, "'auto' or an int"),
    (lambda: evaluate(lambda m: m.sum(), n=3), ValueError, "returned shape"),
    (lambda: evaluate(lambda m: m.sum(1).double().log(), n=3), ValueError, "-inf for coalition 0"),
    (lambda: il.Game(len, [])(np.ones((1, 1), bool)), ValueError, "at least one"),
    (lambda: evaluate(il.Game(len, list(range(31)))), ValueError, "from 1 to 30"),
    (lambda: il.cost(il.Game(len, list(range(31)))), ValueError, "from 1 to 30"),
    (lambda: evaluate(lambda m: m.sum(1), n=3, tree=True), ValueError, "no prefix tree"),
    (lambda: evaluate(lambda m: m.sum(1), n=3, autocast="bf16"), ValueError, "torch.bfloat16 or torch.float16"),
    (lambda: evaluate(lambda m: m.sum(1), n=3, compiled=True), ValueError, "only text, image and table games"),
    (lambda: evaluate(lambda m: m.sum(1), n=3, compiled=True, tree=True), ValueError, "tree: got True with compiled"),
    (lambda: evaluate(lambda m: m.sum(1), n=3, cache="folder"), ValueError, "game.key = "),
])
def test_bad_calls(call, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)                                          # one of them names a folder
    with pytest.raises(error, match=message): call()


@pytest.mark.parametrize("kind", ["text", "image"])
def test_progress_is_reported_to_a_function(kind, games):
    told = []
    v = evaluate(games[kind], batch_size=2, progress=lambda *how_far: told.append(how_far))
    assert told[-1] == (len(v), len(v)) and len(told) == len(v) / 2 and told == sorted(told)


def test_what_a_progress_function_raises_ends_the_evaluation(games):
    class Enough(BaseException): pass
    def progress(done, total): raise Enough
    with pytest.raises(Enough): evaluate(games["text"], progress=progress)
