"""Files of strangers, damaged ones, links, names and full disks: what is read, what is kept, and what is refused."""
import errno
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import io
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

import interlib as il
from interlib.nets import fetch as fetching
from interlib.core.files import atomic_path, digest, load_tensors, save_tensors, seal, unseal
from interlib.model.games import Game


@pytest.fixture
def x():
    x = il.decompose(il.planted(3, 3, 3, seed=2)[0], players=["the", "cat", "sat"])
    x.meta = {"target": " mat", "model": "tiny"}
    return x


def same(x, y): return torch.equal(x.and_, y.and_) and torch.equal(x.or_, y.or_) and (x.players, x.meta, x.solution) == (y.players, y.meta, y.solution)


# ---- names


@pytest.mark.parametrize("players", [[("row", 0), ("row", 1), ("column", 0)], [("a", ("b", 1)), ("c", 2.5), (None, True)], list(np.arange(3)), list(np.array(["a", "b", "c"])), np.array([1.5, 2.5, 3.5]),
                                     torch.arange(3), [["a", 1], ["b", 2], ["c", 3]], ["\ud800", "\0", '"sha256":"'], [0, "0", 0.5], [np.float32(.5), np.bool_(True), np.str_("x")]], ids=str)
def test_names_come_back_as_they_were(players, x, tmp_path):
    y = il.Interactions(x.and_, x.or_, players)
    y.save(tmp_path / "y")
    z = il.Interactions.load(tmp_path / "y")
    assert z.players == y.players and [type(p) for p in z.players] == [type(p) for p in y.players]
    assert len(il.transferability([[y, z]], k=2))                          # they have the same players
    assert all(hash(p) is not None for p in z.players)


@pytest.mark.parametrize("players", [{"a", "b", "c"}, frozenset("abc"), {"a": 1, "b": 2, "c": 3}, b"abc", [{"a"}, "b", "c"], [frozenset("ab"), "b", "c"], [{"a": 1}, "b", "c"], [("a", {1}), "b", "c"]], ids=lambda x: type(x).__name__)
def test_names_without_an_order_are_refused(players, x):
    with pytest.raises(TypeError, match="players: got"): il.Interactions(x.and_, x.or_, players)
    with pytest.raises(TypeError, match="players: got"): il.decompose(torch.randn(8, generator=torch.Generator().manual_seed(0)), players=players)


def test_numbers_of_numpy_in_meta(x, tmp_path):
    x.meta = {"row": np.int64(3), "p": np.float32(.5), "on": np.bool_(True), "t": torch.tensor(2)}
    x.save(tmp_path / "x")
    assert il.Interactions.load(tmp_path / "x").meta == {"row": 3, "p": .5, "on": True, "t": 2}
    x.meta = {"row": np.arange(3)}
    with pytest.raises(TypeError, match="meta: .*it must be made of strings, numbers"): x.save(tmp_path / "x")
    x.meta = {}
    x.meta["me"] = x.meta
    with pytest.raises(TypeError, match="meta: "): x.save(tmp_path / "x")


# ---- paths


@pytest.mark.parametrize("name", ["x" * 246, "x" * 255, "ü" * 127, ".hidden", "a b.safetensors", "\udcff"])
def test_names_of_files(name, x, tmp_path):
    x.save(tmp_path / name)
    assert same(x, il.Interactions.load(str(tmp_path / name))) and os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("path, error, why", [("x" * 256, ValueError, "too long"), ("a\0b", ValueError, "null"), (None, TypeError, "None"), (5, TypeError, "5"), ("", ValueError, "folder"),
                                              (".", ValueError, "folder"), ("~nobody-of-this-name/x", ValueError, "home")], ids=repr)
@pytest.mark.parametrize("what", ["save", "load"])
def test_paths_that_are_none(what, path, error, why, x, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=f"path: got .*{why}"): x.save(path) if what == "save" else il.Interactions.load(path)
    assert not os.listdir(tmp_path)


