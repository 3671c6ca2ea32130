"What a reader sees and clicks: the What-if panel of the report, in a headless Chromium, against the library's numbers."
import functools
import random
import statistics

import pytest
import torch

import interlib as il
from chromium import CHROMIUM
from explained import explained as with_words
from interlib.app.prompts import explain_text
from interlib.app.report import CLICKABLE, report_html, what_if as panel_of
from interlib.app.sums import list_effects
from interlib.core.solution import Solution
from interlib.core.synthetic import noisy
from test_cli import TEXT, make_lm

pytest.importorskip("websocket", reason="no websocket-client in this environment")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
WORDS = "Why does a red apple fall to the ground and not up to the moon".split()


def explained(x, v, words=WORDS, text=None):
    "An explanation as `explain` makes it, of any table: every word is a player until there are no more."
    x.meta = {"text": text or " ".join(words), "target": " gravity", "output": "log_odds", "noise": 0.02, "baseline": "mean", "model": "none", "device": "cpu", "seconds": {}, "versions": {}}
    return with_words(x, v, [(w, i if i < x.n else None) for i, w in enumerate(words)])


def random_model(n, kept, seed):
    "A model with `kept` random effects of either kind, and outputs that differ from it by noise."
    g = torch.Generator().manual_seed(seed)
    tables = torch.randn(2, 2**n, generator=g, dtype=torch.float64) * (torch.rand(2, 2**n, generator=g) < kept / 2**n)
    tables[1, 0] = 0
    x = il.Interactions(*tables, solution=Solution(tables[:, 1:].abs().sum().item(), 0., 0., 0, "none"))
    return x, x.predict() + .05 * torch.randn(2**n, generator=g, dtype=torch.float64)


@pytest.fixture(scope="module")
def planted():
    v = noisy(il.planted(6, 5, 5, seed=1)[0], .01)
    return explained(il.decompose(v, .02), v)


@pytest.fixture(scope="module")
def network(tmp_path_factory): return explain_text(TEXT, make_lm(tmp_path_factory.mktemp("lm")), players=7, progress=False)


@pytest.fixture(scope="module")
def big(): return explained(*random_model(12, 400, 0))


report, what_if, listed = map(functools.cache, (report_html, panel_of, list_effects))


@pytest.fixture
def open_report(browser, tmp_path):
    "Opens the report of an explanation; afterwards nothing may have been asked of the network or complained about."
    def open_report(e, **how):
        path = tmp_path/"report.html"
        path.write_text(report(e), encoding="utf-8")
        browser.open(path, **how)
        return browser
    yield open_report
    assert browser.requests() == [] and browser.complaints() == []


def printed(x, e):
    "A number as the panel prints it."
    text = f"{abs(x):.{what_if(e)['numbers']['decimals']}f}"
    return ("" if float(text) == 0 else "−" if x < 0 else "+") + text


def shown(page):
    "All that the panel says: numbers by their name, which rows are lit, what the weaker ones add."
    return page.js("""({lit: [...document.querySelectorAll('[data-row]')].map(r => !r.classList.contains('off')), rest: document.querySelector('[data-more]')?.cells[0].textContent,
        ...Object.fromEntries([...document.querySelectorAll('[data-say]')].map(t => [t.dataset.say, t.textContent]))})""")


def reach(page, S):
    "Clicks players until coalition `S` is there."
    for i in page.js("[...document.querySelectorAll('[data-player]')].map(b => [+b.dataset.player, b.ariaPressed])"):
        if (i[1] == "true") != bool(S >> i[0] & 1): page.click(f"[data-player='{i[0]}']")
    assert page.js("[...document.querySelectorAll('[data-player]')].reduce((S, b) => S | (b.ariaPressed == 'true') << b.dataset.player, 0)") == S


def counting(e, S):
    "For every interaction, strongest first, whether it counts on a coalition, by the definition."
    there = {i for i in range(e.n) if S >> i & 1}
    return [there >= set(r.members) if r.kind == "and" else bool(there & set(r.members)) for r in listed(e).itertuples()]


