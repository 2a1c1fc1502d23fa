"""The weights of one tree level in the layout that training writes and search reads."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklearn_xmr.linear._bucket_layout import pack_chunks, unpack_chunks

# Value types by the code of _chunk_scores.h.
VALUE_TYPES = ("float32", "float16", "int8")
CHUNK_WIDTH = 256  # children whose weights are stored together: one byte tells them
ROWS_PER_BUCKET = 12  # at most, on average: with their entries a cache line or two
SPARE = 32  # bytes that the search may read beyond the end


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
    chunk_ptr : ndarray of int64 of shape (n_chunks + 1,)
        Bytes of each chunk.
    buckets : ndarray of uint32 of shape (n_chunks, n_buckets + 1)
        First byte of each bucket, from the chunk's first on.
    packed : ndarray of uint8
        The rows and their entries, see ``_bucket_layout.pyx``, and 32 spare bytes.
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
    value_type : {"float32", "float16", "int8"}
        How weights are stored.

    References
    ----------
    P. Etter et al. "Accelerating inference for sparse extreme multi-label ranking
    trees", WWW 2022 (arXiv 2106.02697), for chunks; buckets are ours.
    """

    parent_ptr: np.ndarray
    child_ptr: np.ndarray
    chunk_ptr: np.ndarray
    buckets: np.ndarray
    packed: np.ndarray
    scale: np.ndarray
    intercept: np.ndarray
    dense: np.ndarray
    dense_scale: np.ndarray
    shift: int
    n_features: int
    value_type: str

    @classmethod
    def from_entries(cls, entries, n_features, child_ptr, shift=None, **arrays):
        """Pack entries, in whatever order they come.

        Parameters
        ----------
        entries : Entries
        n_features : int
            Width of the data.
        child_ptr : ndarray of int64 of shape (n_chunks + 1,)
        shift : int, default=None
            Low bits of a feature; None chooses.
        **arrays
            The other arrays.
        """
        order = np.lexsort((entries.column, entries.feature, entries.chunk))
        chunk, feature = entries.chunk[order], entries.feature[order]
        new_row = np.ones(len(order), dtype=bool)
        new_row[1:] = (chunk[1:] != chunk[:-1]) | (feature[1:] != feature[:-1])
        first = np.flatnonzero(new_row)
        counts = np.diff(np.append(first, len(order))) - 1
        chunks = np.arange(len(child_ptr))
        if shift is None:
            shift = bucket_shift(n_features, len(child_ptr) - 1, len(first))
        chunk_ptr, buckets, packed = pack_chunks(
            np.searchsorted(chunk[first], chunks),
            np.searchsorted(chunk, chunks),
            feature[first],
            counts.astype(np.uint8),
            entries.column[order],
            entries.value[order].view(np.uint8),
            child_ptr,
            entries.value.itemsize,
            shift,
            count_buckets(n_features, shift),
            SPARE,
        )
        return cls(
            child_ptr=child_ptr,
            chunk_ptr=chunk_ptr,
            buckets=buckets,
            packed=packed,
            shift=shift,
            n_features=n_features,
            value_type=str(entries.value.dtype),
            **arrays,
        )

    @property
    def n_nodes(self):
        """Number of nodes of the level (int)."""
        return len(self.intercept)

    @property
    def nbytes(self):
        """Size in memory and on disk, in bytes (int)."""
        arrays = (v for v in vars(self).values() if isinstance(v, np.ndarray))
        return sum(array.nbytes for array in arrays)

    @property
    def nnz(self):
        """Number of weights of sparse features that are not zero (int)."""
        return len(self.entries().value)

    def __repr__(self):
        return (
            f"ChunkedWeights({self.n_nodes} nodes, {len(self.child_ptr) - 1} chunks, "
            f"{self.value_type}, {self.nbytes / 2**20:.1f} MiB)"
        )

    def entries(self):
        """The stored weights of sparse features that are not zero.

        Returns
        -------
        Entries
        """
        dtype = np.dtype(self.value_type)
        *arrays, value = unpack_chunks(
            self.chunk_ptr,
            self.buckets,
            self.packed,
            self.child_ptr,
            dtype.itemsize,
            self.shift,
        )
        return Entries(*arrays, value.view(dtype))

    def nodes(self, entries):
        """Node of each entry (ndarray of int64 of shape (n_entries,))."""
        return self.child_ptr[entries.chunk] + entries.column

    def weights(self, entries):
        """Weight of each entry (ndarray of float32 of shape (n_entries,))."""
        weights = entries.value.astype(np.float32)
        if self.value_type == "int8":
            weights *= self.scale[self.nodes(entries)]
        return weights

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
        entries = self.entries()
        shape = (self.n_nodes, self.n_features)
        return sparse.csr_matrix(
            (self.weights(entries), (self.nodes(entries), entries.feature)), shape
        )

    def select(self, keep, value_type=None):
        """The weights that `keep` marks, as another type of values.

        Parameters
        ----------
        keep : ndarray of bool of shape (n_entries,)
            For each of :meth:`entries`.
        value_type : {"float32", "float16", "int8"}, default=None
            None keeps the type.

        Returns
        -------
        ChunkedWeights
        """
        value_type = value_type or self.value_type
        entries = self.entries()
        values, scale = encode_values(
            self.weights(entries)[keep],
            self.nodes(entries)[keep],
            self.n_nodes,
            value_type,
        )
        dense, dense_scale = self.dense, self.dense_scale
        if value_type != self.value_type:
            dense, dense_scale = encode_dense(self.dense_weights(), value_type)
        kept = (entries.chunk[keep], entries.feature[keep], entries.column[keep])
        return ChunkedWeights.from_entries(
            Entries(*kept, values),
            self.n_features,
            self.child_ptr,
            parent_ptr=self.parent_ptr,
            scale=scale,
            intercept=self.intercept,
            dense=dense,
            dense_scale=dense_scale,
        )


