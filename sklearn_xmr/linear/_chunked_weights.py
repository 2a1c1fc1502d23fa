"""The weights of one tree level in the layout that training writes and search reads."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklearn_xmr.linear._tree_search import count_buckets

# Value types by the code of _chunk_scores.h.
VALUE_TYPES = ("float32", "float16", "int8")
ROWS_PER_BUCKET = 12  # their low bits and counts then fill a cache line or two
SPARE = 16  # elements that the search may read beyond the end of an array


@dataclass(eq=False, repr=False)
class ChunkedWeights:
    """Weights of all nodes of a level, in chunks of up to 256 siblings.

    A chunk holds the weights of its nodes row by row over the features that any of
    them uses: what a query needs of a parent lies together. A row's feature is found
    by its bucket (``feature >> shift``) and its low bits.

    Parameters
    ----------
    parent_ptr : ndarray of int64 of shape (n_parents + 1,)
        Chunks of each parent.
    child_ptr : ndarray of int64 of shape (n_chunks + 1,)
        Nodes of each chunk.
    chunk_rows, chunk_entries : ndarray of int64 of shape (n_chunks + 1,)
        Feature rows and entries of each chunk.
    buckets : ndarray of uint32 of shape (n_chunks, n_buckets + 1, 2)
        First row and first entry of each bucket, from the chunk's first on.
    low : ndarray of uint8 or uint16 of shape (n_rows + 16,)
        Low bits of each row's feature, ascending within a bucket.
    counts : ndarray of uint8 of shape (n_rows + 16,)
        Entries of each row, less one.
    columns : ndarray of uint8 of shape (n_entries + 16,)
        Node of each entry, relative to the chunk's first.
    values : ndarray of float32, float16 or int8 of shape (n_entries + 16,)
        Weights, divided by the node's scale.
    scale : ndarray of float32 of shape (n_nodes,)
        Largest weight / 127 for int8, otherwise 1.
    intercept : ndarray of float32 of shape (n_nodes,)
        Bias weight times bias value.
    dense : ndarray of float32, float16 or int8 of shape (n_nodes, n_dense)
        Weights of the dense features, all of them, divided by ``dense_scale``.
    dense_scale : ndarray of float32 of shape (n_nodes,)
        As ``scale``.
    shift : int
        Low bits of a feature.
    n_features : int
        Width of the sparse block.

    References
    ----------
    P. Etter et al. "Accelerating inference for sparse extreme multi-label ranking
    trees", WWW 2022 (arXiv 2106.02697), for chunks; buckets are ours.
    """

    parent_ptr: np.ndarray
    child_ptr: np.ndarray
    chunk_rows: np.ndarray
    chunk_entries: np.ndarray
    buckets: np.ndarray
    low: np.ndarray
    counts: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    scale: np.ndarray
    intercept: np.ndarray
    dense: np.ndarray
    dense_scale: np.ndarray
    shift: int
    n_features: int

    @classmethod
    def from_rows(
        cls, chunk_rows, chunk_entries, features, counts, n_features, **arrays
    ):
        """Index rows that are given by their features.

        Parameters
        ----------
        chunk_rows, chunk_entries, counts
            As in the class; counts without spare elements.
        features : ndarray of int32 of shape (n_rows,)
            Ascending within a chunk.
        n_features : int
            Width of the data.
        **arrays
            The other arrays, columns and values without spare elements.
        """
        n_chunks = len(chunk_rows) - 1
        shift = _best_shift(n_features, n_chunks, len(features))
        n_buckets = (max(n_features - 1, 0) >> shift) + 1
        buckets = np.zeros((n_chunks, n_buckets + 1, 2), dtype=np.uint32)
        count_buckets(chunk_rows, features, counts, shift, buckets)
        low = np.zeros(len(features) + SPARE, np.uint8 if shift <= 8 else np.uint16)
        np.bitwise_and(
            features, (1 << shift) - 1, out=low[: len(features)], casting="unsafe"
        )
        for name in ("columns", "values"):
            arrays[name] = _with_spare(arrays[name])
        return cls(
            chunk_rows=chunk_rows,
            chunk_entries=chunk_entries,
            buckets=buckets,
            low=low,
            counts=_with_spare(counts),
            shift=shift,
            n_features=n_features,
            **arrays,
        )

    @property
    def n_nodes(self):
        """Number of nodes of the level (int)."""
        return len(self.intercept)

    @property
    def nnz(self):
        """Number of stored weights (int)."""
        return int(self.chunk_entries[-1])

    @property
    def n_rows(self):
        """Number of feature rows of all chunks (int)."""
        return int(self.chunk_rows[-1])

    @property
    def nbytes(self):
        """Size in memory and on disk, in bytes (int)."""
        arrays = (v for v in vars(self).values() if isinstance(v, np.ndarray))
        return sum(array.nbytes for array in arrays)

    def __repr__(self):
        return (
            f"ChunkedWeights({self.n_nodes} nodes, {len(self.child_ptr) - 1} chunks, "
            f"{self.nnz} {self.values.dtype} weights, {self.nbytes / 2**20:.1f} MiB)"
        )

    def row_features(self):
        """Feature of each row (ndarray of int32 of shape (n_rows,))."""
        n_buckets = self.buckets.shape[1] - 1
        rows_of = np.diff(self.buckets[:, :, 0].astype(np.int64), axis=1).ravel()
        bucket = np.tile(np.arange(n_buckets), len(self.child_ptr) - 1)
        high = np.repeat(bucket, rows_of) << self.shift
        return (high + self.low[: self.n_rows]).astype(np.int32)

    def entry_nodes(self):
        """Node of each entry (ndarray of int64 of shape (n_entries,))."""
        first = np.repeat(self.child_ptr[:-1], np.diff(self.chunk_entries))
        return first + self.columns[: self.nnz]

    def weights(self):
        """Weight of each entry (ndarray of float32 of shape (n_entries,))."""
        values = self.values[: self.nnz].astype(np.float32)
        if self.values.dtype == np.int8:
            values *= self.scale[self.entry_nodes()]
        return values

    def dense_weights(self):
        """Weights of the dense features (ndarray of float32, (n_nodes, n_dense))."""
        return self.dense.astype(np.float32) * self.dense_scale[:, None]

    def to_csr(self):
        """The weights as a matrix, for inspection.

        Returns
        -------
        csr_matrix of float32 of shape (n_nodes, n_features)
            Without the intercept and the weights of dense features.
        """
        lengths = self.counts[: self.n_rows].astype(np.int64) + 1
        features = np.repeat(self.row_features(), lengths)
        shape = (self.n_nodes, self.n_features)
        return sparse.csr_matrix(
            (self.weights(), (self.entry_nodes(), features)), shape
        )

    def select(self, keep, value_type=None):
        """The weights that `keep` marks, as another type of values.

        Parameters
        ----------
        keep : ndarray of bool of shape (n_entries,)
        value_type : {"float32", "float16", "int8"}, default=None
            None keeps the type.

        Returns
        -------
        ChunkedWeights
        """
        lengths = self.counts[: self.n_rows].astype(np.int64) + 1
        row_of_entry = np.repeat(np.arange(self.n_rows), lengths)[keep]
        left = np.bincount(row_of_entry, minlength=self.n_rows)
        rows = np.flatnonzero(left)
        values, scale = encode_values(
            self.weights()[keep],
            self.entry_nodes()[keep],
            self.n_nodes,
            value_type or str(self.values.dtype),
        )
        dense, dense_scale = self.dense, self.dense_scale
        if value_type is not None:
            dense, dense_scale = encode_dense(self.dense_weights(), value_type)
        return ChunkedWeights.from_rows(
            np.searchsorted(rows, self.chunk_rows),
            np.concatenate([[0], np.cumsum(keep)])[self.chunk_entries],
            self.row_features()[rows],
            (left[rows] - 1).astype(np.uint8),
            self.n_features,
            parent_ptr=self.parent_ptr,
            child_ptr=self.child_ptr,
            columns=self.columns[: self.nnz][keep],
            values=values,
            scale=scale,
            intercept=self.intercept,
            dense=dense,
            dense_scale=dense_scale,
        )


def encode_values(weights, nodes, n_nodes, value_type):
    """Weights in a value type, and each node's scale."""
    scale = np.ones(n_nodes, dtype=np.float32)
    if value_type == "float32":
        return weights, scale
    if value_type == "float16":
        return np.clip(weights, -65504, 65504).astype(np.float16), scale
    largest = np.zeros(n_nodes, dtype=np.float32)
    np.maximum.at(largest, nodes, np.abs(weights))
    scale[largest > 0] = largest[largest > 0] / 127
    return np.rint(weights / scale[nodes]).astype(np.int8), scale


def encode_dense(weights, value_type):
    """A matrix of weights in a value type, and each row's scale."""
    n_nodes, n_dense = weights.shape
    nodes = np.repeat(np.arange(n_nodes), n_dense)
    values, scale = encode_values(weights.ravel(), nodes, n_nodes, value_type)
    return values.reshape(weights.shape).copy(), scale


def _with_spare(array):
    return np.concatenate([array, np.zeros(SPARE, dtype=array.dtype)])


def _best_shift(n_features, n_chunks, n_rows):
    """Low bits per feature: few rows in a bucket, then few bytes in all."""
    per_feature = max(n_rows, 1) / (max(n_chunks, 1) * max(n_features, 1))
    shift = int(np.floor(np.log2(ROWS_PER_BUCKET / per_feature)))
    if shift > 8 and n_rows >= 8 * n_chunks * n_features / 256:
        shift = (
            8  # a second low byte for all rows would cost more than the buckets save
        )
    return min(max(shift, 0), 16)
