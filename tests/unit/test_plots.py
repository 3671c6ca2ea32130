"""Figures at the edges: long names, many words, one word, missing values, and what a plot must leave alone."""
import subprocess, sys

import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt, numpy as np, pandas as pd, pytest, torch

from interlib.draw.plots import *

LONG = "counterrevolutionaries"
BARS = dict(effects=[1., -2.], labels=[("pull", "of"), ("ground",)], kinds=["and", "or"])
IMAGE, REGIONS = torch.rand(3, 4, 6), torch.arange(24).view(4, 6) // 6
PAIR = {"A": [1., -2.], "B": [.5, 3.]}
CALLS = {
    "interactions": lambda **kw: plot_interactions(**BARS, **kw),
    "text": lambda **kw: plot_text(["pull", "of"], [1., None], **kw),
    "matching": lambda **kw: plot_matching([1., 2, 3], [1., 2, 2], tau=.1, **kw),
    "strengths": lambda **kw: plot_strengths([1., 0], tau=.5, **kw),
    "transferability": lambda **kw: plot_transferability([1, 2], {"a": [.5, 1], "b": [None, 0]}, {"a": [.1, .1]}, **kw),
    "shared_strength": lambda **kw: plot_shared_strength([1, 2], [1, -1], [3., 2], [3., 0], **kw),
    "order_strength": lambda **kw: plot_order_strength([1, 2], [1, -1], [3., 2], [1., np.nan], **kw),
    "agreement": lambda **kw: plot_agreement([1., 2, np.nan], [2., 1, 3], [[False, True, False], [True, False, False]], **kw),
    "shared": lambda **kw: plot_shared(PAIR, BARS["labels"], BARS["kinds"], [("A", "B"), ("B",)], **kw),
    "network": lambda **kw: plot_network(**BARS, players=["pull", "of", "ground"], **kw),
    "brackets": lambda **kw: plot_brackets(["pull", "of"], [1., -2.], [(0, 1), (1,)], ["and", "or"], **kw),
    "patches": lambda **kw: plot_patches(IMAGE, REGIONS, [1., -2., 0., .5], **kw),
    "patch_groups": lambda **kw: plot_patch_groups(IMAGE, REGIONS, [1., -2.], [(0, 3), (1,)], ["and", "or"], **kw),
    "butterfly": lambda **kw: plot_butterfly([1, 2], [1, -1], [3., 2.], **kw),
    "film": lambda **kw: plot_film([0, 0, 10], [1, 2, 1], [1, -1, 1], [3., 2., 1.], **kw),
    "marginals": lambda **kw: plot_marginals([1., 2, np.nan], [2., 1, 3], [[False, True, False], [True, False, False]], **kw),
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def boxes(artists, fig):
    fig.canvas.draw()
    return [a.get_window_extent() for a in artists]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_given_axes_are_returned_and_nothing_else_is_left(call):
    fig = matplotlib.figure.Figure()                   # not known to pyplot
    ax, before, known = fig.subplots(), dict(matplotlib.rcParams), plt.get_fignums()
    assert call(ax=ax) is ax
    fig.canvas.draw()
    assert plt.get_fignums() == known
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_own_figure(call):
    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    ax = call(title="Title")
    assert plt.get_fignums() == [ax.figure.number]
    assert ax.figure.get_figwidth() == 7
    assert ax.get_title(loc="left") == "Title"
    assert dict(matplotlib.rcParams) == before and matplotlib.get_backend() == backend


@pytest.mark.parametrize("bad", [
    lambda: plot_interactions([1.], [], "and"), lambda: plot_interactions([np.nan], [("a",)], "and"), lambda: plot_interactions([1.], [("a",)], ["AND"]),
    lambda: plot_text(["a"], [1., 2.]), lambda: plot_text(["a"], [np.inf]), lambda: plot_matching([1., 2.], {}), lambda: plot_strengths([0.]),
    lambda: plot_transferability([1], [1.1]), lambda: plot_transferability([1, 2], [1.]), lambda: plot_transferability([1], [1.], [-1.]),
    lambda: plot_shared_strength([1], [0], [1.], [1.]), lambda: plot_shared_strength([1], [1], [1.], [-1.]), lambda: plot_shared_strength([1], [1], [1.], [np.nan]),
    lambda: plot_order_strength([1], [1], [-1.]), lambda: plot_order_strength([1, 1], [1, 1], [1., 2.]), lambda: plot_order_strength([1], [0], [1.]), lambda: plot_order_strength([1], [1], [1.], groups=["a", "b"]),
    lambda: plot_agreement([1.], [1., 2.]), lambda: plot_agreement([np.nan], [1.]), lambda: plot_agreement([np.inf], [1.]), lambda: plot_agreement([1.], [1.], [[1], [0]]), lambda: plot_agreement([1.], [1.], names=["A"]),
    lambda: plot_shared(PAIR, [("a",)], "and", [("A",)]), lambda: plot_shared({**PAIR, "C": [1., 2.]}, BARS["labels"], "and", [("A",)] * 2), lambda: plot_shared(PAIR, BARS["labels"], "and", [(), ("A",)]),
    lambda: plot_network([1.], [("c",)], "and", ["a"]), lambda: plot_network([1.], ["a"], "and", ["a"]), lambda: plot_network([1.], [("a",)], "and", ["a", "a"]), lambda: plot_network([np.nan], [("a",)], "and", ["a"]), lambda: plot_network([1.], [("a",)], "and", ["a"], top=0),
    lambda: plot_brackets([], [1.], [(0,)], "and"), lambda: plot_brackets(["a"], [1.], [(1,)], "and"), lambda: plot_brackets(["a"], [1.], [()], "and"), lambda: plot_brackets(["a"], [1.], [(0,)], "xor"),
    lambda: plot_patches(IMAGE[:2], REGIONS, [1.] * 4), lambda: plot_patches(IMAGE, REGIONS, [1.]), lambda: plot_patches(IMAGE, REGIONS - 9, [1.]), lambda: plot_patches(IMAGE, REGIONS.T, [1.] * 4), lambda: plot_patches(IMAGE * np.nan, REGIONS, [1.] * 4), lambda: plot_patches(IMAGE, REGIONS, [1.] * 4, limit=-1),
    lambda: plot_patch_groups(IMAGE, REGIONS, [1.], [(4,)], "and"), lambda: plot_patch_groups(IMAGE, REGIONS, [1.], [(0,), (1,)], "and"),
    lambda: plot_butterfly([1], [0], [1.]), lambda: plot_butterfly([1, 1], [1, 1], [1., 2.]), lambda: plot_film([0, 0], [1, 1], [1, 1], [1., 2.]), lambda: plot_film([0], [1], [1], [-1.]), lambda: plot_film([0, 1], [1], [1], [1.]),
    lambda: plot_marginals([1.], [1., 2.]), lambda: plot_marginals([np.nan], [1.]),
])
def test_refused_input_leaves_no_figure(bad):
    with pytest.raises(ValueError): bad()
    assert plt.get_fignums() == []


def test_several_axes_are_refused():
    with pytest.raises(TypeError, match="ax: got ndarray"): plot_strengths([1.], ax=plt.subplots(1, 2)[1])


@pytest.mark.parametrize("wrap", [list, np.array, torch.tensor, pd.Series, lambda x: torch.tensor(x, dtype=torch.float16, requires_grad=True)])
def test_any_container(wrap):
    ax = plot_interactions(wrap([1., -2.]), pd.Series(BARS["labels"]), pd.Series(BARS["kinds"]))
    assert [b.get_width() for b in ax.patches] == [-2, 1]


def test_pandas_rows_in_any_order():
    frame = pd.DataFrame(dict(effect=[1., 3., -2.], players=[("a",), ("b",), ("c",)], kind="and"), index=[7, 0, 3])
    ax = plot_interactions(frame.effect, frame.players, frame.kind)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "c", "a"]


