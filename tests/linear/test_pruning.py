"""Smaller models: what is dropped, and what the estimate says."""

import pickle

import joblib
import numpy as np
import pytest

from sklearn_xmr import HierarchicalLabelClusterer, XRLinearClassifier
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.linear._weights._pruning import kept_weights


@pytest.fixture(scope="module")
def fitted(small):
    return XRLinearClassifier(
        HierarchicalLabelClusterer(max_leaf_size=8, random_state=0),
        weight_threshold=0,
        weight_dtype="float32",
        random_state=0,
    ).fit(*small)


@pytest.mark.parametrize(
    ("threshold", "energy", "most"),
    [(0.1, 1, None), (0, 0.8, None), (0, 1, 12), (0.05, 0.95, 30), (0, 1, None)],
)
def test_kept_weights_equal_a_slow_selection(threshold, energy, most, fitted):
    for weights in fitted.weights_:
        keep = kept_weights(weights, threshold, energy, most)
        entries = weights.entries()
        size, node = np.abs(weights.weights(entries)), weights.nodes(entries)
        for n in range(weights.n_nodes):
            own = np.flatnonzero(node == n)
            ordered = own[np.argsort(-size[own], kind="stable")]
            total = (size[own].astype(float) ** 2).sum()
            expected, so_far = [], 0.0
            for rank, entry in enumerate(ordered):
                enough = energy < 1 and so_far >= energy * total * (1 - 1e-12)
                beyond = most is not None and rank >= most
                if size[entry] >= threshold and not enough and not beyond:
                    expected.append(entry)
                so_far += float(size[entry]) ** 2
            assert set(own[keep[own]]) == set(expected)


def test_prune_keeps_the_selected_weights_and_predicts_with_them(small, fitted):
    X, _ = small
    clf = pickle.loads(pickle.dumps(fitted))
    clf.prune(threshold=0.1, dtype="float16")
    for before, after in zip(fitted.weights_, clf.weights_, strict=True):
        dense = before.to_csr().toarray()
        dense[np.abs(dense) < 0.1] = 0
        np.testing.assert_allclose(after.to_csr().toarray(), dense, rtol=1e-3)
        assert after.value_type == "float16"
    scores = clf.predict_topk(X, 3)[1]
    assert np.isfinite(scores).all() and clf.nbytes_ < fitted.nbytes_
    above = clf.weights_[0].nnz
    clf.prune(max_weights_per_label=1, dtype="int8")
    last = clf.weights_[-1]
    assert np.bincount(last.nodes(last.entries())).max() == 1
    assert clf.weights_[0].nnz == above
    assert np.isfinite(clf.predict_topk(X, 3)[1]).all()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"threshold": -1}, "threshold"),
        ({"threshold": np.nan}, "threshold"),
        ({"energy": 0}, "energy"),
        ({"energy": 1.1}, "energy"),
        ({"max_weights_per_label": 0}, "max_weights_per_label"),
        ({"dtype": "float64"}, "dtype"),
    ],
)
def test_bad_limits_change_nothing(limits, message, fitted):
    before = fitted.nbytes_
    with pytest.raises(ValueError, match=message):
        fitted.prune(**limits)
    assert fitted.nbytes_ == before


def test_nbytes_is_the_size_of_the_file(tmp_path, small):
    clf = XRLinearClassifier(random_state=0).fit(*small)
    joblib.dump(clf, tmp_path / "model.joblib")
    on_disk = (tmp_path / "model.joblib").stat().st_size
    assert clf.nbytes_ <= on_disk < clf.nbytes_ + 50_000


def test_estimated_size_is_near_the_size():
    X, Y = make_xmr_classification(
        n_samples=8000, n_features=4000, n_labels=3000, random_state=0
    )
    clf = XRLinearClassifier(random_state=0)
    before = dict(vars(clf))
    estimate = clf.estimate_model_size(X, Y, share=0.3)
    assert vars(clf) == before
    size = clf.fit(X, Y).nbytes_
    assert 0.8 * size < estimate < 1.25 * size
    assert clf.estimate_model_size(X, Y, share=1) == pytest.approx(size, rel=0.01)
    with pytest.raises(ValueError, match="share"):
        clf.estimate_model_size(X, Y, share=0)
