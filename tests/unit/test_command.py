"The command and the evaluation behind it: what an interruption leaves, what a wrong command line is told, and that no text steers the terminal."
import io
import os
import signal
import subprocess
import sys
import time
import unicodedata
import warnings

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import interlib as il
from explained import explained as with_words
from interlib.app.arguments import parser
from interlib.app.cli import main
from interlib.app.terminal import print_explanation
from interlib.app.prompts import explain_text
from interlib.app.report import report_html, say_needed
from interlib.model import evaluation, value_tables
from interlib.model.evaluation import evaluate
from interlib.model.value_tables import Part, stored_part
from interlib.core.files import load_tensors, save_tensors

TEXT = "a red apple falls to the ground because of the pull of"
TEMPLATE = "{% for m in messages %}<s> {{ m['content'] }} </s>{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"


def make_lm(folder, template=None, ends=False):
    "A random Llama and a word tokenizer, saved to a folder; `ends`: after the question below it says that the text is over."
    torch.manual_seed(0)
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator([TEXT + " gravity What is the capital city of France ?"], trainers.WordLevelTrainer(special_tokens=["[UNK]", "<s>", "</s>", "<a>"]))
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, initializer_range=.5, eos_token_id=2, bos_token_id=1)
    model = LlamaForCausalLM(config)
    if ends:
        with torch.no_grad():
            ids = tokenizer.encode("What is the capital city of France ?").ids
            model.lm_head.weight[2] = model.model(torch.tensor([ids]))[0][0, -1]
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="</s>", bos_token="<s>", chat_template=template).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def lm(tmp_path_factory): return make_lm(tmp_path_factory.mktemp("lm"))


@pytest.fixture
def run(tmp_path, capfd, monkeypatch):
    "Runs the command in an empty folder; gives exit code, standard output and standard error."
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    def run(*args): return (main(list(map(str, args))), *capfd.readouterr())
    return run


class Slow:
    "A game of six players that is interrupted after so many coalitions, and remembers what it was asked."
    def __init__(self, after=None, error=KeyboardInterrupt, weights=range(1, 7), targets=0):
        self.after, self.error, self.asked, self.targets = after, error, [], targets
        self.weights = torch.tensor([float(w) for w in weights]).double()
    def __call__(self, m):
        if self.after is not None and len(self.asked) + len(m) > self.after: raise self.error("stop")
        self.asked += m.tolist()
        v = m.double() @ self.weights + m.all(1)
        return torch.stack([v, -v], 1) if self.targets else v
    def game(self, key="slow"): return il.Game(self, list("abcdef"), key=key)


def table(targets=0):
    m = il.masks(6)
    v = m.double() @ torch.arange(1., 7).double() + m.all(1)
    return torch.stack([v, -v]) if targets else v


@pytest.mark.parametrize("targets", [0, 2])
def test_an_interrupted_call_goes_on_where_it_stopped(tmp_path, targets):
    first = Slow(after=40, targets=targets)
    with pytest.raises(KeyboardInterrupt, match=f"40 of 64 masked samples were done and are kept in {tmp_path}: the same call goes on"):
        evaluate(first.game(), batch_size=8, cache=tmp_path, progress=False)
    second = Slow(targets=targets)
    assert torch.equal(evaluate(second.game(), batch_size=8, cache=tmp_path, progress=False), table(targets))
    assert len(second.asked) == 4 + 24 + 4                                  # four to compare with, the rest, and four in the end
    assert [f.suffixes for f in tmp_path.iterdir()] == [[".safetensors"]]
    third = Slow(targets=targets)
    assert torch.equal(evaluate(third.game(), cache=tmp_path, progress=False), table(targets)) and len(third.asked) <= 8


@pytest.mark.parametrize("error", [RuntimeError, ValueError, OSError])
def test_what_was_done_before_an_error_is_kept_too(tmp_path, error):
    with pytest.raises(error): evaluate(Slow(after=40, error=error).game(), batch_size=8, cache=tmp_path, progress=False)
    again = Slow()
    assert torch.equal(evaluate(again.game(), batch_size=8, cache=tmp_path, progress=False), table()) and len(again.asked) == 32


def test_interrupted_again_and_again(tmp_path):
    asked = 0
    for _ in range(8):
        slow = Slow(after=4 * (asked > 0) + 8)
        with pytest.raises(KeyboardInterrupt): evaluate(slow.game(), batch_size=8, cache=tmp_path, progress=False)
        asked += 8
        if asked == 56: break
    last = Slow()
    assert torch.equal(evaluate(last.game(), batch_size=8, cache=tmp_path, progress=False), table()) and len(last.asked) == 16