def agrees(page, e, S):
    "Whether the panel shows the library's numbers and interactions for a coalition."
    h, v, constant, on, panel = e.predict()[S].item(), e.v[S].item(), e.constant.item(), counting(e, S), shown(page)
    k = len(panel["lit"])
    assert (panel["predicted"], panel["real"], panel["difference"]) == (printed(h, e), printed(v, e), printed(h - v, e))
    assert panel["lit"] == on[:k]
    assert panel["sum"] == f"Constant {printed(constant, e)}, and {sum(on)} of {len(on)} interactions together {printed(h - constant, e)}, make {printed(h, e)}."
    if len(on) > k:
        so_far = constant + sum(r.effect for r, there in zip(listed(e).head(k).itertuples(), on) if there)
        assert (panel["more"], panel["rest"]) == (f"and {sum(on[k:])} weaker, together", printed(h - so_far, e))


@pytest.mark.parametrize("which", ["network", "big"])
def test_clicks_show_the_librarys_numbers(which, open_report, request):
    e = request.getfixturevalue(which)
    page, S = open_report(e), len(e.v) - 1
    agrees(page, e, S)
    for S in random.Random(0).sample(range(len(e.v)), 20):
        reach(page, S)
        agrees(page, e, S)
    for which, S in ((0, 0), (1, len(e.v) - 1)):
        page.click(f"[data-all='{which}']")
        agrees(page, e, S)


def test_rows(open_report, planted):
    page, strongest = open_report(planted), listed(planted).head(30)
    seen = page.js("[...document.querySelectorAll('[data-row]')].map(r => [...r.cells].map(c => c.innerText.trim()).concat(r.className, getComputedStyle(r.querySelector('.kind')).borderTopColor))")
    assert len(seen) == len(strongest)
    for (effect, kind, words, sign, colour), r in zip(seen, strongest.itertuples()):
        assert (effect, kind, words) == (printed(r.effect, planted), r.kind.upper(), r.text)
        assert sign == ("down" if r.effect < 0 else "up") and colour == ("rgb(0, 114, 178)" if r.effect < 0 else "rgb(213, 94, 0)")


def test_bars_lead_from_the_constant_to_the_prediction(open_report, big):
    page, numbers = open_report(big), panel_of(big)["numbers"]
    reach(page, 0b101101110111)
    h, width = big.predict()[0b101101110111].item(), numbers["high"] - numbers["low"]
    bars = page.js("[...document.querySelectorAll('.track')].map(t => { const [i, r] = [t.firstChild.getBoundingClientRect(), t.getBoundingClientRect()]; return [(i.left - r.left) / r.width, (i.right - r.left) / r.width, i.width] })")
    ends = [(a, b) for a, b, w in bars if w]
    rise = [r.effect for r, on in zip(listed(big).head(30).itertuples(), counting(big, 0b101101110111)) if on]
    at = (big.constant.item() - numbers["low"]) / width
    for (a, b), effect in zip(ends, rise):
        assert min(at, at + effect / width) == pytest.approx(a, abs=.02) and b - a == pytest.approx(abs(effect) / width, abs=.02)
        at += effect / width
    assert min(abs(x - (h - numbers["low"]) / width) for x in ends[-1]) < .02


def test_twelve_players_stay_responsive(open_report, big, capsys):
    page = open_report(big)
    took = page.js("""[...document.querySelectorAll('[data-player], [data-all]')].flatMap(b => [0, 1, 2].map(() => {
        const start = performance.now(); b.click(); document.body.getBoundingClientRect(); return performance.now() - start; }))""")
    with capsys.disabled(): print(f"\n  a click with 12 players: median {statistics.median(took):.1f} ms, slowest {max(took):.1f} ms of {len(took)}")
    assert len(took) == 42 and max(took) < 200


def test_keyboard(open_report, planted):
    page, focused = open_report(planted), lambda: page.js("[document.activeElement.dataset.player, document.activeElement.ariaPressed, getComputedStyle(document.activeElement).outlineStyle]")
    page.press("Tab")
    assert focused() == ["0", "true", "solid"]
    page.press(" ")
    assert focused() == ["0", "false", "solid"]
    agrees(page, planted, 2**6 - 2)
    page.press("Tab"); page.press("Tab"); page.press("Enter")
    agrees(page, planted, 2**6 - 2 - 4)


def test_buttons_have_names(open_report, planted):
    page = open_report(planted)
    page("Accessibility.enable")
    nodes = [n for n in page("Accessibility.getFullAXTree")["nodes"] if n.get("role", {}).get("value") in ("button", "ToggleButton") or any(p["name"] == "pressed" for p in n.get("properties", []))]
    assert sorted(n["name"]["value"] for n in nodes) == sorted([*planted.players, "all players there", "no player there, all masked"])
    assert [p["value"]["value"] for n in nodes for p in n["properties"] if p["name"] == "pressed"] == ["true"] * 6


