"""Stage 2: fine-tune the encoder over a label tree, from the root down."""

import numpy as np
from sklearn.utils import check_random_state

from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.linear._training import level_targets
from sklearn_xmr.transformer._checkpoints import Checkpoints
from sklearn_xmr.transformer._encoder import half_precision, pick_device
from sklearn_xmr.transformer._fine_tuning import FineTuner, Level, TrainingSettings
from sklearn_xmr.transformer._heads import FullHead, ShortlistHead, weights_of
from sklearn_xmr.transformer._levels import (
    costs_of,
    first_head,
    matched_nodes,
    shortlists,
)
from sklearn_xmr.transformer._processes import processes_of
from sklearn_xmr.transformer._progress import Progress
from sklearn_xmr.transformer._trees import first_tree
from sklearn_xmr.utils.held_out import held_out_split

MANY_LABELS = 100_000  # above which head="auto" takes shortlists


def fine_tune(params, texts, X_sparse, Y, seed, fingerprint, tasks):
    """Train an encoder in place; its losses go to ``params.history_``.

    Parameters
    ----------
    params : XTransformerClassifier
        Its parameters, and ``encoder_``.
    texts : list of str
    X_sparse : csr_matrix or None
    Y : csr_matrix of shape (n_samples, n_labels)
    seed : int
    fingerprint : str
        Of all this.
    tasks : FitTasks
        Told about levels and steps.

    Returns
    -------
    dict of tensors
        The encoder's weights.
    """
    tuner = make_tuner(params, texts, seed, fingerprint, tasks)
    state = tuner.checkpoints.load()
    parts = hold_out(params, len(texts), check_random_state(seed))
    embedded = first_embeddings(params, tuner, texts) if state is None else None
    tree = matching_tree(params, X_sparse, embedded, state, Y, seed)
    matched, first = (None, 0) if state is None else (state["matched"], state["level"])
    progress = {"tree": tree, "embedded": embedded, "matched": matched}
    targets = level_targets(Y, tree)
    for number in range(first, tree.n_levels):
        rng = np.random.RandomState([seed, number])  # whatever came before
        train_level(params, tuner, number, targets, parts, progress, state, rng)
        state = None
    params.history_ = tuner.progress.history
    return tuner.encoder.state()


def train_level(params, tuner, number, targets, parts, progress, state, rng):
    """Train one level, and find what the next one looks at.

    ``progress`` is brought up to date: the tree, the embeddings, and the nodes of this
    level that were matched to each text. ``state`` is that of a checkpoint, or None.
    """
    tree, embedded = progress["tree"], progress["embedded"]
    pairs = costs_of(targets[number]) if params.cost_sensitive else targets[number]
    full = is_full(params, tree.n_labels)
    if not full:
        pairs = shortlists(tree, number, pairs, progress["matched"])
    if state is None:
        some = [target[parts[0]] for target in targets]
        weights = first_head(embedded[parts[0]], tree, number, some, rng)
    else:
        weights = weights_of(state["head"])
    head = (FullHead if full else ShortlistHead)(*weights, tuner.device, params.loss)
    trained = params.n_levels is None or number >= tree.n_levels - params.n_levels
    if trained:
        kept = {"tree": tree, "matched": progress["matched"]}
        tuner.fit_level(Level(number, pairs, *parts), head, state, **kept)
    if number + 1 < tree.n_levels:
        embedded = tuner.encode() if trained else embedded
        matched = next_matched(params, head, embedded, pairs, targets[number])
        progress.update(embedded=embedded, matched=matched)


def first_embeddings(params, tuner, texts):
    """Of the encoder as it is: they may be known from a model without fine-tuning."""
    return params._embed(texts) if tuner.processes.size == 1 else tuner.encode()


def make_tuner(params, texts, seed, fingerprint, tasks):
    """The training loop with its device, settings and checkpoints."""
    processes = processes_of(pick_device(params.device))
    half = half_precision(params.precision, processes.device)
    settings = TrainingSettings(
        n_epochs=params.n_epochs,
        max_steps=params.max_steps,
        batch_size=params.batch_size,
        micro_batch=params.micro_batch_size or params.batch_size,
        learning_rate=params.learning_rate,
        head_learning_rate=params.head_learning_rate,
        weight_decay=params.weight_decay,
        warmup=params.warmup,
        max_grad_norm=params.max_grad_norm,
        save_steps=params.save_steps,
        eval_steps=params.eval_steps,
        n_iter_no_change=params.n_iter_no_change,
        seed=seed,
    )
    return FineTuner(
        params.encoder_,
        params._tokens(texts),
        settings,
        processes,
        half,
        Checkpoints(params.checkpoint_dir, fingerprint, processes.rank == 0),
        Progress(params.verbose if processes.rank == 0 else 0, tasks=tasks),
    )


def hold_out(params, n_texts, rng):
    """Rows to train on, and rows that early stopping measures on."""
    if not params.early_stopping:
        return np.arange(n_texts), np.zeros(0, dtype=np.int64)
    size = params.validation_fraction
    return held_out_split(n_texts, size, rng, "validation_fraction")


def matching_tree(params, X_sparse, embedded, state, Y, seed):
    """The tree whose levels are trained; all labels in one level for a full head."""
    if state is not None:
        return state["tree"]
    if is_full(params, Y.shape[1]):
        return LabelTree.flat(Y.shape[1])
    X = embedded if X_sparse is None else X_sparse
    return first_tree(params.clusterer, X, Y, seed)


def is_full(params, n_labels):
    """Whether all labels are trained against each other."""
    if params.head == "auto":
        return n_labels <= MANY_LABELS
    return params.head == "full"


def next_matched(params, head, embedded, pairs, target):
    """Nodes of each instance whose children the next level looks at."""
    teacher = target.copy()
    teacher.data[:] = 1
    if params.negative_sampling == "tfn":
        return teacher
    matched = matched_nodes(head, embedded, pairs, params.n_matched)
    return matched + teacher if params.negative_sampling == "tfn+man" else matched
