"""Figures: tensors and labels in, axes out."""
import lazy_loader

ROOMS = [
    "colours", "fonts", "drawing", "sentences", "selection", "bars", "words", "brackets", "network", "patches",
    "concept_maps", "matching", "strengths", "sharing", "orders", "agreement", "alt_texts", "plots", "figures",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
