"""
==================
Evaluate a ranking
==================

Metrics against k, metrics by label frequency, and a table of ten metrics.
"""

# %%
# Two models
# ----------

import matplotlib.pyplot as plt

from sklearn_xmr import XRLinearClassifier, XRNeighborsClassifier
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import LabelFrequencyDisplay, MetricAtKDisplay
from sklearn_xmr.metrics import get_topk_scorer

train, test = load_tate_subjects(subset="train"), load_tate_subjects(subset="test")
vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
X, X_test = vectorizer.fit_transform(train.data), vectorizer.transform(test.data)
models = {
    "tree": XRLinearClassifier(random_state=0).fit(X, train.target),
    "neighbours": XRNeighborsClassifier(power=4.0).fit(X, train.target),
}

# %%
# Against k
# ---------

figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
for style, (name, model) in zip(("-", "--"), models.items(), strict=True):
    MetricAtKDisplay.from_estimator(
        model, X_test, test.target, max_k=10, name=name, ax=axes, linestyle=style
    )

# %%
# Rare and frequent labels
# ------------------------
# Contribution of each group of labels to propensity-scored precision: the bars sum to
# PSP@5.

figure, axes = plt.subplots(2, figsize=(7, 7), layout="constrained", sharey=True)
for ax, (name, model) in zip(axes, models.items(), strict=True):
    LabelFrequencyDisplay.from_estimator(
        model, X_test, test.target, train.target, metric="psprecision", ax=ax
    )
    ax.set_title(name)

# %%
# Ten metrics at 5
# ----------------

names = ["precision", "recall", "f1", "ndcg", "hit_rate", "mrr", "psprecision",
         "psndcg", "macro_f1", "coverage"]  # fmt: skip
for metric in names:
    scorer = get_topk_scorer(f"{metric}_at_5")
    values = [scorer(model, X_test, test.target) for model in models.values()]
    print(f"{metric:12}" + "".join(f"{value:10.3f}" for value in values))
