"Names that are scripts, formats or formulas: every page shows them as they are, and nothing of them runs, in a headless Chromium."
import html
from types import SimpleNamespace

import pytest
import torch

import interlib as il
from chromium import CHROMIUM
from explained import explained
from interlib.app.comparison import compare_html
from interlib.app.explorer import saved_html
from interlib.app.report import report_html
from interlib.app.widget_html import STYLE, chart
from interlib import Compare, ConfusingSamples, Explorer, Sharing, Sparsity, WhatIf

SCRIPTS = ["</script><script>window.taken=1</script>", "<img src=x onerror='window.taken=1'>", "\"><svg onload=window.taken=1>", "' onmouseover='window.taken=1", "</style><script>window.taken=1</script>",
           "<iframe srcdoc='<script>parent.taken=1</script>'>", "javascript:window.taken=1", "&lt;script&gt;window.taken=1&lt;/script&gt;"]
FORMATS = ["{window}", "{}", "{0.__class__}", "{:.2f}", "%s", "%(window)d", "{{ 7 * 7 }}", "{% raw %}"]
MEANT = dict(scripts=SCRIPTS, formats=FORMATS)


def small(names, seed=0):
    "Interactions of three players, and their table."
    v = torch.randn(8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = il.decompose(v, players=names[:3])
    x.meta = {"text": " ".join(names), "target": names[3], "output": names[0], "model": names[5], "baseline": names[6], "noise": .02, "device": "cpu", "seconds": {}, "versions": {}}
    return x, v


def sharing(names):
    panel = Sharing([small(names, seed)[1] for seed in (0, 1)], names[:2], names[2:5], k=(2, 3), share=None)
    panel.work.thread.join()
    return panel


def explorer(names):
    panel = Explorer({names[0]: (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)).eval(), torch.rand(1, 1, 4, 4))}, grid=2)
    panel.target.value = names[1]
    panel.explain()
    panel.work.thread.join()
    return panel


def compare_page(names):
    xs, setting = [small(names, seed)[0] for seed in (0, 1)], names[7]
    sweep = SimpleNamespace(said={"settings": [setting], "models": {names[0]: "a", names[1]: "b"}}, folder="f", shared=lambda _: {"s": xs}, interactions=lambda model, _: {"s": xs[0]})
    return compare_html(sweep, setting, (2, 3))


def report(names):
    x, v = small(names)
    x.meta["output"] = "log_odds"
    return report_html(explained(x, v, [(name, i if i < 3 else None) for i, name in enumerate(names)]))


def as_notebook(alt):
    "A notebook with a figure, as a page."
    import nbformat
    from nbconvert import HTMLExporter
    dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    figure = nbformat.v4.new_output("display_data", data={"image/png": dot}, metadata={"image/png": {"alt": alt}})
    return HTMLExporter(template_name="basic").from_notebook_node(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("figure", outputs=[figure])]))[0]


def poked(panel):
    panel.toggles.buttons[0].value = False
    return panel.still()


def chosen(panel):
    panel.buttons[0].click()
    return panel.still()


def clicked(panel):
    panel.dots[0].click()
    return panel.still()


PAGES = {
    "report": report,
    "compare page": compare_page,
    "what if": lambda names: poked(WhatIf(*small(names))),
    "sparsity": lambda names: Sparsity(*small(names)).still(),
    "chart": lambda names: chart([2., 1, 0], names[0], names[1])(1),
    "compare": lambda names: chosen(Compare([small(names)[0], small(names, 1)[0]], names[:2])),
    "confusing": lambda names: clicked(ConfusingSamples({name: [small(names, seed)[0] for seed in (i, 2)] for i, name in enumerate(names[:2])})),
    "sharing": lambda names: sharing(names).still(),
    "explorer": lambda names: explorer(names).work.where.value,
    "saved links": lambda names: saved_html(small(names)[0], names[:3], ""),
    "table of interactions": lambda names: small(names)[0].primitives()._repr_html_(),
    "all effects": lambda names: small(names)[0].to_frame()._repr_html_(),
    "alt text": lambda names: as_notebook(il.plots.alt_text(il.plots.plot_interactions([2., 1, -1], [(name,) for name in names[:3]], ["and", "or", "and"], title=names[3]).figure)),
}
TEXTS = {"what if": [0, 1, 2], "sparsity": [0, 1, 2], "compare": [0, 1, 2], "confusing": [0, 1, 2], "report": [0, 1, 2, 3, 5], "compare page": [0, 1, 7], "explorer": [1], "chart": [0, 1], "alt text": [3]}


@pytest.mark.parametrize("kind", MEANT)
@pytest.mark.parametrize("page", PAGES)
def test_names_are_shown_and_do_not_run(page, kind, tmp_path, request):
    names = MEANT[kind]
    made = PAGES[page](names)
    for i in TEXTS.get(page, []): assert names[i] in html.unescape(made), names[i]
    if not CHROMIUM: return
    pytest.importorskip("websocket", reason="no websocket-client in this environment")
    browser, file = request.getfixturevalue("browser"), tmp_path / "page.html"
    file.write_text(made if made.lstrip().startswith("<!DOCTYPE") else f'<!DOCTYPE html><meta charset="utf-8"><title>safe</title>{STYLE}{made}', encoding="utf-8")
    browser.open(file)
    browser.js("document.querySelectorAll('*').forEach(t => t.dispatchEvent(new MouseEvent('mouseover', {bubbles: true})))")
    browser.js("new Promise(done => setTimeout(done, 50))")
    assert browser.js("window.taken === undefined && ![...document.querySelectorAll('*')].some(t => [...t.attributes].some(a => a.name.startsWith('on') || a.value.startsWith('javascript:') && a.name == 'href'))")
    assert browser.js("document.querySelectorAll('iframe, svg[onload], img[src=x]').length") == 0
    assert browser.js("document.scripts.length") == (page == "report")
    assert browser.requests() == []


def test_the_check_sees_a_script_that_runs(tmp_path, request):
    if not CHROMIUM: pytest.skip("no chromium on this machine")
    browser = request.getfixturevalue("browser")
    (tmp_path / "page.html").write_text("<p>" + SCRIPTS[1])
    browser.open(tmp_path / "page.html")
    browser.until("window.taken === 1", 5)


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\u202eb", "c\x07", "\ud800"])
def test_what_python_prints_of_a_result_does_not_steer_the_terminal(name):
    from pathlib import Path
    from interlib.model.factorising import Concepts
    from interlib.app.results import Sweep
    x = il.decompose(torch.randn(8, dtype=torch.float64), players=[name, "b\nc", "d"])
    concepts = Concepts(torch.rand(2, 3), [name, "b"], "layer1", "0", torch.rand(2), torch.rand(2), .1, meta={"model": name})
    said = [repr(x), repr(concepts), repr(il.Game(lambda m: m.double().sum(1), [name, "b"], meta={"model": name})),
            Sweep.__repr__(SimpleNamespace(folder=Path(name), status=lambda: {"models": name}))]
    for text in said: assert name not in text and all(c.isprintable() or c == "\n" for c in text) and name.encode("unicode_escape").decode() in text
    assert "b↵c" in said[0]
