"""From a model and a sample to a value table."""
import lazy_loader

ROOMS = [
    "values", "masking", "rows", "readings", "games", "text_games", "layers", "table_games", "evaluation",
    "explainers", "concepts", "baselines",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
