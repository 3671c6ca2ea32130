"""Text games against the models asked directly, over many architectures; targets as the text continues; what a folder holds; a training that goes on."""
import json
import warnings
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedTokenizerFast

import interlib as il
from interlib.model.text_targets import Token, begins_word, text_target

TEXT, ENDS = "A red apple falls, to the ground.", torch.tensor([[False], [True]])
SPECIAL = dict(pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>", mask_token="<mask>")
CORPUS = ["A red apple falls to the ground because of the pull of gravity", "A well-known (known) fact is known as “known”, known and/or known"] * 3


def byte_level():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=360, show_progress=False, special_tokens=list(SPECIAL.values()), initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return PreTrainedTokenizerFast(tokenizer_object=t, **SPECIAL)


def sentence_piece():
    "Words begin with a mark for the space, as in Llama's and Gemma's vocabularies, also the first."
    whole = "known fact well is as and or the it pull of".split()
    pieces = [(piece, -len(whole)) for word in whole for piece in ("▁" + word, word)]
    characters = [(c, -99.) for c in sorted({*"".join(CORPUS), *"[]/'\",:.-▁ abcdefghijklmnopqrstuvwxyz"})]
    t = Tokenizer(models.Unigram([*((s, 0.) for s in SPECIAL.values()), *pieces, *characters], unk_id=3))
    t.pre_tokenizer, t.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=t, **SPECIAL)


@pytest.fixture(scope="module")
def tokenizer(): return byte_level()


# ---- many small models

SIZES = dict(vocab_size=360, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, head_dim=16, intermediate_size=32, max_position_embeddings=64,
             pad_token_id=0, bos_token_id=1, eos_token_id=2, embedding_size=16, d_model=32, n_embd=32, n_layer=2, n_head=2, n_positions=64, num_layers=2, num_heads=2, ffn_dim=32,
             n_heads=2, n_layers=2, max_seq_len=64, word_embed_proj_dim=16)
LMS = {name: {} for name in ("gpt2 llama mistral mixtral qwen2 qwen3 gemma gemma2 gemma3_text phi phi3 opt bloom gpt_neox falcon mpt stablelm olmo mamba gpt_bigcode biogpt openai-gpt "
                             "starcoder2 cohere granite glm xlnet").split()}
LMS |= dict(rwkv=dict(attention_hidden_size=32), codegen=dict(num_attention_heads=4, rotary_dim=8), gptj=dict(rotary_dim=8), xglm=dict(attention_heads=2), ctrl=dict(dff=32), xlm=dict(emb_dim=32),
            roberta=dict(is_decoder=True))
CLASSIFIERS = {name: {} for name in ("bert roberta distilbert albert electra deberta-v2 xlnet mpnet camembert xlm-roberta layoutlm gpt2 llama mistral gemma2 qwen2 opt bloom falcon mpt "
                                     "openai-gpt modernbert fnet esm").split()}
CLASSIFIERS |= dict(funnel=dict(block_sizes=[1, 1], d_head=16, d_inner=32, num_hidden_layers=None, num_attention_heads=None), longformer=dict(attention_window=4), ctrl=dict(dff=32),
                    flaubert=dict(emb_dim=32))
PER_LAYER = dict(vocab_size_per_layer_input=360, hidden_size_per_layer_input=8, num_kv_shared_layers=0, layer_types=["full_attention"] * 2)
SEQ2SEQ = dict(encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, decoder_start_token_id=0)


def small(kind, auto, **more):
    "A model whose weights, vectors included, are large enough for its input to matter."
    known = vars(transformers.CONFIG_MAPPING[kind]()) | transformers.CONFIG_MAPPING[kind].attribute_map
    given = {k: v for k, v in SIZES.items() if k in known} | more
    config = transformers.CONFIG_MAPPING[kind](**{k: v for k, v in given.items() if v is not None or k == "pad_token_id"})
    torch.manual_seed(0)
    model = auto.from_config(config).eval()
    with torch.no_grad():
        for p in model.parameters(): p.mul_(6) if p.ndim > 1 else p.add_(.3 * torch.randn(p.shape))
    return model


@torch.no_grad()
def directly(model, tokens, words=None):
    "Logits of the tokens; with the numbers of words, those are masked by the mean embedding in a hook."
    table = model.get_input_embeddings()
    mean = table(torch.arange(table.weight.shape[0])[None])[0].double().mean(0)
    def mask(module, args, found): return torch.where(torch.isin(args[0], words)[..., None], mean.to(found), found)
    handle = table.register_forward_hook(mask) if words is not None else None
    try: z = model(**tokens, return_dict=True).logits
    finally:
        if handle: handle.remove()
    return z if z.ndim == 2 else z[:, -1]


