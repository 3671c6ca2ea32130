"""From a model and a sample to a value table."""
import lazy_loader

ROOMS = [
    "outputs", "regions", "masking", "borrowing", "games", "batching", "model_logits", "targets", "choosing",
    "network_games", "image_games", "text_models", "text_targets", "text_players", "answer_tokens", "text_masking", "text_samples", "text_outputs", "text_games", "layers", "network_parts", "feature_games", "component_games", "rows",
    "readings", "row_forms", "table_games", "prompt_games", "batches", "prefix_tree", "value_tables", "precision", "evaluation", "costs",
    "explainers", "activations", "factorising", "recursion", "dictionaries", "concept_finding", "erasure", "concepts", "concept_attribution", "language_concepts", "learned_baselines", "dictionary_quality", "sampling",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
