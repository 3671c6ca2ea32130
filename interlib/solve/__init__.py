"""Decompositions of a value table and their proof."""
import lazy_loader

ROOMS = [
    "certificate", "highs", "normal_matrix", "interior_point", "first_order", "solvers", "conjunctions", "sparse_regression",
    "sampled_decomposition", "shared_samples", "decomposition", "matching_samples",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
