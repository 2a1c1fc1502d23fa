"""Wrong input: each error names the argument, what was found, what is right."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError

from sklearn_xmr import HierarchicalLabelClusterer, LabelTree, XRLinearClassifier

X = sparse.csr_matrix(np.eye(6, 4), dtype=np.float32)
Y = sparse.csr_matrix(np.tile(np.eye(3, dtype=int), (2, 1)))


def with_value(matrix, value):
    matrix = matrix.astype(np.float64)
    matrix.data[0] = value
    return matrix


def with_index(matrix, index):
    matrix = matrix.copy()
    matrix.indices = matrix.indices.copy()
    matrix.indices[0] = index
    return matrix


def with_indptr(matrix, value):
    matrix = matrix.copy()
    matrix.indptr = matrix.indptr.copy()
    matrix.indptr[1] = value
    return matrix


BAD_XY = {
    "NaN in X": (with_value(X, np.nan), Y, "X contains NaN"),
    "inf in X": (with_value(X, np.inf), Y, "X contains infinity"),
    "too large for float32": (with_value(X, 1e300), Y, "X contains infinity"),
    "negative index in X": (with_index(X, -1), Y, "X is not a valid CSR .* found -1"),
    "huge index in X": (
        with_index(X, 10**6),
        Y,
        "X is not a valid CSR .*found 1000000",
    ),
    "index past the end": (with_index(X, 4), Y, "X is not a valid CSR .* 0 to 3"),
    "broken indptr": (with_indptr(X, 5), Y, "X is not a valid CSR matrix: its indptr"),
    "negative index in y": (X, with_index(Y, -7), "y is not a valid CSR .* found -7"),
    "huge index in y": (X, with_index(Y, 3), "y is not a valid CSR .* found 3"),
    "lengths": (X, Y[:5], "inconsistent numbers of samples"),
    "no rows": (X[:0], Y[:0], "Found array with 0 sample"),
    "y of 2": (X, with_value(Y, 2), "y must hold only 0 and 1, found"),
    "y of 0.5": (X, with_value(Y, 0.5), "y must hold only 0 and 1, found"),
    "y of -1": (X, with_value(Y, -1), "y must hold only 0 and 1, found"),
    "dense y of 3": (X, 3 * Y.toarray(), "y must hold only 0 and 1, found"),
    "NaN in y": (X, with_value(Y, np.nan), "contains NaN"),
    "y without labels": (X, Y[:, :0], "y.*0 feature|0 feature.*y|y has no"),
    "y without positives": (X, Y * 0, "y has no positive"),
    "float classes": (X, np.linspace(0, 1, 6), "Unknown label type"),
    "no y": (X, None, "requires y to be passed"),
    "1-D X": (np.ones(6), Y, "Expected 2D array"),
}


@pytest.mark.parametrize("case", BAD_XY)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # of SciPy, in 1e300
def test_bad_X_or_y(case):
    X, y, message = BAD_XY[case]
    with pytest.raises(ValueError, match=message):
        XRLinearClassifier().fit(X, y)


@pytest.mark.parametrize(
    "case", ["negative index in X", "index past the end", "NaN in X"]
)
def test_bad_X_for_the_clusterer_and_at_prediction(case):
    bad, _, message = BAD_XY[case]
    with pytest.raises(ValueError, match=message):
        HierarchicalLabelClusterer().fit(bad, Y)
    with pytest.raises(ValueError, match=message):
        XRLinearClassifier().fit(X, Y).predict_topk(bad)


def test_lists_of_names_point_to_the_classifier_of_names():
    with pytest.raises(ValueError, match="LabelNamesClassifier"):
        XRLinearClassifier().fit(X, [["a"], ["b", "c"], [], ["a"], ["b"], ["c"]])


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_topk", "transform"]
)
def test_feature_count_and_fittedness(method):
    with pytest.raises(NotFittedError):
        getattr(XRLinearClassifier(), method)(X)
    clf = XRLinearClassifier().fit(X, Y)
    with pytest.raises(ValueError, match="X has 3 features, but .* expecting 4"):
        getattr(clf, method)(X[:, :3])


@pytest.mark.parametrize("k", [0, -1, 2.5, "3", True])
def test_bad_k(k):
    clf = XRLinearClassifier().fit(X, Y)
    with pytest.raises(ValueError, match="k must be an integer of at least 1"):
        clf.predict_topk(X, k=k)


def test_k_beyond_the_labels_is_cut():
    assert XRLinearClassifier().fit(X, Y).predict_topk(X, k=50)[0].shape == (6, 3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"C": 0}, "C"),
        ({"C": float("nan")}, "C"),
        ({"loss": "log"}, "loss"),
        ({"negative_sampling": "usn"}, "negative_sampling"),
        ({"beam_size": 0}, "beam_size"),
        ({"top_k": 0}, "top_k"),
        ({"weight_threshold": -1}, "weight_threshold"),
        ({"post_processor": "l3-hinge"}, "post_processor"),
        ({"clusterer": "kmeans"}, "clusterer"),
        ({"tol": 0}, "tol"),
        ({"bias": 1e300}, "bias"),
        ({"max_iter": 0}, "max_iter"),
        ({"positive_cost": 0}, "positive_cost"),
        ({"relevance_norm": "l3"}, "relevance_norm"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=f"'{message}' parameter"):
        XRLinearClassifier(**parameters).fit(X, Y)


def test_tree_of_another_size():
    with pytest.raises(
        ValueError, match="clusterer gives a tree of 5 labels, but y has 3"
    ):
        XRLinearClassifier(LabelTree.flat(5)).fit(X, Y)


def test_clusterer_without_a_tree():
    from sklearn.cluster import KMeans

    with pytest.raises(TypeError, match="clusterer must set tree_"):
        XRLinearClassifier(KMeans(2)).fit(X, Y)


@pytest.mark.parametrize(
    ("relevance", "message"),
    [
        (Y[:, :2], "relevance must have the shape of y"),
        (-Y, "relevance must not be negative"),
        (np.ones((6, 3)), "relevance must be zero wherever y is"),
        (with_value(Y, np.nan), "NaN"),
    ],
)
def test_bad_relevance(relevance, message):
    with pytest.raises(ValueError, match=message):
        XRLinearClassifier().fit(X, Y, relevance=relevance)
