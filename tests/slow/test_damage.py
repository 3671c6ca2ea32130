"""Random damage to the folder of a sweep and to saved interactions: mended, or refused by name; and folders of strangers."""
import itertools
import json
import os
import random
import shutil
import warnings
from pathlib import Path

import pytest
import torch

import interlib as il
from interlib.core.files import seal
from interlib.model.games import Game
from interlib.app.results import open_sweep
from interlib.app.sweeps import sweep

SAMPLES = [[0], [1]]


def tiny(network, sample, scale):
    "A game of two players whose outputs come from the sample and the weights."
    def play(masks): return scale * (masks.double() @ torch.tensor([1. + sample[0], 2.]).double()) + network.weight.item() * masks.all(1).double()
    return Game(play, ["x", "y"], {"target": f"t{sample[0]}"})


def lonely(network, sample, scale):
    if sample == [1]: raise ValueError("sample: got [1]")
    return tiny(network, sample, scale)


def models(seed=0):
    torch.manual_seed(seed)
    return {"a": torch.nn.Linear(1, 1), "b": torch.nn.Linear(1, 1)}


def make(folder, game=tiny, **how): return sweep(SAMPLES, models(), folder, game, {"s": {"scale": 1.}, "t": {"scale": 2.}}, progress=False, **how)


def contents(folder):
    "What a folder holds, but for the log, the lock and what a killed writer leaves."
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in ("log.jsonl", "sweep.lock")}


def answers(s):
    "All that a sweep says, as plain values."
    names = [(m, t) for m in s.said["models"] for t in s.said["settings"]]
    tables = {(i, *key): s.table(i, *key)[0].tolist() for key in names for i in range(len(SAMPLES))}
    alone = {(i, *key): (x.and_.tolist(), x.or_.tolist(), x.players, x.solution, x.meta) for key in names for i, x in s.interactions(*key)}
    joint = {(i, t): [(x.and_.tolist(), x.players, x.meta) for x in xs] for t in s.said["settings"] for i, xs in s.shared_interactions(t)}
    return tables, alone, joint, s.index.to_dict("records"), s.strengths.to_dict("records"), s.errors.to_dict("records")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "sweep"
    return folder, answers(make(folder)), contents(folder)


def flip(path, rng, others):
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def truncate(path, rng, others): os.truncate(path, rng.randrange(path.stat().st_size))
def zero(path, rng, others): path.write_bytes(bytes(path.stat().st_size))
def delete(path, rng, others): path.unlink()


def append(path, rng, others):
    with path.open("ab") as f: f.write(rng.randbytes(rng.randrange(1, 40)))


def swap(path, rng, others):
    other = rng.choice(others)
    a, b = path.read_bytes(), other.read_bytes()
    path.write_bytes(b); other.write_bytes(a)


def duplicate(path, rng, others): rng.choice(others).write_bytes(path.read_bytes())


def copy_beside(path, rng, others):
    "The same file under another number."
    digits = f"{rng.randrange(20):06}"
    (path.parent / path.name.replace("000000", digits).replace("000001", digits)).write_bytes(path.read_bytes())


def to_folder(path, rng, others):
    path.unlink()
    path.mkdir()
    if rng.random() < .5: (path / "thesis.tex").write_text("dear")


def to_link(path, rng, others):
    path.unlink()
    path.symlink_to(rng.choice([others[0], path.parent / "nowhere", OUTSIDE["file"], OUTSIDE["folder"]]))


def to_foreign(path, rng, others):
    path.write_bytes(rng.choice([b"", b"{}", b"[1, 2]", b"null", b"PAR1PAR1", b"\x80\x04K\x01.", b"[" * 9999, rng.randbytes(500), (b"\xff" * 8) + b"{}"]))


def folder_to_file(path, rng, others):
    inside = [p for p in (path.parent, path.parent.parent) if p.name in ("tables", "interactions", "shared", "s", "t", "a", "b")]
    inner = rng.choice(inside or [path])
    shutil.rmtree(inner) if inner.is_dir() else inner.unlink()
    inner.write_text("not a folder")


