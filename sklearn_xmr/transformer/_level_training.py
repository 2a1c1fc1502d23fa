"""Fine-tuning of an encoder over a label tree, level by level, from the root down."""

import numpy as np
from sklearn.utils import check_random_state

from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.linear import level_targets
from sklearn_xmr.transformer._checkpoints import Checkpoints, whole_number
from sklearn_xmr.transformer._fine_tuning_loop import FineTuningLoop, Level
from sklearn_xmr.transformer._heads import FullHead, ShortlistHead, weights_of
from sklearn_xmr.transformer._levels import (
    first_head,
    label_costs,
    make_shortlists,
    matched_nodes,
    ones_at,
)
from sklearn_xmr.transformer._processes import launched_processes
from sklearn_xmr.transformer._trees import first_tree
from sklearn_xmr.utils._held_out import held_out_split

MANY_LABELS = 100_000  # above which head="auto" takes shortlists


def train_levels(settings, cached, data, features, clusterer, seed, key, progress):
    """Train an encoder in place over a label tree.

    Parameters
    ----------
    settings : FineTuning
        How to train.
    cached : CachedEncoder
        The encoder, and where it computes.
    data : TrainingData
        X holds texts.
    features : csr_matrix of float32 of shape (n_samples, n_features) or None
        Sparse features on which the tree is built; None means the embeddings.
    clusterer : LabelTree, estimator or None
        Of the tree.
    seed : int
        Of everything that is random.
    key : str
        Hash of all of this.
    progress : Progress
        Prints and records losses and metrics.

    Returns
    -------
    weights : dict of tensor
        Of the encoder, on the CPU.
    history : list of dict
        Losses and metrics.
    """
    is_full = _is_full(settings.head, data.Y.shape[1])
    loop = _make_loop(settings, cached, data, seed, key, progress)
    checkpoint, embedded = loop.checkpoints.load(), None
    if checkpoint is not None:
        tree = _kept_tree(loop.checkpoints, checkpoint, data.Y.shape[1])
    else:
        embedded = _first_embeddings(cached, loop, data.X)
        X = embedded if features is None else features
        tree = _first_tree(is_full, clusterer, X, data.Y, seed)
    LevelTraining(loop, tree, data.Y, is_full).run(embedded, checkpoint)
    return cached.encoder.state(), progress.history


def _is_full(head, n_labels):
    """Whether all labels are trained against each other."""
    return n_labels <= MANY_LABELS if head == "auto" else head == "full"


def _make_loop(settings, cached, data, seed, key, progress):
    processes = launched_processes(cached.device)
    if processes.rank:  # the first process prints and writes
        progress.verbose = 0
    return FineTuningLoop(
        cached.encoder,
        cached.tokenize(data.X),
        settings,
        seed=seed,
        processes=processes,
        half=cached.half,
        checkpoints=Checkpoints(settings.checkpoint_dir, key, processes.rank == 0),
        progress=progress,
        sample_weight=data.sample_weight,
    )


def _kept_tree(checkpoints, state, n_labels):
    with checkpoints.reading():
        tree = state["tree"]
        if tree.n_labels != n_labels:
            raise ValueError(f"a tree of {tree.n_labels} labels, not {n_labels}")
    return tree


def _first_embeddings(cached, loop, texts):
    """Of the encoder as it is: they may be known from a model without fine-tuning."""
    return cached.embed(texts) if loop.processes.size == 1 else loop.encode()


def _first_tree(is_full, clusterer, X, Y, seed):
    """The tree whose levels are trained; all labels in one level for a full head."""
    if is_full:
        return LabelTree.flat(Y.shape[1])
    return first_tree(clusterer, X, Y, seed)


