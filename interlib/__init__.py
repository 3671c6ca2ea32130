__version__ = "0.1.0"

from interlib.allocation import attributed_by_order, attributions, by_order
from interlib.baselines import learn_baseline
from interlib.coalitions import coalition, label, masks, members, orders
from interlib.concepts import Concepts, concept_game, concept_maps, find_concepts, match_concepts, reconstruction_error
from interlib.confusing import agreement, average_order, confusing, generalization_power, offsetting, order_strength
from interlib.data import DataSplit, cifar10, cub, digits, mnist, movie_reviews, one_against_rest, squad, sst2, tiny_imagenet
from interlib.decomposition import alternatives, decompose, decompose_shared, harsanyi
from interlib.evaluation import Cost, cost, evaluate
from interlib.explainers import attribute, gradient_x_difference
from interlib.first_order import sgd
from interlib.games import Game, image_game
from interlib.importance import (best_ranking, curve_area, deletion, importance, insertion, plot_insertion, ranking_of, sobol, sobol_first, sobol_total,
                                 variance_parts)
from interlib.interactions import Interactions, Solution
from interlib.layers import feature_game
from interlib.masking import Baseline
from interlib.models import alexnet, bert_tiny, fingerprint, load_encoder, load_lm, open_model, resnet, transplant, vgg
from interlib.plots import (plot_agreement, plot_interactions, plot_matching, plot_order_strength, plot_shared, plot_shared_strength,
                            plot_strengths, plot_text, plot_transferability)
from interlib.portraits import (alt_text, describe_figures, plot_brackets, plot_butterfly, plot_concept_maps, plot_crops, plot_film, plot_marginals,
                                plot_network, plot_patch_groups, plot_patches, plot_token_maps)
from interlib.samples import across_epochs, draw_players, explain_samples, sample_frame, study
from interlib.sparsity import (axioms, estimate_mean_outputs, estimated_conditions, mean_outputs, plot_counts, plot_mean_outputs,
                               sparsity_bound, sparsity_conditions, sparsity_summary, sparsity_thresholds)
from interlib.sweep import open_sweep, sweep
from interlib.synthetic import and_or_game, planted
from interlib.table_games import tabular_game
from interlib.taylor import Polynomial, Taylor, taylor, taylor_error, taylor_fft
from interlib.taylor_methods import METHODS, Method, Neuron, by_captum, by_definition, side_by_side, weighted_sum
from interlib.taylor_principles import audit, plot_principles, principle_table, principles, recover_weights
from interlib.text_games import text_game
from interlib.training import Training, train, trained
from interlib.transferability import shared, shared_strength, transferability
from interlib.transforms import (and_inverse, and_transform, banzhaf, banzhaf_interactions, or_inverse, or_transform,
                                 shapley, shapley_interactions)

WIDGETS = ("Compare", "ConfusingSamples", "Explorer", "Sharing", "Sparsity", "WhatIf")


def __getattr__(name): # the widgets come when they are asked for: ipywidgets is not needed for anything else
    if name not in WIDGETS: raise AttributeError(f"module 'interlib' has no attribute {name!r}")
    import interlib.widgets
    return getattr(interlib.widgets, name)


def __dir__(): return sorted([*globals(), *WIDGETS])
