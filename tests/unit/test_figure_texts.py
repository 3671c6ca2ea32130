"Texts in figures: dollars, scripts that run to the left, letters that no font has, signs that steer a terminal."
import unicodedata
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

import interlib as il
from interlib.core.labels import interaction_label, text_width
from interlib.draw.fonts import LAST_RESORT, font_families
from interlib.draw.sentences import typeset
from interlib.measure.taylor_principles import plot_principles

NAMES = ["$a_1$", "$5 and $6", "_b_$"]
ODD = "$x^2$ and $y$"


def draw(call):
    "A figure as drawn, and what was warned of meanwhile."
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fig = call().figure
        fig.canvas.draw()
    plt.close(fig)
    return fig, [str(w.message) for w in told]


def every(name):
    "All figures with this text for every name, unit, title and heading."
    names, two = [f"{name} {i}" for i in range(3)], [f"{name} left", f"{name} right"]
    curves, image = {n: [.9, .5, .2] for n in two}, torch.rand(1, 6, 6)
    regions = torch.arange(2).repeat_interleave(3)[None].expand(6, 6)
    labels, say = [tuple(names[:2]), tuple(names[1:])], dict(title=name)
    return {
        "interactions": lambda: il.plots.plot_interactions([1, -2], labels, "and", unit=name, **say),
        "text": lambda: il.plots.plot_text(names, [1, None, -.5], what=name, unit=name, **say),
        "matching": lambda: il.plots.plot_matching([1, 2, 3], curves, unit=name, **say),
        "strengths": lambda: il.plots.plot_strengths(curves, tau=.5, unit=name, **say),
        "transferability": lambda: il.plots.plot_transferability([1, 2, 3], curves, what=name, **say),
        "shared strength": lambda: il.plots.plot_shared_strength([1], [1], [2], [1], unit=name, **say),
        "shared": lambda: il.plots.plot_shared(dict.fromkeys(two, [1, -.5]), labels, "or", [two, two[:1]], unit=name, **say),
        "order strength": lambda: il.plots.plot_order_strength([1, 1], [1, 1], [2, 1], groups=two, unit=name, **say),
        "agreement": lambda: il.plots.plot_agreement([1, 2, 3.], [1, 3, 2.], ([True, False, False], [False, True, False]), two, **say),
        "marginals": lambda: il.plots.plot_marginals([1, 2, 3.], [1, 3, 2.], ([True, False, False], [False, True, False]), two, **say),
        "network": lambda: il.plots.plot_network([1, -2], labels, "and", names, unit=name, **say),
        "brackets": lambda: il.plots.plot_brackets(names, [1, -2], [(0, 1), (1, 2)], ["and", "or"], unit=name, **say),
        "patches": lambda: il.plots.plot_patches(image, regions, [1, -1], what=name, unit=name, **say),
        "patch groups": lambda: il.plots.plot_patch_groups(image, regions, [1.], [(0, 1)], "and", unit=name, **say),
        "crops": lambda: il.plots.plot_crops(torch.rand(3, 2, 1, 4, 4), names, **say),
        "concept maps": lambda: il.plots.plot_concept_maps(image, torch.rand(3, 2, 2), [(0, 1), (2,)], names, notes=two, **say),
        "concept tree": lambda: il.plots.plot_concept_tree(list(torch.rand(len(names), 2, 1, 4, 4)), names, [None, *range(len(names) - 1)], **say),
        "token maps": lambda: il.plots.plot_token_maps(two, torch.rand(3, 2), names, **say),
        "butterfly": lambda: il.plots.plot_butterfly([1, 1], [1, -1], [2, 1], unit=name, **say),
        "film": lambda: il.plots.plot_film(two, [1, 1], [1, -1], [2, 1], unit=name, what=name, **say),
        "mean outputs": lambda: il.sparsity.plot_mean_outputs({n: [0., 1, 2] for n in two}, unit=name, **say),
        "insertion": lambda: il.rankings.plot_insertion({n: [0., 1, 2] for n in two}, unit=name, **say),
        "principles": lambda: plot_principles([[True, False]] * 3, names, two, **say),
    }


