"""Figures: tensors and labels in, axes out."""
import lazy_loader

ROOMS = [
    "drawing", "curves", "portraits", "plots", "figures",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
