"Sweeps that are killed, damaged, extended, and run out of disk."
import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

import interlib as il
from interlib.nets.identity import identity
from interlib.core.files import load_tensors, seal
from interlib.app.comparison import compare_html
from interlib.app.folders import is_unfinished, table_path, write_json
from interlib.app.results import digest_of_files, open_sweep, write_measures
from interlib.app.sweeps import sweep

SCRIPT = """
import sys, time, torch
from interlib.model.games import Game
from interlib.app.sweeps import sweep
torch.set_num_threads(1)

def slow(network, sample, factor=1.):
    if sample == [3]: raise ValueError("sample: got [3]")
    def fn(masks):
        time.sleep(.004)
        g = torch.Generator().manual_seed(sample[0])
        return factor * torch.randn(32, generator=g)[(masks.long() << torch.arange(5)).sum(1)]
    open(sys.argv[2], "a").write(f"{sample[0]} {factor} {network.name}\\n")
    return Game(fn, list("abcde"), {"target": "t"})

class Net: pass
def net(name):
    model = Net(); model.name = name
    return model

sweep([[i] for i in range(int(sys.argv[3]))], {"A": lambda: (net("A"),)[0], "B": lambda: net("B")}, sys.argv[1], slow, {"one": {}, "two": {"factor": 2.}}, progress=False)
print("done")
"""


def run(folder, calls, samples=20, wait=True):
    "The script in a process of its own."
    p = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(calls), str(samples)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if not wait: return p
    out, err = p.communicate(timeout=300)
    assert out.strip().endswith("done"), err[-2000:]


def results(folder):
    "All files of results, but for the log and the lock."
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name not in ("log.jsonl", "sweep.lock")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder / "sweep", folder / "calls", 40)
    return folder / "sweep"


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(undisturbed, tmp_path):
    rng, folder, calls, kills = random.Random(0), tmp_path / "sweep", tmp_path / "calls", 0
    while kills < 12:
        before = {p.relative_to(folder): p.stat().st_mtime_ns for part in ("tables", "interactions", "shared") for p in (folder / part).rglob("[!.]*.safetensors")}
        p, at = run(folder, calls, 40, wait=False), time.time()
        lines = calls.read_text().count("\n") if calls.exists() else 0
        more = rng.randint(1, 10)                                                       # tables, or a moment in what comes after them
        while p.poll() is None and (calls.read_text().count("\n") if calls.exists() else 0) < min(160, lines + more) and time.time() < at + 60: time.sleep(.002)
        time.sleep(rng.random() * (.05 if lines + more < 160 else .5))
        p.send_signal(signal.SIGKILL)
        if p.wait() != -signal.SIGKILL: break                                           # it was done before
        kills += 1
        assert {q: (folder / q).stat().st_mtime_ns for q in before} == before, "a finished file was made again"
    assert kills >= 9
    run(folder, calls, 40)
    assert results(folder) == results(undisturbed)
    assert not [q for q in folder.rglob("*") if is_unfinished(q)]
    asked = calls.read_text().splitlines()
    assert len(asked) <= 40 * 4 + 20 + 5 * 20 + 4 * 21                                  # each table once, but for those cut short (and one game built for the estimate, four asked again)


@pytest.mark.slow
def test_extended_at_the_end(undisturbed, tmp_path):
    run(tmp_path / "sweep", tmp_path / "calls", 10)
    first = results(tmp_path / "sweep")
    run(tmp_path / "sweep", tmp_path / "calls", 40)
    after = results(tmp_path / "sweep")
    assert all(after[k] == v for k, v in first.items() if k.endswith(".safetensors"))
    a, b = (open_sweep(f).index for f in (tmp_path / "sweep", undisturbed))
    assert a[["setting", "model", "sample", "how", "target"]].equals(b[["setting", "model", "sample", "how", "target"]]) and (a.objective - b.objective).abs().max() < 1e-6


def test_errors_are_recorded_and_retried(undisturbed):
    errors = open_sweep(undisturbed).errors
    assert errors["sample"].tolist() == [3] * 4 and set(errors.error) == {"ValueError"} and set(errors.message) == {"sample: got [3]"}
    assert "raise ValueError" in errors.traceback[0] or "slow" in errors.traceback[0]


