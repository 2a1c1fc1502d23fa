"""Stage 2: fine-tune the encoder over a label tree, from the root down."""

import numpy as np
from sklearn.utils import check_random_state

from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.transformer._checkpoints import Checkpoints
from sklearn_xmr.transformer._encoder import half_precision, import_torch, pick_device
from sklearn_xmr.transformer._fine_tuning import FineTuner, Level, TrainingSettings
from sklearn_xmr.transformer._heads import FullHead, ShortlistHead
from sklearn_xmr.transformer._levels import (
    costs_of,
    first_head,
    level_targets,
    matched_nodes,
    shortlists,
)
from sklearn_xmr.transformer._processes import processes_of
from sklearn_xmr.transformer._progress import Progress


def fine_tune(params, texts, X_sparse, Y, seed, fingerprint):
    """Train an encoder in place.

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

    Returns
    -------
    dict of tensors
        The encoder's weights.
    """
    tuner = make_tuner(params, texts, seed, fingerprint)
    state = tuner.checkpoints.load()
    rng = check_random_state(seed)
    rows, validation = hold_out(params, len(texts), rng)
    if state is not None:
        embedded = state["embedded"]
    elif tuner.processes.size == 1:
        embedded = params._embed(texts)  # known, if the encoder was used as it is
    else:
        embedded = tuner.encode()
    tree = matching_tree(params, X_sparse, embedded, Y, seed)
    targets = level_targets(Y, tree)
    first = 0 if state is None else state["level"]
    matched = None if state is None else state["matched"]
    for number in range(first, tree.n_levels):
        positives = (
            costs_of(targets[number]) if params.cost_sensitive else targets[number]
        )
        pairs = positives
        if params.head == "shortlist":
            pairs = shortlists(tree, number, positives, matched)
        level = Level(number, pairs, rows, validation)
        head = make_head(
            params, tuner.device, embedded, tree, targets, number, rows, rng
        )
        kept = {"embedded": embedded, "matched": matched}
        tuner.fit_level(level, head, state, **kept)
        state = None
        if number + 1 < tree.n_levels:
            embedded = tuner.encode()
            matched = next_matched(params, head, embedded, pairs, targets[number])
    tuner.encoder.attend("sdpa")
    return tuner.encoder.state()


def make_tuner(params, texts, seed, fingerprint):
    """The training loop with its device, settings and checkpoints."""
    torch, _ = import_torch()
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
        params.encoder_.tokenize(texts),
        settings,
        processes,
        None if half == torch.float16 else half,  # float16 would need scaled losses
        Checkpoints(params.checkpoint_dir, fingerprint, processes.rank == 0),
        Progress(params.verbose if processes.rank == 0 else 0),
    )


def hold_out(params, n_texts, rng):
    """Rows to train on, and rows that early stopping measures on."""
    if not params.early_stopping:
        return np.arange(n_texts), np.zeros(0, dtype=np.int64)
    n_held_out = max(1, round(params.validation_fraction * n_texts))
    if n_held_out >= n_texts:
        raise ValueError(
            f"validation_fraction={params.validation_fraction} of {n_texts} texts "
            "leaves none to train on"
        )
    order = rng.permutation(n_texts)
    return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])


def matching_tree(params, X_sparse, embedded, Y, seed):
    """The tree whose levels are trained; all labels in one level for a full head."""
    if params.head == "full":
        return LabelTree.flat(Y.shape[1])
    return params._first_tree(X_sparse, embedded, Y, seed)


def make_head(params, device, embedded, tree, targets, number, rows, rng):
    """A head of linear models that were trained on the embeddings as they are."""
    some = [target[rows] for target in targets]
    weight, bias = first_head(embedded[rows], tree, number, some, rng)
    kind = FullHead if params.head == "full" else ShortlistHead
    return kind(weight, bias, device, params.loss)


def next_matched(params, head, embedded, pairs, target):
    """Nodes of each instance whose children the next level looks at."""
    teacher = target.copy()
    teacher.data[:] = 1
    if params.negative_sampling == "tfn":
        return teacher
    matched = matched_nodes(head, embedded, pairs, params.n_matched)
    return matched + teacher if params.negative_sampling == "tfn+man" else matched
