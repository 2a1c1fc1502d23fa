"""Take, replace and pack parts of a level's weights; what is left alone stays as is.

Whole chunks move as bytes. Only the chunks of parents whose children change are
unpacked, and their values keep their scale: no weight is ever rounded twice.
"""

import numpy as np

from sklearn_xmr.linear._chunked_weights import (
    SPARE,
    ChunkedWeights,
    Entries,
    plan_chunks,
)
from sklearn_xmr.utils.ranges import pointers, ranges

NODE_ARRAYS = ("scale", "intercept", "dense", "dense_scale")


def take_parents(weights, parents):
    """The children of some parents, in the order given.

    Parameters
    ----------
    weights : ChunkedWeights
    parents : ndarray of int

    Returns
    -------
    ChunkedWeights
        With ``len(parents)`` parents.
    """
    counts = np.diff(weights.parent_ptr)[parents]
    order = ranges(weights.parent_ptr[parents], counts)
    return _join([weights], order, pointers(counts))


def replace_parents(weights, parents, replacement):
    """Other children for some parents.

    Parameters
    ----------
    weights : ChunkedWeights
    parents : ndarray of int
    replacement : ChunkedWeights
        With ``len(parents)`` parents and the layout of `weights`.

    Returns
    -------
    ChunkedWeights
    """
    starts, counts = weights.parent_ptr[:-1].copy(), np.diff(weights.parent_ptr)
    starts[parents] = len(weights.child_ptr) - 1 + replacement.parent_ptr[:-1]
    counts[parents] = np.diff(replacement.parent_ptr)
    return _join([weights, replacement], ranges(starts, counts), pointers(counts))


def pack_nodes(pieces, offsets, like):
    """Nodes of several pieces, each at a place of its own, under new parents.

    Parameters
    ----------
    pieces : list of (ChunkedWeights, ndarray of int)
        Weights, and the new place of each of their nodes; -1 drops a node.
    offsets : ndarray of int64 of shape (n_parents + 1,)
        Children of each parent; together the places fill all of them.
    like : ChunkedWeights
        Whose layout to take.

    Returns
    -------
    ChunkedWeights
    """
    parent_ptr, _, child_ptr = plan_chunks(np.asarray(offsets))
    entries = [_placed(weights, places, child_ptr) for weights, places in pieces]
    arrays = {}
    for name in NODE_ARRAYS:
        old = getattr(like, name)
        arrays[name] = np.empty((offsets[-1], *old.shape[1:]), dtype=old.dtype)
        for weights, places in pieces:
            kept = places >= 0
            arrays[name][places[kept]] = getattr(weights, name)[kept]
    columns = ("chunk", "feature", "column", "value")
    joined = (np.concatenate([getattr(e, name) for e in entries]) for name in columns)
    return ChunkedWeights.from_entries(
        Entries(*joined),
        like.n_features,
        child_ptr,
        shift=like.shift,
        parent_ptr=parent_ptr,
        **arrays,
    )


def _placed(weights, places, child_ptr):
    """Entries of the nodes that stay, with their new chunk and column."""
    entries = weights.entries()
    place = places[weights.nodes(entries)]
    kept = place >= 0
    place = place[kept]
    chunk = np.searchsorted(child_ptr, place, side="right") - 1
    return Entries(
        chunk.astype(np.int32),
        entries.feature[kept],
        (place - child_ptr[chunk]).astype(np.uint8),
        entries.value[kept],
    )


def _join(parts, order, parent_ptr):
    """Chunks of several parts of one layout, numbered on, in the given order."""
    widths = np.concatenate([np.diff(part.child_ptr) for part in parts])
    nodes = ranges((np.cumsum(widths) - widths)[order], widths[order])
    sizes = np.concatenate([np.diff(part.chunk_ptr) for part in parts])
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])[nodes]
        for name in NODE_ARRAYS
    }
    return ChunkedWeights(
        parent_ptr=parent_ptr,
        child_ptr=pointers(widths[order]),
        chunk_ptr=pointers(sizes[order]),
        buckets=np.concatenate([part.buckets for part in parts])[order],
        packed=_gather_bytes(parts, order),
        shift=parts[0].shift,
        n_features=parts[0].n_features,
        value_type=parts[0].value_type,
        **arrays,
    )


def _gather_bytes(parts, order):
    """Packed bytes of the chunks; neighbours are copied together."""
    source = np.repeat(np.arange(len(parts)), [len(p.child_ptr) - 1 for p in parts])
    local = np.concatenate([np.arange(len(p.child_ptr) - 1) for p in parts])
    source, local = source[order], local[order]
    breaks = np.flatnonzero((np.diff(local) != 1) | (np.diff(source) != 0)) + 1
    pieces = []
    for first, last in zip(
        np.append(0, breaks), np.append(breaks, len(order)), strict=True
    ):
        if last > first:
            part = parts[source[first]]
            start, end = part.chunk_ptr[[local[first], local[last - 1] + 1]]
            pieces.append(part.packed[start:end])
    return np.concatenate([*pieces, np.zeros(SPARE, dtype=np.uint8)])
