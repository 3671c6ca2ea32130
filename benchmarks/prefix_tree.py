"""Seconds of `evaluate` along the prefix tree and in plain batches of 64, in turns, medians of three, SmolLM2; written to prefix_tree.csv."""
import time
from pathlib import Path
from statistics import median

import pandas as pd

import interlib as il

PROMPTS = {  # the words that play: the last ten, ten of the second half, ten spread over the prompt
    "12 words, last ten": ("A red apple falls to the ground because of the pull of", range(2, 12)),
    "27 words, ten in the second half": ("When the old sailor told us about the storm that had sunk his ship near the cape, we all believed that he had made up the whole", range(17, 27)),
    "27 words, ten spread out": ("When the old sailor told us about the storm that had sunk his ship near the cape, we all believed that he had made up the whole", range(0, 27, 3)),
}


def timed(game, **how):
    started = time.perf_counter()
    v = il.evaluate(game, progress=False, **how)
    return v, time.perf_counter() - started


def main():
    model, tokenizer = il.load_lm("smollm2")
    il.evaluate(il.text_game(model, tokenizer, "Threads and memory are warm after this sentence", players=6), progress=False)
    rows = []
    for name, (text, words) in PROMPTS.items():
        game = il.text_game(model, tokenizer, text, players=list(words))
        turns = [(*timed(game, tree=True), *timed(game, tree=False, batch_size=64)) for _ in range(3)]
        tree, _, plain, _ = turns[0]
        rows.append({"prompt": name, "n": game.n, "tree s": median(t[1] for t in turns), "batches s": median(t[3] for t in turns), "ratio": median(t[3] / t[1] for t in turns),
                     "tokens, tree": il.cost(game, tree=True).tokens, "tokens, batches": 2**game.n * game.tokens,
                     "largest difference": (tree - plain).abs().max().item()})
        print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.3g")


if __name__ == "__main__":
    main()
