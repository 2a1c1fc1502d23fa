"""Models that libpecos has saved: a folder of JSON and of SciPy's sparse matrices."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import sparse

from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.linear import ChunkedWeights, TreeModel, XRLinearClassifier
from sklearn_xmr.utils._matrices import as_csr_float32, check_structure
from sklearn_xmr.utils._ranges import pointers
from sklearn_xmr.utils._reading import check_unpacked_size, named_errors

LIBPECOS_POST_PROCESSORS = {
    f"{log}{name}": f"{log}{name}".replace("-", "_")
    for name in ("sigmoid", "l1-hinge", "l2-hinge", "l3-hinge", "l4-hinge")
    for log in ("", "log-")
} | {"noop": "noop"}

MOST_BIAS = 1_000_000  # as XRLinearClassifier has it


def load_libpecos_model(folder):
    """Load an XR-Linear model that libpecos has saved.

    The result ranks as libpecos does, with scores that differ by rounding only, and is
    an estimator like any other: it can be asked for single instances, changed,
    explained, and saved by :func:`save_model`.

    Parameters
    ----------
    folder : path-like
        What ``XLinearModel.save(folder)`` of libpecos has written: ``param.json``, and
        in ``ranker`` a folder for each level with ``param.json``, ``C.npz`` (the
        clusters) and ``W.npz`` (the weights).

    Returns
    -------
    XRLinearClassifier
        Fitted, with libpecos' ``top_k`` (``only_topk``), ``beam_size``,
        ``post_processor`` and ``bias``; ``path_weight=1.0`` and
        ``weight_dtype="float32"``. Parameters of the training are not in the files and
        have our defaults.

    Raises
    ------
    ValueError
        If a file is not as libpecos writes it, files disagree, or the model has what
        an :class:`XRLinearClassifier` has not: levels with different post-processors
        or beams, clusters that share a label, labels without a cluster. The message
        names the file.
    OSError
        If a file is missing or cannot be read.

    See Also
    --------
    XRLinearClassifier.from_model : Of any tree and its weights.

    Notes
    -----
    Written for the files of libpecos 1.2.8. Where scores tie, as those of hinges do at
    1, libpecos may put labels in another order or search other clusters. Clusters
    without a label are left out: libpecos spends places of its beam on them. A model
    of a ranker alone (``mode="ranker"``) becomes a flat tree, as libpecos ranks
    without a matcher. The folders of ``compile_mmap_model`` are refused: load the
    folder that was compiled.

    Examples
    --------
    A model of two labels and two features, as libpecos saves it:

    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from scipy import sparse
    >>> from sklearn_xmr import load_libpecos_model
    >>> folder = Path(tempfile.mkdtemp())
    >>> level = folder / "ranker" / "0.model"
    >>> level.mkdir(parents=True)
    >>> search = {"only_topk": 10, "post_processor": "l3-hinge"}
    >>> sizes = {"nr_labels": 2, "nr_features": 2, "nr_codes": 1, "bias": -1.0}
    >>> params = json.dumps({**sizes, "pred_kwargs": search})
    >>> _ = (level / "param.json").write_text(params)
    >>> _ = (folder / "ranker" / "param.json").write_text(json.dumps({"depth": 1}))
    >>> sparse.save_npz(level / "C.npz", sparse.csc_matrix([[1.0], [1.0]]))
    >>> sparse.save_npz(level / "W.npz", sparse.csc_matrix([[0.5, -1.0], [0.0, 3.0]]))
    >>> clf = load_libpecos_model(folder)
    >>> clf.predict_topk([[1.0, 1.0]], k=2)[0]
    array([[1, 0]])
    """
    folder = Path(folder)
    levels = _read_levels(folder / "ranker")
    orders, offsets = _tree_order(levels)
    weights = [
        ChunkedWeights.from_csr(level.weights[order], level.intercept[order], ends)
        for level, order, ends in zip(levels, orders, offsets, strict=True)
    ]
    tree = LabelTree(offsets, orders[-1])
    return XRLinearClassifier.from_model(
        TreeModel(tree, weights), clusterer=tree, **_parameters(levels)
    )


class _Level:
    """A level of the tree as its folder has it.

    Parameters
    ----------
    folder : Path
        With ``param.json``, ``C.npz`` and ``W.npz``.

    Attributes
    ----------
    clusters : csr_matrix of shape (n_parents, n_nodes)
        The nodes of each node above.
    weights : csr_matrix of shape (n_nodes, n_features)
        Without the constant feature.
    intercept : ndarray of shape (n_nodes,)
    bias : float
        Value of the constant feature; 0 where there is none.
    top_k, post_processor : int, str
        How the level is searched.
    """

    def __init__(self, folder):
        self.folder, path = folder, folder / "param.json"
        found = _read_json(path)
        self.bias = _bias(found, path)
        search = found.get("pred_kwargs")
        if not isinstance(search, dict):
            raise ValueError(  # noqa: TRY004, the file's content is wrong
                f"{path}: pred_kwargs must be an object, got {search!r}"
            )
        self.top_k = _count(search, "only_topk", path)
        self.post_processor = _post_processor(search, path)
        sizes = [
            _count(found, f"nr_{n}", path) for n in ("features", "labels", "codes")
        ]
        self._read_matrices(*sizes)

    def _read_matrices(self, n_features, n_nodes, n_parents):
        has_bias = self.bias > 0
        self.clusters = _read_matrix(self.folder / "C.npz", (n_nodes, n_parents))
        rows = _read_matrix(self.folder / "W.npz", (n_features + has_bias, n_nodes))
        self.weights, self.intercept = rows[:, :n_features], np.zeros(n_nodes)
        if has_bias:
            self.intercept = rows[:, [n_features]].toarray().ravel() * self.bias


def _read_levels(folder):
    """All levels of a model, from the root down, which fit together."""
    path = folder / "param.json"
    found = _read_json(path)
    depth = _count(found, "depth", path)
    levels = [_Level(folder / f"{number}.model") for number in range(depth)]
    for above, below in pairwise(levels):
        n_parents, n_nodes = below.clusters.shape[0], above.clusters.shape[1]
        if n_parents != n_nodes:
            raise ValueError(
                f"{below.folder / 'C.npz'} has {n_parents} clusters, but the level "
                f"above has {n_nodes} nodes"
            )
        _check_same(above, below)
    return levels


def _check_same(above, below):
    """ValueError unless two levels have what an estimator has once."""
    values = {
        "number of features": [level.weights.shape[1] for level in (above, below)],
        "bias": [above.bias, below.bias],
        "post_processor": [above.post_processor, below.post_processor],
    }
    for name, (upper, lower) in values.items():
        if upper != lower:
            raise ValueError(
                f"{below.folder / 'param.json'}: {name} is {lower!r}, but {upper!r} on "
                "the level above; an XRLinearClassifier has one for all levels"
            )


def _parameters(levels):
    """The estimator's parameters that the files hold."""
    *above, last = levels
    beams = {level.top_k for level in above}
    if len(beams) > 1:
        raise ValueError(
            f"{last.folder.parent}: the levels above the labels have the beams "
            f"{sorted(beams)} (only_topk in their param.json); an XRLinearClassifier "
            "has one for all levels"
        )
    beam = {"beam_size": beams.pop()} if beams else {}
    return beam | {
        "top_k": last.top_k,
        "post_processor": last.post_processor,
        "path_weight": 1.0,
        "weight_dtype": "float32",
        "bias": last.bias,
    }


