"""X-Transformer: a text encoder, fine-tuned over a label tree, and XR-Linear on top."""

from numbers import Integral, Real

import joblib
import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.linear._ranking_classifier import RankingClassifierMixin
from sklearn_xmr.transformer._cache import cached_state, content_key
from sklearn_xmr.transformer._encoder import TextEncoder
from sklearn_xmr.transformer._features import TextFeaturesMixin
from sklearn_xmr.transformer._matcher import fine_tune
from sklearn_xmr.transformer._static import embed_with
from sklearn_xmr.transformer._texts import split_pair
from sklearn_xmr.transformer._trees import refined_tree
from sklearn_xmr.utils.callbacks import CallbackMixin
from sklearn_xmr.utils.hybrid import HybridFeatures
from sklearn_xmr.utils.seeding import draw_seed, seed_if_unset
from sklearn_xmr.utils.validation import check_k


class XTransformerClassifier(
    TextFeaturesMixin,
    RankingClassifierMixin,
    CallbackMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Extreme multi-label ranking of texts by a transformer and XR-Linear.

    A pre-trained encoder is fine-tuned to tell, level by level, which nodes of a label
    tree fit a text. Its embeddings stand beside sparse features (tf-idf); a new tree is
    built on both, and :class:`XRLinearClassifier` ranks the labels.

    Parameters
    ----------
    model_name_or_path : str, path-like or callable, \
            default="sentence-transformers/all-MiniLM-L6-v2"
        An encoder that ``transformers.AutoModel`` loads, by folder or name; or a
        function from a list of texts to an array with a row for each, such as
        :class:`StaticEmbedder`, which is not fine-tuned.
    vectorizer : "tfidf", transformer or None, default="tfidf"
        Makes the sparse features; None means none. It is not used where X is a pair of
        texts and features.
    clusterer : LabelTree or estimator, default=None
        Of the label trees, see :class:`XRLinearClassifier`: the first one, on sparse
        features, over which the encoder is fine-tuned, and the ranker's, on all
        features. None means a :class:`HierarchicalLabelClusterer`.
    ranker : XRLinearClassifier, default=None
        The final model; None means one with ``C=0.5``: against 1, P@1 is 0.5 higher on
        tate-subjects with a fine-tuned encoder, and 0.2 with a frozen one.
    fine_tune : bool, default=True
        Whether to train the encoder. False is many times faster, and better than
        sparse features alone.
    head : {"auto", "shortlist", "full"}, default="auto"
        "shortlist" trains on labels that a label tree proposes for each text. "full"
        trains all labels against each other, block by block, without a tree. "auto" is
        "full" for up to 100,000 labels.
    n_levels : int or None, default=1
        Levels of the tree, from the labels up, at which a shortlist head trains the
        encoder; at those above, linear models on the embeddings propose nodes. None
        trains at all levels, from the root down, as XR-Transformer does.
    negative_sampling : {"tfn", "man", "tfn+man"}, default="tfn+man"
        Shortlists hold the children of nodes with a label of the instance (teacher
        forcing), of those that the level above ranks best (matcher-aware), or of both.
    n_matched : int, default=10
        Nodes that a level proposes for the next one.
    cost_sensitive : bool, default=True
        Whether a positive node counts by the number of the instance's labels under it.
    loss : {"squared_hinge", "hinge", "logistic"}, default="squared_hinge"
        Loss of fine-tuning.
    max_length : int, default=128
        Tokens that are read of a text.
    pooling : {"mean", "cls", "last"}, default="mean"
        How token vectors become one.
    n_epochs : float, default=1.0
        Passes over the texts for each level.
    max_steps : int or None, default=None
        Optimiser steps for each level, instead of ``n_epochs``.
    batch_size : int, default=32
        Texts of an optimiser step, in all processes together.
    micro_batch_size : int or None, default=None
        Texts that a process holds at a time; gradients of a batch are added up. None
        means ``batch_size``. It is halved when the device runs out of memory.
    learning_rate : float, default=1e-4
        Of the encoder, after warm-up; it falls linearly to 0.
    head_learning_rate : float, default=2e-3
        Of the head, likewise.
    weight_decay : float, default=0.01
        Of the encoder's matrices.
    warmup : float in [0, 1], default=0.1
        Share of the steps in which the rates rise.
    max_grad_norm : float, default=1.0
        The encoder's gradient is scaled down to this norm.
    dropout : float or None, default=0.0
        Dropout of the encoder in fine-tuning; None leaves the model's own. Without it
        a CPU takes a third less time.
    gradient_checkpointing : bool, default=False
        Less memory for a third more time.
    early_stopping : bool, default=False
        Whether to measure P@5 on held-out texts and keep the best weights of a level.
    validation_fraction : float, default=0.1
        Share of the texts that early stopping holds out.
    eval_steps : int, default=200
        Steps between measurements.
    n_iter_no_change : int, default=3
        Measurements without a better value after which a level ends.
    precision : {"auto", "fp32", "bf16", "fp16"}, default="auto"
        Type of matrix products; "auto" is bfloat16 where the device is fast at it.
        "fp16" scales gradients up, and leaves out steps that overflow.
    device : str, default="auto"
        "auto" is the GPU, if there is one, or a torch device such as "cuda:1".
    checkpoint_dir : path-like or None, default=None
        Folder for the state of training. A run that was killed goes on there when it
        is started again with the same data and parameters.
    save_steps : int, default=500
        Steps between checkpoints.
    cache_dir : path-like or None, default=None
        Folder for tokens, embeddings and fine-tuned weights, by content: searches over
        the ranker's parameters encode each text once, and what is larger than memory is
        memory-mapped. None keeps up to a gigabyte in memory.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    random_state : int, RandomState instance or None, default=None
        Seeds everything. The same seed gives the same model on the same machine.
    verbose : int, default=0
        1 prints a line for each level, 2 also for every 50 steps, with the time left.

    Attributes
    ----------
    encoder_ : TextEncoder or callable
        The encoder, with its tokenizer.
    vectorizer_ : transformer or None
        Fitted on the texts.
    ranker_ : XRLinearClassifier
        Fitted on sparse and dense features.
    tree_ : LabelTree
        The ranker's tree.
    history_ : list of dict
        Fine-tuning, as :class:`sklearn_xmr.inspection.TrainingHistoryDisplay` draws it:
        mean losses and validation metrics by level and step. Empty without, and where
        ``cache_dir`` had the weights.
    classes_ : ndarray of shape (n_labels,)
        Class labels of a 1-D y; label numbers for an indicator.
    n_labels_ : int
        Number of labels.
    sparse_output_ : bool
        Whether ``predict`` and ``predict_proba`` return sparse matrices.

    See Also
    --------
    XRLinearClassifier : The ranker, alone many times faster.

    Notes
    -----
    Started by ``accelerate launch`` or torchrun, the processes share the work of each
    step, and all hold the same model afterwards; with ``fine_tune=False`` each encodes
    all texts: start one process then. The texts' embeddings do not depend on
    the batches they are in, but for rounding.

    References
    ----------
    J. Zhang et al. "Fast multi-resolution transformer fine-tuning for extreme
    multi-label text classification", NeurIPS 2021 (arXiv 2110.00685).

    Examples
    --------
    >>> from sklearn_xmr.transformer import StaticEmbedder, XTransformerClassifier
    >>> embed = StaticEmbedder(["red", "blue", "fish", "bird"], [[1, 0], [0, 1]] * 2)
    >>> texts = ["red bird", "blue bird", "red fish", "blue fish"]
    >>> Y = [[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]]
    >>> clf = XTransformerClassifier(embed).fit(texts, Y)
    >>> sorted(clf.predict_topk(["red bird"], k=2)[0][0].tolist())
    [0, 2]
    """

    _parameter_constraints: dict = {
        "model_name_or_path": [str, HasMethods("__fspath__"), callable],
        "vectorizer": [
            StrOptions({"tfidf"}),
            HasMethods(["fit_transform", "transform"]),
            None,
        ],
        "clusterer": [LabelTree, HasMethods("fit"), None],
        "ranker": [XRLinearClassifier, None],
        "fine_tune": ["boolean"],
        "head": [StrOptions({"auto", "shortlist", "full"})],
        "n_levels": [Interval(Integral, 1, None, closed="left"), None],
        "negative_sampling": [StrOptions({"tfn", "man", "tfn+man"})],
        "n_matched": [Interval(Integral, 1, None, closed="left")],
        "cost_sensitive": ["boolean"],
        "loss": [StrOptions({"squared_hinge", "hinge", "logistic"})],
        "max_length": [Interval(Integral, 1, None, closed="left")],
        "pooling": [StrOptions({"mean", "cls", "last"})],
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
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "eval_steps": [Interval(Integral, 1, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "precision": [StrOptions({"auto", "fp32", "bf16", "fp16"})],
        "device": [str],
        "checkpoint_dir": [str, HasMethods("__fspath__"), None],
        "save_steps": [Interval(Integral, 1, None, closed="left")],
        "cache_dir": [str, HasMethods("__fspath__"), None],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        model_name_or_path="sentence-transformers/all-MiniLM-L6-v2",
        *,
        vectorizer="tfidf",
        clusterer=None,
        ranker=None,
        fine_tune=True,
        head="auto",
        n_levels=1,
        negative_sampling="tfn+man",
        n_matched=10,
        cost_sensitive=True,
        loss="squared_hinge",
        max_length=128,
        pooling="mean",
        n_epochs=1.0,
        max_steps=None,
        batch_size=32,
        micro_batch_size=None,
        learning_rate=1e-4,
        head_learning_rate=2e-3,
        weight_decay=0.01,
        warmup=0.1,
        max_grad_norm=1.0,
        dropout=0.0,
        gradient_checkpointing=False,
        early_stopping=False,
        validation_fraction=0.1,
        eval_steps=200,
        n_iter_no_change=3,
        precision="auto",
        device="auto",
        checkpoint_dir=None,
        save_steps=500,
        cache_dir=None,
        top_k=20,
        decision_threshold=0.5,
        random_state=None,
        verbose=0,
    ):
        self.model_name_or_path = model_name_or_path
        self.vectorizer = vectorizer
        self.clusterer = clusterer
        self.ranker = ranker
        self.fine_tune = fine_tune
        self.head = head
        self.n_levels = n_levels
        self.negative_sampling = negative_sampling
        self.n_matched = n_matched
        self.cost_sensitive = cost_sensitive
        self.loss = loss
        self.max_length = max_length
        self.pooling = pooling
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
        self.validation_fraction = validation_fraction
        self.eval_steps = eval_steps
        self.n_iter_no_change = n_iter_no_change
        self.precision = precision
        self.device = device
        self.checkpoint_dir = checkpoint_dir
        self.save_steps = save_steps
        self.cache_dir = cache_dir
        self.top_k = top_k
        self.decision_threshold = decision_threshold
        self.random_state = random_state
        self.verbose = verbose

    # --- fit -----------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y):
        """Fine-tune the encoder, then train the ranker.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,), or a pair
            Texts; or ``(texts, features)`` with a sparse matrix of shape
            (n_samples, n_features) in place of the vectorizer's.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If something in X is no text.
        ValueError
            If y does not fit.
        OSError
            If there is no such encoder.
        ImportError
            If torch or transformers is missing.
        """
        tasks = self._begin_tasks(4)
        texts, features = split_pair(X)
        Y = self._check_targets(texts, y)
        rng = check_random_state(self.random_state)
        with tasks.task("encoder and sparse features"):
            self.encoder_ = self._load_encoder()
            X_sparse = self._fit_sparse(texts, features)
        self.history_ = []
        if self.fine_tune and isinstance(self.encoder_, TextEncoder):
            with tasks.task("fine-tuning", None) as levels:
                self._fine_tune(texts, X_sparse, Y, rng, levels)
        with tasks.task("embeddings"):
            both = HybridFeatures(X_sparse, self._embed(texts))
        with tasks.task("ranker"):
            self.ranker_ = self._fit_ranker(both, Y, rng)
        self.tree_ = self.ranker_.tree_
        tasks.end(X, y)
        return self

    def _load_encoder(self):
        if callable(self.model_name_or_path):
            return self.model_name_or_path
        encoder = TextEncoder.load(
            self.model_name_or_path, self.pooling, self.max_length, self.dropout
        )
        if self.gradient_checkpointing:
            encoder.model.gradient_checkpointing_enable()
        return encoder

    def _fine_tune(self, texts, X_sparse, Y, rng, tasks):
        """Train the encoder in place, or take the weights of the same run before."""
        settings = {name: getattr(self, name) for name in FINE_TUNING}
        seed = draw_seed(rng)
        key = content_key(
            "fine-tuned",
            self.encoder_.fingerprint(),
            texts,
            Y,
            "" if X_sparse is None else X_sparse,
            joblib.hash(settings),  # by content, also of a LabelTree
            str(seed),
        )
        state = cached_state(
            self.cache_dir,
            key,
            lambda: fine_tune(self, texts, X_sparse, Y, seed, key, tasks),
        )
        self.encoder_.model.load_state_dict(state)
        self._key_of = None  # the weights have changed, and with them the fingerprint

    def _fit_ranker(self, X, Y, rng):
        """XR-Linear on a tree of all features, unless the ranker has its own."""
        default = XRLinearClassifier(C=0.5)
        ranker = clone(default if self.ranker is None else self.ranker)
        seed = draw_seed(rng)
        seed_if_unset(ranker, seed)
        if ranker.clusterer is None:
            ranker.set_params(clusterer=refined_tree(self.clusterer, X, Y, seed))
        return ranker.fit(X, Y)

    # --- predict -------------------------------------------------------------------

    def predict_topk(self, X, k=None):
        """The best labels of each text, best first.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,), or a pair as in ``fit``
            Texts.
        k : int, default=None
            Number of labels, ``top_k`` by default; never more than there are.

        Returns
        -------
        labels : ndarray of int64 of shape (n_samples, k)
            Column numbers of Y (positions in ``classes_``); -1 where there are fewer.
        scores : ndarray of float32 of shape (n_samples, k)
            Scores as the ranker's ``post_processor`` makes them.
        """
        features = self._features(X)
        k = self.top_k if k is None else check_k(k)
        return self.ranker_.predict_topk(features, k=k)

    def score_pairs(self, X, pairs):
        """Scores of given (instance, label) pairs.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,), or a pair as in ``fit``
            Texts.
        pairs : array-like of int or sparse matrix
            As ``candidates`` in :meth:`XRLinearClassifier.predict_topk`.

        Returns
        -------
        csr_matrix of float32 of shape (n_samples, n_labels)
        """
        features = self._features(X)
        return self.ranker_.score_pairs(features, pairs)

    def transform(self, X):
        """Unit embeddings of texts.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,), or a pair as in ``fit``
            Texts.

        Returns
        -------
        ndarray of float32 of shape (n_samples, n_dense)
        """
        check_is_fitted(self)
        return np.array(self._embed(split_pair(X)[0]))

    def encode(self, X, path):
        """Unit embeddings of texts, written to a file: they may exceed memory.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,)
            Texts.
        path : path-like
            A .npy file, replaced.

        Returns
        -------
        memmap of float32 of shape (n_samples, n_dense)
        """
        check_is_fitted(self)
        texts, _ = split_pair(X)
        shape = len(texts), self._n_features_out
        out = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        if isinstance(self.encoder_, TextEncoder):
            self._embed(texts, out)
        else:
            out[:] = embed_with(self.encoder_, texts)
        out.flush()
        return out

    def _predict_log(self, X, k):
        features = self._features(X)
        k = self._default_k() if k is None else k
        return self.ranker_._predict_log(features, k)

    def _probabilities(self, log_scores):
        return self.ranker_._probabilities(log_scores)

    @property
    def _n_features_out(self):
        return self.ranker_.n_dense_features_

    def __sklearn_is_fitted__(self):
        return hasattr(self, "ranker_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.sparse = False
        tags.transformer_tags.preserves_dtype = []
        return tags


# Parameters that the fine-tuned weights depend on.
FINE_TUNING = (
    "clusterer",
    "head",
    "n_levels",
    "negative_sampling",
    "n_matched",
    "cost_sensitive",
    "loss",
    "max_length",
    "pooling",
    "n_epochs",
    "max_steps",
    "batch_size",
    "learning_rate",
    "head_learning_rate",
    "weight_decay",
    "warmup",
    "max_grad_norm",
    "dropout",
    "early_stopping",
    "validation_fraction",
    "eval_steps",
    "n_iter_no_change",
    "precision",
    "device",
)
