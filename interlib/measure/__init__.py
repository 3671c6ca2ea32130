"""What is read off interactions: sharing, confusion, rankings, sparsity, Taylor terms."""
import lazy_loader

ROOMS = [
    "sharing", "confusion", "rankings", "conditions", "estimates", "circles", "sparsity", "axioms", "allocation", "taylor",
    "attribution_methods", "method_weights", "captum_methods", "taylor_methods", "taylor_principles", "fidelity", "stability", "mimicry", "class_importance",
    "layer_steps", "layer_rules",
]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ROOMS)
