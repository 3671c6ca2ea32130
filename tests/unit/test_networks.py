"""Networks of every make: what their answers are, batches they depend on, precision, modules without values, vision transformers; each against the network asked directly."""
import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import interlib as il
from interlib.model.model_logits import logits_of
from interlib.model.borrowing import borrow, in_precision, longest_text
from interlib.model.games import Game, Masked
from interlib.model.outputs import log_odds


@pytest.fixture(scope="module")
def image(): return torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(3))


def body(seed=0, classes=3):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, classes)).eval()
    net[-1].weight.data.mul_(10)
    return net


class Then(nn.Module):
    "A network and what is done to its logits."
    def __init__(self, net, then): super().__init__(); self.net, self.then = net, then
    def forward(self, x): return self.then(self.net(x))


def vit(problem_type=None, labels=3, **more):
    from transformers import ViTConfig, ViTForImageClassification
    torch.manual_seed(0)
    config = ViTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=2, num_channels=1, num_labels=labels, problem_type=problem_type, **more)
    model = ViTForImageClassification(config).eval()
    for p in model.parameters(): p.data.mul_(6)
    return model


def masked_images(image, n=4, zero=0.):
    "All versions of an image with the four quarters masked by hand."
    out = []
    for c in range(2**n):
        x = image.clone()
        for i in range(n):
            if not c >> i & 1: x[:, i // 2 * 4:i // 2 * 4 + 4, i % 2 * 4:i % 2 * 4 + 4] = zero
        out.append(x)
    return torch.stack(out)


def one_at_a_time(net, images):
    with torch.no_grad(): return torch.cat([logits_of(net(x[None])) for x in images])


def close(a, b, eps=1e-4): torch.testing.assert_close(a, b.double(), atol=eps, rtol=eps)


# What the answers are

def scripted(net): return torch.jit.script(nn.Sequential(net, nn.Sigmoid()).eval())


def renamed():
    "A classifier of one's own, by another name than transformers would give it."
    net = vit("multi_label_classification")
    net.__class__ = type("Tagger", (type(net),), {})
    return net


class Own(nn.Module):
    "A network with a configuration of its own."
    def __init__(self):
        from types import SimpleNamespace
        super().__init__()
        self.net, self.config = body(), SimpleNamespace(problem_type="multi_label_classification")
    def forward(self, x): return {"logits": self.net(x)}


LABELS = {
    "problem_type": lambda: (vit("multi_label_classification"), lambda z: z),
    "function_to_apply": lambda: (vit(function_to_apply="sigmoid"), lambda z: z),
    "inside another module": lambda: (Then(vit("multi_label_classification"), lambda answer: answer.logits), lambda z: z),
    "DataParallel": lambda: (nn.DataParallel(vit("multi_label_classification")), lambda z: z),
    "a subclass": lambda: (renamed(), lambda z: z),
    "a network of one's own": lambda: (Own(), lambda z: z),
    "compiled": lambda: (torch.compile(Own(), backend="eager"), lambda z: z),
    "one label": lambda: (vit("multi_label_classification", labels=1), lambda z: z),
    "Sigmoid": lambda: (nn.Sequential(body(), nn.Sigmoid()), torch.logit),
    "torch.sigmoid": lambda: (Then(body(), torch.sigmoid), torch.logit),
    "in place": lambda: (Then(body(), lambda z: z.sigmoid_()), torch.logit),
    "expit": lambda: (Then(body(), torch.special.expit), torch.logit),
    "in a dict": lambda: (Then(body(), lambda z: {"probabilities": z.sigmoid(), "loss": z.sum()}), torch.logit),
    "squeezed": lambda: (Then(body(classes=1), lambda z: z.sigmoid().squeeze(1)), torch.logit),
    "scripted": lambda: (scripted(body()), torch.logit),
    "heads": lambda: (Then(body(), lambda z: torch.cat([z[:, k:k + 1].sigmoid() for k in range(3)], 1)), torch.logit),
    "heads without a column": lambda: (Then(body(), lambda z: torch.stack([z[:, k].sigmoid() for k in range(3)], 1)), torch.logit),
    "some of many": lambda: (Then(body(classes=5), lambda z: z.sigmoid()[:, [4, 2, 0]]), torch.logit),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", LABELS)
def test_labels_that_hold_at_once(image, kind):
    net, to_logits = LABELS[kind]()
    z = to_logits(one_at_a_time(net, masked_images(image)))
    for output, want in (("log_odds", z), ("log_prob", F.logsigmoid(z)), ("prob", z.sigmoid()), ("logit", z)):
        close(il.evaluate(il.image_game(net, image, grid=2, target=0, output=output), progress=False), want[:, 0], 1e-3)
    if z.shape[1] > 1: close(il.evaluate(il.image_game(net, image, grid=2, target=0, rival=1, output="margin"), progress=False), z[:, 0] - z[:, 1], 1e-3)


@pytest.mark.parametrize("then", [nn.Softmax(1), lambda z: (z.softmax(1), z.sum()), lambda z: {"probs": z.softmax(-1)}, lambda z: z.exp() / z.exp().sum(1, keepdim=True)])
def test_probabilities_are_not_taken_for_logits(image, then):
    net = Then(body(), then)
    z = one_at_a_time(net.net, masked_images(image))
    for output, want in (("log_odds", log_odds(z, 1)), ("log_prob", z.log_softmax(1)[:, 1]), ("prob", z.softmax(1)[:, 1])):
        close(il.evaluate(il.image_game(net, image, grid=2, target=1, output=output), progress=False), want, 1e-3)
    close(il.evaluate(il.image_game(net, image, grid=2, target=1, rival=0, output="margin"), progress=False), z[:, 1] - z[:, 0], 1e-3)
    with pytest.raises(ValueError, match="probabilities that sum to 1, whose logits are not known"): il.image_game(net, image, grid=2)
    own = il.evaluate(il.image_game(net, image, grid=2, target=1, output=lambda p, y: p[:, y]), progress=False)      # a function gets what the network returns
    close(own, z.softmax(1)[:, 1])


def test_features_and_rows_of_networks_that_return_probabilities(image):
    for end, odds in ((nn.Softmax(1), lambda z: log_odds(z, 1)), (nn.Sigmoid(), lambda z: z[:, 1])):
        net = nn.Sequential(*body(), end)
        game = il.feature_game(net, image[None], "1", grid=2, target=1)
        with torch.no_grad():
            close(game(torch.ones(1, 4).bool()).double(), odds(net[:-1](image[None])), 1e-3)
            row = nn.Sequential(nn.Linear(4, 3), end)
            close(il.tabular_game(row, torch.ones(4), torch.zeros(4), target=1, output="log_odds")(torch.ones(1, 4).bool()).double(), odds(row[0](torch.ones(1, 4))), 1e-3)


def test_logits_after_a_log_softmax_and_logits_that_look_like_probabilities(image):
    z = one_at_a_time(body(), masked_images(image))
    close(il.evaluate(il.image_game(Then(body(), nn.LogSoftmax(1)), image, grid=2, target=1, output="log_odds"), progress=False), log_odds(z, 1), 1e-3)
    chance = nn.Linear(2, 2)
    with torch.no_grad(): chance.weight.copy_(torch.eye(2)); chance.bias.zero_()
    close(il.evaluate(il.tabular_game(chance, torch.tensor([1., 0.]), torch.zeros(2), target=0), progress=False), torch.tensor([0., 1., 0., 1.]))      # (1, 0) sums to 1, (0, 0) does not


def test_a_sigmoid_written_by_hand_is_warned_of(image):
    net = nn.Sequential(nn.BatchNorm2d(1), Then(body(), lambda z: 1 / (1 + (-z).exp()))).train()
    with pytest.warns(UserWarning, match="'prob' is wrong if they are probabilities"): il.image_game(net, image, grid=2, output="prob")
    assert net[0].num_batches_tracked == 0 and net[0].training


def test_sure_probabilities(image):
    sure = lambda shift, end: Then(body(), lambda z: end(z * 0.1 + torch.tensor([shift, 0., 0.], dtype=z.dtype)))
    softmax, sigmoid = (sure(30., end) for end in (lambda z: z.softmax(1), lambda z: z.sigmoid()))
    z = one_at_a_time(body(), masked_images(image)) * .1 + torch.tensor([30., 0., 0.])
    close(il.evaluate(il.image_game(softmax, image, grid=2, target=0, output="log_odds"), progress=False), log_odds(z, 0), 1e-4)
    nearly = sure(14., lambda z: z.sigmoid())
    with pytest.raises(ValueError, match="too coarse for its logarithm"): il.image_game(nearly, image, grid=2, target=0, output="log_odds")
    double = copy.deepcopy(nearly).double()
    close(il.evaluate(il.image_game(double, image.double(), grid=2, target=0, output="log_odds"), progress=False), z[:, 0].double() - 16, 1e-4)
    with pytest.raises(ValueError, match="must be finite"): il.evaluate(il.image_game(sigmoid, image, grid=2, target=0, output="log_odds"), progress=False)
    assert il.evaluate(il.image_game(sigmoid, image, grid=2, target=0, output="prob"), progress=False)[-1] == 1


def test_numbers_are_no_classes(image):
    net = vit("regression")
    z = one_at_a_time(net, masked_images(image))
    close(il.evaluate(il.image_game(net, image, grid=2, target=2), progress=False), z[:, 2])
    for output in ("log_odds", "log_prob", "prob"):
        with pytest.raises(ValueError, match="numbers that are no classes"): il.image_game(net, image, grid=2, output=output)
    with pytest.raises(ValueError, match="numbers that are no classes"): il.feature_game(net, image[None], "vit.layers.0" if hasattr(net.vit, "layers") else "vit.encoder.layer.0", grid=2)


@pytest.mark.parametrize("answer", [lambda z: (z, z[:, :2]), lambda z: {"a": z, "b": z + 1}, lambda z: [z, z.sum(1)]])
def test_several_heads_are_refused(image, answer):
    with pytest.raises(ValueError, match="it returns 2 tensors"): il.image_game(Then(body(), answer), image, grid=2)


def test_answers_without_names(image):
    plain, tuples = vit(), vit(return_dict=False, output_hidden_states=True)
    assert tuples.config.return_dict is False
    close(il.evaluate(il.image_game(tuples, image, grid=2, target=1), progress=False), one_at_a_time(plain, masked_images(image))[:, 1])
    layer = "vit.layers.0" if hasattr(plain.vit, "layers") else "vit.encoder.layer.0"
    close(il.evaluate(il.image_game(Then(plain, lambda answer: answer.to_tuple()), image, grid=2, target=1), progress=False), one_at_a_time(plain, masked_images(image))[:, 1])
    assert tuples.config.return_dict is False
    close(il.evaluate(il.feature_game(tuples, image[None], layer, grid=2, target=1), progress=False), il.evaluate(il.feature_game(plain, image[None], layer, grid=2, target=1), progress=False))


# Batches

class Crowd(nn.Module):
    "A network whose answer depends on what else is in the batch."
    def __init__(self, mix, scale=1., shift=0.):
        super().__init__()
        self.net, self.mix, self.scale, self.shift = body(), mix, scale, shift
    def forward(self, x): return self.mix(self.net(x)) * self.scale + self.shift


def capacity(z):
    "Experts that take ten samples at most, as a mixture drops tokens."
    z = z.clone()
    z[10:] = 0
    return z


CROWDS = dict(mean=lambda z: z - z.mean(0) / 3, softmax=lambda z: z + z.softmax(0), norm=lambda z: z / z.norm(dim=0).clamp(min=1).sqrt(), largest=lambda z: (z / z.abs().max() * 127).round() * z.abs().max() / 127, capacity=capacity)


@pytest.mark.parametrize("mix", CROWDS)
@pytest.mark.parametrize("scale, shift", [(1., 0.), (1e-5, 0.), (1., 1e4)])
def test_answers_that_depend_on_the_batch_are_asked_for_one_by_one(image, mix, scale, shift):
    if mix == "largest" and shift: pytest.skip("the effect is smaller than one rounding of these outputs")
    net = Crowd(CROWDS[mix], scale, shift)
    want = one_at_a_time(net, masked_images(image))[:, 1]
    with torch.no_grad(): assert (net(masked_images(image))[:, 1] - want).abs().max() > .002 * (want.max() - want.min())      # so that there is something to find
    with pytest.warns(UserWarning, match="depend on what else is in the batch"): got = il.evaluate(il.image_game(net, image, grid=2, target=1), progress=False)
    torch.testing.assert_close(got, want.double(), atol=1e-4 * scale + 1e-7 * shift, rtol=1e-5)


def test_features_of_networks_that_depend_on_the_batch(image):
    net = nn.Sequential(*body(), Then(nn.Identity(), CROWDS["mean"]))
    with pytest.warns(UserWarning, match="depend on what else is in the batch"): got = il.evaluate(il.feature_game(net, image[None], "1", grid=2, target=1, baseline="zero", output="logit"), progress=False)
    with torch.no_grad():
        f, r = net[:2](image[None])[0], torch.arange(6) // 3
        kept = [f * torch.tensor([[bool(c >> (a * 2 + b).item() & 1) for b in r] for a in r]) for c in range(16)]
        close(got, torch.cat([net[2:](x[None])[:, 1] for x in kept]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_quantised_networks(image):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 3)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = torch.ao.quantization.quantize_dynamic(net, {nn.Linear})
    want = one_at_a_time(small, masked_images(image))[:, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = il.evaluate(il.image_game(small, image, grid=2, target=1), progress=False)
    torch.testing.assert_close(got, want.double(), atol=1e-6, rtol=1e-5)


def test_several_references_and_several_targets_one_by_one(image):
    torch.manual_seed(0)
    lin, mix = nn.Linear(3, 3), CROWDS["mean"]
    net, row, background = Then(lin, mix), torch.tensor([1., 2., 3.]), torch.randn(4, 3)
    with pytest.warns(UserWarning, match="depend on what else is in the batch"): got = il.evaluate(il.tabular_game(net, row, background, target=[0, 2], output="logit"), progress=False)
    rows = torch.stack([torch.stack([torch.where(torch.tensor([bool(c >> i & 1) for i in range(3)]), row, b) for b in background]) for c in range(8)])
    want = one_at_a_time(net, rows.flatten(0, 1)).unflatten(0, (8, 4)).mean(1)[:, [0, 2]].T
    close(got, want)


def test_a_language_model_that_depends_on_the_batch(tiny_lm):
    model = copy.deepcopy(tiny_lm[0])
    model.model.layers[0].register_forward_hook(lambda m, a, out: out + .3 * out.mean(0, keepdim=True) if isinstance(out, torch.Tensor) else out)
    with pytest.warns(UserWarning, match="depend on what else is in the batch"):
        game = il.text_game(model, tiny_lm[1], "A red apple falls to the ground", players=4, output="logit")
        got = il.evaluate(game, progress=False)
    close(got, torch.cat([game(m) for m in il.masks(4).split(1)]), 1e-4)
    assert got.std() > 0


def test_functions_and_chance():
    crowd = lambda m: m.double().sum(1) / len(m)
    with pytest.warns(UserWarning, match="depend on what else is in the batch"): assert torch.equal(il.evaluate(crowd, n=3, progress=False), il.orders(3).double())
    with pytest.raises(ValueError, match="must not depend on chance"): il.evaluate(lambda m: torch.rand(len(m)), n=3, progress=False)


def test_networks_as_they_should_be_are_asked_in_batches(image):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for net in (body(), vit(), nn.Sequential(*body(), nn.Softmax(1))): assert not il.image_game(net, image, grid=2, output="log_odds").masked.alone
        il.evaluate(il.image_game(Crowd(lambda z: z, 1e-5), image, grid=2), progress=False)


# Precision

def test_rounding_of_half_precision_is_told_with_its_size(tiny_lm):
    half = copy.deepcopy(tiny_lm[0]).bfloat16()
    text = "A red apple falls to the ground because of gravity"
    with pytest.warns(UserWarning, match=r"it computes in bfloat16, and its outputs are off by up to .*% of \|v\(N\) - v\(empty\)\|") as told:
        game = il.text_game(half, tiny_lm[1], text, players=6)
        got = il.evaluate(game, progress=False)
    exact = il.evaluate(il.text_game(copy.deepcopy(half).float(), tiny_lm[1], text, players=game.players, target=game.meta["classes"]), progress=False)
    off = ((got - exact).abs().max() / (got[-1] - got[0]).abs()).item()
    message = next(str(w.message) for w in told if "computes in" in str(w.message))
    measured = float(message.split("% of |v(N)")[0].split()[-1]) / 100
    assert off > .01 and .2 * off < measured <= 1.01 * off


def test_no_word_about_rounding_that_does_not_matter(image):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        il.evaluate(il.image_game(body(), image, grid=2), progress=False)
        il.evaluate(il.image_game(body().half(), image.half(), grid=2), progress=False)
        il.evaluate(il.image_game(body().double(), image.double(), grid=2), progress=False)


def test_an_offset_beyond_float32_is_told(image):
    with pytest.warns(UserWarning, match="computes in float32"): il.evaluate(il.image_game(Crowd(lambda z: z, 1., 1e7), image, grid=2), progress=False)


class Looks(nn.Module):
    "Reads identifiers that come as real numbers."
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.head = nn.Embedding(3000, 8), nn.Linear(8, 3)
    def forward(self, ids): return self.head(self.table(ids.long()).flatten(1, -2).mean(1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_identifiers_keep_their_numbers(dtype):
    net, ids = Looks().eval().to(dtype), torch.tensor([[[1001., 2999.], [257., 2049.]]])
    with torch.no_grad(): want = net(ids[None]).float()
    for given in (ids, ids.double()):
        close(il.image_game(net, given, grid=2, target=1)(torch.ones(1, 4).bool()).double(), want[:, 1], 1e-2)
        close(il.feature_game(net, given[None], "head", target=1, output="logit", baseline="zero")(torch.ones(1, 3).bool()).double(), want[:, 1], 1e-2)
    game = il.feature_game(net, {"ids": ids[None].long()}, "head", target=1, output="logit", baseline="zero")
    close(game(torch.ones(1, 3).bool()).double(), want[:, 1], 1e-2)
    assert in_precision(torch.rand(3, 8, 8), "cpu", dtype).dtype == dtype and in_precision(torch.arange(256.), "cpu", dtype).dtype == dtype


# Modules without values

@pytest.mark.parametrize("part", [lambda: nn.LazyLinear(3), lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), lambda: nn.Sequential(nn.LazyConv2d(2, 3), nn.Flatten(), nn.Linear(72, 3)), lambda: nn.Sequential(nn.LazyBatchNorm2d(), nn.Flatten(), nn.Linear(64, 3)),
                                  lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3, device="meta"))])
def test_uninitialised_networks_are_refused_untouched(image, part):
    net = nn.Sequential(part(), nn.Dropout()).train()
    net[1].eval()
    state = lambda: [(type(m), m.training, len(m._forward_hooks), len(m._forward_pre_hooks), [type(p) for p in m._parameters.values()]) for m in net.modules()]
    before = state()
    calls = [lambda: il.image_game(net, image, grid=2), lambda: il.feature_game(net, image[None], "1", grid=2), lambda: il.tabular_game(net, torch.ones(4), torch.zeros(4)),
             lambda: il.concepts.find_concepts(net, image[None], "1", k=1, progress=False), lambda: il.evaluate(Game(Masked(net, image, torch.zeros(8, 8).long(), torch.zeros(()), lambda m, x: m(x), lambda z: z[:, 0]).outputs, ["a"]), progress=False)]
    for call in calls:
        with pytest.raises(ValueError, match="model: its .* (has no values yet|holds no values)"): call()
        assert state() == before


# Vision transformers

@pytest.mark.parametrize("layer", ["embeddings", "layer", "patches"])
def test_patches_of_a_vision_transformer(image, layer):
    net = vit()
    layer = {"embeddings": "vit.embeddings", "layer": "vit.layers.0" if hasattr(net.vit, "layers") else "vit.encoder.layer.0", "patches": "vit.embeddings.patch_embeddings"}[layer]
    own = 0 if layer.endswith("patch_embeddings") else 1                  # the class token
    game = il.feature_game(net, image[None], layer, grid=2, target=1, baseline="zero", output="logit")
    assert game.players == ["r0c0", "r0c1", "r1c0", "r1c1"] and (game.masked.regions.flatten() < 0).sum() == own
    assert torch.equal(game.masked.regions.flatten()[own:].view(4, 4), (torch.arange(4)[:, None] // 2 * 2 + torch.arange(4) // 2))
    want = []
    for c in range(16):
        keep = torch.tensor([True] * own + [bool(c >> (p // 8 * 2 + p % 4 // 2) & 1) for p in range(16)])
        def hook(m, a, out): return (out[0] * keep[:, None], *out[1:]) if isinstance(out, tuple) else out * keep[:, None]
        handle = net.get_submodule(layer).register_forward_hook(hook)
        with torch.no_grad(): want.append(net(image[None]).logits[0, 1])
        handle.remove()
    close(il.evaluate(game, progress=False), torch.stack(want))


def test_other_vision_transformers():
    from torchvision.models import SwinTransformer, VisionTransformer
    from transformers import DeiTConfig, DeiTForImageClassification, SwinConfig, SwinForImageClassification
    torch.manual_seed(0)
    size = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, num_channels=1)
    deit = DeiTForImageClassification(DeiTConfig(image_size=16, patch_size=4, **size)).eval()
    game = il.feature_game(deit, torch.rand(1, 1, 16, 16), "deit.embeddings", grid=2)
    assert game.n == 4 and (game.masked.regions < 0).sum() == 2           # class and distillation tokens
    wide = il.feature_game(VisionTransformer(16, 4, 1, 1, 8, 8).eval(), torch.rand(1, 3, 16, 16), "encoder.layers.encoder_layer_0", grid=(1, 2))
    assert wide.players == ["r0c0", "r0c1"] and (wide.masked.regions < 0).sum() == 1
    swin = SwinForImageClassification(SwinConfig(image_size=32, patch_size=4, num_channels=1, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=2)).eval()
    merged = il.feature_game(swin, torch.rand(1, 1, 32, 32), "swin.encoder.layers.1" if hasattr(swin.swin, "encoder") else "swin.layers.1", grid=2)
    assert merged.n == 4 and len(merged.masked.x) == 16
    last = SwinTransformer([4, 4], 12, [1, 1], [1, 1], [2, 2], num_classes=3).eval()
    with pytest.raises(ValueError, match="channels last"): il.feature_game(last, torch.rand(1, 3, 32, 32), "features.1", grid=2)


# Concepts of texts, and how a game looks

def test_concepts_of_a_model_that_counts_positions_from_its_padding(tmp_path):
    from transformers import RobertaConfig, RobertaForSequenceClassification
    from conftest import make_lm
    tokenizer = make_lm()[1]
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    torch.manual_seed(0)
    model = RobertaForSequenceClassification(RobertaConfig(vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, max_position_embeddings=18,
                                                           pad_token_id=1)).eval()
    assert longest_text(model, tokenizer) == 16
    found = il.concepts.find_concepts(model, ["apple " * 40, "A red apple falls"], "roberta.encoder.layer.0", k=2, tokenizer=tokenizer, progress=False)
    assert len(found) == 2


def test_a_game_is_shown_in_a_few_short_lines(tiny_lm, image):
    games = [il.text_game(*tiny_lm, " ".join(f"word{i}" for i in range(40)), target=[1, 2, 3]), il.image_game(vit("multi_label_classification"), image, grid=4, output="prob"), il.tabular_game(nn.Linear(4, 3), torch.ones(4), torch.zeros(4))]
    for game in games:
        lines = repr(game).splitlines()
        assert len(lines) <= 3 and len(repr(game)) < 500 and f"Game of {game.n} players of {game.meta['model']}" in lines[0] and str(game.players[0]) in lines[0] and repr(game.meta["target"]) in lines[1] and game.meta["output"] in lines[1]
    assert "\x1b" not in repr(Game(lambda m: m, ["\x1b[31mred", "two\nlines"])) and len(repr(games[0].masked)) < 200


# Networks made for one sample, and answers that are no amounts

class OneSample(nn.Module):
    def __init__(self, net): super().__init__(); self.net = net
    def forward(self, x): assert len(x) == 1, "one image"; return self.net(x)


@pytest.mark.parametrize("made", [OneSample, lambda net: torch.export.export(net, (torch.zeros(1, 1, 8, 8),)).module(), lambda net: Then(net, lambda z: z.view(1, 3))],
                         ids=["asserts", "exported", "reshapes"])
@pytest.mark.parametrize("output", ["logit", "prob"])
def test_networks_that_take_one_sample_at_a_time_are_asked_so(image, made, output):
    net = made(body() if output == "logit" else nn.Sequential(body(), nn.Softmax(1)))
    with pytest.warns(UserWarning, match="one sample at a time"): game = il.image_game(net, image, grid=2, target=1, output=output)
    close(il.evaluate(game, progress=False), one_at_a_time(net, masked_images(image))[:, 1])


def test_layers_that_see_a_batch_of_another_size_run_with_the_whole_network(image):
    class Both(nn.Module):
        def __init__(self): super().__init__(); self.first, self.last = nn.Conv2d(1, 4, 1), nn.Linear(4, 3)
        def forward(self, x): z = self.first(x); assert len(z) == len(x); return self.last(z.mean((2, 3)))
    net = Both().eval()
    with pytest.warns(UserWarning, match="the whole network runs"): game = il.feature_game(net, image[None], "first", grid=2, target=1, output="logit", baseline="zero")
    close(il.evaluate(game, progress=False)[[0, -1]], torch.stack([net.last.bias[1], net(image[None])[0, 1]]).detach())


@pytest.mark.parametrize("then", [lambda z: z.argmax(1), lambda z: z.argmax(1, keepdim=True), lambda z: z > 0, lambda z: z * 1j], ids=["numbers", "columns", "yes or no", "complex"])
def test_numbers_of_classes_are_no_answers(image, then):
    with pytest.raises(ValueError, match="model: its output is torch"): il.image_game(Then(body(), then), image, grid=2)


def test_a_network_that_complains_in_any_way_is_a_wrong_sample(image):
    class Two(nn.Module):
        def forward(self, x, mask): return x.flatten(1)
    with pytest.raises(ValueError, match="image: the model does not take .*mask"): il.image_game(Two(), image, grid=2)
    with pytest.raises(ValueError, match="row: the model does not take .*mask"): il.tabular_game(Two(), [1., 2.], [0., 0.])


def test_gates_are_no_answers():
    class Gated(nn.Module):
        def __init__(self): super().__init__(); self.gate, self.net, self.last = nn.Linear(4, 50), nn.Linear(4, 50), nn.Linear(50, 3)
        def forward(self, x): return .01 * self.last(self.net(x) * self.gate(x).sigmoid()) + .5
    torch.manual_seed(0)
    net, rows = Gated(), torch.randn(2, 4)
    for kind in (torch.bfloat16, torch.float32):
        with pytest.warns(UserWarning, match="between 0 and 1; they are taken for logits"): game = il.tabular_game(net.to(kind), *rows, target=1)
    close(il.evaluate(game, progress=False)[[-1, 0]], log_odds(net(rows), 1).detach())


def test_a_row_whose_label_is_sure_has_no_logit():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    net[0].weight.data.mul_(400)
    with pytest.raises(ValueError, match="output: got 'logit', .* ask for 'prob'"): il.tabular_game(net, torch.ones(4), torch.zeros(4))
    close(il.evaluate(il.tabular_game(net, torch.ones(4), torch.zeros(4), output="prob"), progress=False)[[0, -1]], net(torch.eye(2)[:, :1] * torch.ones(4)).flip(0)[:, 0].detach())
