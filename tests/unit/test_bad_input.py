"""Wrong calls over the whole public API: each says which argument, what was given and what is allowed, before a model has run. Makes docs/mistakes.md."""
import ast
import importlib
import inspect
import io
import os
import re
import shlex
import sys
import tempfile
from contextlib import redirect_stderr
from pathlib import Path

import pytest
import torch
from torch import nn, tensor

sys.path[:0] = [str(Path(__file__).parents[2] / "tools"), str(Path(__file__).parents[1])]
from conftest import make_lm
from house import module_name, notebooks as exported
from notebooks import ROOT

import interlib as il

# Wrong calls by section: the call as it is printed (and run), what it raises, the argument that the message names, what was given, what is allowed,
# and the passes of a model before it is refused, where there is one: a game asks the model for its classes and for the target when there is none.
# A call that starts with `interlib` is a command line, and what it "raises" is its exit code.
CASES = {
    "Value tables and coalitions": [
        ("decompose(['0', '1'])", TypeError, "v", "list of dtype <U1", "torch.Tensor of shape (..., 2**n)"),
        ("decompose(tensor([2**53, 0]))", ValueError, "v", "whole numbers of 2**53 and more", "subtract what they have in common"),
        ("decompose([0., 5e-324])", ValueError, "v", "at most 5e-324", "0 or at least 1e-290"),
        ("sobol(and_transform(v))", TypeError, "v", "AND effects", "a value table"),
        ("decompose(torch.zeros(6))", ValueError, "v", "length 6", "power of two"),
        ("decompose(tensor([0., 1., nan, 5.]))", ValueError, "v", "entry 2 is nan, with the players [1] present", "must be finite"),
        ("decompose(v > 1)", TypeError, "v", "torch.bool", "real numbers"),
        ("decompose(v.to_sparse())", TypeError, "v", "torch.sparse_coo tensor of shape (8,)", "dense"),
        ("decompose(v.to('meta'))", TypeError, "v", "meta tensor of shape (8,)", "holds its numbers"),
        ("decompose(torch.zeros(0, 8))", ValueError, "v", "(0, 8)", "at least one table"),
        ("harsanyi(torch.stack([v, v]))", ValueError, "v", "(2, 8)", "one value table"),
        ("and_transform([[0., 1.], [2.]])", ValueError, "v", "lists of different lengths", "torch.Tensor"),
        ("or_inverse(torch.zeros(5))", ValueError, "I", "length 5", "power of two"),
        ("shapley(v.tolist())", TypeError, "x", "list", "Interactions, or a torch.Tensor"),
        ("shapley(v)", TypeError, "x", "plain table of shape (8,)", "harsanyi(v)"),
        ("banzhaf_interactions(or_transform(v))", TypeError, "x", "OR effects", "AND effects"),
        ("masks(40)", ValueError, "n", "got 40", "from 1 to 30"),
        ("masks(30)", ValueError, "n", "30 players", "take fewer players"),
        ("coalition('ab')", TypeError, "players", "'ab'", "list of player numbers"),
        ("coalition([-1, 2])", ValueError, "players", "(-1, 2)", "numbered from 0"),
        ("label(9, ['a', 'b'])", ValueError, "players", "2 names", "must have 4 or more"),
        ("and_or_game(3, {(0, 3): 1.})", ValueError, "ands", "(0, 3)", "from 0 to 2"),
        ("and_or_game(3, {0: 1.})", TypeError, "ands", "group 0", "tuple of players"),
        ("planted(3, n_and=10)", ValueError, "n_and, n_or", "10 and 10", "4 groups"),
    ],
    "Decompositions": [
        ("decompose(v, noise=1.5)", ValueError, "noise", "1.5", "from 0 to 1"),
        ("decompose(v, solver='simplex')", ValueError, "solver", "'simplex'", "'auto', 'ipm', 'highs', 'admm', 'sgd'"),
        ("decompose(v, players=['red', 'apple'])", ValueError, "players", "2 names", "3 players"),
        ("decompose(v, players='abc')", TypeError, "players", "'abc'", "list of 3 names"),
        ("decompose(torch.rand(2**20), solver='highs')", ValueError, "n", "20 players", "take fewer players"),
        ("decompose_shared(v)", TypeError, "v", "a tensor of shape (8,)", "two or more value tables"),
        ("mimic(v, 0)", ValueError, "k", "0", "an int of 1 or more"),
        ("mimic(v, there=v)", ValueError, "there", "float", "bool of shape (8,)"),
        ("mimic(v * float('nan'))", ValueError, "v", "8 outputs that are not finite", "finite numbers"),
        ("mimic(v[:1].expand(8))", ValueError, "v", "outputs that are all equal", "outputs that vary"),
        ("decompose(v).keep(9)", ValueError, "k", "9", "an int from 0 to 7"),
        ("decompose(v).keep(2, v)", TypeError, "samples", "tensor", "Samples of 3 players and one target"),
        ("decompose_shared([v])", ValueError, "v", "1 table", "two or more"),
        ("decompose_shared([v, v[:4]])", ValueError, "v", "(8,), (4,)", "the same players"),
        ("decompose_shared([v, v], alpha=1.5)", ValueError, "alpha", "1.5", "from 0 to 1"),
        ("decompose_shared([v, v], share=-1)", ValueError, "share", "-1", "0 or more"),
        ("decompose_shared([v, v], scales=[1, 2, 3])", ValueError, "scales", "[1, 2, 3]", "each of the 2 models"),
        ("alternatives(torch.stack([v, v]))", ValueError, "v", "(2, 8)", "one value table"),
        ("alternatives(v, k=-1)", ValueError, "k", "-1", "an int of 0 or more"),
    ],
    "Interactions": [
        ("Interactions(['a', 'b'], [0., 0.])", TypeError, "and_", "list of dtype <U1", "torch.Tensor"),
        ("Interactions(v, v[:4])", ValueError, "and_, or_", "(8,) and (4,)", "both must be (2**n,)"),
        ("Interactions(torch.zeros(6), torch.zeros(6))", ValueError, "and_", "length 6", "power of two"),
        ("x.predict([[True, False, True]])", TypeError, "masks", "list", "bool torch.Tensor (B, 3)"),
        ("x.predict(torch.ones(2, 4).bool())", ValueError, "masks", "(2, 4)", "(B, 3)"),
        ("x.predict(torch.ones(2, 3))", ValueError, "masks", "torch.float32", "bool"),
        ("x.matching_error(v[:4])", ValueError, "v", "(4,)", "(8,) for 3 players"),
        ("x.matching_error(v * nan)", ValueError, "v", "entry 0 is nan", "must be finite"),
        ("x.matching_curve(v, most=-1)", ValueError, "most", "-1", "0 or more"),
        ("x.how_many(v, within=-1)", ValueError, "within", "-1", "0 or more"),
        ("x.primitives(k=5, tau=.1)", ValueError, "k, tau", "k=5 and tau=0.1", "one of the two"),
        ("x.primitives(tau='strong')", ValueError, "tau", "'strong'", "a number of 0 or more"),
        ("Interactions.load(folder / 'nothing.safetensors')", FileNotFoundError, "path", "FOLDER/nothing.safetensors", "there is no file"),
        ("Interactions.load(folder / 'notes.txt')", ValueError, "path", "FOLDER/notes.txt", "not a safetensors file"),
        ("Interactions.load(folder / 'changed.safetensors')", ValueError, "path", "FOLDER/changed.safetensors", "changed since it was written"),
        ("Interactions.load(folder / 'baseline.safetensors')", ValueError, "path", "interlib.baseline", "must be interlib.interactions"),
    ],
    "Games of texts": [
        ("text_game(lm, tokenizer, '')", ValueError, "text", "''", "at least one word"),
        ("text_game(lm, tokenizer, ['A red apple'])", TypeError, "text", "list", "a string"),
        ("text_game(lm, tokenizer, text * 100)", ValueError, "text", "700 tokens", "512 at most"),
        ("text_game(lm, slow_tokenizer, text)", TypeError, "tokenizer", "SlowTokenizer", "a fast tokenizer"),
        ("text_game(net, tokenizer, text)", TypeError, "model", "Sequential", "causal language model or a sequence classifier"),
        ("text_game('smollm2', tokenizer, text)", TypeError, "model", "'smollm2'", "causal language model"),
        ("text_game(lm, tokenizer, text, chat=True)", ValueError, "chat", "True", "must be False"),
        ("text_game(lm, tokenizer, text, players=['pear'])", ValueError, "players", "'pear'", "the words are A, red, apple"),
        ("text_game(lm, tokenizer, text, players=['red', 'red'])", ValueError, "players", "'red', which is not there or named too often", "the words are A, red, apple"),
        ("text_game(lm, tokenizer, text, players=[1, 1])", ValueError, "players", "index 1 twice", "another word"),
        ("text_game(lm, tokenizer, text, players=8)", ValueError, "players", "8", "from 1 to 7"),
        ("text_game(lm, tokenizer, text, players=[])", ValueError, "players", "none", "at least one word"),
        ("text_game(lm, tokenizer, text, target='red', output='margin', rival='red pear')", ValueError, "rival", "' red pear', which is 6 tokens", "must be one token", 1),
        ("text_game(lm, tokenizer, text, target='')", ValueError, "target", "''", "a string that is not empty", 1),
        ("text_game(lm, tokenizer, text, answers='red')", TypeError, "answers", "'red'", "a list of two answers or more", 1),
        ("text_game(lm, tokenizer, text, answers=['red', 'red'])", ValueError, "answers", "['red', 'red']", "different answers", 1),
        ("text_game(lm, tokenizer, text, answer_length=0)", ValueError, "answer_length", "0", "1 or more", 1),
        ("text_game(lm, tokenizer, text, unit='letter')", ValueError, "unit", "'letter'", "'token', 'word'"),
        ("text_game(lm, tokenizer, text, groups={})", TypeError, "groups", "{}", "a dict of at least one"),
        ("text_game(lm, tokenizer, text, groups={'a': 'pear'})", ValueError, "groups", "'pear'", "a string that is in the text once"),
        ("text_game(lm, tokenizer, ('red', 'apple'), chat=True)", ValueError, "chat", "True", "False for a pair"),
        ("zoom(lambda m: m, 0)", TypeError, "game", "'function'", "text_game or prompt_game made"),
        ("text_game(lm, tokenizer, text, target=100_000)", ValueError, "target", "100000", "0 to 295", 1),
        ("text_game(lm, tokenizer, text, baseline=torch.zeros(7))", ValueError, "baseline", "(7,)", "(32,) or (7, 32)"),
        ("text_game(lm, tokenizer, text, output='logodds')", ValueError, "output", "'logodds'", "'log_odds', 'log_prob', 'prob', 'logit', 'margin'", 1),
        ("text_game(lm, tokenizer, text, rival='red')", ValueError, "rival", "'red' with output 'log_odds'", "'margin' needs", 1),
        ("prompt_game('http://127.0.0.1', text)", TypeError, "score", "'http://127.0.0.1'", "a function of a list of strings"),
        ("prompt_game(worth, ['A red apple'])", TypeError, "text", "list", "a string"),
        ("prompt_game(worth, '?!')", ValueError, "text", "'?!'", "at least one word"),
        ("prompt_game(worth, text, players=8)", ValueError, "players", "8", "from 1 to 7"),
        ("prompt_game(worth, text, unit='token')", ValueError, "unit", "'token'", "one of 'word', 'sign'"),
        ("prompt_game(worth, text, unit=[(0, 3), (2, 5)])", ValueError, "unit", "[(0, 3), (2, 5)]", "overlap"),
        ("prompt_game(worth, text, baseline='mean')", ValueError, "baseline", "'mean'", "'remove', 'replace:___', or a function"),
        ("prompt_game(worth, text, baseline=len)", TypeError, "baseline", "1", "a function from text to text"),
        ("prompt_game(worth, text, target=['Paris', 3])", TypeError, "target", "['Paris', 3]", "a list of names"),
        ("prompt_game(worth, text, cache=folder)", ValueError, "name", "None", "a name of the score"),
        ("prompt_game(worth, text, name='it', cache=folder/'notes.txt')", ValueError, "cache", "FOLDER/notes.txt", "cannot be a folder"),
        ("prompt_game(worth, text, name=3)", TypeError, "name", "3", "a name of the score"),
        ("prompt_game(worth, text, batch=0)", ValueError, "batch", "0", "an int of 1 or more"),
        ("prompt_game(worth, text, retries=-1)", ValueError, "retries", "-1", "0 or more"),
        ("prompt_game(worth, text, wait='long')", ValueError, "wait", "'long'", "0 or more"),
        ("prompt_game(worth, text, calls=2.5)", ValueError, "calls", "2.5", "an int of 0 or more"),
    ],
    "Games of images, features and tables": [
        ("image_game(net, image.expand(2, 3, 8, 8))", ValueError, "image", "(2, 3, 8, 8)", "float tensor (C, H, W)"),
        ("image_game(net, (255 * image).byte())", ValueError, "image", "torch.uint8", "float tensor (C, H, W)"),
        ("load_vision('resnet50')", ValueError, "name", "'resnet50'", "one of 'efficientnet-lite0', 'efficientnet-lite1', 'efficientnet-lite2'"),
        ("load_vision(None)", TypeError, "name", "None", "one of 'efficientnet-lite0'"),
        ("load_vision('efficientnet-lite0', dtype='float16')", TypeError, "dtype", "'float16'", "torch.float32"),
        ("image_game(net, 'cat.png')", ValueError, "image", "'cat.png'", "a PNG, JPEG"),
        ("image_game(net, image.numpy().astype('int16'))", ValueError, "image", "int16 of shape (3, 8, 8)", "a uint8 array"),
        ("image_game(net, image, preprocess='timm')", ValueError, "preprocess", "'timm'", "None, for a float tensor is taken as it is"),
        ("image_game(net, (255 * image).byte(), preprocess='timm')", TypeError, "preprocess", "'timm'", "a function"),
        ("image_game(net, image, segments=65)", ValueError, "segments", "65", "from 1 to 64"),
        ("image_game(net, image, segments=12, grid=7)", ValueError, "grid", "7", "None where segments is given"),
        ("image_game(net, image * nan)", ValueError, "image", "192 numbers that are NaN", "must be finite"),
        ("image_game('resnet20', image)", TypeError, "model", "'resnet20'", "a torch module"),
        ("image_game(net, image, grid=20)", ValueError, "grid", "20", "from 1 to the 8 x 8 pixels"),
        ("image_game(net, image, regions=torch.zeros(4, 4).long())", ValueError, "regions", "(4, 4)", "(8, 8)"),
        ("image_game(net, image, baseline='grey')", ValueError, "baseline", "'grey'", "'zero', 'mean' (with data), 'channel_mean', 'blur'"),
        ("image_game(net, image, baseline=torch.zeros(3))", ValueError, "baseline", "(3,)", "(3, 8, 8) or (3, 1, 1) or ()"),
        ("image_game(net, image, baseline='mean')", ValueError, "data", "None", "the inputs to average"),
        ("image_game(net, image, baseline=Baseline.load(folder / 'baseline.safetensors'))", ValueError, "baseline", "one learned for vgg", "this network is Sequential"),
        ("image_game(net, image, target=3)", ValueError, "target", "3", "0 to 2", 1),
        ("image_game(net, image, target='cat')", ValueError, "target", "'cat'", "known by number only", 1),
        ("image_game(net, image, output='margin', target=1, rival=1)", ValueError, "rival", "1, which is the target", "another class", 1),
        ("image_game(net, image, players=4, choose='best')", ValueError, "choose", "'best'", "'strongest' or 'random'", 1),
        ("image_game(flat, image)", ValueError, "model", "(192, 1)", "(1, classes)", 1),
        ("feature_game(net, image[None], 'layer1')", ValueError, "layer", "'layer1'", "'0', '1', '2', '3'"),
        ("feature_game(net, pictures, '1')", ValueError, "layer", "(2, 4, 6, 6)", "(1, C, h, w)", 1),
        ("feature_game(net, image[None], '1', target=9)", ValueError, "target", "9", "0 to 2", 1),
        ("feature_game(net, image[None], '1', players=99)", ValueError, "players", "99", "from 1 to 16", 1),
        ("tabular_game(mlp, [1, 2, nan, 4], [0, 0, 0, 0])", ValueError, "row", "[1.0, 2.0, nan, 4.0]", "all finite"),
        ("tabular_game(mlp, row, [0, 0, 0])", ValueError, "baseline", "(3,)", "(4,)"),
        ("tabular_game(mlp, row, [0, 0, 0, 0], columns=['age', 'age', 'sex', 'sum'])", ValueError, "columns", "3 different names", "4 columns"),
        ("tabular_game(mlp, row, [0, 0, 0, 0], groups={'both': ['x0', 'x9']})", ValueError, "groups", "'x9'", "x0, x1, x2, x3"),
        ("tabular_game(mlp, row, [0, 0, 0, 0], groups=['x0'])", TypeError, "groups", "['x0']", "a dict"),
        ("tabular_game(mlp, row, [0, 0, 0, 0], smooth=.02)", ValueError, "smooth", "0.02", "a network, which has logits; leave it out"),
        ("tabular_game(None, row, [0, 0, 0, 0])", TypeError, "predict", "NoneType", "a torch module, a scikit-learn estimator, or a function"),
    ],
    "Evaluation, baselines and explainers": [
        ("Game(worth, [])", ValueError, "players", "none", "at least one"),
        ("game([[1, 0, 1]])", ValueError, "masks", "torch.int64 of shape (1, 3)", "bool of shape (B, 3)"),
        ("evaluate(worth)", ValueError, "n", "None", "the number of players"),
        ("evaluate(worth, n=31)", ValueError, "n", "31", "from 1 to 30"),
        ("evaluate(game, n=4)", ValueError, "n", "4", "3 players"),
        ("evaluate(game, batch_size=0)", ValueError, "batch_size", "0", "'auto' or an int of at least 1"),
        ("evaluate(game, tree=True)", ValueError, "tree", "True", "'auto' or False"),
        ("evaluate(game, cache=folder)", ValueError, "cache", "a plain function", "give it a name of your own"),
        ("evaluate(game, cache=folder / 'notes.txt')", ValueError, "cache", "FOLDER/notes.txt", "a folder for files"),
        ("evaluate(game, autocast='bfloat16')", ValueError, "autocast", "'bfloat16'", "None, torch.bfloat16 or torch.float16"),
        ("evaluate(lambda masks: worth(masks)[0], n=3)", ValueError, "game", "shape ()", "(8,) or (8, targets)", 1),
        ("evaluate(lambda masks: worth(masks).log(), n=3)", ValueError, "game", "-inf for coalition 0, with [] present", "must be finite", 1),
        ("cost(game, batch_size=-1)", ValueError, "batch_size", "-1", "at least 1"),
        ("cost(game, budget=5)", ValueError, "budget", "got 5", "at least 10"),
        ("cost(lambda m: m.sum(1), n=40, budget=100, p=1)", ValueError, "p", "got 1", "between 0 and 1, both excluded"),
        ("cost(lambda m: m.sum(1), n=40, budget=100, tree=True)", ValueError, "tree", "got True", "'auto' or False with a budget"),
        ("learn_baseline([game])", ValueError, "games", "a plain function", "games of a torch network"),
        ("learn_baseline([picture_game], steps=0)", ValueError, "steps", "0", "1 or more"),
        ("attribute(picture_game, 'colours')", TypeError, "method", "'colours'", "a class of captum.attr"),
        ("attribute(game, Saliency)", ValueError, "game", "no torch network", "only asks for outputs"),
        ("attribute(picture_game, Saliency, masks=torch.ones(2, 3).bool())", ValueError, "masks", "(2, 3)", "(B, 2)"),
        ("attribute(picture_game, Saliency, batch_size=0)", ValueError, "batch_size", "0", "1 or more"),
    ],
    "Models, data and training": [
        ("load_lm(folder)", ValueError, "name", "FOLDER", "'smollm2', 'gemma3-270m', a folder written by save_pretrained, or a hub name"),
        ("load_lm('smollm2', dtype='float16')", TypeError, "dtype", "'float16'", "torch.float32 or torch.bfloat16"),
        ("fetch_table('iris')", ValueError, "name", "'iris'", "one of 'adult', 'heart_disease', 'titanic'; tabular_game takes your own tables too"),
        ("load_encoder('minilm', classes=1)", ValueError, "classes", "1", "an int of 2 or more"),
        ("resnet(21)", ValueError, "depth", "21", "20, 32, 44, 56"),
        ("bert_tiny('bert')", TypeError, "vocab", "'bert'", "a tokenizer, or the size"),
        ("fingerprint(net.state_dict())", TypeError, "model", "OrderedDict", "a torch module"),
        ("transplant(net, mlp, '0')", ValueError, "donor", "(8, 4)", "(4, 3, 3, 3)"),
        ("transplant(net, net, 99)", ValueError, "layers", "99", "from 0 to 2"),
        ("digits(2)", ValueError, "size", "2", "a number of pixels of 4 or more"),
        ("mnist(folder)", ValueError, "root", "FOLDER", "expected are MNIST/raw/train-images-idx3-ubyte"),
        ("one_against_rest(split, 'cat')", ValueError, "label", "'cat'", "from 0 to 2"),
        ("split.subset(train=99)", ValueError, "train", "99", "from 1 to 6"),
        ("DataSplit(pictures, tensor([0, 2]), pictures, tensor([0, 1]), ('cat', 'dog'), 'mine')", ValueError, "train_y", "0 to 2", "0..1"),
        ("DataSplit(pictures.double(), tensor([0, 1]), pictures, tensor([0, 1]), ('cat', 'dog'), 'mine')", ValueError, "train_x", "torch.float64", "float32"),
        ("train(net, pictures)", TypeError, "split", "Tensor", "a DataSplit"),
        ("train('resnet20', split)", TypeError, "model", "str", "a torch module"),
        ("train(mlp, split)", ValueError, "model", "does not take the samples of split", "tensors of shape (3, 8, 8)", 1),
        ("train(net, split, lr=0)", ValueError, "lr", "0", "above 0"),
        ("train(net, split, optimizer='adam')", ValueError, "optimizer", "'adam'", "'sgd', 'adamw'"),
        ("train(net, split, folder=folder)", ValueError, "folder", "FOLDER", "give another folder", 1),
        ("load_trained('resnet')", ValueError, "name", "'resnet'", "'minilm-sentiment'"),
    ],
    "Many samples and many models": [
        ("explain_samples(net, pictures, [0], '1')", ValueError, "targets", "1 for 2 inputs", "one class per sample"),
        ("explain_samples(net, pictures, [0, 1], '1', players=99)", ValueError, "inputs[0]", "99", "16 patches"),
        ("explain_samples(net, pictures, [0, 1], '1', output='logits')", ValueError, "output", "'logits'", "'log_odds'"),
        ("draw_player_numbers(pictures, 2.5)", ValueError, "n", "2.5", "an int of 1 or more"),
        ("sample_frame([x, y], target=[1])", ValueError, "target", "1 values for 2 samples", "one per sample"),
        ("transferability([x], k=5)", ValueError, "xs", "1 model", "two or more"),
        ("transferability([x, y])", ValueError, "k, tau", "k=None and tau=None", "exactly one"),
        ("transferability([x, y], k=5, tau=.1)", ValueError, "k, tau", "k=5 and tau=0.1", "exactly one"),
        ("transferability([x, y], k=5, names=['a', 'a'])", ValueError, "names", "['a', 'a']", "2 different ones"),
        ("transferability([x, z], k=5)", ValueError, "xs[1]", "2 players", "the same players"),
        ("shared_interactions([x, y], k=5, kind='xor')", ValueError, "kind", "'xor'", "'and', 'or', 'and+or'"),
        ("order_strength(v)", TypeError, "xs", "Tensor", "Interactions, or a list"),
        ("confusing_samples(x)", TypeError, "xs", "Interactions", "a list of them"),
        ("confusing_samples([x, y], quantile=1)", ValueError, "quantile", "1", "between 0 and 1"),
        ("generalization_power([x], [z])", ValueError, "test_xs", "2 players", "equally many"),
        ("agreement([x, y], [x])", ValueError, "a, b", "2 and 1 samples", "the same samples"),
    ],
    "Importance and concepts": [
        ("sobol_total(v, p=1)", ValueError, "p", "got 1", "between 0 and 1"),
        ("sobol(torch.ones(8))", ValueError, "v", "all equal", "no variance"),
        ("sobol_first(v * nan)", ValueError, "v", "entry 0 is nan", "must be finite"),
        ("insertion(v, [0, 1])", ValueError, "ranking", "[0, 1]", "players 0 to 2 once"),
        ("deletion(v, 'abc')", TypeError, "ranking", "'abc'", "list of the players' numbers"),
        ("best_ranking(torch.stack([v, v]))", ValueError, "v", "(2, 8)", "one value table"),
        ("ranking_of([1., nan, 2.])", ValueError, "x", "[1.0, nan, 2.0]", "one finite score for each player"),
        ("ranking_of(x, k=-1)", ValueError, "k", "-1", "0 or more"),
        ("importance(v, z)", ValueError, "v", "(8,)", "(4,) for 2 players"),
        ("plot_insertion({'a': [0., 1.], 'b': [0., 1., 2.]})", ValueError, "curves", "2, 3 points", "one more than there are players"),
        ("class_importance(v, 'abc')", ValueError, "v", "(8,)", "two samples or more"),
        ("class_importance(torch.stack([v, v]), 'ab')", ValueError, "players", "2 names", "3 names"),
        ("class_importance(torch.stack([v, v]), 'abc', {'x': v})", ValueError, "scores", "(8,)", "(2, 3)"),
        ("sampled_sobol_total(worth, 3, draws=100)", ValueError, "draws", "got 100", "a power of two"),
        ("find_concepts(net, 'a text', '1')", TypeError, "data", "str", "list of texts"),
        ("find_concepts(net, ['a text'], '1')", TypeError, "tokenizer", "NoneType", "fast tokenizer"),
        ("find_concepts(net, pictures, 'layer1')", ValueError, "layer", "'layer1'", "'0', '1', '2', '3'"),
        ("find_concepts(net, pictures, '1', k=0)", ValueError, "k", "got 0", "1 or more"),
        ("find_concepts(net, pictures, '1', k=9)", ValueError, "k", "got 9", "the layer has 4 channels", 1),
        ("find_concepts(net, pictures, '1', method='ica')", ValueError, "method", "'ica'", "'nmf', 'semi_nmf', 'pca', 'kmeans', 'sae'"),
        ("find_concepts(net, pictures, '1', method=torch.ones(2, 4))", ValueError, "method", "rank 1", "linearly independent", 1),
        ("dictionary_quality(net, pictures, pictures, '1', methods=['ica'])", ValueError, "methods", "'ica'", "'nmf'"),
        ("measure_stability(net, pictures, concepts, splits=0)", ValueError, "splits", "got 0", "1 or more"),
        ("concept_game(net, image[None], 'c1')", TypeError, "concepts", "str", "find_concepts"),
        ("concept_game(mlp, tensor([row]), concepts)", ValueError, "concepts", "another network", "find those of this one"),
        ("concept_game(net, pictures, concepts)", ValueError, "inputs", "a batch of 2", "one sample", 1),
        ("concept_game(net, image[None], concepts, residual=1)", TypeError, "residual", "got 1", "True or False"),
        ("concept_game(net, image[None], concepts, absent='erase')", TypeError, "absent", "'erase'", "'subtract', or an Eraser"),
        ("decodable(net, pictures, concepts, 5)", ValueError, "concept", "got 5", "from 0 to 1"),
        ("fit_eraser(net, pictures, 'c1')", TypeError, "concepts", "str", "find_concepts"),
        ("concept_game(net, image[None], concepts, players=['c9'])", ValueError, "players", "'c9'", "c0, c1", 1),
        ("concept_attribution(net, concepts, image * nan, 'c0')", ValueError, "inputs", "NaN", "finite"),
        ("concept_attribution(net, concepts, image, 'c0', baseline=nan)", ValueError, "baseline", "NaN", "finite", 1),
        ("concept_attribution(net, concepts, image, 'c9')", ValueError, "concept", "'c9'", "'c0', 'c1'"),
        ("concept_attribution(net, concepts, pictures, 'c0')", ValueError, "inputs", "a batch of 2", "one sample"),
        ("concept_attribution(net, concepts, image, 'c0', method='colours')", TypeError, "method", "'colours'", "captum.attr"),
        ("logit_lens(net, concepts, tokenizer)", TypeError, "model", "Sequential", "causal language model"),
        ("steering_effect(net, ['a text'], '1', {}, 'a', 'b', tokenizer, [1])", TypeError, "model", "Sequential", "causal language model"),
        ("mean_difference(net, pictures, pictures, '1')", ValueError, "others", "samples with the same mean", "others than those of data", 2),
        ("concept_maps(game)", ValueError, "game", "a, b, c", "concept_game"),
        ("match_concepts((net, mlp), (concepts, concepts), pictures)", ValueError, "concepts", "another network", "find those of this one"),
        ("plot_crops(pictures, ['a', 'b'])", ValueError, "crops", "(2, 3, 8, 8)", "(concepts, crops, 1 or 3, side, side)"),
        ("plot_concept_maps(image, torch.ones(2, 4, 4), [(5,)], 'ab')", ValueError, "groups", "[(5,)]", "from 0 to 1"),
        ("plot_concept_tree([torch.rand(2, 1, 4, 4)] * 2, 'ab', [1, None])", ValueError, "parents", "[1, None]", "for node 0 an earlier one"),
        ("plot_token_maps(['a'], [[1., 2.]], ['b'])", ValueError, "maps", "(1, 2)", "(1, 1)"),
    ],
    "Sparsity, Taylor and attributions": [
        ("sparsity_bound(v, M=4)", ValueError, "M", "4", "from 1 to 3"),
        ("sparsity_bound(v, tau=0)", ValueError, "tau", "0", "above 0"),
        ("sparsity_summary([v, v[:3]])", ValueError, "vs[1]", "length 3", "power of two"),
        ("estimate_mean_outputs(game, 3, confidence=95)", ValueError, "confidence", "95", "between 0 and 1"),
        ("estimated_conditions(v)", TypeError, "frame", "Tensor", "DataFrame of estimate_mean_outputs"),
        ("ask_circles(v, 3)", TypeError, "game", "Tensor", "callable"),
        ("ask_circles(game, 3, circles=1)", ValueError, "circles", "1", "2 or more"),
        ("judge_circles(v)", ValueError, "curves", "(8,)", "(circles, n + 1)"),
        ("judge_circles('curves')", TypeError, "curves", "'str'", "ask_circles"),
        ("judge_circles([[0., 1.], [0., 1.]], fall=-.1)", ValueError, "fall", "-0.1", "0 or more"),
        ("circle_intervals([[0., nan], [0., 1.]])", ValueError, "curves", "nan", "finite, 0 for order 0"),
        ("largest_fall([0., nan])", ValueError, "ubar", "nan", "finite averages"),
        ("axiom_errors(v, effects='and')", TypeError, "effects", "'and'", "a function"),
        ("taylor_interactions(torch.prod, [1., 2.], degree=0)", ValueError, "degree", "0", "from 1 to 12"),
        ("taylor_interactions(torch.prod, torch.ones(7))", ValueError, "x", "7 variables", "6 at most"),
        ("taylor_interactions(torch.exp, [1., 2.])", ValueError, "f", "(2,)", "one number"),
        ("Polynomial({(1, 0): 1., (1,): 2.})", ValueError, "terms", "[(1, 0), (1,)]", "one exponent for each variable"),
        ("run_method('lime', torch.prod, [1., 2.])", ValueError, "name", "'lime'", "'Shapley value'"),
        ("weigh_terms(taylor_interactions(torch.prod, [1., 2.]), 'LRP-epsilon')", TypeError, "neuron", "NoneType", "for a Neuron"),
        ("Neuron(torch.ones(2, 2))", ValueError, "w", "(2, 2)", "(n,)"),
        ("audit_method(lambda f, x, b: x[:1], torch.prod, [1., 2.])", ValueError, "f", "shape ()", "one number for each row"),
        ("recover_weights(lambda f, x, b: x, torch.prod, [1., 2.])", TypeError, "f", "builtin", "a Polynomial"),
        ("attribute_layers(mlp, torch.ones(2, 4), 'LRP')", ValueError, "rule", "'LRP'", "'LRP-epsilon', 'LRP-alpha-beta', 'Deep Taylor, z+'"),
        ("attribute_layers(mlp, torch.ones(2, 4), 'LRP-epsilon')", ValueError, "target", "None", "the network has 3 outputs"),
        ("attribute_layers(mlp, torch.ones(4), 'LRP-epsilon', target=0)", ValueError, "x", "(4,)", "samples (B, ...)"),
        ("attribute_layers(mlp, torch.ones(2, 5), 'LRP-epsilon', target=0)", ValueError, "x", "(2, 5)", "which the network cannot take"),
        ("attribute_layers(mlp, [[1., 2.]], 'LRP-epsilon', target=0)", TypeError, "x", "list", "a tensor of floats"),
        ("attribute_layers(mlp, torch.ones(2, 4), 'DeepLIFT rescale', torch.ones(3), 0)", ValueError, "b", "(3,)", "(R, 4) for several baselines"),
        ("attribute_layers(mlp, torch.ones(2, 4), 'Deep Taylor, z+', torch.ones(4), 0)", ValueError, "b", "other numbers than 0", "have zeros as baseline"),
        ("attribute_layers(torch.nn.Sequential(torch.nn.Softmax(1)), torch.ones(2, 4), 'Deep SHAP')", TypeError, "net", "'0' is a Softmax", "those that have one: Linear, Conv2d"),
        ("player_shares(x, rule='owen')", ValueError, "rule", "'owen'", "'shapley', 'banzhaf', 'occlusion', 'prediction difference'"),
        ("split_attributions(torch.zeros(7, 3))", ValueError, "a", "(7, 3)", "(2**n, n)"),
    ],
    "Figures and widgets": [
        ("WhatIf(v, v)", TypeError, "x", "Tensor", "Interactions"),
        ("WhatIf(x, v, top=0)", ValueError, "top", "got 0", "1 or more"),
        ("Sparsity(x, v, most=0)", ValueError, "most", "got 0", "1 or more"),
        ("Sharing([v, v], alpha=1.5)", ValueError, "alpha", "1.5", "from 0 to 1"),
        ("plot_interactions([1., 2.], [('a',)], 'and')", ValueError, "effects", "has 2, labels has 1", "equally many"),
        ("plot_interactions([1.], [('a',)], 'xor')", ValueError, "kinds", "'xor'", "'and' or 'or'"),
        ("plot_interactions([1.], [('a',)], 'and', ax=3)", TypeError, "ax", "int", "one matplotlib Axes, or None"),
        ("plot_text(['a', 'b'], [1., nan], limit=-1)", ValueError, "limit", "-1", "a finite number > 0"),
        ("plot_matching(v, v[:4])", ValueError, "v", "has 8, predictions['logical model'] has 4", "equally many"),
        ("plot_transferability([1, 2], {'net': [.5, 2]})", ValueError, "curves['net']", "entry 1 is 2.0", "from 0 to 1"),
        ("plot_order_strength([1], [0], [2.])", ValueError, "signs", "0", "1 or -1"),
        ("plot_network([1.], [('a',)], 'and', ['a', 'a'])", ValueError, "players", "'a' occurs twice", "number_repeats"),
        ("plot_brackets(['a'], [1.], [(3,)], 'and')", ValueError, "groups", "entry 0 has 3", "the players are 0"),
        ("plot_patches(pictures, torch.zeros(8, 8).long(), [1.])", ValueError, "image", "(2, 3, 8, 8)", "(H, W), (1, H, W) or (3, H, W)"),
        ("plot_butterfly([1], [1], [-1.])", ValueError, "strengths", "entry 0 is -1", "0 or more"),
        ("Explorer({'mine': lm})", ValueError, "models['mine']", "LlamaForCausalLM", "a name, (model, tokenizer) or (model, pictures)"),
        ("Compare([x, z])", ValueError, "xs[1]", "2 players", "the same players"),
        ("WhatIf(x, v[:4])", ValueError, "v", "(4,)", "(8,)"),
        ("ConfusingSamples({'a': [x, y], 'b': [x]})", ValueError, "networks", "1 to 2 samples", "equally many"),
    ],
    "The command line": [
        ("interlib explain ''", 2, "text", "''", "at least one word"),
        ("interlib explain 'A red apple' --noise 2", 2, "noise", "2.0", "from 0 to 1"),
        ("interlib explain 'A red apple' --output logodds", 2, "output", "'logodds'", "'log_odds'"),
        ("interlib explain 'A red apple' --batch-size 0", 2, "batch_size", "0", "at least 1"),
        ("interlib explain 'A red apple' --model .", 2, "model", "'.'", "'smollm2', 'gemma3-270m', a folder"),
        ("interlib explain 'A red apple' --noise little", 2, "argument --noise", "'little'", "float"),
    ],
}
LIST = [(call, raises, argument, given, allowed, *(passes or [0])) for cases in CASES.values() for call, raises, argument, given, allowed, *passes in cases]


