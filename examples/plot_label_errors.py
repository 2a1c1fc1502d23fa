"""
================
Errors in labels
================

Labels are dropped from artworks at random, and looked for by models that did not see
these artworks. Then a report tells of each label how well it is predicted.
"""

# %%
# Plant errors
# ------------

import matplotlib.pyplot as plt
import numpy as np
from scipy import sparse

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import (
    LabelReportDisplay,
    find_duplicate_labels,
    find_label_errors,
    label_report,
)
from sklearn_xmr.model_selection import cross_val_score_pairs

data = load_tate_subjects(subset="test")
X = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(data.data)
rows, labels = data.target.nonzero()
is_dropped = np.random.default_rng(0).random(len(rows)) < 0.05
kept = (rows[~is_dropped], labels[~is_dropped])
Y = sparse.csr_matrix((np.ones(len(kept[0]), int), kept), shape=data.target.shape)

# %%
# Find them
# ---------
# How many of them are among the first proposals, by how many one reads. What was
# missing before counts as no error here, so that the true shares are higher.

scores = cross_val_score_pairs(XRLinearClassifier(random_state=0), X, Y, random_state=0)
names = data.target_names
missing = find_label_errors(Y, scores, label_names=names, random_state=0)
planted = set(zip(rows[is_dropped], labels[is_dropped], strict=True))
is_planted = np.array(
    [pair in planted for pair in zip(missing.rows, missing.labels, strict=True)]
)
orders = {
    "find_label_errors": np.arange(len(missing)),
    "largest scores": np.argsort(-missing.held_out_scores, kind="stable"),
    "chance": np.random.default_rng(0).permutation(len(missing)),
}
figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, order in orders.items():
    found = np.cumsum(is_planted[order])[: 2 * len(planted)] / len(planted)
    axes.plot(np.arange(1, len(found) + 1), found, label=name)
axes.set(xlabel="Proposals read", ylabel=f"Share of {len(planted):,} planted errors")
axes.legend()

# %%
# Proposals that were not planted: labels that may have been missing before.

print(missing[~is_planted])

# %%
# A report on every label
# -----------------------
# Named are those that are missed most often, with what they are taken for.

report = label_report(Y, scores, k=5, label_names=names)
print(report[report.support >= 50].sorted_by("f1"))
LabelReportDisplay(report).plot()

# %%
# Labels that mean the same
# -------------------------

print(find_duplicate_labels(Y, label_names=names))
