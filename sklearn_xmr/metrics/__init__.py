"""Ranking metrics at k, propensities, and scorers for model selection."""

from sklearn_xmr.metrics._calibration import ece_at_k
from sklearn_xmr.metrics._ranking import (
    ndcg_at_k,
    precision_at_k,
    propensity_scores,
    psndcg_at_k,
    psprecision_at_k,
    recall_at_k,
)
from sklearn_xmr.metrics._scorer import make_topk_scorer, predict_topk

__all__ = [
    "ece_at_k",
    "make_topk_scorer",
    "ndcg_at_k",
    "precision_at_k",
    "predict_topk",
    "propensity_scores",
    "psndcg_at_k",
    "psprecision_at_k",
    "recall_at_k",
]
