"""Take, replace and pack parts of a level's weights; other parts are not changed.

Whole chunks are copied as bytes. Only the chunks of parents whose children change are
unpacked, and their values keep their scale: no weight is rounded twice.
"""

import numpy as np

from sklearn_xmr.linear._constants import SPARE
from sklearn_xmr.linear._weights._chunked_weights import (
    ChunkedWeights,
    Entries,
    plan_chunks,
)
from sklearn_xmr.utils._ranges import pointers, ranges

NODE_ARRAYS = ("scale", "intercept", "dense", "dense_scale")


def take_parents(weights, parents):
    """The children of some parents, in the order given.

    Parameters
    ----------
    weights : ChunkedWeights
        Weights of a level.
    parents : ndarray of int
        Parents to take.

    Returns
    -------
    ChunkedWeights
        Weights with ``len(parents)`` parents.
    """
    counts = np.diff(weights.parent_ptr)[parents]
    order = ranges(weights.parent_ptr[parents], counts)
    return _join([weights], order, pointers(counts))


def replace_parents(weights, parents, replacement):
    """Replace the children of some parents.

    Parameters
    ----------
    weights : ChunkedWeights
        Weights of a level.
    parents : ndarray of int
        Parents whose children are replaced.
    replacement : ChunkedWeights
        Weights with ``len(parents)`` parents and the layout of `weights`.

    Returns
    -------
    ChunkedWeights
        Weights of the level.
    """
    starts, counts = weights.parent_ptr[:-1].copy(), np.diff(weights.parent_ptr)
    starts[parents] = len(weights.child_ptr) - 1 + replacement.parent_ptr[:-1]
    counts[parents] = np.diff(replacement.parent_ptr)
    return _join([weights, replacement], ranges(starts, counts), pointers(counts))


def pack_nodes(pieces, offsets, like):
    """Pack nodes of several pieces under new parents.

    Parameters
    ----------
    pieces : list of (ChunkedWeights, ndarray of int)
        Weights, and the new number of each of their nodes; -1 drops a node.
    offsets : ndarray of int64 of shape (n_parents + 1,)
        First child of each parent, and the number of children; each child must have
        one node of the pieces.
    like : ChunkedWeights
        Weights whose layout is used.

    Returns
    -------
    ChunkedWeights
        Weights with ``len(offsets) - 1`` parents.
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


def append_nodes(weights, parents, trained):
    """Append children to those of some parents.

    Parameters
    ----------
    weights : ChunkedWeights
        Weights of a level.
    parents : ndarray of int
        Parents that get more children, ascending.
    trained : ChunkedWeights
        Weights of the new children, with ``len(parents)`` parents.

    Returns
    -------
    ChunkedWeights
        Weights of the level with the new children.
    """
    old = take_parents(weights, parents)
    # Old nodes move up by the new children of earlier parents, new ones by the old
    # children of all parents up to their own.
    old_places = _moved(old.offsets, trained.offsets[:-1])
    new_places = _moved(trained.offsets, old.offsets[1:])
    pieces = [(old, old_places), (trained, new_places)]
    packed = pack_nodes(pieces, old.offsets + trained.offsets, weights)
    return replace_parents(weights, parents, packed)


def keep_nodes(weights, kept, kept_parents):
    """Keep some nodes, and the parents of these.

    Parameters
    ----------
    weights : ChunkedWeights
        Weights of a level.
    kept : ndarray of bool of shape (n_nodes,)
        Whether each node is kept.
    kept_parents : ndarray of bool of shape (n_parents,)
        Whether each parent is kept: whether any of its nodes is.

    Returns
    -------
    ChunkedWeights
        Weights of the kept nodes.
    """
    if kept.all():
        return weights
    starts = weights.offsets
    n_kept = np.add.reduceat(kept, starts[:-1], dtype=np.int64)
    touched = np.flatnonzero((n_kept > 0) & (n_kept < np.diff(starts)))
    if len(touched):
        old = take_parents(weights, touched)
        stays = kept[ranges(starts[touched], np.diff(starts)[touched])]
        places = np.where(stays, np.cumsum(stays) - 1, -1)
        packed = pack_nodes([(old, places)], pointers(n_kept[touched]), weights)
        weights = replace_parents(weights, touched, packed)
    return take_parents(weights, np.flatnonzero(kept_parents))


def replace_children(weights, parents, trained):
    """Replace all children of some parents by newly trained ones.

    Parameters
    ----------
    weights : ChunkedWeights
        Weights of a level, whose layout is kept.
    parents : ndarray of int
        Parents whose children are replaced.
    trained : ChunkedWeights
        New weights, with ``len(parents)`` parents.

    Returns
    -------
    ChunkedWeights
        Weights of the level.
    """
    offsets = trained.offsets
    packed = pack_nodes([(trained, np.arange(offsets[-1]))], offsets, weights)
    return replace_parents(weights, parents, packed)


def _moved(offsets, by):
    """New numbers of all children: those of each parent increase by its `by`."""
    return np.arange(offsets[-1]) + np.repeat(by, np.diff(offsets))


def _placed(weights, places, child_ptr):
    """Entries of the nodes that are kept, with their new chunk and column."""
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
    """Chunks of several parts of the same layout, in the given order."""
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
    """Packed bytes of the chunks; adjacent ones are copied together."""
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
