"""What a weight contributes decides whether it is kept; what is lost is said."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sklearn_xmr import HybridFeatures, LabelTree, XRLinearClassifier
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.linear._solver._row_length import typical_row_length


@pytest.fixture(scope="module")
def problem():
    return make_xmr_classification(1500, 600, 80, random_state=0)


def n_weights(clf):
    return sum(weights.nnz for weights in clf.weights_)


def scaled_fit(X, Y, scale, **parameters):
    """A fit on features times ``scale`` that regularises them as if they were not."""
    clf = XRLinearClassifier(
        C=1 / scale**2, bias=scale, tol=0.1, random_state=0, **parameters
    )
    return clf.fit((X * scale).astype(np.float32), Y)


@pytest.mark.parametrize("scale", [1e-3, 0.25, 255.0, 1e4])
@pytest.mark.parametrize("parameters", [{}, {"negative_sampling": "tfn+man"}])
def test_features_of_any_scale_keep_the_same_weights(problem, scale, parameters):
    X, Y = problem
    unit, other = (scaled_fit(X, Y, c, **parameters) for c in (1.0, scale))
    assert other.row_length_ == pytest.approx(scale * unit.row_length_, rel=1e-5)
    assert n_weights(other) == pytest.approx(n_weights(unit), rel=0.02)
    scores = [clf.score(X * c, Y) for clf, c in ((unit, 1.0), (other, scale))]
    assert scores[1] == pytest.approx(scores[0], abs=0.01)
    sizes = [clf.prune(threshold=0.3).nbytes_ for clf in (unit, other)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)
    assert sizes[1] < 0.9 * scaled_fit(X, Y, scale, **parameters).nbytes_


def test_unscaled_features_are_as_good_as_without_a_threshold(problem):
    X, Y = problem
    X = X * 255
    kept, everything = (
        XRLinearClassifier(weight_threshold=t, random_state=0).fit(X[:1000], Y[:1000])
        for t in (0.09, 0)
    )
    scores = [clf.score(X[1000:], Y[1000:]) for clf in (kept, everything)]
    assert scores[0] > scores[1] - 0.02
    assert n_weights(kept) < n_weights(everything)


def test_changes_use_the_length_of_the_fit(problem):
    X, Y = problem
    clf = XRLinearClassifier(random_state=0).fit(X, Y[:, :70])
    before = clf.row_length_
    clf.add_labels(X[:700] * 1.0, Y[:700])
    assert clf.row_length_ == before
    again = XRLinearClassifier(clusterer=clf.tree_, random_state=0).fit(X, Y)
    assert n_weights(clf) == pytest.approx(n_weights(again), rel=0.1)


def test_typical_row_length():
    X = sparse.csr_matrix(np.diag([3.0, 4.0, 5.0, 0.0]).astype(np.float32))
    assert typical_row_length(HybridFeatures(X)) == 4
    weight = np.array([1, 1, 4, 9], dtype=np.float32)
    repeated = HybridFeatures(X[np.repeat(np.arange(4), weight.astype(int))])
    assert typical_row_length(HybridFeatures(X), weight) == 5
    assert typical_row_length(repeated) == 5
    assert typical_row_length(HybridFeatures(X[3:])) == 1
    assert typical_row_length(HybridFeatures(None, np.ones((3, 2)))) == 1
    almost = sparse.csr_matrix(np.full((3, 1), 0.9999999, dtype=np.float32))
    assert typical_row_length(HybridFeatures(almost)) == 1


def test_a_level_without_weights_is_said(problem):
    X, Y = problem
    with pytest.warns(UserWarning, match="contributes the threshold of 50"):
        clf = XRLinearClassifier(weight_threshold=50).fit(X, Y)
    assert n_weights(clf) == 0
    clf = XRLinearClassifier().fit(X, Y)
    with pytest.warns(UserWarning, match="threshold of 99"):
        clf.prune(threshold=99)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        XRLinearClassifier(weight_threshold=50).fit(
            HybridFeatures(None, X.toarray()), Y
        )
        XRLinearClassifier(weight_threshold=0.5).fit(X, Y)


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
def test_a_solver_that_was_stopped_says_so(problem, loss):
    X, Y = problem
    with pytest.warns(ConvergenceWarning, match=r"max_iter=2 before tol=1e-06.*scale"):
        XRLinearClassifier(max_iter=2, tol=1e-6, loss=loss).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        XRLinearClassifier(loss=loss).fit(X, Y)


def test_numbers_whose_squares_overflow(problem):
    X, Y = problem
    with pytest.raises(ValueError, match=r"squares overflow float32, up to .*e\+"):
        XRLinearClassifier(clusterer=LabelTree.flat(80)).fit(X * np.float32(1e25), Y)
