"""Training: what it measures, that it repeats, what it keeps on disk, and what it refuses."""
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from interlib.nets import training
from interlib.nets.data import DataSplit, digits
from interlib.nets.epochs import Texts, attack, logits, random_batches, shift_inputs, warm_cosine
from interlib.nets.identity import fingerprint
from interlib.nets.networks import bert_tiny, fixed_seed, resnet
from interlib.nets.recipes import load_trained
from interlib.nets.training import train


def blobs(n=80, m=40, seed=0):
    "Two clouds of points in the plane that a line separates."
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(n + m) % 2
    x = torch.randn(n + m, 2, generator=g) + 4*y[:, None]
    return DataSplit(x[:n], y[:n], x[n:], y[n:], ("a", "b"), "blobs")


def mlp(seed=0):
    with fixed_seed(seed): return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))


def fit(model=None, split=None, **kw): return train(mlp() if model is None else model, blobs() if split is None else split, **{"epochs": 3, "batch_size": 16, "progress": False, **kw})


@pytest.fixture(scope="module")
def texts():
    "Sentences of two classes and a tokenizer that knows their words."
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    words = ["[UNK]", "x", "[PAD]", *"good fine great bad dull poor film plot cast a the".split()]          # the pad is not token 0
    t = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=t, unk_token="[UNK]", pad_token="[PAD]", model_max_length=12)
    x = [f"{'the ' * (i % 5)}{words[3 + i % 3 + 3*(i % 2)]} {words[9 + i % 3]}" for i in range(60)]
    y = torch.arange(60) % 2
    return DataSplit(x[:40], y[:40], x[40:], y[40:], ("good", "bad"), "texts"), tokenizer


# ---- what is measured

def test_losses_are_those_of_the_model():
    model, split = mlp(), blobs()
    start = mlp().requires_grad_(False)
    done = fit(model, split)
    loss = lambda m, x, y: nn.functional.cross_entropy(m(x), y, reduction="none").detach()
    assert done.sample_losses.shape == (4, 80) and done.test_sample_losses.shape == (4, 40) and done.accuracy.shape == (4, 2)
    assert torch.allclose(done.sample_losses[0], loss(start, split.train_x, split.train_y), atol=1e-6)
    assert torch.allclose(done.test_sample_losses[-1], loss(model, split.test_x, split.test_y), atol=1e-6)
    assert done.accuracy[-1, 1] == (model(split.test_x).argmax(-1) == split.test_y).double().mean() and done.accuracy[-1, 1] > .95


def test_curves_are_means_of_the_losses():
    done = fit()
    assert list(done.curves) == ["epoch", "part", "loss", "accuracy"] and len(done.curves) == 8
    for part, losses in (("train", done.sample_losses), ("test", done.test_sample_losses)):
        assert done.curves.query("part == @part").loss.tolist() == pytest.approx(losses.mean(1).tolist())


def test_dropout_is_off_while_measuring():
    model = nn.Sequential(nn.Linear(2, 32), nn.Dropout(.5), nn.Linear(32, 2))
    done, split = fit(model), blobs()
    assert torch.allclose(done.sample_losses[-1], nn.functional.cross_entropy(model(split.train_x), split.train_y, reduction="none").detach(), atol=1e-6) and not model.training


def test_it_learns_texts(texts):
    split, tokenizer = texts
    done = fit(bert_tiny(tokenizer), split, tokenizer=tokenizer, optimizer="adamw", lr=1e-3, epochs=8, batch_size=8)
    assert done.accuracy[-1, 1] == 1


# ---- repeats

@pytest.mark.parametrize("kw", [{}, dict(adversarial=.1), dict(optimizer="adamw", lr=.01)])
def test_same_seed_same_result(kw):
    a, b = mlp(), mlp()
    first, second = fit(a, **kw), fit(b, **kw)
    assert torch.equal(first.sample_losses, second.sample_losses) and fingerprint(a) == fingerprint(b)
    assert not torch.equal(fit(seed=1, **kw).sample_losses, first.sample_losses)


def test_dropout_follows_the_seed(texts):
    split, tokenizer = texts
    run = lambda seed: fit(bert_tiny(tokenizer), split, tokenizer=tokenizer, optimizer="adamw", lr=1e-3, seed=seed).sample_losses
    state = torch.get_rng_state()
    first = run(0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(run(0), first) and not torch.equal(run(1), first)


def test_the_bar_changes_nothing(capsys): assert torch.equal(fit(progress=True).sample_losses, fit().sample_losses)


# ---- batches and schedule

@pytest.mark.parametrize("n, size", [(1, 4), (7, 7), (8, 7), (1000, 3), (333, 50)])
@pytest.mark.parametrize("grouped", [False, True])
def test_batches(n, size, grouped):
    lengths = torch.randint(1, 40, (n,), generator=torch.Generator().manual_seed(0)) if grouped else None
    batches = random_batches(n, size, torch.Generator().manual_seed(1), lengths)
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(n))
    assert max(map(len, batches)) <= size and max(map(len, batches)) - min(map(len, batches)) <= 1
    if n > 100: assert not all(torch.equal(a, b) for a, b in zip(batches, random_batches(n, size, torch.Generator().manual_seed(2), lengths)))


