"""Where a label tree loses precision to one-versus-all on the same features.

    python benchmarks/tree_loss.py ../shared/data yso-finna-en --rows 20000

Fits the default tree and a flat one on a random part of the training rows, and looks at
other training rows: precision of both, what the flat model would reach if it ranked the
labels of the tree's beam, how often the beam holds the right groups, and which score of
the tree ranks its labels best: the product of all levels, or with less weight for the
levels above the labels (the score of a level counts ``weight`` times as much as that of
the level below it).
"""

import argparse
import sys
import time
import warnings

import numpy as np
from scipy import sparse

from sklearn_xmr import HybridFeatures, LabelTree, XRLinearClassifier
from sklearn_xmr.linear import TreeModel, level_targets
from sklearn_xmr.metrics import precision_at_k

BEAMS = (5, 10, 20, 30, 60, 100)
WEIGHTS = (1, 0.7, 0.5, 0.35, 0.25, 0.1, 0)


def sample(folder, name, n_rows, n_held_out, seed):
    """Training and held-out rows of the training part, with the labels of the first."""
    sys.path.insert(0, folder)
    from load import load

    data = load(name)
    rows = np.random.default_rng(seed).permutation(data.X_train.shape[0])
    train, held_out = rows[:-n_held_out][:n_rows], rows[-n_held_out:]
    Y = data.Y_train[train]
    seen = np.flatnonzero(np.diff(Y.tocsc().indptr))
    parts = [data.X_train[train], Y[:, seen], data.X_train[held_out]]
    return *parts, sparse.csr_matrix(data.Y_train[held_out][:, seen])


def margins_of_levels(model, X, labels):
    """Margins of the nodes on the way to each label, from the root down."""
    tree, found = model.tree, []
    for level in range(tree.n_levels):
        weights = list(model.weights)[: level + 1]
        nodes, part = labels, model
        if level < tree.n_levels - 1:
            nodes = np.where(labels < 0, -1, tree.node_of_label(level)[labels])
            order = np.arange(tree.level_sizes[level])
            part = TreeModel(LabelTree(tree.offsets[: level + 1], order), weights)
        found.append(pair_margins(part, X, nodes))
    return found


def pair_margins(model, X, nodes):
    """Margin of each (row, node); -inf where the node is -1."""
    rows, kept = np.nonzero(nodes >= 0)[0], nodes[nodes >= 0]
    pairs = sparse.csr_matrix(
        (np.ones(len(rows), dtype=np.float32), (rows, kept)),
        shape=(len(nodes), model.n_labels),
    )
    pairs.sum_duplicates()
    scored = model.score_pairs(HybridFeatures(X), pairs, post_processor="noop")
    keys = np.repeat(np.arange(len(nodes)), np.diff(scored.indptr)) * model.n_labels
    places = np.searchsorted(keys + scored.indices, rows * model.n_labels + kept)
    margins = np.full(nodes.shape, -np.inf, dtype=np.float32)
    margins[nodes >= 0] = scored.data[places]
    return margins


def weighted_score(margins, weight):
    """Log score in which a level counts ``weight`` times as much as the one below."""
    total = 0
    for margin in margins:
        slack = np.maximum(0, 1 - np.maximum(margin, -1e3))  # labels that are not there
        total = weight * total - slack**3
    return total


def precision(Y, labels, scores):
    """P@1 and P@5 in per cent, as text."""
    values = (100 * precision_at_k(Y, (labels, scores), k=k) for k in (1, 5))
    return "{:.2f}/{:.2f}".format(*values)


def group_recall(tree, Y, labels):
    """Share of the right labels' groups that a beam has, in per cent."""
    groups = level_targets(Y, tree)[-2].toarray()
    leaf = tree.node_of_label(tree.n_levels - 2)
    got = np.zeros(groups.shape, dtype=bool)
    rows = np.nonzero(labels >= 0)[0]
    got[rows, leaf[labels[labels >= 0]]] = True
    return 100 * (groups * got).sum() / groups.sum()


def timed_fit(clf, X, Y):
    """The fitted classifier, and its time."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.fit(X, Y)
    return clf, time.perf_counter() - start


def main():
    """Print the tables of a set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder with load.py")
    parser.add_argument("name")
    parser.add_argument("--rows", type=int, default=None, help="all, if not given")
    parser.add_argument("--held-out", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    X, Y, held_X, held_Y = sample(
        args.folder, args.name, args.rows, args.held_out, args.seed
    )
    tree, seconds = timed_fit(XRLinearClassifier(random_state=args.seed), X, Y)
    flat = XRLinearClassifier(LabelTree.flat(Y.shape[1]), random_state=args.seed)
    flat, flat_seconds = timed_fit(flat, X, Y)
    print(f"{args.name}: X {X.shape}, {Y.shape[1]} labels, {tree.tree_!r}")
    print(f"tree: {precision(held_Y, *tree.predict_topk(held_X, 10))}, {seconds:.1f} s")
    best = flat.set_params(post_processor="noop").predict_topk(held_X, 10)
    print(f"flat: {precision(held_Y, *best)}, {flat_seconds:.1f} s")
    widest = max(np.diff(tree.tree_.offsets[-1]))
    for beam in BEAMS:
        labels, _ = tree.model_.topk(
            HybridFeatures(held_X), int(beam * widest), beam_size=beam
        )
        of_flat = pair_margins(flat.model_, held_X, labels)
        margins = margins_of_levels(tree.model_, held_X, labels)
        scores = {w: weighted_score(margins, w) for w in WEIGHTS}
        print(
            f"beam {beam:3d}: {group_recall(tree.tree_, held_Y, labels):5.1f} % of the "
            f"groups, flat in it {precision(held_Y, labels, of_flat)}; by weight",
            *(f"{w}: {precision(held_Y, labels, s)}" for w, s in scores.items()),
            flush=True,
        )


if __name__ == "__main__":
    main()