def test_without_a_cache_an_interruption_says_what_is_lost():
    with pytest.raises(KeyboardInterrupt, match="40 of 64 masked samples were done and are not kept: a folder as `cache` keeps them"): evaluate(Slow(after=40).game(), batch_size=8, progress=False)
    with pytest.raises(KeyboardInterrupt, match="^0 of 64 masked samples were done$"): evaluate(Slow(after=0).game(), batch_size=8, progress=False)


def test_a_killed_process_loses_half_a_minute_at_most(tmp_path, monkeypatch):
    clock = [0.]
    monkeypatch.setattr(value_tables.time, "monotonic", lambda: clock[0])
    part = Part(3, tmp_path/"p.safetensors")
    part.add(torch.tensor([0]), torch.zeros(1).double())
    for seconds, there in ((29, False), (31, True)):
        clock[0] = seconds
        part.keep(every=30)
        assert part.path.exists() is there


def kept(tmp_path):
    "The file that an interruption leaves."
    with pytest.raises(KeyboardInterrupt): evaluate(Slow(after=40).game(), batch_size=8, cache=tmp_path, progress=False)
    part, = tmp_path.glob("*.part.safetensors")
    return part


def wrong(**change):
    def spoil(path):
        tensors = load_tensors(path, "interlib.part")[0]
        save_tensors(path, {k: change.get(k, lambda t: t)(t.clone()) for k, t in tensors.items()}, "interlib.part")
    return spoil


