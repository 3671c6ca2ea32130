"Models behind an address: the same numbers as the model itself, no text asked twice, nothing lost when a server fails or a process is killed."
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import interlib as il
from completions import Completions, over_http
from interlib.model.prompt_games import AnswerFile, Scoring, answer_file, parts_of_text
from interlib.model.text_masking import edit_of, edit_parts, spans_of_players
from interlib.model.text_samples import read_text
from test_texts import TEXTS

TEXT = "A red apple falls to the ground because of the pull of"
UNITS = ["word", "sign", "phrase", "sentence", "line"]
PLAYERS = ["red", "apple", "falls", "ground", "because", "pull"]


@pytest.fixture
def server(tiny_lm):
    with Completions(*tiny_lm) as server:
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def expected(tiny_lm):
    "The table of the six players, by the model itself: a naive loop."
    return directly(*tiny_lm, TEXT, PLAYERS, " gravity")


def log_prob(model, tokenizer, prompt, answer):
    "The log-probability of an answer, token by token, by the model itself."
    ids, total = tokenizer(prompt)["input_ids"], 0.
    for token in tokenizer(answer)["input_ids"]:
        with torch.inference_mode(): total += model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)[token].item()
        ids = [*ids, token]
    return total


def directly(model, tokenizer, text, players, answer):
    "The table when words without repetition are struck out by hand."
    words, table = text.split(" "), []
    for c in range(2**len(players)):
        gone = {p for i, p in enumerate(players) if not c >> i & 1}
        table.append(log_prob(model, tokenizer, " ".join(w for w in words if w not in gone), answer))
    return torch.tensor(table).double()


def lengths(texts): return [float(len(t)) for t in texts]


def game_of(score, **how): return il.prompt_game(score, TEXT, players=PLAYERS, **{"wait": 0, **how})


def test_a_language_model_behind_a_server_is_the_model_itself():
    model, tokenizer = il.load_lm("smollm2")
    players = ["red", "apple", "ground", "pull"]
    with Completions(model, tokenizer) as server:
        game = il.prompt_game(over_http(server.address, " gravity"), TEXT, players=players, target=" gravity", output="log_prob")
        x = il.explain(game, progress=False)
        server.shutdown()
    by_hand = directly(model, tokenizer, TEXT, players, " gravity")
    assert (x.v - by_hand).abs().max() < 1e-3
    own = il.text_game(model, tokenizer, TEXT, players=players, target="gravity", output="log_prob", baseline="remove")
    assert (il.evaluate(own, progress=False) - x.v).abs().max() < 1e-3
    assert server.seen == {t + " gravity": 1 for t in game.fn.texts(il.masks(4))}
    assert x.predict().sub(x.v).abs().max() <= 0.02 * abs(x.ends[1] - x.ends[0]) + 1e-8


def test_an_answer_of_several_tokens(server, tiny_lm, expected):
    game = game_of(over_http(server.address, " gravity"))
    assert len(tiny_lm[1](" gravity")["input_ids"]) > 0
    assert (il.evaluate(game, progress=False) - expected).abs().max() < 1e-3
    several = game_of(over_http(server.address, " gravity of apple"))
    assert (several(il.masks(6)[-1:]).item() - log_prob(*tiny_lm, TEXT, " gravity of apple")) < 1e-3


@pytest.mark.parametrize("baseline, with_blank", [("remove", "A apple"), ("replace:___", "A ___ apple"), (str.upper, "A RED apple")])
def test_what_is_read_is_the_text_with_the_word_masked(baseline, with_blank):
    game = game_of(lengths, baseline=baseline)
    everybody_else = torch.arange(6)[None] != 0
    assert game.fn.texts(everybody_else) == [TEXT.replace("A red apple", with_blank)]
    assert game(everybody_else).item() == len(TEXT.replace("A red apple", with_blank))