def test_one_at_a_time(tmp_path):
    p = run(tmp_path / "sweep", tmp_path / "calls", 40, wait=False)
    while not (tmp_path / "calls").exists(): time.sleep(.01)
    with pytest.raises(RuntimeError, match="another sweep works in"): sweep([[0]], {"A": torch.nn.Linear(1, 1)}, tmp_path / "sweep", lambda *_: None, progress=False)
    p.kill(); p.wait()


def net(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)).eval()


PICTURES = [{"image": torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(i)), "target": 0} for i in range(20)]


def small(folder, samples=PICTURES, models=None, **how):
    return sweep(samples, models or {"a": net(0), "b": net(1)}, folder, **{"game": "image", "settings": {"s": {"grid": 2}}, "progress": False} | how)


@pytest.mark.parametrize("part", ["tables/s/a/000004.safetensors", "interactions/s/b/000000-000015.safetensors", "shared/s/000016-000019.safetensors"])
@pytest.mark.parametrize("harm", [lambda b: b[:len(b) // 2], lambda b: b"", lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:]], ids=["cut", "empty", "one bit"])
def test_damaged_files_are_named_and_made_again(part, harm, tmp_path):
    small(tmp_path / "s")
    want = results(tmp_path / "s")
    (tmp_path / "s" / part).write_bytes(harm(want[part]))
    with pytest.warns(UserWarning, match=part.split("/")[-1]): small(tmp_path / "s")
    assert results(tmp_path / "s") == want


def test_foreign_files_and_folders(tmp_path):
    small(tmp_path / "s")
    want = results(tmp_path / "s")
    from interlib.core.files import save_tensors
    save_tensors(tmp_path / "s" / "tables/s/a/000002.safetensors", {"w": torch.zeros(3)}, "something.else")
    with pytest.warns(UserWarning, match="holds something.else version 2; it must be interlib.table"): small(tmp_path / "s")
    assert results(tmp_path / "s") == want
    (tmp_path / "s" / "sweep.json").write_text('{"format": "interlib.sweep", "version": 3}')
    with pytest.raises(ValueError, match="version 3; it must be interlib.sweep, version 2"): small(tmp_path / "s")
    with pytest.raises(ValueError, match="it must be the folder of a sweep"): open_sweep(tmp_path)


def test_measures_are_made_again_when_they_are_stale_or_damaged(tmp_path):
    s = small(tmp_path / "s")
    want = s.index
    (tmp_path / "s" / "index.parquet").write_bytes(b"no parquet")
    assert open_sweep(tmp_path / "s").index.equals(want)
    small(tmp_path / "s", PICTURES + [{"image": torch.ones(1, 4, 4), "target": 0}])
    assert len(open_sweep(tmp_path / "s").index) == len(want) + 4


def test_what_is_stored_is_what_the_functions_give(tmp_path):
    s = small(tmp_path / "s")
    game = il.image_game(net(0), PICTURES[5]["image"], grid=2, target=0)
    v, players, meta = s.table(5, "a", "s")
    assert torch.allclose(v, il.evaluate(game, progress=False), atol=1e-6) and players == game.players and meta["classes"] == 0
    x = dict(s.interactions("a", "s"))[5]
    assert torch.allclose(x.and_, il.decompose(v).and_, atol=1e-5) and x.players == game.players
    xs = dict(s.shared_interactions("s"))[5]
    assert xs[0].solution.objective == pytest.approx(il.decompose_shared([s.table(5, m, "s")[0] for m in "ab"])[0].solution.objective, rel=1e-6)
    row = s.index.query("sample == 5 and model == 'a' and how == 'separate'").iloc[0]
    assert row.average_order == pytest.approx(il.average_order(x)) and row.output == v[-1].item()
    strengths = s.strengths.query("sample == 5 and model == 'a' and how == 'separate'").strength.tolist()
    assert strengths == pytest.approx(il.order_strength(x).strength.tolist())


def linear(k):
    "A network without random weights."
    layer = torch.nn.Linear(16, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(32.).view(2, 16).mul(k).remainder(5) - 2)
        layer.bias.zero_()
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Tanh(), layer).eval()


def test_a_folder_that_was_written_long_ago_is_continued_with_the_same_bytes(tmp_path):
    "Of July 2026, when all of the sweep was in one module."
    with zipfile.ZipFile(Path(__file__).parents[1] / "data" / "sweep.zip") as z: z.extractall(tmp_path)
    folder, want = tmp_path / "sweep", results(tmp_path / "sweep")
    pictures = [{"image": torch.arange(16.).view(1, 4, 4).mul(1 + i).remainder(7), "target": 0} for i in range(3)]
    again = lambda models: sweep(pictures, models, folder, "image", {"grid": {"grid": 2}}, progress=False)
    s = again({"a": None, "b": None})
    assert len(s.index) == 12 and s.status()["decompositions"] == "6 of 6 separate, 6 of 6 shared" and results(folder) == want
    assert s.index.objective.round(3).tolist()[:4] == [8.27, 9.926, 9.096, 10.609]
    assert [i for i, _ in s.interactions("a", "grid")] == [i for i, _ in s.shared_interactions("grid")] == [0, 1, 2]
    again({"a": linear(3), "b": lambda: linear(4)})                                     # the models are the same, too
    assert results(folder) == want


def test_a_wrong_model_is_refused_and_changes_nothing(tmp_path):
    small(tmp_path / "s")
    want = results(tmp_path / "s")
    more = PICTURES + [{"image": torch.ones(1, 4, 4), "target": 0}]
    with pytest.raises(ValueError, match="models: 'b' is not the model"): small(tmp_path / "s", more, {"a": net(0), "b": net(7)})
    assert {k: v for k, v in results(tmp_path / "s").items() if k in want and k != "sweep.json"} == {k: v for k, v in want.items() if k != "sweep.json"}


def test_a_model_that_cannot_be_loaded_fails_its_samples_only(tmp_path):
    def broken(): raise RuntimeError("no weights")
    s = small(tmp_path / "s", models={"a": net(0), "b": broken})
    assert set(s.errors.model) == {"b"} and len(s.index) == 20
    s = small(tmp_path / "s", models={"a": net(0), "b": net(1)}, retry=True)
    assert len(s.errors) == 0 and len(s.index) == 20 * 4


def test_a_mistake_in_which_nothing_was_made_can_be_mended(tmp_path):
    how = dict(models={"a": net(0)})
    s = small(tmp_path / "s", settings={"s": {"grid": 2, "playerz": 3}}, game="image", **how)
    assert len(s.errors) == len(PICTURES) and "playerz" in s.errors.message[0] and len(s.index) == 0
    s = small(tmp_path / "s", settings={"s": {"grid": 2, "players": 3}}, game="image", **how)
    assert len(s.errors) == 0 and len(s.index) == len(PICTURES)
    with pytest.raises(ValueError, match="one folder has one answer"): small(tmp_path / "s", settings={"s": {"grid": 2}}, game="image", **how)


def test_different_players_share_nothing(tmp_path):
    def own(network, sample, seed): return il.image_game(network, grid=4, players=3, choose="random", seed=seed if network is first else 7, **sample)
    first = net(0)
    s = small(tmp_path / "s", models={"a": first, "b": net(1)}, game=own, settings={"s": {"seed": 7}, "t": {"seed": 0}})
    assert set(s.errors.model) == {"shared"} and set(s.errors.setting) == {"t"} and "players: the models have different ones" in s.errors.message[0]
    assert len(s.index.query("setting == 's'")) == 80 and len(s.index.query("setting == 't'")) >= 40


def test_interrupted_it_says_how_to_go_on(tmp_path, capsys):
    def stop(network, sample, grid):
        if torch.equal(sample["image"], PICTURES[9]["image"]): raise KeyboardInterrupt
        return il.image_game(network, grid=grid, **sample)
    with pytest.raises(KeyboardInterrupt): small(tmp_path / "s", game=stop, progress=True)
    assert "the same call goes on from there" in capsys.readouterr().out
    assert len(list((tmp_path / "s" / "tables").rglob("*.safetensors"))) == 18


def test_it_tells_before_and_after(tmp_path, capsys):
    small(tmp_path / "s", PICTURES[:8])
    small(tmp_path / "s", progress=True)
    said = capsys.readouterr().out
    assert "20 samples x 2 models x 1 settings: 24 tables to make, 384 masked samples, about" in said and "MB on disk" in said
    assert "40 tables, 80 decompositions, 0 failed; 24 tables made, 16 not made again; seconds: tables" in said


def test_full_disk(tmp_path, monkeypatch):
    import errno
    from interlib.app import store as module
    save, left = module.save_tensors, [7]
    def nearly_full(*args, **how):
        left[0] -= 1
        if left[0] < 0: raise OSError(errno.ENOSPC, "No space left on device")
        save(*args, **how)
    monkeypatch.setattr(module, "save_tensors", nearly_full)
    with pytest.raises(RuntimeError, match="folder: the disk of .* is full"): small(tmp_path / "s")
    monkeypatch.undo()
    assert len(small(tmp_path / "s").index) == 80


def test_nearly_full_small_file_system(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)], capture_output=True).returncode: pytest.skip("no file system of a limited size can be made here")
    try:
        with pytest.raises(RuntimeError, match="is full"): small(mount / "s", settings={"s": {"grid": (3, 3)}})
        assert not [p for p in (mount / "s").rglob("*") if is_unfinished(p)]
        for p in (mount / "s").rglob("*.safetensors"): load_tensors(p, {"tables": "interlib.table"}.get(p.relative_to(mount / "s").parts[0], "interlib.chunk"))
    finally: subprocess.run(["umount", str(mount)], check=True)


