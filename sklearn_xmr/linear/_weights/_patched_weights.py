"""The weights of a level of which some chunks have been replaced."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sklearn_xmr.linear._constants import SPARE
from sklearn_xmr.utils._ranges import pointers

# Patches of more than this share of the level's bytes are put into the level: changes
# cost as much as what they change, up to a factor of two, whatever the level's size.
MOST_PATCHED = 1.0

# What patches do not change. `chunk_ptr`, `buckets` and `packed` are the base's: a
# reader takes the patches for the chunks that these have.
_OF_BASE = (
    "parent_ptr",
    "child_ptr",
    "chunk_ptr",
    "buckets",
    "packed",
    "shift",
    "n_features",
    "value_type",
    "offsets",
)


@dataclass(frozen=True)
class ChunkPatch:
    """New bytes of a chunk, and 32 spare ones."""

    packed: np.ndarray
    buckets: np.ndarray

    @property
    def nbytes(self):
        """Its size without the spare bytes (int)."""
        return len(self.packed) - SPARE


class PatchedWeights:
    """Weights of a level, with the bytes of some chunks in place of the level's own.

    As a :class:`ChunkedWeights`, which :meth:`whole` makes of it, it is never changed.

    Parameters
    ----------
    base : ChunkedWeights
        The level.
    patches : dict of int to ChunkPatch
        New bytes of chunks.
    **nodes : ndarray
        New ``scale``, ``intercept``, ``dense`` and ``dense_scale`` of all nodes.
    """

    def __init__(self, base, patches, *, scale, intercept, dense, dense_scale):
        self.base, self.patches = base, patches
        self.scale, self.intercept = scale, intercept
        self.dense, self.dense_scale = dense, dense_scale

    def __getattr__(self, name):
        if name not in _OF_BASE:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.base, name)

    @classmethod
    def of(cls, weights, patches, **nodes):
        """Weights with more patches: patched ones, or whole ones where these are many.

        Parameters
        ----------
        weights : ChunkedWeights or PatchedWeights
            The weights before.
        patches : dict of int to ChunkPatch
            New bytes of chunks.
        **nodes : ndarray
            The arrays of all nodes, as the class takes them.

        Returns
        -------
        ChunkedWeights or PatchedWeights
        """
        base = weights.base if isinstance(weights, cls) else weights
        patched = cls(base, {**weights.patches, **patches}, **nodes)
        n_bytes = sum(patch.nbytes for patch in patched.patches.values())
        if n_bytes > MOST_PATCHED * len(base.packed):
            return patched.whole
        return patched

    @cached_property
    def whole(self):
        """The same weights in one piece (ChunkedWeights)."""
        base = self.base
        sizes, buckets = np.diff(base.chunk_ptr), base.buckets.copy()
        for chunk, patch in self.patches.items():
            sizes[chunk], buckets[chunk] = patch.nbytes, patch.buckets
        chunk_ptr = pointers(sizes)
        return base.replace(
            chunk_ptr=chunk_ptr,
            buckets=buckets,
            packed=self._packed(chunk_ptr),
            scale=self.scale,
            intercept=self.intercept,
            dense=self.dense,
            dense_scale=self.dense_scale,
        )

    def _packed(self, chunk_ptr):
        """The bytes of all chunks, in order."""
        base, pieces, first = self.base, [], 0
        for chunk in [*sorted(self.patches), len(chunk_ptr) - 1]:
            pieces.append(base.packed[base.chunk_ptr[first] : base.chunk_ptr[chunk]])
            if chunk in self.patches:
                pieces.append(self.patches[chunk].packed[:-SPARE])
            first = chunk + 1
        return np.concatenate([*pieces, np.zeros(SPARE, dtype=np.uint8)])

    @property
    def nbytes(self):
        """Size of the weights in one piece, in bytes (int)."""
        packed = sum(
            patch.nbytes - int(self.base.buckets[chunk, -1])
            for chunk, patch in self.patches.items()
        )
        return self.base.nbytes + packed