def test_the_folder_of_the_user(x, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    x.save("~/deep/x.safetensors")
    assert (tmp_path / "deep" / "x.safetensors").is_file() and same(x, il.Interactions.load("~/deep/x.safetensors"))
    il.Baseline(torch.zeros(3), "net", {}).save("~/b")
    assert il.Baseline.load("~/b").model == "net"
    game = Game(lambda masks: masks.double().sum(1), list("abc"), key="sum")
    il.evaluate(game, progress=False, cache="~/tables")
    il.sweep([[1]], {"a": torch.nn.Linear(1, 1)}, "~/sweep", lambda network, sample: game, progress=False)
    assert il.open_sweep("~/sweep").table(0, "a")[0].tolist() == [0, 1, 1, 2, 1, 2, 2, 3]
    assert sorted(os.listdir(tmp_path)) == ["b", "deep", "sweep", "tables"]


def test_saving_goes_through_links_and_loading_too(x, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "x")
    (tmp_path / "second").symlink_to("link")
    x.save(tmp_path / "second")
    assert (tmp_path / "second").is_symlink() and (tmp_path / "link").is_symlink() and not (tmp_path / "disk" / "x").is_symlink()
    assert all(same(x, il.Interactions.load(tmp_path / name)) for name in ("second", "link", "disk/x"))
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for call in (x.save, il.Interactions.load):
        with pytest.raises(ValueError, match="path: got .*circle"): call(tmp_path / "circle")
    (tmp_path / "folder").symlink_to(tmp_path / "disk")
    with pytest.raises(ValueError, match="is a folder"): x.save(tmp_path / "folder")
    with atomic_path(tmp_path / "link") as p: p.write_text("here")          # what is not a user's own choice replaces a link
    assert not (tmp_path / "link").is_symlink() and same(x, il.Interactions.load(tmp_path / "disk" / "x"))


def test_what_is_no_file(x, tmp_path):
    os.mkfifo(tmp_path / "pipe")                                            # nobody waits for a writer
    for call in (il.Interactions.load, x.save):
        with pytest.raises(ValueError, match="pipe', which cannot be a file .it is a device, a pipe or a socket"): call(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()                                    # as /dev/null would stay what it is
    with pytest.raises(ValueError, match="/dev/zero', which cannot be a file"): il.Interactions.load("/dev/zero")
    with pytest.raises(FileNotFoundError, match="path: there is no file"): il.Interactions.load(tmp_path / "nothing")


# ---- what a stranger may write


def with_header(text, numbers=b""): return len(text).to_bytes(8, "little") + text + numbers


@pytest.mark.parametrize("content", [
    b"", b"\0" * 4096, b"\xff" * 100, with_header(b"{}"), with_header(b"[" * 10**5), with_header(b'{"__metadata__": 5}'), with_header(b'{"__metadata__": {"format": 5}}'), with_header(b"null"), with_header(b'"text"'),
    (2**63 - 1).to_bytes(8, "little") + b"{}", with_header(b'{"x": {"dtype": "F64", "shape": [9999999999999], "data_offsets": [0, 79999999999992]}}'), with_header(b'{"x": {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}}', b"0" * 8),
    with_header(b'{"x": {"dtype": "F99", "shape": [1], "data_offsets": [0, 8]}}', b"0" * 8), with_header(b'{"x": {"dtype": "F64", "shape": [1], "data_offsets": [8, 0]}}', b"0" * 8), with_header(b'{"x": 5}'), with_header(b'{"x": {"data_offsets": [0]}}'),
    with_header(b'{"x": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}, "x": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}', b"0" * 8), with_header(b'{"x": {"data_offsets": [0, ' + b"9" * 5000 + b"]}}"),
    with_header(b'{"x": {"data_offsets": [0, 1e400]}}'), with_header(b'{"x": {"data_offsets": [0, NaN]}}'), with_header(b'{"x": {"dtype": "F64", "shape": ' + b"[" * 900 + b"]" * 900 + b', "data_offsets": [0, 0]}}'), b"\x80\x04cposix\nsystem\n"], ids=range(22))
def test_headers_of_strangers(content, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match="path: .*x (is damaged|holds something unnamed)"): il.Interactions.load(tmp_path / "x")


def test_a_sparse_file_of_a_terabyte_is_refused_at_once(tmp_path):
    with open(tmp_path / "x", "wb") as f: f.truncate(2**40)
    with pytest.raises(ValueError, match="is damaged"): il.Interactions.load(tmp_path / "x")


SOLUTION = {"objective": 1., "lower_bound": 1., "seconds": 0., "iterations": 3, "solver": "ipm"}
NAN, WHOLE = float("nan"), {"and": torch.zeros(4).double(), "or": torch.zeros(4).double()}


@pytest.mark.parametrize("tensors, notes", [
    ({"and": torch.zeros(4)}, {}), ({"and": torch.zeros(4).long()}, {}), ({"and": torch.zeros(4).bool()}, {}), ({"and": torch.zeros(8).double()}, {}), ({"and": torch.zeros(2, 2).double()}, {}), ({"and": torch.zeros(0).double(), "or": torch.zeros(0).double()}, {}),
    ({"and": torch.full((4,), NAN).double()}, {}), ({"or": torch.ones(4).double()}, {}), ({"more": torch.zeros(4)}, {}), ({"and": torch.zeros(4, dtype=torch.complex64)}, {}), ({"and": torch.full((4,), torch.inf).double()}, {}),
    ({}, {"players": ["a"]}), ({}, {"players": {"a": 1, "b": 2}}), ({}, {"players": None}), ({}, {"players": "ab"}), ({}, {"players": [{"a": 1}, "b"]}), ({}, {"meta": [1]}), ({}, {"meta": None}), ({}, {"foreign": 1}),
    ({}, {"solution": []}), ({}, {"solution": {"objective": 1.}}), ({}, {"solution": SOLUTION | {"objective": NAN}}), ({}, {"solution": SOLUTION | {"lower_bound": "1"}}), ({}, {"solution": SOLUTION | {"iterations": True}}),
    ({}, {"solution": SOLUTION | {"iterations": 2.5}}), ({}, {"solution": SOLUTION | {"solver": ["ipm"]}}), ({}, {"solution": SOLUTION | {"foreign": 1}}), ({}, {"solution": SOLUTION | {"objective": float("inf")}}), ({}, {"solution": 0})], ids=str)
def test_right_seals_on_wrong_content(tensors, notes, tmp_path):
    good = {"players": ["a", "b"], "meta": {}, "solution": SOLUTION}
    save_tensors(tmp_path / "x", WHOLE, "interlib.interactions", **good)
    assert il.Interactions.load(tmp_path / "x").players == ["a", "b"]
    save_tensors(tmp_path / "x", WHOLE | tensors, "interlib.interactions", **good | notes)
    with pytest.raises(ValueError, match="path: .* is damaged"): il.Interactions.load(tmp_path / "x")


@pytest.mark.parametrize("tensors, notes", [({"values": torch.tensor([NAN])}, {}), ({"values": torch.tensor([1])}, {}), ({"w": torch.zeros(1)}, {}), ({}, {"model": 5}), ({}, {"meta": []}), ({}, {"foreign": 1})], ids=str)
def test_baselines_of_strangers(tensors, notes, tmp_path):
    save_tensors(tmp_path / "b", {"values": torch.zeros(1)} | tensors, "interlib.baseline", **{"model": "net", "meta": {}} | notes)
    with pytest.raises(ValueError, match="path: .*b is damaged"): il.Baseline.load(tmp_path / "b")


@pytest.mark.parametrize("tensors, notes", [({"dictionary": torch.zeros(2)}, {}), ({"dictionary": torch.zeros(3, 4)}, {}), ({"levels": torch.full((2,), NAN)}, {}), ({"shares": torch.zeros(2).long()}, {}), ({"more": torch.zeros(2)}, {}), ({"crops": torch.zeros(2)}, {}),
                                            ({}, {"names": "ab"}), ({}, {"names": ["a"]}), ({}, {"layer": None}), ({}, {"error": "0"}), ({}, {"terms": [1, 2]}), ({}, {"terms": [[["a", "b"]]]}), ({}, {"meta": None}), ({}, {"foreign": 1})], ids=str)
def test_concepts_of_strangers(tensors, notes, tmp_path):
    good = {"dictionary": torch.eye(2), "levels": torch.zeros(2), "shares": torch.ones(2)}, {"names": ["a", "b"], "layer": "l", "model": "m", "error": .1, "terms": None, "meta": {}}
    save_tensors(tmp_path / "c", good[0], "interlib.concepts", **good[1])
    assert len(il.concepts.Concepts.load(tmp_path / "c")) == 2
    save_tensors(tmp_path / "c", good[0] | tensors, "interlib.concepts", **good[1] | notes)
    with pytest.raises(ValueError, match="path: .*c is damaged"): il.concepts.Concepts.load(tmp_path / "c")


def test_missing_notes(tmp_path):
    for kind, load in (("baseline", il.Baseline.load), ("concepts", il.concepts.Concepts.load), ("interactions", il.Interactions.load)):
        save_tensors(tmp_path / "x", {}, f"interlib.{kind}")
        with pytest.raises(ValueError, match="path: .* is damaged"): load(tmp_path / "x")


# ---- files of version 0.1


def old(path, tensors, kind, **notes):
    "A file as version 0.1 wrote it."
    path.write_bytes(save(tensors, {"format": kind, "version": "1", "sha256": digest(tensors), **{k: json.dumps(n) for k, n in notes.items()}}))


def test_old_files_are_read_with_a_warning_where_names_were_not_protected(x, tmp_path):
    old(tmp_path / "x", {"and": x.and_, "or": x.or_}, "interlib.interactions", players=x.players, meta=x.meta, solution=None)
    with pytest.warns(UserWarning, match="path: .*x was written by version 0.1, .*save it again"): y = il.Interactions.load(tmp_path / "x")
    assert torch.equal(x.and_, y.and_) and x.players == y.players
    y.save(tmp_path / "x")
    old(tmp_path / "w", {"w": x.and_}, "interlib.training")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(y, il.Interactions.load(tmp_path / "x"))                # saved again, protected
        assert torch.equal(load_tensors(tmp_path / "w", "interlib.training")[0]["w"], x.and_)       # nothing but numbers: safe as it is
    data = (tmp_path / "w").read_bytes()
    (tmp_path / "w").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ValueError, match="changed since it was written"): load_tensors(tmp_path / "w", "interlib.training")


def test_a_new_file_cannot_pass_for_an_old_one(x, tmp_path):
    x.save(tmp_path / "x")
    data = (tmp_path / "x").read_bytes().replace(b'"version":"2"', b'"version":"1"')
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match="changed since it was written"): il.Interactions.load(tmp_path / "x")