def log_odds(z, target):
    p = z.double().softmax(1)[0]
    return (p[target].log() - (p.sum() - p[target]).log()).item()


def agrees(model, tokenizer, text=TEXT):
    "A game of the text, and whether it says what the model says, all there and none there."
    tokens = tokenizer(text, return_tensors="pt")
    words = torch.tensor([i for i in tokens["input_ids"][0].tolist() if any(c.isalpha() for c in tokenizer.decode([i]))])
    before = model.config.to_dict()
    game = il.text_game(model, tokenizer, text)
    got = game(ENDS.expand(2, game.n)).tolist()
    target = game.meta["classes"]
    want = [log_odds(directly(model, tokens, words), target), log_odds(directly(model, tokens), target)]
    assert model.config.to_dict() == before and not model.get_input_embeddings()._forward_hooks
    assert target == directly(model, tokens).argmax().item() and abs(want[1] - want[0]) > 1e-3
    return game, got == pytest.approx(want, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("kind", LMS)
def test_language_models_say_what_they_say_directly(kind, tokenizer):
    assert agrees(small(kind, AutoModelForCausalLM, **LMS[kind]), tokenizer)[1]


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers_say_what_they_say_directly(kind, tokenizer):
    game, right = agrees(small(kind, AutoModelForSequenceClassification, num_labels=3, **CLASSIFIERS[kind]), tokenizer)
    assert right and ("input_ids" in game.masked.given) == (kind in ("longformer", "esm"))      # these two read token numbers beside embeddings


@pytest.mark.parametrize("kind, auto, more, says", [
    ("gemma3n_text", AutoModelForCausalLM, dict(PER_LAYER, laurel_rank=4, activation_sparsity_pattern=[0., 0.], intermediate_size=[32, 32]), "masked words would still be seen"),
    ("gemma4_text", AutoModelForCausalLM, dict(PER_LAYER, global_head_dim=16), "cannot be asked with masked embeddings"),
    ("bart", AutoModelForSequenceClassification, SEQ2SEQ, "cannot be asked with masked embeddings"),
    ("t5", AutoModelForSequenceClassification, dict(decoder_start_token_id=0, d_kv=16, d_ff=32), "cannot be asked with masked embeddings"),
    ("bert", transformers.AutoModelForMaskedLM, {}, "must be a causal language model or a sequence classifier"),
    ("bert", transformers.AutoModelForQuestionAnswering, dict(return_dict=False), "returns no logits"),
    ("bert", transformers.AutoModelForMultipleChoice, {}, "does not take|sequence classifier"),
    ("canine", AutoModelForSequenceClassification, {}, "no embeddings of tokens"),
])
def test_what_cannot_be_masked_is_refused(kind, auto, more, says, tokenizer):
    with pytest.raises((TypeError, ValueError), match=says): il.text_game(small(kind, auto, **more), tokenizer, TEXT + "</s>")


# ---- classifiers without a padding token, and odd places of it

@pytest.mark.parametrize("kind, more, text", [
    ("gpt2", dict(pad_token_id=None), TEXT), ("llama", dict(pad_token_id=None), TEXT), ("qwen2", dict(pad_token_id=None), TEXT),
    ("gpt2", dict(pad_token_id=None), TEXT + "</s>"),
    ("gpt2", {}, TEXT + "<pad>"),                                       # read at the last token that is no padding
    ("gpt2", dict(pad_token_id=2), TEXT + "</s>"),                      # padding is the end of a text
    ("roberta", {}, "<pad><pad>" + TEXT),                               # positions are counted without padding
])
def test_the_token_that_a_classifier_reads(kind, more, text, tokenizer):
    assert agrees(small(kind, AutoModelForSequenceClassification, num_labels=3, **more), tokenizer, text)[1]


def test_a_reward_model_in_batches(tokenizer):
    model = small("gpt2", AutoModelForSequenceClassification, num_labels=1, pad_token_id=None)
    with pytest.raises(ValueError, match="'logit'"): il.text_game(model, tokenizer, TEXT)
    game = il.text_game(model, tokenizer, TEXT, players=3, output="logit")
    table = il.evaluate(game, batch_size=4, progress=False)
    assert table[-1].item() == pytest.approx(directly(model, tokenizer(TEXT, return_tensors="pt")).item(), rel=1e-4)
    alone = torch.cat([game(m[None]) for m in il.masks(3)])
    torch.testing.assert_close(table, alone.double(), rtol=1e-4, atol=1e-5)
    assert model.config.pad_token_id is None


def test_the_configuration_comes_back_after_an_error(tokenizer):
    model = small("gpt2", AutoModelForSequenceClassification, pad_token_id=None, return_dict=False)
    game = il.text_game(model, tokenizer, TEXT, players=2)
    model.score.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError): game(ENDS.expand(2, 2))
    assert (model.config.pad_token_id, model.config.return_dict) == (None, False)


