"Planted concepts: images made of four known parts, a network that has learned an AND of two and an OR of the others."
import numpy as np
import pytest
import torch
from torch import nn

import interlib as il
from interlib.model.activations import as_rows
from interlib.model.layers import layer_output
from interlib.nets.networks import fixed_seed

PARTS = torch.zeros(4, 5, 5)                                            # plus, box, cross, stripes
PARTS[0, 2], PARTS[0, :, 2], PARTS[3, ::2] = 1, 1, 1
PARTS[1], PARTS[1, 1:4, 1:4] = 1, 0
PARTS[2] = torch.maximum(torch.eye(5), torch.eye(5).flip(0))


def pictures(count, seed):
    "Each part is there with probability one half, in one of the four quarters."
    g = torch.Generator().manual_seed(seed)
    has, x = torch.rand(count, 4, generator=g) < .5, .05 * torch.randn(count, 1, 16, 16, generator=g)
    for i in range(count):
        for part, quarter in enumerate(torch.randperm(4, generator=g).tolist()):
            r, c = 8 * (quarter // 2) + 1, 8 * (quarter % 2) + 1
            if has[i, part]: x[i, 0, r:r + 5, c:c + 5] += PARTS[part]
    return x, has


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.see = nn.Sequential(nn.Conv2d(1, 32, 8, stride=8), nn.ReLU())                  # quarters, as a transformer reads patches
        self.decide = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, x): return self.decide(self.see(x).amax((2, 3)))


@pytest.fixture(scope="module")
def planted():
    "Class `a + 2 o`: a, whether the plus AND the box are there; o, whether the cross OR the stripes are."
    x, has = pictures(3000, 0)
    y = (has[:, 0] & has[:, 1]).long() + 2 * (has[:, 2] | has[:, 3]).long()
    with fixed_seed(0): net = Net()
    training = il.training.train(net, il.data.DataSplit(x[:2500], y[:2500], x[2500:], y[2500:], ("none", "and", "or", "both"), "planted"), epochs=12, lr=.05, progress=False)
    assert training.accuracy[-1].min() > .99
    return net, x, has, il.concepts.find_concepts(net, x[:600], "see", k=5, progress=False)


def own_part(net, concepts, x, has):
    "The concept that goes with each part: the strongest correlation of its largest amount in a picture with the part's presence."
    u = concepts.encode(as_rows(layer_output(net, "see", x)[0])).amax(1)
    r = np.corrcoef(u.T.numpy(), has.numpy().T)[:len(concepts), len(concepts):]
    assert (r.max(0) > .9).all(), r
    return r.argmax(0).tolist()


def prob(*classes): return lambda z, target: z.softmax(-1)[:, list(classes)].sum(-1)


def test_and_and_or_of_parts_are_found(planted):
    net, x, has, concepts = planted
    plus, box, cross, stripes = own_part(net, concepts, x[:600], has[:600])
    assert len({plus, box, cross, stripes}) == 4
    right = 0
    for i in has.all(1).nonzero()[:10, 0].tolist():                     # pictures that have all parts
        for output, kind, pair in ((prob(1, 3), "and", {plus, box}), (prob(2, 3), "or", {cross, stripes})):
            game = il.concept_game(net, x[i:i + 1], concepts, players=[plus, box, cross, stripes], output=output)
            top = il.decompose(il.evaluate(game, progress=False)).primitives(k=1).iloc[0]
            members = {concepts.names.index(game.players[p]) for p in top.members}
            right += (top.kind, members) == (kind, pair) and top.effect > .8
    assert right >= 18, right


def test_full_coalition_is_the_network(planted):
    net, x, has, concepts = planted
    for i in range(10):
        if not has[i].any(): continue
        game = il.concept_game(net, x[i:i + 1], concepts, target=1, output="logit")
        with torch.no_grad(): own = net(x[i:i + 1])[0, 1]
        assert abs(game(torch.ones(1, game.n, dtype=torch.bool)).item() - own.item()) < 1e-5


def test_concept_game_leaves_the_network_as_it_was(planted):
    net, x, _, concepts = planted
    before = [p.clone() for p in net.parameters()]
    net.train()
    try: il.evaluate(il.concept_game(net, x[:1], concepts), progress=False)
    finally: kept = net.training; net.eval()
    assert kept and all(torch.equal(a, b) for a, b in zip(before, net.parameters())) and not net.see._forward_hooks


