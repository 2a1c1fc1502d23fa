"""Give parents more children, without weights: nodes that have still to learn."""

import numpy as np

from sklearn_xmr.linear._constants import CHUNK_WIDTH, SPARE
from sklearn_xmr.linear._weights._chunk_updates import ChunkUpdates
from sklearn_xmr.linear._weights._splicing import replace_parents, take_parents
from sklearn_xmr.utils._ranges import pointers


def with_empty_nodes(weights, n_new, intercept):
    """Append nodes without weights to the children of parents.

    They go into the last chunk of a parent as long as there is room, and into new ones
    then: the chunks before stay as they are.

    Parameters
    ----------
    weights : ChunkedWeights
        Weights of a level.
    n_new : ndarray of int of shape (n_parents,)
        Number of new children of each parent.
    intercept : float
        Of the new nodes.

    Returns
    -------
    ChunkedWeights
        Weights of the level with the new nodes.
    """
    n_new = np.asarray(n_new)
    parents = np.flatnonzero(n_new)
    wider = _widened(take_parents(weights, parents), n_new[parents], intercept)
    return replace_parents(weights, parents, wider)


def _widened(weights, n_new, intercept):
    """The same for weights of which all parents get new children."""
    widths, contents, buckets, parent_ptr = _cut(weights, n_new)
    at = np.repeat(weights.offsets[1:], n_new)
    return weights.replace(
        parent_ptr=parent_ptr,
        child_ptr=pointers(widths),
        chunk_ptr=pointers([len(content) for content in contents]),
        buckets=np.array(buckets, dtype=np.uint32).reshape(len(widths), -1),
        packed=np.concatenate([*contents, np.zeros(SPARE, dtype=np.uint8)]),
        scale=np.insert(weights.scale, at, 1),
        intercept=np.insert(weights.intercept, at, intercept),
        dense=np.insert(weights.dense, at, 0, axis=0),
        dense_scale=np.insert(weights.dense_scale, at, 1),
    )


def _cut(weights, n_new):
    """Width, bytes and buckets of each chunk, and the pointers of the parents."""
    updates, old_widths = ChunkUpdates(weights), np.diff(weights.child_ptr)
    widths, contents, buckets, n_chunks = [], [], [], []
    no_bucket = np.zeros(weights.buckets.shape[1], dtype=np.uint32)
    for parent, left in enumerate(n_new.tolist()):
        chunks = range(*weights.parent_ptr[parent : parent + 2].tolist())
        n_chunks.append(len(chunks))
        for chunk in chunks:
            more = 0
            if chunk == chunks[-1]:
                more = min(left, CHUNK_WIDTH - int(old_widths[chunk]))
                left -= more
            content, ends = updates.widen(chunk, int(old_widths[chunk]) + more)
            widths.append(int(old_widths[chunk]) + more)
            contents.append(content)
            buckets.append(ends)
        while left:
            widths.append(min(left, CHUNK_WIDTH))
            left -= widths[-1]
            n_chunks[-1] += 1
            contents.append(np.empty(0, dtype=np.uint8))
            buckets.append(no_bucket)
    return widths, contents, buckets, pointers(n_chunks)
