"""Data sets and networks: fetched, identified, trained."""
import lazy_loader

ROOMS = [
    "fetch", "data", "tables", "code", "contents", "function_contents", "model_contents", "identity", "networks",
    "language_models", "encoders", "epochs", "histories", "training", "recipes",
    "pictures", "vision",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
