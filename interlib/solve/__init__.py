"""Decompositions of a value table and their proof."""
import lazy_loader

ROOMS = [
    "certificate", "decomposition", "first_order",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