@dataclass(eq=False, repr=False)
class Entries:
    """Weights of sparse features, one by one.

    Parameters
    ----------
    chunk, feature : ndarray of int32 of shape (n_entries,)
    column : ndarray of uint8 of shape (n_entries,)
        Node, relative to the chunk's first.
    value : ndarray of float32, float16 or int8 of shape (n_entries,)
        Weight, divided by the node's scale.
    """

    chunk: np.ndarray
    feature: np.ndarray
    column: np.ndarray
    value: np.ndarray


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


def bucket_shift(n_features, n_chunks, n_rows):
    """Low bits per feature, so that buckets hold few rows, and low bits few bytes."""
    per_feature = max(n_rows, 1) / (max(n_chunks, 1) * max(n_features, 1))
    shift = int(np.floor(np.log2(ROWS_PER_BUCKET / per_feature)))
    if shift > 8 and n_rows >= 4 * n_chunks * n_features / 256:
        # A second low byte for all rows would cost more than the buckets save.
        shift = 8
    return min(max(shift, 0), 16)


def count_buckets(n_features, shift):
    """Number of buckets of a chunk."""
    return (max(n_features - 1, 0) >> shift) + 1


def plan_chunks(offsets):
    """Even chunks of up to 256 siblings.

    Parameters
    ----------
    offsets : ndarray of int64 of shape (n_parents + 1,)
        Children of each parent.

    Returns
    -------
    parent_ptr : ndarray of int64 of shape (n_parents + 1,)
        Chunks of each parent.
    chunk_parent : ndarray of int64 of shape (n_chunks,)
    child_ptr : ndarray of int64 of shape (n_chunks + 1,)
        Children of each chunk.
    """
    n_children = np.diff(offsets)
    n_chunks = -(-n_children // CHUNK_WIDTH)
    parent_ptr = np.concatenate([[0], np.cumsum(n_chunks)])
    chunk_parent = np.repeat(np.arange(len(n_children)), n_chunks)
    within = np.arange(len(chunk_parent)) - parent_ptr[chunk_parent]
    share, extra = np.divmod(n_children, np.maximum(n_chunks, 1))
    first = within * share[chunk_parent] + np.minimum(within, extra[chunk_parent])
    child_ptr = np.append(offsets[chunk_parent] + first, offsets[-1])
    return (
        parent_ptr.astype(np.int64),
        chunk_parent.astype(np.int64),
        child_ptr.astype(np.int64),
    )
