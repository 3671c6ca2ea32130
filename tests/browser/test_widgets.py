"The widgets in a headless Chromium, through `interlib app` and voila: type, click, and compare what the page shows with the library's numbers."
import importlib.util
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import nbformat
import pytest
import torch
from PIL import Image

import interlib as il
from chromium import CHROMIUM
from test_hostile_names import SCRIPTS
from interlib.app import explorer, widget_kit
from interlib.app.explorer import Explorer
from interlib.app.questions import MODELS
from interlib.app.pair_widgets import Compare, ConfusingSamples, Sharing
from interlib.app.result_widgets import Sparsity, WhatIf
from interlib.app.sums import list_effects, which_count
from interlib.app.widget_html import sample_html, sample_of
from interlib.app.widget_work import Work
from interlib.core.labels import signed_number

SENTENCE = "The old man went to the bank of the"
live = pytest.mark.skipif(not CHROMIUM or not all(map(importlib.util.find_spec, ("websocket", "voila"))), reason="no chromium, websocket-client or voila on this machine")


def tables(n=10):
    return [il.examples.prompt(name).v[:2**n].clone() for name in ("smollm2_0", "gemma3_0")]


def effects(n, kept, seed):
    "A model of `kept` random interactions of either kind."
    g = torch.Generator().manual_seed(seed)
    both = torch.randn(2, 2**n, generator=g, dtype=torch.float64) * (torch.rand(2, 2**n, generator=g) < kept / 2**n)
    both[1, 0] = 0
    return il.Interactions(*both)


# Without a browser


def test_what_if_agrees_with_the_library_for_any_coalition():
    x = effects(6, 30, 0)
    v = x.predict() + .1
    panel = WhatIf(x, v, top=8)
    for S in range(64):
        panel.toggles.press([S >> i & 1 for i in range(6)])
        assert [f"<span>{panel.say(t)}</span>" in panel.view.value for t in (x.predict()[S].item(), v[S].item(), -.1)] == [True] * 3
        assert len(re.findall(r'<tr class="\w+ off"', panel.view.value)) >= sum(not on for on in which_count(panel.rows, S))


@pytest.mark.parametrize("v", [torch.zeros(4), torch.ones(2), torch.tensor([0., 1e-9])], ids=["zero", "constant", "tiny"])
def test_little_to_show(v):
    x = il.decompose(v)
    for panel in (WhatIf(x, v), Sparsity(x, v)): assert not re.search("[^a-z]nan[^a-z]", re.sub("base64,[^\"]*", "", panel.still()))


def test_words_are_text():
    hostile = "<script>alert(1)</script>"
    x = il.Interactions(torch.ones(4), torch.zeros(4), [hostile, "b"])
    panel = WhatIf(x, x.predict())
    assert hostile not in panel.still() and "&lt;script&gt;" in panel.still()
    assert hostile not in sample_html([hostile], [1.])


def test_copy_is_kept_up_to_date(monkeypatch):
    shown = []
    class Handle:
        def update(self, data, raw): shown.append(data)
    monkeypatch.setattr(widget_kit, "display", lambda data, raw, display_id=None: shown.append(data) or (Handle() if display_id else None))
    x = effects(4, 6, 1)
    panel = Sparsity(x, x.predict())
    panel._ipython_display_()
    panel.slider.value = 2
    assert "display: none" not in "".join(data.get("text/html", "") for data in shown)          # a copy must not hide itself
    shown.clear()
    panel = WhatIf(x, x.predict())
    panel._ipython_display_()
    key = re.search(r'id="(il-\w+)"', shown[0]["text/html"]).group(1)
    assert f"#{key} {{ display: none; }}" in panel.children[0].value           # hides the copy where the widget lives
    assert "application/vnd.jupyter.widget-view+json" in shown[1] and shown[1]["text/plain"] == ""
    panel.toggles.buttons[0].value = False
    assert panel.view.value in shown[-1]["text/html"] and panel.view.value not in shown[0]["text/html"]


def test_errors_are_shown_and_do_not_end_the_explorer():
    e = Explorer({"nowhere": "no/such/model"}, text="a b")
    e.explain()
    e.work.thread.join()
    assert "<b>RuntimeError</b>: " in e.work.where.value and e.x is None
    assert "Nothing is explained yet" in e.still()


def test_work_is_one_at_a_time_and_can_be_cancelled():
    work, done = Work(), []
    def long(work):
        for i in range(500): work("step", i, 500); time.sleep(.01)
    work.start(long, done.append)
    work.start(lambda work: 1, done.append)                # refused: there is work already
    time.sleep(.1)
    work.button.click()
    work.thread.join(5)
    assert not work.busy and done == [] and "Cancelled" in work.where.value