@pytest.mark.parametrize("width", [4, 7])
@pytest.mark.parametrize("count", [1, 25])
def test_long_labels_stay_on_the_sheet_and_apart(width, count):
    effects = np.linspace(3, 1, count) * np.where(np.arange(count) % 2, 1, -1)
    fig, ax = plt.subplots(figsize=(width, 1.2 + .5 * count), layout="constrained")
    plot_interactions(effects, [[LONG + str(i) for i in range(10)]] * count, "and", unit="log-odds", title="long " * 20, ax=ax)
    labels, numbers = boxes(ax.get_yticklabels(), fig), boxes(ax.texts, fig)
    assert min(b.x0 for b in labels) >= 0
    assert all(above.y0 >= below.y1 for above, below in zip(labels, labels[1:]))
    assert all(not a.overlaps(b) for a in labels for b in numbers)
    assert all(ax.bbox.x0 - 1 <= b.x0 and b.x1 <= fig.bbox.x1 for b in numbers)


def test_own_figure_grows_with_the_bars():
    heights = [plot_interactions(np.ones(m), [("a",)] * m, "or").figure.get_figheight() for m in (1, 10, 25, 60)]
    assert heights[0] < heights[1] < heights[2] == heights[3]          # 25 bars at most


@pytest.mark.parametrize("effects", [[-1., -2.], [1., 2.], [0., 0.], [1e-12, -1e9]])
def test_one_sign_zero_and_extremes(effects):
    ax = plot_interactions(effects, BARS["labels"], "or")
    low, high = ax.get_xlim()
    assert low <= min(0, *effects) and high >= max(0, *effects)
    assert len(ax.texts) == 2