HOSTILE = ["</script><script>document.title='taken'</script>", "<img src=x onerror=\"document.title='taken'\">", "\"'`${document.title='taken'}", "{{7*7}}", "<!--", "\\u003c/script>\u2028"]


def test_hostile_words(open_report, planted):
    e = explained(planted.replace(players=None, meta={}), planted.v, HOSTILE, "]]> </blockquote> " + " ".join(HOSTILE))
    page = open_report(e)
    assert page.js("document.title") == "Why “gravity”? – interlib"
    assert page.js("[...document.querySelectorAll('[data-player]')].map(b => b.textContent)") == [w.replace("\u2028", "\\u2028") for w in HOSTILE]
    page.click("[data-player='0']")
    agrees(page, e, 2**6 - 2)
    assert page.js("document.title") == "Why “gravity”? – interlib" and page.js("document.scripts.length") == 1


@pytest.mark.parametrize("e", [explained(il.decompose(torch.ones(4)), torch.ones(4)), explained(il.decompose(torch.tensor([-1e-9, 2e-9])), torch.tensor([-1e-9, 2e-9]))], ids=["constant", "tiny"])
def test_little_to_show(e, open_report):
    page = open_report(e)
    for S in range(len(e.v)):
        reach(page, S)
        agrees(page, e, S)


def test_clicks_on_forty_words_of_which_no_table_is_known(open_report):
    g = torch.Generator().manual_seed(0)
    is_or, members = torch.rand(60, generator=g) < .4, torch.zeros(60, 40, dtype=torch.bool)
    for row in members: row[torch.randperm(40, generator=g)[:3]] = True
    x = il.Interactions.of(is_or, members, torch.randn(60, generator=g).double(), .3, [f"w{i}" for i in range(40)], meta={"coalitions": 500, "words": [[f"w{i}", i] for i in range(40)]})
    page, there, rng = open_report(x), torch.ones(1, 40, dtype=torch.bool), random.Random(0)
    for _ in range(15):
        panel = shown(page)
        assert panel["predicted"] == printed(x.predict(there).item(), x) and "real" not in panel
        assert panel["lit"] == [bool((there[0, list(r.members)].all() if r.kind == "and" else there[0, list(r.members)].any())) for r in listed(x).head(30).itertuples()]
        assert page.js("[...document.querySelectorAll('.bar')].every(b => { const t = b.parentNode.getBoundingClientRect(), r = b.getBoundingClientRect(); return !r.width || r.left >= t.left - 1 && r.right <= t.right + 3 })")
        i = rng.randrange(40)
        page.click(f"[data-player='{i}']")
        there[0, i] ^= True
    page.click("[data-all='0']")
    assert shown(page)["predicted"] == printed(.3, x)


def test_left_out_for_many_players():
    n = CLICKABLE + 1
    e = explained(il.Interactions(torch.zeros(2**n), torch.zeros(2**n), solution=Solution(0., 0., 0., 0, "none")), torch.zeros(2**n, dtype=torch.float64))
    page = report_html(e)
    assert "With 15 players there are 32,768 outputs, too many for a page" in page and "<script" not in page


def test_without_javascript_and_on_paper(browser, open_report, planted):
    browser("Emulation.setScriptExecutionDisabled", value=True)
    page = open_report(planted)
    browser("Emulation.setScriptExecutionDisabled", value=False)
    assert page.js("document.querySelector('#what-if').innerText").endswith("with JavaScript.")
    page = open_report(planted)
    page("Emulation.setEmulatedMedia", media="print")
    shown = page.js("['.words', '.tools'].map(s => getComputedStyle(document.querySelector(s)).display).concat(getComputedStyle(document.querySelector('[data-player]')).color)")
    page("Emulation.setEmulatedMedia", media="")
    assert shown == ["flex", "none", "rgb(28, 33, 39)"]       # ink, since paper has no dark buttons


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_looks(width, dark, open_report, big, tmp_path):
    page = open_report(big, width=width, dark=dark)
    reach(page, 0b101101110111)
    page.screenshot(tmp_path/"what-if.png", "#what-if")
    assert (tmp_path/"what-if.png").stat().st_size > 10_000
    assert page.js("document.documentElement.scrollWidth") == width
    assert page.js("[...document.querySelectorAll('#what-if *')].filter(t => t.getBoundingClientRect().right > innerWidth - 15).length") == 0