def test_models_in_another_order_or_added_keep_their_names(tmp_path):
    def orders(s): return s.index.query("how == 'shared'").set_index(["model", "sample"]).average_order.to_dict()
    want = orders(small(tmp_path / "s", PICTURES[:4]))
    assert orders(small(tmp_path / "s", PICTURES[:4], {"b": net(1), "a": net(0)})) == want
    s = small(tmp_path / "s", PICTURES[:4], {"c": net(2)})
    whole = small(tmp_path / "t", PICTURES[:4], {"a": net(0), "b": net(1), "c": net(2)})
    assert list(s.said["models"]) == ["a", "b", "c"] and orders(s) == orders(whole)
    for (_, xs), (_, ys) in zip(s.shared_interactions("s"), whole.shared_interactions("s")): assert [x.meta["model"] for x in xs] == [y.meta["model"] for y in ys] and all(torch.equal(x.and_, y.and_) for x, y in zip(xs, ys))


@pytest.mark.parametrize("into, other", [("tables/s/a/000004", "tables/s/a/000003"), ("tables/s/a/000004", "tables/s/b/000004"), ("interactions/s/a/000000-000015", "interactions/s/b/000000-000015"), ("interactions/s/a/000000-000015", "shared/s/000000-000015")])
def test_whole_files_in_the_wrong_place_are_made_again(into, other, tmp_path):
    small(tmp_path / "s")
    want = results(tmp_path / "s")
    (tmp_path / "s" / f"{into}.safetensors").write_bytes(want[f"{other}.safetensors"])
    with pytest.warns(UserWarning, match="is of another"): small(tmp_path / "s")
    assert results(tmp_path / "s") == want


