"What must hold of a fine-tuned MiniLM."
import torch

from interlib.nets.epochs import Texts, logits
from interlib.nets.recipes import load_trained


def check_sentiment(name, layers, accuracy):
    model, tokenizer, done = load_trained(name, progress=False)
    assert model.config.num_hidden_layers == len(model.bert.encoder.layer) == layers and done.accuracy[-1, 1] >= accuracy
    z = logits(model, Texts(["A wonderful, moving film.", "A dull and stupid mess."], tokenizer)[torch.arange(2)])
    assert z.argmax(-1).tolist() == [1, 0]