@pytest.mark.parametrize("unit", UNITS)
def test_players_of_any_text(unit):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in TEXTS:
            parts = parts_of_text(text, unit)
            game = il.prompt_game(lengths, text, unit=unit)
            assert game.players == [name for name, _ in parts] == [text[a:b] for _, ((a, b),) in parts]
            two = torch.stack([torch.ones(game.n), torch.zeros(game.n)]).bool()
            whole, rest = game.fn.texts(two)
            assert whole == text
            left = "".join(rest.split())
            assert not left if unit in ("sign", "sentence", "line") else len(left) < len("".join(text.split())), (text, rest)


@pytest.mark.parametrize("unit", UNITS)
def test_the_texts_are_those_of_the_models_own_game(tiny_lm, unit):
    "As `text_game` edits it, with the tokenizer of a model."
    torch.manual_seed(0)
    compared = 0
    for text in TEXTS:
        game, sample = il.prompt_game(lengths, text, unit=unit), read_text(*tiny_lm, text, False, unit, None)
        if [p.name for p in sample.words] != game.players: continue         # players that share a token
        spans, some = spans_of_players(sample.regions, sample.offsets, text), torch.rand(20, game.n) < .5
        own = [edit_parts(text, sorted(s for here, own in zip(row, spans) if not here for s in own), edit_of("remove")) for row in some.tolist()]
        assert own == game.fn.texts(some), text
        compared += 1
    assert compared > 20


def test_groups_and_their_words():
    page = "Question: who wrote it? Passage: Ann wrote the book. Bob read it."
    game = il.prompt_game(lengths, page, groups={"question": "who wrote it?", "Ann": ["Ann wrote the book.", (0, 9)]})
    assert game.players == ["question", "Ann"] and game.meta["unit"] == "group"
    assert game.fn.texts(il.masks(2)) == ["Passage: Bob read it.", "who wrote it? Passage: Bob read it.", "Question: Passage: Ann wrote the book. Bob read it.", page]
    near = il.zoom(game, "Ann")
    assert near.players == ["Question", "Ann", "wrote", "the", "book"] and near.fn.scoring is game.fn.scoring
    assert near.fn.texts(torch.ones(1, 5).bool()) == [page]
    assert near.fn.texts(torch.tensor([[True, True, False, True, True]])) == ["Question: who wrote it? Passage: Ann the book. Bob read it."]


def test_texts_that_are_alike_are_asked_once():
    asked = []
    def score(texts):
        asked.append(list(texts))
        return lengths(texts)
    game = il.prompt_game(score, "the cat and the cat and the cat", batch=7)
    v = il.evaluate(game, progress=False)
    texts = game.fn.texts(il.masks(8))
    assert v.tolist() == lengths(texts)
    flat = [t for some in asked for t in some]
    assert len(flat) == len(set(flat)) == len(set(texts)) < 256 and max(map(len, asked)) <= 7
    il.evaluate(game, progress=False)
    il.sample(game, budget=100, progress=False)
    assert sum(map(len, asked)) == len(flat)


def test_a_server_that_fails_at_every_fifth_call_loses_nothing(server, expected, tmp_path):
    steady = il.evaluate(game_of(over_http(server.address, " gravity")), progress=False)
    server.seen.clear()
    server.calls, server.before = 0, lambda call: call % 5
    unsteady = il.evaluate(game_of(over_http(server.address, " gravity"), batch=3, name="it", cache=tmp_path), progress=False)
    assert server.calls > 25 and torch.equal(unsteady, steady) and (steady - expected).abs().max() < 1e-3
    assert {*server.seen.values()} == {1} and len(server.seen) == 64


