"""Games: against one-by-one loops, the model as it was, players and spans, other libraries, bad input."""
import copy
import warnings
from functools import partial

import numpy as np
import pytest
import torch

import interlib as il
from interlib.model.regions import players_of, words
from interlib.nets.networks import resnet
from interlib.model.outputs import log_odds

TEXT = "A red apple falls, to the ground; because of gravity's pull"


class Skip(torch.nn.Module):
    "A block whose input goes around the hooked layer, by a sum or by concatenation."
    def __init__(self, join):
        super().__init__()
        torch.manual_seed(0)
        self.below, self.inside, self.join = torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Conv2d(4, 4, 3, padding=1), join
        self.head = torch.nn.Linear(4 if join is torch.add else 8, 3)
    def forward(self, x):
        x = self.below(x).relu()
        return self.head(self.join(x, self.inside(x)).tanh().mean((2, 3)))


def concatenate(a, b): return torch.cat([a, b], 1)


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory):
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast
    vocab = tmp_path_factory.mktemp("bert")/"vocab.txt"
    vocab.write_text("\n".join("[PAD] [UNK] [CLS] [SEP] [MASK] a red apple falls , to the ground ; because of gravity ' s pull".split()))
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=3)).eval()
    for p in model.parameters(): p.data.mul_(4)
    return model, BertTokenizerFast(str(vocab))


@pytest.fixture(scope="module")
def image():
    return torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(3))


def naive(n, output):
    "The table asked one by one: `output(present)` for a list of bool."
    with torch.no_grad(): return torch.tensor([float(output([bool(c >> i & 1) for i in range(n)])) for c in range(2**n)], dtype=torch.float64)


def test_text_table_equals_a_naive_loop(tiny_lm):
    model, tokenizer = tiny_lm
    game = il.text_game(model, tokenizer, TEXT, players=["red", "falls", "ground", "because", "gravity's", "pull"], baseline="zero")
    found = tokenizer(TEXT, return_offsets_mapping=True)
    target = tokenizer(game.meta["target"], add_special_tokens=False)["input_ids"][0]
    def output(present):
        x = model.get_input_embeddings()(torch.tensor([found["input_ids"]])).clone()
        for p, here in zip(game.players, present):
            start = TEXT.index(p)
            if not here: x[0, [t for t, (a, b) in enumerate(found["offset_mapping"]) if a < start + len(p) and b > start]] = 0
        return log_odds(model(inputs_embeds=x).logits[:, -1], target)
    for tree in (True, False): torch.testing.assert_close(il.evaluate(game, batch_size=8, tree=tree, progress=False), naive(6, output), atol=1e-4, rtol=1e-5)


def test_classifier_table_equals_a_naive_loop(tiny_bert):
    model, tokenizer = tiny_bert
    game = il.text_game(model, tokenizer, TEXT, players=["red", "falls", "ground", "because", "gravity's", "pull"], baseline="mask", target=1)
    def output(present):
        masked = TEXT
        for p, here in zip(game.players, present):
            if not here: masked = masked.replace(p, " ".join(["[MASK]"] * len(tokenizer.tokenize(p))))
        return log_odds(model(**tokenizer(masked, return_tensors="pt")).logits, 1)
    torch.testing.assert_close(il.evaluate(game, progress=False), naive(6, output), atol=1e-5, rtol=1e-5)


