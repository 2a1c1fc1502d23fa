"""The weights of one tree level in the layout that training writes and search reads."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklearn_xmr.linear._tree_search import fill_buckets

ROWS_PER_BUCKET = 4  # a bucket's features then fill about one cache line


@dataclass(eq=False, repr=False)
class ChunkedWeights:
    """Weights of all nodes of a level, one chunk per parent.

    A chunk holds the weights of all children of one parent, row by row over the
    features that any of them uses: what a query needs of a parent lies together.

    Parameters
    ----------
    child_ptr : ndarray of int64 of shape (n_parents + 1,)
        Children of each parent.
    chunk_ptr : ndarray of int64 of shape (n_parents + 1,)
        Feature rows of each chunk.
    entry_ptr : ndarray of int64 of shape (n_parents + 1,)
        Entries of each chunk.
    features : ndarray of int32 of shape (n_rows,)
        Feature of each row, ascending within a chunk.
    row_ptr : ndarray of uint32 of shape (n_rows + n_parents,)
        First entry of each row, and the end, relative to the chunk's first entry.
    columns : ndarray of uint8, uint16 or int32 of shape (n_entries,)
        Child of each entry, relative to the parent's first child.
    values : ndarray of float32 of shape (n_entries,)
        Weights.
    intercept : ndarray of float32 of shape (n_nodes,)
        Bias weight times bias value.
    n_features : int
        Width of the data.

    References
    ----------
    P. Etter et al. "Accelerating inference for sparse extreme multi-label ranking
    trees", WWW 2022 (arXiv 2106.02697), for chunks; buckets are ours.
    """

    child_ptr: np.ndarray
    chunk_ptr: np.ndarray
    entry_ptr: np.ndarray
    features: np.ndarray
    row_ptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    intercept: np.ndarray
    n_features: int

    def __post_init__(self):
        n_rows = np.diff(self.chunk_ptr)
        wanted = np.maximum(n_rows // ROWS_PER_BUCKET, 1)
        shift = np.ceil(np.log2(np.maximum(self.n_features / wanted, 1)))
        self.bucket_shift = shift.astype(np.uint8)
        n_buckets = (max(self.n_features - 1, 0) >> self.bucket_shift.astype(int)) + 2
        self.bucket_ptr = np.concatenate([[0], np.cumsum(n_buckets)])
        self.buckets = np.empty(self.bucket_ptr[-1], dtype=np.uint32)
        fill_buckets(
            self.chunk_ptr,
            self.features,
            self.bucket_ptr,
            self.bucket_shift,
            self.buckets,
        )

    @property
    def n_nodes(self):
        """Number of nodes of the level (int)."""
        return len(self.intercept)

    @property
    def nnz(self):
        """Number of stored weights (int)."""
        return len(self.values)

    @property
    def nbytes(self):
        """Size in memory and on disk, in bytes (int)."""
        arrays = (v for v in vars(self).values() if isinstance(v, np.ndarray))
        return sum(array.nbytes for array in arrays)

    def __repr__(self):
        return (
            f"ChunkedWeights({self.n_nodes} nodes, {len(self.child_ptr) - 1} chunks, "
            f"{self.nnz} weights, {self.nbytes / 2**20:.1f} MiB)"
        )

    def to_csr(self):
        """The weights as a matrix, for inspection.

        Returns
        -------
        csr_matrix of float32 of shape (n_nodes, n_features)
            Without the intercept.
        """
        n_rows = np.diff(self.chunk_ptr)
        parent_of_row = np.repeat(np.arange(len(n_rows)), n_rows)
        starts = np.arange(len(self.features)) + parent_of_row
        lengths = self.row_ptr[starts + 1] - self.row_ptr[starts]
        first_child = np.repeat(self.child_ptr[:-1], np.diff(self.entry_ptr))
        nodes = first_child + self.columns
        features = np.repeat(self.features, lengths)
        shape = (self.n_nodes, self.n_features)
        return sparse.csr_matrix((self.values, (nodes, features)), shape=shape)
