"""Photographs: how they reach a network, superpixels, the networks of ImageNet, tokens of vision transformers."""
import os
import pickle
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import nn

import interlib as il
from interlib.model.image_games import read_image
from interlib.model.masking import blur
from interlib.model.regions import grid_regions
from interlib.nets import vision
from interlib.nets.pictures import PictureForm, fit_picture, picture_form, superpixels

CFG = dict(input_size=(3, 24, 24), mean=(.4, .5, .6), std=(.2, .25, .3), crop_pct=.9, interpolation="bilinear")
CAT = data.chelsea()


class Tiny(nn.Module):
    "A network that says how it wants its pictures, as those of timm do."
    def __init__(self, **cfg):
        super().__init__()
        self.pretrained_cfg = {**CFG, **cfg}
        channels = self.pretrained_cfg["input_size"][0]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.below, self.head = nn.Conv2d(channels, 8, 5, 3), nn.Linear(8 * 49, 3)

    def forward(self, x): return self.head(self.below(x).relu().flatten(1))


@pytest.fixture(scope="module")
def tiny(): return Tiny().eval()


@pytest.fixture(scope="module")
def lite(): return il.load_vision("efficientnet-lite0", progress=False)


FORMS = {
    "PIL": Image.fromarray(CAT),
    "PIL, opaque": Image.fromarray(CAT).convert("RGBA"),
    "array": CAT,
    "array with alpha": np.dstack([CAT, np.full(CAT.shape[:2], 255, "uint8")]),
    "not contiguous": np.asfortranarray(CAT),
    "turned twice": CAT[::-1][::-1],
    "float array": CAT / 255,
    "float32 array": (CAT / 255).astype("float32"),
    "uint8 tensor": torch.as_tensor(CAT).movedim(-1, 0),
    "with a batch axis": torch.as_tensor(CAT).movedim(-1, 0)[None],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_picture_is_the_same_game(tiny, form):
    wanted = picture_form(tiny)
    x = wanted.normalise(fit_picture(Image.fromarray(CAT), wanted))
    ours, theirs = (il.image_game(tiny, image, segments=5, target=1) for image in (FORMS[form], x))
    # `theirs` finds its superpixels on colours that went there and back
    assert (ours(il.masks(5))[[0, -1]] == theirs(il.masks(5))[[0, -1]]).all()
    assert torch.equal(ours.masked.x, x)


def test_a_grey_picture_and_a_grey_network():
    coins = data.coins()
    grey = Tiny(input_size=(1, 24, 24), mean=(.5,), std=(.5,)).eval()
    assert read_image(grey, coins)[0].shape == (1, 24, 24)
    assert torch.equal(read_image(grey, coins)[0], read_image(grey, np.dstack([coins] * 3))[0])
    colours = read_image(Tiny(mean=(.5,) * 3, std=(.5,) * 3), coins)[0]
    assert torch.equal(colours, read_image(grey, coins)[0].expand(3, -1, -1))
    assert il.image_game(grey, coins, segments=4).n == 4


@pytest.mark.parametrize("baseline", ["zero", "channel_mean", "blur", "grey", "mean"])
@pytest.mark.parametrize("patches", [dict(segments=5), dict(grid=(2, 3)), dict(segments=4, border=3)])
def test_a_photograph_equals_a_naive_loop(tiny, baseline, patches):
    others = [data.coffee(), CAT]
    game = il.image_game(tiny, CAT, target=2, baseline=baseline, data=others if baseline == "mean" else None, **patches)
    form = picture_form(tiny)
    seen = fit_picture(CAT, form)
    x = form.normalise(seen)
    mean, std = (torch.tensor(CFG[k]).view(3, 1, 1) for k in ("mean", "std"))
    fill = {
        "zero": torch.zeros_like(x),
        "channel_mean": x.mean((1, 2), keepdim=True).expand_as(x),
        "blur": blur(x),
        "grey": ((.5 - mean) / std).expand_as(x),
        "mean": (x + form.normalise(fit_picture(others[0], form))) / 2,
    }[baseline]
    assert game.meta["baseline"] == baseline
    inside = slice(3, -3) if "border" in patches else slice(None)
    regions = game.regions
    if "segments" in patches: assert torch.equal(regions[inside, inside], superpixels(seen[:, inside, inside], game.n))
    with torch.no_grad():
        for c in (0, 1, 5, 2**game.n - 1):
            y = x.clone()
            for player in range(game.n):
                if not c >> player & 1: y[:, regions == player] = fill[:, regions == player]
            assert torch.allclose(game(il.masks(game.n)[[c]]), tiny(y[None])[:, 2], atol=1e-5), c


@pytest.mark.parametrize("size", [(24, 24), (27, 26), (300, 20), (20, 300), (1, 1), (451, 300), (26, 27)])
@pytest.mark.parametrize("wanted", [(24, 24, .9), (32, 20, 1.), (10, 30, .7)])
def test_pictures_of_any_shape_fit(size, wanted):
    height, width, kept = wanted
    form = PictureForm(3, height, width, kept, (0,) * 3, (1,) * 3)
    assert fit_picture(Image.fromarray(CAT).resize(size), form).shape == (3, height, width)


@pytest.mark.parametrize("colour", [(255, 0, 0), (10, 200, 30)])
def test_colours_stay_in_their_order(tiny, colour):
    seen = fit_picture(Image.new("RGB", (40, 30), colour), picture_form(tiny))
    assert torch.allclose(255 * seen, torch.tensor(colour).float().view(3, 1, 1).expand_as(seen), atol=.6)


@pytest.mark.parametrize("cfg", [
    dict(input_size=(4, 24, 24)), dict(crop_mode="border"), dict(interpolation="random"), dict(mean=(.5,)),
])
def test_what_is_said_in_another_way_is_not_guessed(cfg):
    network = Tiny.__new__(Tiny)
    nn.Module.__init__(network)
    network.pretrained_cfg = {**CFG, **cfg}
    assert picture_form(network) is None
    with pytest.raises(ValueError, match="does not say how it wants pictures"): read_image(network, CAT)


def test_a_float_image_that_was_not_normalised_is_noticed(tiny):
    seen = fit_picture(CAT, picture_form(tiny))
    with pytest.warns(UserWarning, match="as if it was not normalised"): il.image_game(tiny, seen)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        il.image_game(tiny, picture_form(tiny).normalise(seen))


def test_transforms_of_torchvision_and_a_processor_of_transformers():
    from torchvision.models import ResNet18_Weights, resnet18
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor
    size = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    torch.manual_seed(0)
    names = {0: "cat", 1: "dog"}
    vit = ViTForImageClassification(ViTConfig(image_size=32, patch_size=8, id2label=names, **size)).eval()
    processor = ViTImageProcessor(size={"height": 32, "width": 32})
    transforms = ResNet18_Weights.DEFAULT.transforms()
    for network, prepare, x in (
        (resnet18().eval(), transforms, transforms(Image.fromarray(CAT))),
        (vit, processor, torch.as_tensor(np.asarray(processor(Image.fromarray(CAT))["pixel_values"]))[0]),
    ):
        game = il.image_game(network, CAT, segments=3, target=1, preprocess=prepare)
        with torch.no_grad(): answer = network(x[None])
        logits = getattr(answer, "logits", answer)
        assert torch.allclose(game(il.masks(3)[[7]]), logits[:, 1], atol=1e-4)
    tokens = il.feature_game(vit, CAT, "vit.layers.0", grid=2, target="dog", preprocess=processor)
    assert tokens.players == ["r0c0", "r0c1", "r1c0", "r1c1"]
    assert tokens.regions[::16, ::16].tolist() == [[0, 1], [2, 3]]
    assert torch.equal(tokens.picture, x)


def test_the_patches_of_some_tokens_are_those_that_play():
    import timm
    torch.manual_seed(0)
    vit = timm.create_model("vit_tiny_patch16_224", depth=1).eval()
    few = il.feature_game(vit, CAT, "blocks.0", grid=7, target=0, players=["r1c1", "r6c0"])
    assert few.regions.unique().tolist() == [-1, 0, 1]
    assert few.regions[40, 40] == 0 and few.regions[-1, 0] == 1


@pytest.mark.parametrize("seed", range(4))
def test_superpixels_are_as_many_as_asked_for(seed):
    noise = torch.rand(3, 20 + seed, 30, generator=torch.Generator().manual_seed(seed))
    for picture in (noise, blur(noise), torch.zeros(3, 20, 30), noise[:1]):
        for k in (1, 2, 7, 12, 49, 100):
            labels = superpixels(picture, k)
            assert labels.unique().tolist() == list(range(k))
            assert torch.equal(labels, superpixels(picture, k))


def test_superpixels_follow_edges():
    picture = torch.zeros(3, 40, 60)
    picture[0, :, 33:], picture[2, 22:] = 1, 1                          # four areas of one colour
    labels, colour = superpixels(picture, 12), picture[0].long() + 2 * picture[2].long()
    def purity(labels): return sum(colour[labels == i].bincount().max().item() for i in range(12)) / 2400
    assert purity(labels) > .94 > .9 > purity(grid_regions(40, 60, (3, 4))[1])


def test_a_cat_is_a_cat_and_an_unknown_class_gets_a_hint(lite):
    game = il.image_game(lite, CAT, grid=1, target=None, output="prob")
    top = il.image_game(lite, CAT, grid=1, target=[281, 282, 285], output="prob")(il.masks(1)[[1]])
    assert game.meta["target"] == "tiger cat" and game.meta["model"] == "efficientnet-lite0"
    assert top.sum() > .85
    with pytest.raises(ValueError, match=r"the classes are 1,000, such as .*'tiger cat'") as e:
        il.image_game(lite, CAT, target="cat")
    assert len(str(e.value)) < 400


def test_the_network_is_as_it_was(lite):
    before = {k: t.clone() for k, t in lite.state_dict().items()}
    state = torch.get_rng_state()
    il.image_game(lite, CAT, segments=4, target="tabby", baseline="blur")(il.masks(4)[:3])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[k], t) for k, t in lite.state_dict().items())