def test_cached_tables_tell_concepts_apart(planted, tmp_path):
    net, x, _, concepts = planted
    other = il.concepts.find_concepts(net, x[600:900], "see", k=5, seed=1, progress=False)
    for c in (concepts, other): il.evaluate(il.concept_game(net, x[:1], c, players=[0, 1]), progress=False, cache=tmp_path)
    assert len(list(tmp_path.glob("*"))) == 2


def test_features_without_a_map_and_saved_concepts(planted, tmp_path):
    net, x, has, _ = planted
    concepts = il.concepts.find_concepts(net, x[:300], "decide.1", k=3, progress=False)          # units after a ReLU: one position
    concepts.save(tmp_path / "c.safetensors")
    game = il.concept_game(net, x[:1], il.concepts.Concepts.load(tmp_path / "c.safetensors"), players=[0, 1, 2], target=0)
    assert il.concepts.concept_maps(game).shape == (3, 1)
    assert il.concepts.reconstruction_error(net, x[300:400], concepts) < 1
    with pytest.raises(ValueError, match="path: .* damaged"):
        (tmp_path / "c.safetensors").write_bytes((tmp_path / "c.safetensors").read_bytes()[:-9])
        il.concepts.Concepts.load(tmp_path / "c.safetensors")


def test_attributions_of_concepts(planted):
    captum = pytest.importorskip("captum.attr")
    net, x, has, concepts = planted
    i = has.all(1).nonzero()[0].item()
    game = il.concept_game(net, x[i:i + 1], concepts, target=3, output="logit")
    a = il.explainers.attribute(game, captum.IntegratedGradients)
    v = il.evaluate(game, progress=False)
    assert a.sum().item() == pytest.approx((v[-1] - v[0]).item(), abs=.05 * abs(v[-1] - v[0]).item() + .05)


@pytest.mark.parametrize("call, message", [
    (lambda net, x, c: il.concepts.find_concepts(net, x[0, 0, 0], "see"), "data: got shape (16,)"),
    (lambda net, x, c: il.concepts.find_concepts(net, "a text", "see"), "data: got a str"),
    (lambda net, x, c: il.concepts.find_concepts(net, x[:2], "nowhere"), "layer: got 'nowhere'"),
    (lambda net, x, c: il.concepts.find_concepts(net, x[:2], "see", k=2.5), "k: got 2.5"),
    (lambda net, x, c: il.concepts.find_concepts(net, x[:2], "see", rows=0), "rows: got 0"),
    (lambda net, x, c: il.concepts.find_concepts(net, x[:2], "see", side=-3), "side: got -3"),
    (lambda net, x, c: il.concepts.find_concepts(net, x[:2], "see", seed=None), "seed: got None"),
    (lambda net, x, c: il.concept_game(net, x[:1] * torch.nan, c), "inputs: layer 'see' returns NaN"),
    (lambda net, x, c: il.concepts.find_concepts(net, x[:2] * torch.nan, "see", progress=False), "layer: 'see' returns NaN or infinity"),
    (lambda net, x, c: il.concept_game(net, x[:1], None), "concepts: got a NoneType"),
    (lambda net, x, c: il.concept_game(net, x[:1], c, residual="no"), "residual: got 'no'"),
    (lambda net, x, c: il.concept_game(net, x[:1], c, target=9), "target: got 9"),
    (lambda net, x, c: il.concept_game(net, x[0, 0], c), "inputs: "),
    (lambda net, x, c: il.concept_game(Net().eval(), x[:1], c), "concepts: they were found in another network"),
    (lambda net, x, c: il.concepts.reconstruction_error(net, [], c), "data: got a list"),
])
def test_wrong_calls(planted, call, message):
    net, x, _, concepts = planted
    with pytest.raises((ValueError, TypeError)) as e: call(net, x, concepts)
    assert str(e.value).startswith(message), e.value


class Tokens(nn.Module):
    "Words to a class: features of either sign after `mix`, one vector a text after `pool`."
    def __init__(self):
        super().__init__()
        self.embed, self.mix, self.pool, self.decide = nn.Embedding(6, 8), nn.Linear(8, 8), nn.Linear(8, 4), nn.Linear(4, 2)

    def forward(self, input_ids, attention_mask): return self.decide(self.pool((self.mix(self.embed(input_ids)) * attention_mask[..., None]).mean(1)))


