"""What is stored is whole, fits together and stays what it is: forged measures and chunks, places that are no files, arrays of every kind as samples."""
import collections
import os
import re
import sys
import types
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

import interlib as il
from interlib.model.evaluation import evaluate
from interlib.model.value_tables import Part
from interlib.core.files import load_tensors, save_tensors
from interlib.nets.identity import identity
from interlib.app.requests import sample_digest
from interlib.app.results import open_sweep
from interlib.app.results import write_measures
from interlib.app.sweeps import sweep
from interlib.app.results import digest_of_files

ROWS = [torch.tensor([.3, -1., .5]), torch.tensor([1., .2, -.7])]


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))


def row_game(model, row, times=1): return il.tabular_game(model, row, torch.zeros(3))
def make(folder, **how): return sweep(ROWS, {"net": network()}, folder, how.pop("game", row_game), progress=False, **how)


@pytest.fixture
def stored(tmp_path): return make(tmp_path / "s")


# ---- the cache of `evaluate`


def test_a_folder_in_the_place_of_a_part_loses_no_table(tmp_path):
    game = row_game(network(), ROWS[0])
    table = evaluate(game, progress=False, cache=tmp_path)
    path = next(tmp_path.iterdir())
    path.unlink()
    path.with_suffix(".part.safetensors").mkdir()
    assert torch.equal(evaluate(game, progress=False, cache=tmp_path), table) and path.is_file()
    part = Part(1, path.with_suffix(".part.safetensors"))
    part.add(torch.tensor([0]), torch.tensor([1.]).double())
    with pytest.warns(UserWarning, match="what is done so far cannot be kept"): part.keep()


def test_a_file_that_cannot_be_read_is_computed_again(tmp_path, monkeypatch):
    game = row_game(network(), ROWS[0])
    table = evaluate(game, progress=False, cache=tmp_path)
    def refuse(*args, **how): raise PermissionError(13, "Permission denied")
    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.warns(UserWarning, match="cannot be read .Permission denied.; the table is computed again"):
        assert torch.equal(evaluate(game, progress=False, cache=tmp_path), table)
    with pytest.raises(ValueError, match="path: .* cannot be read"): il.Interactions.load(next(tmp_path.iterdir()))


def test_a_table_that_there_is_no_memory_to_write_is_returned(tmp_path, monkeypatch):
    def full(*args, **how): raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
    monkeypatch.setattr("interlib.model.value_tables.save_tensors", full)
    game = row_game(network(), ROWS[0])
    with pytest.warns(UserWarning, match="the table could not be kept"): found = evaluate(game, progress=False, cache=tmp_path)
    assert torch.equal(found, evaluate(game, progress=False))


@pytest.mark.parametrize("cache, error", [(5, TypeError), (b"folder", TypeError), (True, TypeError), ("", ValueError), ("a\0b", ValueError)])
def test_what_is_no_cache(cache, error):
    with pytest.raises(error, match="cache: "): evaluate(row_game(network(), ROWS[0]), progress=False, cache=cache)


# ---- samples and settings of a sweep


