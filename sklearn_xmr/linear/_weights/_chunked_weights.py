"""The weights of one tree level in the layout that training writes and search reads."""

from dataclasses import dataclass, fields
from dataclasses import replace as replace_fields
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from sklearn_xmr.linear._constants import CHUNK_WIDTH, SPARE, VALUE_TYPES
from sklearn_xmr.linear._weights._bucket_layout import pack_chunks, unpack_chunks
from sklearn_xmr.utils._matrices import aligns_sparse, as_csr_float32
from sklearn_xmr.utils._ranges import ascend, pointers
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import CSR

ROWS_PER_BUCKET = 12  # maximum of the average: a cache line or two with entries
MOST_FEATURES = np.iinfo(np.int32).max
MOST_LOW_BITS = 16  # of a feature


@storable
@dataclass(eq=False, repr=False)
class ChunkedWeights:
    """Weights of all nodes of a level, in chunks of up to 256 siblings.

    A chunk holds the weights of its nodes, with a row for each feature that any of
    them uses: all that a query needs of a parent is stored together. The row of a
    feature is found by its bucket (``feature >> shift``) and its low bits.

    The arrays are checked when the object is made or loaded, since the search does not
    check them, and are read-only from then on.

    Parameters
    ----------
    parent_ptr : ndarray of int64 of shape (n_parents + 1,)
        First chunk of each parent, and the number of chunks.
    child_ptr : ndarray of int64 of shape (n_chunks + 1,)
        First node of each chunk, and the number of nodes.
    chunk_ptr : ndarray of int64 of shape (n_chunks + 1,)
        First byte of each chunk, and the number of bytes.
    buckets : ndarray of uint32 of shape (n_chunks, n_buckets + 1)
        First byte of each bucket, relative to the chunk, and the chunk's size.
    packed : ndarray of uint8
        The rows and their entries (layout in ``_bucket_layout.pyx``), and 32 spare
        bytes.
    scale : ndarray of float32 of shape (n_nodes,)
        Factor of the node's stored weights: the largest weight / 127 for int8,
        otherwise 1.
    intercept : ndarray of float32 of shape (n_nodes,)
        Bias weight times bias value.
    dense : ndarray of float32, float16 or int8 of shape (n_nodes, n_dense)
        All weights of the dense features, divided by ``dense_scale``.
    dense_scale : ndarray of float32 of shape (n_nodes,)
        Factor of the node's weights in ``dense``, like ``scale``.
    shift : int
        Number of low bits of a feature.
    n_features : int
        Number of sparse features.
    value_type : {"float32", "float16", "int8"}
        How weights are stored.

    Raises
    ------
    ValueError
        If an array has a wrong type, shape or order.

    References
    ----------
    P. Etter et al. "Accelerating inference for sparse extreme multi-label ranking
    trees", WWW 2022 (arXiv 2106.02697), for chunks; buckets are ours.

    Examples
    --------
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> clf = XRLinearClassifier(random_state=0).fit(X, Y)
    >>> weights = clf.weights_[0]
    >>> weights.to_csr().shape
    (50, 300)
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

    patches: ClassVar[dict] = {}  # PatchedWeights have some

    def __post_init__(self):
        self._check()

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._check()

    @classmethod
    def from_entries(cls, entries, n_features, child_ptr, shift=None, **arrays):
        """Pack entries, which may have any order.

        Parameters
        ----------
        entries : Entries
            Weights of sparse features.
        n_features : int
            Number of sparse features.
        child_ptr : ndarray of int64 of shape (n_chunks + 1,)
            First node of each chunk, and the number of nodes.
        shift : int, default=None
            Number of low bits of a feature; None chooses a good one.
        **arrays : ndarray
            The arrays that do not follow from these, by their names.

        Returns
        -------
        ChunkedWeights
            The packed weights.
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

    @classmethod
    def from_csr(cls, matrix, intercept, offsets, value_type="float32"):
        """Pack a matrix of weights, as :meth:`to_csr` returns it.

        Parameters
        ----------
        matrix : sparse matrix of shape (n_nodes, n_features)
            Weights of sparse features: a row for each node, parent by parent.
        intercept : array-like of shape (n_nodes,)
            What is added to the margin of each node.
        offsets : array-like of int of shape (n_parents + 1,)
            First node of each parent, and the number of nodes: those of a level of
            :attr:`LabelTree.offsets`.
        value_type : {"float32", "float16", "int8"}, default="float32"
            How weights are stored.

        Returns
        -------
        ChunkedWeights
            The packed weights, without dense features.

        Raises
        ------
        ValueError
            If shapes disagree, a number is not finite, ``offsets`` do not rise from 0
            to the number of nodes, or ``value_type`` is not known.

        Examples
        --------
        A model of weights that come from elsewhere:

        >>> from scipy import sparse
        >>> from sklearn_xmr import LabelTree, XRLinearClassifier
        >>> from sklearn_xmr.linear import ChunkedWeights, TreeModel
        >>> weights = sparse.csr_matrix([[1.0, 0], [0, 2], [0.5, 0.5]])
        >>> level = ChunkedWeights.from_csr(weights, [0, 0, 0.25], [0, 3])
        >>> model = TreeModel(LabelTree.flat(3), [level])
        >>> clf = XRLinearClassifier.from_model(model, post_processor="noop")
        >>> labels, scores = clf.predict_topk([[1, 1]], k=2)
        >>> labels.tolist(), scores.tolist()
        ([[1, 2]], [[2.0, 1.25]])
        """
        if value_type not in VALUE_TYPES:
            raise ValueError(
                f"value_type must be one of {VALUE_TYPES}, got {value_type!r}"
            )
        matrix = as_csr_float32(matrix)
        n_nodes, n_features = matrix.shape
        intercept, offsets = _checked_nodes(matrix, intercept, offsets)
        parent_ptr, _, child_ptr = plan_chunks(offsets)
        stored = matrix.data != 0
        nodes = np.repeat(np.arange(n_nodes), np.diff(matrix.indptr))[stored]
        values, scale = encode_values(matrix.data[stored], nodes, n_nodes, value_type)
        chunk = (np.searchsorted(child_ptr, nodes, side="right") - 1).astype(np.int32)
        column = (nodes - child_ptr[chunk]).astype(np.uint8)
        return cls.from_entries(
            Entries(chunk, matrix.indices[stored], column, values),
            n_features,
            child_ptr,
            parent_ptr=parent_ptr,
            scale=scale,
            intercept=intercept,
            dense=np.zeros((n_nodes, 0), dtype=value_type),
            dense_scale=np.ones(n_nodes, dtype=np.float32),
        )

    @property
    def whole(self) -> "ChunkedWeights":
        """The weights in one piece: these (ChunkedWeights)."""
        return self

    @property
    def n_nodes(self) -> int:
        """Number of nodes of the level (int)."""
        return len(self.intercept)

    @property
    def nbytes(self) -> int:
        """Size in memory and on disk, in bytes (int)."""
        return sum(array.nbytes for array in self.arrays().values())

    @property
    def offsets(self) -> np.ndarray:
        """First node of each parent, and their number (ndarray of int64)."""
        return self.child_ptr[self.parent_ptr]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays by their names.

        Returns
        -------
        dict of str to ndarray
            The arrays themselves, not copies.
        """
        by_name = {field.name: getattr(self, field.name) for field in fields(self)}
        return {n: a for n, a in by_name.items() if isinstance(a, np.ndarray)}

    def replace(self, **arrays: Any) -> "ChunkedWeights":
        """Return the weights with some arrays replaced.

        Parameters
        ----------
        **arrays : ndarray
            The new arrays, by their names.

        Returns
        -------
        ChunkedWeights
            New object, which shares the other arrays.
        """
        return replace_fields(self, **arrays)

    @property
    def is_empty(self) -> bool:
        """Whether no weight of sparse features is stored (bool)."""
        return len(self.packed) == SPARE

    @property
    def nnz(self) -> int:
        """Number of weights of sparse features that are not zero (int)."""
        return len(self.entries().value)

    def __repr__(self):
        return (
            f"ChunkedWeights({self.n_nodes} nodes, {len(self.child_ptr) - 1} chunks, "
            f"{self.value_type}, {self.nbytes / 2**20:.1f} MiB)"
        )

    def entries(self) -> "Entries":
        """Unpack the weights of sparse features that are not zero.

        Returns
        -------
        Entries
            The weights one by one, in the order in which they are stored.
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

    def nodes(self, entries: "Entries") -> np.ndarray:
        """Return the node of each entry.

        Parameters
        ----------
        entries : Entries
            Entries of these weights.

        Returns
        -------
        ndarray of int64 of shape (n_entries,)
            Numbers of nodes.
        """
        return self.child_ptr[entries.chunk] + entries.column

    def weights(self, entries: "Entries") -> np.ndarray:
        """Return the weight of each entry.

        Parameters
        ----------
        entries : Entries
            Entries of these weights.

        Returns
        -------
        ndarray of float32 of shape (n_entries,)
            Weights.
        """
        weights = entries.value.astype(np.float32)
        if self.value_type == "int8":
            weights *= self.scale[self.nodes(entries)]
        return weights

    def dense_weights(self) -> np.ndarray:
        """Return the weights of the dense features.

        Returns
        -------
        ndarray of float32 of shape (n_nodes, n_dense)
            Weights.
        """
        return self.dense.astype(np.float32) * self.dense_scale[:, None]

    @aligns_sparse
    def to_csr(self) -> CSR:
        """Return the weights of sparse features as a matrix, for inspection.

        Returns
        -------
        csr_matrix of float32 of shape (n_nodes, n_features)
            Weights without intercepts and without those of dense features.
        """
        entries = self.entries()
        shape = (self.n_nodes, self.n_features)
        return sparse.csr_matrix(
            (self.weights(entries), (self.nodes(entries), entries.feature)), shape
        )

    def select(
        self, keep: np.ndarray, value_type: str | None = None
    ) -> "ChunkedWeights":
        """Keep some of the weights, and optionally change how they are stored.

        Parameters
        ----------
        keep : ndarray of bool of shape (n_entries,)
            Whether to keep each entry of :meth:`entries`.
        value_type : {"float32", "float16", "int8"}, default=None
            How weights are stored; None means as before.

        Returns
        -------
        ChunkedWeights
            New object with the selected weights and all those of dense features.
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

    # --- checks ----------------------------------------------------------------------

    def _check(self):
        """ValueError unless all arrays are valid; they become read-only."""
        self._check_numbers()
        n_chunks, n_nodes = len(self.child_ptr) - 1, len(self.intercept)
        n_buckets = count_buckets(self.n_features, self.shift)
        self._check_array("parent_ptr", np.int64, (None,))
        self._check_array("child_ptr", np.int64, (None,))
        self._check_array("chunk_ptr", np.int64, (n_chunks + 1,))
        self._check_array("buckets", np.uint32, (n_chunks, n_buckets + 1))
        self._check_array("packed", np.uint8, (None,))
        self._check_array("scale", np.float32, (n_nodes,))
        self._check_array("intercept", np.float32, (n_nodes,))
        self._check_array("dense", np.dtype(self.value_type), (n_nodes, None))
        self._check_array("dense_scale", np.float32, (n_nodes,))
        self._check_offsets("parent_ptr", n_chunks)
        self._check_offsets("child_ptr", n_nodes, most=CHUNK_WIDTH)
        self._check_offsets("chunk_ptr", len(self.packed) - SPARE)
        self._check_buckets()
        for name in ("scale", "intercept", "dense_scale"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} must hold finite numbers")
        for array in self.arrays().values():
            array.flags.writeable = False

    def _check_numbers(self):
        if self.value_type not in VALUE_TYPES:
            raise ValueError(
                f"value_type must be one of {VALUE_TYPES}, got {self.value_type!r}"
            )
        for name, most in (("shift", MOST_LOW_BITS), ("n_features", MOST_FEATURES)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or not 0 <= value <= most:
                raise ValueError(
                    f"{name} must be an integer from 0 to {most}, got {value!r}"
                )
        for name in ("child_ptr", "intercept"):
            if np.ndim(getattr(self, name)) != 1:
                raise ValueError(f"{name} must have one dimension")

    def _check_array(self, name, dtype, shape):
        """ValueError unless of this type and shape (None: any size), C-contiguous."""
        array = getattr(self, name)
        if not (
            isinstance(array, np.ndarray)
            and array.dtype == dtype
            and array.ndim == len(shape)
            and all(w in (None, n) for n, w in zip(array.shape, shape, strict=True))
            and array.flags.c_contiguous
        ):
            raise ValueError(
                f"{name} must be a contiguous array of {np.dtype(dtype)} of shape "
                f"{shape}, got {getattr(array, 'dtype', type(array).__name__)} of "
                f"shape {np.shape(array)}"
            )

    def _check_offsets(self, name, end, most=None):
        """ValueError unless offsets rise from 0 to `end` in steps of at most `most`."""
        places = getattr(self, name)
        rises = len(places) and places[0] == 0 and places[-1] == end and ascend(places)
        if rises and (most is None or np.diff(places).max(initial=0) <= most):
            return
        limit = "" if most is None else f" in steps of at most {most}"
        raise ValueError(f"{name} must rise from 0 to {end}{limit}; it is broken")

    def _check_buckets(self):
        """ValueError unless each chunk's offsets rise from 0 to its size."""
        buckets, sizes = self.buckets, np.diff(self.chunk_ptr)
        if (
            buckets[:, 0].any()
            or (buckets[:, -1] != sizes).any()
            or (buckets[:, 1:] < buckets[:, :-1]).any()
        ):
            raise ValueError(
                "buckets must rise from 0 to the size of each chunk; they are broken"
            )