def test_answers_by_position(tokenizer):
    assert agrees(small("bert", AutoModelForSequenceClassification, num_labels=3, return_dict=False), tokenizer)[1]


def test_token_types_are_passed_on(tokenizer):
    model = small("xlnet", AutoModelForSequenceClassification, num_labels=3)
    ids = tokenizer(TEXT)["input_ids"]
    class Typed:
        is_fast, all_special_ids, special_tokens = True, tokenizer.all_special_ids, ()
        def __len__(self): return len(tokenizer)
        def __call__(self, text, **given): return {**tokenizer(text, **{k: v for k, v in given.items() if k != "return_tensors"}), "token_type_ids": [0] * (len(ids) - 1) + [2]}
    z = directly(model, dict(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([[0] * (len(ids) - 1) + [2]])))
    game = il.text_game(model, Typed(), TEXT, target=1, output="logit")
    assert game(ENDS[1:].expand(1, game.n)).item() == pytest.approx(z[0, 1].item(), rel=1e-4)
    assert abs(z - directly(model, dict(input_ids=torch.tensor([ids])))).max() > 1e-3


def test_a_text_longer_than_the_positions_is_refused(tokenizer):
    model = small("roberta", AutoModelForSequenceClassification)         # the first of its 64 positions is for padding
    fits = "apple " * 60
    fits = tokenizer.decode(tokenizer(fits)["input_ids"][:63])
    il.text_game(model, tokenizer, fits, players=[0])
    with pytest.raises(ValueError, match="text: it has 64 tokens; the model reads 63 at most"): il.text_game(model, tokenizer, fits + ".")


# ---- what the numbers of a classifier are

@pytest.mark.parametrize("config", [dict(problem_type="multi_label_classification"), dict(function_to_apply="sigmoid"),
                                    dict(sentence_transformers={"activation_fn": "torch.nn.modules.activation.Sigmoid"})])
def test_labels_that_hold_beside_each_other(config, tokenizer):
    model = small("bert", AutoModelForSequenceClassification, num_labels=3, **config)
    z = directly(model, tokenizer(TEXT, return_tensors="pt"))[0, 1]
    for output, want in (("log_odds", z), ("prob", z.sigmoid()), ("log_prob", z.sigmoid().log()), ("logit", z)):
        game = il.text_game(model, tokenizer, TEXT, target=1, output=output)
        assert game(ENDS[1:].expand(1, game.n)).item() == pytest.approx(want.item(), rel=1e-4)


def test_labels_by_the_configuration_of_a_class_of_ones_own(tokenizer):
    class Tagger(transformers.BertForSequenceClassification): pass
    model = small("bert", AutoModelForSequenceClassification, num_labels=3, problem_type="multi_label_classification")
    model.__class__ = Tagger
    z = directly(model, tokenizer(TEXT, return_tensors="pt"))[0, 1]
    game = il.text_game(model, tokenizer, TEXT, target=1)
    assert game(ENDS[1:].expand(1, game.n)).item() == pytest.approx(z.item(), rel=1e-4)


def test_a_regression_of_several_numbers_has_no_odds(tokenizer):
    model = small("bert", AutoModelForSequenceClassification, num_labels=3, problem_type="regression")
    with pytest.raises(ValueError, match="numbers that are no classes"): il.text_game(model, tokenizer, TEXT)
    game = il.text_game(model, tokenizer, TEXT, output="logit", target=2)
    assert game(ENDS[1:].expand(1, game.n)).item() == pytest.approx(directly(model, tokenizer(TEXT, return_tensors="pt"))[0, 2].item(), rel=1e-4)


# ---- targets

Z = torch.zeros(1, 360)