class Models:
    "Models that count their passes and refuse to run more often than is allowed."
    def __init__(self): self.passes, self.most = 0, 99

    def run(self, *_):
        self.passes += 1
        assert self.passes <= self.most, "the model ran"

    def counted(self, model):
        model.register_forward_pre_hook(self.run)
        return model


def made():
    "What the calls use, by name, and the counter of passes."
    from captum.attr import Saliency
    torch.manual_seed(0)
    models, folder = Models(), Path(tempfile.mkdtemp())
    def worth(masks): models.run(); return masks.double().sum(1)
    v, (lm, tokenizer) = tensor([0., 1, 2, 5, 1, 2, 3, 9]), make_lm()
    net = models.counted(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval())
    pictures = torch.rand(2, 3, 8, 8)
    x, y, z = (il.harsanyi(t) for t in (v, v.flip(0), v[:4]))
    x.save(folder/"changed.safetensors")
    (folder/"changed.safetensors").write_bytes((folder/"changed.safetensors").read_bytes()[:-3] + b"???")
    (folder/"notes.txt").write_text("no tensors")
    il.Baseline(torch.zeros(3, 1, 1), "vgg", {}).save(folder/"baseline.safetensors")
    modules = [importlib.import_module(f"interlib.{module_name(path)}") for path in exported()]
    names = {name: getattr(module, name) for module in modules for name in module.__all__}
    names |= {name: getattr(il, name) for name in dir(il) if not name.startswith("_")}
    concepts = il.concepts.find_concepts(net, pictures, "1", k=2, progress=False)
    return models, names | dict(concepts=concepts,
        torch=torch, tensor=tensor, nan=float("nan"), Saliency=Saliency, v=v, x=x, y=y, z=z, lm=models.counted(lm), tokenizer=tokenizer, slow_tokenizer=type("SlowTokenizer", (), {"is_fast": False})(),
        text="A red apple falls to the ground", net=net, flat=models.counted(nn.Flatten(0)), mlp=models.counted(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()), pictures=pictures, image=pictures[0], row=[1., 2., 3., 4.],
        worth=worth, game=il.Game(worth, ["a", "b", "c"]), picture_game=il.image_game(net, pictures[0], players=[0, 5]), folder=folder,
        split=il.data.DataSplit(torch.rand(6, 3, 8, 8), tensor([0, 1, 2, 0, 1, 2]), torch.rand(3, 3, 8, 8), tensor([0, 1, 2]), ("cat", "dog", "cow"), "small"))