def test_a_server_that_does_not_come_back_leaves_what_is_done(server, tmp_path):
    score = over_http(server.address, " gravity")
    server.before = lambda call: call <= 4
    game = game_of(score, batch=5, retries=2, name="it", cache=tmp_path)
    with pytest.raises(RuntimeError, match=r"score: it failed 3 times, at last with HTTPError: HTTP Error 500.*; 20 answers are kept in .*answers\.sqlite: the same call") as e:
        il.evaluate(game, progress=False)
    assert type(e.value.__cause__).__name__ == "HTTPError" and server.calls == 7
    server.before = None
    il.evaluate(game, progress=False)                                       # the same game goes on
    again = il.evaluate(game_of(lambda texts: pytest.fail("it was asked"), name="it", cache=tmp_path), progress=False)
    assert torch.equal(again, il.evaluate(game, progress=False))
    assert {*server.seen.values()} == {1} and len(server.seen) == 64


def test_pauses_double(monkeypatch):
    slept = []
    monkeypatch.setattr("interlib.model.prompt_games.time.sleep", slept.append)
    def score(texts): raise ValueError("not json")                          # as json.loads on half an answer
    with pytest.raises(RuntimeError, match="it failed 9 times, at last with ValueError: not json; 0 answers are kept in this game"):
        Scoring(score, retries=8, wait=.5)(["a"])
    assert slept == [.5, 1, 2, 4, 8, 16, 32, 60]


def test_a_limit_of_calls(server, tmp_path):
    score = over_http(server.address, " gravity")
    for limit, folder in ((10, None), (23, tmp_path)):
        server.seen.clear()
        how = dict(name="it", cache=folder) if folder else {}
        game = game_of(score, calls=limit, **how)
        with pytest.raises(RuntimeError, match=f"calls: {limit} of {limit} texts were sent; {limit} answers are kept"): il.evaluate(game, progress=False)
        assert sum(server.seen.values()) == limit
        if folder: game = game_of(score, calls=64 - limit, **how)
        else: game.fn.scoring.calls = 64
        il.evaluate(game, progress=False)
        assert {*server.seen.values()} == {1} and len(server.seen) == 64
    il.evaluate(game_of(score, calls=0, **how), progress=False)             # from the cache alone
    with pytest.raises(RuntimeError, match="calls: 0 of 0 texts were sent"): il.evaluate(game_of(score, calls=0), progress=False)


def test_a_failed_call_counts(server):
    server.before = lambda call: False
    game = game_of(over_http(server.address, " gravity"), calls=100, retries=9)
    with pytest.raises(RuntimeError, match=r"calls: 96 of 100 texts were sent"): il.evaluate(game, progress=False)
    assert server.calls == 6


WRONG = [
    (lambda k: [1.] * (k - 1), ValueError, "it returned shape (2,); it must be (3,) or (3, targets)"), (lambda k: [1.] * (k + 1), ValueError, "shape (4,)"),
    (lambda k: 1., ValueError, "shape ()"), (lambda k: [], ValueError, "shape (0,)"), (lambda k: np.ones((k, 1, 1)), ValueError, "shape (3, 1, 1)"),
    (lambda k: ["1"] * k, TypeError, "real numbers"), (lambda k: [None] * k, TypeError, "real numbers"), (lambda k: [1j] * k, TypeError, "real numbers"),
    (lambda k: torch.ones(k).cfloat(), TypeError, "real numbers"), (lambda k: {t: 1. for t in range(k)}, TypeError, "real numbers"),
    (lambda k: [[1.], [1., 2.], 3.], TypeError, "real numbers"), (lambda k: (x for x in range(k)), TypeError, "real numbers"), (lambda k: None, TypeError, "real numbers"),
    (lambda k: [1., float("nan"), 2.], ValueError, "it returned nan for 'bb'"), (lambda k: [1., float("inf"), 2.], ValueError, "inf for 'bb'"),
    (lambda k: [[1., 2.], [float("nan"), 1.], [0., 1.]], ValueError, "[nan, 1.0] for 'bb'"),
]


@pytest.mark.parametrize("answer, raises, said", WRONG)
def test_wrong_answers_are_refused_and_not_asked_for_again(answer, raises, said):
    calls = []
    def score(texts):
        calls.append(len(texts))
        return answer(len(texts))
    scoring = Scoring(score, wait=0)
    with pytest.raises(raises) as e: scoring(["a", "bb", "ccc"])
    assert str(e.value).startswith("score: ") and said in str(e.value) and calls == [3]
    if "finite" in str(e.value): assert {*scoring.known} == {"a", "ccc"}   # the others were fine