def test_cancelling_an_evaluation_leaves_the_model_as_it_was():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2)).train()
    game = il.image_game(model, torch.rand(1, 8, 8), grid=4)
    game.batch, work = 16, Work()
    def ask(work): il.evaluate(game, progress=lambda done, total: (work("asking", done, total), time.sleep(.002)))
    work.start(ask, lambda _: None)
    while work.busy and not work.bar.value: time.sleep(.005)
    assert work.busy and 0 < work.bar.value < 1000
    work.cancel()
    work.thread.join(5)
    assert "Cancelled" in work.where.value and model.training and not model[1]._forward_hooks and all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("panel", [WhatIf, Sparsity, lambda x, v, names: Compare([x, x], sample=names), lambda x, v, names: ConfusingSamples({"a": [x], "b": [x]}, [names])], ids=["what if", "sparsity", "compare", "confusing"])
def test_a_sample_with_other_players_is_refused(panel):
    x = effects(4, 6, 1)
    for names in (["a"], "a text", il.Interactions(torch.ones(8), torch.zeros(8))):
        with pytest.raises(ValueError, match="^sample: got . players; the interactions have 4"): panel(x, x.predict(), names)


def test_confusing_samples_of_networks_without_epochs():
    x, none = effects(4, 6, 1), il.Interactions(torch.zeros(16), torch.zeros(16))
    panel = ConfusingSamples({"a": [x, none], "b": [x, x]})
    for i in (0, 1): panel.dots[i].click()
    assert panel.slider.layout.display == "none" and "Sample 1" in panel.still() and panel.places.value.count("display: none") == 1


def test_nothing_to_compare_with(recwarn):
    assert "nan%" not in "".join(t.value for row in Compare([effects(4, 6, 1), il.decompose(torch.zeros(16))]).children[-1].children for t in getattr(row, "children", ()) if hasattr(t, "value"))
    assert not [w for w in recwarn if "divide" in str(w.message)]


def test_the_last_place_of_a_slider_that_moves_while_it_solves_is_shown():
    panel = Sharing([v[:16] for v in tables(4)], share=None)
    for alpha in (.5, .9): panel.slider.value = alpha
    panel.work.thread.join()
    assert .9 in panel.solved and "<span>0.9</span>" in panel.view.value


class Slow(torch.nn.Module):
    "A network whose layers take their time."
    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.layers = seconds, torch.nn.ModuleList([torch.nn.Identity() for _ in range(50)])
        self.head = torch.nn.Linear(64, 2)
    def forward(self, x):
        for layer in self.layers: x = layer(x); time.sleep(self.seconds)
        return self.head(x.flatten(1))


def test_cancelled_before_the_first_masked_sample():
    model = Slow(.05).train()
    e = Explorer({"slow": (model, torch.rand(1, 1, 8, 8))})
    e.explain()
    while e.work.said != "asking for players and target": time.sleep(.01)
    e.work.cancel()
    e.work.thread.join(1)
    assert not e.work.busy and "Cancelled" in e.work.where.value and model.training
    model.seconds = 0
    e.explain()
    e.work.thread.join()
    assert e.x is not None


def test_another_picture_while_it_works_is_not_given_the_players_of_the_first():
    e = Explorer({"slow": (Slow(.002), torch.rand(2, 1, 8, 8))}, grid=2)
    assert e.old.layout.display == "none"
    e.explain()
    e.number.value = 1
    e.work.thread.join()
    assert e.game.n == 4 and not any(e.toggles.states) and e.old.layout.display == "flex"      # the answer is said to be that of before
    e.explain()
    e.work.thread.join()
    assert all(e.toggles.states) and e.old.layout.display == "none"


def test_old_answers_are_not_kept():
    from ipywidgets.widgets.widget import _instances
    e, kept = Explorer({"slow": (Slow(0), torch.rand(2, 1, 8, 8))}, grid=2), []
    for i in range(4):
        e.number.value = i % 2
        e.explain()
        e.work.thread.join()
        kept.append(len(_instances))
    assert len(set(kept[1:])) == 1


def classifier(seed=0):
    "A random network for pictures of 8 x 8, its pictures."
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2)).eval(), torch.rand(2, 1, 8, 8)


def answered(e):
    "Explains, and waits for the answer."
    e.explain()
    e.work.thread.join()
    return e


def shown_words(e):
    "The buttons that can be seen in which a player may be chosen."
    return e.toggles.buttons if e.players.layout.display != "none" else []


def test_a_text_that_is_too_long_is_refused_before_it_has_buttons(tiny_lm):
    from ipywidgets.widgets.widget import _instances
    e = Explorer({"lm": tiny_lm}, text="A red apple")
    for text, said in (("word " * 4_000, "got 20,000 characters"), ("a " * 201, "got 201 words"), ("x" * 5_001, "got 5,001 characters"), ("我" * 5_001, "characters")):
        before = len(_instances)
        e.text.value = text
        assert len(_instances) <= before and said in e.hint.value and not e.toggles.buttons
        assert said in answered(e).work.where.value and e.x is None
    e.text.value = "a " * 200
    assert len(e.toggles.buttons) == 200 and e.hint.value == '<div class="il"></div>'


