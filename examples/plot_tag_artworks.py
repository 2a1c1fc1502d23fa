"""
==========================
Tag artworks with subjects
==========================

Tate's cataloguers describe artworks with subjects from a thesaurus: "townscape",
"reclining", "Venice, Piazetta". Here a linear model learns to do it from titles,
media and inscriptions: 46,965 artworks for training, 11,795 for testing, 8,046
subjects.
"""

# %%
# Data
# ----
# The data come with the package. Texts are plain strings; subjects come as a sparse
# indicator matrix with a column per subject.

import time

import matplotlib
import numpy as np
from sklearn.pipeline import make_pipeline

from sklearn_xmr import XRLinearClassifier, predict_topk
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import LabelTreeDisplay
from sklearn_xmr.metrics import ndcg_at_k, precision_at_k

matplotlib.use("Agg")  # writing a plot to a file needs no screen


class Stopwatch:
    """Print how long each stage took."""

    def __init__(self):
        self.start = time.perf_counter()

    def lap(self, stage):
        """Print the time since the last lap."""
        now = time.perf_counter()
        print(f"{stage:<46}{now - self.start:8.2f} s")
        self.start = time.perf_counter()


watch = Stopwatch()
train = load_tate_subjects(subset="train")
test = load_tate_subjects(subset="test")
watch.lap(f"loaded {len(train.data)} + {len(test.data)} artworks")

# %%
# Model
# -----
# A pipeline of scikit-learn. The classifier groups the subjects into a tree, trains
# a linear model for each branch, and at prediction follows only the best branches.

model = make_pipeline(
    TfidfVectorizer(
        min_df=2,
        sublinear_tf=True,
        strip_accents="unicode",
        token_pattern=r"\b\w+\b",
        dtype=np.float32,
    ),
    XRLinearClassifier(random_state=0),
)
model.fit(train.data, train.target)
watch.lap(f"fitted the pipeline ({len(model[0].vocabulary_)} words)")

# %%
# How good is it?
# ---------------
# How many of the first one, three and five subjects that the model proposes did the
# cataloguers give as well?

labels, scores = predict_topk(model, test.data, k=5)
watch.lap(f"named 5 subjects for {len(labels)} artworks")

for k in (1, 3, 5):
    value = precision_at_k(test.target, (labels, scores), k=k)
    print(f"P@{k}    {100 * value:5.2f} %")
print(f"nDCG@5 {100 * ndcg_at_k(test.target, (labels, scores), k=5):5.2f} %")
watch.lap("scored them")

# %%
# Some artworks
# -------------
# Subjects in capitals were given by the cataloguers as well. Many of the others are
# right, too: cataloguers cannot name everything.

for row in np.random.RandomState(4).choice(len(labels), 5, replace=False):
    true = set(test.target[row].indices.tolist())
    names = [
        test.target_names[label].upper() if label in true else test.target_names[label]
        for label in labels[row]
    ]
    missed = [test.target_names[label] for label in sorted(true - set(labels[row]))]
    print(f"\n{test.data[row][:110]}")
    print(f"  predicted: {'; '.join(names)}")
    print(f"  missed:    {'; '.join(missed) or '-'}")
print()

# %%
# The learned tree
# ----------------
# The groups of subjects are learned from the artworks alone. These are the groups with
# the most artworks, and the most frequent subjects of each.

counts = np.asarray(train.target.sum(axis=0)).ravel()
display = LabelTreeDisplay.from_estimator(
    model, label_names=train.target_names, label_counts=counts
)
display.figure_.savefig("label_tree.png")
watch.lap("drew label_tree.png")
