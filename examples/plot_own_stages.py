"""
=================================
Replace a stage by your own model
=================================

Extreme ranking has three stages: group the labels, match groups, rank the labels
inside them. Each is a parameter of XMRClassifier. Here the indexer, the matcher and the
ranker are replaced one after another on Tate's artworks (46,965 for training, 8,046
subjects).
"""

# %%
# Data and the default model
# --------------------------

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize

from sklearn_xmr import XMRClassifier, XRNeighborsClassifier
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import precision_at_k

train, test = (load_tate_subjects(subset=part) for part in ("train", "test"))
tfidf = TfidfVectorizer(min_df=2, sublinear_tf=True, dtype=np.float32)
X, X_test = tfidf.fit_transform(train.data), tfidf.transform(test.data)
values = {}


def report(name, clf):
    """Fit, and print precision and time."""
    start = time.perf_counter()
    topk = clf.fit(X, train.target).predict_topk(X_test, k=5)
    seconds = time.perf_counter() - start
    p1, p5 = (100 * precision_at_k(test.target, topk, k=k) for k in (1, 5))
    values[name] = p1
    print(f"{name:<40} P@1 {p1:.2f}  P@5 {p5:.2f}  {seconds:.1f} s", flush=True)


report("default stages", XMRClassifier(random_state=0))

# %%
# The indexer: any clusterer of scikit-learn
# ------------------------------------------
# It is fitted on the label vectors; a pipeline may reduce their dimension first.

indexer = make_pipeline(TruncatedSVD(50), MiniBatchKMeans(120, n_init=3))
report("indexer: k-means on 50 topics", XMRClassifier(indexer, random_state=0))

# %%
# The matcher: your own classifier
# --------------------------------
# Any classifier with ``fit`` and ``predict_proba`` can be used. This one compares an
# artwork with the mean of each group.


class CentroidMatcher(ClassifierMixin, BaseEstimator):
    """Softmax of the cosine with each group's mean instance."""

    def fit(self, X, Y):
        """Mean instance of each group."""
        self.centroids_ = normalize(Y.T @ X)  # dense, as Y is
        return self

    def predict_proba(self, X):
        """One column for each group."""
        weights = np.exp(10 * np.asarray(X @ self.centroids_.T))
        return weights / weights.sum(axis=1, keepdims=True)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


report("matcher: own centroids", XMRClassifier(matcher=CentroidMatcher()))

# %%
# The ranker: a classifier for each group
# ---------------------------------------
# Each group's ranker is a clone, fitted on the group's artworks and subjects.

ranker = XRNeighborsClassifier(30, power=4.0)
report("ranker: neighbours in each group", XMRClassifier(ranker=ranker, random_state=0))

# %%
# Comparison
# ----------

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
bars = axes.barh(list(values), list(values.values()))
axes.bar_label(bars, fmt="{:.1f}", padding=3)
axes.invert_yaxis()
axes.margins(x=0.1)
_ = axes.set_xlabel("P@1, %")