def test_forged_choices_are_refused_or_told(tiny_lm):
    "A page may send any state; it comes in as what the widgets' own messages bring."
    e = Explorer({"lm": tiny_lm, "pictures": classifier()}, text="A red apple falls")
    for widget, state in ((e.model, {"index": 7}), (e.baseline, {"index": 99}), (e.output, {"index": -9}), (e.model, {"_options_labels": ["a"], "index": "lm"})):
        before = widget.value
        try: widget.set_state(state)
        except Exception: pass
        assert widget.value == before
    for widget, state in ((e.most, {"value": 10**9}), (e.noise, {"value": 1e9}), (e.number, {"value": -5})): widget.set_state(state)
    assert e.most.value == 13 and e.noise.value == 1 and e.number.value == 0
    e.target.set_state({"value": "9" * 100_000})
    assert "target: got 100,000 characters" in answered(e).work.where.value and e.x is None
    e.target.set_state({"value": "9" * 5_000})
    assert "target: got 5,001 tokens behind" in answered(e).work.where.value and e.x is None
    e.budget.set_state({"value": 10**9})
    assert e.budget.value == 16_000
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 2)).eval()
    many = Explorer({"pictures": (net, torch.rand(1, 1, 16, 16))}, grid=16)
    for b in many.toggles.buttons: b.set_state({"value": True})
    assert "players: got 256; choose at most 200" in answered(many).work.where.value and many.x is None


def test_players_and_noise_are_the_ones_asked_for(tiny_lm):
    e = Explorer({"lm": tiny_lm}, text="A red apple falls to the ground")
    e.most.value, e.noise.value = 4, .1
    game = il.text_game(*tiny_lm, e.text.value, players=4)
    v = il.evaluate(game, progress=False)
    assert answered(e).x.players == game.players and e.x.meta["noise"] == .1
    assert torch.allclose(e.v, v, atol=1e-4) and e.x.solution.objective == pytest.approx(il.decompose(v, .1).solution.objective, rel=1e-3)
    e.most.value = 3                                                   # the players of the last answer were not chosen by anybody
    assert answered(e).x.n == 3
    e.toggles.press([True, True] + [False] * 5)                        # now somebody chooses
    assert answered(e).x.players == ["A", "red"] and e.most.disabled
    e.choose.value = False
    assert answered(e).x.n == 3
    pictures = Explorer({"net": classifier()}, grid=3)
    pictures.most.value = 5
    assert answered(pictures).x.n == 5 and pictures.players.layout.display == "flex"
    pictures.toggles.buttons[8].value = True
    assert pictures.choose.value


def test_sentences_tokens_and_signs_play(tiny_lm):
    e = Explorer({"lm": tiny_lm}, text="A red apple falls. It lies there! Who eats it?")
    e.unit.value = "sentence"
    sentences = ["A red apple falls.", "It lies there!", "Who eats it?"]
    assert [b.description for b in e.toggles.buttons] == sentences
    assert answered(e).x.players == sentences and e.x.meta["unit"] == "sentence"
    e.toggles.press([True, False, True])
    assert answered(e).x.players == sentences[::2]
    e.baseline.value = "remove"
    assert answered(e).x.players == sentences[::2] and e.x.meta["baseline"] == "remove"
    e.unit.value, e.most.value = "token", 4
    assert not e.toggles.buttons and e.choose.disabled and answered(e).x.n == 4 and not e.choose.value
    e.unit.value = "sign"
    assert "?" in [b.description for b in e.toggles.buttons] and not e.choose.disabled
    e.unit.value, e.text.value = "word", "\u6211\u559c\u6b61\u860b\u679c"              # a sentence without blanks
    e.most.value = 2
    assert len(e.toggles.buttons) > 1 and answered(e).x.n == 2
    e.chat.value = True
    assert "chat" in answered(e).work.where.value and "Error" in e.work.where.value        # this tokenizer has no template


def test_a_photograph_of_the_users_own():
    import io
    from datetime import datetime
    from PIL import Image
    about = {"name": "a", "type": "image/png", "last_modified": datetime(2026, 1, 1)}
    def file(content): return ({**about, "size": len(content), "content": memoryview(content)},)
    out = io.BytesIO()
    Image.new("RGB", (90, 60), (200, 30, 30)).save(out, "png")
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 3)).eval()
    net.pretrained_cfg = dict(input_size=(3, 32, 32), mean=(.5,) * 3, std=(.5,) * 3)
    e = Explorer({"net": (net, torch.rand(2, 3, 32, 32)), "other": classifier()}, grid=2)
    assert e.photo.layout.display == "flex" and e.number.max == 1
    e.photo.value = file(b"<script>")
    assert "image: got bytes, which cannot be read" in e.hint.value and e.number.max == 1
    e.photo.value = file(out.getvalue())
    assert e.number.max == e.number.value == 2 and not e.photo.value
    e.choose.value = True
    e.toggles.press([True, False, True, True])
    assert answered(e).x.n == 3
    red = e.game.masked.x
    assert red.shape == (3, 32, 32) and torch.allclose(red[:, 16, 16], torch.tensor([200, 30, 30]) / 255 * 2 - 1, atol=1e-6)
    e.grid.value = 3
    assert len(e.toggles.buttons) == 9
    e.model.value = "other"
    assert e.photo.layout.display == "none" and e.number.max == 1
    e.model.value = "net"
    assert e.number.max == 2                                                                # it is still there