KINDS = list(every("a"))


def texts(fig): return [t for t in fig.findobj(Text) if t.get_visible() and t.get_text().strip()]


@pytest.mark.parametrize("kind", KINDS)
def test_dollars_are_dollars_in_every_text(kind):
    fig, told = draw(every(ODD)[kind])
    with_dollars = [t for t in texts(fig) if "$" in t.get_text() and "mathdefault" not in t.get_text()]
    assert not told and with_dollars and not any(t.get_parse_math() for t in with_dollars)


@pytest.mark.parametrize("name", ["\x1b[31mred", "\u202ekcab", "half \ud83d", "bell \x07\x9b"])
@pytest.mark.parametrize("kind", KINDS)
def test_signs_that_cannot_be_seen_are_written_out(kind, name):
    fig, told = draw(every(name)[kind])
    drawn = "".join(t.get_text() for t in texts(fig))
    hidden = next(c for c in name if unicodedata.category(c) in ("Cc", "Cf", "Cs"))
    assert not told and hidden not in drawn and hidden.encode("unicode_escape").decode() in drawn


def test_logarithmic_axes_keep_their_powers():
    fig, _ = draw(every(ODD)["strengths"])
    ticks = [t for t in fig.axes[0].get_yticklabels() if t.get_text()]
    assert ticks and all(t.get_parse_math() for t in ticks)


def test_names_that_begin_with_an_underscore_are_in_the_legend():
    fig, told = draw(lambda: il.plots.plot_transferability([1, 2], {"_mine": [.5, .6], "other": [.4, .3]}))
    assert not told and [t.get_text() for t in fig.axes[0].get_legend().get_texts()] == ["_mine", "other"]


def test_mathematics_of_ones_own_is_still_possible():
    ax = il.plots.plot_strengths([3, 1, .5])
    ax.set_xlabel("$k$"); ax.set_title("$v(S)$", loc="left")
    plt.close(ax.figure)
    assert ax.xaxis.label.get_parse_math() and ax._left_title.get_parse_math()


@pytest.mark.parametrize("kind", KINDS)
def test_letters_that_no_font_has_make_one_warning(kind):
    fig, told = draw(every("\U000F0000\U000F0001")[kind])
    assert len(told) == 1 and "no font of this machine has the letters \U000F0000\U000F0001; figures show boxes" in told[0] and "fonts-noto-cjk" in told[0]