# --- the tree ------------------------------------------------------------------------


def _tree_order(levels):
    """Nodes of each level in tree order, and the offsets of their parents.

    A first level of many clusters is a ranker without its matcher: all are searched.
    """
    parents = [_parent_of_nodes(level) for level in levels]
    parents[0] = np.where(parents[0] < 0, -1, 0)
    orders, offsets = [], []
    rank = np.zeros(1, dtype=np.int64)  # place of each node above in tree order
    for parent, nodes in zip(parents, _used_nodes(levels, parents), strict=True):
        above = rank[parent[nodes]]
        order = nodes[np.argsort(above, kind="stable")]
        offsets.append(pointers(np.bincount(above)))
        orders.append(order)
        rank = np.full(len(parent), -1, dtype=np.int64)
        rank[order] = np.arange(len(order))
    return orders, offsets


def _parent_of_nodes(level):
    """The cluster of each node, -1 for a node without one."""
    clusters = level.clusters
    counts = np.bincount(clusters.indices, minlength=clusters.shape[1])
    if counts.max() > 1:
        raise ValueError(
            f"{level.folder / 'C.npz'}: node {counts.argmax()} is in {counts.max()} "
            "clusters; an XRLinearClassifier has each label and cluster in one"
        )
    parent = np.full(clusters.shape[1], -1, dtype=np.int64)
    parent[clusters.indices] = np.repeat(
        np.arange(clusters.shape[0]), np.diff(clusters.indptr)
    )
    return parent