# ---- copies, not maps


@pytest.mark.parametrize("harm", ["copied over", "truncated"])
def test_what_happens_to_a_file_later_changes_no_number(harm, x, tmp_path):
    x.save(tmp_path / "x")
    v = torch.randn(2**12, generator=torch.Generator().manual_seed(0)).double()
    save_tensors(tmp_path / "v", {"v": v}, "interlib.table", players=list(range(12)), meta={})
    y, (tensors, _) = il.Interactions.load(tmp_path / "x"), load_tensors(tmp_path / "v", "interlib.table")
    for name in ("x", "v"):
        size = (tmp_path / name).stat().st_size
        with open(tmp_path / name, "r+b") as f: f.write(os.urandom(size)) if harm == "copied over" else f.truncate(0)
    assert same(x, y) and torch.equal(tensors["v"], v)


# ---- the cache of `evaluate`


SUMS = Game(lambda masks: masks.double() @ torch.tensor([1., 2, 4]).double(), list("abc"), key="sums")
WANT = torch.arange(8).double()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Disk quota exceeded"), PermissionError(errno.EACCES, "Permission denied"), ValueError("path: no")], ids=str)
def test_a_table_that_cannot_be_kept_is_returned(error, tmp_path, monkeypatch):
    def fails(*args, **how): raise error
    monkeypatch.setattr(sys.modules["interlib.model.value_tables"], "save_tensors", fails)
    with pytest.warns(UserWarning, match="cache: the table could not be kept"): assert torch.equal(il.evaluate(SUMS, progress=False, cache=tmp_path), WANT)