def command(call, folder):
    "Exit code and error of a command line, run in a folder."
    from interlib.app.cli import main
    here, said = Path.cwd(), io.StringIO()
    os.chdir(folder)
    try:
        with redirect_stderr(said): code = main(shlex.split(call)[1:])
    finally: os.chdir(here)
    return code, said.getvalue().strip().removeprefix("interlib: error: ")


def answer(call, models, names, most):
    "What a call raises, its message, and how often a model ran."
    models.passes, models.most = 0, most
    try:
        if call.startswith("interlib "): raised, message = command(call, names["folder"])
        else:
            try:
                with redirect_stderr(io.StringIO()): eval(call, dict(names))        # progress bars
            except Exception as e: raised, message = type(e), str(e)
            else: raised, message = None, "it was not refused"
    finally: models.most = 99
    message = re.sub(r"\d+\.\d GB are free", "... GB are free", message.replace(str(names["folder"]), "FOLDER"))
    return raised, message, models.passes


@pytest.fixture(scope="module")
def world(): return made()


def parameters(call, names):
    "Of the function that is called, and the keywords it is called with."
    call = ast.parse(call, mode="eval").body
    function = eval(compile(ast.Expression(call.func), "", "eval"), dict(names))
    return {*inspect.signature(function).parameters, *(k.arg for k in call.keywords)}


