"""
=====================
Labels in a thesaurus
=====================

Tate's subjects stand in a thesaurus of three levels. A model that knows it answers with
a broader label where it is not sure of a narrow one, and a metric that knows it counts
a near miss for more than a far one.
"""

# %%
# A model with the thesaurus
# --------------------------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from sklearn_xmr import XRHierarchyClassifier
from sklearn_xmr.datasets import load_tate_subjects, load_tate_thesaurus
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import view_in_thesaurus
from sklearn_xmr.metrics import (
    hierarchical_f1_at_k,
    hierarchical_precision_at_k,
    hierarchical_recall_at_k,
)

thesaurus = load_tate_thesaurus()
train, test = load_tate_subjects(subset="train"), load_tate_subjects(subset="test")
model = make_pipeline(
    TfidfVectorizer(sublinear_tf=True, min_df=2),
    XRHierarchyClassifier(thesaurus=thesaurus, random_state=0),
)
model.fit(train.data, thesaurus.with_ancestors(train.target))
print(thesaurus)

# %%
# One work's labels where they stand
# ----------------------------------
#
# Labels with a tick were given by Tate's cataloguers.

print(test.data[1])
print(
    view_in_thesaurus(
        model,
        test.data[1:2],
        k=12,
        true_labels=test.target[1].indices.tolist(),
        open_browser=False,
    )
)

# %%
# The surer an answer has to be, the broader it is
# ------------------------------------------------
#
# Of each work the most specific labels that are probable enough, by their level in the
# thesaurus, and how many of them are right.

levels = thesaurus.heights
truth = thesaurus.with_ancestors(test.target)
proba = model.predict_proba(test.data)
thresholds = np.arange(0.1, 1, 0.1)
counts, precisions = [], []
for threshold in thresholds:
    answers = thesaurus.most_specific(proba > threshold)
    right = answers.multiply(truth)
    levels_of = [levels[each.indices] for each in (answers, right.tocsr())]
    counts.append(np.bincount(levels_of[0], minlength=3) / len(test.data))
    precisions.append(len(levels_of[1]) / len(levels_of[0]))
figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
bottom = np.zeros(len(thresholds))
for level, name in enumerate(("label", "term above", "broadest term")):
    height = np.array(counts)[:, level]
    axes.bar(thresholds, height, width=0.08, bottom=bottom, label=name)
    bottom += height
axes.set(xlabel="decision_threshold", ylabel="answers for each work")
figure.legend(loc="outside upper center", ncols=3)
shares = axes.twinx()
shares.plot(thresholds, precisions, "k.-")
shares.set(ylabel="share that is right (line)", ylim=(0, 1))
plt.show()

# %%
# Near misses count
# -----------------
#
# The five best labels of the narrowest level, by the plain and by the hierarchical
# metric.

narrow = proba[:, : test.target.shape[1]]
for metric in (
    hierarchical_precision_at_k,
    hierarchical_recall_at_k,
    hierarchical_f1_at_k,
):
    value = metric(test.target, narrow, k=5, thesaurus=thesaurus)
    print(f"{metric.__name__:28} {value:.3f}")
