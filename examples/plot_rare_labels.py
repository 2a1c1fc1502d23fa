"""
==================
Favour rare labels
==================

``label_weight`` re-ranks labels exactly and without a new fit; costs in training change
the model itself. Both trade precision at the first ranks for hits on rare labels.
"""

# %%
# The trade-off
# -------------
# Each point has a power: labels are ranked by their score times the propensity to that
# power. 0 leaves the scores as they are, -1 is ``label_weight="inverse_propensity"``.

import matplotlib.pyplot as plt

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import LabelFrequencyDisplay
from sklearn_xmr.metrics import precision_at_k, propensity_scores, psprecision_at_k

train, test = load_tate_subjects(subset="train"), load_tate_subjects(subset="test")
vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
X, X_test = vectorizer.fit_transform(train.data), vectorizer.transform(test.data)
clf = XRLinearClassifier(random_state=0).fit(X, train.target)
p = propensity_scores(train.target)

powers = (0, -0.25, -0.5, -0.75, -1, -1.5)
figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
costly = XRLinearClassifier(cost_sensitive="propensity", random_state=0)
for name, model, beside in (
    ("plain", clf, (7, 1)),
    ("trained with costs", costly, (-32, -10)),
):
    if model is not clf:
        model.fit(X, train.target)
    points = []
    for power in powers:
        topk = model.set_params(label_weight=p**power).predict_topk(X_test, k=5)
        points.append(
            (
                precision_at_k(test.target, topk, k=1),
                psprecision_at_k(test.target, topk, k=5, propensities=p),
            )
        )
    axes.plot(*zip(*points, strict=True), "o-", label=name)
    for power, point in zip(powers, points, strict=True):
        axes.annotate(f"{power:g}", point, xytext=beside, textcoords="offset points")
axes.margins(0.12)
axes.set(xlabel="P@1", ylabel="PSP@5", title="Scores times propensity to a power")
axes.legend()

# %%
# Recall by label frequency
# -------------------------

figure, axes = plt.subplots(2, figsize=(7, 7), layout="constrained", sharey=True)
for ax, weight in zip(axes, (None, "inverse_propensity"), strict=True):
    clf.set_params(label_weight=weight)
    LabelFrequencyDisplay.from_estimator(
        clf, X_test, test.target, train.target, k=5, ax=ax
    )
    ax.set_title(f"label_weight={weight}")