def test_measures_made_of_damaged_files_do_not_stay(tmp_path):
    small(tmp_path / "s")
    want, chunk = results(tmp_path / "s"), "interactions/s/a/000000-000015.safetensors"
    b = want[chunk]
    (tmp_path / "s" / chunk).write_bytes(b[:-9] + bytes([b[-9] ^ 1]) + b[-8:])
    table_path(tmp_path / "s", "s", "b", 2).unlink()
    with pytest.warns(UserWarning, match="a sweep makes it again"): assert open_sweep(tmp_path / "s").status()["decompositions"] == "23 of 40 separate, 39 of 40 shared"
    with pytest.warns(UserWarning): small(tmp_path / "s")
    assert results(tmp_path / "s") == want


def test_a_retried_chunk_leaves_the_others(tmp_path, monkeypatch):
    from interlib.app import engines as module
    make = module.make_chunk
    def lame(tables, *args, **how):
        found, failed = make(tables, *args, **how)
        return {i: x for i, x in found.items() if i not in (0, 15)}, failed | {i: MemoryError("too large") for i in (0, 15) if i in found}
    monkeypatch.setattr(module, "make_chunk", lame)
    assert len(small(tmp_path / "s", PICTURES[:16], {"a": net()}).index) == 14
    monkeypatch.undo()
    assert len(small(tmp_path / "s", PICTURES[:16], {"a": net()}, retry=True).index) == 16