@pytest.mark.parametrize("make", [byte_level, sentence_piece])
@pytest.mark.parametrize("text, new", [("A well-", False), ("A fact (", False), ("as “", False), ('as "', False), ("and/", False), ("a[", False), ("is", True), ("fact,", True),
                                       ("(well)", True), ('as "well"', True), ("as “well”", True), ("fact:", True), ("the '", False), ("known</s>", False)])
def test_a_target_continues_its_text(make, text, new):
    tokenizer = make()
    whole = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in (text, text + " " * new + "known")]
    assert whole[1][:-1] == whole[0]                                     # one token more
    assert text_target(tokenizer, text, "known", Z) == whole[1][-1]


@pytest.mark.parametrize("text", ["a —", "a -", "is known'", "#", "引", "a >"])
def test_a_target_that_may_be_two_tokens_is_refused(text, tokenizer):
    joined, spaced = (tokenizer(t)["input_ids"] for t in ("known", " known"))
    with pytest.raises(ValueError, match=rf"the token 'known' \(number {joined[0]}\) or ' known' \(number {spaced[0]}\)"): text_target(tokenizer, text, "known", Z)
    assert text_target(tokenizer, text, " known", Z) == spaced[0] and text_target(tokenizer, text, joined[0], Z) == joined[0]


def test_numbers_after_numbers_may_go_on():
    assert [begins_word(t, "14") for t in ("3.", "3,", "12:", "3")] == [None] * 4 and [begins_word(t, "14") for t in ("is", "No.", "$")] == [True, True, False]
    assert [begins_word(t, "nd") for t in ("2", "the 22", "we")] == [False, False, True]
    assert [begins_word(t, "or") for t in ("www.", "http://www.", "www.site.org.", "at https://a.b", "from me@a.b.", "as @me")] == [False, False, None, True, None, True]


@pytest.mark.parametrize("make", [byte_level, sentence_piece])
@pytest.mark.parametrize("text", ["A well-", "the pull of", "as “", "", "it "])
def test_what_is_shown_of_a_token_means_this_token(make, text):
    from interlib.model.text_targets import token_after
    tokenizer = make()
    for number in range(len(tokenizer)):
        token = token_after(tokenizer, text, number)
        assert text_target(tokenizer, text, token, Z[:, :len(tokenizer)]) == number
        expected = Z.clone()[:, :len(tokenizer)]
        expected[0, number] = 1                                          # the most probable one needs its text only
        assert token_after(tokenizer, text, text_target(tokenizer, text, str(token), expected)) == token


@pytest.mark.parametrize("text", ["A well-", "the pull of", "as “"])
def test_the_target_of_a_game_is_the_target_of_the_next(text, tokenizer):
    model = small("llama", AutoModelForCausalLM)
    known = tokenizer("known")["input_ids"][0]
    for target in (None, known, [known, 50], tokenizer.eos_token_id):
        game = il.text_game(model, tokenizer, text, target=target)
        again = il.text_game(model, tokenizer, text, target=game.meta["target"])
        assert again.meta["classes"] == game.meta["classes"] and again.meta["target"] == game.meta["target"]
    x = il.explain(game) if hasattr(il, "explain") else None
    assert x is None or x.meta["target"] == game.meta["target"]


def test_the_token_of_another_vocabulary_is_read_as_text(tokenizer):
    other = tokenizer("known")["input_ids"][0]
    assert text_target(tokenizer, "It is", Token(" known", 7), Z) == tokenizer(" known")["input_ids"][0]
    assert json.loads(json.dumps({"target": Token("known", other)})) == {"target": "known"}


# ---- a text that is over

CHAT = "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>{% endif %}"


@pytest.mark.parametrize("template, target, chat, warned", [(CHAT, None, False, True), (CHAT, " known", False, False), (CHAT, None, True, False), (None, None, False, False)])
def test_the_end_of_a_turn_suggests_chat(template, target, chat, warned):
    tokenizer, model = byte_level(), small("llama", AutoModelForCausalLM)
    tokenizer.chat_template = template
    def end(module, args, z): return z.index_fill(-1, torch.tensor([tokenizer.eos_token_id]), 1e4)
    model.lm_head.register_forward_hook(end)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        il.text_game(model, tokenizer, TEXT, target=target, chat=chat)
    assert any("chat=True" in str(w.message) and "</s>" in str(w.message) for w in told) == warned


# ---- what a folder holds

