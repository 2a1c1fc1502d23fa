"""Go on training a label tree: new instances change the nodes that they reach.

The instances that have trained a model are gone. What they say is kept as the weights
themselves, and as how surely each is known (:class:`KnownWeights`); new instances are
then trained as ever, by dual coordinate descent, which starts from the known weights.
"""

from dataclasses import replace

import numpy as np

from sklearn_xmr.linear._constants import SPARE
from sklearn_xmr.linear._solver._level_solver import KnownWeights, solve_known
from sklearn_xmr.linear._training import matching_clusters
from sklearn_xmr.linear._tree_levels import TreeLevels, model_above
from sklearn_xmr.linear._tree_model import TreeModel
from sklearn_xmr.linear._weights._chunk_updates import ChunkUpdates
from sklearn_xmr.linear._weights._chunked_weights import encode_dense
from sklearn_xmr.linear._weights._empty_nodes import with_empty_nodes
from sklearn_xmr.linear._weights._patched_weights import ChunkPatch, PatchedWeights

# How much what has been learnt resists, by the geometric mean of a node's positive
# instances and all (``SeenData.evidence_of_nodes``): 1.5 to 8 are as good to 0.4 points
# of P@5 on 20 parts of Tate's data (benchmarks/RESULTS.md, "Learning goes on").
EVIDENCE = 4.0
# Changed weights are kept from this share of ``weight_threshold`` on: they add up.
# 20 parts of Tate's data: P@5 52.5 with 1, 52.8 with a quarter and with none.
KEPT = 0.25
# Second derivative of the loss, where it is active.
CURVATURE = {"squared_hinge": 2.0, "hinge": 2.0, "logistic": 0.5}


def update_tree(model, data, settings, seen):
    """Train the nodes of a model that new instances reach.

    Parameters
    ----------
    model : TreeModel
        The fitted model.
    data : TrainingData
        New instances, with the labels of the model.
    settings : TreeSettings
        Settings of the training, with a ``row_length``.
    seen : SeenData
        What is known of the instances before.

    Returns
    -------
    TreeModel
        Model with the same tree.
    """
    levels = TreeLevels(data, model.tree, settings)
    evidence = seen.evidence_of_nodes(model.tree)
    for level in range(model.tree.n_levels):
        weights = _updated_level(
            model, level, levels, evidence[level], seen.mean_squares
        )
        model = model.with_level(level, weights)
    return model


def with_untaught_labels(model, X, Y, settings):
    """Attach new labels to a model, which has still to learn them.

    Parameters
    ----------
    model : TreeModel
        The fitted model.
    X : HybridFeatures
        Instances.
    Y : csr_matrix of shape (n_samples, n_new)
        Indicator of the new labels.
    settings : TreeSettings
        Settings with which the model was trained.

    Returns
    -------
    TreeModel
        Model in which the new labels have the highest numbers, no weights, and an
        intercept as of labels without instances.
    """
    clusters = matching_clusters(model, X, Y, settings)
    intercept = -1.0 if settings.solver.bias else 0.0
    n_new = np.bincount(clusters, minlength=model.tree.n_clusters)
    level = with_empty_nodes(model.weights[-1], n_new, intercept)
    tree = model.tree.with_labels(clusters)
    return TreeModel(tree, [*model.levels[:-1], level])


def _updated_level(model, level, levels, evidence, mean_squares):
    """Weights of a level, of which the reached nodes have been trained."""
    weights, data, solver = model.levels[level], levels.data, levels.settings.solver
    matched = None
    if level >= levels.n_independent:
        matched = levels.found_by(model_above(model.tree, model.levels[:level]))
    parents, children, problem = levels.reached(level, matched)
    factor = EVIDENCE * CURVATURE[solver.loss] * solver.negative_cost
    known = KnownWeights(
        weights,
        parents,
        np.float32(factor) * evidence[children],
        mean_squares,
    )
    solver = replace(solver, weight_threshold=KEPT * solver.weight_threshold)
    part, changed, reached = solve_known(
        data.X, problem, solver, known, data.sample_weight
    )
    if not changed.any():
        return weights
    nodes = _node_arrays(weights, children[changed], part, changed, solver)
    patches = _patches(weights, known.chunks, changed, reached, part, nodes["scale"])
    return PatchedWeights.of(weights, patches, **nodes)


def _node_arrays(weights, children, part, changed, solver):
    """What nodes have beside sparse weights, with that of the changed ones."""
    intercept, dense = weights.intercept.copy(), weights.dense.copy()
    dense_scale = weights.dense_scale.copy()
    if solver.bias:
        intercept[children] = part.intercept[changed]
    codes, scales = encode_dense(part.dense[changed], weights.value_type)
    dense[children], dense_scale[children] = codes, scales
    return {
        "scale": weights.scale.copy(),
        "intercept": intercept,
        "dense": dense,
        "dense_scale": dense_scale,
    }


def _patches(weights, chunks, changed, reached, part, scale):
    """New bytes of chunks (dict); ``scale`` changes where weights outgrow it."""
    updates, changed = ChunkUpdates(weights), changed.view(np.uint8)
    values, patches = part.values.view(np.float32), {}
    for place, chunk in enumerate(chunks.tolist()):
        if reached[place] is None:
            continue
        rows = slice(*part.chunk_rows[place : place + 2])
        entries = slice(*part.chunk_entries[place : place + 2])
        packed, buckets = updates.rewrite(
            chunk,
            changed[slice(*part.child_ptr[place : place + 2])],
            reached[place],
            part.features[rows],
            part.counts[rows],
            part.columns[entries],
            values[entries],
            scale[slice(*weights.child_ptr[chunk : chunk + 2])],
            SPARE,
        )
        patches[chunk] = ChunkPatch(packed, buckets)
    return patches
