"""Plots of models and predictions, and explanations of them."""

from sklearn_xmr.inspection._duplicate_labels import (
    DuplicateLabels,
    find_duplicate_labels,
)
from sklearn_xmr.inspection._explanation import (
    Explanation,
    explain,
    nearest_labels,
    top_features,
)
from sklearn_xmr.inspection._html import HTMLView, view_label_tree, view_search_path
from sklearn_xmr.inspection._label_errors import LabelErrors, find_label_errors
from sklearn_xmr.inspection._label_report import LabelReport, label_report
from sklearn_xmr.inspection._label_report_display import LabelReportDisplay
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
    "DuplicateLabels",
    "Explanation",
    "HTMLView",
    "LabelErrors",
    "LabelFrequencyDisplay",
    "LabelReport",
    "LabelReportDisplay",
    "LabelTreeDisplay",
    "MetricAtKDisplay",
    "ModelSizeDisplay",
    "SearchPath",
    "SearchPathDisplay",
    "ThesaurusView",
    "TrainingHistoryDisplay",
    "explain",
    "find_duplicate_labels",
    "find_label_errors",
    "label_report",
    "nearest_labels",
    "search_path",
    "top_features",
    "view_in_thesaurus",
    "view_label_tree",
    "view_search_path",
]