def test_superpixels_are_buttons_of_their_own_shape():
    from skimage import data
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 3)).eval()
    net.pretrained_cfg = dict(input_size=(3, 64, 64), mean=(.5, .4, .3), std=(.5, .6, .7))
    e = Explorer({"net": (net, torch.rand(1, 3, 64, 64))})
    cat = il.image_game(net, data.chelsea()).masked.x
    e.pictures[0] = cat
    e.cut.value = True
    assert (e.grid.layout.display, e.segments.layout.display) == ("none", "flex")
    e.segments.value = 7
    assert len(e.toggles.buttons) == 7 and "clip-path: polygon(evenodd" in e.toggles.children[0].value
    game = il.image_game(net, cat, segments=7, target=1, output="log_odds")
    e.target.value = "1"
    assert torch.equal(answered(e).game.masked.regions, game.masked.regions) and e.x.players == game.players
    assert torch.allclose(e.v, il.evaluate(game, progress=False)) and "clip-path" in e.result.children[0].value
    e.toggles.press([True, False, True, True, False, False, False])
    assert answered(e).x.players == ["segment 0", "segment 2", "segment 3"]
    few = Explorer({"net": (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(25, 2)).eval(), torch.rand(1, 1, 5, 5))}, grid=5)
    few.cut.value, few.segments.value = True, 60
    assert "segments: got 60" in few.hint.value and not few.toggles.buttons
    few.cut.value = False
    assert len(few.toggles.buttons) == 25 and "segments" not in few.hint.value


LONG = "The old man who lived in the small house by the river went every day to the bank of the town and came back late"


def test_a_long_text_is_explained_from_drawn_maskings(tiny_lm):
    e = Explorer({"lm": tiny_lm}, text=LONG)
    assert e.budget.layout.display == "none" and e.most.max == 25
    e.most.value, e.budget.value = 16, 300
    assert e.budget.layout.display == "flex"
    x = answered(e).x
    want = il.explain(il.text_game(*tiny_lm, LONG, players=16), budget=300, progress=False)
    assert x.players == want.players and x.meta["fidelity"]["R2"] == pytest.approx(want.meta["fidelity"]["R2"], abs=1e-2) and e.v is None
    shown = e.result.children[0].value
    assert "R² on other coalitions" in shown and f"<span>{x.meta['fidelity']['R2']:.3f}</span>" in shown
    panel = e.result.children[-1]
    there = torch.ones(1, 16, dtype=torch.bool)
    there[0, [3, 7]] = False
    panel.toggles.press(there[0].tolist())
    real = e.game(there).item()
    assert [f"<span>{panel.say(t)}</span>" in panel.view.value for t in (x.predict(there).item(), real)] == [True, True]
    assert "interactions.safetensors" in e.result.children[1].value
    e.toggles.press([True] * 14 + [False] * 11)                        # somebody chooses fourteen
    assert e.budget.layout.display == "flex" and answered(e).x.n == 14
    e.toggles.press([True] * 13 + [False] * 12)
    assert e.budget.layout.display == "none"
    e.toggles.press([True] * 9 + [False] * 16)
    assert e.budget.layout.display == "none" and answered(e).x.meta.get("coalitions") is None and e.v is not None


def test_a_draw_is_cancelled(tiny_lm):
    e = Explorer({"lm": tiny_lm}, text=LONG)
    e.most.value, e.budget.value = 25, 16_000
    e.explain()
    while "drawn maskings" not in e.work.said: time.sleep(.01)
    e.work.cancel()
    e.work.thread.join(60)
    assert "Cancelled" in e.work.where.value and e.x is None and not tiny_lm[0].training


def test_what_if_of_eighty_players_without_tables():
    g = torch.Generator().manual_seed(0)
    is_or, members = torch.rand(40, generator=g) < .4, torch.zeros(40, 80, dtype=torch.bool)
    for row in members: row[torch.randperm(80, generator=g)[:3]] = True
    x = il.Interactions.of(is_or, members, torch.randn(40, generator=g).double(), .3, meta={"coalitions": 500})
    panel = WhatIf(x, sample=il.Game(lambda masks: x.predict(masks) + .05, x.players))
    for _ in range(20):
        there = torch.rand(1, 80, generator=g) < .6
        panel.toggles.press(there[0].tolist())
        h = x.predict(there).item()
        assert [f"<span>{panel.say(t)}</span>" in panel.view.value for t in (h, h + .05)] == [True, True]
        present = set(there[0].nonzero()[:, 0].tolist())
        on = [set(r.members) <= present if r.kind == "and" else bool(set(r.members) & present) for r in panel.rows.itertuples()]
        assert len(re.findall(r'<tr class="\w+ off"', panel.view.value)) == sum(not counts for counts in on)
        assert all(-.01 <= float(t) <= 100.01 for t in re.findall(r"left: ([-\d.]+)%", panel.view.value))


def test_one_row_of_words_at_a_time(tiny_lm):
    e = answered(Explorer({"lm": tiny_lm}, text="A red apple falls"))
    assert shown_words(e) == [] and len(e.result.children[-1].toggles.buttons) == 4
    e.choose.value = True
    assert [b.value for b in shown_words(e)] == [True] * 4 and "il-pick" in e.toggles._dom_classes
    e.text.value = "A pear falls"
    assert shown_words(e) == []