class LevelTraining:
    """Trains an encoder on the levels of one label tree.

    Parameters
    ----------
    loop : FineTuningLoop
        Trains one level; holds the encoder and the settings.
    tree : LabelTree
        The tree; all labels in one level for a full head.
    Y : csr_matrix of shape (n_samples, n_labels)
        Label indicator.
    is_full : bool
        Whether all nodes of a level are trained against each other.
    """

    def __init__(self, loop, tree, Y, is_full):
        self.loop, self.settings = loop, loop.settings
        self.tree, self.is_full = tree, is_full
        self.targets = level_targets(Y, tree)
        self.rows, self.validation = self._held_out(Y.shape[0])

    def run(self, embedded, checkpoint=None):
        """Train all levels, or those that a killed run has left.

        Parameters
        ----------
        embedded : ndarray of float32 of shape (n_samples, n_dense) or None
            Embeddings of the encoder as it is; not used with a checkpoint.
        checkpoint : dict, default=None
            State of a killed run.
        """
        first, matched = 0, None
        if checkpoint is not None:
            with self.loop.checkpoints.reading():
                first, matched = self._place(checkpoint)
        for number in range(first, self.tree.n_levels):
            pairs = self._pairs(number, matched)
            head = self._head(number, embedded, checkpoint)
            if self._is_trained(number):
                level = Level(number, pairs, self.rows, self.validation)
                kept = {"tree": self.tree, "matched": matched}
                self.loop.fit_level(level, head, checkpoint, **kept)
            if number + 1 < self.tree.n_levels:
                if self._is_trained(number):
                    embedded = self.loop.encode()
                matched = self._matched(number, head, embedded, pairs)
            checkpoint = None

    def _place(self, checkpoint):
        """Level that a killed run was at, and each instance's nodes above it."""
        level = whole_number(checkpoint["level"], self.tree.n_levels - 1)
        if level == 0:
            return 0, None
        matched = checkpoint["matched"]
        shape = self.targets[level - 1].shape
        if matched is None or matched.shape != shape:
            raise ValueError(f"no matched nodes of shape {shape}")
        return level, matched

    def _held_out(self, n_samples):
        """Rows to train on, and rows that early stopping measures on."""
        if not self.settings.early_stopping:
            return np.arange(n_samples), np.zeros(0, dtype=np.int64)
        rng = check_random_state(self.loop.seed)
        return held_out_split(n_samples, self.settings.validation_size, rng)

    def _is_trained(self, number):
        """Whether the encoder is trained at a level; above, only linear models are."""
        n_levels = self.settings.n_levels
        return n_levels is None or number >= self.tree.n_levels - n_levels

    def _pairs(self, number, matched):
        """Costs of positives and, for shortlists, negative values of negatives."""
        target = self.targets[number]
        pairs = label_costs(target) if self.settings.count_labels else ones_at(target)
        if self.is_full:
            return pairs
        return make_shortlists(self.tree, number, pairs, matched)

    def _head(self, number, embedded, checkpoint):
        """The head of a level: linear models on the embeddings, or a checkpoint's."""
        if checkpoint is not None:
            with self.loop.checkpoints.reading():
                weights = self._weights(number, checkpoint["head"])
        else:
            rng = np.random.RandomState([self.loop.seed, number])
            weights = first_head(
                embedded[self.rows],
                self.tree,
                number,
                [target[self.rows] for target in self.targets],
                rng,
                self.loop.weights_of_rows(self.rows),
            )
        kind = FullHead if self.is_full else ShortlistHead
        return kind(*weights, self.loop.device, self.settings.loss)

    def _weights(self, number, state):
        """Weights and biases of a level's nodes, of a checkpoint (two ndarrays)."""
        weights, bias = weights_of(state)
        n_nodes = self.targets[number].shape[1]
        if len(bias) != n_nodes:
            raise ValueError(f"weights of {len(bias)} nodes, not {n_nodes}")
        return weights, bias

    def _matched(self, number, head, embedded, pairs):
        """Nodes of each instance whose children the next level looks at."""
        teacher = ones_at(self.targets[number])
        sampling = self.settings.negative_sampling
        if sampling == "tfn":
            return teacher
        matched = matched_nodes(head, embedded, pairs, self.settings.beam_size)
        return matched + teacher if sampling == "tfn+man" else matched
