"""From networks and samples to frames: players common to all networks, layer surgery through a training, label noise, the time it takes."""
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import interlib as il
from interlib.nets.networks import low_layers
from interlib.app.samples import content_words

DIGITS = il.data.digits(8)
SMALL = DIGITS.subset(120, 40)


@pytest.mark.slow
def test_twelve_samples_of_ten_players_take_less_than_a_minute():
    split, net = il.data.digits(), il.networks.resnet(20)
    il.training.train(net, split, epochs=2, progress=False)
    start = time.perf_counter()
    frame = il.samples.model_frame(net, split.test_x[:12], split.test_y[:12], "layer1.0", border=2, progress=False)
    assert time.perf_counter() - start < 60
    assert frame["sample"].nunique() == 12 and frame.order.max() == 10 and frame.average_order.between(1, 10).all()


@pytest.mark.parametrize("layers", [1, 3, "layer1.1"])
def test_frozen_low_layers_stay_those_of_the_donor(layers):
    donor, net = il.networks.resnet(20, seed=1), il.networks.transplant(il.networks.resnet(20, seed=2), il.networks.resnet(20, seed=1), layers, freeze=True)
    il.training.train(net, SMALL, epochs=1, progress=False)
    low = low_layers(net, layers)
    same = [torch.equal(t, donor.state_dict()[name]) for name, t in net.state_dict().items() if name in low]
    assert all(same) and len(same) == len(low)
    assert not torch.equal(net.layer3[0].conv1.weight, il.networks.resnet(20, seed=2).layer3[0].conv1.weight)


def test_low_layers_that_are_not_frozen_are_trained():
    donor, net = il.networks.resnet(20, seed=1), il.networks.transplant(il.networks.resnet(20, seed=2), il.networks.resnet(20, seed=1), 3)
    assert torch.equal(net.conv1.weight, donor.conv1.weight)
    il.training.train(net, SMALL, epochs=1, progress=False)
    assert not torch.equal(net.conv1.weight, donor.conv1.weight)


def test_networks_over_the_same_low_layers_see_the_same_features():
    donor = il.networks.resnet(56, seed=1)
    nets = [il.networks.transplant(il.networks.resnet(depth, seed=s), donor, 9, freeze=True) for depth, s in ((56, 2), (32, 3))]
    xs = [il.explain_samples(n, DIGITS.test_x[:2], [0, 1], "layer1.3", 5, border=1, progress=False) for n in nets]
    assert [x.players for x in xs[0]] == [x.players for x in xs[1]]


def test_a_bert_takes_the_block_of_another():
    donor, net = il.networks.bert_tiny(50, seed=1), il.networks.bert_tiny(50, seed=2)
    il.networks.transplant(net, donor, "bert.encoder.layer.0", freeze=True)
    trainable = {name for name, p in net.named_parameters() if p.requires_grad}
    assert all(name.startswith(("bert.encoder.layer.1", "bert.pooler", "classifier")) for name in trainable) and trainable
    ids = torch.arange(6)[None]
    with torch.no_grad(): a, b = (m(ids, output_hidden_states=True).hidden_states for m in (donor, net))
    assert torch.equal(a[1], b[1]) and not torch.equal(a[2], b[2])


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 5), st.integers(0, 9), st.integers(0, 99))
def test_label_noise_changes_what_it_says(per_class, to, seed):
    noisy, i = DIGITS.relabel(per_class, to, seed)
    assert len(i) == 9 * per_class and torch.equal(i, i.unique()) and (noisy.train_y[i] == to).all()
    assert (DIGITS.train_y[i] != to).all() and (noisy.train_y != DIGITS.train_y).sum() == len(i)


def test_relabelled_samples_become_hard():
    noisy, changed = DIGITS.relabel()
    training = il.training.train(il.networks.resnet(20), noisy, epochs=4, lr=.05, batch_size=16, progress=False)
    assert torch.isin(training.hard(27), changed).float().mean() > .6                       # by chance it is .02


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 16), st.integers(0, 1000))
def test_draws_depend_on_place_and_seed_alone(n, seed):
    a, b = il.samples.draw_player_numbers(DIGITS.test_x[:4], n, seed=seed), il.samples.draw_player_numbers(DIGITS.test_x[10:15], n, seed=seed)
    assert a == b[:4] and all(len(set(p)) == n and p == sorted(p) and 0 <= p[0] and p[-1] < 16 for p in a)


BAD = {
    "layer": (dict(layer="layer9"), ValueError, "layer9"),
    "targets": (dict(targets=[1]), ValueError, "targets: got 1 for 2 inputs"),
    "no samples": (dict(inputs=DIGITS.test_x[:0], targets=[]), ValueError, "at least one"),
    "too many players": (dict(players=17), ValueError, "there are 16 patches"),
    "players of one": (dict(players=[[0, 1]]), ValueError, "players: got 1 lists for 2 inputs"),
    "uneven players": (dict(players=[[0, 1], [0]]), ValueError, "lists of 1 to 2"),
    "unknown player": (dict(players=[[0, 1], [0, 99]]), ValueError, "index 99"),
    "noise": (dict(noise=2.), ValueError, "noise: got 2.0"),
    "noise word": (dict(noise="much"), ValueError, "noise: got 'much'"),
    "output": (dict(output="odds"), ValueError, "odds"),
    "class": (dict(targets=[0, 10]), ValueError, "10"),
    "baseline": (dict(baseline="red"), ValueError, "red"),
    "border": (dict(border=4), ValueError, "border: got 4"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_before_any_table(name, monkeypatch):
    monkeypatch.setattr("interlib.app.samples.evaluate", lambda *_, **__: pytest.fail("a table was computed"))
    wrong, error, message = BAD[name]
    with pytest.raises(error, match=message.replace("(", r"\(")): il.explain_samples(**{**dict(model=il.networks.resnet(20), inputs=DIGITS.test_x[:2], targets=[0, 1], layer="layer1.0", players=4, progress=False), **wrong})


def test_texts_need_a_tokenizer_and_words():
    _, tokenizer = il.load_encoder(progress=False)
    assert content_words("It is a charming film", tokenizer) == [False, False, False, True, True]
    with pytest.raises(ValueError, match=r"inputs\[1\].*there are 2 words"): il.samples.draw_player_numbers(["A charming, witty film", "Good movie"], 3, tokenizer=tokenizer)
    with pytest.raises(TypeError, match="tokenizer"): il.samples.draw_player_numbers(["A charming film"], 2)
