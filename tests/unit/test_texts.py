"Players of any unit, and masks of any kind: what the model reads is what the names say; answers of several tokens; decoders."
import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

import interlib as il
from interlib.model.text_games import text_game, zoom

TEXTS = [
    "A red apple falls to the ground because of the pull of", "the cat and the dog and the bird", "Don't, he said: \"I can't!\"",
    "x += 1; y = x**2 if x > 0 else -x", "def f(a, b):\n    return a + b", "Price: $3.50, or 3,500 in 10:30 h", "e-mail me@x.org at www.x.org/a?b=1",
    "I 😀 you 👩‍👩‍👧 and 🇩🇪!", "naïve café, Zürich und Straße", "我今天去北京大学看书。天气很好！", "私は東京大学で勉強しています。", "วันนี้อากาศดีมาก",
    "اللغة العربية جميلة جدا", "שלום עולם, מה שלומך?", "हिन्दी में बोलो, यह अच्छा है", "Привет, мир! Как дела?", "Ελληνικά και English mixed",
    "„Nein“, sagte sie – und ging…", "«Oui», dit-il; “why not?”", "one\ntwo\n\nthree", "  leading and trailing  ", "tabs\tand\tmore", "A-B-C isn't d'accord",
    "Dr. Smith paid Mr. J. Brown. He left at 5 p.m. on Monday.", "1. First item 2. Second item", "(in brackets) [and these] {too}", "UPPER lower MiXeD",
    "Supercalifragilisticexpialidocious antidisestablishmentarianism", "aaa aaa aaa aaa", "a b c d e f g h i j", "100% sure & 50/50 @ home #tag",
    "What is 2+2? It is 4.", "line one;\nline two, with more;\nline three", "한국어 문장입니다. 두 번째 문장.", "ქართული ენა", "Tiếng Việt có dấu", "∀x ∈ ℝ: x² ≥ 0", "\"quoted\" 'single' `code`",
    "The end", "co-operate re-enter well-known",
]
UNITS = ["word", "token", "sign", "phrase", "sentence", "line"]


@pytest.fixture(scope="module")
def models(tiny_lm):
    return {"lm": tiny_lm, "smollm2": il.load_lm("smollm2"), "bert": il.load_encoder(), "gemma": il.load_lm("gemma3-270m")}


def letters(text): return "".join(text.split())


def token_text(tokenizer, ids): return tokenizer.decode(ids, clean_up_tokenization_spaces=False).replace("##", "")


def as_read(tokenizer, text):
    "The text as the tokenizer sees it: BERT's has small letters without accents, and blanks round Chinese ones."
    own = tokenizer.backend_tokenizer.normalizer
    return letters(own.normalize_str(text) if own and "bert" in type(tokenizer).__name__.lower() else text)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", ["lm", "smollm2", "bert", "gemma"])
def test_the_tokens_of_each_player_are_its_name(models, name, unit):
    from interlib.model.text_samples import read_text
    model, tokenizer = models[name]
    for text in TEXTS:
        sample = read_text(model, tokenizer, text, False, unit, None)
        ids, seen = sample.given["input_ids"][0], set()
        for k, player in enumerate(sample.words):
            at = sample.regions == k
            assert tuple(at.nonzero().flatten().tolist()) == player.positions and not seen & {*player.positions}
            seen |= {*player.positions}
            if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids[at]: continue
            assert letters(token_text(tokenizer, ids[at])) == as_read(tokenizer, player.name), (text, player)
        if unit != "word":                                              # nothing visible is left out
            rest = tokenizer.decode(ids[sample.regions < 0], skip_special_tokens=True)
            assert not letters(rest), (text, rest)