SAMPLES = {
    "backwards": (np.arange(3.)[::-1], np.arange(3.)), "other byte order": (np.array([1., 2], ">f8"), np.array([2., 1], ">f8")), "long numbers": (np.ones(2, np.longdouble), np.zeros(2, np.longdouble)),
    "masked": (np.ma.array([1., 2], mask=[0, 1]), np.ma.array([1., 2], mask=[1, 0])), "sparse": (torch.eye(2).to_sparse(), 2 * torch.eye(2).to_sparse()), "conjugate": (torch.tensor([1j]), torch.tensor([1j]).conj()),
    "series": (pd.Series([1., 2], ["a", "b"]), pd.Series([1., 2], ["a", "c"])), "frame": (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": ["1"]})),
}

@pytest.mark.parametrize("name", SAMPLES)
def test_samples_of_every_kind_are_told_apart(name):
    a, b = SAMPLES[name]
    assert sample_digest(a) == sample_digest(a.clone() if isinstance(a, torch.Tensor) else a.copy()) != sample_digest(b)


def test_arrays_in_another_order_of_bytes_are_the_same_numbers():
    assert sample_digest(np.array([1., 2], ">f8")) == sample_digest(np.array([1., 2])) == sample_digest(torch.tensor([1., 2]).double()) == sample_digest(np.array([2., 1])[::-1])


def test_rows_of_a_frame_are_samples_and_a_frame_is_none(tmp_path):
    frame = pd.DataFrame([r.tolist() for r in ROWS], columns=["a", "b", "c"])
    with pytest.raises(TypeError, match="samples: got a DataFrame; it must be a list of samples"): sweep(frame, {"net": network()}, tmp_path / "s", row_game, progress=False)
    with pytest.raises(ValueError, match="samples.0.: .* on the meta device"): sweep([torch.ones(3, device="meta")], {"net": network()}, tmp_path / "s", row_game, progress=False)
    s = sweep([row for _, row in frame.iterrows()], {"net": network()}, tmp_path / "s", row_game, progress=False)
    assert s.index.output.tolist() == pytest.approx([evaluate(row_game(network(), row), progress=False)[-1].item() for row in ROWS], rel=1e-5)


def test_settings_that_are_equal_and_not_the_same(tmp_path):
    make(tmp_path / "s", settings={"a": {"times": 1}})
    with pytest.raises(ValueError, match="settings: got .*True"): make(tmp_path / "s", settings={"a": {"times": True}})
    with pytest.raises(TypeError, match="settings: keys must be str"): make(tmp_path / "t", settings={"a": {"times": {(1, 2): 3}}})


# ---- a sweep's folder, sealed by a stranger


FORGED = {
    "nothing": lambda i, s: (i[:0], s), "no objective": lambda i, s: (i.assign(objective=np.nan), s), "infinite": lambda i, s: (i, s.assign(strength=np.inf)), "texts for numbers": lambda i, s: (i.assign(output="5"), s),
    "another column": lambda i, s: (i.assign(more=1), s), "another model": lambda i, s: (i.assign(model="<script>"), s), "another sample": lambda i, s: (i.assign(sample=9), s), "players": lambda i, s: (i.assign(players=[[1], [2]]), s),
}

@pytest.mark.parametrize("how", FORGED)
def test_measures_with_a_right_seal_and_wrong_content(how, stored):
    index, strengths = stored.index, stored.strengths
    if how == "players": index = index.assign(players="x")
    write_measures(stored.folder, FORGED[how](index, strengths), digest_of_files(stored.folder, stored.said))
    found = open_sweep(stored.folder)
    pd.testing.assert_frame_equal(found.index, stored.index)
    pd.testing.assert_frame_equal(found.strengths, stored.strengths)


@pytest.mark.parametrize("change", [lambda t: t * 2, lambda t: t[:, :4]])
def test_interactions_that_are_not_those_of_their_table(change, stored):
    path = next((stored.folder / "interactions" / "default" / "net").iterdir())
    data, (tensors, notes) = path.read_bytes(), load_tensors(path, "interlib.chunk")
    save_tensors(path, {k: change(t) for k, t in tensors.items()}, "interlib.chunk", **notes)
    with pytest.warns(UserWarning, match="not of the tables that are there now"): assert not list(open_sweep(stored.folder).interactions("net"))
    make(stored.folder)
    assert path.read_bytes() == data


@pytest.mark.parametrize("players", [["a", "a", "b"], [["a"], "b", "c"], [None, 1, 2]])
def test_players_that_the_game_does_not_have(players, stored):
    path = stored.folder / "tables" / "default" / "net" / "000000.safetensors"
    data, (tensors, notes) = path.read_bytes(), load_tensors(path, "interlib.table")
    save_tensors(path, tensors, "interlib.table", **notes | {"players": players})
    if players[0] == "a":
        with pytest.raises(ValueError, match="otherwise than the table"): make(stored.folder)
    else:
        with pytest.warns(UserWarning, match="players that no sweep names; a sweep makes it again"): make(stored.folder)
        assert path.read_bytes() == data


def test_a_pipe_in_the_place_of_a_folder(stored):
    os.mkfifo(stored.folder / "errors")
    for call in (open_sweep, make):
        with pytest.raises(ValueError, match="errors must be a folder"): call(stored.folder)


@pytest.mark.parametrize("where", ["tables", "tables/default", "interactions"])
def test_a_link_that_comes_while_it_runs_is_not_followed(where, tmp_path):
    victim, asked = tmp_path / "victim", []
    for name in ("default/net/000001.safetensors", "net/000001.safetensors", "default/net/000000-000001.safetensors"):
        (victim / name).parent.mkdir(parents=True, exist_ok=True)
        (victim / name).write_bytes(b"precious")
    def swaps(model, row):
        asked.append(row)
        if len(asked) == 3:                             # after one for the cost and the first table
            if (tmp_path / "s" / where).exists(): (tmp_path / "s" / where).rename(tmp_path / "away")
            (tmp_path / "s" / where).symlink_to(victim)
        return row_game(model, row)
    with pytest.raises(ValueError, match=f"folder: .*{where} is a link"): make(tmp_path / "s", game=swaps)
    assert sorted(p.read_bytes() for p in victim.rglob("*") if p.is_file()) == [b"precious"] * 3


def test_escapes_in_a_record_do_not_reach_the_terminal(tmp_path):
    def fails(model, sample): raise ValueError("\x1b[31mred \ud800")
    s = make(tmp_path / "s", game=fails)
    assert s.errors.message.tolist() == ["\\x1b[31mred \\ud800"] * 2 and "\x1b" not in repr(s)


# ---- one identity


class Missing(dict):
    def __missing__(self, key): return 1


class Other(dict):
    def __missing__(self, key): return 2


PAIRS = {
    "default of a dict": (collections.defaultdict(lambda: 1), collections.defaultdict(lambda: 2)), "an ordered dict": (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
    "missing keys": (Missing(), Other()), "masks": (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])), "patterns": (re.compile("a"), re.compile("b")), "functions of numpy": (np.exp, np.log),
}

