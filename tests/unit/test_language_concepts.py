"Concepts of language models and of encoders without a head: padding, families, what a game says."
import pytest
import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

import interlib as il
from interlib.model.activations import collect_rows
from interlib.model.language_concepts import final_norm, in_the_stream, last_logits, logit_lens, mean_features, steer, steering_effect
from interlib.model.layers import layer_features

TEXTS = ["A dull film.", "The actors are good, and so is the music they play.", "Never again", "It was a long night for all of us in there."]


@pytest.fixture(scope="module")
def smol(): return il.load_lm("smollm2", progress=False)


@pytest.fixture(scope="module")
def gemma(): return il.load_lm("gemma3-270m", progress=False)


@pytest.mark.parametrize("name, layer", [("smol", "model.layers.3"), ("smol", "input of model.layers.3.mlp.down_proj"), ("gemma", "model.layers.3")])
def test_padding_has_no_influence(name, layer, request):
    model, tokenizer = request.getfixturevalue(name)
    alone = torch.cat([layer_features(model, layer, dict(tokenizer(t, return_tensors="pt")))[0] for t in TEXTS]).double()
    found = {}
    for side in ("left", "right"):
        tokenizer.padding_side = side
        found[side] = collect_rows(model, TEXTS, layer, tokenizer=tokenizer).values
    assert (found["left"] == found["right"]).all() and len(alone) == len(found["left"])
    assert abs(found["left"] - alone.numpy()).max() < 1e-3 * abs(alone.numpy()).max()


@pytest.mark.parametrize("name, layer", [("smol", "layers.3"), ("smol", "input of layers.3.mlp.down_proj"), ("gemma", "input of layers.3.mlp.down_proj")])
def test_the_full_coalition_is_the_model(name, layer, request):
    model, tokenizer = request.getfixturevalue(name)
    layer = layer.replace("layers", "model.layers")
    found = il.concepts.find_concepts(model, TEXTS, layer, k=6, tokenizer=tokenizer, progress=False)
    text = "A red apple falls to the ground because of the pull of"
    game = il.concept_game(model, text, found, target=" gravity", players=4, tokenizer=tokenizer)
    words = il.text_game(model, tokenizer, text, target=" gravity", players=2)
    everybody = lambda g: g(torch.ones(1, g.n, dtype=torch.bool)).item()
    assert abs(everybody(game) - everybody(words)) < 1e-4 and game.meta["target"] == words.meta["target"] == " gravity"
    patches = il.feature_game(model, text, layer, target=" gravity", players=3, tokenizer=tokenizer)
    assert abs(everybody(patches) - everybody(words)) < 1e-4
    tokens = logit_lens(model, found, tokenizer, top=3)
    assert tokens.promotes.map(len).eq(3).all() and tokens.concept.tolist() == found.names
    with pytest.raises(ValueError, match="^target: "): il.concept_game(model, text, found, target="two words", tokenizer=tokenizer)


def test_a_coalition_by_hand(smol):
    model, tokenizer = smol
    layer, text = "input of model.layers.10.mlp.down_proj", "The capital of France is"
    found = il.concepts.find_concepts(model, TEXTS, layer, k=3, tokenizer=tokenizer, progress=False)
    game = il.concept_game(model, text, found, players=[0, 2], target=" Paris", tokenizer=tokenizer)
    tokens = dict(tokenizer(text, return_tensors="pt"))
    hidden = layer_features(model, layer, tokens)
    u, W = found.encode(hidden), found.directions(hidden.shape[2])
    module = model.model.layers[10].mlp.down_proj
    with torch.no_grad():
        changed = (hidden.double() - u[..., [2]] @ W[[2]]).float()
        handle = module.register_forward_pre_hook(lambda m, args: (changed,))
        z = model(**tokens).logits[0, -1].double().log_softmax(0)
        handle.remove()
    p = z[tokenizer(" Paris")["input_ids"][-1]].exp()
    assert abs(game(torch.tensor([[True, False]])).item() - (p / (1 - p)).log().item()) < 1e-3


def test_an_encoder_without_a_head(smol):
    tokenizer = smol[1]
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32), add_pooling_layer=False).eval()
    found = il.concepts.find_concepts(model, TEXTS, "encoder.layer.0", k=3, tokenizer=tokenizer, progress=False)
    assert il.concepts.reconstruction_error(model, TEXTS, found, tokenizer) < 1
    assert il.concept_attribution(model, found, TEXTS[0], "c0" if "c0" in found.names else found.names[0], tokenizer=tokenizer).shape == (len(tokenizer(TEXTS[0])["input_ids"]),)
    with pytest.raises(TypeError, match="^model: got BertModel; it must be a causal language model"): logit_lens(model, found, tokenizer)


def test_other_families(smol):
    tokenizer = smol[1]
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=64)).eval()
    assert final_norm(model) is model.transformer.ln_f
    W = torch.eye(64)[:2].double()
    assert torch.allclose(in_the_stream(model, "input of transformer.h.0.mlp.c_proj", W), model.transformer.h[0].mlp.c_proj.weight[:2], atol=1e-6)
    alone = torch.cat([last_logits(model, [t], tokenizer) for t in TEXTS])
    assert torch.allclose(last_logits(model, TEXTS, tokenizer), alone, atol=1e-4)


def test_steering_leaves_no_trace(smol):
    model, tokenizer = smol
    layer, before = "model.layers.5", last_logits(*[smol[0], TEXTS[:2], smol[1]])
    direction = torch.nn.functional.normalize(torch.ones(576), dim=0)
    with pytest.raises(KeyError):
        with steer(model, layer, direction, 50.): raise KeyError
    assert torch.equal(last_logits(model, TEXTS[:2], tokenizer), before)
    effect = steering_effect(model, TEXTS[:2], layer, {"ones": direction}, " good", " bad", tokenizer, (0, .5))
    assert effect[effect.amount == 0].change.abs().max() < 1e-4 and effect[effect.amount == .5].divergence.min() > 0
    assert mean_features(model, TEXTS, layer, tokenizer)[1] > 0
