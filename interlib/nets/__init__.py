"""Data sets and networks: fetched, identified, trained."""
import lazy_loader

ROOMS = [
    "data", "identity", "networks", "training",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
