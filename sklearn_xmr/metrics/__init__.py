"""Ranking metrics at k, propensities, and scorers for model selection."""

from sklearn_xmr.metrics._calibration import calibration_curve_at_k, ece_at_k
from sklearn_xmr.metrics._hierarchical import (
    hierarchical_f1_at_k,
    hierarchical_precision_at_k,
    hierarchical_recall_at_k,
)
from sklearn_xmr.metrics._label_wise import (
    coverage_at_k,
    frequency_breakdown,
    macro_f1_at_k,
    macro_precision_at_k,
    macro_recall_at_k,
)
from sklearn_xmr.metrics._policy_value import policy_value
from sklearn_xmr.metrics._propensity import propensity_scores
from sklearn_xmr.metrics._ranking import (
    abandonment_at_k,
    f1_at_k,
    hit_rate_at_k,
    mrr_at_k,
    ndcg_at_k,
    precision_at_k,
    psndcg_at_k,
    psprecision_at_k,
    psrecall_at_k,
    recall_at_k,
)
from sklearn_xmr.metrics._scorer import (
    get_topk_metrics,
    get_topk_scorer,
    get_topk_scorer_names,
    make_topk_scorer,
    make_topk_scorers,
)

__all__ = [
    "abandonment_at_k",
    "calibration_curve_at_k",
    "coverage_at_k",
    "ece_at_k",
    "f1_at_k",
    "frequency_breakdown",
    "get_topk_metrics",
    "get_topk_scorer",
    "get_topk_scorer_names",
    "hierarchical_f1_at_k",
    "hierarchical_precision_at_k",
    "hierarchical_recall_at_k",
    "hit_rate_at_k",
    "macro_f1_at_k",
    "macro_precision_at_k",
    "macro_recall_at_k",
    "make_topk_scorer",
    "make_topk_scorers",
    "mrr_at_k",
    "ndcg_at_k",
    "policy_value",
    "precision_at_k",
    "propensity_scores",
    "psndcg_at_k",
    "psprecision_at_k",
    "psrecall_at_k",
    "recall_at_k",
]
