"""
==============================================
Index documents with subjects, as libraries do
==============================================

Tools such as Annif suggest subjects of a controlled vocabulary for a document: a corpus
in TSV files, a backend, suggestions with scores, and an evaluation by F1@5 and nDCG.
Here is the same in a few lines: your own file, limits on the score and the number of
subjects, and the metrics that subject librarians use.
"""

# %%
# A corpus on disk
# ----------------
# Annif's short-text corpus is TSV: a text, and subjects. We write Tate's artworks to
# such files, with a separator between the subjects.

import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy import sparse
from sklearn.pipeline import make_pipeline

from sklearn_xmr import XREnsembleClassifier, XRLinearClassifier, predict_topk
from sklearn_xmr.datasets import load_labelled_texts, load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import f1_at_k, ndcg_at_k, precision_at_k, recall_at_k

folder = Path(tempfile.mkdtemp())
for subset in ("train", "test"):
    tate = load_tate_subjects(subset=subset)
    with open(folder / f"{subset}.tsv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter="\t")
        rows.writerow(["text", "subjects"])
        for text, labels in zip(tate.data, tate.target, strict=True):
            names = [tate.target_names[label] for label in labels.indices]
            rows.writerow([text, " | ".join(names)])

train = load_labelled_texts(folder / "train.tsv", labels="subjects", separator="|")
test = load_labelled_texts(
    folder / "test.tsv",
    labels="subjects",
    separator="|",
    target_names=train.target_names,
)
print(f"{len(train.data):,} documents, {len(train.target_names):,} subjects")

# %%
# A backend
# ---------
# Word pairs help with titles; a mean of several trees is more precise than one.

backend = make_pipeline(
    TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2),
    XREnsembleClassifier(XRLinearClassifier(), n_estimators=2, random_state=0),
)
backend.fit(train.data, train.target)

# %%
# Suggestions for one document
# ----------------------------


def suggest(text, limit=5, threshold=0.1):
    """Subjects of a text with scores of at least the threshold, best first."""
    labels, scores = predict_topk(backend, [text], k=limit)
    return [
        (train.target_names[label], round(float(score), 3))
        for label, score in zip(labels[0], scores[0], strict=True)
        if label >= 0 and score >= threshold
    ]


for subject, score in suggest("Waterloo Bridge at sunset, with barges. Oil on canvas"):
    print(f"{score:.3f}  {subject}")

# %%
# Evaluation
# ----------
# At five suggestions, as libraries report them.

topk = predict_topk(backend, test.data, k=10)
print(f"P@1     {precision_at_k(test.target, topk, k=1):.3f}")
print(f"F1@5    {f1_at_k(test.target, topk, k=5):.3f}")
print(f"R@10    {recall_at_k(test.target, topk, k=10):.3f}")
print(f"nDCG@10 {ndcg_at_k(test.target, topk, k=10):.3f}")

# %%
# The best limit and threshold
# ----------------------------
# Those with the highest F1 over all documents. Annif calls this optimising. (Here on
# the test part, to show how; choose them on documents that you hold out for it.)


def as_indicator(labels, n_labels):
    """Sparse indicator of the suggested labels; -1 stands for none."""
    rows, places = np.nonzero(labels >= 0)
    entries = np.ones(len(rows)), (rows, labels[rows, places])
    return sparse.csr_matrix(entries, shape=(len(labels), n_labels))


def f1_of(limit, threshold):
    """F1 over all documents with these limits."""
    labels, scores = topk[0][:, :limit].copy(), topk[1][:, :limit]
    labels[scores < threshold] = -1
    given = as_indicator(labels, test.target.shape[1])
    hits = given.multiply(test.target).nnz
    return 2 * hits / (given.nnz + test.target.nnz)


limits, thresholds = (3, 5, 7, 10), (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
table = {limit: [f1_of(limit, value) for value in thresholds] for limit in limits}
f1, limit, threshold = max(
    (f1, limit, threshold)
    for limit, row in table.items()
    for threshold, f1 in zip(thresholds, row, strict=True)
)
print(f"F1 = {f1:.3f} with limit {limit} and threshold {threshold}")

# %%

figure, axes = plt.subplots(figsize=(7.5, 3.5), layout="constrained")
for limit, row in table.items():
    axes.plot(thresholds, row, "o-", label=f"at most {limit} subjects")
axes.set(xlabel="Least score of a subject", ylabel="F1")
_ = figure.legend(loc="outside right center")