def test_batches_do_not_change_a_photograph(lite):
    game = il.image_game(lite, CAT, segments=4, target="tabby", baseline="blur")
    assert game.batch == 8
    one = torch.cat([game(m) for m in il.masks(4).split(1)])
    assert torch.allclose(game(il.masks(4)), one, atol=1e-4)


def test_an_explained_photograph_draws_itself(tiny):
    x = il.explain(il.image_game(tiny, CAT, segments=5, target=1, baseline="grey"), progress=False)
    assert x.meta["patches"] == "5 superpixels" and x.meta["baseline"] == "grey"
    ax = x.plot_patches()
    assert len(ax.texts) == 5
    for text in ax.texts:                                               # each number stands in its patch
        column, row = (int(p) for p in text.get_position())
        where = x.regions[row, column].item()
        assert text.get_text() == il.plots.plot_patches(x.picture, x.regions, il.shapley(x)).texts[where].get_text()
    fine = il.image_game(tiny, CAT, grid=14, target=1)
    ax = il.plots.plot_patches(fine.picture, fine.regions, torch.arange(196.))
    assert len(ax.texts) == 0 and len(ax.patches) == 2 * 196
    plt.close("all")


class Hostile:
    "A pickle that leaves a file behind when it is read."
    def __init__(self, path): self.path = path
    def __reduce__(self): return Path.touch, (Path(self.path),)