@pytest.mark.parametrize("unit", UNITS)
def test_what_is_struck_out_or_replaced_is_what_the_names_say(models, unit):
    model, tokenizer = models["lm"]
    for text in TEXTS:
        for baseline in ("remove", "replace:_"):
            try: game = text_game(model, tokenizer, text, unit=unit, baseline=baseline)
            except ValueError as e:
                assert "nothing is left" in str(e) or "same output" in str(e) or "the sample and to its masked version" in str(e), e
                continue
            everybody, nobody = torch.ones(1, game.n).bool(), torch.zeros(1, game.n).bool()
            assert game.masked.prompts(everybody) == [text]
            left = letters(game.masked.prompts(nobody)[0])
            assert len(left) == len(letters(text)) - sum(len(letters(p)) for p in game.players) + game.n * (baseline != "remove"), (text, left)
            for i in range(min(game.n, 4)):
                one = everybody.clone()
                one[0, i] = False
                prompt, = game.masked.prompts(one)
                place = letters(text).find(letters(game.players[i]))
                assert sorted(letters(prompt)) == sorted(letters(text).replace(letters(game.players[i]), "", 1) + "_" * (baseline != "remove")), (text, prompt, place)


def test_removal_is_the_shortened_text_tokenized_anew(models):
    model, tokenizer = models["smollm2"]
    text = "A red apple falls to the ground because of the pull of"
    game = text_game(model, tokenizer, text, players=["red", "ground"], baseline="remove", target="gravity")
    gravity, = tokenizer(" gravity")["input_ids"]
    for row, short in zip(il.masks(2), ["A apple falls to the because of the pull of", "A red apple falls to the because of the pull of", "A apple falls to the ground because of the pull of", text]):
        with torch.no_grad(): z = model(**tokenizer(short, return_tensors="pt")).logits[0, -1]
        odds = z[gravity] - torch.cat([z[:gravity], z[gravity + 1:]]).logsumexp(0)
        torch.testing.assert_close(game(row[None])[0], odds, rtol=0, atol=1e-3, check_dtype=False)


@pytest.mark.parametrize("target", ["Paris, France", "New York City", " Paris.\n\nThe Eiffel"])
def test_an_answer_of_several_tokens_is_the_sum_of_its_log_probabilities(models, target):
    model, tokenizer = models["smollm2"]
    game = text_game(model, tokenizer, "The Eiffel Tower is in the city of", players=["Eiffel", "Tower", "city"], target=target, output="log_prob")
    v = il.evaluate(game, progress=False)
    m, ids = game.masked, game.meta["answer"]
    embed = model.get_input_embeddings()
    for c in (0, 3, 5, 7):
        present = torch.tensor([[c >> i & 1 for i in range(3)]]).bool()
        x = m.fill.where(~(present[0][m.regions.clamp(0)] | (m.regions < 0)), m.x)[:len(m.x) - len(ids) + 1]
        total = 0.
        with torch.no_grad():
            for i in ids:
                total += model(inputs_embeds=x[None]).logits[0, -1].double().log_softmax(0)[i].item()
                x = torch.cat([x, embed(torch.tensor([i]))])
        assert v[c].item() == pytest.approx(total, abs=1e-4)


def test_a_choice_is_monotone_in_the_obvious_way(models):
    model, tokenizer = models["smollm2"]
    text, two = "The Eiffel Tower is in the city of", ["Eiffel", "Tower"]
    def game(answers, **more): return text_game(model, tokenizer, text, players=two, answers=answers, target="Paris", **more)
    few, many = game(["Paris", "Rome"])(il.masks(2)), game(["Paris", "Rome", "New York"])(il.masks(2))
    assert (many < few).all()                                               # one more rival can only harm
    swapped = text_game(model, tokenizer, text, players=two, answers=["Rome", "Paris"], target="Rome")(il.masks(2))
    torch.testing.assert_close(swapped, -few)
    margin = game(["Paris", "Rome", "New York"], output="margin", rival="Rome")(il.masks(2))
    torch.testing.assert_close(margin, few)