DAMAGE = [flip, flip, flip, truncate, zero, delete, append, swap, duplicate, copy_beside, to_folder, to_link, to_foreign, folder_to_file]
OUTSIDE = {}


PARTS = ("tables", "separate", "shared", "index", "strengths", "errors")

def differences(found, want): return [name for name, a, b in zip(PARTS, found, want) if repr(a) != repr(b)]


def called(do, *args):
    "What it gives, or the error with which it names what is wrong; anything else is a fault."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try: return do(*args), None
        except (ValueError, RuntimeError, FileNotFoundError) as e:
            assert str(e).startswith(("folder: ", "path: ")), repr(e)
            return None, str(e)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_six_hundred_rounds_of_damage(part, good, tmp_path):
    folder, want, files = good
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "000000.safetensors").write_bytes(b"precious")
    OUTSIDE.update(file=victim / "000000.safetensors", folder=victim)
    mended = refused = 0
    for seed in range(100 * part, 100 * part + 100):
        rng, here = random.Random(seed), tmp_path / f"sweep{seed}"
        shutil.copytree(folder, here)
        paths = sorted(p for p in here.rglob("*") if p.is_file() and p.stat().st_size)
        path = rng.choice(paths)
        harm = rng.choice(DAMAGE)
        harm(path, rng, [p for p in paths if p != path])
        what = f"seed {seed}: {harm.__name__} of {path.relative_to(here)}"
        if seed % 4 == 0:                                       # somebody reads before anybody mends: never another number
            read, _ = called(lambda: answers(open_sweep(here)))
            if read: assert all(read_part.get(k, v) == v for read_part, want_part in zip(read[:3], want[:3]) for k, v in want_part.items()), what
        s, problem = called(make, here)
        if problem:
            assert "sweep" in problem and str(here) in problem, f"{what}: {problem}"
            assert called(make, here)[1], what                  # as clearly the second time
            refused += 1
        else:
            if seed % 3 == 0:
                found, problem = called(answers, s)
                assert not problem, f"{what}: {problem}"
                assert not differences(found, want), f"{what}: {differences(found, want)}"
            left = contents(here)
            assert {k: left.get(k) for k in files} == files, what
            mended += 1
        assert (victim / "000000.safetensors").read_bytes() == b"precious" and len(os.listdir(victim)) == 1, what
        shutil.rmtree(here)
    assert mended + refused == 100 and mended > 50


