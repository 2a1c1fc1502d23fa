"""
================================
Add new labels to a fitted model
================================

Vocabularies grow. A label without any training instance can be ranked by its name;
once it has its first instances, it can be added to the fitted model without a new fit.
Here a tenth of the subjects of Tate's artworks is held out.
"""

# %%
# A tenth of the subjects are new
# -------------------------------

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from sklearn_xmr import XRLabelTextClassifier, XRLinearClassifier, predict_topk
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import precision_at_k

train, test = (load_tate_subjects(subset=part) for part in ("train", "test"))
n_labels = train.target.shape[1]
order = np.random.RandomState(0).permutation(n_labels)
n_known = n_labels - n_labels // 10
Y, Y_test = train.target[:, order].tocsr(), test.target[:, order].tocsr()
names = [train.target_names[label] for label in order]


def found(labels):
    """Share of the right new labels that are among those ranked, in per cent."""
    right = [set(row.indices[row.indices >= n_known]) for row in Y_test]
    hits = sum(len(one & set(some)) for one, some in zip(right, labels, strict=True))
    return 100 * hits / sum(map(len, right))


# %%
# Rank them by their names
# ------------------------
# The model does not learn from instances, so new labels are ranked like all others.

by_name = XRLabelTextClassifier(names).fit(train.data, Y)
labels, _ = by_name.predict_topk(test.data, k=20)
shares = {"ranked by name": found(labels)}
print(f"new labels among the 20 best by name: {shares['ranked by name']:.1f} %")

# %%
# Add them with their first instances
# -----------------------------------
# The weights of known labels do not change at all.

tfidf = TfidfVectorizer(min_df=2, sublinear_tf=True, dtype=np.float32)
X, X_test = tfidf.fit_transform(train.data), tfidf.transform(test.data)
clf = XRLinearClassifier(random_state=0).fit(X, Y[:, :n_known])
start = time.perf_counter()
clf.add_labels(X, Y)
seconds = time.perf_counter() - start
topk = clf.predict_topk(X_test, k=20)
print(f"{n_labels - n_known} labels added in {seconds:.2f} s")
shares["added to the model"] = found(topk[0])
print(f"new labels among the 20 best by model: {found(topk[0]):.1f} %")
print(f"P@5 of all labels: {100 * precision_at_k(Y_test, topk, k=5):.2f}")

# %%
# Compare with a fit of all labels
# --------------------------------

whole = make_pipeline(tfidf, XRLinearClassifier(random_state=0)).fit(train.data, Y)
topk = predict_topk(whole, test.data, k=20)
shares["all labels fitted anew"] = found(topk[0])
print(f"new labels, whole fit: {found(topk[0]):.1f} %")
print(f"P@5, whole fit: {100 * precision_at_k(Y_test, topk, k=5):.2f}")

# %%

figure, axes = plt.subplots(figsize=(7, 2.5), layout="constrained")
bars = axes.barh(list(shares), list(shares.values()))
axes.bar_label(bars, fmt="{:.0f} %", padding=3)
axes.invert_yaxis()
axes.margins(x=0.1)
_ = axes.set_xlabel("New labels among the 20 best, % of the right ones")
