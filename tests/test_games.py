"""Games: against a one-by-one loop, the model as it was, memory, other libraries, bad input."""
import numpy as np
import pytest
import torch

import interlib as il
from interlib.games import evaluate
from interlib.masking import players_of, words
from interlib.values import log_odds

TEXT = "A red apple falls, to the ground; because of gravity's pull"


def test_table_equals_a_naive_loop(tiny_lm):
    model, tokenizer = tiny_lm
    game = il.text_game(model, tokenizer, TEXT, players=["red", "falls", "ground", "because", "gravity's", "pull"], baseline="zero")
    v = il.evaluate(game, batch_size=7, progress=False)
    found = tokenizer(TEXT, return_offsets_mapping=True)
    target = tokenizer(game.meta["target"], add_special_tokens=False)["input_ids"][0]
    for c in range(64):
        x = model.get_input_embeddings()(torch.tensor([found["input_ids"]])).clone()
        for i, p in enumerate(game.players):
            start = TEXT.index(p)
            if not c >> i & 1: x[0, [t for t, (a, b) in enumerate(found["offset_mapping"]) if a < start + len(p) and b > start]] = 0
        with torch.no_grad(): assert abs(log_odds(model(inputs_embeds=x).logits[:, -1], target).item() - v[c].item()) < 1e-4


def test_outputs_without_a_name_and_wrong_ones(tiny_lm):
    from functools import partial
    half = il.text_game(*tiny_lm, TEXT, players=3, output=partial(lambda z, y, k: k * z[:, y], k=.5))
    assert half.meta["output"] == "partial" and il.evaluate(half, progress=False).shape == (8,)
    for wrong in (lambda z, y: z[:, y].tolist(), lambda z, y: None, lambda z, y: z[:, y] + 1j):
        with pytest.raises(TypeError, match="it must return a tensor of real numbers"): il.evaluate(il.text_game(*tiny_lm, TEXT, players=[1, 2], output=wrong), progress=False)


@pytest.mark.parametrize("output", ["log_odds", "log_prob", "prob", "logit", lambda z, y: z[:, y] - z.mean(1)])
def test_every_output_and_a_function(tiny_lm, output):
    v = il.evaluate(il.text_game(*tiny_lm, TEXT, players=3, output=output), progress=False)
    assert v.shape == (8,) and v.dtype == torch.float64 and v.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_model_comes_back_as_it_was(tiny_lm, dtype):
    import copy
    model, tokenizer = copy.deepcopy(tiny_lm[0]).to(dtype).train(), tiny_lm[1]
    model.model.layers[0].eval()
    before = {k: t.clone() for k, t in model.state_dict().items()}
    modes, hooks = [m.training for m in model.modules()], [len(m._forward_hooks) for m in model.modules()]

    def same():
        assert [m.training for m in model.modules()] == modes and [len(m._forward_hooks) for m in model.modules()] == hooks
        assert all(torch.equal(before[k], t) for k, t in model.state_dict().items()) and model.dtype == dtype
        assert all(p.requires_grad and p.grad is None for p in model.parameters())

    il.evaluate(il.text_game(model, tokenizer, TEXT, players=4), progress=False)
    same()
    for bad in (dict(target="no such token at all"), dict(baseline=torch.zeros(3)), dict(players=99)):
        with pytest.raises(ValueError): il.text_game(model, tokenizer, TEXT, **bad)
        same()
    game = il.text_game(model, tokenizer, TEXT, players=3, output=lambda z, y: z[:, y] / 0)
    with pytest.raises(ValueError, match="all outputs must be finite"): il.evaluate(game, progress=False)
    same()


def test_stop_words_play_only_after_all_others(tiny_lm):
    game = il.text_game(*tiny_lm, TEXT, players=6)
    assert game.players == ["red", "apple", "falls", "ground", "gravity's", "pull"]
    seven = il.text_game(*tiny_lm, TEXT, players=7).players
    assert set(game.players) < set(seven)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"), MemoryError()])
def test_out_of_memory_halves_the_batch(error):
    def game(m):
        if len(m) > 10: raise error
        return m.double().sum(1)
    assert torch.equal(evaluate(game, n=7, progress=False), il.orders(7).double())


def test_out_of_memory_for_a_single_sample_and_other_errors_are_raised():
    def never(m): raise MemoryError("nothing left")
    def broken(m): raise RuntimeError("shapes differ")
    with pytest.raises(MemoryError): evaluate(never, n=3, progress=False)
    with pytest.raises(RuntimeError, match="shapes differ"): evaluate(broken, n=3, progress=False)


def test_shapiq_games_run_here_and_ours_run_there(tiny_lm):
    from shapiq import ExactComputer
    from shapiq_games.synthetic import SOUM
    soum = SOUM(n=6, n_basis_games=8, random_state=1)
    v = il.evaluate(soum, progress=False)
    exact = ExactComputer(game=soum, n_players=6)("SV")
    phi = il.shapley(il.and_transform(v))
    assert max(abs(exact[(i,)] - phi[i].item()) for i in range(6)) < 1e-9

    game = il.text_game(*tiny_lm, TEXT, players=5)
    theirs = ExactComputer(game=game, n_players=5)("SV")
    ours = il.shapley(il.and_transform(il.evaluate(game, progress=False)))
    assert max(abs(theirs[(i,)] - ours[i].item()) for i in range(5)) < 1e-4


def test_a_long_prompt_can_choose_its_players(tiny_lm):
    game = il.text_game(*tiny_lm, " ".join(f"word{i}" for i in range(40)), players=4)
    assert game.n == 4 and il.evaluate(game, progress=False).shape == (16,)


