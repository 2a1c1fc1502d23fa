"""Exact search for the rows of a sparse matrix with the largest inner products."""

import numpy as np

from sklearn_xmr.neighbors._inverted_index_fast import SEGMENT_ROWS, nearest_rows
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils._ranges import ascend
from sklearn_xmr.utils._storable import storable


@storable
class InvertedIndex:
    """Rows of a CSR matrix by column, for the largest inner products.

    Parameters
    ----------
    X : csr_matrix of float32 of shape (n_rows, n_features)
        The rows to search.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    """

    def __init__(self, X):
        self.n_rows = X.shape[0]
        segments = [
            X[first : first + SEGMENT_ROWS].tocsc()
            for first in range(0, self.n_rows, SEGMENT_ROWS)
        ]
        ends = np.cumsum([0] + [segment.nnz for segment in segments])
        self._starts = np.array(
            [
                segment.indptr.astype(np.int64) + end
                for segment, end in zip(segments, ends, strict=False)
            ]
        )
        # A spare element: the kernel takes the address of an empty end.
        rows = [segment.indices.astype(np.uint16) for segment in segments]
        values = [segment.data for segment in segments]
        self._rows = np.concatenate([*rows, np.zeros(1, np.uint16)])
        self._values = np.concatenate([*values, np.zeros(1, np.float32)])

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._check()

    def _check(self):
        """ValueError unless all numbers of rows are such, and all starts in order."""
        starts, rows, values = self._starts, self._rows, self._values
        firsts = range(0, self.n_rows, SEGMENT_ROWS)
        if (
            any(type(a) not in (np.ndarray, np.memmap) for a in (starts, rows, values))
            or (starts.dtype, rows.dtype, values.dtype) != ("i8", "u2", "f4")
            or (starts.ndim, rows.ndim, values.ndim) != (2, 1, 1)
            or starts.shape[0] != len(firsts)
            or not len(rows) == len(values) == int(starts.max(initial=0)) + 1
            or not ascend(starts.ravel())
            or starts.min(initial=0) < 0
        ):
            raise ValueError("the arrays of the inverted index do not fit each other")
        for first, places in zip(firsts, starts, strict=True):
            here = rows[places[0] : places[-1]]
            if here.max(initial=0) >= min(SEGMENT_ROWS, self.n_rows - first):
                raise ValueError("the inverted index names rows that there are not")

    def search(self, queries, k, breadth=None):
        """The rows of largest positive inner product with each query.

        Parameters
        ----------
        queries : csr_matrix of float32 of shape (n_queries, n_features)
            Canonical.
        k : int
            Number of rows; never more than there are.
        breadth : int, default=None
            Of no meaning here, where the search is exact; see :class:`HNSWIndex`.

        Returns
        -------
        products : ndarray of float32 of shape (n_queries, min(k, n_rows))
            Best first; 0 for none.
        rows : ndarray of int32 of the same shape
            -1 for none; equal products: the smaller row first.

        Raises
        ------
        ValueError
            If the queries have other columns than the rows.
        """
        n_features = self._starts.shape[1] - 1
        if queries.shape[1] != n_features:
            raise ValueError(
                f"queries must have {n_features} features, got {queries.shape[1]}"
            )
        rows, products = nearest_rows(
            self._starts,
            self._rows,
            self._values,
            self.n_rows,
            queries.indptr.astype(np.int64),
            queries.indices,
            queries.data,
            min(k, self.n_rows),
            effective_n_threads(),
        )
        return products, rows