@pytest.fixture
def private_font(tmp_path):
    "A font with two letters that no other has, known to matplotlib for one test."
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    pen = TTGlyphPen(None)
    for i, p in enumerate([(0, 0), (0, 700), (700, 700), (700, 0)]): (pen.lineTo if i else pen.moveTo)(p)
    pen.closePath()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "square"])
    font.setupCharacterMap({0xF0000: "square", 0xF0001: "square"})
    font.setupGlyf(dict.fromkeys([".notdef", "square"], pen.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys([".notdef", "square"], (800, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Two Squares", "styleName": "Regular"})
    font.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200, usWeightClass=400)
    font.setupPost()
    font.save(tmp_path/"squares.ttf")
    before = list(fontManager.ttflist)
    yield str(tmp_path/"squares.ttf")
    fontManager.ttflist[:] = before
    fontManager._findfont_cached.cache_clear()


@pytest.mark.parametrize("kind", KINDS)
def test_figures_find_a_font_that_has_the_letters(kind, private_font):
    fontManager.addfont(private_font)
    fig, told = draw(every("\U000F0000\U000F0001")[kind])
    odd = [t for t in texts(fig) if "\U000F0000" in t.get_text()]
    assert not told and odd and all("Two Squares" in t.get_fontfamily() and LAST_RESORT not in t.get_fontfamily() for t in odd)


def test_a_font_that_is_installed_meanwhile_is_found(private_font, monkeypatch):
    import matplotlib.font_manager
    monkeypatch.setattr(matplotlib.font_manager, "findSystemFonts", lambda: [private_font])
    assert font_families("\U000F0000") == ([*plt.rcParams["font.family"], "Two Squares"], set())


def test_words_are_measured_in_the_font_they_are_set_in(private_font):
    fontManager.addfont(private_font)
    (_, (x, _)), words = typeset(["\U000F0000" * 5, "a"], 10, 400)[1], None
    assert x == pytest.approx(1.05 * 5 * .8 * 10 + 10, rel=.02)              # five letters of 0.8 of the size, and a gap


def places(fig, words):
    "Where the words stand, by their middle, in the order given."
    at = {t.get_text(): t.get_window_extent() for t in fig.axes[0].texts}
    return [((at[w].x0 + at[w].x1) / 2, -round(at[w].y0 / 5)) for w in words]


@pytest.mark.parametrize("sentence", ["תפוח אדום נופל על הארץ", "تفاحة حمراء تسقط على الأرض", "שלום 2 3 עולם"])
@pytest.mark.parametrize("kind", ["text", "brackets"])
def test_sentences_of_hebrew_and_arabic_begin_on_the_right(kind, sentence):
    words = sentence.split()
    call = (lambda: il.plots.plot_text(words, [1.] * len(words))) if kind == "text" else lambda: il.plots.plot_brackets(words, [1.], [(0, 1)], "and")
    fig, told = draw(call)
    x = [x for x, _ in places(fig, words)]
    assert not told and x == sorted(x, reverse=True)


def test_words_of_two_directions_in_one_sentence():
    fig, _ = draw(lambda: il.plots.plot_text(["תפוח", "Red", "apple", "נופל"], [1.] * 4))
    x = dict(zip("abcd", (x for x, _ in places(fig, ["תפוח", "Red", "apple", "נופל"]))))
    assert x["d"] < x["b"] < x["c"] < x["a"]
    fig, _ = draw(lambda: il.plots.plot_text(["the", "תפוח", "נופל", "falls"], [1.] * 4))
    x = [x for x, _ in places(fig, ["the", "נופל", "תפוח", "falls"])]
    assert x == sorted(x)


def test_brackets_of_a_hebrew_sentence_stand_at_their_words():
    words = [f"מילה{i}" for i in range(24)]                                  # three lines or so
    fig, _ = draw(lambda: il.plots.plot_brackets(words, [1.], [(0, 23)], "and"))
    ax = fig.axes[0]
    at = {t.get_text(): t.get_window_extent() for t in ax.texts}
    bars = sorted((p.get_window_extent() for p in ax.patches), key=lambda b: -b.y0)
    assert len(bars) == 2 and len({round(t.y0 / 5) for w, t in at.items() if w in words}) > 1
    for bar, word in zip(bars, (words[0], words[-1])): assert abs(bar.x0 - at[word].x0) < 6 and abs(bar.x1 - at[word].x1) < 6
    assert at["+1.00"].x0 > bars[-1].x1                                      # the number at the end, outside of all words


@pytest.mark.skipif(tuple(map(int, plt.matplotlib.__version__.split(".")[:2])) < (3, 11), reason="matplotlib shapes words from 3.11 on")
def test_letters_within_a_word_run_to_the_left():
    "The picture of 'אב' is that of its letters the other way round."
    def picture(text):
        fig = plt.figure(figsize=(2, 1))
        fig.text(.1, .5, text, parse_math=False, size=30)
        fig.canvas.draw()
        ink = np.asarray(fig.canvas.buffer_rgba())[..., :3].min(2) < 128
        plt.close(fig)
        return ink[:, ink.any(0).argmax():len(ink[0]) - ink.any(0)[::-1].argmax()]
    first, both = picture("א"), picture("אב")
    assert (both[:, -first.shape[1]:] == first).mean() > .97


def test_wide_letters_count_twice():
    label = interaction_label(["红苹果" * 9, "因为" * 9], "and", width=20, lines=2)
    assert all(text_width(line) <= 20 for line in label.split("\n"))