@pytest.mark.parametrize("build", ["t5", "bart"])
def test_an_encoder_decoder_is_a_naive_loop(tiny_lm, build):
    _, tokenizer = tiny_lm
    torch.manual_seed(0)
    size = dict(vocab_size=len(tokenizer), d_model=16)
    if build == "t5": model = T5ForConditionalGeneration(T5Config(**size, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0, eos_token_id=1, pad_token_id=0)).eval()
    else: model = BartForConditionalGeneration(BartConfig(**size, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, decoder_start_token_id=2, eos_token_id=2, pad_token_id=1, max_position_embeddings=64)).eval()
    for p in model.parameters(): p.data.mul_(4)
    game = text_game(model, tokenizer, "A red apple falls", target="the ground", output="log_prob", baseline="zero")
    ids, m = game.meta["answer"], game.masked
    assert len(ids) > 1
    for row, value in zip(il.masks(game.n), game(il.masks(game.n))):
        x = torch.where(row[m.regions], m.x, m.fill)
        total, read = 0., [model.config.decoder_start_token_id]
        with torch.no_grad():
            for i in ids:
                z = model(inputs_embeds=x[None], attention_mask=torch.ones(1, len(x), dtype=torch.long), decoder_input_ids=torch.tensor([read])).logits[0, -1]
                total, read = total + z.double().log_softmax(0)[i].item(), [*read, i]
        assert value.item() == pytest.approx(total, rel=1e-6, abs=1e-5)


def test_zooming_keeps_all_else(models):
    model, tokenizer = models["smollm2"]
    text = "Ann wrote the book. Bob read it. Who wrote it? It was"
    lines = text_game(model, tokenizer, text, unit="sentence", target="Ann")
    near = zoom(lines, "Ann wrote the book.", "sign")
    assert near.players == ["Ann", "wrote", "the", "book", "."]
    ends = torch.tensor([[False] * 5, [True] * 5])
    without = torch.ones(2, lines.n).bool()
    without[0, 0] = False
    torch.testing.assert_close(near(ends), lines(without), rtol=0, atol=1e-4)


def test_groups_are_masked_together(models):
    model, tokenizer = models["smollm2"]
    text = "Ann wrote the book. Bob read it. Who wrote it? It was"
    game = text_game(model, tokenizer, text, groups={"names": ["Ann", "Bob"], "question": "Who wrote it?"}, target="Ann")
    words = text_game(model, tokenizer, text, unit="sign", target="Ann")
    rows = torch.tensor([[name not in ("Ann", "Bob") for name in words.players]])
    torch.testing.assert_close(game(torch.tensor([[False, True]])), words(rows), rtol=0, atol=1e-4)


