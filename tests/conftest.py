"""A small language model that needs no download: two layers, random weights, a word-piece tokenizer trained on two sentences."""
import signal

import matplotlib
import pytest
import torch

matplotlib.use("agg")
signal.signal(signal.SIGINT, signal.default_int_handler)                 # where the tests were started in the background it is ignored, also by what they start


def make_lm():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    t.train_from_iterator(["A red apple falls to the ground because of the pull of gravity"] * 3, trainers.BpeTrainer(vocab_size=300, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=t)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=512)).eval()
    for p in model.parameters(): p.data.mul_(8)                          # random weights of the usual size make a model that ignores its input
    return model, tokenizer


@pytest.fixture(scope="session")
def tiny_lm(): return make_lm()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from chromium import Browser
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


LONG = ["test_recipe_of_minilm.py", "test_recipes.py", "test_sweep.py", "test_widgets.py", "test_damage.py"] # networks that others ask for come first


def pytest_collection_modifyitems(items):
    "Marks the tests by their folder or what they ask for; the slowest files come first, so that workers end together."
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()) or item.path.parent.name == "browser": item.add_marker("browser")
        if item.path.parent.name == "slow": item.add_marker("slow")