def test_a_full_disk(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(mount)], capture_output=True).returncode: pytest.skip("no file system of a limited size can be made here")
    try:
        big = Game(lambda masks: masks.double().sum(1), list(range(12)), key="big")
        with pytest.warns(UserWarning, match="cache: the table could not be kept .*No space left"): v = il.evaluate(big, progress=False, cache=mount)
        assert v[-1] == 12 and not os.listdir(mount)
    finally: subprocess.run(["umount", str(mount)], check=True)


def test_a_full_disk_names_the_file(x, tmp_path, monkeypatch):
    def full(self, data): raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device: .*deep/x") as e: x.save(tmp_path / "deep" / "x")
    assert e.value.errno == errno.ENOSPC and not os.listdir(tmp_path / "deep")


def test_a_full_disk_while_something_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("INTERLIB_CACHE", str(tmp_path))
    def full(*args): raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(fetching, "unpack", full)
    monkeypatch.setattr(fetching, "pip_download", lambda *args: None)
    with pytest.raises(RuntimeError, match="INTERLIB_CACHE: colour.txt cannot be written to .*No space left"): fetching.fetch(PEAR)
    assert not os.listdir(tmp_path)


def test_a_folder_in_the_place_of_a_table(tmp_path):
    il.evaluate(SUMS, progress=False, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.unlink()
    path.mkdir()
    with pytest.warns(UserWarning) as told: assert torch.equal(il.evaluate(SUMS, progress=False, cache=tmp_path), WANT)
    assert ["is a folder" in str(w.message) or "could not be kept" in str(w.message) for w in told] == [True, True]


@pytest.mark.parametrize("tensors, notes", [({"v": WANT * NAN}, {}), ({"v": WANT.float()}, {}), ({"v": WANT.repeat(2)}, {}), ({"v": WANT[:4]}, {}), ({"v": WANT[None, None]}, {}), ({"v": torch.zeros(0).double()}, {}), ({"w": WANT}, {}), ({"v": WANT, "w": WANT}, {}),
                                            ({"v": WANT[None]}, {}), ({"v": WANT}, {"players": list("xyz")}), ({"v": WANT}, {"players": 3}), ({"v": WANT}, {"meta": 3})], ids=str)
def test_tables_with_a_right_seal_and_wrong_content_are_computed_again(tensors, notes, tmp_path):
    il.evaluate(SUMS, progress=False, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    save_tensors(path, tensors, "interlib.table", **{"players": list("abc"), "meta": {}} | notes)
    with pytest.warns(UserWarning, match="cache: .*computed again"): assert torch.equal(il.evaluate(SUMS, progress=False, cache=tmp_path), WANT)


def test_a_link_in_a_cache_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "victim").write_bytes(b"precious")
    il.evaluate(SUMS, progress=False, cache=tmp_path / "cache")
    (path,) = (tmp_path / "cache").iterdir()
    path.unlink()
    path.symlink_to(tmp_path / "victim")
    with pytest.warns(UserWarning, match="computed again"): il.evaluate(SUMS, progress=False, cache=tmp_path / "cache")
    assert (tmp_path / "victim").read_bytes() == b"precious" and not path.is_symlink()


# ---- trainings


@pytest.fixture
def trained(tmp_path):
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    split = il.data.DataSplit(x, (x[:, 0] > 0).long(), x[:8], (x[:8, 0] > 0).long(), ("no", "yes"), "halves")
    def fit(folder=tmp_path / "t"):
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 2)
        return model, il.training.train(model, split, epochs=2, batch_size=8, folder=folder, progress=False)
    fit()
    return tmp_path / "t", fit