def test_what_can_mask_is_what_the_model_has(tiny_lm, monkeypatch):
    from copy import deepcopy
    model, tokenizer = tiny_lm
    masked = deepcopy(tokenizer)
    masked.add_special_tokens({"mask_token": "[MASK]"})
    e = Explorer({"no mask": tiny_lm, "mask": (model, masked), "pictures": classifier(), "to come": "somewhere"}, text="A red apple falls")
    offered = {}
    for name in e.models:
        e.model.value = name
        offered[name] = list(e.baseline.options)
    assert offered == {"no mask": ["mean", "zero", "remove"], "mask": ["mean", "zero", "mask", "remove"], "pictures": ["zero", "channel_mean", "blur"], "to come": ["mean", "zero", "remove"]}
    monkeypatch.setattr(explorer, "load_network", lambda name, progress=False: (model, masked) if isinstance(name, str) else name)
    e.baseline.value = "zero"
    answered(e)
    assert list(e.baseline.options) == ["mean", "zero", "mask", "remove"] and e.baseline.value == "zero"      # known now; what was chosen stays
    e.most.value = 3                                                   # so that something of the text is left
    for name in e.models:                                              # all that is offered works
        e.model.value = name
        if name == "mask": continue                                    # its token has no embedding in this model
        for baseline in e.baseline.options:
            if (name, baseline) == ("to come", "mask"): continue
            e.baseline.value = baseline
            assert answered(e).x.meta["baseline"] == baseline, e.work.where.value


def test_an_answer_can_be_saved(tiny_lm, tmp_path):
    import base64, io
    import pandas as pd
    e = answered(Explorer({"lm": tiny_lm}, text="A red apple falls"))
    files = {name: base64.b64decode(data) for name, data in re.findall('download="(.*?)" href="data:.*?;base64,(.*?)"', e.result.children[1].value)}
    (tmp_path / "x.safetensors").write_bytes(files["interactions.safetensors"])
    x = il.Interactions.load(tmp_path / "x.safetensors")
    assert torch.equal(x.predict(), e.x.predict()) and x.players == e.x.players and x.meta["noise"] == .02
    table = pd.read_csv(io.BytesIO(files["interactions.csv"]))
    assert table.effect.tolist() == pytest.approx(list_effects(e.x).effect.tolist()) and table.text.tolist() == list_effects(e.x, ["A", "red", "apple", "falls"]).text.tolist()
    page = files["interlib.html"].decode()
    assert page.startswith("<!DOCTYPE html>") and "<script" not in page and all(name in page for name in x.players)


# In a browser


class Page:
    "A page of widgets, and what a person does to it."
    def __init__(self, browser, url, ready, height=900):
        self.browser = browser
        browser.open(url, width=1000, height=height)
        browser.until(f"!!document.querySelector('{ready}')", 120)

    def js(self, code): return self.browser.js(code)
    def until(self, code, patience=120): return self.browser.until(code, patience)
    def numbers(self, panel=".il-what-if"): return self.js(f"[...document.querySelectorAll('{panel} .facts span')].map(t => t.textContent)")


@pytest.fixture(scope="module")
def shots():
    "Where the pictures go: the folder named by `INTERLIB_SCREENSHOTS`, if there is one."
    folder = os.environ.get("INTERLIB_SCREENSHOTS")
    def take(browser, name, selector):
        if not folder: return
        browser.screenshot(Path(folder) / name, selector)
        Image.open(Path(folder) / name).convert("RGB").quantize(128).save(Path(folder) / name, optimize=True)
    return take


def served(command, folder, patience=90):
    "A server and its address, once it answers."
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, start_new_session=True)
    line = server.stdout.readline()
    url = re.search(r"http://\S+", line)
    assert url, line + server.stdout.read()
    import urllib.request
    end = time.time() + patience
    while time.time() < end:
        try: urllib.request.urlopen(url.group().split("?")[0] + "voila/static/voila.js", timeout=5); return server, url.group()
        except OSError: time.sleep(.2)
    raise RuntimeError("the page is not served")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    server, url = served([sys.executable, "-c", "from interlib.app.cli import main; main(['app', '--no-browser', '--port', '0'])"], tmp_path_factory.mktemp("app"))
    yield url
    os.killpg(server.pid, signal.SIGINT)
    server.wait(20)