@dataclass(eq=False, repr=False)
class Entries:
    """Weights of sparse features, one by one.

    Parameters
    ----------
    chunk : ndarray of int32 of shape (n_entries,)
        Chunk of each weight.
    feature : ndarray of int32 of shape (n_entries,)
        Feature of each weight.
    column : ndarray of uint8 of shape (n_entries,)
        Node of each weight, relative to the chunk's first node.
    value : ndarray of float32, float16 or int8 of shape (n_entries,)
        Weights, divided by the node's scale.
    """

    chunk: np.ndarray
    feature: np.ndarray
    column: np.ndarray
    value: np.ndarray


def _checked_nodes(matrix, intercept, offsets):
    """Intercepts and offsets that fit a matrix of weights, whose values are finite."""
    intercept = np.array(intercept, dtype=np.float32)
    offsets = np.array(offsets)
    if intercept.shape != (matrix.shape[0],):
        raise ValueError(
            f"intercept must have a number for each of the {matrix.shape[0]} rows of "
            f"matrix, got shape {intercept.shape}"
        )
    for name, values in (("matrix", matrix.data), ("intercept", intercept)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must hold finite numbers")
    if (
        offsets.ndim != 1
        or offsets.dtype.kind not in "iu"
        or len(offsets) < 2
        or (offsets[0], offsets[-1]) != (0, matrix.shape[0])
        or not ascend(offsets)
    ):
        raise ValueError(
            f"offsets must be integers that rise from 0 to the {matrix.shape[0]} rows "
            f"of matrix, got {offsets!r}"
        )
    return intercept, offsets.astype(np.int64)


def encode_values(weights, nodes, n_nodes, value_type):
    """Weights converted to a value type, and the scale of each node."""
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
    """A matrix of weights converted to a value type, and the scale of each row."""
    n_nodes, n_dense = weights.shape
    nodes = np.repeat(np.arange(n_nodes), n_dense)
    values, scale = encode_values(weights.ravel(), nodes, n_nodes, value_type)
    return values.reshape(weights.shape).copy(), scale


def bucket_shift(n_features, n_chunks, n_rows):
    """Number of low bits of a feature: few rows per bucket, few bytes per row."""
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
    """Divide the children of each parent into even chunks of up to 256.

    Parameters
    ----------
    offsets : ndarray of int64 of shape (n_parents + 1,)
        First child of each parent, and the number of children.

    Returns
    -------
    parent_ptr : ndarray of int64 of shape (n_parents + 1,)
        First chunk of each parent, and the number of chunks.
    chunk_parent : ndarray of int64 of shape (n_chunks,)
        Parent of each chunk.
    child_ptr : ndarray of int64 of shape (n_chunks + 1,)
        First child of each chunk, and the number of children.
    """
    n_children = np.diff(offsets)
    n_chunks = -(-n_children // CHUNK_WIDTH)
    parent_ptr = pointers(n_chunks)
    chunk_parent = np.repeat(np.arange(len(n_children)), n_chunks)
    within = np.arange(len(chunk_parent)) - parent_ptr[chunk_parent]
    share, extra = np.divmod(n_children, np.maximum(n_chunks, 1))
    first = within * share[chunk_parent] + np.minimum(within, extra[chunk_parent])
    child_ptr = np.append(offsets[chunk_parent] + first, offsets[-1])
    return (
        parent_ptr,
        chunk_parent.astype(np.int64),
        child_ptr.astype(np.int64),
    )