def test_padding_changes_nothing(texts):
    split, tokenizer = texts
    x, model = Texts(split.train_x, tokenizer), bert_tiny(tokenizer)
    together = logits(model, x[torch.arange(40)])
    assert x[torch.arange(40)]["input_ids"].eq(2).any()
    assert torch.allclose(together, torch.cat([logits(model, x[torch.tensor([i])]) for i in range(40)]), atol=1e-5)


def test_schedule():
    for steps in (1, 2, 9, 10, 1000):
        rates = [warm_cosine(s, steps) for s in range(steps)]
        assert max(rates) == 1 and min(rates) > 0 and rates[-1] <= rates[len(rates)//2] + 1e-9


# ---- adversarial

def box(x): return dict(low=x.amin((0, 2, 3), keepdim=True), high=x.amax((0, 2, 3), keepdim=True))


@pytest.mark.parametrize("eps", [.01, .3, 5.])
def test_attack_stays_within_eps_and_range(eps):
    x, y, net = torch.rand(20, 2, 8, 8) * torch.tensor([1., 9.]).view(1, 2, 1, 1), torch.arange(20) % 3, resnet(channels=2, classes=3)
    shift = attack(net, x, y, eps, **box(x))
    moved = x + shift
    assert shift.abs().max() <= eps + 1e-6 and not shift.requires_grad
    assert (moved >= box(x)["low"] - 1e-5).all() and (moved <= box(x)["high"] + 1e-5).all()
    assert all(p.grad is None for p in net.parameters())


def test_attack_raises_the_loss():
    model, split = mlp(), blobs()
    fit(model, split)
    loss = lambda x: nn.functional.cross_entropy(model(x), split.test_y).item()
    with fixed_seed(0):
        noise = torch.empty_like(split.test_x).uniform_(-.5, .5)
        assert loss(split.test_x + attack(model, split.test_x, split.test_y, .5)) > max(loss(split.test_x), loss(split.test_x + noise))


def test_attack_on_texts(texts):
    split, tokenizer = texts
    model, batch = bert_tiny(tokenizer), Texts(split.train_x, tokenizer)[torch.arange(8)]
    shift = attack(model, batch, split.train_y[:8], .05)
    assert shift.shape == (*batch["input_ids"].shape, 128) and shift.abs().max() <= .05 + 1e-6
    assert torch.allclose(logits(model, shift_inputs(model, batch, 0*shift)), logits(model, batch), atol=1e-6)
    before = model.bert.embeddings.word_embeddings.weight.clone()
    fit(model, split, tokenizer=tokenizer, adversarial=.05, epochs=1)
    assert (model.bert.embeddings.word_embeddings.weight != before).any()               # the table of tokens learns too


def attacked_loss(seed, adversarial):
    model, split = mlp(seed), blobs(seed=seed)
    fit(model, split, epochs=20, adversarial=adversarial)
    with fixed_seed(0): moved = split.test_x + attack(model, split.test_x, split.test_y, 1.5)
    return nn.functional.cross_entropy(model(moved), split.test_y).item()


def test_adversarial_training_makes_robust():
    "On the mean over seeds; single networks may come out the other way (one of these six does)."
    plain, robust = ([attacked_loss(seed, eps) for seed in range(6)] for eps in (None, 1.5))
    assert sum(robust) < .8*sum(plain)


# ---- frozen parts

def test_frozen_parts_do_not_move():
    net, split = resnet(), digits(8).subset(40, 20)
    for part in (net.conv1, net.bn1, net.layer1): part.requires_grad_(False)
    before = {k: t.clone() for k, t in net.state_dict().items()}
    fit(net, split, epochs=1)
    assert {k.split(".")[0] for k, t in net.state_dict().items() if not torch.equal(t, before[k])} == {"layer2", "layer3", "fc"}


# ---- folders

def files(folder): return sorted(p.name for p in folder.iterdir())


def test_read_back(tmp_path, monkeypatch):
    model, folder = mlp(), tmp_path/"a"/"b"
    first = fit(model, folder=folder)
    assert files(folder) == [*(f"epoch-00{e}.safetensors" for e in range(4)), "losses.safetensors", "settings.json"]
    monkeypatch.setattr(training, "run_epochs", lambda *args: pytest.fail("trained again"))
    other = mlp()
    second = fit(other, folder=str(folder))
    assert torch.equal(first.sample_losses, second.sample_losses) and torch.equal(first.test_sample_losses, second.test_sample_losses) and torch.equal(first.accuracy, second.accuracy)
    assert fingerprint(other) == fingerprint(model) and not other.training and second.curves.equals(first.curves)
    assert fingerprint(second.load(mlp(seed=5), 0)) == fingerprint(mlp())


def test_checkpoints_are_the_epochs(tmp_path):
    split, done = blobs(), fit(folder=tmp_path/"t")
    for e in range(4):
        model = done.load(mlp(seed=9), e)
        assert torch.allclose(nn.functional.cross_entropy(model(split.test_x), split.test_y, reduction="none"), done.test_sample_losses[e], atol=1e-6)
    for bad in (-1, 4, 1.5, None):
        with pytest.raises(ValueError, match="epoch: got"): done.load(mlp(), bad)
    with pytest.raises(ValueError, match="kept no weights"): fit().load(mlp(), 0)


@pytest.mark.parametrize("kw, says", [
    (dict(lr=.2), "lr=0.1 where this one has lr=0.2"), (dict(epochs=4), "epochs=3 where this one has epochs=4"), (dict(seed=1), "seed=0"), (dict(batch_size=8), "batch_size=16"),
    (dict(optimizer="adamw"), "optimizer='sgd'"), (dict(adversarial=.1), "adversarial=None"), (dict(model=mlp(seed=1)), "model='"), (dict(split=blobs(seed=1)), "data='"),
    (dict(model=nn.Sequential(nn.Linear(2, 2))), "model='"), (dict(momentum=.5), "momentum=0.9"), (dict(weight_decay=0), "weight_decay=0.0005"),
])
def test_other_settings_are_refused(tmp_path, kw, says):
    fit(folder=tmp_path/"t")
    with pytest.raises(ValueError) as e: fit(**kw, folder=tmp_path/"t")
    assert "folder: got" in str(e.value) and says in str(e.value)
    (tmp_path/"t"/"losses.safetensors").unlink()                                         # nor is an unfinished one of others overwritten
    with pytest.raises(ValueError, match="which holds a training with"): fit(**kw, folder=tmp_path/"t")


def test_frozen_parts_are_settings(tmp_path):
    fit(folder=tmp_path/"t")
    model = mlp()
    model[0].requires_grad_(False)
    with pytest.raises(ValueError, match=r"frozen=\[\] where this one has frozen=\['0.weight', '0.bias'\]"): fit(model, folder=tmp_path/"t")


def test_foreign_folder(tmp_path):
    (tmp_path/"thesis.tex").write_text("dear")
    with pytest.raises(ValueError, match="not empty and has no settings.json"): fit(folder=tmp_path)
    (tmp_path/"settings.json").write_text("{cut")
    with pytest.raises(ValueError, match="no settings.json of a training"): fit(folder=tmp_path)
    assert (tmp_path/"thesis.tex").read_text() == "dear"


@pytest.mark.parametrize("name", ["epoch-003.safetensors", "losses.safetensors"])
@pytest.mark.parametrize("share", [0, .3, .99])
def test_truncated_files(tmp_path, name, share):
    fit(folder=tmp_path)
    whole = (tmp_path/name).read_bytes()
    (tmp_path/name).write_bytes(whole[:int(share*len(whole))])
    with pytest.raises(RuntimeError, match=f"{name} in .* is damaged or missing .*delete the folder"): fit(folder=tmp_path)


def test_interrupted_training_starts_again(tmp_path, monkeypatch):
    whole = fit(folder=tmp_path/"whole")
    epoch = training.train_epoch
    def stops(*args):
        if (tmp_path/"half"/"epoch-001.safetensors").exists(): raise KeyboardInterrupt
        epoch(*args)
    model = mlp()
    with monkeypatch.context() as m:
        m.setattr(training, "train_epoch", stops)
        with pytest.raises(KeyboardInterrupt): fit(model, folder=tmp_path/"half")
    assert not model.training and files(tmp_path/"half") == ["epoch-000.safetensors", "epoch-001.safetensors", "settings.json"]
    again = fit(folder=tmp_path/"half")
    assert torch.equal(again.sample_losses, whole.sample_losses) and files(tmp_path/"half") == files(tmp_path/"whole")


@pytest.mark.slow
def test_killed_training_starts_again(tmp_path):
    folder, whole = tmp_path/"t", fit(folder=tmp_path/"whole")
    code = f"""import sys, time; sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_training import fit, training
measure = training.measure
training.measure = lambda *args: (time.sleep(.5), measure(*args))[1]
fit(folder={str(folder)!r})"""
    process, end = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL), time.time() + 120
    try:
        while not (folder/"epoch-001.safetensors").exists() and process.poll() is None and time.time() < end: time.sleep(.01)
    finally: process.kill(); process.wait()
    assert (folder/"epoch-001.safetensors").exists() and not (folder/"losses.safetensors").exists()
    assert torch.equal(fit(folder=folder).sample_losses, whole.sample_losses)


