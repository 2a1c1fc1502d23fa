"""
====================================
A model that learns from corrections
====================================

Somebody tags artworks with the help of a model, and accepts or rejects what it
suggests. The model learns from each record, in milliseconds, without the data that it
was fitted on.
"""

# %%
# A model of the first records
# ----------------------------

import time
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import precision_at_k

train, test = (load_tate_subjects(subset=part) for part in ("train", "test"))
vectorizer = TfidfVectorizer(sublinear_tf=True).fit(train.data)
X, X_test = vectorizer.transform(train.data), vectorizer.transform(test.data)
order = np.random.RandomState(0).permutation(X.shape[0])
X, Y = X[order], train.target[order]

first = 5000
clf = XRLinearClassifier(random_state=0).fit(X[:first], Y[:first])


def precision(clf):
    """P@5 on the test records, in per cent."""
    return 100 * precision_at_k(test.target, clf.predict_topk(X_test, k=5), k=5)


print(f"P@5 after {first} records: {precision(clf):.1f}")

# %%
# One record at a time
# --------------------
# What the model suggested and the record does not have goes into ``negatives``.

seconds = []
for row in range(first, first + 200):
    suggested = clf.predict_topk(X[row], k=5)[0]
    indicator = np.zeros((1, Y.shape[1]))
    indicator[0, np.setdiff1d(suggested, Y[row].indices)] = 1
    start = time.perf_counter()
    clf.partial_fit(X[row], Y[row], negatives=indicator)
    seconds.append(time.perf_counter() - start)
print(f"a record takes {1e3 * np.median(seconds):.1f} milliseconds")

# %%
# Many records at a time
# ----------------------
# Each part is learnt from once. A fit of all that has been seen is the best that there
# can be, but needs all of it.

bounds = np.linspace(first + 200, X.shape[0], 9).astype(int)
learnt, fitted = [precision(clf)], [precision(clf)]
for start, end in pairwise(bounds):
    learnt.append(precision(clf.partial_fit(X[start:end], Y[start:end])))
    whole = XRLinearClassifier(random_state=0).fit(X[:end], Y[:end])
    fitted.append(precision(whole))
print(f"P@5 after all: {learnt[-1]:.1f} part by part, {fitted[-1]:.1f} by one fit")

# %%

fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(bounds, fitted, "o-", color="0.6", label="fit of all until then")
ax.plot(bounds, learnt, "o-", label="partial_fit of each part")
ax.set(xlabel="records", ylabel="P@5 in per cent")
ax.legend()
plt.show()