@pytest.mark.slow
@live
def test_a_newcomer_explains_a_sentence(app, browser, shots):
    page = Page(browser, app, ".il-explorer", height=2000)
    assert "What does a network react to?" in page.js("document.body.innerText") and "for one user" in page.js("document.body.innerText")
    assert "token" in app and page.js("location.search") == ""                           # not left in the address bar
    browser.click(".il-explorer textarea")
    page.js("document.querySelector('.il-explorer textarea').select()")
    browser("Input.insertText", text=SENTENCE)
    browser.press("Tab")
    words = SENTENCE.split()
    page.until(f"document.querySelectorAll('.il-pick .jupyter-button').length == {len(words)}")
    assert page.js("document.querySelectorAll('.il-explorer textarea').length") == 1
    browser.click(".il-explorer .mod-primary")
    page.until("document.body.innerText.includes('Cancel')", 20)                       # it says what it does, and can be stopped
    page.until("!!document.querySelector('.il-what-if')", 300)
    model, tokenizer = il.load_lm("smollm2")
    game = il.text_game(model, tokenizer, SENTENCE, players=len(words))
    v = il.evaluate(game, progress=False)
    x = il.decompose(v)
    facts = page.numbers(".il-explorer")
    assert facts[0] == game.meta["target"].strip() and facts[1] == signed_number(v[-1].item()) and facts[2] == signed_number(v[0].item())
    assert facts[4] == str(x.how_many(v))
    strongest = list_effects(x, sample_of(game).names).iloc[0]
    assert page.js("document.querySelector('.il-what-if tr td:nth-child(3)').textContent") == strongest.text
    assert page.js("[...document.querySelectorAll('.il-explorer .il-words')].filter(t => t.offsetParent).length") == 1
    assert page.js("[...document.querySelectorAll('.saved a')].map(t => t.download)") == ["interlib.html", "interactions.csv", "interactions.safetensors"]
    asked = [url for url in browser.requests() if not url.startswith("blob:")]
    assert len(asked) > 20 and {urllib.parse.urlsplit(url).netloc for url in asked} == {urllib.parse.urlsplit(app).netloc}
    shots(browser, "explorer.png", ".il-explorer")


@live
def test_four_thousand_words_are_refused_at_once(app, browser):
    page = Page(browser, app, ".il-explorer")
    page.js("document.querySelector('.il-explorer textarea').select()")
    browser.click(".il-explorer textarea")
    page.js("document.querySelector('.il-explorer textarea').select()")
    browser("Input.insertText", text="word " * 4_000)
    browser.press("Tab")
    page.until("document.querySelector('.il-explorer .wrong')?.innerText.includes('text: got 20,')", 20)
    assert page.js("document.querySelectorAll('.il-pick .jupyter-button').length") == 0
    for width in (1280, 390):
        browser("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        page.until(f"document.documentElement.scrollWidth == {width}", 10)
        page.until("![...document.querySelectorAll('.il-explorer *')].some(t => t.offsetParent && t.getBoundingClientRect().right > innerWidth + 1)", 10)


@live
def test_mistakes_are_explained_on_the_page(app, browser):
    page = Page(browser, app, ".il-explorer", height=2000)
    browser.click(".il-explorer input[placeholder='the most probable']")
    browser("Input.insertText", text="no such answer " * 400)
    browser.press("Tab")
    browser.click(".il-explorer .mod-primary")
    page.until("document.body.innerText.includes('ValueError')", 120)
    assert "target: got 6,000 characters" in page.js("document.querySelector('.wrong').innerText")


CHOOSE = """(() => {{
    const all = [...document.querySelectorAll('.il-explorer select option')];
    const option = all.find(o => o.text.replaceAll('\\u00a0', ' ') == {0!r}), field = option.parentElement;
    field.value = option.value;
    field.dispatchEvent(new Event('change', {{bubbles: true}}));
}})()"""


@live
def test_a_photograph_is_cut_into_superpixels(app, browser, shots):
    page = Page(browser, app, ".il-explorer", height=2000)
    page.js(CHOOSE.format(next(name for name, model in MODELS.items() if model == "efficientnet-lite0")))
    page.until("document.querySelectorAll('.il-picture .jupyter-button').length == 16")
    page.js(CHOOSE.format("superpixels"))
    page.until("document.querySelectorAll('.il-picture.il-cut .jupyter-button').length == 10")
    seen = page.js("[...document.querySelectorAll('.il-cut .jupyter-button')].map(t => getComputedStyle(t).clipPath.startsWith('polygon'))")
    assert seen == [True] * 10
    for width in (1280, 390):
        browser("Emulation.setDeviceMetricsOverride", width=width, height=2000, deviceScaleFactor=1, mobile=False)
        page.until(f"document.documentElement.scrollWidth == {width}", 10)
        page.until("![...document.querySelectorAll('.il-explorer *')].some(t => t.offsetParent && t.getBoundingClientRect().right > innerWidth + 1)", 10)
    browser("Emulation.setDeviceMetricsOverride", width=1000, height=2000, deviceScaleFactor=1, mobile=False)
    page.js("[...document.querySelectorAll('.il-cut .jupyter-button')].slice(0, 4).forEach(t => t.click())")
    page.until("document.querySelectorAll('.il-cut .jupyter-button.mod-active').length == 4")
    browser.click(".il-explorer .mod-primary")
    page.until("!!document.querySelector('.il-what-if')", 120)
    assert page.js("document.querySelectorAll('.il-what-if .il-cut .jupyter-button').length") == 4
    assert page.js("document.querySelectorAll('.il-explorer .picture .cut').length") == 4
    shots(browser, "superpixels.png", ".il-explorer")


PANELS = """
import torch, interlib as il
from interlib.app.widget_html import Sample
v, w = (il.examples.prompt(name).v for name in ("smollm2_0", "gemma3_0"))
words = il.examples.prompt().text.split()
gravity = Sample([(word, i - 2 if i > 1 else None) for i, word in enumerate(words)])
x = il.decompose(v, players=words[2:])
display(il.WhatIf(x, v, gravity))
---
display(il.Sparsity(x, v, gravity))
---
pair, eight = [v[:256].clone(), w[:256].clone()], Sample([(word, i - 2 if 1 < i < 10 else None) for i, word in enumerate(words)])      # 'pull' and the last 'of' masked
display(il.Sharing(pair, ["SmolLM2", "Gemma 3"], eight.names, share=None))
---
display(il.Compare(il.decompose_shared(pair, share=None), ["SmolLM2", "Gemma 3"], eight, k=12))
---
threes, networks = il.data.digits().test_x[il.data.digits().test_y == 3][:12], {{}}
for name in ("resnet20-digit3", "vgg16-digit3"):
    model, _, training = il.load_trained(name, progress=False)
    games, networks[name] = [il.image_game(model, image, players=8, choose="random", target=1, seed=i) for i, image in enumerate(threes)], {{}}
    for e in (1, 6):
        training.load(model, e)
        networks[name][e] = il.decompose(torch.stack([il.evaluate(game, progress=False) for game in games]))
display(il.ConfusingSamples(networks, games))
---
names = {hostile!r}
odd = il.decompose(torch.tensor([0., 1, -1, 3, 2, 0, 1, 5]), players=names[:3])
odd.meta = dict(output=names[3])
for panel in (il.WhatIf(odd, odd.predict()), il.Sparsity(odd, odd.predict()), il.Compare([odd, odd], names[4:6]), il.Explorer({{names[6]: (model, threes)}})):
    panel.add_class("odd")
    display(panel)
display(odd.primitives())
---
g = torch.Generator().manual_seed(0)
both = torch.randn(2, 4096, generator=g, dtype=torch.float64) * (torch.rand(2, 4096, generator=g) < .1)
both[1, 0] = 0
big = il.Interactions(*both)
panel = il.WhatIf(big, big.predict() + .01)
panel.add_class("big")
display(panel)
"""


@pytest.fixture(scope="module")
def panels(tmp_path_factory, browser):
    folder = tmp_path_factory.mktemp("panels")
    cells = [nbformat.v4.new_code_cell(c.strip()) for c in PANELS.format(hostile=SCRIPTS).split("---")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}}), folder / "panels.ipynb")
    from interlib.app.cli import find_port
    port = find_port(0)
    code = f"import subprocess, sys; print('http://localhost:{port}/', flush=True); subprocess.run([sys.executable, '-m', 'voila', 'panels.ipynb', '--port={port}', '--no-browser', '--Voila.log_level=ERROR'])"
    server, url = served([sys.executable, "-c", code], folder)
    page = Page(browser, url, ".big", height=7000)        # voila scrolls inside the page: all of it must be in the window
    page.until("document.body.innerText.includes('Transferability')")
    yield page
    os.killpg(server.pid, signal.SIGINT)
    server.wait(20)