@pytest.fixture(scope="module")
def reading():
    tokenizers, transformers = pytest.importorskip("tokenizers"), pytest.importorskip("transformers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(["[PAD]", "a", "dull", "good", "film", "!"])}, unk_token="!"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    with fixed_seed(0): net = Tokens().eval()
    return net, transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", model_input_names=["input_ids", "attention_mask"])


def test_error_is_that_of_the_layer_where_features_have_signs(reading):
    net, tokenizer = reading
    texts = ["a dull film", "good", "a good good film !"]
    concepts = il.concepts.find_concepts(net, texts, "mix", k=2, tokenizer=tokenizer, progress=False)
    assert concepts.meta["signs"] and concepts.error > .1
    assert concepts.error == pytest.approx(il.concepts.reconstruction_error(net, texts, concepts, tokenizer))


def test_texts_that_cannot_be_used(reading):
    net, tokenizer = reading
    texts = ["a dull film", "good"]
    with pytest.raises(ValueError, match="^layer: 'pool' has 1 positions for 3 tokens"): il.concepts.find_concepts(net, texts, "pool", k=1, tokenizer=tokenizer, progress=False)
    with pytest.raises(TypeError, match="^data: got a ndarray"): il.concepts.find_concepts(net, np.array(texts), "mix", k=1, tokenizer=tokenizer)
    concepts = il.concepts.find_concepts(net, texts, "mix", k=2, tokenizer=tokenizer, progress=False)
    with pytest.raises(ValueError, match="^data: got texts without a word"): il.concepts.match_concepts((net, net), (concepts, concepts), ["!"], (tokenizer, tokenizer))


class Sequence(nn.Module):
    "A map, then its positions as tokens beside one more."
    def __init__(self):
        super().__init__()
        self.see, self.mix, self.decide = nn.Conv2d(1, 4, 8, stride=8), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x): return self.decide(self.mix(nn.functional.pad(self.see(x).flatten(2).transpose(1, 2), (0, 0, 1, 0))).mean(1))


def test_within_asks_for_positions_that_correspond(planted):
    _, x, _, _ = planted
    net = Sequence().eval()
    late, map_, vector = (il.concepts.find_concepts(net, x[:20], layer, k=1, progress=False) for layer in ("mix", "see", "decide"))
    for layer, later in (("see", late), ("mix", map_)):
        with pytest.raises(ValueError, match="^within: "): il.concepts.find_concepts(net, x[:20], layer, k=1, within=(later, "c0"), progress=False)
    assert il.concepts.find_concepts(net, x[:20], "see", k=1, within=(vector, "c0"), progress=False).meta["rows"] % 4 == 0
    with pytest.raises(TypeError, match="^within: got a Concepts"): il.concepts.find_concepts(net, x[:20], "see", within=late)


@pytest.mark.parametrize("size", [0., 1e-200])
def test_features_of_nothing_but_zeros(size):
    class Zero(nn.Module):
        def forward(self, x): return size * x
    net = nn.Sequential(nn.Linear(3, 3), Zero(), nn.Linear(3, 2)).double().eval()
    with pytest.raises(ValueError, match="^layer: '1' returns nothing but zeros"): il.concepts.find_concepts(net, torch.ones(9, 3), "1", k=2, progress=False)


def test_images_go_to_the_model_batch_by_batch(planted, monkeypatch):
    net, x, _, _ = planted
    import interlib.model.activations as module
    log, batches, look = [], module.batches, module.layer_features
    def told(*args):
        for b in batches(*args): log.append("read"); yield b
    monkeypatch.setattr(module, "batches", told)
    monkeypatch.setattr(module, "layer_features", lambda *args: (log.append("seen"), look(*args))[1])
    il.concepts.find_concepts(net, x[:80], "see", k=2, progress=False)
    assert log == ["read", "seen"] * 3


def test_seeds_of_numpy_can_be_stored(planted, tmp_path):
    net, x, _, _ = planted
    il.concepts.find_concepts(net, x[:40], "see", k=np.int64(2), seed=np.int64(3), progress=False).save(tmp_path / "c.safetensors")
    assert il.concepts.Concepts.load(tmp_path / "c.safetensors").meta["seed"] == 3


def strong_by_hand(net, x, found, name, side):
    "Where a concept is strong on a map of `side` cells, without the library's own search for it."
    i, seen = found.names.index(name), []
    handle = net.get_submodule(found.layer).register_forward_hook(lambda module, args, out: seen.append(out))
    with torch.no_grad(): net(x)
    handle.remove()
    u = found.encode(seen[0].flatten(2).transpose(1, 2))[..., i].view(len(x), *seen[0].shape[2:])
    times = side // u.shape[1]
    return (u >= found.levels[i]).repeat_interleave(times, 1).repeat_interleave(times, 2)


