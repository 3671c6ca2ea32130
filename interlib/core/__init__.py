"""Coalitions, names, files, transforms and the result: what everything else stands on."""
import lazy_loader

ROOMS = [
    "coalitions", "checks", "labels", "files", "transforms", "synthetic", "names", "solution", "effects",
    "docstrings", "interactions", "exports", "examples", "coalition_samples",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