@pytest.mark.parametrize("name", PAIRS)
def test_more_that_is_told_apart(name):
    a, b = PAIRS[name]
    assert identity(a) != identity(b)


def test_the_same_pattern_and_the_same_dict_are_the_same():
    assert identity(re.compile("a")) == identity(re.compile("a")) and identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="no function of numpy's own"): identity(np.frompyfunc(lambda x: x, 1, 1))


def test_modules_inside_modules_and_imports_inside_functions(tmp_path, monkeypatch):
    (tmp_path / "first_of_mine.py").write_text("import second_of_mine\n")
    (tmp_path / "second_of_mine.py").write_text("import first_of_mine\nweight = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    def late(x):
        import second_of_mine
        return second_of_mine.weight * x
    before = identity(late)
    import first_of_mine
    def early(x): return first_of_mine.second_of_mine.weight * x
    first = identity(early)
    assert identity(late) == before
    monkeypatch.setattr("second_of_mine.weight", 2)
    assert identity(late) != before and identity(early) != first
    for name in ("first_of_mine", "second_of_mine"): sys.modules.pop(name)


class Scaled(torch.nn.Module):
    "Reads what is named like a cache, and never writes it."
    def __init__(self):
        super().__init__()
        self.linear, self.scale_cache = torch.nn.Linear(3, 2), [1.]
        self.register_buffer("cached_shift", torch.zeros(2), persistent=False)

    def forward(self, x): return self.linear(x) * self.scale_cache[0] + self.cached_shift


def test_what_is_only_named_like_a_cache_counts():
    torch.manual_seed(0)
    model = Scaled()
    found = [identity(model)]
    model.scale_cache = [2.]
    found.append(identity(model))
    model.cached_shift += 1
    assert len({*found, identity(model)}) == 3
