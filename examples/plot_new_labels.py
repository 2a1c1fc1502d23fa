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
# Some names stand under several parents, so that the terms above a name belong to it.

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from sklearn_xmr import LabelNamesClassifier, XRLabelTextClassifier, XRLinearClassifier
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import get_topk_scorer

train, test = (load_tate_subjects(subset=part) for part in ("train", "test"))
terms = zip(train.target_paths, train.target_names, strict=True)
names = np.array([" > ".join(term) for term in terms], dtype=object)
y, y_test = ([names[row.indices] for row in part.target] for part in (train, test))

subjects = sorted(set(names))
new = set(np.random.RandomState(0).permutation(subjects)[::10].tolist())
print(f"{len(new)} of {len(subjects)} subjects are new, such as {min(new)!r}")
precision_at_5 = get_topk_scorer("precision_at_5")


def found(clf):
    """Share of the right new subjects that are among the 20 best, in per cent."""
    ranked, _ = clf.predict_topk(test.data, k=20)
    right = [new.intersection(row) for row in y_test]
    hits = sum(
        len(one.intersection(row)) for one, row in zip(right, ranked, strict=True)
    )
    return 100 * hits / sum(map(len, right))


# %%
# Rank them by their names
# ------------------------
# The model does not learn from instances, so new labels are ranked like all others.

by_name = LabelNamesClassifier(XRLabelTextClassifier(subjects), classes=subjects)
by_name.fit(train.data, y)
shares = {"ranked by name": found(by_name)}
print(f"new labels among the 20 best by name: {shares['ranked by name']:.1f} %")

# %%
# Add them with their first instances
# -----------------------------------
# The weights of known labels do not change at all.

tfidf = TfidfVectorizer(min_df=2, sublinear_tf=True, dtype=np.float32)
model = make_pipeline(tfidf, XRLinearClassifier(random_state=0))
clf = LabelNamesClassifier(model)
clf.fit(train.data, [[name for name in row if name not in new] for row in y])
start = time.perf_counter()
clf.add_labels(train.data, y)
seconds = time.perf_counter() - start
print(f"{len(new.intersection(clf.classes_))} labels added in {seconds:.2f} s")
shares["added to the model"] = found(clf)
print(f"new labels among the 20 best by model: {shares['added to the model']:.1f} %")
print(f"P@5 of all labels: {100 * precision_at_5(clf, test.data, y_test):.2f}")

# %%
# Compare with a fit of all labels
# --------------------------------

whole = clone(clf).fit(train.data, y)
shares["all labels fitted anew"] = found(whole)
print(f"new labels, whole fit: {shares['all labels fitted anew']:.1f} %")
print(f"P@5, whole fit: {100 * precision_at_5(whole, test.data, y_test):.2f}")

# %%

figure, axes = plt.subplots(figsize=(7, 2.5), layout="constrained")
bars = axes.barh(list(shares), list(shares.values()))
axes.bar_label(bars, fmt="{:.0f} %", padding=3)
axes.invert_yaxis()
axes.margins(x=0.1)
_ = axes.set_xlabel("New labels among the 20 best, % of the right ones")