def test_a_part_of_a_part_lies_inside_both():
    "Five concepts of ResNet-20's last layers, four parts of each: what the parts of these are found in, position by position."
    from interlib.model.activations import collect_rows
    from interlib.model.recursion import places_inside
    net, x = il.load_trained("resnet20-digit3", progress=False)[0].eval(), il.data.one_against_rest(il.data.digits(16), 3).train_x[:400]
    late = il.concepts.find_concepts(net, x, "layer3", k=5, progress=False)
    for parent in late.names:
        middle = il.concepts.find_concepts(net, x, "layer2", k=4, within=(late, parent), progress=False)
        for part in middle.names:
            found = il.concepts.find_concepts(net, x, "layer1", k=1, within=(middle, part), progress=False)
            inside = strong_by_hand(net, x, late, parent, 16) & strong_by_hand(net, x, middle, part, 16)
            assert 0 < found.meta["rows"] == inside.sum() < strong_by_hand(net, x, middle, part, 16).sum()
            drawn = collect_rows(net, x, "layer1", chosen=lambda batch, shape: places_inside(net, found.ancestors, batch.inputs, shape))
            assert all(inside[s].flatten()[p] for s, p in drawn.where)
            amounts = il.concepts.responses(net, x, found)[0].view(len(x), 16, 16)
            assert amounts[inside].sum() > 0 == amounts[~inside].sum()


def test_ancestors_in_files(tmp_path):
    net, x = il.load_trained("resnet20-digit3", progress=False)[0].eval(), il.data.digits(16).train_x[:200]
    late = il.concepts.find_concepts(net, x, "layer3", k=3, progress=False)
    middle = il.concepts.find_concepts(net, x, "layer2", k=3, within=(late, "c1"), progress=False)
    found = il.concepts.find_concepts(net, x, "layer1", k=2, within=(middle, "c0"), progress=False)
    found.save(tmp_path / "c.safetensors")
    back = type(found).load(tmp_path / "c.safetensors")
    assert [(a.name, a.layer) for a in back.ancestors] == [("c0", "layer2"), ("c1", "layer3")] and repr(back) == repr(found)
    assert torch.equal(il.concepts.responses(net, x[:50], back)[0], il.concepts.responses(net, x[:50], found)[0])
    game = lambda c: il.concept_game(net, x[i:i + 1], c).meta["concepts"]
    i = il.concepts.responses(net, x, found)[0].view(200, -1).sum(1).argmax()
    assert game(back) == game(found)
    back.ancestors = back.ancestors[:1]                       # another game: there is more of it
    assert game(back) != game(found)


def test_stability_is_kept_in_files_and_marks_names(planted, tmp_path):
    from interlib.model.dictionary_quality import measure_stability
    net, x, has, _ = planted
    parts = il.concepts.find_concepts(net, x[:600], "see", k=12, progress=False)             # three times as many as there are parts
    found = measure_stability(net, x[:600], parts, progress=False)
    own = set(own_part(net, found, x[:600], has[:600]))
    assert all(found.stability[i] > .9 for i in own) and found.stability.min() < .9         # the planted parts come back, the rest does not
    assert [n[0] == "~" for n in found.names] == (found.stability < .9).tolist()
    found.save(tmp_path / "c.safetensors")
    back = il.concepts.Concepts.load(tmp_path / "c.safetensors")
    assert torch.equal(back.stability, found.stability) and back.names == found.names and "stability" in back.to_frame()
    game = il.concept_game(net, x[:1], back)
    assert set(game.players) <= set(found.names)


def test_every_method_makes_players(planted):
    pytest.importorskip("cv2")
    net, x, _, _ = planted
    with torch.no_grad(): own = net(x[:1])[0, 1].item()
    for method in ("nmf", "semi_nmf", "pca", "kmeans", "sae", torch.eye(32)[:5]):
        found = il.concepts.find_concepts(net, x[:200], "see", k=5, method=method, progress=False)
        assert isinstance(found.meta["converged"], bool) and found.error == pytest.approx(il.concepts.reconstruction_error(net, x[:200], found), rel=1e-5)
        game = il.concept_game(net, x[:1], found, target=1, output="logit")
        assert game(torch.ones(1, game.n, dtype=torch.bool)).item() == pytest.approx(own, abs=1e-5)


