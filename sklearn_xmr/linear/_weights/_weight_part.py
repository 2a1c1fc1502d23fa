"""Weights of some nodes of a level, from which the level is put together."""

from dataclasses import dataclass, fields

import numpy as np

from sklearn_xmr.linear._constants import SPARE
from sklearn_xmr.linear._weights._bucket_layout import pack_chunks
from sklearn_xmr.linear._weights._chunked_weights import (
    ChunkedWeights,
    bucket_shift,
    count_buckets,
)
from sklearn_xmr.utils._ranges import ascend, pointers

NODES = ("scale", "intercept", "dense", "dense_scale")
POINTERS = ("parent_ptr", "child_ptr", "chunk_rows", "chunk_entries")
SCALARS = ("n_features", "value_type")


@dataclass
class WeightPart:
    """Weights as the solver made them, before they are packed.

    The layout of packed weights depends on how many a level has, so that no node can be
    packed before all have been trained.

    Parameters
    ----------
    parent_ptr, child_ptr, scale, intercept, dense, dense_scale, n_features, value_type
        As of :class:`ChunkedWeights`.
    chunk_rows, chunk_entries, features, counts, columns, values : ndarray
        As ``pack_chunks`` takes them.
    """

    parent_ptr: np.ndarray
    child_ptr: np.ndarray
    chunk_rows: np.ndarray
    chunk_entries: np.ndarray
    features: np.ndarray
    counts: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    scale: np.ndarray
    intercept: np.ndarray
    dense: np.ndarray
    dense_scale: np.ndarray
    n_features: int
    value_type: str

    def content(self):
        """Header (dict) and arrays (list) of a file."""
        by_name = vars(self)
        arrays = [by_name[name] for name in _array_names()]
        return {name: by_name[name] for name in SCALARS}, arrays

    @classmethod
    def of_file(cls, file):
        """From a file that holds the header and the arrays, checked.

        Parameters
        ----------
        file : ArrayFile

        Raises
        ------
        KeyError, ValueError
            If it holds something else, or what would be read out of bounds.
        """
        names = _array_names()
        arrays = {name: file.array(number) for number, name in enumerate(names)}
        part = cls(**arrays, **{name: file.header[name] for name in SCALARS})
        part._check()
        return part

    def pack(self, shift):
        """The weights in the layout of the search (ChunkedWeights)."""
        chunk_ptr, buckets, packed = pack_chunks(
            self.chunk_rows,
            self.chunk_entries,
            self.features,
            self.counts,
            self.columns,
            self.values,
            self.child_ptr,
            np.dtype(self.value_type).itemsize,
            shift,
            count_buckets(self.n_features, shift),
            SPARE,
        )
        return ChunkedWeights(
            parent_ptr=self.parent_ptr,
            child_ptr=self.child_ptr,
            chunk_ptr=chunk_ptr,
            buckets=buckets,
            packed=packed,
            shift=shift,
            **{name: getattr(self, name) for name in (*NODES, *SCALARS)},
        )

    def _check(self):
        """ValueError unless packing reads nothing outside of the arrays."""
        for name in POINTERS:
            places = getattr(self, name)
            if not (len(places) and places[0] == 0 and ascend(places)):
                raise ValueError(f"its {name} is broken")
        n_chunks = len(self.child_ptr) - 1
        item = np.dtype(self.value_type).itemsize
        is_whole = (
            self.parent_ptr[-1] == n_chunks
            and len(self.chunk_rows) == len(self.chunk_entries) == n_chunks + 1
            and self.chunk_rows[-1] == len(self.features) == len(self.counts)
            and self.chunk_entries[-1] == len(self.columns)
            and len(self.columns) * item == len(self.values)
            and self.child_ptr[-1] == len(self.scale)
        )
        if not is_whole:
            raise ValueError("the sizes of its arrays disagree")
        entries = pointers(self.counts.astype(np.int64) + 1)
        if (entries[self.chunk_rows] != self.chunk_entries).any():
            raise ValueError("its feature rows have other entries")
        widths = np.repeat(np.diff(self.child_ptr), np.diff(self.chunk_entries))
        if (self.columns >= widths).any():
            raise ValueError("it has weights of nodes that there are not")
        ends = self.features.min(initial=0), self.features.max(initial=0)
        if ends[0] < 0 or ends[1] >= max(self.n_features, 1):
            raise ValueError("it has weights of features that there are not")


def join_parts(parts):
    """Join the weights of consecutive nodes as if they had been trained together.

    Parameters
    ----------
    parts : list of WeightPart
        Weights of neighbouring nodes of one level, in order.

    Returns
    -------
    ChunkedWeights
        Weights of the level.
    """
    n_chunks = [len(part.child_ptr) - 1 for part in parts]
    n_rows = sum(len(part.features) for part in parts)
    shift = bucket_shift(parts[0].n_features, sum(n_chunks), n_rows)
    packed = [part.pack(shift) for part in parts]
    arrays = {
        name: np.concatenate([getattr(part, name) for part in packed])
        for name in (*NODES, "buckets")
    }
    content = [part.packed[: len(part.packed) - SPARE] for part in packed]
    return ChunkedWeights(
        **{
            name: pointers(np.concatenate([np.diff(getattr(p, name)) for p in packed]))
            for name in ("parent_ptr", "child_ptr", "chunk_ptr")
        },
        packed=np.concatenate([*content, np.zeros(SPARE, dtype=np.uint8)]),
        shift=shift,
        n_features=parts[0].n_features,
        value_type=parts[0].value_type,
        **arrays,
    )


def _array_names():
    return [f.name for f in fields(WeightPart) if f.name not in SCALARS]