def test_weights_of_another_epoch_or_training(trained):
    folder, fit = trained
    first, last = folder / "epoch-000.safetensors", folder / "epoch-002.safetensors"
    a, b = first.read_bytes(), last.read_bytes()
    last.write_bytes(a)
    with pytest.raises(RuntimeError, match="epoch-002.safetensors .*of another epoch or training"): fit()
    last.write_bytes(b)
    model, _ = fit()
    weights, notes = load_tensors(last, "interlib.training")
    for tensors, more in (({"weight": weights["weight"]}, {}), (weights | {"bias": weights["bias"] * NAN}, {}), (weights | {"bias": torch.zeros(3)}, {}), (weights, {"settings": "0"})):
        save_tensors(last, tensors, "interlib.training", **notes | more)
        with pytest.raises(RuntimeError, match="epoch-002.safetensors"): fit()


def test_losses_of_strangers(trained):
    folder, fit = trained
    path = folder / "losses.safetensors"
    losses, notes = load_tensors(path, "interlib.training")
    for change in ({"accuracy": torch.zeros(3)}, {"sample_losses": losses["sample_losses"][:, 1:]}, {"more": torch.zeros(1)}, {"sample_losses": losses["sample_losses"] * NAN}, {"accuracy": losses["accuracy"].long()}):
        save_tensors(path, losses | change, "interlib.training", **notes)
        with pytest.raises(RuntimeError, match="losses.safetensors .*delete the folder and train again"): fit()
    for text in ("[1]", "[" * 10**5, '{"lr": 1, "lr": 2}', "5"):
        (folder / "settings.json").write_text(text)
        with pytest.raises(ValueError, match="no settings.json of a training"): fit()


