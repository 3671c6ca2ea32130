"The public face: the road at the top, everything else by its room. Each name is loaded when it is first asked for."
from .core.coalition_samples import Samples
from .core.coalitions import coalition, masks, members, orders
from .core.interactions import Interactions
from .core.synthetic import and_or_game, planted
from .core.transforms import and_inverse, and_transform, banzhaf, banzhaf_interactions, or_inverse, or_transform, shapley, shapley_interactions
from .solve.matching_samples import match_samples
from .solve.sampled_decomposition import decompose_samples
from .solve.decomposition import alternatives, decompose, decompose_shared, harsanyi
from .measure.confusion import average_order, confusing_samples, generalization_power, offsetting, order_strength
from .measure.sharing import shared_interactions, shared_strength, transferability
from .measure.conditions import sparsity_conditions
from .measure.sparsity import sparsity_bound
from .measure.mimicry import mimic
from .nets.encoders import load_encoder, open_model
from .nets.language_models import load_lm
from .nets.recipes import load_trained
from .nets.tables import fetch_table
from .nets.vision import load_vision
from .model.masking import Baseline
from .model.learned_baselines import learn_baseline
from .model.games import Game
from .model.image_games import image_game
from .model.text_games import text_game, zoom
from .model.feature_games import feature_game
from .model.component_games import component_game
from .model.table_games import tabular_game
from .model.prompt_games import prompt_game
from .model.concepts import concept_game
from .model.concept_attribution import concept_attribution
from .model.costs import cost
from .model.evaluation import evaluate
from .model.sampling import sample
from .app.explanation import explain
from .app.samples import explain_samples
from .app.results import open_sweep
from .app.sweeps import sweep
from .app.result_widgets import Sparsity, WhatIf
from .app.pair_widgets import Compare, ConfusingSamples, Sharing
from .app.explorer import Explorer
from .draw import plots
from .core import examples
from .measure import allocation, axioms, confusion, rankings, sparsity, taylor, taylor_methods, taylor_principles
from .model import concepts, explainers
from .nets import data, networks, training
from .app import samples

__all__ = [
    "Baseline", "Compare", "ConfusingSamples", "Explorer", "Game", "Interactions", "Samples", "Sharing",
    "Sparsity", "WhatIf", "allocation", "alternatives", "and_inverse", "and_or_game", "and_transform",
    "average_order", "axioms", "banzhaf", "banzhaf_interactions", "coalition", "component_game", "concept_attribution", "concept_game", "concepts",
    "confusing_samples", "confusion", "cost", "data", "decompose", "decompose_samples", "decompose_shared", "evaluate", "examples", "explain",
    "explain_samples", "explainers", "feature_game", "fetch_table", "generalization_power", "harsanyi",
    "image_game", "learn_baseline", "load_encoder", "load_lm", "load_trained", "load_vision", "masks", "match_samples", "members", "mimic", "networks",
    "offsetting", "open_model", "open_sweep", "or_inverse", "or_transform", "order_strength", "orders", "planted",
    "plots", "prompt_game", "rankings", "sample", "samples", "shapley", "shapley_interactions", "shared_interactions", "shared_strength",
    "sparsity", "sparsity_bound", "sparsity_conditions", "sweep", "tabular_game", "taylor", "taylor_methods",
    "taylor_principles", "text_game", "training", "transferability", "zoom",
]
