"""
============================
Model size against precision
============================

Small weights take space and change rankings little. ``prune`` drops them after
training, ``weight_threshold`` in training.
"""

# %%
# Precision at several thresholds
# -------------------------------

from copy import copy

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import ModelSizeDisplay
from sklearn_xmr.metrics import precision_at_k

train, test = load_tate_subjects(subset="train"), load_tate_subjects(subset="test")
vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
X, X_test = vectorizer.fit_transform(train.data), vectorizer.transform(test.data)
clf = XRLinearClassifier(weight_threshold=0.03, random_state=0).fit(X, train.target)
display = ModelSizeDisplay.from_estimator(
    clf, X_test, test.target, k=5, thresholds=[0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5]
)

# %%
# Other limits
# ------------

for limits in (
    {"threshold": 0.15},
    {"energy": 0.95},
    {"max_weights_per_label": 300},
    {"max_weights_per_label": 100, "threshold": 0.1},
):
    small = copy(clf).prune(**limits)
    value = precision_at_k(test.target, small.predict_topk(X_test, k=5), k=5)
    print(f"{small.nbytes_ / 1e6:5.2f} MB  P@5 {value:.4f}  {limits}")

# %%
# The size before training
# ------------------------

estimate = XRLinearClassifier(random_state=0).estimate_model_size(X, train.target)
fitted = XRLinearClassifier(random_state=0).fit(X, train.target)
print(f"estimated {estimate / 1e6:.1f} MB, actual {fitted.nbytes_ / 1e6:.1f} MB")
