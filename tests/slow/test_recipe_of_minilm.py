"The largest network to explain: minutes on a fresh cache, so in a file of its own, beside which another worker has the others."
from sentiment import check_sentiment


def test_minilm_of_six_layers(): check_sentiment("minilm-sentiment", 6, .84)