def test_nothing_is_pickled(tmp_path):
    fit(folder=tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".safetensors"}


# ---- what is refused, before any work

@pytest.mark.parametrize("kw, error, says", [
    (dict(split=torch.rand(3, 2)), TypeError, "split: got Tensor; it must be a DataSplit"),
    (dict(epochs=0), ValueError, "epochs: got 0; it must be an int of 1 or more"), (dict(epochs=1.5), ValueError, "epochs: got 1.5"),
    (dict(optimizer="adam"), ValueError, "optimizer: got 'adam'; it must be one of 'sgd', 'adamw'"), (dict(lr=0), ValueError, "lr: got 0; it must be a number above 0"),
    (dict(lr=float("nan")), ValueError, "lr: got nan"), (dict(lr="fast"), ValueError, "lr: got 'fast'"), (dict(batch_size=1), ValueError, "batch_size: got 1; it must be an int of 2 or more"),
    (dict(momentum=1), ValueError, "momentum: got 1; it must be a number from 0 and below 1"), (dict(weight_decay=-1), ValueError, "weight_decay: got -1"),
    (dict(seed=-1), ValueError, "seed: got -1"), (dict(adversarial=0), ValueError, "adversarial: got 0"), (dict(adversarial=True), ValueError, "adversarial: got True"),
    (dict(model=nn.Linear(2, 3)), ValueError, "model: gives outputs of shape (2, 3) for 2 samples; they must be (2, 2)"),
    (dict(model=nn.Sequential(nn.Linear(2, 2), nn.Flatten(0))), ValueError, "outputs of shape (4,)"),
    (dict(model=mlp().requires_grad_(False)), ValueError, "model: has no parameters that can be trained"), (dict(model=nn.ReLU()), ValueError, "no parameters that can be trained"),
])
def test_bad_arguments(kw, error, says, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "run_epochs", lambda *args: pytest.fail("began to train"))
    with pytest.raises(error) as e: fit(**kw, folder=tmp_path/"t")
    assert says in str(e.value) and not (tmp_path/"t").exists()


