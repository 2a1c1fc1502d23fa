"""P@k of documented settings on each data set, over several seeds.

    python benchmarks/quality.py ../shared/data/bibtex ../shared/data/delicious

Prints the default settings and, where a set has one, its recipe and its stack. Rows are
scaled to unit length by the pipeline. Rows of the test part without any label count as
0. With --random-splits, each seed also draws a split of the same sizes, as for the
published tables of bibtex and delicious; else all seeds share the split of the folder.
"""

import argparse
from pathlib import Path

import numpy as np
from compare_peers import load_folder
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    XREnsembleClassifier,
    XRForestClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
    predict_topk,
)
from sklearn_xmr.metrics import ndcg_at_k, precision_at_k

# Small label sets need one wide level (at most 256 labels in a leaf) and a smaller
# tolerance of the solver; with many positives per label the logistic loss is better.
RECIPES = {
    "bibtex": {"C": 0.3, "tol": 0.01},
    "delicious": {
        "C": 4,
        "tol": 0.1,
        "loss": "logistic",
        "post_processor": "sigmoid",
        "beam_size": 20,
    },
}

HINGE_C = {"bibtex": 0.25, "delicious": 1.0}

KEPT = 0.8  # share of the words that a network sees in an epoch


def evaluate(data, make_classifier, seeds):
    """P@1/3/5 and nDCG@5 in percent, one row per seed, of the data ``data(seed)``."""
    rows = []
    for seed in seeds:
        (X, Y), (X_test, Y_test) = data(seed)
        model = make_pipeline(Normalizer(), make_classifier(seed)).fit(X, Y)
        topk = predict_topk(model, X_test, k=5)
        row = [precision_at_k(Y_test, topk, k=k) for k in (1, 3, 5)]
        rows.append([*row, ndcg_at_k(Y_test, topk, k=5)])
    return 100 * np.array(rows)


def random_splits(parts):
    """Return a function of the seed: a random split into parts of the same sizes."""
    X, Y = (sparse.vstack(halves, format="csr") for halves in zip(*parts, strict=True))
    n_train = parts[0][1].shape[0]

    def split(seed):
        order = np.random.RandomState(seed).permutation(Y.shape[0])
        return tuple((X[r], Y[r]) for r in np.split(order, [n_train]))

    return split


def default(seed):
    """The classifier with its defaults."""
    return XRLinearClassifier(random_state=seed)


def recipe(name):
    """The classifier with the settings of a data set."""

    def make(seed):
        tree = HierarchicalLabelClusterer(max_leaf_size=256, random_state=seed)
        return XRLinearClassifier(
            tree, weight_threshold=0.05, random_state=seed, **RECIPES[name]
        )

    return make


class WordDropoutNetwork(MLPClassifier):
    """A network of scikit-learn that sees a random four fifths of the words per epoch.

    On two folds of the training part of delicious, P@1/P@3/P@5 rise from
    69.2/63.1/58.2 (15 epochs, all words) to 69.5/63.6/58.7 (25 epochs).
    """

    def fit(self, X, y):
        """Train all epochs, each on other words."""
        rng = np.random.RandomState(self.random_state)
        for _ in range(self.max_iter):
            seen = X.copy()
            seen.data = X.data * (rng.rand(X.nnz) < KEPT) / np.float32(KEPT)
            self.partial_fit(seen, y, classes=np.arange(y.shape[1]))
        return self


def network(size, epochs):
    """A network for instances with many positives."""
    return WordDropoutNetwork(
        (size,), batch_size=256, learning_rate_init=2e-3, max_iter=epochs
    )


def slow_boosting():
    """The mean of three boosted models with a low learning rate: less random noise."""
    one = HistGradientBoostingClassifier(
        learning_rate=0.03,
        max_iter=600,
        max_leaf_nodes=15,
        l2_regularization=10.0,
        early_stopping=False,
    )
    return VotingClassifier([(f"seed{i}", one) for i in range(3)], voting="soft")


def stacked(name):
    """Linear models, neighbours, networks and a forest, stacked on all instances.

    For few labels and instances: about twenty minutes of one core on delicious.
    """

    def make(seed):
        wide = HierarchicalLabelClusterer(max_leaf_size=256)
        own = XRLinearClassifier(wide, weight_threshold=0.05, **RECIPES[name])
        models = [
            ("own", XREnsembleClassifier(own, 3)),
            ("hinge", XREnsembleClassifier(XRLinearClassifier(C=HINGE_C[name]), 3)),
            ("near50", XRNeighborsClassifier(power=4.0)),
            ("near20", XRNeighborsClassifier(20)),
            ("network1", network(1024, 25)),
            ("network2", network(1024, 25)),
            ("network3", network(2048, 20)),
            ("forest", XRForestClassifier()),
        ]
        return XRStackingClassifier(models, slow_boosting(), cv=5, random_state=seed)

    return make


def main():
    """Print one line per data set and setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--settings", default="default,recipe,stacked")
    parser.add_argument("--random-splits", action="store_true", help="one per seed")
    args = parser.parse_args()
    print("| data | settings | P@1 (min) | P@3 (min) | P@5 (min) | nDCG@5 | seeds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for folder in args.folders:
        parts = load_folder(folder.resolve())
        data = random_splits(parts) if args.random_splits else lambda _, p=parts: p
        settings = {"default": default}
        if folder.name in RECIPES:
            settings["recipe"] = recipe(folder.name)
            settings["stacked"] = stacked(folder.name)
        wanted = args.settings.split(",")
        for name, make in settings.items():
            if name not in wanted:
                continue
            rows = evaluate(data, make, range(args.seeds))
            mean, low = rows.mean(axis=0), rows.min(axis=0)
            pairs = zip(mean[:3], low[:3], strict=True)
            cells = [f"{m:.2f} ({x:.2f})" for m, x in pairs]
            print(
                f"| {folder.name} | {name} | {' | '.join(cells)} | {mean[3]:.2f} "
                f"| {args.seeds} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
