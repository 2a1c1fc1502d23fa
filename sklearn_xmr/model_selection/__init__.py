"""Cross-validation, learning curves and splits for sparse multilabel targets."""

from sklearn_xmr.model_selection._choice import Choice, choose_text_classifier
from sklearn_xmr.model_selection._held_out_scores import (
    HeldOutScores,
    cross_val_score_pairs,
)
from sklearn_xmr.model_selection._split import (
    IterativeStratifiedKFold,
    iterative_train_test_split,
)
from sklearn_xmr.model_selection._validation import (
    cross_val_predict_topk,
    cross_validate,
    learning_curve,
    validation_curve,
)

__all__ = [
    "Choice",
    "HeldOutScores",
    "IterativeStratifiedKFold",
    "choose_text_classifier",
    "cross_val_predict_topk",
    "cross_val_score_pairs",
    "cross_validate",
    "iterative_train_test_split",
    "learning_curve",
    "validation_curve",
]