def _used_nodes(levels, parents):
    """For each level the nodes under which there is a label, ascending."""
    used = [np.arange(len(parents[-1]))]
    for level, parent in zip(levels[::-1], parents[::-1], strict=True):
        above = parent[used[0]]
        if above.min() < 0:
            raise ValueError(
                f"{level.folder / 'C.npz'}: node {used[0][above.argmin()]} is in no "
                "cluster, as set_output_constraint and get_submodel_rooted_at leave "
                "some: load the whole model and use remove_labels, or make the part "
                "with reindex=True"
            )
        used.insert(0, np.unique(above))
    return used[1:]


# --- files ---------------------------------------------------------------------------


def _read_json(path):
    with named_errors(path, ValueError, "JSON"):
        found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected an object, got {found!r:.40}")  # noqa: TRY004
    if found.get("is_mmap"):
        raise ValueError(
            f"{path} is of a model that compile_mmap_model has made; load the folder "
            "that it was made of, which XLinearModel.save has written"
        )
    return found


def _read_matrix(path, shape):
    """A saved sparse matrix, transposed: canonical CSR of float32."""
    with named_errors(path, ValueError, "a sparse matrix"):
        check_unpacked_size(path)
        matrix = sparse.load_npz(path)  # which refuses pickled objects
        if matrix.format != "csc" or matrix.dtype.kind not in "fiub":
            raise ValueError(f"it is {matrix.format} of {matrix.dtype}, not csc")
        if matrix.shape != shape:
            raise ValueError(f"it has shape {matrix.shape}, param.json says {shape}")
        check_structure(matrix, "the matrix")
        matrix = as_csr_float32(matrix.T)
        if not np.isfinite(matrix.data).all():
            raise ValueError("it holds NaN or infinity")
    matrix.eliminate_zeros()
    return matrix


def _post_processor(search, path):
    name = search.get("post_processor")
    if not isinstance(name, str) or name not in LIBPECOS_POST_PROCESSORS:
        raise ValueError(
            f"{path}: post_processor must be one of {sorted(LIBPECOS_POST_PROCESSORS)},"
            f" got {name!r}"
        )
    return LIBPECOS_POST_PROCESSORS[name]


def _count(values, name, path):
    count = values.get(name)
    if type(count) is not int or not 1 <= count < 2**31:
        raise ValueError(f"{path}: {name} must be a positive integer, got {count!r}")
    return count


def _bias(values, path):
    """Value of the constant feature (float from 0 to MOST_BIAS); 0 for none."""
    bias = values.get("bias")
    if type(bias) not in (int, float) or not bias <= MOST_BIAS:  # NaN is not
        raise ValueError(
            f"{path}: bias must be a number of at most {MOST_BIAS:,}, got {bias!r}"
        )
    return float(max(bias, 0))