DAMAGE = {
    "cut": lambda p: p.write_bytes(p.read_bytes()[:-50]), "empty": lambda p: p.write_bytes(b""), "another kind": lambda p: save_tensors(p, {"v": torch.ones(64)}, "interlib.table"),
    "shorter": wrong(table=lambda t: t[:32]), "single precision": wrong(table=lambda t: t.float()), "no numbers": wrong(table=lambda t: t * torch.nan),
    "nothing done": wrong(done=lambda d: d & False), "more targets": wrong(table=lambda t: t[:, None].repeat(1, 2)), "other numbers": wrong(table=lambda t: t + .5), "done as numbers": wrong(done=lambda d: d.long()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_kept_is_not_used_if_it_is_wrong(tmp_path, damage):
    DAMAGE[damage](kept(tmp_path))
    again = Slow()
    with pytest.warns(UserWarning, match="is not used .* all is asked again"): v = evaluate(again.game(), batch_size=8, cache=tmp_path, progress=False)
    assert torch.equal(v, table()) and len(again.asked) >= 64


def test_another_game_under_the_same_name_is_not_mixed_in(tmp_path):
    kept(tmp_path)
    with pytest.warns(UserWarning, match="not what the game says now"): v = evaluate(Slow(weights=range(2, 8)).game(), cache=tmp_path, progress=False)
    assert torch.equal(v, il.masks(6).double() @ torch.arange(2., 8).double() + il.masks(6).all(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(Slow().game("other"), cache=tmp_path, progress=False)       # another name has a file of its own


def test_a_full_disk_does_not_end_the_evaluation(tmp_path, monkeypatch):
    monkeypatch.setattr(value_tables, "save_tensors", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    part = Part(2, tmp_path/"p.safetensors")
    part.add(torch.tensor([0]), torch.zeros(1).double())
    with pytest.warns(UserWarning, match="cannot be kept in .*No space left"): part.keep()


@pytest.mark.parametrize("tree", [True, False])
def test_a_language_model_goes_on_with_the_same_numbers(lm, tmp_path, tree, monkeypatch):
    "Compared with the model, asked with token numbers in which masked words are replaced."
    model, tokenizer = il.load_lm(lm, progress=False)
    game = il.text_game(model, tokenizer, TEXT, players=7, baseline="gravity")
    calls = stop_after(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt, match="80 of 128"): evaluate(game, batch_size=16, tree=tree, cache=tmp_path, progress=False)
    done = len(calls)
    v = evaluate(game, batch_size=16, tree=tree, cache=tmp_path, progress=False)
    assert done == 5 and len(calls) == 8
    ids = torch.tensor(tokenizer(TEXT)["input_ids"])
    rows = ids.repeat(128, 1)
    for i, k in enumerate(game.meta["indices"]): rows[~il.masks(7)[:, i], k] = tokenizer.convert_tokens_to_ids("gravity")
    with torch.no_grad(): p = model(input_ids=rows).logits[:, -1].double().softmax(-1)[:, game.meta["classes"]]
    torch.testing.assert_close(v, (p / (1 - p)).log(), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("after", [8, 70, 100, 122])
def test_a_model_that_depends_on_its_batch_goes_on_one_by_one(tmp_path, after):
    "Stopped among its batches, or later among the samples that are asked alone: never a table of both."
    right, asked = torch.arange(64.).double(), [0]
    def crowd(m):
        asked[0] += len(m)
        if asked[0] > after + 8: raise KeyboardInterrupt
        return (m.double() @ 2. ** torch.arange(6).double()) / len(m)
    game = il.Game(crowd, list("abcdef"), key="crowd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(KeyboardInterrupt): evaluate(game, batch_size=11, cache=tmp_path, progress=False)
        asked[0] = -10**6
        v = evaluate(game, batch_size=8, cache=tmp_path, progress=False)
    assert torch.equal(v, right)


def test_a_tree_that_fails_leaves_nothing_of_itself(lm, tmp_path, monkeypatch):
    "What a wrong tree has found is not kept for the batches that follow."
    game = il.text_game(*il.load_lm(lm, progress=False), TEXT, players=5)
    right = evaluate(game, tree=False, progress=False)
    run = evaluation.PrefixTree.run
    monkeypatch.setattr(evaluation.PrefixTree, "run", lambda self, fixed: run(self, fixed) + 1)
    with pytest.warns(UserWarning, match="prefix tree does not work"): v = evaluate(game, cache=tmp_path, progress=False)
    torch.testing.assert_close(v, right)


def stop_after(monkeypatch, k):
    "Ctrl-C when `k` batches are in the table."
    calls, add = [], Part.add
    def interrupt(self, *args):
        add(self, *args); calls.append(1)
        if len(calls) == k: signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr(Part, "add", interrupt)
    return calls


def test_the_command_goes_on_after_ctrl_c(run, lm, monkeypatch):
    monkeypatch.setattr("interlib.app.terminal.write_report", lambda x, out: [])
    command = ["explain", TEXT, "--model", lm, "--players", "6", "--batch-size", "8", "--quiet"]
    code, plain, _ = run(*command, "--json")
    calls = stop_after(monkeypatch, 3)
    assert run(*command, "--cache", "tables") == (130, "", "\ninterlib: interrupted; 24 of 64 masked samples were done and are kept in tables: the same command goes on from there\n")
    code, out, err = run(*command, "--cache", "tables", "--json")
    assert code == 0 and err == "" and len(calls) == 3 + 5
    strip = lambda t: t[t.index('"interactions"'):t.index('"files"')]
    assert strip(out) == strip(plain)
    assert run(*command, "--cache", "tables")[0] == 0 and len(calls) == 8   # and the finished table is used again


def test_without_cache_ctrl_c_says_what_would_have_kept_it(run, lm, monkeypatch):
    stop_after(monkeypatch, 3)
    code, out, err = run("explain", TEXT, "--model", lm, "--players", 6, "--batch-size", 8, "--quiet")
    assert (code, out, err) == (130, "", "\ninterlib: interrupted; 24 of 64 masked samples were done and are not kept: --cache DIR keeps them\n")


def test_ctrl_c_while_decomposing(run, lm, monkeypatch):
    from interlib.solve import decomposition
    real, calls = decomposition.decompose, []
    def stop(v, *args, **kwargs):
        if len(v) > 2: raise KeyboardInterrupt
        return real(v, *args, **kwargs)
    monkeypatch.setattr("interlib.app.explanation.decompose", stop)
    command = ["explain", TEXT, "--model", lm, "--players", 5, "--quiet"]
    assert "interrupted; while decomposing; the 32 outputs are not kept: --cache DIR keeps them" in run(*command)[2]
    assert "interrupted; while decomposing; the 32 outputs are kept in tables" in run(*command, "--cache", "tables")[2]


def test_a_real_process_that_is_interrupted(lm, tmp_path):
    code = "import sys, time\nfrom interlib.model import evaluation\nadd = evaluation.Part.add\ndef slow(*a):\n    add(*a); print('batch', flush=True); time.sleep(.5)\nevaluation.Part.add = slow\nfrom interlib.app.cli import main\nsys.exit(main(sys.argv[1:]))"
    p = subprocess.Popen([sys.executable, "-c", code, "explain", TEXT, "--model", lm, "--players", "6", "--batch-size", "8", "--cache", "tables", "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    for line in iter(p.stderr.readline, ""):          # the command's own output goes to standard error while it works
        if "batch" in line: break
    time.sleep(.1)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 130 and out == "" and "of 64 masked samples were done and are kept in tables" in err and "Traceback" not in err
    assert len(list((tmp_path/"tables").glob("*.part.safetensors"))) == 1


@pytest.mark.parametrize("cache", ["file", "file/below"])
def test_a_cache_that_cannot_be_written_is_refused_before_a_model_is_loaded(run, tmp_path, cache, monkeypatch):
    (tmp_path/"file").write_text("")
    monkeypatch.setattr("interlib.app.prompts.open_named", lambda *a, **k: pytest.fail("the model was loaded"))
    code, out, err = run("explain", TEXT, "--cache", cache)
    assert code == 2 and "cache: cannot write to the folder" in err


@pytest.mark.parametrize("name", ["cache", "out"])
def test_a_folder_without_a_name_is_refused(run, name, monkeypatch):
    "As of a variable of the shell that is not set."
    monkeypatch.setattr("interlib.app.prompts.open_named", lambda *a, **k: pytest.fail("the model was loaded"))
    code, out, err = run("explain", TEXT, f"--{name}", "")
    assert code == 2 and f"{name}: got ''; it must be" in err


@pytest.mark.parametrize("args, message", [
    (["explain", "A", "red", "apple"], 'put quotes around it: interlib explain "A red apple" (see'),
    (["explain", "A", "--quiet", "red", "--players", "3", "apple"], 'interlib explain "A red apple"'),
    (["explain", "A red apple", "--modle", "x"], "unrecognized arguments: --modle x; did you mean --model?"),
    (["explain", "--modle", "x", "A red apple"], "did you mean --model?"),
    (["explain", "A red apple", "--modle=x"], "did you mean --model?"),
    (["explain", "A red apple", "--player", "3"], "did you mean --players?"),
    (["explain", "A red apple", "--cahce", "d", "--nosie", "0"], "did you mean --cache --noise?"),
    (["explain", "A red apple", "--xyzzy"], "unrecognized arguments: --xyzzy (see"),
    (["explian", "A red apple"], "did you mean interlib explain?"),
    (["swep", "a.toml"], "did you mean interlib sweep?"),
    (["A red apple"], 'to explain a text: interlib explain "A red apple"'),
    (["A", "red", "apple", "--quiet"], 'interlib explain "A red apple"'),
    (["sweep", "a.toml", "--rety"], "did you mean --retry?"),
    (["status", "folder", "another"], "unrecognized arguments: another"),
    (["explain", "A red apple", "--chat=yes"], "--chat"),
])
def test_what_was_meant_is_said(args, message, run, monkeypatch):
    monkeypatch.setattr("interlib.app.prompts.open_named", lambda *a, **k: pytest.fail("the model was loaded"))
    code, out, err = run(*args)
    assert code == 2 and out == "" and err.startswith("interlib: error: ") and err.count("\n") == 1 and message in err, err


def typed(monkeypatch, data): monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_text_from_standard_input(run, lm, monkeypatch):
    monkeypatch.setattr("interlib.app.terminal.write_report", lambda x, out: [])
    typed(monkeypatch, "\ufeffa red apple\nfalls to\n".encode())
    code, out, err = run("explain", "-", "--model", lm, "--quiet")
    assert code == 0 and "a red apple↵falls to\n" in out and "5 of 5 words" in out


@pytest.mark.parametrize("data, message", [(b"", "standard input is empty"), (b" \n\n", "standard input is empty"), (b"a red \xff", "standard input is not UTF-8 (invalid start byte at byte 6)"), (b"?!", "at least one word")])
def test_standard_input_without_a_text(run, monkeypatch, data, message):
    typed(monkeypatch, data)
    code, out, err = run("explain", "-")
    assert code == 2 and err.startswith("interlib: error: text: ") and message in err


def test_a_text_may_begin_with_a_minus(run, lm, monkeypatch):
    monkeypatch.setattr("interlib.app.terminal.write_report", lambda x, out: [])
    code, out, err = run("explain", "- a red apple", "--model", lm, "--quiet")
    assert code == 0 and "prompt      - a red apple\n" in out


HALVES = ["an apple \ud83d", "\udcff", "a \ud83d\ud83d b"]


@pytest.mark.parametrize("text", HALVES)
def test_half_a_letter_is_refused_by_name(text, run, lm, monkeypatch):
    at = next(i for i, c in enumerate(text) if unicodedata.category(c) == "Cs")
    model, tokenizer = il.load_lm(lm, progress=False)
    for name, given in (("text", dict(text=text)), ("target", dict(target=text)), ("target", dict(target=["apple", text])), ("baseline", dict(baseline=text))):
        with pytest.raises(ValueError, match=f"{name}: character {at} is '.u[d].*', half of a letter"): il.text_game(model, tokenizer, **{"text": TEXT, **given})
    monkeypatch.setattr("interlib.app.prompts.open_named", lambda *a, **k: pytest.fail("the model was loaded"))
    code, out, err = run("explain", text)
    assert code == 2 and "half of a letter" in err and err.isascii()


def controls(text): return [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c != "\n" or c in "\u202e\u2066\u2028"]


ESCAPES = ["\x1b[2J\x1b[31mred", "bell \x07", "\x9b31m", "back \x08\x08", "a\rb", "\u202eturned", "\u2066isolated", "line\u2028break", "\x00nul"]


@pytest.mark.parametrize("odd", ESCAPES)
def test_no_text_steers_the_terminal(odd, run, lm, monkeypatch):
    monkeypatch.setattr("interlib.app.terminal.write_report", lambda x, out: [])
    text = f"a red apple {odd} falls"
    code, out, err = run("explain", text, "--model", lm, "--players", 3, "--quiet", "--out", "o")
    assert code == 0 and not controls(out + err) and odd[odd.index(controls(odd)[0])].encode("unicode_escape").decode() in out
    if "\x00" not in odd:                                                   # an answer of several tokens
        code, out, err = run("explain", "a red apple", "--model", lm, "--quiet", "--target", odd + " moon", "--out", "o")
        assert code == 0 and not controls(out + err), (out, err)
    for args in (["--baseline", odd + " moon"], ["--players", odd + "x"], ["--model", odd], ["--device", odd], ["--" + odd], ["--output", odd]):
        if "\x00" in odd: continue                                          # the system itself refuses it
        code, out, err = run("explain", "a red apple", *([] if "--model" in args else ["--model", lm]), "--quiet", *args)
        assert code in (1, 2) and err and not controls(out + err), (args, err)


def test_a_name_and_a_token_do_not_steer_it_either(lm, capsys):
    e = explain_text(TEXT, lm, players=3, progress=False)
    e.meta.update(target="\x1b[31m", text="\x1b]0;title\x07")
    e = with_words(e, e.v, [(w + "\x1b[0m", i) for w, i in e.meta["words"]])
    print_explanation(e)
    assert not controls(capsys.readouterr().out)
    page = report_html(e)
    assert "\x1b" not in page and "\\x1b[31m" in page


def test_a_warning_and_a_traceback_do_not_steer_it_either(run, lm, monkeypatch):
    def warn(*args, **kwargs): warnings.warn("odd \x1b[31m name"); raise ValueError("odd \x1b[31m value")
    monkeypatch.setattr("interlib.app.explanation.evaluate", warn)
    code, out, err = run("explain", TEXT, "--model", lm, "--quiet", "--debug", "--players", 3)
    assert code == 2 and not controls(err) and "interlib: warning: odd \\x1b[31m name\n" in err and err.endswith("interlib: error: odd \\x1b[31m value\n")


def test_a_folder_with_an_odd_name(run, lm, tmp_path):
    os.symlink(lm, tmp_path/"model \x1b[31m")
    code, out, err = run("explain", TEXT, "--model", "model \x1b[31m", "--players", 3, "--quiet", "--out", "out \x1b[31m")
    assert code == 0 and not controls(out) and "out \\x1b[31m/report.html" in out
    page = (tmp_path/"out \x1b[31m"/"report.html").read_text(encoding="utf-8")
    assert "model \\x1b[31m" in page


def test_sweeps_do_not_steer_it_either(run, tmp_path, monkeypatch):
    class Odd:
        folder = "f\x1b[31m"; errors = []
        def summary(self): return "one\x1b[31m"
        def status(self): return {"mo\x1b[31mdel": "\x07"}
    monkeypatch.setattr("interlib.app.results.open_sweep", lambda folder: Odd())
    assert not controls(run("status", "f")[1])
    monkeypatch.setattr("interlib.app.sweeps.sweep", lambda **k: Odd())
    (tmp_path/"s.toml").write_text('folder = "f"\nsamples = ["a"]\n[models]\na = "b"\n')
    code, out, err = run("sweep", "s.toml", "--quiet")
    assert code == 0 and not controls(out) and "one\\x1b[31m\nkept in f\\x1b[31m\n" == out


def told(k, n=3):
    "The sentence on how many interactions are needed, for a table that needs `k`."
    v = {0: torch.ones(2**n), 1: il.masks(n).all(1).double(), 2: 3. * il.masks(n).all(1) + 3 * il.masks(n)[:, :2].all(1)}[k].double()
    x = il.decompose(v, noise=0., players=list("abc"))
    return say_needed(x, x.how_many())


@pytest.mark.parametrize("k, words", [(0, "the constant alone predicts all 8"), (1, "the strongest interaction alone predicts all 8"), (2, "the strongest 2 interactions predict all 8")])
def test_one_predicts_and_two_predict(k, words): assert told(k).startswith(words)


@pytest.fixture(scope="module")
def chatty(tmp_path_factory): return make_lm(tmp_path_factory.mktemp("chatty"), TEMPLATE, ends=True)


def test_chat_explains_the_answer(run, chatty):
    "The target is the most probable token after the template, as transformers' own template and forward pass say."
    question = "What is the capital city of France ?"
    code, out, err = run("explain", question, "--model", chatty, "--players", 4, "--chat", "--quiet")
    model, tokenizer = il.load_lm(chatty, progress=False)
    ids = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True)["input_ids"]
    with torch.no_grad(): best = model(input_ids=ids).logits[0, -1].argmax().item()
    assert code == 0 and "chat" in out and "--chat" not in err
    x = il.Interactions.load("interlib-report/interactions.safetensors")
    assert x.meta["classes"] == best and x.meta["chat"] is True
    assert "chat template" in open("interlib-report/report.html", encoding="utf-8").read()


def test_chat_without_a_template(run, lm):
    code, out, err = run("explain", TEXT, "--model", lm, "--chat", "--quiet")
    assert code == 2 and "no chat template" in err


def test_a_model_tuned_for_conversations_is_suggested_chat(run, chatty, monkeypatch):
    "Outside of its template the model takes the text for finished, as its own forward pass says."
    monkeypatch.setattr("interlib.app.terminal.write_report", lambda x, out: [])
    question = "What is the capital city of France ?"
    model, tokenizer = il.load_lm(chatty, progress=False)
    with torch.no_grad(): assert model(**tokenizer(question, return_tensors="pt")).logits[0, -1].argmax() == tokenizer.eos_token_id
    code, out, err = run("explain", question, "--model", chatty, "--players", 3, "--quiet")
    assert code == 0 and err.startswith("interlib: warning: target: the most probable token is '</s>'") and "--chat says the text in its template" in err and err.count("\n") == 1
    for args in (["--chat"], ["--target", "gravity"]): assert run("explain", question, "--model", chatty, "--players", 3, "--quiet", *args)[2] == ""


def test_a_model_without_a_template_is_not_suggested_chat(run, tmp_path, monkeypatch):
    monkeypatch.setattr("interlib.app.terminal.write_report", lambda x, out: [])
    code, out, err = run("explain", "What is the capital", "--model", make_lm(tmp_path/"ends", ends=True), "--players", 3, "--quiet")
    assert code == 0 and "--chat" not in err


def test_a_folder_with_a_classifier_is_explained(run, tmp_path, monkeypatch):
    "As the README says; compared with transformers' own forward pass."
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForSequenceClassification
    monkeypatch.setattr("interlib.app.terminal.write_report", lambda x, out: [])
    folder = make_lm(tmp_path/"classifier")                                  # for its tokenizer
    (tmp_path/"classifier"/"generation_config.json").unlink()
    torch.manual_seed(1)
    config = BertConfig(vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, num_labels=3, id2label={0: "bad", 1: "so so", 2: "good"}, initializer_range=.5)
    BertForSequenceClassification(config).save_pretrained(folder)
    code, out, err = run("explain", "a red apple falls", "--model", folder, "--quiet", "--json")
    assert code == 0, err
    got = __import__("json").loads(out)
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad(): p = model(**tokenizer("a red apple falls", return_tensors="pt")).logits[0].double().softmax(-1)
    best = p.argmax().item()
    assert got["target"] == config.id2label[best] and got["value"]["prompt"] == pytest.approx((p[best] / (1 - p[best])).log().item(), abs=1e-4)


@pytest.mark.parametrize("name, says", [("empty", "no config.json"), ("nowhere", "there is nothing")])
def test_the_page_is_not_served_for_a_folder_without_a_model(run, tmp_path, name, says):
    (tmp_path/"empty").mkdir()
    code, out, err = run("app", "--model", tmp_path/name, "--port", 0, "--no-browser")
    assert code == 2 and f"model: got '{tmp_path/name}'" in err and says in err


def test_the_commands_of_the_readme_are_understood():
    import re, shlex
    from pathlib import Path
    text = (Path(__file__).parents[2]/"README.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines() if line.startswith("interlib ")]
    assert len(lines) >= 4
    for line in lines: parser().parse_args(shlex.split(line, comments=True)[1:])


@pytest.fixture(scope="module")
def cat(tmp_path_factory):
    "A photograph that was turned by the camera, as a file."
    from PIL import Image
    from skimage import data
    picture, file = Image.fromarray(data.chelsea()).rotate(90, expand=True), tmp_path_factory.mktemp("photos")/"my cat.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(file, quality=95, exif=exif)
    return file


def test_a_photograph(run, cat):
    import json
    from skimage import data
    code, out, err = run("explain", "--picture", cat, "--segments", "5", "--target", "tiger cat", "--quiet", "--json")
    assert code == 0 and not err
    told = json.loads(out)
    assert (told["file"], told["model"], told["patches"], told["baseline"]) == ("my cat.jpg", "efficientnet-lite0", "5 superpixels", "zero")
    x = il.Interactions.load("interlib-report/interactions.safetensors")
    game = il.image_game(il.load_vision("efficientnet-lite0"), data.chelsea(), segments=5, target="tiger cat", output="log_odds")
    assert (x.outputs()[[0, -1]] - il.evaluate(game, progress=False)[[0, -1]]).abs().max() < .3          # JPEG loses a little
    assert told["interactions"][0]["patches"] and "What each patch is worth" in open("interlib-report/report.html").read()
    assert "patches" in open("interlib-report/interactions.csv").readline()


def test_cells_of_a_grid_in_the_terminal(run, cat):
    code, out, err = run("explain", "--picture", cat, "--grid", "3", "--players", "r0c0,r1c1,r2c2", "--baseline", "blur", "--target", "282", "--quiet")
    assert code == 0 and "picture     my cat.jpg: 3 x 3 grid of the 224 x 224 pixels that the network sees" in out
    assert "players     3 patches: r0c0, r1c1, r2c2" in out and "effect  kind  patches" in out and "'tiger cat'" in out


@pytest.mark.parametrize("args, message", [
    (["--picture", "dog.jpg"], "picture: got 'dog.jpg', which cannot be read (No such file or directory)"),
    (["--picture", "."], "which cannot be read (Is a directory)"),
    (["a text", "--picture", "dog.jpg"], "text: got 'a text' with a picture"),
    ([], "required: TEXT, or --picture FILE"),
    (["a text", "--grid", "3"], "grid: got 3 with a text; it is for a picture only"),
    (["--picture", "CAT", "--unit", "token"], "unit: got 'token' with a picture; it is for a text only"),
    (["--picture", "CAT", "--grid", "3", "--segments", "4"], "None where segments is given"),
    (["--picture", "CAT", "--model", "smollm2"], "model: got 'smollm2'"),
    (["--picture", "CAT", "--target", "unicorn"], "target: got 'unicorn'"),
    (["--picture", "CAT", "--players", "99"], "players: got 99"),
    (["--picture", "CAT", "--players", "3,12"], "players: got index 12"),
    (["--picture", "CAT", "--segments", "0"], "segments: got 0"),
    (["--picture", "CAT", "--output", "odds"], "output: got 'odds'"),
    (["--picture", "CAT", "--segment", "5"], "did you mean --segments?"),
])
def test_wrong_photographs(run, cat, args, message):
    code, out, err = run("explain", *[cat if arg == "CAT" else arg for arg in args])
    assert code == 2 and message in err and err.count("\n") == 1 and not out