def spot(page, selector, text=None):
    "A JavaScript expression for the first element of a selector, or the one with a text."
    return f"[...document.querySelectorAll({json.dumps(selector)})].find(t => t.textContent.trim() == {json.dumps(text)})" if text else f"document.querySelector({json.dumps(selector)})"


@pytest.mark.slow
@live
def test_what_if_shows_the_librarys_numbers(panels, shots):
    page, (v, _) = panels, tables()
    x = il.decompose(v)
    panel = WhatIf(x, v)
    for S in random.Random(0).sample(range(1024), 20):
        page.js(f"[...document.querySelectorAll('.il-what-if')[0].querySelectorAll('.il-words .jupyter-button')].forEach((b, i) => b.classList.contains('mod-active') == !!({S} >> i & 1) || b.click())")
        want = [panel.say(t) for t in (x.predict()[S].item(), v[S].item(), (x.predict() - v)[S].item())]
        page.until(f"JSON.stringify([...document.querySelectorAll('.il-what-if')[0].querySelectorAll('.facts span')].map(t => t.textContent)) == {json.dumps(json.dumps(want, ensure_ascii=False, separators=(',', ':')), ensure_ascii=False)}", 20)
        lit = page.js("[...document.querySelectorAll('.il-what-if')[0].querySelectorAll('tr')].slice(0, 15).map(t => !t.classList.contains('off'))")
        assert lit == [bool(on) for on in which_count(panel.rows, S)]
    shots(panels.browser, "what-if.png", ".il-what-if")