def test_three_thousand_flipped_bits(tmp_path):
    x = il.decompose(il.planted(4, 3, 3, seed=1)[0], players=["the", ("row", 1), 7, "“it’s”"])
    x.meta = {"target": " mat", "classes": [1, 2], "probability": .25}
    x.save(path := tmp_path / "x.safetensors")
    data, rng = path.read_bytes(), random.Random(0)
    header = 8 + int.from_bytes(data[:8], "little")
    places = [rng.randrange(8 * header) for _ in range(2000)] + [rng.randrange(8 * len(data)) for _ in range(1000)]
    for k in places:
        path.write_bytes(data[:k // 8] + bytes([data[k // 8] ^ 1 << k % 8]) + data[k // 8 + 1:])
        with pytest.raises(ValueError, match="path: .*x.safetensors (is damaged|holds)"): il.Interactions.load(path)
    path.write_bytes(data)
    assert il.Interactions.load(path).players == x.players


def test_damaged_records_of_errors_are_named_and_mended(tmp_path):
    folder = tmp_path / "sweep"
    s = make(folder, lonely)
    assert s.errors.message.tolist() == ["sample: got [1]"] * 4
    path = folder / "errors/s/a/000001.json"
    data = path.read_bytes()
    for harm in (data.replace(b"got [1]", b"got [2]"), data.replace(b'"error"', b'"horror"'), b"[1]", b"", b"\xff", json.dumps(seal({"error": 5, "of": ["s", "a", 1]})).encode(), (folder / "errors/t/a/000001.json").read_bytes()):
        path.write_bytes(harm)
        s = open_sweep(folder)
        assert "000001.json is damaged" in s.errors.message[0] and s.errors.message[1:].tolist() == ["sample: got [1]"] * 3
    sweep(SAMPLES, models(), folder, lonely, {"s": {"scale": 1.}, "t": {"scale": 2.}}, retry=True, progress=False)
    assert path.read_bytes() == data


def test_a_log_that_was_changed_is_not_believed(good, tmp_path):
    shutil.copytree(good[0], tmp_path / "sweep")
    log = tmp_path / "sweep" / "log.jsonl"
    for line in (b"5", b'{"stage": "all", "at": "noon"}', b"[" * 9999, b"\xff", log.read_bytes().splitlines()[-1].replace(b"done", b"dome")):
        log.write_bytes(log.read_bytes() + line + b"\n")
        assert open_sweep(tmp_path / "sweep").status()["last"].startswith("done at 2")
    assert open_sweep(tmp_path / "sweep").status()["log"].startswith("5 of ") and "log" not in open_sweep(good[0]).status()


# Folders of strangers


def outside(folder):
    "Everything beside a folder, by name and content."
    return {p.relative_to(folder.parent).as_posix(): p.read_bytes() if p.is_file() else None for p in folder.parent.rglob("*") if folder not in p.parents and p != folder}


@pytest.fixture
def hostile(good, tmp_path):
    "A copy of a good sweep, with something precious beside it."
    shutil.copytree(good[0], tmp_path / "place" / "sweep")
    (tmp_path / "place" / "victim").mkdir()
    for name in ("000000.safetensors", "000000-000001.safetensors", "000001.json", ".000000.safetensors.abcdefgh"):
        (tmp_path / "place" / "victim" / name).write_bytes(b"precious")
    return tmp_path / "place" / "sweep"


def forge(folder, **what):
    "Writes another `sweep.json` with a seal that fits."
    said = json.loads((folder / "sweep.json").read_text())
    said.pop("sha256")
    (folder / "sweep.json").write_text(json.dumps(seal(said | what)))


def everything(folder):
    "All calls that read or write a folder; each may refuse by name."
    for call in (open_sweep, lambda f: answers(open_sweep(f)), lambda f: open_sweep(f).status(), make, lambda f: make(f, retry=True)): called(call, folder)


@pytest.mark.parametrize("name", ["../../../victim", "../victim", "..", ".", "", "/tmp/victim", "a/b", "a\\b", "a\0", "shared", "x" * 300, "C:", "a\n"])
@pytest.mark.parametrize("what", ["models", "settings"])
def test_names_that_lead_elsewhere(what, name, hostile):
    before = outside(hostile)
    if what == "settings" and name == "shared": pytest.skip("a setting may have this name")
    forge(hostile, **{what: {name: None if what == "models" else {}}})
    with pytest.raises(ValueError, match="folder: .*sweep.json is damaged or forged .*" + what): open_sweep(hostile)
    everything(hostile)
    assert outside(hostile) == before


@pytest.mark.parametrize("what", [{"models": ["a"]}, {"models": {"a": 5}}, {"samples": 3}, {"samples": [1]}, {"settings": {"s": 5}}, {"noise": "x"}, {"noise": True}, {"game": 7}, {"foreign": 1},
                                  {"share": []}, {"models": {"a": None, "b": None, "shared": None}}])
def test_requests_that_no_sweep_writes(what, hostile):
    forge(hostile, **what)
    for call in (open_sweep, make):
        with pytest.raises(ValueError, match="folder: .*sweep.json is damaged or forged"): call(hostile)


@pytest.mark.parametrize("text, why", [('{"format": "interlib.sweep", "version": 1, "models": {}}', "of version 0.1.*made again"), ("[" * 10**5, "nested too deeply"), ('{"a": 1, "a": 2}', "twice"),
                                       ("9" * 5000, "digits"), ("null", "something else"), ("{}", "version None")])
def test_requests_that_cannot_be_read(text, why, hostile):
    (hostile / "sweep.json").write_text(text)
    for call in (open_sweep, make):
        with pytest.raises(ValueError, match=f"folder: .*{why}"): call(hostile)


@pytest.mark.parametrize("where", ["tables", "tables/s", "tables/s/a", "tables/s/a/000000.safetensors", "interactions/s/a", "interactions/s/a/000000-000001.safetensors", "shared/s", "errors", "errors/s",
                                   "sweep.json", "sweep.lock", "log.jsonl", "index.parquet", "measures.json", "tables/s/a/.000000.safetensors.abcdefgh", "tables/foreign"])
def test_links_that_lead_elsewhere(where, hostile):
    before, path = outside(hostile), hostile / where
    if path.is_dir(): shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    victim = hostile.parent / "victim"
    path.symlink_to(victim / "000000.safetensors" if path.suffix else victim)
    for call in (open_sweep, make):
        with pytest.raises(ValueError, match="folder: .* is a link; all of a sweep must lie in its folder"): call(hostile)
    everything(hostile)
    assert outside(hostile) == before


@pytest.mark.parametrize("name", ["sweep.lock", "log.jsonl"])
def test_hard_links(name, hostile):
    (hostile / name).unlink()
    os.link(hostile.parent / "victim" / "000000.safetensors", hostile / name)
    with pytest.raises(ValueError, match="is the same file as another one"): make(hostile)
    assert (hostile.parent / "victim" / "000000.safetensors").read_bytes() == b"precious"
    if name == "log.jsonl":
        (hostile / name).unlink()
        os.mkfifo(hostile / name)                               # it would wait for ever
        with pytest.raises(ValueError, match="log.jsonl must be a file"): make(hostile)


def test_a_page_is_not_written_through_a_link(hostile):
    from interlib.app.cli import main
    (hostile / "compare.html").symlink_to(hostile.parent / "victim" / "000001.json")
    before = outside(hostile)
    assert main(["compare", str(hostile), "--setting", "s"]) == 0 and not (hostile / "compare.html").is_symlink()
    assert outside(hostile) == before


def test_files_of_others_in_the_folder_stay(hostile, good):
    foreign = ["thesis.tex", "tables/notes.safetensors", "tables/s/a/best.safetensors", "interactions/s/a/mine.safetensors", "shared/s/.x.safetensors.abcdefgh", "errors/s/a/why.json",
               "errors/note.txt", ".thesis.json.abcdefgh", "deep/.000000.safetensors.abcdefgh", "tables/other/model/000000.safetensors"]
    for name in foreign:
        (hostile / name).parent.mkdir(parents=True, exist_ok=True)
        (hostile / name).write_bytes(b"mine")
    (hostile / "tables/s/a/.000000.safetensors.abcdefgh").write_bytes(b"left by a killed process")
    everything(hostile)
    assert all((hostile / name).read_bytes() == b"mine" for name in foreign)
    assert not (hostile / "tables/s/a/.000000.safetensors.abcdefgh").exists()
    assert not differences(answers(open_sweep(hostile)), good[1])


def test_tables_with_a_right_seal_and_wrong_content(hostile, good):
    from interlib.core.files import load_tensors, save_tensors
    path = hostile / "tables/s/a/000001.safetensors"
    (v,), notes = load_tensors(path, "interlib.table")[0].values(), load_tensors(path, "interlib.table")[1]
    for tensors, more in [({"v": v * torch.nan}, {}), ({"v": v.float()}, {}), ({"v": v[:3]}, {}), ({"v": v.repeat(2)}, {}), ({"v": v[None]}, {}), ({"v": v.view(2, 2)}, {}), ({"w": v}, {}), ({"v": v, "w": v}, {}),
                          ({"v": v}, {"players": 2}), ({"v": v}, {"players": ["x"] * 10**4}), ({"v": v}, {"meta": None}), ({"v": v}, {"sample": "0"}), ({"v": v}, {"setting": "t"}), ({"v": v + torch.inf}, {})]:
        save_tensors(path, tensors, "interlib.table", **notes | more)
        with pytest.raises(ValueError, match="path: .*000001.safetensors"): open_sweep(hostile).table(1, "a", "s")
        with pytest.warns(UserWarning, match="000001.safetensors.*a sweep makes it again"): make(hostile)
        assert path.read_bytes() == good[2]["tables/s/a/000001.safetensors"]


def test_chunks_with_a_right_seal_and_wrong_content(hostile, good):
    from interlib.core.files import load_tensors, save_tensors
    name = "interactions/s/a/000000-000001.safetensors"
    tensors, notes = load_tensors(hostile / name, "interlib.chunk")
    solution = notes["solutions"]["0"]
    told = [({"and_0": tensors["and_0"] * torch.nan}, {}), ({"and_0": tensors["and_0"].float()}, {}), ({"and_0": tensors["and_0"][:, :3]}, {}), ({"or_0": tensors["or_0"] + 1}, {}), ({"more": tensors["or_0"]}, {}),
            ({}, {"models": ["b"]}), ({}, {"models": []}), ({}, {"models": 5}), ({}, {"solutions": {}}), ({}, {"solutions": [1]}), ({}, {"solutions": {"0": solution, "-1": solution}}), ({}, {"seals": {}}),
            ({}, {"seals": {"0": ["0" * 64], "1": ["0" * 64]}}), ({}, {"solutions": {"0": solution | {"objective": float("nan")}, "1": solution}}), ({}, {"solutions": {"0": solution | {"solver": 5}, "1": solution}}),
            ({}, {"solutions": {"0": None, "1": solution}}), ({}, {"setting": "t"}), ({}, {"model": "b"})]
    for change, more in told:
        save_tensors(hostile / name, tensors | change, "interlib.chunk", **notes | more)
        with pytest.warns(UserWarning, match="path: .*000000-000001.safetensors.*a sweep makes it again"): assert not list(open_sweep(hostile).interactions("a", "s")), more
        with warnings.catch_warnings(): warnings.simplefilter("ignore"); make(hostile)
        assert (hostile / name).read_bytes() == good[2][name], more


def test_interactions_of_another_table_are_made_again(hostile, good):
    "Every file is whole and in its place; only the table is not the one that was decomposed."
    from interlib.core.files import load_tensors, save_tensors
    path = hostile / "tables/s/a/000001.safetensors"
    tensors, notes = load_tensors(path, "interlib.table")
    save_tensors(path, {"v": tensors["v"] * 3}, "interlib.table", **notes)
    with pytest.warns(UserWarning, match="not of the tables that are there now, for 1 sample"): assert [i for i, _ in open_sweep(hostile).interactions("a", "s")] == [0]
    make(hostile)
    (x,) = [x for i, x in open_sweep(hostile).interactions("a", "s") if i == 1]
    assert torch.allclose(x.and_, il.decompose(tensors["v"] * 3).and_, atol=1e-5)


def test_names_and_numbers_that_a_sweep_does_not_have(good):
    s = open_sweep(good[0])
    for call, why in ((lambda: s.table(0, "../../x", "s"), "model: got '../../x'; it must be one of 'a', 'b'"), (lambda: s.table(2, "a", "s"), "sample: got 2; it must be a number from 0 to 1"),
                      (lambda: s.table("0", "a", "s"), "sample: got '0'"), (lambda: s.table(-1, "a", "s"), "sample: got -1"), (lambda: s.table(0, "a", "u"), "setting: got 'u'")):
        with pytest.raises(ValueError, match=why): call()
