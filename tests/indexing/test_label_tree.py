"""LabelTree: construction, shape, export, refusal of what is no tree."""

import copy
import pickle

import joblib
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
    with pytest.raises(ValueError, match="label_names must be different"):
        tree.to_networkx(["a", "b", "a"])


def slow_text(tree, level=-1, node=0):
    """Lines of a node and all below it, by recursion."""
    last = level == tree.n_levels - 2
    labels = tree.label_order if level < 0 else tree.labels_under(level, node)
    name = "root" if level < 0 else node
    line = "  " * (level + 1) + f"{name} ({len(labels)} labels)"
    if last:
        return [line + ": " + ", ".join(map(str, labels))]
    children = range(*tree.offsets[level + 1][node : node + 2])
    return [line, *(x for child in children for x in slow_text(tree, level + 1, child))]


@given(forests())
def test_text_lists_every_node_in_order(parents):
    tree = LabelTree.from_parents(parents)
    assert tree.to_text(max_labels=99).splitlines() == slow_text(tree)


def test_a_tree_of_many_levels():
    tree = LabelTree.from_parents(np.arange(-1, 1500))
    assert tree.n_levels == 1501
    lines = tree.to_text(["deep"]).splitlines()
    assert len(lines) == 1501 and lines[-1].endswith("0 (1 labels): deep")
    assert pickle.loads(pickle.dumps(tree)) == tree


def test_names_are_taken_by_position():
    pandas = pytest.importorskip("pandas")
    tree = LabelTree.from_labels([0, 1, 0])
    names = pandas.Series(["a", "b", "c"], index=[2, 1, 0])
    assert tree.to_text(names) == tree.to_text(["a", "b", "c"])
    with pytest.raises(ValueError, match="label_names must hold a name for each of"):
        tree.to_text(["a", "b"])
    with pytest.raises(TypeError, match="label_names must be a sequence in the order"):
        tree.to_text({0: "a", 1: "b", 2: "c"})
    with pytest.raises(ValueError, match="max_labels must be an integer"):
        tree.to_text(max_labels=0)


# --- arrays -------------------------------------------------------------------------


def test_arrays_are_copies_that_cannot_be_written_to(tmp_path):
    order, offsets = np.array([1, 0, 2]), np.array([0, 3])
    tree = LabelTree([offsets], order)
    order[:], offsets[:] = 0, 7  # the user's own
    assert tree.label_order.tolist() == [1, 0, 2]
    joblib.dump(tree, tmp_path / "tree")
    for same in (
        tree,
        copy.deepcopy(tree),
        pickle.loads(pickle.dumps(tree)),
        joblib.load(tmp_path / "tree", mmap_mode="r"),
        tree.with_labels([0]).without_labels([3]),
    ):
        assert same == tree
        for array in (same.label_order, *same.offsets):
            assert array.dtype == np.int64
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
    with pytest.raises(AttributeError):
        tree.label_order = order
    with pytest.raises(TypeError):
        tree.offsets[0] = offsets


@pytest.mark.parametrize(
    "damaged",
    [
        {"_label_order": np.array([0, 0, 1])},
        {"_label_order": np.array([0, 1])},
        {"_label_order": np.array([0, 1, 2**40])},
        {"_offsets": (np.array([0, 2**40]),)},
        {"_offsets": (np.array([0, 4]),)},
        {"_offsets": (np.array([0, 2]), np.array([0, 2**63 - 1, -(2**63)]))},
    ],
)
def test_damaged_trees_are_not_loaded(damaged):
    class Damaged:
        def __reduce__(self):
            tree = LabelTree.flat(3)
            return object.__new__, (LabelTree,), {**tree.__dict__, **damaged}

    with pytest.raises(ValueError, match=r"offsets\[|label_order must"):
        pickle.loads(pickle.dumps(Damaged()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelTree([], []), "offsets must hold"),
        (lambda: LabelTree([[0, 2]], [0, 0]), "label_order must hold each"),
        (lambda: LabelTree([[0, 2]], [0]), "label_order must hold each"),
        (lambda: LabelTree([[0, 2]], [0, 5]), "label_order must hold each"),
        (lambda: LabelTree([[0, 2]], [0, -1]), "label_order must hold each"),
        (lambda: LabelTree([[0, 2]], [0.0, 1.5]), "label_order must hold integers"),
        (lambda: LabelTree([[0, 2.5]], [0, 1]), r"offsets\[0\] must hold integers"),
        (lambda: LabelTree.flat(0), "n_labels must be an integer of at least 1"),
        (lambda: LabelTree.flat(3).labels_under(0, 3), "node must be one of the 3"),
        (lambda: LabelTree.flat(3).labels_under(1, 0), "level must lie in 0 to 0"),
        (lambda: LabelTree.flat(3).node_of_label(-1), "level must lie in 0 to 0"),
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