def test_texts_need_a_tokenizer(texts):
    with pytest.raises(TypeError, match="tokenizer: got None"): fit(bert_tiny(50), texts[0])


def test_labels_outside_the_classes():
    with pytest.raises(ValueError, match="train_y: has labels from 0 to 1; they must lie in 0..0"): DataSplit(*(getattr(blobs(), f) for f in ("train_x", "train_y", "test_x", "test_y")), ("a",), "one")


def test_nan_names_the_epoch(tmp_path):
    model = mlp()
    with pytest.raises(RuntimeError, match="epoch 1: the loss .*lr=1e\\+25 may be too large"): fit(model, lr=1e25, batch_size=4, folder=tmp_path)
    assert not model.training and not (tmp_path/"losses.safetensors").exists()
    split = blobs()
    split.train_x[3, 0] = float("nan")
    with pytest.raises(RuntimeError, match="epoch 0: the loss of a sample is not a number"): fit(split=split)


def test_unknown_recipe():
    with pytest.raises(ValueError, match="name: got 'minilm'; it must be one of 'minilm-sentiment', 'minilm3-sentiment', 'resnet20-digit3', 'vgg16-digit3'"): load_trained("minilm")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu(texts, tmp_path):
    split, tokenizer = texts
    model = bert_tiny(tokenizer).cuda()
    done = fit(model, split, tokenizer=tokenizer, optimizer="adamw", lr=1e-3, epochs=8, batch_size=8, adversarial=.01, folder=tmp_path/"t")
    assert next(model.parameters()).is_cuda and done.sample_losses.device.type == "cpu"
    assert done.sample_losses[-1].mean() < done.sample_losses[0].mean()
    other = bert_tiny(tokenizer).cuda()
    fit(other, split, tokenizer=tokenizer, optimizer="adamw", lr=1e-3, epochs=8, batch_size=8, adversarial=.01, folder=tmp_path/"t")
    assert next(other.parameters()).is_cuda and fingerprint(other) == fingerprint(model)
    pictures = digits(8).subset(100, 50)
    assert fit(resnet().cuda(), pictures, adversarial=.1).accuracy.shape == (4, 2)
