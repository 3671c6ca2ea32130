"Interactions that know their outputs and the words they are of, as `explain` makes them, from any table."
from interlib.core.labels import number_repeats


def explained(x, v, words):
    numbered = number_repeats([word for word, _ in words])
    players = [name for name, (_, player) in zip(numbered, words) if player is not None]
    return x.replace(v=v.double(), players=players, meta=x.meta | {"words": [list(pair) for pair in words]})
