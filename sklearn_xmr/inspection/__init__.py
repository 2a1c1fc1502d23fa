"""Plots of models and predictions, and explanations of them."""

from sklearn_xmr.inspection._explanation import (
    Explanation,
    explain,
    nearest_labels,
    top_features,
)
from sklearn_xmr.inspection._html import HTMLView, view_label_tree, view_search_path
from sklearn_xmr.inspection._metric_displays import (
    CoveragePrecisionDisplay,
    LabelFrequencyDisplay,
    MetricAtKDisplay,
)
from sklearn_xmr.inspection._model_displays import (
    CalibrationAtKDisplay,
    ModelSizeDisplay,
)
from sklearn_xmr.inspection._search_path import SearchPath, search_path
from sklearn_xmr.inspection._thesaurus_view import ThesaurusView, view_in_thesaurus
from sklearn_xmr.inspection._training_display import TrainingHistoryDisplay
from sklearn_xmr.inspection._tree_displays import LabelTreeDisplay, SearchPathDisplay

__all__ = [
    "CalibrationAtKDisplay",
    "CoveragePrecisionDisplay",
    "Explanation",
    "HTMLView",
    "LabelFrequencyDisplay",
    "LabelTreeDisplay",
    "MetricAtKDisplay",
    "ModelSizeDisplay",
    "SearchPath",
    "SearchPathDisplay",
    "ThesaurusView",
    "TrainingHistoryDisplay",
    "explain",
    "nearest_labels",
    "search_path",
    "top_features",
    "view_in_thesaurus",
    "view_label_tree",
    "view_search_path",
]