@pytest.mark.parametrize("players", [None, 5, ["A", "pull"], ["pull"], ["A"], ["falls", "gravity's"]])
@pytest.mark.parametrize("size", ["auto", 1, 4])
def test_tree_and_batches_agree(tiny_lm, players, size):
    game = il.text_game(*tiny_lm, TEXT, players=players if players is not None else 9)
    tree, plain = (il.evaluate(game, tree=t, batch_size=s, progress=False) for t, s in ((True, size), (False, "auto")))
    torch.testing.assert_close(tree, plain, atol=1e-3, rtol=1e-3)


def test_tree_recovers_from_out_of_memory(tiny_lm):
    game = il.text_game(*tiny_lm, TEXT, players=6)
    want, run, sizes = il.evaluate(game, tree=False, progress=False), game.tree.value, []
    def value(logits):
        sizes.append(len(logits))
        if len(logits) > 8: raise torch.OutOfMemoryError("out of memory")
        return run(logits)
    game.tree.value = value
    torch.testing.assert_close(il.evaluate(game, tree=True, progress=False), want, atol=1e-3, rtol=1e-3)
    assert sizes[:6] == [4, 4, 64, 32, 16, 8]                              # the check, then halves


def test_a_tree_that_is_wrong_is_not_used(tiny_lm):
    game = il.text_game(*tiny_lm, TEXT, players=4)
    want, value = il.evaluate(game, tree=False, progress=False), game.tree.value
    game.tree.value = lambda logits: value(logits) + 1
    with pytest.warns(UserWarning, match="plain batches are used"): assert torch.equal(il.evaluate(game, progress=False), want)


def test_the_model_is_left_alone_when_the_tree_fails(tiny_lm):
    game = il.text_game(*tiny_lm, TEXT, players=4)
    game.tree.value = lambda logits: 1 / 0
    with pytest.raises(ZeroDivisionError): il.evaluate(game, tree=True, progress=False)
    assert not tiny_lm[0].training and not torch.is_inference_mode_enabled()


def test_cost_counts(tiny_lm):
    game = il.text_game(*tiny_lm, TEXT, players=8)
    c = il.cost(game)
    assert c.passes == 256 and c.tokens < 256 * game.tokens and c.seconds > 0 and c.memory >= 8 * 256
    assert il.cost(game, tree=False).tokens == 256 * game.tokens


@pytest.mark.parametrize("text", [
    "Don't panic: it isn't over, is it?", "The well-known U.S. senator's e-mails (all 33,000 of them) leaked.", "“Quoted,” he said -- twice... twice!",
    "naïve café déjà-vu", "rock 'n' roll isn’t dead", "2 + 2 = 4.0, not 5!", "the the the", "supercalifragilisticexpialidocious antidisestablishmentarianism", "tabs\tand\nnew lines\r\n  here",
])
def test_the_masked_span_is_the_printed_player(tiny_lm, text):
    for tokenizer in [tiny_lm[1]]:
        found = tokenizer(text, return_offsets_mapping=True)
        players = players_of(text, found["offset_mapping"])
        assert [p.name for p in players] == [w.text for w in words(text)]
        for p in players: assert tokenizer.decode([found["input_ids"][t] for t in p.positions]).strip() == p.name
        taken = [t for p in players for t in p.positions]
        assert len(taken) == len(set(taken))


@pytest.mark.parametrize("change, error, message", [
    (dict(text=""), ValueError, "at least one word"),
    (dict(text=None), TypeError, "text: got a NoneType"),
    (dict(players=0), ValueError, "from 1 to 11"),
    (dict(players=[]), ValueError, "got none"),
    (dict(players=[0, 0]), ValueError, "index 0 twice"),
    (dict(players=[11]), ValueError, "words 0 to 10"),
    (dict(players=["green"]), ValueError, "the words are A, red"),
    (dict(players="red"), TypeError, "a list of words"),
    (dict(players=1.5), TypeError, "1.5"),
    (dict(target=10**6), ValueError, "target: got 1000000; the model has the classes 0 to"),
    (dict(target=-1), ValueError, "target: got -1"),
    (dict(target=1.5), TypeError, "target: got a float"),
    (dict(target="apple pie"), ValueError, "must be one token"),
    (dict(baseline="average value"), ValueError, "baseline: got 'average value', which is"),
    (dict(baseline=torch.zeros(31)), ValueError, r"shape \(31,\); it must be \(32,\)"),
    (dict(baseline=torch.full((32,), torch.nan)), ValueError, "must be finite"),
    (dict(baseline=None), TypeError, "got a NoneType"),
    (dict(output="odds"), ValueError, "'log_odds', 'log_prob', 'prob', 'logit'"),
])
def test_bad_input(tiny_lm, change, error, message):
    with pytest.raises(error, match=message): il.text_game(*tiny_lm, **{"text": TEXT, **change})


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
])
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message): call()


def test_a_classifier_is_no_causal_model(tiny_lm):
    from types import SimpleNamespace
    model = torch.nn.Module()
    model.embed, model.config = tiny_lm[0].get_input_embeddings(), SimpleNamespace(_name_or_path="x")
    model.get_input_embeddings, model.forward = (lambda: model.embed), (lambda inputs_embeds, use_cache: SimpleNamespace(logits=torch.zeros(1, 2)))
    with pytest.raises(ValueError, match="must be a causal language model"): il.text_game(model, tiny_lm[1], TEXT)
