"""Labels without a training instance: how many are found, and at what cost.

    python benchmarks/zero_shot.py ../shared/data

tibkat-gnd: 41,218 subject headings, 6,102 of them without a training instance. Printed
are the recall of such labels in the test part at k, among all labels, and P@k of all
labels, for models with and without the labels' names.
"""

import argparse
import re
import sys
import time
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    XREnsembleClassifier,
    XRLabelTextClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
    predict_topk,
)
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import precision_at_k, recall_at_k

KS = (1, 5, 10, 20)


def load_data(folder):
    """Texts, indicators and label names (German and English) of tibkat-gnd."""
    sys.path.insert(0, str(folder))
    from load import load, read_lines

    data = load("tibkat-gnd", text=True)
    german = [re.sub("<.*?>", "", name) for name in read_lines("tibkat-gnd", "Y")]
    english = read_lines("tibkat-gnd", "Y.en")
    english += [""] * (len(german) - len(english))
    names = [f"{a} {b}" for a, b in zip(german, english, strict=True)]
    return data, names


def words():
    """Words as in SOURCE.md of the data."""
    return TfidfVectorizer(
        min_df=3,
        sublinear_tf=True,
        dtype=np.float32,
        token_pattern=r"(?u)\b\w+\b",
        strip_accents="unicode",
    )


def models(names, data):
    """Yield models by name; all but the first use the names of the labels."""
    trees = XREnsembleClassifier(XRLinearClassifier(C=0.5), n_estimators=2)
    seen = [
        ("trees", make_pipeline(words(), trees)),
        ("neighbors", make_pipeline(words(), XRNeighborsClassifier(power=4.0))),
    ]
    texts = ("names", XRLabelTextClassifier(names))
    by_words = TfidfVectorizer(
        sublinear_tf=True, dtype=np.float32, strip_accents="unicode"
    )
    vectors = sparse.csr_matrix(words().fit(data.text_train).transform(names))
    clusterer = HierarchicalLabelClusterer(
        "pifa+lf", label_features=vectors, branching_factor=100, max_leaf_size=96
    )
    placed = XREnsembleClassifier(XRLinearClassifier(clusterer, C=0.5), n_estimators=2)
    yield "trees + neighbours", XRStackingClassifier(seen, random_state=0)
    yield "names, words", XRLabelTextClassifier(names, by_words)
    yield "names, character n-grams", XRLabelTextClassifier(names)
    yield "all three", XRStackingClassifier([*seen, texts], random_state=0)
    stages = [("trees", make_pipeline(words(), placed)), seen[1], texts]
    yield "all three, names in the tree", XRStackingClassifier(stages, random_state=0)


def zero_shot_recall(Y_train, Y_test, topk):
    """Share of the pairs with labels unseen in training that are in the top k."""
    unseen = np.asarray(Y_train.sum(axis=0)).ravel() == 0
    Y = sparse.csr_matrix(Y_test @ sparse.diags(unseen.astype(float)))
    Y.eliminate_zeros()
    rows = np.flatnonzero(np.diff(Y.indptr))
    topk = tuple(part[rows] for part in topk)
    weight = np.diff(Y.indptr)[rows]  # mean over pairs, not over instances
    return [recall_at_k(Y[rows], topk, k=k, sample_weight=weight) for k in KS]


def main():
    """Fit and measure each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    data, names = load_data(parser.parse_args().data)
    print("| model | " + " | ".join(f"zero-shot R@{k}" for k in KS), end=" | ")
    print("P@1 | P@3 | P@5 | fit s | predict s |")
    print("| --- " * (len(KS) + 6) + "|")
    for name, model in models(names, data):
        start = time.perf_counter()
        model.fit(data.text_train, data.Y_train)
        fitted = time.perf_counter()
        topk = predict_topk(model, data.text_test, k=20)
        end = time.perf_counter()
        values = zero_shot_recall(data.Y_train, data.Y_test, topk)
        values += [precision_at_k(data.Y_test, topk, k=k) for k in (1, 3, 5)]
        row = " | ".join(f"{100 * value:.2f}" for value in values)
        print(f"| {name} | {row} | {fitted - start:.1f} | {end - fitted:.1f} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