def test_dollar_signs_are_not_mathematics():
    ax = plot_interactions([1.], [("$5", "$6")], "and")
    assert ax.get_yticklabels()[0].get_text() == "$5 ∧ $6" and not ax.get_yticklabels()[0].get_parse_math()
    assert not any(t.get_parse_math() for t in plot_text(["$5", "$6"], [1, 2]).texts)
    ax.figure.canvas.draw()


@pytest.mark.parametrize("count", [1, 3, 60])
@pytest.mark.parametrize("width", [4, 7])
def test_words_stay_on_the_sheet_and_apart(count, width):
    words = (["of", LONG, "a", "pull", "New York"] * 12)[:count]
    fig, ax = plt.subplots(figsize=(width, 5), layout="constrained")
    plot_text(words, [None if i % 4 == 3 else i - 20. for i in range(count)], title="Title", ax=ax)
    drawn = boxes([t.get_bbox_patch() or t for t in ax.texts], fig)
    assert min(b.x0 for b in drawn) >= 0 and max(b.x1 for b in drawn) <= fig.bbox.x1
    assert not any(a.overlaps(b) for i, a in enumerate(drawn) for b in drawn[:i])
    assert [t.get_text() for t in ax.texts] == words
    assert min(b.y0 for b in drawn) > ax.child_axes[0].get_window_extent().y1


def test_sixty_words_on_our_own_figure():
    ax = plot_text(["word"] * 60, np.linspace(-1, 1, 60))
    drawn = boxes([t.get_bbox_patch() for t in ax.texts], ax.figure)
    assert max(b.x1 for b in drawn) <= ax.figure.bbox.x1 and min(b.y0 for b in drawn) > 0


def test_a_word_wider_than_the_sheet_loses_its_middle():
    ax = plot_text(["x" * 500], [1.])
    assert "…" in ax.texts[0].get_text()
    assert boxes([ax.texts[0].get_bbox_patch()], ax.figure)[0].x1 <= ax.figure.bbox.x1


def test_values_all_zero_and_scale_in_common():
    assert plot_text(["a", "b"], [0., 0.]).texts[0].get_bbox_patch() is not None
    first, second = plot_text(["a"], [1.], limit=2.), plot_text(["a", "b"], [1., 2.], limit=2.)
    assert first.texts[0].get_bbox_patch().get_facecolor() == second.texts[0].get_bbox_patch().get_facecolor()


def test_strengths_of_any_shape_and_where_the_floor_is():
    ax = plot_strengths({"a": torch.tensor([[1., -2.], [0., 1e-3]])}, floor=1e-2)
    assert ax.lines[0].get_ydata().tolist() == [2, 1, 1e-2, 1e-2]
    assert "below 0.01, zeros included" in ax.texts[0].get_text()
    assert not plot_strengths([1., 2.]).texts                            # no floor where nothing lies on it


def test_matching_of_one_sample():
    assert plot_matching([1.], [1.5], tau=0).lines[0].get_ydata().tolist() == [1]


@pytest.mark.parametrize("width, common", [(4, True), (7, True), (7, False)])
@pytest.mark.parametrize("count", [1, 30])
def test_two_sided_rows_stay_on_the_sheet_and_apart(width, common, count):
    left = np.linspace(3, 1, count) * np.where(np.arange(count) % 2, 1, -1)
    salient = [[("A", "B"), ("A",), ("B",)][i % 3] for i in range(count)]
    fig, ax = plt.subplots(figsize=(width, 2 + .5 * count), layout="constrained")
    plot_shared({"A": left, "B": 100 * left[::-1]}, [[LONG + str(i) for i in range(5)]] * count, "and", salient, unit="log-odds", common=common, ax=ax)
    labels, numbers = sorted(boxes(ax.get_yticklabels(), fig), key=lambda b: -b.y0), boxes(ax.texts, fig)
    assert min(b.x0 for b in labels) >= 0 and len(labels) == count + min(count, 3)
    assert all(above.y0 >= below.y1 for above, below in zip(labels, labels[1:]))
    assert not any(a.overlaps(b) for a in labels for b in numbers)
    assert all(ax.bbox.x0 - 1 <= b.x0 and b.x1 <= fig.bbox.x1 for b in numbers)