def test_image_table_equals_a_naive_loop(image):
    net = resnet(20, channels=1, classes=3, seed=0).eval()
    game = il.image_game(net, image, grid=(2, 3), target=2, baseline=torch.tensor(.5), output="log_odds")
    def output(present):
        x = image.clone()
        for i, here in enumerate(present):
            rows = [r for r in range(16) if r * 2 // 16 == i // 3]
            columns = [c for c in range(16) if c * 3 // 16 == i % 3]
            if not here: x[:, rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1] = .5
        return log_odds(net(x[None]), 2)
    torch.testing.assert_close(il.evaluate(game, batch_size=7, progress=False), naive(6, output), atol=1e-5, rtol=1e-5)


def test_table_rows_equal_a_naive_loop():
    from sklearn.datasets import load_wine
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
    data = load_wine(as_frame=True)
    x, y = data.data.iloc[:, :6], data.target
    classes, number = GradientBoostingClassifier(random_state=0, n_estimators=20).fit(x, y), GradientBoostingRegressor(random_state=0, n_estimators=20).fit(x, y)
    background = x.iloc[::40]
    def masked(present):
        rows = background.copy()
        for name, here in zip(x.columns, present):
            if here: rows[name] = x.iloc[0][name]
        return rows
    game = il.tabular_game(classes, x.iloc[0], background, target=0, output="log_odds")
    def odds(present):
        p = classes.predict_proba(masked(present))[:, 0]
        return np.log(p / (1 - p)).mean()
    torch.testing.assert_close(il.evaluate(game, progress=False), naive(6, odds), atol=1e-5, rtol=1e-5)
    for predict in (number, number.predict, lambda rows: number.predict(__import__("pandas").DataFrame(rows, columns=x.columns))):
        game = il.tabular_game(predict, x.iloc[0], background)
        assert game.meta["output"] == "logit"
        torch.testing.assert_close(il.evaluate(game, progress=False), naive(6, lambda present: number.predict(masked(present)).mean()), atol=1e-8, rtol=1e-8)


def masked_by_hand(feature, game, fill, regions):
    "Every coalition's feature, one by one."
    return torch.stack([torch.where(torch.tensor([bool(c >> p & 1) if p >= 0 else True for p in regions.flatten().tolist()]).reshape(regions.shape), feature, fill) for c in range(2**game.n)])


@pytest.mark.parametrize("layer", ["layer1", "layer2.0", "bn1"])
def test_features_equal_the_full_network_resnet(image, layer):
    net = resnet(20, channels=1, classes=3, seed=0).eval()
    game = il.feature_game(net, image[None], layer, grid=2, target=1)
    seen = []
    handle = net.get_submodule(layer).register_forward_hook(lambda m, a, out: seen.append(out))
    with torch.no_grad(): net(image[None])
    handle.remove()
    f = seen[0][0]
    r = torch.arange(f.shape[1]) * 2 // f.shape[1]
    features = masked_by_hand(f, game, f.mean((1, 2), keepdim=True), r[:, None] * 2 + r)
    want = []
    for x in features:
        handle = net.get_submodule(layer).register_forward_hook(lambda m, a, out: x[None])
        with torch.no_grad(): want.append(log_odds(net(image[None]), 1).item())
        handle.remove()
    torch.testing.assert_close(il.evaluate(game, progress=False), torch.tensor(want, dtype=torch.float64), atol=1e-4, rtol=1e-4)


def test_features_equal_the_full_network_bert(tiny_bert):
    model, tokenizer = tiny_bert
    game = il.feature_game(model, TEXT, "bert.encoder.layer.0", tokenizer=tokenizer, players=["red", "apple", "gravity's", "pull"], target=1, baseline="zero")
    inputs = tokenizer(TEXT, return_tensors="pt")
    offsets = tokenizer(TEXT, return_offsets_mapping=True)["offset_mapping"]
    chosen = [p for p in players_of(TEXT, offsets) if p.name in game.players]
    with torch.no_grad():
        f = model(**inputs, output_hidden_states=True).hidden_states[1]
        want = []
        for c in range(16):
            x = f.clone()
            for i, p in enumerate(chosen):
                if not c >> i & 1: x[0, list(p.positions)] = 0
            handle = model.bert.encoder.layer[0].register_forward_hook(lambda m, a, out: (x, *out[1:]) if isinstance(out, tuple) else x)
            want.append(log_odds(model(**inputs).logits, 1).item())
            handle.remove()
    torch.testing.assert_close(il.evaluate(game, progress=False), torch.tensor(want, dtype=torch.float64), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("join", [torch.add, concatenate])
def test_features_with_a_connection_around_the_layer(image, join):
    net = Skip(join).eval()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        game = il.feature_game(net, image[None], "inside", grid=2, target=1, baseline="zero")
    assert bool(told) == (join is concatenate) and all("the whole network runs for each" in str(w.message) for w in told)
    r = torch.arange(16) // 8
    with torch.no_grad():
        below = net.below(image[None]).relu()
        features = masked_by_hand(net.inside(below)[0], game, torch.zeros(()), r[:, None] * 2 + r)
        want = log_odds(net.head(join(below.expand(16, -1, -1, -1), features).tanh().mean((2, 3))), 1)
    torch.testing.assert_close(il.evaluate(game, progress=False), want.double(), atol=1e-5, rtol=1e-5)


def test_layers_below_run_once_a_batch(image):
    net = resnet(20, channels=1, classes=3, seed=0).eval()
    game, rows = il.feature_game(net, image[None], "layer2", grid=3), {}
    for name in ("layer1", "layer3"): net.get_submodule(name).register_forward_hook(lambda m, a, out, name=name: rows.setdefault(name, []).append(len(out)))
    il.evaluate(game, batch_size=128, progress=False)
    assert rows == {"layer1": [1] * 8, "layer3": [128] * 4 + [1] * 4}     # and four coalitions again, one by one


def test_data_for_a_feature_baseline(image):
    net, data = resnet(20, channels=1, classes=3, seed=0).eval(), torch.rand(70, 1, 16, 16)
    with torch.no_grad(): features = net.layer1(net.bn1(net.conv1(data)).relu())
    for baseline, want in (("mean", features.mean(0)), ("channel_mean", features.mean((0, 2, 3))[:, None, None])):
        game = il.feature_game(net, image[None], "layer1", grid=2, baseline=baseline, data=data)
        torch.testing.assert_close(game.masked.fill, want, atol=1e-5, rtol=1e-5)


def test_random_players(tiny_lm, image):
    draw = lambda seed: il.text_game(*tiny_lm, TEXT, players=4, choose="random", seed=seed).players
    assert draw(1) == draw(1) and len({tuple(draw(s)) for s in range(20)}) > 5
    assert all(set(draw(s)) <= {"red", "apple", "falls", "ground", "gravity's", "pull"} for s in range(20))
    with pytest.raises(ValueError, match="6 eligible words"): il.text_game(*tiny_lm, TEXT, players=7, choose="random")
    half = image.clone(); half[:, :, 8:] = 0
    net = Skip(torch.add)
    for s in range(10): assert all(p[-1] in "01" for p in il.image_game(net, half, players=5, choose="random", seed=s).players)


def test_the_strongest_patches_are_those_with_the_largest_effect(image):
    net = Skip(torch.add).eval()
    effects = []
    with torch.no_grad():
        for i in range(16):
            x = image.clone(); x[:, i // 4 * 4:i // 4 * 4 + 4, i % 4 * 4:i % 4 * 4 + 4] = 0
            effects.append((net(image[None]) - net(x[None]))[0, 2].abs().item())
    assert il.image_game(net, image, players=5, target=2).meta["indices"] == sorted(sorted(range(16), key=lambda i: -effects[i])[:5])


def test_background_stays(image):
    net = Skip(torch.add).eval()
    game = il.image_game(net, image, players=["r0c0"], target=0)
    x = image.clone(); x[:, :4, :4] = 0
    with torch.no_grad(): torch.testing.assert_close(game(il.masks(1)), net(torch.stack([x, image]))[:, 0])


def test_superpixels(image):
    labels = (torch.arange(16)[:, None] + torch.arange(16)) // 8 * 10 - 10      # stripes across, the first one background
    game = il.image_game(Skip(torch.add), image, regions=labels.numpy())
    assert game.players == ["region 0", "region 10", "region 20"]
    assert il.evaluate(game, progress=False).shape == (8,)


def test_several_targets_and_margin(tiny_lm, tiny_bert, image):
    for make in (partial(il.text_game, *tiny_lm, TEXT, players=3), partial(il.text_game, *tiny_bert, TEXT, players=3), partial(il.image_game, Skip(torch.add), image, players=3),
                 partial(il.feature_game, Skip(torch.add), image[None], "below", players=3), partial(il.tabular_game, torch.nn.Linear(4, 3), torch.ones(4), torch.zeros(4), players=3)):
        own = make().meta["indices"]
        both = il.evaluate(make(players=own, target=[2, 0], output="logit"), progress=False)
        one = [il.evaluate(make(players=own, target=t, output="logit"), progress=False) for t in (2, 0)]
        assert both.shape == (2, 8)
        torch.testing.assert_close(both, torch.stack(one), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(il.evaluate(make(players=own, target=2, rival=0, output="margin"), progress=False), one[0] - one[1], atol=1e-4, rtol=1e-4)


def test_chat(tiny_lm):
    model, tokenizer = tiny_lm[0], copy.deepcopy(tiny_lm[1])
    with pytest.raises(ValueError, match="no chat template"): il.text_game(model, tokenizer, TEXT, chat=True)
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>"
    game = il.text_game(model, tokenizer, TEXT, players=["red", "pull"], chat=[{"role": "system", "content": "A red pull"}])
    prompt = f"<system>A red pull\n<user>{TEXT}\n<assistant>"
    found = tokenizer(prompt, return_offsets_mapping=True)
    assert game.tokens == len(found["input_ids"])
    for i, p in enumerate(game.players):
        own = [t for t, r in enumerate(game.masked.regions.flatten().tolist()) if r == i]
        assert tokenizer.decode([found["input_ids"][t] for t in own]).strip() == p and found["offset_mapping"][own[0]][0] >= prompt.index(TEXT) - 1
    game = il.text_game(model, tokenizer, "assistant", chat=True)            # a word of the template
    found = tokenizer("<user>assistant\n<assistant>", return_offsets_mapping=True)
    assert all(6 <= found["offset_mapping"][t][0] < 15 for t, r in enumerate(game.masked.regions.flatten().tolist()) if r == 0)
    for wrong in ("Be brief.", None, ["hi"]):
        with pytest.raises(TypeError, match="chat: got"): il.text_game(model, tokenizer, TEXT, chat=wrong)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content | upper }}{% endfor %}"
    with pytest.raises(ValueError, match="the chat template changes it"): il.text_game(model, tokenizer, TEXT, chat=True)


def test_outputs_without_a_name_and_wrong_ones(tiny_lm):
    half = il.text_game(*tiny_lm, TEXT, players=3, output=partial(lambda z, y, k: k * z[:, y], k=.5))
    assert half.meta["output"] == "partial" and il.evaluate(half, progress=False).shape == (8,)
    for wrong in (lambda z, y: z[:, y].tolist(), lambda z, y: None, lambda z, y: z[:, y] + 1j):
        with pytest.raises(TypeError, match="it must return a tensor of real numbers"): il.evaluate(il.text_game(*tiny_lm, TEXT, players=[1, 2], output=wrong), progress=False)


@pytest.mark.parametrize("output", ["log_odds", "log_prob", "prob", "logit", lambda z, y: z[:, y] - z.mean(1)])
def test_every_output_and_a_function(tiny_lm, output):
    v = il.evaluate(il.text_game(*tiny_lm, TEXT, players=3, output=output), progress=False)
    assert v.shape == (8,) and v.dtype == torch.float64 and v.isfinite().all()


def state_of(model):
    return ([m.training for m in model.modules()], [len(m._forward_hooks) for m in model.modules()], model.training, [(p.dtype, p.device, p.requires_grad, p.grad) for p in model.parameters()], {k: t.clone() for k, t in model.state_dict().items()})


def same(a, b):
    return a[:4] == b[:4] and all(torch.equal(a[4][k], t) for k, t in b[4].items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["text", "classifier", "image", "feature", "table"])
def test_the_model_comes_back_as_it_was(tiny_lm, tiny_bert, image, dtype, kind):
    source = {"text": tiny_lm[0], "classifier": tiny_bert[0], "table": torch.nn.Sequential(torch.nn.Linear(4, 3))}.get(kind, Skip(torch.add))
    model = copy.deepcopy(source).to(dtype).train()
    next(model.children()).eval()
    make = {"text": partial(il.text_game, model, tiny_lm[1], TEXT), "classifier": partial(il.text_game, model, tiny_bert[1], TEXT), "image": partial(il.image_game, model, image),
            "feature": partial(il.feature_game, model, image[None], "inside"), "table": partial(il.tabular_game, model, torch.ones(4), torch.zeros(4))}[kind]
    before = state_of(model)
    il.evaluate(make(players=3), progress=False)
    assert same(before, state_of(model))
    for bad in (dict(target=10**6), dict(baseline=torch.zeros(7, 7)), dict(players=99)):
        with pytest.raises(ValueError): make(**bad) if kind != "table" or "baseline" not in bad else il.tabular_game(model, torch.ones(4), torch.zeros(7, 7))
        assert same(before, state_of(model))
    def fails(z, y): raise ZeroDivisionError
    def infinite(z, y): return z[:, y] / 0
    for output, error in ((fails, ZeroDivisionError), (infinite, ValueError)):
        with pytest.raises(error): il.evaluate(make(players=[0, 1, 2], output=output), progress=False)
        assert same(before, state_of(model)) and not torch.is_inference_mode_enabled()


def test_stop_words_play_only_after_all_others(tiny_lm):
    game = il.text_game(*tiny_lm, TEXT, players=6)
    assert game.players == ["red", "apple", "falls", "ground", "gravity's", "pull"]
    seven = il.text_game(*tiny_lm, TEXT, players=7).players
    assert set(game.players) < set(seven)


def test_shapiq_games_run_here_and_ours_run_there(tiny_lm):
    from shapiq import ExactComputer
    from shapiq_games.synthetic import SOUM
    soum = SOUM(n=6, n_basis_games=8, random_state=1)
    v = il.evaluate(soum, progress=False)
    exact = ExactComputer(game=soum, n_players=6)("SV")
    phi = il.shapley(il.and_transform(v))
    assert max(abs(exact[(i,)] - phi[i].item()) for i in range(6)) < 1e-9

    game = il.text_game(*tiny_lm, TEXT, players=5)
    theirs = ExactComputer(game=game, n_players=5)("SV")
    ours = il.shapley(il.and_transform(il.evaluate(game, progress=False)))
    assert max(abs(theirs[(i,)] - ours[i].item()) for i in range(5)) < 1e-4


def test_shapiq_approximators_take_our_games(image):
    from shapiq import KernelSHAP, PermutationSamplingSV
    game = il.image_game(Skip(torch.add), image, grid=2, target=0)
    phi = il.shapley(il.and_transform(il.evaluate(game, progress=False)))
    for approximator, eps in ((KernelSHAP(n=4, random_state=0), 1e-4), (PermutationSamplingSV(n=4, random_state=0), .05)):
        got = approximator.approximate(2000, game)
        assert max(abs(got[(i,)] - phi[i].item()) for i in range(4)) < eps * phi.abs().max()


def test_a_long_prompt_can_choose_its_players(tiny_lm):
    game = il.text_game(*tiny_lm, " ".join(f"word{i}" for i in range(40)), players=4)
    assert game.n == 4 and il.evaluate(game, progress=False).shape == (16,)


PROMPTS = [
    "Don't panic: it isn't over, is it?", "The well-known U.S. senator's e-mails (all 33,000 of them) leaked.", "“Quoted,” he said -- twice... twice!",
    "naïve café déjà-vu", "rock 'n' roll isn’t dead", "2 + 2 = 4.0, not 5!", "the the the", "supercalifragilisticexpialidocious antidisestablishmentarianism", "tabs\tand\nnew lines\r\n  here",
    "She'd've gone, wouldn't she?", "A red apple falls to the ground because of the pull of", "O'Neill's mother-in-law's cat", "buy now!!! buy now!!! buy", "(parentheses) [brackets] {braces} <tags>",
    "email@example.com or http://example.com/path?q=1", "The film is good, but the ending... not so much.", "to be or not to be, that is the question", "1984 was written in 1948; 2024 wasn't",
    "Ångström measured 10 µm at 37 °C", "Zürich—Genève—Łódź", "a/b and c\\d", "x_1 = y_2 + z_3", "ROFLMAO thatsHilarious CamelCaseWord", "well,then;stop.now", "'single' \"double\" `back`",
    "It was the best of times, it was the worst of times", "quasi-experimental psycholinguistics", "fiancée's résumé isn't up-to-date", "no. no! no? no", "ice-cream, ice cream & icecream", "100% of $5.99 = £4.50?",
]


def check_spans(tokenizer, text):
    found = tokenizer(text, return_offsets_mapping=True)
    players = players_of(text, found["offset_mapping"])
    assert len(players) == len(words(text)) and all(w.text in p.name for w, p in zip(words(text), players))
    norm = lambda t: t.replace(" ", "")                                    # BERT's decoder puts blanks around hyphens and apostrophes
    for p in players:
        decoded = tokenizer.decode([found["input_ids"][t] for t in p.positions], clean_up_tokenization_spaces=False)
        plain = norm(decoded.replace("##", ""))
        wanted = tokenizer.backend_tokenizer.normalizer.normalize_str(p.name) if tokenizer.backend_tokenizer.normalizer else p.name
        assert plain == norm(wanted.replace("▁", " ")), (p.name, decoded)
    taken = [t for p in players for t in p.positions]
    assert len(taken) == len(set(taken))


@pytest.mark.parametrize("name", ["smollm2", "gemma3-270m", "minilm"])
def test_the_masked_span_is_the_printed_player(name):
    tokenizer = (il.load_encoder(name, progress=False) if name == "minilm" else il.load_lm(name, progress=False))[1]
    assert len(PROMPTS) >= 30
    for text in PROMPTS: check_spans(tokenizer, text)


@pytest.mark.parametrize("text", PROMPTS)
def test_the_masked_span_of_a_small_tokenizer(tiny_lm, text): check_spans(tiny_lm[1], text)


@pytest.mark.parametrize("change, error, message", [
    (dict(text=""), ValueError, "at least one word"),
    (dict(text=None), TypeError, "text: got a NoneType"),
    (dict(players=0), ValueError, "from 1 to 11"),
    (dict(players=[]), ValueError, "got none"),
    (dict(players=[0, 0]), ValueError, "index 0 twice"),
    (dict(players=[11]), ValueError, "words 0 to 10"),
    (dict(players=["green"]), ValueError, "the words are A, red"),
    (dict(players="red"), TypeError, "a list of words"),
    (dict(players=1.5), TypeError, "1.5"),
    (dict(target=10**6), ValueError, "target: got 1000000; the model has the classes 0 to"),
    (dict(target=-1), ValueError, "target: got -1"),
    (dict(target=1.5), TypeError, "target: got a float"),
    (dict(target=[]), ValueError, "at least one class"),
    (dict(output="margin"), ValueError, "'margin' needs the class to compare with"),
    (dict(rival="red"), ValueError, "rival: got"),
    (dict(output="margin", rival="apple pie"), ValueError, "rival: got .* it must be one token"),
    (dict(choose="best"), ValueError, "'strongest' or 'random'"),
    (dict(players=True), TypeError, "players: got True"),
    (dict(baseline="cls"), ValueError, "which this tokenizer does not have"),
    (dict(baseline=il.Baseline(torch.zeros(32), "another", {})), ValueError, "learned for another"),
    (dict(text="apple " * 600), ValueError, "the model reads 512 at most"),
    (dict(target=["apple pie"]), ValueError, "must be one token"),
    (dict(baseline="average value"), ValueError, "baseline: got 'average value', which is"),
    (dict(baseline=torch.zeros(31)), ValueError, r"shape \(31,\); it must be \(32,\)"),
    (dict(baseline=torch.full((32,), torch.nan)), ValueError, "must be finite"),
    (dict(baseline=None), TypeError, "got a NoneType"),
    (dict(output="odds"), ValueError, "'log_odds', 'log_prob', 'prob', 'logit'"),
])
def test_bad_input(tiny_lm, change, error, message):
    with pytest.raises(error, match=message): il.text_game(*tiny_lm, **{"text": TEXT, **change})


class InPlace(torch.nn.Module):
    "Overwrites its input, and the features after every layer."
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(inplace=True), torch.nn.Conv2d(4, 4, 3), torch.nn.ReLU(inplace=True))
        self.head = torch.nn.Linear(4, 3)
    def forward(self, x): return self.head(self.layers(x.sub_(.5).div_(.25)).mean((2, 3)))


@pytest.mark.parametrize("layer", ["layers.0", "layers.1", "layers.2", None])
def test_networks_that_overwrite_what_they_get(image, layer):
    net, own = InPlace().eval(), image.clone()
    game = il.image_game(net, image, grid=2, target=1) if layer is None else il.feature_game(net, image[None], layer, grid=2, target=1, output="logit")
    v = il.evaluate(game, batch_size=3, progress=False)
    assert torch.equal(image, own)
    with torch.no_grad(): assert abs(net(image[None].clone())[0, 1] - v[-1]) < 1e-5
    if layer == "layers.0":
        with torch.no_grad():
            f = net.layers[0]((image[None] - .5) / .25)
            nobody = f.mean((2, 3), keepdim=True).expand_as(f)
            assert abs(net.head(net.layers[1:](nobody.clone()).mean((2, 3)))[0, 1] - v[0]) < 1e-5


def test_a_function_that_overwrites_its_rows():
    def own(rows):
        rows[:, 0] = np.log(np.abs(rows[:, 0]) + 1)
        return rows.sum(1)
    row = np.array([5., 2, 3])
    v = il.evaluate(il.tabular_game(own, row, np.zeros(3)), progress=False)
    assert row.tolist() == [5, 2, 3] and abs(v[-1] - np.log(6) - 5) < 1e-9


def test_chance_and_batches_are_found_out(image):
    class Moody(torch.nn.Module):
        def __init__(self, how): super().__init__(); self.net, self.how = Skip(torch.add), how
        def forward(self, x): return self.net(self.how(x))
    for how, what in ((lambda x: torch.nn.functional.dropout(x, .5), "chance"), (lambda x: x - x.mean(0), "the batch")):
        with pytest.raises(ValueError, match=f"must not depend on {what}"): il.image_game(Moody(how), image)


def test_threads_share_a_network(image):
    from concurrent.futures import ThreadPoolExecutor
    net = resnet(20, channels=1, classes=3, seed=0).train()
    games = [il.feature_game(net, image[None] * (k + 1) / 4, "layer2", grid=3, target=0) for k in range(4)]
    want = [il.evaluate(g, progress=False) for g in games]
    with ThreadPoolExecutor(4) as pool: got = list(pool.map(lambda g: il.evaluate(g, progress=False, batch_size=16), games * 2))
    for a, b in zip(got, want * 2): torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    assert all(m.training for m in net.modules())


def test_decision_values_of_classifiers_without_probabilities():
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC
    x, y = load_iris(return_X_y=True)
    svc = SVC().fit(x, y)
    game = il.tabular_game(svc, x[0], x.mean(0), target=0)
    assert game.meta["output"] == "logit" and abs(il.evaluate(game, progress=False)[-1] - svc.decision_function(x[:1])[0, 0]) < 1e-9


def test_numbers_of_numpy_and_torch(image):
    make = partial(il.image_game, Skip(torch.add), image)
    want = make(players=[0, 2], target=[0, 2], output="logit")
    for players, target in ((np.array([0, 2]), np.array([0, 2])), (torch.tensor([0, 2]), torch.tensor([0, 2])), ((0, 2), range(0, 3, 2)), ([np.int64(0), 2], (np.int64(0), 2))):
        game = make(players=players, target=target)
        assert game.players == want.players and torch.equal(game(il.masks(2)), want(il.masks(2)))
    assert make(players=np.int64(3)).n == 3


@pytest.mark.parametrize("change, error, message", [
    (dict(image=torch.zeros(16, 16)), ValueError, r"image: got torch.float32 of shape \(16, 16\); it must be a float tensor \(C, H, W\)"),
    (dict(image=torch.zeros(1, 16, 16, dtype=torch.uint8)), ValueError, "float tensor"),
    (dict(image=np.zeros((1, 16, 16))), ValueError, r"got float64 of shape \(1, 16, 16\); it must be the path of a file, a picture of PIL"),
    (dict(image=torch.zeros(3, 16, 16)), ValueError, "image: the model does not take"),
    (dict(grid=0), ValueError, "grid: got 0"),
    (dict(grid=17), ValueError, "from 1 to the 16 x 16 pixels"),
    (dict(border=8), ValueError, "less than half"),
    (dict(players=17), ValueError, "there are 16 patches"),
    (dict(players=["r9c9"]), ValueError, "the patches are r0c0"),
    (dict(regions=torch.zeros(8, 8).long()), ValueError, r"it must be \(16, 16\)"),
    (dict(target=3), ValueError, "classes 0 to 2"),
    (dict(target="three"), ValueError, "known by number only"),
    (dict(baseline="mean"), ValueError, "needs the inputs to average"),
    (dict(baseline="black"), ValueError, "'zero', 'mean' .with data., 'channel_mean', 'blur'"),
    (dict(baseline=torch.zeros(16)), ValueError, r"it must be \(1, 16, 16\) or \(1, 1, 1\) or \(\)"),
    (dict(data=torch.zeros(5, 1, 8, 8), baseline="mean"), ValueError, "data: got shape"),
    (dict(output="odds"), ValueError, "output: got 'odds'"),
])
def test_bad_images(image, change, error, message):
    with pytest.raises(error, match=message): il.image_game(Skip(torch.add), **{"image": image, **change})


@pytest.mark.parametrize("change, error, message", [
    (dict(layer="layer9"), ValueError, "layer: got 'layer9'; it must be one of 'below', 'inside', 'head'"),
    (dict(layer="head", baseline="zero", players=5), ValueError, "there are 3 units"),
    (dict(inputs=5), TypeError, "inputs: got a int"),
    (dict(inputs="a text"), TypeError, "a text needs a fast tokenizer"),
    (dict(inputs=torch.zeros(2, 1, 16, 16)), ValueError, r"it must be \(1, C, h, w\)"),
    (dict(grid=20), ValueError, "from 1 to the 16 x 16"),
    (dict(baseline="mean"), ValueError, "needs the inputs to average"),
])
def test_bad_features(image, change, error, message):
    with pytest.raises(error, match=message): il.feature_game(Skip(torch.add), **{"inputs": image[None], "layer": "inside", **change})


@pytest.mark.parametrize("change, error, message", [
    (dict(row=[1., 2., float("nan"), 4.]), ValueError, "row: got"),
    (dict(row=["a", "b", "c", "d"]), TypeError, "row: got a list"),
    (dict(row=torch.zeros(5)), ValueError, "baseline: got a tensor of shape"),
    (dict(baseline=torch.zeros(0, 4)), ValueError, "baseline: got a tensor"),
    (dict(columns=["a"]), ValueError, "the row has 4 columns"),
    (dict(columns=["a", "a", "b", "c"]), ValueError, "3 different names"),
    (dict(groups={"g": ["x9"]}), ValueError, "the columns are x0, x1, x2, x3"),
    (dict(predict="model"), TypeError, "predict: got a str"),
    (dict(predict=lambda rows: rows, target=9), ValueError, "classes 0 to 3"),
    (dict(predict=lambda rows: rows[:, 0], output="prob"), ValueError, "whose only output is 'logit'"),
    (dict(output="odds"), ValueError, "output: got 'odds'"),
    (dict(players=5), ValueError, "there are 4 columns"),
])
def test_bad_rows(change, error, message):
    with pytest.raises(error, match=message): il.tabular_game(**{"predict": torch.nn.Linear(4, 3), "row": torch.ones(4), "baseline": torch.zeros(4), **change})


def test_a_model_that_is_neither(tiny_lm):
    from types import SimpleNamespace
    model = torch.nn.Module()
    model.embed, model.config = tiny_lm[0].get_input_embeddings(), SimpleNamespace(_name_or_path="x")
    model.get_input_embeddings, model.can_generate = (lambda: model.embed), lambda: False
    model.forward = lambda input_ids, attention_mask=None, token_type_ids=None: SimpleNamespace(logits=torch.zeros(1, 5, 2))
    with pytest.raises(ValueError, match="must be a causal language model or a sequence classifier"): il.text_game(model, tiny_lm[1], TEXT)
    model.forward = lambda input_ids: None
    with pytest.raises(ValueError, match="returns no logits"): il.text_game(model, tiny_lm[1], TEXT)
    model.forward = lambda inputs_embeds: SimpleNamespace(logits=torch.zeros(1, 2))
    with pytest.raises(TypeError, match="cannot be asked with the tokens of a text"): il.text_game(model, tiny_lm[1], TEXT)


def test_a_model_that_is_spread_or_offloaded(tiny_lm, tiny_bert):
    from accelerate import cpu_offload, dispatch_model
    for model, tokenizer in (tiny_lm, tiny_bert):
        want = il.evaluate(il.text_game(model, tokenizer, TEXT, players=4, target=1), progress=False)
        for spread in (partial(cpu_offload, execution_device=torch.device("cpu")), partial(dispatch_model, device_map={"": "cpu"}, force_hooks=True)):
            moved = spread(copy.deepcopy(model))
            torch.testing.assert_close(il.evaluate(il.text_game(moved, tokenizer, TEXT, players=4, target=1), progress=False), want, atol=1e-4, rtol=1e-4)
