"""Offsets that rise, also where their differences wrap around."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_xmr import XRLinearClassifier, XRNeighborsClassifier
from sklearn_xmr.utils._ranges import ascend


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_from_the_largest_to_the_smallest_is_no_rise(dtype):
    info = np.iinfo(dtype)
    wraps = np.array([0, info.max, info.min, 3], dtype=dtype)
    assert not ascend(wraps)
    assert ascend(np.array([0, 0, info.max], dtype=dtype))
    assert ascend(np.zeros(1, dtype=dtype)) and ascend(np.zeros(0, dtype=dtype))


@pytest.mark.parametrize("clf", [XRLinearClassifier(), XRNeighborsClassifier()])
def test_matrices_with_such_offsets_are_refused(small, clf):
    X, Y = small
    clf.fit(X, Y)
    broken = X.copy()
    broken.indptr = X.indptr.copy()
    broken.indptr[1:3] = np.iinfo(np.int32).max, np.iinfo(np.int32).min
    for call in (lambda: clf.fit(broken, Y), lambda: clf.predict_topk(broken)):
        with pytest.raises(ValueError, match="indptr|index pointer"):
            call()


def test_loaded_weights_and_indexes_with_such_offsets_are_refused(small):
    clf = XRLinearClassifier(random_state=0).fit(*small)
    level = clf.weights_[0]
    offsets = np.array([0, np.iinfo(np.int64).max, np.iinfo(np.int64).min, 1])
    with pytest.raises(ValueError, match="parent_ptr must rise"):
        level.replace(parent_ptr=np.append(offsets[:3], level.parent_ptr[-1:]))
    index = XRNeighborsClassifier().fit(*small).index_
    state = dict(vars(index))
    state["_starts"] = state["_starts"].copy()
    state["_starts"][0, 1:3] = offsets[1:3]
    with pytest.raises(ValueError, match="inverted index"):
        object.__new__(type(index)).__setstate__(state)


def test_sparse_matrices_stay_as_they_were(small):
    X, _ = small
    before = X.indptr.copy(), X.indices.copy()
    XRLinearClassifier().fit(sparse.csr_matrix(X), small[1])
    np.testing.assert_array_equal(before[0], X.indptr)
    np.testing.assert_array_equal(before[1], X.indices)