def test_two_sided_rows_are_the_strongest_of_either_model():
    effects = {"A": [1., 0, .1], "B": [0, 100., 20.]}
    ax = plot_shared(effects, [("a",), ("b",), ("c",)], "or", [("A",), ("B",), ("A", "B")], top=2)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b", "only A: 1", "only B: 1"]       # the shared one is the weakest of three
    assert "strongest 2 of 3" in ax.get_xlabel()
    plot_shared({"A": [0.], "B": [0.]}, [("a",)], "or", [("A",)]).figure.canvas.draw()


def test_percentages_of_the_shared_part():
    f = pd.DataFrame(dict(order=[1, 3], sign=[1, -1], strength=[2., 0.], shared=[1.5, 0.]), index=[7, 3])
    ax = plot_shared_strength(f.order, f.sign, f.strength, f.shared)
    assert [t.get_text() for t in ax.texts] == ["75%", ""]
    assert ax.get_xticks().tolist() == [1, 3]


def test_groups_stand_side_by_side_in_their_order():
    f = pd.DataFrame(dict(order=[1, 1, 1], sign=[1, 1, -1], strength=[2., 3., 1.], spread=[5., np.nan, 0.], epoch=[20, 10, 20]), index=[7, 3, 5])
    ax = plot_order_strength(f.order, f.sign, f.strength, f.spread, f.epoch)
    assert [b.get_height() for b in ax.patches] == [2, -1, 3]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["20", "10"]
    assert ax.patches[0].get_x() < 1 <= ax.patches[2].get_x() and ax.get_xticks().tolist() == [1]
    whisker, = [p.vertices[:, 1].tolist() for c in ax.collections for p in c.get_paths()]      # one has a spread; it ends at zero
    assert whisker == [0, 7]
    plot_order_strength(torch.tensor([1, 2]), [1, 1], torch.zeros(2), torch.zeros(2)).figure.canvas.draw()


@pytest.mark.parametrize("width", [3.4, 7])
def test_the_diagonal_and_the_legend_stay_on_the_sheet(width):
    fig, ax = plt.subplots(figsize=(width, 5), layout="constrained")
    plot_agreement(torch.linspace(1, 3, 50), np.linspace(3, 9, 50), [np.arange(50) > 44] * 2, ["ResNet-20", LONG], ax=ax)
    assert ax.get_xlim() == ax.get_ylim() and ax.get_xlim()[0] < 1 and ax.get_xlim()[1] > 9
    assert boxes([ax.get_legend()], fig)[0].x1 <= fig.bbox.x1
    assert [len(c.get_offsets()) for c in ax.collections] == [45, 5, 0, 0]


def test_agreement_of_equal_numbers_has_no_correlation():
    ax = plot_agreement([2., 2.], [2., 2.])
    assert ax.get_legend().get_texts()[0].get_text() == "2 samples, r = nan, ρ = nan" and not [l for l in ax.lines if l.get_linestyle() == "--"]
    assert "nan" in plot_agreement([1.], [2.]).get_legend().get_texts()[0].get_text()


def test_curves_have_gaps_and_any_order():
    ax = plot_transferability([3, 1, 2], {"a": [.3, .1, np.nan]})
    assert ax.lines[0].get_xdata().tolist() == [1, 2, 3] and np.isnan(ax.lines[0].get_ydata()[1])
    assert ax.get_ylim()[0] < 0 and ax.get_ylim()[1] > 1


@pytest.mark.parametrize("width", [4, 7])
@pytest.mark.parametrize("count", [1, 40])
def test_brackets_stay_on_the_sheet_and_apart(width, count):
    rng = np.random.default_rng(0)
    words = (["of", LONG, "a", "pull", "New York"] * 8)[:count]
    groups = [sorted(set(rng.integers(count, size=rng.integers(1, 6)).tolist())) for _ in range(8)]
    fig, ax = plt.subplots(figsize=(width, 14), layout="constrained")
    plot_brackets(words, rng.normal(size=8), groups, rng.choice(["and", "or"], 8), ax=ax)
    texts, bars = boxes(ax.texts, fig), boxes(ax.patches, fig)
    assert len(bars) == sum(map(len, groups)) and [t.get_text() for t in ax.texts[:count]] == words
    assert min(b.x0 for b in texts + bars) >= 0 and max(b.x1 for b in texts + bars) <= fig.bbox.x1
    assert not any(a.overlaps(b) for i, a in enumerate(bars) for b in bars[:i])
    assert not any(a.overlaps(b) for i, a in enumerate(texts) for b in texts[:i])
    assert not any(a.overlaps(b) for a in texts[count:] for b in bars)