def test_no_pickle_runs_anything(monkeypatch, tmp_path):
    trap = tmp_path / "trap"
    torch.save({"_fc.bias": Hostile(trap)}, tmp_path / "weights.pth")
    monkeypatch.setenv("INTERLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(vision, "fetch", lambda carrier, progress: tmp_path / "weights.pth")
    with pytest.raises(pickle.UnpicklingError): il.load_vision("efficientnet-lite0")
    assert not trap.exists() and not (tmp_path / "cache" / "efficientnet-lite0").exists()


def test_a_damaged_copy_says_what_to_do(monkeypatch, tmp_path, lite):
    monkeypatch.setenv("INTERLIB_CACHE", str(tmp_path))
    weights = {k: t for k, t in lite.state_dict().items()}
    there = {**{f"x{i}": t for i, t in enumerate(weights.values())}}
    torch.save(there, tmp_path / "weights.pth")
    monkeypatch.setattr(vision, "fetch", lambda carrier, progress: tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="'x0' is not a tensor of an EfficientNet-Lite"): il.load_vision("efficientnet-lite0")
    monkeypatch.setattr(vision, "to_timm", lambda found, network: {k: t.contiguous() for k, t in weights.items()})
    il.load_vision("efficientnet-lite0")
    assert not (tmp_path / "weights.pth").exists()                      # converted, and gone
    file = tmp_path / "efficientnet-lite0" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RuntimeError, match="is damaged .*delete"): il.load_vision("efficientnet-lite0")
    os.remove(file.parent / "digests.json")
    with pytest.raises(RuntimeError, match="does not load .*delete"): il.load_vision("efficientnet-lite0")


