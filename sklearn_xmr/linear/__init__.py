"""Stages 2 and 3, linear: XR-Linear and the tree model that it trains.

``_solver`` trains the nodes, ``_weights`` stores what they learn, ``_search`` finds the
best labels; ``_training`` trains a whole tree, and ``_tree_model`` is the result.
"""

from sklearn_xmr.linear._post_processor import PostProcessor
from sklearn_xmr.linear._solver._level_problem import level_targets
from sklearn_xmr.linear._solver._level_solver import SolverSettings
from sklearn_xmr.linear._stored_training import StoredTraining
from sklearn_xmr.linear._topk_predictor import TopkPredictor
from sklearn_xmr.linear._training import (
    TreeSettings,
    train_level,
    train_tree,
    trained_by,
)
from sklearn_xmr.linear._training_tasks import TrainingTask
from sklearn_xmr.linear._tree_model import TreeModel
from sklearn_xmr.linear._weights._chunked_weights import ChunkedWeights
from sklearn_xmr.linear._xr_linear import XRLinearClassifier

__all__ = [
    "ChunkedWeights",
    "PostProcessor",
    "SolverSettings",
    "StoredTraining",
    "TopkPredictor",
    "TrainingTask",
    "TreeModel",
    "TreeSettings",
    "XRLinearClassifier",
    "level_targets",
    "train_level",
    "train_tree",
    "trained_by",
]
