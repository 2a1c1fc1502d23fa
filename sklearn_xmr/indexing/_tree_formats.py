"""What label trees are made of and shown as: parent arrays, matrices, graphs, text."""

from itertools import pairwise

import numpy as np
from scipy import sparse

from sklearn_xmr.utils._matrices import check_indices
from sklearn_xmr.utils._validation import check_array


def check_ids(ids, name):
    ids = check_array(
        ids, ensure_2d=False, dtype=None, input_name=name, ensure_min_samples=1
    )
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be a 1-D array of integers, got shape {ids.shape} and dtype "
            f"{ids.dtype}"
        )
    return ids.astype(np.int64)


def depths_of(parents):
    """Depth of each node, 0 for roots; ValueError on a bad parent or a cycle."""
    n_nodes = len(parents)
    bad = np.flatnonzero((parents < -1) | (parents >= n_nodes))
    if len(bad):
        raise ValueError(
            f"parents must lie in -1 to {n_nodes - 1}, but node {bad[0]} has parent "
            f"{parents[bad[0]]}"
        )
    depth = np.where(parents < 0, 0, -1)
    level = 0
    while True:
        reached = (depth < 0) & (depth[parents] == level)
        if not reached.any():
            break
        level += 1
        depth[reached] = level
    if (depth < 0).any():
        raise ValueError(
            f"parents has a cycle: node {int(np.argmin(depth))} never reaches a root"
        )
    return depth


def paths_of(parents, depth, label_nodes):
    """Ancestors of each label by level, (n_levels - 1, n_labels).

    The last row is each label's own parent. A branch that ends early repeats that
    parent; an inner node that is a label counts as its own parent.
    """
    has_child = np.zeros(len(parents), dtype=bool)
    has_child[parents[parents >= 0]] = True
    lowest = np.where(has_child[label_nodes], label_nodes, parents[label_nodes])
    # A label right under the root has no parent: a node of its own, past the others.
    alone = lowest < 0
    lowest = np.where(alone, len(parents) + np.arange(len(lowest)), lowest)
    all_depth = np.concatenate([depth, np.zeros(len(lowest), dtype=np.int64)])
    all_parents = np.concatenate([parents, np.full(len(lowest), -1)])
    n_above = 0 if alone.all() else int(all_depth[lowest].max()) + 1
    paths = np.empty((n_above, len(lowest)), dtype=np.int64)
    node = lowest
    for level in range(n_above - 1, -1, -1):
        paths[level] = node
        node = np.where(all_depth[node] >= level, all_parents[node], node)
        node = np.where(node < 0, paths[level], node)
    return paths


def parent_of_rows(matrix, t):
    name = f"matrices[{t}]"
    matrix = check_array(matrix, accept_sparse="csr", input_name=name)
    matrix = sparse.csr_matrix(matrix, copy=True)
    check_indices(matrix, name)
    matrix.eliminate_zeros()
    counts = np.diff(matrix.indptr)
    if (counts != 1).any():
        row = int(np.flatnonzero(counts != 1)[0])
        raise ValueError(
            f"matrices[{t}] must have one parent per row, but row {row} has "
            f"{counts[row]}"
        )
    return matrix.shape, matrix.indices.astype(np.int64)


def is_permutation(order, n):
    """Whether an array holds each of the numbers 0 to n - 1 once."""
    if order.shape != (n,) or order.min() < 0 or order.max() >= n:
        return False
    seen = np.zeros(n, dtype=bool)
    seen[order] = True  # a fifth of the time of sorting
    return bool(seen.all())


def as_networkx(tree, names):
    """A graph of a tree; names are unique, by label."""
    import networkx

    graph, last_level = networkx.DiGraph(), tree.n_levels - 1
    for t, offsets in enumerate(tree.offsets):
        for parent, (first, last) in enumerate(pairwise(offsets)):
            above = (t - 1, parent) if t else "root"
            for child in range(first, last):
                is_label = t == last_level
                below = names[tree.label_order[child]] if is_label else (t, child)
                graph.add_edge(above, below)
    return graph


def as_text(tree, starts, names, max_labels):
    """Indented lines of a tree; starts say where each node's labels begin, by level."""
    lines, waiting = [], [(-1, 0)]  # level and number; -1 for the root
    while waiting:
        level, node = waiting.pop()
        first, last = starts[level + 1][node : node + 2]
        name = "root" if level < 0 else node
        line = "  " * (level + 1) + f"{name} ({last - first} labels)"
        if level == tree.n_levels - 2:
            line += f": {_first_names(names, tree.label_order[first:last], max_labels)}"
        else:
            children = range(*tree.offsets[level + 1][node : node + 2])
            waiting += [(level + 1, child) for child in reversed(children)]
        lines.append(line)
    return "\n".join(lines)


def _first_names(names, labels, n):
    """Names of the first n labels, and dots if there are more."""
    some = ", ".join(str(names[label]) for label in labels[:n].tolist())
    return some + (", ..." if len(labels) > n else "")
