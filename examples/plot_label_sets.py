"""
===========================
Label sets with a guarantee
===========================

How many labels to give? As many as hold a given share of the right ones, in
expectation over new instances; or an answer only where the model is sure.
"""

# %%
# Levels that hold for new instances
# ----------------------------------
#
# The model is fitted once. A random half of the test part chooses the thresholds, for
# which the model stays as it is; the other half shows what they are worth.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split

from sklearn_xmr import XRConformalClassifier, XRLinearClassifier
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import CoveragePrecisionDisplay

train, test = load_tate_subjects(subset="train"), load_tate_subjects(subset="test")
vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
X, X_test = vectorizer.fit_transform(train.data), vectorizer.transform(test.data)
model = XRLinearClassifier(random_state=0).fit(X, train.target)
X_held_out, X_new, Y_held_out, Y_new = train_test_split(
    X_test, test.target, test_size=0.5, random_state=0
)
alphas = np.linspace(0.25, 0.6, 8)
missed, sizes = [], []
for alpha in alphas:
    clf = XRConformalClassifier(FrozenEstimator(model), alpha=alpha)
    clf.fit(X_held_out, Y_held_out)
    sets = clf.predict_set(X_new)
    found = sets.multiply(Y_new).sum(axis=1) / Y_new.sum(axis=1)
    missed.append(1 - found.mean())
    sizes.append(sets.sum() / sets.shape[0])

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot(alphas, alphas, color="gray", linestyle="--", label="wanted")
left.plot(alphas, missed, marker="o", label="of new instances")
left.set(xlabel="alpha", ylabel="Share of missed labels")
left.legend()
right.plot(alphas, sizes, marker="o")
right.set(xlabel="alpha", ylabel="Labels in a set", yscale="log")

# %%
# No answer rather than a doubtful one
# ------------------------------------

figure, axes = plt.subplots(figsize=(5.5, 4), layout="constrained")
CoveragePrecisionDisplay.from_estimator(model, X_test, test.target, ax=axes)
for precision in (0.8, 0.85, 0.9):
    clf = XRConformalClassifier(
        FrozenEstimator(model), alpha=0.4, min_precision=precision, random_state=0
    )
    clf.fit(X_held_out, Y_held_out)
    answered = clf.answers(X_new)
    best = clf.predict_topk(X_new, 1)[0][:, 0]
    is_right = np.asarray(Y_new[np.arange(len(best)), best]).ravel() == 1
    axes.plot(answered.mean(), is_right[answered].mean(), "o", label=f"{precision}")
    print(
        f"min_precision={precision}: {answered.mean():.2f} answered, "
        f"{is_right[answered].mean():.3f} of these right"
    )
axes.set_ylim(0.6, 1)
axes.legend(title="min_precision")