def saved(model, tokenizer, folder):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_a_classifier_folder_keeps_its_head(kind, tokenizer, tmp_path):
    names = {0: "bad", 1: "fine", 2: "good"}
    model = small(kind, AutoModelForSequenceClassification, id2label=names, label2id={v: k for k, v in names.items()}, pad_token_id=None if kind == "gpt2" else 0)
    folder, tokens = saved(model, tokenizer, tmp_path/"mine"), tokenizer(TEXT, return_tensors="pt")
    for load in (il.open_model, il.load_encoder):
        same, itself = load(folder, progress=False)
        assert same.config.id2label == names and torch.allclose(directly(same, tokens), directly(model, tokens), rtol=1e-5)
    assert il.text_game(same, itself, TEXT).meta["target"] == names[directly(model, tokens).argmax().item()]
    with pytest.raises(ValueError, match=f"which holds a {type(model).__name__}; open_model"): il.load_lm(folder)


def test_a_language_model_folder_is_opened_as_one(tokenizer, tmp_path):
    model = small("gpt2", AutoModelForCausalLM)
    same, _ = il.open_model(saved(model, tokenizer, tmp_path/"mine"), progress=False)
    assert type(same) is type(model) and torch.equal(directly(same, tokenizer(TEXT, return_tensors="pt")), directly(model, tokenizer(TEXT, return_tensors="pt")))


@pytest.mark.parametrize("kind, auto, more", [("bert", transformers.AutoModelForMaskedLM, {}), ("bert", transformers.AutoModelForTokenClassification, {}), ("bart", transformers.AutoModelForSeq2SeqLM, SEQ2SEQ)])
def test_other_folders_are_no_language_models(kind, auto, more, tokenizer, tmp_path):
    model = small(kind, auto, **more)
    for load in (il.load_lm, il.open_model):
        with pytest.raises(ValueError, match=f"which holds a {type(model).__name__}"): load(saved(model, tokenizer, tmp_path/"mine"), progress=False)


def test_a_head_whose_weights_are_missing_is_refused(tokenizer, tmp_path):
    from safetensors.torch import load_file, save_file
    folder = saved(small("bert", AutoModelForSequenceClassification, num_labels=3), tokenizer, tmp_path/"mine")
    save_file({k: v for k, v in load_file(folder/"model.safetensors").items() if "classifier" not in k}, tmp_path/"part", metadata={"format": "pt"})
    (tmp_path/"part").replace(folder/"model.safetensors")
    with pytest.raises(RuntimeError, match="no weights for classifier.bias"): il.open_model(folder, progress=False)


@pytest.mark.parametrize("kind", ["bert", "roberta", "t5", "gpt2", "llama", "mpnet"])
def test_a_folder_without_its_tokenizer_is_refused(kind, tmp_path):
    "Transformers makes a tokenizer that knows no words, or ends with an error about something else."
    auto = AutoModelForCausalLM if kind in ("gpt2", "llama") else AutoModelForSequenceClassification
    small(kind, auto, **(SEQ2SEQ | dict(d_kv=16, d_ff=32) if kind == "t5" else {})).save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="its tokenizer is not there, damaged, or without words"): il.open_model(tmp_path, progress=False)


def word_level():
    t = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*SPECIAL.values(), *"a red apple falls to the ground".split()])}, unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=t, **SPECIAL)


def test_words_that_a_tokenizer_does_not_know():
    model, tokenizer = small("bert", AutoModelForSequenceClassification), word_level()
    with pytest.warns(UserWarning, match="the tokenizer knows none of its words; to the model each of them is '<unk>'"): il.text_game(model, tokenizer, "nicht der schlechteste Film")
    with pytest.raises(ValueError, match="baseline: got 'Film', which this tokenizer does not know"): il.text_game(model, tokenizer, "a red Film", baseline="Film")
    unknown = [il.evaluate(il.text_game(model, tokenizer, "a red Film", baseline=baseline), progress=False) for baseline in ("unk", "<unk>")]
    assert torch.equal(*unknown)


def test_a_folder_that_is_not_there_is_no_hub_name(tmp_path):
    for name in ("./my-clasifier", str(tmp_path/"my-clasifier"), "~/my-clasifier-that-is-not-there"):
        with pytest.raises(ValueError, match="where there is nothing"): il.open_model(name, progress=False)