@live
def test_twelve_players_stay_responsive(panels, capsys):
    took = panels.browser("Runtime.evaluate", awaitPromise=True, returnByValue=True, expression="""(async () => {
        const panel = document.querySelector('.big'), buttons = [...panel.querySelectorAll('.il-words .jupyter-button')], times = [], blocked = [];
        for (const b of [...buttons, ...buttons]) {
            const before = panel.querySelector('.facts span').textContent, start = performance.now();
            b.click(); document.body.getBoundingClientRect(); blocked.push(performance.now() - start);
            while (panel.querySelector('.facts span').textContent == before && performance.now() - start < 2000) await new Promise(done => setTimeout(done, 1));
            times.push(performance.now() - start);
        }
        return [times, blocked];
    })()""")["result"]["value"]
    times, blocked = took
    with capsys.disabled(): print(f"\n  a click with 12 players: the page is blocked for {max(blocked):.0f} ms at most; the answer is there after {statistics.median(times):.0f} ms (median), {max(times):.0f} ms at most")
    assert len(times) == 24 and max(blocked) < 200 and statistics.median(times) < 200


@live
def test_sparsity_slider(panels, shots):
    page, (v, _) = panels, tables()
    curve = il.decompose(v).matching_curve(v)
    kept = lambda: int(page.js("document.querySelector('.il-sparsity .facts span').textContent"))
    before = kept()
    x, y = page.js("(() => { const t = document.querySelector('.il-sparsity .noUi-base'); t.scrollIntoView({block: 'center'}); const r = t.getBoundingClientRect(); return [r.x + r.width / 4, r.y + r.height / 2] })()")
    for kind in ("mousePressed", "mouseReleased"): page.browser("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    page.until(f"document.querySelector('.il-sparsity .facts span').textContent != '{before}'", 20)
    assert abs(kept() - 50) < 5                                                         # a quarter of 200
    error = page.js("document.querySelectorAll('.il-sparsity .facts span')[1].textContent")
    assert error == f"{curve[kept()]:.3g}"
    shots(panels.browser, "sparsity.png", ".il-sparsity")


@live
def test_sharing_shows_transferability(panels, shots):
    v, w = tables(8)
    s = il.transferability(il.decompose_shared([v, w], share=None), (10, 25, 50)).query("kind == 'and+or'").groupby("k").s.mean()
    panels.until("document.querySelector('.il-sharing').innerText.includes('Transferability')")
    shown = panels.js("[...document.querySelectorAll('.il-sharing tr td:nth-child(3)')].map(t => t.textContent)")
    assert shown == ["shared", *(f"{100 * s[k]:.0f} %" for k in (10, 25, 50))]
    shots(panels.browser, "sharing.png", ".il-sharing")


@live
def test_compare_frames_the_words(panels, shots):
    page = panels
    text = page.js("document.querySelector('.il-compare .il-rows button').textContent")
    page.js("document.querySelector('.il-compare .il-rows button').click()")
    page.until("document.querySelectorAll('.il-compare .lit').length > 0", 20)
    assert page.js("[...document.querySelectorAll('.il-compare .lit')].map(t => t.textContent)") == re.split(" [∧∨] ", text)
    shots(panels.browser, "compare.png", ".il-compare")


@live
def test_confusing_samples_are_shown(panels, shots):
    page = panels
    page.js("document.querySelectorAll('.il-dots button')[3].click()")
    page.until("document.querySelector('.il-confusing').innerText.includes('Sample 3')", 20)
    coloured = page.js("[...document.querySelectorAll('.il-dots button')].filter(t => getComputedStyle(t).backgroundColor != 'rgba(0, 0, 0, 0)').length")
    assert coloured == sum(map(int, re.findall(r"\((\d+)\)", page.js("document.querySelector('.il-confusing').innerText.split('Sample')[0]"))))
    shots(panels.browser, "confusing.png", ".il-confusing")


@live
def test_the_copy_is_hidden_where_the_widget_lives(panels):
    assert panels.js("[...document.querySelectorAll('div[id^=il-]')].map(t => getComputedStyle(t).display)") == ["none"] * 10


@live
def test_hostile_names_do_not_run(panels):
    assert panels.js("[...document.querySelectorAll('.odd.il-what-if .jupyter-button')].slice(0, 3).map(t => t.textContent)") == SCRIPTS[:3]
    panels.js("document.querySelectorAll('.odd .jupyter-button:not(.mod-primary)').forEach(t => t.click())")
    panels.until("!!document.querySelector('.odd .lit')", 20)
    panels.js("document.querySelectorAll('.odd, .odd *').forEach(t => t.dispatchEvent(new MouseEvent('mouseover', {bubbles: true})))")
    assert panels.js("document.querySelector('.odd select').selectedOptions[0].text") == SCRIPTS[6]
    assert panels.js("window.taken === undefined && document.querySelectorAll('.odd iframe, .odd script, .odd svg[onload], .odd [onerror], .odd [onmouseover], .dataframe script').length") == 0


@live
def test_the_gallery_as_a_page(browser, shots, tmp_path):
    from nbconvert import HTMLExporter
    (tmp_path / "gallery.html").write_text(HTMLExporter(template_name="classic").from_filename(str(Path(__file__).parents[2] / "nbs" / "gallery.ipynb"))[0], encoding="utf-8")
    browser.open(tmp_path / "gallery.html", width=1000)
    figures = browser.js("[...document.images].map(t => [t.naturalWidth, t.alt])")
    assert len(figures) >= 19 and all(width > 100 and len(alt) > 20 and "No description" not in alt for width, alt in figures)
    shots(browser, "gallery.png", "#notebook-container")
