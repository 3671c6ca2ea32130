"""The same numbers on a GPU as on the CPU: games, tables along the prefix tree, the cache, and the decomposition."""
import pytest
import torch

import interlib as il

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU at hand")
TEXT = "A red apple falls to the ground because of the pull of"


def both(make):
    "Value tables of the same game on the CPU and on the GPU."
    return [il.evaluate(make(device), progress=False) for device in ("cpu", "cuda")]


def assert_same(tables, rel=1e-4):
    a, b = tables
    assert a.device.type == b.device.type == "cpu" and a.dtype == b.dtype == torch.float64
    assert (a - b).abs().max() <= rel * (a.max() - a.min())


@pytest.mark.parametrize("tree", [True, False])
def test_words_of_a_language_model(tiny_lm, tree):
    model, tokenizer = tiny_lm
    try: tables = [il.evaluate(il.text_game(model.to(d), tokenizer, TEXT, players=8, target=" gravity"), tree=tree, progress=False) for d in ("cpu", "cuda")]
    finally: model.cpu()
    assert_same(tables)


def network(device):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(128, 5)).to(device).eval()


@pytest.mark.parametrize("baseline", ["zero", "channel_mean", "blur"])
def test_patches_of_an_image(baseline):
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert_same(both(lambda d: il.image_game(network(d), image.to(d), grid=3, target=2, baseline=baseline)))


def test_features_of_a_layer():
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert_same(both(lambda d: il.feature_game(network(d), image.to(d), layer="2", grid=3, target=2)))


def test_columns_of_a_row_whose_model_is_on_the_gpu():
    row, background = torch.randn(7, generator=torch.Generator().manual_seed(1)), torch.randn(30, 7, generator=torch.Generator().manual_seed(2))
    def make(d):
        torch.manual_seed(0)
        return il.tabular_game(torch.nn.Sequential(torch.nn.Linear(7, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)).to(d), row, background, target=1)
    assert_same(both(make))


def test_a_table_of_the_cpu_is_used_on_the_gpu(tmp_path):
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))
    make = lambda d: il.image_game(network(d), image.to(d), grid=3, target=2)
    v = il.evaluate(make("cpu"), cache=tmp_path, progress=False)
    w = il.evaluate(make("cuda"), cache=tmp_path, progress=False)
    assert torch.equal(v, w) and len(list(tmp_path.glob("*.safetensors"))) == 1


@pytest.mark.parametrize("n", [6, 9])
def test_a_decomposition_has_the_same_optimum(n):
    v = torch.randn(2**n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    x, y = il.decompose(v, noise=0.02), il.decompose(v.cuda(), noise=0.02)
    assert y.and_.device.type == "cuda" and y.solution.gap <= 1e-6
    assert y.solution.objective == pytest.approx(x.solution.objective, rel=2e-6)
    assert torch.allclose(x.predict(), y.predict().cpu(), atol=1e-4 * v.abs().max().item())


def test_a_batch_of_tables_and_a_shared_decomposition():
    g = torch.Generator().manual_seed(0)
    vs = torch.randn(4, 2**7, dtype=torch.float64, generator=g)
    for x, y in zip(il.decompose(vs), il.decompose(vs.cuda())): assert y.solution.objective == pytest.approx(x.solution.objective, rel=2e-6)
    pair, moved = il.decompose_shared([vs[0], vs[1]]), il.decompose_shared([vs[0].cuda(), vs[1].cuda()])
    assert moved[0].solution.objective == pytest.approx(pair[0].solution.objective, rel=2e-6)


def test_measures_stay_where_their_tables_are(tmp_path):
    x = il.decompose(torch.randn(2**6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).cuda())
    for measure in (il.shapley, il.banzhaf, il.order_strength):
        got = measure(x)
        assert got is not None
    assert len(x.primitives(k=5)) == 5 and x.to_frame().effect.notna().all() and "Interactions" in repr(x)
    x.save(tmp_path/"x.safetensors")
    assert torch.equal(il.Interactions.load(tmp_path/"x.safetensors").and_, x.and_.cpu())
