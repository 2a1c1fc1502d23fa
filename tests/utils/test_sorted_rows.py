"""Rows with ascending columns, against SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.utils._matrices import as_csr_float32
from sklearn_xmr.utils._sorted_rows import sorted_rows


def shuffled(X, seed=0):
    """The same matrix with the columns of each row in any order."""
    rng, X = np.random.RandomState(seed), X.tocsr().copy()
    for start, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        order = start + rng.permutation(end - start)
        X.indices[start:end], X.data[start:end] = X.indices[order], X.data[order]
    X.has_sorted_indices = X.has_canonical_format = False
    return X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_equals_scipy(dtype, index, n_threads):
    X = sparse.random(2000, 3000, 0.02, "csr", dtype, random_state=0)
    U = shuffled(X)
    U.indptr, U.indices = U.indptr.astype(index), U.indices.astype(index)
    indices, data = sorted_rows(U.indptr, U.indices, U.data, n_threads)
    assert indices.dtype == np.int32 and data.dtype == np.float32
    np.testing.assert_array_equal(indices, X.indices)
    np.testing.assert_array_equal(data, X.data.astype(np.float32))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=8))
def test_columns_that_a_row_has_twice_are_added(rows):
    indptr = np.cumsum([0, *map(len, rows)])
    indices = np.array([c for row in rows for c in row], dtype=np.int32)
    data = np.arange(1.0, len(indices) + 1)
    X = sparse.csr_matrix((data, indices, indptr), shape=(len(rows), 10))
    twice = any(len(set(row)) < len(row) for row in rows)
    found, _ = sorted_rows(X.indptr, X.indices, X.data, 2)
    assert (found is None) == twice
    before = X.indices.copy()
    out = as_csr_float32(X)
    np.testing.assert_array_equal(out.toarray(), X.toarray().astype(np.float32))
    assert out.has_canonical_format and out.dtype == np.float32
    np.testing.assert_array_equal(X.indices, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_of_columns_changes_no_model(dtype):
    X, Y = make_xmr_classification(
        n_samples=900, n_features=200, n_labels=40, random_state=0
    )
    U = shuffled(X.astype(dtype))
    one, other = (XRLinearClassifier(random_state=0).fit(Z, Y) for Z in (X, U))
    assert one.model_.checksum() == other.model_.checksum()
    expected = one.predict_topk(X, k=5)
    for found, wanted in zip(one.predict_topk(U, k=5), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_values_beyond_float32_are_refused():
    X, Y = make_xmr_classification(
        n_samples=200, n_features=50, n_labels=9, random_state=0
    )
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    huge = X[:3].astype(np.float64)
    huge.data[0] = 1e300
    with pytest.raises(ValueError, match="infinity"):
        clf.predict_topk(huge)


@pytest.mark.parametrize("canonical", [True, False])
def test_index_types_that_differ_are_made_alike(canonical):
    """SciPy before 1.12 selects no rows of a matrix of two index types."""
    X = sparse.csr_matrix(np.eye(4, 3, dtype=np.float32) + 1)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    if not canonical:
        X.indices, X.data = X.indices[::-1].copy(), X.data[::-1].copy()
        X.has_sorted_indices = X.has_canonical_format = False
    out = as_csr_float32(X)
    assert out.indices.dtype == out.indptr.dtype == np.int32
    np.testing.assert_array_equal(out[[1, 3]].toarray(), X.toarray()[[1, 3]])