@pytest.mark.parametrize("answer", [lambda k: [1] * k, lambda k: np.ones(k, np.float16), lambda k: torch.ones(k, dtype=torch.bfloat16, requires_grad=True), lambda k: (True,) * k,
                                    lambda k: [torch.ones(()) for _ in range(k)], lambda k: np.ones((k, 2), np.uint8), lambda k: [np.float32(1)] * k, lambda k: [[1, 1.]] * k])
def test_answers_of_every_kind(answer):
    got = Scoring(lambda texts: answer(len(texts)))(["a", "b", "c"])
    assert got.dtype == torch.float64 and len(got) == 3 and (got == 1).all() and not got.requires_grad


def test_several_targets_stay_several(tmp_path):
    def two(texts): return [[len(t), -len(t)] for t in texts]
    xs = il.explain(game_of(two, target=["long", "short"], output="characters", name="two", cache=tmp_path), progress=False)
    assert [x.target for x in xs] == ["long", "short"] and xs[0].unit == "characters" and torch.equal(xs[0].v, -xs[1].v)
    with pytest.raises(ValueError, match=r"score: it returned \(\) numbers for a text; it must be \(2,\)"): game_of(lengths, target=["long", "short"])(il.masks(6)[:2])
    with pytest.raises(ValueError, match=r"cache: under this name it holds \(2,\) numbers for a text; it must be \(3,\)"): game_of(two, target=["a", "b", "c"], name="two", cache=tmp_path)(il.masks(6)[:2])
    uneven = iter([[1., 2.], [[1., 2.]] * 2])
    with pytest.raises(ValueError, match=r"score: it returned \(2,\) numbers"): Scoring(lambda texts: next(uneven), batch=2)(["a", "b", "c", "d"])