def test_a_training_of_version_1_is_read(trained):
    folder, fit = trained
    want = fit()[1]
    for path in folder.glob("*.safetensors"): old(path, load_tensors(path, "interlib.training")[0], "interlib.training")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(fit()[1].sample_losses, want.sample_losses)


def test_a_file_in_the_place_of_a_training(trained, tmp_path):
    (tmp_path / "file").write_text("dear")
    with pytest.raises(ValueError, match="folder: got .*file', which is a file"): trained[1](tmp_path / "file")


# ---- samples of a sweep's configuration


@pytest.mark.parametrize("line, why", [("[" * 10**5, "nested too deeply"), ("9" * 5000, "digits"), ('{"text": "a", "text": "b"}', "twice"), ("nothing", "Expecting")])
def test_samples_that_cannot_be_read(line, why, tmp_path):
    from interlib.app.comparison import read_config
    (tmp_path / "s.jsonl").write_text('{"text": "a"}\n' + line)
    (tmp_path / "c.toml").write_text('folder = "kept"\nsamples = "s.jsonl"\n[models]\nlm = "smollm2"\n')
    with pytest.raises(ValueError, match=f"samples: line 2 of .*s.jsonl is no JSON .*{why}"): read_config(tmp_path / "c.toml")
    (tmp_path / "c.toml").write_text("x = " + "[" * 10**4)
    with pytest.raises(ValueError, match="config: .*c.toml cannot be read as TOML"): read_config(tmp_path / "c.toml")


# ---- what is fetched


def archive(path, files):
    with tarfile.open(path, "w:gz") as t:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            t.addfile(info, io.BytesIO(content))


@pytest.fixture
def shop(tmp_path, monkeypatch):
    "A folder that pip downloads from, and nothing else; with a source archive that leaves a mark when it is run."
    (tmp_path / "shop").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shop"))
    monkeypatch.setenv("INTERLIB_CACHE", str(tmp_path / "cache"))
    setup = f"open({str(tmp_path / 'mark')!r}, 'w')\nfrom setuptools import setup\nsetup(name='pear', version='1.0')".encode()
    archive(tmp_path / "shop" / "pear-1.0.tar.gz", {"pear-1.0/setup.py": setup, "pear-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: pear\nVersion: 1.0\n", "pear-1.0/colour.txt": b"red"})
    return tmp_path / "shop"


PEAR = fetching.Carrier("colour.txt", hashlib.sha256(b"red").hexdigest(), 3, {"pear==1.0": "pear-1.0/colour.txt"})


