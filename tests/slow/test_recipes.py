"The smaller networks to explain; minutes on a fresh cache."
import pytest

from interlib.nets.recipes import load_trained
from sentiment import check_sentiment


@pytest.mark.parametrize("name", ["resnet20-digit3", "vgg16-digit3"])
def test_networks_of_digit_3(name):
    net, tokenizer, done = load_trained(name, progress=False)
    assert done.accuracy[-1, 1] >= .97 and tokenizer is None and not net.training


def test_minilm_of_three_layers(): check_sentiment("minilm3-sentiment", 3, .74)