def test_a_table_is_found_again_and_a_result_keeps_its_picture(lite, tmp_path):
    from interlib.nets.identity import identity
    assert identity(lite) == identity(il.load_vision("efficientnet-lite0"))
    assert identity(lite) != identity(il.load_vision("efficientnet-lite0", dtype=torch.float64))
    game = il.image_game(lite, CAT, segments=3, target="tabby", baseline="blur")
    v = il.evaluate(game, cache=tmp_path, progress=False)
    files = {f: f.stat().st_mtime_ns for f in tmp_path.iterdir()}
    again = il.image_game(lite, Image.fromarray(CAT), segments=3, target=281, baseline="blur")
    assert torch.equal(il.evaluate(again, cache=tmp_path, progress=False), v)
    assert files == {f: f.stat().st_mtime_ns for f in tmp_path.iterdir()} and len(files) > 0      # nothing new
    x = il.explain(game, progress=False)
    x.save(tmp_path / "x.safetensors")
    back = il.Interactions.load(tmp_path / "x.safetensors")
    assert torch.equal(back.picture.float(), game.picture) and torch.equal(back.regions, game.regions)


def test_patches_and_words_are_players_of_one_game():
    from transformers import CLIPConfig, CLIPModel
    from interlib.model.masking import mask_regions
    size = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    text = dict(vocab_size=30, eos_token_id=29, bos_token_id=28, pad_token_id=0, max_position_embeddings=8, **size)
    image = dict(image_size=16, patch_size=8, **size)
    torch.manual_seed(0)
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=image, projection_dim=8)).eval()
    for p in clip.parameters():
        if p.ndim > 1: nn.init.normal_(p, std=.3)
    picture = fit_picture(CAT, PictureForm(3, 16, 16, 1., (0,) * 3, (1,) * 3))
    names, cells = grid_regions(16, 16, 2)
    ids, words = torch.tensor([28, 5, 9, 14, 29]), torch.tensor([-1, 0, 1, 2, -1])

    @torch.no_grad()
    def likeness(masks):
        pictures = mask_regions(picture, masks[:, :4], cells, picture.mean((1, 2), keepdim=True))
        texts = mask_regions(ids, masks[:, 4:], words, torch.tensor(1))
        pairs = zip(pictures.split(1), texts.split(1))
        return torch.cat([clip(pixel_values=p, input_ids=t).logits_per_image[0] for p, t in pairs])

    game = il.Game(likeness, names + ["a", "tabby", "cat"])
    x = il.explain(game, noise=0, progress=False)
    with torch.no_grad(): whole = clip(pixel_values=picture[None], input_ids=ids[None]).logits_per_image.item()
    assert abs(x.predict()[-1] - whole) < 1e-4 * abs(whole)
    table = x.primitives()
    both = [any(i < 4 for i in m) and any(i >= 4 for i in m) for m in table.members]
    assert table.effect[both].abs().max() > .01 * table.effect.abs().max(), table   # a patch and a word act together
    alone = likeness(torch.tensor([[True] * 4 + [False] * 3, [False] * 7]))        # and each side matters
    assert (alone - whole).abs().min() > 1e-3