@pytest.mark.parametrize("source", ["", "0" * 64], ids=["a wheel is wanted", "another archive is wanted"])
def test_nothing_of_a_package_runs_before_its_digest_is_known(source, shop, tmp_path):
    with pytest.raises(RuntimeError, match="colour.txt: could not be fetched from pear==1.0"): fetching.fetch(replace(PEAR, source=source), progress=False)
    assert not (tmp_path / "mark").exists()


def test_the_one_source_archive_is_pinned():
    args, c = fetching.pip_args(fetching.CARRIERS["movie-ratings"]), fetching.CARRIERS["movie-ratings"]
    assert "--require-hashes" in args and len(bytes.fromhex(c.source)) == 32 and fetching.requirement_lines(c) == f"vaderSentiment==3.3.2 --hash=sha256:{c.source}"
    assert all("--only-binary=:all:" in fetching.pip_args(c) for name, c in fetching.CARRIERS.items() if name != "movie-ratings")
    assert fetching.requirement_lines(c) in fetching.by_hand(c, "no network")


def test_files_in_the_cache_are_checked_before_they_are_used(tmp_path, monkeypatch):
    monkeypatch.setenv("INTERLIB_CACHE", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "pear-1.0-py3-none-any.whl", "w") as z: z.writestr("pear-1.0/colour.txt", "red")
    (tmp_path / "colour.txt").write_text("bed")
    with pytest.warns(UserWarning, match="colour.txt has changed since it was fetched"): assert fetching.fetch(PEAR).read_text() == "red"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fetching.fetch(PEAR).read_text() == "red"
    (tmp_path / "colour.txt").unlink()
    (tmp_path / "colour.txt").mkdir()
    with pytest.raises(RuntimeError, match="colour.txt is a folder"): fetching.fetch(PEAR)


def test_an_archive_that_would_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("INTERLIB_CACHE", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "pear-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as z: z.writestr("pear-1.0/colour.txt", bytes(50_000_000))
    with pytest.raises(RuntimeError, match="holds more than the 3 bytes of colour.txt"): fetching.fetch(PEAR)
    assert os.listdir(tmp_path) == ["pear-1.0-py3-none-any.whl"]


def test_a_model_in_the_cache_is_checked_when_it_was_touched(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    weights, other = tmp_path / "model" / "weights", tmp_path / "model" / "config.json"
    weights.write_bytes(b"12345678")
    other.write_text("{}")
    fetching.list_files(tmp_path / "model")
    assert fetching.check_files(tmp_path / "model") == tmp_path / "model"
    weights.write_bytes(b"12345679")                                        # as long as before
    with pytest.raises(RuntimeError, match="model is damaged .weights has changed.; delete .*model and call again"): fetching.check_files(tmp_path / "model")
    weights.write_bytes(b"12345678")
    os.utime(weights, (5, 5))
    fetching.check_files(tmp_path / "model")                                    # copied from elsewhere, and whole
    monkeypatch.setattr(fetching, "sha256_of", lambda path: pytest.fail("read again"))
    fetching.check_files(tmp_path / "model")
    for text in ("[]", "{}", '{"weights": 5}', "\xff"):
        (tmp_path / "model" / fetching.LIST).write_text(text)
        with pytest.raises(RuntimeError, match="model is damaged"): fetching.check_files(tmp_path / "model")
    (tmp_path / "model" / fetching.LIST).write_text(json.dumps(seal({"weights": 5})))
    with pytest.raises(RuntimeError, match="model is damaged"): fetching.check_files(tmp_path / "model")


def test_sealed_texts_of_strangers():
    assert unseal(json.dumps(seal({"a": [1, NAN], "b": {"c": None}})))["b"] == {"c": None}
    deep = '{"a": ' + "[" * 600 + "]" * 600 + ', "sha256": "0"}'
    for text in ("{}", "[]", "5", '"sha256"', deep, '{"sha256": 5}', '{"a": 1, "a": 1, "sha256": "0"}', b"\xff", '{"a": 1' + "0" * 5000 + "}"):
        with pytest.raises(ValueError): unseal(text)