def test_a_player_keeps_to_its_arc_of_the_network():
    rng, names = np.random.default_rng(0), [LONG + str(i) for i in range(12)]
    groups = [rng.choice(names, rng.integers(1, 9), replace=False) for _ in range(40)]
    ax = plot_network(rng.normal(size=40), groups, rng.choice(["and", "or"], 40), names, top=40)
    slots = sorted((p.theta1 % 360, p.theta2 - p.theta1) for p in ax.patches if type(p).__name__ == "Wedge")
    assert all(a + width <= b + 1e-6 for (a, width), (b, _) in zip(slots, slots[1:]))          # no slot lies on another
    drawn = boxes(ax.texts, ax.figure)
    assert min(b.x0 for b in drawn) >= 0 and max(b.x1 for b in drawn) <= ax.figure.bbox.x1 and not any(a.overlaps(b) for i, a in enumerate(drawn) for b in drawn[:i])
    plot_network([0.], [(3,)], "or", [3, 4]).figure.canvas.draw()                              # numbers are names, and no strength is no width


def test_patches_of_any_shape_and_pixels_of_nobody():
    regions = torch.full((5, 7), -1)
    regions[1:4, 2:5], regions[2, 3] = 0, 1                                                    # a ring, and what is inside it
    ax = plot_patches(torch.rand(5, 7), regions, [1., -1.])
    assert [p.get_path().get_extents().bounds for p in ax.patches[::2]] == [(2, 1, 3, 3), (3, 2, 1, 1)]
    plot_patches(torch.zeros(1, 5, 7), regions, [0., 0.]).figure.canvas.draw()
    assert len(plot_patch_groups(torch.rand(5, 7), regions, np.ones(30), [(0, 1)] * 30, "or").images) == 12


def test_frames_of_a_film_have_one_scale_and_their_order():
    f = pd.DataFrame(dict(epoch=[20, 20, 3], order=[1, 1, 2], sign=[1, -1, 1], strength=[2., 1., 4.]), index=[7, 3, 5])
    ax = plot_film(f.epoch, f.order, f.sign, f.strength)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["20", "3"]
    assert [b.get_width() / .44 * 4 for b in ax.patches if b.get_width() > .01] == pytest.approx([2, 1, 4, 4])
    assert [t.get_text() for t in ax.texts] == ["67%", "0%"]


def test_alt_text_of_any_figure():
    fig, axes = plt.subplots(1, 2)
    axes[0].bar(["a", "b"], [1., 2.]); axes[1].plot(range(5), label="curve"); axes[1].legend()
    fig.suptitle("Both")
    assert alt_text(fig) == "Both. 2 panels. bars b +2.00, a +1.00. curve curve (0 to 4)."
    for call in CALLS.values(): assert 10 < len(alt_text(call(title="x" * 90).figure)) <= 400
    with pytest.raises(RuntimeError, match="no IPython here"): describe_figures()


def test_import_does_not_wait_for_matplotlib():
    code = "import sys, interlib.draw.plots; assert not {'matplotlib', 'seaborn', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("n", [22, 24, 60])
@pytest.mark.parametrize("size", [(6, 6), (4, 4), (9, 5)])
def test_long_names_round_a_network_stay_clear_of_title_and_legend(n, size):
    names = [f"player of rank {i}" for i in range(n)]
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    groups = [names[i:i + 2] for i in range(0, n, 2)]
    plot_network([1. - i / 99 for i in range(len(groups))], groups, "and", names, title="A title", unit="log-odds", top=30, ax=ax)
    fig.draw_without_rendering()
    drawn = boxes(ax.texts, fig)
    for other in boxes([ax.get_legend(), ax.title, ax.xaxis.label], fig): assert not any(b.overlaps(other) for b in drawn)
    assert all(fig.bbox.x0 <= b.x0 and b.x1 <= fig.bbox.x1 and fig.bbox.y0 <= b.y0 and b.y1 <= fig.bbox.y1 for b in drawn)