def test_damaged_records_and_logs(tmp_path):
    small(tmp_path / "s", PICTURES[:2])
    with (tmp_path / "s" / "log.jsonl").open("a") as f: f.write('{"at": "2026-1')
    path = tmp_path / "s" / "errors/s/a/000001.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"error": ')
    assert small(tmp_path / "s", PICTURES[:2]).status()["failed"] == "1" and "000001.json is damaged" in open_sweep(tmp_path / "s").errors.message[0]
    assert small(tmp_path / "s", PICTURES[:2], retry=True).status()["failed"] == "0"
    (tmp_path / "s" / "sweep.json").write_text(json.dumps(seal({"format": "interlib.sweep", "version": 2})))
    with pytest.raises(ValueError, match="it has the keys ; they must be alpha, game, models"): open_sweep(tmp_path / "s")


def test_half_letters_in_an_error(tmp_path):
    def half(network, sample): raise ValueError("got " + sample)
    assert small(tmp_path / "s", ["\ud800"], game=half, settings=None).errors.message.tolist() == ["got \\ud800", "got \\ud800"]


def test_names_that_the_sweep_does_not_have(tmp_path):
    s = small(tmp_path / "s", PICTURES[:2])
    with pytest.raises(ValueError, match="setting: got 'default'; it must be one of 's'"): list(s.shared_interactions())
    with pytest.raises(ValueError, match="model: got 'c'; it must be one of 'a', 'b'"): list(s.interactions("c", "s"))


def test_what_is_asked_for_is_checked_first(tmp_path):
    from functools import partial
    def own(network, sample, output): return il.image_game(network, grid=2, **sample)
    s = small(tmp_path / "s", PICTURES[:2], game=partial(own), settings={"s": {"output": own}})
    assert s.said["game"] == s.said["settings"]["s"]["output"] == f"own {identity(own)[:32]}"
    with pytest.raises(TypeError, match="samples: got a int; it must be a list of samples"): small(tmp_path / "t", 5)
    with pytest.raises(ValueError, match="settings: got {'s': {1: 2}}"): small(tmp_path / "t", settings={"s": {1: 2}})
    with pytest.raises(ValueError, match="workers: got -1; it must be 1 or more"): small(tmp_path / "t", engine="ray", workers=-1)
    assert not (tmp_path / "t").exists()


def test_a_folder_that_can_only_be_read(tmp_path):
    mount = tmp_path / "disk"
    mount.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(mount)], capture_output=True).returncode: pytest.skip("no file system can be mounted here")
    try:
        small(mount / "s", PICTURES[:2])
        (mount / "s" / "index.parquet").unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
        assert len(open_sweep(mount / "s").index) == 8
        with pytest.raises(ValueError, match="folder: nothing can be written to"): small(mount / "s", PICTURES[:3])
    finally: subprocess.run(["umount", str(mount)], check=True)


def test_large_sweeps_open_quickly(tmp_path):
    import pandas as pd
    s = small(tmp_path / "s")
    write_json(tmp_path / "s" / "sweep.json", dict(format="interlib.sweep", version=2) | s.said | {"samples": s.said["samples"] * 50})
    s = open_sweep(tmp_path / "s")
    big = [pd.concat([f.assign(sample=f["sample"] + 20 * i) for i in range(50)], ignore_index=True) for f in (s.index, s.strengths)]
    write_measures(tmp_path / "s", big, digest_of_files(tmp_path / "s", s.said))
    started = time.perf_counter()
    mean = open_sweep(tmp_path / "s").strengths.groupby(["order", "sign"]).strength.mean()
    assert len(open_sweep(tmp_path / "s").index) == 4000 and time.perf_counter() - started < 5 and len(mean) == 8


# Ray


# Many players: drawn coalitions


