"""From a model and a sample to a value table."""
import lazy_loader

ROOMS = [
    "values", "regions", "rows", "readings", "masking", "borrowing", "games", "table_games", "evaluation",
    "explainers", "concepts", "baselines", "batching", "answers", "targets", "choosing", "network_games",
    "image_games", "text_models", "text_targets", "text_games", "layers", "feature_games",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