def test_an_interrupted_table_of_edits_is_found_again(models, tmp_path):
    model, tokenizer = models["lm"]
    def game(baseline): return text_game(model, tokenizer, "A red apple falls to the ground.", players=4, baseline=baseline)
    first = il.evaluate(game("remove"), progress=False, cache=tmp_path)
    assert torch.equal(il.evaluate(game("remove"), progress=False, cache=tmp_path), first) and len(list(tmp_path.iterdir())) == 1
    il.evaluate(game("replace:_"), progress=False, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_command_takes_units_and_answers(tiny_lm, tmp_path):
    from interlib.app import cli
    from interlib.app.arguments import TEXT_UNITS as told
    from interlib.model.text_players import UNITS_OF_TEXT
    assert {*told} == {"token", *UNITS_OF_TEXT}
    model, tokenizer = tiny_lm
    model.save_pretrained(tmp_path / "lm"), tokenizer.save_pretrained(tmp_path / "lm")
    call = ["explain", "The apple falls. It is red.", "--model", str(tmp_path / "lm"), "--unit", "sentence", "--target", "red apple", "--baseline", "replace:_", "--quiet", "--out", str(tmp_path / "out")]
    assert cli.main(call) == 0
    x = il.Interactions.load(tmp_path / "out" / "interactions.safetensors")
    assert x.players == ["The apple falls.", "It is red."] and x.meta["unit"] == "sentence" and len(x.meta["answer"]) > 1


def test_what_does_not_play_is_never_removed(tiny_lm):
    "A text of nothing but players cannot be emptied; some of them can be removed."
    text = "A red apple falls. It lies there! Who eats it?"
    how = dict(unit="sentence", baseline="remove")
    with pytest.raises(ValueError, match="nothing is left of the text"): il.evaluate(il.text_game(*tiny_lm, text, **how), progress=False)
    for players in (["Who eats it?", "A red apple falls."], 2, [1]):
        game = il.text_game(*tiny_lm, text, players, **how)
        assert il.evaluate(game, progress=False).isfinite().all()


def mean_state(model, ids):
    base = model.get_encoder() if model.config.is_encoder_decoder else model.base_model
    return base(input_ids=ids).last_hidden_state.double().mean(1)


@pytest.mark.parametrize("kind", ["language model", "encoder-decoder"])
def test_similarity_is_the_angle_between_two_texts(tiny_lm, kind):
    "Removal equals embedding the shortened text; masking no player the text itself; a text is most like itself."
    model, tokenizer = tiny_lm
    if kind == "encoder-decoder":
        torch.manual_seed(0)
        config = T5Config(vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0, eos_token_id=1, pad_token_id=0)
        model = T5ForConditionalGeneration(config).eval()
    text, reference = "A red apple falls to the ground", "the pull of gravity"
    game = text_game(model, tokenizer, text, target=reference, output="similarity", baseline="remove", players=["red", "falls"])
    read = lambda text: mean_state(model, torch.tensor([tokenizer(text)["input_ids"]]))
    with torch.no_grad():
        want = [torch.cosine_similarity(read(t), read(reference)).item() for t in ("A apple to the ground", "A red apple to the ground", "A apple falls to the ground", text)]
    v = il.evaluate(game, progress=False)
    assert torch.allclose(v, torch.tensor(want, dtype=v.dtype), atol=1e-5)
    masked = text_game(model, tokenizer, text, target=text, output="similarity")
    w = il.evaluate(masked, progress=False)
    assert w.argmax() == 2**masked.n - 1 and w[-1] == pytest.approx(1, abs=1e-5) and w.min() < .999
    assert masked.meta["target"] == text and masked.meta["output"] == "similarity"


@pytest.mark.parametrize("wrong, said", [(dict(target=None), "target: got None; it must be a text to compare with"), (dict(target=["a"]), "target: got"), (dict(target="a", rival="b"), "rival: got 'b'"),
                                         (dict(target="a", answers=["a", "b"]), "answers: got"), (dict(target="a", answer_length=3), "answer_length: got 3"), (dict(target="the pull " * 600), "target: got")])
def test_similarity_without_a_text_to_compare_with(tiny_lm, wrong, said):
    with pytest.raises((TypeError, ValueError), match=said): text_game(*tiny_lm, "A red apple falls", output="similarity", **wrong)


@pytest.mark.parametrize("baseline, left", [("remove", "A apple falls"), ("replace:green", "A green apple falls"), (str.upper, "A RED apple falls")])
def test_a_classifier_reads_the_edited_text(baseline, left):
    "Sentence classifiers too are asked with what is left, tokenized anew."
    from transformers import BertConfig, BertForSequenceClassification
    tokenizer = il.load_encoder(progress=False)[1]
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)).eval()
    game = text_game(model, tokenizer, "A red apple falls", ["red"], target=1, baseline=baseline, output="logit")
    with torch.no_grad(): want = [model(**tokenizer(t, return_tensors="pt")).logits[0, 1].item() for t in (left, "A red apple falls")]
    assert il.evaluate(game, progress=False).tolist() == pytest.approx(want, abs=1e-5)
