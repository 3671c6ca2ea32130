"""Parts of a network as players: what is masked is what the name says, and the network is as before."""
import inspect
import warnings

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig, BertForSequenceClassification, DistilBertConfig, DistilBertForSequenceClassification, GPT2Config,
    GPT2ForSequenceClassification, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM,
    OPTConfig, OPTForCausalLM, T5Config, T5ForConditionalGeneration,
)

import interlib as il
from interlib.model.network_parts import network_places

TEXT = "A red apple falls to the ground because of the pull of"
SIZE = dict(hidden_size=32, num_attention_heads=4, num_hidden_layers=3, max_position_embeddings=64)


def families(size):
    "A tiny network of each family, and where the output projections of its attention and its MLPs are."
    gpt2 = dict(n_embd=32, n_head=4, n_layer=3, n_positions=64, vocab_size=size, bos_token_id=0, eos_token_id=0)
    neox = dict(**SIZE, vocab_size=size, intermediate_size=64, bos_token_id=0, eos_token_id=0)
    opt = dict(**SIZE, vocab_size=size, ffn_dim=64, word_embed_proj_dim=32, pad_token_id=1)
    bert = dict(**SIZE, vocab_size=size, intermediate_size=64)
    distil = dict(dim=32, n_heads=4, n_layers=3, hidden_dim=64, max_position_embeddings=64, vocab_size=size)
    return {
        "llama": (LlamaForCausalLM(LlamaConfig(**SIZE, vocab_size=size, intermediate_size=64, num_key_value_heads=2)), "model.layers.{}.self_attn.o_proj", "model.layers.{}.mlp.down_proj"),
        "gpt2": (GPT2LMHeadModel(GPT2Config(**gpt2)), "transformer.h.{}.attn.c_proj", "transformer.h.{}.mlp.c_proj"),
        "neox": (GPTNeoXForCausalLM(GPTNeoXConfig(**neox)), "gpt_neox.layers.{}.attention.dense", "gpt_neox.layers.{}.mlp.dense_4h_to_h"),
        "opt": (OPTForCausalLM(OPTConfig(**opt)), "model.decoder.layers.{}.self_attn.out_proj", "model.decoder.layers.{}.fc2"),
        "bert": (BertForSequenceClassification(BertConfig(**bert)), "bert.encoder.layer.{}.attention.output.dense", "bert.encoder.layer.{}.output.dense"),
        "distilbert": (DistilBertForSequenceClassification(DistilBertConfig(**distil)), "distilbert.transformer.layer.{}.attention.out_lin", "distilbert.transformer.layer.{}.ffn.lin2"),
    }


@pytest.fixture(scope="module")
def networks(tiny_lm):
    torch.manual_seed(0)
    found = families(len(tiny_lm[1]))
    for model, _, _ in found.values():
        model.eval().double()
        for p in model.parameters(): p.data.mul_(3)                      # so that the parts matter
    return found


def logits(model, tokenizer, text=TEXT):
    known = inspect.signature(model.forward).parameters
    with torch.no_grad(): z = model(**{k: t for k, t in tokenizer(text, return_tensors="pt").items() if k in known}).logits
    return z[:, -1] if z.ndim == 3 else z


def log_odds(z, target): return (z[:, target] - torch.cat([z[:, :target], z[:, target + 1:]], 1).logsumexp(1)).item()


def by_hand(model, tokenizer, where, layers_heads, fill, target, size=8):
    "The log-odds with some heads replaced: one hook for each layer, written without the package."
    handles = []
    for layer, head in layers_heads:
        def cut(module, args, layer=layer, at=slice(size * head, size * head + size)):
            z = args[0].clone()
            z[..., at] = fill(layer)[at]
            return (z,)
        handles.append(model.get_submodule(where.format(layer)).register_forward_pre_hook(cut))
    try: return log_odds(logits(model, tokenizer), target)
    finally:
        for h in handles: h.remove()


def means_by_hand(model, tokenizer, where, layers, texts=(TEXT,)):
    found = {i: [] for i in range(layers)}
    handles = [model.get_submodule(where.format(i)).register_forward_pre_hook(lambda m, args, i=i: found[i].append(args[0].reshape(-1, args[0].shape[-1]))) for i in found]
    for t in texts: logits(model, tokenizer, t)
    for h in handles: h.remove()
    return {i: torch.cat(rows).mean(0) for i, rows in found.items()}


