"""X-Transformer: a text encoder, fine-tuned over a label tree, and XR-Linear on top."""

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn import get_config
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils import check_random_state
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)

from sklearn_xmr.base import RankingClassifierMixin, TrainingData
from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.preprocessing import HybridFeatures
from sklearn_xmr.transformer._encoder import TextEncoder
from sklearn_xmr.transformer._features import TextFeaturesMixin
from sklearn_xmr.transformer._fine_tuning import FineTuning
from sklearn_xmr.transformer._texts import split_pair
from sklearn_xmr.transformer._trees import refined_tree
from sklearn_xmr.utils._callbacks import CallbackMixin
from sklearn_xmr.utils._checkpoint_folders import check_repeatable
from sklearn_xmr.utils._fitted_state import (
    check_parameters,
    fit_in_one_step,
    on_snapshot,
)
from sklearn_xmr.utils._seeding import draw_seed, seed_if_unset
from sklearn_xmr.utils._sklearn import HasMethods, Interval, StrOptions, fit_context
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import (
    CSR,
    Estimator,
    MatrixLike,
    PathOrStr,
    RandomState,
    Self,
    TopK,
)
from sklearn_xmr.utils._validation import check_count


@storable
class XTransformerClassifier(
    TextFeaturesMixin,
    RankingClassifierMixin,
    CallbackMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Extreme multi-label ranking of texts by a transformer and XR-Linear.

    A pre-trained encoder is fine-tuned to find the labels, or the nodes of a label
    tree, that fit a text. Its embeddings stand beside sparse features (tf-idf); a new
    tree is built on both, and :class:`XRLinearClassifier` ranks the labels.

    Parameters
    ----------
    encoder : str, path-like or callable, \
            default="sentence-transformers/all-MiniLM-L6-v2"
        An encoder that ``transformers.AutoModel`` loads, by folder or name; or a
        function from a list of texts to an array with a row for each, such as
        :class:`StaticEmbedder`.
    vectorizer : "tfidf", transformer or None, default="tfidf"
        Makes the sparse features; None means none. It is not used where X is a pair of
        texts and features.
    clusterer : LabelTree or estimator, default=None
        Of the label trees, see :class:`XRLinearClassifier`: the first one, on sparse
        features, over which the encoder is fine-tuned, and the ranker's, on all
        features. None means a :class:`HierarchicalLabelClusterer`. A clusterer whose
        ``representation`` is "pifa", the default, groups labels for the ranker by the
        PIFA vectors of sparse and dense features side by side. Any other
        representation stays as it is, and is made of the sparse features.
    ranker : XRLinearClassifier, default=None
        The final model; None means one with ``C=0.5``: against 1, P@1 is 0.5 higher on
        tate-subjects with a fine-tuned encoder, and 0.2 with a frozen one. The
        ``clusterer`` of a ranker that has one makes the ranker's tree.
    fine_tuning : FineTuning, "auto" or None, default="auto"
        How the encoder is trained. None takes it as it is, which is many times faster,
        and better than sparse features alone. "auto" means ``FineTuning()``, or None
        for an encoder that is a function, which cannot be trained.
    max_length : int, default=128
        Number of tokens that are read of a text.
    pooling : {"mean", "cls", "last"}, default="mean"
        How token vectors become one.
    precision : {"auto", "fp32", "bf16", "fp16"}, default="auto"
        Type of matrix products; "auto" is bfloat16 where the device is fast at it.
        "fp16" scales gradients up, and skips steps that overflow.
    device : str, default="auto"
        Where the encoder computes: "auto" takes a GPU if there is one; or a torch
        device such as "cuda:1".
    cache_dir : path-like or None, default=None
        Folder for tokens, embeddings and fine-tuned weights, by content: searches over
        the ranker's parameters encode each text once, and what is larger than memory is
        memory-mapped. None keeps up to a gigabyte in memory.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    min_labels : int, default=0
        Number of labels that ``predict`` returns at least: the best ones, where fewer
        exceed the threshold.
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
    n_ready_features_ : int or None
        Number of features that came with the texts; None where X held texts only.
    ranker_ : XRLinearClassifier
        Fitted on sparse and dense features.
    tree_ : LabelTree
        The ranker's tree.
    history_ : list of dict
        Mean losses and validation metrics of the fine-tuning by level and step, as
        :class:`sklearn_xmr.inspection.TrainingHistoryDisplay` plots them. Empty
        without fine-tuning.
    target_form_ : TargetForm
        The form of y.
    classes_ : ndarray of shape (n_labels,)
        Class labels of a 1-D y; label numbers for an indicator.
    n_labels_ : int
        Number of labels.
    propensities_ : ndarray of float32 of shape (n_labels,)
        How likely a relevant label was observed, by its frequency; see
        :func:`sklearn_xmr.metrics.propensity_scores`.
    sparse_output_ : bool
        Whether ``predict`` and ``predict_proba`` return sparse matrices.

    See Also
    --------
    FineTuning : The parameters of fine-tuning.
    XRLinearClassifier : The ranker, alone many times faster.

    Notes
    -----
    ``top_k``, ``decision_threshold``, ``precision``, ``device`` and ``cache_dir`` take
    effect without a refit.

    Parameters of the default fine-tuning can be set and searched too, by names such as
    ``fine_tuning__learning_rate``.

    Started by ``accelerate launch`` or torchrun, the processes share the work of each
    step, and all hold the same model afterwards; with ``fine_tuning=None`` each encodes
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

    scores_each_pair = True
    _acting_parameters = (
        "top_k",
        "decision_threshold",
        "min_labels",
        "precision",
        "device",
        "cache_dir",
    )

    _parameter_constraints: dict = {
        "encoder": [str, HasMethods("__fspath__"), callable],
        "vectorizer": [
            StrOptions({"tfidf"}),
            HasMethods(["fit_transform", "transform"]),
            None,
        ],
        "clusterer": [LabelTree, HasMethods("fit"), None],
        "ranker": [XRLinearClassifier, None],
        "fine_tuning": [FineTuning, StrOptions({"auto"}), None],
        "max_length": [Interval(Integral, 1, None, closed="left")],
        "pooling": [StrOptions({"mean", "cls", "last"})],
        "precision": [StrOptions({"auto", "fp32", "bf16", "fp16"})],
        "device": [str],
        "cache_dir": [str, HasMethods("__fspath__"), None],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "min_labels": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        encoder: PathOrStr
        | Callable[[list[str]], np.ndarray] = "sentence-transformers/all-MiniLM-L6-v2",
        *,
        vectorizer: Estimator | Literal["tfidf"] | None = "tfidf",
        clusterer: LabelTree | Estimator | None = None,
        ranker: XRLinearClassifier | None = None,
        fine_tuning: FineTuning | Literal["auto"] | None = "auto",
        max_length: int = 128,
        pooling: Literal["mean", "cls", "last"] = "mean",
        precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
        device: str = "auto",
        cache_dir: PathOrStr | None = None,
        top_k: int = 20,
        decision_threshold: float = 0.5,
        min_labels: int = 0,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.encoder = encoder
        self.vectorizer = vectorizer
        self.clusterer = clusterer
        self.ranker = ranker
        self.fine_tuning = fine_tuning
        self.max_length = max_length
        self.pooling = pooling
        self.precision = precision
        self.device = device
        self.cache_dir = cache_dir
        self.top_k = top_k
        self.decision_threshold = decision_threshold
        self.min_labels = min_labels
        self.random_state = random_state
        self.verbose = verbose

    # --- parameters ------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters, those of the default fine-tuning too.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the parameters of the estimators inside. With
            ``fine_tuning="auto"`` these are the defaults of :class:`FineTuning`.

        Returns
        -------
        dict
            Values by name.
        """
        params = super().get_params(deep)
        if deep and _is_auto(self.fine_tuning):
            for name, value in FineTuning().get_params().items():
                params[f"fine_tuning__{name}"] = value
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of the default fine-tuning too.

        Parameters
        ----------
        **params
            Values by name. A ``fine_tuning__learning_rate``, or another name of that
            kind, with a value other than the default turns ``fine_tuning="auto"`` into
            a :class:`FineTuning` of its own.

        Returns
        -------
        XTransformerClassifier
            The estimator itself.
        """
        prefix = "fine_tuning__"
        inner = {name for name in params if name.startswith(prefix)}
        if inner and _is_auto(params.get("fine_tuning", self.fine_tuning)):
            values = {name.removeprefix(prefix): params.pop(name) for name in inner}
            default = FineTuning().get_params()
            if any(
                name not in default or v != default[name] for name, v in values.items()
            ):
                params["fine_tuning"] = FineTuning().set_params(**values)
        return super().set_params(**params)

    # --- fit -------------------------------------------------------------------------

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        relevance: MatrixLike | None = None,
        negatives: MatrixLike | None = None,
    ) -> Self:
        """Fine-tune the encoder, then train the ranker.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,), or a pair
            Texts; or ``(texts, features)`` with a sparse matrix of shape
            (n_samples, n_features) in place of the vectorizer's.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the texts, in the loss of fine-tuning and in the
            ranker. A text of weight 0 is left out altogether.
        relevance : {array-like, sparse matrix} of shape (n_samples, n_labels), \
                default=None
            Cost of missing each positive label, for the ranker; fine-tuning does not
            use it. See :meth:`XRLinearClassifier.fit`.
        negatives : sparse matrix of shape (n_samples, n_labels), default=None
            Pairs known to be wrong, for the ranker; fine-tuning does not use them. See
            :meth:`XRLinearClassifier.fit`.

        Returns
        -------
        XTransformerClassifier
            The fitted estimator.

        Raises
        ------
        TypeError
            If something in X is no text.
        ValueError
            If a parameter is out of its range, y does not fit, or ``fine_tuning`` is
            given for an encoder that is a function.
        OSError
            If there is no such encoder.
        ImportError
            If torch or transformers is missing.
        """
        tasks, given = self._begin_tasks(4), (X, y)
        check_repeatable(self)
        fine_tuning = self._chosen_fine_tuning()
        texts, features, data = self._check_training(
            X, y, sample_weight, relevance, negatives
        )
        rng = check_random_state(self.random_state)
        with tasks.task("encoder and sparse features"):
            self.encoder_ = self._load_encoder(fine_tuning)
            X_sparse = self._fit_sparse(texts, features)
        self.history_ = []
        if fine_tuning is not None:
            with tasks.task("fine-tuning", None) as levels:
                self.history_ = self._fine_tune(
                    fine_tuning, texts, X_sparse, data, draw_seed(rng), levels
                )
        with tasks.task("embeddings"):
            data = replace(data, X=HybridFeatures(X_sparse, self._embed(texts)))
        with tasks.task("ranker"):
            self.ranker_ = self._fit_ranker(data, draw_seed(rng))
        tasks.end(*given)
        return self

    def _chosen_fine_tuning(self):
        """The fine-tuning to run, checked; None for an encoder taken as it is."""
        chosen = self.fine_tuning
        if callable(self.encoder):
            if chosen is not None and not _is_auto(chosen):
                raise ValueError(
                    "fine_tuning must be None for an encoder that is a function, which "
                    f"cannot be trained, got {chosen!r}"
                )
            return None
        if _is_auto(chosen):
            return FineTuning()
        if chosen is not None:
            check_parameters(chosen, chosen.get_params(deep=False))
        return chosen

    def _check_training(self, X, y, *args):
        """Texts and ready features; TrainingData of the same rows, without X."""
        texts, features = split_pair(X)
        Y = self._check_targets(texts, y)
        data = TrainingData.checked(np.arange(len(texts)), Y, *args)
        rows = data.X
        if len(rows) < len(texts):  # weights of zero
            texts = [texts[row] for row in rows]
            features = None if features is None else features[rows]
        return texts, features, replace(data, X=None)

    def _load_encoder(self, fine_tuning):
        if callable(self.encoder):
            return self.encoder
        dropout = None if fine_tuning is None else fine_tuning.dropout
        return TextEncoder.load(self.encoder, self.pooling, self.max_length, dropout)

    def _fine_tune(self, fine_tuning, texts, X_sparse, data, seed, tasks):
        """Train the encoder in place; the history."""
        _, history = fine_tuning.train(
            self.encoder_,
            texts,
            data.Y,
            data.sample_weight,
            features=X_sparse,
            clusterer=self.clusterer,
            precision=self.precision,
            device=self.device,
            cache_dir=self.cache_dir,
            seed=seed,
            verbose=self.verbose,
            tasks=tasks,
        )
        return history

    def _fit_ranker(self, data, seed):
        """XR-Linear on a tree of all features, unless the ranker has its own."""
        ranker = clone(self._ranker())
        seed_if_unset(ranker, seed)
        if ranker.clusterer is None:
            tree = refined_tree(self.clusterer, data.X, data.Y, seed)
            ranker.set_params(clusterer=tree)
        beside = data.fit_parameters()
        if get_config()["enable_metadata_routing"]:
            beside = process_routing(self, "fit", **beside).ranker.fit
        return ranker.fit(data.X, data.Y, **beside)

    def _ranker(self):
        """The ranker to fit, or the default one, which takes all metadata."""
        if self.ranker is not None:
            return self.ranker
        ranker = XRLinearClassifier(C=0.5)
        if get_config()["enable_metadata_routing"]:
            ranker.set_fit_request(sample_weight=True, relevance=True, negatives=True)
        return ranker

    def get_metadata_routing(self):
        """Metadata that ``fit`` uses itself, and passes on to the ranker.

        Returns
        -------
        MetadataRouter
            Of scikit-learn's metadata routing.
        """
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(
                ranker=self._ranker(),
                method_mapping=MethodMapping().add(caller="fit", callee="fit"),
            )
        )

    # --- predict ---------------------------------------------------------------------

    @property
    def tree_(self) -> LabelTree:
        """The ranker's label tree (LabelTree)."""
        return self.ranker_.tree_

    @on_snapshot
    def predict_topk(
        self,
        X: MatrixLike,
        k: int | None = None,
        *,
        candidates: MatrixLike | None = None,
    ) -> TopK:
        """The best labels of each text, best first.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,), or a pair as in ``fit``
            Texts.
        k : int, default=None
            Number of labels, ``top_k`` by default (all classes of a 1-D y); never more
            than there are.
        candidates : array-like of int or sparse matrix, default=None
            Rank these labels only: column numbers of Y, the same for all texts, or a
            sparse matrix of shape (n_samples, n_labels) that stores the pairs to rank.

        Returns
        -------
        labels : ndarray of int64 of shape (n_samples, k)
            Column numbers of Y (positions in ``classes_``); -1 where there are fewer.
        scores : ndarray of float32 of shape (n_samples, k)
            Scores as the ranker's ``post_processor`` makes them, times its
            ``label_weight``.

        Raises
        ------
        TypeError
            If something in X is no text.
        ValueError
            If X or ``candidates`` does not fit the data seen in fit, or k is no
            positive integer.
        """
        k = self._n_probabilities() if k is None else check_count(k, "k")
        features = self._features(X)
        return self.ranker_.predict_topk(features, k=k, candidates=candidates)

    @on_snapshot
    def score_pairs(self, X: MatrixLike, candidates: MatrixLike) -> CSR:
        """Score given (instance, label) pairs.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,), or a pair as in ``fit``
            Texts.
        candidates : array-like of int or sparse matrix
            The pairs to score: column numbers of Y, the same for all texts, or a sparse
            matrix of shape (n_samples, n_labels) that stores the pairs.

        Returns
        -------
        csr_matrix of float32 of shape (n_samples, n_labels)
            A score, as the ranker's ``post_processor`` makes it, for each pair.

        Raises
        ------
        TypeError
            If something in X is no text.
        ValueError
            If X or ``candidates`` does not fit the data seen in fit.
        """
        return self.ranker_.score_pairs(self._features(X), candidates)

    @on_snapshot
    def transform(self, X: MatrixLike) -> Any:
        """Unit embeddings of texts.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,), or a pair as in ``fit``
            Texts.

        Returns
        -------
        ndarray of float32 of shape (n_samples, n_dense)
            Embeddings.
        """
        return np.array(self._embed(split_pair(X)[0]))

    @on_snapshot
    def encode(self, X, path):
        """Unit embeddings of texts, written to a file: they may exceed memory.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,), or a pair as in ``fit``
            Texts.
        path : path-like
            A .npy file, replaced.

        Returns
        -------
        memmap of float32 of shape (n_samples, n_dense)
            Embeddings.
        """
        texts, _ = split_pair(X)
        shape = len(texts), self._n_features_out
        out = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        self._embed(texts, out)
        out.flush()
        return out

    def _predict_log(self, X, k):
        ranker = self.ranker_
        return ranker.model_.topk(
            self._features(X),
            self._n_probabilities() if k is None else k,
            beam_size=ranker.effective_beam_size,
            post_processor=ranker.scoring_rule,
        )

    def _probabilities(self, log_scores):
        return self.ranker_.scoring_rule.probabilities(log_scores)

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


def _is_auto(fine_tuning):
    return isinstance(fine_tuning, str) and fine_tuning == "auto"