def test_quality_of_dictionaries_of_texts(reading):
    from interlib.model.dictionary_quality import dictionary_quality
    net, tokenizer = reading
    texts = ["a dull film", "good", "a good good film !", "dull dull", "film a", "good !"]
    frame = dictionary_quality(net, texts, texts[::-1], "mix", (1, 2), ("nmf", "pca", np.eye(8)), tokenizer, splits=1)
    assert frame.index.tolist() == [("nmf", 1), ("nmf", 2), ("pca", 1), ("pca", 2), ("own", 8)]
    assert frame.seen.to_numpy() == pytest.approx(frame.unseen.to_numpy())                    # the same texts: padding counts nowhere
    assert frame.loc["pca"].seen.is_monotonic_decreasing and frame.stability.isna().tolist() == [False] * 4 + [True]


@pytest.fixture(scope="module")
def eraser(planted):
    from interlib.model.erasure import fit_eraser
    net, x, _, concepts = planted
    return fit_eraser(net, x[:1500], concepts)


def test_erased_parts_of_pictures(planted, eraser, tmp_path):
    "Logistic regression finds nothing on the rows of the eraser; on others it does where channels are nearly dead, which is a limit. The full coalition is the network."
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    from interlib.model.activations import collect_rows
    from interlib.model.erasure import decodable
    net, x, has, concepts = planted
    parts = own_part(net, concepts, x[:600], has[:600])
    a = torch.from_numpy(collect_rows(net, x[:1500], "see").values)
    def gain(rows, y): return 1 - log_loss(y, LogisticRegression(max_iter=1000).fit(rows, y).predict_proba(rows)) / log_loss(y, np.full(len(y), y.mean()))
    for c in parts:
        u = concepts.encode(a)[:, c]
        strong, gone = (u > concepts.levels[c]).numpy(), torch.arange(5)[None] == c
        assert gain(a, strong) > .5 and abs(gain(eraser.erase(a, gone)[0], strong)) < 1e-3
        left = decodable(net, x[1500:2500], concepts, c, eraser, probes=("linear",)).linear
        assert left["subtract"] > .95 and left["nothing"] > .99 and left["erase"] > .8
    i = has.all(1).nonzero()[0].item()
    game = il.concept_game(net, x[i:i + 1], concepts, players=parts, target=3, output="logit", absent=eraser)
    with torch.no_grad(): own = net(x[i:i + 1])[0, 3].item()
    v = il.evaluate(game, progress=False, cache=tmp_path)
    assert v[-1].item() == pytest.approx(own, abs=1e-5)
    subtracted = il.evaluate(il.concept_game(net, x[i:i + 1], concepts, players=parts, target=3, output="logit"), progress=False, cache=tmp_path)
    assert len(list(tmp_path.glob("*"))) == 2 and (v[:-1] - subtracted[:-1]).abs().max() > .1
    captum = pytest.importorskip("captum.attr")
    with pytest.raises(ValueError, match="^absent: "): il.explainers.attribute(game, captum.IntegratedGradients)


def test_jointly_erased_is_erased_of_each(planted, eraser):
    "What is left after erasing several is uncorrelated with each of them; less of them is left than after one alone."
    from interlib.model.activations import collect_rows
    net, x, _, concepts = planted
    a = torch.from_numpy(collect_rows(net, x[:1500], "see").values)
    u = concepts.encode(a)
    gone = torch.tensor([[True, False, True, True, False], [True, False, False, False, False]])
    both, one = eraser.erase(a, gone)
    def r(rows, c): return torch.corrcoef(torch.cat([rows.T, u[:, [c]].T]))[-1, :-1].nan_to_num().abs().max()
    assert all(r(both, c) < 1e-6 for c in (0, 2, 3)) and r(one, 0) < 1e-6 < 1e-2 < r(one, 2)


def test_erasers_of_texts(reading):
    from interlib.model.erasure import fit_eraser
    net, tokenizer = reading
    texts = ["a dull film", "good", "a good good film !", "dull dull", "film a", "good !"]
    concepts = il.concepts.find_concepts(net, texts, "mix", k=3, tokenizer=tokenizer, progress=False)
    eraser = fit_eraser(net, texts, concepts, tokenizer)
    game = il.concept_game(net, texts[2], concepts, target=1, output="logit", tokenizer=tokenizer, absent=eraser)
    with torch.no_grad(): own = net(**tokenizer(texts[2], return_tensors="pt"))[0, 1].item()
    assert game(torch.ones(1, game.n, dtype=torch.bool)).item() == pytest.approx(own, abs=1e-5)
    other = il.concepts.find_concepts(net, texts, "mix", k=2, tokenizer=tokenizer, progress=False)
    with pytest.raises(ValueError, match="^absent: it erases other concepts"): il.concept_game(net, texts[2], other, tokenizer=tokenizer, absent=eraser)