@pytest.mark.parametrize("call, raises, argument, given, allowed, passes", LIST, ids=[case[0] for case in LIST])
def test_a_wrong_call_is_refused(world, call, raises, argument, given, allowed, passes):
    models, names = world
    raised, message, ran = answer(call, models, names, passes)
    assert raised == raises, message
    assert re.match(re.escape(argument) + r"(: | has )", message), message
    rest = message[len(argument):]
    assert given in rest and allowed in rest, message
    assert ran == passes, f"{ran} passes: {message}"
    assert "\n" not in message
    if not call.startswith("interlib "):                                    # `n` is the number of players everywhere
        assert {name.split("[")[0] for name in argument.split(", ")} <= parameters(call, names) | {"n"}


HEAD = """# What wrong calls say

Every message names the argument, what was given, and what is allowed. Each call below is run by [tests/unit/test_bad_input.py](../tests/unit/test_bad_input.py), which makes this page (`make readme`).
*Passes* is how often the model had run when the call was refused: most are refused before, and making a game takes one pass, which shows the model's classes.

In the calls `v` is a value table of three players, `x` and `y` are `Interactions` of three players and `z` of two, `lm` is a language model, `text` has seven words,
`net` sorts pictures of shape (3, 8, 8) into three classes, `mlp` rows of four columns, `flat` returns no classes at all, `worth` is a plain function,
`game` a `Game` of it with three players, `picture_game` one of `net` with two, `split` a `DataSplit`, `concepts` two of `net`'s layer '1', and `FOLDER` stands for `folder`.
"""


def code(text): return f"`` {text} ``".replace("|", "\\|") if "`" in text else f"`{text}`".replace("|", "\\|")


def page():
    "docs/mistakes.md as text."
    (models, names), lines = made(), [HEAD]
    for section, cases in CASES.items():
        lines += [f"## {section}\n", "| call | message | passes |", "|---|---|---|"]
        for call, *_ in cases:
            raised, message, passes = answer(call, models, names, 99)
            lines.append(f"| {code(call)} | {code(message if call.startswith('interlib ') else f'{raised.__name__}: {message}')} | {passes} |")
        lines.append("")
    return "\n".join(lines)


def test_the_page_is_made_from_these_calls():
    assert (ROOT/"docs"/"mistakes.md").read_text(encoding="utf-8") == page()


if __name__ == "__main__": (ROOT/"docs"/"mistakes.md").write_text(page(), encoding="utf-8")