def draw(folder, samples=PICTURES[:2], **how):
    return small(folder, samples, **{"settings": {"s": {"grid": 4}}, "budget": 200} | how)


def test_drawn_coalitions_are_decomposed_as_explain_does(tmp_path):
    s = draw(tmp_path / "s")
    game = il.image_game(net(0), PICTURES[1]["image"], grid=4, target=0)
    want = il.explain(game, budget=200, progress=False)
    x = dict(s.interactions("a", "s"))[1]
    assert torch.equal(s.samples(1, "a", "s").values, il.sample(game, 200, progress=False).values)
    torch.testing.assert_close(x.predict(), want.predict(), rtol=0, atol=1e-9)
    assert x.meta["fidelity"] == want.meta["fidelity"] and x.solution.lam == want.solution.lam and x.players == want.players
    row = s.index.query("sample == 1 and model == 'a'").iloc[0]
    assert (row.R2, row.coalitions, row.p, row.output) == (want.meta["fidelity"]["R2"], 200, .5, want.ends[1])
    assert "R² on others" in s.summary() and "4 of 4 separate, 0 of 0 shared" in s.status()["decompositions"]
    with pytest.raises(ValueError, match="coalitions were drawn"): s.table(1, "a", "s")


@pytest.mark.parametrize("part", ["tables/s/a/000001.safetensors", "interactions/s/b/000000-000000.safetensors"])
def test_damaged_draws_are_named_and_made_again(part, tmp_path):
    draw(tmp_path / "s")
    want = results(tmp_path / "s")
    (tmp_path / "s" / part).write_bytes(want[part][:-9] + bytes([want[part][-9] ^ 1]) + want[part][-8:])
    with pytest.warns(UserWarning, match=part.split("/")[-1]): draw(tmp_path / "s")
    assert results(tmp_path / "s") == want


@pytest.mark.parametrize("how", [{"budget": 150}, {"p": .8}], ids=str)
def test_a_draw_is_used_for_the_same_thing_only(how, tmp_path):
    draw(tmp_path / "s")
    want = results(tmp_path / "s")
    with pytest.raises(ValueError, match=f"{next(iter(how))}: got "): draw(tmp_path / "s", **how)
    draw(tmp_path / "other", **how)
    part = "tables/s/a/000000.safetensors"                                              # a whole file, of the same sample and model
    (tmp_path / "s" / part).write_bytes((tmp_path / "other" / part).read_bytes())
    with pytest.warns(UserWarning, match="which is another draw"): draw(tmp_path / "s")
    assert results(tmp_path / "s") == want
    with pytest.raises(ValueError, match="models: 'a' is not the model"): draw(tmp_path / "s", models={"a": net(5), "b": net(1)})


def test_tables_and_draws_in_one_sweep(tmp_path):
    mixed = [{**PICTURES[0], "grid": 2}, {**PICTURES[1], "grid": 4}, {**PICTURES[2], "grid": 2}]
    s = small(tmp_path / "s", mixed, settings=None, budget=100)
    assert sorted(s.index.query("how == 'separate' and model == 'a'").coalitions.fillna(0)) == [0, 0, 100]
    assert s.status()["decompositions"] == "6 of 6 separate, 4 of 4 shared" and not len(s.errors)
    page = compare_html(s, "default", ks=(2, 3))
    assert "2 samples" in page and "1 more are left out" in page
    assert open_sweep(tmp_path / "s").index.equals(s.index)                             # as it is kept


