"The command `interlib explain` on a tiny random language model: what it prints, writes and refuses."
import base64, json, os, re, shutil, signal, subprocess, sys, time
from html.parser import HTMLParser

import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel, PreTrainedTokenizerFast

import interlib as il
from interlib.app import cli
from interlib.model.costs import Cost
from interlib.nets import encoders
from explained import explained as with_words
from interlib.app.cli import for_program, main
from interlib.app.prompts import explain_text
from interlib.app.terminal import print_explanation, write_report
from interlib.app.report import report_html
from interlib.app.terminal import FILES

TEXT = "a red apple <script>alert(1)</script> falls & falls"
WORDS = ["a", "red", "apple", "script₁", "alert", "1", "script₂", "falls₁", "falls₂"]


def make_lm(folder, kind=LlamaForCausalLM):
    "A random Llama of two layers and a word tokenizer trained on one sentence, saved to a folder."
    torch.manual_seed(0)
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(["a red apple falls to the ground because of the pull of gravity and nothing else < > / & ( )"], trainers.WordLevelTrainer(special_tokens=["[UNK]"]))
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, initializer_range=0.5)
    kind(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def lm(tmp_path_factory): return make_lm(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def explained(lm): return explain_text(TEXT, lm, players=7, progress=False)


@pytest.fixture
def run(lm, tmp_path, capfd, monkeypatch):
    "Runs the command in an empty folder; gives exit code, standard output and standard error."
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    def run(*args, text=TEXT, model=lm):
        code = main(["explain", text, *(["--model", model] if model else []), *map(str, args)])
        return code, *capfd.readouterr()
    return run


def test_writes_and_prints(run, tmp_path):
    code, out, err = run("--players", 5, "--out", "a/b", "--quiet")
    assert code == 0 and err == ""
    assert sorted(os.listdir(tmp_path/"a"/"b")) == sorted(FILES)
    x = il.Interactions.load(tmp_path/"a"/"b"/"interactions.safetensors")
    assert x.n == 5 and x.meta["text"] == TEXT and x.meta["noise"] == 0.02 and x.meta["versions"]["torch"] == torch.__version__.split("+")[0]
    for part in (TEXT, repr(x.meta["target"]), f"{x.solution.objective:.6g}", f"{x.solution.lower_bound:.6g}", "gap", "load", "evaluate", "decompose", "a/b/report.html", "5 % of their range"): assert part in out, part
    strongest = x.primitives(k=1).iloc[0]
    first = next(line for line in out.splitlines() if line.split()[1:2] == [strongest.kind.upper()])
    assert first.split()[0].replace("−", "-") == f"{strongest.effect:+#.3g}"


def test_default_folder_and_players(run, tmp_path):
    code, out, err = run("--quiet")
    assert code == 0 and sorted(os.listdir(tmp_path/"interlib-report")) == sorted(FILES)
    assert il.Interactions.load("interlib-report/interactions.safetensors").players == WORDS


def test_json_agrees_with_the_file(run, tmp_path):
    code, out, err = run("--players", "falls,apple red", "--json", "--quiet", "--out", "o")
    assert code == 0 and err == "" and out.count("\n") == 1
    got, x = json.loads(out), il.Interactions.load("o/interactions.safetensors")
    assert got["players"] == ["red", "apple", "falls₁"] and got["files"] == ["o/" + f for f in FILES]
    assert got["constant"] == x.and_[0].item() and got["target"] == x.meta["target"]
    assert (got["objective"], got["lower_bound"], got["gap"]) == (x.solution.objective, x.solution.lower_bound, x.solution.gap)
    for row in got["interactions"]:
        table = x.and_ if row["kind"] == "and" else x.or_
        assert table[sum(1 << i for i in row["members"])].item() == row["effect"]
        assert row["words"] == [got["players"][i] for i in row["members"]] and row["order"] == len(row["members"])
    left = x.and_[1:].abs().sum() + x.or_.abs().sum() - sum(abs(r["effect"]) for r in got["interactions"])
    assert left.abs() < 1e-4 * x.solution.objective                             # all that matter are there
    assert sum(r["salient"] for r in got["interactions"]) == len(x.primitives())


def test_csv(explained, tmp_path):
    write_report(explained, tmp_path)
    table = pd.read_csv(tmp_path/"interactions.csv", dtype={"members": str})
    assert list(table.columns) == ["kind", "order", "effect", "salient", "members", "words"]
    assert table.effect.abs().is_monotonic_decreasing and (table.members.str.split().map(len) == table.order).all()
    assert table.effect.tolist() == pytest.approx(explained.to_table().effect.tolist(), abs=1e-12)


def test_matches_the_game(explained, lm):
    game = il.text_game(*il.load_lm(lm, progress=False), TEXT, players=7)
    v = il.evaluate(game, progress=False)
    assert torch.equal(explained.v, v) and [p.rstrip("₁₂") for p in explained.players] == game.players
    assert explained.matching_error(v).max() <= 0.02 * (v[-1] - v[0]).abs() + 1e-8
    k, span = explained.how_many(), v.max() - v.min()
    error = lambda k: explained.strongest(k).matching_error(v).mean()
    assert error(k) <= 0.05 * span < error(k - 1)


class Page(HTMLParser):
    "Tags, attributes and text of a page."
    def __init__(self, page):
        super().__init__()
        self.tags, self.attrs, self.text = [], [], ""
        self.feed(page)
    def handle_starttag(self, tag, attrs): self.tags.append(tag); self.attrs += attrs
    def handle_data(self, data): self.text += data


def test_report(explained):
    page = report_html(explained)
    parsed = Page(page)
    assert len(page) < 1.5e6 and parsed.tags.count("script") == 1 and "link" not in parsed.tags
    assert parsed.tags.count("img") == 4 and parsed.tags.count("source") == 4
    assert TEXT in parsed.text and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for word in explained.players: assert word in parsed.text
    addresses = [v for k, v in parsed.attrs if k in ("src", "href", "srcset")]
    assert len(addresses) == 8 and all(a.startswith("data:image/svg+xml;base64,") for a in addresses)
    assert len(set(addresses)) == 8
    assert all("<svg" in base64.b64decode(a.split(",")[1]).decode() for a in addresses)
    alts = [v for k, v in parsed.attrs if k == "alt"]
    assert len(alts) == 4 and all(len(a) > 40 for a in alts)
    assert f"{explained.solution.objective:.6g}" in parsed.text and "How to read this" in parsed.text
    assert not re.search(r"https?://", re.sub(r"data:[^\"]+", "", page))


def test_words_that_are_code(explained):
    bad = with_words(explained, explained.v, [(w + "<i onclick='x'>\"", i) for w, i in explained.meta["words"]])
    bad.meta.update({"target": "</title><img src=x>", "model": "<i>", "baseline": "'><hr>"})
    page = Page(report_html(bad))
    assert page.tags.count("img") == 4 and not {"i", "hr"} & set(page.tags) and "onclick" not in [k for k, _ in page.attrs]
    json.dumps(for_program(bad)); print_explanation(bad)


@pytest.mark.parametrize("text", ["dollar $x^2$ and $ again", "日本 の 文", "a\nline and\ta tab", "it 's " + "very" * 60])
def test_odd_prompts(run, text):
    code, out, err = run("--players", 2, "--quiet", text=text)
    expected = "knows none of its words", "no font of this machine has the letters"
    assert code == 0 and all(any(e in line for e in expected) for line in err.splitlines()), err


def test_network_without_interactions(explained):
    deaf = with_words(il.decompose(torch.ones(4)).replace(meta=explained.meta), torch.ones(4), [("not", 0), ("heard", 1)])
    print_explanation(deaf)
    assert Page(report_html(deaf)).tags.count("img") == 2 and for_program(deaf)["interactions"] == []


def test_one_player(run):
    code, out, err = run("--quiet", text="apple")
    assert code == 0 and "1 of 1 word: apple" in out


BAD = {
    "text": (dict(text=""), [], 2, "at least one word"),
    "only signs": (dict(text=" ?! "), [], 2, "at least one word"),
    "model": (dict(model="no-such-model-anywhere"), [], 1, "model: got 'no-such-model-anywhere', which does not load"),
    "model folder": (dict(model="."), [], 2, "no config.json"),
    "no players": ({}, ["--players", "0"], 2, "from 1 to 9"),
    "players": ({}, ["--players", "99"], 2, "from 1 to 9"),
    "negative players": ({}, ["--players=-3"], 2, "from 1 to 9"),
    "unknown player": ({}, ["--players", "red,moon"], 2, "the words are a, red, apple"),
    "empty players": ({}, ["--players", ""], 2, "players: got none"),
    "many players": (dict(text="apple " * 30), ["--players", "apple " * 30, "--budget", "all"], 2, "with 30 players"),
    "target": ({}, ["--target", ""], 2, "target: got ''; it must be a string that is not empty"),
    "baseline": ({}, ["--baseline", "red apple"], 2, "baseline: got 'red apple'"),
    "output": ({}, ["--output", "logodds"], 2, "one of 'log_odds', 'log_prob', 'prob', 'logit'"),
    "noise": ({}, ["--noise", "2"], 2, "noise: got 2.0; it must be from 0 to 1"),
    "noise nan": ({}, ["--noise", "nan"], 2, "noise: got nan"),
    "noise word": ({}, ["--noise", "some"], 2, "argument --noise: invalid float value: 'some'"),
    "batch": ({}, ["--batch-size", "0"], 2, "batch_size: got 0"),
    "device": ({}, ["--device", "gpu"], 2, "device: got 'gpu'"),
    "out": ({}, ["--out", "file/x"], 1, "out: got 'file/x', where nothing can be written"),
    "out is a file": ({}, ["--out", "file"], 1, "out: got 'file', where nothing can be written"),
    "option": ({}, ["--frobnicate"], 2, "unrecognized arguments: --frobnicate"),
    "shortened option": ({}, ["--play", "3"], 2, "unrecognized arguments: --play 3"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name, run, tmp_path):
    (tmp_path/"file").write_text("")
    where, args, code, message = BAD[name]
    got, out, err = run("--quiet", *args, **where)
    assert got == code and out == ""
    assert err.startswith("interlib: error: ") and err.count("\n") == 1 and message in err, err
    assert os.listdir(tmp_path) == ["file"]                                     # nothing is left behind


def test_no_command(capsys):
    assert main([]) == 2 and "explain" in capsys.readouterr().err
    assert main(["explode"]) == 2 and "invalid choice: 'explode'" in capsys.readouterr().err
    assert main(["explain"]) == 2 and "required: TEXT" in capsys.readouterr().err


def test_help(capsys):
    assert main(["--help"]) == 0 and "example" in capsys.readouterr().out
    assert main(["explain", "--help"]) == 0
    told = capsys.readouterr().out
    for option in "--model --unit --players --target --baseline --output --chat --noise --out --cache --device --batch-size --json --quiet --debug".split(): assert option in told
    assert main(["--version"]) == 0 and capsys.readouterr().out.strip() == f"interlib {il.__version__}"


@pytest.mark.parametrize("args", [["--out", "file"], ["--noise", "2"], ["--output", "odds"], ["--batch-size", "0"]])
def test_refused_before_a_model_is_loaded(args, run, monkeypatch, tmp_path):
    (tmp_path/"file").write_text("")
    monkeypatch.setattr("interlib.app.prompts.open_model", lambda *a, **k: pytest.fail("the model was loaded"))
    assert run(*args)[0] in (1, 2)


def test_debug(run):
    code, out, err = run("--noise", "2", "--debug")
    assert code == 2 and "Traceback" in err and err.splitlines()[-1].startswith("interlib: error: noise")


def test_failures_are_one_line(run, monkeypatch):
    def fail(error): monkeypatch.setattr("interlib.app.explanation.evaluate", lambda *a, **k: (_ for _ in ()).throw(error))
    fail(RuntimeError("first\nsecond"))
    assert run("--quiet") == (1, "", "interlib: error: first second\n")
    fail(KeyError("odd"))
    assert run("--quiet") == (1, "", "interlib: error: KeyError: 'odd'\n")
    fail(OSError(28, "No space left on device"))
    assert run("--quiet")[0] == 1


def test_interrupt(run, monkeypatch, tmp_path):
    monkeypatch.setattr("interlib.app.explanation.evaluate", lambda *a, **k: signal.raise_signal(signal.SIGINT))
    code, out, err = run("--quiet")
    assert (code, out, err.strip()) == (130, "", "interlib: interrupted") and os.listdir(tmp_path) == []


def test_interrupt_while_writing(explained, tmp_path, monkeypatch):
    write_report(explained, tmp_path)
    before = {f: (tmp_path/f).read_bytes() for f in FILES}
    def stopped(e, path): path.write_text("half"); raise KeyboardInterrupt
    monkeypatch.setitem(FILES, "report.html", stopped)
    with pytest.raises(KeyboardInterrupt): write_report(explained, tmp_path)
    assert {f: (tmp_path/f).read_bytes() for f in FILES} == before and sorted(os.listdir(tmp_path)) == sorted(FILES)


def test_progress_and_estimate(run, monkeypatch):
    code, out, err = run("--players", 3)
    assert code == 0 and "masked samples" in err and "masked prompts of" not in err
    monkeypatch.setattr("interlib.app.explanation.evaluate", lambda *a, **k: signal.raise_signal(signal.SIGINT))
    text = "a red apple falls to the ground because of the pull of gravity"
    assert re.search(r"interlib: 2,048 masked prompts of 13 tokens: about \d+ s and \d", run("--players", 11, text=text)[2])
    assert "masked prompts" not in run("--players", 11, "--quiet", text=text)[2]
    monkeypatch.setattr("interlib.app.messages.cost", lambda game: Cost(2048, 1, 8000., 10**9))
    assert "about 2.2 h and 1.0 GB" in run("--players", 11, text=text)[2]


def test_missing_weights_are_refused(run, tmp_path, capfd):
    headless = make_lm(tmp_path/"headless", LlamaModel)
    capfd.readouterr()
    code, out, err = run("--players", 2, "--quiet", model=headless)
    assert code == 1 and err.count("\n") == 1 and "no weights for lm_head.weight" in err


def test_python_messages_are_as_before(run):
    import logging, warnings
    loggers = [logging.getLogger(n) for n in ("transformers", "huggingface_hub")]
    before = [(l.handlers, l.level, l.propagate) for l in loggers], list(warnings.filters)
    run("--players", 2)
    assert ([(l.handlers, l.level, l.propagate) for l in loggers], list(warnings.filters)) == before


def test_closed_pipe():
    "`interlib explain ... | head -1` ends quietly."
    code = "import sys\nfrom interlib.app import cli\ncli.COMMANDS['explain'] = lambda args: print('x\\n' * 200000, flush=True) or 0\nsys.exit(cli.main(['explain', 'text']))"
    p = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.readline(); p.stdout.close()
    assert p.stderr.read() == b"" and p.wait(60) == 1


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WRAPPER = """<iframe src="report.html" style="width:{width}px;height:800px;border:0"></iframe>
<script>onload = () => {{ const d = frames[0].document; document.title = JSON.stringify({{width: d.documentElement.scrollWidth,
images: [...d.images].map(i => i.complete && i.naturalWidth > 0), wide: [...d.querySelectorAll("body *")].filter(t => t.getBoundingClientRect().right > {width} + .5).length}}) }}</script>"""


@pytest.mark.skipif(not BROWSER, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [390, 1200])
def test_page_fits(width, explained, tmp_path):
    long = with_words(explained, explained.v, [(w + "counterrevolutionarily" * 3, i) for w, i in explained.meta["words"]])
    long.meta["text"] = "supercalifragilistic" * 8 + " " + TEXT
    write_report(long, tmp_path)
    (tmp_path/"frame.html").write_text(WRAPPER.format(width=width))
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars --allow-file-access-from-files --virtual-time-budget=5000 --window-size=1300,900"
    dom = subprocess.run([BROWSER, *flags.split(), f"--user-data-dir={tmp_path/'browser'}", "--dump-dom", (tmp_path/"frame.html").as_uri()], capture_output=True, text=True, timeout=60).stdout
    seen = json.loads(re.search(r"<title>(.*?)</title>", dom)[1])
    assert seen == {"width": width, "images": [True] * 4, "wide": 0}
