"""What all ranking classifiers share: targets of any form in, rankings out.

``_targets`` keeps the form of y, ``_training_data`` what a model learns from, and
``_ranking_classifier`` has the base classes of the classifiers.
"""

from sklearn_xmr.base._ranking_classifier import (
    BlockwiseRankingMixin,
    HybridRankingMixin,
    RankingClassifierMixin,
    RawInstancesMixin,
    checked_instances,
    checked_label_weights,
    retrieved_probabilities,
)
from sklearn_xmr.base._targets import TargetForm, indicator_and_names
from sklearn_xmr.base._training_data import TrainingData, is_raw, rows_of

__all__ = [
    "BlockwiseRankingMixin",
    "HybridRankingMixin",
    "RankingClassifierMixin",
    "RawInstancesMixin",
    "TargetForm",
    "TrainingData",
    "checked_instances",
    "checked_label_weights",
    "indicator_and_names",
    "is_raw",
    "retrieved_probabilities",
    "rows_of",
]