def test_killed_while_drawn_coalitions_are_decomposed(tmp_path, monkeypatch):
    want = results(draw(tmp_path / "want").folder)
    from interlib.app import engines
    calls, whole = [], engines.from_samples
    def killed(samples):
        calls.append(1)
        if len(calls) == 3: raise KeyboardInterrupt
        return whole(samples)
    monkeypatch.setattr(engines, "from_samples", killed)
    with pytest.raises(KeyboardInterrupt): draw(tmp_path / "s")
    draw(tmp_path / "s")
    assert len(calls) == 3 + 2 and results(tmp_path / "s") == want                      # two of four were kept


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray", reason="ray is not installed")
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, logging_level="error")
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_two_workers_give_the_same_numbers(cluster, tmp_path):
    local, ray = small(tmp_path / "local"), small(tmp_path / "ray", engine="ray", workers=2)
    assert local.index.columns.equals(ray.index.columns) and len(local.index) == len(ray.index)
    for a, b in zip(local.index.itertuples(index=False), ray.index.itertuples(index=False)): assert a[:5] == b[:5] and abs(a.objective - b.objective) < 1e-6
    assert torch.allclose(local.table(3, "b", "s")[0], ray.table(3, "b", "s")[0], atol=1e-6)


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(cluster, tmp_path):
    def deadly(network, sample, grid):
        for name in ("first", "second"):                                                # twice somebody dies; the third time it is well
            if torch.equal(sample["image"], PICTURES[4]["image"]) and not (tmp_path / name).exists():
                (tmp_path / name).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return il.image_game(network, grid=grid, **sample)
    s = small(tmp_path / "s", game=deadly, engine="ray", workers=2)
    assert len(s.errors) == 0 and len(s.index) == 80 and (tmp_path / "second").exists()


@pytest.mark.slow
def test_a_job_that_kills_everybody_is_recorded(cluster, tmp_path):
    def deadly(network, sample, grid):
        if torch.equal(sample["image"], PICTURES[4]["image"]): os.kill(os.getpid(), signal.SIGKILL)
        return il.image_game(network, grid=grid, **sample)
    s = small(tmp_path / "s", game=deadly, engine="ray", workers=2)
    assert s.errors["sample"].tolist() == [4, 4] and len(s.index) == 76


def test_more_workers_than_there_is_room_for(cluster, tmp_path):
    with pytest.raises(ValueError, match="workers: got 3; ray has room for 2 with a CPU each"): small(tmp_path / "s", engine="ray", workers=3)
    with pytest.raises(ValueError, match="engine: got 'slurm'; it must be one of 'local', 'ray'"): small(tmp_path / "t", engine="slurm")


# The command line


@pytest.mark.slow
def test_from_the_command_line(tmp_path):
    (tmp_path / "texts.txt").write_text("A good film\nA truly bad film\n?!\n")
    (tmp_path / "sweep.toml").write_text('folder = "kept"\nsamples = "texts.txt"\n[models]\nlm = "smollm2"\n[settings.all]\noutput = "logit"\n')
    interlib = [sys.executable, "-c", "import sys; from interlib.app.cli import main; sys.exit(main())"]
    call = lambda *args: subprocess.run([*interlib, *map(str, args)], capture_output=True, text=True)
    done = call("sweep", tmp_path / "sweep.toml", "--quiet")
    assert done.returncode == 1 and "2 tables, 2 decompositions, 1 failed" in done.stdout and "text: got '?!'" in done.stdout
    status = call("status", tmp_path / "kept").stdout
    assert "2 of 3" in status and "ValueError: text: got '?!'" in status
    alone = call("compare", tmp_path / "kept")
    assert alone.returncode == 2 and "it takes two models" in alone.stderr
    assert "it must be the folder of a sweep" in call("status", tmp_path).stderr
    (tmp_path / "sweep.toml").write_text('folders = "kept"')
    assert "has 'folders'; it may have folder, samples" in call("sweep", tmp_path / "sweep.toml").stderr


@pytest.mark.parametrize("name, data, told", [("a.jsonl", b'{"text": "a"}\n\n{"text":', "samples: line 3 of .*a.jsonl is no JSON"), ("a.txt", b"caf\xe9", "samples: .*a.txt is not UTF-8"),
    ("b.jsonl", '\ufeff{"text": "a\u2028b"}\r\n'.encode(), [{"text": "a\u2028b"}]), ("b.txt", "\ufeffa\x85b\r\n \nc".encode(), ["a\x85b", "c"])])
def test_files_of_samples(name, data, told, tmp_path):
    from interlib.app.comparison import read_config
    (tmp_path / name).write_bytes(data)
    (tmp_path / "sweep.toml").write_text(f'folder = "kept"\nsamples = "{name}"\n[models]\nlm = "smollm2"\n')
    if isinstance(told, list): assert read_config(tmp_path / "sweep.toml")["samples"] == told
    else:
        with pytest.raises(ValueError, match=told): read_config(tmp_path / "sweep.toml")