FAMILIES = ("llama", "gpt2", "neox", "opt", "bert", "distilbert")
GROUPS = [[(0, 1)], [(2, 3)], [(0, 0), (0, 3), (1, 2)], [(i, h) for i in range(3) for h in range(4)]]


@pytest.mark.parametrize("baseline", ["mean", "zero", "references"])
@pytest.mark.parametrize("family", FAMILIES)
def test_heads_equal_a_hook_written_by_hand(networks, tiny_lm, family, baseline):
    model, where, _ = networks[family]
    tokenizer, references = tiny_lm[1], ["gravity of an apple", "the ground"] if baseline == "references" else None
    game = il.component_game(model, tokenizer, TEXT, target=1, baseline="zero" if baseline == "zero" else "mean", references=references)
    assert game.players == [f"L{i}.H{h}" for i in range(3) for h in range(4)]
    means = means_by_hand(model, tokenizer, where, 3, references or (TEXT,))
    fill = (lambda layer: torch.zeros(32, dtype=torch.float64)) if baseline == "zero" else means.__getitem__
    rows = torch.tensor([[(i // 4, i % 4) not in g for i in range(12)] for g in GROUPS])
    right = [by_hand(model, tokenizer, where, g, fill, 1) for g in GROUPS]
    assert game(rows).tolist() == pytest.approx(right, abs=1e-6)
    assert game(torch.ones(1, 12).bool()).tolist() == pytest.approx([log_odds(logits(model, tokenizer), 1)], abs=1e-6)
    assert np.ptp(right) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_mlps_and_layers_equal_outputs_that_are_silenced(networks, tiny_lm, family):
    model, attention, mlp = networks[family]
    for parts, places in (("mlps", [mlp]), ("layers", [attention, mlp])):
        game = il.component_game(model, tiny_lm[1], TEXT, parts, target=0, baseline="zero")
        handles = [model.get_submodule(p.format(1)).register_forward_hook(lambda m, a, answer: answer * 0) for p in places]
        right = log_odds(logits(model, tiny_lm[1]), 0)
        for h in handles: h.remove()
        assert game(torch.tensor([[True, False, True]])).item() == pytest.approx(right, abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_head_at_all_is_an_output_projection_of_zeros(networks, tiny_lm, family):
    model, where, _ = networks[family]
    game = il.component_game(model, tiny_lm[1], TEXT, target=0, baseline="zero")
    silent = game(torch.zeros(1, 12).bool()).item()
    weights = [model.get_submodule(where.format(i)).weight for i in range(3)]
    kept = [w.detach().clone() for w in weights]
    for w in weights: w.data.zero_()
    right = log_odds(logits(model, tiny_lm[1]), 0)
    for w, k in zip(weights, kept): w.data.copy_(k)
    assert silent == pytest.approx(right, abs=1e-6)


def test_a_head_that_says_the_same_everywhere_changes_nothing_at_its_mean(tiny_lm):
    torch.manual_seed(1)
    model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_head=4, n_layer=2, n_positions=64, vocab_size=len(tiny_lm[1]), bos_token_id=0, eos_token_id=0)).eval().double()
    attention = model.transformer.h[1].attn.c_attn
    attention.weight.data[:, 64 + 8:64 + 16] = 0                          # the values of the second head are its bias alone
    attention.bias.data[64 + 8:64 + 16] = torch.linspace(-1, 1, 8)
    one_less = ~torch.eye(8, dtype=torch.bool)
    mean, zero = (il.component_game(model, tiny_lm[1], TEXT, target=0, baseline=b) for b in ("mean", "zero"))
    whole = mean(torch.ones(1, 8).bool())
    assert (mean(one_less) - whole)[5].abs() < 1e-9 and (mean(one_less) - whole)[4].abs() > 1e-6
    assert (zero(one_less) - whole)[5].abs() > 1e-6


def test_blocks_that_are_shared_change_no_output(networks, tiny_lm):
    for name in FAMILIES:
        game = il.component_game(networks[name][0], tiny_lm[1], TEXT, target=0)
        ablation = game.masked.given["ablation"]
        assert ablation.shares, name
        masks = torch.rand(40, 12, generator=torch.Generator().manual_seed(0)) < .7
        alone = torch.cat([game(m[None]) for m in masks])
        assert torch.allclose(game(masks), alone, atol=1e-9)


def test_the_numbering_of_players_does_not_count(networks, tiny_lm):
    model, tokenizer = networks["llama"][0], tiny_lm[1]
    names = ["L2.H1", "L0.H3", "L1.H0"]
    game = il.component_game(model, tokenizer, TEXT, players=names, target=0)
    assert game.players == ["L0.H3", "L1.H0", "L2.H1"] == il.component_game(model, tokenizer, TEXT, players=[9, 3, 4], target=0).players
    whole = il.component_game(model, tokenizer, TEXT, target=0)
    rows = torch.ones(8, 12).bool()
    rows[:, [3, 4, 9]] = il.masks(3)
    assert torch.allclose(game(il.masks(3)), whole(rows), atol=1e-9)
    x = il.explain(game, progress=False)
    assert {*x.players} == {*names} and x.meta["parts"] == "heads" and x.ends[1] == pytest.approx(whole(torch.ones(1, 12).bool()).item())


def as_it_is(model):
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
    return hooks, [m.training for m in model.modules()], {k: t.clone() for k, t in model.state_dict().items()}


def same_state(a, b): return a[:2] == b[:2] and all(torch.equal(t, b[2][k]) for k, t in a[2].items())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_network_is_untouched(networks, tiny_lm, family):
    model = networks[family][0]
    model.train()
    next(m for n, m in model.named_modules() if n).eval()
    before = as_it_is(model)
    game = il.component_game(model, tiny_lm[1], TEXT, players=4, target=0)
    il.evaluate(game, progress=False)
    assert before[0] == 0 and same_state(before, as_it_is(model))
    model.eval()


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_the_network_is_untouched_after_an_interruption(networks, tiny_lm, error):
    model = networks["llama"][0]
    game, before = il.component_game(model, tiny_lm[1], TEXT, target=0), as_it_is(model)
    own = game.masked.given["ablation"].read

    def stop(module, args): raise error

    handle = model.model.layers[1].mlp.register_forward_pre_hook(stop)   # in the middle of a pass
    with pytest.raises(type(error)): game(torch.ones(3, 12).bool())
    with pytest.raises((type(error), ValueError)): il.component_game(model, tiny_lm[1], TEXT, target=0)
    handle.remove()
    assert same_state(before, as_it_is(model)) and own is game.masked.given["ablation"].read
    assert game(torch.ones(1, 12).bool()).isfinite().all()


def test_where_rows_are_counted_every_block_runs_for_each(tiny_lm):
    torch.manual_seed(0)
    config = GPT2Config(n_embd=32, n_head=4, n_layer=2, n_positions=64, vocab_size=len(tiny_lm[1]), bos_token_id=0, eos_token_id=0, pad_token_id=0)
    model = GPT2ForSequenceClassification(config).eval().double()
    with pytest.warns(UserWarning, match="cannot share their first blocks"): game = il.component_game(model, tiny_lm[1], TEXT, target=1, baseline="zero")
    rows = torch.tensor([[i != 6 for i in range(8)], [True] * 8])
    zero = torch.zeros(32, dtype=torch.float64)
    right = [by_hand(model, tiny_lm[1], "transformer.h.{}.attn.c_proj", heads, lambda layer: zero, 1) for heads in ([(1, 2)], [])]
    assert game(rows).tolist() == pytest.approx(right, abs=1e-6)


def test_it_is_a_game_like_any_other(networks, tiny_lm, tmp_path):
    model, tokenizer = networks["llama"][0], tiny_lm[1]
    game = il.component_game(model, tokenizer, TEXT, players=5, target="gravity")
    assert "L" in repr(game) and "gravity" in repr(game)
    v = il.evaluate(game, progress=False, cache=tmp_path)
    assert torch.equal(v, il.evaluate(game, progress=False, cache=tmp_path)) and len(list(tmp_path.iterdir())) == 1
    assert il.cost(game).passes == 32
    again = il.component_game(model, tokenizer, TEXT, players=game.players, target="gravity", baseline="zero")
    assert not torch.allclose(il.evaluate(again, progress=False, cache=tmp_path), v) and len(list(tmp_path.iterdir())) == 2
    x = il.explain(game, progress=False)
    assert x.plot() is not None
    x.report(tmp_path / "x.html")
    assert game.players[0] in (tmp_path / "x.html").read_text()
    s = il.sample(il.component_game(model, tokenizer, TEXT, target="gravity"), 100, p=.9, progress=False)
    assert s.values.shape == (100,) and s.values.isfinite().all()


def test_several_targets_answers_and_longer_answers(networks, tiny_lm):
    model, tokenizer = networks["llama"][0], tiny_lm[1]
    both = il.component_game(model, tokenizer, TEXT, players=3, target=["gravity", "apple"])
    assert il.evaluate(both, progress=False).shape == (2, 8)
    for asked in (dict(answers=["gravity", "the ground"]), dict(answer_length=3), dict(target="the red apple"), dict(output="divergence")):
        part, word = il.component_game(model, tokenizer, TEXT, players=["L1.H2"], **asked), il.text_game(model, tokenizer, TEXT, players=["apple"], **asked)
        assert part(torch.ones(1, 1).bool()).item() == pytest.approx(word(torch.ones(1, 1).bool()).item(), abs=1e-6)
        assert part(torch.zeros(1, 1).bool()).item() != part(torch.ones(1, 1).bool()).item()


def test_wrong_calls_say_what_is_allowed(networks, tiny_lm):
    model, tokenizer = networks["llama"][0], tiny_lm[1]
    for changed, message in (
        (dict(parts="neurons"), "parts: got 'neurons'; it must be one of 'heads', 'mlps', 'layers'"),
        (dict(players=["L9.H0"]), "players: got 'L9.H0', which is not there.*the heads are L0.H0"),
        (dict(players=["L0.H0"], parts="mlps"), "the mlps are L0.MLP"),
        (dict(players=13), "there are 12 heads"),
        (dict(players=0), "from 1 to 12"),
        (dict(choose="best"), "choose: got 'best'"),
        (dict(baseline="median"), "baseline: got 'median'; it must be one of 'mean', 'zero'"),
        (dict(references=[]), r"references: got \[\]; it must be None or a list of texts"),
        (dict(references="a text"), "references: got 'a text'"),
        (dict(references=[3]), r"references: got \[3\]"),
        (dict(references=["a"], baseline="zero"), "it must be None with the baseline 'zero'"),
        (dict(references=["apple " * 500]), "references: got 'number 0 of"),
        (dict(output="odds"), "output"),
    ):
        with pytest.raises((TypeError, ValueError), match=message): il.component_game(model, tokenizer, TEXT, **changed)
    with pytest.raises(TypeError, match="model: got a Linear"): il.component_game(torch.nn.Linear(2, 2), tokenizer, TEXT)
    t5 = T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=4))
    with pytest.raises(ValueError, match="model: got 'T5ForConditionalGeneration'; it must be one with a single stack"): il.component_game(t5, tokenizer, TEXT)


def test_what_has_no_meaning_for_parts_is_refused(networks, tiny_lm):
    game = il.component_game(networks["llama"][0], tiny_lm[1], TEXT, players=3, target=0)
    with pytest.raises(ValueError, match="parts of a network"): il.learn_baseline([game])
    with pytest.raises(ValueError, match="compiled"): il.evaluate(game, compiled=True, progress=False)
    with pytest.raises(TypeError, match="text_game"): il.zoom(game, 0)
    with pytest.raises(ValueError): il.evaluate(il.component_game(networks["llama"][0], tiny_lm[1], TEXT, target=0), tree=True, progress=False)


def test_heads_of_a_real_model_equal_hooks_to_a_millionth():
    model, tokenizer = il.load_lm("smollm2")
    model = model.double()
    text = "When Mary and John went to the store, John gave a drink to"
    mary, where = tokenizer(" Mary")["input_ids"][0], "model.layers.{}.self_attn.o_proj"
    heads = [(0, 5), (13, 2), (20, 5), (29, 8)]
    with warnings.catch_warnings(): game = il.component_game(model, tokenizer, text, players=[f"L{i}.H{h}" for i, h in heads], target="Mary")
    assert len(network_places(model, "heads")[0]) == 270
    found = {}
    handles = [model.get_submodule(where.format(i)).register_forward_pre_hook(lambda m, args, i=i: found.update({i: args[0][0].mean(0)})) for i, _ in heads]
    logits(model, tokenizer, text)
    for h in handles: h.remove()

    def hand(absent):
        handles = []
        for layer, head in absent:
            def cut(module, args, layer=layer, at=slice(64 * head, 64 * head + 64)):
                z = args[0].clone()
                z[..., at] = found[layer][at]
                return (z,)
            handles.append(model.get_submodule(where.format(layer)).register_forward_pre_hook(cut))
        value = log_odds(logits(model, tokenizer, text), mary)
        for h in handles: h.remove()
        return value

    coalitions = il.masks(4)[[0, 3, 6, 13, 15]]
    right = [hand([h for h, there in zip(heads, row) if not there]) for row in coalitions]
    assert game(coalitions).tolist() == pytest.approx(right, abs=1e-6)


def more_families(size):
    import transformers as T
    base = dict(**SIZE, vocab_size=size, intermediate_size=64)
    keys, ends = dict(num_key_value_heads=2), dict(bos_token_id=0, eos_token_id=0)
    return {
        "Mistral": T.MistralConfig(**base, **keys), "Qwen2": T.Qwen2Config(**base, **keys),
        "Qwen3": T.Qwen3Config(**base, **keys, head_dim=16), "Gemma2": T.Gemma2Config(**base, **keys, head_dim=16),
        "Phi": T.PhiConfig(**base, **ends), "Falcon": T.FalconConfig(vocab_size=size, hidden_size=32, num_attention_heads=4, num_hidden_layers=3, **ends),
        "GPTNeo": T.GPTNeoConfig(vocab_size=size, hidden_size=32, num_heads=4, num_layers=2, attention_types=[[["global", "local"], 1]], max_position_embeddings=64, **ends),
        "GPTJ": T.GPTJConfig(vocab_size=size, n_embd=32, n_head=4, n_layer=3, n_positions=64, rotary_dim=4, **ends),
        "Roberta": T.RobertaConfig(**base, pad_token_id=1),
    }


@pytest.mark.parametrize("family", ["Mistral", "Qwen2", "Qwen3", "Gemma2", "Phi", "Falcon", "GPTNeo", "GPTJ", "Roberta"])
def test_heads_of_other_families(tiny_lm, family):
    import transformers as T
    torch.manual_seed(0)
    head = "ForSequenceClassification" if family == "Roberta" else "ForCausalLM"
    model = getattr(T, family + head)(more_families(len(tiny_lm[1]))[family]).eval().double()
    game = il.component_game(model, tiny_lm[1], TEXT, target=0, baseline="zero")
    masks = torch.rand(10, game.n, generator=torch.Generator().manual_seed(0)) < .6
    assert torch.allclose(game(masks), torch.cat([game(m[None]) for m in masks]), atol=1e-9)
    silent = game(torch.zeros(1, game.n).bool()).item()
    for p in game.masked.given["ablation"].places: model.get_submodule(p.module).weight.data.zero_()
    assert log_odds(logits(model, tiny_lm[1]), 0) == pytest.approx(silent, abs=1e-6)


def test_stacks_of_two_and_mixtures_are_refused_where_they_have_no_such_parts(tiny_lm):
    from transformers import BartConfig, BartForConditionalGeneration, MixtralConfig, MixtralForCausalLM
    bart = BartForConditionalGeneration(BartConfig(vocab_size=len(tiny_lm[1]), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=32, decoder_ffn_dim=32))
    with pytest.raises(ValueError, match="got 'BartForConditionalGeneration'.* stacks"): il.component_game(bart, tiny_lm[1], TEXT)
    mixture = MixtralForCausalLM(MixtralConfig(**SIZE, vocab_size=len(tiny_lm[1]), intermediate_size=64, num_key_value_heads=2, num_local_experts=2)).eval()
    with pytest.raises(ValueError, match="got 'MixtralForCausalLM'.*single stack of MLPs"): il.component_game(mixture, tiny_lm[1], TEXT, "mlps")
    assert il.component_game(mixture, tiny_lm[1], TEXT, target=0)(torch.ones(1, 12).bool()).isfinite().all()
