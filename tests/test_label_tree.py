"""LabelTree: construction, shape, export, refusal of what is no tree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sklearn_xmr import LabelTree


def labels_by_cluster(tree):
    return [
        sorted(tree.labels_under(tree.n_levels - 2, c).tolist())
        for c in range(tree.n_clusters)
    ]


def test_flat():
    tree = LabelTree.flat(4)
    assert tree.level_sizes == [4] and tree.n_levels == 1 and tree.n_clusters == 1
    np.testing.assert_array_equal(tree.cluster_of_label, 0)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_from_labels_groups_equal_ids(ids):
    tree = LabelTree.from_labels(ids)
    clusters = tree.cluster_of_label
    same = np.equal.outer(ids, ids)
    np.testing.assert_array_equal(np.equal.outer(clusters, clusters), same)


@st.composite
def forests(draw):
    """A random parent array, its nodes shuffled."""
    n = draw(st.integers(1, 40))
    parents = [draw(st.integers(-1, i - 1)) for i in range(n)]
    order = draw(st.permutations(range(n)))
    shuffled = np.empty(n, dtype=int)
    for node, parent in enumerate(parents):
        shuffled[order[node]] = order[parent] if parent >= 0 else -1
    return shuffled


def ancestors(parents, node):
    found = []
    while parents[node] >= 0:
        node = parents[node]
        found.append(int(node))
    return found


@given(forests())
@settings(max_examples=200)
def test_from_parents_keeps_ancestry(parents):
    tree = LabelTree.from_parents(parents)
    leaves = np.flatnonzero(~np.isin(np.arange(len(parents)), parents))
    assert tree.n_labels == len(leaves)
    back = tree.to_parents()
    for i in range(len(leaves)):
        for j in range(len(leaves)):
            common = set(ancestors(parents, leaves[i])) & set(
                ancestors(parents, leaves[j])
            )
            shared = set(ancestors(back, i)) & set(ancestors(back, j))
            # Chains repeat a label's own parent, so nodes map many to one.
            if i != j:
                assert len(shared) >= len(common)
                assert bool(shared) == bool(common)


@given(forests())
def test_parents_round_trip(parents):
    tree = LabelTree.from_parents(parents)
    again = LabelTree.from_parents(tree.to_parents(), np.arange(tree.n_labels))
    assert again.level_sizes == tree.level_sizes
    for level in range(tree.n_levels - 1):
        a, b = tree.node_of_label(level), again.node_of_label(level)
        np.testing.assert_array_equal(np.equal.outer(a, a), np.equal.outer(b, b))


def test_from_parents_with_labels_on_inner_nodes():
    #       0        1 (label, alone)
    #     2   3
    #    4 5
    tree = LabelTree.from_parents([-1, -1, 0, 0, 2, 2], label_nodes=[1, 2, 3, 4, 5])
    assert tree.n_labels == 5
    cluster = tree.cluster_of_label
    assert cluster[1] == cluster[3] == cluster[4]  # node 2 and its children
    assert len({cluster[0], cluster[1], cluster[2]}) == 3
    top = tree.node_of_label(0)
    assert top[1] == top[2] == top[3] != top[0]


def test_from_membership_equals_from_labels():
    ids = np.array([2, 0, 1, 1, 0, 2, 2])
    matrix = sparse.csr_matrix((np.ones(7), (np.arange(7), ids)))
    assert LabelTree.from_membership([matrix]) == LabelTree.from_labels(ids)
    root = np.ones((3, 1))
    assert LabelTree.from_membership([root, matrix]) == LabelTree.from_labels(ids)


def test_from_membership_three_levels():
    upper = sparse.csr_matrix([[1, 0], [1, 0], [0, 1]])
    lower = sparse.csr_matrix([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]])
    tree = LabelTree.from_membership([upper, lower])
    assert tree.level_sizes == [2, 3, 4]
    np.testing.assert_array_equal(tree.node_of_label(0), [0, 0, 1, 1])
    assert labels_by_cluster(tree) == [[0], [1], [2, 3]]


def test_text_and_networkx():
    tree = LabelTree.from_labels([0, 1, 0])
    text = tree.to_text(["a", "b", "c"], max_labels=1)
    assert text.splitlines() == [
        "root (3 labels)",
        "  0 (2 labels): a, ...",
        "  1 (1 labels): b",
    ]
    networkx = pytest.importorskip("networkx")
    graph = tree.to_networkx(["a", "b", "c"])
    assert networkx.is_arborescence(graph) and graph.number_of_nodes() == 6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelTree([], []), "offsets must hold"),
        (lambda: LabelTree([[0, 2]], [0, 0]), "label_order must hold each"),
        (lambda: LabelTree([[0, 2]], [0]), "label_order must hold each"),
        (lambda: LabelTree([[0, 2]], [0, 5]), "label_order must hold each"),
        (lambda: LabelTree([[0, 2], [0, 2, 2]], [0, 1]), "every node has a child"),
        (lambda: LabelTree([[0, 2], [0, 2]], [0, 1]), "must have 3 entries"),
        (lambda: LabelTree.from_labels([0, -1]), "label 1 has -1"),
        (lambda: LabelTree.from_labels([0.5, 1]), "1-D array of integers"),
        (lambda: LabelTree.from_labels([]), "labels|minimum"),
        (lambda: LabelTree.from_parents([1, 0]), "cycle"),
        (lambda: LabelTree.from_parents([-1, 2, 1]), "cycle: node 1"),
        (lambda: LabelTree.from_parents([-1, 7]), "node 1 has parent 7"),
        (lambda: LabelTree.from_parents([-1, 0], [2]), "label_nodes must be nodes"),
        (lambda: LabelTree.from_membership([]), "at least one matrix"),
        (lambda: LabelTree.from_membership([[[1, 1]]]), "row 0 has 2"),
        (lambda: LabelTree.from_membership([[[1], [0]]]), "row 1 has 0"),
        (
            lambda: LabelTree.from_membership([np.ones((3, 1)), np.ones((4, 1))]),
            r"matrices\[1\] has 1 columns",
        ),
    ],
)
def test_refuses_what_is_no_tree(make, message):
    with pytest.raises(ValueError, match=message):
        make()
