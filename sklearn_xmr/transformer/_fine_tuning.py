"""Stage 2: how an encoder is fine-tuned over a label tree.

:class:`FineTuning` holds the parameters and runs the training:
``_level_training.py`` goes from level to level, ``_fine_tuning_loop.py`` from step to
step. Both import torch, and are imported when a training starts.
"""

from numbers import Integral, Real
from typing import Literal

import joblib
from sklearn.base import BaseEstimator

from sklearn_xmr.base import TrainingData
from sklearn_xmr.transformer._cache import cached_training
from sklearn_xmr.transformer._cached_encoder import CachedEncoder
from sklearn_xmr.transformer._progress import Progress
from sklearn_xmr.utils._callbacks import NO_TASKS
from sklearn_xmr.utils._content_key import content_key
from sklearn_xmr.utils._doc_links import DocLinkMixin
from sklearn_xmr.utils._fitted_state import check_parameters
from sklearn_xmr.utils._held_out import VALIDATION_SIZE
from sklearn_xmr.utils._saved_version import SavedVersionMixin
from sklearn_xmr.utils._sklearn import HasMethods, Interval, StrOptions
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import PathOrStr


@storable
class FineTuning(SavedVersionMixin, DocLinkMixin, BaseEstimator):
    """How :class:`XTransformerClassifier` trains its encoder.

    A linear head on the embeddings is trained together with the encoder: at one level
    of a label tree after another, to find the nodes that fit a text, or against all
    labels at once.

    Parameters
    ----------
    head : {"auto", "shortlist", "full"}, default="auto"
        What the encoder is trained with:

        - "shortlist": for each text, the nodes that a label tree proposes;
        - "full": all labels against each other, block by block, without a tree;
        - "auto": "full" for up to 100,000 labels, "shortlist" for more.
    n_levels : int or None, default=1
        Number of levels of the tree, counted from the labels up, at which a shortlist
        head trains the encoder. At the levels above, linear models on the embeddings
        propose nodes. None trains the encoder at all levels, as XR-Transformer does.
    negative_sampling : {"tfn", "man", "tfn+man"}, default="tfn+man"
        The nodes whose children are on the shortlist of a text:

        - "tfn", teacher forcing: those with a label of the text;
        - "man", matcher-aware: those that the level above ranks best;
        - "tfn+man": both.
    beam_size : int or None, default=10
        Number of nodes of each level that matcher-aware sampling takes; None takes all
        that are on the shortlist of that level.
    count_labels : bool, default=True
        Whether the cost of missing a node is proportional to the number of labels of
        the text under it. If False, all costs are 1.
    loss : {"squared_hinge", "hinge", "logistic"}, default="squared_hinge"
        Loss of a pair of text and node.
    n_epochs : float, default=1.0
        Number of passes through the texts at each level.
    max_steps : int or None, default=None
        Number of optimiser steps at each level, instead of ``n_epochs``.
    batch_size : int, default=32
        Number of texts in an optimiser step, in all processes together.
    micro_batch_size : int or None, default=None
        Number of texts that a process holds at a time; the gradients of a batch are
        added up. None means ``batch_size``. It is halved each time that the device
        runs out of memory.
    learning_rate : float, default=1e-4
        Learning rate of the encoder after warm-up, from which it falls linearly to 0.
    head_learning_rate : float, default=2e-3
        Learning rate of the head after warm-up, from which it falls linearly to 0.
    weight_decay : float, default=0.01
        Weight decay of the encoder's matrices.
    warmup : float in [0, 1], default=0.1
        Share of the steps in which the learning rates rise from 0.
    max_grad_norm : float, default=1.0
        A longer gradient of the encoder is scaled down to this norm.
    dropout : float or None, default=0.0
        Dropout of the encoder during training; None keeps the model's own. Without
        dropout, training takes a third less time on a CPU.
    gradient_checkpointing : bool, default=False
        Whether to compute activations twice instead of storing them: less memory for
        a third more time.
    early_stopping : bool, default=False
        Whether to measure P@5 on held-out texts, and keep the best weights of a level.
    validation_size : int, float or None, default=None
        Number or share of the texts that early stopping holds out. None means a tenth,
        but at least 1,000 and at most 10,000, and never more than a third.
    eval_steps : int, default=200
        Number of steps between measurements.
    n_iter_no_change : int, default=3
        Number of measurements without a better value after which a level ends.
    save_steps : int, default=500
        Number of steps between checkpoints.
    checkpoint_dir : path-like or None, default=None
        Folder for the state of the training. A run that was killed resumes there when
        it is started again with the same data and parameters. None keeps no state.

    See Also
    --------
    XTransformerClassifier : Fine-tunes an encoder, and ranks labels with it.

    Notes
    -----
    The same data, parameters and seed give the same weights. ``checkpoint_dir``,
    ``gradient_checkpointing``, ``micro_batch_size`` and ``save_steps`` do not change
    them, but for rounding: with a ``cache_dir``, :class:`XTransformerClassifier` takes
    the weights of an earlier training that differs in these parameters only.

    References
    ----------
    J. Zhang et al. "Fast multi-resolution transformer fine-tuning for extreme
    multi-label text classification", NeurIPS 2021 (arXiv 2110.00685).

    Examples
    --------
    >>> from sklearn_xmr import FineTuning, XTransformerClassifier
    >>> fine_tuning = FineTuning(head="shortlist", max_steps=300)
    >>> clf = XTransformerClassifier(fine_tuning=fine_tuning, random_state=0)
    >>> clf.set_params(fine_tuning__learning_rate=5e-5).fine_tuning
    FineTuning(head='shortlist', learning_rate=5e-05, max_steps=300)
    """

    _parameter_constraints: dict = {
        "head": [StrOptions({"auto", "shortlist", "full"})],
        "n_levels": [Interval(Integral, 1, None, closed="left"), None],
        "negative_sampling": [StrOptions({"tfn", "man", "tfn+man"})],
        "beam_size": [Interval(Integral, 1, None, closed="left"), None],
        "count_labels": ["boolean"],
        "loss": [StrOptions({"squared_hinge", "hinge", "logistic"})],
        "n_epochs": [Interval(Real, 0, None, closed="neither")],
        "max_steps": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "micro_batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="left")],
        "head_learning_rate": [Interval(Real, 0, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "warmup": [Interval(Real, 0, 1, closed="both")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither")],
        "dropout": [Interval(Real, 0, 1, closed="left"), None],
        "gradient_checkpointing": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_size": VALIDATION_SIZE,
        "eval_steps": [Interval(Integral, 1, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "save_steps": [Interval(Integral, 1, None, closed="left")],
        "checkpoint_dir": [str, HasMethods("__fspath__"), None],
    }

    # All other parameters are part of the key under which weights are kept: one that
    # is missing here can only cause a needless training.
    _without_effect_on_weights = (
        "checkpoint_dir",
        "gradient_checkpointing",
        "micro_batch_size",
        "save_steps",
    )

    def __init__(
        self,
        *,
        head: Literal["auto", "shortlist", "full"] = "auto",
        n_levels: int | None = 1,
        negative_sampling: Literal["tfn", "man", "tfn+man"] = "tfn+man",
        beam_size: int | None = 10,
        count_labels: bool = True,
        loss: Literal["squared_hinge", "hinge", "logistic"] = "squared_hinge",
        n_epochs: float = 1.0,
        max_steps: int | None = None,
        batch_size: int = 32,
        micro_batch_size: int | None = None,
        learning_rate: float = 1e-4,
        head_learning_rate: float = 2e-3,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
        max_grad_norm: float = 1.0,
        dropout: float | None = 0.0,
        gradient_checkpointing: bool = False,
        early_stopping: bool = False,
        validation_size: float | None = None,
        eval_steps: int = 200,
        n_iter_no_change: int = 3,
        save_steps: int = 500,
        checkpoint_dir: PathOrStr | None = None,
    ) -> None:
        self.head = head
        self.n_levels = n_levels
        self.negative_sampling = negative_sampling
        self.beam_size = beam_size
        self.count_labels = count_labels
        self.loss = loss
        self.n_epochs = n_epochs
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.micro_batch_size = micro_batch_size
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.max_grad_norm = max_grad_norm
        self.dropout = dropout
        self.gradient_checkpointing = gradient_checkpointing
        self.early_stopping = early_stopping
        self.validation_size = validation_size
        self.eval_steps = eval_steps
        self.n_iter_no_change = n_iter_no_change
        self.save_steps = save_steps
        self.checkpoint_dir = checkpoint_dir

    def train(
        self,
        encoder,
        texts,
        Y,
        sample_weight=None,
        *,
        features=None,
        clusterer=None,
        precision="auto",
        device="auto",
        cache_dir=None,
        seed=0,
        verbose=0,
        tasks=NO_TASKS,
    ):
        """Train an encoder in place; the same training is not run twice.

        The weights are taken from the cache where they are known.

        Parameters
        ----------
        encoder : TextEncoder
            The encoder, such as ``encoder_`` of an :class:`XTransformerClassifier`,
            loaded with the same ``dropout``.
        texts : list of str
            The texts.
        Y : csr_matrix of float32 of shape (n_texts, n_labels)
            Canonical label indicator.
        sample_weight : ndarray of float32 of shape (n_texts,), default=None
            Positive weights of the texts.
        features : csr_matrix of float32 of shape (n_texts, n_features), default=None
            Sparse features on which the label tree is built; None means the embeddings
            of the encoder as it is.
        clusterer : LabelTree or estimator, default=None
            Of the label tree; None means a :class:`HierarchicalLabelClusterer`.
        precision : {"auto", "fp32", "bf16", "fp16"}, default="auto"
            Type of matrix products.
        device : str, default="auto"
            Where to compute.
        cache_dir : path-like or None, default=None
            Folder for tokens, embeddings and weights; None keeps the latest in memory.
        seed : int, default=0
            Of everything that is random.
        verbose : int, default=0
            1 prints a line for each level, 2 also for every 50 steps.
        tasks : FitTasks, default=NO_TASKS
            Levels and steps are reported to it, for callbacks.

        Returns
        -------
        weights : dict of tensor
            The weights that the encoder has now, on the CPU.
        history : list of dict
            Mean losses and validation metrics by level and step.

        Raises
        ------
        ValueError
            If a parameter is out of its range, the encoder has another dropout, or
            ``checkpoint_dir`` holds the state of another run.
        """
        check_parameters(self, self.get_params(deep=False))
        if encoder.dropout != self.dropout:
            raise ValueError(
                f"encoder must be loaded with the dropout of the fine-tuning, "
                f"{self.dropout}, got one loaded with {encoder.dropout}"
            )
        data = TrainingData(texts, Y, sample_weight)
        cached = CachedEncoder(encoder, precision, device, cache_dir)
        key = self._key(cached, data, features, clusterer, seed)
        progress = Progress(verbose, tasks=tasks)

        def run():
            from sklearn_xmr.transformer._level_training import train_levels

            return train_levels(
                self, cached, data, features, clusterer, seed, key, progress
            )

        weights, history = cached_training(cache_dir, key, run)
        encoder.load_state(weights)
        return weights, [dict(record) for record in history]

    def _key(self, cached, data, features, clusterer, seed):
        """Hash of all that the weights depend on."""
        parameters = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in self._without_effect_on_weights
        }
        optional = [data.sample_weight, features]
        return content_key(
            "fine-tuned",
            cached.encoder.fingerprint(),
            [cached.device.type, str(cached.half)],
            data.X,
            data.Y,
            ["" if part is None else part for part in optional],
            joblib.hash([parameters, clusterer]),  # by content, also of a LabelTree
            str(seed),
        )
