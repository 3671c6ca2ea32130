"""The result object: files that are damaged or foreign, killed writers, other libraries."""
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import interlib as il


@pytest.fixture
def x():
    v = il.planted(6, 4, 4, seed=2)[0]
    x = il.decompose(v, players=["the", "cat", "the", "dog", "“it’s”", "7"])
    x.meta = dict(target=" mat", model="tiny")
    return x


def test_round_trip(x, tmp_path):
    x.save(tmp_path / "deep" / "x.safetensors")
    y = il.Interactions.load(tmp_path / "deep" / "x.safetensors")
    assert torch.equal(x.and_, y.and_) and torch.equal(x.or_, y.or_)
    assert (x.players, x.meta, x.solution) == (y.players, y.meta, y.solution)
    pd.testing.assert_frame_equal(x.to_frame(), y.to_frame())
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize("damage", [lambda b: b[:100], lambda b: b"", lambda b: b"PK" + b, lambda b: b[:-8]])
def test_damaged_files(x, tmp_path, damage):
    x.save(tmp_path / "x")
    (tmp_path / "x").write_bytes(damage((tmp_path / "x").read_bytes()))
    with pytest.raises(ValueError, match="path: .* is damaged"): il.Interactions.load(tmp_path / "x")


@pytest.mark.parametrize("header", [None, {"format": "pt"}, {"format": "interlib.interactions", "version": "99"}])
def test_foreign_files(tmp_path, header):
    save_file({"and": torch.zeros(2)}, tmp_path / "x", metadata=header)
    with pytest.raises(ValueError, match="it must be interlib.interactions version 2"): il.Interactions.load(tmp_path / "x")


@pytest.mark.parametrize("entry, text", [("players", "["), ("players", "5"), ("solution", '"abc"'), ("solution", '{"x": 1}'), ("meta", "{")])
def test_damaged_headers(x, tmp_path, entry, text):
    header = {"format": "interlib.interactions", "version": "1", "players": "null", "solution": "null", "meta": "{}", entry: text}
    save_file({"and": x.and_, "or": x.or_}, tmp_path / "x", metadata=header)
    with pytest.raises(ValueError, match="path: .* is damaged"): il.Interactions.load(tmp_path / "x")


def test_narrow_tables(x):
    v = torch.linspace(-60000, 60000, 8).half()[torch.tensor([3, 0, 7, 1, 6, 2, 5, 4])]
    y = il.decompose(v)
    assert y.how_many(v) == y.how_many(v.double()) > 0


def test_a_failed_save_keeps_the_old_file(x, tmp_path):
    x.save(tmp_path / "x")
    before = (tmp_path / "x").read_bytes()
    x.meta = {"model": object()}
    with pytest.raises(TypeError): x.save(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_shapiq_gets_the_same_model(x):
    theirs = x.to_shapiq()
    a = il.and_transform(x.predict())
    assert max(abs(theirs[il.members(c)] - a[c].item()) for c in range(1, 64)) < 1e-12
    assert theirs.n_players == 6


def test_frames(x):
    f = x.to_frame()
    assert f.columns.tolist() == ["kind", "members", "players", "order", "effect"]
    assert f.effect.abs().is_monotonic_decreasing
    assert (f.members.map(len) == f.order).all()
    total = x.and_[0] + f.effect.sum()
    assert total.item() == pytest.approx(x.predict()[-1].item())
    assert len(x.primitives(k=5)) == 5 and len(x.primitives(k=0)) == 0
    assert len(x.primitives(tau=float("inf"))) == 0


def test_predict_for_some_coalitions(x):
    rows = torch.randperm(64)[:10]
    assert torch.equal(x.predict(il.masks(6)[rows]), x.predict()[rows])


@pytest.mark.parametrize("call, message", [
    (lambda x: x.predict(torch.ones(2, 6)), "must be bool"),
    (lambda x: x.predict(torch.ones(6).bool()), r"\(B, 6\)"),
    (lambda x: x.matching_error(torch.zeros(32)), r"must be \(64,\)"),
    (lambda x: x.primitives(k=-1), "k: got -1"),
    (lambda x: x.primitives(tau=float("nan")), "tau: got nan"),
    (lambda x: il.Interactions(x.and_, x.or_[:32]), "both must be"),
    (lambda x: il.Interactions(x.and_, x.or_, ["a"]), "got 1 names"),
    (lambda x: il.Interactions(x.and_, x.and_), "the empty set has no OR effect"),
    (lambda x: x.how_many(x.predict(), within=float("nan")), "within: got nan"),
    (lambda x: x.primitives(k=True), "k: got True"),
])
def test_bad_input(x, call, message):
    with pytest.raises(ValueError, match=message): call(x)


class Cells(HTMLParser):
    "The cells of a table, row by row, the styles in it, and all its tags and text."
    def __init__(self, page):
        super().__init__()
        self.rows, self.styles, self.tags, self.text = [], [], [], ""
        self.feed(page)
    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.styles.append(dict(attrs).get("style", ""))
        if tag == "tr": self.rows.append([])
        if tag == "td": self.rows[-1].append("")
    def handle_data(self, data):
        self.text += data
        if self.rows and self.rows[-1] and self.tags[-1] != "div": self.rows[-1][-1] += data


def test_the_table_in_a_notebook_shows_the_primitives(x):
    shown, salient = Cells(x._repr_html_()), x.primitives()
    assert [(float(effect.replace("−", "-")), kind, players) for effect, _, kind, players in shown.rows] == [
        (float(f"{r.effect:.3g}"), r.kind.upper(), ", ".join(r.players)) for r in salient.head(10).itertuples()]
    widths = [float(re.search(r"width: ([\d.]+)em", s)[1]) for s in shown.styles if "inline-block" in s]
    assert widths == pytest.approx([8 * abs(e) / salient.effect.abs().max() for e in salient.effect.head(10)], rel=.01)
    assert [("#0072B2" in s, "gradient" in s) for s in shown.styles if "inline-block" in s] == [(r.effect < 0, r.kind == "or") for r in salient.head(10).itertuples()]
    for part in (f"{len(salient)} salient interactions of 6 players, target  mat,", f"{x.solution.objective:.6g}", f"gap {x.solution.gap:.1e}"): assert part in shown.text
    assert not [s for s in shown.styles if "inline-block" not in s and re.search("color:|#", s)]      # text and page keep their colours


def test_the_table_counts_what_it_leaves_out():
    x = il.Interactions(torch.ones(16, dtype=torch.float64), torch.zeros(16))
    shown = Cells(x._repr_html_())
    assert len(shown.rows) == 10 and "and 5 more above 5 % of the strongest" in shown.text and "gap" not in shown.text


def test_the_table_escapes_names():
    x = il.Interactions(torch.tensor([0., 1, 2, 3]), torch.zeros(4), ["<script>alert(1)</script>", '"&'], meta={"target": "</table><img src=x>"})
    shown = Cells(x._repr_html_())
    assert set(shown.tags) == {"div", "b", "table", "tr", "td", "span"}
    assert shown.rows[0][3] == '<script>alert(1)</script>, "&' and "target </table><img src=x>" in shown.text


@pytest.mark.parametrize("tables", [([0., 0], [0., 0]), ([.5, 2], [0., 0]), ([.5, 2], [0., -1])])
def test_the_table_of_one_player(tables):
    x = il.Interactions(*torch.tensor(tables, dtype=torch.float64))
    shown = Cells(x._repr_html_())
    assert len(shown.rows) == len(x.primitives()) and re.match(["0 salient interactions", "1 salient interaction", "2 salient interactions"][len(shown.rows)] + " of 1 player, constant", shown.text)