@pytest.mark.parametrize("load", ["load_lm", "load_encoder", "open_model"])
@pytest.mark.parametrize("where", ["config", "tokenizer"])
def test_the_code_of_a_model_never_runs(load, where, tokenizer, tmp_path, monkeypatch):
    auto = AutoModelForCausalLM if load == "load_lm" else AutoModelForSequenceClassification
    folder, trace = saved(small("llama", auto), tokenizer, tmp_path/"mine"), tmp_path/"it-ran"
    (folder/"mine.py").write_text(f"open({str(trace)!r}, 'w')\nclass Mine: pass\n")
    held = folder/f"{where}{'_config' * (where == 'tokenizer')}.json"
    about = json.loads(held.read_text())
    about |= {"model_type": "mine", "auto_map": {k: "mine.Mine" for k in ("AutoConfig", "AutoModelForCausalLM", "AutoModelForSequenceClassification")}} if where == "config" else {
        "tokenizer_class": "MineTokenizer", "auto_map": {"AutoTokenizer": ["mine.Mine", "mine.Mine"]}}
    held.write_text(json.dumps(about))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asked"))
    with pytest.raises(RuntimeError, match="brings code of its own"): getattr(il, load)(folder, progress=False)
    assert not trace.exists()


# ---- a training that goes on

def points(n=60, seed=0):
    "Two clouds of points."
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    y = (x[:, 0] + x[:, 1] > 0).long()
    return il.data.DataSplit(x[:40], y[:40], x[40:], y[40:], ("a", "b"), "clouds")


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(.3), torch.nn.ReLU(), torch.nn.Linear(8, 2))


@pytest.mark.parametrize("how", [dict(optimizer="adamw", lr=1e-2), dict(optimizer="sgd"), dict(optimizer="sgd", momentum=0), dict(optimizer="adamw", lr=1e-2, adversarial=.1)])
@pytest.mark.parametrize("share", [.15, .5, .9])
def test_an_interrupted_training_goes_on_to_the_same_end(how, share, tmp_path, monkeypatch):
    how = dict(split=points(), epochs=3, batch_size=8, **how)
    expected = il.training.train(whole := net(), **how, progress=False)
    monkeypatch.setattr("interlib.nets.training.KEEP_EVERY", 0)
    stopped, counts = [], []
    def stop(done, total):
        if done > share * total: stopped.append(done); raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): il.training.train(net(), **how, folder=tmp_path/"t", progress=stop)
    torch.manual_seed(99)                                                # another process
    found = il.training.train(again := net(), **how, folder=tmp_path/"t", progress=lambda done, total: counts.append((done, total)))
    assert torch.equal(found.sample_losses, expected.sample_losses) and torch.equal(found.test_sample_losses, expected.test_sample_losses) and torch.equal(found.accuracy, expected.accuracy)
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), whole.state_dict().values()))
    assert counts[-1][0] == counts[-1][1] and max(c[0] for c in counts[:2]) >= stopped[0] - 40      # little was done again
    assert not (tmp_path/"t"/"unfinished.safetensors").exists()
    same = il.training.train(net(), **how, folder=tmp_path/"t", progress=False)
    assert torch.equal(same.sample_losses, expected.sample_losses)


def test_a_damaged_state_starts_again(tmp_path, monkeypatch):
    monkeypatch.setattr("interlib.nets.training.KEEP_EVERY", 0)
    how = dict(split=points(), epochs=2, batch_size=8)
    expected = il.training.train(net(), **how, progress=False)
    def stop(done, total):
        if done > .6 * total: raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): il.training.train(net(), **how, folder=tmp_path, progress=stop)
    path = tmp_path/"unfinished.safetensors"
    path.write_bytes(path.read_bytes()[:-9] + b"123456789")
    with pytest.warns(UserWarning, match="the training starts again"): found = il.training.train(net(), **how, folder=tmp_path, progress=False)
    assert torch.equal(found.sample_losses, expected.sample_losses)


def test_a_recipe_says_that_it_trains(tmp_path, monkeypatch, capsys):
    from interlib.nets import recipes, training
    recipe = (lambda progress: (net(), None, points()), dict(epochs=2, batch_size=8))
    monkeypatch.setattr(recipes, "RECIPES", {"clouds": recipe})
    monkeypatch.setattr(recipes, "MINUTES", {"clouds": 7})
    monkeypatch.setattr(recipes, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(training, "KEEP_EVERY", 0)
    def stop(done, total):
        if done > .6 * total: raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): il.load_trained("clouds", progress=stop)
    assert "clouds is trained now, once for this machine: it takes about 7 min" in capsys.readouterr().err
    il.load_trained("clouds", progress=False)
    assert "goes on where it was interrupted" in capsys.readouterr().err
    il.load_trained("clouds", progress=False)
    assert capsys.readouterr().err == ""