def test_the_road_is_open(server, tmp_path):
    game = game_of(over_http(server.address, " gravity"), target=" gravity", output="log_prob", name="our service")
    x = il.explain(game, progress=False, cache=tmp_path / "tables")
    assert "our service" in repr(game) and x.unit == "log-probability" and x.meta["model"] == "our service" and x.players == PLAYERS
    seen = sum(server.seen.values())
    assert torch.equal(il.explain(game_of(over_http(server.address, " gravity"), target=" gravity", output="log_prob", name="our service"), progress=False, cache=tmp_path / "tables").v, x.v)
    assert sum(server.seen.values()) == seen + 4                            # a table is believed when four of its entries agree
    x.report(tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert "our service" in page and "log-probability of" in page and "that is, replaced by nothing" in page
    x.plot_words()
    drawn = il.explain(il.prompt_game(lengths, TEXT), budget=60, progress=False)
    assert drawn.n == 12 and drawn.meta["model"] == "lengths"
    told = il.cost(game_of(lengths))
    assert told.passes == 64 and told.tokens == 64
    assert il.cost(il.prompt_game(lengths, TEXT), budget=50).passes == 50


def test_a_table_of_another_edit_is_another_table(tmp_path):
    keys = [game_of(lengths, baseline=b, name="it").key for b in ("remove", "replace:_", lambda part: "_", lambda part: part[::-1], str.upper)]
    assert keys[1] == keys[2] and len({*keys}) == 4
    assert game_of(lengths).key is None
    with pytest.raises(ValueError, match="cache: this game is a plain function"): il.evaluate(game_of(lengths), cache=tmp_path)


def test_a_choice_of_players_asks_each_word_left_out_once():
    asked = []
    def score(texts):
        asked.extend(texts)
        return [2. * ("apple" in t) + 3. * ("pull" in t) + 5. * ("of" in t) for t in texts]
    assert il.prompt_game(score, TEXT, players=2).players == ["apple", "pull"]
    assert len(asked) == len({*asked}) == 13
    drawn = il.prompt_game(score, TEXT, players=3, choose="random", seed=1)
    assert drawn.players == il.prompt_game(score, TEXT, players=3, choose="random", seed=1).players and len(asked) == 13
    assert not {*drawn.players} & {"A", "to", "the", "of", "because"}


CLIENT = """
import sys
import interlib as il
from completions import over_http
address, folder, text, batch, *players = sys.argv[1:]
game = il.prompt_game(over_http(address, " gravity"), text, players=players, name="it", cache=folder, batch=int(batch))
print(il.evaluate(game, progress=False).tolist())
"""


def client(server, folder, batch=4):
    return subprocess.Popen([sys.executable, "-c", CLIENT, server.address, str(folder), TEXT, str(batch), *PLAYERS], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_and_started_again_it_asks_no_text_twice(server, expected, tmp_path):
    for call in (1, 6, 8):
        running = []
        def kill(number):
            if number == call: os.kill(running[0].pid, signal.SIGKILL)      # while it waits for this answer
            return number != call
        server.calls, server.before = 0, kill
        running.append(client(server, tmp_path))
        assert running[0].wait(120) == -signal.SIGKILL
    server.before = None
    out, _ = client(server, tmp_path).communicate(timeout=120)
    assert (torch.tensor(json.loads(out)) - expected).abs().max() < 1e-3
    assert {*server.seen.values()} == {1} and len(server.seen) == 64


@pytest.mark.slow
def test_two_processes_share_a_cache(server, expected, tmp_path):
    both = [client(server, tmp_path), client(server, tmp_path)]
    tables = [json.loads(p.communicate(timeout=120)[0]) for p in both]
    assert tables[0] == tables[1] and (torch.tensor(tables[0]) - expected).abs().max() < 1e-3
    assert len(server.seen) == 64 and max(server.seen.values()) <= 2
    before = sum(server.seen.values())
    il.evaluate(game_of(over_http(server.address, " gravity"), name="it", cache=tmp_path), progress=False)
    assert sum(server.seen.values()) == before


def child(work):
    "Runs a function in a process of its own, and returns its number."
    number = os.fork()
    if number: return number
    try: work()
    finally: os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_at_any_moment_leaves_whole_answers(tmp_path):
    random.seed(0)
    told, written = tmp_path / "told", 0
    for round in range(25):
        def work():
            file = answer_file(tmp_path, "it")
            for i in range(10_000):
                text = f"{round} {i}"
                file.write({text: torch.tensor(float(i)).double(), text + " again": torch.tensor(1 / (i + 1), dtype=torch.float64)})
                with open(told, "a") as f: f.write(text + "\n")
        number = child(work)
        time.sleep(random.uniform(.01, .12))
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
        texts = told.read_text().splitlines() if told.exists() else []
        if texts and not (told.read_text()).endswith("\n"): texts.pop()
        found = answer_file(tmp_path, "it").read([t + end for t in texts for end in ("", " again")])
        assert len(found) == 2 * len(texts)
        assert all(found[t].item() == int(t.split()[1]) and found[t + " again"].item() == 1 / (int(t.split()[1]) + 1) for t in texts)
        written = len(texts)
    assert written > 25


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_many_writers_lose_nothing(tmp_path):
    def work(k):
        file = answer_file(tmp_path, "it")
        for i in range(40): file.write({f"{i}": torch.tensor(float(k)).double(), f"{k} {i}": torch.tensor(1.).double()})
    numbers = [child(lambda k=k: work(k)) for k in range(4)]
    assert [os.waitpid(n, 0)[1] for n in numbers] == [0] * 4
    file = answer_file(tmp_path, "it")
    assert len(file.read([f"{k} {i}" for k in range(4) for i in range(40)])) == 160
    first = file.read([f"{i}" for i in range(40)])
    assert len(first) == 40 and {a.item() for a in first.values()} <= {0., 1., 2., 3.}


def test_damage_is_refused_or_harmless(tmp_path):
    answers = {f"text {i}": torch.tensor([i, 1 / (i + 1)], dtype=torch.float64) for i in range(60)}
    answer_file(tmp_path / "good", "it").write(answers)
    good = (tmp_path / "good" / "answers.sqlite").read_bytes()
    draw, refused = random.Random(0), 0
    (tmp_path / "bad").mkdir()
    for trial in range(300):
        data = bytearray(good)
        if trial % 3 == 0: data = data[:draw.randrange(100, len(data))]
        else:
            for _ in range(draw.choice([1, 1, 8])): data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        (tmp_path / "bad" / "answers.sqlite").write_bytes(data)
        try: found = answer_file(tmp_path / "bad", "it").read(answers)
        except ValueError as e:
            refused += 1
            assert str(e).startswith("cache: ") and "cannot be used (" in str(e) and "\n" not in str(e)
            continue
        assert all(torch.equal(found[t], answers[t]) for t in found)
    assert refused > 150


def test_files_of_others_stay_as_they_are(tmp_path):
    path = tmp_path / "answers.sqlite"
    with sqlite3.connect(path) as db: db.execute("CREATE TABLE other (x)")
    db.close()
    for contents in (path.read_bytes(), b"some notes\n" * 200, b"PK\x03\x04" + bytes(3000)):
        path.write_bytes(contents)
        with pytest.raises(ValueError, match="cannot be used .*a file that prompt_game made: remove it, or give another folder"): game_of(lengths, name="it", cache=tmp_path)
        assert path.read_bytes() == contents
    with pytest.raises(ValueError, match="cannot be a folder"): game_of(lengths, name="it", cache=path)
    with pytest.raises(ValueError, match="name: got None"): game_of(lengths, cache=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_cache_that_cannot_be_written_is_told_and_loses_nothing(tmp_path, monkeypatch):
    game = game_of(lengths, name="it", cache=tmp_path)
    def full(self, answers): raise ValueError("cache: the disk is full")
    monkeypatch.setattr(AnswerFile, "write", full)
    with pytest.warns(UserWarning, match="the disk is full; .* answers are in memory only"): v = il.evaluate(game, progress=False)
    assert v.tolist() == lengths(game.fn.texts(il.masks(6)))


def test_a_cache_goes_by_the_name_and_the_whole_text(tmp_path):
    il.evaluate(game_of(lengths, name="it", cache=tmp_path), progress=False)
    def never(texts): raise AssertionError(f"asked {texts}")
    one = il.prompt_game(never, TEXT, players=["red"], name="it", cache=tmp_path, retries=0)
    assert one(il.masks(1)).tolist() == [len(TEXT) - 4, len(TEXT)]          # other players, the same texts
    with pytest.raises(RuntimeError, match="AssertionError: asked"): il.prompt_game(never, TEXT, players=["red"], name="other", cache=tmp_path, retries=0)(il.masks(1))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.copy(tmp_path / "answers.sqlite", moved)
    assert torch.equal(il.evaluate(game_of(never, name="it", cache=moved), progress=False), il.evaluate(game_of(lengths), progress=False))


def test_an_interruption_loses_nothing():
    calls = []
    def score(texts):
        calls.append(len(texts))
        if len(calls) == 3: raise KeyboardInterrupt
        return lengths(texts)
    game = game_of(score)
    with pytest.raises(KeyboardInterrupt): il.evaluate(game, progress=False)
    il.evaluate(game, progress=False)
    assert sum(calls) == 64 + 16                                            # the batch that was under way


def test_memory_that_runs_out_halves_the_batch():
    def score(texts):
        if len(texts) > 3: raise torch.OutOfMemoryError("too many")
        return lengths(texts)
    v = il.evaluate(game_of(score), progress=False)
    assert v.tolist() == lengths(game_of(lengths).fn.texts(il.masks(6)))
